package dict

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestLookupsAtOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := New(db, Options{})
		key, broken := s.keys.Map("CRM", "A", "ERP", "B"), s.keys.Map("CRM", "A", "ERP", "X")
		for i := range 100 {
			must(t, db.Client().HSet(t.Context(), key, fmt.Sprint(i), fmt.Sprint("=", i)).Err())
		}
		must(t, db.Client().Set(t.Context(), broken, "no hash", 0).Err())
		var wg sync.WaitGroup
		for i := range 400 {
			wg.Go(func() {
				q := Query{System1: "CRM", Key1: "A", Value1: fmt.Sprint(i % 200), System2: "ERP", Key2: "B"}
				if i%7 == 0 {
					q.Key2 = "X"
				}
				r, err := s.Lookup(t.Context(), q)
				want := Result{Value2: fmt.Sprint("=", i%200), Found: true}
				if i%200 >= 100 || q.Key2 == "X" {
					want = Result{}
				}
				if r != want || (err != nil) != (q.Key2 == "X") {
					t.Errorf("%v: %v, %v; want %v", q, r, err, want)
				}
			})
		}
		wg.Wait()
	})
}

// A caller who leaves takes no other's lookup along, and leaves at once.
func TestLookupsOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	s := New(server.DB(t), Options{})
	must(t, s.db.Client().HSet(t.Context(), s.keys.Map("CRM", "A", "ERP", "B"), "1", "one").Err())
	q := Query{System1: "CRM", Key1: "A", Value1: "1", System2: "ERP", Key2: "B"}
	server.Pause()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%2 == 0 {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			r, err := s.Lookup(ctx, q)
			if left := ctx.Err() != nil; left && err != nil {
				return
			}
			if err != nil || r.Value2 != "one" {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	time.AfterFunc(200*time.Millisecond, server.Resume)
	wg.Wait()
	if _, err := s.Lookup(t.Context(), q); errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
