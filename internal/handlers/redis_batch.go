package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// batchForm serves GET /redis/console/batch.
func (p *redisConsolePages) batchForm(c echo.Context) error {
	return p.renderBatchForm(c, http.StatusOK, redisview.BatchFormPage{})
}

func (p *redisConsolePages) batchCrumbs(below ...layout.Crumb) []layout.Crumb {
	way := append(p.crumbs("redis.console"), layout.Crumb{Text: "Batch", URL: p.url("redis.batch")})
	return append(way, below...)
}

func (p *redisConsolePages) renderBatchForm(c echo.Context, status int, v redisview.BatchFormPage) error {
	v.Page = p.page(c, "Batch of commands", p.batchCrumbs()...)
	v.Styles = consoleStyles
	v.Action, v.Console = p.url("redis.batch.check"), p.url("redis.console")
	for _, b := range p.Console.Batches(actor(c)) {
		v.Kept = append(v.Kept, redisview.BatchRow{URL: p.url("redis.batch.one", b.ID), Made: b.Made,
			Commands: int64(b.Commands), State: batchStateText(b)})
	}
	return render(c, status, redisview.BatchForm(v))
}

func batchStateText(b *console.Batch) string {
	s := b.State()
	switch {
	case b.RefusedCount > 0:
		return "can't run"
	case !s.Begun:
		return "has not run"
	case s.Running:
		return "runs"
	case s.Ended != "" || s.Err != nil:
		return "ended after " + plural(int64(s.Done), "command")
	case s.Failed > 0:
		return "done, " + plural(int64(s.Failed), "error")
	}
	return "done"
}

// checkBatch serves POST /redis/console/batch, a form of several parts: text or file, transaction and stop. Nothing runs.
func (p *redisConsolePages) checkBatch(c echo.Context) error {
	v, err := readBatch(c.Request())
	if err != nil {
		return err
	}
	var b *console.Batch
	if v.Errors == nil {
		b, err = p.Console.NewBatch(c.Request().Context(), actor(c), roleOf(c), v.Text,
			console.BatchOptions{Transaction: v.Transaction, StopAtError: v.Stop})
	}
	if v.Errors != nil || err != nil {
		return p.refuseBatch(c, v, err)
	}
	return redirect(c, p.url("redis.batch.one", b.ID))
}

// mostShownAgain is how long a text may be that goes back into the form, in bytes.
const mostShownAgain = 1 << 20

func (p *redisConsolePages) refuseBatch(c echo.Context, v redisview.BatchFormPage, err error) error {
	status := http.StatusUnprocessableEntity
	if err != nil {
		wrong, invalid := faultsOf(err)
		var syntax *console.SyntaxError
		switch {
		case errors.As(err, &syntax):
			v.Errors = faults{"text": upperFirst(syntax.Error()) + "."}
		case invalid:
			v.Errors = wrong
		default:
			fault := faultOfConsole(err)
			if problem.Of(err).Status == http.StatusInternalServerError {
				return err
			}
			fault.Title = "It was not checked"
			v.Trouble, status = &fault, problem.Of(err).Status
		}
	}
	if len(v.Text) > mostShownAgain {
		v.Text = ""
	}
	return p.renderBatchForm(c, status, v)
}

// readBatch reads the form. A file counts for more than the text.
func readBatch(r *http.Request) (v redisview.BatchFormPage, err error) {
	unread := echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.")
	parts, err := r.MultipartReader()
	if err != nil {
		return v, unread.SetInternal(err)
	}
	file := ""
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return v, unreadUnlessLarge(err, unread)
		}
		text, err := io.ReadAll(io.LimitReader(part, console.MaxBatch+1))
		if err != nil {
			return v, unreadUnlessLarge(err, unread)
		}
		switch part.FormName() {
		case "text":
			v.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
		case "file":
			file = string(text)
		case "transaction":
			v.Transaction = len(text) > 0
		case "stop":
			v.Stop = len(text) > 0
		}
	}
	if file != "" {
		v.Text = strings.TrimPrefix(file, "\ufeff")
	}
	if strings.TrimSpace(v.Text) == "" {
		v.Errors = faults{"text": "There is no command. Type some, or pick a file."}
	}
	return v, nil
}

func unreadUnlessLarge(err error, unread *echo.HTTPError) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return unread.SetInternal(err)
}

// showBatch serves GET /redis/console/batch/:id with the queries errors, for the failed ones alone, and from.
func (p *redisConsolePages) showBatch(c echo.Context) error {
	b, err := p.Console.Batch(param(c, "id"), actor(c))
	if err != nil {
		return err
	}
	return p.renderBatch(c, http.StatusOK, b, "")
}

func (p *redisConsolePages) renderBatch(c echo.Context, status int, b *console.Batch, wrong string) error {
	v, err := p.batchView(c, b)
	if err != nil {
		return err
	}
	if wrong != "" && v.Run != nil {
		v.Run.Error = wrong
	}
	if wantsFragment(c.Request()) {
		return render(c, status, redisview.BatchState(v))
	}
	page := redisview.BatchPage{Page: p.page(c, "Batch of "+plural(int64(b.Commands), "command"),
		p.batchCrumbs(layout.Crumb{Text: plural(int64(b.Commands), "command")})...), New: p.url("redis.batch"), Batch: v}
	page.Styles = consoleStyles
	return render(c, status, redisview.Batch(page))
}

// shownNames is how many kinds of commands a page counts.
const shownNames = 40

func (p *redisConsolePages) batchView(c echo.Context, b *console.Batch) (redisview.BatchView, error) {
	s := b.State()
	v := redisview.BatchView{
		Title: plural(int64(b.Commands), "command"), Commands: int64(b.Commands), Poll: s.Running, Begun: s.Begun,
		Done: int64(s.Done), Failed: int64(s.Failed),
		Dangerous: batchLines(b.Dangerous), Refused: batchLines(b.Refused), MoreD: moreLines(b.DangerousCount, b.Dangerous),
		MoreR: moreLines(b.RefusedCount, b.Refused),
	}
	switch {
	case b.Transaction:
		v.Options = "as a transaction"
	case b.StopAtError:
		v.Options = "one after the other, up to the first error"
	}
	for i, count := range b.Counts {
		if i == shownNames {
			v.MoreNames = len(b.Counts) - i
			break
		}
		v.Counts = append(v.Counts, redisview.BatchCount{Name: shortLine(count.Name), N: int64(count.N)})
	}
	if !s.Begun && b.RefusedCount == 0 {
		v.Run = &redisview.BatchRun{Action: p.url("redis.batch.run", b.ID), Words: strings.Join(b.Confirm, " ")}
	}
	if s.Running {
		v.Stop = p.url("redis.batch.stop", b.ID)
	}
	v.Says = plural(v.Failed, "error")
	if took := durationText(s.Took); took != "" {
		v.Says += ", " + took
	}
	if s.Err != nil {
		fault := faultOfConsole(s.Err)
		fault.Text = strings.TrimSpace(s.Ended + " " + fault.Text)
		fault.See = []redisview.ConsoleLink{{Text: "Audit log", URL: p.url("audit")}}
		v.Ended = &fault
	} else if s.Ended != "" {
		v.Ended = &redisview.ConsoleFault{Kind: "warning", Title: s.Ended, Text: plural(int64(b.Commands-s.Done), "command") + " did not run."}
	}
	return v, p.batchRows(c, b, s, &v)
}

// batchRows adds a page of the replies.
func (p *redisConsolePages) batchRows(c echo.Context, b *console.Batch, s console.BatchState, v *redisview.BatchView) error {
	failed := query(c, "errors") != ""
	from, _ := strconv.Atoi(query(c, "from"))
	from = max(0, from)
	at := func(errs bool, n int) string {
		q := values()
		if errs {
			q.Set("errors", "1")
		}
		if n > 0 {
			q.Set("from", strconv.Itoa(n))
		}
		return p.url("redis.batch.one", b.ID, q)
	}
	v.URL = at(failed, from)
	r := redisview.BatchReplies{Failed: failed, Download: p.url("redis.batch.replies", b.ID)}
	total := s.Done
	r.Filter = redisview.ConsoleLink{Text: "Only errors", URL: at(true, 0)}
	if failed {
		total, r.Filter = s.Failed, redisview.ConsoleLink{Text: "All replies", URL: at(false, 0)}
	}
	rows, err := b.Replies(failed, from, pageRows)
	if err != nil {
		return err
	}
	for _, row := range rows {
		reply := redisview.BatchReply{N: row.N, Command: row.Command, Text: strings.ToValidUTF8(strings.TrimSuffix(row.Text, "\n"), "\uFFFD"),
			Cut: row.Cut, Failed: row.Failed}
		if row.Again != "" {
			reply.Again = p.url("redis.console", values("text", row.Again))
		}
		r.Rows = append(r.Rows, reply)
	}
	r.Pager.Summary = fmt.Sprintf("%s–%s of %s", decimal(int64(from+1)), decimal(int64(from+len(rows))), decimal(int64(total)))
	if from > 0 {
		r.Pager.First, r.Pager.Prev = at(failed, 0), at(failed, max(0, from-pageRows))
	}
	if from+len(rows) < total {
		r.Pager.Next = at(failed, from+len(rows))
	}
	v.Replies = r
	return nil
}

func batchLines(lines []console.BatchLine) []redisview.BatchLine {
	out := make([]redisview.BatchLine, len(lines))
	for i, l := range lines {
		out[i] = redisview.BatchLine{Line: l.Line, Command: shortLine(l.Command), Reason: l.Reason}
	}
	return out
}

func moreLines(n int, named []console.BatchLine) string {
	if n == len(named) {
		return ""
	}
	return "and " + decimal(int64(n-len(named))) + " more"
}

// runBatch serves POST /redis/console/batch/:id/run with the field confirm.
func (p *redisConsolePages) runBatch(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	b, err := p.Console.Batch(param(c, "id"), actor(c))
	if err != nil {
		return err
	}
	if b.Role != roleOf(c) {
		return p.renderBatch(c, http.StatusUnprocessableEntity, b, "Your role has changed since these were checked. Check them anew.")
	}
	err = b.Start(c.Request().Context(), strings.Fields(f.word("confirm")), p.recordBatch(c, b))
	if wrong, invalid := faultsOf(err); invalid {
		return p.renderBatch(c, http.StatusUnprocessableEntity, b, wrong["confirm"])
	}
	if err != nil && !errors.As(err, new(*console.BusyError)) { // which says that it runs already
		return err
	}
	return redirect(c, p.url("redis.batch.one", b.ID))
}

// recordBatch records the parts of a batch in the name of who started it, as long as they may run it.
func (p *redisConsolePages) recordBatch(c echo.Context, b *console.Batch) console.BatchRecorder {
	return func(ctx context.Context, part *console.BatchPart, run func() error) error {
		if user, err := p.Accounts.User(ctx, b.Who); err == nil && (user.Disabled || string(user.Role) != b.Role) || errors.Is(err, kvdb.ErrNotFound) {
			return &console.EndedError{Reason: "The role of " + b.Who + " has changed."}
		}
		object := fmt.Sprintf("batch, commands %d to %d of %d", part.First, part.First+len(part.Classes)-1, b.Commands)
		var ran error
		err := p.trail.Do(ctx, verbRedisBatch, object, func() (before, after string, err error) {
			ran = run()
			return "", batchWords(part), ran
		})
		if ran != nil {
			return ran
		}
		return err
	}
}

// maxBatchWords is how much the audit log may have of a part of a batch; it cuts what is more.
const maxBatchWords = 2 << 10

// batchWords are the commands of a part that change something, each with what came of it.
func batchWords(part *console.BatchPart) string {
	var b strings.Builder
	for i := range part.Classes {
		class := &part.Classes[i]
		if b.Len() > maxBatchWords {
			b.WriteString("…")
			break
		}
		if !class.Changes || i >= len(part.Results) {
			continue
		}
		said := badgeOf(part.Results[i].Reply)
		if r := part.Results[i].Reply; r.Kind == kvdb.KindError {
			said = redisError(r.Text, class.Masks()).Error()
		}
		b.WriteString(class.Line() + " → " + said + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// stopBatch serves POST /redis/console/batch/:id/stop.
func (p *redisConsolePages) stopBatch(c echo.Context) error {
	b, err := p.Console.Batch(param(c, "id"), actor(c))
	if err != nil {
		return err
	}
	b.Stop()
	return p.done(c, p.url("redis.batch.one", b.ID), ui.ToastProps{Kind: "info", Text: "It stops after what is on its way."})
}

// batchReplies serves GET /redis/console/batch/:id/replies: the commands, secrets masked, and what redis-cli would print.
func (p *redisConsolePages) batchReplies(c echo.Context) error {
	b, err := p.Console.Batch(param(c, "id"), actor(c))
	if err != nil {
		return err
	}
	attach(c, "text/plain; charset=utf-8", "replies-"+b.Made.UTC().Format("20060102-150405")+".txt")
	c.Response().WriteHeader(http.StatusOK)
	_, err = b.WriteTo(c.Response())
	return err
}
