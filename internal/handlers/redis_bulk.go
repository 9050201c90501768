package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// bulkJob changes all keys that a filter means.
type bulkJob struct {
	job
	filter kvdb.KeyFilter
	do     string // delete, expire or persist
	ttl    time.Duration
}

// bulk serves GET /redis/keys/bulk with the query match, escapes and type.
func (p *redisKeysPages) bulk(c echo.Context) error {
	f := form{c.QueryParams()}
	return p.renderBulkForm(c, http.StatusOK, f, nil)
}

func (p *redisKeysPages) renderBulkForm(c echo.Context, status int, f form, err error) error {
	wrong, _ := faultsOf(err)
	view := &redisview.BulkForm{
		Action: p.url("redis.bulk.count"), Escape: f.has("escapes"), Expire: expireOf(f, wrong), Do: cmp.Or(f.word("do"), "delete"),
		Match: ui.FieldProps{
			ID: "bulk-match", Name: "match", Label: "Pattern", Value: f.text("match"), Error: wrong["match"], Mono: true, Required: true, Autofocus: true,
			Hint: "All of the name: user:* are those that begin with user:. * is any text, ? any byte, [ab] one of these; a \\ before them means the sign " +
				"itself.",
		},
		Type: ui.SelectProps{ID: "bulk-type", Name: "type", Label: "Type", Value: f.word("type"), Error: wrong["type"],
			Options: append([]ui.Option{{Text: "Any type"}}, keyTypes...)},
	}
	if wrong["do"] != "" {
		view.Error = wrong["do"]
	}
	page := redisview.BulkPage{Page: p.keysStep(c, "Many keys at once", "Many at once"), Form: view}
	for _, j := range slices.Backward(p.jobs.all()) {
		page.Recent = append(page.Recent, redisview.BulkRecent{
			URL: p.url("redis.bulk.job", j.id), Text: j.words(), State: bulkWords(j.now()) + ", by " + j.who,
		})
	}
	return render(c, status, redisview.Bulk(page))
}

// words say what a job is about.
func (j *bulkJob) words() string {
	what := "Delete"
	switch j.do {
	case "expire":
		what = "Expire in " + span(j.ttl) + ":"
	case "persist":
		what = "Never expire:"
	}
	if j.filter.Type != "" {
		what += " each " + kindName(j.filter.Type) + " in"
	}
	return what + " " + escapeShown(j.filter.Match)
}

func bulkWords(s jobState) string {
	switch s.state {
	case jobCounted:
		return "counted " + decimal(s.matched) + ", waits to be confirmed"
	case jobDone:
		return "done: " + plural(s.progress.Done, "key")
	case jobStopped:
		if s.counting {
			return "stopped before anything was changed"
		}
		return "stopped after " + plural(s.progress.Done, "key")
	}
	return s.state
}

// countBulk serves POST /redis/keys/bulk with the fields match, escapes, type, do, amount, unit and at: it counts the keys, and changes nothing.
func (p *redisKeysPages) countBulk(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	j, err := p.readBulk(c, f)
	if err == nil {
		err = p.jobs.add(j, "match")
	}
	if errors.Is(err, kvdb.ErrInvalid) {
		return p.renderBulkForm(c, http.StatusUnprocessableEntity, f, err)
	}
	if err != nil {
		return err
	}
	role := roleOf(c)
	j.begin(c.Request().Context(), "", jobCounting, func(ctx context.Context) {
		n, err := p.DB.CountKeys(ctx, role, j.filter, j.tell)
		j.ended(n, err, jobCounted)
	})
	return redirect(c, p.url("redis.bulk.job", j.id))
}

func (p *redisKeysPages) readBulk(c echo.Context, f form) (*bulkJob, error) {
	j := &bulkJob{job: job{id: newOp(), who: actor(c), at: p.Now()}, do: f.word("do"), ttl: kvdb.NoTTL, filter: kvdb.KeyFilter{Type: f.word("type")}}
	var err error
	if j.filter.Match, err = f.typed("match"); err != nil {
		return nil, err
	}
	switch {
	case j.filter.Match == "":
		return nil, kvdb.Invalid("match", "must be given: * is all keys")
	case j.do == "expire":
		if j.ttl, err = readExpire(f, j.at); err == nil && j.ttl == kvdb.NoTTL {
			err = kvdb.Invalid("ttl", "say when: as a time from now, or as a date")
		}
	case j.do != "delete" && j.do != "persist":
		err = kvdb.Invalid("do", "Say what is to be done with them.")
	}
	return j, err
}

// showBulk serves GET /redis/keys/bulk/:id.
func (p *redisKeysPages) showBulk(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	return p.renderBulk(c, http.StatusOK, j, "", "")
}

// renderBulk shows a job; fault is what is wrong with the pattern that was typed to confirm it.
func (p *redisKeysPages) renderBulk(c echo.Context, status int, j *bulkJob, typed, fault string) error {
	view := p.bulkView(j, j.now())
	if view.Confirm != nil {
		view.Confirm.Typed, view.Confirm.Error = typed, fault
	}
	if wantsFragment(c.Request()) {
		return render(c, status, redisview.BulkState(view))
	}
	return render(c, status, redisview.Bulk(redisview.BulkPage{Page: p.keysStep(c, j.words(), "Many at once"), Job: &view}))
}

// runBulk serves POST /redis/keys/bulk/:id/run with the field confirm: the pattern of the job, typed once more.
func (p *redisKeysPages) runBulk(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	if typed := f.text("confirm"); typed != escapeShown(j.filter.Match) {
		return p.renderBulk(c, http.StatusUnprocessableEntity, j, typed, "This is not the pattern: "+escapeShown(j.filter.Match))
	}
	role := roleOf(c)
	j.begin(c.Request().Context(), jobCounted, jobRunning, func(ctx context.Context) { p.work(ctx, j, role) })
	if wantsFragment(c.Request()) {
		return p.renderBulk(c, http.StatusOK, j, "", "")
	}
	return redirect(c, p.url("redis.bulk.job", j.id))
}

// work makes the change and its audit record, in the name of whoever made the request that ctx belongs to.
func (p *redisKeysPages) work(ctx context.Context, j *bulkJob, role string) {
	verb := verbKeysDelete
	if j.do != "delete" {
		verb = verbKeysExpire
	}
	var n kvdb.Progress
	var result error
	// The record is ended also when the job was stopped.
	err := p.trail.Do(context.WithoutCancel(ctx), verb, "keys "+escapeShown(j.filter.Match), func() (before, after string, err error) {
		switch j.do {
		case "delete":
			n, err = p.DB.DeleteKeys(ctx, role, j.filter, j.tell)
		default:
			n, err = p.DB.ExpireKeys(ctx, role, j.filter, j.ttl, j.tell)
		}
		result = err
		after = map[string]string{"delete": "deleted ", "expire": "expire in " + span(max(0, j.ttl)) + ": ",
			"persist": "never expire: "}[j.do] + plural(n.Done, "key")
		if j.filter.Type != "" {
			after += " of type " + kindName(j.filter.Type)
		}
		if errors.Is(err, context.Canceled) {
			after, err = "stopped; "+after, nil
		}
		return "about " + plural(j.matched, "key") + " counted", after, err
	})
	j.ended(n, cmp.Or(result, err), jobDone)
}

// stopBulk serves POST /redis/keys/bulk/:id/stop.
func (p *redisKeysPages) stopBulk(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	j.halt()
	if wantsFragment(c.Request()) {
		return p.renderBulk(c, http.StatusOK, j, "", "")
	}
	return redirect(c, p.url("redis.bulk.job", j.id))
}

func (p *redisKeysPages) bulkView(j *bulkJob, s jobState) redisview.BulkJob {
	v := redisview.BulkJob{
		ID: j.id, URL: p.url("redis.bulk.job", j.id), Again: p.url("redis.bulk"), Pattern: escapeShown(j.filter.Match),
		Facts: []string{map[string]string{"delete": "to be deleted", "expire": "to expire in " + span(max(0, j.ttl)),
			"persist": "never to expire"}[j.do], "by " + j.who},
		Done: s.progress.Looked, Total: s.progress.About,
	}
	if j.filter.Type != "" {
		v.Facts = append([]string{"of type " + kindName(j.filter.Type)}, v.Facts...)
	}
	changed := map[string]string{"delete": "deleted", "expire": "set to expire", "persist": "set never to expire"}[j.do]
	if s.active() {
		v.Running, v.Doing, v.Cancel = true, "keys looked at", p.url("redis.bulk.stop", j.id)
	}
	if s.counting {
		v.Figures = []redisview.BulkFigure{{N: s.progress.Matched, Text: "keys match"}}
	} else {
		v.Figures = []redisview.BulkFigure{{N: s.matched, Text: "counted before"}, {N: s.progress.Done, Text: changed}}
	}
	switch s.state {
	case jobCounted:
		if s.matched == 0 {
			v.Kind, v.Notice = "info", "No key matches, so there is nothing to do."
			break
		}
		v.Confirm = &redisview.BulkConfirm{Action: p.url("redis.bulk.run", j.id),
			Text:   "About " + plural(s.matched, "key") + " will be " + changed + ". It can't be undone, and keys that match by then go as well.",
			Button: "Delete " + plural(s.matched, "key")}
		if j.do != "delete" {
			v.Confirm.Text = "About " + plural(s.matched, "key") + " will be " + changed + ", also those that match only then."
			v.Confirm.Button = "Change " + plural(s.matched, "key")
		}
	case jobDone:
		v.Kind, v.Notice = "success", plural(s.progress.Done, "key")+" "+changed+"."
	case jobStopped:
		v.Kind, v.Notice = "warning", "Stopped. "+plural(s.progress.Done, "key")+" "+changed+"; the others stay as they are."
		if s.counting {
			v.Kind, v.Notice = "info", "Stopped before anything was changed."
		}
	case jobFailed, jobUnknown:
		v.Kind, v.Notice = "error", s.failure
		if !s.counting && s.progress.Done > 0 {
			v.Notice += " Before that, " + plural(s.progress.Done, "key") + " " + changed + "."
		}
	}
	return v
}
