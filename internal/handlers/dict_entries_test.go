package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestEntriesAreListedByPages(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	var file []string
	for i := range 60 {
		file = append(file, fmt.Sprintf("CRM,code,v%03d,BILLING,code,%d", i, i/2))
	}
	a.addCSV(file...)
	rec := a.show("/dictionaries/entries?system=CRM")
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if n := d.Find(testid("entry")).Length(); n != 50 {
		t.Errorf("%d rows", n)
	}
	wantText(t, d.Find(".pager"), "1–50 of 60, 90 in all")
	next, _ := d.Find("#list-page-Next").Attr("href")
	part := a.show(next, fragment)
	wantStatus(t, part, http.StatusOK)
	p := doc(t, part)
	if p.Find("section#list").Length() != 1 || p.Find("nav#nav").Length() != 0 || p.Find(testid("entry")).Length() != 10 {
		t.Errorf("not the list alone:\n%.300s", part.Body)
	}
	wantText(t, p.Find(".pager"), "51–60 of 60")
	if first, _ := p.Find("#list-page-First").Attr("href"); first != "/dictionaries/entries?system=CRM" {
		t.Errorf("First leads to %q", first)
	}
	last, _ := d.Find("#list-page-Last").Attr("href")
	wantText(t, doc(t, a.show(last)).Find(".pager"), "11–60 of 60")

	row := doc(t, a.show("/dictionaries/entries?q=BILLING&system=BILLING")).Find(testid("entry")).First()
	link, _ := row.Find("td a[title$='map to it']").Attr("href")
	if link != "/dictionaries/translations?key2=code&system2=BILLING&value2=0" {
		t.Errorf("the count leads to %q", link)
	}
	wantText(t, row, "BILLING code 0", "import 1")
	if n := doc(t, a.show(link)).Find(testid("translation")).Length(); n != 2 {
		t.Errorf("the count of 2 leads to %d", n)
	}
}

func TestEntryFiltersDependOnEachOther(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addTranslation("CRM", "code", "AW", "ERP", "iso3", "ABW")
	// The key of another system is what was picked before: it is dropped, and the address says so.
	rec := a.show("/dictionaries/entries?q=&system=ERP&key=code", fragment)
	wantStatus(t, rec, http.StatusOK)
	if got := rec.Header().Get("HX-Push-Url"); got != "/dictionaries/entries?system=ERP" {
		t.Errorf("the address bar gets %q", got)
	}
	body := rec.Body.String()
	if !strings.Contains(body, `<hx-partial hx-target="#filter-choices"`) || !strings.Contains(body, `<option value="iso3"`) || strings.Contains(body, `<option value="code"`) {
		t.Errorf("the keys are not those of the system:\n%s", body)
	}
	if rec := a.show("/dictionaries/entries?key=iso3&system=ERP", fragment); rec.Header().Get("HX-Push-Url") != "" {
		t.Error("an address that is right already is pushed again")
	}
	wantText(t, doc(t, a.show("/dictionaries/entries?q=nothing")).Find(".empty"), "Nothing matches", "2 entries", "Clear the filters")
	empty := newDictApp(t)
	wantText(t, doc(t, empty.show("/dictionaries/entries")).Find(".empty"), "There are no entries yet", "Import a file")
	wantText(t, doc(t, empty.as(Viewer).show("/dictionaries/entries")).Find(".empty"), "by an operator")
}

func TestEntriesAreCreatedInARow(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	form := rows(t, a.show("/dictionaries/entries/new?system=CRM&key=code", fragment))
	if focus, _ := form.Find("[autofocus]").Attr("name"); focus != "value" {
		t.Errorf("typing begins at %q", focus)
	}
	rec := a.send("/dictionaries/entries", instead(fieldsOf(form), "value", " padded "), fragment)
	wantStatus(t, rec, http.StatusOK)
	d := rows(t, rec)
	wantText(t, d.Find(testid("entry")), "CRM code padded", "operator")
	next := d.Find(testid("entry-form"))
	if id, _ := next.Attr("id"); id != "add" || valueOf(d, "system") != "CRM" || valueOf(d, "key") != "code" || valueOf(d, "value") != "" {
		t.Error("the form does not stay open for the next one")
	}
	if focus, _ := next.Find("[autofocus]").Attr("name"); focus != "value" || valueOf(d, "op") == valueOf(form, "op") {
		t.Error("the next one is not ready")
	}
	wantText(t, d.Find("#toasts"), "Saved CRM code padded", "See or undo it")
	wantList(t, a.allEntries(), "CRM code  padded ")
	a.wantRecord("operator | entry.create | entry CRM code padded | done")

	// Without scripts the form comes back as a page.
	page := doc(t, a.show("/dictionaries/entries/new?back=%2Fdictionaries%2Fentries%3Fsystem%3DCRM"))
	rec = a.send("/dictionaries/entries", instead(fieldsOf(page), "system", "CRM", "key", "code", "value", "b"))
	wantRedirect(t, rec, "/dictionaries/entries/new?back=%2Fdictionaries%2Fentries%3Fsystem%3DCRM&key=code&system=CRM")
	rec = a.show(rec.Header().Get("Location"))
	wantText(t, doc(t, rec).Find("#toasts"), "Saved CRM code b.")
}

func TestWhatIsWrongWithAnEntryIsSaidBesideIt(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	fields := []string{"op", "x", "system", "", "key", "bad key!", "value", "kept <b>"}
	for name, alter := range map[string][]with{"page": nil, "fragment": {fragment}} {
		t.Run(name, func(t *testing.T) {
			rec := a.send("/dictionaries/entries", fields, alter...)
			wantStatus(t, rec, http.StatusUnprocessableEntity)
			d := rows(t, rec)
			if name == "page" {
				d = doc(t, rec)
			}
			if d.Find(".field-error").Length() != 2 || d.Find("[aria-invalid=true]").Length() != 2 {
				t.Errorf("not both fields are marked")
			}
			wantText(t, d.Find(".field-error"), "Is empty", `Holds ' '`)
			if valueOf(d, "key") != "bad key!" || valueOf(d, "value") != "kept <b>" {
				t.Error("what was typed is lost")
			}
			if focus, _ := d.Find("[autofocus]").Attr("name"); focus != "system" {
				t.Errorf("the focus is at %q", focus)
			}
		})
	}
	if n := a.changeCount(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

// An Enter too many must not make an entry of nothing; but the empty value can be meant.
func TestTheEmptyValueIsAskedAbout(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	rec := a.send("/dictionaries/entries", []string{"op", "x", "system", "CRM", "key", "code", "value", ""}, fragment)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	d := rows(t, rec)
	wantText(t, d.Find(".notice"), "Nothing is typed")
	wantStatus(t, a.send("/dictionaries/entries", fieldsOf(d), fragment), http.StatusOK)
	wantList(t, a.allEntries(), "CRM code ")
}

func TestAFormSentTwiceIsAppliedOnce(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	fields := []string{"op", "one token", "system", "CRM", "key", "code", "value", "AW"}
	for range 2 {
		rec := a.send("/dictionaries/entries", fields, fragment)
		wantStatus(t, rec, http.StatusOK)
		wantText(t, rows(t, rec).Find(testid("entry")), "CRM code AW")
	}
	if n := a.changeCount(); n != 1 {
		t.Errorf("%d changes", n)
	}
	// The same token with something else typed is something else.
	wantStatus(t, a.send("/dictionaries/entries", instead(fields, "value", "BQ"), fragment), http.StatusOK)
	wantList(t, a.allEntries(), "CRM code AW", "CRM code BQ")
	// What is there already, from another form, is a conflict that leads to it.
	rec := a.send("/dictionaries/entries", instead(fields, "op", "another"), fragment)
	wantStatus(t, rec, http.StatusConflict)
	d := rows(t, rec)
	wantText(t, d.Find(".notice"), "exists already", "Edit that one")
	if valueOf(d, "value") != "AW" {
		t.Error("what was typed is lost")
	}
}

func TestAnEntryIsEditedInItsPlace(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	x := a.addTranslation("CRM", "code", "one\ntwo", "BILLING", "code", "1")
	e, err := a.deps.Dict.Entries(t.Context(), filterSystem("CRM"), limit(1))
	if err != nil {
		t.Fatal(err)
	}
	id := e.Items[0].ID
	rec := a.show("/dictionaries/entries/"+id+"/edit", fragment)
	wantStatus(t, rec, http.StatusOK)
	form := rows(t, rec)
	if form.Find("tbody#item-"+id).Length() != 1 || form.Find("textarea[name=value]").Length() != 1 {
		t.Error("not the form in place of the row, or one that drops line ends")
	}
	// Browsers send line ends as CR LF.
	rec = a.send("/dictionaries/entries/"+id, instead(fieldsOf(form), "value", "one\r\nthree"), fragment)
	wantStatus(t, rec, http.StatusOK)
	if d := rows(t, rec); d.Find("tbody#item-"+id).Length() != 1 || d.Find("form").Length() != 0 {
		t.Error("the row is not back")
	}
	wantList(t, a.all(), "CRM code one\nthree > BILLING code 1")
	if got, err := a.deps.Dict.Translation(t.Context(), x.ID); err != nil || got.Value1 != "one\nthree" {
		t.Errorf("%+v %v", got, err)
	}
	a.wantRecord("operator | entry.change | entry CRM code one three | done")

	back := "/dictionaries/entries?q=one"
	page := doc(t, a.show("/dictionaries/entries/"+id+"/edit", header("Referer", "http://example.com"+back)))
	wantRedirect(t, a.send("/dictionaries/entries/"+id, fieldsOf(page)), back)
	wantText(t, doc(t, a.show(back)).Find("#toasts"), "nothing was changed")
	wantText(t, rows(t, a.show("/dictionaries/entries/"+id, fragment)).Find(testid("entry")), "CRM code one")
	// What was typed comes along when several lines are asked for.
	lines := rows(t, a.show("/dictionaries/entries/"+id+"/edit?lines=1&version=2&system=A&key=b&value="+url.QueryEscape("typed"), fragment))
	if lines.Find("textarea[name=value]").Length() != 1 || valueOf(lines, "value") != "typed" || valueOf(lines, "system") != "A" || valueOf(lines, "version") != "2" {
		t.Errorf("what was typed is lost: %v", fieldsOf(lines))
	}
}

func TestAStaleEditShowsBoth(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	e := a.addEntry("CRM", "code", "old")
	mine := fieldsOf(rows(t, a.show("/dictionaries/entries/"+e.ID+"/edit", fragment)))
	theirs := fieldsOf(rows(t, a.show("/dictionaries/entries/"+e.ID+"/edit", fragment)))
	wantStatus(t, a.as(Admin).send("/dictionaries/entries/"+e.ID, instead(theirs, "value", "theirs"), fragment), http.StatusOK)
	over := mine
	for name, alter := range map[string][]with{"page": nil, "fragment": {fragment}} {
		rec := a.send("/dictionaries/entries/"+e.ID, instead(mine, "value", "mine"), alter...)
		wantStatus(t, rec, http.StatusConflict)
		d := rows(t, rec)
		if name == "page" {
			d = doc(t, rec)
		}
		wantText(t, d.Find(testid("theirs")), "CRM code theirs", "admin")
		wantText(t, d.Find(testid("entry-form")), "Somebody else changed this entry", "Save mine over it", "Keep theirs")
		if valueOf(d, "value") != "mine" {
			t.Errorf("%s: mine is lost: %q", name, valueOf(d, "value"))
		}
		over = fieldsOf(d)
	}
	wantStatus(t, a.send("/dictionaries/entries/"+e.ID, over, fragment), http.StatusOK)
	wantList(t, a.allEntries(), "CRM code mine")
}

func TestWhatWasDeletedMeanwhileCanBeCreatedAgain(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	e := a.addEntry("CRM", "code", "old")
	mine := fieldsOf(rows(t, a.show("/dictionaries/entries/"+e.ID+"/edit", fragment)))
	if _, err := a.deps.Dict.DeleteEntry(t.Context(), by("anna"), e.ID, 0); err != nil {
		t.Fatal(err)
	}
	rec := a.send("/dictionaries/entries/"+e.ID, instead(mine, "value", "mine"), fragment)
	wantStatus(t, rec, http.StatusConflict)
	d := rows(t, rec)
	wantText(t, d.Find(testid("entry-form")), "Somebody else deleted this entry", "Create it again")
	again, _ := d.Find("button[formaction]").First().Attr("formaction")
	if again != "/dictionaries/entries" || valueOf(d, "value") != "mine" {
		t.Fatalf("%q, %q", again, valueOf(d, "value"))
	}
	wantStatus(t, a.send(again, fieldsOf(d), fragment), http.StatusOK)
	wantList(t, a.allEntries(), "CRM code mine")
}

func TestAnUnknownOutcomeIsSaidAndCanBeChecked(t *testing.T) {
	t.Parallel()
	for _, made := range []bool{true, false} {
		t.Run(fmt.Sprintf("made %t", made), func(t *testing.T) {
			t.Parallel()
			a, deaf := newDictApp(t), &deafness{}
			a.deps.DB.Client().AddHook(deaf)
			e := a.addEntry("CRM", "code", "old")
			fields := instead(fieldsOf(rows(t, a.show("/dictionaries/entries/"+e.ID+"/edit", fragment))), "value", "new")
			deaf.lost.Store(!made)
			deaf.on.Store(true)
			rec := a.send("/dictionaries/entries/"+e.ID, fields, fragment)
			wantStatus(t, rec, http.StatusGatewayTimeout)
			if rec.Header().Get("HX-Reswap") != "outerHTML" {
				t.Error("the row does not say so")
			}
			d := rows(t, rec)
			wantText(t, d.Find(testid("entry-form")), "It is not known whether this was saved", "Check")
			if valueOf(d, "value") != "new" || d.Find("#toasts").Length() != 1 {
				t.Error("what was typed is lost, or nobody is told")
			}
			wantStatus(t, a.send("/dictionaries/entries/"+e.ID, append(fieldsOf(d), "check", "1"), fragment), http.StatusGatewayTimeout) // still deaf
			page := a.send("/dictionaries/entries/"+e.ID, append(fieldsOf(d), "check", "1"))
			wantStatus(t, page, http.StatusGatewayTimeout)
			wantText(t, doc(t, page).Find(testid("entry-form")), "It is not known", "Check")

			deaf.on.Store(false)
			deaf.deaf.Store(false)
			rec = a.send("/dictionaries/entries/"+e.ID, append(fieldsOf(d), "check", "1"), fragment)
			if made {
				wantStatus(t, rec, http.StatusOK)
				wantText(t, rows(t, rec).Find(testid("entry")), "CRM code new")
				if n := a.changeCount(); n != 2 {
					t.Errorf("%d changes", n)
				}
				return
			}
			wantStatus(t, rec, http.StatusConflict)
			d = rows(t, rec)
			wantText(t, d.Find(testid("entry-form")), "It was not saved", "Save")
			wantStatus(t, a.send("/dictionaries/entries/"+e.ID, fieldsOf(d), fragment), http.StatusOK)
			wantList(t, a.allEntries(), "CRM code new")
		})
	}
}

func TestDeletingAnEntrySaysFirstWhatGoesWithIt(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	file := []string{"BILLING,code,533,CRM,code,AW", "CRM,code,AW,CRM,code,AW"}
	for i := range 12 {
		file = append(file, fmt.Sprintf("CRM,code,AW,S%02d,code,x%d", i, i))
	}
	a.addCSV(file...)
	page, err := a.deps.Dict.Entries(t.Context(), filterSystem("CRM"), limit(1))
	if err != nil {
		t.Fatal(err)
	}
	id := page.Items[0].ID
	for name, alter := range map[string][]with{"page": nil, "fragment": {fragment}} {
		rec := a.show("/dictionaries/entries/"+id+"/delete", alter...)
		wantStatus(t, rec, http.StatusOK)
		d := rows(t, rec)
		if name == "page" {
			d = doc(t, rec)
		}
		wantText(t, d.Find(testid("deletion")), "14 translations will be deleted with it", "and 4 more", "Delete the entry and 14 translations")
		if n := d.Find(testid("goes-with")).Length(); n != 10 {
			t.Errorf("%s: %d are named", name, n)
		}
		if all, _ := d.Find(testid("deletion") + " p a").First().Attr("href"); all != "/dictionaries/translations?key1=code&system1=CRM&value1=AW" {
			t.Errorf("all: %q", all)
		}
	}
	fields := fieldsOf(rows(t, a.show("/dictionaries/entries/"+id+"/delete", fragment)))
	a.addTranslation("CRM", "code", "AW", "S99", "code", "one more")
	rec := a.send("/dictionaries/entries/"+id+"/delete", fields, fragment)
	wantStatus(t, rec, http.StatusConflict)
	d := rows(t, rec)
	wantText(t, d.Find(testid("deletion")), "has changed since", "15 translations")
	if n := len(a.all()); n != 15 {
		t.Fatalf("%d translations are left", n)
	}
	for range 2 { // a double click
		rec = a.send("/dictionaries/entries/"+id+"/delete", fieldsOf(d), fragment)
		wantStatus(t, rec, http.StatusOK)
		wantText(t, rows(t, rec).Find(testid("deleted")), "eleted")
	}
	wantList(t, a.all())
	a.wantRecord("operator | entry.delete | entry " + id + " | done")
	undo, _ := rows(t, a.send("/dictionaries/entries/"+id+"/delete", fieldsOf(d), fragment)).Find("a").Attr("href")
	if undo != "/dictionaries/changes" {
		t.Errorf("history: %q", undo)
	}
}

func TestAnUnknownDeletionCanBeChecked(t *testing.T) {
	t.Parallel()
	for _, made := range []bool{true, false} {
		t.Run(fmt.Sprintf("made %t", made), func(t *testing.T) {
			t.Parallel()
			a, deaf := newDictApp(t), &deafness{}
			a.deps.DB.Client().AddHook(deaf)
			a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
			e, err := a.deps.Dict.Entries(t.Context(), filterSystem("CRM"), limit(1))
			if err != nil {
				t.Fatal(err)
			}
			path := "/dictionaries/entries/" + e.Items[0].ID + "/delete"
			fields := fieldsOf(rows(t, a.show(path, fragment)))
			deaf.lost.Store(!made)
			deaf.on.Store(true)
			rec := a.send(path, fields, fragment)
			wantStatus(t, rec, http.StatusGatewayTimeout)
			d := rows(t, rec)
			wantText(t, d.Find(testid("deletion")), "It is not known whether it was deleted", "Check")
			deaf.on.Store(false)
			rec = a.send(path, append(fieldsOf(d), "check", "1"), fragment)
			if made {
				wantStatus(t, rec, http.StatusOK)
				wantText(t, rows(t, rec).Find(testid("deleted")), "It is deleted.")
				wantList(t, a.all())
				return
			}
			wantStatus(t, rec, http.StatusConflict)
			d = rows(t, rec)
			wantText(t, d.Find(testid("deletion")), "It was not deleted", "Delete the entry and 1 translation")
			wantStatus(t, a.send(path, fieldsOf(d), fragment), http.StatusOK)
			wantList(t, a.all())
		})
	}
}
