package mw

import (
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const worthCompressing = 1400 // bytes: less fits one packet as it is

// Compress compresses pages and API answers. Assets are compressed already, and event streams must go
// out as they are written.
func Compress(skip func(*Route) bool) echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		Level:     5,
		MinLength: worthCompressing,
		Skipper: func(c echo.Context) bool {
			r := c.Request()
			row := From(r.Context()).Route
			return row == nil || skip(row) || strings.Contains(r.Header.Get(echo.HeaderAccept), "text/event-stream")
		},
	})
}
