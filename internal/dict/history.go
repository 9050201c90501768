package dict

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// The history is a stream with one entry a change. Its items are a small sorted run of their own: a letter
// (e entry, t translation) and the key of the thing | what it was and what it became. Those of a small
// change stand in the stream entry, those of a large one in blocks like everything else. As the items
// of all changes say what was before and what is after, they can be read backward from now to any moment,
// and undone.

var itemsInline = 32 << 10 // bytes of items that stand in the stream entry

// meta is what a stream entry says of a change besides its items.
type meta struct {
	At      int64  `json:"at"` // Unix time in ms
	By      string `json:"by"`
	Kind    string `json:"kind"`
	Summary string `json:"summary"`
	Counts  Counts `json:"counts"`
	Undoes  string `json:"undoes,omitempty"`
}

const (
	fieldMeta   = "meta"
	fieldItems  = "items"  // records, compressed
	fieldFences = "fences" // of the blocks of a large change: records of block ID | count and first key, compressed
)

func appendState(b, value2, stamp []byte, is bool) []byte {
	if !is {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendUvarint(b, uint64(len(value2)))
	b = append(b, value2...)
	b = binary.AppendUvarint(b, uint64(len(stamp)))
	return append(b, stamp...)
}

func cutBytes(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n], b[n:], true
}

func cutState(b []byte) (w was, is bool, rest []byte, err error) {
	if len(b) == 0 {
		return w, false, nil, errBlock
	}
	if b[0] == 0 {
		return w, false, b[1:], nil
	}
	var ok1, ok2 bool
	w.value2, rest, ok1 = cutBytes(b[1:])
	w.stamp, rest, ok2 = cutBytes(rest)
	if !ok1 || !ok2 {
		return w, false, nil, errBlock
	}
	return w, true, rest, nil
}

// items yields what the change does, as records.
func (p *plan) items(version int64) iter.Seq[record] {
	return func(yield func(record) bool) {
		var k, payload, stamp []byte
		for _, e := range p.entEffects {
			k = append(append(k[:0], 'e'), p.entEffectKey(e)...)
			if e.goes() {
				payload = appendState(payload[:0], nil, p.was(e.before).stamp, true)
				payload = appendState(payload, nil, nil, false)
			} else {
				payload = appendState(payload[:0], nil, nil, false)
				stamp = p.appendEntryStampOf(stamp[:0], e, version)
				payload = appendState(payload, nil, stamp, true)
			}
			if !yield(record{k, payload}) {
				return
			}
		}
		for _, e := range p.effects {
			r := p.rows.row(int(e.row))
			k = append(append(k[:0], 't'), r.key()...)
			if e.before == noRef {
				payload = appendState(payload[:0], nil, nil, false)
			} else {
				w := p.was(e.before)
				payload = appendState(payload[:0], w.value2, w.stamp, true)
			}
			stamp = p.appendStampOf(stamp[:0], e, r, version)
			payload = appendState(payload, r.value2(), stamp, !r.remove())
			if !yield(record{k, payload}) {
				return
			}
		}
	}
}

// history writes the items of the change and returns the fields of its stream entry.
func (t *tx) history(ctx context.Context, c *Change) ([]any, error) {
	var items []byte
	var fences []byte
	var cut *cutter
	for r := range t.plan.items(t.version) {
		if cut == nil {
			if items = appendRecord(items, r.key, r.payload); len(items) <= itemsInline {
				continue
			}
			cut = &cutter{emit: func(first string, n int, block []byte) error {
				id, err := t.put(ctx, block)
				fences = appendRecord(fences, []byte(id), []byte(fence{id, first, n}.encode()))
				t.kept = append(t.kept, id)
				return err
			}}
			for rest := items; len(rest) > 0; {
				var old record
				var err error
				if old, rest, err = nextRecord(rest); err != nil {
					return nil, err
				}
				if err := cut.add(old.key, old.payload); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := cut.add(r.key, r.payload); err != nil {
			return nil, err
		}
	}
	c.Large = cut != nil
	text, err := json.Marshal(meta{c.At.UnixMilli(), c.By, c.Kind, c.Summary, c.Counts, c.Undoes})
	if err != nil {
		return nil, err
	}
	if cut == nil {
		c.Items, err = itemsOf(items)
		return []any{fieldMeta, string(text), fieldItems, string(compress(nil, items))}, err
	}
	if err := cut.finish(); err != nil {
		return nil, err
	}
	return []any{fieldMeta, string(text), fieldFences, string(compress(nil, fences))}, nil
}

// itemsOf reads the items of a small change. What goes and comes with one ID is one item: a rename.
func itemsOf(b []byte) ([]Item, error) {
	rs, err := records(b)
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(rs))
	for _, r := range rs {
		item, err := parseItem(r)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return joinRenames(items), nil
}

func joinRenames(items []Item) []Item {
	gone := map[string]int{}
	for i, item := range items {
		if id := item.goneID(); id != "" {
			gone[id] = i
		}
	}
	out := items[:0]
	joined := map[int]bool{}
	for i := range items {
		if at, ok := gone[items[i].newID()]; ok && items[i].newID() != "" {
			items[i].EntryBefore, items[i].TranslationBefore = items[at].EntryBefore, items[at].TranslationBefore
			joined[at] = true
		}
	}
	for i, item := range items {
		if !joined[i] {
			out = append(out, item)
		}
	}
	return out
}

func (i Item) goneID() string {
	switch {
	case i.EntryBefore != nil && i.EntryAfter == nil:
		return "e" + i.EntryBefore.ID
	case i.TranslationBefore != nil && i.TranslationAfter == nil:
		return "t" + i.TranslationBefore.ID
	}
	return ""
}

func (i Item) newID() string {
	switch {
	case i.EntryAfter != nil && i.EntryBefore == nil:
		return "e" + i.EntryAfter.ID
	case i.TranslationAfter != nil && i.TranslationBefore == nil:
		return "t" + i.TranslationAfter.ID
	}
	return ""
}

func parseItem(r record) (item Item, err error) {
	if len(r.key) == 0 {
		return item, errBlock
	}
	before, isBefore, rest, err := cutState(r.payload)
	if err != nil {
		return item, err
	}
	after, isAfter, _, err := cutState(rest)
	if err != nil {
		return item, err
	}
	k := r.key[1:]
	if r.key[0] == 'e' {
		if isBefore {
			item.EntryBefore, err = entryOf(k, before)
		}
		if isAfter && err == nil {
			item.EntryAfter, err = entryOf(k, after)
		}
		return item, err
	}
	if isBefore {
		item.TranslationBefore, err = translationOf(k, before)
	}
	if isAfter && err == nil {
		item.TranslationAfter, err = translationOf(k, after)
	}
	return item, err
}

func entryOf(key []byte, w was) (*Entry, error) {
	e, err := parseEntry(record{key, w.stamp})
	return &e, err
}

func translationOf(key []byte, w was) (*Translation, error) {
	payload := append(append([]byte(nil), w.value2...), w.stamp...)
	t, err := parseSource(record{key, payload})
	return &t, err
}

// Heads returns of the changes that made the versions all but their items, by version, in one round trip. Versions that
// the history doesn't have are left out.
func (s *Store) Heads(ctx context.Context, versions []int64) (map[int64]Change, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	pipe := s.db.Client().Pipeline()
	got := make([]*redis.XMessageSliceCmd, len(versions))
	for i, v := range versions {
		id := formatInt(v) + "-0"
		got[i] = pipe.XRangeN(ctx, s.keys.Changes(), id, id, 1)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the history", err)
	}
	heads := make(map[int64]Change, len(versions))
	for i, v := range versions {
		for _, m := range got[i].Val() {
			c, err := parseHead(m)
			if err != nil {
				return nil, err
			}
			heads[v] = c
		}
	}
	return heads, nil
}

// Changes lists the changes, newest first. limit is 1 to MaxPage, 0 = 100. Total counts all of them.
func (s *Store) Changes(ctx context.Context, cursor string, limit int) (Page[Change], error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page[Change]{}, err
	}
	end := "+"
	if cursor != "" {
		n, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil || n <= 0 {
			return Page[Change]{}, errCursor
		}
		end = "(" + formatInt(n) + "-0"
	}
	pipe := s.db.Client().Pipeline()
	got := pipe.XRevRangeN(ctx, s.keys.Changes(), end, "-", int64(limit)+1)
	total := pipe.XLen(ctx, s.keys.Changes())
	if _, err := pipe.Exec(ctx); err != nil {
		return Page[Change]{}, kvdb.ReadErr("read the history", err)
	}
	page := Page[Change]{Total: total.Val(), All: total.Val()}
	for i, m := range got.Val() {
		if i == limit {
			page.Next = page.Items[limit-1].ID
			break
		}
		c, _, err := parseChange(m)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, c)
	}
	return page, s.addUndone(ctx, page.Items)
}

func (s *Store) addUndone(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	ids := make([]string, len(changes))
	for i := range changes {
		ids[i] = changes[i].ID
	}
	undone, err := s.db.Client().HMGet(ctx, s.keys.Undone(), ids...).Result()
	if err != nil {
		return kvdb.ReadErr("read the history", err)
	}
	for i := range changes {
		changes[i].UndoneBy, _ = undone[i].(string)
	}
	return nil
}

// Change returns a change. ErrNotFound.
func (s *Store) Change(ctx context.Context, id string) (Change, error) {
	c, _, err := s.change(ctx, id)
	return c, err
}

func (s *Store) change(ctx context.Context, id string) (Change, runState, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 || formatInt(n) != id {
		return Change{}, runState{}, fmt.Errorf("change %q: %w", id, kvdb.ErrNotFound)
	}
	got, err := s.db.Client().XRangeN(ctx, s.keys.Changes(), id+"-0", id+"-0", 1).Result()
	if err != nil {
		return Change{}, runState{}, kvdb.ReadErr("read the history", err)
	}
	if len(got) == 0 {
		return Change{}, runState{}, fmt.Errorf("change %q: %w", id, kvdb.ErrNotFound)
	}
	c, run, err := parseChange(got[0])
	if err != nil {
		return c, run, err
	}
	one := []Change{c}
	err = s.addUndone(ctx, one)
	return one[0], run, err
}

// parseHead reads a change without its items.
func parseHead(m redis.XMessage) (Change, error) {
	var about meta
	text, _ := m.Values[fieldMeta].(string)
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		return Change{}, fmt.Errorf("change %s: %w", m.ID, err)
	}
	number := m.ID[:len(m.ID)-len("-0")]
	return Change{ID: number, At: time.UnixMilli(about.At).UTC(), By: about.By, Kind: about.Kind,
		Summary: about.Summary, Counts: about.Counts, Undoes: about.Undoes}, nil
}

func parseChange(m redis.XMessage) (Change, runState, error) {
	var run runState
	c, err := parseHead(m)
	if err != nil {
		return c, run, err
	}
	if data, ok := m.Values[fieldItems].(string); ok {
		b, err := decompress(data)
		if err != nil {
			return c, run, err
		}
		c.Items, err = itemsOf(b)
		return c, run, err
	}
	c.Large = true
	data, _ := m.Values[fieldFences].(string)
	b, err := decompress(data)
	if err != nil {
		return c, run, err
	}
	rs, err := records(b)
	if err != nil {
		return c, run, err
	}
	for _, r := range rs {
		f, err := decodeFence(string(r.key), string(r.payload))
		if err != nil {
			return c, run, err
		}
		run.fences = append(run.fences, f)
		run.total += int64(f.n)
	}
	return c, run, nil
}

// changeItems yields the items of a change of any size; of a large one, what goes and what comes are items
// of their own, even with one ID.
func (s *Store) changeItems(ctx context.Context, c Change, run runState) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if !c.Large {
			for _, item := range c.Items {
				if !yield(item, nil) {
					return
				}
			}
			return
		}
		for r, err := range s.scan(ctx, run, []span{{}}, false) {
			var item Item
			if err == nil {
				item, err = parseItem(r)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// ChangeItems lists what a change did: entries first, then translations, each in the order of their keys.
// limit is 1 to MaxPage, 0 = 100. ErrNotFound.
func (s *Store) ChangeItems(ctx context.Context, id, cursor string, limit int) (Page[Item], error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page[Item]{}, err
	}
	c, run, err := s.change(ctx, id)
	if err != nil {
		return Page[Item]{}, err
	}
	page := Page[Item]{Total: run.total, All: run.total, First: 1}
	if !c.Large {
		page.Total, page.All = int64(len(c.Items)), int64(len(c.Items))
	}
	skip := int64(0)
	if cursor != "" {
		if skip, err = strconv.ParseInt(cursor, 10, 64); err != nil || skip < 0 || skip > page.Total {
			return page, errCursor
		}
	}
	page.First = skip + 1
	if skip > 0 {
		page.Prev = formatInt(max(0, skip-int64(limit)))
	}
	if skip+int64(limit) < page.Total {
		page.Next = formatInt(skip + int64(limit))
	}
	if c.Large { // the items of a change never move: their numbers are a good cursor
		for len(run.fences) > 0 && skip >= int64(run.fences[0].n) {
			skip -= int64(run.fences[0].n)
			run.fences = run.fences[1:]
		}
	}
	for item, err := range s.changeItems(ctx, c, run) {
		if err != nil {
			return page, err
		}
		if skip > 0 {
			skip--
			continue
		}
		if page.Items = append(page.Items, item); len(page.Items) == limit {
			break
		}
	}
	return page, nil
}

var errCursor = kvdb.Invalid("cursor", "is not a cursor of this list; leave it out to start from the beginning")

func pageLimit(limit int) (int, error) {
	if limit == 0 {
		return 100, nil
	}
	if limit < 1 || limit > MaxPage {
		return 0, kvdb.Invalid("limit", "is %d; 1 to %d are allowed", limit, MaxPage)
	}
	return limit, nil
}

// conflictError is a conflict in words.
type conflictError struct{ text string }

func (e *conflictError) Error() string        { return e.text }
func (e *conflictError) Is(target error) bool { return target == kvdb.ErrConflict }
