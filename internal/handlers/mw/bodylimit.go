package mw

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// DefaultBody is the largest request body of a route that says nothing else, in bytes.
const DefaultBody = 1 << 20

// BodyLimit refuses bodies over the limit of their route with 413: at once when the length is announced,
// else when the limit is passed while reading (an *http.MaxBytesError).
func BodyLimit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, limit := c.Request(), int64(DefaultBody)
		if row := From(r.Context()).Route; row != nil && row.Body > 0 {
			limit = row.Body
		}
		if r.ContentLength > limit {
			return echo.ErrStatusRequestEntityTooLarge
		}
		if r.ContentLength < 0 { // the server reads no more than was announced
			r.Body = http.MaxBytesReader(c.Response(), r.Body, limit)
		}
		return next(c)
	}
}
