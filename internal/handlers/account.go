package handlers

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/settingsview"
	"webadmin/web/templates/ui"
)

// accountPages are what people do with their own account.
type accountPages struct{ *site }

func (p *accountPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"account":              p.show,
		"account.password":     p.changePassword,
		"account.session.end":  p.endSession,
		"account.sessions.end": p.endOthers,
	}
}

// show serves GET /account.
func (p *accountPages) show(c echo.Context) error {
	return p.render(c, http.StatusOK, settingsview.PasswordForm{})
}

func (p *accountPages) render(c echo.Context, status int, form settingsview.PasswordForm) error {
	ctx, me := c.Request().Context(), mw.From(c.Request().Context()).Principal
	user, err := p.Accounts.User(ctx, me.Name)
	if err != nil {
		return err
	}
	sessions, err := p.Accounts.Sessions(ctx, me.Name)
	if err != nil {
		return err
	}
	form.Action, form.Name = p.url("account.password"), me.Name
	return render(c, status, settingsview.Account(settingsview.AccountPage{
		Page: p.page(c, "Account", layout.Crumb{Text: "Account"}),
		User: toUserRow(user, "", me.Name), Password: form,
		Sessions: p.toSessions(sessions, me.SessionID, "account.session.end"), EndOthers: p.url("account.sessions.end"),
	}))
}

// changePassword serves POST /account/password with the fields current, password and repeat. It ends all sessions of the user, so this
// browser gets a new one.
func (p *accountPages) changePassword(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	if f.values.Get("password") != f.values.Get("repeat") {
		return p.render(c, http.StatusUnprocessableEntity, settingsview.PasswordForm{RepeatError: "Differs from the new password"})
	}
	name := actor(c)
	err = p.audited(c, verbUserPassword, userObject(name), func() (string, string, error) {
		return "", "", p.Accounts.ChangePassword(c.Request().Context(), name, f.values.Get("current"), f.values.Get("password"))
	})
	if err != nil {
		return p.refusePassword(c, err)
	}
	if err := p.renewSession(c, name); err != nil {
		return err
	}
	return p.done(c, p.url("account"), ui.ToastProps{Kind: "success", Text: "Your password is changed. You were signed out everywhere else."})
}

func (p *accountPages) refusePassword(c echo.Context, err error) error {
	var throttled *account.ThrottledError
	form := settingsview.PasswordForm{}
	said := p.problemOf(err, c)
	switch wrong, ok := faultsOf(err); {
	case ok:
		form.NewError = wrong["password"]
	case errors.As(err, &throttled):
		form.CurrentError = said.Detail
	case errors.Is(err, account.ErrBadCredentials):
		said.Status, form.CurrentError = http.StatusUnprocessableEntity, "This is not your password"
	default:
		return err
	}
	said.SetHeaders(c.Response().Header())
	return p.render(c, said.Status, form)
}

// renewSession signs the reader in anew; with the password all sessions have ended.
func (p *accountPages) renewSession(c echo.Context, name string) error {
	user, err := p.Accounts.User(c.Request().Context(), name)
	if err != nil {
		return err
	}
	return (&authPages{p.site}).startSession(c, verbSignIn, user)
}

// endSession serves POST /account/sessions/:id/end for a session of one's own.
func (p *accountPages) endSession(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	mine, err := p.Accounts.Sessions(ctx, actor(c))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(mine, func(s account.Session) bool { return s.ID == id }) {
		return kvdb.ErrNotFound // somebody else's session is nobody's here
	}
	err = p.audited(c, verbSessionEnd, userObject(actor(c)), func() (string, string, error) {
		return "session " + id, "", p.Accounts.EndSession(ctx, id)
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("account"), ui.ToastProps{Kind: "success", Text: "The session is ended."})
}

// endOthers serves POST /account/sessions/end: all sessions of the reader end, and this browser gets a new one.
func (p *accountPages) endOthers(c echo.Context) error {
	name := actor(c)
	err := p.audited(c, verbSessionEnd, userObject(name), func() (string, string, error) {
		return "all sessions", "", p.Accounts.EndSessionsOf(c.Request().Context(), name)
	})
	if err != nil {
		return err
	}
	if err := p.renewSession(c, name); err != nil {
		return err
	}
	return p.done(c, p.url("account"), ui.ToastProps{Kind: "success", Text: "You are signed out everywhere else."})
}

// toSessions shows sessions, the one of this browser marked. end is the route that ends one.
func (s *site) toSessions(sessions []account.Session, current, end string) []settingsview.SessionRow {
	rows := make([]settingsview.SessionRow, len(sessions))
	for i, x := range sessions {
		rows[i] = settingsview.SessionRow{
			ID: x.ID, User: x.User, Role: string(x.Role), Address: x.Address, Agent: agentName(x.Agent), AgentFull: x.Agent,
			CreatedAt: x.CreatedAt, SeenAt: x.SeenAt, Current: x.ID == current, End: s.url(end, x.ID),
		}
	}
	return rows
}

// toUserRow shows a user; url is where to edit them, me who looks.
func toUserRow(u account.User, url, me string) settingsview.UserRow {
	return settingsview.UserRow{
		Name: u.Name, URL: url, Role: string(u.Role), Disabled: u.Disabled, You: u.Name == me,
		CreatedAt: u.CreatedAt, LastSignInAt: u.LastSignInAt, PasswordChangedAt: u.PasswordChangedAt,
	}
}
