package handlers

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/kvdb/kvtest"
)

// job waits until a job does nothing, and returns its page.
func (a *runApp) job(at string) *goquery.Document {
	a.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if d := doc(a.t, a.show(at, fragment)); d.Find("#job[hx-trigger]").Length() == 0 {
			return d
		}
	}
	a.t.Fatal("it does not end")
	return nil
}

func TestManyKeysAreDeletedAtOnce(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	for i := range 30 {
		a.set(fmt.Sprintf("gone:%d", i), "x")
	}
	a.set("stays", "x")
	pattern := a.key("gone:*")
	rec := a.send("/redis/keys/bulk", []string{"match", pattern, "do", "delete"})
	wantStatus(t, rec, http.StatusSeeOther)
	at := rec.Header().Get("Location")
	d := a.job(at)
	wantText(t, d.Find(testid("confirm")), "About 30 keys", "Delete 30 keys")
	wantStatus(t, a.send(at+"/run", []string{"confirm", "gone"}, fragment), http.StatusUnprocessableEntity)
	if a.value("gone:1") != "x" {
		t.Fatal("deleted without confirmation")
	}
	wantStatus(t, a.send(at+"/run", []string{"confirm", pattern}, fragment), http.StatusOK)
	wantText(t, a.job(at).Selection, "30 keys deleted.")
	if n := len(a.client().Keys(ctx, pattern).Val()); n != 0 || a.value("stays") != "x" {
		t.Errorf("%d are left", n)
	}
	a.wantRecord("operator | keys.delete | keys " + pattern + " | done")
	wantText(t, doc(t, a.show("/redis/keys/bulk")).Find(testid("recent")), pattern, "done: 30 keys")

	rec = a.send("/redis/keys/bulk", []string{"match", a.key("stays*"), "do", "expire", "amount", "5", "unit", "m"})
	at = rec.Header().Get("Location")
	a.job(at)
	wantStatus(t, a.send(at+"/run", []string{"confirm", a.key("stays*")}), http.StatusSeeOther)
	wantText(t, a.job(at).Selection, "1 key set to expire")
	if ttl := a.client().TTL(ctx, a.key("stays")).Val(); ttl <= 0 {
		t.Errorf("TTL %v", ttl)
	}
	for _, bad := range [][]string{{"match", "", "do", "delete"}, {"match", "x", "do", ""}, {"match", "x", "do", "expire"},
		{"match", `\q`, "escapes", "1", "do", "delete"}} {
		wantStatus(t, a.send("/redis/keys/bulk", bad), http.StatusUnprocessableEntity)
	}
	wantStatus(t, a.show("/redis/keys/bulk/nothing"), http.StatusNotFound)
}

func TestAJobOverManyKeysIsStopped(t *testing.T) {
	t.Parallel()
	a := newKeysAppOn(t, kvtest.NewServer(t).DB(t))
	ctx := context.Background()
	const keys = 60_000
	a.must(a.client().Eval(ctx, `for i = 1, ARGV[1] do redis.call('SET', 'gone:' .. i, 'x') end return 1`, nil, keys).Err())
	own := len(dump(t, a.app))
	start := func() string {
		return a.send("/redis/keys/bulk", []string{"match", "*", "do", "delete"}).Header().Get("Location")
	}
	at := start()
	wantStatus(t, a.send(at+"/stop", nil, fragment), http.StatusOK)
	wantText(t, a.job(at).Selection, "Stopped before anything was changed")

	at = start()
	a.job(at)
	wantStatus(t, a.send(at+"/run", []string{"confirm", "*"}, fragment), http.StatusOK)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if d := doc(t, a.show(at)); strings.Contains(d.Find(testid("figures")).Text(), "0") && a.client().DBSize(ctx).Val() < keys {
			break
		}
	}
	wantStatus(t, a.send(at+"/stop", nil), http.StatusSeeOther)
	wantText(t, a.job(at).Selection, "Stopped.", "the others stay")
	left := len(a.client().Keys(ctx, "gone:*").Val())
	if left == 0 || left == keys {
		t.Errorf("%d are left", left)
	}
	a.wantRecord("operator | keys.delete | keys * | done")
	if got := len(dump(t, a.app)); got < own {
		t.Errorf("%d of %d own keys are left", got, own)
	}
}
