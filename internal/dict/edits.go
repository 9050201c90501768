package dict

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The edits of each run, in its order, as a plan wants them.

func (t *tx) sourceEdits() edits {
	p, n := t.plan, 0
	var payload []byte
	return func() (edit, bool, error) {
		if n == len(p.effects) {
			return edit{}, false, nil
		}
		e := p.effects[n]
		n++
		r := p.rows.row(int(e.row))
		if r.remove() {
			return edit{key: r.key(), remove: true}, true, nil
		}
		payload = append(payload[:0], r.value2()...)
		payload = p.appendStampOf(payload, e, r, t.version)
		return edit{key: r.key(), payload: payload}, true, nil
	}
}

func (t *tx) targetEdits() edits {
	p, n := t.plan, 0
	var k, payload []byte
	return func() (edit, bool, error) {
		if n == len(p.byTarget) {
			return edit{}, false, nil
		}
		at := p.byTarget[n]
		n++
		names2, value2, source := p.targetParts(at)
		k = append(append(append(k[:0], names2...), value2...), source...)
		if at&1 == 1 {
			return edit{key: k, remove: true}, true, nil
		}
		e := p.effects[at>>1]
		payload = p.appendStampOf(payload[:0], e, p.rows.row(int(e.row)), t.version)
		return edit{key: k, payload: payload}, true, nil
	}
}

// idEdit is an edit of a run of IDs whose ID is older than the change.
type idEdit struct {
	id     string
	n      int // index of the effect
	remove bool
}

// idEdits yields the edits of a run of IDs: those of new IDs, which have the order of the effects, merged
// with the others. What goes comes before what comes, so that a rename keeps its ID. fresh appends the next
// new ID and says which effect it is of; -1 = there is none.
func idEdits(others []idEdit, fresh func(b []byte) (id []byte, n int), keyOf func(n int) []byte) edits {
	slices.SortFunc(others, func(a, b idEdit) int {
		if c := strings.Compare(a.id, b.id); c != 0 || a.remove == b.remove {
			return c
		}
		if a.remove {
			return -1
		}
		return 1
	})
	i := 0
	var id, next []byte
	next, n := fresh(nil)
	return func() (edit, bool, error) {
		if i < len(others) && (n < 0 || others[i].id < string(next)) {
			o := others[i]
			i++
			if o.remove {
				return edit{key: []byte(o.id), remove: true}, true, nil
			}
			return edit{key: []byte(o.id), payload: keyOf(o.n)}, true, nil
		}
		if n < 0 {
			return edit{}, false, nil
		}
		id = append(id[:0], next...)
		e := edit{key: id, payload: keyOf(n)}
		next, n = fresh(next[:0])
		return e, true, nil
	}
}

func (t *tx) translationIDEdits() edits {
	p := t.plan
	var others []idEdit
	for n, e := range p.effects {
		r := p.rows.row(int(e.row))
		switch {
		case r.remove():
			others = append(others, idEdit{string(stampID(p.was(e.before).stamp)), n, true})
		case e.before == noRef && len(r.id()) > 0:
			others = append(others, idEdit{string(r.id()), n, false})
		}
	}
	n := 0
	fresh := func(b []byte) ([]byte, int) {
		for ; n < len(p.effects); n++ {
			e := p.effects[n]
			if r := p.rows.row(int(e.row)); e.before == noRef && len(r.id()) == 0 {
				n++
				return p.ids.append(b, e.rank), n - 1
			}
		}
		return nil, -1
	}
	return idEdits(others, fresh, func(n int) []byte { return p.rows.row(int(p.effects[n].row)).key() })
}

func (t *tx) entryEdits() edits {
	p, n := t.plan, 0
	var payload []byte
	return func() (edit, bool, error) {
		if n == len(p.entEffects) {
			return edit{}, false, nil
		}
		e := p.entEffects[n]
		n++
		if e.goes() {
			return edit{key: p.entEffectKey(e), remove: true}, true, nil
		}
		payload = p.appendEntryStampOf(payload[:0], e, t.version)
		return edit{key: p.entEffectKey(e), payload: payload}, true, nil
	}
}

// keepsID says whether an entry that comes brings its ID with it.
func (p *plan) keepsID(e entEffect) bool {
	if e.goes() || e.side != sideEntry {
		return false
	}
	r := p.entries.row(int(e.i))
	return len(r.id) > 0 && !r.remove
}

func (t *tx) entryIDEdits() edits {
	p := t.plan
	var others []idEdit
	for n, e := range p.entEffects {
		switch {
		case e.goes():
			others = append(others, idEdit{string(stampID(p.was(e.before).stamp)), n, true})
		case p.keepsID(e):
			others = append(others, idEdit{string(p.entries.row(int(e.i)).id), n, false})
		}
	}
	n := 0
	fresh := func(b []byte) ([]byte, int) {
		for ; n < len(p.entEffects); n++ {
			if e := p.entEffects[n]; !e.goes() && !p.keepsID(e) {
				n++
				return p.entIDs.append(b, e.rank), n - 1
			}
		}
		return nil, -1
	}
	return idEdits(others, fresh, func(n int) []byte { return p.entEffectKey(p.entEffects[n]) })
}

// countsRenamed are the counts, where what goes and comes with the same ID is an update.
func (p *plan) countsRenamed() Counts {
	c := p.counts
	if !p.keepsIDs {
		return c
	}
	ids := map[string]bool{}
	for _, e := range p.effects {
		if r := p.rows.row(int(e.row)); e.before == noRef && len(r.id()) > 0 {
			ids[string(r.id())] = true
		}
	}
	for _, e := range p.effects {
		if r := p.rows.row(int(e.row)); r.remove() && len(ids) > 0 {
			if ids[string(stampID(p.was(e.before).stamp))] {
				c.Created, c.Deleted, c.Updated = c.Created-1, c.Deleted-1, c.Updated+1
			}
		}
	}
	clear(ids)
	for _, e := range p.entEffects {
		if p.keepsID(e) {
			ids[string(p.entries.row(int(e.i)).id)] = true
		}
	}
	for _, e := range p.entEffects {
		if e.goes() && len(ids) > 0 {
			if ids[string(stampID(p.was(e.before).stamp))] {
				c.EntriesCreated, c.EntriesDeleted, c.EntriesUpdated = c.EntriesCreated-1, c.EntriesDeleted-1, c.EntriesUpdated+1
			}
		}
	}
	return c
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

// quoteShort quotes a text for a message, and cuts a long one.
func quoteShort(text string) string {
	const most = 60
	if len(text) <= most {
		return strconv.Quote(text)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(text[:cut]) + "…"
}
