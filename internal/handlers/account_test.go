package handlers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"webadmin/internal/account"
)

func (a *app) user(name string) account.User {
	a.t.Helper()
	u, err := a.deps.Accounts.User(context.Background(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

func (a *app) sessions(user string) []account.Session {
	a.t.Helper()
	list, err := a.deps.Accounts.Sessions(context.Background(), user)
	if err != nil {
		a.t.Fatal(err)
	}
	return list
}

func fieldError(t testing.TB, rec *httptest.ResponseRecorder, id string) string {
	t.Helper()
	return doc(t, rec).Find("#" + id + "-error").Text()
}

// wantToast follows a redirect and looks for the toast that waits there, once.
func (a *app) wantToast(rec *httptest.ResponseRecorder, cookie, text string) {
	a.t.Helper()
	wantStatus(a.t, rec, http.StatusSeeOther)
	to := rec.Header().Get("Location")
	if got := doc(a.t, a.get(to, session(cookie))).Find("#toasts").Text(); !strings.Contains(got, text) {
		a.t.Errorf("toasts: %q, want %q", got, text)
	}
	if got := doc(a.t, a.get(to, session(cookie))).Find("#toasts .toast").Length(); got != 0 {
		a.t.Errorf("%d toasts are shown again", got)
	}
}

func TestChangeOwnPassword(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	here, elsewhere := a.signIn(Viewer), a.signIn(Viewer)
	const fresh = "a quite different phrase"

	rec := a.post("/account/password", []string{"current", "wrong", "password", fresh, "repeat", fresh}, session(here))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if fieldError(t, rec, "current") == "" {
		t.Error("does not say that the current password is wrong")
	}
	rec = a.post("/account/password", []string{"current", password, "password", fresh, "repeat", "x"}, session(here))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if fieldError(t, rec, "repeat") == "" {
		t.Error("does not say that the two differ")
	}
	rec = a.post("/account/password", []string{"current", password, "password", "short", "repeat", "short"}, session(here))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if fieldError(t, rec, "password") == "" {
		t.Error("does not say that the new one is too short")
	}

	rec = a.post("/account/password", []string{"current", password, "password", fresh, "repeat", fresh}, session(here))
	cookie := cookieOf(rec, "webadmin")
	if cookie == nil {
		t.Fatal("signed out of this browser too")
	}
	a.wantToast(rec, cookie.Value, "password is changed")
	for _, old := range []string{here, elsewhere} {
		wantStatus(t, a.get("/", session(old)), http.StatusSeeOther)
	}
	a.wantRecord("viewer | user.password | user viewer | done")
	a.wantRecord("viewer | user.password | user viewer | failed")
	wantStatus(t, a.post("/login", []string{"username", "viewer", "password", fresh}), http.StatusSeeOther)
}

func TestOwnSessions(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	here := a.signIn(Viewer)
	a.signIn(Viewer)
	others := a.signIn(Admin)

	rows := doc(t, a.get("/account", session(here))).Find(testid("session"))
	if rows.Length() != 2 || rows.Find("form").Length() != 1 {
		t.Fatalf("%d sessions, %d of them can be ended", rows.Length(), rows.Find("form").Length())
	}
	end, _ := rows.Find("form").Attr("action")
	a.wantToast(a.post(end, nil, session(here)), here, "ended")
	if left := a.sessions("viewer"); len(left) != 1 {
		t.Errorf("%d sessions are left", len(left))
	}
	// Somebody else's is nobody's here.
	wantStatus(t, a.post("/account/sessions/"+a.sessions("admin")[0].ID+"/end", nil, session(here)), http.StatusNotFound)
	wantStatus(t, a.get("/", session(others)), http.StatusOK)

	a.signIn(Viewer)
	rec := a.post("/account/sessions/end", nil, session(here))
	wantStatus(t, rec, http.StatusSeeOther)
	if left := a.sessions("viewer"); len(left) != 1 {
		t.Errorf("%d sessions are left", len(left))
	}
	wantStatus(t, a.get("/", session(cookieOf(rec, "webadmin").Value)), http.StatusOK)
}

func TestUsers(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Viewer, Operator)
	cookie := a.signIn(Admin)
	as := session(cookie)

	rec := a.post("/settings/users", []string{"name", "", "role", "king", "password", "123"}, as)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	for _, field := range []string{"name", "role", "password"} {
		if fieldError(t, rec, field) == "" {
			t.Errorf("nothing is said about %s", field)
		}
	}
	rec = a.post("/settings/users", []string{"name", "viewer", "role", "operator", "password", password}, as)
	wantStatus(t, rec, http.StatusConflict)
	d := doc(t, rec)
	if name, _ := d.Find("input#name").Attr("value"); name != "viewer" || d.Find("#role option[selected]").AttrOr("value", "") != "operator" {
		t.Error("what was typed is gone")
	}
	a.wantToast(a.post("/settings/users", []string{"name", "anna", "role", "operator", "password", password}, as), cookie, "anna")
	a.wantRecord("admin | user.create | user anna | done")
	a.wantRecord("admin | user.create | user viewer | failed")
	if doc(t, a.get("/settings/users", as)).Find(testid("user")).Length() != 4 {
		t.Error("not all users are listed")
	}
	if strings.Contains(strings.Join(a.records(), ""), password) || strings.Contains(a.logs.String(), password) {
		t.Error("the password is in a log")
	}
}

func TestEditUser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Viewer)
	cookie := a.signIn(Admin)
	as, viewer := session(cookie), a.signIn(Viewer)

	version := strconv.FormatInt(a.user("viewer").Version, 10)
	a.wantToast(a.post("/settings/users/viewer/role", []string{"role", "operator", "version", version}, as), cookie, "role")
	if a.user("viewer").Role != Operator {
		t.Error("the role stays")
	}
	stale := a.post("/settings/users/viewer/role", []string{"role", "admin", "version", version}, as)
	wantStatus(t, stale, http.StatusConflict)
	if got := doc(t, stale).Find(".notice").Text(); !strings.Contains(got, "changed by somebody else") {
		t.Errorf("says %q", got)
	}
	wantStatus(t, a.post("/settings/users/viewer/role", []string{"role", "king", "version", "0"}, as), http.StatusUnprocessableEntity)

	wantStatus(t, a.get("/", session(viewer)), http.StatusOK)
	version = strconv.FormatInt(a.user("viewer").Version, 10)
	a.wantToast(a.post("/settings/users/viewer/disabled", []string{"disabled", "yes", "version", version}, as), cookie, "disabled")
	wantStatus(t, a.get("/", session(viewer)), http.StatusSeeOther)
	wantStatus(t, a.post("/login", []string{"username", "viewer", "password", password}), http.StatusUnauthorized)
	version = strconv.FormatInt(a.user("viewer").Version, 10)
	a.wantToast(a.post("/settings/users/viewer/disabled", []string{"disabled", "no", "version", version}, as), cookie, "again")

	rec := a.post("/settings/users/viewer/password", []string{"password", "x"}, as)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if fieldError(t, rec, "password") == "" {
		t.Error("says nothing about the password")
	}
	a.wantToast(a.post("/settings/users/viewer/password", []string{"password", "another long phrase"}, as), cookie, "password")
	wantStatus(t, a.post("/login", []string{"username", "viewer", "password", "another long phrase"}), http.StatusSeeOther)

	wantStatus(t, a.post("/settings/users/viewer/delete", []string{"confirm", "viewers"}, as), http.StatusUnprocessableEntity)
	a.wantToast(a.post("/settings/users/viewer/delete", []string{"confirm", "viewer"}, as), cookie, "deleted")
	wantStatus(t, a.get("/settings/users/viewer", as), http.StatusNotFound)
	for _, want := range []string{
		"admin | user.role | user viewer | done", "admin | user.role | user viewer | failed", "admin | user.disable | user viewer | done",
		"admin | user.enable | user viewer | done", "admin | user.password | user viewer | done", "admin | user.delete | user viewer | done",
	} {
		a.wantRecord(want)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	as := session(a.signIn(Admin))
	for path, fields := range map[string][]string{
		"role":     {"role", "viewer", "version", "0"},
		"disabled": {"disabled", "yes", "version", "0"},
		"delete":   {"confirm", "admin"},
	} {
		rec := a.post("/settings/users/admin/"+path, fields, as)
		wantStatus(t, rec, http.StatusConflict)
		if text := doc(t, rec).Find("main").Text(); !strings.Contains(text, "last enabled administrator") {
			t.Errorf("%s: does not say why", path)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := a.signIn(Admin)
	as := session(cookie)

	rec := a.post("/settings/tokens", []string{"name", "orders", "role", "operator", "days", "30"}, as)
	wantStatus(t, rec, http.StatusCreated)
	secret := doc(t, rec).Find(testid("secret") + " .v").Text()
	if copied, _ := doc(t, rec).Find(testid("secret") + " [data-copy]").Attr("data-copy"); secret == "" || copied != secret {
		t.Fatalf("secret %q, copied %q", secret, copied)
	}
	wantStatus(t, a.get("/api/v1/audit", bearer(secret)), http.StatusOK)
	list := a.get("/settings/tokens", as)
	if doc(t, list).Find(testid("token")).Length() != 1 || strings.Contains(list.Body.String(), secret) {
		t.Error("the secret is shown again")
	}
	if strings.Contains(a.logs.String(), secret) {
		t.Error("the secret is in the log")
	}
	revoke, _ := doc(t, list).Find(testid("token") + " form").Attr("action")
	a.wantToast(a.post(revoke, nil, as), cookie, "revoked")
	wantProblem(t, a.get("/api/v1/audit", bearer(secret)), http.StatusUnauthorized)
	wantStatus(t, a.post(revoke, nil, as), http.StatusNotFound)
	a.wantRecord("admin | token.create | token orders | done")

	for field, fields := range map[string][]string{
		"name": {"name", "", "role", "viewer"}, "role": {"name", "x", "role", "king"}, "days": {"name", "x", "role", "viewer", "days", "-1"},
	} {
		rec := a.post("/settings/tokens", fields, as)
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		if fieldError(t, rec, field) == "" {
			t.Errorf("nothing is said about %s", field)
		}
	}
}

func TestSessionsOfAll(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie, viewer := a.signIn(Admin), a.signIn(Viewer)
	as := session(cookie)
	all := doc(t, a.get("/settings/sessions", as)).Find(testid("session"))
	if all.Length() != 2 {
		t.Fatalf("%d sessions", all.Length())
	}
	rows := doc(t, a.get("/settings/sessions?user=viewer", as)).Find(testid("session"))
	if rows.Length() != 1 {
		t.Fatalf("%d sessions of viewer", rows.Length())
	}
	end, _ := rows.Find("form").Attr("action")
	back, _ := rows.Find("form input[name=return]").Attr("value")
	rec := a.post(end, []string{"return", back}, as)
	wantRedirect(t, rec, "/settings/sessions?user=viewer")
	a.wantToast(rec, cookie, "ended")
	wantStatus(t, a.get("/", session(viewer)), http.StatusSeeOther)
	wantRedirect(t, a.post("/settings/sessions/"+a.sessions("admin")[0].ID+"/end", []string{"return", "//evil.example"}, as), "/settings/sessions")
}

func TestAgentName(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                           "Firefox, Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0":        "Edge, Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile Safari/604.1": "Safari, iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                     "Chrome, Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":            "Safari, macOS",
		"curl/8.5.0": "curl", "something": "something", "": "",
	} {
		if got := agentName(agent); got != want {
			t.Errorf("agentName(%q) = %q, want %q", agent, got, want)
		}
	}
}
