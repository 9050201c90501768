package mw

import (
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics measures each request: how long it took by route, method and class of status, how many are
// under way, and how many failed by kind of error. kind names an error's kind;
// "" = not counted. Answer comes inside it.
func Metrics(reg prometheus.Registerer, kind func(error) string) echo.MiddlewareFunc {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "webadmin_http_request_duration_seconds",
		Help:    "How long requests took, by route, method and class of status.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"route", "method", "status"})
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "webadmin_http_requests_in_flight",
		Help: "Requests under way.",
	})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "webadmin_http_errors_total",
		Help: "Requests that ended with an error, by kind.",
	}, []string{"kind"})
	reg.MustRegister(duration, inFlight, failed)

	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			inFlight.Inc()
			defer inFlight.Dec()
			err := next(c)
			info := From(c.Request().Context())
			if k := kind(info.Err); k != "" {
				failed.WithLabelValues(k).Inc()
			}
			duration.WithLabelValues(routeName(info), methodOf(info), classOf(c.Response().Status)).
				Observe(time.Since(start).Seconds())
			return err
		}
	}
}

// methodOf keeps methods that clients make up out of the labels.
func methodOf(info *Info) string {
	if info.Route == nil {
		return "none"
	}
	return info.Route.Method
}

var classes = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) string { return classes[min(max(status/100, 0), len(classes)-1)] }
