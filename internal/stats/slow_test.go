package stats

import (
	"fmt"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// The slowest calls of a day are kept, not the latest, whatever the order they come in and whoever writes them.
func TestSlowest(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		stores := []*Store{newStore(t, db, c), newStore(t, db, c)}
		const calls = 2000
		for i := range calls {
			ms := (i * 7919) % calls // each once, in a wild order
			stores[i%2].Record("orders", time.Duration(ms)*time.Millisecond, ms%2 == 0, fmt.Sprint("cid ", ms))
			if i%97 == 0 {
				flush(t, stores[0])
				flush(t, stores[1])
				c.add(time.Second)
			}
		}
		flush(t, stores[0])
		flush(t, stores[1])
		list, err := stores[0].Slow(t.Context(), SlowFilter{Service: "orders"}, 1000)
		must(t, err)
		if len(list) != slowPerService {
			t.Fatalf("%d calls are kept", len(list))
		}
		for i, call := range list {
			ms := calls - 1 - i
			if call.Took != time.Duration(ms)*time.Millisecond || call.CID != fmt.Sprint("cid ", ms) || call.Failed != (ms%2 == 0) ||
				call.Service != "orders" || call.At.After(c.now()) {
				t.Fatalf("call %d is %+v", i, call)
			}
		}
		all, err := stores[0].Slow(t.Context(), SlowFilter{Min: 1990 * time.Millisecond}, 5)
		if must(t, err); len(all) != 5 || all[0].Took != 1999*time.Millisecond {
			t.Errorf("of all services: %+v", all)
		}
	})
}

func TestSlowFilter(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := newClock()
	s := newStore(t, db, c)
	now := c.now()
	_, rejected, err := s.RecordSamples(t.Context(), []Sample{
		{Service: "orders", Took: time.Second, At: now.Add(-time.Hour), CID: "a"},
		{Service: "orders", Took: 3 * time.Second, At: now.Add(-2 * day), CID: "b"},
		{Service: "bills", Took: 2 * time.Second, CID: "c\x00d"},
		{Service: "api:x", Took: 9 * time.Second, CID: "e"},
	})
	if must(t, err); len(rejected) > 0 {
		t.Fatal(rejected)
	}
	flush(t, s)
	must(t, s.SetThreshold(t.Context(), "orders", 1500*time.Millisecond))
	for _, tc := range []struct {
		filter SlowFilter
		want   string
	}{
		{SlowFilter{}, "b c d a"},
		{SlowFilter{Internal: true}, "e b c d a"},
		{SlowFilter{Service: "api:x"}, "e"},
		{SlowFilter{Min: 2 * time.Second}, "b c d"},
		{SlowFilter{Over: true}, "b"},
		{SlowFilter{Range: Range{now.Add(-3 * time.Hour), now}}, "c d a"},
		{SlowFilter{Range: Range{now.Add(-3 * day), now.Add(-day)}}, "b"},
	} {
		list, err := s.Slow(t.Context(), tc.filter, 10)
		must(t, err)
		got := ""
		for _, call := range list {
			got += " " + call.CID
		}
		if got[1:] != tc.want {
			t.Errorf("%+v: %s, want %s", tc.filter, got, tc.want)
		}
	}
	thresholds, err := s.Thresholds(t.Context())
	if must(t, err); len(thresholds) != 1 || thresholds[0] != (Threshold{"orders", 1500 * time.Millisecond}) {
		t.Errorf("%v", thresholds)
	}
	must(t, s.SetThreshold(t.Context(), "orders", 0))
	if thresholds, err = s.Thresholds(t.Context()); err != nil || len(thresholds) != 0 {
		t.Errorf("%v, %v", thresholds, err)
	}
}
