package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
)

// Verbs of the audit log.
const (
	verbLuaRun           = "lua.run"
	verbLuaDryRun        = "lua.dryrun"
	verbLuaApply         = "lua.apply"
	verbLuaDebug         = "lua.debug"
	verbLuaKill          = "lua.kill"
	verbLuaExampleSave   = "lua.example.save"
	verbLuaExampleDelete = "lua.example.delete"
)

// runHandlers are those of luaRunRoutes.
func (p *luaPages) runHandlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"lua.arguments":       p.arguments,
		"lua.run":             p.run,
		"lua.dryrun":          p.dryRun,
		"lua.apply":           p.apply,
		"lua.busy":            p.busy,
		"lua.kill":            p.kill,
		"lua.debug.start":     p.startDebug,
		"lua.debug.do":        p.doDebug,
		"lua.debug.stream":    p.streamDebug,
		"lua.debug.end":       p.endDebug,
		"lua.runs":            p.runs,
		"lua.examples.save":   p.saveExample,
		"lua.examples.delete": p.deleteExample,
		"lua.examples.test":   p.testExamples,
	}
}

// runForm is what the form of a run sends. With scripts it has the text that stands in the editor; without, the saved one is meant.
type runForm struct {
	form
	name         string // of the program; "" = ad hoc
	source       string
	given        bool // there is a text
	keys, values []string
	readOnly     bool
}

func readRun(c echo.Context) (runForm, error) {
	f, err := readForm(c)
	if err != nil {
		return runForm{}, err
	}
	r := runForm{form: f, name: f.word("program"), source: fromForm(f.values.Get("source"), f.word("eol")),
		given: len(f.values["source"]) > 0, readOnly: f.has("read_only")}
	r.keys, r.values = typedLines(f.values["key"]), typedLines(f.values["value"])
	return r, nil
}

// typedLines are values as they were typed: browsers send line ends as CR LF.
func typedLines(sent []string) []string {
	out := make([]string, len(sent))
	for i, v := range sent {
		out[i] = strings.ReplaceAll(v, "\r\n", "\n")
	}
	return out
}

// fields are the hidden fields that send the same again. The text is left to the editor, where there is one.
func (f runForm) fields(fragment bool, more ...luaview.Hidden) []luaview.Hidden {
	out := argumentFields(f.name, f.keys, f.values, f.readOnly)
	if f.given && !fragment {
		out = append(out, textFields(f.source)...)
	}
	return append(out, more...)
}

func argumentFields(name string, keys, values []string, readOnly bool) []luaview.Hidden {
	out := []luaview.Hidden{{Name: "program", Value: name}}
	for _, k := range keys {
		out = append(out, luaview.Hidden{Name: "key", Value: k})
	}
	for _, v := range values {
		out = append(out, luaview.Hidden{Name: "value", Value: v})
	}
	if readOnly {
		out = append(out, luaview.Hidden{Name: "read_only", Value: "1"})
	}
	return out
}

func textFields(text string) []luaview.Hidden {
	fields := []luaview.Hidden{{Name: "source", Value: text}}
	if strings.Contains(text, "\r\n") {
		fields = append(fields, luaview.Hidden{Name: "eol", Value: "crlf"})
	}
	return fields
}

// callOf is what the form asks to run: the saved program, unless the editor holds another text.
func (p *luaPages) callOf(ctx context.Context, f runForm) (call lua.Call, unsaved bool, err error) {
	call = lua.Call{Keys: f.keys, Values: f.values, ReadOnly: f.readOnly}
	switch {
	case f.name == "":
		call.Text = f.source
		return call, false, nil
	case !f.given:
		call.Name = f.name
		return call, false, nil
	}
	saved, err := p.Lua.Program(ctx, f.name)
	switch {
	case err == nil && saved.Text == f.source:
		call.Name = f.name
	case err == nil, errors.Is(err, kvdb.ErrNotFound):
		call.Text, unsaved, err = f.source, true, nil
	}
	return call, unsaved, err
}

// caller says who runs something.
func caller(c echo.Context) lua.Caller {
	info := mw.From(c.Request().Context())
	return lua.Caller{Who: info.Principal.Name, Address: info.Address, Admin: info.Principal.Role.Allows(Admin)}
}

// maxTextInAudit is how much of a text that nobody saved is in the audit log.
const maxTextInAudit = 500

// auditedCall runs something under an audit record. A program that fails is a failed record.
func (p *luaPages) auditedCall(c echo.Context, verb string, call lua.Call, do func() (*lua.Failure, error)) error {
	object, before := call.Name, ""
	if object == "" {
		object, before = lua.AdHoc, strings.ToValidUTF8(call.Text[:min(len(call.Text), maxTextInAudit)], "")
	}
	err := p.audited(c, verb, object, func() (string, string, error) {
		failure, err := do()
		if err == nil && failure != nil {
			err = failure
		}
		return before, "", err
	})
	if failure := (*lua.Failure)(nil); errors.As(err, &failure) {
		return nil // the caller has it, with what else came
	}
	return err
}

// run serves POST /lua/-/run. It runs the saved program; where the editor holds another text, "which" says which of the two is meant:
// "saved" or "text".
func (p *luaPages) run(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	call, unsaved, err := p.callOf(c.Request().Context(), f)
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	if unsaved {
		switch f.word("which") {
		case "text":
		case "saved":
			call.Name, call.Text = f.name, ""
		default:
			return p.askWhich(c, f)
		}
	}
	var outcome lua.Outcome
	err = p.auditedCall(c, verbLuaRun, call, func() (_ *lua.Failure, err error) {
		outcome, err = p.Lua.Run(c.Request().Context(), caller(c), call)
		return outcome.Failure, err
	})
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	title := "Run"
	if call.ReadOnly {
		title = "Read-only run"
	}
	return p.showOutcome(c, f, title, call, outcome)
}

// askWhich asks which text is to be run, as the editor's is not the saved one.
func (p *luaPages) askWhich(c echo.Context, f runForm) error {
	fragment := wantsFragment(c.Request())
	send := func(kind, text, which string) luaview.Send {
		return luaview.Send{Kind: kind, Text: text, Action: p.url("lua.run"), Fields: f.fields(fragment, luaview.Hidden{Name: "which", Value: which})}
	}
	return p.showRun(c, f, http.StatusConflict, luaview.Faulty(luaview.Fault{
		Kind: "warning", Title: "The text in the editor is not the saved one.",
		Text: "Nothing ran. Save it first, or say which of the two is meant. A dry run always takes the text in the editor.",
		Do:   []luaview.Send{send("plain", "Run the saved one", "saved"), send("warning", "Run the text as it stands here", "text")},
	}))
}

// showOutcome shows what came of a run. An error of the program is 422: it ended, but not well.
func (p *luaPages) showOutcome(c echo.Context, f runForm, title string, call lua.Call, outcome lua.Outcome) error {
	r := luaview.Result{Title: title, Says: durationText(outcome.Took)}
	p.linkTo(c, &r, f)
	if call.Name == "" && f.name != "" {
		r.Says = "of the text in the editor, " + r.Says
	}
	status := http.StatusOK
	if outcome.Failure != nil {
		status = http.StatusUnprocessableEntity
		r.Fault = failureFault(outcome.Failure, call.ReadOnly)
	} else {
		showReply(&r, outcome.Reply, outcome.Truncated)
		r.Save = p.exampleForm(f, outcome.Reply)
	}
	return p.showRun(c, f, status, luaview.Outcome(r))
}

func failureFault(failure *lua.Failure, readOnly bool) *luaview.Fault {
	fault := &luaview.Fault{Kind: "error", Title: "The program raised an error", Text: failure.Message, Line: failure.Line}
	if !readOnly {
		fault.More = "What it wrote before that stays written: a run is not rolled back."
	}
	return fault
}

// showRun answers a form of a run: with what came of it, or for who has no scripts with a page that has the form and that.
func (p *luaPages) showRun(c echo.Context, f runForm, status int, part templ.Component) error {
	if wantsFragment(c.Request()) {
		announce(c, eventRan)
		if status >= http.StatusBadRequest {
			swapAnyway(c, "innerHTML")
		}
		return render(c, status, part)
	}
	v, err := p.panel(c, f.name, luaview.ArgumentsView{Keys: f.keys, Values: f.values})
	if err != nil {
		return err
	}
	v.ReadOnly, v.Result = f.readOnly, part
	if f.given || f.name == "" {
		v.Source = &f.source
	}
	return p.alone(c, status, f.name, v)
}

func (p *luaPages) alone(c echo.Context, status int, name string, v luaview.RunView) error {
	page := luaview.RunPage{Title: "Run a text", Run: v, Back: luaview.Link{Text: "Editor", URL: p.url("lua.scratch")}}
	if name != "" {
		page.Title, page.Back = "Run "+name, luaview.Link{Text: "The program", URL: p.url("lua.program", name)}
	}
	page.Page = p.page(c, page.Title, p.way(layout.Crumb{Text: page.Title})...)
	page.Path = page.Back.URL
	return render(c, status, luaview.RunAlone(page))
}

// refuseRun says why nothing ran, or why nobody knows. Errors that have nothing to do with the form are left to the error handler.
func (p *luaPages) refuseRun(c echo.Context, f runForm, err error) error {
	status, fault := p.faultOf(c, f, err)
	if status == 0 {
		return err
	}
	return p.showRun(c, f, status, luaview.Faulty(fault))
}

// faultOf says what to tell about an error; status 0 = nothing here.
func (p *luaPages) faultOf(c echo.Context, f runForm, err error) (status int, fault luaview.Fault) {
	var (
		syntax  *lua.SyntaxError
		missing *lua.NotFoundError
		changed *lua.ChangedError
		busy    *lua.BusyError
		none    *lua.NoDebugError
	)
	told := p.problemOf(err, c)
	fault = luaview.Fault{Kind: "error", Title: "Nothing ran", Text: told.Detail}
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &syntax):
		fault.Title, fault.Text, fault.Line = "The text does not compile", syntax.Message, syntax.Line
		fault.More = "Nothing ran."
	case errors.As(err, &missing):
		fault.Title, fault.Text, fault.Names = "There is no program "+missing.Name+" any more", "", missing.Near
		if len(missing.Near) > 0 {
			fault.Text = "Names that look like it:"
		}
	case errors.As(err, &changed):
		fault = p.changedFault(f, changed)
	case errors.As(err, &busy):
		fault = p.busyFault(c, f, busy)
	case errors.As(err, &none):
		fault.Title, fault.Text = "There is no debugger here", upperFirst(none.Reason)
	case errors.Is(err, kvdb.ErrUnknown):
		fault.Kind, fault.Title = "warning", "Nobody knows whether it ran to its end"
		fault.More = "It may have written something. Look before it is run again."
		fault.See = []luaview.Link{{Text: "Its last runs", URL: p.runsURL(f.name)}, {Text: "Audit log", URL: p.url("audit")}}
	case invalid:
		fault.Text = ""
		for _, field := range []string{"source", "keys", "values"} {
			if wrong[field] != "" {
				fault.Text += upperFirst(fieldWords[field]) + " " + lowerFirst(wrong[field]) + ". "
			}
		}
		if fault.Text == "" {
			fault.Text = told.Detail
		}
	case errors.Is(err, kvdb.ErrForbidden), errors.Is(err, kvdb.ErrNotFound), errors.Is(err, kvdb.ErrConflict), errors.Is(err, kvdb.ErrInvalid):
	default:
		return 0, fault
	}
	return told.Status, fault
}

// fieldWords are the fields of a call as people know them.
var fieldWords = map[string]string{"source": "the text", "keys": "the list of keys", "values": "the list of values"}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// arguments serves POST /lua/-/arguments: the rows of the form with one more or one less. add is "key" or "value", drop "key.2".
func (p *luaPages) arguments(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	v := luaview.ArgumentsView{Keys: f.keys, Values: f.values, Change: p.url("lua.arguments")}
	switch f.word("add") {
	case "key":
		v.Keys, v.Focus = append(v.Keys, ""), "key-"+strconv.Itoa(len(v.Keys)+1)
	case "value":
		v.Values, v.Focus = append(v.Values, ""), "value-"+strconv.Itoa(len(v.Values)+1)
	}
	if field, n, ok := strings.Cut(f.word("drop"), "."); ok {
		i, _ := strconv.Atoi(n)
		if field == "key" {
			v.Keys = without(v.Keys, i)
		} else {
			v.Values = without(v.Values, i)
		}
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, luaview.Arguments(v))
	}
	panel, err := p.panel(c, f.name, v)
	if err != nil {
		return err
	}
	panel.ReadOnly = f.readOnly
	if f.given || f.name == "" {
		panel.Source = &f.source
	}
	return p.alone(c, http.StatusOK, f.name, panel)
}

// without is a list without its n-th element, counted from 1.
func without(list []string, n int) []string {
	if n < 1 || n > len(list) {
		return list
	}
	return append(list[:n-1:n-1], list[n:]...)
}

// maxRows is how many rows of arguments a form begins with at most.
const maxRows = 20

// runView is what stands beside a text: name is that of the program, "" = ad hoc. The address may fill it: key, value (each as often
// as there are some) and read_only.
func (p *luaPages) runView(c echo.Context, name, text string) (luaview.RunView, error) {
	q := c.QueryParams()
	args := luaview.ArgumentsView{Keys: typedLines(q["key"]), Values: typedLines(q["value"])}
	keys, values := lua.Arguments(text)
	for len(args.Keys) < min(keys, maxRows) {
		args.Keys = append(args.Keys, "")
	}
	for len(args.Values) < min(values, maxRows) {
		args.Values = append(args.Values, "")
	}
	v, err := p.panel(c, name, args)
	v.ReadOnly = q.Get("read_only") != ""
	return v, err
}

// panel is the panel of a run with these arguments.
func (p *luaPages) panel(c echo.Context, name string, args luaview.ArgumentsView) (luaview.RunView, error) {
	args.Change = p.url("lua.arguments")
	v := luaview.RunView{
		Name: name, Arguments: args, DryRun: p.url("lua.dryrun"), Run: p.url("lua.run"), Debug: p.url("lua.debug.start"),
		Busy: p.busyView(c), Runs: p.lastRuns(c, name),
	}
	if !mayEdit(c) {
		v.Only = "Running a program takes the role operator."
	}
	if name != "" {
		examples := p.examplesView(c, name, nil)
		v.Examples = &examples
	}
	return v, nil
}

// linkTo gives a result the address that fills the form again.
func (p *luaPages) linkTo(c echo.Context, r *luaview.Result, f runForm) {
	if r.Link = p.fillURL(f.name, f.source, f.keys, f.values, f.readOnly); r.Link != "" {
		r.Copy = p.reachedAt(c) + r.Link
	}
}

// The longest value, and all arguments together, that an address may hold.
const (
	maxInAddress    = 2 << 10
	maxAddressQuery = 6 << 10
)

// fillURL is the address that fills the form with a call; "" = it would be too long. An empty value is a row, so it stays in it.
func (p *luaPages) fillURL(name, text string, keys, values []string, readOnly bool) string {
	q := url.Values{}
	page := p.url("lua.scratch")
	if name != "" {
		page = p.url("lua.program", name)
	} else if len(text) <= maxInAddress {
		q.Set("source", text)
	} else {
		return ""
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"key", keys}, {"value", values}} {
		for _, v := range list.values {
			if len(v) > maxInAddress {
				return ""
			}
			q.Add(list.field, v)
		}
	}
	if readOnly {
		q.Set("read_only", "1")
	}
	query := q.Encode()
	switch {
	case len(query) > maxAddressQuery:
		return ""
	case query == "":
		return page
	}
	return page + "?" + query
}
