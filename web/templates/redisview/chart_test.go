package redisview

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestChart(t *testing.T) {
	t.Parallel()
	to := time.Unix(1_000_000, 0)
	from := to.Add(-10 * time.Minute)
	at := func(seconds int, v float64) Point { return Point{from.Add(time.Duration(seconds) * time.Second), v} }
	format := func(v float64) string { return coordinate(v) }
	c := NewChart(ChartProps{ID: "x", Title: "Things", From: from, To: to, Apart: 5 * time.Second, Format: format, Series: []Series{{Points: []Point{
		at(0, 10), at(5, 30), at(10, math.NaN()), at(15, 40), at(20, 20), at(300, 35), at(700, 99),
	}}}})
	if n := strings.Count(c.Lines[0].Path, "M"); n != 3 {
		t.Errorf("%d lines, want 3: before the gap, after it, and after nothing came for long: %s", n, c.Lines[0].Path)
	}
	if !strings.HasPrefix(c.Lines[0].Path, "M0 75h.01L5 25M15 0h.01L20 50M300 ") {
		t.Errorf("%s", c.Lines[0].Path)
	}
	if strings.Count(c.Lines[0].Area, "Z") != 3 || strings.Contains(c.Lines[0].Path, "NaN") {
		t.Errorf("%s", c.Lines[0].Area)
	}
	if c.Lines[0].Last != "35" || c.Lowest != "10" || c.Top != "40" || c.Start != "10 min ago" {
		t.Errorf("%+v", c)
	}
	none := NewChart(ChartProps{Title: "None", From: from, To: to, Apart: time.Second, Format: format, Series: []Series{{}}})
	if !none.Empty || none.Lines[0].Path != "" || none.Lines[0].Last != "–" {
		t.Errorf("%+v", none)
	}
}

func TestRoundUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ x, step, want float64 }{
		{0, 0, 1}, {0.3, 0, 1}, {3, 0, 4}, {17, 0, 20}, {100, 0, 100}, {1025, 1024, 2048}, {900, 1024, 1000}, {3 << 20, 1024, 4 << 20},
	} {
		if got := roundUp(tc.x, tc.step); got != tc.want {
			t.Errorf("%v in steps of %v: %v, want %v", tc.x, tc.step, got, tc.want)
		}
	}
}
