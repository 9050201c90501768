package handlers

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// Line ends of a text. A form sends CR LF whatever the text had, so that it says beside it which ends they were.
const (
	lf   = "lf"
	crlf = "crlf"
)

// lineEnds says which line ends a text has: crlf when all of them are. mixed says that they are not all alike, so that one kind
// has to give way when the text is edited; single CRs are ends, too, as browsers take them so.
func lineEnds(text string) (ends string, mixed bool) {
	all, pairs := strings.Count(text, "\n"), strings.Count(text, "\r\n")
	lone := strings.Count(text, "\r") - pairs
	if pairs > 0 && pairs == all && lone == 0 {
		return crlf, false
	}
	return lf, pairs > 0 || lone > 0
}

// fromForm gives a text the line ends again that it had before it was edited.
func fromForm(source, ends string) string {
	source = strings.ReplaceAll(source, "\r\n", "\n")
	if ends == crlf {
		source = strings.ReplaceAll(source, "\n", "\r\n")
	}
	return source
}

// sourceSent is the form of the editor as it was sent.
type sourceSent struct {
	form
	name, text, ends, op string
	version              int64
	fresh                bool // it had no name before
}

func readSource(c echo.Context) (sourceSent, error) {
	f, err := readForm(c)
	if err != nil {
		return sourceSent{}, err
	}
	s := sourceSent{form: f, name: param(c, "name"), ends: f.word("eol"), op: f.word("op")}
	if s.fresh = s.name == ""; s.fresh {
		s.name = f.word("name")
	}
	s.version, _ = strconv.ParseInt(f.word("version"), 10, 64)
	s.text = fromForm(f.values.Get("source"), s.ends)
	return s, nil
}

// program serves GET /lua/:name. Asked for the part life, it is that alone.
func (p *luaPages) program(c echo.Context) error {
	name := param(c, "name")
	x, err := p.Lua.Program(c.Request().Context(), name)
	if err != nil {
		return p.unfound(c, name, err)
	}
	if wantsFragment(c.Request()) && targets(c.Request(), "life") {
		return render(c, http.StatusOK, luaview.LifeOf(p.life(c, name)))
	}
	return p.renderProgram(c, http.StatusOK, x, p.editorOf(c, x))
}

// renderProgram shows a program with this editor.
func (p *luaPages) renderProgram(c echo.Context, status int, x lua.Source, editor *luaview.Editor) error {
	page := luaview.ProgramPage{
		Page: p.page(c, x.Name, p.way(layout.Crumb{Text: x.Name, Mono: true})...), Title: x.Name, Editor: editor,
	}
	facts, err := p.facts(c.Request().Context(), x)
	if err != nil {
		return err
	}
	page.Facts = &facts
	life := p.life(c, x.Name)
	page.Life = &life
	if x.Error != "" {
		page.Error = "This file can't be run: " + x.Error + "."
	}
	if editor == nil {
		return render(c, status, luaview.Program(page))
	}
	page.Download = p.url("lua.download", x.Name)
	if editor.ReadOnly {
		page.Try = p.url("lua.scratch", values("from", x.Name))
	}
	if mayEdit(c) && x.Origin == lua.Upload {
		page.Delete = p.url("lua.ask", x.Name)
	}
	if page.Run, err = p.runView(c, x.Name, x.Text); err != nil {
		return err
	}
	editor.Head.Debug = page.Run.Debug
	p.withEditor(c, &page.Page)
	return render(c, status, luaview.Program(page))
}

// withEditor has a page load the code editor, which makes its own style sheet.
func (p *luaPages) withEditor(c echo.Context, page *layout.Page) {
	page.Nonce = rand.Text()
	page.Scripts = []string{"editor.js"}
	mw.AllowStyleNonce(c, page.Nonce)
}

// facts says about a program what is no part of its text.
func (p *luaPages) facts(ctx context.Context, x lua.Source) (luaview.Facts, error) {
	usage, err := p.Lua.Usage(ctx, []string{x.Name})
	if err != nil {
		return luaview.Facts{}, err
	}
	u := usage[x.Name]
	f := luaview.Facts{
		Origin: originOf(x.Program), At: x.UpdatedAt, By: x.UpdatedBy, SHA1: x.SHA1, Size: x.Size,
		Runs: p.runCount(x.Name, u.Runs), Failures: p.runCount(x.Name, u.Failures, "failed", "1"), LastRun: u.LastAt,
	}
	if x.Origin == lua.File {
		f.File = x.Name + ".lua"
	}
	if x.Version > 0 {
		f.Version = luaview.Link{Text: "version " + strconv.FormatInt(x.Version, 10), URL: p.url("lua.versions", x.Name)}
	}
	if ends, _ := lineEnds(x.Text); ends == crlf {
		f.Ends = "with CR LF"
	}
	return f, nil
}

// editorOf is the editor of a program as it is; nil where it has no text.
func (p *luaPages) editorOf(c echo.Context, x lua.Source) *luaview.Editor {
	if x.Text == "" {
		return nil
	}
	e := p.editor(x.Text)
	e.Head = p.headOf(c, x)
	e.Head.Problems = p.problems(c, x.Text)
	e.Draft = "lua:" + x.Name
	e.ReadOnly = !mayEdit(c) || x.Origin != lua.Upload
	if !e.ReadOnly {
		e.Action = p.url("lua.save", x.Name)
	}
	return e
}

// editor is the text area of a text.
func (p *luaPages) editor(text string) *luaview.Editor {
	ends, _ := lineEnds(text)
	return &luaview.Editor{Source: text, EOL: ends, Lines: min(max(strings.Count(text, "\n")+2, 18), 34), Check: p.url("lua.check")}
}

// headOf is the bar above the text of a program that is saved as it stands there.
func (p *luaPages) headOf(c echo.Context, x lua.Source) luaview.EditorHead {
	h := luaview.EditorHead{Op: newOp(), Version: x.Version}
	if x.Version > 0 {
		h.Versions = p.url("lua.versions", x.Name)
	}
	switch {
	case !mayEdit(c):
	case x.Origin == lua.Upload:
		h.Save, h.Saved = "Save", "Saved"
		if _, mixed := lineEnds(x.Text); mixed {
			h.Notice = "The line ends of this text are not all alike. Saving it from here makes each of them LF."
		}
	default:
		h.Copy = &luaview.CopyForm{Action: p.url("lua.save", x.Name), Op: newOp(), SHA1: x.SHA1}
		h.Copy.Says = "What is built in can't be changed; an upload of the same name overrides it."
		if x.Origin == lua.File {
			h.Copy.Says = "A file can't be changed here; an upload of the same name overrides it."
		}
	}
	return h
}

// problems are the findings of the checks. That they can't be made keeps nobody from working.
func (p *luaPages) problems(c echo.Context, text string) luaview.Problems {
	if strings.TrimSpace(text) == "" {
		return luaview.Problems{Empty: true}
	}
	if err := lua.CheckText(text); err != nil {
		return luaview.Problems{Items: []luaview.Problem{{Error: true, Message: p.problemOf(err, c).Detail}}}
	}
	found, err := p.Lua.Check(c.Request().Context(), text)
	if err != nil {
		p.Logger.WarnContext(c.Request().Context(), "a program was not checked", "error", err)
		return luaview.Problems{Unknown: p.problemOf(err, c).Detail}
	}
	var out luaview.Problems
	for _, x := range found {
		out.Items = append(out.Items, luaview.Problem{Line: x.Line, Column: x.Column, Error: x.Error, Message: upperFirst(x.Message)})
	}
	return out
}

// check serves POST /lua/-/check with the field source: the problems of a text as it is typed.
func (p *luaPages) check(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, luaview.ProblemsOf(p.problems(c, f.text("source"))))
}

// scratch serves GET /lua/-/scratch: a text without a program. The query may name a program whose text it begins with (from), or say
// that it is to become one (new, name); source is the text itself, of a run that is to be made again.
func (p *luaPages) scratch(c echo.Context) error {
	text := text(c, "source")
	if from := query(c, "from"); from != "" {
		x, err := p.Lua.Program(c.Request().Context(), from)
		if err != nil {
			return p.unfound(c, from, err)
		}
		text = x.Text
	}
	e := p.editor(text)
	e.Focus = true
	e.Head = luaview.EditorHead{Op: newOp(), Problems: p.problems(c, text)}
	if mayEdit(c) {
		name := query(c, "name")
		e.Head.Name = nameField(name, "")
		e.Head.Name.Autofocus = query(c, "new") != "" && name == ""
		e.Focus = !e.Head.Name.Autofocus
	}
	return p.renderScratch(c, http.StatusOK, e)
}

func nameField(name, fault string) *ui.FieldProps {
	return &ui.FieldProps{ID: "program-name", Name: "name", Label: "Name", HideLabel: true, Value: name, Error: fault, Mono: true,
		Placeholder: "Name, as mylib.get", MaxLength: 128}
}

// renderScratch shows a text that is no program.
func (p *luaPages) renderScratch(c echo.Context, status int, e *luaview.Editor) error {
	title := "Try a text"
	if query(c, "new") != "" || query(c, "name") != "" || c.Request().Method == http.MethodPost {
		title = "New program"
	}
	e.Draft = "lua"
	if e.Head.Name != nil {
		e.Head.Save, e.Action = "Save", p.url("lua.create")
	}
	run, err := p.runView(c, "", e.Source)
	if err != nil {
		return err
	}
	e.Head.Debug = run.Debug
	page := luaview.ProgramPage{Page: p.page(c, title, p.way(layout.Crumb{Text: title})...), Title: title, Editor: e, Run: run}
	p.withEditor(c, &page.Page)
	return render(c, status, luaview.Program(page))
}

// create serves POST /lua with the fields name, source, eol, version and op.
func (p *luaPages) create(c echo.Context) error {
	f, err := readSource(c)
	if err != nil {
		return err
	}
	return p.put(c, f)
}

// save serves POST /lua/:name with the fields source, eol, version and op; or, of a program that is no upload, with copy: the SHA-1
// of what is to become one, byte for byte.
func (p *luaPages) save(c echo.Context) error {
	f, err := readSource(c)
	if err != nil {
		return err
	}
	if sum := f.word("copy"); sum != "" {
		x, err := p.Lua.Program(c.Request().Context(), f.name)
		if err != nil {
			return p.unfound(c, f.name, err)
		}
		if x.SHA1 != sum {
			p.flash(c, ui.ToastProps{Kind: "warning", Text: "Nothing was copied: the program has changed meanwhile. This is how it is now."})
			return redirect(c, p.url("lua.program", f.name))
		}
		f.text, f.fresh = x.Text, true
	}
	return p.put(c, f)
}

// put saves a text and says what came of it.
func (p *luaPages) put(c echo.Context, f sourceSent) error {
	ctx := c.Request().Context()
	if err := lua.CheckName(f.name); err != nil {
		return p.sourceAgain(c, f, err)
	}
	if f.version < 0 {
		f.version = 0 // -1 would take whatever is there
	}
	var made lua.Program
	err := p.audited(c, verbLuaSave, programObject(f.name), func() (before, after string, err error) {
		was, err := p.Lua.Program(ctx, f.name)
		if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
			return "", "", err
		}
		made, _, err = p.Lua.Put(ctx, p.by(c, f.op, f.name, f.text, strconv.FormatInt(f.version, 10)), f.name, f.text, f.version)
		return stateOf(was.Program), stateOf(made), err
	})
	if err != nil {
		return p.sourceAgain(c, f, err)
	}
	found := p.problems(c, f.text)
	toast := ui.ToastProps{Kind: "success", Text: "Saved as version " + strconv.FormatInt(made.Version, 10)}
	if n := int64(len(found.Items)); n > 0 {
		toast.Text += "; " + plural(n, "warning")
	}
	toast.Text += "."
	if made.Version == f.version {
		toast = ui.ToastProps{Kind: "info", Text: "Nothing was different, so there is no new version."}
	}
	if !wantsFragment(c.Request()) || f.fresh || c.Request().Header.Get("HX-Target") == "" {
		return p.done(c, p.url("lua.program", made.Name), toast)
	}
	x := lua.Source{Program: made, Text: f.text}
	head := p.headOf(c, x)
	head.Problems = found
	run, err := p.runView(c, x.Name, x.Text)
	if err != nil {
		return err
	}
	head.Debug = run.Debug
	facts, err := p.facts(ctx, x)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, luaview.SavedAnswer(head, facts, toast))
}

// sourceAgain shows the editor again with what was typed and why it was not saved. Errors that have nothing to do with it are returned.
func (p *luaPages) sourceAgain(c echo.Context, f sourceSent, err error) error {
	var (
		stale  *lua.StaleError
		syntax *lua.SyntaxError
	)
	e := p.editor(f.text)
	e.EOL = f.ends
	h := &e.Head
	*h = luaview.EditorHead{Op: f.op, Version: f.version, Save: "Save"}
	status := http.StatusUnprocessableEntity
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &stale):
		status = http.StatusConflict
		h.Op, h.Version, h.Save = newOp(), stale.Current.Version, "Save over theirs"
		h.Stale = p.staleOf(f, stale.Current)
	case errors.As(err, &syntax):
		h.Error = "It was not saved: " + syntaxSaid(syntax)
	case invalid:
		h.Error = wrong["source"]
		if h.Error != "" {
			h.Error = "It was not saved: the text " + strings.ToLower(h.Error[:1]) + h.Error[1:] + "."
		} else if !f.fresh || wrong["name"] == "" {
			h.Error = p.problemOf(err, c).Detail
		}
	case errors.Is(err, kvdb.ErrUnknown):
		status, h.Unknown = http.StatusGatewayTimeout, true
	case errors.Is(err, kvdb.ErrAway) && !wantsFragment(c.Request()):
		status, h.Error = http.StatusServiceUnavailable, "It was not saved. "+p.problemOf(err, c).Detail
	case errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrConflict):
		said := p.problemOf(err, c)
		status, h.Error = said.Status, said.Detail
	default:
		return err // the form of a fragment stays where it is, with all that is typed
	}
	h.Problems = p.problems(c, f.text)
	if f.fresh && param(c, "name") == "" {
		h.Name = nameField(f.name, wrong["name"])
	} else if h.Version > 0 {
		h.Versions = p.url("lua.versions", f.name)
	}
	if wantsFragment(c.Request()) {
		run, err := p.runView(c, param(c, "name"), f.text)
		if err != nil {
			return err
		}
		h.Debug = run.Debug
		if status == http.StatusGatewayTimeout {
			swapAnyway(c, "outerHTML")
		}
		return render(c, status, luaview.EditorHeadOf(*h))
	}
	if h.Name != nil {
		return p.renderScratch(c, status, e)
	}
	e.Action, e.Draft = p.url("lua.save", f.name), "lua:"+f.name
	x, err := p.Lua.Program(c.Request().Context(), f.name)
	if err != nil {
		if !errors.Is(err, kvdb.ErrNotFound) {
			return err
		}
		h.Name = nameField(f.name, "") // it is gone: what was typed can become a new one
		return p.renderScratch(c, status, e)
	}
	return p.renderProgram(c, status, x, e)
}

// staleOf says what somebody else has done to a program meanwhile.
func (p *luaPages) staleOf(f sourceSent, now lua.Source) *luaview.Stale {
	out := &luaview.Stale{}
	switch {
	case now.Version == 0:
		out.Text = "Somebody has deleted the program meanwhile. Save once more to upload yours as a new one."
	case f.version == 0:
		out.Text = "There is an upload of this name already: version " + decimal(now.Version) + " by " + now.UpdatedBy + "."
	default:
		out.Text = now.UpdatedBy + " has saved version " + decimal(now.Version) + " meanwhile."
	}
	if now.Text != "" {
		out.Diff, out.Take = luaview.DiffOf(now.Text, f.text), p.url("lua.program", now.Name)
	}
	return out
}

func syntaxSaid(err *lua.SyntaxError) string {
	if err.Line > 0 {
		return "line " + strconv.Itoa(err.Line) + ", " + err.Message
	}
	return err.Message
}
