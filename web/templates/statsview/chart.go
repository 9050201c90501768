package statsview

import (
	"math"
	"strconv"
	"strings"
	"time"

	"webadmin/web/templates/ui"
)

// Series is a line of a chart. Its kind says how it looks: main, second, third, failed, or before for what is compared with.
type Series struct {
	Name, Value string // of the legend
	Kind        string
	Points      []ui.Point
}

// Tick is a moment on the time axis.
type Tick struct {
	At   time.Time
	Text string
}

// ChartProps says what to draw.
type ChartProps struct {
	ID, Title, Note string
	From, To        time.Time
	Step            time.Duration // between two points
	Whole           bool          // the values are whole numbers
	Series          []Series
	Ticks           []Tick
	Columns         []Column                        // where each period is, and what it was, for who points at it
	Format          func(float64) string            // of the axis
	Zoom            func(from, to time.Time) string // the address of a part of it; nil = there is nothing nearer
	Quiet           bool                            // its zoom links are those of another chart too, so that the keyboard skips them
	Words           string                          // for those who don't see it
}

// Column is one period.
type Column struct {
	From, To time.Time
	Words    string
}

// Chart is ready to be drawn.
type Chart struct {
	ID, Title, Note, Words string
	Lines                  []Line
	Grid                   []Mark
	Ticks                  []Mark
	Columns                []Span
	Zoom                   *Zoom
	Quiet                  bool
	Empty                  bool
}

// Line is a series as paths.
type Line struct {
	Name, Value, Kind string
	ui.Curve
}

// Mark is a text on an axis, at a share of its length. On the time axis it is a link to the part that it begins.
type Mark struct{ At, Anchor, Text, Width, Words, URL string }

// Span is a period at its place.
type Span struct{ X, Width, Words string }

// Zoom is what a script needs to make an address of a part: the moments at both ends in ms, and the address without them.
type Zoom struct{ From, To, URL string }

const (
	chartWidth  = 1000
	chartHeight = 140
	gridLines   = 4
)

// NewChart lays a chart out.
func NewChart(p ChartProps) Chart {
	c := Chart{ID: p.ID, Title: p.Title, Note: p.Note, Words: p.Words, Quiet: p.Quiet, Empty: true}
	plot := ui.Plot{Width: chartWidth, Height: chartHeight, From: p.From, To: p.To, Apart: 2 * p.Step}
	high := 0.0
	for _, s := range p.Series {
		for _, pt := range s.Points {
			if !math.IsNaN(pt.Value) && plot.Within(pt) {
				high, c.Empty = max(high, pt.Value), false
			}
		}
	}
	if p.Whole {
		high = max(high, gridLines) // so that no part of one is on the axis
	}
	plot.Top = ui.RoundUp(high, 0)
	for _, s := range p.Series {
		points := make([]ui.Point, 0, len(s.Points))
		for _, pt := range s.Points {
			if !math.IsNaN(pt.Value) { // a period without calls is bridged when it is short
				points = append(points, pt)
			}
		}
		c.Lines = append(c.Lines, Line{Name: s.Name, Value: s.Value, Kind: s.Kind, Curve: plot.Curve(points)})
	}
	for i := range gridLines + 1 {
		share := float64(i) / gridLines
		m := Mark{At: percent(share)}
		if i < gridLines && !c.Empty {
			m.Text = p.Format(plot.Top * (1 - share))
		}
		c.Grid = append(c.Grid, m)
	}
	c.Ticks, c.Zoom = timeAxis(p.Ticks, p.From, p.To, p.Zoom)
	c.Columns = spans(p.Columns, p.From, p.To)
	return c
}

// timeAxis places ticks and makes them links. Those at the ends are aligned so that nothing hangs out.
func timeAxis(ticks []Tick, from, to time.Time, url func(from, to time.Time) string) ([]Mark, *Zoom) {
	var out []Mark
	for i, t := range ticks {
		share := shareOf(t.At, from, to)
		m := Mark{At: percent(share), Anchor: "middle", Text: t.Text}
		switch {
		case share < 0 || share > 1:
			continue
		case share < .03:
			m.Anchor = "start"
		case share > .97:
			m.Anchor = "end"
		}
		if url != nil && t.At.Before(to) && len(ticks) > 1 {
			end := to
			if m.Words = t.Text + " and later: zoom in"; i+1 < len(ticks) && ticks[i+1].At.Before(to) {
				end, m.Words = ticks[i+1].At, t.Text+" to "+ticks[i+1].Text+": zoom in"
			}
			m.URL, m.Width = url(t.At, end), percent(shareOf(end, from, to)-share)
		}
		out = append(out, m)
	}
	if url == nil {
		return out, nil
	}
	return out, &Zoom{From: millis(from), To: millis(to), URL: url(time.Time{}, time.Time{})}
}

func spans(columns []Column, from, to time.Time) []Span {
	out := make([]Span, 0, len(columns))
	for _, col := range columns {
		x, end := max(0, shareOf(col.From, from, to)), min(1, shareOf(col.To, from, to))
		if end > x {
			out = append(out, Span{X: percent(x), Width: percent(end - x), Words: col.Words})
		}
	}
	return out
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func shareOf(at, from, to time.Time) float64 { return at.Sub(from).Seconds() / to.Sub(from).Seconds() }

func percent(share float64) string {
	s := strconv.FormatFloat(100*share, 'f', 2, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + "%"
}
