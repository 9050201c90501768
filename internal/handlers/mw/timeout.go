package mw

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Timeout ends the context of a request after d. Routes marked Long have no limit, and those of the
// server on reading and writing are lifted for them.
func Timeout(d time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			row := From(r.Context()).Route
			if row != nil && row.Quick {
				return next(c)
			}
			if row != nil && row.Long {
				control := http.NewResponseController(c.Response())
				// A writer that can't (a test's recorder) has no limit to lift.
				_ = control.SetReadDeadline(time.Time{})
				_ = control.SetWriteDeadline(time.Time{})
				return next(c)
			}
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			c.SetRequest(r.WithContext(ctx))
			defer c.SetRequest(r) // an error page still has time to be made
			return next(c)
		}
	}
}
