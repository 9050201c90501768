//go:build e2e

package e2e_test

import (
	"net/http"
	"net/url"
	"testing"
)

// hostile is text that would be markup, a script or another attribute if a page forgot to escape it.
const hostile = `"><em>x</em><img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script>' onfocus='window.__pwned=1`

// TestValuesAreText shows hostile values on every page that can show a value.
func TestValuesAreText(t *testing.T) {
	t.Parallel()
	in := start(t, options{args: []string{"--name", "<em>x</em><img src=x onerror=alert(1)>"}})
	a := in.client(t)
	s := a.seed(hostile)
	a.post("/settings/tokens", url.Values{"name": {"<em>token</em>"}, "role": {"viewer"}, "days": {"90"}})
	p := in.browse(t, browsing{agent: hostile})
	p.expects(http.StatusNotFound)
	clean := func(where string) {
		t.Helper()
		got, err := p.Evaluate(`() => [window.__pwned ?? "", document.querySelectorAll("em, [onerror], [onfocus], script:not([src]), img:not(.cm-widgetBuffer)").length].join()`)
		must(t, err)
		if got != ",0" {
			t.Errorf("%s: markup of a value is in the page: %v", where, got)
		}
	}
	shown := map[string]string{
		"/dictionaries/translations":                     hostile,
		"/dictionaries/entries":                          hostile,
		"/dictionaries/misses":                           "missing " + hostile,
		"/dictionaries/changes/2":                        hostile,
		s.upload:                                         hostile,
		"/settings/sessions":                             hostile,
		"/settings/tokens":                               "<em>token</em>",
		"/dictionaries/translations/" + s.translation.ID: hostile,
	}
	for _, path := range append(s.paths, "/login") {
		p.visit(path)
		if text := shown[path]; text != "" {
			p.says(p.Locator("main"), text)
		}
		clean(path)
	}
	// What scripts put into a page.
	p.visit("/dictionaries/translations")
	p.fill(p.search("Any of the six fields"), "<em>")
	p.counts(p.GetByTestId("translation"), 1)
	p.click(p.GetByTestId("translation").Locator("[data-focus]"))
	p.fill(p.input("To value"), hostile+hostile)
	p.keys("Enter")
	p.says(p.GetByTestId("translation"), hostile+hostile)
	p.says(p.toasts(), "<em>x</em>")
	p.click(p.menu(p.GetByTestId("translation")).GetByText("Delete…"))
	p.says(p.GetByTestId("deletion"), "<em>x</em>")
	clean("the list after an edit")
	p.visit("/dictionaries/misses")
	p.click(p.GetByTestId("miss").GetByRole("button")) // dismiss
	p.says(p.toasts(), "<em>x</em>")
	clean("the misses after a dismissal")
}
