//go:build e2e

package e2e_test

import (
	"net/url"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestTwoPeople has two people edit the same row: nobody's work gets lost unseen.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	a.user("ann", "operator")
	a.user("bob", "operator")
	row := a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))[0]
	ann, bob := in.browse(t, browsing{user: "ann"}), in.browse(t, browsing{user: "bob"})
	bob.expects(409)
	value2 := func() string { return a.translation(row.ID).Value2 }

	edit(ann)
	edit(bob)
	ann.fill(ann.input("To value"), "of Ann")
	bob.fill(bob.input("To value"), "of Bob")
	ann.keys("Enter")
	ann.says(ann.GetByTestId("translation"), "of Ann")
	bob.keys("Enter")
	bob.says(bob.GetByTestId("translation-form"), "Somebody else changed this translation while you were editing it")
	bob.says(bob.GetByTestId("theirs"), "of Ann", "ann")
	bob.holds(bob.input("To value"), "of Bob")
	if value2() != "of Ann" {
		t.Fatalf("before Bob has decided it is %q", value2())
	}
	bob.click(bob.button("Save mine over it"))
	bob.says(bob.GetByTestId("translation"), "of Bob")
	if value2() != "of Bob" {
		t.Fatalf("after Bob has decided it is %q", value2())
	}
	kept := false // what was saved over is in the history
	for _, item := range a.changes()[0].Items {
		kept = kept || item.Before.Value2 == "of Ann" && item.After.Value2 == "of Bob"
	}
	if !kept {
		t.Errorf("the last change is %+v", a.changes()[0])
	}

	edit(ann)
	edit(bob)
	ann.fill(ann.input("To value"), "of Ann again")
	bob.fill(bob.input("To value"), "of Bob again")
	ann.keys("Enter")
	ann.says(ann.GetByTestId("translation"), "of Ann again")
	bob.keys("Enter")
	bob.click(bob.link("Keep theirs"))
	bob.says(bob.GetByTestId("translation"), "of Ann again")

	edit(bob)
	bob.fill(bob.input("To value"), "of Bob at last")
	ann.click(ann.menu(ann.GetByTestId("translation")).GetByText("Delete…"))
	ann.click(ann.button("Delete the translation"))
	ann.says(ann.GetByTestId("deleted"), "Deleted")
	bob.keys("Enter")
	bob.says(bob.GetByTestId("translation-form"), "Somebody else deleted this translation while you were editing it")
	bob.holds(bob.input("To value"), "of Bob at last")
	bob.click(bob.button("Create it again"))
	bob.says(bob.GetByTestId("translation"), "of Bob at last")
	if got := a.translations(); len(got) != 1 || got[0].Value2 != "of Bob at last" {
		t.Fatalf("in the end there are %+v", got)
	}
}

// edit opens the only row for editing.
func edit(p *page) {
	p.t.Helper()
	p.visit("/dictionaries/translations")
	p.click(p.GetByTestId("translation").GetByRole("link", playwright.LocatorGetByRoleOptions{Name: "Edit"}))
	p.focused(p.input("To value"))
}

// user makes a user with the password of all.
func (a *api) user(name, role string) {
	a.t.Helper()
	a.post("/settings/users", url.Values{"name": {name}, "role": {role}, "password": {password}})
}
