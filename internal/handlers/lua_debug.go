package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// heartbeat is how often a stream says something, so that a browser that is gone is noticed.
const heartbeat = 10 * time.Second

// browser names the session of the reader: nobody else can use their debug session.
func browser(c echo.Context) string { return mw.From(c.Request().Context()).Principal.SessionID }

// startDebug serves POST /lua/-/debug: the text that stands in the editor stops before its first line. end is the ID of a session of
// the reader's own that is to end before.
func (p *luaPages) startDebug(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	if !wantsFragment(c.Request()) {
		return p.needsScripts(c) // nothing would hold the session open
	}
	call, _, err := p.callOf(c.Request().Context(), f)
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	if old := f.word("end"); old != "" {
		if d, err := p.Lua.Debug(old, browser(c)); err == nil {
			d.Close()
		}
	}
	var d *lua.Debug
	err = p.auditedCall(c, verbLuaDebug, call, func() (_ *lua.Failure, err error) {
		d, err = p.Lua.StartDebug(c.Request().Context(), caller(c), browser(c), call, linesIn(f.form))
		return nil, err
	})
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	v := p.debugView(d, d.State())
	v.Focus = "debug-step"
	return p.showRun(c, f, http.StatusOK, luaview.Debugger(v))
}

// linesIn are the breakpoints that the editor has.
func linesIn(f form) []int {
	var lines []int
	for word := range strings.SplitSeq(f.values.Get("breakpoints"), ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(word)); err == nil && n > 0 {
			lines = append(lines, n)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// busyFault says that no session can start, and offers to end the reader's own one.
func (p *luaPages) busyFault(c echo.Context, f runForm, busy *lua.BusyError) luaview.Fault {
	fault := luaview.Fault{Kind: "warning", Title: "No debug session can start now", Text: upperFirst(busy.Reason)}
	if busy.ID != "" {
		fields := f.fields(wantsFragment(c.Request()), luaview.Hidden{Name: "end", Value: busy.ID})
		fault.Do = []luaview.Send{{Kind: "primary", Text: "End that one and debug this", Icon: "bug", Action: p.url("lua.debug.start"), Fields: fields}}
	}
	return fault
}

// doDebug serves POST /lua/-/debug/:id: kind is step, continue, eval (of "text") or redis (the "command").
func (p *luaPages) doDebug(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	d, err := p.Lua.Debug(param(c, "id"), browser(c))
	if err != nil {
		return p.noDebug(c, err)
	}
	ctx := c.Request().Context()
	if lines := linesIn(f); len(f.values["breakpoints"]) > 0 && !slices.Equal(lines, d.State().Breakpoints) {
		if _, err := d.Do(ctx, lua.DebugCommand{Kind: lua.DebugBreak, Lines: lines}); err != nil && !errors.Is(err, kvdb.ErrInvalid) {
			return p.noDebug(c, err)
		}
	}
	cmd, err := debugCommand(f)
	state := d.State()
	if err == nil {
		state, err = d.Do(ctx, cmd)
	}
	switch {
	case errors.Is(err, kvdb.ErrInvalid):
		state = d.State()
		state.Log = nil
	case err != nil:
		return p.noDebug(c, err)
	}
	v := p.debugView(d, state)
	if err != nil {
		v.Error = p.problemOf(err, c).Detail
	}
	switch cmd.Kind {
	case lua.DebugEval:
		v.Eval, v.Focus = f.text("text"), "debug-text"
	case lua.DebugRedis:
		v.Redis, v.Focus = f.text("command"), "debug-command"
	}
	return p.showDebug(c, http.StatusOK, v)
}

func debugCommand(f form) (lua.DebugCommand, error) {
	switch kind := f.word("kind"); kind {
	case lua.DebugStep, lua.DebugContinue:
		return lua.DebugCommand{Kind: kind}, nil
	case lua.DebugEval:
		if strings.TrimSpace(f.text("text")) == "" {
			return lua.DebugCommand{Kind: kind}, kvdb.Invalid("text", "is empty")
		}
		return lua.DebugCommand{Kind: kind, Text: f.text("text")}, nil
	case lua.DebugRedis:
		args, err := splitCommand(f.text("command"))
		return lua.DebugCommand{Kind: kind, Args: args}, err
	default:
		return lua.DebugCommand{}, kvdb.Invalid("kind", "is not one of the debugger's")
	}
}

// splitCommand takes a command apart as redis-cli does: at blanks, but not in quotes; in double quotes \n, \r, \t, \xHH, \" and \\ stand
// for what they say.
func splitCommand(text string) ([]string, error) {
	var args []string
	for rest := strings.TrimLeft(text, " \t\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\n") {
		var word strings.Builder
		for rest != "" && !strings.ContainsRune(" \t\n", rune(rest[0])) {
			quote := rest[0]
			if quote != '"' && quote != '\'' {
				word.WriteByte(quote)
				rest = rest[1:]
				continue
			}
			n, err := quoted(&word, rest)
			if err != nil {
				return nil, err
			}
			rest = rest[n:]
		}
		args = append(args, word.String())
	}
	if len(args) == 0 {
		return nil, kvdb.Invalid("command", "is empty")
	}
	return args, nil
}

// quoted reads a quoted part and returns how long it is with its quotes.
func quoted(word *strings.Builder, text string) (int, error) {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return i + 1, nil
		case text[i] == '\\' && quote == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
			word.WriteByte('\'')
		case text[i] == '\\' && quote == '"' && i+1 < len(text):
			i++
			switch text[i] {
			case 'n':
				word.WriteByte('\n')
			case 'r':
				word.WriteByte('\r')
			case 't':
				word.WriteByte('\t')
			case 'x':
				if b, err := strconv.ParseUint(text[i+1:min(i+3, len(text))], 16, 8); err == nil && i+3 <= len(text) {
					word.WriteByte(byte(b))
					i += 2
					continue
				}
				word.WriteByte('x')
			default:
				word.WriteByte(text[i])
			}
		default:
			word.WriteByte(text[i])
		}
	}
	return 0, kvdb.Invalid("command", "has a quote that does not end")
}

// endDebug serves POST /lua/-/debug/:id/end.
func (p *luaPages) endDebug(c echo.Context) error {
	d, err := p.Lua.Debug(param(c, "id"), browser(c))
	if err != nil {
		return p.noDebug(c, err)
	}
	d.Close()
	return p.showDebug(c, http.StatusOK, luaview.DebugView{Where: "stopped. Nothing was kept."})
}

// streamDebug serves GET /lua/-/debug/:id/stream. It lives as long as the browser shows the session: when it breaks, the session ends.
func (p *luaPages) streamDebug(c echo.Context) error {
	d, err := p.Lua.Debug(param(c, "id"), browser(c))
	if err != nil {
		return err
	}
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that would keep it back
	w.WriteHeader(http.StatusOK)
	say := func(text string) error {
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		w.Flush()
		return nil
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	text := ": it goes on\n\n"
	for {
		if say(text) != nil {
			d.Close()
			return nil
		}
		select {
		case <-c.Request().Context().Done():
			d.Close()
			return nil
		case <-d.Done():
			_ = say("event: ended\ndata: ended\n\n") // who has left already needs no word
			return nil
		case <-tick.C:
		}
	}
}

// noDebug says that a session is not there (any more).
func (p *luaPages) noDebug(c echo.Context, err error) error {
	if !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	return p.showDebug(c, http.StatusNotFound, luaview.DebugView{
		Where: "the session has ended",
		Error: "This debug session is not there any more: it ends after a minute without a step, after ten minutes in all, when its page is left, and " +
			"with the server. Nothing was kept. Another server of this platform does not know it either.",
	})
}

func (p *luaPages) needsScripts(c echo.Context) error {
	to := whereFrom(c.Request())
	if to == "" {
		to = p.url("lua")
	}
	return p.done(c, to, ui.ToastProps{Kind: "warning", Text: "The debugger needs scripts in the browser."})
}

// showDebug answers what the debugger's own forms ask for. It needs scripts, so there is no page of it.
func (p *luaPages) showDebug(c echo.Context, status int, v luaview.DebugView) error {
	if !wantsFragment(c.Request()) {
		return p.needsScripts(c)
	}
	if status >= http.StatusBadRequest {
		swapAnyway(c, "innerHTML")
	}
	return render(c, status, luaview.Debugger(v))
}

func (p *luaPages) debugView(d *lua.Debug, state lua.DebugState) luaview.DebugView {
	v := luaview.DebugView{
		ID: d.ID, Action: p.url("lua.debug.do", d.ID), End: p.url("lua.debug.end", d.ID), EndsAt: state.EndsAt, Line: state.Line,
		Breakpoints: joinLines(state.Breakpoints),
	}
	for _, l := range state.Locals {
		v.Locals = append(v.Locals, luaview.Variable(l))
	}
	for _, e := range state.Log {
		v.Log = append(v.Log, luaview.LogRow{Kind: e.Kind, Text: e.Text, Line: e.Line})
	}
	if state.Ended {
		v.Line, v.Where = 0, "ended. Nothing was kept: what it wrote is rolled back."
		switch {
		case state.Failure != nil:
			v.Result = &luaview.Result{Fault: failureFault(state.Failure, true)}
		case state.Reply != nil:
			v.Result = &luaview.Result{}
			showReply(v.Result, *state.Reply, false)
			v.Badge, v.Result.Badge = v.Result.Badge, ""
		}
		return v
	}
	v.Stream = p.url("lua.debug.stream", d.ID)
	v.Where = fmt.Sprintf("stopped at line %d: %s", state.Line, state.Reason)
	for i, k := range state.Keys {
		v.Arguments = append(v.Arguments, luaview.Variable{Name: fmt.Sprintf("KEYS[%d]", i+1), Value: k})
	}
	for i, value := range state.Values {
		v.Arguments = append(v.Arguments, luaview.Variable{Name: fmt.Sprintf("ARGV[%d]", i+1), Value: value})
	}
	for _, frame := range state.Trace {
		v.Trace = append(v.Trace, luaview.FrameRow(frame))
	}
	return v
}

func joinLines(lines []int) string {
	words := make([]string, len(lines))
	for i, n := range lines {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
