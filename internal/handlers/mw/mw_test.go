package mw

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
)

// serve sends a request through middleware that begins as all do.
func serve(rows []Route, r *http.Request, handler echo.HandlerFunc, chain ...echo.MiddlewareFunc) (*httptest.ResponseRecorder, error) {
	e := echo.New()
	var got error
	e.HTTPErrorHandler = func(err error, _ echo.Context) { got = err }
	e.Use(Begin(NewTable(rows), chain...))
	for _, row := range rows {
		e.Add(row.Method, row.Path, handler)
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, r)
	return rec, got
}

func TestARowWithoutANeedIsRefused(t *testing.T) {
	t.Parallel()
	rows := []Route{{Name: "forgotten", Method: http.MethodGet, Path: "/"}}
	s := NewSessions(&keeper{cookie: "good"}, false)
	notAPI := func(*http.Request) bool { return false }
	_, err := serve(rows, requestWith("good"), func(echo.Context) error { return nil }, Gate(nil, s, notAPI))
	var refused *echo.HTTPError
	if !errors.As(err, &refused) || refused.Code != http.StatusForbidden {
		t.Errorf("error %v", err)
	}
}

func TestFromOutsideOfARequest(t *testing.T) {
	t.Parallel()
	if info := From(t.Context()); info == nil || info.SignedIn() {
		t.Errorf("%+v", info)
	}
}

func TestTimeoutEndsAllButLongRoutes(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		rows := []Route{{Method: http.MethodGet, Path: "/", Long: long}}
		var limited bool
		_, err := serve(rows, requestWith(""), func(c echo.Context) error {
			_, limited = c.Request().Context().Deadline()
			return nil
		}, Timeout(time.Minute))
		if err != nil || limited == long {
			t.Errorf("long %t: limited %t, %v", long, limited, err)
		}
	}
}

func TestBodyLimitOfTheRoute(t *testing.T) {
	t.Parallel()
	rows := []Route{{Method: http.MethodPost, Path: "/", Body: 10}}
	_, err := serve(rows, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("01234567890")), nil, BodyLimit)
	if !errors.Is(err, echo.ErrStatusRequestEntityTooLarge) {
		t.Errorf("error %v", err)
	}
	_, err = serve(rows, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("0123456789")), func(echo.Context) error { return nil }, BodyLimit)
	if err != nil {
		t.Errorf("error %v", err)
	}
}

func TestRecoverKeepsTheWayToCutAConnection(t *testing.T) {
	t.Parallel()
	rows := []Route{{Method: http.MethodGet, Path: "/"}}
	_, err := serve(rows, requestWith(""), func(echo.Context) error { panic("x") }, Recover)
	var panicked *PanicError
	if !errors.As(err, &panicked) || len(panicked.Stack) == 0 {
		t.Errorf("error %v", err)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	_, _ = serve(rows, requestWith(""), func(echo.Context) error { panic(http.ErrAbortHandler) }, Recover)
}

func TestStyleNonce(t *testing.T) {
	t.Parallel()
	rows := []Route{{Method: http.MethodGet, Path: "/"}}
	rec, err := serve(rows, requestWith(""), func(c echo.Context) error {
		AllowStyleNonce(c, "abc")
		return c.NoContent(http.StatusOK)
	}, Secure(false, func(*http.Request) bool { return false }))
	csp := rec.Header().Get("Content-Security-Policy")
	if err != nil || strings.Count(csp, "nonce-abc") != 1 || !strings.Contains(csp, "style-src 'self' 'nonce-abc'") {
		t.Errorf("%v %s", err, csp)
	}
}

func TestNeedsAndRoles(t *testing.T) {
	t.Parallel()
	for _, r := range []account.Role{account.Viewer, account.Operator, account.Admin} {
		if r.Allows("") || r.Allows(Public) {
			t.Errorf("%s is allowed what is no role", r)
		}
	}
}
