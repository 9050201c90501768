package handlers

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// mostVersions is how many versions are kept of a program, and so can be picked from.
const mostVersions = 100

// versions serves GET /lua/:name/versions.
func (p *luaPages) versions(c echo.Context) error { return p.renderVersions(c, http.StatusOK, "") }

// renderVersions lists the versions. fault says why one was not brought back.
func (p *luaPages) renderVersions(c echo.Context, status int, fault string) error {
	ctx, name := c.Request().Context(), param(c, "name")
	current, missing := p.Lua.Program(ctx, name)
	if missing != nil && !errors.Is(missing, kvdb.ErrNotFound) {
		return missing
	}
	page, err := p.Lua.Versions(ctx, name, query(c, "cursor"), pageRows)
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	view := luaview.VersionsPage{Page: p.page(c, "Versions of "+name, p.way(p.programCrumb(name), layout.Crumb{Text: "Versions"})...), Name: name,
		Error: fault}
	view.List.Pager = p.pager("lua.versions", nil, query(c, "cursor"), page.Next, len(page.Items), name)
	for _, v := range page.Items {
		view.List.Rows = append(view.List.Rows, p.versionRow(c, name, v, current.Version))
	}
	switch {
	case missing != nil && len(page.Items) == 0:
		return p.unfound(c, name, missing)
	case missing != nil:
		view.Gone = "The program is deleted. Each version can be brought back."
	case current.Version == 0 && len(page.Items) > 0:
		view.Gone = "The upload is deleted, and the " + originNames[current.Origin] + " runs. Each version can be brought back."
	}
	if missing == nil {
		view.Link = luaview.Link{Text: "The program", URL: p.url("lua.program", name)}
	}
	if len(page.Items) == 0 {
		view.List.Nothing = &luaview.Nothing{Icon: "history", Title: "There are no versions",
			Text: "Only uploads have versions. This program is a " + originNames[current.Origin] + "."}
	}
	if wantsFragment(c.Request()) {
		return render(c, status, luaview.VersionListOf(view.List))
	}
	return render(c, status, luaview.Versions(view))
}

// versionKinds are what made a version, in words.
var versionKinds = map[string]string{"upload": "saved", "restore": "brought back", "delete": "deleted"}

func (p *luaPages) versionRow(c echo.Context, name string, v lua.Version, current int64) luaview.VersionRow {
	row := luaview.VersionRow{
		Number: v.Number, At: v.At, By: v.By, SHA1: v.SHA1, Size: v.Size, Kind: versionKinds[v.Kind], Current: v.Number == current,
	}
	if v.From > 0 {
		row.Kind = "version " + decimal(v.From) + " brought back"
	}
	if v.SHA1 == "" {
		return row
	}
	n := strconv.FormatInt(v.Number, 10)
	row.URL, row.File = p.url("lua.version", name, n), p.url("lua.download", name, values("version", n))
	if mayEdit(c) && !row.Current {
		row.Restore = &luaview.RestoreForm{Action: p.url("lua.restore", name, n), Op: newOp(), Version: current}
	}
	return row
}

// version serves GET /lua/:name/versions/:n with the query against: a version, and what differs from another one; without the query
// from the one before it.
func (p *luaPages) version(c echo.Context) error {
	ctx, name := c.Request().Context(), param(c, "name")
	n, err := versionNumber(param(c, "n"))
	if err != nil {
		return err
	}
	v, err := p.Lua.VersionOf(ctx, name, n)
	if err != nil {
		return err
	}
	all, err := p.Lua.Versions(ctx, name, "", mostVersions)
	if err != nil {
		return err
	}
	current, err := p.Lua.Program(ctx, name)
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	against, _ := strconv.ParseInt(query(c, "against"), 10, 64)
	var options []ui.Option
	before, found := int64(0), false
	for _, x := range all.Items {
		if x.SHA1 == "" || x.Number == n {
			continue
		}
		if x.Number < n {
			before = max(before, x.Number)
		}
		number := decimal(x.Number)
		options = append(options, ui.Option{Value: strconv.FormatInt(x.Number, 10),
			Text: "version " + number + ", " + x.By + ", " + x.At.UTC().Format("2006-01-02 15:04")})
		found = found || x.Number == against
	}
	if !found {
		against = before
	}
	row := p.versionRow(c, name, v.Version, current.Version)
	title := "Version " + decimal(n) + " of " + name
	page := luaview.VersionPage{
		Page: p.page(c, title, p.way(p.programCrumb(name), layout.Crumb{Text: "Versions", URL: p.url("lua.versions", name)},
			layout.Crumb{Text: decimal(n)})...),
		Title: title, Row: row, Compare: p.url("lua.version", name, n), Source: v.Text, Versions: p.url("lua.versions", name),
	}
	if current.Name != "" {
		page.Program = p.url("lua.program", name)
	}
	if against > 0 {
		other, err := p.Lua.VersionOf(ctx, name, against)
		if err != nil {
			return err
		}
		page.Compared = luaview.Compared{Text: "From version " + decimal(against) + " to version " + decimal(n), Diff: luaview.DiffOf(other.Text, v.Text)}
		page.Against = ui.SelectProps{ID: "against", Name: "against", Label: "Compared with", Value: strconv.FormatInt(against, 10), Options: options}
	} else if len(options) > 0 {
		page.Compared = luaview.Compared{Text: "The first version: all of it is new", Diff: luaview.DiffOf("", v.Text)}
		page.Against = ui.SelectProps{ID: "against", Name: "against", Label: "Compared with", Options: append([]ui.Option{{Text: "nothing"}}, options...)}
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, luaview.ComparedOf(page.Compared))
	}
	return render(c, http.StatusOK, luaview.Version(page))
}

// restore serves POST /lua/:name/versions/:n/restore with the fields op and version: what was current when the page was shown.
func (p *luaPages) restore(c echo.Context) error {
	ctx, name := c.Request().Context(), param(c, "name")
	f, err := readForm(c)
	if err != nil {
		return err
	}
	n, err := versionNumber(param(c, "n"))
	if err != nil {
		return err
	}
	version, _ := strconv.ParseInt(f.word("version"), 10, 64)
	var made lua.Program
	err = p.audited(c, verbLuaRestore, programObject(name), func() (before, after string, err error) {
		was, err := p.Lua.Program(ctx, name)
		if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
			return "", "", err
		}
		made, err = p.Lua.Restore(ctx, p.by(c, f.word("op"), name, strconv.FormatInt(n, 10), strconv.FormatInt(version, 10)), name, n, max(version, 0))
		after = stateOf(made)
		if err == nil {
			after += ", from version " + strconv.FormatInt(n, 10)
		}
		return stateOf(was.Program), after, err
	})
	var stale *lua.StaleError
	if errors.As(err, &stale) && !wantsFragment(c.Request()) {
		return p.renderVersions(c, http.StatusConflict, staleSaid(stale.Current)+" Look at it first; nothing was brought back.")
	}
	if err != nil {
		return err
	}
	return p.done(c, p.url("lua.program", name), ui.ToastProps{Kind: "success",
		Text: "Version " + decimal(n) + " is back, as version " + decimal(made.Version) + "."})
}

// staleSaid says that a program has changed since a page about it was shown.
func staleSaid(now lua.Source) string {
	if now.Version == 0 {
		return "The upload was deleted meanwhile."
	}
	return now.UpdatedBy + " has saved version " + decimal(now.Version) + " meanwhile."
}

// askDelete serves GET /lua/:name/delete.
func (p *luaPages) askDelete(c echo.Context) error {
	name := param(c, "name")
	x, err := p.Lua.Program(c.Request().Context(), name)
	if err != nil {
		return p.unfound(c, name, err)
	}
	return p.renderDeletion(c, http.StatusOK, x, "")
}

// renderDeletion asks whether an upload is to be deleted, and says what happens then.
func (p *luaPages) renderDeletion(c echo.Context, status int, x lua.Source, fault string) error {
	if x.Origin != lua.Upload {
		return p.renderProgram(c, http.StatusConflict, x, p.editorOf(c, x)) // there is nothing to delete; the page says what it is
	}
	page := luaview.DeletePage{
		Page: p.page(c, "Delete "+x.Name, p.way(p.programCrumb(x.Name), layout.Crumb{Text: "Delete"})...), Name: x.Name, Error: fault,
		Action: p.url("lua.delete", x.Name), Cancel: p.url("lua.program", x.Name), Op: newOp(), Version: x.Version, Confirm: "Delete it",
		Text: "Calls of this program will be refused, as there is none of this name then. Its versions are kept, and each can be brought back.",
	}
	if x.Overrides != "" {
		page.Confirm = "Delete the upload"
		page.Text = "The upload goes, and the " + originNames[x.Overrides] +
			" of the same name runs again. The versions of the upload are kept, and each can be brought back."
	}
	return render(c, status, luaview.Deletion(page))
}

// delete serves POST /lua/:name/delete with the fields op and version.
func (p *luaPages) delete(c echo.Context) error {
	ctx, name := c.Request().Context(), param(c, "name")
	f, err := readForm(c)
	if err != nil {
		return err
	}
	version, _ := strconv.ParseInt(f.word("version"), 10, 64)
	was, err := p.Lua.Program(ctx, name)
	if err != nil {
		return p.unfound(c, name, err)
	}
	after := ""
	err = p.audited(c, verbLuaDelete, programObject(name), func() (string, string, error) {
		err := p.Lua.Delete(ctx, p.by(c, f.word("op"), name, strconv.FormatInt(version, 10)), name, max(version, 0))
		if err == nil && was.Overrides != "" {
			after = "the " + originNames[was.Overrides]
		}
		return stateOf(was.Program), after, err
	})
	var stale *lua.StaleError
	if errors.As(err, &stale) && !wantsFragment(c.Request()) && stale.Current.Version > 0 {
		return p.renderDeletion(c, http.StatusConflict, stale.Current, staleSaid(stale.Current)+" Look at it first; nothing was deleted.")
	}
	if err != nil {
		return err
	}
	toast := ui.ToastProps{Kind: "success", Text: "Deleted " + name + ".", LinkText: "Its versions", LinkURL: p.url("lua.versions", name)}
	if after != "" {
		toast.Text = "The upload is deleted; " + after + " " + name + " runs again."
		return p.done(c, p.url("lua.program", name), toast)
	}
	return p.done(c, p.url("lua"), toast)
}
