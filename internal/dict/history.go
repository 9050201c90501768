package dict

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
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

func parseChange(m redis.XMessage) (Change, runState, error) {
	var about meta
	var run runState
	text, _ := m.Values[fieldMeta].(string)
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		return Change{}, run, fmt.Errorf("change %s: %w", m.ID, err)
	}
	number := m.ID[:len(m.ID)-len("-0")]
	c := Change{ID: number, At: time.UnixMilli(about.At).UTC(), By: about.By, Kind: about.Kind,
		Summary: about.Summary, Counts: about.Counts, Undoes: about.Undoes}
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

// UndoConflictError says that a change can't be undone, because what it touched was changed since.
type UndoConflictError struct {
	Items []Item // the first of them: before, as the change left it; after, as it is now
	Total int64
}

func (e *UndoConflictError) Error() string {
	if e.Total == 1 {
		return "one thing that this change touched was changed since; nothing was undone"
	}
	return fmt.Sprintf("%d things that this change touched were changed since; nothing was undone", e.Total)
}

// Is makes an UndoConflictError a conflict.
func (e *UndoConflictError) Is(target error) bool { return target == kvdb.ErrConflict }

// Undo makes everything that a change touched what it was before, as one new change; entries that others
// use by now stay. UndoConflictError when something was changed since: then nothing is undone. ErrNotFound.
func (s *Store) Undo(ctx context.Context, by By, id string) (Change, error) {
	c, run, err := s.change(ctx, id)
	if err != nil {
		return Change{}, err
	}
	if c.Large && c.Counts.EntriesUpdated > 0 { // a rename: only together do its items say what has become of an ID
		for item, err := range s.changeItems(ctx, c, run) {
			if err != nil {
				return Change{}, err
			}
			c.Items = append(c.Items, item)
		}
		c.Items, c.Large = joinRenames(c.Items), false
	}
	done, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		now := []Change{c}
		if err := s.addUndone(ctx, now); err != nil {
			return nil, err
		}
		if u := now[0].UndoneBy; u != "" {
			return nil, &conflictError{"change " + id + " was undone already, by change " + u}
		}
		p := &plan{kind: KindUndo, undoes: c.ID, unused: true, summary: "Undo of change " + c.ID + ": " + c.Summary}
		u := undoing{s: s, sn: sn, plan: p}
		if c.Large { // its items come in the order of the runs, which saves a round trip for each
			u.entries, u.sources = s.walker(ctx, sn.runs[runEntry]), s.walker(ctx, sn.runs[runSource])
		}
		for item, err := range s.changeItems(ctx, c, run) {
			if err == nil {
				err = u.item(ctx, item)
			}
			if err != nil {
				return nil, err
			}
		}
		if u.conflict.Total > 0 {
			return nil, &u.conflict
		}
		return p, nil
	})
	if err == nil && done.ID != "" && done.Undoes != c.ID {
		return Change{}, errOtherOp
	}
	if err == nil {
		s.answered(done)
	}
	return done, err
}

func (c Change) version() int64 {
	n, _ := strconv.ParseInt(c.ID, 10, 64)
	return n
}

// undoing collects what undoes a change, and what stands against it.
type undoing struct {
	s        *Store
	sn       *snapshot
	plan     *plan
	conflict UndoConflictError
	entries  *walker
	sources  *walker
}

func (u *undoing) entryNow(ctx context.Context, key []byte) (*Entry, error) {
	if u.entries == nil {
		return u.s.entryAt(ctx, u.sn, key)
	}
	r, ok, err := u.entries.get(key)
	if err != nil || !ok {
		return nil, err
	}
	e, err := parseEntry(r)
	return &e, err
}

func (u *undoing) translationNow(ctx context.Context, key []byte) (*Translation, error) {
	if u.sources == nil {
		return u.s.translationAt(ctx, u.sn, key)
	}
	r, ok, err := u.sources.get(key)
	if err != nil || !ok {
		return nil, err
	}
	t, err := parseSource(r)
	return &t, err
}

func (u *undoing) item(ctx context.Context, i Item) error {
	if i.IsEntry() {
		return u.entry(ctx, i)
	}
	return u.translation(ctx, i)
}

func (u *undoing) against(i Item) {
	if u.conflict.Total++; len(u.conflict.Items) < 20 {
		u.conflict.Items = append(u.conflict.Items, i)
	}
}

// entryElsewhere finds an entry that isn't where the change left it; nil = it is nowhere.
func (u *undoing) entryElsewhere(ctx context.Context, id string) (*Entry, error) {
	e, err := u.s.entryByID(ctx, u.sn, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, nil
	}
	return &e, err
}

// translationElsewhere is entryElsewhere for translations.
func (u *undoing) translationElsewhere(ctx context.Context, id string) (*Translation, error) {
	t, err := u.s.translationByID(ctx, u.sn, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, nil
	}
	return &t, err
}

func (u *undoing) entry(ctx context.Context, i Item) error {
	after := i.EntryAfter
	if after != nil {
		now, err := u.entryNow(ctx, after.entryKey())
		if err == nil && now == nil {
			now, err = u.entryElsewhere(ctx, after.ID)
		}
		if err != nil {
			return err
		}
		if now == nil && i.EntryBefore == nil {
			return nil // gone already: as undoing wants it
		}
		if now == nil || now.ID != after.ID || !bytes.Equal(now.entryKey(), after.entryKey()) {
			u.against(Item{EntryBefore: after, EntryAfter: now})
			return nil
		}
		u.plan.entries.removeEntry(*after)
	}
	if before := i.EntryBefore; before != nil {
		now, err := u.entryNow(ctx, before.entryKey())
		if err != nil {
			return err
		}
		if now != nil && after != nil && now.ID != after.ID {
			u.against(Item{EntryAfter: now})
			return nil
		}
		if now == nil {
			u.plan.entries.addEntry(*before)
		}
	}
	return nil
}

func (u *undoing) translation(ctx context.Context, i Item) error {
	after, before := i.TranslationAfter, i.TranslationBefore
	if after != nil {
		now, err := u.translationNow(ctx, after.sourceKey())
		if err == nil && now == nil {
			now, err = u.translationElsewhere(ctx, after.ID)
		}
		if err != nil {
			return err
		}
		if now == nil && before == nil {
			return nil
		}
		if now == nil || now.ID != after.ID || now.Query() != after.Query() || now.Value2 != after.Value2 {
			u.against(Item{TranslationBefore: after, TranslationAfter: now})
			return nil
		}
		if before == nil || before.Query() != after.Query() {
			u.plan.rows.removeTranslation(*after)
		}
	}
	if before != nil {
		if after == nil || before.Query() != after.Query() {
			now, err := u.translationNow(ctx, before.sourceKey())
			if err != nil {
				return err
			}
			if now != nil && (after == nil || now.ID != after.ID) {
				u.against(Item{TranslationAfter: now})
				return nil
			}
		}
		u.plan.rows.addTranslation(*before)
	}
	return nil
}

// At returns what a lookup would have given at a moment: it reads the changes since then backward.
func (s *Store) At(ctx context.Context, q Query, at time.Time) (Result, error) {
	if err := q.Check(); err != nil {
		return Result{}, err
	}
	t := Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2}
	k := append([]byte{'t'}, t.sourceKey()...)
	result, err := s.Lookup(ctx, q)
	if err != nil {
		return Result{}, err
	}
	for cursor := "+"; ; {
		got, err := s.db.Client().XRevRangeN(ctx, s.keys.Changes(), cursor, "-", 200).Result()
		if err != nil {
			return Result{}, kvdb.ReadErr("read the history", err)
		}
		for _, m := range got {
			c, run, err := parseChange(m)
			if err != nil {
				return Result{}, err
			}
			if !c.At.After(at) {
				return result, nil
			}
			before, touched, err := s.beforeOf(ctx, c, run, k, t)
			if err != nil {
				return Result{}, err
			}
			if touched {
				result = before
			}
		}
		if len(got) < 200 {
			return result, nil
		}
		cursor = "(" + got[len(got)-1].ID
	}
}

// beforeOf says what a translation was before a change, if the change touched it.
func (s *Store) beforeOf(ctx context.Context, c Change, run runState, k []byte, t Translation) (Result, bool, error) {
	same := func(x *Translation) bool { return x != nil && x.Query() == t.Query() }
	if !c.Large {
		for _, i := range c.Items {
			if same(i.TranslationBefore) {
				return Result{i.TranslationBefore.Value2, true}, true, nil
			}
		}
		for _, i := range c.Items {
			if same(i.TranslationAfter) {
				return Result{}, true, nil
			}
		}
		return Result{}, false, nil
	}
	r, ok, err := s.find(ctx, run, k)
	if err != nil || !ok {
		return Result{}, false, err
	}
	item, err := parseItem(r)
	if err != nil || item.TranslationBefore == nil {
		return Result{}, true, err
	}
	return Result{item.TranslationBefore.Value2, true}, true, nil
}

// conflictError is a conflict in words.
type conflictError struct{ text string }

func (e *conflictError) Error() string        { return e.text }
func (e *conflictError) Is(target error) bool { return target == kvdb.ErrConflict }
