package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// luaPages are the pages of the Lua programs. The text of a program is in the form "program" as the field "source", which the
// forms beside it include; see web/static/src/editor.js.
type luaPages struct{ *site }

func (p *luaPages) handlers() map[string]echo.HandlerFunc {
	h := map[string]echo.HandlerFunc{
		"lua":          p.list,
		"lua.create":   p.create,
		"lua.scratch":  p.scratch,
		"lua.upload":   p.upload,
		"lua.archive":  p.archive,
		"lua.check":    p.check,
		"lua.program":  p.program,
		"lua.save":     p.save,
		"lua.ask":      p.askDelete,
		"lua.delete":   p.delete,
		"lua.versions": p.versions,
		"lua.version":  p.version,
		"lua.restore":  p.restore,
		"lua.download": p.download,
	}
	maps.Copy(h, p.runHandlers())
	return h
}

// way is the way to a page about programs.
func (p *luaPages) way(below ...layout.Crumb) []layout.Crumb {
	return append([]layout.Crumb{{Text: "Lua", URL: p.url("lua")}}, below...)
}

func (p *luaPages) programCrumb(name string) layout.Crumb {
	return layout.Crumb{Text: name, URL: p.url("lua.program", name), Mono: true}
}

// originNames are the origins as people read them.
var originNames = map[lua.Origin]string{lua.Upload: "upload", lua.File: "file", lua.Builtin: "built-in"}

// originOf says where a program comes from, and what it hides.
func originOf(x lua.Program) luaview.Origin {
	o := luaview.Origin{Name: originNames[x.Origin]}
	if x.Overrides != "" {
		o.Over = "overrides the " + originNames[x.Overrides]
	}
	return o
}

// list serves GET /lua with the query q, origin and cursor.
func (p *luaPages) list(c echo.Context) error {
	list, filters, err := p.listOf(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, luaview.ListOf(list))
	}
	return p.renderList(c, http.StatusOK, list, filters, nil)
}

// renderList shows the list. sent is what became of files that were sent.
func (p *luaPages) renderList(c echo.Context, status int, list luaview.List, filters luaview.Filters, sent *luaview.UploadForm) error {
	page := luaview.ListPage{
		Page: p.page(c, "Lua", p.way()...), Filters: filters, List: list,
		Scratch: p.url("lua.scratch"), NoUser: p.ProgramUser == "",
	}
	if len(list.Rows) > 0 {
		page.Archive = p.url("lua.archive")
	}
	if mayEdit(c) {
		page.New = p.url("lua.scratch", values("new", "1"))
		if sent == nil {
			sent = &luaview.UploadForm{}
		}
		sent.Action, sent.Op = p.url("lua.upload"), newOp()
		page.Upload = sent
	}
	return render(c, status, luaview.Programs(page))
}

// listOf reads a page of programs.
func (p *luaPages) listOf(c echo.Context) (list luaview.List, filters luaview.Filters, err error) {
	f := lua.Filter{Q: query(c, "q"), Origin: lua.Origin(query(c, "origin"))}
	if originNames[f.Origin] == "" {
		f.Origin = ""
	}
	here := values("q", f.Q, "origin", string(f.Origin))
	filters = luaview.Filters{
		URL:    p.url("lua"),
		Search: ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any part of a name", Value: f.Q},
		Origin: ui.SelectProps{ID: "filter-origin", Name: "origin", Label: "Origin", HideLabel: true, Value: string(f.Origin), Options: []ui.Option{
			{Value: "", Text: "Any origin"}, {Value: string(lua.Upload), Text: "Uploads"}, {Value: string(lua.File), Text: "Files"}, {Value: string(lua.Builtin), Text: "Built in"},
		}},
	}
	if encode(here) != "" {
		filters.Clear = p.url("lua")
	}
	page, err := p.Lua.Programs(c.Request().Context(), f, query(c, "cursor"), pageRows)
	if err != nil {
		return list, filters, err
	}
	if list.Rows, err = p.rows(c.Request().Context(), page.Items); err != nil {
		return list, filters, err
	}
	list.Pager = p.pager("lua", here, query(c, "cursor"), page.Next, len(page.Items))
	switch {
	case len(list.Rows) > 0:
	case page.Next != "": // a search looks at so many names at once
		list.Nothing = &luaview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are more programs to look at.", Do: []luaview.Action{{Text: "Look further", Icon: "arrow-right", URL: list.Pager.Next}}}
	default:
		list.Nothing = p.nothing(c, filters.Clear)
	}
	return list, filters, nil
}

// pager leads on through a list that is read by cursors; the way back is its beginning.
func (s *site) pager(route string, here url.Values, cursor, next string, n int, params ...any) ui.PagerProps {
	at := func(q url.Values) string { return s.url(route, append(params, q)...) }
	out := ui.PagerProps{Target: "list"}
	if cursor != "" {
		out.First = at(here)
	}
	if next != "" {
		q := maps.Clone(here)
		if q == nil {
			q = url.Values{}
		}
		q.Set("cursor", next)
		out.Next = at(q)
	}
	if cursor == "" && next == "" {
		out.Summary = decimal(int64(n)) + " in all"
	}
	return out
}

func (p *luaPages) nothing(c echo.Context, clear string) *luaview.Nothing {
	switch {
	case clear != "":
		return &luaview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "No program has such a name and origin.", Do: []luaview.Action{{Text: "Clear the filters", Icon: "x", URL: clear}}}
	case mayEdit(c):
		return &luaview.Nothing{
			Icon: "file-code-corner", Title: "There are no programs yet", Text: "Drop .lua files on this page, or write the first one here.",
			Do: []luaview.Action{{Text: "New program", Icon: "plus", URL: p.url("lua.scratch", values("new", "1")), Primary: true}},
		}
	}
	return &luaview.Nothing{Icon: "file-code-corner", Title: "There are no programs yet", Text: "They are uploaded by an operator, or put into the directory of programs as .lua files."}
}

// rows are programs with how often they were run.
func (p *luaPages) rows(ctx context.Context, programs []lua.Program) ([]luaview.Row, error) {
	names := make([]string, len(programs))
	for i, x := range programs {
		names[i] = x.Name
	}
	usage, err := p.Lua.Usage(ctx, names)
	if err != nil {
		return nil, err
	}
	rows := make([]luaview.Row, len(programs))
	for i, x := range programs {
		u := usage[x.Name]
		rows[i] = luaview.Row{
			Name: x.Name, URL: p.url("lua.program", x.Name), Origin: originOf(x), SHA1: x.SHA1, At: x.UpdatedAt, By: x.UpdatedBy, Error: upperFirst(x.Error),
			LastRun: u.LastAt, Runs: p.runCount(x.Name, u.Runs), Failures: p.runCount(x.Name, u.Failures, "failed", "1"),
		}
		if x.Version > 0 {
			rows[i].Version = luaview.Link{Text: strconv.FormatInt(x.Version, 10), URL: p.url("lua.versions", x.Name)}
		}
	}
	return rows, nil
}

// runCount is a number of runs with the list of the last of them.
func (p *luaPages) runCount(name string, n int64, query ...string) luaview.Count {
	return luaview.Count{N: n, URL: p.url("lua.runs", name, values(query...))}
}

// download serves GET /lua/:name/download: the text as it is, byte for byte; with the query version that of a version.
func (p *luaPages) download(c echo.Context) error {
	ctx, name := c.Request().Context(), param(c, "name")
	if v := query(c, "version"); v != "" {
		n, err := versionNumber(v)
		if err != nil {
			return err
		}
		x, err := p.Lua.VersionOf(ctx, name, n)
		if err != nil {
			return err
		}
		return download(c, fmt.Sprintf("%s.v%d.lua", name, n), x.Text)
	}
	x, err := p.Lua.Program(ctx, name)
	if err != nil {
		return p.unfound(c, name, err)
	}
	if x.Text == "" {
		return kvdb.Invalid("name", "names a file that can't be used: %s", x.Error)
	}
	return download(c, name+".lua", x.Text)
}

func download(c echo.Context, name, text string) error {
	const kind = "text/x-lua; charset=utf-8"
	attach(c, kind, name)
	return c.Blob(http.StatusOK, kind, []byte(text))
}

// archive serves GET /lua/-/archive. It is streamed: an error on the way cuts the connection.
func (p *luaPages) archive(c echo.Context) error {
	attach(c, "application/zip", "programs-"+p.Now().UTC().Format("2006-01-02")+".zip")
	return p.Lua.Archive(c.Request().Context(), lazyWriter{c})
}

// unfound is the page of a program that is not there; err is returned when it says something else.
func (p *luaPages) unfound(c echo.Context, name string, err error) error {
	var missing *lua.NotFoundError
	if !errors.As(err, &missing) || wantsFragment(c.Request()) {
		return err
	}
	page := luaview.Missing{Page: p.page(c, "Not found", p.way(layout.Crumb{Text: name, Mono: true})...), Name: name}
	for _, near := range missing.Near {
		page.Near = append(page.Near, luaview.Link{Text: near, URL: p.url("lua.program", near)})
	}
	if lua.CheckName(name) == nil {
		if versions, err := p.Lua.Versions(c.Request().Context(), name, "", 1); err == nil && len(versions.Items) > 0 {
			page.Versions = p.url("lua.versions", name)
		}
		if mayEdit(c) {
			page.New = p.url("lua.scratch", values("name", name))
		}
		if service := lua.ServicePrefix + name; broker.CheckName("service", service) == nil {
			if _, err := p.Broker.Service(c.Request().Context(), service); err == nil {
				page.Service = luaview.Link{Text: service, URL: p.url("broker.service", service)}
			}
		}
	}
	mw.From(c.Request().Context()).Err = err // for the log and the metrics, as of any page that says so
	return render(c, http.StatusNotFound, luaview.Unfound(page))
}

// by names an operation; see opOf.
func (p *luaPages) by(c echo.Context, op string, fields ...string) lua.By {
	return lua.By{Who: actor(c), Op: opOf(c, op, fields...)}
}

// stateOf says for the audit log how a program is.
func stateOf(x lua.Program) string {
	switch {
	case x.Name == "":
		return ""
	case x.Version > 0:
		return fmt.Sprintf("version %d, %s, %s", x.Version, byteSize(x.Size), x.SHA1)
	}
	return fmt.Sprintf("%s, %s, %s", originNames[x.Origin], byteSize(x.Size), x.SHA1)
}

// versionNumber reads the number of a version.
func versionNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, echo.NewHTTPError(http.StatusNotFound, "There is no such version.")
	}
	return n, nil
}
