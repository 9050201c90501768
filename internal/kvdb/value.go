package kvdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

const (
	// StringPage is how many bytes of a string a page has at most.
	StringPage = 64 << 10
	maxPart    = 64 << 10 // bytes that are kept of each text in a collection
	bigValue   = 8 << 20  // above this size, a page has fewer elements where they are large
	pageBytes  = 4 << 20  // which together have about so much
)

// Part is a text of a value, or its beginning.
type Part struct {
	Text string
	Size int64 // of the whole text, in bytes
}

// Cut says that the text is longer than what is here.
func (p Part) Cut() bool { return p.Size > int64(len(p.Text)) }

// Pair is a field with its value.
type Pair struct{ Name, Value Part }

// Element is a part of a collection.
type Element struct {
	Index  int64  // in a list, or the rank in a sorted set, from 0
	ID     string // of a stream entry
	Name   Part   // the field of a hash, or the member of a set or sorted set
	Value  Part   // of a list element or a hash field
	Score  string // of a member of a sorted set, exactly as the server writes it; also inf and -inf
	Fields []Pair // of a stream entry
}

// Value is a page of a key's value.
type Value struct {
	Key
	Encoding string // as OBJECT ENCODING names it
	Length   int64  // bytes of a string, elements of a collection
	// Text is that page of a string; Offset says where it begins. It ends with a whole character where there is one.
	Text   string
	Offset int64
	// Elements are those of any other type. A type of a module has none.
	Elements []Element
	Next     string // cursor of the next page; "" = this is the last one
}

// ValueQuery asks for a page of a value.
type ValueQuery struct {
	Key    string
	Cursor string // Next of the page before
	Limit  int    // elements of a page, 1 to MaxPage
}

// ReadValue returns a page of the value of a key, to somebody with the role. A list and a sorted set are paged by position, a stream by ID; the
// elements of a set or hash come in no order, those that are there from the first page to the last at least once each. Texts in
// them are cut at 64 KiB.
//
// The errors are ErrNotFound, ErrAway, ErrInvalid, ErrForbidden, and *KeyChangedError where the key is of another type than on the
// page before.
func (db *DB) ReadValue(ctx context.Context, role string, q ValueQuery) (Value, error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return Value{}, err
	}
	if restricted && db.isOurs(q.Key) {
		return Value{}, db.notYours(q.Key)
	}
	if q.Limit < 1 || q.Limit > MaxPage {
		return Value{}, Invalid("limit", "must be from 1 to %d", MaxPage)
	}
	r := valueReader{db: db, q: q, o: together{wire: wireOptions{restricted: restricted}, time: commandTime, part: maxPart}}
	if err := r.resume(); err != nil {
		return Value{}, err
	}
	begun := r
	v, err := r.read(ctx)
	if redis.HasErrorPrefix(err, "WRONGTYPE") { // it was changed in between
		r = begun
		v, err = r.read(ctx)
	}
	for limit := q.Limit; errors.Is(err, errTooMuch) && limit > 1; {
		limit /= 8
		r = begun
		r.q.Limit = max(1, limit)
		v, err = r.read(ctx)
	}
	if err != nil {
		return Value{}, ReadErr("value", err)
	}
	return v, nil
}

// errTooMuch is the error of a page that would have more than can be kept.
var errTooMuch = Invalid("key", "has more in one piece than can be shown")

// notYours refuses a key of this program to those who are no admin.
func (db *DB) notYours(key string) error {
	return forbiddenError(fmt.Sprintf("%.100q is a key of this program itself: what starts with %q takes the role admin", key, string(db.keys)))
}

// partOf reads a text that was read in parts; see replyReader.
func partOf(r Reply) Part {
	p := Part{Text: r.Text, Size: int64(len(r.Text))}
	if len(r.Items) == 1 {
		p.Size, _ = strconv.ParseInt(r.Items[0].Text, 10, 64)
	}
	return p
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
