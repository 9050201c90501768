package dict

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// ask looks values up as programs do, and counts what isn't found.
func ask(t testing.TB, s *Store, values ...string) {
	t.Helper()
	for _, v := range values {
		_, err := s.Translate(t.Context(), tr(v, "").Query())
		must(t, err)
	}
}

// missed returns the misses as "value1 × count", the most frequent first.
func missed(t testing.TB, s *Store, f Filter) (list []string) {
	t.Helper()
	page, err := s.Misses(t.Context(), f, "", MaxPage)
	must(t, err)
	if page.Total != int64(len(page.Items)) {
		t.Errorf("%d of %d misses", len(page.Items), page.Total)
	}
	for _, m := range page.Items {
		list = append(list, fmt.Sprintf("%s × %d", m.Value1, m.Count))
	}
	return list
}

func wantMissed(t testing.TB, s *Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, missed(t, s, Filter{})); diff != "" {
		t.Errorf("misses (-want +got)\n%s", diff)
	}
	// Its three keys speak of the same.
	ctx := t.Context()
	n := int64(len(want))
	if a, b, c := s.db.Client().ZCard(ctx, s.keys.Misses()).Val(), s.db.Client().ZCard(ctx, s.keys.MissesLast()).Val(), s.db.Client().HLen(ctx, s.keys.MissesFirst()).Val(); a != n || b != n || c != n {
		t.Errorf("%d counts, %d last times, %d first times; want %d", a, b, c, n)
	}
	if got, err := s.MissedValues(ctx); got != n || err != nil {
		t.Errorf("%d missed values, %v; want %d", got, err, n)
	}
}

func TestMisses(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, other, m := newStoreAt(t, db, now.now), newStoreAt(t, db, now.now), newModel()
		ctx := t.Context()
		m.mustCreate(t, s, tr("PL", "Polska"), tr("empty", ""))
		first := now.now().Truncate(time.Millisecond)
		ask(t, s, "a/b", "PL", "empty", "c", "a/b", "", "żółw", "a\nb")
		results, err := s.TranslateBatch(ctx, tr("ignored", "").Query(), []string{"c", "PL", "c", "empty", "d"})
		must(t, err)
		if diff := cmp.Diff([]Result{{}, {"Polska", true}, {}, {"", true}, {}}, results); diff != "" {
			t.Errorf("batch (-want +got)\n%s", diff)
		}
		if _, err := s.Lookup(ctx, tr("tried out", "").Query()); err != nil {
			t.Error(err)
		}
		ask(t, s, "\x00", "\xff", strings.Repeat("x", MaxValue+1)) // which no entry could be
		if _, err := s.Translate(ctx, Query{}); !errors.Is(err, kvdb.ErrInvalid) {
			t.Error(err)
		}
		wantMissed(t, s)
		must(t, s.flushMisses(ctx))
		wantMissed(t, s, "c × 3", "a/b × 2", " × 1", "a\nb × 1", "d × 1", "żółw × 1")

		now.add(time.Hour)
		ask(t, other, "c", "d")
		must(t, other.flushMisses(ctx))
		must(t, other.flushMisses(ctx)) // of nothing
		page, err := s.Misses(ctx, Filter{Value1: "c"}, "", 0)
		want := Page[Miss]{First: 1, Total: 1, All: 6, Items: []Miss{{Query: tr("c", "").Query(), Count: 4, FirstAt: first, LastAt: first.Add(time.Hour)}}}
		if diff := cmp.Diff(want, page); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		for name, c := range map[string]struct {
			f    Filter
			want []string
		}{
			"part":         {Filter{Q: "ŻÓ"}, []string{"żółw × 1"}},
			"part of name": {Filter{Q: "countr", Value1: "d"}, []string{"d × 2"}},
			"names":        {Filter{System1: "CRM", Key1: "COUNTRY", System2: "ERP", Key2: "LAND", Value1: "d"}, []string{"d × 2"}},
			"other name":   {Filter{System2: "CRM"}, nil},
			"nothing":      {Filter{Q: "nowhere"}, nil},
		} {
			if diff := cmp.Diff(c.want, missed(t, s, c.f)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
	})
}

func TestMissPagesAndGroups(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s := newStoreAt(t, db, now.now)
		ctx := t.Context()
		for i := range 23 {
			for range 1 + i%4 {
				ask(t, s, fmt.Sprintf("v%02d", i))
			}
		}
		now.add(time.Minute)
		other := Query{System1: "A", Key1: "K", Value1: "x", System2: "B", Key2: "K"}
		for range 100 {
			if _, err := s.Translate(ctx, other); err != nil {
				t.Fatal(err)
			}
		}
		must(t, s.flushMisses(ctx))
		all := missed(t, s, Filter{})
		for _, limit := range []int{1, 5, 24, 30} {
			var got []string
			var pages []Page[Miss]
			for cursor := ""; ; {
				page, err := s.Misses(ctx, Filter{}, cursor, limit)
				must(t, err)
				if page.First != int64(len(got))+1 || page.All != 24 {
					t.Fatalf("the page starts at %d, want %d; %d misses", page.First, len(got)+1, page.All)
				}
				if len(pages) > 0 {
					back, err := s.Misses(ctx, Filter{}, page.Prev, limit)
					if diff := cmp.Diff(pages[len(pages)-1].Items, back.Items); err != nil || diff != "" {
						t.Errorf("back from %d: %v (-want +got)\n%s", len(got), err, diff)
					}
				} else if page.Prev != "" {
					t.Error("there is a page before the first")
				}
				pages = append(pages, page)
				for _, m := range page.Items {
					got = append(got, fmt.Sprintf("%s × %d", m.Value1, m.Count))
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("limit %d (-want +got)\n%s", limit, diff)
			}
		}
		groups, err := s.MissGroups(ctx)
		must(t, err)
		want := []MissGroup{
			{Pair: Pair{"A", "K", "B", "K"}, Values: 1, Count: 100, LastAt: now.now().Truncate(time.Millisecond)},
			{Pair: land, Values: 23, Count: 5*(1+2+3+4) + 1 + 2 + 3, LastAt: now.now().Truncate(time.Millisecond).Add(-time.Minute)},
		}
		if diff := cmp.Diff(want, groups); diff != "" {
			t.Errorf("groups (-want +got)\n%s", diff)
		}

		must(t, s.DismissMiss(ctx, tr("v03", "").Query()))
		must(t, s.DismissMiss(ctx, tr("never seen", "").Query()))
		if got := missed(t, s, Filter{Q: "v03"}); got != nil {
			t.Errorf("dismissed, it is still there: %v", got)
		}
		ask(t, s, "v03")
		must(t, s.flushMisses(ctx))
		if diff := cmp.Diff([]string{"v03 × 1"}, missed(t, s, Filter{Q: "v03"})); diff != "" {
			t.Errorf("asked for again (-want +got)\n%s", diff)
		}
		must(t, s.DismissMissGroup(ctx, land))
		must(t, s.DismissMissGroup(ctx, land))
		wantMissed(t, s, "x × 100")
	})
}

// TestAnsweredMisses: whatever gives a translation for a miss takes it off the list, and what was counted
// just before doesn't put it there again.
func TestAnsweredMisses(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, m := newStore(t, db), newModel()
		ctx := t.Context()
		made := m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"))
		gone, err := s.DeleteTranslation(ctx, By{}, made[1].ID, 0)
		must(t, err)
		importing := func(values ...string) (err error) {
			var ts []Translation
			for _, v := range values {
				ts = append(ts, tr(v, "x"))
			}
			_, err = s.Import(ctx, By{}, csvFileOf(ts), ImportOptions{Format: CSV, Mode: Merge})
			return err
		}
		for _, c := range []struct {
			name, value string
			answer      func() error
		}{
			{"created", "CZ", func() error { _, _, err := s.CreateTranslation(ctx, By{}, tr("CZ", "Czechy"), true); return err }},
			{"moved", "POL", func() error {
				x := made[0]
				x.Value1 = "POL"
				_, _, err := s.UpdateTranslation(ctx, By{}, x, true)
				return err
			}},
			{"renamed", "P", func() error {
				e := entriesByValue(t, s)["POL"]
				e.Value = "P"
				_, _, err := s.UpdateEntry(ctx, By{}, e)
				return err
			}},
			{"brought back", "DE", func() error { _, err := s.Undo(ctx, By{}, gone.ID); return err }},
			{"imported", "SK", func() error { return importing("SK", "HU") }},
			{"imported with much else", "I7", func() error {
				inline := itemsInline
				itemsInline = 1
				defer func() { itemsInline = inline }()
				return importing("I1", "I2", "I3", "I4", "I5", "I6", "I7")
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				ask(t, s, c.value, c.value, "never answered")
				must(t, s.flushMisses(ctx))
				if len(missed(t, s, Filter{Value1: c.value})) != 1 {
					t.Fatal("it is no miss")
				}
				ask(t, s, c.value) // counted, and not written yet
				must(t, c.answer())
				if got := missed(t, s, Filter{Value1: c.value}); got != nil {
					t.Errorf("answered, it is still there: %v", got)
				}
				must(t, s.flushMisses(ctx))
				if got := missed(t, s, Filter{Value1: c.value}); got != nil {
					t.Errorf("answered, it is there again: %v", got)
				}
			})
		}
		wantMissed(t, s, "never answered × 6")
	})
}

// TestMissesAreBounded: in memory those that were asked for once make room, in Redis those not asked for longest.
func TestMissesAreBounded(t *testing.T) {
	set(t, &missesPending, 4)
	set(t, &missesKept, 5)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s := newStoreAt(t, db, now.now)
		ask(t, s, "often", "often", "twice", "twice")
		for i := range 20 {
			ask(t, s, fmt.Sprint("once ", i))
		}
		must(t, s.flushMisses(t.Context()))
		got := missed(t, s, Filter{})
		if len(got) != 4 || got[0] != "often × 2" || got[1] != "twice × 2" || !strings.Contains(strings.Join(got, ","), "once 19 × 1") {
			t.Errorf("misses are %v", got)
		}
		must(t, s.DismissMissGroup(t.Context(), land))
		ask(t, s, "1", "1", "2", "2", "3", "3", "4", "4", "not counted", "not counted")
		must(t, s.flushMisses(t.Context()))
		wantMissed(t, s, "1 × 2", "2 × 2", "3 × 2", "4 × 2")

		for i := range 4 {
			now.add(time.Second)
			ask(t, s, "2", fmt.Sprint("new ", i))
			must(t, s.flushMisses(t.Context()))
		}
		wantMissed(t, s, "2 × 6", "new 0 × 1", "new 1 × 1", "new 2 × 1", "new 3 × 1")
	})
}

// TestMissesAreWrittenByTheWay: Run writes them each second, and Close what is left.
func TestMissesAreWrittenByTheWay(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := New(db, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	ask(t, s, "a")
	await(t, "the miss is written", func() bool { return len(missed(t, s, Filter{})) == 1 })
	cancel()
	must(t, <-done)
	ask(t, s, "b")
	must(t, s.Close(t.Context()))
	wantMissed(t, newStore(t, db), "a × 1", "b × 1")
}

// TestMissesCostNoTime: a lookup that fails is one round trip like any other, also while misses can't be written.
func TestMissesCostNoTime(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := openURL(t, srv.URL())
	var trips atomic.Int64
	db.Client().AddHook(watch(func(...redis.Cmder) { trips.Add(1) }))
	s := newStore(t, db)
	ask(t, s, "warm")
	connected := trips.Load()
	ask(t, s, "a", "b", "a")
	if n := trips.Load() - connected; n != 3 {
		t.Errorf("3 lookups are %d round trips", n)
	}

	srv.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	flushed := make(chan error)
	go func() { flushed <- s.flushMisses(ctx) }()
	await(t, "the flush is on its way", func() bool { return trips.Load() > connected+3 })
	for i := range 1000 {
		s.misses.add(tr(fmt.Sprint(i), "").Query(), s.now(), "")
	}
	select {
	case err := <-flushed:
		if ctx.Err() == nil {
			t.Errorf("the flush has ended: %v", err)
		}
	default: // it waits, and nobody waited for it
	}
	if err := <-flushed; !errors.Is(err, kvdb.ErrUnknown) && !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v, want ErrUnknown or ErrAway", err)
	}
	srv.Resume()
	await(t, "the rest is written", func() bool {
		_ = s.flushMisses(t.Context())
		return len(missed(t, s, Filter{Q: "99"})) > 0
	})
	if page, err := s.Misses(t.Context(), Filter{}, "", 1); err != nil || page.Total < 1000 || page.Items[0].Count > 2 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestMissesOutliveTheServer: what was not written when Redis went away is written when it is back.
func TestMissesOutliveTheServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, durable...)
	s := newStore(t, openURL(t, srv.URL()))
	ask(t, s, "written")
	must(t, s.flushMisses(t.Context()))
	ask(t, s, "waits", "waits")
	srv.Kill()
	if err := s.flushMisses(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	s.misses.add(tr("waits", "").Query(), s.now(), "")
	s.misses.add(tr("asked meanwhile", "").Query(), s.now(), "")
	if err := s.flushMisses(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	srv.Restart()
	await(t, "it heals", func() bool { return s.flushMisses(t.Context()) == nil })
	wantMissed(t, s, "waits × 3", "asked meanwhile × 1", "written × 1")
}
