package handlers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/trail"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

// password is that of all users of these tests.
const password = "correct horse battery staple"

var sessionKey = []byte("0123456789abcdef0123456789abcdef")

// app is the whole server over a store of its own.
type app struct {
	t    testing.TB
	e    *echo.Echo
	deps Deps
	logs *lockedBuffer
}

// newApp returns a server on the test binary's Redis. change may alter what it is made of.
func newApp(t testing.TB, change ...func(*Deps)) *app {
	t.Helper()
	return newAppOn(t, kvtest.Open(t), change...)
}

func newAppOn(t testing.TB, db *kvdb.DB, change ...func(*Deps)) *app {
	t.Helper()
	logs := &lockedBuffer{}
	logger := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	now := func() time.Time { return time.Now().UTC() }
	d := Deps{
		DB: db, State: db, Accounts: account.New(db, sessionKey, now, logger), Audit: audit.New(db, now),
		Dict: dict.New(db, dict.Options{Now: now, Logger: logger}), Logger: logger, Now: now,
		Metrics: prometheus.NewRegistry(), Version: "v1.2.3", ProgramUser: "programs",
	}
	d.Lua = lua.New(db, lua.Options{Now: now, Logger: logger})
	d.Stats = stats.New(db, stats.Options{Now: now, Logger: logger})
	d.Broker = broker.New(db, broker.Options{Now: now, Logger: logger, Secret: sessionKey})
	d.Console = console.New(db, console.Options{})
	d.Background = NewBackground()
	d.Often = trail.NewBurst(trail.Trail{Log: d.Audit, Logger: logger})
	t.Cleanup(func() {
		ctx := context.Background()
		d.Console.Close()
		if err := errors.Join(d.Background.Close(ctx), d.Broker.Close(ctx), d.Dict.Close(ctx), d.Lua.Close(ctx)); err != nil {
			t.Error(err)
		}
		_ = d.Often.Close(ctx) // the server may be one that the test has ended
	})
	for _, f := range change {
		f(&d)
	}
	e, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	return &app{t: t, e: e, deps: d, logs: logs}
}

// addUsers makes users called as their roles, whose password is password.
func (a *app) addUsers(roles ...account.Role) {
	a.t.Helper()
	for _, role := range roles {
		if _, err := a.deps.Accounts.CreateUser(context.Background(), string(role), role, password); err != nil {
			a.t.Fatal(err)
		}
	}
}

// signIn starts a session without the sign-in page and returns its cookie. The user is called as the role, and made when needed.
func (a *app) signIn(role account.Role) string {
	a.t.Helper()
	user, err := a.deps.Accounts.User(context.Background(), string(role))
	if errors.Is(err, kvdb.ErrNotFound) {
		a.addUsers(role)
		user, err = a.deps.Accounts.User(context.Background(), string(role))
	}
	if err != nil {
		a.t.Fatal(err)
	}
	cookie, _, err := a.deps.Accounts.StartSession(context.Background(), user, "192.0.2.1", "test")
	if err != nil {
		a.t.Fatal(err)
	}
	return cookie
}

// token makes a token of the role and returns its secret.
func (a *app) token(role account.Role) string {
	a.t.Helper()
	_, secret, err := a.deps.Accounts.CreateToken(context.Background(), "token-"+string(role), role, time.Time{}, "admin")
	if err != nil {
		a.t.Fatal(err)
	}
	return secret
}

// with alters a request.
type with func(*http.Request)

func session(cookie string) with {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "webadmin", Value: cookie}) }
}

func header(name, value string) with {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func bearer(secret string) with { return header(echo.HeaderAuthorization, "Bearer "+secret) }

// fragment makes it a request that htmx sends to swap a part of a page.
func fragment(r *http.Request) {
	r.Header.Set("HX-Request", "true")
	r.Header.Set("HX-Request-Type", "partial")
	r.Header.Set("HX-Current-URL", "http://example.com/audit?actor=x")
}

func (a *app) do(r *http.Request, alter ...with) *httptest.ResponseRecorder {
	a.t.Helper()
	for _, f := range alter {
		f(r)
	}
	rec := httptest.NewRecorder()
	a.e.ServeHTTP(rec, r)
	return rec
}

func (a *app) get(path string, alter ...with) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.do(httptest.NewRequest(http.MethodGet, path, nil), alter...)
}

// post sends a form of name, value, name, value.
func (a *app) post(path string, fields []string, alter ...with) *httptest.ResponseRecorder {
	a.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
	return a.do(r, alter...)
}

// doc parses an answer as a page.
func doc(t testing.TB, rec *httptest.ResponseRecorder) *goquery.Document {
	t.Helper()
	d, err := goquery.NewDocumentFromReader(bytes.NewReader(rec.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testid(name string) string { return `[data-testid="` + name + `"]` }

// wantStatus also shows the answer, which says why.
func wantStatus(t testing.TB, rec *httptest.ResponseRecorder, want int) {
	t.Helper()
	if rec.Code != want {
		t.Fatalf("status %d, want %d; location %q; body:\n%.1500s", rec.Code, want, rec.Header().Get("Location"), rec.Body)
	}
}

func wantRedirect(t testing.TB, rec *httptest.ResponseRecorder, to string) {
	t.Helper()
	wantStatus(t, rec, http.StatusSeeOther)
	if got := rec.Header().Get("Location"); got != to {
		t.Errorf("redirects to %q, want %q", got, to)
	}
}

// records returns the audit log, the newest first, as "actor verb object outcome".
func (a *app) records() []string {
	a.t.Helper()
	items, _, err := a.deps.Audit.List(context.Background(), audit.Filter{}, "", 100)
	if err != nil {
		a.t.Fatal(err)
	}
	out := make([]string, len(items))
	for i, r := range items {
		out[i] = strings.Join([]string{r.Actor, r.Verb, r.Object, r.Outcome}, " | ")
	}
	return out
}

func (a *app) wantRecord(want string) {
	a.t.Helper()
	for _, got := range a.records() {
		if got == want {
			return
		}
	}
	a.t.Errorf("no audit record %q among\n%s", want, strings.Join(a.records(), "\n"))
}

// lockedBuffer is a log that tests may read while the server writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// discard is a logger that does the work of a line and keeps nothing.
func discard() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

func duplicateIDs(d *goquery.Document) []string {
	seen, twice := map[string]bool{}, []string{}
	for _, el := range d.Find("[id]").EachIter() {
		id, _ := el.Attr("id")
		if seen[id] {
			twice = append(twice, id)
		}
		seen[id] = true
	}
	return twice
}
