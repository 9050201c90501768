package static

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func build(t *testing.T, files map[string]string) set {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPathChangesWithContent(t *testing.T) {
	t.Parallel()
	one := build(t, map[string]string{"app.css": "a{}", ".keep": ""})
	two := build(t, map[string]string{"app.css": "b{}", ".keep": ""})
	if !strings.HasPrefix(one.path("app.css"), "/static/") || !strings.HasSuffix(one.path("app.css"), "/app.css") {
		t.Errorf("path = %q", one.path("app.css"))
	}
	if one.path("app.css") == two.path("app.css") {
		t.Errorf("two contents share the path %q", one.path("app.css"))
	}
}

func TestPathOfUnknownNamePanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if got, _ := recover().(string); !strings.Contains(got, `"nope.css"`) || !strings.Contains(got, "make assets") {
			t.Errorf("panic = %q, want the name and what to do", got)
		}
	}()
	build(t, nil).path("nope.css")
}

func TestLoadRefusesUnknownType(t *testing.T) {
	t.Parallel()
	if _, err := load(fstest.MapFS{"app.exe": &fstest.MapFile{}}); err == nil {
		t.Error("no error for a file without a content type")
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	s := build(t, map[string]string{
		"app.js": "plain", "app.js.br": "brotli", "app.js.gz": "gzip",
		"small.svg": "<svg/>",
	})
	const year = "public, max-age=31536000, immutable"
	for _, tt := range []struct {
		name, method, path, accept  string
		status                      int
		body, encoding, cache, kind string
	}{
		{name: "brotli first", path: s.path("app.js"), accept: "gzip, deflate, br, zstd", status: 200, body: "brotli", encoding: "br", cache: year, kind: "text/javascript; charset=utf-8"},
		{name: "gzip", path: s.path("app.js"), accept: "gzip", status: 200, body: "gzip", encoding: "gzip", cache: year, kind: "text/javascript; charset=utf-8"},
		{name: "brotli refused", path: s.path("app.js"), accept: "br;q=0, gzip;q=0.5", status: 200, body: "gzip", encoding: "gzip", cache: year, kind: "text/javascript; charset=utf-8"},
		{name: "nothing accepted", path: s.path("app.js"), status: 200, body: "plain", cache: year, kind: "text/javascript; charset=utf-8"},
		{name: "not compressed", path: s.path("small.svg"), accept: "br", status: 200, body: "<svg/>", cache: year, kind: "image/svg+xml"},
		{name: "of another version", path: "/static/000000000000/app.js", status: 200, body: "plain", cache: "no-store", kind: "text/javascript; charset=utf-8"},
		{name: "unknown", path: "/static/000000000000/nope.js", status: 404},
		{name: "compressed file by name", path: "/static/000000000000/app.js.br", status: 404},
		{name: "no hash", path: "/static/app.js", status: 404},
		{name: "up", path: "/static/0/../static.go", status: 404},
		{name: "POST", method: http.MethodPost, path: s.path("app.js"), status: 405},
		{name: "HEAD", method: http.MethodHead, path: s.path("app.js"), accept: "br", status: 200, body: "brotli", encoding: "br", cache: year, kind: "text/javascript; charset=utf-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.Path = tt.path
			if tt.method != "" {
				r.Method = tt.method
			}
			if tt.accept != "" {
				r.Header.Set("Accept-Encoding", tt.accept)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Fatalf("status = %d, want %d", w.Code, tt.status)
			}
			if tt.status != http.StatusOK {
				if got := w.Header().Get("Cache-Control"); got != "" {
					t.Errorf("an error is cached: %q", got)
				}
				return
			}
			for header, want := range map[string]string{
				"Content-Encoding": tt.encoding, "Cache-Control": tt.cache, "Content-Type": tt.kind,
				"Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s = %q, want %q", header, got, want)
				}
			}
			if got := w.Body.String(); got != tt.body {
				t.Errorf("body = %q, want %q", got, tt.body)
			}
		})
	}
}

// What the pages need is in this build, and as small as promised.
func TestBuild(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int{"app.css": 18 << 10, "app.js": 25 << 10, "favicon.svg": 1 << 10} {
		f, ok := built()[name]
		if !ok {
			t.Errorf("%s is not built; run \"make assets\"", name)
			continue
		}
		if f.gz == nil || f.br == nil {
			t.Errorf("%s is not compressed", name)
		}
		if len(f.gz) > limit {
			t.Errorf("%s is %d bytes compressed, want at most %d", name, len(f.gz), limit)
		}
	}
	// The content security policy forbids both.
	for _, bad := range []string{"eval(", "data:text/javascript"} {
		if strings.Contains(string(built()["app.js"].plain), bad) {
			t.Errorf("app.js contains %q", bad)
		}
	}
}
