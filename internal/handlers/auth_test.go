package handlers

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb/kvtest"
)

// cookieOf returns the cookie that an answer sets, nil when it sets none of that name.
func cookieOf(rec *httptest.ResponseRecorder, name string) *http.Cookie {
	cookies := rec.Result().Cookies()
	if i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == name }); i >= 0 {
		return cookies[i]
	}
	return nil
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Admin)
	form := doc(t, a.get("/login?next=%2Faudit%3Factor%3Danna"))
	if form.Find(`input[name=username][autocomplete=username]`).Length() != 1 || form.Find(`input[name=password][autocomplete=current-password]`).Length() != 1 {
		t.Error("password managers can't fill this in")
	}
	next, _ := form.Find(`input[name=next]`).Attr("value")

	rec := a.post("/login", []string{"username", "admin", "password", password, "next", next})
	wantRedirect(t, rec, "/audit?actor=anna")
	cookie := cookieOf(rec, "webadmin")
	if cookie == nil || !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Fatalf("cookie: %+v", cookie)
	}
	page := a.get("/", session(cookie.Value))
	wantStatus(t, page, http.StatusOK)
	if user, _ := doc(t, page).Find("body").Attr("data-user"); user != "admin" {
		t.Errorf("signed in as %q", user)
	}
	a.wantRecord("admin | session.start | user admin | done")
	wantRedirect(t, a.get("/login?next=/account", session(cookie.Value)), "/account")
}

func TestSignInOverTLSSetsAHostCookie(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Deps){
		"own TLS": func(d *Deps) { d.TLS = true },
		"a proxy": func(d *Deps) { d.PublicURL = &url.URL{Scheme: "https", Host: "kvdb.example"} },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, change)
			a.addUsers(Viewer)
			rec := a.post("/login", []string{"username", "viewer", "password", password})
			wantStatus(t, rec, http.StatusSeeOther)
			if cookie := cookieOf(rec, "__Host-webadmin"); cookie == nil || !cookie.Secure {
				t.Errorf("cookies: %v", rec.Result().Cookies())
			}
			if rec.Header().Get("Strict-Transport-Security") == "" {
				t.Error("no HSTS")
			}
		})
	}
	a := newApp(t)
	r := httptest.NewRequest(http.MethodGet, "/login", nil)
	r.TLS = &tls.ConnectionState{}
	if a.do(r).Header().Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without being told that people come over TLS")
	}
}

func TestSignInRenewsTheSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Admin)
	old := a.signIn(Viewer)
	rec := a.post("/login", []string{"username", "admin", "password", password}, session(old))
	wantStatus(t, rec, http.StatusSeeOther)
	if fresh := cookieOf(rec, "webadmin"); fresh == nil || fresh.Value == old {
		t.Fatal("the session keeps its secret")
	}
	wantStatus(t, a.get("/", session(old)), http.StatusSeeOther)
}

func TestFailedSignIn(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Admin)
	var texts []string
	for _, fields := range [][]string{
		{"username", "admin", "password", "wrong"},
		{"username", "hunter2-in-the-wrong-field", "password", "x"},
		{"username", "", "password", ""},
	} {
		rec := a.post("/login", append(fields, "next", "/audit"))
		wantStatus(t, rec, http.StatusUnauthorized)
		d := doc(t, rec)
		texts = append(texts, d.Find(".notice").Text())
		if name, _ := d.Find("input[name=username]").Attr("value"); name != fields[1] {
			t.Errorf("the name is gone: %q", name)
		}
		if v, has := d.Find("input[name=password]").Attr("value"); has && v != "" {
			t.Error("the password comes back")
		}
		if next, _ := d.Find("input[name=next]").Attr("value"); next != "/audit" {
			t.Error("the way back is lost")
		}
		if len(rec.Result().Cookies()) != 0 {
			t.Error("a cookie for nobody")
		}
	}
	if texts[0] == "" || texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("the texts tell what was wrong: %q", texts)
	}
	a.wantRecord(" | session.refuse | user admin | failed")
	a.wantRecord(" | session.refuse | unknown user | failed")
	for _, r := range a.records() {
		if strings.Contains(r, "hunter2") {
			t.Errorf("what may be a password is in the log: %s", r)
		}
	}
	if strings.Contains(a.logs.String(), "wrong") || strings.Contains(a.logs.String(), "hunter2") {
		t.Error("what was typed is in the log")
	}
}

func TestSignInIsThrottled(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Admin)
	rec := a.post("/login", []string{"username", "admin", "password", "wrong"})
	for range 50 {
		if rec.Code != http.StatusUnauthorized {
			break
		}
		rec = a.post("/login", []string{"username", "admin", "password", "wrong"})
	}
	wantStatus(t, rec, http.StatusTooManyRequests)
	seconds := rec.Header().Get("Retry-After")
	if n, err := strconv.Atoi(seconds); err != nil || n < 1 {
		t.Errorf("Retry-After: %q", seconds)
	}
	if text := doc(t, rec).Find(".notice").Text(); !strings.Contains(text, seconds+" second") {
		t.Errorf("does not say how long to wait: %q", text)
	}
}

func TestNextLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/audit": "/audit", "/audit?a=b%2Fc#x": "/audit?a=b%2Fc#x",
		"": "", "audit": "", "//evil.example": "", `/\evil.example`: "", `\\evil.example`: "", "https://evil.example": "", "javascript:alert(1)": "",
		"/\t/evil.example": "", "http:/evil": "", "/a\x00b": "", "//user@evil.example/": "", "/%zz": "",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
	a := newApp(t)
	a.addUsers(Viewer)
	rec := a.post("/login", []string{"username", "viewer", "password", password, "next", "//evil.example/x"})
	wantRedirect(t, rec, "/")
}

func TestWhoIsSentToSignInComesBack(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for name, tc := range map[string]struct {
		rec  *httptest.ResponseRecorder
		want string
	}{
		"a page":             {a.get("/audit?actor=a&object=b%26c"), "/login?next=%2Faudit%3Factor%3Da%26object%3Db%2526c"},
		"the first page":     {a.get("/"), "/login"},
		"a form":             {a.post("/settings/users", nil, header("Referer", "http://example.com/settings/users?x=1")), "/login?next=%2Fsettings%2Fusers%3Fx%3D1"},
		"a form from abroad": {a.post("/settings/users", nil, header("Referer", "http://evil.example/settings/users")), "/login"},
	} {
		t.Run(name, func(t *testing.T) { wantRedirect(t, tc.rec, tc.want) })
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := a.signIn(Viewer)
	rec := a.post("/logout", nil, session(cookie))
	wantRedirect(t, rec, "/login")
	if gone := cookieOf(rec, "webadmin"); gone == nil || gone.MaxAge >= 0 {
		t.Errorf("the cookie stays: %+v", gone)
	}
	if got := rec.Header().Get("Clear-Site-Data"); got != `"cache"` {
		t.Errorf("Clear-Site-Data: %q", got)
	}
	wantStatus(t, a.get("/", session(cookie)), http.StatusSeeOther)
	a.wantRecord("viewer | session.end | user viewer | done")
	wantRedirect(t, a.post("/logout", nil), "/login")
	wantStatus(t, a.get("/logout", session(cookie)), http.StatusMethodNotAllowed)
}

func TestTheme(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	rec := a.post("/theme", []string{"theme", "night", "return", "/login?next=%2Faudit"})
	wantRedirect(t, rec, "/login?next=%2Faudit")
	cookie := cookieOf(rec, "theme")
	if cookie == nil || cookie.Value != "night" {
		t.Fatalf("cookie: %+v", cookie)
	}
	page := doc(t, a.get("/login", func(r *http.Request) { r.AddCookie(cookie) }))
	if theme, _ := page.Find("html").Attr("data-theme"); theme != "night" {
		t.Errorf("theme %q", theme)
	}
	off := a.post("/theme", []string{"theme", "", "return", "//evil.example"})
	wantRedirect(t, off, "/")
	if c := cookieOf(off, "theme"); c == nil || c.MaxAge >= 0 {
		t.Errorf("cookie: %+v", c)
	}
	if c := cookieOf(a.post("/theme", []string{"theme", `"><em>`}), "theme"); c.Value != "" {
		t.Errorf("took the theme %q", c.Value)
	}
}

// With the store away nobody is let in, and nobody is taken for a stranger either.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	a := newAppOn(t, server.DB(t))
	cookie, token := a.signIn(Admin), a.token(Admin)
	wantStatus(t, a.get("/", session(cookie)), http.StatusOK)
	server.Kill()

	for _, row := range routes {
		if row.Method != http.MethodGet || row.Need == Public || !isPage(row) {
			continue
		}
		rec := a.do(request(row), session(cookie))
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Fatalf("%s: %d %v", row.Name, rec.Code, rec.Header())
		}
		d := doc(t, rec)
		retry, _ := d.Find(`.failure a.btn-primary`).Attr("href")
		if retry != pathOf(row) || d.Find("h1").Text() == "" {
			t.Errorf("%s: Retry leads to %q", row.Name, retry)
		}
		if got := d.Find("[data-ready]").AttrOr("data-ready", ""); got != "/readyz" {
			t.Errorf("%s: the page waits for %q", row.Name, got)
		}
		fragmentary := a.do(request(row), session(cookie), fragment)
		if row.Name == "server" { // says it in its place
			wantStatus(t, fragmentary, http.StatusOK)
			if text := doc(t, fragmentary).Find("#server").Text(); !strings.Contains(text, "Redis is away") {
				t.Errorf("of the server it says %q", text)
			}
			continue
		}
		if fragmentary.Header().Get("HX-Reswap") != "none" || !strings.Contains(fragmentary.Body.String(), "hx-swap-oob") {
			t.Errorf("%s: a fragment gets %v\n%s", row.Name, fragmentary.Header(), fragmentary.Body)
		}
	}
	sent := a.post("/settings/users", []string{"name", "bob"}, session(cookie))
	wantStatus(t, sent, http.StatusServiceUnavailable)
	if doc(t, sent).Find("[data-ready]").Length() != 0 {
		t.Error("the page in place of a form's answer loads itself again")
	}
	wantProblem(t, a.get("/api/v1/audit", session(cookie)), http.StatusServiceUnavailable)
	wantProblem(t, a.get("/api/v1/audit", bearer(token+"x")), http.StatusUnauthorized)
	if p := wantProblem(t, a.post("/api/v1/translate", nil, bearer(token)), http.StatusServiceUnavailable); p.Outcome != "" {
		t.Errorf("it is certain that nothing was done: %+v", p)
	}
	wantStatus(t, a.get("/login", session(cookie)), http.StatusOK)
	rec := a.post("/login", []string{"username", "admin", "password", password, "next", "/audit"})
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if name, _ := doc(t, rec).Find("input[name=username]").Attr("value"); name != "admin" {
		t.Error("the name must be typed again")
	}
	wantStatus(t, a.get("/healthz"), http.StatusOK)
	ready := a.get("/readyz")
	wantStatus(t, ready, http.StatusServiceUnavailable)
	if !strings.Contains(ready.Body.String(), `"status":"away"`) {
		t.Errorf("readyz: %s", ready.Body)
	}
	wantStatus(t, a.get("/metrics"), http.StatusOK)

	server.Restart()
	eventually(t, func() bool { return a.get("/readyz").Code == http.StatusOK })
}

// Accounts on a server of their own let people look at what is wrong with the other.
func TestOnlyTheKVDBAway(t *testing.T) {
	t.Parallel()
	kv := kvtest.NewServer(t)
	a := newApp(t, func(d *Deps) {
		d.DB = kv.DB(t)
		d.Dict = dict.New(d.DB, dict.Options{Now: d.Now})
	})
	cookie := session(a.signIn(Admin))
	wantStatus(t, a.get("/", cookie), http.StatusOK)
	kv.Kill()
	rec := a.get("/", cookie)
	wantStatus(t, rec, http.StatusServiceUnavailable)
	d := doc(t, rec)
	if d.Find("nav#nav a").Length() == 0 || d.Find("main [data-failed] a[href='/']").Length() != 1 || !strings.Contains(d.Find("main").Text(), "Accounts") {
		t.Errorf("the overview is gone:\n%s", d.Find("main").Text())
	}
	wantStatus(t, a.get("/settings/users", cookie), http.StatusOK)
	wantStatus(t, a.get("/readyz"), http.StatusServiceUnavailable)
}

// eventually waits until something holds.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return
		}
	}
	t.Fatal("it does not come about within 10 s")
}

func TestReady(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	rec := a.get("/readyz")
	wantStatus(t, rec, http.StatusOK)
	if got := strings.TrimSpace(rec.Body.String()); got != `{"status":"ok"}` {
		t.Errorf("readyz: %s", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.get("/login")
	a.get("/nothing")
	a.do(httptest.NewRequest("BREW", "/login", nil))
	text := a.get("/metrics").Body.String()
	for _, want := range []string{
		`webadmin_http_request_duration_seconds_count{method="GET",route="login",status="2xx"} 1`,
		`webadmin_http_request_duration_seconds_count{method="none",route="none",status="4xx"} 2`,
		`webadmin_http_errors_total{kind="http_404"} 1`,
		`webadmin_build_info{version="v1.2.3"} 1`,
		"# TYPE webadmin_redis_up gauge",
		"webadmin_http_requests_in_flight 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	away := newApp(t, func(d *Deps) { d.MetricsAway = true })
	wantStatus(t, away.get("/metrics"), http.StatusNotFound)
}
