package dict

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestManyEditTheSameRows: two processes with four people each change, move and delete the same few rows.
// Each edit that was acknowledged is in the history once, was made of what its maker had read, and the
// history leads to what is there.
func TestManyEditTheSameRows(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		const people, edits = 8, 10
		stores := []*Store{newStore(t, db), newStore(t, db)}
		m := newModel()
		m.mustCreate(t, stores[0], numbered(4, "start")...)
		var mu sync.Mutex
		acknowledged := map[string]string{} // change → what was edited
		base := map[string]int64{}          // change → version of what was edited
		stale := 0
		var wg sync.WaitGroup
		for person := range people {
			s, g := stores[person%2], gen{rand.New(rand.NewSource(int64(person)))}
			wg.Go(func() {
				ctx := context.Background()
				last := int64(0)
				for i := range edits {
					page, err := s.Translations(ctx, Filter{}, ListOptions{})
					if err != nil {
						t.Error(err)
						return
					}
					kind := g.Intn(8)
					if len(page.Items) < 2 {
						page.Items, kind = make([]Translation, 1), 1
					}
					x := page.Items[g.Intn(len(page.Items))]
					was := x.Version
					var c Change
					switch kind {
					case 0:
						c, err = s.DeleteTranslation(ctx, By{}, x.ID, x.Version)
					case 1:
						_, c, err = s.CreateTranslation(ctx, By{}, tr(fmt.Sprintf("%d.%d", person, i), "new"), true)
						was = 0
					case 2:
						x.Value1 += "+"
						_, c, err = s.UpdateTranslation(ctx, By{}, x, true)
					default:
						x.Value2 = fmt.Sprintf("%d.%d", person, i)
						_, c, err = s.UpdateTranslation(ctx, By{}, x, true)
					}
					mu.Lock()
					var old *StaleError
					switch {
					case errors.As(err, &old) && old.Translation.Version > was, errors.Is(err, kvdb.ErrNotFound):
						stale++
					case err != nil:
						t.Error(err)
					default:
						if _, twice := acknowledged[c.ID]; twice || c.version() <= last {
							t.Errorf("change %s comes after %d", c.ID, last)
						}
						last = c.version()
						acknowledged[c.ID], base[c.ID] = x.ID, was
						if was == 0 {
							acknowledged[c.ID] = ""
						}
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()

		page, err := stores[0].Changes(t.Context(), "", MaxPage)
		must(t, err)
		replay := newModel()
		if len(page.Items) != len(acknowledged)+4 || stale+len(acknowledged) != people*edits {
			t.Errorf("%d changes, %d acknowledged, %d stale", len(page.Items), len(acknowledged), stale)
		}
		for i := len(page.Items) - 1; i >= 0; i-- {
			c := page.Items[i]
			if i+1 < len(page.Items) && c.version() <= page.Items[i+1].version() {
				t.Errorf("change %s comes after %s", c.ID, page.Items[i+1].ID)
			}
			edited, ok := acknowledged[c.ID]
			if !ok && i < len(page.Items)-4 {
				t.Errorf("change %s was not acknowledged", c.ID)
			}
			for _, item := range c.Items {
				replay.apply(item)
				if x := item.TranslationBefore; x != nil && (x.ID != edited || x.Version != base[c.ID]) {
					t.Errorf("change %s: of %+v, but made of %s version %d", c.ID, x, edited, base[c.ID])
				}
			}
		}
		for _, s := range stores {
			replay.check(t, s)
		}
	})
}

// apply does what an item of the history says.
func (m *model) apply(i Item) {
	if e := i.EntryBefore; e != nil {
		delete(m.entries, fieldsOf(*e))
	}
	if e := i.EntryAfter; e != nil {
		m.entries[fieldsOf(*e)] = true
	}
	if x := i.TranslationBefore; x != nil {
		delete(m.translations, x.Query())
	}
	if x := i.TranslationAfter; x != nil {
		m.translations[x.Query()] = x.Value2
	}
}

// TestOneOpOfMany: an operation that is sent ten times at once, to two processes, is done once, and all get
// the same answer.
func TestOneOpOfMany(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		stores := []*Store{newStore(t, db), newStore(t, db)}
		m := newModel()
		x := m.mustCreate(t, stores[0], tr("PL", "Polska"))[0]
		x.Value2 = "Polonia"
		cz, err1 := stores[0].At(t.Context(), x.Query(), time.Now())
		for name, send := range map[string]func(s *Store, by By) (Change, error){
			"create": func(s *Store, by By) (Change, error) {
				_, c, err := s.CreateTranslation(context.Background(), by, tr("CZ", "Czechy"), true)
				return c, err
			},
			"change": func(s *Store, by By) (Change, error) {
				_, c, err := s.UpdateTranslation(context.Background(), by, x, true)
				return c, err
			},
			"create an entry": func(s *Store, by By) (Change, error) {
				_, c, err := s.CreateEntry(context.Background(), by, entry("SK"))
				return c, err
			},
			"import": func(s *Store, by By) (Change, error) {
				res, err := s.Import(context.Background(), by, csvFileOf(numbered(5, "x")), ImportOptions{Format: CSV, Mode: Merge})
				return Change{ID: res.Change}, err
			},
		} {
			changes := make([]Change, 10)
			errs := make([]error, 10)
			var wg sync.WaitGroup
			for i := range changes {
				wg.Go(func() { changes[i], errs[i] = send(stores[i%2], By{Who: "u", Op: "op " + name}) })
			}
			wg.Wait()
			must(t, errors.Join(errs...))
			for _, c := range changes {
				if diff := cmp.Diff(changes[0], c); diff != "" || c.ID == "" {
					t.Errorf("%s: two answers\n%s", name, diff)
				}
			}
		}
		if err1 != nil || cz.Value2 != "Polska" {
			t.Errorf("%+v, %v", cz, err1)
		}
		m.put(x)
		m.importRows([]Entry{entry("SK")}, append(numbered(5, "x"), tr("CZ", "Czechy")), Merge)
		m.check(t, stores[0])
		if page, err := stores[1].Changes(t.Context(), "", 0); err != nil || page.Total != 5 {
			t.Errorf("%d changes, %v; want 5", page.Total, err)
		}
	})
}

// atCommit calls f when an import is about to be committed.
func atCommit(f func()) func(Progress) {
	return func(p Progress) {
		if p.Stage == "committing" {
			f()
		}
	}
}

// TestEditsDuringALargeImport: while it is being written, lookups and lists go on, edits wait, or are refused
// as not done when it takes too long, and none is lost.
func TestEditsDuringALargeImport(t *testing.T) {
	stageAll(t)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		here, other := newStore(t, db), newStore(t, db)
		m := newModel()
		m.mustCreate(t, here, tr("PL", "Polska"))
		ctx := t.Context()

		set(t, &leaseWait, 50*time.Millisecond)
		m.importRows(nil, numbered(40, "x"), Merge)
		_, err := here.Import(ctx, By{}, csvFileOf(numbered(40, "x")), ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(func() {
			if n := db.Client().Exists(ctx, here.keys.Lease()).Val(); n != 1 {
				t.Error("there is no lease")
			}
			for _, s := range []*Store{here, other} {
				_, _, err := s.CreateEntry(ctx, By{}, entry("refused"))
				if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "A large import is being written; nothing was changed.") {
					t.Errorf("an edit: %v, want ErrAway", err)
				}
				if r, err := s.Lookup(ctx, tr("PL", "").Query()); err != nil || r.Value2 != "Polska" {
					t.Errorf("a lookup: %+v, %v", r, err)
				}
				if r, err := s.Lookup(ctx, tr("n01", "").Query()); err != nil || r.Found {
					t.Errorf("a lookup of what is being imported: %+v, %v", r, err)
				}
				if page, err := s.Translations(ctx, Filter{}, ListOptions{}); err != nil || page.All != 1 {
					t.Errorf("a list: %+v, %v", page, err)
				}
			}
			gone, cancel := context.WithCancel(ctx)
			cancel()
			if _, _, err := other.CreateEntry(gone, By{}, entry("refused")); !errors.Is(err, kvdb.ErrAway) {
				t.Errorf("an edit that was given up: %v, want ErrAway", err)
			}
		})})
		must(t, err)
		m.check(t, here)

		set(t, &leaseWait, 10*time.Second)
		var wg sync.WaitGroup
		began := make(chan struct{}, 2)
		m.importRows(nil, numbered(40, "y"), Merge)
		_, err = here.Import(ctx, By{}, csvFileOf(numbered(40, "y")), ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(func() {
			for i, s := range []*Store{here, other} {
				value := fmt.Sprint(i)
				m.entries[fieldsOf(entry(value))] = true
				wg.Go(func() {
					began <- struct{}{}
					if _, _, err := s.CreateEntry(context.Background(), By{}, entry(value)); err != nil {
						t.Errorf("an edit that waits: %v", err)
					}
				})
			}
			<-began
			<-began
		})})
		must(t, err)
		wg.Wait()
		m.check(t, here)
		page, err := here.Changes(ctx, "", 3)
		must(t, err)
		if page.Items[2].Kind != KindImport || page.Items[0].Kind != KindEdit {
			t.Errorf("the import came after the edits: %+v", page.Items)
		}
	})
}

// TestLeaseThatWasLost: who prepared a large change for too long begins anew, with what others have done since.
func TestLeaseThatWasLost(t *testing.T) {
	stageAll(t)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other := newStore(t, db), newStore(t, db)
		m := newModel()
		x := m.mustCreate(t, other, tr("PL", "Polska"), tr("DE", "Niemcy"))[0]
		ctx := t.Context()
		times := 0
		_, err := s.Import(ctx, By{}, csvFileOf(numbered(40, "x")), ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(func() {
			if times++; times == 1 {
				must(t, db.Client().Del(ctx, s.keys.Lease()).Err()) // as time does
				_, err := other.DeleteTranslation(ctx, By{}, x.ID, 0)
				must(t, err)
			}
		})})
		must(t, err)
		delete(m.translations, x.Query())
		m.importRows(nil, numbered(40, "x"), Merge)
		m.check(t, s)
		if n := db.Client().Exists(ctx, s.keys.Lease()).Val(); times != 2 || n != 0 {
			t.Errorf("committed %d times, %d leases are left", times, n)
		}
	})
}

// TestLeaseLostOnTheWay loses it before each so many round trips of a large import, to somebody who changes what
// the import has looked at.
func TestLeaseLostOnTheWay(t *testing.T) {
	stageAll(t)
	srv := kvtest.NewServer(t)
	other, m := newStore(t, openURL(t, srv.URL())), newModel()
	_, trips, err := stagedImport(t.Context(), t, srv.URL(), By{}, "z", func(int) {})
	must(t, err)
	for _, at := range []int{4, trips / 3, trips / 2, trips * 3 / 4, trips - 2, trips - 1} {
		var edited Change
		res, _, err := stagedImport(t.Context(), t, srv.URL(), By{}, fmt.Sprint(at), func(n int) {
			if n != at {
				return
			}
			must(t, other.db.Client().Del(t.Context(), other.keys.Lease()).Err()) // as time does
			page, err := other.Translations(t.Context(), Filter{}, ListOptions{Limit: 1})
			must(t, err)
			page.Items[0].Value1, page.Items[0].Value2 = "moved", "away"
			_, edited, err = other.UpdateTranslation(t.Context(), By{}, page.Items[0], true)
			must(t, err)
		})
		if err != nil || res.Change == edited.ID {
			t.Fatalf("lost before round trip %d: %+v, %v", at, res, err)
		}
		if c, err := other.Change(t.Context(), edited.ID); err != nil || c.Counts.Updated != 1 {
			t.Errorf("the edit is lost: %+v, %v", c, err)
		}
		m.importRows(nil, faultRows(fmt.Sprint(at)), Replace)
		m.check(t, other)
	}
}

// TestLargeImportsAtOnce: they wait for one another.
func TestLargeImportsAtOnce(t *testing.T) {
	stageAll(t)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		set(t, &leaseWait, 10*time.Second)
		stores := []*Store{newStore(t, db), newStore(t, db)}
		m := newModel()
		var wg sync.WaitGroup
		for i := range 4 {
			ts := numbered(30, "x")
			for n := range ts {
				ts[n].Value1 += fmt.Sprint(".", i)
			}
			m.importRows(nil, ts, Merge)
			wg.Go(func() {
				if res, err := stores[i%2].Import(context.Background(), By{}, csvFileOf(ts), ImportOptions{Format: CSV, Mode: Merge}); err != nil || res.Created != 30 {
					t.Errorf("import %d: %+v, %v", i, res, err)
				}
			})
		}
		wg.Wait()
		m.check(t, stores[0])
	})
}

// TestLeaseOfTheDead: who waits for a process that has died goes on when its lease ends. The clock of the
// application may stand still meanwhile.
func TestLeaseOfTheDead(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, m := newStoreAt(t, db, newClock().now), newModel()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		lease := func(kept time.Duration) { must(t, db.Client().Set(ctx, s.keys.Lease(), "dead", kept).Err()) }

		lease(time.Minute)
		set(t, &leaseWait, 20*time.Millisecond)
		if _, _, err := s.CreateEntry(ctx, By{}, entry("refused")); !errors.Is(err, kvdb.ErrAway) || ctx.Err() != nil {
			t.Errorf("%v, want ErrAway", err)
		}
		m.check(t, s)

		lease(100 * time.Millisecond)
		set(t, &leaseWait, 10*time.Second)
		m.mustCreate(t, s, tr("PL", "Polska"))
		lease(100 * time.Millisecond)
		stageAll(t)
		m.importRows(nil, numbered(40, "x"), Merge)
		_, err := s.Import(ctx, By{}, csvFileOf(numbered(40, "x")), ImportOptions{Format: CSV, Mode: Merge})
		must(t, err)
		m.check(t, s)
	})
}

// TestOutcomeIsForGood: an operation that was said not to be done can't be done by whoever is still about
// to do it, only by who sends it anew.
func TestOutcomeIsForGood(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other, m := newStore(t, db), newStore(t, db), newModel()
		ctx, by := t.Context(), By{Who: "u", Op: "op"}
		asked := 0
		send := func(ask bool) (ImportResult, error) {
			return s.Import(ctx, by, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(func() {
				if asked++; !ask {
					return
				}
				ask = false
				if change, done, err := other.Outcome(ctx, by.Op); change != "" || done || err != nil {
					t.Errorf("%q, %v, %v; want not done", change, done, err)
				}
			})})
		}
		for range 2 {
			if res, err := send(true); !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
				t.Errorf("%+v, %v; want ErrAway", res, err)
			}
			m.check(t, s)
		}
		if asked != 2 { // and not again and again
			t.Errorf("asked %d times", asked)
		}
		res, err := send(false)
		must(t, err)
		m.importRows(nil, numbered(3, "x"), Merge)
		m.check(t, s)
		for range 2 {
			if change, done, err := other.Outcome(ctx, by.Op); change != res.Change || !done || err != nil {
				t.Errorf("%q, %v, %v; want change %s", change, done, err, res.Change)
			}
		}
		if change, done, err := other.Outcome(ctx, "another"); change != "" || done || err != nil {
			t.Errorf("%q, %v, %v; want not done", change, done, err)
		}
	})
}
