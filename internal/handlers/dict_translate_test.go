package handlers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestTranslateShowsTheBytes(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,292", "ERP,iso3,ABW,BILLING,code,292")
	address := "/dictionaries/translate?system1=CRM&key1=code&value1=AW&system2=BILLING&key2=code"
	rec := a.show(address)
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	wantText(t, d.Find(testid("result")), "found", "292", "Bytes 32 39 32", "Length 3 bytes",
		"SHA-1 85f1002bf139bebdb7f0d07b31fa14155aea9dfc", "SHA-256 6db6eb4af1e18ab81d3878e44672185d60ca8c988c9e2f7783de220735534c33")
	if got := valueOf(d, "value1"); got != "AW" {
		t.Errorf("the form holds %q", got)
	}
	wantText(t, d.Find(testid("curl")), `"value1":"AW"`, "http://example.com/api/v1/translate")
	part := a.show(address, fragment, header("HX-Target", "section#forward"))
	wantStatus(t, part, http.StatusOK)
	if p := doc(t, part); p.Find("section#forward").Length() != 1 || p.Find("section#reverse").Length() != 0 {
		t.Error("not the panel alone")
	}
	edit, _ := d.Find(testid("result") + " a[href$='/edit']").Attr("href")
	wantStatus(t, a.show(edit), http.StatusOK)
	more, _ := d.Find(testid("result") + " a[href*='#reverse']").Attr("href")
	hits := doc(t, a.show(strings.TrimSuffix(more, "#reverse")))
	if n := hits.Find(testid("hit")).Length(); n != 2 {
		t.Errorf("%d hits", n)
	}
	wantText(t, hits.Find(testid("result")), "found", "292") // the other question is still answered
}

func TestTranslateLeadsToWhatIsMissing(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addTranslation("CRM", "code", "AW", "BILLING", "code", "")
	d := doc(t, a.show("/dictionaries/translate?system1=CRM&key1=code&value1=AW&system2=BILLING&key2=code"))
	wantText(t, d.Find(testid("result")), "found", "empty", "0 bytes") // empty and missing are different answers
	d = doc(t, a.show("/dictionaries/translate?system1=CRM&key1=code&value1=two%0D%0Alines&system2=BILLING&key2=code"))
	wantText(t, d.Find(testid("result")), "not found", "Add it")
	add, _ := d.Find(testid("result") + " a[href*='/new']").Attr("href")
	form := doc(t, a.show(add))
	if valueOf(form, "value1") != "two\nlines" || valueOf(form, "system2") != "BILLING" {
		t.Errorf("%v", fieldsOf(form))
	}
	rec := a.send("/dictionaries/translations", instead(fieldsOf(form), "value2", "2"))
	wantStatus(t, rec, http.StatusSeeOther)
	wantText(t, doc(t, a.show(rec.Header().Get("Location"))).Find(testid("result")), "found 2")

	wantStatus(t, a.show("/dictionaries/translate?system1=CRM&key1=code&value1=x&system2=no+name"), http.StatusUnprocessableEntity)
	if err := a.deps.Dict.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := a.deps.Dict.MissedValues(t.Context()); n != 0 || err != nil {
		t.Errorf("trying counts as %d misses, %v", n, err)
	}
}

func TestTheReverseListsEveryHit(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	var file []string
	for i := range 45 {
		file = append(file, fmt.Sprintf("CRM,code,v%02d,BILLING,code,same", i))
	}
	a.addCSV(append(file, "CRM,code,other,BILLING,code,different")...)
	seen, address := 0, "/dictionaries/translate?system=BILLING&key=code&value=same"
	for address != "" {
		rec := a.show(address, fragment, header("HX-Target", "section#reverse"))
		wantStatus(t, rec, http.StatusOK)
		d := doc(t, rec)
		seen += d.Find(testid("hit")).Length()
		address, _ = d.Find("#reverse-page-Next").Attr("href")
	}
	if seen != 45 {
		t.Errorf("%d hits", seen)
	}
	wantText(t, doc(t, a.show("/dictionaries/translate?system=BILLING&key=code&value=none")).Find("#reverse"), "Nothing yields it")
}
