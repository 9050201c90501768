package handlers

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
)

// TestOverviewSaysWhatNeedsSomeone counts what waits, each with the way to it, and says so when nothing does.
func TestOverviewSaysWhatNeedsSomeone(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	ctx := context.Background()
	cookie := a.signIn(Viewer)
	needs := func() string {
		t.Helper()
		rec := a.get("/", session(cookie))
		wantStatus(t, rec, http.StatusOK)
		return strings.Join(strings.Fields(doc(t, rec).Find(testid("needs")+", "+testid("no-needs")).Text()), "")
	}
	if got := needs(); strings.Contains(got, "deadletter") || strings.Contains(got, "failedcalls") {
		t.Errorf("of an empty store it says %q", got)
	}
	if _, err := a.deps.Broker.Invoke(ctx, broker.Call{Service: "orders", MaxAttempts: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := a.deps.Broker.Receive(ctx, "orders", "w", 1, 0, time.Minute)
	if err != nil || len(got) != 1 {
		t.Fatalf("received %v, %v", got, err)
	}
	if err := a.deps.Broker.Nack(ctx, got[0].CID, got[0].Lease, "no such customer", -1); err != nil {
		t.Fatal(err)
	}
	if _, err := a.deps.Dict.Translate(ctx, dict.Query{System1: "CRM", Key1: "k", Value1: "v", System2: "ERP", Key2: "k"}); err != nil {
		t.Fatal(err)
	}
	a.deps.Stats.Record("lua:slow.one", 3*time.Second, true, "")
	if err := a.deps.Stats.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.deps.Dict.Close(ctx); err != nil { // writes the misses
		t.Fatal(err)
	}
	said := needs()
	for _, want := range []string{
		"1 dead letter orders no such customer", "1 service or program with failed calls in the last hour lua:slow.one 1 of 1 calls",
		"1 slow service in the last hour lua:slow.one mean 3.0 s", "1 value that found no translation",
	} {
		want = strings.ReplaceAll(want, " ", "") // the page has cells between the words
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, without %q", said, want)
		}
	}
}
