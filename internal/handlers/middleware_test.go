package handlers

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestSecureHeaders(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, path := range []string{"/login", "/nothing", "/healthz", "/api/docs"} {
		h := a.get(path).Header()
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "img-src 'self' data:", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "object-src 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %s: %s", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if got := a.get("/api/v1/nothing").Header().Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("the API lets browsers guess: %q", got)
	}
}

func TestPagesSayWhatTheyVaryBy(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	h := a.get("/login").Header()
	vary := strings.Join(h.Values("Vary"), ", ")
	for _, want := range []string{"HX-Request", "HX-Request-Type", "Cookie", "Accept-Encoding"} {
		if !strings.Contains(vary, want) {
			t.Errorf("Vary: %s", vary)
		}
	}
	if got := h.Get("Content-Type"); got != "text/html; charset=UTF-8" {
		t.Errorf("Content-Type: %s", got)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	as := session(a.signIn(Admin))
	big := "name=" + strings.Repeat("x", 2<<20)
	announced := httptest.NewRequest(http.MethodPost, "/settings/users", strings.NewReader(big))
	announced.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
	wantStatus(t, a.do(announced, as), http.StatusRequestEntityTooLarge)
	unannounced := httptest.NewRequest(http.MethodPost, "/settings/users", io.MultiReader(strings.NewReader(big)))
	unannounced.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
	wantStatus(t, a.do(unannounced, as), http.StatusRequestEntityTooLarge)
	broken := httptest.NewRequest(http.MethodPost, "/settings/users", strings.NewReader("name=%zz"))
	broken.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
	wantStatus(t, a.do(broken, as), http.StatusBadRequest)
}

// Fields of a form come from its body: nobody can fill one in by a link.
func TestFormsDoNotReadTheAddress(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addUsers(Admin)
	wantStatus(t, a.post("/login?username=admin&password="+url.QueryEscape(password), nil), http.StatusUnauthorized)
}

func TestAddressOfTheClient(t *testing.T) {
	t.Parallel()
	_, proxies, err := net.ParseCIDR("192.0.2.0/24") // where httptest's requests come from
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		proxies []*net.IPNet
		forward string
		want    string
	}{
		"direct":             {nil, "", "192.0.2.1"},
		"a lie":              {nil, "203.0.113.9", "192.0.2.1"},
		"a trusted proxy":    {[]*net.IPNet{proxies}, "203.0.113.9", "203.0.113.9"},
		"a lie to the proxy": {[]*net.IPNet{proxies}, "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		"a private client":   {[]*net.IPNet{proxies}, "198.51.100.1, 10.0.0.7", "10.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, func(d *Deps) { d.TrustedProxies = tc.proxies })
			alter := func(*http.Request) {}
			if tc.forward != "" {
				alter = header("X-Forwarded-For", tc.forward)
			}
			a.get("/login", alter, header("X-Real-IP", "198.51.100.77"))
			if !strings.Contains(a.logs.String(), `"address":"`+tc.want+`"`) {
				t.Errorf("logged: %s", a.logs)
			}
		})
	}
}

func TestPublicURLIsOurOwnOrigin(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(d *Deps) { d.PublicURL = &url.URL{Scheme: "https", Host: "kvdb.example:8443"} })
	wantStatus(t, a.post("/theme", nil, header("Origin", "https://kvdb.example:8443")), http.StatusSeeOther)
	wantStatus(t, a.post("/theme", nil, header("Origin", "https://kvdb.example")), http.StatusForbidden)
	d := newApp(t).deps
	d.PublicURL = &url.URL{Scheme: "https", Host: "kvdb.example", Path: "/x"}
	d.PublicURL.Host = ""
	if _, err := New(d); err == nil {
		t.Error("takes a public URL without a host")
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	rec := a.get("/login", header("Accept-Encoding", "gzip"))
	if rec.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", rec.Header())
	}
	r, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("%v: %s", err, page)
	}
	if got := a.get("/healthz", header("Accept-Encoding", "gzip")).Header().Get("Content-Encoding"); got != "" {
		t.Errorf("a few bytes are %s", got)
	}
	failed := a.get("/nothing", header("Accept-Encoding", "gzip"))
	wantStatus(t, failed, http.StatusNotFound)
	if !strings.Contains(failed.Body.String(), "</html>") || failed.Header().Get("Content-Encoding") != "" {
		t.Errorf("an error page is broken: %v", failed.Header())
	}
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.get("/audit?object=somebodys-data", session(a.signIn(Viewer)))
	a.get("/healthz")
	var page, probe string
	for line := range strings.Lines(a.logs.String()) {
		switch {
		case strings.Contains(line, `"path":"/audit"`):
			page += line
		case strings.Contains(line, `"path":"/healthz"`):
			probe += line
		}
	}
	for _, want := range []string{`"level":"INFO"`, `"method":"GET"`, `"route":"audit"`, `"status":200`, `"ms":`, `"bytes":`, `"request_id":"`, `"actor":"viewer"`} {
		if strings.Count(page, want) != 1 {
			t.Errorf("not one %s in %s", want, page)
		}
	}
	if strings.Contains(page, "somebodys-data") {
		t.Errorf("the query is logged: %s", page)
	}
	if !strings.Contains(probe, `"level":"DEBUG"`) {
		t.Errorf("probes fill the log: %s", probe)
	}
}

func TestAssetsNeedNoSession(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	href := doc(t, a.get("/login")).Find(`link[rel=stylesheet]`).AttrOr("href", "")
	rec := a.get(href, session("nonsense"))
	wantStatus(t, rec, http.StatusOK)
	if got := rec.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control: %s", got)
	}
}

// The API must stay cheap: a token is known for two seconds, so most calls cost the one command that answers them.
func BenchmarkTranslate(b *testing.B) {
	a := newApp(b, func(d *Deps) { d.Logger = discard() })
	token := a.token(Operator)
	body := `{"system1":"CRM","key1":"k","value1":"AW","system2":"ERP","key2":"k"}`
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/translate", strings.NewReader(body))
			r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
			bearer(token)(r)
			rec := httptest.NewRecorder()
			a.e.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				b.Fatal(rec.Body)
			}
		}
	})
}
