package dict

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

var land = tr("", "").Query().Pair()

// useOf is the use of the pair of tr.
func useOf(t testing.TB, s *Store) Use {
	t.Helper()
	all, err := s.AllUsage(t.Context(), Filter{System1: "CRM", Key1: "COUNTRY", System2: "ERP", Key2: "LAND"})
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d pairs", len(all))
	}
	return all[0]
}

func wantHits(t testing.TB, s *Store, total int64) {
	t.Helper()
	if u := useOf(t, s); u.Total != total {
		t.Errorf("%d lookups, want %d", u.Total, total)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now, ctx := newClock(), t.Context()
		s, other, m := newStoreAt(t, db, now.now), newStoreAt(t, db, now.now), newModel()
		m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"), tr("", "empty"))
		x := tr("PL", "x")
		x.System2 = "another"
		m.mustCreate(t, s, x)

		if u := useOf(t, s); u.Total != 0 || !u.LastAt.IsZero() || !u.Since.IsZero() || u.Translations != 3 || u.Pair != land {
			t.Errorf("before anything was looked up: %+v", u)
		}
		first := now.now()
		ask(t, s, "PL", "PL", "nowhere", "")
		now.add(time.Minute)
		_, err := other.TranslateBatch(ctx, land.Query(), []string{"PL", "nowhere", "DE", "PL"})
		must(t, err)
		_, err = s.Lookup(ctx, tr("DE", "").Query()) // tried out
		must(t, err)
		must(t, other.flushUses(ctx))
		wantHits(t, s, 6)
		now.add(24 * time.Hour)
		ask(t, s, "DE")
		now.add(10 * 24 * time.Hour)
		ask(t, s, "DE", "DE")
		u := useOf(t, s)
		want := make([]int64, UseDays)
		want[UseDays-1], want[UseDays-11], want[UseDays-12] = 2, 1, 6
		if diff := cmp.Diff(want, u.Days); diff != "" {
			t.Errorf("days (-want +got)\n%s", diff)
		}
		if u.Total != 9 || u.Hits(1) != 2 || u.Hits(11) != 3 || u.Hits(12) != 9 || u.Hits(1000) != 9 || !u.LastAt.Equal(now.now().Truncate(time.Millisecond)) {
			t.Errorf("%+v", u)
		}
		if since := u.Since.Sub(first); since < 0 || since > 2*time.Minute {
			t.Errorf("counted since %v, first looked up at %v", u.Since, first)
		}

		// Days beyond UseDays go, the sum stays.
		now.add((UseDays - 1) * 24 * time.Hour)
		ask(t, s, "PL")
		u = useOf(t, s)
		if u.Total != 10 || u.Days[0] != 2 || u.Days[UseDays-1] != 1 || u.Hits(UseDays) != 3 {
			t.Errorf("%+v", u)
		}
		if n := db.Client().HLen(ctx, s.keys.Use(land.name())).Val(); n != 4 { // two days, total, last
			t.Errorf("%d fields", n)
		}

		page, err := s.Usage(ctx, Filter{}, "", 1)
		must(t, err)
		if len(page.Items) != 1 || page.Items[0].Pair != land || page.Total != 2 || page.All != 2 || page.Next == "" {
			t.Errorf("first page: %+v", page)
		}
		page, err = s.Usage(ctx, Filter{}, page.Next, 1)
		must(t, err)
		if len(page.Items) != 1 || page.Items[0].System2 != "another" || page.Items[0].Total != 0 || page.Items[0].Translations != 1 || page.Next != "" {
			t.Errorf("second page: %+v", page)
		}
		if page, err := s.Usage(ctx, Filter{System2: "nowhere"}, "", 0); err != nil || len(page.Items) != 0 || page.All != 2 {
			t.Errorf("nothing: %+v, %v", page, err)
		}
		for _, cursor := range []string{"x", "!"} {
			if _, err := s.Usage(ctx, Filter{}, cursor, 0); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
	})
}

// TestUsesCountOnce: a flush of which no answer comes is sent again, and counts once.
func TestUsesCountOnce(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s, m := newStore(t, db), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"))
	ask(t, s, "PL")
	must(t, s.flushUses(t.Context())) // the server knows the script
	once := true
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) {
		if args := cmds[0].Args(); once && len(args) > 3 && args[3] == s.keys.UseBatch(s.uses.Process) {
			once = false
			srv.Pause()
		}
	}))
	ask(t, s, "PL", "DE", "DE")
	if err := s.flushUses(t.Context()); !errors.Is(err, kvdb.ErrUnknown) {
		t.Fatalf("%v, want ErrUnknown", err)
	}
	srv.Resume()
	await(t, "it was written all the same", func() bool {
		return db.Client().HGet(t.Context(), s.keys.Use(land.name()), "total").Val() == "4"
	})
	ask(t, s, "PL")
	for range 2 {
		must(t, s.flushUses(t.Context()))
	}
	wantHits(t, s, 5)
	wantUnused(t, s, s.now())
}

// TestUsesOutliveTheServer: what could not be written waits, and Close writes what is left.
func TestUsesOutliveTheServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, durable...)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"), tr("CZ", "Czechy"))
	ask(t, s, "PL")
	srv.Kill()
	for range 3 {
		if err := s.flushUses(t.Context()); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("%v, want ErrAway", err)
		}
	}
	srv.Restart()
	awaitOK(t, s.db)
	ask(t, s, "DE")
	must(t, s.Close(t.Context()))
	after := newStore(t, openURL(t, srv.URL()))
	wantHits(t, after, 2)
	wantUnused(t, after, s.now(), "CZ")
}

// unused lists the values of the pair of tr that were not looked up.
func unused(t testing.TB, s *Store, since time.Time) (values []string) {
	t.Helper()
	f := Filter{System1: "CRM", Key1: "COUNTRY", System2: "ERP", Key2: "LAND", Unused: since}
	for cursor := ""; ; {
		page, err := s.Translations(t.Context(), f, ListOptions{Limit: MaxPage, Cursor: cursor})
		must(t, err)
		for _, x := range page.Items {
			values = append(values, x.Value1)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if n, err := s.Unused(t.Context(), land, since); err != nil || n != int64(len(values)) {
		t.Errorf("%d are counted, %d listed, %v", n, len(values), err)
	}
	return values
}

func wantUnused(t testing.TB, s *Store, since time.Time, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, unused(t, s, since)); diff != "" {
		t.Errorf("unused (-want +got)\n%s", diff)
	}
}

func TestUnusedByMonth(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now, ctx := newClock(), t.Context() // 6 May 2024
		s, m := newStoreAt(t, db, now.now), newModel()
		may := now.now()
		made := m.mustCreate(t, s, tr("a", "1"), tr("b", "2"), tr("c", "3"), tr("d", "4"))
		ask(t, s, "a", "b")
		now.add(31 * 24 * time.Hour) // 6 June
		june := now.now()
		wantUnused(t, s, june, "a", "b", "c", "d")
		ask(t, s, "b", "c")
		wantUnused(t, s, june, "a", "d")
		wantUnused(t, s, may, "d")
		wantUnused(t, s, june.AddDate(0, -UnusedMonths, 0), "d")
		months, err := s.LookedUp(ctx, append(made, Translation{System1: "no", Key1: "such", System2: "pair", Key2: "x"}))
		must(t, err)
		first := time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
		if diff := cmp.Diff([]time.Time{first.AddDate(0, -1, 0), first, first, {}, {}}, months); diff != "" {
			t.Errorf("looked up last (-want +got)\n%s", diff)
		}
		for since, text := range map[time.Time]string{
			june.AddDate(0, -UnusedMonths-1, 0): "is before 2023-06-01; which values were looked up is kept for 12 months",
			june.AddDate(0, 1, 0):               "lies in the future",
		} {
			if _, err := s.Translations(ctx, Filter{Unused: since}, ListOptions{}); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), text) {
				t.Errorf("since %v: %v", since, err)
			}
		}

		// A file that replaces the dictionary leaves what is known of the values.
		_, err = s.Import(ctx, By{}, csvFileOf([]Translation{tr("b", "22"), tr("c", "3"), tr("d", "4"), tr("e", "5")}), ImportOptions{Format: CSV, Mode: Replace})
		must(t, err)
		wantUnused(t, s, june, "d", "e")

		now.add(365 * 24 * time.Hour) // a year later, one value is asked for again
		ask(t, s, "e")
		wantUnused(t, s, now.now(), "b", "c", "d")
		wantUnused(t, s, now.now().AddDate(0, -UnusedMonths, 0), "d")
		for m := range map[string]bool{"2024-05": true, "2024-06": true, "2025-06": true} {
			if ttl := db.Client().TTL(ctx, s.keys.UseBits(m, land.name())).Val(); ttl < 13*31*24*time.Hour {
				t.Errorf("the bits of %s are kept for %v", m, ttl)
			}
		}
	})
}

// TestUsesAcrossMidnight: what is written late is of the month in which it was looked up, and of no other.
func TestUsesAcrossMidnight(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := newStoreAt(t, kvtest.Open(t), now.now)
	_, err := s.Import(t.Context(), By{}, csvFileOf(numbered(20, "x")), ImportOptions{Format: CSV, Mode: Replace})
	must(t, err)
	for i := range 20 {
		value := fmt.Sprintf("n%02d", i)
		ask(t, s, value)
		now.add(31 * 24 * time.Hour)
		ask(t, s, fmt.Sprintf("n%02d", (i+1)%20))
		must(t, s.flushUses(t.Context()))
		ask(t, s, value)
		if got := unused(t, s, now.now()); len(got) != 18 || slices.Contains(got, value) {
			t.Fatalf("round %d: unused are %q", i, got)
		}
	}
}

// TestUnusedPages: the filter goes with each other one, each order and each way to find what matches.
func TestUnusedPages(t *testing.T) {
	smallBlocks(t)
	now := newClock()
	db := kvtest.Open(t)
	_, m := seeded(t, db, 1500)
	s, ctx := newStoreAt(t, db, now.now), t.Context()
	all, used := m.sortedTranslations(), map[Query]bool{}
	for i, x := range all {
		if i%3 > 0 {
			used[x.Query()] = true
			r, err := s.Translate(ctx, x.Query())
			if err != nil || !r.Found {
				t.Fatal(r, err)
			}
		}
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			set(t, &scanGladly, way.scanGladly)
			set(t, &gatherMost, way.gatherMost)
			g := newGen(5)
			for range 8 {
				x := all[g.Intn(len(all))]
				f := Filter{Unused: now.now()}
				if g.Intn(2) == 0 {
					f.System1 = x.System1
				}
				if g.Intn(2) == 0 {
					f.System2, f.Key2 = x.System2, x.Key2
				}
				if g.Intn(3) == 0 {
					f.Q = "a"
				}
				o := ListOptions{Sort: Sort(g.Intn(2)), Desc: g.Intn(2) == 0}
				keeps := func(x Translation) bool { return f.keeps(x) && !used[x.Query()] }
				want := listed(all, keeps, order(o.Sort), o.Desc)
				limit := min(1+g.Intn(8)+len(want)/4, MaxPage)
				checkPages(t, fmt.Sprintf("%+v %+v", f, o), want, len(all), limit, o, plain, func(o ListOptions) (Page[Translation], error) {
					return s.Translations(ctx, f, o)
				})
			}
		})
	}
	set(t, &unusedPairs, 1)
	if _, err := s.Translations(ctx, Filter{Unused: now.now()}, ListOptions{}); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("too many pairs: %v", err)
	}
	set(t, &unusedPairs, 1000)
	set(t, &unusedBytes, 1)
	if _, err := s.Translations(ctx, Filter{Unused: now.now()}, ListOptions{}); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("too much to read: %v", err)
	}
	set(t, &unusedMost, 1)
	if n, err := s.Unused(ctx, all[0].Query().Pair(), now.now()); n != -1 || err != nil {
		t.Errorf("too many to count: %d, %v", n, err)
	}
}

// TestUnusedIsSure lets three processes look values up, and write at random moments, while the dictionary grows and shrinks: none of
// the values that were looked up is ever listed as unused, and few of the others are left out.
func TestUnusedIsSure(t *testing.T) {
	for name, limits := range map[string]struct {
		memory int
		idle   time.Duration
	}{"as it is": {useMemory, time.Minute}, "with little memory": {200, time.Minute}, "forgetting pairs": {useMemory, 2 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			set(t, &useMemory, limits.memory)
			kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
				now, g := newClock(), rand.New(rand.NewSource(1))
				processes := []*Store{newStoreAt(t, db, now.now), newStoreAt(t, db, now.now), newStoreAt(t, db, now.now)}
				used := map[string]time.Time{}
				count := 50
				for round, n := range []int{60, 3000, 3500, 200, 12_000, 12_000} {
					rows := make([]Translation, n)
					for i := range rows {
						rows[i] = tr(fmt.Sprintf("value %d", i), "x")
					}
					_, err := processes[0].Import(t.Context(), By{}, csvFileOf(rows), ImportOptions{Format: CSV, Mode: Replace})
					must(t, err)
					for range 30 {
						s := processes[g.Intn(3)]
						var values []string
						for range 1 + g.Intn(count) {
							v := fmt.Sprintf("value %d", int(float64(n)*g.Float64()*g.Float64()))
							values = append(values, v)
							used[v] = now.now()
						}
						count = 2 + n/60
						if len(values) == 1 {
							ask(t, s, values...)
						} else {
							_, err := s.TranslateBatch(t.Context(), land.Query(), values)
							must(t, err)
						}
						if g.Intn(3) == 0 {
							must(t, processes[g.Intn(3)].flushUses(t.Context()))
						}
						now.add(time.Duration(g.Int63n(int64(limits.idle))))
					}
					for _, s := range processes {
						must(t, s.flushUses(t.Context()))
					}
					since := now.now()
					if round%2 == 0 {
						since = since.AddDate(0, -1, 0)
					}
					listed := map[string]bool{}
					for _, v := range unused(t, processes[1], since) {
						if listed[v] = true; !used[v].Before(monthOf(since).start()) {
							t.Errorf("round %d: %s was looked up at %v, and is listed as not used since %v", round, v, used[v], since)
						}
					}
					hidden, free := 0, 0
					for _, x := range rows {
						if used[x.Value1].Before(monthOf(since).start()) {
							if free++; !listed[x.Value1] {
								hidden++
							}
						}
					}
					t.Logf("round %d: %d of %d unused are not listed", round, hidden, free)
					if free > 100 && hidden > free/10 {
						t.Errorf("round %d: %d of %d unused are not listed", round, hidden, free)
					}
					if round == 3 {
						now.add(28 * 24 * time.Hour)
					}
				}
			})
		})
	}
}

// TestUsesWithoutRoom: where not every value can be remembered until Redis takes them, none is said to be unused.
func TestUsesWithoutRoom(t *testing.T) {
	set(t, &useFresh, 20)
	srv := kvtest.NewServer(t)
	now := newClock()
	s := newStoreAt(t, srv.DB(t), now.now)
	_, err := s.Import(t.Context(), By{}, csvFileOf(numbered(99, "x")), ImportOptions{Format: CSV, Mode: Replace})
	must(t, err)
	must(t, s.db.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
	for i := range 30 {
		ask(t, s, fmt.Sprintf("n%02d", i))
	}
	if err := s.flushUses(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	if n := s.uses.fresh.Load(); n > useFresh+1 {
		t.Errorf("%d values wait", n)
	}
	must(t, s.db.Client().ConfigSet(t.Context(), "maxmemory", "0").Err())
	wantUnused(t, s, now.now())
	wantHits(t, s, 30)
	now.add(31 * 24 * time.Hour)
	ask(t, s, "n00", "n01")
	if got := unused(t, s, now.now()); len(got) != 97 {
		t.Errorf("in the next month %d are unused, want 97", len(got))
	}
}

// TestUsesAfterALoss: a process notices that Redis has lost its bits, and sends them again.
func TestUsesAfterALoss(t *testing.T) {
	t.Parallel()
	s, m := newStore(t, kvtest.Open(t)), newModel()
	m.mustCreate(t, s, tr("a", "1"), tr("b", "2"), tr("c", "3"))
	ask(t, s, "a")
	must(t, s.flushUses(t.Context()))
	must(t, s.db.Client().Del(t.Context(), s.keys.UseBits(monthOf(s.now()).String(), land.name())).Err())
	ask(t, s, "b")
	must(t, s.flushUses(t.Context()))
	ask(t, s, "a")
	wantUnused(t, s, s.now(), "c")
}

func TestUsesAtOnce(t *testing.T) {
	t.Parallel()
	s, m := newStore(t, kvtest.Open(t)), newModel()
	m.mustCreate(t, s, tr("a", "1"), tr("b", "2"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s.uses.add(tr("a", "").Query(), s.now())
				if i%20 == 0 {
					if err := s.flushUses(t.Context()); err != nil {
						t.Error(err)
					}
					s.uses.forget(s.now().Add(time.Hour))
				}
			}
		})
	}
	wg.Wait()
	wantHits(t, s, 1600)
	wantUnused(t, s, s.now(), "b")
	s.uses.forget(s.now().Add(time.Hour))
	if n := len(s.uses.pairs); n != 0 {
		t.Errorf("%d pairs are remembered", n)
	}
}

// TestPlaces: they are written in Redis, so that they can't change; and a set that was put behind itself holds what it held.
func TestPlaces(t *testing.T) {
	for value, want := range map[string]places{"": 0x3bf407d82ea64, "AW": 0x181583618638c, "żółw": 0x253eacc3cafb3} {
		if got := markOf(0, value).places; got != want || got >= everything {
			t.Errorf("%q: %#x, want %#x", value, uint64(got), uint64(want))
		}
	}
	set := newBitSet(minBits)
	for i := range 60 {
		set.add(markOf(0, fmt.Sprint(i)).places)
	}
	large := bitSet(strings.Repeat(string(set), 8))
	for i := range 60 {
		if !large.has(markOf(0, fmt.Sprint(i)).places) {
			t.Errorf("%d is lost", i)
		}
	}
	if set.has(markOf(0, "x").places) || bitSet(nil).has(0) || monthOf(time.Date(2024, 1, 31, 23, 59, 0, 0, time.UTC)).String() != "2024-01" {
		t.Error("it holds what was not put in")
	}
}

func BenchmarkCountUse(b *testing.B) {
	s := New(kvtest.Open(b), Options{})
	queries := make([]Query, 1000)
	for i := range queries {
		q := tr(fmt.Sprintf("value %d", i), "").Query()
		q.System2 = fmt.Sprint("ERP", i%20)
		queries[i] = q
		s.uses.add(q, s.now())
	}
	must(b, s.flushUses(b.Context()))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.uses.add(queries[i%1000], s.now())
		}
	})
}

// BenchmarkTranslate compares a lookup with one that counts.
func BenchmarkTranslate(b *testing.B) {
	s := New(kvtest.Open(b), Options{})
	q := tr("value", "").Query()
	must(b, s.db.Client().HSet(b.Context(), s.keys.Map(q.System1, q.Key1, q.System2, q.Key2), "value", "x").Err())
	for name, f := range map[string]func() (Result, error){
		"without counting": func() (Result, error) { return s.Lookup(b.Context(), q) },
		"counting":         func() (Result, error) { return s.Translate(b.Context(), q) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r, err := f(); err != nil || !r.Found {
						b.Error(r, err)
					}
				}
			})
		})
	}
}
