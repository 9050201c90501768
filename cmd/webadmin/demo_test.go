package main

import (
	"encoding/json"
	"strings"
	"testing"

	"webadmin/internal/kvdb/kvtest"
)

// The way through the demo that the README leads: orders fail on a translation that is missing, and succeed once it is there.
func TestDemoOrdersFailOnAMissingTranslation(t *testing.T) {
	t.Parallel()
	s := serveDemo(t)
	token := strings.TrimSpace(s.command("token", "create", "--name", "trying", "--role", "operator"))
	get := func(path string, v any) {
		t.Helper()
		if status, answer := s.call("GET", "/api/v1"+path, token, ""); status != 200 || json.Unmarshal([]byte(answer), v) != nil {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	var dead struct {
		Items []struct {
			CID   string
			Error string
		}
	}
	const missing = "CRM COUNTRY_CODE XK has no translation to BILLING COUNTRY_CODE"
	kvtest.Await(t, "an order has failed on a missing translation", func() bool {
		get("/broker/services/demo:orders/dead", &dead)
		return len(dead.Items) > 0 && dead.Items[0].Error == missing
	})
	kvtest.Await(t, "the miss is counted", func() bool {
		var misses struct{ Items []struct{ Value1 string } }
		get("/dictionary/misses", &misses)
		return len(misses.Items) == 1 && misses.Items[0].Value1 == unmapped
	})
	const translation = `{"system1":"CRM","key1":"COUNTRY_CODE","value1":"XK","system2":"BILLING","key2":"COUNTRY_CODE","value2":"383","create_entries":true}`
	if status, answer := s.call("POST", "/api/v1/dictionary/translations", token, translation); status != 201 {
		t.Fatalf("add: %d %s", status, answer)
	}
	if status, answer := s.call("POST", "/api/v1/broker/services/demo:orders/dead/retry", token, `{"error_contains":"XK"}`); status != 200 {
		t.Fatalf("retry: %d %s", status, answer)
	}
	kvtest.Await(t, "the order is done", func() bool {
		var order struct {
			State  string
			Result struct{ Country string }
		}
		get("/broker/invocations/"+dead.Items[0].CID, &order)
		return order.State == "done" && order.Result.Country == "383"
	})
}
