package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
)

// How many runs are listed beside a program, and at most: no more are kept.
const (
	lastRuns = 5
	allRuns  = 100
)

// noName is in the address of what belongs to no program.
const noName = "-"

// runs serves GET /lua/:name/runs; the name "-" has the ad hoc runs. failed leaves those that failed or of which nobody knows, all or
// those of the last hour; cid leaves those on behalf of one invocation.
func (p *luaPages) runs(c echo.Context) error {
	name := param(c, "name")
	if wantsFragment(c.Request()) {
		if name == noName {
			name = ""
		}
		return render(c, http.StatusOK, templ.Join(luaview.Runs(p.lastRuns(c, name)), p.factsAnew(c, name)))
	}
	title, back := "Runs of "+name, luaview.Link{Text: "The program", URL: p.url("lua.program", name)}
	if name == noName {
		name, title, back = "", "Ad hoc runs", luaview.Link{Text: "Editor", URL: p.url("lua.scratch")}
	}
	list, err := p.Lua.Runs(c.Request().Context(), name, "", allRuns)
	if err != nil {
		return err
	}
	failed, cid := query(c, "failed"), query(c, "cid")
	runs := slices.DeleteFunc(list.Items, func(r lua.Run) bool { return !failedRun(r, failed, p.Now()) || cid != "" && r.CID != cid })
	v := luaview.RunsView{Rows: p.runRows(runs), Failed: failed != ""}
	if failed != failedAny {
		v.Filter = luaview.Link{Text: "Only failures", URL: p.runsURL(name) + "?failed=" + failedAny}
	}
	if failed != "" {
		v.All = luaview.Link{Text: "All", URL: p.runsURL(name)}
	}
	if failed == failedHour {
		v.Title, v.Filter.Text = "Failed in the last hour", "All failures"
	}
	if cid != "" {
		v.Title, v.Failed, v.Filter = "On behalf of one invocation", false, luaview.Link{}
		v.None = "None of the last " + decimal(allRuns) + " runs was made on behalf of " + cid + ". No more than these are kept."
		v.All = luaview.Link{Text: "All", URL: p.runsURL(name)}
	}
	page := luaview.RunsPage{Title: title, Runs: v, Back: back}
	page.Page = p.page(c, title, p.way(layout.Crumb{Text: title})...)
	return render(c, http.StatusOK, luaview.RunsAlone(page))
}

// factsAnew brings the line about a program, which says how often it ran, up to date. Nothing is lost where it can't be had.
func (p *luaPages) factsAnew(c echo.Context, name string) templ.Component {
	source, err := p.Lua.Program(c.Request().Context(), name)
	if err != nil {
		return templ.NopComponent
	}
	f, err := p.facts(c.Request().Context(), source)
	if err != nil {
		return templ.NopComponent
	}
	return luaview.FactsAnew(f)
}

func (p *luaPages) runsURL(name string) string {
	if name == "" {
		name = noName
	}
	return p.url("lua.runs", name)
}

// lastRuns are those that stand beside the program. That they can't be had takes nothing else off the page.
func (p *luaPages) lastRuns(c echo.Context, name string) luaview.RunsView {
	list, err := p.Lua.Runs(c.Request().Context(), name, "", lastRuns)
	if err != nil {
		return luaview.RunsView{Trouble: kvdb.Sentence(err), Refresh: p.runsURL(name)}
	}
	v := luaview.RunsView{Rows: p.runRows(list.Items), Refresh: p.runsURL(name)}
	if len(v.Rows) > 0 {
		v.All = luaview.Link{Text: "All", URL: p.runsURL(name)}
	}
	return v
}

// firstLine is the first line of a text that says something, or the beginning of it.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			if short := headOf(line, 60); len(short) < len(line) {
				return short + "…"
			}
			return line
		}
	}
	return ""
}

// modeWords are the modes of a run that people call otherwise.
var modeWords = map[string]string{"dry-run": "dry run", "apply": "applied", "debug": "debugged"}

func (p *luaPages) runRows(runs []lua.Run) []luaview.RunRow {
	var rows []luaview.RunRow
	for _, r := range runs {
		row := luaview.RunRow{
			At: r.At, Who: r.Who, Mode: r.Mode, Keys: r.Keys, Values: r.Values, Outcome: r.Outcome, Line: r.Line, Result: r.Result,
			Took: durationText(r.Took), Text: firstLine(r.Text), CID: luaview.Link{Text: r.CID, URL: p.invocationURL(r.CID)},
		}
		if words := modeWords[r.Mode]; words != "" {
			row.Mode = words
		}
		if r.Error != "" {
			row.Result = r.Error
		}
		if !r.Cut {
			row.Again = p.fillURL(r.Program, r.Text, r.Keys, r.Values, r.Mode == "read-only")
		}
		rows = append(rows, row)
	}
	return rows
}
