package dict

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
)

// plan is a change on its way: translations and entries as they shall be, compared with how they are.
// An edit of one value and an import of a million rows are the same plan with more or fewer rows, so that
// there is one way in which dictionaries change.
type plan struct {
	kind    string
	summary string
	undoes  string
	rows    rows
	entries entryRows
	replace bool // what the rows don't name goes
	strict  bool // an end that is no entry is an error; else it becomes one
	unused  bool // entries are removed only if nothing uses them any more
	tick    func(stage string, done, total int64)

	// How the plan differs from a snapshot, after compare:
	order      []int32  // rows by source; those that replace removes are not among them
	named      int      // entries that the plan names itself; those that replace removes follow
	effects    []effect // by source
	byTarget   []uint32 // edits of runTarget in their order: index of the effect, shifted left, | 1 = what was there goes
	entEffects []entEffect
	before     arena
	unchanged  int64
	created    int // translations with a new ID
	entCreated int // entries with a new ID
	counts     Counts
	ids        newIDs // of translations; for the version that number has set
	entIDs     newIDs
	keepsIDs   bool             // something keeps an ID that it had elsewhere, or before
	names      map[string]int64 // how the number of entries of each system and key changes
}

// number prepares the IDs of what the plan creates.
func (p *plan) number(version int64) {
	p.ids, p.entIDs = idsOf(version, p.created), idsOf(version, p.entCreated)
}

const noRef = ^ref(0)

// effect is what happens to one translation.
type effect struct {
	row    int32
	before ref    // value2, version, ID as they were; noRef = it is created
	rank   uint32 // of a translation with a new ID among those
}

// side says where the key of an entEffect lies.
type side uint8

const (
	sideSource side = iota
	sideTarget
	sideEntry
)

// entEffect is what happens to one entry: it comes or it goes. A rename is both, with one ID.
type entEffect struct {
	i      int32
	side   side
	before ref // version and ID; noRef = it is created
	rank   uint32
}

// was is what a record said before the change.
type was struct {
	value2 []byte // with its NUL; nil for an entry
	stamp  []byte
}

func (p *plan) keep(value2, stamp []byte) ref {
	var h [4]byte
	binary.LittleEndian.PutUint16(h[:], uint16(len(value2)))
	binary.LittleEndian.PutUint16(h[2:], uint16(len(stamp)))
	return p.before.put(h[:], value2, stamp)
}

func (p *plan) was(r ref) was {
	b := p.before.at(r)
	n := 4 + int(binary.LittleEndian.Uint16(b))
	return was{value2: b[4:n], stamp: b[n : n+int(binary.LittleEndian.Uint16(b[2:]))]}
}

// reset forgets a comparison, to compare with a later snapshot.
func (p *plan) reset() {
	if p.order != nil { // what replace added
		p.rows.refs = p.rows.refs[:len(p.order)]
		p.entries.refs = p.entries.refs[:p.named]
	}
	p.effects, p.byTarget, p.entEffects, p.before = nil, nil, nil, arena{}
	p.unchanged, p.created, p.entCreated, p.counts = 0, 0, 0, Counts{}
	p.keepsIDs, p.names = false, nil
}

func indexes(n int) []int32 {
	is := make([]int32, n)
	for i := range is {
		is[i] = int32(i)
	}
	return is
}

func (p *plan) sortRows() {
	if p.order != nil {
		return
	}
	p.order, p.named = indexes(len(p.rows.refs)), len(p.entries.refs)
	compare := func(a, b int32) int {
		if c := p.rows.compareSource(int(a), int(b)); c != 0 {
			return c
		}
		return int(a - b)
	}
	sortParallel(p.order, compare)
}

// compare finds out how the translations of the plan differ from those of the snapshot.
func (p *plan) compare(ctx context.Context, s *Store, sn *snapshot) error {
	p.sortRows()
	p.effects = make([]effect, 0, len(p.order))
	w := s.walker(ctx, sn.runs[runSource])
	if p.replace {
		if err := w.next(); err != nil {
			return err
		}
	}
	for n, i := range p.order {
		r := p.rows.row(int(i))
		if p.replace {
			if err := p.removeUpTo(w, r.key()); err != nil {
				return err
			}
		}
		old, found, err := w.get(r.key())
		if err != nil {
			return err
		}
		if err := p.compareRow(i, r, old, found); err != nil {
			return err
		}
		if found && p.replace {
			if err := w.next(); err != nil {
				return err
			}
		}
		if n%10_000 == 0 {
			p.progress("comparing", int64(n), int64(len(p.order)))
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if p.replace {
		return p.removeUpTo(w, nil)
	}
	return nil
}

func (p *plan) progress(stage string, done, total int64) {
	if p.tick != nil {
		p.tick(stage, done, total)
	}
}

// removeUpTo takes out what stands before key; nil = all the rest.
func (p *plan) removeUpTo(w *walker, key []byte) error {
	for w.ok && (key == nil || bytes.Compare(w.cur.key, key) < 0) {
		value2, stamp, ok := cutField(w.cur.payload)
		if !ok {
			return errBlock
		}
		names2 := skipFields(w.cur.key, 3)
		source := w.cur.key[:len(w.cur.key)-len(names2)]
		i := p.rows.add(source, names2, w.cur.payload[:len(value2)+1], nil, true, 0)
		p.effects = append(p.effects, effect{int32(i), p.keep(w.cur.payload[:len(value2)+1], stamp), 0})
		p.counts.Deleted++
		if err := w.next(); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) compareRow(i int32, r row, old record, found bool) error {
	if !found {
		if r.remove() {
			return nil
		}
		e := effect{i, noRef, 0}
		if len(r.id()) == 0 {
			e.rank = uint32(p.created)
			p.created++
		} else {
			p.keepsIDs = true
		}
		p.counts.Created++
		p.effects = append(p.effects, e)
		return nil
	}
	value2, stamp, ok := cutField(old.payload)
	if !ok {
		return errBlock
	}
	oldValue2 := old.payload[:len(value2)+1]
	switch {
	case r.remove():
		p.counts.Deleted++
	case bytes.Equal(oldValue2, r.value2()):
		p.unchanged++
		return nil
	default:
		p.counts.Updated++
	}
	p.effects = append(p.effects, effect{i, p.keep(oldValue2, stamp), 0})
	return nil
}

// sortTargets lists the edits of runTarget in their order.
func (p *plan) sortTargets() {
	p.byTarget = make([]uint32, 0, len(p.effects)+int(p.counts.Updated))
	for n, e := range p.effects {
		if e.before != noRef {
			p.byTarget = append(p.byTarget, uint32(n)<<1|1)
		}
		if !p.rows.row(int(e.row)).remove() {
			p.byTarget = append(p.byTarget, uint32(n)<<1)
		}
	}
	sortParallel(p.byTarget, p.compareTargets)
}

func (p *plan) compareTargets(a, b uint32) int {
	if a&1 == 0 && b&1 == 0 { // as all of an import into an empty store
		return p.rows.compareTarget(int(p.effects[a>>1].row), int(p.effects[b>>1].row))
	}
	na, va, sa := p.targetParts(a)
	nb, vb, sb := p.targetParts(b)
	if c := bytes.Compare(na, nb); c != 0 {
		return c
	}
	if c := bytes.Compare(va, vb); c != 0 {
		return c
	}
	if c := bytes.Compare(sa, sb); c != 0 {
		return c
	}
	return int(b&1) - int(a&1) // what goes, before what comes
}

// sortParallel sorts a long slice in two halves at a time. Equal elements may change places.
func sortParallel[E any](s []E, compare func(a, b E) int) {
	if slices.IsSortedFunc(s, compare) { // an export is, and what comes from another run
		return
	}
	if len(s) < 50_000 {
		slices.SortFunc(s, compare)
		return
	}
	a, b := slices.Clone(s[:len(s)/2]), s[len(s)/2:]
	done := make(chan struct{})
	go func() {
		slices.SortFunc(a, compare)
		close(done)
	}()
	slices.SortFunc(b, compare)
	<-done
	for n := 0; len(a) > 0; n++ { // b lies behind what is written
		if len(b) == 0 || compare(a[0], b[0]) <= 0 {
			s[n], a = a[0], a[1:]
		} else {
			s[n], b = b[0], b[1:]
		}
	}
}

// targetParts are the parts of a key of runTarget, in their order.
func (p *plan) targetParts(t uint32) (names2, value2, source []byte) {
	e := p.effects[t>>1]
	r := p.rows.row(int(e.row))
	if t&1 == 1 {
		return r.names2(), p.was(e.before).value2, r.source()
	}
	return r.names2(), r.value2(), r.source()
}

// empty says whether the plan changes nothing.
func (p *plan) empty() bool { return len(p.effects) == 0 && len(p.entEffects) == 0 }

// appendStampOf appends what a translation says of itself after the change.
func (p *plan) appendStampOf(b []byte, e effect, r row, version int64) []byte {
	b = binary.AppendUvarint(b, uint64(version))
	switch {
	case len(r.id()) > 0:
		return append(b, r.id()...)
	case e.before != noRef:
		return append(b, stampID(p.was(e.before).stamp)...)
	}
	return p.ids.append(b, e.rank)
}

func (p *plan) appendEntryStampOf(b []byte, e entEffect, version int64) []byte {
	b = binary.AppendUvarint(b, uint64(version))
	if p.keepsID(e) {
		return append(b, p.entries.row(int(e.i)).id...)
	}
	return p.entIDs.append(b, e.rank)
}

// goes says whether an entry is removed.
func (e entEffect) goes() bool { return e.before != noRef }

// rejectRows takes out the rows of a file that name a translation which an earlier row has named.
func (p *plan) rejectRows(reject func(i int, reason string)) {
	p.sortRows()
	kept := p.order[:0]
	for _, i := range p.order {
		if len(kept) > 0 {
			first, r := p.rows.row(int(kept[len(kept)-1])), p.rows.row(int(i))
			if bytes.Equal(first.key(), r.key()) {
				reject(int(i), duplicateReason(p.rows.line(int(kept[len(kept)-1])), first.value2(), r.value2()))
				continue
			}
		}
		kept = append(kept, i)
	}
	p.dropRows(kept)
}

func duplicateReason(line int64, first, value2 []byte) string {
	if bytes.Equal(first, value2) {
		return "the same translation is in line " + formatInt(line)
	}
	return "conflicts with line " + formatInt(line) + ", which translates it to " + quoteShort(string(first[:len(first)-1]))
}

// dropRows keeps only the rows of order.
func (p *plan) dropRows(order []int32) {
	if len(order) == len(p.rows.refs) {
		return
	}
	refs := make([]ref, len(order))
	var lines []uint32
	if p.rows.lines != nil {
		lines = make([]uint32, len(order))
	}
	for n, i := range order {
		refs[n] = p.rows.refs[i]
		if lines != nil {
			lines[n] = p.rows.lines[i]
		}
	}
	p.rows.refs, p.rows.lines = refs, lines
	p.order = indexes(len(refs))
}
