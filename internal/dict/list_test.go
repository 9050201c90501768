package dict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// manyRows makes rows of few names and many values, and a few that stand alone.
func (g gen) manyRows(n int) (es []Entry, ts []Translation) {
	systems, keys := []string{"BILLING", "CRM", "ERP", "żółw"}, []string{"CC", "COUNTRY", "cur.1"}
	name := func(of []string) string { return of[min(g.Intn(len(of)), g.Intn(len(of)))] }
	value := func() string {
		if g.Intn(20) == 0 {
			return []string{"", "Ż", "straße", "İ", "\u212a", "a\nb", "x:::y", "CRM"}[g.Intn(8)]
		}
		return fmt.Sprintf("%c%03d", 'A'+g.Intn(3), g.Intn(300))
	}
	for range n / 10 {
		es = append(es, Entry{System: name(systems), Key: name(keys), Value: value()})
	}
	for range n {
		ts = append(ts, Translation{System1: name(systems), Key1: name(keys), Value1: value(), System2: name(systems), Key2: name(keys), Value2: value()})
	}
	return es, ts
}

func seeded(t *testing.T, db *kvdb.DB, n int) (*Store, *model) {
	t.Helper()
	s, m := newStore(t, db), newModel()
	es, ts := newGen(3).manyRows(n)
	m.importRows(es, ts, Merge)
	_, err := s.Import(t.Context(), By{}, jsonFileOf(es, ts), ImportOptions{Format: JSON, Mode: Merge, SkipRejected: true})
	must(t, err)
	return s, m
}

// listed is what a list should show, in its order.
func listed[T any](all []T, keep func(T) bool, compare func(a, b T) int, desc bool) []T {
	var out []T
	for _, x := range all {
		if keep(x) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, compare)
	if desc {
		slices.Reverse(out)
	}
	return out
}

func has(q string, fields ...string) bool {
	return q == "" || slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(strings.ToLower(f), strings.ToLower(q)) })
}

func (f Filter) keeps(x Translation) bool {
	return matches(f.System1, x.System1) && matches(f.Key1, x.Key1) && matches(f.Value1, x.Value1) &&
		matches(f.System2, x.System2) && matches(f.Key2, x.Key2) && matches(f.Value2, x.Value2) &&
		has(f.Q, x.System1, x.Key1, x.Value1, x.System2, x.Key2, x.Value2)
}

func (f Filter) keepsEntry(e Entry) bool {
	return matches(f.System, e.System) && matches(f.Key, e.Key) && matches(f.Value, e.Value) && has(f.Q, e.System, e.Key, e.Value)
}

func compareFields(a, b []string) int {
	return slices.CompareFunc(a, b, cmp.Compare[string])
}

// order compares translations field by field.
func order(by Sort) func(a, b Translation) int {
	fields := func(x Translation) []string {
		source, target := []string{x.System1, x.Key1, x.Value1}, []string{x.System2, x.Key2, x.Value2}
		if by == SortTarget {
			return append(target, source...)
		}
		return append(source, target...)
	}
	return func(a, b Translation) int { return compareFields(fields(a), fields(b)) }
}

func entryOrder(a, b Entry) int {
	return compareFields([]string{a.System, a.Key, a.Value}, []string{b.System, b.Key, b.Value})
}

func plain(x Translation) Translation { x.ID, x.Version = "", 0; return x }
func plainEntry(e Entry) Entry        { e.ID, e.Version = "", 0; return e }

// checkPages walks a list forward to its end, backward from its end, and back and forth, and compares
// each page with what it should be.
func checkPages[T comparable](t *testing.T, what string, want []T, all int, limit int, o ListOptions, bare func(T) T, page func(ListOptions) (Page[T], error)) {
	t.Helper()
	o.Limit = limit
	show := func(at int, p Page[T]) {
		t.Helper()
		if p.All != int64(all) {
			t.Fatalf("%s: All is %d, want %d", what, p.All, all)
		}
		if p.Total != -1 && p.Total != int64(len(want)) {
			t.Fatalf("%s: Total is %d, want %d", what, p.Total, len(want))
		}
		if p.First != 0 && p.First != int64(at)+1 || p.First == 0 && at == 0 && len(want) > 0 {
			t.Fatalf("%s: First is %d, want %d", what, p.First, at+1)
		}
		if len(p.Items) == 0 || at+len(p.Items) > len(want) {
			t.Fatalf("%s: %d items at %d of %d", what, len(p.Items), at, len(want))
		}
		for i, x := range p.Items {
			if bare(x) != want[at+i] {
				t.Fatalf("%s: item %d is %+v, want %+v", what, at+i, x, want[at+i])
			}
		}
		if (p.Prev == "") != (at == 0) || (p.Next == "") != (at+len(p.Items) == len(want)) {
			t.Fatalf("%s: page at %d of %d with %d items has cursors %q and %q", what, at, len(want), len(p.Items), p.Prev, p.Next)
		}
	}
	get := func(cursor string, last bool) Page[T] {
		t.Helper()
		o.Cursor, o.Last = cursor, last
		p, err := page(o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return p
	}
	first := get("", false)
	if len(want) == 0 {
		if last := get("", true); len(first.Items)+len(last.Items) > 0 || first.Next+first.Prev+last.Next+last.Prev != "" || first.First != 0 ||
			first.Total > 0 || last.Total > 0 || first.All != int64(all) {
			t.Fatalf("%s: %+v and %+v, want nothing", what, first, last)
		}
		return
	}
	p, at := first, 0
	for show(at, p); p.Next != ""; show(at, p) {
		if len(p.Items) != limit {
			t.Fatalf("%s: a page of %d that isn't the last", what, len(p.Items))
		}
		at += len(p.Items)
		before := p
		p = get(p.Next, false)
		if back := get(p.Prev, false); len(back.Items) != limit || bare(back.Items[0]) != bare(before.Items[0]) || back.First != 0 && back.First != int64(at-limit)+1 {
			t.Fatalf("%s: back from %d leads to %+v", what, at, back)
		}
	}
	p = get("", true)
	at = len(want) - len(p.Items)
	for show(at, p); p.Prev != ""; show(at, p) {
		if len(p.Items) != limit {
			t.Fatalf("%s: a page of %d that isn't the first", what, len(p.Items))
		}
		p = get(p.Prev, false)
		at -= len(p.Items)
	}
}

// ways are how a list is found: those for large dictionaries are taken with small ones when their limits say so.
var ways = []struct {
	name                   string
	scanGladly, gatherMost int64
}{
	{"as it is", 20_000, 5000},
	{"scanned at any size", 1 << 40, 0},
	{"gathered from the other run", 0, 1 << 40},
}

func TestTranslationsPages(t *testing.T) {
	smallBlocks(t)
	s, m := seeded(t, kvtest.Open(t), 2000)
	all := m.sortedTranslations()
	filters := func(g gen) Filter {
		x := all[g.Intn(len(all))]
		var f Filter
		for _, field := range []struct {
			into *string
			from string
		}{{&f.System1, x.System1}, {&f.Key1, x.Key1}, {&f.Value1, x.Value1}, {&f.System2, x.System2}, {&f.Key2, x.Key2}, {&f.Value2, x.Value2}} {
			if g.Intn(3) == 0 {
				*field.into = field.from
			}
		}
		if g.Intn(3) == 0 {
			f.Q = []string{"a0", "b", "Ż", "ż", "K", "i", "STRASSE", "straSSe", "SSE", "crm", "nowhere", "İ", "\n", x.Value1, strings.ToLower(x.Value2)}[g.Intn(15)]
		}
		if g.Intn(20) == 0 {
			f.Key1 = "NONE"
		}
		return f
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			set(t, &scanGladly, way.scanGladly)
			set(t, &gatherMost, way.gatherMost)
			g := newGen(11)
			for range 12 {
				f := filters(g)
				o := ListOptions{Sort: Sort(g.Intn(2)), Desc: g.Intn(2) == 0}
				want := listed(all, f.keeps, order(o.Sort), o.Desc)
				limit := min(1+g.Intn(8)+len(want)/4, MaxPage)
				checkPages(t, fmt.Sprintf("%+v %+v", f, o), want, len(all), limit, o, plain, func(o ListOptions) (Page[Translation], error) {
					return s.Translations(t.Context(), f, o)
				})
			}
		})
	}
}

// TestFewOfMany: where few translations lie scattered in both runs, they are found by their map.
func TestFewOfMany(t *testing.T) {
	smallBlocks(t)
	set(t, &scanGladly, 0)
	set(t, &gatherMost, 10)
	s, m := newStore(t, kvtest.Open(t)), newModel()
	row := func(system1, value1, system2, value2 string) Translation {
		return Translation{System1: system1, Key1: "K", Value1: value1, System2: system2, Key2: "K", Value2: value2}
	}
	var ts []Translation
	for i := range 400 {
		v := fmt.Sprintf("%03d", i)
		ts = append(ts, row("A", v, "B", v), row("C", v, "D", v))
		if i%80 == 7 {
			ts = append(ts, row("A", v, "D", fmt.Sprintf("%03d", 399-i)))
		}
	}
	m.importRows(nil, ts, Merge)
	_, err := s.Import(t.Context(), By{}, csvFileOf(ts), ImportOptions{Format: CSV, Mode: Merge})
	must(t, err)
	all := m.sortedTranslations()
	for _, o := range []ListOptions{{}, {Desc: true}, {Sort: SortTarget}, {Sort: SortTarget, Desc: true}} {
		for _, f := range []Filter{{System1: "A", System2: "D"}, {System1: "A", System2: "D", Value2: "312"}, {System1: "A", System2: "D", Value1: "none"}} {
			want := listed(all, f.keeps, order(o.Sort), o.Desc)
			checkPages(t, fmt.Sprintf("%+v %+v", f, o), want, len(all), 2, o, plain, func(o ListOptions) (Page[Translation], error) {
				return s.Translations(t.Context(), f, o)
			})
		}
	}
}

func TestEntriesPages(t *testing.T) {
	smallBlocks(t)
	s, m := seeded(t, kvtest.Open(t), 1000)
	all := m.sortedEntries()
	g := newGen(12)
	for range 40 {
		e := all[g.Intn(len(all))]
		var f Filter
		for _, field := range []struct {
			into *string
			from string
		}{{&f.System, e.System}, {&f.Key, e.Key}, {&f.Value, e.Value}} {
			if g.Intn(2) == 0 {
				*field.into = field.from
			}
		}
		if g.Intn(4) == 0 {
			f.Q = []string{"a0", "b", "ż", "K", "nowhere", e.Value}[g.Intn(6)]
		}
		o := ListOptions{Desc: g.Intn(2) == 0}
		want := listed(all, f.keepsEntry, entryOrder, o.Desc)
		checkPages(t, fmt.Sprintf("%+v %+v", f, o), want, len(all), min(1+g.Intn(8)+len(want)/4, MaxPage), o, plainEntry, func(o ListOptions) (Page[Entry], error) {
			return s.Entries(t.Context(), f, o)
		})
	}
}

func TestReverse(t *testing.T) {
	smallBlocks(t)
	s, m := seeded(t, kvtest.Open(t), 1000)
	all, es := m.sortedTranslations(), m.sortedEntries()
	g := newGen(13)
	for i := range 40 {
		target := es[g.Intn(len(es))]
		if i%2 == 0 {
			target = all[g.Intn(len(all))].Target()
		}
		o := ListOptions{Desc: g.Intn(2) == 0}
		want := listed(all, func(x Translation) bool { return x.Target() == target }, order(SortTarget), o.Desc)
		checkPages(t, target.describe(), want, len(all), 1+g.Intn(3), o, plain, func(o ListOptions) (Page[Translation], error) {
			return s.Reverse(t.Context(), target, o)
		})
	}
	if _, err := s.Reverse(t.Context(), Entry{}, ListOptions{}); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("of no entry: %v, want ErrInvalid", err)
	}
}

// TestOldSnapshotIsReadToItsEnd: a list goes on with the blocks that it began with, and starts anew when they are gone.
func TestOldSnapshotIsReadToItsEnd(t *testing.T) {
	smallBlocks(t)
	s, m := seeded(t, kvtest.Open(t), 200)
	ctx := t.Context()
	old, err := s.snapshot(ctx)
	must(t, err)
	other := newStore(t, s.db)
	want := m.sortedTranslations()
	_, err = other.Import(ctx, By{}, csvFileOf([]Translation{tr("PL", "Polska")}), ImportOptions{Format: CSV, Mode: Replace})
	must(t, err)
	var got []Translation
	must(t, s.eachTranslation(ctx, old, func(x Translation) error { got = append(got, plain(x)); return nil }))
	if !slices.Equal(want, got) {
		t.Errorf("the old snapshot holds %d translations, want %d", len(got), len(want))
	}

	for _, k := range s.db.Client().Keys(ctx, s.keys.Block("*")).Val() {
		if s.db.Client().TTL(ctx, k).Val() > 0 {
			must(t, s.db.Client().Del(ctx, k).Err()) // as time does
		}
	}
	s.cache = blockCache{}
	if err := s.eachTranslation(ctx, old, func(Translation) error { return nil }); !errors.Is(err, errGone) {
		t.Errorf("%v, want errGone", err)
	}
	s.current.Store(old)
	tries := 0
	must(t, s.retryGone(ctx, func(sn *snapshot) error {
		if tries++; tries == 1 {
			sn = old
			s.current.Store(old)
		}
		return s.eachTranslation(ctx, sn, func(Translation) error { return nil })
	}))
	if tries != 2 {
		t.Errorf("read %d times", tries)
	}
}

// TestListsOfNothing: an empty store has lists, too.
func TestListsOfNothing(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		ctx := t.Context()
		entries, err1 := s.Entries(ctx, Filter{System: "A", Q: "x"}, ListOptions{Last: true})
		translations, err2 := s.Translations(ctx, Filter{Value1: "x"}, ListOptions{Desc: true})
		changes, err3 := s.Changes(ctx, "", 0)
		misses, err4 := s.Misses(ctx, Filter{}, "", 0)
		systems, err5 := s.Systems(ctx)
		uses, err6 := s.Uses(ctx, []Entry{{System: "A", Key: "K"}})
		values, err7 := s.Values(ctx, "A", "K", "", 10)
		must(t, errors.Join(err1, err2, err3, err4, err5, err6, err7))
		if n := len(entries.Items) + len(translations.Items) + len(changes.Items) + len(misses.Items) + len(systems) + len(values); n != 0 {
			t.Errorf("there are %d things", n)
		}
		if uses[0] != (Uses{}) {
			t.Errorf("what isn't there is used %+v", uses[0])
		}
		for _, err := range []error{
			func() error { _, err := s.Entry(ctx, "x"); return err }(),
			func() error { _, err := s.Translation(ctx, ""); return err }(),
			func() error { _, err := s.Change(ctx, "1"); return err }(),
			func() error { _, err := s.ChangeItems(ctx, "0", "", 0); return err }(),
			func() error { _, err := s.Undo(ctx, By{}, "x"); return err }(),
			func() error { _, err := s.DeleteEntry(ctx, By{}, "x", 0); return err }(),
			func() error { _, err := s.DeleteTranslation(ctx, By{}, "x", 1); return err }(),
			func() error { _, err := s.Upload(ctx, "x"); return err }(),
		} {
			if !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("%v, want ErrNotFound", err)
			}
		}
	})
}
