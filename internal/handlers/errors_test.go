package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// failing replaces the handler of the overview by one that fails, within all the middleware.
func failing(a *app, err error) {
	for _, r := range a.e.Routes() {
		if r.Path == "/account" && r.Method == http.MethodGet {
			a.e.Add(r.Method, r.Path, func(echo.Context) error { return err })
		}
	}
}

const secret = "redis://user:hunter2@10.0.0.1:6379"

func TestErrors(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := session(a.signIn(Admin))
	for _, tc := range []struct {
		name   string
		err    error
		status int
		says   string
	}{
		{"not found", fmt.Errorf("%s: %w", secret, kvdb.ErrNotFound), 404, "There is no such thing"},
		{"stale", fmt.Errorf("%s: %w", secret, &dict.StaleError{}), 409, "It was changed by somebody else"},
		{"conflict", fmt.Errorf("%s: %w", secret, kvdb.ErrConflict), 409, "somebody else changed it"},
		{"invalid", fmt.Errorf("%s: %w", secret, kvdb.Invalid("name", "is too long")), 422, "Name: is too long."},
		{"forbidden", fmt.Errorf("%s: %w", secret, kvdb.ErrForbidden), 403, "Your role"},
		{"away", kvdb.WriteErr(secret, kvdb.ErrAway), 503, "Redis is not reachable"},
		{"unknown", &kvdb.UnknownError{Op: secret, Check: "/audit", Err: errors.New(secret)}, 504, "may have been made or not"},
		{"throttled", fmt.Errorf("%s: %w", secret, &account.ThrottledError{RetryAfter: 1500 * time.Millisecond}), 429, "2 seconds"},
		{"busy", account.ErrBusy, 503, "Too many people"},
		{"last admin", account.ErrLastAdmin, 409, "last enabled administrator"},
		{"too large", &http.MaxBytesError{Limit: 10}, 413, "10 bytes"},
		{"timeout", fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), 503, "took too long"},
		{"fault", errors.New(secret), 500, "fault of the server"},
		{"panic", &mw.PanicError{Value: secret}, 500, "fault of the server"},
		{"of the web server", echo.NewHTTPError(http.StatusTeapot, "Tea only.").SetInternal(errors.New(secret)), 418, "Tea only."},
		{"of Echo with an error in it", echo.NewHTTPError(http.StatusBadRequest, errors.New(secret)), 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			failing(a, tc.err)
			page := a.get("/account", cookie)
			wantStatus(t, page, tc.status)
			if text := doc(t, page).Find("main").Text(); !strings.Contains(text, tc.says) || !strings.Contains(text, page.Header().Get("X-Request-Id")) {
				t.Errorf("the page says %q", text)
			}
			part := a.get("/account", cookie, fragment)
			wantStatus(t, part, tc.status)
			toast := doc(t, part).Find("#toasts").Text()
			if !strings.Contains(toast, tc.says) || strings.Contains(toast, "Not done.") != (tc.status == 503) || part.Header().Get("HX-Reswap") != "none" {
				t.Errorf("the toast says %s", part.Body)
			}
			if strings.Contains(page.Body.String()+part.Body.String(), "hunter2") {
				t.Error("a secret gets out")
			}
			if (tc.status == 503 || tc.status == 429) != (page.Header().Get("Retry-After") != "") {
				t.Errorf("Retry-After: %q", page.Header().Get("Retry-After"))
			}
		})
	}
}

func TestUnknownOutcomeLeadsToWhereToLook(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := session(a.signIn(Admin))
	failing(a, &kvdb.UnknownError{Op: "x", Check: "/settings/users", Err: errors.New("cut")})
	rec := a.get("/account", cookie)
	wantStatus(t, rec, http.StatusGatewayTimeout)
	d := doc(t, rec)
	if link, _ := d.Find(testid("unknown") + " a.btn-primary").Attr("href"); link != "/settings/users" {
		t.Errorf("leads to %q", link)
	}
	if strings.Contains(d.Find("main").Text(), "Try again") {
		t.Error("offers to do it twice")
	}
	failing(a, &kvdb.UnknownError{Op: "x", Check: "the list of users", Err: errors.New("cut")})
	if text := doc(t, a.get("/account", cookie)).Find("main").Text(); !strings.Contains(text, "the list of users") {
		t.Errorf("says %q", text)
	}
	failing(a, &kvdb.UnknownError{Op: "x", Check: "//evil.example", Err: errors.New("cut")})
	if link, ok := doc(t, a.get("/account", cookie)).Find(testid("unknown") + " a.btn-primary").Attr("href"); ok {
		t.Errorf("leads to %q", link)
	}
}

func TestFaultsAreLoggedOnceWithTheirRequest(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	failing(a, errors.New("the cause of it"))
	rec := a.get("/account", session(a.signIn(Admin)))
	id := rec.Header().Get("X-Request-Id")
	var lines []string
	for line := range strings.Lines(a.logs.String()) {
		if strings.Contains(line, "the cause of it") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.Contains(lines[0], `"request_id":"`+id+`"`) || !strings.Contains(lines[0], `"level":"ERROR"`) || !strings.Contains(lines[0], `"actor":"admin"`) {
		t.Errorf("logged:\n%s", strings.Join(lines, ""))
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.e.GET("/account", func(echo.Context) error { panic("the cause of it") })
	rec := a.get("/account", session(a.signIn(Admin)))
	wantStatus(t, rec, http.StatusInternalServerError)
	if log := a.logs.String(); !strings.Contains(log, "the cause of it") || !strings.Contains(log, "errors_test.go") {
		t.Errorf("the log does not say where: %s", log)
	}
}

func TestAClientThatLeftIsNoFault(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	cookie := a.signIn(Admin)
	ctx, cancel := context.WithCancel(context.Background())
	a.e.GET("/account", func(c echo.Context) error {
		cancel()
		return kvdb.ReadErr("x", c.Request().Context().Err())
	})
	a.do(httptest.NewRequest(http.MethodGet, "/account", nil).WithContext(ctx), session(cookie))
	if log := a.logs.String(); strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, `"status":499`) {
		t.Errorf("logged: %s", log)
	}
}

// A download that breaks off must not look like a whole one.
func TestABrokenDownloadCutsTheConnection(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.e.GET("/audit/export", func(c echo.Context) error {
		_ = c.String(http.StatusOK, "half of it")
		return errors.New("and no more")
	})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
		if log := a.logs.String(); !strings.Contains(log, "and no more") {
			t.Errorf("logged: %s", log)
		}
	}()
	a.get("/audit/export", session(a.signIn(Admin)))
	t.Error("the answer looks whole")
}
