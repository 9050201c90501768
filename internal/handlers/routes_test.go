package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/problem"
)

// pathOf fills the parameters of a row with something that does not exist.
func pathOf(row Route) string {
	parts := strings.Split(row.Path, "/")
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part, ":"):
			parts[i] = "0"
		case part == "*":
			parts[i] = "x"
		}
	}
	return strings.Join(parts, "/")
}

func request(row Route) *http.Request {
	return httptest.NewRequest(row.Method, pathOf(row), nil)
}

// leaving has the reader of a route leave after a moment if it may go on for ever, as streams do.
func leaving(t testing.TB, row Route) with {
	return func(r *http.Request) {
		if row.Long {
			ctx, cancel := context.WithCancel(r.Context())
			after := time.AfterFunc(time.Second, cancel)
			t.Cleanup(func() { after.Stop(); cancel() })
			*r = *r.WithContext(ctx)
		}
	}
}

func isPage(row Route) bool { return !strings.HasPrefix(row.Path, "/api/") }

func TestEveryRouteIsInTheTableAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	a := newAppOn(t, newApp(t).deps.DB)
	var registered, listed []string
	for _, r := range a.e.Routes() {
		if r.Method == http.MethodHead {
			continue // goes with its GET
		}
		registered = append(registered, r.Method+" "+r.Path)
	}
	names := map[string]bool{}
	for _, row := range routes {
		listed = append(listed, row.Method+" "+row.Path)
		if names[row.Name] {
			t.Errorf("two routes are called %s", row.Name)
		}
		names[row.Name] = true
		if row.Need != Public && !account.Admin.Allows(row.Need) {
			t.Errorf("%s: the need %q lets nobody in", row.Name, row.Need)
		}
	}
	slices.Sort(registered)
	slices.Sort(listed)
	if !slices.Equal(registered, listed) {
		t.Errorf("registered:\n%s\nlisted:\n%s", strings.Join(registered, "\n"), strings.Join(listed, "\n"))
	}
}

func TestPublicRoutesAreThese(t *testing.T) {
	t.Parallel()
	var public []string
	for _, row := range routes {
		if row.Need == Public && row.Name != "components" {
			public = append(public, row.Name)
		}
	}
	slices.Sort(public)
	want := []string{"api.docs", "api.openapi", "healthz", "login", "login.do", "logout", "metrics", "readyz", "static", "theme"}
	if !slices.Equal(public, want) {
		t.Errorf("public routes are %v, want %v", public, want)
	}
}

func TestNobodySignedInIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, row := range routes {
		if row.Need == Public {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			rec := a.do(request(row))
			if !isPage(row) {
				wantProblem(t, rec, http.StatusUnauthorized)
				if rec.Header().Get("WWW-Authenticate") == "" {
					t.Error("does not say how to authenticate")
				}
				return
			}
			wantStatus(t, rec, http.StatusSeeOther)
			if to := rec.Header().Get("Location"); !strings.HasPrefix(to, "/login") {
				t.Errorf("leads to %q", to)
			}
			byHTMX := a.do(request(row), fragment)
			wantStatus(t, byHTMX, http.StatusUnauthorized)
			if to := byHTMX.Header().Get("HX-Redirect"); to != "/login?next=%2Faudit%3Factor%3Dx" {
				t.Errorf("HX-Redirect: %q", to)
			}
		})
	}
}

func TestTheWrongRoleIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, role := range []account.Role{Viewer, Operator} {
		cookie, token := a.signIn(role), a.token(role)
		for _, row := range routes {
			if row.Need == Public || role.Allows(row.Need) {
				continue
			}
			t.Run(string(role)+" "+row.Name, func(t *testing.T) {
				wantStatus(t, a.do(request(row), session(cookie)), http.StatusForbidden)
				if !isPage(row) {
					wantProblem(t, a.do(request(row), bearer(token)), http.StatusForbidden)
				}
			})
		}
	}
}

func TestPagesTakeNoTokens(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	wantStatus(t, a.get("/", bearer(a.token(Admin))), http.StatusSeeOther)
}

func TestAForgedOrEndedSessionIsNobodys(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := a.signIn(Admin)
	if err := a.deps.Accounts.EndSession(context.Background(), cookie); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{cookie, "x", strings.Repeat("a", 5000)} {
		wantStatus(t, a.get("/", session(value)), http.StatusSeeOther)
	}
}

func TestABadTokenIsNotRescuedByASession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	rec := a.get("/api/v1/audit", bearer("nonsense"), session(a.signIn(Admin)))
	wantProblem(t, rec, http.StatusUnauthorized)
	wantProblem(t, a.get("/api/v1/audit", header(echo.HeaderAuthorization, "Basic eDp4")), http.StatusUnauthorized)
}

func TestUnsafeRoutesRefuseOtherSites(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := a.signIn(Admin)
	for _, row := range routes {
		if row.Method == http.MethodGet {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			for _, from := range []with{header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example"), header("Origin", "null")} {
				rec := a.do(request(row), session(cookie), from)
				wantStatus(t, rec, http.StatusForbidden)
			}
		})
	}
	if got := a.records(); len(got) != 0 {
		t.Errorf("something was done: %v", got)
	}
}

// A GET may be sent by any link on any site, so it changes nothing.
func TestNoGETChangesAnything(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	seed(t, a)
	cookie := a.signIn(Admin)
	before := dump(t, a)
	for _, row := range routes {
		if row.Method != http.MethodGet || row.Name == "api.broker.events" { // who listens to a channel is noted
			continue
		}
		a.do(request(row), session(cookie), leaving(t, row))
		for key, value := range dump(t, a) {
			if before[key] != value {
				t.Errorf("%s changed %s", row.Name, key)
				before[key] = value
			}
		}
	}
}

// dump returns all keys of the test with their values.
func dump(t *testing.T, a *app) map[string]string {
	t.Helper()
	ctx, client := context.Background(), a.deps.DB.Client()
	out := map[string]string{}
	for it := client.Scan(ctx, 0, string(a.deps.DB.Keys())+"*", 1000).Iterator(); it.Next(ctx); {
		out[it.Val()] = client.Dump(ctx, it.Val()).Val()
	}
	return out
}

func TestWhatIsInNoTable(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.e.GET("/forgotten", func(c echo.Context) error { return c.String(http.StatusOK, "secret") })
	admin := session(a.signIn(Admin))

	wantStatus(t, a.get("/forgotten", admin), http.StatusForbidden)
	wantStatus(t, a.get("/forgotten"), http.StatusForbidden)
	wantStatus(t, a.get("/nothing/here", admin), http.StatusNotFound)
	wantStatus(t, a.get("/nothing/here"), http.StatusNotFound)
	wantProblem(t, a.get("/api/v1/nothing"), http.StatusNotFound)
	rec := a.post("/audit", nil, admin)
	wantStatus(t, rec, http.StatusMethodNotAllowed)
	if allow := rec.Header().Get("Allow"); !strings.Contains(allow, http.MethodGet) {
		t.Errorf("Allow: %q", allow)
	}
	if rec := a.get("/nothing/here", admin); doc(t, rec).Find("nav#nav a").Length() == 0 {
		t.Error("no way out of a page that does not exist")
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	server := httptest.NewServer(a.e)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	server.Client().CloseIdleConnections()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") == "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	s := &site{byName: map[string]*Route{
		"user": {Path: "/users/:name"}, "one": {Path: "/u/:name/s/:id/end"}, "home": {Path: "/"},
	}}
	for _, tc := range []struct {
		name   string
		params []any
		want   string
	}{
		{"home", nil, "/"},
		{"user", []any{"a b/c?d"}, "/users/a%20b%2Fc%3Fd"},
		{"one", []any{"ä", 7}, "/u/%C3%A4/s/7/end"},
		{"home", []any{url.Values{"q": {"x&y"}, "empty": {""}}}, "/?q=x%26y"},
		{"home", []any{url.Values{"empty": {""}}}, "/"},
	} {
		if got := s.url(tc.name, tc.params...); got != tc.want {
			t.Errorf("url(%s, %v) = %q, want %q", tc.name, tc.params, got, tc.want)
		}
	}
	for _, bad := range []func(){func() { s.url("none") }, func() { s.url("user") }, func() { s.url("user", "a", "b") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a mistake goes by unseen")
				}
			}()
			bad()
		}()
	}
}

func wantProblem(t testing.TB, rec *httptest.ResponseRecorder, status int) problem.Problem {
	t.Helper()
	wantStatus(t, rec, status)
	if got := rec.Header().Get("Content-Type"); got != problem.ContentType {
		t.Fatalf("content type %q", got)
	}
	var p problem.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != status || p.Title == "" || p.Type == "" || p.Detail == "" || p.RequestID == "" {
		t.Errorf("incomplete: %+v", p)
	}
	return p
}
