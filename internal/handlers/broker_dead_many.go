package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// deadJob retries or deletes many dead letters.
type deadJob struct {
	job
	do    string // retry or delete
	query deadQuery
	of    broker.DeadSelect
}

// fromQuery reads the query of an address.
func fromQuery(address string) func(string) string {
	u, err := url.Parse(address)
	if err != nil {
		return func(string) string { return "" }
	}
	return u.Query().Get
}

// deadRates are how many are retried in a second, to choose from. A service that was down is easily brought down again.
var deadRates = []ui.Option{{Value: "10", Text: "10 in a second"}, {Value: "100", Text: "100 in a second"},
	{Value: "1000", Text: "1,000 in a second"}, {Value: "0", Text: "as fast as it goes"}}

const deadRate = "100"

// countDead serves POST /broker/dead/many with the fields do, and cid, as often as some are meant, or service, error, group and older. It
// counts them, and changes nothing.
func (p *brokerPages) countDead(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	j := &deadJob{job: job{id: newOp(), who: actor(c), at: p.Now()}, do: f.word("do"), query: readDeadQuery(f.values.Get)}
	j.of = broker.DeadSelect{CIDs: f.values["cid"], DeadFilter: j.query.filter(j.at)}
	if j.of.Before.IsZero() {
		j.of.Before = j.at // who dies while it is counted was not meant
	}
	if j.do != "retry" && j.do != "delete" {
		return echo.NewHTTPError(http.StatusBadRequest, "The form does not say what is to be done with them.")
	}
	if err := p.jobs.add(j, "do"); err != nil {
		return p.renderDead(c, http.StatusUnprocessableEntity, j.query, "", "This "+p.fieldFault(err))
	}
	j.begin(c.Request().Context(), "", jobCounting, func(ctx context.Context) {
		n, err := p.deadDo(ctx, j, broker.DeadOptions{DryRun: true})
		j.ended(kvdb.Progress{Matched: n}, err, jobCounted)
	})
	return redirect(c, p.url("broker.dead.job", j.id))
}

// fieldFault is the first message of an error about fields.
func (p *brokerPages) fieldFault(err error) string {
	var invalid *kvdb.InvalidError
	if errors.As(err, &invalid) && len(invalid.Fields) > 0 {
		return invalid.Fields[0].Message + "."
	}
	return err.Error()
}

// deadDo does what the job is for, or counts what it would be done to.
func (p *brokerPages) deadDo(ctx context.Context, j *deadJob, o broker.DeadOptions) (int64, error) {
	o.Progress = func(done, matched int64) { j.tell(kvdb.Progress{Done: done, Matched: matched}) }
	if j.do == "retry" {
		return p.Broker.RetryDead(ctx, j.of, o)
	}
	return p.Broker.DeleteDead(ctx, j.of, o)
}

// showDead serves GET /broker/dead/many/:id.
func (p *brokerPages) showDead(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	return p.renderJob(c, http.StatusOK, j, "", "")
}

// renderJob shows a job; fault is what is wrong with the number that was typed to confirm it.
func (p *brokerPages) renderJob(c echo.Context, status int, j *deadJob, typed, fault string) error {
	view := p.jobView(j, j.now())
	if view.Confirm != nil && view.Confirm.Typed != nil {
		view.Confirm.Typed.Value, view.Confirm.Typed.Error = typed, fault
	}
	if wantsFragment(c.Request()) {
		return render(c, status, brokerview.JobOf(view))
	}
	title := jobTitles[j.do]
	page := brokerview.JobPage{Title: title, Job: view, Dead: p.url("broker.dead")}
	page.Page = p.page(c, title, p.brokerWay("broker.dead", layout.Crumb{Text: title})...)
	page.Path = p.url("broker.dead.job", j.id)
	return render(c, status, brokerview.DeadJob(page))
}

var (
	jobTitles = map[string]string{"retry": "Retry dead letters", "delete": "Delete dead letters"}
	jobSaid   = map[string]string{"retry": "retried", "delete": "deleted"}
)

// runDead serves POST /broker/dead/many/:id/run with the field rate, and of what deletes confirm: how many they are.
func (p *brokerPages) runDead(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	state := j.now()
	if typed := f.word("confirm"); j.do == "delete" && strings.ReplaceAll(typed, ",", "") != strconv.FormatInt(state.matched, 10) {
		return p.renderJob(c, http.StatusUnprocessableEntity, j, typed, "Type how many they are: "+decimal(state.matched))
	}
	rate := 0
	if j.do == "retry" {
		rate, err = strconv.Atoi(cmp.Or(f.word("rate"), deadRate))
		if err != nil || rate < 0 {
			return echo.NewHTTPError(http.StatusBadRequest, "The form does not say how many in a second.")
		}
	}
	j.begin(c.Request().Context(), jobCounted, jobRunning, func(ctx context.Context) { p.work(ctx, j, rate) })
	if wantsFragment(c.Request()) {
		return p.renderJob(c, http.StatusOK, j, "", "")
	}
	return redirect(c, p.url("broker.dead.job", j.id))
}

// work makes the change and its audit record, in the name of whoever made the request that ctx belongs to.
func (p *brokerPages) work(ctx context.Context, j *deadJob, rate int) {
	verb := verbDeadRetry
	if j.do == "delete" {
		verb = verbDeadDelete
	}
	var n int64
	var result error
	// The record is ended also when the job was stopped.
	err := p.trail.Do(context.WithoutCancel(ctx), verb, "dead letters "+j.which(), func() (before, after string, err error) {
		n, err = p.deadDo(ctx, j, broker.DeadOptions{PerSecond: rate})
		result = err
		after = decimal(n) + " " + jobSaid[j.do]
		if errors.Is(err, context.Canceled) {
			after, err = "stopped; "+after, nil
		}
		return decimal(j.now().matched) + " counted", after, err
	})
	p.dead.forget()
	progress := j.now().progress
	progress.Done = n
	j.ended(progress, cmp.Or(result, err), jobDone)
}

// which says which dead letters are meant.
func (j *deadJob) which() string {
	if len(j.of.CIDs) > 0 {
		return "that were ticked"
	}
	return strings.Join(j.query.words(), ", ")
}

// stopDead serves POST /broker/dead/many/:id/stop.
func (p *brokerPages) stopDead(c echo.Context) error {
	j, err := p.jobs.find(param(c, "id"))
	if err != nil {
		return err
	}
	j.halt()
	if wantsFragment(c.Request()) {
		return p.renderJob(c, http.StatusOK, j, "", "")
	}
	return redirect(c, p.url("broker.dead.job", j.id))
}

// deadJobs are the last jobs with what became of them.
func (p *brokerPages) deadJobs() (list []brokerview.Link) {
	for _, j := range slices.Backward(p.jobs.all()) {
		s := j.now()
		text := jobTitles[j.do] + " " + j.which() + ": "
		switch s.state {
		case jobCounted:
			text += "counted " + decimal(s.matched) + ", waits to be confirmed"
		case jobDone:
			text += decimal(s.progress.Done) + " " + jobSaid[j.do]
		case jobStopped:
			text += "stopped after " + decimal(s.progress.Done)
		default:
			text += s.state
		}
		list = append(list, brokerview.Link{Text: text + ", by " + j.who, URL: p.url("broker.dead.job", j.id)})
	}
	return list
}

func (p *brokerPages) jobView(j *deadJob, s jobState) brokerview.Job {
	v := brokerview.Job{
		URL: p.url("broker.dead.job", j.id), Back: p.url("broker.dead", values(j.query.pairs()...)), Done: s.progress.Done, Total: s.matched,
		Facts: []string{"Dead letters " + j.which(), "by " + j.who},
	}
	if s.active() {
		v.Running, v.Cancel, v.Doing = true, p.url("broker.dead.stop", j.id), jobSaid[j.do]
	}
	if s.state == jobCounting {
		v.Doing, v.Done, v.Total = "match so far", s.progress.Matched, 0
	}
	done := plural(s.progress.Done, "dead letter") + " " + jobSaid[j.do]
	switch s.state {
	case jobCounted:
		if s.matched == 0 {
			v.Kind, v.Notice = "info", "None matches, so there is nothing to do."
			break
		}
		v.Confirm = p.jobConfirm(j, s.matched)
	case jobDone:
		v.Kind, v.Notice = "success", done+"."
	case jobStopped:
		v.Kind, v.Notice = "warning", "Stopped. "+done+"; the others stay as they are."
		if s.counting {
			v.Kind, v.Notice = "info", "Stopped before anything was changed."
		}
	case jobFailed, jobUnknown:
		v.Kind, v.Notice = "error", s.failure
		if !s.counting {
			v.Notice += " Before that, " + done + "."
		}
	}
	return v
}

func (p *brokerPages) jobConfirm(j *deadJob, n int64) *brokerview.JobConfirm {
	confirm := &brokerview.JobConfirm{Action: p.url("broker.dead.run", j.id), Kind: "primary", Button: "Retry " + plural(n, "dead letter")}
	if j.do == "retry" {
		confirm.Text = plural(n, "dead letter") + " will be queued again, each under its CID and with its attempts counted anew."
		confirm.Rate = &ui.SelectProps{Name: "rate", Label: "How fast", Value: deadRate, Options: deadRates,
			Hint: "A service that was down is easily brought down again."}
		return confirm
	}
	confirm.Kind, confirm.Button = "danger", "Delete "+plural(n, "dead letter")
	confirm.Text = plural(n, "dead letter") + " will be deleted, with payloads and errors. It can't be undone."
	confirm.Typed = &ui.FieldProps{Name: "confirm", Label: "Type how many they are to go on", Autofocus: true, Placeholder: decimal(n),
		Attrs: map[string]any{"inputmode": "numeric"}}
	return confirm
}
