//go:build e2e

package e2e_test

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/playwright-community/playwright-go"
)

var expect = playwright.NewPlaywrightAssertions(float64(patience.Milliseconds()))

// browsing says who browses with what; the zero value is admin on a desktop.
type browsing struct {
	user     string // "" = admin
	nobody   bool   // not signed in
	noScript bool
	phone    bool
	agent    string // User-Agent, "" = the browser's own
	untraced bool   // for those who go through many pages: a trace of them all takes longer than the pages
}

// page is a tab in a browser of its own, with its helpers for a test. What people do not see fails the test too: exceptions, errors
// in the console, and what the content security policy has refused.
type page struct {
	playwright.Page
	t      *testing.T
	traced bool

	mu       sync.Mutex
	trouble  []string
	statuses []int // that the test expects, as the browser logs each as an error
}

// reports has a page tell of what its policy has refused, also where the browser does not.
const reports = `addEventListener("securitypolicyviolation", (e) => console.error("refused by the policy: " + e.violatedDirective + " " + e.blockedURI))`

// browse opens a tab. It is at no page yet.
func (in *instance) browse(t *testing.T, o browsing) *page {
	t.Helper()
	view, agent := &playwright.Size{Width: 1280, Height: 800}, &o.agent
	if o.phone {
		view = &playwright.Size{Width: 390, Height: 844}
	}
	if o.agent == "" {
		agent = nil
	}
	ctx, err := world.browser.NewContext(playwright.BrowserNewContextOptions{
		BaseURL: &in.url, Viewport: view, UserAgent: agent, HasTouch: &o.phone, IsMobile: &o.phone,
		ColorScheme: playwright.ColorSchemeLight, ReducedMotion: playwright.ReducedMotionReduce,
		JavaScriptEnabled: playwright.Bool(!o.noScript),
	})
	must(t, err)
	ctx.SetDefaultTimeout(float64(patience.Milliseconds()))
	must(t, ctx.AddInitScript(playwright.Script{Content: playwright.String(reports)}))
	if !o.untraced {
		must(t, ctx.Tracing().Start(playwright.TracingStartOptions{Snapshots: playwright.Bool(true)}))
	}
	tab, err := ctx.NewPage()
	must(t, err)
	p := &page{Page: tab, t: t, traced: !o.untraced}
	tab.OnPageError(func(err error) { p.note("exception: " + err.Error()) })
	tab.OnConsole(func(m playwright.ConsoleMessage) {
		if m.Type() == "error" {
			p.note(m.Text())
		}
	})
	t.Cleanup(p.close)
	if !o.nobody {
		p.authenticate(o.user)
	}
	return p
}

// authenticate signs in without the form. Every user of these tests has the same password.
func (p *page) authenticate(user string) {
	p.t.Helper()
	if user == "" {
		user = admin
	}
	resp, err := p.Context().Request().Post("/login", playwright.APIRequestContextPostOptions{
		Form: map[string]any{"username": user, "password": password}, MaxRedirects: playwright.Int(0),
	})
	must(p.t, err)
	if resp.Status() != http.StatusSeeOther {
		p.t.Fatalf("sign-in of %s answers %d", user, resp.Status())
	}
}

func (p *page) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = append(p.trouble, what)
}

// offline is a status for expects: a request that reached nobody.
const offline = 0

// expects names the statuses of failed requests that belong to the test.
func (p *page) expects(statuses ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.statuses = append(p.statuses, statuses...)
}

var failedRequest = regexp.MustCompile(`^Failed to load resource: (?:the server responded with a status of (\d+)|net::ERR_)|^htmx: htmx:error: Failed to fetch`)

// close ends the tab, and keeps what helps to find out why a test failed.
func (p *page) close() {
	p.mu.Lock()
	for _, what := range p.trouble {
		if m := failedRequest.FindStringSubmatch(what); m != nil {
			if status, _ := strconv.Atoi(m[1]); slices.Contains(p.statuses, status) {
				continue
			}
		}
		p.t.Errorf("on the page: %s", what)
	}
	p.mu.Unlock()
	if p.t.Failed() {
		path := artifact(p.t)
		if _, err := p.Screenshot(playwright.PageScreenshotOptions{Path: playwright.String(path + ".png")}); err != nil {
			p.t.Errorf("screenshot: %v", err)
		}
		if p.traced {
			if err := p.Context().Tracing().Stop(path + ".zip"); err != nil {
				p.t.Errorf("trace: %v", err)
			}
		}
		p.t.Logf("the page was at %s: see e2e/%s.png and .zip", p.URL(), path)
	}
	if err := p.Context().Close(); err != nil {
		p.t.Error(err)
	}
}

// visit goes to an address of the server.
func (p *page) visit(path string) {
	p.t.Helper()
	_, err := p.Goto(path)
	must(p.t, err)
}

// Places on the page, by what people call them.

func (p *page) button(name string) playwright.Locator {
	return named(p, playwright.AriaRoleButton, name)
}
func (p *page) link(name string) playwright.Locator { return named(p, playwright.AriaRoleLink, name) }
func (p *page) heading(name string) playwright.Locator {
	return named(p, playwright.AriaRoleHeading, name)
}

// named finds what has a role and exactly this name.
func named(p *page, role *playwright.AriaRole, name string) playwright.Locator {
	return p.GetByRole(*role, playwright.PageGetByRoleOptions{Name: name, Exact: playwright.Bool(true)})
}

// field finds a field by its label, with or without the mark of one that must be filled in.
func (p *page) field(label string) playwright.Locator {
	return p.GetByLabel(regexp.MustCompile(`^\s*` + regexp.QuoteMeta(label) + `\s*\*?\s*$`))
}

// input finds a field of the item that is being edited or added.
func (p *page) input(label string) playwright.Locator {
	return p.Locator("tr.edit").GetByLabel(label, playwright.LocatorGetByLabelOptions{Exact: playwright.Bool(true)})
}

// search finds a field to search with by its name.
func (p *page) search(name string) playwright.Locator {
	return named(p, playwright.AriaRoleSearchbox, name)
}

// row finds the item of a list that holds all the texts.
func (p *page) row(testid string, texts ...string) playwright.Locator {
	l := p.GetByTestId(testid)
	for _, text := range texts {
		l = l.Filter(playwright.LocatorFilterOptions{HasText: text})
	}
	return l
}

// menu opens the menu of an item and returns it.
func (p *page) menu(row playwright.Locator) playwright.Locator {
	p.t.Helper()
	p.click(row.Locator("summary"))
	return row.Locator(".menu-list")
}

func (p *page) toasts() playwright.Locator { return p.Locator("#toasts") }

// What a test does. An error ends it.

func (p *page) click(l playwright.Locator) {
	p.t.Helper()
	must(p.t, l.Click())
}

func (p *page) fill(l playwright.Locator, text string) {
	p.t.Helper()
	must(p.t, l.Fill(text))
}

// keys presses one key after the other, wherever the focus is. What is no key's name is typed, key by key.
func (p *page) keys(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if keyNames[key] || strings.Contains(key, "+") || len(key) == 1 {
			must(p.t, p.Keyboard().Press(key))
		} else { // Keyboard().Type inserts the text without any key
			must(p.t, p.Locator(":focus").PressSequentially(key))
		}
	}
}

var keyNames = map[string]bool{"Enter": true, "Tab": true, "Escape": true, "ArrowDown": true, "ArrowUp": true}

// What a test expects, within the patience.

func (p *page) sees(ls ...playwright.Locator) {
	p.t.Helper()
	for _, l := range ls {
		must(p.t, expect.Locator(l).ToBeVisible())
	}
}

func (p *page) lacks(ls ...playwright.Locator) {
	p.t.Helper()
	for _, l := range ls {
		must(p.t, expect.Locator(l).ToHaveCount(0))
	}
}

func (p *page) counts(l playwright.Locator, n int) {
	p.t.Helper()
	must(p.t, expect.Locator(l).ToHaveCount(n))
}

// says expects texts in an element.
func (p *page) says(l playwright.Locator, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		must(p.t, expect.Locator(l).ToContainText(text))
	}
}

func (p *page) holds(l playwright.Locator, value string) {
	p.t.Helper()
	must(p.t, expect.Locator(l).ToHaveValue(value))
}

func (p *page) focused(l playwright.Locator) {
	p.t.Helper()
	must(p.t, expect.Locator(l).ToBeFocused())
}

// at expects the address to be the path. Without a query any query will do.
func (p *page) at(path string) {
	p.t.Helper()
	more := ""
	if !strings.Contains(path, "?") {
		more = `([?#].*)?`
	}
	must(p.t, expect.Page(p).ToHaveURL(regexp.MustCompile(`^https?://[^/]+`+regexp.QuoteMeta(path)+more+`$`)))
}
