//go:build e2e

package e2e_test

import (
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestPhone finds its way on a narrow screen, and edits there. What fits on it, TestWalk looks at on all pages.
func TestPhone(t *testing.T) {
	t.Parallel()
	in := start(t, options{args: []string{"--name", "production-eu-west"}})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{phone: true})
	p.visit("/")
	nav := p.Locator("#nav")
	must(t, expect.Locator(nav).ToBeHidden())
	p.click(p.button("Sections"))
	p.sees(nav)
	p.click(nav.GetByRole("link", playwright.LocatorGetByRoleOptions{Name: "Dictionaries"}))
	p.at("/dictionaries/translations")
	must(t, expect.Locator(nav).ToBeHidden())
	row := p.row("translation", "BQ")
	p.click(p.menu(row).GetByText("Edit"))
	p.fill(p.input("To value"), "edited on the way")
	p.click(p.button("Save"))
	p.says(row, "edited on the way")
	p.says(p.toasts(), "Saved")
}
