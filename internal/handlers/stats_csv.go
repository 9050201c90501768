package handlers

import (
	"encoding/csv"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/stats"
)

// figureNames are the columns of a CSV file, called as in the API.
var figureNames = []string{"usage", "rate", "mean_ms", "min_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms", "failed", "usage_share", "time_share"}

func figureCells(f stats.Figures) []string {
	exact := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	ms := func(d time.Duration) string { return exact(inMS(d)) }
	return []string{
		strconv.FormatInt(f.Usage, 10), exact(f.Rate), ms(f.Mean), ms(f.Min), ms(f.Max), ms(f.P50), ms(f.P95), ms(f.P99),
		strconv.FormatInt(f.Failed, 10), exact(f.UsageShare), exact(f.TimeShare),
	}
}

// csvFile answers with a file to keep.
func (p *statsPages) csvFile(c echo.Context, name string, rows [][]string) error {
	attachment(c, name+"-"+p.Now().UTC().Format("20060102-150405")+".csv", contentTypes["csv"])
	for _, row := range rows {
		for i := range row {
			row[i] = harmless(row[i])
		}
	}
	return csv.NewWriter(c.Response()).WriteAll(rows)
}

// figuresCSV has all figures of the services that the page would list, and those of what it compares with beside them.
func (p *statsPages) figuresCSV(c echo.Context, l *look, o stats.ServicesOptions) error {
	o.Spark, o.Marks = 0, false
	r, err := p.Stats.Services(c.Request().Context(), l.Range, o)
	if err != nil {
		return err
	}
	head := append([]string{"from", "to", "service"}, figureNames...)
	if l.before != nil {
		head = append(head, "before_from", "before_to")
		for _, name := range figureNames {
			head = append(head, "before_"+name)
		}
	}
	rows := [][]string{head}
	for _, f := range r.Items {
		row := append([]string{linkTime(r.Range.From), linkTime(r.Range.To), f.Service}, figureCells(f.Figures)...)
		if l.before != nil && r.Before != nil {
			row = append(row, linkTime(r.Before.From), linkTime(r.Before.To))
			var before stats.Figures
			if f.Before != nil {
				before = *f.Before
			}
			row = append(row, figureCells(before)...)
		}
		rows = append(rows, row)
	}
	return p.csvFile(c, "services", rows)
}

// trendCSV has the figures of each part of a trend.
func (p *statsPages) trendCSV(c echo.Context, name string, points []stats.Point) error {
	rows := [][]string{append([]string{"service", "from", "to"}, figureNames[:9]...)}
	for _, pt := range points {
		rows = append(rows, append([]string{name, linkTime(pt.At), linkTime(pt.End)}, figureCells(pt.Figures)[:9]...))
	}
	return p.csvFile(c, "trend", rows)
}

// slowCSV has the slow calls that the page would list.
func (p *statsPages) slowCSV(c echo.Context, calls []stats.SlowCall) error {
	rows := [][]string{{"service", "duration_ms", "at", "cid", "failed"}}
	for _, call := range calls {
		rows = append(rows, []string{call.Service, strconv.FormatFloat(inMS(call.Took), 'f', -1, 64), call.At.UTC().Format(time.RFC3339Nano),
			call.CID, strconv.FormatBool(call.Failed)})
	}
	return p.csvFile(c, "slow-calls", rows)
}
