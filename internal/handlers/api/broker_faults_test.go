package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/kvdb/kvtest"
)

func TestBrokerFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	w.invoke("orders", deep(999))
	w.invoke("orders", `"`+strings.Repeat("x", 1<<20-2)+`"`)
	w.invoke(strings.Repeat("s", 200), "1")
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"no service":          {"/broker/invoke", `{}`, 422, "service"},
		"a strange name":      {"/broker/invoke", `{"service":"a b"}`, 422, "service"},
		"braces":              {"/broker/invoke", `{"service":"a{b}"}`, 422, "service"},
		"201 letters":         {"/broker/invoke", `{"service":"` + strings.Repeat("s", 201) + `"}`, 422, "service"},
		"a strange callback":  {"/broker/invoke", `{"service":"s","callback":"ä"}`, 422, "callback"},
		"a negative delay":    {"/broker/invoke", `{"service":"s","delay_ms":-1}`, 422, "delay_ms"},
		"an endless delay":    {"/broker/invoke", `{"service":"s","delay_ms":9223372036854775807}`, 422, "delay_ms"},
		"no time to live":     {"/broker/invoke", `{"service":"s","expires_ms":0}`, 422, "expires_ms"},
		"no attempts":         {"/broker/invoke", `{"service":"s","max_attempts":0}`, 422, "max_attempts"},
		"many attempts":       {"/broker/invoke", `{"service":"s","max_attempts":101}`, 422, "max_attempts"},
		"a long key":          {"/broker/invoke", `{"service":"s","idempotency_key":"` + strings.Repeat("k", 1025) + `"}`, 422, "idempotency_key"},
		"an unknown field":    {"/broker/invoke", `{"service":"s","priority":1}`, 422, "priority"},
		"no JSON":             {"/broker/invoke", `{"service":"s","payload":{]}`, 400, "not JSON"},
		"too deep":            {"/broker/invoke", `{"service":"s","payload":` + deep(1000) + `}`, 400, "deeper"},
		"10,000 deep":         {"/broker/invoke", `{"service":"s","payload":` + deep(10000) + `}`, 400, "deeper"},
		"not UTF-8":           {"/broker/invoke", "{\"service\":\"s\",\"payload\":\"\xff\"}", 400, "UTF-8"},
		"half a letter":       {"/broker/invoke", `{"service":"s","payload":"\ud800"}`, 400, "surrogate"},
		"over the limit":      {"/broker/invoke", `{"service":"s","payload":"` + strings.Repeat("x", 1<<20-1) + `"}`, 413, "1048576"},
		"over any limit":      {"/broker/invoke", `{"service":"s","payload":"` + strings.Repeat("x", 16<<20) + `"}`, 413, "larger"},
		"too many":            {"/broker/services/s/receive", `{"max":101}`, 422, "max"},
		"too long":            {"/broker/services/s/receive", `{"wait_ms":30001}`, 422, "wait_ms"},
		"no lease":            {"/broker/services/s/receive", `{"lease_ms":0}`, 422, "lease_ms"},
		"a strange service":   {"/broker/services/a%20b/receive", `{}`, 422, "service"},
		"ack of none":         {"/broker/invocations/none/ack", `{"lease":"x"}`, 404, ""},
		"nack of none":        {"/broker/invocations/none/nack", `{"lease":"x","error":"e"}`, 404, ""},
		"extend of none":      {"/broker/invocations/none/extend", `{"lease":"x"}`, 404, ""},
		"cancel of none":      {"/broker/invocations/none/cancel", ``, 404, ""},
		"ack without lease":   {"/broker/invocations/none/ack", `{}`, 422, "lease"},
		"nack without error":  {"/broker/invocations/none/nack", `{"lease":"x"}`, 422, "error"},
		"a negative pause":    {"/broker/invocations/none/nack", `{"lease":"x","error":"e","retry_after_ms":-1}`, 422, "retry_after_ms"},
		"no choice":           {"/broker/services/orders/dead/delete", `{}`, 422, "cids"},
		"two choices":         {"/broker/services/orders/dead/retry", `{"cids":["x"],"error_contains":"y"}`, 422, "cids"},
		"no time":             {"/broker/services/orders/dead/retry", `{"before":"yesterday"}`, 422, "before"},
		"pause of no service": {"/broker/services/a%20b/pause", ``, 422, "service"},
	} {
		a := w.call("POST", c.path, strings.NewReader(c.body))
		if a.status != c.status || !strings.Contains(string(a.raw), c.says) {
			t.Errorf("%s: %d %.300s, want %d with %s", name, a.status, a.raw, c.status, c.says)
		}
		a.problem(t)
	}
	w.want(404, "GET", "/broker/invocations/none", nil)
	w.want(404, "GET", "/broker/invocations/00000000000000000000000000-00000000", nil)

	cid := w.invoke("bills", "1")
	m := w.take("bills")
	w.want(413, "POST", "/broker/invocations/"+cid+"/ack", `{"lease":"`+m.Lease+`","result":"`+strings.Repeat("x", 1<<20)+`"}`)
	w.want(204, "POST", "/broker/invocations/"+cid+"/nack", object{"lease": m.Lease, "error": strings.Repeat("e", 100_000)})
	if text := w.invocation(cid)["error"].(string); len(text) > 16<<10 {
		t.Errorf("the error has %d bytes", len(text))
	}
}

func TestBrokerRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.invoke("orders", "1")
	for _, path := range []string{"/broker/services", "/broker/invocations", "/broker/invocations/" + cid, "/broker/services/orders/dead"} {
		w.want(200, "GET", path, nil, w.as(account.Viewer))
		w.want(401, "GET", path, nil, header("Authorization", ""))
	}
	for path, body := range map[string]any{
		"/broker/invoke":                         object{"service": "orders"},
		"/broker/services/orders/receive":        object{},
		"/broker/services/orders/pause":          nil,
		"/broker/services/orders/resume":         nil,
		"/broker/services/orders/dead/retry":     object{"cids": []string{}},
		"/broker/services/orders/dead/delete":    object{"cids": []string{}},
		"/broker/invocations/" + cid + "/ack":    object{"lease": "x"},
		"/broker/invocations/" + cid + "/nack":   object{"lease": "x", "error": "e"},
		"/broker/invocations/" + cid + "/extend": object{"lease": "x"},
		"/broker/invocations/" + cid + "/cancel": nil,
	} {
		w.want(403, "POST", path, body, w.as(account.Viewer))
	}
	if got := w.invocation(cid); got["state"] != "queued" {
		t.Errorf("%v", got)
	}
}

func TestBrokerIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cid := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "max_attempts": 1}).object(t)["cid"].(string)
	w.receive("bills", object{}) // nothing, of which nothing is said
	path := "/broker/invocations/" + cid
	m := w.take("orders")
	w.want(200, "POST", path+"/extend", object{"lease": m.Lease})
	w.want(204, "POST", path+"/nack", object{"lease": m.Lease, "error": "x"})
	w.want(200, "POST", "/broker/services/orders/dead/retry", object{"cids": []string{cid}, "dry_run": true})
	w.want(200, "POST", "/broker/services/orders/dead/retry", object{"cids": []string{cid}})
	m = w.take("orders")
	w.want(204, "POST", path+"/ack", object{"lease": m.Lease})
	w.want(409, "POST", path+"/ack", object{"lease": m.Lease})
	w.want(200, "POST", "/broker/services/orders/pause", nil)
	w.want(409, "POST", path+"/cancel", nil)
	var got []string
	for _, r := range w.items("/audit") {
		r := r.(object)
		got = append([]string{fmt.Sprint(r["verb"], ", ", r["object"], ": ", r["outcome"])}, got...)
	}
	if diff := cmp.Diff([]string{
		"service.invoke, service orders: done", "service.receive, service orders: done",
		"invocation.nack, service orders: done", "dead.retry, service orders: done",
		"service.receive, service orders: done", "invocation.ack, service orders: done", "invocation.ack, service orders: failed",
		"service.pause, service orders: done", "invocation.cancel, invocation " + cid + ": failed",
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBrokerAway(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	w := newWorldOf(t, server.DB(t), kvtest.Open(t))
	cid := w.invoke("orders", "1")
	m := w.take("orders")
	server.Kill()
	for path, body := range map[string]any{
		"/broker/invoke":                         object{"service": "orders"},
		"/broker/services/orders/receive":        object{"wait_ms": 30000},
		"/broker/services/orders/pause":          nil,
		"/broker/services/orders/dead/retry":     object{"cids": []string{cid}},
		"/broker/invocations/" + cid + "/ack":    object{"lease": m.Lease},
		"/broker/invocations/" + cid + "/nack":   object{"lease": m.Lease, "error": "e"},
		"/broker/invocations/" + cid + "/extend": object{"lease": m.Lease},
		"/broker/invocations/" + cid + "/cancel": nil,
	} {
		if a := w.want(503, "POST", path, body); a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for _, path := range []string{"/broker/services", "/broker/invocations?service=orders",
		"/broker/invocations/" + cid, "/broker/services/orders/dead"} {
		w.want(503, "GET", path, nil)
	}
}

// What can't be recorded is not handed out.
func TestReceiveWithoutAuditLog(t *testing.T) {
	t.Parallel()
	state := kvtest.NewServer(t)
	w := newWorldOf(t, kvtest.Open(t), state.DB(t))
	cid := w.invoke("orders", "1")
	state.Kill()
	w.want(503, "POST", "/broker/services/orders/receive", object{})
	kvtest.Await(t, "it is given back", func() bool {
		i, err := w.broker.Invocation(t.Context(), cid)
		return err == nil && i.State == broker.Queued && len(i.Attempts) == 0
	})
}

func TestUnknownWhetherInvoked(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	w := newWorldOn(t, db)
	w.invoke("orders", "0") // so that the service is known
	deaf := &deafness{about: "{svc:orders}"}
	db.Client().AddHook(deaf)
	deaf.on.Store(true)
	a := w.want(504, "POST", "/broker/invoke", object{"service": "orders", "payload": "lost"})
	deaf.on.Store(false)
	got := a.object(t)
	check, _ := got["check"].(string)
	if got["outcome"] != "unknown" || !strings.HasPrefix(check, base+"/broker/invocations/") {
		t.Fatalf("%s", a.raw)
	}
	if i := w.want(http.StatusOK, "GET", strings.TrimPrefix(check, base), nil).object(t); i["payload"] != "lost" {
		t.Errorf("%v", i)
	}
}
