package stats

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// What is deleted is gone from every range that it was a part of, and nothing else is.
func TestDeleteRange(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		s := newStore(t, db, c)
		random := rand.New(rand.NewPCG(7, 8))
		m := model{}
		for range 600 {
			one := Sample{Service: []string{"orders", "bills"}[random.IntN(2)],
				Took: time.Duration(distributions["bimodal"](random)), Failed: random.IntN(4) == 0,
				At: c.now().Add(-time.Duration(random.Int64N(int64(30 * day)))), CID: "x"}
			if _, rejected, err := s.RecordSamples(t.Context(), []Sample{one}); err != nil || len(rejected) > 0 {
				t.Fatal(err, rejected)
			}
			m[one.Service] = append(m[one.Service], one)
		}
		flush(t, s)
		now := c.now()
		for _, r := range []Range{
			{now.Add(-5 * time.Hour), now.Add(-3 * time.Hour)},
			{now.Add(-10*day - 11*time.Hour), now.Add(-6*day - 2*time.Hour)},
			{now.Add(-time.Hour), now.Add(time.Hour)},
		} {
			deleted, err := s.DeleteRange(t.Context(), r, "orders")
			must(t, err)
			var left []Sample
			for _, one := range m["orders"] {
				if one.At.Before(deleted.Range.From) || !one.At.Before(deleted.Range.To) {
					left = append(left, one)
				}
			}
			if n := int64(len(m["orders"]) - len(left)); deleted.Calls != n || n > 0 != (deleted.Services == 1) {
				t.Errorf("%d calls of %d services are gone, want %d", deleted.Calls, deleted.Services, n)
			}
			m["orders"] = left
			for range 30 {
				from := now.Add(-time.Duration(random.Int64N(int64(32 * day))))
				asked := Range{from, from.Add(time.Duration(random.Int64N(int64(20 * day))))}
				known := s.query(asked).Range
				for service := range m {
					if got, want := figures(t, s, service, asked).sums(), m.sumsOf(service, known); got != want {
						t.Fatalf("%s in %v: %+v, want %+v", service, known, got, want)
					}
				}
			}
			slow, err := s.Slow(t.Context(), SlowFilter{Service: "orders", Range: deleted.Range}, 1000)
			if must(t, err); len(slow) > 0 {
				t.Errorf("%d slow calls are left", len(slow))
			}
		}
		c.add(2 * time.Hour)
		deleted, err := s.DeleteRange(t.Context(), Range{now.Add(-60 * day), now.Add(-time.Minute)})
		if must(t, err); deleted.Services != 2 || deleted.Slow == 0 {
			t.Errorf("all: %+v", deleted)
		}
		if names, err := s.Names(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("services of which nothing is left: %v, %v", names, err)
		}
		if keys := db.Client().Exists(t.Context(), s.keys.Service("orders").Sums("y", now.Format("2006"))).Val(); keys != 0 {
			t.Error("keys are left")
		}
	})
}

func TestDeleteNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newStore(t, kvtest.Open(t), c)
	for _, r := range []Range{{c.now(), c.now().Add(-time.Hour)}, {c.now().Add(-time.Minute), c.now()}} {
		if _, err := s.DeleteRange(t.Context(), r); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if deleted, err := s.DeleteRange(t.Context(), Range{c.now().Add(-day), c.now()}, "nobody"); err != nil ||
		deleted.Calls != 0 || deleted.Services != 0 {
		t.Errorf("%+v, %v", deleted, err)
	}
}
