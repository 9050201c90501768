package handlers

import (
	"net/http"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/dict"
)

func TestMissesAreAddedAndDismissed(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533")
	for value, times := range map[string]int{"XK": 7, "two\nlines": 1, "QQ": 2} {
		for range times {
			if _, err := a.deps.Dict.Translate(t.Context(), dict.Query{System1: "CRM", Key1: "code", Value1: value, System2: "BILLING", Key2: "code"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := a.deps.Dict.Translate(t.Context(), dict.Query{System1: "ERP", Key1: "iso3", Value1: "XKX", System2: "BILLING", Key2: "code"}); err != nil {
		t.Fatal(err)
	}
	if err := a.deps.Dict.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := doc(t, a.show("/dictionaries/misses"))
	if g, m := d.Find(testid("miss-group")).Length(), d.Find(testid("miss")).Length(); g != 2 || m != 4 {
		t.Fatalf("%d groups, %d misses", g, m)
	}
	wantText(t, d.Find(testid("miss")).First(), "CRM code XK BILLING code 7")
	eventually(t, func() bool { return words(doc(t, a.show("/dictionaries/misses")).Find("nav#nav .badge")) == "4" })
	wantText(t, doc(t, a.show("/dictionaries/translations")).Find(".notice"), "10 lookups of CRM code in BILLING code found nothing: 3 values are missing.")
	only, _ := d.Find(testid("miss-group") + " td a").First().Attr("href")
	if n := doc(t, a.show(strings.TrimSuffix(only, "#list"))).Find(testid("miss")).Length(); n != 3 {
		t.Errorf("the number 3 leads to %d", n)
	}

	add, _ := d.Find(testid("miss") + " a").First().Attr("href")
	form := doc(t, a.show(add))
	if valueOf(form, "value1") != "XK" {
		t.Fatalf("%v", fieldsOf(form))
	}
	rec := a.send("/dictionaries/translations", instead(fieldsOf(form), "value2", "383"), fragment)
	if got := rec.Header().Get("HX-Redirect"); got != "/dictionaries/misses" {
		t.Errorf("leads to %q", got)
	}

	d = doc(t, a.show("/dictionaries/misses"))
	one := d.Find(testid("miss")).FilterFunction(func(_ int, s *goquery.Selection) bool { return strings.Contains(s.Text(), "lines") })
	rec = a.send("/dictionaries/misses/dismiss", hiddenOf(one), fragment)
	wantStatus(t, rec, http.StatusOK)
	after := doc(t, rec)
	wantText(t, after.Find("#toasts"), "Dismissed CRM code two lines → BILLING code.")
	if after.Find("div#misses").Length() != 1 || after.Find("nav#nav").Length() != 0 || after.Find(testid("miss")).Length() != 2 {
		t.Error("the list and its sums are not those of now")
	}
	wantRedirect(t, a.send("/dictionaries/misses/dismiss", hiddenOf(d.Find(testid("miss-group")).First())), "/dictionaries/misses")
	d = doc(t, a.show("/dictionaries/misses"))
	if n := d.Find(testid("miss")).Length(); n != 1 {
		t.Errorf("%d misses are left", n)
	}
	a.wantRecord("operator | miss.dismiss | miss CRM code → BILLING code | done")
	wantText(t, doc(t, newDictApp(t).show("/dictionaries/misses")).Find(".empty"), "No misses")
}
