package handlers

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/correlation"
	"webadmin/internal/lua"
)

// TestEveryCIDIsALink: records and runs lead to the invocation on whose behalf they were made, and it leads to them.
func TestEveryCIDIsALink(t *testing.T) {
	t.Parallel()
	a := newBrokerApp(t)
	ctx := context.Background()
	if _, _, err := a.deps.Lua.Put(ctx, lua.By{Who: "anna"}, "p", "return 1", 0); err != nil {
		t.Fatal(err)
	}
	cid := a.invoke(broker.Call{Service: "lua:p"})
	got, err := a.deps.Broker.Receive(ctx, "lua:p", "w", 1, 0, 0)
	a.must(err)
	for _, ctx := range []context.Context{ctx, correlation.With(ctx, cid)} {
		if _, err := a.deps.Lua.Run(ctx, lua.Caller{Who: "broker"}, lua.Call{Name: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []audit.Record{
		{Actor: "orders", Verb: "entry.create", Object: "entry x", CID: cid, Outcome: audit.Done},
		{Actor: "orders", Verb: "entry.create", Object: "entry y", CID: "theirs", Outcome: audit.Done},
		{Actor: "anna", Verb: "invocation.cancel", Object: invocationObject(cid), Outcome: audit.Done},
	} {
		a.must(a.deps.Audit.Write(ctx, r))
	}
	to := "a[href='/broker/invocations/" + cid + "']"

	one := a.page("/broker/invocations/" + cid)
	runs, records := one.Find(testid("state")+" a[href*='/runs']").AttrOr("href", ""), one.Find(testid("state")+" a[href^='/audit']").AttrOr("href", "")
	if rows := a.page(runs).Find(testid("run")); rows.Length() != 1 || rows.Find(to).Length() != 1 {
		t.Errorf("its runs: %s", rows.Text())
	}
	if rows := a.page("/lua/p/runs").Find(testid("run")); rows.Length() != 2 || rows.Find(to).Length() != 1 {
		t.Errorf("all runs: %s", rows.Text())
	}
	wantText(t, a.page("/lua/p/runs?cid=other").Find("#runs"), "None of the last 100 runs was made on behalf of other.")
	if rows := a.page(records).Find(testid("record")); rows.Length() != 1 || !strings.Contains(rows.Text(), "entry x") || rows.Find(to).Length() != 1 {
		t.Errorf("its records: %s", rows.Text())
	}
	all := a.page("/audit")
	if n := all.Find(testid("record") + " " + to).Length(); n != 2 {
		t.Errorf("%d links to it in the log", n)
	}
	wantText(t, all.Find("tbody"), "on behalf of theirs")
	csv := a.get("/audit/export?format=csv&cid="+cid, a.as).Body.String()
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], ",cid") || !strings.HasSuffix(lines[1], ","+cid) {
		t.Errorf("%s", csv)
	}
	if json := a.get("/audit/export?format=json&cid="+cid, a.as).Body.String(); !strings.Contains(json, `"cid":"`+cid+`"`) {
		t.Errorf("%s", json)
	}

	// What leads to it is kept longer than it.
	a.must(a.deps.Broker.Nack(ctx, cid, got[0].Lease, "no", time.Hour))
	rec := a.get("/broker/invocations/"+strings.Replace(cid, cid[:4], "zzzz", 1), a.as)
	wantStatus(t, rec, http.StatusNotFound)
	gone := doc(t, rec).Find(testid("gone"))
	wantText(t, gone, "The invocation is no longer kept", "It was one of lua:p. Of these, done ones are kept for 1 h and dead letters for 30 d")
	if gone.Find("a[href='/broker/invocations']").Length() != 1 || gone.Find("a[href='/broker/services/lua:p']").Length() != 1 {
		t.Errorf("%s", gone.Text())
	}
	rec = a.get("/broker/invocations/theirs", a.as)
	wantStatus(t, rec, http.StatusNotFound)
	wantText(t, doc(t, rec).Find(testid("gone")), "That is no invocation theirs")
}
