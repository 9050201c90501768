package redisview

import (
	"math"
	"strings"
	"testing"
	"time"

	"webadmin/web/templates/ui"
)

func TestChart(t *testing.T) {
	t.Parallel()
	to := time.Unix(1_000_000, 0)
	from := to.Add(-10 * time.Minute)
	at := func(seconds int, v float64) ui.Point {
		return ui.Point{At: from.Add(time.Duration(seconds) * time.Second), Value: v}
	}
	format := func(v float64) string { return ui.Coordinate(v) }
	c := NewChart(ChartProps{ID: "x", Title: "Things", From: from, To: to, Apart: 5 * time.Second, Format: format, Series: []Series{{Points: []ui.Point{
		at(0, 10), at(5, 30), at(10, math.NaN()), at(15, 40), at(20, 20), at(300, 35), at(700, 99),
	}}}})
	if n := strings.Count(c.Lines[0].Line, "M"); n != 3 {
		t.Errorf("%d lines, want 3: before the gap, after it, and after nothing came for long: %s", n, c.Lines[0].Line)
	}
	if !strings.HasPrefix(c.Lines[0].Line, "M0 75h.01L5 25M15 0h.01L20 50M300 ") {
		t.Errorf("%s", c.Lines[0].Line)
	}
	if strings.Count(c.Lines[0].Area, "Z") != 3 || strings.Contains(c.Lines[0].Line, "NaN") {
		t.Errorf("%s", c.Lines[0].Area)
	}
	if c.Lines[0].Last != "35" || c.Lowest != "10" || c.Top != "40" || c.Start != "10 min ago" {
		t.Errorf("%+v", c)
	}
	none := NewChart(ChartProps{Title: "None", From: from, To: to, Apart: time.Second, Format: format, Series: []Series{{}}})
	if !none.Empty || none.Lines[0].Line != "" || none.Lines[0].Last != "–" {
		t.Errorf("%+v", none)
	}
}
