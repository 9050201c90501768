package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// sentBy reads what a form would send, with other values for some fields.
func sentBy(form *goquery.Selection, other ...string) []string {
	values := url.Values{}
	for _, in := range form.Find("input").EachIter() {
		_, checked := in.Attr("checked")
		if kind := in.AttrOr("type", ""); kind != "checkbox" {
			values.Set(in.AttrOr("name", ""), in.AttrOr("value", ""))
		} else if checked {
			values.Set(in.AttrOr("name", ""), "on")
		}
	}
	for i := 0; i+1 < len(other); i += 2 {
		values.Set(other[i], other[i+1])
	}
	var out []string
	for name := range values {
		out = append(out, name, values.Get(name))
	}
	return out
}

func TestStatsSettings(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t).as(Admin)
	form := func() *goquery.Selection {
		d := doc(t, a.show("/stats/settings"))
		if twice := duplicateIDs(d); len(twice) > 0 {
			t.Errorf("IDs twice: %v", twice)
		}
		return d.Find(testid("settings"))
	}
	first := form()
	if n := doc(t, a.show("/stats/settings")).Find(testid("memory") + " tbody tr").Length(); n != 5 {
		t.Errorf("the memory of %d resolutions", n)
	}
	rec := a.send("/stats/settings", sentBy(first, "do", "estimate", "minutes", "48"))
	wantStatus(t, rec, http.StatusOK)
	wantText(t, doc(t, rec).Find("#main"), "Nothing has been saved", "2 d")
	if form().Find("input[name=minutes]").AttrOr("value", "") != "24" {
		t.Error("an estimate was saved")
	}

	wantRedirect(t, a.send("/stats/settings", sentBy(first, "slow_mean", "250", "recording", "", "do", "save")), "/stats/settings")
	a.wantRecord("admin | stats.settings | statistics | done")
	if now := form(); now.Find("input[name=slow_mean]").AttrOr("value", "") != "250" || now.Find("input[name=recording][checked]").Length() != 0 {
		t.Error("it was not saved")
	}
	wantText(t, doc(t, a.show("/stats/trends")).Find("#main"), "Recording is switched off")

	rec = a.send("/stats/settings", sentBy(first, "slow_mean", "999", "do", "save"))
	wantStatus(t, rec, http.StatusConflict)
	d := doc(t, rec)
	wantText(t, d.Find(".notice"), "admin has changed the settings", "mean of 250 ms")
	again := d.Find(testid("settings"))
	if again.Find("input[name=slow_mean]").AttrOr("value", "") != "999" {
		t.Error("what was typed is lost")
	}
	wantRedirect(t, a.send("/stats/settings", sentBy(again, "do", "save")), "/stats/settings")

	rec = a.send("/stats/settings", sentBy(form(), "minutes", "x", "busy_share", "101", "hours", "0", "do", "save"))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if n := doc(t, rec).Find(testid("settings") + " [aria-invalid]").Length(); n != 2 {
		t.Errorf("%d fields are wrong", n)
	}
	wantStatus(t, a.as(Operator).send("/stats/settings", sentBy(first, "do", "save")), http.StatusForbidden)
	if d := doc(t, a.as(Viewer).show("/stats/settings")); d.Find("#main button[type=submit]").Length() != 0 ||
		d.Find("#main input:not([readonly], [disabled], [type=hidden])").Length() != 0 {
		t.Error("a viewer is offered to change the settings")
	}
}

func TestDeletingARange(t *testing.T) {
	t.Parallel()
	a := newStatsApp(t).as(Admin)
	now := a.deps.Now()
	span := func(from, to time.Duration) url.Values {
		return values("from", linkTime(now.Add(-from)), "to", linkTime(now.Add(-to)))
	}
	d := doc(t, a.show("/stats/delete"+encode(span(200*time.Minute, 60*time.Minute))))
	wantText(t, d.Find(testid("confirm")), "2 calls", "can't be undone")
	fields := sentBy(d.Find(testid("confirm")), "confirm", "delete")
	rec := a.send("/stats/delete", fields)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	fields = sentBy(doc(t, rec).Find(testid("confirm")), "confirm", "DELETE")
	wantRedirect(t, a.send("/stats/delete", fields), "/stats/settings")
	a.wantRecord("admin | stats.delete | statistics | done")
	wantText(t, doc(t, a.show("/stats/settings")).Find("#toasts"), "Deleted 2 calls of 1 service and 2 slow calls")
	if n := doc(t, a.show("/stats/slow")).Find(testid("call")).Length(); n != 44 {
		t.Errorf("%d slow calls are left", n)
	}

	q := span(60*time.Minute, 10*time.Minute)
	q.Set("service", "quick")
	fields = sentBy(doc(t, a.show("/stats/delete"+encode(q))).Find(testid("confirm")), "confirm", "DELETE")
	wantRedirect(t, a.send("/stats/delete", fields), "/stats/settings")
	if text := doc(t, a.show("/stats/trends")).Find(testid("main")).Text(); strings.Contains(text, "quick") || !strings.Contains(text, "slow") {
		t.Errorf("%s", text)
	}
	wantText(t, doc(t, a.show("/stats/delete"+encode(span(600*time.Minute, 500*time.Minute)))).Find("#main"), "There are no calls")
	wantStatus(t, a.show("/stats/delete?from=x&to=y"), http.StatusUnprocessableEntity)
	wantStatus(t, a.as(Operator).send("/stats/delete", fields), http.StatusForbidden)
}
