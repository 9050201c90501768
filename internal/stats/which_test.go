package stats

import (
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// A report of some services only has no others, and its shares are still of all.
func TestWhichServices(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		s := newStore(t, db, c)
		s.Record("lua:bad", time.Millisecond, true, "")
		s.Record("lua:good", time.Millisecond, false, "")
		s.Record("pay", time.Millisecond, true, "")
		s.Record("report", 3*time.Second, false, "") // over the mean that is marked
		flush(t, s)
		for _, x := range []struct {
			which Which
			want  []string
		}{
			{Which{}, []string{"lua:bad", "lua:good", "pay", "report"}},
			{Which{Failed: true}, []string{"lua:bad", "pay"}},
			{Which{Failed: true, Prefix: "lua:"}, []string{"lua:bad"}},
			{Which{Failed: true, Not: "lua:"}, []string{"pay"}},
			{Which{Slow: true}, []string{"report"}},
			{Which{Slow: true, Failed: true}, nil},
		} {
			report, err := s.Services(t.Context(), whole(c), ServicesOptions{Which: x.which})
			must(t, err)
			var got []string
			for _, item := range report.Items {
				got = append(got, item.Service)
			}
			slices.Sort(got)
			if !slices.Equal(got, x.want) || report.Matched != len(x.want) || report.All.Usage != 4 {
				t.Errorf("%+v: %q of %d, want %q of 4 calls", x.which, got, report.Matched, x.want)
			}
		}
	})
}
