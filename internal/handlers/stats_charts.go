package handlers

import (
	"math"
	"sort"
	"strings"
	"time"

	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

// How many parts the time axis has at most.
const mostTicks = 7

// ticksOf divides the time axis at round times of the reader's clock or calendar.
func ticksOf(r stats.Range, loc *time.Location) []statsview.Tick {
	from := r.From.In(loc)
	midnight := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, loc)
	for _, minutes := range []int{1, 5, 10, 15, 30, 60, 120, 180, 360} {
		if r.Len() <= 5*time.Duration(minutes)*time.Minute {
			// Times of the clock, so that a day of a change of clocks has its ticks at full hours too.
			return ticks(r, func(i int) time.Time {
				return time.Date(from.Year(), from.Month(), from.Day(), 0, i*minutes, 0, 0, loc)
			}, func(t time.Time) string {
				if t.Hour() == 0 && t.Minute() == 0 && r.Len() > 6*time.Hour {
					return t.Format("2 Jan")
				}
				return t.Format("15:04")
			})
		}
	}
	for _, days := range []int{1, 2, 7, 14} {
		if r.Len() <= mostTicks*time.Duration(days)*25*time.Hour {
			return ticks(r, func(i int) time.Time { return midnight.AddDate(0, 0, i*days) }, func(t time.Time) string {
				if days == 1 {
					return t.Format("Mon 2 Jan")
				}
				return t.Format("2 Jan")
			})
		}
	}
	months := 1
	for r.Len() > mostTicks*time.Duration(months)*31*24*time.Hour {
		months++
	}
	return ticks(r, func(i int) time.Time {
		return time.Date(from.Year(), from.Month()+time.Month(i*months), 1, 0, 0, 0, 0, loc)
	}, func(t time.Time) string {
		return t.Format("Jan 2006")
	})
}

func ticks(r stats.Range, at func(i int) time.Time, text func(time.Time) string) []statsview.Tick {
	var out []statsview.Tick
	var before time.Time
	for i := 0; ; i++ {
		t := at(i)
		if t.After(r.To) {
			return out
		}
		if !t.Before(r.From) && t.After(before) { // an hour that occurs twice is one tick
			out = append(out, statsview.Tick{At: t, Text: text(t)})
		}
		before = t
	}
}

// zoomer makes addresses of parts of a chart; nil where a minute is a good part of it already. Without a time it is the address that a
// script adds from and to to.
func (p *statsPages) zoomer(l *look) func(from, to time.Time) string {
	if l.Len() <= 5*time.Minute {
		return nil
	}
	return func(from, to time.Time) string {
		if from.IsZero() {
			return p.here(l, "period", "", "from", "", "to", "")
		}
		return p.here(l, "period", "", "from", linkTime(from), "to", linkTime(to))
	}
}

// stepText names a part of a trend as its time axis does.
func stepText(pt stats.Point, step stats.Step, loc *time.Location) string {
	switch at := pt.At.In(loc); step {
	case stats.StepMinute:
		return at.Format("15:04")
	case stats.StepHour:
		return at.Format("Mon 2 Jan, 15:04")
	default:
		return at.Format("Mon 2 Jan 2006")
	}
}

var stepLengths = map[stats.Step]time.Duration{stats.StepMinute: time.Minute, stats.StepHour: time.Hour, stats.StepDay: 24 * time.Hour}

// chartColumns says of each part what it was.
func chartColumns(points []stats.Point, step stats.Step, loc *time.Location) []statsview.Column {
	out := make([]statsview.Column, len(points))
	for i, pt := range points {
		words := stepText(pt, step, loc)
		if pt.Usage == 0 {
			words += ": no calls"
		} else {
			words += ": " + plural(pt.Usage, "call") + ", mean " + msText(pt.Mean) + " ms, p50 " + msText(pt.P50) + ", p95 " +
				msText(pt.P95) + ", p99 " + msText(pt.P99) + " ms"
			if pt.Failed > 0 {
				words += ", " + decimal(pt.Failed) + " failed"
			}
		}
		out[i] = statsview.Column{From: pt.At, To: pt.End, Words: words}
	}
	return out
}

// figureLine is a line through one figure of each part, drawn in its middle. later moves it, so that another time is drawn over this one.
func figureLine(points []stats.Point, later time.Duration, figure func(stats.Point) float64) []ui.Point {
	out := make([]ui.Point, len(points))
	for i, pt := range points {
		out[i] = ui.Point{At: pt.At.Add(pt.End.Sub(pt.At)/2 + later), Value: figure(pt)}
	}
	return out
}

// durationFigure makes a figure that is a duration a value in ms, or a gap where nothing was called.
func durationFigure(figure func(stats.Figures) time.Duration) func(stats.Point) float64 {
	return func(pt stats.Point) float64 {
		if pt.Usage == 0 {
			return math.NaN()
		}
		return inMS(figure(pt.Figures))
	}
}

var (
	meanOf = durationFigure(func(f stats.Figures) time.Duration { return f.Mean })
	p50Of  = durationFigure(func(f stats.Figures) time.Duration { return f.P50 })
	p95Of  = durationFigure(func(f stats.Figures) time.Duration { return f.P95 })
	p99Of  = durationFigure(func(f stats.Figures) time.Duration { return f.P99 })
)

// trend is a service's figures over the time of a page, and over what that is compared with.
type trend struct {
	points, before []stats.Point
	step           stats.Step
	later          time.Duration // from what is compared with to the time of the page
}

// trendChart draws some of the figures of a trend.
func (p *statsPages) trendChart(l *look, t trend, props statsview.ChartProps) statsview.Chart {
	props.From, props.To, props.Step = l.From, l.To, stepLengths[t.step]
	props.Ticks, props.Columns, props.Zoom = ticksOf(l.Range, l.loc), chartColumns(t.points, t.step, l.loc), p.zoomer(l)
	var words []string
	for _, s := range props.Series {
		words = append(words, strings.TrimSpace(s.Name+" "+s.Value))
	}
	props.Words = props.Title + ", " + l.text() + ": " + strings.Join(words, ", ")
	return statsview.NewChart(props)
}

// heat draws how durations are spread. Only the bands that occur are shown, and each power of ten is named.
func (p *statsPages) heat(l *look, h stats.Heat) statsview.Heat {
	props := statsview.HeatProps{From: l.From, To: l.To, Ticks: ticksOf(l.Range, l.loc), Zoom: p.zoomer(l)}
	if bands := len(h.Bounds) - 1; bands > 0 {
		props.Rows, props.Labels = bands, tensOf(h.Bounds)
	}
	for i, at := range h.At {
		end := at.Add(stepLengths[h.Step])
		var calls, slowest int64
		row := make([]float64, 0, len(h.Cells[i]))
		for j, n := range h.Cells[i] {
			row = append(row, float64(n))
			if calls += n; n > 0 {
				slowest = int64(j)
			}
		}
		words := stepText(stats.Point{At: at}, h.Step, l.loc) + ": " + plural(calls, "call")
		if calls > 0 {
			words += ", the slowest under " + lastingText(roundDuration(h.Bounds[slowest+1]))
		}
		props.Cells = append(props.Cells, row)
		props.Columns = append(props.Columns, statsview.Column{From: at, To: end, Words: words})
	}
	return statsview.NewHeat(props)
}

// tensOf places the powers of ten among bounds, by bands from the shortest.
func tensOf(bounds []time.Duration) []statsview.HeatLabel {
	var out []statsview.HeatLabel
	for power := time.Microsecond; power <= stats.MaxDuration; power *= 10 {
		j := sort.Search(len(bounds), func(i int) bool { return bounds[i] > power }) - 1
		if j < 0 || j == len(bounds)-1 {
			continue
		}
		within := math.Log(float64(power)/float64(max(bounds[j], 1))) / math.Log(float64(bounds[j+1])/float64(max(bounds[j], 1)))
		out = append(out, statsview.HeatLabel{At: float64(j) + min(within, 1), Text: lastingText(power)})
	}
	return out
}

// roundDuration keeps two digits.
func roundDuration(d time.Duration) time.Duration {
	digits := int(math.Log10(max(float64(d), 1)))
	return d.Round(time.Duration(math.Pow10(max(digits-1, 0))))
}
