//go:build e2e && screenshots

package e2e_test

import (
	"fmt"
	"html/template"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// Pictures of all pages, in every state and way to look at them: artifacts/screenshots/index.html shows them side by side. make screenshots takes
// them; whoever changes how something looks looks at them.

// looks are the ways to look at a page.
var looks = []struct {
	name          string
	width, height int
	scheme        *playwright.ColorScheme
	phone         bool
}{
	{"1440 light", 1440, 900, playwright.ColorSchemeLight, false},
	{"1440 dark", 1440, 900, playwright.ColorSchemeDark, false},
	{"390 light", 390, 844, playwright.ColorSchemeLight, true},
	{"390 dark", 390, 844, playwright.ColorSchemeDark, true},
}

// picture is one page in one state.
type picture struct {
	State, Path string
	Shots       []shot
}

type shot struct{ Look, File string }

func TestScreenshots(t *testing.T) {
	dir := filepath.Join("artifacts", "screenshots")
	must(t, os.MkdirAll(dir, 0o755))
	var all []picture

	redis := startRedis(t)
	empty := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	paths := pathsOf(empty.client(t).seedless())
	all = append(all, empty.shoot(t, dir, "empty", append(paths, "/login"))...)

	full := start(t, options{args: []string{"--demo"}})
	all = append(all, full.shoot(t, dir, "full", pathsOf(full.client(t).seed("a value that is neither short nor very long").paths))...)

	p := map[bool]*page{}
	for _, phone := range []bool{false, true} {
		p[phone] = empty.browse(t, browsing{phone: phone})
		p[phone].visit("/")
	}
	redis.kill()
	eventually(t, func() error { return empty.status("/readyz", http.StatusServiceUnavailable) })
	all = append(all, shootOn(t, p, dir, "failing", paths)...)

	index, err := os.Create(filepath.Join(dir, "index.html"))
	must(t, err)
	must(t, gallery.Execute(index, all))
	must(t, index.Close())
	t.Logf("%d pictures: e2e/%s/index.html", len(all)*len(looks), dir)
}

// pathsOf leaves out what would be shown twice, keeping the order.
func pathsOf(paths []string) (out []string) {
	for _, path := range paths {
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// seedless returns the addresses of the pages that there are without anything in them.
func (a *api) seedless() []string {
	var out []string
	for _, part := range strings.Split(a.get("/"), `href="/`)[1:] {
		path, _, _ := strings.Cut(part, `"`)
		path, _, _ = strings.Cut(path, "#")
		if path := "/" + path; !strings.HasPrefix(path, "/static/") && !strings.ContainsAny(path, "?") {
			out = append(out, path)
		}
	}
	return out
}

func (in *instance) shoot(t *testing.T, dir, state string, paths []string) []picture {
	t.Helper()
	return shootOn(t, map[bool]*page{false: in.browse(t, browsing{}), true: in.browse(t, browsing{phone: true})}, dir, state, paths)
}

func shootOn(t *testing.T, pages map[bool]*page, dir, state string, paths []string) (all []picture) {
	t.Helper()
	for n, path := range paths {
		pic := picture{State: state, Path: path}
		for i, look := range looks {
			p := pages[look.phone]
			p.expects(offline, http.StatusNotFound, http.StatusServiceUnavailable)
			must(t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: look.scheme}))
			must(t, p.SetViewportSize(look.width, look.height))
			p.visit(path)
			must(t, p.Locator("main").WaitFor())
			file := fmt.Sprintf("%s-%03d-%d.png", state, n, i)
			_, err := p.Screenshot(playwright.PageScreenshotOptions{Path: playwright.String(filepath.Join(dir, file)), FullPage: playwright.Bool(true)})
			must(t, err)
			pic.Shots = append(pic.Shots, shot{look.name, file})
		}
		all = append(all, pic)
	}
	return all
}

var gallery = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Screenshots</title>
<style>body{font:14px sans-serif;margin:1rem}section{display:grid;grid-template-columns:3fr 3fr 1fr 1fr;gap:.5rem;align-items:start}img{width:100%;border:1px solid #999}</style>
{{range .}}<h2>{{.State}}: {{.Path}}</h2><section>{{range .Shots}}<a href="{{.File}}"><img loading="lazy" src="{{.File}}" alt="{{.Look}}"></a>{{end}}</section>{{end}}`))
