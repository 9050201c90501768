package handlers

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
)

// found returns the panels of a search with what they hold, as "Services: orders.new"; without Redis keys, as all tests share a server.
func found(t *testing.T, a *app, cookie, q string) (all []string) {
	t.Helper()
	rec := a.get("/search?q="+url.QueryEscape(q), session(cookie))
	wantStatus(t, rec, http.StatusOK)
	doc(t, rec).Find(testid("hit")).Each(func(_ int, hit *goquery.Selection) {
		if panel := strings.TrimSpace(hit.Closest("table").Find("caption").Text()); panel != "Redis keys" {
			all = append(all, panel+": "+strings.TrimSpace(hit.Find("a").Text()))
		}
	})
	return all
}

func TestSearchEverything(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	ctx := context.Background()
	cookie := a.signIn(Viewer)
	_, _, err := a.deps.Dict.CreateTranslation(ctx, dict.By{Who: "w"}, dict.Translation{System1: "CRM", Key1: "k", Value1: "order-1", System2: "ERP", Key2: "k", Value2: "o1"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.deps.Lua.Put(ctx, lua.By{Who: "w"}, "count.orders", "return 1", 0); err != nil {
		t.Fatal(err)
	}
	cid, err := a.deps.Broker.Invoke(ctx, broker.Call{Service: "orders.new"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.deps.Broker.Publish(ctx, "news.orders", []byte("1"), "w", ""); err != nil {
		t.Fatal(err)
	}
	got := found(t, a, cookie, " order ")
	for _, want := range []string{"Programs: count.orders", "Services: orders.new", "Channels: news.orders", "Translations: order-1", "Entries: order-1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q finds %q, without %q", "order", got, want)
		}
	}
	wantRedirect(t, a.get("/search?q=+"+cid, session(cookie)), "/broker/invocations/"+cid)
	gone := a.get("/search?q="+strings.Repeat("0", 26)+"-00000000", session(cookie))
	wantStatus(t, gone, http.StatusOK)
	if got := doc(t, gone).Find("main").Text(); !strings.Contains(got, "No invocation has this CID any more") {
		t.Errorf("a CID that is not kept finds %q", got)
	}
	a.deps.Stats.Record("order.import", time.Millisecond, false, "")
	if err := a.deps.Stats.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := found(t, a, cookie, "order.import"); !slices.Equal(got, []string{"Statistics: order.import"}) {
		t.Errorf("a service of another server finds %q", got)
	}
	if got, want := found(t, a, cookie, "viewer"), found(t, a, a.signIn(Admin), "viewer"); len(got) != 0 || !slices.Equal(want, []string{"Users: viewer"}) {
		t.Errorf("a user is found as %q by a viewer, as %q by an admin", got, want)
	}
	if got := found(t, a, cookie, "dead"); !slices.Equal(got, []string{"Pages: Dead letters"}) {
		t.Errorf("a page's name finds %q", got)
	}
	if got := found(t, a, cookie, "webhooks"); got != nil {
		t.Errorf("a viewer finds %q", got)
	}
	key := string(a.deps.DB.Keys()) // of this test alone
	if err := a.deps.DB.Client().Set(ctx, "found-"+key, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	rec := a.get("/search?q="+url.QueryEscape("found-"+key), session(cookie))
	if got := doc(t, rec).Find("main").Text(); !strings.Contains(got, "Redis keys") {
		t.Errorf("a key is not found: %s", got)
	}
	rec = a.get("/search?q=nothing+is+called+that", session(cookie))
	wantStatus(t, rec, http.StatusOK)
	if got := doc(t, rec).Find("main").Text(); !strings.Contains(got, "Nothing is called that") {
		t.Errorf("a search that finds nothing says %q", got)
	}
	wantStatus(t, a.get("/search", session(cookie)), http.StatusOK)
}

func TestSearchWithoutRedis(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	a := newAppOn(t, kvtest.Open(t), func(d *Deps) { d.DB = srv.DB(t); d.Dict = dict.New(d.DB, dict.Options{}) })
	cookie := a.signIn(Viewer)
	srv.Kill()
	rec := a.get("/search?q=overview", session(cookie))
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if got := doc(t, rec).Find("main").Text(); !strings.Contains(got, "Not searched: translations, entries, redis keys.") || !strings.Contains(got, "Overview") {
		t.Errorf("without the KVDB the search says %q", got)
	}
}
