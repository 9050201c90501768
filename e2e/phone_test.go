//go:build e2e

package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPhone goes through all pages on a narrow screen, with values that have nowhere to break.
func TestPhone(t *testing.T) {
	t.Parallel()
	in := start(t, options{args: []string{"--name", "production-eu-west"}})
	s := in.client(t).seed(strings.Repeat("long", 60))
	p := in.browse(t, browsing{phone: true})
	p.expects(http.StatusNotFound)
	for _, path := range append(s.paths, "/login") {
		p.visit(path)
		wide, err := p.Evaluate(`() => {
			const doc = document.documentElement;
			if (doc.scrollWidth <= innerWidth && innerWidth <= 390) return "";
			const out = [...document.querySelectorAll("body *")].filter((el) => el.getBoundingClientRect().right > 391 && !el.closest(".scroll, pre, dialog"));
			return doc.scrollWidth + " of " + innerWidth + ": " + out.slice(0, 4).map((el) => el.outerHTML.slice(0, 120)).join(" … ");
		}`)
		must(t, err)
		if wide != "" {
			t.Errorf("%s is wider than the screen: %v", path, wide)
		}
	}

	p.visit("/")
	nav := p.Locator("#nav")
	must(t, expect.Locator(nav).ToBeHidden())
	p.click(p.button("Sections"))
	p.sees(nav)
	p.click(p.link("Dictionaries"))
	p.at("/dictionaries/translations")
	must(t, expect.Locator(nav).ToBeHidden())
	row := p.row("translation", "BQ")
	p.click(p.menu(row).GetByText("Edit"))
	p.fill(p.input("To value"), "edited on the way")
	p.click(p.button("Save"))
	p.says(row, "edited on the way")
	p.says(p.toasts(), "Saved")
}
