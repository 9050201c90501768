package mw

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

const policy = "default-src 'self'; img-src 'self' data:; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// Secure sets the headers that keep the browser strict; of those for documents the JSON API, which has
// none, goes without. https adds HSTS: set it only where people reach the server over TLS.
func Secure(https bool, isAPI func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			if isAPI(c.Request()) {
				h.Set(echo.HeaderXContentTypeOptions, "nosniff")
				return next(c)
			}
			h.Set(echo.HeaderContentSecurityPolicy, policy)
			h.Set(echo.HeaderXContentTypeOptions, "nosniff")
			h.Set(echo.HeaderReferrerPolicy, "same-origin") // no-referrer would make Origin null and break every form over plain HTTP
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
			if https {
				h.Set(echo.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
			}
			return next(c)
		}
	}
}

// AllowStyleNonce lets this answer hold styles with the nonce. Only the code editor needs it: it makes
// its own style element.
func AllowStyleNonce(c echo.Context, nonce string) {
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy,
		strings.Replace(policy, "style-src 'self'", "style-src 'self' 'nonce-"+nonce+"'", 1))
}
