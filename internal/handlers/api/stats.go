package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/stats"
)

// ServiceStats are the figures of a service in a range. All include failed calls.
type ServiceStats struct {
	Service string `json:"service" example:"lua:mylib.rename_if_exists"`
	Figures
	UsageShare float64   `json:"usage_share" doc:"Of the calls of all services, 0 to 1."`
	TimeShare  float64   `json:"time_share" doc:"Of the time that all services took, 0 to 1."`
	Before     *Figures  `json:"before,omitempty" doc:"The same of the range before, with compare; missing where there was no call."`
	UsageTrend []float64 `json:"usage_trend,omitempty" doc:"Calls in each part of the range, with points."`
	MeanTrend  []float64 `json:"mean_trend_ms,omitempty" doc:"Their mean in milliseconds."`
}

// figures are the numbers of calls. Times are milliseconds.
type Figures struct {
	Usage  int64   `json:"usage" example:"1200" doc:"How many calls."`
	Rate   float64 `json:"rate" doc:"Calls per second."`
	Mean   float64 `json:"mean_ms" example:"12.5"`
	Min    float64 `json:"min_ms"`
	Max    float64 `json:"max_ms"`
	P50    float64 `json:"p50_ms" doc:"The smallest value with at least half of the values at or below it, within error_bound."`
	P95    float64 `json:"p95_ms"`
	P99    float64 `json:"p99_ms"`
	Failed int64   `json:"failed" doc:"How many of the calls failed."`
	Total  float64 `json:"total_ms" doc:"All times together."`
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func figuresOf(f stats.Figures) Figures {
	return Figures{Usage: f.Usage, Rate: f.Rate, Mean: millis(f.Mean), Min: millis(f.Min), Max: millis(f.Max),
		P50: millis(f.P50), P95: millis(f.P95), P99: millis(f.P99), Failed: f.Failed, Total: millis(f.Total)}
}

func serviceStatsOf(f stats.ServiceFigures) ServiceStats {
	out := ServiceStats{Service: f.Service, Figures: figuresOf(f.Figures), UsageShare: f.UsageShare, TimeShare: f.TimeShare,
		UsageTrend: f.SparkUsage, MeanTrend: f.SparkMean}
	if f.Before != nil {
		before := figuresOf(*f.Before)
		out.Before = &before
	}
	return out
}

// ServicesStats is a report on services.
type ServicesStats struct {
	Items      []ServiceStats `json:"items"`
	All        Figures        `json:"all" doc:"Of all services together, those beyond limit too."`
	From       time.Time      `json:"from" doc:"What the figures are of: the range asked for, cut as finely as its time is still kept."`
	To         time.Time      `json:"to"`
	ErrorBound float64        `json:"error_bound" example:"0.011" doc:"How far percentiles may be from the exact ones, as a share of them. All else is exact."`
	Others     bool           `json:"others" doc:"There were more names than are kept apart (5,000): some calls are counted as the service (other services)."`
}

func servicesStatsOf(r stats.ServicesReport) ServicesStats {
	out := ServicesStats{Items: make([]ServiceStats, len(r.Items)), All: figuresOf(r.All), From: r.Range.From.UTC(), To: r.Range.To.UTC(),
		ErrorBound: r.ErrorBound, Others: r.Others}
	for i, item := range r.Items {
		out.Items[i] = serviceStatsOf(item)
	}
	return out
}

// TrendStats are the figures of a service, part by part.
type TrendStats struct {
	Points     []TrendPoint `json:"points"`
	ErrorBound float64      `json:"error_bound" example:"0.011"`
}

// TrendPoint is one part.
type TrendPoint struct {
	At  time.Time `json:"at" doc:"When the part begins."`
	End time.Time `json:"end" doc:"When the next one does."`
	Figures
}

// SlowCalls are slow calls.
type SlowCalls struct {
	Items []SlowCall `json:"items"`
}

// SlowCall is one of the slowest calls of its day.
type SlowCall struct {
	Service  string    `json:"service"`
	Duration float64   `json:"duration_ms"`
	At       time.Time `json:"at" doc:"When it ended."`
	CID      string    `json:"cid" doc:"Of the call; empty when there was none."`
	Failed   bool      `json:"failed"`
}

// DeletedStats says what was deleted.
type DeletedStats struct {
	Services int       `json:"services" doc:"How many had calls there."`
	Calls    int64     `json:"calls"`
	Slow     int64     `json:"slow" doc:"Slow calls."`
	From     time.Time `json:"from" doc:"What was deleted: the range asked for, cut as finely as its time is still kept."`
	To       time.Time `json:"to"`
}

// rangeInput is a range of time: from and to, or a span of the calendar.
type rangeInput struct {
	From time.Time `query:"from" doc:"When the range begins; an hour before its end by default."`
	To   time.Time `query:"to" doc:"When it ends; that moment is not inside. Now by default."`
	Span string    `query:"span" enum:"hour,today,yesterday,day,week,month,year" doc:"Instead of from and to: the span of the calendar that holds at. Weeks begin on Monday."`
	At   time.Time `query:"at" doc:"With span; now by default."`
	TZ   string    `query:"tz" default:"UTC" example:"Europe/Berlin" doc:"The zone of the calendar, for span, compare and step."`
}

type servicesStatsInput struct {
	rangeInput
	Sort     string `query:"sort" enum:"usage,mean,p95,max,total,errors" default:"usage" doc:"The services with the largest figure come first."`
	Limit    int    `query:"limit" minimum:"1" maximum:"5001" default:"100" doc:"How many services at most."`
	Compare  string `query:"compare" enum:"hour,day,week,month,year" doc:"Adds the figures of the same range one hour, day, week, month or year before."`
	Q        string `query:"q" doc:"Only services with this text in their name, whatever its case."`
	Internal bool   `query:"internal" doc:"Services of the product itself (api:…), too."`
	Points   int    `query:"points" minimum:"1" maximum:"200" doc:"Adds trends of about so many points."`
	Format   string `query:"format" enum:"json,csv" doc:"Or Accept: text/csv."`
}

type serviceStatsInput struct {
	rangeInput
	Service string `path:"service"`
	Compare string `query:"compare" enum:"hour,day,week,month,year" doc:"Adds the figures of the same range one hour, day, week, month or year before."`
}

type trendInput struct {
	rangeInput
	Service string `path:"service" doc:"Its name, percent-encoded."`
	Step    string `query:"step" enum:"minute,hour,day" doc:"The length of the parts; by default as short as makes no more than 200."`
	Sort    string `query:"sort" doc:"Means nothing here; the query of a report is taken as it is."`
	Limit   int    `query:"limit" doc:"Means nothing here; all parts are answered."`
	Format  string `query:"format" enum:"json,csv" doc:"Or Accept: text/csv."`
}

type slowInput struct {
	rangeInput
	Service  string `query:"service" doc:"Only of this service."`
	MinMS    int64  `query:"min_ms" doc:"Only calls that took so many milliseconds or more."`
	Over     bool   `query:"over" doc:"Only calls that took longer than the threshold of their service."`
	Internal bool   `query:"internal" doc:"Of services of the product itself (api:…), too."`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many calls at most."`
	Format   string `query:"format" enum:"json,csv" doc:"Or Accept: text/csv."`
}

type deleteStatsInput struct {
	From    time.Time `query:"from" required:"true" example:"2026-01-01T00:00:00Z" doc:"When the range begins."`
	To      time.Time `query:"to" required:"true" example:"2026-02-01T00:00:00Z" doc:"When it ends. The last two minutes can't be deleted."`
	Service string    `query:"service" doc:"Only of this service; of all by default."`
}

const csvType = "text/csv"

func (s *server) statsCalls() []operation {
	const group = "Statistics"
	either := []string{echo.MIMEApplicationJSON, csvType}
	return []operation{
		call(mw.Route{Name: "api.stats.record", Method: http.MethodPost, Path: Base + "/stats/record",
			Need: account.Operator, Body: maxSamplesBody, Quick: true},
			about{group: group, summary: "Record samples",
				text: "Samples that are wrong are named, and the others count. They are to be read within about a second; should the server be killed, the " +
					"last second is lost.",
				status: http.StatusAccepted},
			s.recordSamples),
		raw[servicesStatsInput, ServicesStats](mw.Route{Name: "api.stats.services", Method: http.MethodGet,
			Path: Base + "/stats/services", Need: account.Viewer},
			about{group: group, summary: "Report on services",
				text: "Of the last hour by default. Services that were not called in the range are left out.", produces: either},
			s.servicesStats),
		call(mw.Route{Name: "api.stats.service", Method: http.MethodGet, Path: Base + "/stats/services/:service", Need: account.Viewer},
			about{group: group, summary: "Report on a service", text: "All figures are 0 where it was not called."},
			s.serviceStats),
		raw[trendInput, TrendStats](mw.Route{Name: "api.stats.trend", Method: http.MethodGet,
			Path: Base + "/stats/services/:service/trend", Need: account.Viewer},
			about{group: group, summary: "Trend of a service",
				text:     "The points add up to the range. Parts without calls are there, too. Where parts so short are not kept any more, they are longer.",
				produces: either},
			s.trendStats),
		raw[slowInput, SlowCalls](mw.Route{Name: "api.stats.slow", Method: http.MethodGet, Path: Base + "/stats/slow", Need: account.Viewer},
			about{group: group, summary: "List slow calls",
				text: "The slowest first, of all that are kept by default: of each day, for 35 days, the slowest 100 of each service " +
					"and the slowest 1,000 of all.", produces: either},
			s.slowStats),
		call(mw.Route{Name: "api.stats.delete", Method: http.MethodDelete, Path: Base + "/stats", Need: account.Admin, Long: true},
			about{group: group, summary: "Delete statistics", text: "Of a range of time. Days and months that it is a part of lose its share."},
			s.deleteStats),
	}
}

// span reads the range, and the zone that it is in.
func (in *rangeInput) span(now time.Time) (r stats.Range, loc *time.Location, err error) {
	if loc, err = time.LoadLocation(in.TZ); err != nil || in.TZ == "Local" {
		return r, nil, kvdb.Invalid("tz", "must be the name of a time zone like Europe/Berlin")
	}
	if in.Span != "" {
		if !in.From.IsZero() || !in.To.IsZero() {
			return r, nil, kvdb.Invalid("span", "can't be given with from and to")
		}
		if in.At.IsZero() {
			in.At = now
		}
		return stats.Bounds(stats.Span(in.Span), in.At, loc), loc, nil
	}
	if !in.At.IsZero() {
		return r, nil, kvdb.Invalid("at", "is only for a span")
	}
	r = stats.Range{From: in.From, To: in.To}
	if r.To.IsZero() {
		r.To = now
	}
	if r.From.IsZero() {
		r.From = r.To.Add(-time.Hour)
	}
	if !r.To.After(r.From) {
		return r, nil, kvdb.Invalid("to", "must be after from")
	}
	return r, loc, nil
}

// before is the range to compare with, nil = none.
func before(r stats.Range, unit string, loc *time.Location) *stats.Range {
	if unit == "" {
		return nil
	}
	out := stats.Shift(r, stats.Span(unit), -1, loc)
	return &out
}

func (s *server) servicesStats(c echo.Context, in *servicesStatsInput) error {
	r, loc, err := in.span(s.Now())
	if err != nil {
		return err
	}
	report, err := s.Stats.Services(c.Request().Context(), r, stats.ServicesOptions{
		Sort: stats.Sort(in.Sort), Limit: in.Limit, Filter: in.Q, Internal: in.Internal, Compare: before(r, in.Compare, loc), Spark: in.Points,
	})
	if err != nil {
		return err
	}
	if !wantsCSV(c, in.Format) {
		return answer(c, http.StatusOK, servicesStatsOf(report))
	}
	rows := [][]string{append(append([]string{"service"}, figureNames...), "usage_share", "time_share")}
	for _, item := range report.Items {
		rows = append(rows, append(append([]string{item.Service}, figuresOf(item.Figures).texts()...), number(item.UsageShare), number(item.TimeShare)))
	}
	return answerCSV(c, "services", rows)
}

func (s *server) serviceStats(ctx context.Context, in *serviceStatsInput) (ServicesStats, error) {
	r, loc, err := in.span(s.Now())
	if err != nil {
		return ServicesStats{}, err
	}
	report, err := s.Stats.Service(ctx, in.Service, r, before(r, in.Compare, loc))
	return servicesStatsOf(report), err
}

func (s *server) trendStats(c echo.Context, in *trendInput) error {
	r, loc, err := in.span(s.Now())
	if err != nil {
		return err
	}
	step := stats.Step(in.Step)
	if step == "" {
		step = s.Stats.FitStep(r)
	}
	points, err := s.Stats.TrendIn(c.Request().Context(), in.Service, r, step, loc)
	if err != nil {
		return err
	}
	out := TrendStats{Points: make([]TrendPoint, len(points)), ErrorBound: stats.ErrorBound}
	rows := [][]string{append([]string{"at", "end"}, figureNames...)}
	for i, p := range points {
		out.Points[i] = TrendPoint{At: p.At.UTC(), End: p.End.UTC(), Figures: figuresOf(p.Figures)}
		rows = append(rows, append([]string{out.Points[i].At.Format(time.RFC3339), out.Points[i].End.Format(time.RFC3339)}, out.Points[i].texts()...))
	}
	if wantsCSV(c, in.Format) {
		return answerCSV(c, "trend", rows)
	}
	return answer(c, http.StatusOK, out)
}

func (s *server) slowStats(c echo.Context, in *slowInput) error {
	f := stats.SlowFilter{Service: in.Service, Min: time.Duration(min(max(in.MinMS, 0), stats.MaxDuration.Milliseconds()+1)) * time.Millisecond,
		Over: in.Over, Internal: in.Internal}
	if !in.From.IsZero() || !in.To.IsZero() || in.Span != "" {
		if in.From.IsZero() && in.Span == "" {
			in.From = in.To.Add(-stats.MaxPast)
		}
		r, _, err := in.span(s.Now())
		if err != nil {
			return err
		}
		f.Range = r
	}
	calls, err := s.Stats.Slow(c.Request().Context(), f, in.Limit)
	if err != nil {
		return err
	}
	out := SlowCalls{Items: make([]SlowCall, len(calls))}
	rows := [][]string{{"service", "duration_ms", "at", "cid", "failed"}}
	for i, one := range calls {
		out.Items[i] = SlowCall{Service: one.Service, Duration: millis(one.Took), At: one.At.UTC(), CID: one.CID, Failed: one.Failed}
		rows = append(rows, []string{one.Service, number(millis(one.Took)), one.At.UTC().Format(time.RFC3339Nano), one.CID, strconv.FormatBool(one.Failed)})
	}
	if wantsCSV(c, in.Format) {
		return answerCSV(c, "slow", rows)
	}
	return answer(c, http.StatusOK, out)
}

func (s *server) deleteStats(ctx context.Context, in *deleteStatsInput) (out DeletedStats, err error) {
	object := in.From.UTC().Format(time.RFC3339) + " to " + in.To.UTC().Format(time.RFC3339)
	var services []string
	if in.Service != "" {
		services = []string{in.Service}
		object += ", " + in.Service
	}
	err = checked(s.Audited(ctx, "stats.delete", object, func() (before, after string, err error) {
		deleted, err := s.Stats.DeleteRange(ctx, stats.Range{From: in.From, To: in.To}, services...)
		out = DeletedStats{Services: deleted.Services, Calls: deleted.Calls, Slow: deleted.Slow, From: deleted.Range.From.UTC(), To: deleted.Range.To.UTC()}
		return "", strconv.FormatInt(deleted.Calls, 10) + " calls deleted", err
	}), "stats.delete", Base+"/stats/services")
	return out, err
}

// wantsCSV says whether the format, or without one the Accept header, asks for CSV.
func wantsCSV(c echo.Context, format string) bool {
	c.Response().Header().Set(echo.HeaderVary, echo.HeaderAccept)
	if format != "" {
		return format == "csv"
	}
	return accepts(c.Request().Header.Get(echo.HeaderAccept), csvType)
}

// answerCSV answers a table. What a spreadsheet would take for a formula is marked as text.
func answerCSV(c echo.Context, name string, rows [][]string) error {
	buf := getBuffer()
	defer putBuffer(buf)
	w := csv.NewWriter(buf)
	for _, row := range rows[1:] {
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set(echo.HeaderContentDisposition, `attachment; filename="`+name+`.csv"`)
	return c.Blob(http.StatusOK, csvType+"; charset=utf-8", slices.Clone(buf.Bytes()))
}

var figureNames = []string{"usage", "rate", "mean_ms", "min_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms", "failed", "total_ms"}

// texts are the Figures in the order of figureNames.
func (f Figures) texts() []string {
	return []string{strconv.FormatInt(f.Usage, 10), number(f.Rate), number(f.Mean), number(f.Min), number(f.Max),
		number(f.P50), number(f.P95), number(f.P99), strconv.FormatInt(f.Failed, 10), number(f.Total)}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
