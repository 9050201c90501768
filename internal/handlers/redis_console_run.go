package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
)

// run serves POST /redis/console with the fields session ("" = a new one), text, confirm, and end, which is a session of the reader's own that
// is to end before.
func (p *redisConsolePages) run(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	out := p.answerTo(c, f)
	text := strings.Trim(f.text("text"), "\n")
	if old := f.word("end"); old != "" {
		if s, err := p.session(c, old); err == nil {
			s.Close()
		}
	}
	var s *console.Session
	if id := f.word("session"); id != "" {
		s, err = p.session(c, id)
	} else {
		s, err = p.Console.Open(actor(c), roleOf(c))
	}
	if err != nil {
		return out.fail(p.refused(text, err, p.ways(c, text, err)...))
	}
	return out.runIn(s, text, f.values.Get("confirm"))
}

// consoleAnswer is what comes of commands: parts of a page as they come, or a page with all of them.
type consoleAnswer struct {
	*redisConsolePages
	c     echo.Context
	parts bool
	page  redisview.ConsolePage
	size  int
	left  int // results that the page has no room for
}

func (p *redisConsolePages) answerTo(c echo.Context, f form) *consoleAnswer {
	a := &consoleAnswer{redisConsolePages: p, c: c, parts: wantsFragment(c.Request())}
	if !a.parts {
		a.page = p.view(c)
	}
	return a
}

// maxConsolePage is how much of replies a page has that comes as a whole.
const maxConsolePage = 4 << 20

// partEnd stands behind each part of an answer. No text on a page has it in it, as < is written otherwise there.
const partEnd = "\n<!--part-->\n"

// send sends a part.
func (a *consoleAnswer) send(part templ.Component) error {
	w := a.c.Response()
	if !w.Committed {
		w.Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
		w.Header().Set(echo.HeaderCacheControl, "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // for proxies that would keep it back
		w.WriteHeader(http.StatusOK)
	}
	var b bytes.Buffer
	if err := part.Render(a.c.Request().Context(), &b); err != nil {
		return err
	}
	b.WriteString(partEnd)
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	w.Flush()
	return nil
}

// add adds a result.
func (a *consoleAnswer) add(e redisview.ConsoleEntry) error {
	if a.parts {
		return a.send(redisview.ConsoleResult(e))
	}
	if e.Clear {
		a.page.Entries, a.size = nil, 0
	}
	if a.size += len(e.Output); a.size > maxConsolePage {
		a.left++
		return nil
	}
	a.page.Entries = append(a.page.Entries, e)
	if e.Keep != "" {
		a.page.Text = e.Keep
	}
	return nil
}

// fail ends an answer to commands of which none ran.
func (a *consoleAnswer) fail(e redisview.ConsoleEntry) error {
	if !a.parts {
		a.page.Entries, a.page.Text = append(a.page.Entries, e), e.Keep
		return render(a.c, http.StatusOK, redisview.Console(a.page))
	}
	if err := a.send(redisview.ConsoleState(redisview.ConsoleBar{Prompt: console.State{}.Prompt()})); err != nil {
		return nil // who has left needs no answer
	}
	_ = a.send(redisview.ConsoleResult(e))
	return nil
}

// runIn runs the commands. A browser that leaves stops them.
func (a *consoleAnswer) runIn(s *console.Session, text, confirm string) error {
	ctx, cancel := context.WithCancel(a.c.Request().Context())
	defer cancel()
	results := make(chan redisview.ConsoleEntry)
	begun := time.Now()
	go func() {
		defer close(results)
		a.runAll(ctx, s, text, confirm, results)
	}()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	bar := time.NewTimer(runningAfter)
	defer bar.Stop()
	gone := false
	say := func(err error) {
		if err != nil {
			gone = true
			cancel()
		}
	}
	for {
		select {
		case e, more := <-results:
			switch {
			case gone:
			case more:
				say(a.add(e))
				bar.Reset(runningAfter)
			}
			if !more {
				if gone {
					return nil
				}
				return a.finish(s, time.Since(begun))
			}
		case <-bar.C:
			if a.parts && !gone { // so that it can be stopped
				say(a.send(redisview.ConsoleState(a.bar(s))))
			}
		case <-tick.C:
			if a.parts && !gone {
				say(a.send(templ.NopComponent)) // for proxies that would close a connection on which nothing comes
			}
		}
	}
}

// runningAfter is after which time a page says that a command still runs.
const runningAfter = 150 * time.Millisecond

// runAll runs the commands and hands over what comes of each.
func (a *consoleAnswer) runAll(ctx context.Context, s *console.Session, text, confirm string, results chan<- redisview.ConsoleEntry) {
	prompt := s.State().Prompt()
	var last *redisview.ConsoleEntry
	var lastErr error
	each := func(r console.Result) {
		e := a.entry(s, prompt, r)
		last, lastErr = &e, r.Err
		prompt = s.State().Prompt()
		if lastErr == nil && !r.Streaming && s.State().Ended == "" {
			results <- e
			last = nil
		}
	}
	rest, err := s.Run(ctx, text, console.RunOptions{Confirm: confirm, Record: a.record}, each)
	if err != nil {
		results <- a.refused(text, err)
		return
	}
	if last == nil {
		return
	}
	a.addRest(s, last, rest, lastErr, confirm)
	results <- *last
}

// addRest says which commands did not run, and how they can.
func (a *consoleAnswer) addRest(s *console.Session, e *redisview.ConsoleEntry, rest []console.Command, err error, confirm string) {
	switch {
	case e.Confirm != nil:
		e.Confirm.Action, e.Confirm.Session, e.Confirm.Text, e.Confirm.After = a.url("redis.console.run"), s.ID, textOf(rest), len(rest)-1
		if confirm != "" && !strings.EqualFold(confirm, e.Confirm.Word) {
			e.Confirm.Error = fmt.Sprintf("That was %s, not %s.", kvdb.Shown(confirm), e.Confirm.Word)
		}
	case errors.As(err, new(*console.EndedError)):
		e.Fault.Do = append(e.Fault.Do, a.sendAgain("Run it in a new console", "play", "", textOf(rest)))
	case errors.As(err, new(*console.BusyError)):
		e.Fault.Do = append(e.Fault.Do, a.sendAgain("Run it in another console", "play", "", textOf(rest)))
	case err != nil && len(rest) > 1:
		if e.Fault.Rest = shownOf(rest[1:]); e.Fault.Do == nil {
			e.Fault.Do = append(e.Fault.Do, a.sendAgain("Run the rest", "play", s.ID, textOf(rest[1:])))
		}
	case err == nil && len(rest) > 0:
		e.Fault = &redisview.ConsoleFault{Kind: "warning", Title: "The commands after it did not run", Rest: shownOf(rest)}
		e.Fault.Do = append(e.Fault.Do, a.sendAgain("Run them in a new console", "play", "", textOf(rest)))
	}
}

func (p *redisConsolePages) sendAgain(text, icon, session, commands string, more ...redisview.ConsoleHidden) redisview.ConsoleSend {
	return redisview.ConsoleSend{
		Kind: "plain", Text: text, Icon: icon, Action: p.url("redis.console.run"),
		Fields: append([]redisview.ConsoleHidden{{Name: "session", Value: session}, {Name: "text", Value: commands}}, more...),
	}
}

// textOf writes commands so that they can be typed again.
func textOf(commands []console.Command) string {
	lines := make([]string, len(commands))
	for i, c := range commands {
		lines[i] = c.Text
		if again, err := console.Parse(c.Text); err != nil || len(again) != 1 || again[0].Repeat != c.Repeat {
			lines[i] = strconv.Itoa(c.Repeat) + " " + console.Join(c.Args)
		}
	}
	return strings.Join(lines, "\n")
}

// shownOf is textOf with secrets masked.
func shownOf(commands []console.Command) string {
	lines := make([]string, len(commands))
	for i, c := range commands {
		lines[i] = shortLine(lineOf(c.Repeat, kvdb.Masked(c.Args)))
	}
	return strings.Join(lines, "\n")
}

func lineOf(repeat int, args []string) string {
	line := console.Join(args)
	if repeat > 1 {
		line = strconv.Itoa(repeat) + " " + line
	}
	return line
}

// finish ends the answer.
func (a *consoleAnswer) finish(s *console.Session, took time.Duration) error {
	bar := a.bar(s)
	if a.parts {
		_ = a.send(redisview.ConsoleState(bar))
		return nil
	}
	if a.page.Bar = bar; a.left > 0 {
		a.page.Entries = append(a.page.Entries, redisview.ConsoleEntry{ID: newOp(), Notes: []string{
			fmt.Sprintf("%s more results are not shown: they are too long for a page. All commands took %s.", decimal(int64(a.left)), durationText(took)),
		}})
	}
	others := a.page.Others[:0]
	for _, o := range a.page.Others {
		if o.Page != bar.Page {
			others = append(others, o)
		}
	}
	a.page.Others = others
	return render(a.c, http.StatusOK, redisview.Console(a.page))
}

// record is the console.Recorder: a change and its audit record.
func (a *consoleAnswer) record(ctx context.Context, call *kvdb.SessionCall, run func() (kvdb.Reply, error)) error {
	object := call.Name
	switch {
	case !call.Known:
		object = "unknown command"
	case len(call.Keys) > 0:
		object = kvdb.Shown(call.Keys[0])
	}
	return a.audited(a.c, verbRedisCommand, object, func() (before, after string, err error) {
		reply, err := run()
		if err == nil && reply.Kind == kvdb.KindError {
			return "", call.Line(), redisError(reply.Text, call.Masks())
		}
		if err != nil {
			return "", call.Line(), err
		}
		return "", call.Line() + " → " + badgeOf(reply), nil
	})
}

// redisSaid is an error of Redis in the audit log.
type redisSaid string

func redisError(text string, secret bool) error {
	if code, _, _ := strings.Cut(text, " "); secret {
		text = code + " …" // the error may repeat the secret
	}
	return redisSaid(strings.ToValidUTF8(text, "\uFFFD"))
}

func (e redisSaid) Error() string { return string(e) }

// Is makes it one whose words are for people.
func (redisSaid) Is(target error) bool { return target == kvdb.ErrInvalid }
