//go:build e2e

package e2e_test

import (
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestWithoutScript does the daily work in a browser that runs no scripts.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	p := in.browse(t, browsing{nobody: true, noScript: true})

	p.visit("/dictionaries/translations?q=")
	p.at("/login")
	p.fill(p.field("Name"), admin)
	p.fill(p.field("Password"), password)
	p.click(p.button("Sign in"))
	p.at("/dictionaries/translations")

	// Create two in a row.
	p.click(p.GetByRole("link", playwright.PageGetByRoleOptions{Name: "Add a row"}))
	for i, value := range []string{"CRM", "COUNTRY", "PL", "ERP", "iso3", "POL"} {
		p.fill(p.input(ends[i]), value)
	}
	p.click(p.button("Save"))
	p.says(p.toasts(), "Saved", "POL", "2 new entries")
	p.holds(p.input("From key"), "COUNTRY")
	p.fill(p.input("From value"), "DE")
	p.fill(p.input("To value"), "DEU")
	p.click(p.button("Several lines"))
	must(t, expect.Locator(p.input("To value")).ToHaveJSProperty("tagName", "TEXTAREA"))
	p.fill(p.input("To value"), "DEU\nGER")
	p.click(p.button("Save"))
	p.says(p.toasts(), "Saved")
	p.click(p.link("Cancel"))

	// Filter, edit and delete.
	p.at("/dictionaries/translations")
	p.counts(p.GetByTestId("translation"), 2)
	p.fill(p.search("Any of the six fields"), "POL")
	p.click(p.button("Filter"))
	p.counts(p.GetByTestId("translation"), 1)
	p.click(p.link("Edit CRM COUNTRY PL → ERP iso3"))
	p.fill(p.input("To value"), "PL")
	p.click(p.button("Save"))
	p.says(p.toasts(), "Saved")
	p.click(p.link("Clear the filters"))
	p.click(p.menu(p.row("translation", "GER")).GetByText("Delete…"))
	p.says(p.GetByTestId("deletion"), "Delete", "DE", "DEU GER")
	p.click(p.button("Delete the translation"))
	p.says(p.toasts(), "Deleted")
	p.counts(p.GetByTestId("translation"), 1)
	if got := a.translations(); len(got) != 1 || !got[0].same(of("CRM", "COUNTRY", "PL", "ERP", "iso3", "PL")) {
		t.Fatalf("there are %+v", got)
	}

	// Import, with its dry run, and undo it.
	p.click(p.link("Import"))
	p.choose("codes.csv", csv("CRM,COUNTRY,FR,ERP,iso3,FRA", "CRM,COUNTRY,IT,ERP,iso3,ITA"))
	p.says(p.GetByTestId("figures"), "Dry run:", "2 created")
	if got := a.translations(); len(got) != 1 {
		t.Fatalf("the dry run has written: %+v", got)
	}
	p.click(p.button("Apply these changes"))
	p.sees(p.GetByText("The file is imported."))
	if got := a.translations(); len(got) != 3 {
		t.Fatalf("the import has left %+v", got)
	}
	p.click(p.link("See or undo the change"))
	p.click(p.GetByTestId("undo").Locator("summary"))
	p.click(p.button("Undo it"))
	p.says(p.toasts(), "is undone")
	if got := a.translations(); len(got) != 1 {
		t.Fatalf("the undo has left %+v", got)
	}

	// Try a translation, choose colours, leave.
	p.visit("/dictionaries/translate")
	for label, value := range map[string]string{"System": "CRM", "Key": "COUNTRY", "Value": "PL"} {
		p.fill(p.Locator("#forward").GetByRole("group", playwright.LocatorGetByRoleOptions{Name: "From"}).GetByLabel(label), value)
	}
	for label, value := range map[string]string{"System": "ERP", "Key": "iso3"} {
		p.fill(p.Locator("#forward").GetByRole("group", playwright.LocatorGetByRoleOptions{Name: "To"}).GetByLabel(label), value)
	}
	p.click(p.button("Translate"))
	p.says(p.GetByTestId("result"), "found", "PL")
	p.click(p.GetByLabel("Colours"))
	p.click(p.button("Dark"))
	must(t, expect.Locator(p.Locator("html")).ToHaveAttribute("data-theme", "night"))
	p.says(p.GetByTestId("result"), "found")
	p.click(p.Locator(".user summary"))
	p.click(p.button("Sign out"))
	p.at("/login")
	p.visit("/dictionaries/translations")
	p.at("/login")
}
