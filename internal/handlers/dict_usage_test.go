package handlers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/dict"
)

// lookUp looks values of CRM code up in BILLING code, as programs do.
func (a *dictApp) lookUp(values ...string) {
	a.t.Helper()
	for _, v := range values {
		if _, err := a.deps.Dict.Translate(a.t.Context(), dict.Query{System1: "CRM", Key1: "code", Value1: v, System2: "BILLING", Key2: "code"}); err != nil {
			a.t.Fatal(err)
		}
	}
}

func TestUsagePage(t *testing.T) {
	t.Parallel()
	wantText(t, doc(t, newDictApp(t).show("/dictionaries/usage")).Find(".empty"), "There are no translations yet")
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,533", "CRM,code,BQ,BILLING,code,535", "ERP,iso3,ABW,BILLING,code,533", "CRM,code,AW,ERP,iso3,ABW")
	a.lookUp("AW", "AW", "AW", "XK")
	if err := a.deps.Dict.Close(t.Context()); err != nil { // writes the misses
		t.Fatal(err)
	}
	d := doc(t, a.show("/dictionaries/usage"))
	order := func(d *goquery.Document) string {
		var out []string
		for _, r := range d.Find(testid("usage")).EachIter() {
			out = append(out, words(r.Find("td").Slice(0, 3)))
		}
		return strings.Join(out, ", ")
	}
	wantText(t, d.Find(testid("usage")).First(), "CRM code BILLING code 2 3", "Unused")
	wantText(t, d.Find(testid("counted")), "Lookups by programs are counted since", "Who reads Redis directly is not seen.")
	for query, want := range map[string]string{
		"":              "CRMcodeBILLING, CRMcodeERP, ERPiso3BILLING",
		"?sort=hits":    "CRMcodeERP, ERPiso3BILLING, CRMcodeBILLING",
		"?sort=-last":   "CRMcodeBILLING, CRMcodeERP, ERPiso3BILLING",
		"?sort=pair":    "CRMcodeBILLING, CRMcodeERP, ERPiso3BILLING",
		"?sort=nothing": "CRMcodeBILLING, CRMcodeERP, ERPiso3BILLING",
		"?cursor=x":     "CRMcodeBILLING, CRMcodeERP, ERPiso3BILLING",
		"?cursor=2":     "ERPiso3BILLING",
	} {
		if got := strings.ReplaceAll(order(doc(t, a.show("/dictionaries/usage"+query))), " ", ""); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got, _ := d.Find("th:has(#sort-hits)").Attr("aria-sort"); got != "descending" {
		t.Errorf("aria-sort: %q", got)
	}
	links := d.Find(testid("usage")).First().Find("a")
	for i, want := range []string{"2 translations", "1 miss", "1 translation that is not used"} {
		address, _ := links.Eq(i).Attr("href")
		address, _, _ = strings.Cut(address, "#")
		page := doc(t, a.show(address))
		n := page.Find(testid("translation")).Length()
		if i == 1 {
			n = page.Find(testid("miss")).Length()
		}
		if !strings.HasPrefix(want, decimal(int64(n))+" ") {
			t.Errorf("link %d leads to %d, want %s", i, n, want)
		}
	}
	if part := doc(t, a.show("/dictionaries/usage?sort=last", fragment)); part.Find("nav#nav, "+testid("counted")).Length() != 0 || part.Find("#list").Length() != 1 {
		t.Error("the fragment is not the list")
	}
}

func TestUseOfADictionary(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	a.addCSV("CRM,code,AW,BILLING,code,533", "CRM,code,BQ,BILLING,code,535", "CRM,code,CA,BILLING,code,124", "CRM,code,CA,ERP,iso3,CAN")
	a.lookUp("AW", "BQ", "AW")
	const pair = "/dictionaries/translations?system1=CRM&key1=code&system2=BILLING&key2=code"
	now := time.Now()
	d := doc(t, a.show(pair))
	wantText(t, d.Find(testid("use-hits")), "3 lookups in 30 days")
	link := d.Find(testid("use-unused") + " a")
	wantText(t, link, "1 translation not looked up since "+dayWords(unusedDefault(now), now))
	address, _ := link.Attr("href")
	listed := doc(t, a.show(address))
	chosen, _ := listed.Find("#filter-unused option[selected]").Attr("value")
	if got := column(listed, 2); got != "CA" || chosen != unusedDefault(now).Format(time.DateOnly) {
		t.Errorf("%s lists %q", address, got)
	}
	wantText(t, listed.Find(testid("use-filtered")), "No program has looked these up since "+dayWords(unusedDefault(now), now), "Lookups are counted since")
	if listed.Find(testid("use-unused")).Length() != 0 {
		t.Error("it leads to itself")
	}

	// The filter goes with others, and without a pair; what can't be asked is not.
	year := monthsBack(now, dict.UnusedMonths).Format(time.DateOnly)
	for query, want := range map[string]string{
		"?unused_since=" + now.UTC().Format(time.DateOnly): "CA CA",
		"?unused_since=" + year:                            "CA CA",
		"?unused_since=" + year + "&system2=ERP":           "CA",
		"?unused_since=" + year + "&q=AW":                  "",
		"?unused_since=2001-01-01":                         "AW BQ CA CA",
		"?unused_since=2999-01-01":                         "AW BQ CA CA",
		"?unused_since=never":                              "AW BQ CA CA",
	} {
		rec := a.show("/dictionaries/translations" + query)
		wantStatus(t, rec, http.StatusOK)
		if got := column(doc(t, rec), 2); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	part := a.show(address, fragment)
	if !strings.Contains(part.Body.String(), `hx-target="#use"`) {
		t.Error("what stands above the list is not sent along")
	}
	if d := doc(t, a.show("/dictionaries/translations?system1=CRM&key1=code&system2=ERP&key2=code")); d.Find(testid("use-hits")).Length() != 0 {
		t.Error("without a whole pair there is a use")
	}
}

func TestDeletingSaysWhatIsUsed(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	used, unused := a.addTranslation("CRM", "code", "AW", "BILLING", "code", "533"), a.addTranslation("CRM", "code", "BQ", "BILLING", "code", "535")
	a.lookUp("AW")
	if err := a.deps.Dict.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	looked, not := "Programs looked it up in "+time.Now().UTC().Format("January 2006"), "No program has looked it up since "
	target, err := a.deps.Dict.Entries(t.Context(), dict.Filter{System: "BILLING"}, limit(2))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"/dictionaries/translations/" + used.ID:       looked,
		"/dictionaries/translations/" + unused.ID:     not,
		"/dictionaries/entries/" + target.Items[0].ID: looked,
		"/dictionaries/entries/" + target.Items[1].ID: not,
	} {
		wantText(t, doc(t, a.show(address+"/delete")).Find(testid("looked-up")), want)
	}
}

func TestUnusedChoice(t *testing.T) {
	now := time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)
	got := dayWords(monthsBack(now, 1), now) + ", " + dayWords(monthsBack(now, 2), now) + ", " + monthWords(monthsBack(now, 12), now)
	if got != "1 January, 1 December 2025, Feb 2025" {
		t.Error(got)
	}
}
