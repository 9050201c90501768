//go:build e2e

package e2e_test

import (
	encoding "encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestFirstDay is what somebody does who has just installed the program, up to the first call of a service.
func TestFirstDay(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	p := in.browse(t, browsing{nobody: true})

	p.visit("/")
	p.at("/login")
	p.fill(p.field("Name"), admin)
	p.fill(p.field("Password"), password)
	p.click(p.button("Sign in"))
	p.sees(p.heading("Overview"), p.heading("First steps"), p.link("Import a file"), p.link("Make a token"))

	p.visit("/dictionaries/misses")
	p.sees(p.GetByText("No misses"))
	p.visit("/dictionaries/changes")
	p.sees(p.GetByText("Nothing was changed so far"))
	p.visit("/dictionaries/entries")
	p.sees(p.GetByText("There are no entries yet"), p.link("Add a row"))
	p.visit("/dictionaries/translations")
	p.sees(p.GetByText("There are no translations yet"))
	p.click(p.link("Import a file"))

	admin := in.client(t)
	total := 0
	for _, file := range []string{"../demo/countries.csv", "../demo/currencies.csv", "../demo/languages.csv", "testdata/zato-sample-export.json.bz2"} {
		rows := 1 // of the export
		if filepath.Ext(file) == ".csv" {
			rows = lines(t, file)
		}
		p.at("/dictionaries/transfer")
		must(t, p.field("File").SetInputFiles(file))
		p.click(p.button("Check the file"))
		p.says(p.GetByTestId("figures"), "Dry run:", thousands(rows)+" created", "0 rejected")
		if n := inStore(admin); n != total {
			t.Fatalf("after the dry run of %s there are %d translations, want %d", file, n, total)
		}
		p.click(p.button("Apply these changes"))
		p.sees(p.GetByText("The file is imported."))
		if total += rows; inStore(admin) != total {
			t.Fatalf("after the import of %s there are %d translations, want %d", file, inStore(admin), total)
		}
		p.click(p.link("Another file"))
	}

	p.click(p.link("Translations"))
	p.fill(p.search("Any of the six fields"), "Bonaire")
	p.counts(p.GetByTestId("translation"), 1)
	p.at("/dictionaries/translations")
	row := p.row("translation", "BES")
	p.click(row.GetByRole("link", playwright.LocatorGetByRoleOptions{Name: "Edit"}))
	value := p.input("To value")
	p.focused(value)
	p.holds(value, "Bonaire, Sint Eustatius and Saba")
	p.fill(value, "Bonaire, Saba and Sint Eustatius")
	p.keys("Enter")
	p.says(row, "Bonaire, Saba and Sint Eustatius")
	p.lacks(p.GetByTestId("translation-form"))
	p.says(p.toasts(), "Saved")
	bonaire := of("ERP", "country_iso3", "BES", "PORTAL", "country_name", "Bonaire, Sint Eustatius and Saba")
	if got := admin.translate(bonaire); got.Value2 != "Bonaire, Saba and Sint Eustatius" {
		t.Fatalf("after the correction: %+v", got)
	}

	p.click(p.link("History"))
	p.click(p.GetByTestId("change").First().GetByRole("link").First())
	item := p.row("item", "changed")
	p.counts(item, 1)
	p.says(item, "Bonaire, Sint Eustatius and Saba", "Bonaire, Saba and Sint Eustatius")
	p.counts(p.row("item", "entry", "Bonaire, Saba and Sint Eustatius"), 1) // both ends of a translation are entries
	undo := p.GetByTestId("undo")
	p.click(undo.Locator("summary"))
	p.says(undo, "This changes back 1 translation and deletes 1 entry.")
	p.click(p.button("Undo it"))
	p.says(p.toasts(), "is undone")

	p.click(p.link("Settings"))
	p.click(p.link("Tokens"))
	p.fill(p.field("Name"), "first day")
	_, err := p.field("Role").SelectOption(playwright.SelectOptionValues{Values: &[]string{"operator"}})
	must(t, err)
	p.click(p.button("Create token"))
	token, err := p.GetByTestId("secret").Locator(".v").TextContent()
	must(t, err)
	program := in.with(t, token)
	if got := program.translate(bonaire); got != (answer{bonaire.Value2, true}) {
		t.Fatalf("translate answers %+v", got)
	}
	atlantis := of("ERP", "country_iso3", "ATL", "PORTAL", "country_name", "Atlantis")
	if got := program.translate(atlantis); got != (answer{}) {
		t.Fatalf("translate answers %+v for what nobody has entered", got)
	}

	eventually(t, func() error { // misses are written every second
		p.visit("/dictionaries/misses")
		if n, err := p.GetByTestId("miss").Count(); n != 1 {
			return fmt.Errorf("%d misses, %w", n, err)
		}
		return nil
	})
	p.click(p.GetByTestId("miss").GetByRole("link", playwright.LocatorGetByRoleOptions{Name: "Add"}))
	for label, want := range map[string]string{
		"From system": "ERP", "From key": "country_iso3", "From value": "ATL", "To system": "PORTAL", "To key": "country_name", "To value": "",
	} {
		p.holds(p.input(label), want)
	}
	p.focused(p.input("To value"))
	p.keys("Atlantis", "Enter")
	p.at("/dictionaries/misses")
	p.says(p.toasts(), "Atlantis")
	p.sees(p.GetByText("No misses"))
	if got := program.translate(atlantis); got != (answer{"Atlantis", true}) {
		t.Fatalf("translate answers %+v for what was added", got)
	}
}

// lines counts the rows of a file.
func lines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	rows, err := encoding.NewReader(f).ReadAll()
	must(t, err)
	return len(rows) - 1
}

// thousands writes a number as pages do.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// inStore counts the translations that there are.
func inStore(a *api) int {
	a.t.Helper()
	rows, err := encoding.NewReader(strings.NewReader(a.export())).ReadAll()
	must(a.t, err)
	return len(rows) - 1
}
