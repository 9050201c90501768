//go:build e2e

package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// choose picks a file with this text on the page of imports, and has it checked.
func (p *page) choose(name, text string) {
	p.t.Helper()
	must(p.t, p.field("File").SetInputFiles(playwright.InputFile{Name: name, MimeType: "text/csv", Buffer: []byte(text)}))
	p.click(p.button("Check the file"))
}

// TestImport imports files with mistakes in them, files that delete, and files that are none.
func TestImport(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	p := in.browse(t, browsing{})
	p.expects(422)

	p.visit("/dictionaries/transfer")
	p.choose("codes.csv", csv("A,k,1,B,k,one", "A,k,2,B", "A A,k,3,B,k,three", `A,k,4,B,k,"four"`, "A,k,1,B,k,uno"))
	rejects := p.GetByTestId("rejects")
	p.says(rejects, "3 rows can't be imported")
	p.says(p.row("reject", "has 4 columns; 6 are expected"), "3")
	p.says(p.row("reject", "system1"), "4")
	p.says(p.row("reject", "conflicts with line 2, which translates it to \"one\""), "6")
	if got := a.translations(); len(got) != 0 {
		t.Fatalf("the dry run has written %+v", got)
	}
	file, err := p.ExpectDownload(func() error { return p.link("Download them").Click() })
	must(t, err)
	path, err := file.Path()
	must(t, err)
	kept, err := os.ReadFile(path)
	must(t, err)
	for _, row := range []string{"line,reason,system1,key1,value1,system2,key2,value2\n", "3,has 4 columns; 6 are expected,A,k,2,B\n", "A A,k,3,B,k,three\n", "A,k,1,B,k,uno\n"} {
		if !strings.Contains(string(kept), row) {
			t.Errorf("the file of rejects lacks %q:\n%s", row, kept)
		}
	}
	if want := "rejected-codes.csv"; file.SuggestedFilename() != want {
		t.Errorf("the file of rejects is called %q, want %q", file.SuggestedFilename(), want)
	}
	p.says(p.GetByTestId("decide"), "3 rows will be left out")
	p.click(p.button("Import the other 2 rows"))
	p.sees(p.GetByText("The file is imported."))
	if got := a.translations(); len(got) != 2 {
		t.Fatalf("of the good rows there are %+v", got)
	}

	// A file in place of all that is there: it has to be typed.
	p.visit("/dictionaries/transfer")
	must(t, p.GetByLabel("is deleted: translations, and entries (replace)").Check())
	p.choose("all.csv", csv("A,k,1,B,k,one"))
	p.says(p.GetByTestId("decide"), "This deletes what the file does not hold: 1 translation and 2 entries.")
	p.click(p.button("Apply these changes"))
	p.says(p.GetByTestId("decide"), "Type REPLACE in capitals")
	if got := a.translations(); len(got) != 2 {
		t.Fatalf("without the confirmation there are %+v", got)
	}
	p.fill(p.field("Type REPLACE to go on"), "REPLACE")
	p.click(p.button("Apply these changes"))
	p.sees(p.GetByText("The file is imported."))
	if got := a.translations(); len(got) != 1 || got[0].Value2 != "one" {
		t.Fatalf("after the replacement there are %+v", got)
	}
	p.click(p.link("See or undo the change"))
	p.click(p.GetByTestId("undo").Locator("summary"))
	p.click(p.button("Undo it"))
	p.says(p.toasts(), "is undone")
	if got := a.translations(); len(got) != 2 {
		t.Fatalf("after the undo there are %+v", got)
	}

	// What is no import says why, and leaves nothing behind but the way back.
	for name, says := range map[string]string{
		"photo.csv":   "The first line must be system1,key1,value1,system2,key2,value2",
		"empty.csv":   "The file is empty.",
		"export.json": "This is not JSON",
	} {
		text := map[string]string{"photo.csv": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "export.json": "{\"data\": no}"}[name]
		p.visit("/dictionaries/transfer")
		p.choose(name, text)
		p.sees(p.GetByText(says))
		p.lacks(p.button("Apply these changes"))
	}
	p.visit("/dictionaries/transfer")
	p.choose("none.csv", csv("only one column"))
	p.sees(p.GetByText("No row of the file can be imported."))
	p.click(p.button("Discard"))
	p.at("/dictionaries/transfer")
	p.says(p.toasts(), "Nothing was imported")
	if got := a.translations(); len(got) != 2 {
		t.Fatalf("in the end there are %+v", got)
	}
}
