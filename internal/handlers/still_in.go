package handlers

import (
	"errors"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// stillIn says whether whoever made a request that goes on, such as a stream, may still make it: their session or token may have ended
// meanwhile, or their role have changed. When nobody can say, they may.
func (s *site) stillIn(c echo.Context) bool {
	ctx := c.Request().Context()
	who := mw.From(ctx).Principal
	if who.TokenID != "" {
		_, secret, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
		now, err := s.Accounts.Authenticate(ctx, strings.TrimSpace(secret))
		if err != nil {
			return !errors.Is(err, account.ErrBadCredentials)
		}
		return now.Role == who.Role
	}
	user, err := s.Accounts.User(ctx, who.Name)
	if errors.Is(err, kvdb.ErrNotFound) || err == nil && (user.Disabled || user.Role != who.Role) {
		return false
	}
	sessions, err := s.Accounts.Sessions(ctx, who.Name)
	return err != nil || slices.ContainsFunc(sessions, func(x account.Session) bool { return x.ID == who.SessionID })
}
