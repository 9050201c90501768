package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf16"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// shownLine is how much of a command a page repeats, in bytes.
const shownLine = 4 << 10

func shortLine(line string) string {
	line = strings.ToValidUTF8(line, "\uFFFD")
	if short := headOf(line, shownLine); len(short) < len(line) {
		return short + "… (" + byteSize(int64(len(line))) + ")"
	}
	return line
}

// consoleFault says why a command has no reply.
func (p *redisConsolePages) consoleFault(s *console.Session, r console.Result) *redisview.ConsoleFault {
	fault := faultOfConsole(r.Err)
	if errors.Is(r.Err, kvdb.ErrUnknown) {
		fault.See = []redisview.ConsoleLink{{Text: "Audit log", URL: p.url("audit")}}
	}
	if s.State().InTransaction && (errors.Is(r.Err, kvdb.ErrForbidden) || errors.Is(r.Err, kvdb.ErrInvalid)) {
		fault.Text += " It is not part of the transaction, which is still open."
	}
	return &fault
}

// faultOfConsole puts an error into words.
func faultOfConsole(err error) redisview.ConsoleFault {
	var (
		syntax *console.SyntaxError
		ended  *console.EndedError
		busy   *console.BusyError
	)
	told := problem.Of(err)
	fault := redisview.ConsoleFault{Kind: "error", Title: "It has not run", Text: upperFirst(told.Detail)}
	switch {
	case errors.As(err, &syntax):
		fault.Title, fault.Text = "Nothing ran", upperFirst(syntax.Error())+"."
	case errors.As(err, &ended):
		fault.Kind, fault.Title, fault.Text = "warning", "This console has ended", ended.Reason
	case errors.As(err, &busy):
		fault.Kind, fault.Text = "warning", busy.Reason
	case errors.Is(err, kvdb.ErrUnknown):
		fault.Kind, fault.Title = "warning", "Nobody knows whether it was done"
		if told.Check != "" {
			fault.Text += " Look at " + told.Check + "."
		}
	case errors.Is(err, kvdb.ErrForbidden):
		fault.Title = "Your role may not run this"
	}
	if fault.Text != "" && !strings.ContainsAny(fault.Text[len(fault.Text)-1:], ".!?:") {
		fault.Text += "."
	}
	return fault
}

// refused says why nothing of a text ran, and keeps the text.
func (p *redisConsolePages) refused(text string, err error, do ...redisview.ConsoleSend) redisview.ConsoleEntry {
	fault := faultOfConsole(err)
	fault.Do = do
	return redisview.ConsoleEntry{ID: newOp(), Keep: text, Fault: &fault}
}

// ways are the ways on when there is no session to run a text in.
func (p *redisConsolePages) ways(c echo.Context, text string, err error) []redisview.ConsoleSend {
	if text == "" {
		return nil
	}
	if !errors.As(err, new(*console.BusyError)) {
		return []redisview.ConsoleSend{p.sendAgain("Run it in a new console", "play", "", text)}
	}
	var do []redisview.ConsoleSend
	for _, s := range p.Console.Sessions(actor(c)) {
		what := "the one opened at " + s.Opened.UTC().Format("15:04:05")
		if running := s.State().Running; running != "" {
			what = "that with " + headOf(running, 40)
		}
		do = append(do, p.sendAgain("End "+what+", and run this", "x", "", text, redisview.ConsoleHidden{Name: "end", Value: s.ID}))
	}
	return do
}

// complete serves POST /redis/console/complete with the field text: the line up to the cursor. It is a POST so that what is typed, which may
// be a password, is in no address.
func (p *redisConsolePages) complete(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	line := f.text("text")
	done, err := p.Console.Complete(c.Request().Context(), line, len(line))
	if err != nil {
		return render(c, http.StatusOK, redisview.ConsoleHints(redisview.ConsoleHelp{Trouble: "There is no help now: " + p.problemOf(err, c).Detail}))
	}
	v := redisview.ConsoleHelp{From: len(utf16.Encode([]rune(line[:done.From])))}
	if done.Help != nil {
		v.Name, v.Summary, v.Deprecated = done.Help.Name, done.Help.Summary, done.Help.Deprecated
	}
	for _, part := range done.Syntax {
		v.Syntax = append(v.Syntax, redisview.ConsolePart(part))
	}
	if strings.TrimSpace(line) != "" { // else they are all commands
		for _, s := range done.Suggestions {
			v.Suggestions = append(v.Suggestions, redisview.ConsoleSuggestion(s))
		}
	}
	return render(c, http.StatusOK, redisview.ConsoleHints(v))
}

// history serves GET /redis/console/history?q=…
func (p *redisConsolePages) history(c echo.Context) error {
	lines, err := p.Console.History(c.Request().Context(), actor(c), query(c, "q"), 0)
	if err != nil {
		return err
	}
	v := redisview.ConsoleHistory{
		Page: p.page(c, "Console history", p.crumbs("redis.console", "History")...),
		URL:  p.url("redis.console.history"), Q: query(c, "q"), Forget: p.url("redis.console.forget"), Back: p.url("redis.console"),
	}
	v.Crumbs[len(v.Crumbs)-1].Mono = false
	for _, l := range lines {
		v.Rows = append(v.Rows, redisview.ConsoleHistoryRow{At: l.At, Line: l.Line, URL: p.url("redis.console", values("text", l.Line))})
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, redisview.ConsoleHistoryList(v))
	}
	return render(c, http.StatusOK, redisview.ConsoleLines(v))
}

// forget serves POST /redis/console/history/forget.
func (p *redisConsolePages) forget(c echo.Context) error {
	err := p.audited(c, verbRedisForget, userObject(actor(c)), func() (string, string, error) {
		return "", "", p.Console.ForgetHistory(c.Request().Context(), actor(c))
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("redis.console.history"), ui.ToastProps{Kind: "success", Text: "Your history is forgotten."})
}

// stop serves POST /redis/console/session/:id/stop: what runs in the session ends, and its own request says how.
func (p *redisConsolePages) stop(c echo.Context) error {
	s, err := p.session(c, param(c, "id"))
	if err == nil {
		s.Stop()
	} else if !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	if wantsFragment(c.Request()) {
		return c.NoContent(http.StatusNoContent)
	}
	if err != nil {
		return redirect(c, p.url("redis.console"))
	}
	return redirect(c, p.pageOf(s))
}

// end serves POST /redis/console/session/:id/end.
func (p *redisConsolePages) end(c echo.Context) error {
	if s, err := p.session(c, param(c, "id")); err == nil {
		s.Close()
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, redisview.ConsoleState(redisview.ConsoleBar{Prompt: console.State{}.Prompt()}))
	}
	return p.done(c, p.url("redis.console"), ui.ToastProps{Kind: "success", Text: "The console is closed."})
}

// shownMessage is how much of a message a page shows, in bytes.
const shownMessage = 16 << 10

// messagesOf are messages of a stream for a page.
func messagesOf(st *console.Stream, messages []console.Message) redisview.ConsoleMessages {
	var v redisview.ConsoleMessages
	for _, m := range messages {
		text := strings.ToValidUTF8(strings.TrimSuffix(m.Text(false), "\n"), "\uFFFD")
		item := redisview.ConsoleMessage{At: m.At, Text: headOf(text, shownMessage)}
		if len(item.Text) < len(text) || m.Truncated {
			item.Note = fmt.Sprintf("These are the first %s of it.", byteSize(int64(len(item.Text))))
		}
		if m.Dropped > 0 {
			item.Dropped = plural(m.Dropped, "message") + " came too fast and are not shown"
		}
		v.Items = append(v.Items, item)
	}
	total, dropped := st.Count()
	v.Count = plural(total, "message")
	if dropped > 0 {
		v.Count += ", " + decimal(dropped) + " of them dropped: they came too fast"
	}
	return v
}
