package statsview

import (
	"math"
	"strings"
	"time"

	"webadmin/web/templates/ui"
)

// HeatProps is the distribution of durations over time.
type HeatProps struct {
	From, To time.Time
	Rows     int // bands, the shortest durations first
	Labels   []HeatLabel
	Cells    [][]float64 // calls by column and row
	Columns  []Column
	Ticks    []Tick
	Zoom     func(from, to time.Time) string
}

// HeatLabel is written beside the drawing, so many bands above its lower end.
type HeatLabel struct {
	At   float64
	Text string
}

// Heat is ready to be drawn: a path for each shade, the strongest last.
type Heat struct {
	Height  string
	Shades  []Shade
	Labels  []Mark
	Ticks   []Mark
	Columns []Span
	Zoom    *Zoom
	Words   string
	Empty   bool
}

// Shade is a set of cells of the same strength.
type Shade struct{ Path, Opacity string }

var opacities = []string{".14", ".28", ".44", ".62", ".8", "1"}

const heatRow = 10

// NewHeat lays a heat map out. Strengths are on a logarithmic scale, so that the few slow calls beside many quick ones are seen.
func NewHeat(p HeatProps) Heat {
	h := Heat{Empty: true, Height: ui.Coordinate(float64(heatRow * max(p.Rows, 1)))}
	most := 0.0
	for _, column := range p.Cells {
		for _, n := range column {
			most = max(most, n)
		}
	}
	paths := make([]strings.Builder, len(opacities))
	for i, column := range p.Cells {
		if i >= len(p.Columns) {
			break
		}
		x, end := shareOf(p.Columns[i].From, p.From, p.To), shareOf(p.Columns[i].To, p.From, p.To)
		x, end = max(0, x)*chartWidth, min(1, end)*chartWidth
		for row, n := range column {
			if n <= 0 || end <= x {
				continue
			}
			h.Empty = false
			shade := int(math.Log1p(n) / math.Log1p(most) * float64(len(opacities)))
			y := heatRow * (p.Rows - 1 - row)
			cell := "M" + ui.Coordinate(x) + " " + ui.Coordinate(float64(y)) + "H" + ui.Coordinate(end) + "v" + ui.Coordinate(heatRow) + "H" + ui.Coordinate(x) + "z"
			paths[min(shade, len(opacities)-1)].WriteString(cell)
		}
	}
	for i := range paths {
		if paths[i].Len() > 0 {
			h.Shades = append(h.Shades, Shade{paths[i].String(), opacities[i]})
		}
	}
	for _, l := range p.Labels {
		h.Labels = append(h.Labels, Mark{At: percent(1 - l.At/float64(p.Rows)), Text: l.Text})
	}
	h.Ticks, h.Zoom = timeAxis(p.Ticks, p.From, p.To, p.Zoom)
	h.Columns = spans(p.Columns, p.From, p.To)
	h.Words = "How long calls took, over time"
	if h.Empty {
		h.Words += ": none"
	}
	return h
}
