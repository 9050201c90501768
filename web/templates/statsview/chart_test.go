package statsview

import (
	"math"
	"strings"
	"testing"
	"time"

	"webadmin/web/templates/ui"
)

var (
	from = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	to   = from.Add(time.Hour)
)

func at(minutes int) time.Time { return from.Add(time.Duration(minutes) * time.Minute) }

func zoom(from, to time.Time) string {
	if from.IsZero() {
		return "/x"
	}
	return "/x?" + from.Format("15:04") + "-" + to.Format("15:04")
}

func TestChart(t *testing.T) {
	t.Parallel()
	var columns []Column
	for i := range 60 {
		columns = append(columns, Column{From: at(i), To: at(i + 1), Words: at(i).Format("15:04")})
	}
	c := NewChart(ChartProps{
		From: from, To: to, Step: time.Minute, Columns: columns, Zoom: zoom, Format: func(v float64) string { return ui.Coordinate(v) },
		Ticks:  []Tick{{at(-5), "07:55"}, {at(0), "08:00"}, {at(15), "08:15"}, {at(45), "08:45"}, {at(60), "09:00"}},
		Series: []Series{{Kind: "main", Points: []ui.Point{{At: at(0), Value: 30}, {At: at(1), Value: math.NaN()}, {At: at(2), Value: 70}, {At: at(30), Value: 10}}}},
	})
	if got, want := c.Lines[0].Line, "M0 87.5h.01L33.3 17.5M500 122.5h.01"; got != want {
		t.Errorf("line %s, want %s: bridged over a minute without calls, broken by many", got, want)
	}
	var grid, marks []string
	for _, m := range c.Grid {
		grid = append(grid, m.Text+" "+m.At)
	}
	for _, m := range c.Ticks {
		marks = append(marks, m.Text+" "+m.At+" "+m.Anchor)
	}
	if got := strings.Join(grid, ", "); got != "80 0%, 60 25%, 40 50%, 20 75%,  100%" {
		t.Error(got)
	}
	if got := strings.Join(marks, ", "); got != "08:00 0% start, 08:15 25% middle, 08:45 75% middle, 09:00 100% end" {
		t.Error(got)
	}
	var links []string
	for _, m := range c.Ticks {
		links = append(links, m.URL+" "+m.Words+" "+m.Width)
	}
	if got := strings.Join(links, ", "); got != "/x?08:00-08:15 08:00 to 08:15: zoom in 25%, /x?08:15-08:45 08:15 to 08:45: zoom in 50%, /x?08:45-09:00 08:45 and later: zoom in 25%,   " {
		t.Error(got)
	}
	if len(c.Columns) != 60 || c.Columns[15] != (Span{X: "25%", Width: "1.67%", Words: "08:15"}) {
		t.Errorf("%d columns, %+v", len(c.Columns), c.Columns[15])
	}
	if *c.Zoom != (Zoom{From: "1795334400000", To: "1795338000000", URL: "/x"}) {
		t.Errorf("%+v", *c.Zoom)
	}
}

func TestEmptyChart(t *testing.T) {
	t.Parallel()
	c := NewChart(ChartProps{From: from, To: to, Step: time.Minute, Columns: []Column{{From: from, To: to}}, Series: []Series{{}}, Format: func(float64) string { return "?" }})
	if !c.Empty || c.Grid[0].Text != "" || len(c.Columns) != 1 || c.Zoom != nil {
		t.Errorf("%+v", c)
	}
	whole := NewChart(ChartProps{From: from, To: to, Step: time.Minute, Whole: true, Series: []Series{{Points: []ui.Point{{At: from, Value: 1}}}}, Format: func(v float64) string { return ui.Coordinate(v) }})
	if whole.Grid[3].Text != "1" {
		t.Errorf("the lowest line of whole numbers is %s", whole.Grid[3].Text)
	}
}

func TestHeat(t *testing.T) {
	t.Parallel()
	h := NewHeat(HeatProps{
		From: from, To: to, Rows: 4, Labels: []HeatLabel{{1.5, "10 ms"}},
		Columns: []Column{{From: at(0), To: at(30)}, {From: at(30), To: at(60)}}, Cells: [][]float64{{0, 1, 0, 0}, {0, 0, 0, 1000}},
	})
	if h.Empty || len(h.Shades) != 2 || h.Height != "40" {
		t.Fatalf("%+v", h)
	}
	if h.Shades[0] != (Shade{"M0 20H500v10H0z", ".14"}) || h.Shades[1] != (Shade{"M500 0H1000v10H500z", "1"}) {
		t.Errorf("%+v", h.Shades)
	}
	if h.Labels[0].At != "62.5%" {
		t.Errorf("%+v", h.Labels)
	}
	if !NewHeat(HeatProps{From: from, To: to}).Empty {
		t.Error("nothing is something")
	}
}
