package handlers

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"webadmin/internal/audit"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func (a *app) record(actor, verb, object string) {
	a.t.Helper()
	err := a.deps.Audit.Write(context.Background(), audit.Record{Actor: actor, Address: "192.0.2.1", Verb: verb, Object: object, Before: "a", After: "b", Outcome: audit.Done})
	if err != nil {
		a.t.Fatal(err)
	}
}

func TestAuditFilters(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.record("anna", "entry.create", "CRM k AW")
	a.record("anna", "user.role", "user ben")
	a.record("ben", "entry.delete", "CRM k AW")
	cookie := session(a.signIn(Viewer))
	for query, want := range map[string]int{
		"": 3, "actor=anna": 2, "verb=entry": 2, "verb=entry.delete": 1, "object=crm": 2, "actor=anna&verb=entry": 1, "actor=nobody": 0,
		"outcome=done": 3, "outcome=failed": 0, "from=2000-01-01": 3, "to=2000-01-01": 0, "from=2000-01-01&to=2999-12-31": 3,
	} {
		for name, alter := range map[string][]with{"page": {cookie}, "fragment": {cookie, fragment}} {
			rec := a.get("/audit?"+query, alter...)
			wantStatus(t, rec, http.StatusOK)
			d := doc(t, rec)
			if got := d.Find(testid("record")).Length(); got != want {
				t.Errorf("%s %q: %d records, want %d", name, query, got, want)
			}
			if whole := d.Find("nav#nav").Length() == 1; whole != (name == "page") {
				t.Errorf("%s %q: whole page: %t", name, query, whole)
			}
			if want == 0 && d.Find(".empty").Length() != 1 {
				t.Errorf("%q: the empty list says nothing", query)
			}
		}
	}
	d := doc(t, a.get("/audit?actor=anna&outcome=done&from=2000-01-01", cookie))
	form := d.Find(testid("filter"))
	if form.Find("input[name=actor]").AttrOr("value", "") != "anna" || form.Find("input[name=from]").AttrOr("value", "") != "2000-01-01" || form.Find("option[selected]").AttrOr("value", "") != "done" {
		t.Error("the filter forgets what it filters by")
	}
	if got := a.get("/audit?actor=&verb=entry&object=", cookie, fragment).Header().Get("HX-Push-Url"); got != "/audit?verb=entry" {
		t.Errorf("the address becomes %q", got)
	}
	bad := a.get("/audit?from=yesterday", cookie)
	wantStatus(t, bad, http.StatusUnprocessableEntity)
	if fieldError(t, bad, "from") == "" {
		t.Error("says nothing about the day")
	}
	part := a.get("/audit?from=yesterday", cookie, fragment)
	wantStatus(t, part, http.StatusUnprocessableEntity)
	if part.Header().Get("HX-Reswap") != "none" || doc(t, part).Find("#toasts").Length() != 1 {
		t.Errorf("the list is replaced by %s", part.Body)
	}
	wantStatus(t, a.get("/audit?cursor=x", cookie), http.StatusUnprocessableEntity)
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const total = auditPage + 20
	for i := range total {
		a.record("anna", "entry.create", fmt.Sprint("object ", i))
	}
	a.record("ben", "entry.create", "other")
	cookie := session(a.signIn(Viewer))
	seen := map[string]bool{}
	pages := 0
	for path := "/audit?actor=anna"; path != ""; pages++ {
		d := doc(t, a.get(path, cookie))
		for _, row := range d.Find(testid("record") + ` td[data-label="Object"]`).EachIter() {
			seen[strings.TrimSpace(row.Text())] = true
		}
		path = d.Find("#list-page-Next").AttrOr("href", "")
		if path != "" && !strings.Contains(path, "actor=anna") {
			t.Fatalf("the next page forgets the filter: %s", path)
		}
	}
	if len(seen) != total || pages != 2 {
		t.Errorf("%d records on %d pages", len(seen), pages)
	}
}

func TestAuditExport(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const total = exportChunk + 5
	for i := range total {
		a.record("anna", "entry.create", fmt.Sprint("object ", i))
	}
	a.record("ben", "entry.create", `=HYPERLINK("x")`)
	cookie := session(a.signIn(Viewer))

	rec := a.get("/audit/export?format=csv&actor=anna", cookie)
	wantStatus(t, rec, http.StatusOK)
	if got := rec.Header().Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=audit-") || !strings.HasSuffix(got, ".csv") {
		t.Errorf("Content-Disposition: %q", got)
	}
	rows, err := csv.NewReader(rec.Body).ReadAll()
	if err != nil || len(rows) != total+1 || rows[0][0] != "at" || rows[1][4] != fmt.Sprint("object ", total-1) {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	rows, err = csv.NewReader(a.get("/audit/export?format=csv&actor=ben", cookie).Body).ReadAll()
	if err != nil || rows[1][4] != `'=HYPERLINK("x")` {
		t.Errorf("a spreadsheet would run %v, %v", rows, err)
	}

	rec = a.get("/audit/export?format=json", cookie)
	wantStatus(t, rec, http.StatusOK)
	var records []audit.Record
	if err := json.Unmarshal(rec.Body.Bytes(), &records); err != nil || len(records) != total+1 || records[0].Object != `=HYPERLINK("x")` {
		t.Errorf("%d records, %v", len(records), err)
	}
	if err := json.Unmarshal(a.get("/audit/export?format=json&actor=nobody", cookie).Body.Bytes(), &records); err != nil || len(records) != 0 {
		t.Errorf("%d records, %v", len(records), err)
	}
	wantStatus(t, a.get("/audit/export?format=xls", cookie), http.StatusUnprocessableEntity)
	d := doc(t, a.get("/audit?actor=anna", cookie))
	for format := range contentTypes {
		want := "/audit/export?" + url.Values{"actor": {"anna"}, "format": {format}}.Encode()
		if d.Find(`a[href="`+want+`"]`).Length() != 1 {
			t.Errorf("no link to %s", want)
		}
	}
}

// No audit, no change.
func TestWithoutAuditNothingIsDone(t *testing.T) {
	t.Parallel()
	other := kvtest.NewServer(t)
	a := newApp(t, func(d *Deps) { d.Audit = audit.New(other.DB(t), d.Now) })
	as := session(a.signIn(Admin))
	other.Kill()
	wantStatus(t, a.post("/settings/users", []string{"name", "anna", "role", "viewer", "password", password}, as), http.StatusServiceUnavailable)
	if _, err := a.deps.Accounts.User(context.Background(), "anna"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("the user was made: %v", err)
	}
	rec := a.post("/login", []string{"username", "admin", "password", password})
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if len(rec.Result().Cookies()) != 0 {
		t.Error("signed in without a record")
	}
}
