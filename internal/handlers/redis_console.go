package handlers

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
)

// redisConsolePages are the console and batches of commands. A console's session is a connection of its own; the page names it in the field
// "session". With scripts, the answer to commands comes in parts, each result when it is there; see web/static/src/console.js.
type redisConsolePages struct{ *site }

func (p *redisConsolePages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"redis.batch":         p.batchForm,
		"redis.batch.check":   p.checkBatch,
		"redis.batch.one":     p.showBatch,
		"redis.batch.run":     p.runBatch,
		"redis.batch.stop":    p.stopBatch,
		"redis.batch.replies": p.batchReplies,

		"redis.console":          p.show,
		"redis.console.run":      p.run,
		"redis.console.complete": p.complete,
		"redis.console.history":  p.history,
		"redis.console.forget":   p.forget,
		"redis.console.stream":   p.stream,
		"redis.console.reply":    p.reply,
		"redis.console.stop":     p.stop,
		"redis.console.end":      p.end,
	}
}

// Verbs of the audit log.
const (
	verbRedisCommand = "kvdb.command"
	verbRedisForget  = "redis.history.forget"
	verbRedisBatch   = "kvdb.pipeline"
)

// session returns the reader's session, the error is an *console.EndedError.
func (p *redisConsolePages) session(c echo.Context, id string) (*console.Session, error) {
	return p.Console.Session(id, actor(c), roleOf(c))
}

// show serves GET /redis/console with the queries session, of a console that goes on here, and text, which fills the field.
func (p *redisConsolePages) show(c echo.Context) error {
	v := p.view(c)
	v.Text = query(c, "text")
	if id := query(c, "session"); id != "" {
		s, err := p.session(c, id)
		if err != nil {
			v.Entries = append(v.Entries, p.refused("", err))
			return render(c, http.StatusOK, redisview.Console(v))
		}
		v.Bar = p.bar(s)
		if st := s.Stream(); st != nil {
			v.Entries = append(v.Entries, redisview.ConsoleEntry{ID: newOp(), Stream: p.url("redis.console.stream", s.ID)})
		}
	}
	return render(c, http.StatusOK, redisview.Console(v))
}

// view is the page of the console, with no session.
func (p *redisConsolePages) view(c echo.Context) redisview.ConsolePage {
	v := redisview.ConsolePage{
		Page: p.page(c, "Console", p.crumbs("redis.console")...), Role: mayRun[roleOf(c)],
		Action: p.url("redis.console.run"), Complete: p.url("redis.console.complete"), History: p.url("redis.console.history"),
		Batch: p.url("redis.batch"),
		Bar:   redisview.ConsoleBar{Prompt: console.State{}.Prompt()},
	}
	v.Styles, v.Scripts = consoleStyles, []string{"console.js"}
	for _, s := range p.Console.Sessions(actor(c)) {
		if s.ID == query(c, "session") {
			continue
		}
		state := s.State()
		v.Others = append(v.Others, redisview.ConsoleSession{
			Prompt: state.Prompt(), Opened: s.Opened, Running: state.Running, Page: p.pageOf(s), End: p.url("redis.console.end", s.ID),
		})
	}
	return v
}

// consoleStyles are the stylesheets of the console and of batches.
var consoleStyles = []string{"console.css"}

// mayRun says which commands a role may run.
var mayRun = map[string]string{
	string(Viewer):   "As a viewer you can run what only reads.",
	string(Operator): "As an operator you can run what reads and writes; what the server calls dangerous takes an administrator.",
	string(Admin):    "Before something dangerous runs, its name has to be typed.",
}

func (p *redisConsolePages) pageOf(s *console.Session) string {
	return p.url("redis.console", values("session", s.ID))
}

// bar says how a session is.
func (p *redisConsolePages) bar(s *console.Session) redisview.ConsoleBar {
	state := s.State()
	b := redisview.ConsoleBar{Prompt: state.Prompt()}
	if state.Ended != "" {
		b.Prompt = console.State{}.Prompt()
		return b
	}
	b.Session, b.Running, b.Page, b.End = s.ID, state.Running, p.pageOf(s), p.url("redis.console.end", s.ID)
	if b.Running != "" || state.Streaming {
		b.Stop = p.url("redis.console.stop", s.ID)
	}
	return b
}

// What a page shows of the output of one command.
const shownOutput = 1 << 20

// entry is a result on the page.
func (p *redisConsolePages) entry(s *console.Session, prompt string, r console.Result) redisview.ConsoleEntry {
	e := redisview.ConsoleEntry{ID: newOp(), Prompt: prompt, Line: shortLine(console.Join(r.Args)),
		Took: durationText(r.Took), Notes: r.Notes, Clear: r.Clear}
	if r.Err != nil {
		e.Fault = p.consoleFault(s, r)
		if r.Confirm != "" {
			e.Fault, e.Confirm = nil, &redisview.ConsoleConfirm{Word: r.Confirm, What: r.What}
		}
		return e
	}
	if r.Clear {
		return e
	}
	text := strings.TrimSuffix(r.Text(false), "\n")
	if e.Output = headOf(text, shownOutput); len(e.Output) < len(text) {
		e.Note = fmt.Sprintf("These are the first %s of %s. ", byteSize(int64(len(e.Output))), byteSize(int64(len(text))))
	}
	e.Output = strings.ToValidUTF8(e.Output, "\uFFFD")
	if r.Truncated {
		e.Note += fmt.Sprintf("The reply has more than %s elements or %s: this is the part before. ",
			decimal(kvdb.MaxReplyItems), byteSize(kvdb.MaxReplyBytes))
	}
	if e.Note != "" {
		e.Rest = p.wholeReply(s, r)
	}
	if e.Note != "" && e.Rest == nil {
		e.Note += "GETRANGE, LRANGE, ZRANGE, HSCAN, SSCAN and SCAN read the rest in parts."
	}
	e.Failed = r.Reply.Kind == kvdb.KindError
	if e.Took != "" { // it is from the server
		left := room{items: shownItems, bytes: shownBytes}
		tree := left.value(r.Reply)
		e.Tree = &tree
		if replySize(r.Reply) <= shownRaw {
			e.JSON = string(api.ReplyJSON(r.Reply))
		}
	}
	if r.Streaming {
		e.Stream = p.url("redis.console.stream", s.ID)
	}
	return e
}
