package handlers

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// hiddenOf returns the hidden fields of the first form in it.
func hiddenOf(where *goquery.Selection) []string {
	var out []string
	for _, el := range where.Find("form").First().Find("input[type=hidden]").EachIter() {
		name, _ := el.Attr("name")
		value, _ := el.Attr("value")
		out = append(out, name, value)
	}
	return out
}

// sendFile sends the form of the import.
func (a *dictApp) sendFile(name, text string, fields ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			a.t.Fatal(err)
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		if err != nil {
			a.t.Fatal(err)
		}
		if _, err := part.Write([]byte(text)); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		a.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/dictionaries/transfer", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return a.do(r, a.who)
}

// settled follows an upload until nothing is going on with it any more.
func (a *dictApp) settled(path string) *goquery.Document {
	a.t.Helper()
	var d *goquery.Document
	eventually(a.t, func() bool {
		rec := a.show(path)
		wantStatus(a.t, rec, http.StatusOK)
		d = doc(a.t, rec)
		_, running := d.Find("#upload").Attr("hx-trigger")
		return !running
	})
	return d
}

const csvHead = "system1,key1,value1,system2,key2,value2\n"

func TestAnImportIsCheckedShownAndApplied(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,532", "CRM,code,BQ,BILLING,code,535")
	rec := a.sendFile("codes.csv", csvHead+"CRM,code,AW,BILLING,code,533\nCRM,code,BQ,BILLING,code,535\nCRM,code,CA,BILLING,code,124\n", "mode", "merge")
	wantStatus(t, rec, http.StatusSeeOther)
	path := rec.Header().Get("Location")
	d := a.settled(path)
	wantText(t, d.Find(testid("figures")), "Dry run: 1 created 1 changed 1 unchanged 0 deleted 0 rejected 3 entries created")
	if n := d.Find(testid("item")).Length(); n != 2 {
		t.Errorf("%d changes are shown", n)
	}
	wantText(t, d.Find("del"), "53 2")
	wantText(t, d.Find("ins"), "53 3")
	wantText(t, d.Find("h1"), "codes.csv")
	if len(a.all()) != 2 {
		t.Fatal("the dry run has written")
	}
	if p := doc(t, a.show(path, fragment)); p.Find("section#upload").Length() != 1 || p.Find("nav#nav").Length() != 0 {
		t.Error("not the state alone")
	}
	if viewed := doc(t, a.as(Viewer).show(path)); viewed.Find("main form").Length() != 0 || viewed.Find(testid("figures")).Length() != 1 {
		t.Error("a viewer sees more or less than the figures")
	}
	wantText(t, d.Find(testid("apply")), "Apply these changes")
	fields := hiddenOf(d.Find(testid("decide")))
	for range 2 { // a double click
		wantStatus(t, a.send(path+"/apply", fields, fragment), http.StatusOK)
	}
	d = a.settled(path)
	wantText(t, d.Find("#upload"), "The file is imported.", "1 created 1 changed")
	undo, _ := d.Find("#upload .notice a").Attr("href")
	if undo != "/dictionaries/changes/2" {
		t.Errorf("the change: %q", undo)
	}
	wantList(t, a.all(), "CRM code AW > BILLING code 533", "CRM code BQ > BILLING code 535", "CRM code CA > BILLING code 124")
	a.wantRecord("operator | import.upload | import codes.csv | done")
	a.wantRecord("operator | import.apply | import codes.csv | done")
}

func TestRejectedRowsAreLeftOutOnlyWhenThatIsSaid(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	rec := a.sendFile("codes.csv", csvHead+"CRM,code,AW,BILLING,code,533\nno name,code,BQ,BILLING,code,535\nCRM,code\n", "mode", "merge", "format", "csv")
	path := rec.Header().Get("Location")
	d := a.settled(path)
	wantText(t, d.Find(testid("rejects")), "2 rows can't be imported", "3 system1 holds ' '", "4 has 2 columns")
	wantText(t, d.Find(testid("decide")), "Import the other 1 row", "2 rows will be left out")
	download := a.show(path + "/rejects")
	wantStatus(t, download, http.StatusOK)
	if got := download.Header().Get("Content-Disposition"); !strings.Contains(got, "rejected-codes.csv") {
		t.Errorf("saved as %q", got)
	}
	if !strings.Contains(download.Body.String(), "no name,code,BQ") {
		t.Errorf("%s", download.Body)
	}
	wantStatus(t, a.send(path+"/apply", []string{"op", "x"}), http.StatusUnprocessableEntity) // a form that doesn't say so
	wantRedirect(t, a.send(path+"/apply", hiddenOf(d.Find(testid("decide")))), path)
	a.settled(path)
	wantList(t, a.all(), "CRM code AW > BILLING code 533")
}

func TestReplacingAsksForAWord(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,533", "CRM,code,BQ,BILLING,code,535")
	rec := a.sendFile("codes.csv", csvHead+"CRM,code,AW,BILLING,code,533\n", "mode", "replace")
	path := rec.Header().Get("Location")
	d := a.settled(path)
	wantText(t, d.Find(testid("decide")), "This deletes what the file does not hold: 1 translation and 2 entries.", "Type REPLACE")
	fields := hiddenOf(d.Find(testid("decide")))
	for _, word := range []string{"", "replace"} {
		refused := a.send(path+"/apply", append(fields, "confirm", word))
		wantStatus(t, refused, http.StatusUnprocessableEntity)
		wantText(t, doc(t, refused).Find(".field-error"), "Type REPLACE in capitals")
	}
	if len(a.all()) != 2 {
		t.Fatal("it was replaced without the word")
	}
	wantRedirect(t, a.send(path+"/apply", append(fields, "confirm", "REPLACE")), path)
	a.settled(path)
	wantList(t, a.all(), "CRM code AW > BILLING code 533")
}

func TestWhatCanNotBeImported(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	rec := a.sendFile("", "", "mode", "replace")
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	d := doc(t, rec)
	wantText(t, d.Find(".field-error"), "Pick a file first")
	if mode, _ := d.Find("[name=mode][checked]").Attr("value"); mode != "replace" {
		t.Error("what was picked is lost")
	}
	rec = a.sendFile("what.bin", "hello")
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if doc(t, rec).Find(".field-error").Length() != 1 {
		t.Error("nothing is said")
	}
	broken := a.sendFile("codes.json", `{"translations":[`).Header().Get("Location")
	d = a.settled(broken)
	if d.Find(".notice-error").Length() != 1 || d.Find(testid("apply")).Length() != 0 {
		t.Errorf("a broken file:\n%s", words(d.Find("#upload")))
	}
	same := a.sendFile("codes.csv", csvHead).Header().Get("Location")
	d = a.settled(same)
	if d.Find(testid("apply")).Length() != 0 {
		t.Error("there is nothing to apply")
	}
	wantRedirect(t, a.send(same+"/discard", nil), "/dictionaries/transfer")
	wantStatus(t, a.show(same), http.StatusNotFound)
	wantRedirect(t, a.send(same+"/discard", nil), "/dictionaries/transfer")
	wantStatus(t, a.send("/dictionaries/transfer", []string{"mode", "merge"}), http.StatusBadRequest)
}

func TestExportsCanBeImportedAgain(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV(`CRM,code,"two`+"\n"+`lines",BILLING,code,<b>`, "CRM,code,AW,BILLING,code,")
	a.addEntry("LONELY", "entry", "x")
	d := doc(t, a.show("/dictionaries/transfer"))
	wantText(t, d.Find("#export"), "2 translations and 5 entries.")
	links := d.Find("#export a[download]")
	if links.Length() != 4 {
		t.Fatalf("%d formats", links.Length())
	}
	for _, link := range links.EachIter() {
		address, _ := link.Attr("href")
		t.Run(address, func(t *testing.T) {
			rec := a.as(Viewer).show(address)
			wantStatus(t, rec, http.StatusOK)
			name := rec.Header().Get("Content-Disposition")
			b := newDictApp(t)
			path := b.sendFile(name[strings.LastIndex(name, "'")+1:], rec.Body.String()).Header().Get("Location")
			b.settled(path)
			wantRedirect(t, b.send(path+"/apply", []string{"op", "x"}), path)
			b.settled(path)
			wantList(t, b.all(), a.all()...)
		})
	}
	wantStatus(t, a.show("/dictionaries/export?format=xml"), http.StatusUnprocessableEntity)
}
