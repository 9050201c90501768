package handlers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"webadmin/internal/broker"
	"webadmin/internal/correlation"
	"webadmin/internal/dict"
)

var missedXK = dict.Query{System1: "CRM", Key1: "code", Value1: "XK", System2: "BILLING", Key2: "code"}

// metBy has invocations look the missed value up, and returns the address of its page.
func (a *dictApp) metBy(cids ...string) string {
	a.t.Helper()
	for _, cid := range cids {
		if _, err := a.deps.Dict.Translate(correlation.With(context.Background(), cid), missedXK); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := a.deps.Dict.Close(context.Background()); err != nil { // so that it is written
		a.t.Fatal(err)
	}
	return "/dictionaries/misses/one?" + queryValues(missedXK).Encode()
}

// die makes a dead letter and returns its CID.
func (a *dictApp) die() string {
	a.t.Helper()
	ctx, b := context.Background(), a.deps.Broker
	cid, err := b.Invoke(ctx, broker.Call{Service: "orders", MaxAttempts: 1})
	if err != nil {
		a.t.Fatal(err)
	}
	got, err := b.Receive(ctx, "orders", "w", 1, 0, 0)
	if err != nil || len(got) != 1 {
		a.t.Fatal(got, err)
	}
	if err := b.Nack(ctx, cid, got[0].Lease, "no code for XK", -1); err != nil {
		a.t.Fatal(err)
	}
	return cid
}

// TestMissToRetry goes from the list of misses over the missing translation to the dead letters that failed on it.
func TestMissToRetry(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string][]with{"page": nil, "fragment": {fragment}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newDictApp(t)
			first, second := a.die(), a.die()
			delayed, err := a.deps.Broker.Invoke(t.Context(), broker.Call{Service: "orders", Delay: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			page := a.metBy(first, second, delayed, "of-another-system")
			list := doc(t, a.show("/dictionaries/misses"))
			link := list.Find(testid("miss")).Find("a[href*='/misses/one']")
			if link.AttrOr("href", "") != page || words(link) != "4" {
				t.Fatalf("the list leads to %q with %q", link.AttrOr("href", ""), words(link))
			}
			d := doc(t, a.show(page))
			wantText(t, d.Find("h2").First(), "not found CRM code XK → BILLING code")
			wantText(t, d.Find(testid("figures-met")), "1 delayed 2 dead 1 not kept")
			wantText(t, d.Find(testid("waits")), "2 dead letters can be retried from here once there is a translation.")
			rows := d.Find(testid("met-by"))
			link = rows.Find("a[href='/broker/invocations/" + first + "']")
			if rows.Length() != 4 || link.Length() != 1 || rows.Find("a[href='/broker/services/orders']").Length() != 3 {
				t.Errorf("%s", rows.Text())
			}
			wantText(t, d.Find("#met"), "of-another-system not of this broker")
			if d.Find("#retry").Length() != 0 {
				t.Error("they can be retried before there is an answer")
			}

			typed := instead(fieldsOf(d), "value2", "383")
			rec := a.send("/dictionaries/misses/one", typed, alter...)
			d = a.afterMiss(rec, page)
			wantText(t, d.Find("#toasts"), "Saved XK → 383, with 2 new entries.")
			wantText(t, d.Find(testid("answer")), "383")
			retry := d.Find("#met form")
			wantText(t, retry, "Retry 2 dead letters")
			a.wantRecord("operator | translation.create | translation CRM code XK → BILLING code | done")
			if n := doc(t, a.show("/dictionaries/misses")).Find(testid("miss")).Length(); n != 0 {
				t.Errorf("%d misses", n)
			}

			if err := a.deps.Broker.RetryDeadOne(t.Context(), first, nil, "somebody else"); err != nil {
				t.Fatal(err)
			}
			d = a.afterMiss(a.send("/dictionaries/misses/one/retry", hiddenOf(d.Find("#met")), alter...), page)
			wantText(t, d.Find("#toasts"), "1 dead letter queued again. 1 of those that were shown is no longer dead.")
			wantText(t, d.Find(testid("figures-met")), "2 queued 1 delayed 1 not kept")
			if d.Find("#met[hx-trigger]").Length() != 1 || d.Find("#retry").Length() != 0 {
				t.Error("it doesn't follow what becomes of them")
			}
			a.wantRecord("operator | dead.retry | dead letters that met the miss CRM code XK → BILLING code | done")
			part := doc(t, a.show(page, fragment, header("HX-Target", "section#met")))
			if part.Find("#met").Length() != 1 || part.Find("#miss").Length() != 0 {
				t.Error("the list alone was asked for")
			}
		})
	}
}

// afterMiss is the page of a miss after a form: the part that changed, or the page that the answer leads to.
func (a *dictApp) afterMiss(rec *httptest.ResponseRecorder, page string) *goquery.Document {
	a.t.Helper()
	if rec.Code == http.StatusSeeOther {
		wantRedirect(a.t, rec, page)
		return doc(a.t, a.show(page))
	}
	wantStatus(a.t, rec, http.StatusOK)
	return doc(a.t, rec)
}

func TestMissRefusals(t *testing.T) {
	t.Parallel()
	a := newDictApp(t)
	page := a.metBy("c-1")
	form := fieldsOf(doc(t, a.show(page)))
	rec := a.send("/dictionaries/misses/one", form)
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	again := doc(t, rec)
	wantText(t, again.Find(".notice"), "Nothing is typed as a value.")
	rec = a.send("/dictionaries/misses/one", instead(form, "value2", strings.Repeat("x", dict.MaxValue+1)))
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	if d := doc(t, rec); d.Find("#miss-value2[aria-invalid]").Length() != 1 {
		t.Error("the field doesn't say what is wrong")
	}
	a.addTranslation("CRM", "code", "XK", "BILLING", "code", "theirs")
	rec = a.send("/dictionaries/misses/one", instead(form, "value2", "mine"))
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find("#miss"), "answered CRM code XK → BILLING code theirs See the translation")
	wantStatus(t, a.show("/dictionaries/misses/one"), http.StatusUnprocessableEntity)

	viewer := a.as(Viewer)
	d := doc(t, viewer.show(page))
	if d.Find("main form[method=post]").Length() != 0 {
		t.Error("a viewer is offered a change")
	}
	wantStatus(t, viewer.send("/dictionaries/misses/one", form), http.StatusForbidden)
	wantStatus(t, viewer.send("/dictionaries/misses/one/retry", form), http.StatusForbidden)

	nobody := queryValues(dict.Query{System1: "A", Key1: "k", Value1: "v", System2: "B", Key2: "k"})
	gone := doc(t, a.show("/dictionaries/misses/one?"+nobody.Encode()))
	wantText(t, gone.Find("#miss"), "no miss A k v → B k Nobody has looked it up in vain")
	wantText(t, gone.Find("#met"), "No invocation is known")
}
