package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// cutLua is the program that a service is; not ok if it is none.
func cutLua(service string) (program string, ok bool) {
	return strings.CutPrefix(service, lua.ServicePrefix)
}

func invocationObject(cid string) string { return invocationWord + cid }

// invocationWord begins the objects of the audit log that are invocations.
const invocationWord = "invocation "

// invocationURL is the page of an invocation, "" for what is none: others may give their calls what CIDs they like.
func (s *site) invocationURL(cid string) string {
	if !broker.IsCID(cid) {
		return ""
	}
	return s.url("broker.invocation", cid)
}

// callFilter reads which invocations a list shows; service is that of the page, "" = the query says.
func callFilter(c echo.Context, service string) broker.Filter {
	f := broker.Filter{Service: service, Q: query(c, "q"), State: broker.State(query(c, "state"))}
	if service == "" {
		f.Service = query(c, "service")
	}
	if !knownState(f.State) {
		f.State = ""
	}
	return f
}

func knownState(s broker.State) bool {
	for _, known := range broker.States {
		if s == known {
			return true
		}
	}
	return false
}

// invocations serves GET /broker/invocations with the query service, state, q and cursor. A q that is the CID of one leads there.
func (p *brokerPages) invocations(c echo.Context) error {
	if q := strings.TrimSpace(query(c, "q")); q != "" {
		if _, err := p.Broker.Invocation(c.Request().Context(), q); err == nil {
			return redirect(c, p.url("broker.invocation", q))
		}
	}
	list, err := p.callList(c, "")
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, brokerview.InvocationListOf(list))
	}
	page := brokerview.InvocationsPage{
		Page: p.page(c, "Invocations", p.brokerWay("broker.services", layout.Crumb{Text: "Invocations"})...), Notices: p.notices(), List: list,
		Filters: p.callFilters(c, p.url("broker.invocations")), Services: p.url("broker.services"),
	}
	if mayEdit(c) {
		page.Invoke = p.url("broker.invoke")
	}
	options := []ui.Option{{Text: "Any state"}}
	for _, s := range broker.States {
		options = append(options, ui.Option{Value: string(s), Text: upperFirst(string(s))})
	}
	page.Filters.State = &ui.SelectProps{ID: "filter-state", Name: "state", Label: "State", HideLabel: true,
		Value: string(callFilter(c, "").State), Options: options}
	page.Filters.Service = &ui.FieldProps{ID: "filter-service", Name: "service", Label: "Service", HideLabel: true, Placeholder: "Service",
		Value: query(c, "service"), Mono: true}
	return render(c, http.StatusOK, brokerview.Invocations(page))
}

func (p *brokerPages) callFilters(c echo.Context, url string) brokerview.InvocationFilters {
	return brokerview.InvocationFilters{
		URL: url, Search: ui.SearchProps{ID: "filter-q", Name: "q", Label: "Part of CID, payload, result, error", Value: query(c, "q")},
	}
}

// callList is a page of the invocations of a service, or of all.
func (p *brokerPages) callList(c echo.Context, service string) (list brokerview.InvocationList, err error) {
	f, cursor := callFilter(c, service), query(c, "cursor")
	found, err := p.Broker.Invocations(c.Request().Context(), f, cursor, pageRows)
	if err != nil {
		return list, err
	}
	here := values("state", string(f.State), "q", f.Q)
	route, params := "broker.service", []any{service}
	if service == "" {
		route, params = "broker.invocations", nil
		here.Set("service", f.Service)
	}
	list = brokerview.InvocationList{
		Title: "Invocations", Services: service == "", Refresh: p.url(route, append(params, here)...),
		Pager: p.pager(route, here, cursor, found.Next, len(found.Items), params...),
	}
	if f.State != "" {
		list.Title = upperFirst(string(f.State))
	}
	for _, x := range found.Items {
		list.Rows = append(list.Rows, p.callRow(x))
	}
	if len(list.Rows) == 0 {
		list.Nothing = p.noCalls(c, f, list)
	} else if f.Q != "" && found.Next != "" {
		list.Searched = "There may be more further back."
	}
	return list, nil
}

// noCalls is what stands in place of an empty list.
func (p *brokerPages) noCalls(c echo.Context, f broker.Filter, list brokerview.InvocationList) *brokerview.Nothing {
	again := &brokerview.Nothing{Icon: "inbox", Title: "Nothing is " + string(f.State),
		Text: "Done ones are kept for a while, then they are gone: see the policy of the service."}
	switch {
	case list.Pager.Next != "": // a search looks at so many at once
		return &brokerview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are more to look at, further back.",
			Do: []brokerview.Action{{Text: "Look further", Icon: "arrow-right", URL: list.Pager.Next}}}
	case f.Q != "":
		return &brokerview.Nothing{Icon: "search-x", Title: "Nothing matches",
			Text: "No invocation that is still there has this in its CID, payload, result or error."}
	case f.State == "":
		again.Title = "There are no invocations"
	}
	if mayEdit(c) && f.State == "" {
		again.Do = []brokerview.Action{{Text: "Invoke…", Icon: "send", URL: p.url("broker.invoke", values("service", f.Service)), Primary: true}}
	}
	return again
}

// The beginning of an error or a payload in a list.
const lineOfCall = 200

// callRow is an invocation in a list. What died, retries or runs again shows why it failed; the others what was sent.
func (p *brokerPages) callRow(x broker.Invocation) brokerview.InvocationRow {
	return brokerview.InvocationRow{
		CID:     brokerview.Link{Text: x.CID, URL: p.url("broker.invocation", x.CID)},
		Service: brokerview.Link{Text: x.Service, URL: p.url("broker.service", x.Service)},
		State:   stateBadge(x.State), Sent: x.CreatedAt, When: stateMoment(x), Attempts: attemptsOf(x),
		Error: oneLine(x.Error), Payload: oneLine(string(x.Payload)),
	}
}

// oneLine is the beginning of a text on one line.
func oneLine(text string) string {
	short := strings.Join(strings.Fields(headOf(text, 2*lineOfCall)), " ")
	if cut := headOf(short, lineOfCall); len(cut) < len(short) || len(text) > 2*lineOfCall {
		return cut + "…"
	}
	return short
}

// invocation serves GET /broker/invocations/:cid.
func (p *brokerPages) invocation(c echo.Context) error {
	x, err := p.Broker.Invocation(c.Request().Context(), param(c, "cid"))
	if err != nil {
		return p.goneCall(c, err)
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, brokerview.InvocationStateOf(p.callState(c, x)))
	}
	page := brokerview.InvocationPage{
		Page: p.page(c, x.CID, p.brokerWay("broker.services", layout.Crumb{Text: x.Service, URL: p.url("broker.service", x.Service), Mono: true},
			layout.Crumb{Text: x.CID, Mono: true})...),
		CID: x.CID, State: p.callState(c, x), Payload: dataOf(x.Payload, p.url("broker.invocation.payload", x.CID)),
	}
	if mayEdit(c) {
		page.Again = p.url("broker.invoke", values("again", x.CID))
	}
	return render(c, http.StatusOK, brokerview.Invocation(page))
}

// unfoundCall says that an invocation is not there: they are kept for a while only.
func (p *brokerPages) unfoundCall(c echo.Context, err error) error {
	if !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	return echo.NewHTTPError(http.StatusNotFound, "There is no invocation "+param(c, "cid")+
		" any more. Those that have ended are kept for a while, as the policy of their service says.").SetInternal(err)
}

// goneCall is unfoundCall for the page of an invocation. What leads there (a record, a run, a miss) may be kept longer, so it says how long
// invocations are kept, and where to look instead.
func (p *brokerPages) goneCall(c echo.Context, err error) error {
	if !errors.Is(err, kvdb.ErrNotFound) || wantsFragment(c.Request()) {
		return p.unfoundCall(c, err)
	}
	cid, ctx := param(c, "cid"), c.Request().Context()
	page := brokerview.GonePage{Page: p.page(c, "No invocation", p.brokerWay("broker.services",
		layout.Crumb{Text: "Invocations", URL: p.url("broker.invocations")})...), CID: cid, None: !broker.IsCID(cid)}
	page.Links = []brokerview.Action{{Text: "Search the invocations", Icon: "search", URL: p.url("broker.invocations"), Primary: true}}
	if service, err := p.Broker.ServiceOf(ctx, cid); err == nil {
		page.Kept = "It was one of " + service + "."
		if s, err := p.Broker.Service(ctx, service); err == nil {
			page.Kept += " Of these, done ones are kept for " + typedSpan(s.Policy.KeepDone) + " and dead letters for " + typedSpan(s.Policy.KeepDead) +
				", and of each the newest only; then they are gone."
		}
		page.Links = append(page.Links, brokerview.Action{Text: "The service " + service, Icon: "waypoints", URL: p.url("broker.service", service)})
	} else if !page.None {
		page.Kept = "No service that is known here has such a CID. It may be of a store that was emptied since, or of another one."
	}
	if !page.None {
		page.Links = append(page.Links, brokerview.Action{Text: "What was changed on its behalf", Icon: "scroll-text",
			URL: p.url("audit", values("cid", cid))})
	}
	mw.From(ctx).Err = err // for the log and the metrics, as of any page that says so
	return render(c, http.StatusNotFound, brokerview.Gone(page))
}

// callState is how an invocation is now.
func (p *brokerPages) callState(c echo.Context, x broker.Invocation) brokerview.InvocationState {
	s := brokerview.InvocationState{
		CID: x.CID, State: stateBadge(x.State), By: x.By, Sent: x.CreatedAt, When: stateMoment(x), Attempts: attemptsOf(x),
		Service: brokerview.Link{Text: x.Service, URL: p.url("broker.service", x.Service)},
		Error:   x.Error, Fatal: x.State == broker.Dead,
	}
	if !x.State.Ended() {
		s.Refresh = p.url("broker.invocation", x.CID)
		s.Expires = x.ExpiresAt
	}
	if x.InReplyTo != "" {
		s.ReplyTo = brokerview.Link{Text: x.InReplyTo, URL: p.url("broker.invocation", x.InReplyTo)}
	}
	if x.Callback != "" {
		s.Callback = brokerview.Link{Text: x.Callback, URL: p.url("broker.service", x.Callback)}
		if x.CallbackCID != "" {
			s.CallCID = brokerview.Link{Text: x.CallbackCID, URL: p.url("broker.invocation", x.CallbackCID)}
		}
	}
	s.Records = brokerview.Link{Text: "What it changed, in the audit log", URL: p.url("audit", values("cid", x.CID))}
	if program, ok := cutLua(x.Service); ok && x.Attempt > 0 {
		s.Runs = brokerview.Link{Text: "Its runs of the program", URL: p.url("lua.runs", program, values("cid", x.CID))}
	}
	if x.IdempotencyKey {
		s.Facts = append(s.Facts, "Its caller gave an idempotency key: the same call within 24 hours is this one.")
	}
	if x.EditedBy != "" {
		s.Facts = append(s.Facts, "The payload was edited by "+x.EditedBy+" before it was retried.")
	}
	if x.Result != nil {
		result := dataOf(x.Result, p.url("broker.invocation.result", x.CID))
		s.Result = &result
	}
	for i := len(x.Attempts) - 1; i >= 0; i-- {
		s.Timeline = append(s.Timeline, p.attemptRow(x, x.Attempts[i]))
	}
	if x.State == broker.Queued {
		s.Waits = p.waitsFor(c, x)
	}
	if mayEdit(c) {
		p.callActions(&s, x)
	}
	return s
}

// callActions are what can be done to it.
func (p *brokerPages) callActions(s *brokerview.InvocationState, x broker.Invocation) {
	switch {
	case x.State == broker.Dead:
		s.Retry = p.url("broker.invocation.retry", x.CID)
		s.Edit = p.url("broker.invocation.edit", x.CID)
		s.Delete = p.url("broker.dead.many")
	case !x.State.Ended():
		s.Cancel = p.url("broker.invocation.cancel", x.CID)
	}
}

// waitsFor says why something stays in its queue. That it can't be had takes nothing else off the page.
func (p *brokerPages) waitsFor(c echo.Context, x broker.Invocation) string {
	service, err := p.Broker.Service(c.Request().Context(), x.Service)
	switch {
	case err != nil:
		return ""
	case service.Paused:
		return "It waits until the service is resumed."
	case service.Workers == 0 && p.Now().Sub(x.CreatedAt) > aloneWait && service.Handler == broker.HandlerPull:
		return "It waits for a worker: none has asked for work of this service within the last minute."
	case service.Workers == 0 && p.Now().Sub(x.CreatedAt) > aloneWait:
		return "It waits for a process of webadmin that runs handlers: none has taken any of this service within the last minute."
	case service.Queued > 1:
		return decimal(service.Queued) + " wait in the queue."
	}
	return ""
}

func (p *brokerPages) attemptRow(x broker.Invocation, a broker.Attempt) brokerview.AttemptRow {
	row := brokerview.AttemptRow{N: a.N, Worker: a.Worker, Began: a.StartedAt, Error: a.Error}
	switch {
	case !a.EndedAt.IsZero():
		row.Took, row.Done = durationText(max(a.EndedAt.Sub(a.StartedAt), time.Microsecond)), a.Error == ""
	case x.State == broker.Running:
		row.Now = brokerview.Moment{Word: "goes on; its lease ends", At: x.LeaseUntil}
	}
	return row
}

// payload serves GET /broker/invocations/:cid/payload: the payload byte for byte.
func (p *brokerPages) payload(c echo.Context) error {
	return p.callData(c, "payload", func(x broker.Invocation) []byte { return x.Payload })
}

// result serves GET /broker/invocations/:cid/result.
func (p *brokerPages) result(c echo.Context) error {
	return p.callData(c, "result", func(x broker.Invocation) []byte { return x.Result })
}

func (p *brokerPages) callData(c echo.Context, what string, of func(broker.Invocation) []byte) error {
	x, err := p.Broker.Invocation(c.Request().Context(), param(c, "cid"))
	if err != nil {
		return p.unfoundCall(c, err)
	}
	data := of(x)
	if data == nil {
		return echo.NewHTTPError(http.StatusNotFound, "This invocation has no "+what+".")
	}
	attach(c, echo.MIMEApplicationJSON, x.CID+"."+what+".json")
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, data)
}

// cancel serves POST /broker/invocations/:cid/cancel.
func (p *brokerPages) cancel(c echo.Context) error {
	cid := param(c, "cid")
	var now broker.Invocation
	err := p.audited(c, verbInvocationCancel, invocationObject(cid), func() (before, after string, err error) {
		now, err = p.Broker.Cancel(c.Request().Context(), cid)
		return "", string(now.State), err
	})
	return p.callChanged(c, now, err, ui.ToastProps{Kind: "success",
		Text: "It is cancelled. If a worker had it, what it does with it no longer counts."})
}

// callChanged shows an invocation after a change; or, if it is in another state than the reader saw, how it is now.
func (p *brokerPages) callChanged(c echo.Context, now broker.Invocation, err error, toast ui.ToastProps) error {
	cid := param(c, "cid")
	var state *broker.StateError
	if errors.As(err, &state) {
		toast = ui.ToastProps{Kind: "warning", Text: "Nothing was done: it is " + string(state.State) + " by now."}
		if now, err = p.Broker.Invocation(c.Request().Context(), cid); err != nil {
			return p.unfoundCall(c, err)
		}
	}
	if err != nil {
		return p.unfoundCall(c, err)
	}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("broker.invocation", cid), toast)
	}
	return render(c, http.StatusOK, templ.Join(brokerview.InvocationStateOf(p.callState(c, now)), ui.ToastOOB(toast)))
}
