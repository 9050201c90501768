package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/handlers/mw"
	"webadmin/web/templates/authview"
)

// authPages let people in and out.
type authPages struct{ *site }

func (p *authPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"login":    p.loginForm,
		"login.do": p.login,
		"logout":   p.logout,
		"theme":    p.theme,
	}
}

// loginForm serves GET /login?next=…
func (p *authPages) loginForm(c echo.Context) error {
	next := localPath(query(c, "next"))
	if p.whoIs(c).Name != "" {
		return redirect(c, cmp.Or(next, p.url("overview")))
	}
	return render(c, http.StatusOK, authview.Login(p.loginView(c, "", next)))
}

func (p *authPages) loginView(c echo.Context, name, next string) authview.LoginView {
	page := p.page(c, "Sign in")
	page.Path = p.url("login", url.Values{"next": {next}})
	return authview.LoginView{Page: page, Action: p.url("login.do"), Name: name, Next: next}
}

// login serves POST /login with the fields username, password and next.
func (p *authPages) login(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	r, name := c.Request(), f.word("username")
	user, err := p.Accounts.SignIn(r.Context(), name, f.values.Get("password"), mw.From(r.Context()).Address)
	if err == nil {
		err = p.startSession(c, verbSignIn, user)
	} else if errors.Is(err, account.ErrBadCredentials) {
		p.noteFailedSignIn(c, name)
	}
	if err != nil {
		return p.refuse(c, f, err)
	}
	return redirect(c, cmp.Or(localPath(f.word("next")), p.url("overview")))
}

// startSession signs the user in under a new secret; the session that the browser had is ended.
func (p *authPages) startSession(c echo.Context, verb string, user account.User) error {
	info := mw.From(c.Request().Context())
	info.Principal = account.Principal{Name: user.Name, Role: user.Role, Kind: account.KindSession}
	err := p.audited(c, verb, userObject(user.Name), func() (string, string, error) {
		return "", "", p.sessions.SignIn(c.Request(), c.Response(), user)
	})
	if err != nil {
		info.Principal = account.Principal{}
	}
	return err
}

// noteFailedSignIn records whom somebody tried to be. A name that nobody has is not kept: it may be a password in the wrong field.
func (p *authPages) noteFailedSignIn(c echo.Context, name string) {
	ctx := c.Request().Context()
	object := "unknown user"
	if _, err := p.Accounts.User(ctx, name); err == nil {
		object = userObject(name)
	}
	p.trail.Write(ctx, verbSignInFailed, object, audit.Failed, "")
}

// refuse shows the form again with what went wrong; the password is typed anew.
func (p *authPages) refuse(c echo.Context, f form, err error) error {
	said := p.problemOf(err, c)
	switch said.Status {
	case http.StatusUnauthorized:
		said.Detail = "The name or the password is wrong."
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		return err
	}
	view := p.loginView(c, f.word("username"), localPath(f.word("next")))
	view.Error = said.Detail
	said.SetHeaders(c.Response().Header())
	return render(c, said.Status, authview.Login(view))
}

// logout serves POST /logout.
func (p *authPages) logout(c echo.Context) error {
	who := p.whoIs(c)
	end := func() (string, string, error) { return "", "", p.sessions.SignOut(c.Request(), c.Response()) }
	var err error
	if who.Name == "" {
		_, _, err = end()
	} else {
		err = p.audited(c, verbSessionEnd, userObject(who.Name), end)
	}
	if err != nil {
		return err
	}
	p.Console.CloseOf(who.Name)
	c.Response().Header().Set("Clear-Site-Data", `"cache"`) // not storage: it holds the drafts of forms
	return redirect(c, p.url("login"))
}

// themeAge is how long a browser remembers the theme, in seconds.
const themeAge = 365 * 24 * 60 * 60

// theme serves POST /theme with the fields theme (day, night or empty) and return.
func (p *authPages) theme(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	cookie := &http.Cookie{Name: themeCookie, Value: f.word("theme"), Path: "/", MaxAge: themeAge, HttpOnly: true, Secure: p.https, SameSite: http.SameSiteLaxMode}
	if cookie.Value != "day" && cookie.Value != "night" {
		cookie.Value, cookie.MaxAge = "", -1
	}
	c.SetCookie(cookie)
	return redirect(c, cmp.Or(localPath(f.word("return")), p.url("overview")))
}
