package mw

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// CrossOrigin refuses unsafe requests that a browser sends from another site, by Sec-Fetch-Site and
// Origin. trusted are further origins (scheme://host) under which people reach this server: needed
// behind a proxy that rewrites Host. Clients that are no browsers send neither header and pass.
func CrossOrigin(trusted ...string) (echo.MiddlewareFunc, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted origin: %w", err)
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return echo.NewHTTPError(http.StatusForbidden, "The request came from another site, so it was refused.").SetInternal(err)
			}
			return next(c)
		}
	}, nil
}
