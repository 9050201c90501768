package handlers

import (
	"net/http"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/dict"
)

func filterSystem(system string) dict.Filter { return dict.Filter{System: system} }
func limit(n int) dict.ListOptions           { return dict.ListOptions{Limit: n} }
func by(who string) dict.By                  { return dict.By{Who: who} }

// column returns the text of the n-th cell of each row.
func column(d *goquery.Document, n int) string {
	var out []string
	for _, row := range d.Find(testid("translation")).EachIter() {
		out = append(out, strings.TrimSpace(row.Find("td").Eq(n).Text()))
	}
	return strings.Join(out, " ")
}

func TestTranslationsAreFilteredAndSorted(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,533", "CRM,code,BQ,BILLING,code,535", "CRM,code,CA,ERP,iso3,CAN", "ERP,iso3,ABW,BILLING,code,100")
	for query, want := range map[string]string{
		"":                                   "AW BQ CA ABW",
		"?system1=CRM":                       "AW BQ CA",
		"?system1=CRM&key1=code&system2=ERP": "CA",
		"?system2=BILLING&key2=code":         "AW BQ ABW",
		"?q=53":                              "AW BQ",
		"?system2=BILLING&key2=code&value2=535&system1=CRM&key1=code&value1=BQ": "BQ",
		"?sort=-source":                  "ABW CA BQ AW",
		"?sort=target":                   "ABW AW BQ CA",
		"?sort=-target&system2=BILLING":  "BQ AW ABW",
		"?system1=ERP&key1=code":         "ABW", // not a key of that system
		"?sort=nonsense&system1=nowhere": "",
	} {
		rec := a.show("/dictionaries/translations" + query)
		wantStatus(t, rec, http.StatusOK)
		if got := column(doc(t, rec), 2); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	d := doc(t, a.show("/dictionaries/translations?sort=target&q=C"))
	for head, want := range map[string]string{"#sort-source": "/dictionaries/translations?q=C", "#sort-target": "/dictionaries/translations?q=C&sort=-target"} {
		if got, _ := d.Find(head).Attr("href"); got != want {
			t.Errorf("%s leads to %q, want %q", head, got, want)
		}
	}
	if got, _ := d.Find("th:has(#sort-target)").Attr("aria-sort"); got != "ascending" {
		t.Errorf("aria-sort: %q", got)
	}
	chip := doc(t, a.show("/dictionaries/translations?system1=CRM&key1=code&value1=AW"))
	off, _ := chip.Find("#filter-choices a[title='Any value']").Attr("href")
	if off != "/dictionaries/translations?key1=code&system1=CRM" || valueOf(chip, "value1") != "AW" {
		t.Errorf("the value can't be taken off: %q", off)
	}
	try, _ := chip.Find(testid("translation") + " td a").First().Attr("href")
	if try != "/dictionaries/translate?key1=code&key2=code&system1=CRM&system2=BILLING&value1=AW" {
		t.Errorf("the value leads to %q", try)
	}
	wantStatus(t, a.show("/dictionaries/translations?cursor=nonsense"), http.StatusUnprocessableEntity)
}

func TestTranslationsAreCreatedInARow(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	list := doc(t, a.show("/dictionaries/translations?system1=CRM"))
	open, _ := list.Find("[data-key-new]").Attr("hx-get")
	form := rows(t, a.show(open, fragment, header("Referer", "http://example.com/dictionaries/translations?system1=CRM")))
	if _, ticked := form.Find("[name=create_entries]").Attr("checked"); !ticked || valueOf(form, "back") != "/dictionaries/translations?system1=CRM" {
		t.Fatalf("%v", fieldsOf(form))
	}
	fields := instead(fieldsOf(form), "system1", "CRM", "key1", "code", "value1", "AW", "system2", "BILLING", "key2", "code", "value2", "533")
	rec := a.send("/dictionaries/translations", fields, fragment)
	wantStatus(t, rec, http.StatusOK)
	d := rows(t, rec)
	wantText(t, d.Find(testid("translation")), "CRM code AW BILLING code 533")
	wantText(t, d.Find("#toasts"), "Saved AW → 533, with 2 new entries.")
	if got := []string{valueOf(d, "system1"), valueOf(d, "key1"), valueOf(d, "value1"), valueOf(d, "system2"), valueOf(d, "key2"), valueOf(d, "value2")}; strings.Join(got, "|") != "CRM|code||BILLING|code|" {
		t.Errorf("the next form holds %q", got)
	}
	if focus, _ := d.Find("[autofocus]").Attr("name"); focus != "value1" {
		t.Errorf("the focus is at %q", focus)
	}
	// The box stays as it was: unticked, a missing end is named and nothing is written.
	next := instead(fieldsOf(d), "value1", "BQ", "value2", "535")
	var without []string
	for i := 0; i+1 < len(next); i += 2 {
		if next[i] != "create_entries" {
			without = append(without, next[i], next[i+1])
		}
	}
	rec = a.send("/dictionaries/translations", without, fragment)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	d = rows(t, rec)
	wantText(t, d.Find(".notice"), "There is no entry", "CRM code BQ", "BILLING code 535")
	if _, ticked := d.Find("[name=create_entries]").Attr("checked"); ticked || valueOf(d, "value1") != "BQ" {
		t.Error("the form is not as it was sent")
	}
	wantStatus(t, a.send("/dictionaries/translations", append(fieldsOf(d), "create_entries", "1"), fragment), http.StatusOK)
	wantList(t, a.all(), "CRM code AW > BILLING code 533", "CRM code BQ > BILLING code 535")
	a.wantRecord("operator | translation.create | translation CRM code BQ → BILLING code | failed")
	a.wantRecord("operator | translation.create | translation CRM code BQ → BILLING code | done")

	rec = a.send("/dictionaries/translations", []string{"op", "x", "system1", "CRM", "key1", "code", "value1", "", "system2", "BILLING", "key2", "code", "value2", ""}, fragment)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantText(t, rows(t, rec).Find(".notice"), "Nothing is typed")
}

func TestChoicesFollowWhatIsTyped(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,533", "CRM,code,AX,BILLING,code,248", "CRM,name,Aruba,BILLING,code,533")
	d := doc(t, a.show("/dictionaries/choices?of=translation&suffix=7&system1=CRM&key1=code&value1=A&system2=BILLING&key2=code&value2=533", fragment))
	offered := func(list string) string {
		var out []string
		for _, o := range d.Find("#" + list + " option").EachIter() {
			v, _ := o.Attr("value")
			out = append(out, v)
		}
		return strings.Join(out, " ")
	}
	for list, want := range map[string]string{
		"list-system1-7": "BILLING CRM", "list-key1-7": "code name", "list-value1-7": "AW AX", "list-key2-7": "code", "list-value2-7": "533",
	} {
		if got := offered(list); got != want {
			t.Errorf("%s offers %q, want %q", list, got, want)
		}
	}
	wantText(t, d.Find("[role=status]"), "creates CRM code A")
	d = doc(t, a.show("/dictionaries/choices?of=translation&suffix=7&system1=CRM&key1=code&value1=AW&system2=BILLING&key2=code&value2=533", fragment))
	wantText(t, d.Find("[role=status]"), "both ends are entries already")
	d = doc(t, a.show("/dictionaries/choices?of=translation&suffix=7&system1=CRM&key1=code&system2=BILLING&key2=code", fragment))
	if got := strings.TrimSpace(d.Find("[role=status]").Text()); got != "" {
		t.Errorf("nobody has begun with the values, and it says %q", got)
	}
}

func TestATranslationIsEditedInItsPlace(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	x := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	a.addTranslation("CRM", "code", "BQ", "BILLING", "code", "535")
	path := "/dictionaries/translations/" + x.ID
	form := rows(t, a.show(path+"/edit", fragment))
	if focus, _ := form.Find("[autofocus]").Attr("name"); focus != "value2" {
		t.Errorf("the focus is at %q", focus)
	}
	rec := a.send(path, instead(fieldsOf(form), "value2", "999"), fragment)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, rows(t, rec).Find("tbody#item-"+x.ID), "CRM code AW BILLING code 999", "operator")
	// Its place is taken: the other is named, and what was typed stays.
	form = rows(t, a.show(path+"/edit", fragment))
	rec = a.send(path, instead(fieldsOf(form), "value1", "BQ"), fragment)
	wantStatus(t, rec, http.StatusConflict)
	d := rows(t, rec)
	wantText(t, d.Find(".notice"), "exists already")
	if valueOf(d, "value1") != "BQ" {
		t.Error("what was typed is lost")
	}
	// Stale.
	if _, _, err := a.deps.Dict.UpdateTranslation(t.Context(), by("anna"), dict.Translation{
		ID: x.ID, Version: 3, System1: "CRM", Key1: "code", Value1: "AW", System2: "BILLING", Key2: "code", Value2: "theirs",
	}, true); err != nil {
		t.Fatal(err)
	}
	rec = a.send(path, instead(fieldsOf(form), "value2", "mine"), fragment)
	wantStatus(t, rec, http.StatusConflict)
	d = rows(t, rec)
	wantText(t, d.Find(testid("theirs")), "CRM code AW BILLING code theirs", "anna")
	wantStatus(t, a.send(path, fieldsOf(d), fragment), http.StatusOK)
	wantList(t, a.all(), "CRM code AW > BILLING code mine", "CRM code BQ > BILLING code 535")
}

func TestDeletingATranslation(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	x := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	page := doc(t, a.show("/dictionaries/translations/"+x.ID+"/delete", header("Referer", "http://example.com/dictionaries/translations?q=AW")))
	wantText(t, page.Find(testid("deletion")), "Delete CRM code AW → BILLING code: 533?", "Its two entries stay")
	rec := a.send("/dictionaries/translations/"+x.ID+"/delete", fieldsOf(page))
	wantRedirect(t, rec, "/dictionaries/translations?q=AW")
	wantText(t, doc(t, a.show("/dictionaries/translations")).Find("#toasts"), "Deleted CRM code AW → BILLING code: 533.", "See or undo it")
	wantList(t, a.all())
	wantList(t, a.allEntries(), "BILLING code 533", "CRM code AW")
	wantStatus(t, a.show("/dictionaries/translations/"+x.ID), http.StatusNotFound)
	wantRedirect(t, a.send("/dictionaries/translations/"+x.ID+"/delete", fieldsOf(page)), "/dictionaries/translations?q=AW")
}

func TestReturningLeavesThisServerNever(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`} {
		rec := a.send("/dictionaries/entries", []string{"op", back, "back", back, "system", "CRM", "key", "code", "value", "x" + back})
		wantStatus(t, rec, http.StatusSeeOther)
		if to := rec.Header().Get("Location"); !strings.HasPrefix(to, "/dictionaries/") {
			t.Errorf("%q leads to %q", back, to)
		}
	}
}
