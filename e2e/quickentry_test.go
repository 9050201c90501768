//go:build e2e

package e2e_test

import (
	"testing"
)

// ends are the labels of a translation's form, in the order of the keyboard.
var ends = []string{"From system", "From key", "From value", "To system", "To key", "To value"}

// TestQuickEntry types many translations in a row without ever touching the mouse.
func TestQuickEntry(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	p := in.browse(t, browsing{})
	p.expects(409, 422)
	p.visit("/dictionaries/translations")

	p.keys("n")
	p.focused(p.input("From system"))
	p.keys("CRM", "Tab", "COUNTRY", "Tab", "PL", "Tab", "ERP", "Tab", "iso3", "Tab", "POL", "Enter")
	want := []translation{of("CRM", "COUNTRY", "PL", "ERP", "iso3", "POL")}
	for _, codes := range [][2]string{{"DE", "DEU"}, {"FR", "FRA"}, {"IT", "ITA"}, {"GB", "GBR"}} {
		p.sees(p.row("translation", want[len(want)-1].Value2))
		p.focused(p.input("From value"))
		p.holds(p.input("From value"), "")
		p.keys(codes[0], "Tab", "Tab", "Tab", codes[1], "Enter")
		want = append(want, of("CRM", "COUNTRY", codes[0], "ERP", "iso3", codes[1]))
	}
	p.sees(p.row("translation", "GBR"))
	p.counts(p.GetByTestId("translation"), len(want))

	// What can be picked depends on what is typed.
	key := p.Locator("#list-key1-new option")
	p.counts(key, 1)
	must(t, expect.Locator(key).ToHaveAttribute("value", "COUNTRY"))
	p.fill(p.input("From system"), "ERP")
	must(t, expect.Locator(key).ToHaveAttribute("value", "iso3"))
	p.fill(p.input("From system"), "CRM")
	must(t, expect.Locator(key).ToHaveAttribute("value", "COUNTRY"))
	p.fill(p.input("From value"), "PL")
	p.fill(p.input("To value"), "FRA")
	form := p.GetByTestId("translation-form")
	p.says(form, "both ends are entries already")
	p.fill(p.input("To value"), "PLN")
	p.says(form, "creates", "PLN")

	// What is wrong is said in its place, and nothing that was typed goes away.
	must(t, p.input("To value").Press("Enter"))
	p.says(form, "exists")
	p.sees(p.link("Edit that one"))
	p.holds(p.input("From value"), "PL")
	p.holds(p.input("To value"), "PLN")
	p.fill(p.input("From system"), "C R M")
	p.fill(p.input("From value"), "ES")
	must(t, p.input("To value").Press("Enter"))
	p.focused(p.input("From system"))
	must(t, expect.Locator(p.input("From system")).ToHaveAttribute("aria-invalid", "true"))
	for i, value := range []string{"C R M", "COUNTRY", "ES", "ERP", "iso3", "PLN"} {
		p.holds(p.input(ends[i]), value)
	}
	p.fill(p.input("From system"), "CRM")
	p.fill(p.input("To value"), "ESP")
	p.keys("Enter")
	p.sees(p.row("translation", "ESP"))
	p.focused(p.input("From value"))
	want = append(want, of("CRM", "COUNTRY", "ES", "ERP", "iso3", "ESP"))

	// A value of several lines.
	p.keys("MT", "Tab", "Tab", "Tab", "Malta", "Shift+Enter", "Gozo", "Enter")
	p.sees(p.row("translation", "Gozo"))
	want = append(want, of("CRM", "COUNTRY", "MT", "ERP", "iso3", "Malta\nGozo"))
	p.focused(p.input("From value"))
	p.keys("Escape")
	p.lacks(p.GetByTestId("translation-form"))
	p.focused(p.link("Add a row"))

	got := in.client(t).translations()
	if len(got) != len(want) {
		t.Errorf("there are %d translations, want %d", len(got), len(want))
	}
	for _, w := range want {
		if !contains(got, w) {
			t.Errorf("%+v is missing", w)
		}
	}
}

// TestValuesSurvive edits one end of translations and expects the other as it was, to the byte.
func TestValuesSurvive(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	p := in.browse(t, browsing{})
	for i, value := range []string{"one\n\ttwo\n\nfour \n", "\n\n at the start", "tab\there ", "  blanks  ", `"quotes" & <tags> \n`, ""} {
		made := a.create(of("A", "k", "before", "B", "k", value))[0]
		p.visit("/dictionaries/translations")
		p.click(p.link("Edit A k before → B k"))
		p.holds(p.input("To value"), value)
		p.fill(p.input("From value"), "after")
		must(t, p.input("From value").Press("Enter"))
		p.sees(p.row("translation", "after"))
		got, want := a.translation(made.ID), made
		want.Value1, want.Version = "after", got.Version
		if got != want {
			t.Errorf("value %d: after the edit it is %#v, want %#v", i, got, want)
		}
		a.call("DELETE", "/dictionary/translations/"+made.ID, nil, nil)
	}
}

func contains(ts []translation, want translation) bool {
	for _, t := range ts {
		if t.same(want) {
			return true
		}
	}
	return false
}
