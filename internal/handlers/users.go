package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/settingsview"
	"webadmin/web/templates/ui"
)

// userPages are how administrators manage users.
type userPages struct{ *site }

func (p *userPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"settings.users":         p.list,
		"settings.users.create":  p.create,
		"settings.user":          p.show,
		"settings.user.role":     p.setRole,
		"settings.user.password": p.setPassword,
		"settings.user.disabled": p.setDisabled,
		"settings.user.delete":   p.delete,
	}
}

// list serves GET /settings/users.
func (p *userPages) list(c echo.Context) error {
	return p.renderList(c, http.StatusOK, settingsview.UserForm{Role: string(account.Viewer)})
}

func (p *userPages) renderList(c echo.Context, status int, form settingsview.UserForm) error {
	users, err := p.Accounts.Users(c.Request().Context())
	if err != nil {
		return err
	}
	form.Action = p.url("settings.users.create")
	view := settingsview.UsersPage{Page: p.page(c, "Users", p.crumbs("settings.users")...), Create: form}
	for _, u := range users {
		view.Rows = append(view.Rows, toUserRow(u, p.url("settings.user", u.Name), actor(c)))
	}
	return render(c, status, settingsview.Users(view))
}

// create serves POST /settings/users with the fields name, role and password.
func (p *userPages) create(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name, role := f.word("name"), account.Role(f.word("role"))
	err = p.audited(c, verbUserCreate, userObject(name), func() (string, string, error) {
		_, err := p.Accounts.CreateUser(c.Request().Context(), name, role, f.values.Get("password"))
		return "", string(role), err
	})
	wrong, invalid := faultsOf(err)
	form := settingsview.UserForm{Name: name, Role: string(role), NameError: wrong["name"], RoleError: wrong["role"], PasswordError: wrong["password"]}
	switch {
	case invalid:
		return p.renderList(c, http.StatusUnprocessableEntity, form)
	case errors.Is(err, account.ErrExists):
		form.NameError = "There is a user of this name already"
		return p.renderList(c, http.StatusConflict, form)
	case err != nil:
		return err
	}
	return p.done(c, p.url("settings.users"), ui.ToastProps{Kind: "success", Text: "User " + name + " is created."})
}

// show serves GET /settings/users/:name.
func (p *userPages) show(c echo.Context) error {
	return p.renderUser(c, http.StatusOK, settingsview.UserPage{})
}

// renderUser fills in all but the errors.
func (p *userPages) renderUser(c echo.Context, status int, view settingsview.UserPage) error {
	ctx, name := c.Request().Context(), param(c, "name")
	user, err := p.Accounts.User(ctx, name)
	if err != nil {
		return err
	}
	sessions, err := p.Accounts.Sessions(ctx, name)
	if err != nil {
		return err
	}
	view.Page = p.page(c, name, p.crumbs("settings.users", name)...)
	view.User = toUserRow(user, p.url("settings.user", name), actor(c))
	view.Version = strconv.FormatInt(user.Version, 10)
	view.Sessions = p.toSessions(sessions, p.sessionID(c), "settings.session.end")
	view.SetRole, view.SetPassword = p.url("settings.user.role", name), p.url("settings.user.password", name)
	view.SetDisabled, view.Delete = p.url("settings.user.disabled", name), p.url("settings.user.delete", name)
	view.AuditURL = p.url("audit", values("object", userObject(name)))
	return render(c, status, settingsview.User(view))
}

// edit changes a user and says so, or shows the user again with what is wrong.
func (p *userPages) edit(c echo.Context, verb, said string, change func(name string, version int64) (before, after string, err error)) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name := param(c, "name")
	version, _ := strconv.ParseInt(f.word("version"), 10, 64) // 0 = whatever it is: a form of our own always has one
	err = p.audited(c, verb, userObject(name), func() (string, string, error) { return change(name, version) })
	if errors.Is(err, kvdb.ErrConflict) {
		return p.renderUser(c, http.StatusConflict, settingsview.UserPage{Error: p.problemOf(err, c).Detail})
	}
	if err != nil {
		return err
	}
	return p.done(c, p.url("settings.user", name), ui.ToastProps{Kind: "success", Text: said})
}

// setRole serves POST /settings/users/:name/role with the fields role and version.
func (p *userPages) setRole(c echo.Context) error {
	return p.edit(c, verbUserRole, "The role is changed.", func(name string, version int64) (string, string, error) {
		ctx, role := c.Request().Context(), account.Role(c.Request().PostForm.Get("role"))
		before, err := p.Accounts.User(ctx, name)
		if err != nil {
			return "", "", err
		}
		_, err = p.Accounts.SetRole(ctx, name, role, version)
		return string(before.Role), string(role), err
	})
}

// setDisabled serves POST /settings/users/:name/disabled with the fields disabled (yes or no) and version.
func (p *userPages) setDisabled(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	disable := f.word("disabled") == "yes"
	verb, said := verbUserEnable, "The user may sign in again."
	if disable {
		verb, said = verbUserDisable, "The user is disabled and signed out."
	}
	return p.edit(c, verb, said, func(name string, version int64) (string, string, error) {
		_, err := p.Accounts.SetDisabled(c.Request().Context(), name, disable, version)
		return "", "", err
	})
}

// setPassword serves POST /settings/users/:name/password with the field password.
func (p *userPages) setPassword(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name := param(c, "name")
	err = p.audited(c, verbUserPassword, userObject(name), func() (string, string, error) {
		return "", "", p.Accounts.SetPassword(c.Request().Context(), name, f.values.Get("password"))
	})
	if wrong, ok := faultsOf(err); ok {
		return p.renderUser(c, http.StatusUnprocessableEntity, settingsview.UserPage{PasswordError: wrong["password"]})
	}
	if err != nil {
		return err
	}
	return p.done(c, p.url("settings.user", name), ui.ToastProps{Kind: "success", Text: "The password is changed, and all sessions of the user are ended."})
}

// delete serves POST /settings/users/:name/delete with the field confirm, which repeats the name.
func (p *userPages) delete(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	name := param(c, "name")
	if f.word("confirm") != name {
		return p.renderUser(c, http.StatusUnprocessableEntity, settingsview.UserPage{DeleteError: "Type the name of the user to confirm"})
	}
	err = p.audited(c, verbUserDelete, userObject(name), func() (string, string, error) {
		return "", "", p.Accounts.DeleteUser(c.Request().Context(), name)
	})
	if errors.Is(err, account.ErrLastAdmin) {
		return p.renderUser(c, http.StatusConflict, settingsview.UserPage{DeleteError: p.problemOf(err, c).Detail})
	}
	if err != nil {
		return err
	}
	return p.done(c, p.url("settings.users"), ui.ToastProps{Kind: "success", Text: "User " + name + " is deleted."})
}
