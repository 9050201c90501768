package handlers

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/lua"
	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

// How many services are listed, and how many points their lines have.
const (
	usualServices = 25
	mostServices  = 5000 // all there can be
	besideEach    = 10   // of the slowest beside the most used
	sparkPoints   = 48
)

var serviceCounts = []int{10, 25, 50, 100, 500, mostServices}

// fitting is the smallest choice of how many that shows n services, the usual one at least.
func fitting(n int) int {
	i := slices.IndexFunc(serviceCounts, func(c int) bool { return c >= max(n, usualServices) })
	return serviceCounts[max(i, 0)]
}

// The choices of which services are listed, as addresses have them.
const (
	failedAll      = "failed"
	failedServices = "failed-services"
	failedPrograms = "failed-programs"
	slowServices   = "slow"
)

var whichServices = []struct {
	name, text string
	stats.Which
}{
	{"", "Whatever came of them", stats.Which{}},
	{failedAll, "With failed calls", stats.Which{Failed: true}},
	{failedServices, "Services with failed calls", stats.Which{Failed: true, Not: lua.ServicePrefix}},
	{failedPrograms, "Programs with failed calls", stats.Which{Failed: true, Prefix: lua.ServicePrefix}},
	{slowServices, "Slow ones", stats.Which{Slow: true}},
}

// statsView is how the services are shown.
type statsView string

const (
	tableView statsView = "table" // the figures that matter most
	allView   statsView = "all"   // all figures
	pairView  statsView = "pair"  // the slowest beside the most used
)

// figures serves GET /stats/trends and /stats/summary?period=&from=&to=&compare=&cfrom=&cto=&sort=&n=&q=&which=&own=&view=&live=&format=.
// To what follows from that alone it answers with the list, to what is live with all figures.
func (p *statsPages) figures(c echo.Context, page statsPage) error {
	l := p.lookAt(c, page)
	o := p.servicesOptions(&l)
	if query(c, "format") == "csv" {
		return p.figuresCSV(c, &l, o)
	}
	ctx := c.Request().Context()
	if wantsFragment(c.Request()) && targets(c.Request(), "list") {
		list, _, err := p.listOf(ctx, &l, o)
		if err != nil {
			return err
		}
		pushURL(c, p.here(&l))
		return render(c, http.StatusOK, statsview.ListOf(list))
	}
	v, err := p.figuresPart(ctx, &l, o)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, statsview.FiguresPart(v))
	}
	view := statsview.FiguresPage{Title: page.title, Settings: p.url("stats.settings"), Zone: zoneText(c), Controls: p.controls(&l),
		Figures: v, Notices: p.statsNotices(ctx)}
	view.Page = p.page(c, page.title, p.crumbs(page.route)...)
	return render(c, l.status(), statsview.FiguresOf(view))
}

func (p *statsPages) servicesOptions(l *look) stats.ServicesOptions {
	o := stats.ServicesOptions{
		Sort: stats.SortMean, Filter: l.asked.Get("q"), Internal: l.asked.Get("own") != "", Compare: l.before, Spark: sparkPoints, Marks: true,
		Limit: oneOf(l.asked.Get("n"), usualServices, serviceCounts...),
	}
	if s := stats.Sort(l.asked.Get("sort")); slices.Contains(stats.Sorts, s) {
		o.Sort = s
	}
	for _, x := range whichServices {
		if x.name == l.asked.Get("which") {
			o.Which = x.Which
		}
	}
	return o
}

// viewOf is how the services are shown: the summary has the slowest beside the most used, as people look there for what to do next.
func viewOf(l *look) statsView {
	switch v := statsView(l.asked.Get("view")); v {
	case tableView, allView, pairView:
		return v
	}
	if l.page.route == summaryPage.route {
		return pairView
	}
	return tableView
}

// figuresPart reads what is shown of a time: the chart and the list.
func (p *statsPages) figuresPart(ctx context.Context, l *look, o stats.ServicesOptions) (v statsview.Figures, err error) {
	t, err := p.trendOf(ctx, l, stats.All)
	if err != nil {
		return v, err
	}
	list, all, err := p.listOf(ctx, l, o)
	if err != nil {
		return v, err
	}
	v.List = list
	v.Chart = p.allChart(l, t, all)
	v.Filters = p.filtersOf(l, o)
	if every := l.live(); every > 0 {
		v.Refresh, v.Every = p.here(l), seconds(every)
	}
	return v, nil
}

// seconds is how often a page looks again, for its trigger.
func seconds(d time.Duration) string { return "every " + strconv.Itoa(int(d/time.Second)) + "s" }

// trendOf reads the figures of a service over the time of a page, and over what that is compared with.
func (p *statsPages) trendOf(ctx context.Context, l *look, name string) (t trend, err error) {
	t.step = p.Stats.FitStep(l.Range)
	if t.points, err = p.Stats.TrendIn(ctx, name, l.elapsed(), t.step, l.loc); err != nil || l.before == nil {
		return t, err
	}
	t.later = l.From.Sub(l.before.From)
	t.before, err = p.Stats.TrendIn(ctx, name, *l.before, t.step, l.loc)
	return t, err
}

// allChart draws mean and p95 of all services, and the mean of what they are compared with.
func (p *statsPages) allChart(l *look, t trend, r stats.ServicesReport) statsview.Chart {
	props := statsview.ChartProps{ID: "all", Title: "All services, ms", Note: callsText(r.All), Format: axisText}
	props.Series = []statsview.Series{
		{Name: "mean", Value: msText(r.All.Mean), Kind: "main", Points: figureLine(t.points, 0, meanOf)},
		{Name: "p95", Value: msText(r.All.P95), Kind: "second", Points: figureLine(t.points, 0, p95Of)},
	}
	if l.before != nil {
		props.Series = append(props.Series, statsview.Series{Name: "mean, " + l.compareText(), Kind: "before",
			Points: figureLine(t.before, t.later, meanOf)})
	}
	return p.trendChart(l, t, props)
}

// callsText counts calls: "87,715 calls, 24.4/s, 15 failed".
func callsText(f stats.Figures) string {
	text := plural(f.Usage, "call")
	if f.Usage > 0 {
		text += ", " + figureText(f.Rate) + "/s, " + decimal(f.Failed) + " failed"
	}
	return text
}

func (p *statsPages) filtersOf(l *look, o stats.ServicesOptions) statsview.Filters {
	f := statsview.Filters{
		URL:      p.url(l.page.route),
		Search:   ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any part of a name", Value: o.Filter},
		Limit:    ui.SelectProps{ID: "filter-n", Name: "n", Label: "How many", HideLabel: true, Value: strconv.Itoa(o.Limit)},
		Which:    ui.SelectProps{ID: "filter-which", Name: "which", Label: "Which", HideLabel: true, Value: l.asked.Get("which")},
		Internal: ui.CheckProps{ID: "filter-own", Name: "own", Label: "webadmin's own services", Value: "1", Checked: o.Internal},
	}
	for _, n := range serviceCounts {
		text := strconv.Itoa(n) + " services"
		if n == mostServices {
			text = "All services"
		}
		f.Limit.Options = append(f.Limit.Options, ui.Option{Value: strconv.Itoa(n), Text: text})
	}
	for _, x := range whichServices {
		f.Which.Options = append(f.Which.Options, ui.Option{Value: x.name, Text: x.text})
	}
	for _, name := range lookNames {
		if value := l.asked.Get(name); value != "" && name != "q" && name != "n" && name != "which" && name != "own" {
			f.Hidden = append(f.Hidden, [2]string{name, value})
		}
	}
	for _, x := range []struct {
		view statsView
		text string
	}{{tableView, "Table"}, {allView, "All figures"}, {pairView, "Side by side"}} {
		f.Views = append(f.Views, statsview.Choice{Text: x.text, URL: p.here(l, "view", string(x.view)), Current: viewOf(l) == x.view})
	}
	return f
}

// listOf reads the services and makes their tables.
func (p *statsPages) listOf(ctx context.Context, l *look, o stats.ServicesOptions) (list statsview.List, r stats.ServicesReport, err error) {
	set, err := p.Stats.Settings(ctx)
	if err != nil {
		return list, r, err
	}
	view := viewOf(l)
	if view == pairView {
		o.Limit = min(o.Limit, max(besideEach, oneOf(l.asked.Get("n"), besideEach, serviceCounts...)))
		o.Sort = stats.SortMean
	}
	if r, err = p.Stats.Services(ctx, l.Range, o); err != nil {
		return list, r, err
	}
	if len(r.Items) == 0 {
		list.Nothing = p.noServices(l, o, set, r)
		return list, r, nil
	}
	switch view {
	case pairView:
		o.Sort = stats.SortUsage
		used, err := p.Stats.Services(ctx, l.Range, o)
		if err != nil {
			return list, r, err
		}
		list.Tables = []statsview.Table{p.slowestTable(l, r, set), p.mostUsedTable(l, used, set)}
	case allView:
		list.Tables = []statsview.Table{p.allFigures(l, r, o, set)}
	default:
		list.Tables = []statsview.Table{p.mainTable(l, r, o, set)}
	}
	list.Summary = countOf(len(r.Items), r.Matched, "service")
	list.Notes = p.listNotes(l, r)
	return list, r, nil
}

// countOf says how many of how many are shown.
func countOf(shown, all int, noun string) string {
	if shown >= all {
		return plural(int64(all), noun)
	}
	return decimal(int64(shown)) + " of " + plural(int64(all), noun)
}

// listNotes say how the figures are to be read.
func (p *statsPages) listNotes(l *look, r stats.ServicesReport) []string {
	notes := []string{"Percentiles are within " + percentText(r.ErrorBound) + " of the exact ones; all else is exact."}
	if !r.Range.From.Equal(l.From) {
		notes = append(notes, "These figures begin at "+r.Range.From.In(l.loc).Format("2 Jan 2006, 15:04")+", as that time is kept less finely.")
	}
	if r.Before != nil && l.before != nil && !r.Before.From.Equal(l.before.From) {
		notes = append(notes, "What is compared with begins at "+r.Before.From.In(l.loc).Format("2 Jan 2006, 15:04")+", as that time is kept less finely.")
	}
	if r.Others {
		notes = append(notes, "There are more than "+decimal(stats.MaxServices)+" names of services; calls of those beyond count as “"+stats.Other+"”.")
	}
	if r.Hidden > 0 {
		notes = append(notes, plural(int64(r.Hidden), "hidden service")+" of webadmin itself, not counted in shares.")
	}
	return notes
}

// noServices says why there are none, and what to do.
func (p *statsPages) noServices(l *look, o stats.ServicesOptions, set stats.Settings, r stats.ServicesReport) *statsview.Nothing {
	switch {
	case o.Filter != "":
		return &statsview.Nothing{Icon: "search-x", Title: "No service matches",
			Text: "No service that was called in this time has “" + o.Filter + "” in its name.", Do: statsview.Link{Text: "Show all", URL: p.here(l, "q", "")}}
	case o.Which != stats.Which{}:
		return &statsview.Nothing{Icon: "circle-check", Title: "None of them", Text: "No service that was called in this time is one of those.",
			Do: statsview.Link{Text: "Show all", URL: p.here(l, "which", "")}}
	case r.Hidden > 0:
		return &statsview.Nothing{Icon: "chart-line", Title: "Only webadmin's own services were called", Text: "No other was called in this time.",
			Do: statsview.Link{Text: "Show them", URL: p.here(l, "own", "1")}}
	case !set.Recording:
		return &statsview.Nothing{Icon: "chart-line", Title: "Nothing was recorded", Text: "Recording is switched off.",
			Do: statsview.Link{Text: "Settings", URL: p.url("stats.settings")}}
	}
	return &statsview.Nothing{
		Icon: "chart-line", Title: "No calls in this time",
		Text: "Translations, runs of programs and invocations count themselves. Other servers post theirs: POST /api/v1/stats/record.",
		Do:   statsview.Link{Text: "API", URL: p.url("api.docs")},
	}
}

// statsNotices tell what needs someone, whatever time is looked at.
func (p *statsPages) statsNotices(ctx context.Context) []statsview.Notice {
	var out []statsview.Notice
	if set, err := p.Stats.Settings(ctx); err == nil && !set.Recording {
		out = append(out, statsview.Notice{Kind: "warning", Text: "Recording is switched off: nothing that happens now is counted.",
			Do: statsview.Link{Text: "Settings", URL: p.url("stats.settings")}})
	}
	n := p.Stats.Counters()
	if n.LastErr != "" {
		out = append(out, statsview.Notice{Kind: "warning", Text: "What was measured last could not be written yet: " +
			strings.TrimSuffix(n.LastErr, ".") + ". " + plural(n.Waiting, "sample") + " wait."})
	}
	if n.Dropped > 0 {
		out = append(out, statsview.Notice{Kind: "warning", Text: plural(n.Dropped, "sample") +
			" found no room while Redis was away, and are missing here (in this process, since it started)."})
	}
	if n.Unknown > 0 {
		out = append(out, statsview.Notice{Kind: "warning", Text: "Of " + plural(n.Unknown, "sample") +
			" nobody knows whether Redis has counted them: no answer came. They were not sent twice (in this process, since it started)."})
	}
	return out
}

// serviceURL is the page of a service over the same time.
func (p *statsPages) serviceURL(l *look, name string) string {
	v := l.with("name", name, "sort", "", "n", "", "q", "", "which", "", "own", "", "view", "")
	if v.Get("period") == "" && !l.fixed && l.period.name != servicePage.periods[servicePage.usual].name {
		v.Set("period", l.period.name)
	}
	return p.url(servicePage.route, v)
}

// row names a service, with what is worth a look.
func (p *statsPages) row(l *look, f stats.ServiceFigures, set stats.Settings) statsview.Row {
	row := statsview.Row{Name: f.Service, URL: p.serviceURL(l, f.Service), Mono: true, Pair: f.Service, Marks: marksOf(f, set)}
	return row
}

func marksOf(f stats.ServiceFigures, set stats.Settings) []statsview.Badge {
	var out []statsview.Badge
	if f.Attention.Slow {
		limit := lastingText(set.SlowMean)
		out = append(out, statsview.Badge{Kind: "error", Text: "over " + limit,
			Meaning: "Its mean is over " + limit + ", from where on services are marked"})
	}
	if f.Attention.Slower && f.Attention.LastWeek > 0 {
		times := figureText(float64(f.Mean) / float64(f.Attention.LastWeek))
		out = append(out, statsview.Badge{Kind: "warning", Text: times + " × last week",
			Meaning: "A week before, its mean was " + msText(f.Attention.LastWeek) + " ms"})
	}
	if f.Internal {
		out = append(out, statsview.Badge{Kind: "plain", Text: "webadmin", Meaning: "A service of webadmin itself"})
	}
	return out
}

// sortable makes the head of a column a link where services can be ordered by it.
func (p *statsPages) sortable(l *look, x figureColumn, o stats.ServicesOptions) statsview.Head {
	h := x.head
	if x.sort != "" {
		h.URL, h.Sorted = p.here(l, "sort", string(x.sort)), x.sort == o.Sort
	}
	return h
}

// mainTable has the figures that matter most.
func (p *statsPages) mainTable(l *look, r stats.ServicesReport, o stats.ServicesOptions, set stats.Settings) statsview.Table {
	t := statsview.Table{ID: "main", Caption: "Services", Heads: []statsview.Head{{Text: "Service"}}}
	for _, x := range []figureColumn{callsColumn, rateColumn, meanColumn} {
		t.Heads = append(t.Heads, p.sortable(l, x, o))
	}
	if l.before != nil {
		t.Heads = append(t.Heads, statsview.Head{Text: "Change", Meaning: "How the mean has changed from " + l.compareText()})
	}
	for _, x := range []figureColumn{p95Column, p99Column, failedColumn} {
		t.Heads = append(t.Heads, p.sortable(l, x, o))
	}
	share := p.sortable(l, timeShareColumn, o)
	share.Kind = "text"
	calls := o.Sort == stats.SortUsage
	t.Heads = append(t.Heads, share, sparkHead(l, calls))
	for _, f := range r.Items {
		row := p.row(l, f, set)
		row.Cells = []statsview.Cell{callsColumn.cell(f.Figures, f.Before, false), rateColumn.cell(f.Figures, f.Before, false),
			meanColumn.cell(f.Figures, f.Before, false)}
		if l.before != nil {
			row.Cells = append(row.Cells, meanColumn.change(f.Figures, f.Before))
		}
		row.Cells = append(row.Cells, p95Column.cell(f.Figures, f.Before, false), p99Column.cell(f.Figures, f.Before, false),
			failedColumn.cell(f.Figures, f.Before, false),
			timeShareColumn.bar(f.Figures, f.Before), sparkCell(f, calls))
		t.Rows = append(t.Rows, row)
	}
	return t
}

// allFigures has a column for each figure, and below each number how it has changed.
func (p *statsPages) allFigures(l *look, r stats.ServicesReport, o stats.ServicesOptions, set stats.Settings) statsview.Table {
	t := statsview.Table{ID: "all", Caption: "Services with all figures", Heads: []statsview.Head{{Text: "Service"}}}
	columns := []figureColumn{callsColumn, rateColumn, meanColumn, minColumn, maxColumn, p50Column, p95Column, p99Column,
		failedColumn, callShareColumn, timeShareColumn}
	for _, x := range columns {
		t.Heads = append(t.Heads, p.sortable(l, x, o))
	}
	for _, f := range r.Items {
		row := p.row(l, f, set)
		for _, x := range columns {
			row.Cells = append(row.Cells, x.cell(f.Figures, f.Before, l.before != nil))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// slowestTable is the left one of two.
func (p *statsPages) slowestTable(l *look, r stats.ServicesReport, set stats.Settings) statsview.Table {
	t := statsview.Table{ID: "slowest", Title: "Slowest", Caption: "The slowest services", Heads: []statsview.Head{{Text: "Service"}, meanColumn.head}}
	if l.before != nil {
		t.Heads = append(t.Heads, statsview.Head{Text: "Change", Meaning: "How the mean has changed from " + l.compareText()})
	}
	share := timeShareColumn.head
	share.Kind = "text"
	t.Heads = append(t.Heads, share, sparkHead(l, false))
	for _, f := range r.Items {
		row := p.row(l, f, set)
		row.Cells = append(row.Cells, meanColumn.cell(f.Figures, f.Before, false))
		if l.before != nil {
			row.Cells = append(row.Cells, meanColumn.change(f.Figures, f.Before))
		}
		row.Cells = append(row.Cells, timeShareColumn.bar(f.Figures, f.Before), sparkCell(f, false))
		t.Rows = append(t.Rows, row)
	}
	return t
}

// mostUsedTable is the right one of two.
func (p *statsPages) mostUsedTable(l *look, r stats.ServicesReport, set stats.Settings) statsview.Table {
	t := statsview.Table{ID: "most-used", Title: "Most used", Caption: "The most used services",
		Heads: []statsview.Head{{Text: "Service"}, callsColumn.head}}
	if l.before != nil {
		t.Heads = append(t.Heads, statsview.Head{Text: "Change", Meaning: "How the number of calls has changed from " + l.compareText()})
	}
	share := callShareColumn.head
	share.Kind = "text"
	t.Heads = append(t.Heads, rateColumn.head, share, sparkHead(l, true))
	for _, f := range r.Items {
		row := p.row(l, f, set)
		row.Marks = slices.DeleteFunc(row.Marks, func(b statsview.Badge) bool { return b.Kind != "plain" }) // those are about its slowness
		if f.Attention.Busy {
			limit := percentText(set.BusyShare)
			row.Marks = append(row.Marks, statsview.Badge{Kind: "info", Text: "over " + limit,
				Meaning: "It has more than " + limit + " of all calls, from where on services are marked"})
		}
		row.Cells = append(row.Cells, callsColumn.cell(f.Figures, f.Before, false))
		if l.before != nil {
			row.Cells = append(row.Cells, callsColumn.change(f.Figures, f.Before))
		}
		row.Cells = append(row.Cells, rateColumn.cell(f.Figures, f.Before, false), callShareColumn.bar(f.Figures, f.Before), sparkCell(f, true))
		t.Rows = append(t.Rows, row)
	}
	return t
}

// sparkHead names the column of little lines by the time that they show.
func sparkHead(l *look, calls bool) statsview.Head {
	what := "Mean"
	if calls {
		what = "Calls"
	}
	name := l.text()
	if l.fixed {
		name = what
	}
	return statsview.Head{Text: cmp.Or(name, what), Meaning: what + " over time: " + l.text(), Kind: "text"}
}

func sparkCell(f stats.ServiceFigures, calls bool) statsview.Cell {
	if calls {
		return statsview.Cell{Spark: append([]float64{}, f.SparkUsage...)} // not nil: it is a line, though it may be an empty one
	}
	means := make([]float64, len(f.SparkMean))
	for i, v := range f.SparkMean {
		if means[i] = v; v == 0 {
			means[i] = math.NaN() // there was no call
		}
	}
	return statsview.Cell{Spark: means}
}
