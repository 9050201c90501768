package dict

import (
	"bytes"
	"context"
	"slices"
)

// This file finds out which entries come and go with the rows of a plan: those that it names, and the ends of its translations.

// wanted is an entry that a plan speaks of, and where it does.
type wanted struct {
	key     []byte
	i       int32
	from    side
	implied bool // it is an end of a translation
}

// wants yields entries in the order of their keys; ok is false at the end.
type wants func() (x wanted, ok bool)

func (p *plan) entEffectKey(e entEffect) []byte {
	switch e.side {
	case sideSource:
		return p.rows.row(int(e.i)).source()
	case sideTarget:
		return p.rows.row(int(e.i)).target()
	default:
		return p.entries.row(int(e.i)).key
	}
}

// wantedEntries yields the entries that the plan speaks of: the ends of its translations and those that it
// names itself, which come first among equals.
func (p *plan) wantedEntries() []wants {
	explicit := indexes(len(p.entries.refs))
	slices.SortFunc(explicit, func(a, b int32) int { return p.entries.compare(int(a), int(b)) })
	list := func(order []int32, from side, get func(int) []byte) wants {
		n := 0
		return func() (wanted, bool) {
			if n == len(order) {
				return wanted{}, false
			}
			i := order[n]
			n++
			return wanted{get(int(i)), i, from, from != sideEntry}, true
		}
	}
	named := list(explicit, sideEntry, func(i int) []byte { return p.entries.row(i).key })
	sourceOf := func(i int) []byte { return p.rows.row(i).source() }
	targetOf := func(i int) []byte { return p.rows.row(i).target() }
	if p.replace { // every row counts, because what no row names goes
		byTarget := slices.Clone(p.order)
		sortParallel(byTarget, func(a, b int32) int { return p.rows.compareTarget(int(a), int(b)) })
		return []wants{named, list(p.order, sideSource, sourceOf), list(byTarget, sideTarget, targetOf)}
	}
	var sources, targets []int32
	for _, e := range p.effects {
		if r := p.rows.row(int(e.row)); !r.remove() && e.before == noRef {
			sources = append(sources, e.row)
		}
	}
	for _, t := range p.byTarget {
		if t&1 == 0 {
			targets = append(targets, p.effects[t>>1].row)
		}
	}
	return []wants{named, list(sources, sideSource, sourceOf), list(targets, sideTarget, targetOf)}
}

// compareEntries finds out how the entries that the plan wants differ from those of the snapshot. inSource
// and inTarget walk the runs as they are after the change; they are used only if p.unused.
func (p *plan) compareEntries(ctx context.Context, s *Store, sn *snapshot, inSource, inTarget *walker) error {
	m := newMerge(p.wantedEntries())
	w := s.walker(ctx, sn.runs[runEntry])
	if p.replace {
		if err := w.next(); err != nil {
			return err
		}
	}
	var missing []Entry
	for x, ok := m.next(); ok; x, ok = m.next() {
		for p.replace && w.ok && bytes.Compare(w.cur.key, x.key) < 0 {
			if err := p.removeEntryOf(w); err != nil {
				return err
			}
		}
		old, found, err := w.get(x.key)
		if err != nil {
			return err
		}
		var named entryRow
		if x.from == sideEntry {
			named = p.entries.row(int(x.i))
		}
		switch {
		case named.remove && found && !x.implied:
			err = p.removeEntryUnlessUsed(x, old, inSource, inTarget)
		case named.remove && !x.implied, found: // it is as it shall be
		case p.strict && x.from != sideEntry:
			e := Entry{}
			err = splitFields(x.key, &e.System, &e.Key, &e.Value)
			missing = append(missing, e)
		default:
			p.createEntry(x, named)
		}
		if err != nil {
			return err
		}
		if found && p.replace {
			if err := w.next(); err != nil {
				return err
			}
		}
	}
	for p.replace && w.ok {
		if err := p.removeEntryOf(w); err != nil {
			return err
		}
	}
	if missing != nil {
		return &MissingEntriesError{Entries: missing}
	}
	return nil
}

func (p *plan) createEntry(x wanted, named entryRow) {
	e := entEffect{x.i, x.from, noRef, 0}
	if len(named.id) == 0 || named.remove {
		e.rank = uint32(p.entCreated)
		p.entCreated++
	} else {
		p.keepsIDs = true
	}
	p.entEffects = append(p.entEffects, e)
	p.counts.EntriesCreated++
	p.countName(x.key, 1)
}

func (p *plan) removeEntry(i int32, r record) {
	p.entEffects = append(p.entEffects, entEffect{i, sideEntry, p.keep(nil, r.payload), 0})
	p.counts.EntriesDeleted++
	p.countName(r.key, -1)
}

func (p *plan) removeEntryUnlessUsed(x wanted, r record, inSource, inTarget *walker) error {
	if p.unused {
		if used, err := anyOf(x.key, inSource, inTarget); used || err != nil {
			return err
		}
	}
	p.removeEntry(x.i, r)
	return nil
}

// removeEntryOf takes out an entry that the plan doesn't name.
func (p *plan) removeEntryOf(w *walker) error {
	p.removeEntry(int32(p.entries.add(w.cur.key, nil, true)), w.cur)
	return w.next()
}

// countName counts an entry that comes or goes.
func (p *plan) countName(key []byte, n int64) {
	var scratch [128]byte
	name, _ := appendName(scratch[:0], key)
	if p.names == nil {
		p.names = map[string]int64{}
	}
	p.names[string(name)] += n
}

func anyOf(prefix []byte, ws ...*walker) (bool, error) {
	for _, w := range ws {
		if ok, err := w.any(prefix); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// merge yields the entries of several streams in one order, each once.
type merge struct {
	streams []wants
	heads   []mergeHead
}

type mergeHead struct {
	wanted
	ok bool
}

func newMerge(streams []wants) *merge {
	m := &merge{streams: streams, heads: make([]mergeHead, len(streams))}
	for n := range streams {
		m.pull(n)
	}
	return m
}

func (m *merge) pull(n int) {
	h := &m.heads[n]
	h.wanted, h.ok = m.streams[n]()
}

// next returns the entry with the smallest key, from the first stream that has it.
func (m *merge) next() (x wanted, ok bool) {
	best := -1
	for n, h := range m.heads {
		if h.ok && (best < 0 || bytes.Compare(h.key, m.heads[best].key) < 0) {
			best = n
		}
	}
	if best < 0 {
		return wanted{}, false
	}
	x = m.heads[best].wanted
	for n := range m.heads {
		for m.heads[n].ok && bytes.Equal(m.heads[n].key, x.key) {
			x.implied = x.implied || m.heads[n].implied
			m.pull(n)
		}
	}
	return x, true
}
