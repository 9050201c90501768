package mw

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"webadmin/internal/correlation"
)

func TestCorrelate(t *testing.T) {
	t.Parallel()
	api := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
	for _, tc := range []struct {
		path   string
		header []string
		want   string
	}{
		{"/api/x", nil, ""},
		{"/api/x", []string{"cid-1"}, "cid-1"},
		{"/page", []string{"cid-1"}, ""},
		{"/api/x", []string{"two", "of them"}, ""},
		{"/api/x", []string{"a", "b"}, ""},
		{"/api/x", []string{"no cid"}, ""},
		{"/api/x", []string{""}, ""},
	} {
		var got, known string
		e := echo.New()
		e.Use(Begin(NewTable(nil), Correlate(api)))
		e.GET(tc.path, func(c echo.Context) error {
			ctx := c.Request().Context()
			got, known = correlation.ID(ctx), From(ctx).CID
			return nil
		})
		r := httptest.NewRequest(http.MethodGet, tc.path, nil)
		for _, h := range tc.header {
			r.Header.Add("x-correlation-id", h)
		}
		e.ServeHTTP(httptest.NewRecorder(), r)
		if got != tc.want || known != tc.want {
			t.Errorf("%s %q: %q, and %q in what is known", tc.path, tc.header, got, known)
		}
	}
}

// A call that names no invocation pays nothing for those that do.
func TestCorrelateCostsNothing(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/translate", nil)
	c := echo.New().NewContext(r, httptest.NewRecorder())
	do := Correlate(func(*http.Request) bool { return true })(func(echo.Context) error { return nil })
	if n := testing.AllocsPerRun(100, func() { _ = do(c) }); n != 0 || c.Request() != r {
		t.Errorf("%v allocations", n)
	}
}
