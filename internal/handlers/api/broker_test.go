package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/kvdb/kvtest"
)

// invoke puts something into the queue of a service and returns its CID. payload is JSON as it is.
func (w *world) invoke(service, payload string) string {
	w.t.Helper()
	a := w.want(202, "POST", "/broker/invoke", fmt.Sprintf(`{"service":%q,"payload":%s}`, service, payload))
	cid, _ := a.object(w.t)["cid"].(string)
	if cid == "" {
		w.t.Fatalf("no cid: %s", a.raw)
	}
	return cid
}

// received is what a worker got.
type received struct {
	CID, Lease string
	Attempt    int
	Payload    json.RawMessage
	InReplyTo  string `json:"in_reply_to"`
}

func (w *world) receive(service string, body object) []received {
	w.t.Helper()
	var out struct{ Invocations []received }
	w.want(200, "POST", "/broker/services/"+service+"/receive", body).into(w.t, &out)
	return out.Invocations
}

// take receives the one invocation that there is.
func (w *world) take(service string) received {
	w.t.Helper()
	got := w.receive(service, object{"wait_ms": 5000})
	if len(got) != 1 {
		w.t.Fatalf("received %v", got)
	}
	return got[0]
}

func (w *world) invocation(cid string) object {
	w.t.Helper()
	return w.want(200, "GET", "/broker/invocations/"+cid, nil).object(w.t)
}

func (w *world) service(name string) object {
	w.t.Helper()
	for _, s := range w.items("/broker/services") {
		if s.(object)["service"] == name {
			return s.(object)
		}
	}
	return nil
}

func TestInvocationFromCallToResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const payload = `{"n": 12345678901234567890.10, "s":"<é\u00e9>", "a":[ ]}`
	cid := w.invoke("orders", payload)
	if got := w.invocation(cid); got["state"] != "queued" || got["service"] != "orders" ||
		got["by"] != "token-operator" || len(got["attempts"].([]any)) != 0 {
		t.Errorf("queued: %v", got)
	}
	one := w.want(200, "POST", "/broker/services/orders/receive", object{"max": 10, "lease_ms": 5000, "worker": "host-1"})
	if !strings.Contains(string(one.raw), `"payload":`+payload+`,"attempt":1,`) {
		t.Errorf("the payload is not what was sent: %s", one.raw)
	}
	var got struct{ Invocations []received }
	one.into(t, &got)
	m := got.Invocations[0]
	running := w.invocation(cid)
	attempt, _ := running["attempts"].([]any)[0].(object)
	if running["state"] != "running" || attempt["attempt"] != 1.0 || attempt["worker"] != "token-operator:host-1" ||
		attempt["ended_at"] != nil || attempt["started_at"] == nil {
		t.Errorf("running: %v", running)
	}
	path := "/broker/invocations/" + cid
	before, _ := time.Parse(time.RFC3339, running["lease_until"].(string))
	until, err := time.Parse(time.RFC3339, w.want(200, "POST", path+"/extend", object{"lease": m.Lease}).object(t)["lease_until"].(string))
	if err != nil || until.Before(before) {
		t.Errorf("the lease ends %v, before %v (%v)", until, before, err)
	}
	w.want(409, "POST", path+"/ack", object{"lease": "1-other"})
	w.want(204, "POST", path+"/ack", `{"lease":"`+m.Lease+`","result": {"ok": 1.0e2} }`)
	done := w.want(200, "GET", path, nil)
	if o := done.object(t); o["state"] != "done" || o["ended_at"] == nil || o["error"] != nil ||
		o["attempts"].([]any)[0].(object)["ended_at"] == nil || !strings.Contains(string(done.raw), `"result":{"ok":1.0e2}`) {
		t.Errorf("done: %s", done.raw)
	}
	detail, _ := w.want(409, "POST", path+"/ack", object{"lease": m.Lease}).problem(t)
	if !strings.Contains(detail, "is done") {
		t.Errorf("a second ack: %s", detail)
	}
	w.want(409, "POST", path+"/extend", object{"lease": m.Lease})
	w.want(409, "POST", path+"/nack", object{"lease": m.Lease, "error": "late"})
	w.want(409, "POST", path+"/cancel", nil)
}

func TestResultsAndPayloadsThatAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for payload, ack := range map[string]string{"": "", `"payload":null,`: `,"result":null`} {
		cid := w.want(202, "POST", "/broker/invoke", `{`+payload+`"service":"orders"}`).object(t)["cid"].(string)
		m := w.take("orders")
		if string(m.Payload) != "null" {
			t.Errorf("%q: payload %s", payload, m.Payload)
		}
		w.want(204, "POST", "/broker/invocations/"+cid+"/ack", `{"lease":"`+m.Lease+`"`+ack+`}`)
		result, there := w.invocation(cid)["result"]
		if result != nil || there != (ack != "") {
			t.Errorf("%q: result %v, %v", ack, result, there)
		}
	}
}

func TestEchoRepliesAndCallsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.broker.StartWorkers(t.Context(), 2)
	cid := w.want(202, "POST", "/broker/invoke", object{"service": "echo", "payload": object{"a": 1},
		"callback": "orders.replied"}).object(t)["cid"].(string)
	back := w.take("orders.replied")
	if back.InReplyTo != cid || string(back.Payload) != `{"a":1}` {
		t.Errorf("the callback: %+v", back)
	}
	got := w.invocation(cid)
	if got["state"] != "done" || !cmp.Equal(got["result"], object{"a": 1.0}) || got["callback"] != "orders.replied" {
		t.Errorf("%v", got)
	}
	kvtest.Await(t, "the invocation names its callback", func() bool { return w.invocation(cid)["callback_cid"] == back.CID })
	if w.service("echo")["handler"] != "builtin" || w.service("orders.replied")["handler"] != "pull" {
		t.Errorf("%v", w.items("/broker/services"))
	}
}

func TestInvokeTwiceWithOneKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := object{"service": "orders", "payload": object{"n": 1}, "idempotency_key": "order 17"}
	first := w.want(202, "POST", "/broker/invoke", body).object(t)["cid"]
	if again := w.want(202, "POST", "/broker/invoke", body).object(t)["cid"]; again != first {
		t.Errorf("%v, then %v", first, again)
	}
	detail, _ := w.want(409, "POST", "/broker/invoke", but(body, "payload", 2)).problem(t)
	if !strings.Contains(detail, first.(string)) {
		t.Errorf("another payload: %s", detail)
	}
	if other := w.want(202, "POST", "/broker/invoke", but(body, "service", "bills")).object(t)["cid"]; other == first {
		t.Error("another service has the same cid")
	}
	if n := len(w.receive("orders", object{"max": 100})); n != 1 {
		t.Errorf("%d invocations", n)
	}
}

func TestFailuresBecomeADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "payload": 1, "max_attempts": 2}).object(t)["cid"].(string)
	for attempt, text := range []string{"first trouble", "second trouble"} {
		m := w.take("orders")
		if m.Attempt != attempt+1 || m.CID != cid {
			t.Errorf("%+v", m)
		}
		w.want(204, "POST", "/broker/invocations/"+cid+"/nack", object{"lease": m.Lease, "error": text, "retry_after_ms": 0})
	}
	got := w.invocation(cid)
	attempts := got["attempts"].([]any)
	if got["state"] != "dead" || got["error"] != "second trouble" || len(attempts) != 2 || attempts[0].(object)["error"] != "first trouble" ||
		attempts[0].(object)["ended_at"] == nil {
		t.Errorf("%v", got)
	}
	path := "/broker/services/orders/dead"
	letter := w.items(path)[0].(object)
	if letter["cid"] != cid || letter["payload"] != 1.0 || letter["error"] != "second trouble" || letter["died_at"] == nil || letter["attempts"] == nil {
		t.Errorf("%v", letter)
	}
	if n := w.service("orders")["dead"]; n != 1.0 {
		t.Errorf("%v dead", n)
	}
	if len(w.items(path+"?error_contains=first")) != 0 || len(w.items(path+"?error_contains=second")) != 1 ||
		len(w.items(path+"?before=2020-01-01T00:00:00Z")) != 0 {
		t.Error("the filters do not choose")
	}

	for _, body := range []object{{"cids": []string{cid}}, {"error_contains": "second"},
		{"before": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}} {
		for _, what := range []string{"/retry", "/delete"} {
			if a := w.want(200, "POST", path+what, but(body, "dry_run", true)); string(a.raw) != "{\"matched\":1}\n" {
				t.Errorf("%s %v: %s", what, body, a.raw)
			}
			if a := w.want(200, "POST", path+what+"?dry_run=true", body); string(a.raw) != "{\"matched\":1}\n" {
				t.Errorf("%s %v: %s", what, body, a.raw)
			}
		}
	}
	if a := w.want(200, "POST", path+"/retry", object{"cids": []string{cid, "none"}}); string(a.raw) != "{\"done\":1}\n" {
		t.Errorf("retry: %s", a.raw)
	}
	m := w.take("orders")
	if m.CID != cid || string(m.Payload) != "1" {
		t.Errorf("retried: %+v", m)
	}
	w.want(204, "POST", "/broker/invocations/"+cid+"/ack", object{"lease": m.Lease})

	other := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "max_attempts": 1}).object(t)["cid"].(string)
	w.want(204, "POST", "/broker/invocations/"+other+"/nack", object{"lease": w.take("orders").Lease, "error": "x"})
	if a := w.want(200, "POST", path+"/delete", object{"error_contains": "no such error"}); string(a.raw) != "{\"done\":0}\n" {
		t.Errorf("delete none: %s", a.raw)
	}
	if a := w.want(200, "POST", path+"/delete",
		object{"before": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}); string(a.raw) != "{\"done\":1}\n" {
		t.Errorf("delete: %s", a.raw)
	}
	w.want(404, "GET", "/broker/invocations/"+other, nil)
	w.want(200, "GET", "/broker/invocations/"+cid, nil)
}

func TestReceiveWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.receive("orders", object{}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	got := make(chan []received)
	go func() { got <- w.receive("orders", object{"wait_ms": 30000}) }()
	kvtest.Await(t, "the worker is known", func() bool { s := w.service("orders"); return s != nil && s["workers"] == 1.0 })
	cid := w.invoke("orders", "1")
	select {
	case in := <-got:
		if len(in) != 1 || in[0].CID != cid {
			t.Errorf("%v", in)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
	if n := len(w.receive("orders", object{"wait_ms": 1})); n != 0 {
		t.Errorf("%d of none", n)
	}
}

// A worker that is gone while it waits gets nothing, so that nothing waits for its lease.
func TestReceiveOfAClientThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		r := w.request("POST", base+"/broker/services/orders/receive", strings.NewReader(`{"wait_ms":30000}`), w.as(account.Operator)).WithContext(ctx)
		res, err := w.client.Do(r)
		if err == nil {
			err = res.Body.Close()
		}
		ended <- err
	}()
	kvtest.Await(t, "the worker is known", func() bool { s := w.service("orders"); return s != nil && s["workers"] == 1.0 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was answered")
	}
	w.invoke("orders", "1")
	if m := w.take("orders"); m.Attempt != 1 {
		t.Errorf("attempt %d", m.Attempt)
	}
}

func TestReceiveEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := make(chan []received)
	go func() { got <- w.receive("orders", object{"wait_ms": 30000}) }()
	kvtest.Await(t, "the worker is known", func() bool { s := w.service("orders"); return s != nil && s["workers"] == 1.0 })
	w.stop()
	select {
	case in := <-got:
		if len(in) != 0 {
			t.Errorf("%v", in)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
}

func TestPausedServicesHandOutNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.invoke("a/b:c.d_e-f", "1")
	path := "/broker/services/a%2Fb:c.d_e-f"
	if got := w.want(200, "POST", path+"/pause", nil).object(t); got["paused"] != true || got["queued"] != 1.0 || got["service"] != "a/b:c.d_e-f" {
		t.Errorf("%v", got)
	}
	if got := w.receive("a%2Fb:c.d_e-f", object{"wait_ms": 50}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := w.want(200, "POST", path+"/resume", nil).object(t); got["paused"] != false {
		t.Errorf("%v", got)
	}
	if m := w.take("a%2Fb:c.d_e-f"); m.CID != cid {
		t.Errorf("%v", m)
	}
	if got := w.service("a/b:c.d_e-f"); got["running"] != 1.0 || got["queued"] != 0.0 || got["oldest_ms"] != 0.0 {
		t.Errorf("%v", got)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	waits := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "delay_ms": 3_600_000}).object(t)["cid"].(string)
	if got := w.invocation(waits); got["state"] != "delayed" || got["due_at"] == nil {
		t.Errorf("%v", got)
	}
	if got := w.want(200, "POST", "/broker/invocations/"+waits+"/cancel", nil).object(t); got["state"] != "cancelled" || got["ended_at"] == nil {
		t.Errorf("%v", got)
	}
	runs := w.invoke("orders", "1")
	m := w.take("orders")
	w.want(200, "POST", "/broker/invocations/"+runs+"/cancel", nil)
	detail, _ := w.want(409, "POST", "/broker/invocations/"+runs+"/ack", object{"lease": m.Lease}).problem(t)
	if !strings.Contains(detail, "cancelled") {
		t.Errorf("an ack after it: %s", detail)
	}
	if a := w.call("POST", "/broker/invocations/"+runs+"/cancel", nil); a.status != 409 {
		t.Errorf("a second time: %d", a.status)
	}
}

func TestExpiredAreNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(200, "POST", "/broker/services/orders/pause", nil) // so that it is not handed out before
	cid := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "expires_ms": 1}).object(t)["cid"].(string)
	kvtest.Await(t, "it expires", func() bool {
		w.receive("orders", object{})
		return w.invocation(cid)["state"] == "expired"
	})
	w.want(200, "POST", "/broker/services/orders/resume", nil)
	if got := w.receive("orders", object{}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestLostLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.invoke("orders", "1")
	first := w.receive("orders", object{"lease_ms": 100})[0]
	second := w.take("orders")
	if second.CID != cid || second.Attempt != 2 {
		t.Errorf("%+v", second)
	}
	for _, call := range []string{"ack", "extend", "nack"} {
		body := object{"lease": first.Lease}
		if call == "nack" {
			body["error"] = "late"
		}
		w.want(409, "POST", "/broker/invocations/"+cid+"/"+call, body)
	}
	w.want(204, "POST", "/broker/invocations/"+cid+"/ack", object{"lease": second.Lease})
	if first := w.invocation(cid)["attempts"].([]any)[0].(object); !strings.Contains(first["error"].(string), "lease") {
		t.Errorf("%v", first)
	}
}

func TestInvocationLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var orders []string
	for i := range 5 {
		orders = append([]string{w.invoke("orders", fmt.Sprintf(`{"n":"number %d"}`, i))}, orders...)
	}
	bill := w.invoke("bills", `"`+strings.Repeat("x", 5000)+`"`)
	cidsOf := func(path string) []string {
		t.Helper()
		var out []string
		for _, i := range w.items(path) {
			out = append(out, i.(object)["cid"].(string))
		}
		return out
	}
	for path, want := range map[string][]string{
		"?service=orders":                orders,
		"?service=orders&limit=2":        orders,
		"?limit=4":                       append([]string{bill}, orders...),
		"?q=number+3":                    {orders[1]},
		"?state=queued&service=bills":    {bill},
		"?state=dead":                    nil,
		"?service=none":                  nil,
		"?service=orders&q=" + orders[4]: {orders[4]},
		"?service=orders&state=queued&q=no+such+text": nil,
	} {
		if diff := cmp.Diff(want, cidsOf("/broker/invocations"+path)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
	long := w.items("/broker/invocations?service=bills")[0].(object)
	if text, _ := long["payload"].(string); long["truncated"] != true || !strings.HasPrefix(text, `"xxx`) || len(text) > 2048 {
		t.Errorf("a long payload: %.100v", long)
	}
	if whole, _ := w.invocation(bill)["payload"].(string); len(whole) != 5000 {
		t.Errorf("the whole payload has %d letters", len(whole))
	}
	w.want(422, "GET", "/broker/invocations?state=sleeping", nil)
	w.want(422, "GET", "/broker/invocations?cursor=nonsense", nil)
	names := []string{}
	for _, s := range w.items("/broker/services?limit=1") {
		names = append(names, s.(object)["service"].(string))
	}
	if diff := cmp.Diff([]string{"bills", "orders"}, names); diff != "" {
		t.Errorf("services (-want +got)\n%s", diff)
	}
	if got := w.items("/broker/services?q=ill"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
