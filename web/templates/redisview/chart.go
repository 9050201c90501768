package redisview

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Point is a value at a moment; one without a value (NaN) is a gap.
type Point struct {
	At    time.Time
	Value float64
}

// Series is a line of a chart.
type Series struct {
	Name   string // "" = it is the only one
	Points []Point
}

// ChartProps says what to draw.
type ChartProps struct {
	ID, Title string
	From, To  time.Time
	Series    []Series // one or two
	Max       float64  // of the axis; 0 = as the values are
	Step      float64  // 1024 for sizes, so that the axis ends at a round one; 0 = 10
	Apart     time.Duration
	Format    func(float64) string
}

// Chart is ready to be drawn. The width is stretched to what there is, so that all texts are outside of the drawing.
type Chart struct {
	ID, Title string
	Lines     []Line
	Top, Mid  string // labels of the axis; it begins at 0
	Start     string // how far back it begins
	Empty     bool   // there is no value
	Words     string // for those who don't see it
	Highest   string
	Lowest    string
}

// Line is a series as paths.
type Line struct {
	Name, Last string
	Path, Area string
}

const (
	chartWidth  = 600
	chartHeight = 100
)

// NewChart lays out a chart. Where two points are farther from each other than twice Apart, the line breaks.
func NewChart(p ChartProps) Chart {
	c := Chart{ID: p.ID, Title: p.Title, Start: ago(p.To.Sub(p.From)), Empty: true}
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range p.Series {
		for _, pt := range s.Points {
			if !math.IsNaN(pt.Value) && !pt.At.Before(p.From) && !pt.At.After(p.To) {
				low, high, c.Empty = min(low, pt.Value), max(high, pt.Value), false
			}
		}
	}
	top := p.Max
	if top == 0 {
		top = 1
		if !c.Empty {
			top = roundUp(high, p.Step)
		}
	}
	c.Top, c.Mid = p.Format(top), p.Format(top/2)
	span := p.To.Sub(p.From).Seconds()
	for _, s := range p.Series {
		line := Line{Name: s.Name, Last: "–"}
		var path, area strings.Builder
		var before Point
		start := 0.0
		open := false
		end := func(x float64) {
			if open {
				area.WriteString("L" + coordinate(x) + " " + strconv.Itoa(chartHeight) + "L" + coordinate(start) + " " + strconv.Itoa(chartHeight) + "Z")
			}
			open = false
		}
		lastX := 0.0
		for _, pt := range s.Points {
			if pt.At.Before(p.From) || pt.At.After(p.To) {
				continue
			}
			if math.IsNaN(pt.Value) || open && pt.At.Sub(before.At) > 2*p.Apart+p.Apart/2 {
				end(lastX)
			}
			if math.IsNaN(pt.Value) {
				line.Last = "–"
				continue
			}
			x := pt.At.Sub(p.From).Seconds() / span * chartWidth
			at := coordinate(x) + " " + coordinate(chartHeight-min(pt.Value/top, 1)*chartHeight)
			if !open {
				open, start = true, x
				path.WriteString("M" + at + "h.01") // that alone is a dot
				area.WriteString("M" + coordinate(x) + " " + strconv.Itoa(chartHeight) + "L" + at)
			} else {
				path.WriteString("L" + at)
				area.WriteString("L" + at)
			}
			before, lastX = pt, x
			line.Last = p.Format(pt.Value)
		}
		end(lastX)
		line.Path, line.Area = path.String(), area.String()
		c.Lines = append(c.Lines, line)
	}
	c.Words = p.Title + ": no values"
	if !c.Empty {
		c.Lowest, c.Highest = p.Format(low), p.Format(high)
		c.Words = p.Title + " in the last " + strings.TrimSuffix(c.Start, " ago") + ": from " + c.Lowest + " to " + c.Highest
		for _, l := range c.Lines {
			c.Words += ", now " + strings.TrimSpace(l.Name+" "+l.Last)
		}
	}
	return c
}

func coordinate(x float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
}

// roundUp returns the next 1, 2, 4, 5 or 8 of a power of ten, in units of powers of step.
func roundUp(x, step float64) float64 {
	if x <= 0 {
		return 1
	}
	unit := 1.0
	for step > 0 && x/unit >= step {
		unit *= step
	}
	x /= unit
	ten := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 4, 5, 8, 10} {
		if x <= f*ten {
			return max(f*ten*unit, 1)
		}
	}
	return x * unit
}

func ago(d time.Duration) string {
	if d >= 2*time.Hour {
		return strconv.Itoa(int(d.Round(time.Hour).Hours())) + " h ago"
	}
	return strconv.Itoa(int(d.Round(time.Minute).Minutes())) + " min ago"
}

// dash tells lines apart for those who see no colours.
func dash(i int) string {
	if i == 0 {
		return "none"
	}
	return "5 3"
}
