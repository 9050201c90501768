package kvdb

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	pageTime  = 200 * time.Millisecond // that a page of a list looks for keys
	pageKeys  = 100_000                // that it looks at
	pageAlone = 5 * time.Millisecond   // after which it leaves most of the server's time to others
	maxCarry  = 1500                   // bytes of the names that a cursor holds
	maxFilter = 1 << 10                // bytes of a pattern

	// MaxPage is how many items a page has at most.
	MaxPage = 1000
)

// NoTTL is the TTL of a key that doesn't expire.
const NoTTL = time.Duration(-1)

// Key is what there is to know about a key before one looks into it.
type Key struct {
	Name string
	Type string        // as TYPE names it; "" = the Redis user of this role may not know
	TTL  time.Duration // NoTTL = it doesn't expire
	Size int64         // in memory, in bytes; of a large collection about, as the server estimates it
	Own  bool          // it is one of this program itself
}

// KeyFilter says which keys are meant.
type KeyFilter struct {
	Match string // a pattern as SCAN takes it; "" = any
	Type  string // as TYPE names it; "" = any
}

// KeyQuery asks for a page of keys.
type KeyQuery struct {
	KeyFilter
	Cursor string // Next of the page before
	Limit  int    // 1 to MaxPage
	// WithoutOwn leaves this program's own keys out, unless the pattern begins with what all of them do. Those who are no admin
	// never see them.
	WithoutOwn bool
}

// KeyPage is a page of keys. It may have none, and others follow.
type KeyPage struct {
	Items  []Key
	Next   string // cursor of the next page; "" = this is the last one
	Looked int64  // at how many keys the list has looked up to here, about
	About  int64  // how many there are, about; 0 with items = this Redis user may not know
}

func (f KeyFilter) check() error {
	switch {
	case len(f.Match) > maxFilter:
		return Invalid("match", "is longer than %d bytes", maxFilter)
	case len(f.Type) > 64 || strings.ContainsFunc(f.Type, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Invalid("type", "is none that TYPE names")
	}
	return nil
}

func (db *DB) newWalker(restricted bool, f KeyFilter) *walker {
	return &walker{db: db, restricted: restricted, match: f.Match, kind: f.Type}
}

// ListKeys returns a page of keys in the order of SCAN, to somebody with the role. It looks at a bounded number of keys for a bounded time,
// so that a page may have few keys, or none. A key that is there from the first page to the last comes at least once, whatever
// others write, and also when servers of a cluster restart, fail over or exchange slots. Who is no admin doesn't get to see the keys of this program.
//
// A page has more than Limit keys only when their names don't fit into a cursor. The errors are ErrAway, ErrInvalid and ErrForbidden.
func (db *DB) ListKeys(ctx context.Context, role string, q KeyQuery) (KeyPage, error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return KeyPage{}, err
	}
	if err := q.check(); err != nil {
		return KeyPage{}, err
	}
	if q.Limit < 1 || q.Limit > MaxPage {
		return KeyPage{}, Invalid("limit", "must be from 1 to %d", MaxPage)
	}
	page, err := db.listKeys(ctx, restricted, q)
	return page, ReadErr("keys", err)
}

func (db *DB) listKeys(ctx context.Context, restricted bool, q KeyQuery) (KeyPage, error) {
	if q.Match != "" && !strings.ContainsAny(q.Match, `*?[\`) {
		return db.listOne(ctx, restricted, q)
	}
	filters := filterSum("keys", q.Match, q.Type)
	k := db.newWalker(restricted, q.KeyFilter)
	k.withoutOwn = q.WithoutOwn && !db.isOurs(q.Match)
	if q.Cursor != "" {
		r := readCursor(q.Cursor, filters)
		k.place.read(r)
		if err := r.done(); err != nil {
			return KeyPage{}, err
		}
	}
	if err := k.start(ctx); err != nil {
		return KeyPage{}, err
	}
	names, err := k.page(ctx, q.Limit)
	if err != nil {
		return KeyPage{}, err
	}
	items, err := db.describe(ctx, restricted, names)
	if err != nil {
		return KeyPage{}, err
	}
	page := KeyPage{Items: items, Looked: k.looked, About: max(0, k.about)}
	if !k.over() || len(k.carry) > 0 {
		c := newCursor(filters)
		k.place.write(c)
		page.Next = c.String()
	}
	return page, nil
}

// listOne is the list of the one key that a pattern without wildcards matches.
func (db *DB) listOne(ctx context.Context, restricted bool, q KeyQuery) (page KeyPage, err error) {
	if restricted && db.isOurs(q.Match) {
		return page, nil
	}
	page.Items, err = db.describe(ctx, restricted, []string{q.Match})
	page.Items = slices.DeleteFunc(page.Items, func(k Key) bool { return q.Type != "" && !strings.EqualFold(k.Type, q.Type) })
	page.Looked, page.About = 1, 1
	return page, err
}

// page walks on until there are limit names, or it has worked enough. What a SCAN gave beyond the limit waits in k.carry.
func (k *walker) page(ctx context.Context, limit int) ([]string, error) {
	given := map[string]bool{}
	var names []string
	fresh := func(name string) bool { return !given[name] && (!k.restricted && !k.withoutOwn || !k.db.isOurs(name)) }
	for len(k.carry) > 0 && len(names) < limit {
		if fresh(k.carry[0]) {
			given[k.carry[0]] = true
			names = append(names, k.carry[0])
		}
		k.carry = k.carry[1:]
	}
	begun, worked, most := time.Now(), time.Duration(0), k.looked+pageKeys
	count := max(limit-len(names), 16)
	if k.match != "" || k.kind != "" {
		count = max(count, scanStep)
	}
	for len(names) < limit && !k.over() && k.looked < most && time.Since(begun) < pageTime {
		if time.Since(begun) > pageAlone {
			if err := pace(ctx, 4*worked); err != nil {
				return nil, err
			}
		}
		room := limit - len(names)
		before, from := *k, time.Now()
		batch, err := k.step(ctx, count)
		if err != nil {
			return nil, err
		}
		worked = time.Since(from)
		batch = slices.DeleteFunc(batch, func(name string) bool {
			ok := fresh(name)
			given[name] = true
			return !ok
		})
		if len(batch) > room && !fitsCursor(batch[room:]) && (count > 1 || len(names) > 0) {
			// Once more from there, with less.
			for _, name := range batch {
				delete(given, name)
			}
			before.about = k.about
			*k = before
			if count <= room && len(names) > 0 {
				break
			}
			count = min(room, max(1, count/2))
			continue
		}
		if len(batch) > room && fitsCursor(batch[room:]) {
			k.carry, batch = batch[room:], batch[:room]
		}
		names = append(names, batch...)
		count = min(2*count, max(scanStep, limit))
	}
	if k.about < 0 { // it took no step
		sizes := k.sizes()
		k.db.exchangeAll(ctx, sizes, together{wire: wireOptions{restricted: k.restricted}})
		k.sum(sizes)
	}
	return names, nil
}

func fitsCursor(names []string) bool {
	n := 0
	for _, name := range names {
		n += len(name) + 2
	}
	return n <= maxCarry
}

// describedTogether is how many keys are looked at in one round trip: a page of the browser. More would hold up others, who wait
// while the server answers, and take memory for each command until the last is answered.
const describedTogether = 200

// describe looks at keys, some at a time, each node's in one round trip. Those that are gone are left out.
func (db *DB) describe(ctx context.Context, restricted bool, names []string) ([]Key, error) {
	items := make([]Key, 0, len(names))
	for some := range slices.Chunk(names, describedTogether) {
		var err error
		if items, err = db.describeSome(ctx, restricted, some, items); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (db *DB) describeSome(ctx context.Context, restricted bool, names []string, items []Key) ([]Key, error) {
	const each = 3
	all := make([]exchange, 0, each*len(names))
	for _, name := range names {
		to, err := db.node(ctx, []string{name})
		if err != nil {
			return nil, err
		}
		for _, args := range describing(name) {
			all = append(all, exchange{args: args, to: to})
		}
	}
	db.exchangeAll(ctx, all, together{wire: wireOptions{restricted: restricted}})
	for i, name := range names {
		key, err := db.described(name, all[each*i:])
		if err != nil {
			return nil, err
		}
		if key.Type != "none" {
			items = append(items, key)
		}
	}
	return items, nil
}

// describing are the commands of which described reads the replies.
func describing(name string) [][]string {
	return [][]string{{"TYPE", name}, {"PTTL", name}, {"MEMORY", "USAGE", name}}
}

// described reads the replies about a key; the type of one that is gone is none. What this user may not know is left empty.
func (db *DB) described(name string, replies []exchange) (Key, error) {
	key := Key{Name: name, TTL: NoTTL, Own: db.isOurs(name)}
	for i := range replies[:3] {
		e := &replies[i]
		err := e.failure()
		if err != nil && !strings.HasPrefix(e.reply.Text, "NOPERM") {
			return Key{}, err
		}
		if err != nil {
			continue
		}
		n, _ := strconv.ParseInt(e.reply.Text, 10, 64)
		switch i {
		case 0:
			key.Type = e.reply.Text
		case 1:
			if n == -2 {
				key.Type = "none"
			}
			if n >= 0 {
				key.TTL = time.Duration(n) * time.Millisecond
			}
		case 2:
			key.Size = n
		}
	}
	return key, nil
}
