package ui

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

// Plot is the area that points are drawn on: time goes from left to right, values from 0 at the bottom to Top.
type Plot struct {
	Width, Height int
	From, To      time.Time
	Top           float64
	Apart         time.Duration // where two points are farther from each other than twice and a half this, the line breaks
}

// Curve is a line as SVG paths.
type Curve struct{ Line, Area string }

// Within says whether a point is on the plot.
func (p Plot) Within(pt Point) bool { return !pt.At.Before(p.From) && !pt.At.After(p.To) }

// X is where a moment is.
func (p Plot) X(at time.Time) float64 {
	return at.Sub(p.From).Seconds() / p.To.Sub(p.From).Seconds() * float64(p.Width)
}

// Curve draws a line through points, and the area below it. Points that are not on the plot are left out, a gap breaks the line, and
// a point between two gaps is a dot.
func (p Plot) Curve(points []Point) Curve {
	var line, area strings.Builder
	var before Point
	bottom := " " + strconv.Itoa(p.Height)
	start, last, open := 0.0, 0.0, false
	end := func() {
		if open {
			area.WriteString("L" + Coordinate(last) + bottom + "L" + Coordinate(start) + bottom + "Z")
		}
		open = false
	}
	for _, pt := range points {
		if !p.Within(pt) {
			continue
		}
		if math.IsNaN(pt.Value) || open && pt.At.Sub(before.At) > 2*p.Apart+p.Apart/2 {
			end()
		}
		if math.IsNaN(pt.Value) {
			continue
		}
		x := p.X(pt.At)
		at := Coordinate(x) + " " + Coordinate((1-min(pt.Value/p.Top, 1))*float64(p.Height))
		if !open {
			open, start = true, x
			line.WriteString("M" + at + "h.01") // that alone is a dot
			area.WriteString("M" + Coordinate(x) + bottom + "L" + at)
		} else {
			line.WriteString("L" + at)
			area.WriteString("L" + at)
		}
		before, last = pt, x
	}
	end()
	return Curve{line.String(), area.String()}
}

// Coordinate writes a number of an SVG drawing: a tenth is as much as anyone sees.
func Coordinate(x float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
}

// RoundUp returns the next 1, 2, 4, 5 or 8 of a power of ten, in units of powers of step (0 = there is none but 1): where an axis ends
// well.
func RoundUp(x, step float64) float64 {
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
			return f * ten * unit
		}
	}
	return x * unit
}

const (
	sparkWidth  = 94
	sparkHeight = 16
)

// sparkPath draws values that are equally far from each other. What is missing (NaN) is left out: in so little room a line says more
// than dots.
func sparkPath(values []float64) string {
	top := 0.0
	for _, v := range values {
		if v > top { // NaN is not
			top = v
		}
	}
	from := time.Unix(0, 0)
	p := Plot{Width: sparkWidth, Height: sparkHeight - 2, From: from, To: from.Add(time.Duration(max(len(values)-1, 1)) * time.Second), Top: top, Apart: time.Hour}
	if top <= 0 {
		p.Top = 1
	}
	var points []Point
	for i, v := range values {
		if !math.IsNaN(v) {
			points = append(points, Point{from.Add(time.Duration(i) * time.Second), v})
		}
	}
	return p.Curve(points).Line
}
