package handlers

import (
	"math"
	"strconv"
	"time"

	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
)

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// msText writes a duration in ms.
func msText(d time.Duration) string { return figureText(inMS(d)) }

// figureText writes a number as exactly as one reads it: 1,960, 24.4, 0.33.
func figureText(v float64) string {
	switch {
	case v <= 0:
		return "0"
	case v < .005:
		return "<0.01"
	case v < 1:
		return trimZeros(strconv.FormatFloat(v, 'f', 2, 64))
	case v < 99.95:
		return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
	}
	return decimal(int64(math.Round(v)))
}

// axisText writes a number on an axis, so exactly that no two lines of a grid say the same.
func axisText(v float64) string {
	if v <= 0 || v >= 1 {
		return figureText(v)
	}
	return strconv.FormatFloat(v, 'f', 1-int(math.Floor(math.Log10(v))), 64)
}

// percentText writes a share.
func percentText(share float64) string {
	if share > 0 && share < .001 {
		return "<0.1 %"
	}
	return trimZeros(strconv.FormatFloat(100*share, 'f', 1, 64)) + " %"
}

// barOf is a share of a hundred that is seen as long as it is something.
func barOf(share float64) int {
	if share <= 0 {
		return 0
	}
	return min(100, max(1, int(math.Round(100*share))))
}

// sense is whether more of a figure is better or worse.
type sense int

const (
	neutral sense = iota
	moreIsWorse
)

// noise is the change, as a share, that means nothing.
const noise = .03

// changeText says how a figure has changed: "↑ 38 %". tone tells the better from the worse.
func changeText(now, before float64, s sense) (text, tone string) {
	switch {
	case before == 0 && now == 0:
		return "0 %", "muted"
	case before == 0:
		return "new", "muted"
	}
	change := now/before - 1
	if tone = "muted"; s == moreIsWorse && math.Abs(change) >= noise {
		if tone = "up"; change > 0 {
			tone = "down"
		}
	}
	rounded := int64(math.Round(100 * math.Abs(change)))
	switch {
	case rounded == 0:
		return "0 %", "muted"
	case change >= 9:
		return "↑ × " + figureText(now/before), tone
	case change > 0:
		return "↑ " + decimal(rounded) + " %", tone
	}
	return "↓ " + decimal(rounded) + " %", tone
}

// figureColumn is a figure of a service as a table has it.
type figureColumn struct {
	head  statsview.Head
	sort  stats.Sort
	value func(stats.Figures) float64
	text  func(float64) string
	sense sense
	red   bool // it is worth a look when it is not 0
}

func countText(v float64) string { return decimal(int64(v)) }

// The columns of the tables, each named in words.
var (
	callsColumn = figureColumn{
		head: statsview.Head{Text: "Calls", Meaning: "How often it was called"}, sort: stats.SortUsage,
		value: func(f stats.Figures) float64 { return float64(f.Usage) }, text: countText,
	}
	rateColumn = figureColumn{
		head:  statsview.Head{Text: "Calls/s", Meaning: "Calls per second, on average"},
		value: func(f stats.Figures) float64 { return f.Rate }, text: figureText,
	}
	meanColumn = figureColumn{
		head: statsview.Head{Text: "Mean, ms", Meaning: "Time of all calls, divided by their number"}, sort: stats.SortMean,
		value: func(f stats.Figures) float64 { return inMS(f.Mean) }, text: figureText, sense: moreIsWorse,
	}
	minColumn = figureColumn{
		head:  statsview.Head{Text: "Min, ms", Meaning: "The quickest call"},
		value: func(f stats.Figures) float64 { return inMS(f.Min) }, text: figureText, sense: moreIsWorse,
	}
	maxColumn = figureColumn{
		head: statsview.Head{Text: "Max, ms", Meaning: "The slowest call"}, sort: stats.SortMax,
		value: func(f stats.Figures) float64 { return inMS(f.Max) }, text: figureText, sense: moreIsWorse,
	}
	p50Column = figureColumn{
		head:  statsview.Head{Text: "p50, ms", Meaning: "Half of the calls took this long or less"},
		value: func(f stats.Figures) float64 { return inMS(f.P50) }, text: figureText, sense: moreIsWorse,
	}
	p95Column = figureColumn{
		head: statsview.Head{Text: "p95, ms", Meaning: "95 % of the calls took this long or less"}, sort: stats.SortP95,
		value: func(f stats.Figures) float64 { return inMS(f.P95) }, text: figureText, sense: moreIsWorse,
	}
	p99Column = figureColumn{
		head:  statsview.Head{Text: "p99, ms", Meaning: "99 % of the calls took this long or less"},
		value: func(f stats.Figures) float64 { return inMS(f.P99) }, text: figureText, sense: moreIsWorse,
	}
	failedColumn = figureColumn{
		head: statsview.Head{Text: "Failed", Meaning: "Calls that failed; they count in all other columns too"}, sort: stats.SortErrors,
		value: func(f stats.Figures) float64 { return float64(f.Failed) }, text: countText, sense: moreIsWorse, red: true,
	}
	callShareColumn = figureColumn{
		head:  statsview.Head{Text: "Share of calls", Meaning: "Of the calls of all services"},
		value: func(f stats.Figures) float64 { return f.UsageShare }, text: percentText,
	}
	timeShareColumn = figureColumn{
		head: statsview.Head{Text: "Share of time", Meaning: "Of the time that all services took together"}, sort: stats.SortTotal,
		value: func(f stats.Figures) float64 { return f.TimeShare }, text: percentText,
	}
)

// cell writes a figure. With changes it says below how it has changed.
func (x figureColumn) cell(now stats.Figures, before *stats.Figures, changes bool) statsview.Cell {
	v := x.value(now)
	c := statsview.Cell{Text: x.text(v)}
	if v == 0 {
		c.Tone = "muted"
	} else if x.red {
		c.Tone = "down"
	}
	if before != nil {
		c.Title = "was " + x.text(x.value(*before))
	}
	if before != nil && changes {
		c.Change, c.ChangeTone = changeText(v, x.value(*before), x.sense)
	}
	return c
}

// bar draws a share.
func (x figureColumn) bar(now stats.Figures, before *stats.Figures) statsview.Cell {
	share := x.value(now)
	c := statsview.Cell{Bar: barOf(share), BarWords: x.text(share), Title: x.text(share)}
	if before != nil {
		c.Title += ", was " + x.text(x.value(*before))
	}
	return c
}

// change is a column of its own for how a figure has changed.
func (x figureColumn) change(now stats.Figures, before *stats.Figures) statsview.Cell {
	if before == nil {
		return statsview.Cell{Text: "new", Tone: "muted"}
	}
	text, tone := changeText(x.value(now), x.value(*before), x.sense)
	return statsview.Cell{Text: text, Tone: tone, Title: "was " + x.text(x.value(*before))}
}
