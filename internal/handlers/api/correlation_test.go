package api_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/correlation"
	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
)

// onBehalfOf names the invocation on whose behalf a call is made.
func onBehalfOf(cid string) with { return header("X-Correlation-Id", cid) }

// What a worker does on behalf of an invocation leads back to it: the miss that it met, the run, what it changed.
func TestOnBehalfOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := object{"system1": "CRM", "key1": "C", "value1": "a&b", "system2": "ERP", "key2": "C"}
	query := url.Values{}
	for name, value := range ask {
		query.Set(name, value.(string))
	}
	w.want(202, "POST", "/broker/invoke", object{"service": "orders", "payload": object{}, "max_attempts": 1})
	worked := w.take("orders")
	w.want(200, "POST", "/translate", ask, onBehalfOf(worked.CID))
	w.want(200, "POST", "/translate/batch", object{"system1": "CRM", "key1": "C", "system2": "ERP", "key2": "C", "values": []string{"a&b"}},
		onBehalfOf("of another system"))
	w.want(200, "POST", "/translate/batch", object{"system1": "CRM", "key1": "C", "system2": "ERP", "key2": "C", "values": []string{"a&b"}},
		onBehalfOf("of-another-system"))
	w.want(204, "POST", "/broker/invocations/"+worked.CID+"/nack", object{"lease": worked.Lease, "error": "no code for a&b"})
	var met []any
	kvtest.Await(t, "both are written", func() bool {
		met = w.items("/dictionary/misses/invocations?" + query.Encode())
		return len(met) == 2
	})
	for _, m := range met {
		m := m.(object)
		service, state, failed := "orders", "dead", "no code for a&b"
		if m["cid"] != worked.CID {
			service, state, failed = "", "", ""
			if m["cid"] != "of-another-system" {
				t.Errorf("%v", m)
			}
		}
		if m["service"] != service || m["state"] != state || m["error"] != failed {
			t.Errorf("%v", m)
		}
	}
	if miss := w.items("/dictionary/misses")[0].(object); miss["count"] != 3.0 || miss["invocations"] != 2.0 {
		t.Errorf("%v", miss)
	}
	w.want(422, "GET", "/dictionary/misses/invocations?system1=CRM", nil)

	w.want(201, "POST", "/dictionary/translations", but(ask, "value2", "x", "create_entries", true), onBehalfOf(worked.CID))
	w.want(201, "POST", "/dictionary/entries", entry("CRM", "C", "z"))
	all := w.items("/audit")
	mine := w.items("/audit?cid=" + worked.CID)
	if len(all) < 2 || len(mine) != 1 || mine[0].(object)["cid"] != worked.CID || !strings.HasPrefix(mine[0].(object)["verb"].(string), "translation.") {
		t.Errorf("of %d records: %v", len(all), mine)
	}
	if len(w.items("/dictionary/misses/invocations?"+query.Encode())) != 2 {
		t.Error("the answer took them away")
	}

	w.want(200, "POST", "/lua/run", object{"source": "return 1"}, w.as(account.Admin), onBehalfOf(worked.CID))
	page, err := w.lua.Runs(context.Background(), "", "", 1)
	if err != nil || len(page.Items) != 1 || page.Items[0].CID != worked.CID {
		t.Errorf("%+v, %v", page, err)
	}
}

// A program that is a service runs on behalf of the invocation that its handler was called for.
func TestProgramsRunOnBehalfOfInvocations(t *testing.T) {
	t.Parallel()
	l := lua.New(kvtest.Open(t), lua.Options{})
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	if _, _, err := l.Put(t.Context(), lua.By{Who: "test"}, "p", "return 1", 0); err != nil {
		t.Fatal(err)
	}
	run := api.LuaHandler(l)
	if _, err := run(correlation.With(t.Context(), "c1"), broker.Delivery{Service: "lua:p", CID: "c1", Payload: []byte("null")}); err != nil {
		t.Fatal(err)
	}
	page, err := l.Runs(t.Context(), "p", "", 1)
	if err != nil || len(page.Items) != 1 || page.Items[0].CID != "c1" || page.Items[0].Who != api.BrokerCaller {
		t.Errorf("%+v, %v", page, err)
	}
}
