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

// tallest is how much of a page a picture shows; the description of the API is longer than any picture may be.
const tallest = 5000

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

// scene is a page, and what is done on it before its picture is taken.
type scene struct {
	name, path string
	as         string // "" = admin, nobody = not signed in
	do         func(p *page)
}

const nobody = "nobody"

// picture is a scene in one state of the store.
type picture struct {
	State, Name string
	Shots       []shot
}

type shot struct{ Look, File string }

// album is where the pictures of one state go.
type album struct {
	dir, state string
	pictures   []picture
}

func TestScreenshots(t *testing.T) {
	dir := filepath.Join("artifacts", "screenshots")
	must(t, os.MkdirAll(dir, 0o755))
	full, empty, long, failing := &album{dir: dir, state: "full"}, &album{dir: dir, state: "empty"}, &album{dir: dir, state: "long"}, &album{dir: dir, state: "failing"}
	t.Run("states", func(t *testing.T) {
		t.Run("full", func(t *testing.T) { t.Parallel(); full.takeFull(t) })
		t.Run("empty", func(t *testing.T) { t.Parallel(); empty.takeEmpty(t, failing) })
		t.Run("long", func(t *testing.T) { t.Parallel(); long.takeLong(t) })
	})
	all := slices.Concat(full.pictures, empty.pictures, long.pictures, failing.pictures)
	index, err := os.Create(filepath.Join(dir, "index.html"))
	must(t, err)
	must(t, gallery.Execute(index, all))
	must(t, index.Close())
	t.Logf("%d pictures: e2e/%s/index.html", len(all)*len(looks), dir)
}

// takeFull shows all pages on the demo data and what one may have besides.
func (a *album) takeFull(t *testing.T) {
	in := start(t, options{args: []string{"--demo"}})
	a.take(t, in, in.client(t).stage())
}

// takeLong shows all pages on values that have nowhere to break, and figures of many digits.
func (a *album) takeLong(t *testing.T) {
	in := start(t, options{args: []string{"--name", "production-europe-west-1"}})
	api := in.client(t)
	api.record(strings.Repeat("W", 200), 3, 86_400_000, 0)
	a.take(t, in, scenesOf(api.seed(strings.Repeat("W", 160)+" <script>alert(1)</script> \u202eدليل 🙂").paths...))
}

// takeEmpty shows all pages on nothing, and then, as failing, with Redis away: those that were opened before, and those that are loaded anew.
func (a *album) takeEmpty(t *testing.T, away *album) {
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	scenes := scenesOf(append(in.client(t).seedless(), bare...)...)
	a.take(t, in, append(scenes, scene{name: "sign in", path: "/login", as: nobody}))

	client := in.client(t)
	client.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	opened := []scene{
		{name: "open before: overview", path: "/"},
		{name: "open before: an edit that is sent", path: "/dictionaries/translations", do: func(p *page) { p.editFirst() }},
		{name: "open before: services", path: "/broker/services"},
		{name: "open before: a channel", path: "/broker/channels/orders"},
		{name: "open before: figures of the server", path: "/redis/info"},
		{name: "open before: console", path: "/redis/console"},
		{name: "open before: a run", path: "/lua/-/scratch"},
	}
	client.call(http.MethodPost, "/broker/channels/orders/publish", map[string]any{"message": 1}, nil)
	tabs := map[bool][]*page{}
	for _, phone := range []bool{false, true} {
		for _, s := range opened {
			p := in.browse(t, browsing{phone: phone, untraced: true})
			p.visit(s.path)
			if s.do != nil {
				s.do(p)
			}
			tabs[phone] = append(tabs[phone], p)
		}
	}
	fresh := map[bool]*page{false: in.browse(t, browsing{untraced: true}), true: in.browse(t, browsing{phone: true, untraced: true})}
	for _, p := range fresh {
		p.visit("/")
	}
	redis.kill()
	eventually(t, func() error { return in.status("/readyz", http.StatusServiceUnavailable) })
	for i, s := range opened {
		away.shoot(t, s.name, map[bool]*page{false: tabs[false][i], true: tabs[true][i]}, func(p *page) { p.meets(s.path) })
	}
	for _, s := range scenes {
		away.shoot(t, s.name, fresh, func(p *page) { p.stand(s) })
	}
}

// meets does on a page that was open before Redis went what makes it say so.
func (p *page) meets(path string) {
	p.t.Helper()
	switch path {
	case "/dictionaries/translations":
		p.fill(p.input("To value"), "typed while Redis is away")
		p.keys("Enter")
		p.sees(p.toasts().Locator(".toast").First())
	case "/lua/-/scratch":
		p.click(p.button("Run"))
		p.sees(p.toasts().Locator(".toast").Or(p.GetByTestId("result")).First())
	case "/redis/console":
		p.fill(p.Locator("#console-text"), "PING")
		p.keys("Enter")
		p.says(p.GetByTestId("console"), "not reachable")
	case "/broker/channels/orders":
		p.says(p.GetByTestId("tail-state"), "away")
	case "/redis/info":
		p.sees(p.Locator(":is(.stale, .toast, main .notice):visible").First())
	}
}

// scenesOf makes scenes of addresses, each once, in their order.
func scenesOf(paths ...string) (out []scene) {
	for _, path := range paths {
		if !slices.ContainsFunc(out, func(s scene) bool { return s.path == path }) {
			out = append(out, scene{name: path, path: path})
		}
	}
	return out
}

// bare are addresses of pages that are not linked to from the first one, and of what isn't there.
var bare = []string{
	"/search", "/search?q=nothing", "/dictionaries/translate", "/dictionaries/misses", "/dictionaries/usage", "/dictionaries/changes", "/lua/-/scratch",
	"/broker/services", "/broker/dead", "/broker/invocations", "/broker/invoke", "/broker/publish", "/stats/summary", "/stats/slow", "/settings/webhooks",
	"/redis/slowlog", "/redis/console", "/redis/console/history", "/redis/memory",
	"/redis/keys/new", "/redis/keys/prefixes", "/redis/keys/bulk", "/redis/console/batch", "/stats/settings", "/account",
	"/nowhere", "/broker/channels/nowhere", "/broker/services/nowhere", "/lua/nowhere", "/redis/key?key=nowhere", "/stats/service?name=nowhere",
}

// take takes the pictures of scenes.
func (a *album) take(t *testing.T, in *instance, scenes []scene) {
	t.Helper()
	people := map[string]map[bool]*page{}
	for _, s := range scenes {
		if people[s.as] == nil {
			who := browsing{user: s.as, untraced: true}
			if s.as == nobody {
				who = browsing{nobody: true, untraced: true}
			}
			desktop := in.browse(t, who)
			who.phone = true
			people[s.as] = map[bool]*page{false: desktop, true: in.browse(t, who)}
		}
		a.shoot(t, s.name, people[s.as], func(p *page) { p.stand(s) })
	}
}

// stand brings a page to what the picture is to show.
func (p *page) stand(s scene) {
	p.t.Helper()
	p.visit(s.path)
	if s.do != nil {
		s.do(p)
	}
	must(p.t, p.Locator("main").First().WaitFor())
}

// shoot takes the pictures of a scene, as a test of its own, so that one that fails doesn't take the others with it.
func (a *album) shoot(t *testing.T, name string, pages map[bool]*page, ready func(p *page)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for _, p := range pages {
			was := p.t
			p.t = t
			defer func() { p.t = was }()
		}
		a.picture(t, name, pages, ready)
	})
}

// picture takes them: one load for a window, shown in light and dark. What is wider than the window is a mistake.
func (a *album) picture(t *testing.T, name string, pages map[bool]*page, ready func(p *page)) {
	t.Helper()
	pic := picture{State: a.state, Name: name}
	for i, look := range looks {
		p := pages[look.phone]
		if i == 0 || looks[i-1].phone != look.phone {
			p.expects(offline, http.StatusGatewayTimeout, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
			must(t, p.SetViewportSize(look.width, look.height))
			must(t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: look.scheme}))
			ready(p)
		}
		must(t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: look.scheme}))
		size, err := p.Evaluate(`() => (scrollTo(0, 0), [document.documentElement.scrollWidth, document.documentElement.scrollHeight])`)
		must(t, err)
		wide, tall := number(size.([]any)[0]), number(size.([]any)[1])
		if wide > look.width {
			t.Errorf("%s: %s: the page is %d wide in a window of %d", a.state, name, wide, look.width)
		}
		file := fmt.Sprintf("%s-%03d-%d.png", a.state, len(a.pictures), i)
		_, err = p.Screenshot(playwright.PageScreenshotOptions{
			Path: playwright.String(filepath.Join(a.dir, file)), FullPage: playwright.Bool(true), Caret: playwright.ScreenshotCaretInitial,
			Clip: &playwright.Rect{Width: float64(look.width), Height: float64(min(max(tall, look.height), tallest))},
		})
		must(t, err)
		pic.Shots = append(pic.Shots, shot{look.name, file})
	}
	a.pictures = append(a.pictures, pic)
}

// number is a number of a script, which may come as either.
func number(v any) int {
	if f, ok := v.(float64); ok {
		return int(f)
	}
	return v.(int)
}

var gallery = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Screenshots</title>
<style>body{font:14px sans-serif;margin:1rem}section{display:grid;grid-template-columns:3fr 3fr 1fr 1fr;gap:.5rem;align-items:start}img{width:100%;border:1px solid #999}</style>
{{range .}}<h2>{{.State}}: {{.Name}}</h2><section>{{range .Shots}}<a href="{{.File}}"><img loading="lazy" src="{{.File}}" alt="{{.Look}}"></a>{{end}}</section>{{end}}`))
