package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

// How many slow calls are on the page of a service.
const slowBeside = 10

// service serves GET /stats/service?name= with the time as /stats/trends has it.
func (p *statsPages) service(c echo.Context) error {
	name := query(c, "name")
	if name == "" {
		return redirect(c, p.url(trendsPage.route))
	}
	l := p.lookAt(c, servicePage)
	ctx := c.Request().Context()
	if query(c, "format") == "csv" {
		t, err := p.trendOf(ctx, &l, name)
		if err != nil {
			return err
		}
		return p.trendCSV(c, name, t.points)
	}
	part, err := p.servicePart(c, &l, name)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, statsview.ServicePart(part))
	}
	return p.renderService(c, l.status(), &l, part, name)
}

func (p *statsPages) renderService(c echo.Context, status int, l *look, part statsview.ServiceLive, name string) error {
	v := statsview.ServicePage{Name: name, Facts: p.factsOf(c.Request().Context(), name), Zone: zoneText(c), Controls: p.controls(l), Live: part,
		Notices: p.statsNotices(c.Request().Context())}
	v.Page = p.page(c, v.Name, p.crumbs(trendsPage.route, v.Name)...)
	return render(c, status, statsview.Service(v))
}

// factsOf says what a service is, and leads to where it is looked after.
func (p *statsPages) factsOf(ctx context.Context, name string) []statsview.Link {
	var facts []statsview.Link
	program, ok := cutLua(name)
	switch {
	case !ok || program == "":
	case program == adHoc:
		facts = append(facts, statsview.Link{Text: "Runs of texts that nobody saved", URL: p.url("lua.runs", noName)})
	case p.programGone(ctx, name):
		facts = append(facts, statsview.Link{Text: "There is no program " + program + " any more", URL: p.url("lua.program", program)})
	default:
		facts = append(facts, statsview.Link{Text: "The program " + program, URL: p.url("lua.program", program)},
			statsview.Link{Text: "Its last runs", URL: p.url("lua.runs", program)})
	}
	if broker.CheckName("service", name) == nil {
		if _, err := p.Broker.Service(ctx, name); err == nil {
			facts = append(facts, statsview.Link{Text: "Its invocations", URL: p.url("broker.service", name)})
		}
	}
	if facts != nil {
		return facts
	}
	if waiting, ok := strings.CutPrefix(name, stats.WaitPrefix); ok && waiting != "" {
		return []statsview.Link{{Text: "How long invocations of " + waiting + " waited for a worker",
			URL: p.url(servicePage.route, values("name", waiting))}}
	}
	switch {
	case name == "translate":
		return []statsview.Link{{Text: "Lookups in the dictionaries", URL: p.url("dict.translate")}}
	case strings.HasPrefix(name, "api:"):
		return []statsview.Link{{Text: "Requests of the API, counted by webadmin itself", URL: p.url("api.docs")}}
	case name == stats.Other:
		return []statsview.Link{{Text: "Calls of all services beyond the first " + decimal(stats.MaxServices) + " names"}}
	}
	return nil
}

// servicePart reads what is shown of a service.
func (p *statsPages) servicePart(c echo.Context, l *look, name string) (v statsview.ServiceLive, err error) {
	ctx := c.Request().Context()
	if every := l.live(); every > 0 {
		v.Refresh, v.Every = p.here(l), seconds(every)
	}
	if v.Threshold, err = p.thresholdForm(c, name); err != nil {
		return v, err
	}
	r, err := p.Stats.Service(ctx, name, l.Range, l.before)
	if err != nil {
		return v, err
	}
	one := r.Items[0]
	if one.Usage == 0 {
		v.Nothing = &statsview.Nothing{Icon: "chart-line", Title: "No calls in this time", Text: "Look at more time, or step back."}
		return v, nil
	}
	t, err := p.trendOf(ctx, l, name)
	if err != nil {
		return v, err
	}
	h, err := p.Stats.DistributionIn(ctx, name, l.elapsed(), t.step, l.loc)
	if err != nil {
		return v, err
	}
	calls, err := p.Stats.Slow(ctx, stats.SlowFilter{Service: name, Range: l.Range}, slowBeside)
	if err != nil {
		return v, err
	}
	v.Tiles = serviceTiles(one)
	v.Charts = p.serviceCharts(l, t, one.Figures)
	v.Heat = p.heat(l, h)
	v.Slow = p.slowList(calls, false)
	v.Slow.All = p.url("stats.slow", values("service", name, "period", "own", "from", linkTime(l.From), "to", linkTime(l.To)))
	v.Periods = p.periods(l, t)
	return v, nil
}

// serviceTiles are the figures that matter, with how they have changed.
func serviceTiles(f stats.ServiceFigures) []statsview.Tile {
	var out []statsview.Tile
	for _, x := range []figureColumn{callsColumn, rateColumn, meanColumn, p50Column, p95Column, p99Column, maxColumn, failedColumn} {
		cell := x.cell(f.Figures, f.Before, true)
		tile := statsview.Tile{Name: x.head.Text, Value: cell.Text, Change: cell.Change, ChangeTone: cell.ChangeTone, Note: cell.Title}
		if x.red && f.Failed > 0 {
			tile.Note = strings.TrimPrefix(tile.Note+", "+percentText(float64(f.Failed)/float64(f.Usage))+" of the calls", ", ")
		}
		out = append(out, tile)
	}
	return out
}

// serviceCharts are latency, rate and failures.
func (p *statsPages) serviceCharts(l *look, t trend, all stats.Figures) []statsview.Chart {
	rate := func(pt stats.Point) float64 { return pt.Rate }
	failures := func(pt stats.Point) float64 { return float64(pt.Failed) }
	latency := statsview.ChartProps{ID: "latency", Title: "Time of a call, ms", Format: axisText, Series: []statsview.Series{
		{Name: "p50", Value: msText(all.P50), Kind: "main", Points: figureLine(t.points, 0, p50Of)},
		{Name: "p95", Value: msText(all.P95), Kind: "second", Points: figureLine(t.points, 0, p95Of)},
		{Name: "p99", Value: msText(all.P99), Kind: "third", Points: figureLine(t.points, 0, p99Of)},
	}}
	calls := statsview.ChartProps{ID: "rate", Title: "Calls/s", Format: axisText, Quiet: true, Series: []statsview.Series{
		{Name: "mean", Value: figureText(all.Rate), Kind: "main", Points: figureLine(t.points, 0, rate)},
	}}
	failed := statsview.ChartProps{ID: "failed", Title: "Failed calls", Format: axisText, Quiet: true, Whole: true, Series: []statsview.Series{
		{Name: "in all", Value: decimal(all.Failed), Kind: "failed", Points: figureLine(t.points, 0, failures)},
	}}
	if l.before != nil {
		latency.Series = append(latency.Series, statsview.Series{Name: "p95, " + l.compareText(), Kind: "before",
			Points: figureLine(t.before, t.later, p95Of)})
		calls.Series = append(calls.Series, statsview.Series{Name: l.compareText(), Kind: "before", Points: figureLine(t.before, t.later, rate)})
		failed.Series = append(failed.Series, statsview.Series{Name: l.compareText(), Kind: "before", Points: figureLine(t.before, t.later, failures)})
	}
	return []statsview.Chart{p.trendChart(l, t, latency), p.trendChart(l, t, calls), p.trendChart(l, t, failed)}
}

// mostPeriods is how many rows the table below the charts has.
const mostPeriods = 200

// periods is the table below the charts, the newest first. A name leads nearer.
func (p *statsPages) periods(l *look, t trend) statsview.Table {
	nouns := map[stats.Step]string{stats.StepMinute: "Minute", stats.StepHour: "Hour", stats.StepDay: "Day"}
	table := statsview.Table{ID: "periods", Title: "By the " + strings.ToLower(nouns[t.step]),
		Caption: "Figures of each " + strings.ToLower(nouns[t.step]), Heads: []statsview.Head{{Text: nouns[t.step]}}}
	columns := []figureColumn{callsColumn, rateColumn, meanColumn, minColumn, maxColumn, p50Column, p95Column, p99Column, failedColumn}
	for _, x := range columns {
		table.Heads = append(table.Heads, x.head)
	}
	for i := len(t.points) - 1; i >= 0 && len(table.Rows) < mostPeriods; i-- {
		pt := t.points[i]
		if pt.Usage == 0 {
			continue
		}
		row := statsview.Row{Name: stepText(pt, t.step, l.loc)}
		if t.step != stats.StepMinute {
			row.URL = p.here(l, "period", "", "from", linkTime(pt.At), "to", linkTime(pt.End))
		}
		for _, x := range columns {
			row.Cells = append(row.Cells, x.cell(pt.Figures, nil, false))
		}
		table.Rows = append(table.Rows, row)
	}
	if len(table.Rows) == mostPeriods {
		table.Title += ", the newest " + decimal(mostPeriods) + " (the CSV file has all)"
	}
	return table
}

// thresholdForm is the form for when a call is slow. Readers who may not set it are told, if there is one.
func (p *statsPages) thresholdForm(c echo.Context, name string) (f statsview.Threshold, err error) {
	ctx := c.Request().Context()
	own, general, err := p.thresholdOf(ctx, name)
	if err != nil {
		return f, err
	}
	f = statsview.Threshold{Service: name, Note: "Empty = the threshold of all services"}
	if general > 0 {
		f.Note += ", " + lastingText(general) + "."
	} else {
		f.Note += "; there is none."
	}
	f.Value = ui.FieldProps{Name: "ms", Label: "Slow from (ms)", Type: "number", Placeholder: placeholderMS(general),
		Attrs: map[string]any{"min": "0", "step": "any"}}
	if own > 0 {
		f.Value.Value = strconv.FormatFloat(inMS(own), 'f', -1, 64)
	}
	if mayEdit(c) {
		f.Action = p.url("stats.threshold")
	} else {
		f.Value.ReadOnly = true
	}
	return f, nil
}

func placeholderMS(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return strconv.FormatFloat(inMS(d), 'f', -1, 64)
}

// thresholdOf returns a service's own threshold and that of all services; 0 = there is none.
func (p *statsPages) thresholdOf(ctx context.Context, name string) (own, general time.Duration, err error) {
	set, err := p.Stats.Settings(ctx)
	if err != nil {
		return 0, 0, err
	}
	list, err := p.Stats.Thresholds(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range list {
		if t.Service == name {
			own = t.Took
		}
	}
	return own, set.Threshold, nil
}

// setThreshold serves POST /stats/threshold with the fields service and ms.
func (p *statsPages) setThreshold(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name := f.text("service")
	if name == "" {
		return kvdb.Invalid("service", "must name a service")
	}
	ctx := c.Request().Context()
	ms, err := readMS("ms", f.word("ms"))
	if err == nil {
		err = p.audited(c, verbStatsThreshold, statsObject(name), func() (before, after string, err error) {
			own, _, err := p.thresholdOf(ctx, name)
			if err != nil {
				return "", "", err
			}
			return thresholdText(own), thresholdText(ms), p.Stats.SetThreshold(ctx, name, ms)
		})
	}
	if wrong, ok := faultsOf(err); ok {
		return p.thresholdAgain(c, name, f.word("ms"), wrong)
	} else if err != nil {
		return err
	}
	text := "Calls of " + name + " are slow from " + lastingText(ms) + " on."
	if ms == 0 {
		text = name + " has no threshold of its own any more."
	}
	return p.done(c, p.url(servicePage.route, values("name", name)), ui.ToastProps{Kind: "success", Text: text})
}

// thresholdAgain shows the page of a service with what was typed and what is wrong with it.
func (p *statsPages) thresholdAgain(c echo.Context, name, typed string, wrong faults) error {
	l := p.lookAt(c, servicePage)
	l.asked.Set("name", name)
	part, err := p.servicePart(c, &l, name)
	if err != nil {
		return err
	}
	part.Threshold.Value.Value = typed
	for _, message := range wrong {
		part.Threshold.Value.Error = message
	}
	return p.renderService(c, http.StatusUnprocessableEntity, &l, part, name)
}

func thresholdText(d time.Duration) string {
	if d == 0 {
		return "none of its own"
	}
	return lastingText(d)
}

// readMS reads a field with a duration in milliseconds; empty = 0.
func readMS(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ms >= 0 && ms <= inMS(stats.MaxDuration)) { // NaN is neither
		return 0, kvdb.Invalid(field, "is not a time in ms between 0 and %s", decimal(stats.MaxDuration.Milliseconds()))
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}
