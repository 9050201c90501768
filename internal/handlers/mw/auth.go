package mw

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

// tokenChecker is the part of account.Store that bearer tokens need.
type tokenChecker interface {
	Authenticate(ctx context.Context, secret string) (account.Principal, error)
}

// Gate lets a request through to its route when the caller has the role that its row asks for. The API takes
// a bearer token or a session, pages take a session only. Nobody signed in is 401, the wrong role 403;
// the error handler makes of a page's 401 the way to the sign-in. A public route asks for nothing and reads no session.
func Gate(tokens tokenChecker, sessions *Sessions, isAPI func(*http.Request) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			info := From(c.Request().Context())
			if info.Route.Need == Public {
				return next(c)
			}
			if err := identify(c, info, tokens, sessions, isAPI(c.Request())); err != nil {
				record, ok := sessions.Remembered(c.Request())
				if !ok || !info.Route.Busy || !kvdb.IsBusy(err) {
					return err
				}
				info.Principal = principalOf(record)
			}
			if !info.SignedIn() {
				return echo.ErrUnauthorized
			}
			if !info.Principal.Role.Allows(info.Route.Need) {
				return echo.NewHTTPError(http.StatusForbidden, "Your role ("+string(info.Principal.Role)+") may not do this: it takes the role "+string(info.Route.Need)+".")
			}
			return next(c)
		}
	}
}

func identify(c echo.Context, info *Info, tokens tokenChecker, sessions *Sessions, api bool) error {
	if header := c.Request().Header.Get(echo.HeaderAuthorization); api && header != "" {
		return identifyToken(c, info, tokens, header)
	}
	return Identify(c.Request(), sessions)
}

// Identify finds out whose session the request belongs to and notes it in its Info; nobody's is no error.
func Identify(r *http.Request, sessions *Sessions) error {
	sess, err := sessions.Current(r)
	if err != nil {
		return err
	}
	if record, ok := RecordOf(sess); ok {
		From(r.Context()).Principal = principalOf(record)
	}
	return nil
}

func principalOf(record account.Session) account.Principal {
	return account.Principal{Name: record.User, Role: record.Role, Kind: "session", SessionID: record.ID}
}

func identifyToken(c echo.Context, info *Info, tokens tokenChecker, header string) error {
	scheme, secret, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return echo.NewHTTPError(http.StatusUnauthorized, "The Authorization header must say: Bearer, a space, and the token.")
	}
	principal, err := tokens.Authenticate(c.Request().Context(), strings.TrimSpace(secret))
	if err != nil {
		return err
	}
	info.Principal = principal
	return nil
}
