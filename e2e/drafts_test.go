//go:build e2e

package e2e_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// TestSessionEndsWhileTyping has an administrator end a session in which somebody types.
func TestSessionEndsWhileTyping(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.user("ann", "operator")
	row := a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))[0]
	p := in.browse(t, browsing{user: "ann"})
	p.expects(http.StatusUnauthorized)
	list := "/dictionaries/translations?q=Bonaire"
	form := p.Locator("form[data-draft]")

	// In the row of a list, which the sign-in leads back to, and on the page of the row.
	for i, place := range []string{list, "/dictionaries/translations/" + row.ID + "/edit"} {
		typed := []string{"typed in the list, not saved yet: Bonaire", "typed on its page, not saved yet"}[i]
		p.visit(place)
		if place == list {
			p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
		}
		p.fill(p.input("To value"), typed)
		a.endSessions("ann")
		p.keys("Enter")
		p.at("/login")
		p.fill(p.field("Name"), "ann")
		p.fill(p.field("Password"), password)
		p.click(p.button("Sign in"))
		p.at(place)
		if a.translation(row.ID).Value2 == typed {
			t.Fatal("it was saved without a session")
		}
		if place == list {
			p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
		}
		p.says(form, "was not saved")
		p.click(p.button("Put it back"))
		p.holds(p.input("To value"), typed)
		must(t, p.input("To value").Press("Enter"))
		p.says(p.GetByTestId("translation"), typed)
		if got := a.translation(row.ID).Value2; got != typed {
			t.Fatalf("after the draft was put back and saved there is %q", got)
		}
	}
	p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
	p.sees(form)
	p.lacks(p.button("Put it back"))
}

// sessionEnds are the addresses that end sessions, in a page that lists them.
var sessionEnds = regexp.MustCompile(`/settings/sessions/[^/"]+/end`)

// endSessions signs a user out everywhere.
func (a *api) endSessions(user string) {
	a.t.Helper()
	page := a.get("/settings/users/" + user)
	for _, path := range sessionEnds.FindAllString(page, -1) {
		a.post(path, url.Values{})
	}
}
