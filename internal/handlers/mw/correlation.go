package mw

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"webadmin/internal/correlation"
)

// HeaderCID names the invocation on whose behalf a program calls.
const HeaderCID = "X-Correlation-Id"

// Correlate has a request of a program carry the CID that its header names. A header that is none is as good as no header: what it is
// for is to find things later, and no call may fail of it. A request without one costs a look into a map.
func Correlate(program func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			named := r.Header[HeaderCID]
			if len(named) != 1 || !correlation.Valid(named[0]) || !program(r) {
				return next(c)
			}
			From(r.Context()).CID = named[0]
			c.SetRequest(r.WithContext(correlation.With(r.Context(), named[0])))
			return next(c)
		}
	}
}
