//go:build e2e

package e2e_test

import (
	"net/url"
	"regexp"
	"sync"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestSavedOnce saves by double clicks, by going back and saving again, and by sending a form twice at the same time.
func TestSavedOnce(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	want := 0
	made := func(what string) {
		t.Helper()
		want++
		if got := a.changes(); len(got) != want {
			t.Fatalf("%s: the history holds %+v, want %d changes", what, got, want)
		}
	}

	p := in.browse(t, browsing{})
	p.visit("/dictionaries/translations")
	p.keys("n")
	fill(p, "CRM", "COUNTRY", "PL", "ERP", "iso3", "POL")
	must(t, p.button("Save").Dblclick())
	p.sees(p.row("translation", "POL"))
	p.holds(p.input("From value"), "")
	made("double click on a new row")
	p.keys("Escape")
	p.click(p.link("Edit CRM COUNTRY PL → ERP iso3"))
	p.fill(p.input("To value"), "PL")
	must(t, p.button("Save").Dblclick())
	p.lacks(p.GetByTestId("translation-form"))
	p.says(p.GetByTestId("translation"), "PL")
	made("double click on an edit")
	p.click(p.menu(p.GetByTestId("translation")).GetByText("Delete…"))
	must(t, p.button("Delete the translation").Dblclick())
	p.sees(p.GetByTestId("deleted"))
	made("double click on a deletion")

	// The browser's own forms, which nothing but the server can keep from being sent twice.
	p = in.browse(t, browsing{noScript: true})
	p.expects(409)
	p.visit("/dictionaries/translations/new")
	fill(p, "CRM", "COUNTRY", "DE", "ERP", "iso3", "DEU")
	must(t, p.button("Save").Dblclick())
	p.holds(p.input("From value"), "")
	made("double click on a new row without scripts")
	_, err := p.GoBack()
	must(t, err)
	fill(p, "CRM", "COUNTRY", "DE", "ERP", "iso3", "DEU")
	p.click(p.button("Save"))
	p.sees(p.link("Edit that one"))
	p.click(p.link("Edit that one"))
	p.fill(p.input("To value"), "GER")
	p.click(p.button("Save"))
	p.says(p.toasts(), "GER")
	made("going back to a form that was saved")
	p.click(p.link("Edit CRM COUNTRY DE → ERP iso3"))
	p.click(p.button("Save"))
	p.says(p.toasts(), "Nothing was different")

	// The same form, sent by two at once.
	form := url.Values{
		"system1": {"CRM"}, "key1": {"COUNTRY"}, "value1": {"FR"}, "system2": {"ERP"}, "key2": {"iso3"}, "value2": {"FRA"}, "create_entries": {"1"},
		"op": {regexp.MustCompile(`name="op" value="([^"]+)"`).FindStringSubmatch(a.get("/dictionaries/translations/new"))[1]},
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			resp, err := a.web.PostForm(a.url+"/dictionaries/translations", form)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("sent twice: %v, %v", resp, err)
			}
			if err == nil {
				resp.Body.Close()
			}
		})
	}
	both.Wait()
	made("sent twice at the same time")
}

// fill types into all six fields of a translation.
func fill(p *page, values ...string) {
	p.t.Helper()
	must(p.t, p.input(ends[0]).WaitFor(playwright.LocatorWaitForOptions{State: playwright.WaitForSelectorStateVisible}))
	for i, value := range values {
		p.fill(p.input(ends[i]), value)
	}
}

// TestListOnItsWay opens a row for editing while its list is on its way anew: what is opened must not be gone when the list comes.
func TestListOnItsWay(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	p := in.browse(t, browsing{})
	p.visit("/dictionaries/translations")
	p.keys("n")
	fill(p, "CRM", "COUNTRY", "PL", "ERP", "iso3", "POL")
	p.click(p.button("Save"))
	p.sees(p.row("translation", "POL"))
	p.holds(p.input("From value"), "")

	come := make(chan struct{})
	must(t, p.Route(regexp.MustCompile(`/dictionaries/translations$`), func(r playwright.Route) {
		go func() {
			<-come
			if err := r.Continue(); err != nil {
				t.Error(err)
			}
		}()
	}))
	edit := p.link("Edit CRM COUNTRY PL → ERP iso3")
	p.keys("Escape")
	must(t, expect.Locator(p.Locator("#list")).ToHaveAttribute("aria-busy", "true"))
	if err := edit.Click(playwright.LocatorClickOptions{Timeout: playwright.Float(500)}); err == nil {
		t.Error("a row can be opened while its list is on its way anew")
	}
	close(come)
	p.click(edit)
	p.holds(p.input("To value"), "POL")
	p.counts(p.GetByTestId("translation-form"), 1)
}
