package stats

import (
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// All services together have percentiles and a trend too, and nobody sees that they are counted as a service.
func TestAllServices(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		s := newStore(t, db, c)
		for i := range 100 {
			s.Record("orders", time.Duration(i+1)*time.Millisecond, i == 0, "")
		}
		s.Record("api:GET /x", time.Hour, true, "")
		s.Record(All, 150*time.Millisecond, false, "")
		_, rejected, err := s.RecordSamples(t.Context(), []Sample{{Service: "past", Took: 120 * time.Millisecond, At: c.now().Add(-time.Minute)}})
		if must(t, err); len(rejected) != 0 {
			t.Fatalf("rejected: %v", rejected)
		}
		flush(t, s)

		report, err := s.Services(t.Context(), whole(c), ServicesOptions{})
		must(t, err)
		all := report.All
		if all.Usage != 102 || all.Failed != 1 || all.Max != 150*time.Millisecond || report.Matched != 3 {
			t.Errorf("all: %+v of %d", all, report.Matched)
		}
		if want := 97 * time.Millisecond; all.P95 < want*98/100 || all.P95 > want*102/100 {
			t.Errorf("p95: %v, want about %v", all.P95, want)
		}
		points, err := s.Trend(t.Context(), All, whole(c), StepDay)
		must(t, err)
		if i := slices.IndexFunc(points, func(p Point) bool { return p.Usage > 0 }); i < 0 || points[i].Usage != 102 || points[i].P95 != all.P95 {
			t.Errorf("trend: %+v", points)
		}
		names, err := s.Names(t.Context())
		must(t, err)
		if slices.Contains(names, All) {
			t.Errorf("names: %q", names)
		}
	})
}
