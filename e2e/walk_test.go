//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"

	"webadmin/internal/handlers"
)

// noPages are the routes of GET that no walk goes to, and why: they answer with something else than a page.
var noPages = map[string]string{
	"static": "files", "healthz": "probe", "readyz": "probe", "metrics": "probe",
	"server":                    "refreshes a part",
	"dict":                      "leads to its first page",
	"dict.choices":              "part of a form",
	"dict.export":               "file",
	"dict.upload.rejects":       "file",
	"audit.export":              "file",
	"lua.archive":               "file",
	"lua.download":              "file",
	"lua.debug.stream":          "stream",
	"broker.channel.facts":      "refreshes a part",
	"broker.channel.stream":     "stream",
	"broker.channel.data":       "file",
	"broker.invocation.payload": "file",
	"broker.invocation.result":  "file",
	"redis.info.live":           "refreshes a part",
	"redis.memory.job":          "refreshes a part",
	"redis.console.stream":      "stream",
	"redis.batch.replies":       "file",
}

// TestWalk goes to every page there is, as it is on a desk and on a phone, in light and dark: nobody is kept out, nothing moves by
// itself, nothing is wider than the screen, and every page has a name of its own. A page that it does not visit fails it.
func TestWalk(t *testing.T) {
	t.Parallel()
	in := start(t, options{args: []string{"--name", "production-eu-west"}})
	s := in.client(t).seed("a\nvalue of\ttwo lines " + strings.Repeat("long", 60))
	before := len(in.log.String())
	t.Run("looks", func(t *testing.T) {
		for _, phone := range []bool{false, true} {
			t.Run(map[bool]string{false: "desk", true: "phone"}[phone], func(t *testing.T) {
				t.Parallel()
				in.walk(t, browsing{phone: phone}, append(slices.Clone(s.paths), "/lua/-/busy"))
			})
		}
		t.Run("viewer", func(t *testing.T) {
			t.Parallel()
			in.walk(t, browsing{user: "vera"}, []string{"/dictionaries/translations", "/settings/users"}) // the second is refused
		})
		t.Run("nobody", func(t *testing.T) {
			t.Parallel()
			in.walk(t, browsing{nobody: true}, []string{"/login"})
		})
	})

	table := map[string]bool{}
	for _, row := range handlers.Routes() {
		table[row.Name] = row.Method == http.MethodGet && !strings.HasPrefix(row.Path, "/api/")
	}
	for name := range noPages {
		if !table[name] {
			t.Errorf("there is no route %s to be left out", name)
		}
	}
	eventually(t, func() error { // a request is logged after it was answered
		seen := in.log.routes(before)
		var missing []string
		for name, page := range table {
			if page && noPages[name] == "" && !seen[name] {
				missing = append(missing, name)
			}
		}
		slices.Sort(missing)
		if missing != nil {
			return fmt.Errorf("no visit of %v: give their addresses to the site, so that they are looked at", missing)
		}
		return nil
	})
}

// TestWalkEmpty looks at the pages of a store with nothing in it.
func TestWalkEmpty(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.walk(t, browsing{}, in.client(t).seedless())
}

// routes returns the routes that were asked for since the log was so long.
func (l *serverLog) routes(since int) map[string]bool {
	seen := map[string]bool{}
	for line := range strings.SplitSeq(l.String()[since:], "\n") {
		var r struct{ Method, Route string }
		if json.Unmarshal([]byte(line), &r) == nil && r.Method == http.MethodGet {
			seen[r.Route] = true
		}
	}
	return seen
}

// rules are those of axe that pages keep. What only colours decide is looked at in the dark, too.
var (
	rules   = []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}
	colours = []string{"color-contrast", "link-in-text-block"}
)

// walk goes through the pages with whoever browses.
func (in *instance) walk(t *testing.T, o browsing, paths []string) {
	t.Helper()
	o.untraced = true
	p := in.browse(t, o)
	p.expects(http.StatusNotFound, http.StatusForbidden, http.StatusServiceUnavailable)
	p.looks()
	if !o.phone {
		must(t, p.SetViewportSize(1440, 900))
	}
	titles := map[string]string{}
	for _, path := range paths {
		p.visit(path)
		p.standing(path)
		p.accessible(path)
		if o.phone {
			p.fits(path)
		}
		name, err := p.Title()
		must(t, err)
		bare, _, _ := strings.Cut(p.URL(), "?") // where it has led to
		if other, is := titles[name]; is && other != bare {
			t.Errorf("%s and %s have the same title: %s", other, bare, name)
		}
		titles[name] = bare
	}
}

// looks makes the script known that looks at pages; past the policy, which would refuse it as a script of the page.
func (p *page) looks() {
	p.t.Helper()
	look := "testdata/look.js"
	must(p.t, p.AddInitScript(playwright.Script{Path: &world.axe}))
	must(p.t, p.AddInitScript(playwright.Script{Path: &look}))
}

// standing reports what has moved on the page by itself, up to when all that is live has refreshed once.
func (p *page) standing(where string) {
	p.t.Helper()
	moved, err := p.Evaluate(`async () => { await look.refresh(); return look.moved(); }`)
	must(p.t, err)
	if moved != "" {
		p.t.Errorf("%s moves by itself: %v", where, moved)
	}
}

// fits reports what is wider than a phone, and than a small one.
func (p *page) fits(where string) {
	p.t.Helper()
	for _, width := range []int{320, 390} {
		must(p.t, p.SetViewportSize(width, 844))
		wide, err := p.Evaluate(`() => look.wide()`)
		must(p.t, err)
		if wide != "" {
			p.t.Errorf("%s is wider than the screen: %v", where, wide)
		}
	}
}

// accessible reports what axe finds on the page as it is now, and what somebody who only hears it would miss.
func (p *page) accessible(where string) {
	p.t.Helper()
	for _, pass := range []struct {
		scheme *playwright.ColorScheme
		script string
		only   []string
	}{
		{playwright.ColorSchemeDark, `look.axe`, colours},
		{playwright.ColorSchemeLight, `async (only) => [...await look.axe(only), ...look.heard()]`, rules},
	} {
		must(p.t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: pass.scheme}))
		found, err := p.Evaluate(pass.script, pass.only)
		must(p.t, err)
		for _, violation := range found.([]any) {
			p.t.Errorf("%s, %s: %v", where, *pass.scheme, violation)
		}
	}
}
