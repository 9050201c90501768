package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

// mostSlow is how many slow calls the page lists, and its file has.
const mostSlow = 1000

// slow serves GET /stats/slow?service=&min_ms=&over=&own=&period=&from=&to=&format=.
func (p *statsPages) slow(c echo.Context) error {
	page := statsPage{"stats.slow", "Slow calls", servicePage.periods, 3}
	l := p.lookAt(c, page)
	own := query(c, "period") == ownTime.name || query(c, "period") == ""
	if !own && l.fixed { // the fields for times are still there, but another time was chosen
		l.Range, l.fixed = l.current(l.period), false
	}
	if times := query(c, "from") != ""; wantsFragment(c.Request()) && query(c, "period") != "" && own != times {
		return redirect(c, p.url("stats.slow", slowQuery(c, own))) // the fields for times come or go
	}
	f := stats.SlowFilter{Service: query(c, "service"), Over: query(c, "over") != "", Internal: query(c, "own") != "", Range: l.Range}
	if query(c, "period") == "all" {
		f.Range = stats.Range{}
	}
	v := statsview.SlowPage{Filters: p.slowFilters(c, &l, own), Zone: zoneText(c)}
	least, err := readMS("min_ms", query(c, "min_ms"))
	if wrong, ok := faultsOf(err); ok {
		v.Filters.Min.Error = wrong["min_ms"]
		l.wrong["min_ms"] = wrong["min_ms"]
	}
	f.Min = least
	calls, err := p.Stats.Slow(c.Request().Context(), f, mostSlow)
	if err != nil {
		return err
	}
	if query(c, "format") == "csv" {
		return p.slowCSV(c, calls)
	}
	v.List = p.slowList(calls, f.Service == "")
	v.List.CSV = p.url("stats.slow", slowQuery(c, own, "format", "csv"))
	if len(calls) == 0 && v.Filters.Clear != "" {
		v.List.Nothing = &statsview.Nothing{Icon: "search-x", Title: "No call matches",
			Text: "The slowest 100 of each service and the slowest 1,000 of all are kept of each day.",
			Do:   statsview.Link{Text: "Show all", URL: v.Filters.Clear}}
	}
	if len(calls) == mostSlow {
		v.List.Summary = "The slowest " + decimal(mostSlow)
	}
	if wantsFragment(c.Request()) {
		pushURL(c, p.url("stats.slow", slowQuery(c, own)))
		return render(c, http.StatusOK, statsview.SlowListOf(v.List))
	}
	v.Page = p.page(c, page.title, p.crumbs(page.route)...)
	return render(c, l.status(), statsview.Slow(v))
}

// slowNames are the parts of the address of slow calls.
var slowNames = []string{"service", "min_ms", "over", "own", "period", "from", "to"}

// slowQuery is the address of the page. own is whether its time is one without a name.
func slowQuery(c echo.Context, own bool, more ...string) url.Values {
	v := values(more...)
	for _, name := range slowNames {
		if own || name != "from" && name != "to" {
			v.Set(name, query(c, name))
		}
	}
	return v
}

func (p *statsPages) slowFilters(c echo.Context, l *look, own bool) statsview.SlowFilters {
	f := statsview.SlowFilters{
		URL:     p.url("stats.slow"),
		Service: ui.SearchProps{ID: "filter-service", Name: "service", Label: "Name of a service", Value: query(c, "service")},
		Min: ui.FieldProps{ID: "filter-min", Name: "min_ms", Label: "At least (ms)", Type: "number", Value: query(c, "min_ms"),
			Attrs: map[string]any{"min": "0", "step": "any", "size": "8"}},
		Range:    ui.SelectProps{ID: "filter-period", Name: "period", Label: "Time", Value: cmp.Or(query(c, "period"), l.period.name)},
		Over:     ui.CheckProps{ID: "filter-over", Name: "over", Label: "Over their threshold", Value: "1", Checked: query(c, "over") != ""},
		Internal: ui.CheckProps{ID: "filter-own", Name: "own", Label: "webadmin's own", Value: "1", Checked: query(c, "own") != ""},
	}
	for _, x := range l.page.periods {
		f.Range.Options = append(f.Range.Options, ui.Option{Value: x.name, Text: x.text})
	}
	f.Range.Options = append(f.Range.Options, ui.Option{Value: "all", Text: "All that is kept"}, ui.Option{Value: ownTime.name, Text: "From and to"})
	if l.fixed || query(c, "period") == ownTime.name {
		f.Range.Value = ownTime.name
		field := func(name, label string, t time.Time) *ui.FieldProps {
			return &ui.FieldProps{ID: "filter-" + name, Name: name, Label: label + " (" + l.loc.String() + ")", Type: "datetime-local",
				Value: t.In(l.loc).Format(fieldTime), Error: l.wrong[name]}
		}
		f.From, f.To = field("from", "From", l.From), field("to", "To", l.To)
	}
	if encode(slowQuery(c, own)) != "" {
		f.Clear = p.url("stats.slow")
	}
	return f
}

// slowList makes rows of calls. several is whether they may be of several services.
func (p *statsPages) slowList(calls []stats.SlowCall, several bool) statsview.SlowList {
	v := statsview.SlowList{Service: several}
	if len(calls) == 0 {
		v.Nothing = &statsview.Nothing{Icon: "timer", Title: "No calls in this time",
			Text: "The slowest 100 of each service and the slowest 1,000 of all are kept of each day."}
		return v
	}
	slowest := max(calls[0].Took, 1)
	for _, call := range calls {
		row := statsview.SlowRow{
			Took: lastingText(call.Took), Bar: barOf(float64(call.Took) / float64(slowest)), Service: call.Service, At: call.At,
			CID: call.CID, CIDURL: p.invocationURL(call.CID),
			ServiceURL: p.url(servicePage.route, values("name", call.Service)),
		}
		if call.Over() {
			row.Marks = append(row.Marks, statsview.Badge{Kind: "error", Text: "over " + lastingText(call.Threshold), Meaning: "The threshold of its service"})
		}
		if call.Failed {
			row.Marks = append(row.Marks, statsview.Badge{Kind: "warning", Text: "failed"})
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}
