package handlers

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"webadmin/internal/dict"
)

func TestTheHistoryShowsAndUndoes(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	x := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	if _, _, err := a.deps.Dict.UpdateTranslation(context.Background(), by("anna"), dict.Translation{
		ID: x.ID, Version: x.Version, System1: "CRM", Key1: "code", Value1: "AW", System2: "BILLING", Key2: "code", Value2: "534",
	}, true); err != nil {
		t.Fatal(err)
	}
	list := doc(t, a.show("/dictionaries/changes"))
	wantText(t, list.Find(testid("change")).First(), "2", "anna", "1 changed", "1 entry created")
	d := doc(t, a.show("/dictionaries/changes/2"))
	wantText(t, d.Find("del"), "53 3")
	wantText(t, d.Find("ins"), "53 4")
	wantText(t, d.Find(testid("undo")), "This changes back 1 translation and deletes 1 entry.")

	// The first change can't be undone: the second stands in the way.
	first := doc(t, a.show("/dictionaries/changes/1"))
	for name, alter := range map[string][]with{"page": nil, "fragment": {fragment}} {
		rec := a.send("/dictionaries/changes/1/undo", hiddenOf(first.Find(testid("undo"))), alter...)
		wantStatus(t, rec, http.StatusConflict)
		d := doc(t, rec)
		wantText(t, d.Find(testid("undo")), "nothing was undone", "What this change left, and what it is now")
		if _, open := d.Find(testid("undo")).Attr("open"); !open || d.Find(testid("undo")+" ins").Length() != 1 {
			t.Errorf("%s: what is in the way is not shown", name)
		}
	}
	fields := hiddenOf(d.Find(testid("undo")))
	for range 2 { // a double click
		wantRedirect(t, a.send("/dictionaries/changes/2/undo", fields), "/dictionaries/changes/3")
	}
	wantList(t, a.all(), "CRM code AW > BILLING code 533")
	wantText(t, doc(t, a.show("/dictionaries/changes/3")).Find("main"), "undoes 2", "Undo this change")
	d = doc(t, a.show("/dictionaries/changes/2"))
	wantText(t, d.Find("main"), "undone by 3")
	if d.Find(testid("undo")).Length() != 0 {
		t.Error("what is undone can't be undone again")
	}
	a.wantRecord("operator | change.undo | change 2 | done")
	a.wantRecord("operator | change.undo | change 1 | failed")
	wantStatus(t, a.show("/dictionaries/changes/99"), http.StatusNotFound)
	wantText(t, doc(t, newDictApp(t).show("/dictionaries/changes")).Find(".empty"), "Nothing was changed so far")
}

func TestAnUnknownUndoCanBeChecked(t *testing.T) {
	t.Parallel()
	a, deaf := newDictApp(t), &deafness{}
	a.deps.DB.Client().AddHook(deaf)
	a.addEntry("CRM", "code", "AW")
	fields := hiddenOf(doc(t, a.show("/dictionaries/changes/1")).Find(testid("undo")))
	deaf.on.Store(true)
	rec := a.send("/dictionaries/changes/1/undo", fields, fragment)
	wantStatus(t, rec, http.StatusGatewayTimeout)
	d := doc(t, rec)
	wantText(t, d.Find(testid("undo")), "It is not known whether it was undone", "Check")
	deaf.on.Store(false)
	rec = a.send("/dictionaries/changes/1/undo", append(hiddenOf(d.Find("body")), "check", "1"), fragment)
	if to := rec.Header().Get("HX-Redirect"); to != "/dictionaries/changes/2" {
		t.Errorf("leads to %q", to)
	}
	wantList(t, a.allEntries())
}

func TestTheHistoryIsPaged(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	var file []string
	for i := range 70 {
		a.addEntry("CRM", "code", fmt.Sprintf("v%d", i))
		file = append(file, fmt.Sprintf("NEW,code,v%d,OLD,code,%d", i, i))
	}
	a.addCSV(file...)
	d := doc(t, a.show("/dictionaries/changes"))
	next, _ := d.Find("#list-page-Next").Attr("href")
	part := doc(t, a.show(next, fragment))
	if d.Find(testid("change")).Length() != 50 || part.Find(testid("change")).Length() != 21 || part.Find("section#list").Length() != 1 {
		t.Errorf("%d and %d changes", d.Find(testid("change")).Length(), part.Find(testid("change")).Length())
	}
	if first, _ := part.Find("#list-page-First").Attr("href"); first != "/dictionaries/changes" {
		t.Errorf("First leads to %q", first)
	}
	seen, address := 0, "/dictionaries/changes/71"
	for address != "" {
		d := doc(t, a.show(address, fragment))
		seen += d.Find(testid("item")).Length()
		address, _ = d.Find("#list-page-Next").Attr("href")
	}
	if seen != 210 {
		t.Errorf("%d items", seen)
	}
}
