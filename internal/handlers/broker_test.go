package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// brokerApp is the server with an operator signed in.
type brokerApp struct {
	*app
	as with
}

func newBrokerApp(t *testing.T) *brokerApp { return newBrokerAppOn(t, kvtest.Open(t)) }

func newBrokerAppOn(t *testing.T, db *kvdb.DB) *brokerApp {
	a := newAppOn(t, db)
	return &brokerApp{a, session(a.signIn(Operator))}
}

// work has handlers run in this process.
func (a *brokerApp) work() {
	a.deps.Broker.Start(context.Background())
	a.deps.Broker.StartWorkers(context.Background(), 2)
}

func (a *brokerApp) page(path string, alter ...with) *goquery.Document {
	a.t.Helper()
	rec := a.get(path, append(alter, a.as)...)
	wantStatus(a.t, rec, http.StatusOK)
	return doc(a.t, rec)
}

func (a *brokerApp) send(path string, fields ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.post(path, fields, a.as)
}

func (a *brokerApp) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *brokerApp) invoke(c broker.Call) string {
	a.t.Helper()
	cid, err := a.deps.Broker.Invoke(context.Background(), c)
	a.must(err)
	return cid
}

// die makes dead letters of a service, one for each error, and returns their CIDs.
func (a *brokerApp) die(service string, errors ...string) []string {
	a.t.Helper()
	var cids []string
	for _, text := range errors {
		a.invoke(broker.Call{Service: service, Payload: []byte(`{"n":1}`), MaxAttempts: 1, By: "anna"})
		got, err := a.deps.Broker.Receive(context.Background(), service, "worker-1", 1, 0, 0)
		a.must(err)
		a.must(a.deps.Broker.Nack(context.Background(), got[0].CID, got[0].Lease, text, -1))
		cids = append(cids, got[0].CID)
	}
	return cids
}

func (a *brokerApp) wantState(cid string, want broker.State) {
	a.t.Helper()
	x, err := a.deps.Broker.Invocation(context.Background(), cid)
	a.must(err)
	if x.State != want {
		a.t.Errorf("%s is %s, want %s", cid, x.State, want)
	}
}

// at is the path that an answer leads to.
func at(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	wantStatus(t, rec, http.StatusSeeOther)
	return rec.Header().Get("Location")
}

func TestServicesWithTheListsBehindTheirNumbers(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	if got := a.page("/broker/services").Find(".empty").Text(); !strings.Contains(got, "Nothing was invoked yet") {
		t.Errorf("empty: %q", got)
	}
	for range 3 {
		a.invoke(broker.Call{Service: "a/b:c.d", Payload: []byte(`1`)})
	}
	a.invoke(broker.Call{Service: "a/b:c.d", Delay: time.Hour})
	a.die("a/b:c.d", "boom 1", "boom 2")
	a.invoke(broker.Call{Service: "other"})
	d := a.page("/broker/services")
	row := d.Find(testid("service")).First()
	if d.Find(testid("service")).Length() != 2 || !strings.Contains(row.Text(), "nobody yet") && !strings.Contains(row.Text(), "worker") {
		t.Errorf("rows: %s", d.Find("tbody").Text())
	}
	links := row.Find("td.num a")
	if links.Length() != 3 { // queued, delayed, dead; nought is no link
		t.Errorf("%d links: %s", links.Length(), row.Text())
	}
	for _, link := range links.EachIter() {
		if strings.HasPrefix(link.AttrOr("href", ""), "/stats") {
			continue
		}
		behind := a.page(link.AttrOr("href", ""))
		if n := behind.Find(testid("invocation") + "," + testid("letter")).Length(); fmt.Sprint(n) != strings.TrimSpace(link.Text()) {
			t.Errorf("%s leads to %d rows at %s", strings.TrimSpace(link.Text()), n, link.AttrOr("href", ""))
		}
	}
	if got := a.page("/broker/services?q=oth").Find(testid("service")).Length(); got != 1 {
		t.Errorf("filtered: %d", got)
	}
	part := a.page("/broker/services?q=zzz", fragment)
	if part.Find("html head title").Length() != 0 || part.Find("#list .empty").Length() != 1 {
		t.Error("a fragment is not the list alone")
	}
	one := a.page(row.Find("td a").First().AttrOr("href", ""))
	if one.Find("h1").Text() != "a/b:c.d" || one.Find(testid("tab")).Length() != 9 || one.Find(testid("invocation")).Length() != 6 {
		t.Errorf("one: %s", one.Find("main").Text())
	}
	state := a.page("/broker/services/a%2Fb:c.d", fragment, header("HX-Target", "div#state"))
	if state.Find("#state").Length() != 1 || state.Find("#list").Length() != 0 {
		t.Error("the state alone was asked for")
	}
	wantStatus(t, a.get("/broker/services/nothing", a.as), http.StatusNotFound)
}

func TestInvocationsAreSearched(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	for i := range 4 {
		a.invoke(broker.Call{Service: "orders", Payload: fmt.Appendf(nil, `{"order":"O-%d"}`, i)})
	}
	cid := a.die("billing", "no tariff for C-9")[0]
	for query, want := range map[string]int{
		"": 5, "q=O-2": 1, "service=orders": 4, "state=dead": 1, "q=tariff": 1, "state=dead&q=O-2": 0, "state=nonsense": 5, "service=none": 0,
	} {
		if got := a.page("/broker/invocations?" + query).Find(testid("invocation")).Length(); got != want {
			t.Errorf("%q: %d rows, want %d", query, got, want)
		}
	}
	if got := at(t, a.get("/broker/invocations?q="+cid, a.as)); got != "/broker/invocations/"+cid {
		t.Errorf("a CID leads to %s", got)
	}
}

func TestInvokeAndSeeItDone(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	form := a.page("/broker/invoke?service=echo")
	fields := []string{"op", form.Find("[name=op]").AttrOr("value", ""), "service", "echo", "payload",
		"{\"big\": 12345678901234567890,\r\n \"s\": \"" + `<em>\u00e9` + "\"}", "idempotency_key", "k"}
	to := at(t, a.send("/broker/invoke", fields...))
	if again := at(t, a.send("/broker/invoke", fields...)); again != to {
		t.Errorf("sent twice it is two: %s and %s", to, again)
	}
	waiting := a.page(to)
	if got := waiting.Find(testid("state")).AttrOr("hx-trigger", ""); got == "" {
		t.Errorf("it does not ask again while it is %s", waiting.Find(testid("state")).AttrOr("data-state", ""))
	}
	a.work()
	var state *goquery.Selection
	kvtest.Await(t, "it is done", func() bool {
		state = a.page(to, fragment).Find(testid("state"))
		return state.AttrOr("data-state", "") == "done"
	})
	if state.AttrOr("hx-trigger", "") != "" || state.Find(testid("attempt")).Length() != 1 {
		t.Error("it asks for ever, or shows no attempt")
	}
	if got := state.Find(testid("result") + " pre").Text(); !strings.Contains(got, "12345678901234567890,") || !strings.Contains(got, `<em>\u00e9`) {
		t.Errorf("result: %s", got)
	}
	for _, what := range []string{"payload", "result"} {
		if got := a.get(to+"/"+what, a.as).Body.String(); got != "{\"big\": 12345678901234567890,\n \"s\": \"<em>\\u00e9\"}" {
			t.Errorf("%s as it is: %q", what, got)
		}
	}
	a.wantRecord("operator | service.invoke | service echo | done")
	cid := strings.TrimPrefix(to, "/broker/invocations/")
	if got := a.page("/broker/invoke?again=" + cid).Find("#payload").Text(); !strings.Contains(got, `"big": 12345678901234567890,`) {
		t.Errorf("again: %q", got)
	}
	wantStatus(t, a.get("/broker/invocations/nothing", a.as), http.StatusNotFound)
}

func TestInvokeRefusesAndKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	a.invoke(broker.Call{Service: "orders", Payload: []byte(`1`), IdempotencyKey: "k"})
	for name, tc := range map[string]struct {
		fields []string
		status int
		in     string // where it is said
		says   string
	}{
		"no JSON":       {[]string{"service", "x", "payload", "{\n  \"a\": ]}"}, 422, "#payload-say", "Line 2, column 8"},
		"too deep":      {[]string{"service", "x", "payload", strings.Repeat("[", 10_000)}, 422, "#payload-say", "nested deeper"},
		"too large":     {[]string{"service", "x", "payload", `"` + strings.Repeat("x", 1<<20) + `"`}, 422, "#payload-say", "1,048,57"},
		"no service":    {[]string{"service", "", "payload", "1"}, 422, "#invoke-service-error", "given"},
		"a bad service": {[]string{"service", "a b", "payload", "1"}, 422, "#invoke-service-error", "letters"},
		"a bad delay":   {[]string{"service", "x", "delay", "soon"}, 422, "#invoke-delay-error", "such as"},
		"a long delay":  {[]string{"service", "x", "delay", "367 d"}, 422, "#invoke-delay-error", "at most 366 d"},
		"bad attempts":  {[]string{"service", "x", "max_attempts", "0"}, 422, "#invoke-max_attempts-error", "1 to 100"},
		"another call":  {[]string{"service", "orders", "payload", "2", "idempotency_key", "k"}, 409, ".notice", "another payload"},
	} {
		rec := a.send("/broker/invoke", tc.fields...)
		wantStatus(t, rec, tc.status)
		d := doc(t, rec)
		if got := d.Find(tc.in).Text(); !strings.Contains(got, tc.says) {
			t.Errorf("%s: %q", name, got)
		}
		for i := 0; i < len(tc.fields); i += 2 {
			field := d.Find(`[name="` + tc.fields[i] + `"]`)
			if got := field.AttrOr("value", strings.TrimPrefix(field.Text(), "\n")); got != tc.fields[i+1] {
				t.Errorf("%s: %s is %.80q, %.80q was typed", name, tc.fields[i], got, tc.fields[i+1])
			}
		}
	}
	say := doc(t, a.send("/broker/json?field=message", "message", "[1,\n2,}"))
	if got := say.Find("#message-say").Text(); !strings.Contains(got, "Line 2, column 3") || say.Find("mark").Text() != "}" {
		t.Errorf("checked while it is typed: %q", got)
	}
	if got := doc(t, a.send("/broker/json", "payload", " {} ")).Find("#payload-say").Text(); !strings.Contains(got, "Valid") {
		t.Errorf("valid: %q", got)
	}
}

func TestNothingTypedIsLostWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := newBrokerAppOn(t, kvtest.Open(t))
	db := srv.DB(t)
	away := newAppOn(t, a.deps.DB, func(d *Deps) { d.DB, d.Broker = db, broker.New(db, broker.Options{Secret: sessionKey}) })
	srv.Kill()
	rec := away.post("/broker/invoke", []string{"op", "o", "service", "orders", "payload", `{"a": 1}`, "delay", "5 min"}, a.as)
	wantStatus(t, rec, http.StatusServiceUnavailable)
	d := doc(t, rec)
	if d.Find("[name=service]").AttrOr("value", "") != "orders" || strings.TrimSpace(d.Find("#payload").Text()) != `{"a": 1}` ||
		d.Find("[name=delay]").AttrOr("value", "") != "5 min" {
		t.Errorf("what was typed: %s", d.Find("main").Text())
	}
	if got := d.Find(".notice").Text(); !strings.Contains(got, "Nothing was done") {
		t.Errorf("said: %q", got)
	}
	for _, path := range []string{"/broker/services", "/broker/dead", "/broker/invocations", "/broker/services/x"} {
		wantStatus(t, away.get(path, a.as), http.StatusServiceUnavailable)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	cid := a.invoke(broker.Call{Service: "orders"})
	d := a.page("/broker/invocations/" + cid)
	cancel := d.Find("form[action$='/cancel']").AttrOr("action", "")
	rec := a.post(cancel, nil, a.as, fragment)
	wantStatus(t, rec, http.StatusOK)
	if got := doc(t, rec).Find(testid("state")).AttrOr("data-state", ""); got != "cancelled" {
		t.Errorf("it is %q", got)
	}
	a.wantState(cid, broker.Cancelled)
	again := doc(t, a.post(cancel, nil, a.as, fragment))
	if got := again.Find(".toast").Text(); !strings.Contains(got, "cancelled by now") {
		t.Errorf("again: %q", got)
	}
	a.wantRecord("operator | invocation.cancel | invocation " + cid + " | done")
	a.wantRecord("operator | invocation.cancel | invocation " + cid + " | failed")
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	a.invoke(broker.Call{Service: "a/b"})
	a.send("/broker/services/a%2Fb/pause")
	d := a.page("/broker/services/a%2Fb")
	if !strings.Contains(d.Find(testid("state")).Text(), "paused") || !strings.Contains(d.Find(testid("switch")).Text(), "Resume") {
		t.Errorf("paused: %s", d.Find("main").Text())
	}
	if got, err := a.deps.Broker.Receive(context.Background(), "a/b", "w", 1, 0, 0); err != nil || len(got) != 0 {
		t.Errorf("handed out: %v, %v", got, err)
	}
	a.send(d.Find(testid("switch")).AttrOr("action", ""))
	if got := a.page("/broker/services").Find(testid("service")).Text(); strings.Contains(got, "paused") {
		t.Errorf("resumed: %q", got)
	}
	a.wantRecord("operator | service.pause | service a/b | done")
	a.wantRecord("operator | service.resume | service a/b | done")
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	a.invoke(broker.Call{Service: "orders"})
	form := func(d *goquery.Document, change ...string) []string {
		set := map[string]string{}
		for _, in := range d.Find("#policy-form input").EachIter() {
			set[in.AttrOr("name", "")] = in.AttrOr("value", "")
		}
		for i := 0; i < len(change); i += 2 {
			set[change[i]] = change[i+1]
		}
		var fields []string
		for k, v := range set {
			fields = append(fields, k, v)
		}
		return fields
	}
	first := a.page("/broker/services/orders")
	at(t, a.send("/broker/services/orders/policy", form(first, "max_attempts", "7", "keep_ms", "1 h 30 min", "keep_n", "1,234")...))
	x, err := a.deps.Broker.Service(context.Background(), "orders")
	a.must(err)
	want := broker.DefaultPolicy
	want.MaxAttempts, want.KeepDone, want.KeepDoneN, want.Version = 7, 90*time.Minute, 1234, x.Policy.Version
	if x.Policy != want || x.Policy.Version == 0 {
		t.Errorf("saved: %+v", x.Policy)
	}
	rec := a.send("/broker/services/orders/policy", form(first, "max_attempts", "9")...)
	wantStatus(t, rec, http.StatusConflict)
	d := doc(t, rec)
	if d.Find("[name=max_attempts]").AttrOr("value", "") != "9" || !strings.Contains(d.Find(testid("theirs")).Text(), "7") ||
		d.Find(testid("theirs")).Length() != 3 {
		t.Errorf("stale: %s", d.Find("#policy").Text())
	}
	at(t, a.send("/broker/services/orders/policy", form(d)...)) // over theirs
	for field, bad := range map[string]string{"max_attempts": "many", "backoff_ms": "soon", "lease_ms": "1 ms", "keep_n": "0", "dead_keep_ms": ""} {
		rec := a.send("/broker/services/orders/policy", form(a.page("/broker/services/orders"), field, bad)...)
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		d := doc(t, rec)
		if d.Find("#policy-"+field+"-error").Text() == "" || d.Find("[name="+field+"]").AttrOr("value", "") != bad {
			t.Errorf("%s %q: %s", field, bad, d.Find("#policy").Text())
		}
	}
	viewer := doc(t, a.get("/broker/services/orders", session(a.signIn(Viewer))))
	if viewer.Find("main form[method=post]").Length() != 0 || !strings.Contains(viewer.Find("#policy").Text(), "9") {
		t.Error("a viewer reads the policy and changes nothing")
	}
}

func TestTextOfWorkersIsText(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	payload, err := json.Marshal(map[string]string{markup: markup})
	a.must(err)
	a.invoke(broker.Call{Service: "s", Payload: []byte(`"` + markup + `"`), MaxAttempts: 1, By: markup})
	got, err := a.deps.Broker.Receive(context.Background(), "s", markup, 1, 0, 0)
	a.must(err)
	a.must(a.deps.Broker.Nack(context.Background(), got[0].CID, got[0].Lease, markup, -1))
	a.invoke(broker.Call{Service: "s", Payload: payload})
	for _, path := range []string{"/broker/services", "/broker/services/s", "/broker/invocations", "/broker/invocations/" + got[0].CID,
		"/broker/invocations/" + got[0].CID + "/edit", "/broker/dead", "/broker/dead?error=" + url.QueryEscape(markup),
		"/broker/invoke?again=" + got[0].CID} {
		rec := a.get(path, a.as)
		wantStatus(t, rec, http.StatusOK)
		if strings.Contains(rec.Body.String(), "<em>UHOH") {
			t.Errorf("%s shows markup", path)
		}
		d := doc(t, rec)
		if d.Find("[style], [onclick], script:not([src]), style").Length() != 0 || d.Find("h1").Length() != 1 {
			t.Errorf("%s: inline scripts or styles, or not one heading", path)
		}
		if ids := duplicateIDs(d); len(ids) > 0 {
			t.Errorf("%s: ids that occur twice: %v", path, ids)
		}
	}
}
