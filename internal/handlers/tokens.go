package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/settingsview"
	"webadmin/web/templates/ui"
)

// tokenPages are how administrators manage the tokens of the API.
type tokenPages struct{ *site }

func (p *tokenPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"settings.tokens":        p.list,
		"settings.tokens.create": p.create,
		"settings.token.revoke":  p.revoke,
	}
}

// list serves GET /settings/tokens.
func (p *tokenPages) list(c echo.Context) error {
	return p.render(c, http.StatusOK, settingsview.TokensPage{Create: settingsview.TokenForm{Role: string(account.Viewer), Days: "90"}})
}

// render fills in the list.
func (p *tokenPages) render(c echo.Context, status int, view settingsview.TokensPage) error {
	tokens, err := p.Accounts.Tokens(c.Request().Context())
	if err != nil {
		return err
	}
	view.Page = p.page(c, "Tokens", p.crumbs("settings.tokens")...)
	view.Create.Action = p.url("settings.tokens.create")
	for _, t := range tokens {
		view.Rows = append(view.Rows, settingsview.TokenRow{
			ID: t.ID, Name: t.Name, Role: string(t.Role), CreatedBy: t.CreatedBy, Revoke: p.url("settings.token.revoke", t.ID),
			CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt,
			Expired: !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(p.Now()),
		})
	}
	return render(c, status, settingsview.Tokens(view))
}

// create serves POST /settings/tokens with the fields name, role and days (empty = never expires). The answer is the only page that ever shows
// the secret, so it is no redirect.
func (p *tokenPages) create(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	form := settingsview.TokenForm{Name: f.word("name"), Role: f.word("role"), Days: f.word("days")}
	var token account.Token
	var secret string
	expires, err := p.expiry(form.Days)
	if err == nil {
		err = p.audited(c, verbTokenCreate, "token "+form.Name, func() (string, string, error) {
			token, secret, err = p.Accounts.CreateToken(c.Request().Context(), form.Name, account.Role(form.Role), expires, actor(c))
			return "", form.Role + " " + token.ID, err
		})
	}
	if wrong, ok := faultsOf(err); ok {
		form.NameError, form.RoleError, form.DaysError = wrong["name"], wrong["role"], wrong["expires"]
		return p.render(c, http.StatusUnprocessableEntity, settingsview.TokensPage{Create: form})
	}
	if err != nil {
		return err
	}
	return p.render(c, http.StatusCreated, settingsview.TokensPage{
		Create: settingsview.TokenForm{Role: form.Role, Days: form.Days}, Secret: secret, SecretName: token.Name,
	})
}

// expiry is when a token that lives so many days ends; zero = never.
func (p *tokenPages) expiry(days string) (time.Time, error) {
	if days == "" {
		return time.Time{}, nil
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < 1 || n > 3650 {
		return time.Time{}, kvdb.Invalid("expires", "must be 1 to 3650 days, or never")
	}
	return p.Now().AddDate(0, 0, n), nil
}

// revoke serves POST /settings/tokens/:id/revoke.
func (p *tokenPages) revoke(c echo.Context) error {
	id := param(c, "id")
	err := p.audited(c, verbTokenRevoke, "token "+id, func() (string, string, error) {
		return "", "", p.Accounts.RevokeToken(c.Request().Context(), id)
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("settings.tokens"), ui.ToastProps{Kind: "success", Text: "The token is revoked."})
}
