//go:build e2e

package e2e_test

import (
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestKeyboard finds its way by keys alone, and always sees where it is.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"), of("CRM", "COUNTRY", "PL", "PORTAL", "name", "Poland"))
	p := in.browse(t, browsing{})
	h := hands{p}
	p.visit("/")

	p.keys("Tab")
	skip := p.link("Skip to the content")
	p.focused(skip)
	must(t, expect.Locator(skip).ToBeInViewport())
	p.keys("Enter")
	p.focused(p.Locator("main"))

	for _, jump := range [][2]string{{"d", "/dictionaries/translations"}, {"e", "/dictionaries/entries"}, {"m", "/dictionaries/misses"}, {"a", "/audit"}, {"u", "/settings/users"}, {"o", "/"}} {
		p.keys("g", jump[0])
		p.at(jump[1])
	}
	p.keys("/")
	p.focused(p.search("Search everything"))
	p.keys("Poland", "Enter")
	p.at("/search?q=Poland")
	p.sees(p.row("hit", "Poland").First())
	p.keys("g", "e")
	p.at("/dictionaries/entries")
	p.keys("g", "t")
	p.at("/dictionaries/translations")

	// Keys that are typed are text.
	search := p.search("Any of the six fields")
	p.keys("/")
	p.focused(p.search("Search everything"))
	must(t, p.search("Search everything").Blur())
	p.keys("f")
	p.focused(search)
	p.keys("ng?/")
	p.holds(search, "ng?/")
	p.sees(p.GetByText("Nothing matches"))
	p.lacks(p.GetByTestId("translation-form"), p.Locator("dialog[open]"))
	p.keys("Escape")
	p.holds(search, "")
	p.counts(p.GetByTestId("translation"), 2)
	must(t, search.Blur())

	p.keys("?")
	p.sees(p.heading("Keyboard"), p.Locator("dialog").GetByText("Next and previous row"))
	p.keys("Escape")
	must(t, expect.Locator(p.Locator("dialog")).ToBeHidden())

	p.keys("j", "j", "j")
	pencil := p.link("Edit CRM COUNTRY PL → PORTAL name")
	p.focused(pencil)
	p.keys("k")
	p.focused(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
	p.keys("j", "Enter")
	p.focused(p.input("To value"))
	p.keys("Escape")
	p.focused(pencil)

	// Wherever the focus is, it is seen.
	p.visit("/dictionaries/translations")
	for range 40 {
		h.press("Tab")
		h.watches()
	}

	h.enters(p.GetByLabel("Colours"))
	h.press("ArrowDown", "ArrowDown", "ArrowDown", "Enter")
	html, background := p.Locator("html"), func() any {
		t.Helper()
		color, err := p.Evaluate(`() => getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).backgroundColor`)
		must(t, err)
		return color
	}
	must(t, expect.Locator(html).ToHaveAttribute("data-theme", "night"))
	eventually(t, func() error { // the cookie is set behind the page's back
		_, err := p.Reload()
		must(t, err)
		return expect.Locator(html).ToHaveAttribute("data-theme", "night", playwright.LocatorAssertionsToHaveAttributeOptions{Timeout: playwright.Float(200)})
	})
	dark := background()
	h.enters(p.GetByLabel("Colours"))
	h.press("ArrowDown", "ArrowDown", "Enter")
	must(t, expect.Locator(html).ToHaveAttribute("data-theme", "day"))
	if dark == background() {
		t.Errorf("dark and light both have the background %v", dark)
	}
}
