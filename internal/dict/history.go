package dict

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"iter"
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
