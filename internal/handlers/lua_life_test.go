package handlers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/lua"
)

// TestAProgramAndItsServiceLeadToEachOther goes from a program to its figures and its invocations, and back.
func TestAProgramAndItsServiceLeadToEachOther(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	ctx := t.Context()
	cookie := a.signIn(Operator)
	if _, _, err := a.deps.Lua.Put(ctx, lua.By{Who: "w"}, "stock", "return 1", 0); err != nil {
		t.Fatal(err)
	}
	page := func(path string, status int) string {
		t.Helper()
		rec := a.get(path, session(cookie))
		wantStatus(t, rec, status)
		html, err := doc(t, rec).Find("main").Html()
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(html, "&amp;", "&")
	}
	has := func(where, html string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(html, want) {
				t.Errorf("%s has no %s in\n%s", where, want, html)
			}
		}
	}
	has("a program that nobody used", page("/lua/stock", http.StatusOK), "It was not called.", "Nobody has invoked it so far.",
		`href="/broker/invoke?service=lua%3Astock"`)

	for _, service := range []string{"lua:stock", "lua:gone"} {
		cid, err := a.deps.Broker.Invoke(ctx, broker.Call{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		a.deps.Stats.Record(service, 2*time.Millisecond, service == "lua:gone", cid)
	}
	if err := a.deps.Stats.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	program := a.get("/lua/stock", session(cookie), fragment, header("HX-Target", "div#life"))
	wantStatus(t, program, http.StatusOK)
	d := doc(t, program)
	if d.Find("h1").Length() > 0 || d.Find(testid("life-tile")).Length() != 4 || d.Find(testid("life-call")).Length() != 1 {
		t.Errorf("asked for its life alone, a program says %s", program.Body)
	}
	has("a program that was called", page("/lua/stock", http.StatusOK), `href="/stats/service?name=lua%3Astock&period=24h"`,
		`href="/broker/services/lua:stock"`,
		`href="/broker/services/lua:stock?state=queued"`, `href="/broker/dead?service=lua%3Astock"`, `href="/broker/invocations/`)
	has("its service", page("/broker/services/lua:stock", http.StatusOK), `href="/lua/stock"`, `href="/stats/service?name=lua%3Astock"`)
	has("its figures", page("/stats/service?name=lua:stock", http.StatusOK), `href="/lua/stock"`, `href="/lua/stock/runs"`,
		`href="/broker/services/lua:stock"`)

	has("a service without a program", page("/broker/services/lua:gone", http.StatusOK), "There is no program gone")
	has("the figures of one", page("/stats/service?name=lua:gone", http.StatusOK), "There is no program gone any more")
	has("a program that is gone", page("/lua/gone", http.StatusNotFound), `href="/broker/services/lua:gone"`)
}
