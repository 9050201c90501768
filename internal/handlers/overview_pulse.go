package handlers

import (
	"math"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	overviewview "webadmin/web/templates/overview"
	"webadmin/web/templates/ui"
)

const (
	pulseSpan  = time.Minute
	pulseEvery = kvdb.SampleEvery // there is nothing new before
)

// pulse is how the server is now and was in the last minute. It is made of what this process has seen anyway, however many look.
func (p *site) pulse() overviewview.Pulse {
	sum := p.DB.Summary()
	v := overviewview.Pulse{Refresh: p.url("overview"), Every: seconds(pulseEvery), Info: p.url("redis.info"), Status: sum.Status}
	switch {
	case sum.Detail != "":
		v.Says = sum.Detail
	case sum.Status == kvdb.StatusOK && sum.Version != "":
		v.Says = "Redis " + sum.Version + " " + sum.Mode + " at " + p.DB.Addr() + ", runs for " + lastingText(sum.Uptime)
	default:
		v.Says = p.DB.Addr()
	}
	now := time.Now() // the clock of the samples
	var last kvdb.Sample
	lines := make([][]ui.Point, 4)
	hits := math.NaN() // of the newest sample with a lookup
	for _, s := range p.DB.Samples() {
		if now.Sub(s.At) > pulseSpan+pulseEvery {
			continue
		}
		last = s
		if s.OK && s.Rates && s.Lookups {
			hits = s.Hits
		}
		for i, x := range []struct {
			known bool
			value float64
		}{{s.Rates, s.Ops}, {true, float64(s.Memory)}, {true, float64(s.Clients)}, {s.Rates && s.Lookups, s.Hits}} {
			value := math.NaN()
			if s.OK && x.known {
				value = x.value
			}
			lines[i] = append(lines[i], ui.Point{At: s.At, Value: value})
		}
	}
	ops, mem, clients, rate := "–", "–", "–", "–"
	well := sum.Status == kvdb.StatusOK && last.OK
	if well {
		mem, clients = byteSize(last.Memory), decimal(last.Clients)
	}
	if well && last.Rates {
		ops = fewDigits(last.Ops)
	}
	if well && !math.IsNaN(hits) {
		rate = percent(hits)
	}
	tile := func(name, value, url string, points []ui.Point, top, step float64, words func(float64) string) overviewview.PulseTile {
		return pulseTile(overviewview.PulseTile{Name: name, Value: value, URL: url}, now, points, top, step, words)
	}
	size := func(v float64) string { return byteSize(int64(v)) }
	v.Tiles = []overviewview.PulseTile{
		tile("Operations a second", ops, v.Info+"#chart-ops", lines[0], 0, 0, fewDigits),
		tile("Memory", mem, v.Info+"#chart-memory", lines[1], 0, 1024, size),
		tile("Clients", clients, p.url("redis.clients"), lines[2], 0, 0, fewDigits),
		tile("Hit rate", rate, v.Info+"#chart-hits", lines[3], 1, 0, percent),
	}
	if limit := last.Limit; well && limit > 0 {
		v.Tiles[1].Note = percent(float64(last.Memory)/float64(limit)) + " of the limit of " + byteSize(limit)
	}
	return v
}

// overviewAway is partAway for the live parts of the overview.
func (s *site) overviewAway(c echo.Context, problem problem.Problem) templ.Component {
	switch r := c.Request(); {
	case targets(r, "pulse"):
		v := s.pulse()
		v.Says = problem.Detail
		return overviewview.PulseOf(v)
	case targets(r, "needs"):
		return overviewview.NeedsOf(overviewview.Needs{Refresh: s.url("overview"), Every: seconds(needsSoon), Unknown: []string{"what needs someone"}})
	}
	return nil
}

func percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }

// The drawing of a tile is stretched to what there is.
const (
	pulseWidth  = 200
	pulseHeight = 30
)

// pulseTile adds the line of the last minute to a tile, and says how high it went.
func pulseTile(t overviewview.PulseTile, now time.Time, points []ui.Point, top, step float64, words func(float64) string) overviewview.PulseTile {
	plot := ui.Plot{Width: pulseWidth, Height: pulseHeight, From: now.Add(-pulseSpan), To: now, Top: top, Apart: kvdb.SampleEvery}
	low, high := math.Inf(1), math.Inf(-1)
	for _, pt := range points {
		if plot.Within(pt) && !math.IsNaN(pt.Value) {
			low, high = min(low, pt.Value), max(high, pt.Value)
		}
	}
	t.Words = t.Name + " in the last minute: not known"
	if high >= low {
		if t.Note = words(low) + " to " + words(high); words(low) == words(high) {
			t.Note = "steady"
		}
		t.Words = t.Name + " in the last minute: from " + words(low) + " to " + words(high)
	}
	if top == 0 {
		plot.Top = max(ui.RoundUp(high, step), 1)
	}
	t.Curve = plot.Curve(points)
	return t
}
