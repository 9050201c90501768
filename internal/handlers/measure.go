package handlers

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

// measureAPI records each request of the API as the service api:<route>. Streams, which last as long as somebody listens, are left out.
// It comes outside mw.Answer, so that it sees the status.
func measureAPI(s *stats.Store, table []Route) echo.MiddlewareFunc {
	services := map[*mw.Route]string{}
	for i := range table {
		if name, ok := strings.CutPrefix(table[i].Name, "api."); ok {
			services[&table[i]] = "api:" + name
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			info := mw.From(c.Request().Context())
			if info.Route == nil {
				return next(c)
			}
			service, ok := services[info.Route]
			if !ok {
				return next(c)
			}
			start := time.Now()
			err := next(c)
			if w := c.Response(); !strings.HasPrefix(w.Header().Get(echo.HeaderContentType), "text/event-stream") {
				s.Record(service, time.Since(start), w.Status >= http.StatusInternalServerError, cmp.Or(info.CID, info.ID))
			}
			return err
		}
	}
}

// adHoc stands for the program of runs of texts that nobody saved.
const adHoc = "(ad hoc)"

// MeasureRuns records runs of programs as the service lua:<program>, but for those that the broker had made: MeasureInvocations has
// them, with their cid.
func MeasureRuns(s *stats.Store) func(lua.Run) {
	return func(r lua.Run) {
		if r.Who == api.BrokerCaller && r.Address == "" || !measured(r) {
			return
		}
		program := r.Program
		if program == "" {
			program = adHoc
		}
		s.Record(lua.ServicePrefix+program, r.Took, r.Outcome != "done", r.CID)
	}
}

// measured says whether a run is one on live data.
func measured(r lua.Run) bool { return r.Mode == "run" || r.Mode == "read-only" || r.Mode == "apply" }

// MeasureInvocations records attempts of invocations: how long they ran as the service, and how long they had waited before that as
// wait:<service>.
func MeasureInvocations(s *stats.Store) func(broker.Finished) {
	return func(f broker.Finished) {
		s.Record(f.Service, f.Ran, f.Failed, f.CID)
		s.Record(stats.WaitPrefix+f.Service, f.Waited, false, f.CID)
	}
}

// serviceMetrics gives Prometheus what this process has recorded since it started.
type serviceMetrics struct{ stats *stats.Store }

var (
	serviceDuration = prometheus.NewDesc("webadmin_service_duration_seconds", "How long calls of services took, since this process started, failed ones too. A native histogram.", []string{"service"}, nil)
	serviceFailed   = prometheus.NewDesc("webadmin_service_failed_total", "Calls of services that failed, since this process started.", []string{"service"}, nil)
	statsDropped    = prometheus.NewDesc("webadmin_stats_dropped_total", "Samples that found no room while Redis was away.", nil, nil)
	statsUnknown    = prometheus.NewDesc("webadmin_stats_unknown_total", "Samples of which nobody knows whether Redis has them.", nil, nil)
	statsWaiting    = prometheus.NewDesc("webadmin_stats_waiting", "Samples that are not in Redis yet.", nil, nil)
)

// Describe is for prometheus.Collector.
func (serviceMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{serviceDuration, serviceFailed, statsDropped, statsUnknown, statsWaiting} {
		to <- d
	}
}

// Collect is for prometheus.Collector.
func (m serviceMetrics) Collect(to chan<- prometheus.Metric) {
	for _, one := range m.stats.Since() {
		histogram, err := prometheus.NewConstNativeHistogram(serviceDuration, uint64(one.Count), one.Total.Seconds(), one.Buckets, nil, 0,
			stats.SinceSchema, 0, time.Time{}, one.Service)
		if err != nil {
			histogram = prometheus.NewInvalidMetric(serviceDuration, err)
		}
		to <- histogram
		to <- prometheus.MustNewConstMetric(serviceFailed, prometheus.CounterValue, float64(one.Failed), one.Service)
	}
	c := m.stats.Counters()
	to <- prometheus.MustNewConstMetric(statsDropped, prometheus.CounterValue, float64(c.Dropped))
	to <- prometheus.MustNewConstMetric(statsUnknown, prometheus.CounterValue, float64(c.Unknown))
	to <- prometheus.MustNewConstMetric(statsWaiting, prometheus.GaugeValue, float64(c.Waiting))
}
