package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/dict"
)

// markup must never get onto a page as it is.
const markup = `<em>UHOH</em>`

// seed puts markup into every store, wherever it takes one.
func seed(t testing.TB, a *app) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, verb := range []string{verbUserRole, markup} {
		must(a.deps.Audit.Write(ctx, audit.Record{
			Actor: markup, Address: markup, Verb: verb, Object: markup, Before: markup, After: markup + "2", Outcome: audit.Failed, Detail: markup,
		}))
	}
	a.addUsers(Admin)
	user, err := a.deps.Accounts.User(ctx, "admin")
	must(err)
	_, _, err = a.deps.Accounts.StartSession(ctx, user, markup, markup)
	must(err)
	_, _, err = a.deps.Accounts.CreateToken(ctx, "x", Viewer, time.Time{}, markup)
	must(err)
	_, _, err = a.deps.Dict.CreateTranslation(ctx, dict.By{Who: markup}, dict.Translation{
		System1: "CRM", Key1: "k", Value1: markup, System2: "ERP", Key2: "k", Value2: markup,
	}, true)
	must(err)
	_, err = a.deps.Dict.Translate(ctx, dict.Query{System1: "CRM", Key1: "k", Value1: markup + "?", System2: "ERP", Key2: "k"})
	must(err)
}

func TestStoredTextIsNeverMarkup(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(d *Deps) { d.EnvName = markup })
	seed(t, a)
	cookie := a.signIn(Admin)
	for _, row := range routes {
		if row.Method != http.MethodGet || !isPage(row) || row.Name == "metrics" {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			for _, path := range []string{pathOf(row), strings.ReplaceAll(row.Path, ":id", "%3Cem%3EUHOH%3C%2Fem%3E"), pathOf(row) + "?q=" + "%3Cem%3EUHOH%3C%2Fem%3E" + "&actor=%3Cem%3EUHOH%3C%2Fem%3E&user=%3Cem%3EUHOH%3C%2Fem%3E&next=%3Cem%3EUHOH"} {
				rec := a.get(path, session(cookie), leaving(t, row))
				if rec.Code >= 500 {
					t.Errorf("%s: %d\n%.500s", path, rec.Code, rec.Body)
				}
				if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") && strings.Contains(rec.Body.String(), "<em>UHOH") {
					t.Errorf("%s shows markup", path)
				}
			}
		})
	}
}

func TestEveryPageIsAWholeAccessiblePage(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(d *Deps) { d.EnvName = "production-1" })
	cookie := a.signIn(Admin)
	for _, name := range []string{"/", "/account", "/audit", "/settings/users", "/settings/users/admin", "/settings/tokens", "/settings/sessions"} {
		t.Run(name, func(t *testing.T) {
			rec := a.get(name, session(cookie))
			wantStatus(t, rec, http.StatusOK)
			if got := rec.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: %q", got)
			}
			d := doc(t, rec)
			if d.Find("h1").Length() != 1 || d.Find("title").Text() == "" {
				t.Errorf("h1: %d, title: %q", d.Find("h1").Length(), d.Find("title").Text())
			}
			if d.Find("nav#nav a[aria-current]").Length() == 0 && name != "/account" {
				t.Error("the navigation does not say where we are")
			}
			if d.Find("body.env-red").Length() != 1 || !strings.Contains(d.Find(".env").Text(), "production-1") {
				t.Error("nobody sees that this is production")
			}
			for _, form := range d.Find("form[method=post]").EachIter() {
				if action, _ := form.Attr("action"); !strings.HasPrefix(action, "/") {
					t.Errorf("a form without an address works by script only: %q", action)
				}
			}
			if d.Find("[style], [onclick], script:not([src]), style").Length() != 0 {
				t.Error("the content policy forbids inline scripts and styles")
			}
			if ids := duplicateIDs(d); len(ids) > 0 {
				t.Errorf("ids that occur twice: %v", ids)
			}
		})
	}
}

func TestNavigationShowsWhatTheRoleMaySee(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for role, want := range map[account.Role]bool{Viewer: false, Operator: false, Admin: true} {
		rec := a.get("/", session(a.signIn(role)))
		wantStatus(t, rec, http.StatusOK)
		if got := doc(t, rec).Find(`nav#nav a[href="/settings/users"]`).Length() > 0; got != want {
			t.Errorf("%s sees the settings: %t", role, got)
		}
	}
}

func TestOverviewCountsWithLinks(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(d *Deps) { d.StateShared, d.ProgramUser = true, "" })
	seed(t, a)
	cookie := a.signIn(Admin)
	rec := a.get("/", session(cookie))
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	if got := d.Find(".notice").Text(); !strings.Contains(got, "--state-url") || !strings.Contains(got, "--program-user") {
		t.Errorf("warnings: %s", got)
	}
	for _, row := range d.Find(testid("number")).EachIter() {
		if row.Find("a").Length() == 0 {
			t.Errorf("a number without its list: %s", row.Text())
		}
	}
	if d.Find(testid("systems")+" tbody tr").Length() != 2 || d.Find(testid("changes")+" tbody tr").Length() != 2 {
		t.Errorf("systems and changes are not both shown:\n%s", d.Find("main").Text())
	}
	for _, link := range d.Find(`main table:not([data-testid="needs"]) td.num a`).EachIter() {
		rec := a.get(link.AttrOr("href", ""), session(cookie))
		wantStatus(t, rec, http.StatusOK)
		n := strings.TrimSpace(link.Text())
		if rows := doc(t, rec).Find("main tbody[data-testid], main tr[data-testid]").Length(); strconv.Itoa(rows) != n && !strings.Contains(link.AttrOr("href", ""), "misses") {
			t.Errorf("%s leads to %d rows at %s", n, rows, link.AttrOr("href", ""))
		}
	}
	viewer := doc(t, a.get("/", session(a.signIn(Viewer))))
	if strings.Contains(viewer.Find("main").Text(), "Sessions") {
		t.Error("a viewer sees who is signed in")
	}
}
