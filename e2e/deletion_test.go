//go:build e2e

package e2e_test

import (
	"slices"
	"testing"
)

// TestDeleteEntry deletes an entry with what hangs on it, and has it all back.
func TestDeleteEntry(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.create(
		of("CRM", "COUNTRY", "AW", "ERP", "iso3", "ABW"),
		of("CRM", "COUNTRY", "AW", "BILLING", "code", "533"),
		of("PORTAL", "name", "Aruba", "CRM", "COUNTRY", "AW"),
		of("CRM", "COUNTRY", "NL", "ERP", "iso3", "NLD"),
	)
	entries, translations := a.entries(), a.translations()
	p := in.browse(t, browsing{})
	p.visit("/dictionaries/entries?system=CRM")

	ask := func() {
		p.click(p.menu(p.row("entry", "AW")).GetByText("Delete…"))
		p.counts(p.GetByTestId("goes-with"), 3)
		p.says(p.GetByTestId("deletion"), "3 translations will be deleted with it", "ABW", "533", "Aruba")
	}
	ask()
	p.click(p.link("Keep it"))
	p.sees(p.row("entry", "AW"))
	ask()
	p.keys("Escape")
	p.sees(p.row("entry", "AW"))
	if got := a.translations(); !slices.Equal(got, translations) {
		t.Fatalf("after it was kept there are %+v", got)
	}

	ask()
	p.click(p.button("Delete the entry and 3 translations"))
	gone := p.GetByTestId("deleted")
	p.says(gone, "Deleted CRM COUNTRY AW and 3 translations.")
	if got := a.translations(); len(got) != 1 || got[0].Value2 != "NLD" {
		t.Fatalf("after the deletion there are %+v", got)
	}

	p.click(gone.GetByText("See or undo it"))
	p.counts(p.row("item", "deleted"), 4)
	p.click(p.GetByTestId("undo").Locator("summary"))
	p.says(p.GetByTestId("undo"), "brings back 3 translations and brings back 1 entry")
	p.click(p.button("Undo it"))
	p.says(p.toasts(), "is undone")
	if got := a.entries(); !slices.EqualFunc(got, entries, func(x, y entry) bool { return x.ID == y.ID && x.Value == y.Value }) {
		t.Errorf("after the undo there are the entries %+v, want %+v", got, entries)
	}
	if got := a.translations(); !slices.EqualFunc(got, translations, func(x, y translation) bool { return x.ID == y.ID && x.same(y) }) {
		t.Errorf("after the undo there are the translations %+v, want %+v", got, translations)
	}
}
