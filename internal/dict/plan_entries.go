package dict

import (
	"bytes"
	"context"
	"slices"
)

// This file finds out which entries come and go with the rows of a plan: those that it names, and the ends of its translations.

// keys yields keys in their order, each with where it comes from; ok is false at the end.
type keys func() (key []byte, i int32, from side, ok bool)

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
func (p *plan) wantedEntries() []keys {
	explicit := indexes(len(p.entries.refs))
	slices.SortFunc(explicit, func(a, b int32) int { return p.entries.compare(int(a), int(b)) })
	list := func(order []int32, from side, get func(int) []byte) keys {
		n := 0
		return func() ([]byte, int32, side, bool) {
			if n == len(order) {
				return nil, 0, 0, false
			}
			i := order[n]
			n++
			return get(int(i)), i, from, true
		}
	}
	named := list(explicit, sideEntry, func(i int) []byte { return p.entries.row(i).key })
	sourceOf := func(i int) []byte { return p.rows.row(i).source() }
	targetOf := func(i int) []byte { return p.rows.row(i).target() }
	if p.replace { // every row counts, because what no row names goes
		byTarget := slices.Clone(p.order)
		sortParallel(byTarget, func(a, b int32) int { return p.rows.compareTarget(int(a), int(b)) })
		return []keys{named, list(p.order, sideSource, sourceOf), list(byTarget, sideTarget, targetOf)}
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
	return []keys{named, list(sources, sideSource, sourceOf), list(targets, sideTarget, targetOf)}
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
	for {
		key, i, from, implied, ok := m.next()
		if !ok {
			break
		}
		for p.replace && w.ok && bytes.Compare(w.cur.key, key) < 0 {
			if err := p.removeEntryOf(w); err != nil {
				return err
			}
		}
		old, found, err := w.get(key)
		if err != nil {
			return err
		}
		var er entryRow
		if from == sideEntry {
			er = p.entries.row(int(i))
		}
		switch {
		case er.remove && found && !implied:
			if p.unused {
				used, err := anyOf(key, inSource, inTarget)
				if err != nil {
					return err
				}
				if used {
					continue
				}
			}
			p.entEffects = append(p.entEffects, entEffect{i, from, p.keep(nil, old.payload), 0})
			p.counts.EntriesDeleted++
			p.countName(key, -1)
		case er.remove && !implied, found:
		default:
			if p.strict && from != sideEntry {
				e := Entry{}
				if err := splitFields(key, &e.System, &e.Key, &e.Value); err != nil {
					return err
				}
				missing = append(missing, e)
				continue
			}
			e := entEffect{i, from, noRef, 0}
			if len(er.id) == 0 || er.remove {
				e.rank = uint32(p.entCreated)
				p.entCreated++
			} else {
				p.keepsIDs = true
			}
			p.countName(key, 1)
			p.entEffects = append(p.entEffects, e)
			p.counts.EntriesCreated++
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

func (p *plan) removeEntryOf(w *walker) error {
	i := p.entries.add(w.cur.key, nil, true)
	p.entEffects = append(p.entEffects, entEffect{int32(i), sideEntry, p.keep(nil, w.cur.payload), 0})
	p.counts.EntriesDeleted++
	p.countName(w.cur.key, -1)
	return w.next()
}

// merge yields the keys of several sorted streams in one order, each once.
type merge struct {
	streams []keys
	heads   []mergeHead
}

type mergeHead struct {
	key  []byte
	i    int32
	from side
	ok   bool
}

func newMerge(streams []keys) *merge {
	m := &merge{streams: streams, heads: make([]mergeHead, len(streams))}
	for n := range streams {
		m.pull(n)
	}
	return m
}

func (m *merge) pull(n int) {
	h := &m.heads[n]
	h.key, h.i, h.from, h.ok = m.streams[n]()
}

// next returns the smallest key, from the first stream that has it. implied says whether it is an end of a
// translation, too.
func (m *merge) next() (key []byte, i int32, from side, implied, ok bool) {
	best := -1
	for n, h := range m.heads {
		if h.ok && (best < 0 || bytes.Compare(h.key, m.heads[best].key) < 0) {
			best = n
		}
	}
	if best < 0 {
		return nil, 0, 0, false, false
	}
	h := m.heads[best]
	implied = h.from != sideEntry
	for n := range m.heads {
		for m.heads[n].ok && bytes.Equal(m.heads[n].key, h.key) {
			implied = implied || m.heads[n].from != sideEntry
			m.pull(n)
		}
	}
	return h.key, h.i, h.from, implied, true
}
