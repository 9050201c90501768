//go:build e2e

package e2e_test

import (
	"net/http"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestAccessible has axe look for what keeps people out, on all pages, in light and dark: WCAG 2.1, A and AA.
func TestAccessible(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	s := in.client(t).seed("a\nvalue of\ttwo lines ")
	p := in.browse(t, browsing{})
	p.expects(http.StatusNotFound)
	must(t, p.AddInitScript(playwright.Script{Path: &world.axe})) // past the policy, which would refuse it as a script of the page
	for _, path := range s.paths {
		p.visit(path)
		p.accessible(path)
	}

	// What is not there before somebody asks for it.
	p.visit("/dictionaries/translations")
	row := p.row("translation", "Bonaire")
	p.menu(row)
	p.accessible("the menu of a row")
	p.keys("Escape", "n")
	p.focused(p.input("From system"))
	p.accessible("the form of a new row")
	p.keys("Escape")
	p.click(p.menu(row).GetByText("Delete…"))
	p.sees(p.GetByTestId("deletion"))
	p.accessible("the question before a deletion")
	p.click(p.button("Delete the translation"))
	p.sees(p.GetByTestId("deleted"))
	p.accessible("the place of what was deleted")
	p.keys("?")
	p.sees(p.Locator("dialog"))
	p.accessible("the list of keys")
	p.keys("Escape")
	p.visit("/account")
	p.click(p.Locator(".user summary"))
	p.accessible("the menu of the user")
	must(t, p.Context().ClearCookies())
	p.visit("/login")
	p.accessible("/login")
}

// accessible reports what axe finds on the page as it is now. In the dark only what colours decide can be otherwise than in the light.
func (p *page) accessible(where string) {
	p.t.Helper()
	for _, look := range []struct {
		scheme *playwright.ColorScheme
		run    []string
	}{
		{playwright.ColorSchemeDark, []string{"color-contrast", "link-in-text-block"}},
		{playwright.ColorSchemeLight, []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa"}},
	} {
		must(p.t, p.EmulateMedia(playwright.PageEmulateMediaOptions{ColorScheme: look.scheme}))
		found, err := p.Evaluate(`async (run) => {
			const { violations } = await axe.run(document, { runOnly: run, resultTypes: ["violations"] });
			return violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html + "\n\t" + n.failureSummary));
		}`, look.run)
		must(p.t, err)
		for _, violation := range found.([]any) {
			p.t.Errorf("%s, %s: %v", where, *look.scheme, violation)
		}
	}
}
