package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"webadmin/internal/kvdb"
	"webadmin/web/static"
)

// healthPages answer machines: probes, Prometheus, and browsers that fetch assets.
type healthPages struct{ *site }

func (p *healthPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"static":  echo.WrapHandler(static.Handler()),
		"healthz": p.healthz,
		"readyz":  p.readyz,
		"metrics": p.metrics(),
	}
}

// healthz serves GET /healthz: this process answers.
func (p *healthPages) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": kvdb.StatusOK})
}

// readyz serves GET /readyz: the servers that it works with answer too.
func (p *healthPages) readyz(c echo.Context) error {
	health := p.DB.Health(c.Request().Context())
	if health.Status == kvdb.StatusOK && p.State != p.DB {
		health = p.State.Health(c.Request().Context())
	}
	answer := map[string]string{"status": health.Status}
	if health.Detail != "" {
		answer["detail"] = health.Detail
	}
	if blocking, ok := p.Lua.Blocking(); ok && health.Status == kvdb.StatusBusy {
		answer["script"] = blocking.Program
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	if health.Status != kvdb.StatusOK {
		return c.JSON(http.StatusServiceUnavailable, answer)
	}
	return c.JSON(http.StatusOK, answer)
}

// metrics serves GET /metrics, unless they have a listener of their own.
func (p *healthPages) metrics() echo.HandlerFunc {
	if p.MetricsAway {
		return func(echo.Context) error { return echo.ErrNotFound }
	}
	return echo.WrapHandler(MetricsHandler(p.Metrics))
}

// MetricsHandler serves the metrics, here or on a listener of their own.
func MetricsHandler(reg *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// registerGauges adds what is not measured by request.
func registerGauges(d Deps) {
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "webadmin_redis_up",
		Help: "Whether Redis answered when it was last asked.",
	}, func() float64 {
		if d.DB.Summary().Status == kvdb.StatusOK {
			return 1
		}
		return 0
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "webadmin_build_info",
		Help:        "Always 1; the label says which version runs.",
		ConstLabels: prometheus.Labels{"version": d.Version},
	})
	build.Set(1)
	d.Metrics.MustRegister(up, build)
}
