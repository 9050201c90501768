package dict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

func newStore(t *testing.T, db *kvdb.DB) *Store {
	t.Helper()
	s := New(db, Options{})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// model is what the dictionaries should hold.
type model struct {
	entries      map[[3]string]bool
	translations map[Query]string
}

func newModel() *model {
	return &model{entries: map[[3]string]bool{}, translations: map[Query]string{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.entries), maps.Clone(m.translations)}
}

func (m *model) put(t Translation) {
	m.translations[t.Query()] = t.Value2
	m.entries[[3]string{t.System1, t.Key1, t.Value1}] = true
	m.entries[[3]string{t.System2, t.Key2, t.Value2}] = true
}

func (m *model) deleteEntry(e [3]string) {
	delete(m.entries, e)
	for q, v := range m.translations {
		if e == [3]string{q.System1, q.Key1, q.Value1} || e == [3]string{q.System2, q.Key2, v} {
			delete(m.translations, q)
		}
	}
}

func (m *model) renameEntry(from, to [3]string) {
	delete(m.entries, from)
	m.entries[to] = true
	for q, v := range maps.Clone(m.translations) {
		t := renamed(Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2, Value2: v},
			Entry{System: from[0], Key: from[1], Value: from[2]}, Entry{System: to[0], Key: to[1], Value: to[2]})
		delete(m.translations, q)
		m.translations[t.Query()] = t.Value2
	}
}

func (m *model) sortedTranslations() []Translation {
	var ts []Translation
	for q, v := range m.translations {
		ts = append(ts, Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2, Value2: v})
	}
	slices.SortFunc(ts, func(a, b Translation) int { return bytes.Compare(a.sourceKey(), b.sourceKey()) })
	return ts
}

// check compares everything that the store says with the model, and its parts with one another.
func (m *model) check(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	s.current.Store(nil) // as another process sees it
	sn, err := s.snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := map[Query]string{}
	ids := map[string][]byte{}
	for r, err := range s.scan(ctx, sn.runs[runSource], []span{{}}, false) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := parseSource(r)
		if err != nil {
			t.Fatal(err)
		}
		got[x.Query()] = x.Value2
		ids[x.ID] = x.sourceKey()
	}
	if diff := cmp.Diff(m.translations, got); diff != "" {
		t.Fatalf("translations (-want +got)\n%s", diff)
	}
	clear(got)
	for r, err := range s.scan(ctx, sn.runs[runTarget], []span{{}}, false) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := parseTarget(r)
		if err != nil {
			t.Fatal(err)
		}
		got[x.Query()] = x.Value2
		if string(ids[x.ID]) != string(x.sourceKey()) {
			t.Fatalf("ID %q is of %q in one run and of %q in the other", x.ID, ids[x.ID], x.sourceKey())
		}
	}
	if diff := cmp.Diff(m.translations, got); diff != "" {
		t.Fatalf("run by target (-want +got)\n%s", diff)
	}
	checkIDs(t, s, sn, runTranslation, ids)
	entries := map[[3]string]bool{}
	clear(ids)
	for r, err := range s.scan(ctx, sn.runs[runEntry], []span{{}}, false) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := parseEntry(r)
		if err != nil {
			t.Fatal(err)
		}
		entries[[3]string{e.System, e.Key, e.Value}] = true
		ids[e.ID] = e.entryKey()
	}
	if diff := cmp.Diff(m.entries, entries); diff != "" {
		t.Fatalf("entries (-want +got)\n%s", diff)
	}
	checkIDs(t, s, sn, runEntryID, ids)
	m.checkMaps(t, s, sn)
	for i, run := range sn.runs {
		checkRun(t, runNames[i], run)
	}
}

func checkIDs(t *testing.T, s *Store, sn *snapshot, run int, want map[string][]byte) {
	t.Helper()
	got := map[string][]byte{}
	for r, err := range s.scan(t.Context(), sn.runs[run], []span{{}}, false) {
		if err != nil {
			t.Fatal(err)
		}
		got[string(r.key)] = bytes.Clone(r.payload)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("run %s (-want +got)\n%s", runNames[run], diff)
	}
}

func checkRun(t *testing.T, name string, run runState) {
	t.Helper()
	var n int64
	for i, f := range run.fences {
		n += int64(f.n)
		if i > 0 && run.fences[i-1].first >= f.first {
			t.Fatalf("run %s: block %d starts before block %d", name, i, i-1)
		}
	}
	if n != run.total {
		t.Fatalf("run %s: %d records, but %d in its blocks", name, run.total, n)
	}
}

// checkMaps looks each translation up as programs do, and sees that the maps hold nothing else.
func (m *model) checkMaps(t *testing.T, s *Store, sn *snapshot) {
	t.Helper()
	ctx := t.Context()
	pairs, names := map[string]int64{}, map[string]int64{}
	for q, v := range m.translations {
		r, err := s.Lookup(ctx, q)
		if err != nil || r != (Result{v, true}) {
			t.Fatalf("Lookup(%v) = %v, %v; want %q", q, r, err, v)
		}
		pairs[strings.Join([]string{q.System1, q.Key1, q.System2, q.Key2}, "/")]++
	}
	for e := range m.entries {
		names[e[0]+"/"+e[1]]++
	}
	for pair, n := range pairs {
		if have := s.db.Client().HLen(ctx, s.keys.MapOfPair(pair)).Val(); have != n {
			t.Fatalf("map %s has %d fields, want %d", pair, have, n)
		}
	}
	if diff := cmp.Diff(pairs, sn.pairs); diff != "" {
		t.Fatalf("pairs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(names, sn.names); diff != "" {
		t.Fatalf("names (-want +got)\n%s", diff)
	}
}

// gen makes random names, values and edits out of few, so that they meet.
type gen struct{ *rand.Rand }

func (g gen) name() string {
	return []string{"A", "B", "CRM", "ERP-2", "ż.ó"}[g.Intn(5)]
}

func (g gen) value() string {
	return []string{"", "1", "2", "x", "X:::y", "a\tb", "a", "line\nbreak", "<em>", `"q"`, "ü", strings.Repeat("v", 3000)}[g.Intn(12)]
}

func (g gen) translation() Translation {
	return Translation{System1: g.name(), Key1: g.name(), Value1: g.value(), System2: g.name(), Key2: g.name(), Value2: g.value()}
}

func TestAgainstModel(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		g := gen{rand.New(rand.NewSource(1))}
		m := newModel()
		type past struct {
			change string
			before *model
		}
		var history []past
		for i := range 400 {
			before := m.clone()
			c, err := g.step(t, s, m)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if c.ID != "" {
				history = append(history, past{c.ID, before})
			}
			if i%20 == 0 {
				m.check(t, s)
			}
			if len(history) > 0 && g.Intn(10) == 0 { // undo the last
				last := history[len(history)-1]
				if _, err := s.Undo(t.Context(), By{Who: "u"}, last.change); err != nil {
					t.Fatalf("undo %s: %v", last.change, err)
				}
				m = last.before
				history = nil
				m.check(t, s)
			}
		}
		m.check(t, s)
	})
}

// step makes one random edit in the store and in the model.
func (g gen) step(t *testing.T, s *Store, m *model) (c Change, err error) {
	ctx, by := t.Context(), By{Who: "u"}
	all, err := s.Translations(ctx, Filter{}, ListOptions{Limit: 1000})
	if err != nil {
		return c, err
	}
	entries, err := s.Entries(ctx, Filter{}, ListOptions{Limit: 1000})
	if err != nil {
		return c, err
	}
	switch n := g.Intn(10); {
	case n < 5 || len(all.Items) == 0:
		x := g.translation()
		_, c, err = s.CreateTranslation(ctx, by, x, true)
		if _, taken := m.translations[x.Query()]; taken {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("created %v twice: %w", x, err)
			}
			return c, nil
		}
		m.put(x)
	case n < 6:
		x := all.Items[g.Intn(len(all.Items))]
		old := x.Query()
		x.Value2 = g.value()
		if g.Intn(3) == 0 {
			x.Value1 = g.value()
		}
		var y Translation
		y, c, err = s.UpdateTranslation(ctx, by, x, true)
		if _, taken := m.translations[x.Query()]; taken && x.Query() != old {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("moved onto another: %w", err)
			}
			return c, nil
		}
		if err == nil && y.ID != x.ID {
			return c, fmt.Errorf("ID %q became %q", x.ID, y.ID)
		}
		delete(m.translations, old)
		m.put(x)
	case n < 7:
		x := all.Items[g.Intn(len(all.Items))]
		c, err = s.DeleteTranslation(ctx, by, x.ID, x.Version)
		delete(m.translations, x.Query())
	case n < 8:
		e := entries.Items[g.Intn(len(entries.Items))]
		c, err = s.DeleteEntry(ctx, by, e.ID, e.Version)
		m.deleteEntry([3]string{e.System, e.Key, e.Value})
	default:
		e := entries.Items[g.Intn(len(entries.Items))]
		from := [3]string{e.System, e.Key, e.Value}
		e.System, e.Key, e.Value = g.name(), g.name(), g.value()
		to := [3]string{e.System, e.Key, e.Value}
		_, c, err = s.UpdateEntry(ctx, by, e)
		if m.entries[to] && from != to {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("renamed onto another: %w", err)
			}
			return c, nil
		}
		m.renameEntry(from, to)
	}
	return c, err
}
