package kvdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

// KeyChangedError says that a key is not what somebody saw before. It is ErrConflict.
type KeyChangedError struct {
	Key  string
	Type string // of the key now; "none" = it is gone
	// What is there now in place of what they saw, if the type is still the same. Missing says that there is nothing.
	Current Part
	Missing bool
	words   string
}

func (e *KeyChangedError) Error() string { return e.words }

// Is makes it ErrConflict.
func (e *KeyChangedError) Is(target error) bool { return target == ErrConflict }

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

// valueReader reads a page.
type valueReader struct {
	db *DB
	q  ValueQuery
	o  together

	// Where the page begins, from the cursor.
	kind  string   // of the page before; "" = this is the first
	at    int64    // index, rank or offset
	after string   // ID of a stream entry, or a name
	scan  uint64   // cursor of the server
	run   string   // of the server which gave it
	ended bool     // it has given all
	sort  bool     // it gives all at once: the pages are by name, and after is the last one
	carry []string // names that were met, and wait for this page

	v Value
}

func (r *valueReader) sum() uint32 { return filterSum("value", r.q.Key) }

func (r *valueReader) resume() error {
	if r.q.Cursor == "" {
		return nil
	}
	c := readCursor(r.q.Cursor, r.sum())
	r.kind, r.at, r.after, r.scan, r.run = c.text(), int64(c.number()&(1<<62-1)), c.text(), c.number(), c.text()
	flags := c.number()
	r.sort, r.ended = flags&1 != 0, flags&2 != 0
	r.carry = c.texts()
	return c.done()
}

func (r *valueReader) next() string {
	c := newCursor(r.sum())
	c.text(r.v.Type)
	c.number(uint64(r.at))
	c.text(r.after)
	c.number(r.scan)
	c.text(r.run)
	flags := uint64(0)
	if r.sort {
		flags = 1
	}
	if r.ended {
		flags |= 2
	}
	c.number(flags)
	c.texts(r.carry)
	return c.String()
}

func (r *valueReader) changed(now string) error {
	return &KeyChangedError{Key: r.q.Key, Type: now, words: fmt.Sprintf("the key %s was a %s when you began to read it, and is %s now: read it from the beginning", Shown(r.q.Key), r.kind, now)}
}

// lengths are the commands that say how long a value of each type is.
var lengths = map[string]string{"string": "STRLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}

func (r *valueReader) read(ctx context.Context) (Value, error) {
	key := r.q.Key
	about, err := r.db.onNodeOf(ctx, key, r.o, append(describing(key), []string{"OBJECT", "ENCODING", key})...)
	if err != nil {
		return Value{}, err
	}
	if r.v.Key, err = r.db.described(key, about); err != nil {
		return Value{}, err
	}
	switch kind := r.v.Type; {
	case kind == "":
		return Value{}, about[0].failure()
	case kind == "none":
		return Value{}, fmt.Errorf("key: %w", ErrNotFound)
	case r.kind != "" && kind != r.kind:
		return Value{}, r.changed(kind)
	}
	if e := about[3]; e.reply.Kind == KindBulk {
		r.v.Encoding = e.reply.Text
	}
	length := lengths[r.v.Type]
	if length == "" {
		return r.v, nil
	}
	limit, err := r.limit(ctx, length)
	if err != nil {
		return Value{}, err
	}
	switch r.v.Type {
	case "string":
		err = r.text(ctx)
	case "list":
		err = r.positions(ctx, limit, "LRANGE")
	case "zset":
		err = r.positions(ctx, limit, "ZRANGE", "WITHSCORES")
	case "stream":
		err = r.entries(ctx, limit)
	default:
		err = r.names(ctx, limit)
	}
	return r.v, err
}

// limit is how many elements the page may have: fewer where they are so large that it would be a burden.
func (r *valueReader) limit(ctx context.Context, length string) (int, error) {
	if r.v.Type == "string" || r.v.Size < bigValue {
		return r.q.Limit, nil
	}
	all, err := r.db.onNodeOf(ctx, r.q.Key, r.o, []string{length, r.q.Key})
	if err != nil {
		return 0, err
	}
	n, _ := strconv.ParseInt(all[0].reply.Text, 10, 64)
	each := r.v.Size / max(1, n)
	return int(min(int64(r.q.Limit), max(1, pageBytes/max(1, each)))), all[0].failure()
}

// ask reads the length of the value, and what else is asked for.
func (r *valueReader) ask(ctx context.Context, commands ...[]string) ([]Reply, error) {
	all, err := r.db.onNodeOf(ctx, r.q.Key, r.o, append([][]string{{lengths[r.v.Type], r.q.Key}}, commands...)...)
	if err != nil {
		return nil, err
	}
	if err := firstError(all); err != nil {
		return nil, err
	}
	r.v.Length, _ = strconv.ParseInt(all[0].reply.Text, 10, 64)
	replies := make([]Reply, len(commands))
	for i := range commands {
		if all[i+1].cut {
			return nil, errTooMuch
		}
		replies[i] = all[i+1].reply
	}
	return replies, nil
}

// text reads a part of a string. It ends with a whole character where it is text.
func (r *valueReader) text(ctx context.Context) error {
	replies, err := r.ask(ctx, []string{"GETRANGE", r.q.Key, number(r.at), number(r.at + StringPage - 1)})
	if err != nil {
		return err
	}
	text := replies[0].Text
	if r.at+int64(len(text)) < r.v.Length {
		text = string(wholeRunes([]byte(text)))
	}
	r.v.Text, r.v.Offset = text, r.at
	if r.at += int64(len(text)); r.at < r.v.Length && text != "" {
		r.v.Next = r.next()
	}
	return nil
}

// positions reads a part of a list or a sorted set.
func (r *valueReader) positions(ctx context.Context, limit int, command string, more ...string) error {
	args := append([]string{command, r.q.Key, number(r.at), number(r.at + int64(limit) - 1)}, more...)
	replies, err := r.ask(ctx, args)
	if err != nil {
		return err
	}
	for _, item := range replies[0].Items {
		e := Element{Index: r.at}
		if command == "LRANGE" {
			e.Value = partOf(item)
		} else {
			if len(item.Items) != 2 {
				return errNotRedis
			}
			e.Name, e.Score = partOf(item.Items[0]), item.Items[1].Text
		}
		r.v.Elements = append(r.v.Elements, e)
		r.at++
	}
	if r.at < r.v.Length && len(replies[0].Items) > 0 {
		r.v.Next = r.next()
	}
	return nil
}

// entries reads a part of a stream.
func (r *valueReader) entries(ctx context.Context, limit int) error {
	from := "-"
	if r.after != "" {
		from = "(" + r.after
	}
	replies, err := r.ask(ctx, []string{"XRANGE", r.q.Key, from, "+", "COUNT", strconv.Itoa(limit + 1)})
	if err != nil {
		return err
	}
	items := replies[0].Items
	for i, item := range items {
		if i == limit {
			r.v.Next = r.next()
			break
		}
		if len(item.Items) != 2 {
			return errNotRedis
		}
		e := Element{ID: item.Items[0].Text}
		for pair := range slices.Chunk(item.Items[1].Items, 2) {
			e.Fields = append(e.Fields, Pair{partOf(pair[0]), partOf(pair[len(pair)-1])})
		}
		r.v.Elements = append(r.v.Elements, e)
		r.after = e.ID
	}
	return nil
}

// names reads a part of a set or a hash. A small one comes whole; where it is more than a page, the pages are parts of it by name.
func (r *valueReader) names(ctx context.Context, limit int) error {
	to, err := r.db.node(ctx, []string{r.q.Key})
	if err != nil {
		return err
	}
	run, err := r.db.runAt(ctx, to)
	if err != nil {
		return err
	}
	if r.run != run { // its cursor means nothing to this server
		r.scan, r.ended, r.run = 0, false, run
	}
	carried, waiting := r.carry[:min(limit, len(r.carry))], r.carry[min(limit, len(r.carry)):]
	room := limit - len(carried)
	count := room
	if r.ended {
		count = 0
	}
	for range 20 {
		kept, batch, next, err := r.scanned(ctx, carried, count)
		if err != nil {
			return err
		}
		if count == 0 {
			r.v.Elements, r.carry = kept, waiting
			break
		}
		if r.scan == 0 && next == 0 && len(carried) == 0 && (r.sort || len(batch) > room) && shortNames(batch) {
			r.sorted(batch, limit)
			return nil
		}
		r.sort, r.after = false, ""
		rest := batch[min(room, len(batch)):]
		if names := namesOf(rest); fitsCursor(names) {
			batch, r.carry = batch[:len(batch)-len(rest)], append(slices.Clone(waiting), names...)
		} else if count > 1 {
			count /= 2
			continue
		}
		r.v.Elements, r.scan, r.ended = append(kept, batch...), next, next == 0
		if len(r.v.Elements) > 0 || r.ended {
			break
		}
	}
	if !r.ended || len(r.carry) > 0 {
		r.v.Next = r.next()
	}
	return nil
}

// scanned returns what there is now of the carried names, and what the server gives from its cursor on; count 0 = nothing.
func (r *valueReader) scanned(ctx context.Context, carried []string, count int) (kept, batch []Element, next uint64, err error) {
	scan, get := "HSCAN", "HMGET"
	if r.v.Type == "set" {
		scan, get = "SSCAN", "SMISMEMBER"
	}
	var commands [][]string
	if len(carried) > 0 {
		commands = append(commands, append([]string{get, r.q.Key}, carried...))
	}
	if count > 0 {
		commands = append(commands, []string{scan, r.q.Key, strconv.FormatUint(r.scan, 10), "COUNT", strconv.Itoa(count)})
	}
	replies, err := r.ask(ctx, commands...)
	if err != nil {
		return nil, nil, 0, err
	}
	given := map[string]bool{}
	if len(carried) > 0 {
		if len(replies[0].Items) != len(carried) {
			return nil, nil, 0, errNotRedis
		}
		for i, item := range replies[0].Items {
			given[carried[i]] = true
			e := Element{Name: Part{carried[i], int64(len(carried[i]))}}
			if r.v.Type == "hash" {
				e.Value = partOf(item)
			}
			if item.Kind != KindNil && (r.v.Type == "hash" || item.Text == "1") {
				kept = append(kept, e)
			}
		}
	}
	if count == 0 {
		return kept, nil, 0, nil
	}
	reply := replies[len(replies)-1].Items
	if len(reply) != 2 {
		return nil, nil, 0, errNotRedis
	}
	if next, err = strconv.ParseUint(reply[0].Text, 10, 64); err != nil {
		return nil, nil, 0, errNotRedis
	}
	step := 1
	if r.v.Type == "hash" {
		step = 2
	}
	for pair := range slices.Chunk(reply[1].Items, step) {
		e := Element{Name: partOf(pair[0])}
		if step == 2 {
			e.Value = partOf(pair[len(pair)-1])
		}
		if e.Name.Cut() || !given[e.Name.Text] {
			batch = append(batch, e)
		}
		given[e.Name.Text] = true
	}
	return kept, batch, next, nil
}

// sorted makes a page of a collection that came whole.
func (r *valueReader) sorted(all []Element, limit int) {
	slices.SortFunc(all, func(a, b Element) int { return strings.Compare(a.Name.Text, b.Name.Text) })
	if r.sort {
		all = all[countFunc(all, func(e Element) bool { return e.Name.Text <= r.after }):]
	}
	r.v.Elements = all[:min(limit, len(all))]
	if len(all) > limit {
		r.sort, r.after, r.scan = true, r.v.Elements[limit-1].Name.Text, 0
		r.v.Next = r.next()
	}
}

// countFunc counts the elements from the beginning for which it is so.
func countFunc[T any](list []T, is func(T) bool) int {
	if i := slices.IndexFunc(list, func(v T) bool { return !is(v) }); i >= 0 {
		return i
	}
	return len(list)
}

func namesOf(list []Element) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name.Text
		if e.Name.Cut() {
			names[i] = strings.Repeat(" ", maxCarry+1) // which fits in no cursor
		}
	}
	return names
}

func shortNames(list []Element) bool {
	return !slices.ContainsFunc(list, func(e Element) bool { return e.Name.Size > maxCarry/2 })
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

// maxGroups is how many groups of a stream, and consumers of each, StreamGroups returns at most.
const maxGroups = 100

// StreamGroup is a consumer group of a stream.
type StreamGroup struct {
	Name      string
	LastID    string // the last entry that was delivered
	Lag       int64  // entries that were not delivered yet; -1 = the server can't tell
	Pending   int64  // that were delivered and not acknowledged
	First     string // IDs of the first and last pending entries; "" = none
	Last      string
	Consumers []StreamConsumer // the first 100
	Total     int64            // how many there are
}

// StreamConsumer is a consumer of a group.
type StreamConsumer struct {
	Name    string
	Pending int64
	Idle    time.Duration // since it last asked
}

// StreamGroups returns the consumer groups of a stream, the first 100, and how many there are, to somebody with the role. The errors
// are ErrNotFound, ErrAway, ErrInvalid (it is no stream) and ErrForbidden.
func (db *DB) StreamGroups(ctx context.Context, role, key string) (groups []StreamGroup, total int, err error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return nil, 0, err
	}
	if restricted && db.isOurs(key) {
		return nil, 0, db.notYours(key)
	}
	groups, total, err = db.streamGroups(ctx, key, together{wire: wireOptions{restricted: restricted}})
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		err = Invalid("key", "is no stream")
	case redis.HasErrorPrefix(err, "no such key"):
		err = ErrNotFound
	}
	return groups, total, ReadErr("stream groups", err)
}

func (db *DB) streamGroups(ctx context.Context, key string, o together) (groups []StreamGroup, total int, err error) {
	all, err := db.onNodeOf(ctx, key, o, []string{"XINFO", "GROUPS", key})
	if err != nil {
		return nil, 0, err
	}
	if err := all[0].failure(); err != nil {
		return nil, 0, err
	}
	list := all[0].reply.Items
	var commands [][]string
	for _, item := range list[:min(len(list), maxGroups)] {
		g := StreamGroup{Name: item.text("name"), LastID: item.text("last-delivered-id"), Lag: -1, Pending: item.integer("pending"), Total: item.integer("consumers")}
		if lag, ok := item.field("lag"); ok && lag.Kind == KindInteger {
			g.Lag = item.integer("lag")
		}
		groups = append(groups, g)
		commands = append(commands, []string{"XINFO", "CONSUMERS", key, g.Name}, []string{"XPENDING", key, g.Name})
	}
	if len(commands) == 0 {
		return nil, 0, nil
	}
	if all, err = db.onNodeOf(ctx, key, o, commands...); err != nil {
		return nil, 0, err
	}
	for i := range groups {
		g := &groups[i]
		if all[2*i].failure() != nil || all[2*i+1].failure() != nil { // it is gone since
			continue
		}
		consumers := all[2*i].reply.Items
		for _, item := range consumers[:min(len(consumers), maxGroups)] {
			g.Consumers = append(g.Consumers, StreamConsumer{
				Name: item.text("name"), Pending: item.integer("pending"), Idle: time.Duration(item.integer("idle")) * time.Millisecond,
			})
		}
		if pending := all[2*i+1].reply.Items; len(pending) == 4 {
			g.First, g.Last = pending[1].Text, pending[2].Text
		}
	}
	return groups, len(list), nil
}

// text returns the text of a field of a map.
func (r Reply) text(field string) string {
	f, _ := r.field(field)
	return f.Text
}

// integer returns the number in a field of a map.
func (r Reply) integer(field string) int64 {
	n, _ := strconv.ParseInt(r.text(field), 10, 64)
	return n
}
