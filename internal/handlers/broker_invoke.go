package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// noArguments is the payload that a form begins with for a Lua program.
const noArguments = `{"keys": [], "values": []}`

// invokeForm serves GET /broker/invoke with the query service, or again: the CID of an invocation whose service and payload it begins with.
func (p *brokerPages) invokeForm(c echo.Context) error {
	f := form{values("service", query(c, "service"))}
	if _, ok := cutLua(f.text("service")); ok {
		f.values.Set("payload", noArguments)
	}
	if again := query(c, "again"); again != "" {
		x, err := p.Broker.Invocation(c.Request().Context(), again)
		if err != nil {
			return err
		}
		f = form{values("service", x.Service, "payload", typedJSON(x.Payload), "callback", x.Callback)}
	}
	return p.renderInvoke(c, http.StatusOK, f, newOp(), nil, nil)
}

// typedJSON is a payload as it stands in a field: indented, unless it is large.
func typedJSON(raw []byte) string {
	if text, all := indentJSON(raw, shownJSON); all {
		return text
	}
	return string(raw)
}

// renderInvoke shows the form with what was typed, and with what is wrong with it.
func (p *brokerPages) renderInvoke(c echo.Context, status int, f form, op string, wrong faults, problem *brokerview.Problem) error {
	in := func(name, label, hint string) ui.FieldProps {
		return field(f, wrong, "invoke-"+name, ui.FieldProps{Name: name, Label: label, Hint: hint, Form: "invoke"})
	}
	v := brokerview.InvokeForm{
		Action: p.url("broker.invoke.do"), Op: op, Problem: problem, Services: p.serviceNames(c.Request().Context()),
		Payload:  p.jsonEditor("payload", "Payload, JSON", "invoke", f.text("payload")),
		Service:  in("service", "Service", ""),
		Delay:    in("delay", "Not before", "A time from now, such as 30 s or 2 h; empty: at once"),
		Expires:  in("expires", "Expires after", "When no worker has taken it by then, none gets it; empty: never"),
		Attempts: in("max_attempts", "Attempts", "How often it is run at most; empty: as the policy of the service says"),
		Callback: in("callback", "Callback", "The service that is invoked with the result"),
		Key:      in("idempotency_key", "Idempotency key", "The same key, service and payload within 24 hours are one invocation"),
		Cancel:   cmp.Or(ownPath(c.Request(), c.Request().Referer()), p.url("broker.services")),
	}
	v.Service.Mono, v.Service.Required, v.Service.List, v.Service.MaxLength = true, true, "services", 200
	v.Service.Placeholder, v.Callback.Placeholder = "lua:mylib.get", ""
	v.Service.Autofocus, v.Payload.Field.Autofocus = v.Service.Value == "", v.Service.Value != ""
	v.Callback.Mono, v.Callback.List, v.Key.Mono = true, "services", true
	v.Payload.Field.Hint, v.Payload.Field.Placeholder = "", "null"
	if wrong["payload"] != "" && v.Payload.Say.Fault == "" {
		v.Payload.Say = brokerview.Say{ID: "payload", Fault: wrong["payload"]}
	}
	for _, x := range []ui.FieldProps{v.Delay, v.Expires, v.Attempts, v.Callback, v.Key} {
		v.More = v.More || x.Value != "" || x.Error != ""
	}
	page := p.page(c, "Invoke", p.brokerWay("broker.services", layout.Crumb{Text: "Invoke"})...)
	page.Path = p.url("broker.invoke")
	return render(c, status, brokerview.Invoke(brokerview.InvokePage{Page: page, Form: v}))
}

// invoke serves POST /broker/invoke with the fields op, service, payload, delay, expires, max_attempts, callback and idempotency_key.
func (p *brokerPages) invoke(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	call, err := readCall(f)
	if err != nil {
		return p.invokeAgain(c, f, err)
	}
	call.By = actor(c)
	call.Op = opOf(c, f.word("op"), call.Service, string(call.Payload), f.word("delay"), f.word("expires"),
		f.word("max_attempts"), call.Callback, call.IdempotencyKey)
	var cid string
	err = p.audited(c, verbInvoke, serviceObject(call.Service), func() (before, after string, err error) {
		cid, err = p.Broker.Invoke(c.Request().Context(), call)
		return "", cid, err
	})
	if err != nil {
		return p.invokeAgain(c, f, err)
	}
	return redirect(c, p.url("broker.invocation", cid))
}

// longestDelay is what the broker takes, in the words of the form.
const longestDelay = 366 * 24 * time.Hour

// readCall reads the form of a call. An empty payload is null.
func readCall(f form) (broker.Call, error) {
	call := broker.Call{Service: f.word("service"), Callback: f.word("callback"), IdempotencyKey: f.word("idempotency_key")}
	var wrong kvdb.InvalidError
	refuse := func(err error) {
		var invalid *kvdb.InvalidError
		if errors.As(err, &invalid) {
			wrong.Fields = append(wrong.Fields, invalid.Fields...)
		}
	}
	if payload := f.text("payload"); strings.TrimSpace(payload) != "" {
		call.Payload = []byte(payload)
	}
	for _, part := range []struct {
		name string
		to   *time.Duration
	}{{"delay", &call.Delay}, {"expires", &call.Expires}} {
		if typed := f.word(part.name); typed != "" {
			d, err := readSpan(part.name, typed)
			if err == nil && d > longestDelay {
				err = kvdb.Invalid(part.name, "must be at most %s", typedSpan(longestDelay))
			}
			refuse(err)
			*part.to = d
		}
	}
	if typed := f.word("max_attempts"); typed != "" {
		refuse(readCount("max_attempts", typed, 100, &call.MaxAttempts))
	}
	if call.Service == "" {
		refuse(kvdb.Invalid("service", "must be given"))
	}
	if len(wrong.Fields) > 0 {
		return call, &wrong
	}
	return call, nil
}

// fieldsOfCall are the fields of a call as the broker names them, where the form names them otherwise.
var fieldsOfCall = map[string]string{"delay_ms": "delay", "expires_ms": "expires"}

// invokeAgain shows the form again with all that was typed. Errors that have nothing to do with it are returned.
func (p *brokerPages) invokeAgain(c echo.Context, f form, err error) error {
	wrong, problem, status := p.callFaults(c, err)
	if status == 0 {
		return err
	}
	op := f.word("op")
	if status == http.StatusConflict {
		op = newOp()
	}
	return p.renderInvoke(c, status, f, op, wrong, problem)
}

// callFaults says what is wrong with a form that has a payload; status 0 = nothing that the form can show.
func (p *brokerPages) callFaults(c echo.Context, err error) (faults, *brokerview.Problem, int) {
	var (
		again *broker.IdempotencyError
		state *broker.StateError
	)
	told := p.problemOf(err, c)
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &again):
		return nil, &brokerview.Problem{Kind: "warning",
			Text: "Nothing was invoked: this idempotency key came with another payload within the last 24 hours.",
			Link: brokerview.Link{Text: "See that one", URL: p.url("broker.invocation", again.CID)}}, http.StatusConflict
	case errors.As(err, &state):
		return nil, &brokerview.Problem{Kind: "warning", Text: "Nothing was done: it is " + string(state.State) + " by now.",
			Link: brokerview.Link{Text: "See it", URL: p.url("broker.invocation", state.CID)}}, http.StatusConflict
	case invalid:
		for from, to := range fieldsOfCall {
			if wrong[from] != "" {
				wrong[to] = wrong[from]
			}
		}
		return wrong, nil, http.StatusUnprocessableEntity
	case errors.Is(err, kvdb.ErrInvalid): // the payload is too large, or no JSON
		return faults{"payload": told.Detail}, nil, http.StatusUnprocessableEntity
	case errors.Is(err, kvdb.ErrUnknown):
		return nil, &brokerview.Problem{Kind: "warning",
			Text: "It is not known whether it was taken. Send it again as it is: it is one invocation, however often it is sent."}, http.StatusGatewayTimeout
	case errors.Is(err, kvdb.ErrAway):
		return nil, &brokerview.Problem{Kind: "error", Text: "Nothing was done. " + told.Detail}, http.StatusServiceUnavailable
	}
	return nil, nil, 0
}

// edit serves GET /broker/invocations/:cid/edit: the payload of a dead letter, to be retried with another one.
func (p *brokerPages) edit(c echo.Context) error {
	x, err := p.Broker.Invocation(c.Request().Context(), param(c, "cid"))
	if err != nil {
		return p.unfoundCall(c, err)
	}
	if x.State != broker.Dead {
		p.flash(c, ui.ToastProps{Kind: "warning", Text: "Only a dead letter can be edited: it is " + string(x.State) + "."})
		return redirect(c, p.url("broker.invocation", x.CID))
	}
	return p.renderEdit(c, http.StatusOK, x, typedJSON(x.Payload), nil, nil)
}

func (p *brokerPages) renderEdit(c echo.Context, status int, x broker.Invocation, text string, wrong faults, problem *brokerview.Problem) error {
	page := brokerview.EditPage{
		Page: p.page(c, "Edit and retry", p.brokerWay("broker.dead", layout.Crumb{Text: x.CID, URL: p.url("broker.invocation", x.CID), Mono: true},
			layout.Crumb{Text: "Edit"})...),
		CID: x.CID, Service: brokerview.Link{Text: x.Service, URL: p.url("broker.service", x.Service)}, Error: x.Error,
		Attempts: "run " + strconv.Itoa(x.Attempt) + " times", Problem: problem, Payload: p.jsonEditor("payload", "Payload, JSON", "retry", text),
		Action: p.url("broker.invocation.retry", x.CID), Cancel: p.url("broker.invocation", x.CID),
	}
	if x.Attempt == 1 {
		page.Attempts = "run once"
	}
	page.Payload.Field.Autofocus, page.Payload.Field.Rows = true, 16
	if wrong["payload"] != "" && page.Payload.Say.Fault == "" {
		page.Payload.Say = brokerview.Say{ID: "payload", Fault: wrong["payload"]}
	}
	page.Page.Path = p.url("broker.invocation.edit", x.CID)
	return render(c, status, brokerview.Edit(page))
}

// retry serves POST /broker/invocations/:cid/retry: with the field payload, if that differs, with another payload.
func (p *brokerPages) retry(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, cid := c.Request().Context(), param(c, "cid")
	x, err := p.Broker.Invocation(ctx, cid)
	if err != nil {
		return p.unfoundCall(c, err)
	}
	var payload []byte
	text, edited := f.text("payload"), len(f.values["payload"]) > 0
	if edited && text != typedJSON(x.Payload) {
		payload = []byte(cmp.Or(strings.TrimSpace(text), "null"))
	}
	err = p.audited(c, verbDeadRetry, invocationObject(cid), func() (before, after string, err error) {
		after = "as it was"
		if payload != nil {
			after = "with another payload"
		}
		return "dead", after, p.Broker.RetryDeadOne(ctx, cid, payload, actor(c))
	})
	p.dead.forget()
	if edited && err != nil {
		wrong, problem, status := p.callFaults(c, err)
		if status == 0 {
			return err
		}
		return p.renderEdit(c, status, x, text, wrong, problem)
	}
	if err == nil {
		x, err = p.Broker.Invocation(ctx, cid)
	}
	return p.callChanged(c, x, err, ui.ToastProps{Kind: "success", Text: "It is queued again."})
}
