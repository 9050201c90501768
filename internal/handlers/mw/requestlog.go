package mw

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Log writes one line per request, with the status that went out. It is the only place that logs an error
// of a handler. Assets and probes are logged at debug level: quiet tells whether a route is one of
// these. Answer comes inside it.
func Log(logger *slog.Logger, quiet func(*Route) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			info := From(c.Request().Context())
			level := levelOf(c.Response().Status, info.Broken, info.Route != nil && quiet(info.Route))
			if logger.Enabled(c.Request().Context(), level) {
				write(c, logger, level, info, time.Since(start))
			}
			if info.Broken {
				panic(http.ErrAbortHandler)
			}
			return err
		}
	}
}

func levelOf(status int, broken, quiet bool) slog.Level {
	switch {
	case status >= http.StatusInternalServerError, broken:
		return slog.LevelError
	case quiet:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func write(c echo.Context, logger *slog.Logger, level slog.Level, info *Info, took time.Duration) {
	r, w := c.Request(), c.Response()
	var room [12]slog.Attr
	attrs := append(room[:0],
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path), // without the query: filters hold people's data
		slog.String("route", routeName(info)),
		slog.Int("status", w.Status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", w.Size),
		slog.String("request_id", info.ID),
		slog.String("actor", info.Principal.Name),
		slog.String("address", info.Address),
	)
	if info.CID != "" {
		attrs = append(attrs, slog.String("cid", info.CID))
	}
	if err := info.Err; err != nil && level != slog.LevelInfo {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if panicked := (*PanicError)(nil); info.Err != nil && errors.As(info.Err, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	// Straight to the handler: the logger would look up the line of code that calls it, for each request.
	record := slog.NewRecord(time.Now(), level, "request", 0)
	record.AddAttrs(attrs...)
	_ = logger.Handler().Handle(context.Background(), record) // there is nobody to tell
}

func routeName(info *Info) string {
	if info.Route == nil {
		return "none"
	}
	return info.Route.Name
}
