package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb/kvtest"
)

func TestDeadLettersByError(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	if got := a.page("/broker/dead").Find(".empty").Text(); !strings.Contains(got, "no dead letters") {
		t.Errorf("empty: %q", got)
	}
	a.die("billing", "no tariff for C-1", "no tariff for C-2", "503 after 20 ms")
	a.die("crm", "no tariff for C-3")
	d := a.page("/broker/dead")
	groups := d.Find(testid("group"))
	if groups.Length() != 3 || d.Find(testid("letter")).Length() != 4 {
		t.Fatalf("%d groups, %d letters", groups.Length(), d.Find(testid("letter")).Length())
	}
	for _, g := range groups.EachIter() {
		link := g.Find("td.num a")
		its := a.page(link.AttrOr("href", ""))
		if n := its.Find(testid("letter")).Length(); fmt.Sprint(n) != strings.TrimSpace(link.Text()) || its.Find("tr[aria-selected=true]").Length() != 1 {
			t.Errorf("%s leads to %d", strings.TrimSpace(g.Text()), n)
		}
	}
	for query, want := range map[string]int{"service=billing": 3, "error=C-2": 1, "service=crm&error=503": 0, "older=1h": 0, "older=soon": 4} {
		if got := a.page("/broker/dead?"+query, fragment).Find(testid("letter")).Length(); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	if got := a.page("/account").Find(`nav#nav a[href="/broker/channels"]`).Length(); got == 0 {
		t.Error("the navigation has no broker")
	}
	kvtest.Await(t, "the navigation counts them", func() bool {
		return strings.TrimSpace(a.page("/broker/services").Find("nav#nav .badge").Text()) == "4"
	})
	viewer := doc(t, a.get("/broker/dead", session(a.signIn(Viewer))))
	if viewer.Find("main form[method=post], main input[type=checkbox]").Length() != 0 {
		t.Error("a viewer is offered what a viewer may not do")
	}
}

func TestEditAndRetryOne(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	cids := a.die("billing", "no tariff", "no tariff")
	d := a.page("/broker/invocations/" + cids[0])
	edit := d.Find("#edit").AttrOr("href", "")
	if got := strings.TrimSpace(a.page(edit).Find("#payload").Text()); got != "{\n  \"n\": 1\n}" {
		t.Errorf("it begins with %q", got)
	}
	action := a.page(edit).Find(testid("retry")).AttrOr("action", "")
	rec := a.send(action, "payload", `{"n": 2`)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if d := doc(t, rec); !strings.Contains(d.Find("#payload").Text(), `{"n": 2`) || d.Find("#payload-say .field-error").Text() == "" {
		t.Errorf("no JSON: %s", d.Find("main").Text())
	}
	a.wantState(cids[0], broker.Dead)
	at(t, a.send(action, "payload", `{"n": 2}`))
	a.wantState(cids[0], broker.Queued)
	got, err := a.deps.Broker.Receive(context.Background(), "billing", "w", 1, 0, 0)
	a.must(err)
	if string(got[0].Payload) != `{"n": 2}` || got[0].CID != cids[0] {
		t.Errorf("handed out: %+v", got)
	}
	a.must(a.deps.Broker.Ack(context.Background(), got[0].CID, got[0].Lease, nil))
	state := a.page("/broker/invocations/" + cids[0]).Find(testid("state"))
	if state.Find(testid("attempt")).Length() != 2 || !strings.Contains(state.Text(), "edited by operator") {
		t.Errorf("the earlier attempt is gone: %s", state.Text())
	}
	late := a.send(action, "payload", `{"n": 3}`)
	wantStatus(t, late, http.StatusConflict)
	if got := doc(t, late).Find("#payload").Text(); !strings.Contains(got, `{"n": 3}`) {
		t.Errorf("what was typed is lost: %q", got)
	}
	at(t, a.get(edit, a.as)) // it is no dead letter any more

	as := a.post("/broker/invocations/"+cids[1]+"/retry", nil, a.as, fragment) // as it was
	wantStatus(t, as, http.StatusOK)
	a.wantState(cids[1], broker.Queued)
	a.wantRecord("operator | dead.retry | invocation " + cids[0] + " | done")
	a.wantRecord("operator | dead.retry | invocation " + cids[0] + " | failed")
}

func TestTickedDeadLetters(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	cids := a.die("billing", "a", "b", "c", "d")
	from := func(r *http.Request) { r.Header.Set("Referer", "http://example.com/broker/dead?service=billing") }
	wantStatus(t, a.post("/broker/dead", []string{"do", "retry"}, a.as, from), http.StatusUnprocessableEntity)
	if to := at(t, a.post("/broker/dead", []string{"do", "retry", "cid", cids[0], "cid", cids[2]}, a.as, from)); to != "/broker/dead?service=billing" {
		t.Errorf("back to %s", to)
	}
	a.wantState(cids[0], broker.Queued)
	a.wantState(cids[1], broker.Dead)
	links := a.page("/audit").Find(testid("invocations") + " a")
	for i, cid := range []string{cids[0], cids[2]} {
		if got := links.Eq(i); got.Text() != cid || got.AttrOr("href", "") != "/broker/invocations/"+cid {
			t.Errorf("in the audit log the invocation %s leads to %q", got.Text(), got.AttrOr("href", ""))
		}
	}
	job := a.settled(at(t, a.post("/broker/dead", []string{"do", "delete", "cid", cids[1]}, a.as, from)))
	a.wantState(cids[1], broker.Dead) // nothing is deleted before somebody has said so
	action := job.Find(testid("confirm")+" form").AttrOr("action", "")
	wantStatus(t, a.send(action, "confirm", "2"), http.StatusUnprocessableEntity)
	job = a.settled(at(t, a.send(action, "confirm", "1")))
	if got := job.Find(".notice").Text(); !strings.Contains(got, "1 dead letter deleted") {
		t.Errorf("done: %q", got)
	}
	wantStatus(t, a.get("/broker/invocations/"+cids[1], a.as), http.StatusNotFound)
	a.wantState(cids[3], broker.Dead)
}

// settled awaits the end of a part of a job and returns its page.
func (a *brokerApp) settled(path string) (d *goquery.Document) {
	a.t.Helper()
	kvtest.Await(a.t, "the job is over", func() bool {
		d = a.page(path)
		return d.Find(testid("job")).AttrOr("hx-trigger", "") == ""
	})
	return d
}

func TestManyDeadLetters(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	a.die("billing", "no tariff for 1", "no tariff for 2", "no tariff for 3", "503")
	a.die("crm", "no tariff for 4")
	count := func(do, query string) *goquery.Document {
		t.Helper()
		q, err := url.ParseQuery(query)
		a.must(err)
		fields := []string{"do", do}
		for k := range q {
			fields = append(fields, k, q.Get(k))
		}
		return a.settled(at(t, a.send("/broker/dead/many", fields...)))
	}
	job := count("retry", "service=billing&error=tariff")
	confirm := job.Find(testid("confirm"))
	if !strings.Contains(confirm.Text(), "3 dead letters will be queued again") || !strings.Contains(job.Find(".facts").Text(), "of billing") {
		t.Errorf("counted: %s", job.Find("main").Text())
	}
	if got := a.page("/broker/dead").Find(testid("letter")).Length(); got != 5 {
		t.Errorf("counting changed something: %d are left", got)
	}
	done := a.settled(at(t, a.send(confirm.Find("form").AttrOr("action", ""), "rate", "100")))
	if got := done.Find(".notice").Text(); !strings.Contains(got, "3 dead letters retried") {
		t.Errorf("done: %q", got)
	}
	if got := a.page("/broker/dead"); got.Find(testid("letter")).Length() != 2 ||
		!strings.Contains(got.Find(testid("jobs")).Text(), "3 retried, by operator") {
		t.Errorf("left: %s", got.Find("main").Text())
	}
	if got := count("delete", "service=billing&error=nothing+like+it").Find(".notice").Text(); !strings.Contains(got, "None matches") {
		t.Errorf("none: %q", got)
	}
	all := count("delete", "").Find(testid("confirm")+" form").AttrOr("action", "")
	late := a.die("crm", "no tariff for 5")[0] // after the count, so not meant
	a.settled(at(t, a.send(all, "confirm", "2")))
	if got := a.page("/broker/dead").Find(testid("letter")); got.Length() != 1 || !strings.Contains(got.Text(), late) {
		t.Errorf("left: %s", got.Text())
	}
	wantStatus(t, a.send("/broker/dead/many", "do", "burn"), http.StatusBadRequest)
	wantStatus(t, a.get("/broker/dead/many/none", a.as), http.StatusNotFound)
	a.wantRecord("operator | dead.retry | dead letters of billing, whose error has “tariff” | done")
	a.wantRecord("operator | dead.delete | dead letters all of them | done")
}

func TestStopManyDeadLetters(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	errors := make([]string, 30)
	for i := range errors {
		errors[i] = "boom"
	}
	a.die("billing", errors...)
	path := at(t, a.send("/broker/dead/many", "do", "retry", "service", "billing"))
	action := a.settled(path).Find(testid("confirm")+" form").AttrOr("action", "")
	a.send(action, "rate", "10")
	var running *goquery.Document
	kvtest.Await(t, "it goes on", func() bool {
		running = a.page(path)
		return running.Find("progress").AttrOr("value", "0") != "0"
	})
	rec := a.post(running.Find("form[action$='/stop']").AttrOr("action", ""), nil, a.as, fragment)
	wantStatus(t, rec, http.StatusOK)
	if got := a.settled(path).Find(".notice").Text(); !strings.Contains(got, "Stopped.") || !strings.Contains(got, "the others stay") {
		t.Errorf("stopped: %q", got)
	}
	if n := a.page("/broker/dead").Find(testid("letter")).Length(); n == 0 || n == 30 {
		t.Errorf("%d are left", n)
	}
}
