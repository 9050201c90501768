package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// newKeysApp is the server with an operator signed in, and keys that no other test uses.
func newKeysApp(t *testing.T) *runApp { return newRunApp(t) }

// newKeysAppOn is the server with an operator signed in, over a Redis that no other test uses.
func newKeysAppOn(t *testing.T, db *kvdb.DB) *runApp {
	b := newAppOn(t, db)
	return &runApp{dictApp: &dictApp{b, session(b.signIn(Operator))}}
}

func (a *runApp) client() redis.UniversalClient { return a.deps.DB.Client() }

func (a *runApp) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// at is the address of a page about a key.
func (a *runApp) at(page, name string, more ...string) string {
	to := "/redis/key" + page + "?key=" + url.QueryEscape(a.key(name))
	for i := 0; i+1 < len(more); i += 2 {
		to += "&" + more[i] + "=" + url.QueryEscape(more[i+1])
	}
	return to
}

func names(d *goquery.Document) []string {
	return d.Find(testid("key") + " a").Map(func(_ int, s *goquery.Selection) string { return s.Text() })
}

func TestKeysAreListedAndFiltered(t *testing.T) {
	t.Parallel()
	a := newKeysAppOn(t, kvtest.NewServer(t).DB(t)) // whose list nobody else's keys make longer
	ctx := context.Background()
	a.set("user:1", "x")
	a.set(`user:<em>2</em>`, "x")
	a.must(a.client().Expire(ctx, a.key("user:1"), 90*time.Minute+30*time.Second).Err())
	a.must(a.client().HSet(ctx, a.key("user:h"), "f", "v").Err())

	d := doc(t, a.show("/redis/keys?match="+url.QueryEscape(a.key("user:"))))
	if got := names(d); len(got) != 3 {
		t.Errorf("keys %q", got)
	}
	if d.Find("main em").Length() > 0 {
		t.Error("a name became markup")
	}
	wantText(t, d.Find(testid("means")), "*"+a.key("user:")+"*")
	wantText(t, d.Find("#list"), "in 1 h 30 min", "string", "hash", "never")
	wantText(t, d.Find(testid("more")), "Looked at all of about")
	if a.show("/redis/keys").Code != http.StatusOK {
		t.Error("no list of all")
	}

	d = doc(t, a.show("/redis/keys?type=hash&match="+url.QueryEscape(a.key("*")), fragment))
	if got := names(d); len(got) != 1 || got[0] != a.key("user:h") {
		t.Errorf("hashes %q", got)
	}
	d = doc(t, a.show("/redis/keys?match="+url.QueryEscape(a.key("none"))))
	wantText(t, d.Find("#list"), "No key matches", "Clear the filter")

	d = doc(t, a.show("/redis/keys?match="+url.QueryEscape(a.key("user:1"))))
	wantText(t, d.Find(testid("exact")), a.key("user:1"))
	wantStatus(t, a.show("/redis/keys?type="+url.QueryEscape("no type")), http.StatusUnprocessableEntity)
	wantStatus(t, a.show("/redis/keys?cursor=nonsense"), http.StatusUnprocessableEntity)
	wantStatus(t, a.show("/redis/keys?match="+strings.Repeat("x", 2000)), http.StatusUnprocessableEntity)
}

func TestKeysArePagedAndSearchedFor(t *testing.T) {
	t.Parallel()
	a := newKeysAppOn(t, kvtest.NewServer(t).DB(t))
	ctx := context.Background()
	pipe := a.client().Pipeline()
	for i := range 1000 {
		pipe.Set(ctx, fmt.Sprintf("user:%d:name", i), "x", 0)
	}
	_, err := pipe.Exec(ctx)
	a.must(err)

	seen, next := map[string]bool{}, "/redis/keys?match=user:*"
	for pages := 0; next != "" && pages < 20; pages++ {
		d := doc(t, a.show(next))
		for _, name := range names(d) {
			seen[name] = true
		}
		next, _ = d.Find("#more-next").Attr("href")
	}
	if len(seen) != 1000 {
		t.Errorf("%d keys", len(seen))
	}

	// A search that has not found enough goes on, and stops.
	d := doc(t, a.show("/redis/keys?match=user:*"))
	cursor, _ := d.Find("#more-next").Attr("href")
	d = rows(t, a.show(cursor+"&found=1", fragment, header("HX-Target", "tbody#more")))
	if got := len(names(d)); got != 99 {
		t.Errorf("%d more keys", got)
	}
	d = rows(t, a.show(cursor+"&found=1&stop=5+1000", fragment, header("HX-Target", "tbody#more")))
	wantText(t, d.Find(testid("more")), "Looked at 5 of about 1,000 keys, found 1", "Go on searching")
	if len(names(d)) != 0 {
		t.Error("a stopped search went on")
	}

	tree := doc(t, a.show("/redis/keys/prefixes", fragment))
	wantText(t, tree.Find(testid("branch")), "user:", "1,000")
	link, _ := tree.Find(testid("branch") + " a").Attr("href")
	if d := doc(t, a.show(link)); len(names(d)) != 100 {
		t.Errorf("%s has %d keys", link, len(names(d)))
	}
	wantText(t, doc(t, a.show("/redis/keys/prefixes?prefix=user:7:")).Find("main"), "No further prefixes", "7:")
}

func TestOwnKeysAreForAdminsAndReadOnly(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	own := string(a.deps.DB.Keys()) + "mine"
	a.must(a.client().Set(context.Background(), own, "secret", 0).Err())
	t.Cleanup(func() { a.client().Del(context.Background(), own) })
	at := "?key=" + url.QueryEscape(own)

	wantStatus(t, a.show("/redis/key"+at), http.StatusForbidden)
	if d := doc(t, a.show("/redis/keys?match="+url.QueryEscape(own))); len(names(d)) > 0 {
		t.Error("an operator sees it")
	}
	admin := a.as(Admin)
	d := doc(t, admin.show("/redis/key"+at))
	wantText(t, d.Find("main"), "webadmin's own", "secret")
	if d.Find("main form").Length() > 0 || d.Find("#edit-value").Length() > 0 {
		t.Error("it can be changed")
	}
	wantText(t, doc(t, admin.show("/redis/keys?match="+url.QueryEscape(own))).Find("#list"), "webadmin's own")
	wantStatus(t, admin.show("/redis/key/edit"+at+"&type=string"), http.StatusForbidden)
	for path, fields := range map[string][]string{
		"edit" + at + "&type=string": {"value", "x", "seen", kvdb.Digest("secret")},
		"delete" + at:                {"type", "string"},
		"ttl" + at:                   {"type", "string", "do", "set", "amount", "1"},
		"rename" + at:                {"type", "string", "to", a.key("stolen")},
		"add" + at + "&type=list":    {"value", "x"},
	} {
		wantStatus(t, admin.send("/redis/key/"+path, fields), http.StatusForbidden)
	}
	wantStatus(t, admin.send("/redis/keys/new", []string{"type", "string", "name", own + "2", "value", "x"}), http.StatusForbidden)
	a.set("from", "x")
	wantStatus(t, admin.send(a.at("/rename", "from"), []string{"type", "string", "to", own, "replace", "1"}), http.StatusForbidden)
	if got := a.client().Get(context.Background(), own).Val(); got != "secret" {
		t.Errorf("it is %q", got)
	}
}

func TestViewersReadKeysAndChangeNothing(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	a.set("k", "v")
	viewer := a.as(Viewer)
	d := doc(t, viewer.show(a.at("", "k")))
	wantText(t, d.Find(testid("text")), "v")
	if d.Find("main form").Length() > 0 || d.Find("#edit-value").Length() > 0 {
		t.Error("a viewer is offered changes")
	}
	for _, path := range []string{"/redis/keys/new", "/redis/keys/bulk", a.at("/edit", "k", "type", "string"), a.at("/delete", "k")} {
		wantStatus(t, viewer.show(path), http.StatusForbidden)
	}
	for _, path := range []string{"/redis/keys/bulk", a.at("/delete", "k"), a.at("/rename", "k")} {
		wantStatus(t, viewer.send(path, nil), http.StatusForbidden)
	}
	if d := doc(t, viewer.show("/redis/keys")); d.Find(`main a[href^="/redis/keys/new"], main a[href^="/redis/keys/bulk"]`).Length() > 0 {
		t.Error("a viewer is offered changes")
	}
}

func TestEscapes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "a\\b", "\x00\xff\n\r\t\x7f", "ä\u2028\xe2\x28", "\ufffd"} {
		if got, err := unescapeBytes("x", escapeBytes(s)); err != nil || got != s {
			t.Errorf("%q became %q by %q, %v", s, got, escapeBytes(s), err)
		}
	}
	for _, s := range []string{`\`, `\q`, `\x`, `\x1`, `\xzz`} {
		if got, err := unescapeBytes("x", s); err == nil {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}

func TestKeysPagesWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	state := kvtest.Open(t)
	b := newAppOn(t, state, func(d *Deps) { d.DB = srv.DB(t) })
	a := &dictApp{b, session(b.signIn(Operator))}
	srv.Kill()
	for _, path := range []string{"/redis/keys", "/redis/key?key=x", "/redis/keys/prefixes"} {
		wantStatus(t, a.show(path), http.StatusServiceUnavailable)
	}
	rec := a.send("/redis/key/edit?key=x&type=string", []string{"value", "typed", "seen", "x"})
	wantStatus(t, rec, http.StatusServiceUnavailable)
	wantText(t, doc(t, rec).Find("textarea"), "typed")
}
