package redisview

import (
	"math"
	"strconv"
	"strings"
	"time"

	"webadmin/web/templates/ui"
)

// Series is a line of a chart.
type Series struct {
	Name   string // "" = it is the only one
	Points []ui.Point
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
	ui.Curve
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
			top = max(ui.RoundUp(high, p.Step), 1)
		}
	}
	c.Top, c.Mid = p.Format(top), p.Format(top/2)
	plot := ui.Plot{Width: chartWidth, Height: chartHeight, From: p.From, To: p.To, Top: top, Apart: p.Apart}
	for _, s := range p.Series {
		line := Line{Name: s.Name, Last: "–", Curve: plot.Curve(s.Points)}
		for _, pt := range s.Points {
			if !plot.Within(pt) {
				continue
			}
			if line.Last = "–"; !math.IsNaN(pt.Value) {
				line.Last = p.Format(pt.Value)
			}
		}
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
