package dict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// undoable are changes of what setUp has made. Those that are large too can be so in more than a few items.
var undoable = []struct {
	name   string
	large  bool
	change func(ctx context.Context, s *Store, ts []Translation, es map[string]Entry) (string, error)
}{
	{"create an entry", false, func(ctx context.Context, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
		_, c, err := s.CreateEntry(ctx, By{Who: "u"}, Entry{System: "CRM", Key: "COUNTRY", Value: "CZ"})
		return c.ID, err
	}},
	{"create a translation and its entries", false, func(ctx context.Context, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
		_, c, err := s.CreateTranslation(ctx, By{Who: "u"}, tr("CZ", "Czechy"), true)
		return c.ID, err
	}},
	{"create a translation between entries", false, func(ctx context.Context, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
		x := tr("PL", "Niemcy")
		x.System2, x.Key2, x.Value2 = "CRM", "COUNTRY", "DE"
		_, c, err := s.CreateTranslation(ctx, By{Who: "u"}, x, false)
		return c.ID, err
	}},
	{"change a value", false, func(ctx context.Context, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
		ts[0].Value2 = "Rzeczpospolita"
		_, c, err := s.UpdateTranslation(ctx, By{Who: "u"}, ts[0], true)
		return c.ID, err
	}},
	{"move a translation", false, func(ctx context.Context, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
		ts[0].Value1, ts[0].Value2, ts[0].System2 = "RP", "Polonia", "BILLING"
		_, c, err := s.UpdateTranslation(ctx, By{Who: "u"}, ts[0], true)
		return c.ID, err
	}},
	{"rename a source", true, func(ctx context.Context, s *Store, _ []Translation, es map[string]Entry) (string, error) {
		e := es["PL"]
		e.System, e.Value = "PORTAL", "POL"
		_, c, err := s.UpdateEntry(ctx, By{Who: "u"}, e)
		return c.ID, err
	}},
	{"rename a target", true, func(ctx context.Context, s *Store, _ []Translation, es map[string]Entry) (string, error) {
		e := es["Polska"]
		e.Value = "Aaa"
		_, c, err := s.UpdateEntry(ctx, By{Who: "u"}, e)
		return c.ID, err
	}},
	{"rename what is source and target", true, func(ctx context.Context, s *Store, _ []Translation, es map[string]Entry) (string, error) {
		e := es["DE"]
		e.Value = "D"
		_, c, err := s.UpdateEntry(ctx, By{Who: "u"}, e)
		return c.ID, err
	}},
	{"rename what isn't used", true, func(ctx context.Context, s *Store, _ []Translation, es map[string]Entry) (string, error) {
		e := es["alone"]
		e.Key = "K2"
		_, c, err := s.UpdateEntry(ctx, By{Who: "u"}, e)
		return c.ID, err
	}},
	{"delete a translation", true, func(ctx context.Context, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
		c, err := s.DeleteTranslation(ctx, By{Who: "u"}, ts[0].ID, 0)
		return c.ID, err
	}},
	{"delete an entry and what it is part of", true, func(ctx context.Context, s *Store, _ []Translation, es map[string]Entry) (string, error) {
		c, err := s.DeleteEntry(ctx, By{Who: "u"}, es["DE"].ID, 0)
		return c.ID, err
	}},
	{"merge a file", true, func(ctx context.Context, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
		res, err := s.Import(ctx, By{Who: "u"}, csvFileOf([]Translation{tr("PL", "Polonia"), tr("SK", "Słowacja"), tr("DE", "Niemcy")}), ImportOptions{Format: CSV, Mode: Merge})
		return res.Change, err
	}},
	{"replace everything by a file", true, func(ctx context.Context, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
		res, err := s.Import(ctx, By{Who: "u"}, csvFileOf([]Translation{tr("PL", "Polonia"), tr("SK", "Słowacja"), tr("DE", "Niemcy")}), ImportOptions{Format: CSV, Mode: Replace})
		return res.Change, err
	}},
}

// setUp makes translations and an entry that stands alone. Entries are found by their value.
func setUp(t testing.TB, s *Store) (m *model, ts []Translation, es map[string]Entry) {
	t.Helper()
	m = newModel()
	back := tr("Polska", "DE")
	back.System1, back.Key1, back.System2, back.Key2 = "ERP", "LAND", "CRM", "COUNTRY"
	self := tr("DE", "DE")
	self.System2, self.Key2 = "CRM", "COUNTRY"
	ts = m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"), tr("", "Polska"), back, self)
	_, _, err := s.CreateEntry(t.Context(), By{}, Entry{System: "CRM", Key: "COUNTRY", Value: "alone"})
	must(t, err)
	m.entries[[3]string{"CRM", "COUNTRY", "alone"}] = true
	return m, ts, entriesByValue(t, s)
}

func entriesByValue(t testing.TB, s *Store) map[string]Entry {
	t.Helper()
	all, _ := contents(t, s)
	es := map[string]Entry{}
	for _, e := range all {
		es[e.Value] = e
	}
	return es
}

// modelOf takes what the store holds for right.
func modelOf(t testing.TB, s *Store) *model {
	t.Helper()
	m := newModel()
	es, ts := contents(t, s)
	m.importRows(es, ts, Merge)
	return m
}

// TestUndo: each change can be undone, and its undoing, and all is as it was, IDs and all.
func TestUndo(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) { undoEach(t, db, func(*testing.T) {}) })
}

// TestUndoOfLargeChanges is TestUndo for changes whose items stand in blocks.
func TestUndoOfLargeChanges(t *testing.T) {
	undoEach(t, kvtest.Open(t), func(t *testing.T) { set(t, &itemsInline, 1) })
}

func undoEach(t *testing.T, db *kvdb.DB, enlarge func(*testing.T)) {
	for _, c := range undoable {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, db)
			_, err := s.Import(t.Context(), By{}, strings.NewReader(csvHeader), ImportOptions{Format: CSV, Mode: Replace})
			must(t, err)
			before, ts, es := setUp(t, s)
			if c.large {
				enlarge(t)
			}
			idsBefore := identities(t, s)
			change, err := c.change(t.Context(), s, ts, es)
			must(t, err)
			idsAfter := identities(t, s)
			after := modelOf(t, s)
			after.check(t, s)
			if maps.Equal(idsBefore, idsAfter) {
				t.Fatal("it changed nothing")
			}
			for i := range 3 { // undone, redone, undone
				u, err := s.Undo(t.Context(), By{Who: "other"}, change)
				must(t, err)
				m, ids := before, idsBefore
				if i%2 == 1 {
					m, ids = after, idsAfter
				}
				m.check(t, s)
				same(t, "what the IDs stand for", ids, identities(t, s))
				checkUndone(t, s, change, u)
				change = u.ID
			}
		})
	}
}

// checkUndone sees that a change and its undoing know of each other, and that both count the same.
func checkUndone(t *testing.T, s *Store, change string, u Change) {
	t.Helper()
	c, err := s.Change(t.Context(), change)
	must(t, err)
	stored, err := s.Change(t.Context(), u.ID)
	must(t, err)
	if diff := cmp.Diff(stored, u); diff != "" {
		t.Errorf("the undoing (-stored +returned)\n%s", diff)
	}
	if c.UndoneBy != u.ID || u.Undoes != c.ID || u.Kind != KindUndo || u.By != "other" || u.Summary != "Undo of change "+c.ID+": "+c.Summary {
		t.Errorf("%+v undoes %+v", u, c)
	}
	if want := (Counts{c.Counts.Deleted, c.Counts.Updated, c.Counts.Created, c.Counts.EntriesDeleted, c.Counts.EntriesUpdated, c.Counts.EntriesCreated}); u.Counts != want {
		t.Errorf("it counts %+v, want %+v", u.Counts, want)
	}
}

// TestUndoConflicts: what was changed since is not overwritten, and the whole undoing is refused.
func TestUndoConflicts(t *testing.T) {
	ctx := context.Background()
	by := By{Who: "u"}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *Store, ts []Translation, es map[string]Entry) (string, error)
		since  func(t *testing.T, s *Store, ts []Translation, es map[string]Entry)
		total  int64
		item   Item // the first, without IDs and versions
	}{
		{"a value was changed again", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf([]Translation{tr("PL", "Polonia"), tr("XX", "Nic")}), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			x, err := s.Translation(ctx, ts[0].ID)
			must(t, err)
			x.Value2 = "Pologne"
			_, _, err = s.UpdateTranslation(ctx, by, x, true)
			must(t, err)
		}, 1, Item{TranslationBefore: new(tr("PL", "Polonia")), TranslationAfter: new(tr("PL", "Pologne"))}},
		{"what was changed is deleted", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf([]Translation{tr("PL", "Polonia")}), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			_, err := s.DeleteTranslation(ctx, by, ts[0].ID, 0)
			must(t, err)
		}, 1, Item{TranslationBefore: new(tr("PL", "Polonia"))}},
		{"what was deleted is there again", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			c, err := s.DeleteTranslation(ctx, by, ts[0].ID, 0)
			return c.ID, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			_, _, err := s.CreateTranslation(ctx, by, tr("PL", "Polen"), true)
			must(t, err)
		}, 1, Item{TranslationAfter: new(tr("PL", "Polen"))}},
		{"what was created was deleted and created again", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf([]Translation{tr("XX", "Nic")}), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			p, err := s.Translations(ctx, Filter{Value1: "XX"}, ListOptions{})
			must(t, err)
			_, err = s.DeleteTranslation(ctx, by, p.Items[0].ID, 0)
			must(t, err)
			_, _, err = s.CreateTranslation(ctx, by, tr("XX", "Nic"), true)
			must(t, err)
		}, 1, Item{TranslationBefore: new(tr("XX", "Nic")), TranslationAfter: new(tr("XX", "Nic"))}},
		{"what was renamed was renamed again", func(t *testing.T, s *Store, ts []Translation, es map[string]Entry) (string, error) {
			e := es["Polska"]
			e.Value = "Polonia"
			_, c, err := s.UpdateEntry(ctx, by, e)
			return c.ID, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			e := entriesByValue(t, s)["Polonia"]
			e.Value = "Pologne"
			_, _, err := s.UpdateEntry(ctx, by, e)
			must(t, err)
		}, 4, Item{EntryBefore: &Entry{System: "ERP", Key: "LAND", Value: "Polonia"}, EntryAfter: &Entry{System: "ERP", Key: "LAND", Value: "Pologne"}}},
		{"the old name of what was renamed is taken", func(t *testing.T, s *Store, ts []Translation, es map[string]Entry) (string, error) {
			e := es["alone"]
			e.Value = "lonely"
			_, c, err := s.UpdateEntry(ctx, by, e)
			return c.ID, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			_, _, err := s.CreateEntry(ctx, by, Entry{System: "CRM", Key: "COUNTRY", Value: "alone"})
			must(t, err)
		}, 1, Item{EntryAfter: &Entry{System: "CRM", Key: "COUNTRY", Value: "alone"}}},
		{"what was deleted with its entry is there again", func(t *testing.T, s *Store, ts []Translation, es map[string]Entry) (string, error) {
			c, err := s.DeleteEntry(ctx, by, es["PL"].ID, 0)
			return c.ID, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			_, _, err := s.CreateTranslation(ctx, by, tr("PL", "Polska"), true)
			must(t, err)
		}, 1, Item{TranslationAfter: new(tr("PL", "Polska"))}},
		{"what was created was moved", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf([]Translation{tr("XX", "Nic"), tr("YY", "Nic")}), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			p, err := s.Translations(ctx, Filter{Value1: "XX"}, ListOptions{})
			must(t, err)
			x := p.Items[0]
			x.Value1 = "ZZ"
			_, _, err = s.UpdateTranslation(ctx, by, x, true)
			must(t, err)
		}, 1, Item{TranslationBefore: new(tr("XX", "Nic")), TranslationAfter: new(tr("ZZ", "Nic"))}},
		{"what was created was renamed", func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf([]Translation{tr("XX", "Nic")}), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, ts []Translation, _ map[string]Entry) {
			e := entriesByValue(t, s)["XX"]
			e.Key = "K2"
			_, _, err := s.UpdateEntry(ctx, by, e)
			must(t, err)
		}, 2, Item{EntryBefore: &Entry{System: "CRM", Key: "COUNTRY", Value: "XX"}, EntryAfter: &Entry{System: "CRM", Key: "K2", Value: "XX"}}},
		{"many", func(t *testing.T, s *Store, _ []Translation, _ map[string]Entry) (string, error) {
			res, err := s.Import(ctx, by, csvFileOf(numbered(30, "first")), ImportOptions{Format: CSV, Mode: Merge})
			return res.Change, err
		}, func(t *testing.T, s *Store, _ []Translation, _ map[string]Entry) {
			_, err := s.Import(ctx, by, csvFileOf(numbered(25, "second")), ImportOptions{Format: CSV, Mode: Merge})
			must(t, err)
		}, 25, Item{TranslationBefore: new(tr("n00", "first")), TranslationAfter: new(tr("n00", "second"))}},
	} {
		for _, large := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s large %v", c.name, large), func(t *testing.T) {
				s := newStore(t, kvtest.Open(t))
				_, ts, es := setUp(t, s)
				func() {
					inline := itemsInline
					defer func() { itemsInline = inline }()
					if large {
						itemsInline = 1
					}
					change, err := c.change(t, s, ts, es)
					must(t, err)
					if got, err := s.Change(ctx, change); err != nil || got.Large != large {
						t.Fatalf("%+v, %v", got, err)
					}
					ts = append(ts, Translation{ID: change})
				}()
				change := ts[len(ts)-1].ID
				c.since(t, s, ts, es)
				m := modelOf(t, s)
				keys, _ := keysOf(t, s)
				_, err := s.Undo(ctx, By{Who: "other"}, change)
				var conflict *UndoConflictError
				if !errors.As(err, &conflict) || !errors.Is(err, kvdb.ErrConflict) {
					m.check(t, s)
					t.Fatalf("%v, want an UndoConflictError", err)
				}
				if conflict.Total != c.total || len(conflict.Items) != int(min(c.total, 20)) || !strings.HasSuffix(err.Error(), "nothing was undone") {
					t.Errorf("%d of %d items (%v), want %d", len(conflict.Items), conflict.Total, err, c.total)
				}
				if diff := cmp.Diff(c.item, plainItem(conflict.Items[0])); diff != "" {
					t.Errorf("the first item (-want +got)\n%s", diff)
				}
				after, _ := keysOf(t, s)
				same(t, "keys that last", keys, after)
				m.check(t, s)
			})
		}
	}
}

func numbered(n int, value2 string) (ts []Translation) {
	for i := range n {
		ts = append(ts, tr(fmt.Sprintf("n%02d", i), value2))
	}
	return ts
}

func plainItem(i Item) Item {
	for _, e := range []**Entry{&i.EntryBefore, &i.EntryAfter} {
		if *e != nil {
			*e = new(plainEntry(**e))
		}
	}
	for _, x := range []**Translation{&i.TranslationBefore, &i.TranslationAfter} {
		if *x != nil {
			*x = new(plain(**x))
		}
	}
	return i
}

// TestUndoLeavesEntriesInUse: entries that a change has made stay if something else has come to use them.
func TestUndoLeavesEntriesInUse(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		for _, large := range []bool{false, true} {
			s, m := newStore(t, db), newModel()
			_, err := s.Import(t.Context(), By{}, strings.NewReader(csvHeader), ImportOptions{Format: CSV, Mode: Replace})
			must(t, err)
			inline := itemsInline
			if large {
				itemsInline = 1
			}
			res, err := s.Import(t.Context(), By{}, csvFileOf([]Translation{tr("PL", "Polska"), tr("DE", "Niemcy")}), ImportOptions{Format: CSV, Mode: Merge})
			itemsInline = inline
			must(t, err)
			other := Translation{System1: "BILLING", Key1: "C", Value1: "1", System2: "CRM", Key2: "COUNTRY", Value2: "PL"}
			back := Translation{System1: "ERP", Key1: "LAND", Value1: "Niemcy", System2: "BILLING", Key2: "C", Value2: "1"}
			m.mustCreate(t, s, other, back)
			c, err := s.Undo(t.Context(), By{}, res.Change)
			must(t, err)
			m.check(t, s)
			if want := (Counts{Deleted: 2, EntriesDeleted: 2}); c.Counts != want {
				t.Errorf("%+v, want %+v", c.Counts, want)
			}
		}
	})
}

// TestUndoTwice: the second undoing of a change is refused, but for one that is sent again.
func TestUndoTwice(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		m := newModel()
		x := m.mustCreate(t, s, tr("PL", "Polska"))[0]
		c, err := s.DeleteTranslation(t.Context(), By{}, x.ID, 0)
		must(t, err)
		first, err := s.Undo(t.Context(), By{Op: "a"}, c.ID)
		must(t, err)
		again, err := s.Undo(t.Context(), By{Op: "a"}, c.ID)
		must(t, err)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("sent again (-first +second)\n%s", diff)
		}
		if _, err := s.Undo(t.Context(), By{Op: "b"}, c.ID); !errors.Is(err, kvdb.ErrConflict) || err.Error() != "change "+c.ID+" was undone already, by change "+first.ID {
			t.Errorf("undone twice: %v", err)
		}
		m.check(t, s)
	})
}

// TestUndoAtOnce: of many who undo the same at once, one does.
func TestUndoAtOnce(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s, other := newStore(t, db), newStore(t, db)
	_, _, es := setUp(t, s)
	before := modelOf(t, s)
	c, err := s.DeleteEntry(t.Context(), By{}, es["DE"].ID, 0)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var done []string
	for i := range 6 {
		wg.Go(func() {
			u, err := []*Store{s, other}[i%2].Undo(context.Background(), By{}, c.ID)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && u.ID != "":
				done = append(done, u.ID)
			case !errors.Is(err, kvdb.ErrConflict):
				t.Errorf("%+v, %v; want ErrConflict", u, err)
			}
		})
	}
	wg.Wait()
	if len(done) != 1 {
		t.Errorf("undone by %v", done)
	}
	before.check(t, s)
}

// past lives through random steps, and looks up what was at all moments of them.
func past(t *testing.T, db *kvdb.DB, steps int, step func(s *Store, m *model, g gen)) {
	now := newClock()
	s, m, g := newStoreAt(t, db, now.now), newModel(), newGen(21)
	type moment struct {
		at time.Time
		m  *model
	}
	moments := []moment{{now.now(), newModel()}}
	asked := map[Query]bool{g.translation().Query(): true}
	for range steps {
		now.add(time.Second)
		step(s, m, g)
		moments = append(moments, moment{now.now(), m.clone()})
		for q := range m.translations {
			asked[q] = true
		}
	}
	for q := range asked {
		for range 2 {
			i := g.Intn(len(moments))
			p := moments[i]
			v, ok := p.m.translations[q]
			at := p.at
			if i+1 < len(moments) && g.Intn(2) == 0 {
				at = at.Add(999 * time.Millisecond) // just before the next change
			}
			if got, err := s.At(t.Context(), q, at); err != nil || got != (Result{v, ok}) {
				t.Fatalf("%+v at %v: %+v, %v; want %q, %v", q, at, got, err, v, ok)
			}
		}
	}
	q := tr("x", "").Query()
	q.Key1 = ""
	if _, err := s.At(t.Context(), q, now.now()); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a bad name: %v, want ErrInvalid", err)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		past(t, db, 30, func(s *Store, m *model, g gen) {
			_, err := g.step(t, s, m)
			must(t, err)
		})
	})
}

func TestAtAmongLargeChanges(t *testing.T) {
	stageAll(t)
	set(t, &itemsInline, 256)
	past(t, kvtest.Open(t), 12, func(s *Store, m *model, g gen) {
		_, ts := g.file(m, 0, 20)
		mode := []Mode{Merge, Merge, Replace}[g.Intn(3)]
		m.importRows(nil, ts, mode)
		_, err := s.Import(t.Context(), By{}, csvFileOf(ts), ImportOptions{Format: CSV, Mode: mode, SkipRejected: true})
		must(t, err)
	})
}

func TestAtLongAgo(t *testing.T) {
	t.Parallel()
	now := newClock()
	s, m := newStoreAt(t, kvtest.Open(t), now.now), newModel()
	before := now.now().Add(-time.Second)
	x := m.mustCreate(t, s, tr("PL", "0"))[0]
	for i := 1; i < 210; i++ {
		now.add(time.Second)
		x.Value2 = fmt.Sprint(i)
		var err error
		x, _, err = s.UpdateTranslation(t.Context(), By{}, x, true)
		must(t, err)
	}
	for i, want := range map[int]Result{-1: {}, 0: {"0", true}, 1: {"1", true}, 150: {"150", true}, 209: {"209", true}} {
		if got, err := s.At(t.Context(), x.Query(), before.Add(time.Duration(i+1)*time.Second)); got != want || err != nil {
			t.Errorf("change %d: %+v, %v; want %+v", i, got, err, want)
		}
	}
}

// TestChanges pages through the history, newest first.
func TestChanges(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, m := newStoreAt(t, db, now.now), newModel()
		g := newGen(31)
		var want []Change
		for len(want) < 25 {
			now.add(time.Minute)
			c, err := g.step(t, s, m)
			must(t, err)
			if c.ID == "" {
				continue
			}
			if c.At != now.now().Truncate(time.Millisecond) {
				t.Errorf("change %s was made at %v, not %v", c.ID, c.At, now.now())
			}
			want = append([]Change{c}, want...)
		}
		for limit := 1; limit < 30; limit += 6 {
			var got []Change
			for cursor := ""; ; {
				page, err := s.Changes(t.Context(), cursor, limit)
				must(t, err)
				if page.Total != 25 || page.All != 25 || len(page.Items) > limit {
					t.Fatalf("%d of %d changes", len(page.Items), page.Total)
				}
				got = append(got, page.Items...)
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("limit %d (-want +got)\n%s", limit, diff)
			}
		}
		for _, c := range want {
			got, err := s.Change(t.Context(), c.ID)
			if diff := cmp.Diff(c, got); err != nil || diff != "" {
				t.Errorf("change %s: %v (-returned +read)\n%s", c.ID, err, diff)
			}
			for _, i := range c.Items { // the number of the change is the version of all that it touched
				if i.EntryAfter != nil && i.EntryAfter.Version != c.version() || i.TranslationAfter != nil && i.TranslationAfter.Version != c.version() ||
					i.EntryBefore != nil && i.EntryBefore.Version >= c.version() || i.TranslationBefore != nil && i.TranslationBefore.Version >= c.version() {
					t.Errorf("change %s: item %+v", c.ID, i)
				}
			}
		}
		for _, id := range []string{"", "0", "-1", "01", "x", "26", "1-0", " 1", "9223372036854775808"} {
			if _, err := s.Change(t.Context(), id); !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("change %q: %v, want ErrNotFound", id, err)
			}
		}
	})
}

func TestHeads(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := New(db, Options{})
		for _, v := range []string{"a", "b"} {
			_, _, err := s.CreateEntry(t.Context(), By{Who: "who " + v}, Entry{System: "S", Key: "K", Value: v})
			must(t, err)
		}
		heads, err := s.Heads(t.Context(), []int64{2, 9, 1})
		if err != nil || len(heads) != 2 || heads[1].By != "who a" || heads[2].By != "who b" || heads[2].Items != nil {
			t.Errorf("%+v, %v", heads, err)
		}
		if none, err := s.Heads(t.Context(), nil); len(none) != 0 || err != nil {
			t.Errorf("%+v, %v", none, err)
		}
	})
}
