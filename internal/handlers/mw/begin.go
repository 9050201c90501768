package mw

import (
	"context"
	"math/rand/v2"
	"strconv"

	"github.com/labstack/echo/v4"
)

const maxAgent = 200

// Begin gives the request its ID and its Info, and finds its row in the table. It comes first: all
// others read the Info.
func Begin(table *Table) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			info := &Info{
				ID:      strconv.FormatUint(rand.Uint64(), 36), // names a log line; it need not be secret
				Address: c.RealIP(),
				Agent:   cut(r.UserAgent(), maxAgent),
				Route:   table.Row(r.Method, c.Path()),
			}
			c.Response().Header().Set(echo.HeaderXRequestID, info.ID)
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), infoKey{}, info)))
			return next(c)
		}
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
