package layout_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

const markup = `<em>x</em>"'&`

func doc(t *testing.T, c templ.Component) *goquery.Document {
	t.Helper()
	var b strings.Builder
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	d, err := goquery.NewDocumentFromReader(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func page() layout.Page {
	return layout.Page{
		Title: "Entries", Path: "/dictionaries/entries?q=x", User: "anna", Role: "operator",
		Crumbs: []layout.Crumb{{Text: "Dictionaries", URL: "/dictionaries/entries"}, {Text: "Entries"}},
		Nav: []layout.NavItem{
			{Text: "Overview", URL: "/", Icon: "layout-dashboard", Key: "o", Sub: []layout.NavItem{{Text: "Hidden", URL: "/hidden", Key: "h"}}},
			{Text: "Dictionaries", URL: "/dictionaries/entries", Current: true, Key: "d", Sub: []layout.NavItem{
				{Text: "Entries", URL: "/dictionaries/entries", Current: true, Key: "e"},
				{Text: "Misses", URL: "/dictionaries/misses", Badge: "14"},
			}},
		},
	}
}

func TestBase(t *testing.T) {
	t.Parallel()
	d := doc(t, layout.Base(page()))
	for _, one := range []string{"main#main", "nav#nav", "#toasts[aria-live=polite]", `a.skip[href="#main"]`, "header.bar", `meta[name=viewport]`, `meta[name=htmx-config]`, `form[action="/logout"][method=post]`} {
		if d.Find(one).Length() != 1 {
			t.Errorf("%d of %s, want 1", d.Find(one).Length(), one)
		}
	}
	if got := d.Find("#nav a[aria-current=page]").Text(); strings.TrimSpace(got) != "Entries" {
		t.Errorf("the current page is %q", got)
	}
	if d.Find(`#nav a[href="/hidden"]`).Length() != 0 {
		t.Error("sub-sections of another section are shown")
	}
	var keys []string
	d.Find("#keys dl > div").Each(func(_ int, s *goquery.Selection) {
		if key := strings.TrimSpace(s.Find("kbd").Text()); strings.HasPrefix(key, "g") {
			keys = append(keys, key)
		}
	})
	if want := []string{"go", "gh", "gd", "ge"}; !slices.Equal(keys, want) {
		t.Errorf("keys = %v, want %v", keys, want)
	}
	if _, themed := d.Find("html").Attr("data-theme"); themed {
		t.Error("the system's theme is overruled")
	}
	if d.Find("[role=search]").Length() != 0 {
		t.Error("a search box without a page to search")
	}
}

// The content security policy allows none of this.
func TestNothingInline(t *testing.T) {
	t.Parallel()
	p := page()
	p.Scripts, p.Nonce = []string{"app.js"}, "n0nce"
	d := doc(t, layout.Base(p))
	d.Find("*").Each(func(_ int, s *goquery.Selection) {
		for _, a := range s.Nodes[0].Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") {
				t.Errorf("<%s> has %s", s.Nodes[0].Data, a.Key)
			}
		}
	})
	if d.Find("style, script:not([src])").Length() != 0 {
		t.Error("an inline style or script")
	}
	if got, _ := d.Find("script").Last().Attr("nonce"); got != "n0nce" {
		t.Errorf("nonce = %q", got)
	}
}

func TestEnvironmentAndTheme(t *testing.T) {
	t.Parallel()
	p := page()
	p.EnvName, p.EnvColor, p.Theme = "production", "env-red", "night"
	for name, c := range map[string]templ.Component{"Base": layout.Base(p), "Bare": layout.Bare(p)} {
		d := doc(t, c)
		if got := d.Find(".env").Text(); got != "production" || !d.Find("body").HasClass("env-red") {
			t.Errorf("%s: environment %q", name, got)
		}
		if got, _ := d.Find("html").Attr("data-theme"); got != "night" {
			t.Errorf("%s: theme %q", name, got)
		}
		if !strings.HasPrefix(d.Find("title").Text(), "Entries · production") {
			t.Errorf("%s: title %q", name, d.Find("title").Text())
		}
		if got, _ := d.Find("form[data-theme-form] input[name=return]").Attr("value"); got != p.Path {
			t.Errorf("%s: returns to %q", name, got)
		}
	}
}

func TestBareShowsNothingOfTheInside(t *testing.T) {
	t.Parallel()
	d := doc(t, layout.Bare(page()))
	if d.Find(`#nav, form[action="/logout"], .server`).Length() != 0 || strings.Contains(d.Find("body").Text(), "anna") {
		t.Error("a page before sign-in shows the inside")
	}
}

func TestErrorPage(t *testing.T) {
	t.Parallel()
	e := layout.ErrorProps{Status: 503, Title: "Redis is away", Text: "Nothing was changed.", RequestID: "r1", Retry: true}
	d := doc(t, layout.ErrorPage(page(), e))
	if d.Find("#nav").Length() != 1 || d.Find("main [data-failed] h1").Text() != e.Title {
		t.Error("the page of someone signed in keeps its frame")
	}
	if got, _ := d.Find("main .btn-primary").Attr("href"); got != page().Path {
		t.Errorf("tries %q again", got)
	}
	if !strings.Contains(d.Find("main").Text(), "r1") {
		t.Error("the request id is missing")
	}
	p := page()
	p.User = ""
	if doc(t, layout.ErrorPage(p, layout.ErrorProps{Status: 404, Title: "No such page"})).Find("#nav").Length() != 0 {
		t.Error("the page of a stranger has the navigation")
	}
}

func TestTextIsNeverMarkup(t *testing.T) {
	t.Parallel()
	p := layout.Page{
		Title: markup, Path: markup, User: markup, Role: markup, EnvName: markup, EnvColor: markup, Theme: markup, Search: "/" + markup, SearchQ: markup, Hint: markup, Version: markup,
		Crumbs: []layout.Crumb{{Text: markup, URL: "/" + markup}, {Text: markup, Mono: true}},
		Nav:    []layout.NavItem{{Text: markup, URL: markup, Badge: markup, Key: markup, Current: true, Sub: []layout.NavItem{{Text: markup}}}},
		Server: layout.Server{Status: "ok", Text1: markup, Text2: markup}, Toasts: []ui.ToastProps{{Text: markup}}, Nonce: markup,
	}
	e := layout.ErrorProps{Title: markup, Text: markup, RequestID: markup, Retry: true}
	for name, c := range map[string]templ.Component{"Base": layout.Base(p), "Bare": layout.Bare(p), "ErrorPage": layout.ErrorPage(p, e)} {
		if found := doc(t, c).Find("em").Length(); found > 0 {
			t.Errorf("%s: %d elements came out of text", name, found)
		}
	}
}
