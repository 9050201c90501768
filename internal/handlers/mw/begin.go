package mw

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"
)

const maxAgent = 200

// Begin gives the request its ID and its Info, finds its row in the table, and goes through the middleware
// inside, which reads the Info, to the route. Echo would put its middleware together anew for each
// request; inside is put together once.
func Begin(table *Table, inside ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	through := func(c echo.Context) error { return From(c.Request().Context()).next(c) }
	for _, m := range slices.Backward(inside) {
		through = m(through)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			info := &Info{
				ID:      strconv.FormatUint(rand.Uint64(), 36), // names a log line; it need not be secret
				Address: c.RealIP(),
				Agent:   cut(r.UserAgent(), maxAgent),
				Route:   table.Row(r.Method, c.Path()),
				next:    next,
			}
			c.Response().Header().Set(echo.HeaderXRequestID, info.ID)
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), infoKey{}, info)))
			return through(c)
		}
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
