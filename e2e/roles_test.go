//go:build e2e

package e2e_test

import (
	"net/http"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestRoles shows each role what it may do, and refuses the rest; an administrator gives and takes them.
func TestRoles(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))

	boss := in.browse(t, browsing{})
	boss.expects(http.StatusConflict)
	boss.visit("/settings/users")
	boss.create("vera", "viewer")
	boss.create("oscar", "operator")
	boss.fill(boss.field("Name"), "vera")
	boss.fill(boss.field("Password"), password)
	boss.click(boss.button("Create user"))
	boss.says(boss.GetByTestId("new-user"), "There is a user of this name already")

	vera := in.browse(t, browsing{user: "vera"})
	vera.expects(http.StatusForbidden)
	vera.visit("/dictionaries/translations")
	vera.sees(vera.GetByTestId("translation"), vera.link("Audit"))
	vera.lacks(vera.link("Settings"), vera.link("Import"), vera.link("Add a row"), vera.link("Edit CRM COUNTRY BQ → PORTAL name"))
	vera.lacks(vera.menu(vera.GetByTestId("translation")).GetByText("Delete…"))
	vera.visit("/dictionaries/transfer")
	vera.sees(vera.heading("Export"))
	vera.lacks(vera.heading("Import"))
	vera.visit("/dictionaries/translations/new")
	vera.sees(vera.heading("Not allowed"), vera.GetByText("Your role (viewer) may not do this: it takes the role operator."))
	vera.send("/dictionaries/translations", "value2=mine")
	vera.sees(vera.heading("Not allowed"))
	vera.visit("/settings/users")
	vera.sees(vera.heading("Not allowed"))

	oscar := in.browse(t, browsing{user: "oscar"})
	oscar.expects(http.StatusForbidden)
	oscar.visit("/dictionaries/translations")
	oscar.lacks(oscar.link("Settings"))
	oscar.click(oscar.link("Edit CRM COUNTRY BQ → PORTAL name"))
	oscar.fill(oscar.input("To value"), "edited by Oscar")
	oscar.keys("Enter")
	oscar.says(oscar.GetByTestId("translation"), "edited by Oscar")
	oscar.send("/settings/users", "name=eve&role=admin&password=long+enough+for+eve")
	oscar.sees(oscar.heading("Not allowed"))

	// A viewer who becomes an operator is one at once, and one who is disabled is signed out.
	boss.visit("/settings/users")
	boss.click(boss.link("vera"))
	role := boss.GetByTestId("role").GetByRole("combobox")
	must(t, expect.Locator(role).ToHaveValue("viewer"))
	_, err := role.SelectOption(playwright.SelectOptionValues{Values: &[]string{"operator"}})
	must(t, err)
	boss.click(boss.button("Change role"))
	boss.says(boss.toasts(), "The role is changed.")
	eventually(t, func() error {
		vera.visit("/dictionaries/translations")
		return expect.Locator(vera.link("Edit CRM COUNTRY BQ → PORTAL name")).ToBeVisible(playwright.LocatorAssertionsToBeVisibleOptions{Timeout: playwright.Float(500)})
	})
	boss.click(boss.button("Disable user"))
	boss.says(boss.toasts(), "disabled and signed out")
	boss.sees(boss.GetByText("Nobody is signed in"))
	vera.visit("/dictionaries/translations")
	vera.at("/login")
	vera.expects(http.StatusUnauthorized)
	vera.fill(vera.field("Name"), "vera")
	vera.fill(vera.field("Password"), password)
	vera.click(vera.button("Sign in"))
	vera.says(vera.GetByTestId("sign-in"), "The name or the password is wrong.")
	boss.visit("/audit?object=vera")
	for _, verb := range []string{"user.create", "user.role", "user.disable"} {
		boss.sees(boss.row("record", verb).First())
	}
}

// create makes a user by the form, with the password of all.
func (p *page) create(name, role string) {
	p.t.Helper()
	p.fill(p.field("Name"), name)
	_, err := p.field("Role").SelectOption(playwright.SelectOptionValues{Values: &[]string{role}})
	must(p.t, err)
	p.fill(p.field("Password"), password)
	p.click(p.button("Create user"))
	p.says(p.toasts(), "User "+name+" is created.")
	p.sees(p.row("user", name, role))
}

// send posts a form that the page does not have.
func (p *page) send(path, body string) {
	p.t.Helper()
	_, err := p.Evaluate(`([path, body]) => {
		const form = Object.assign(document.createElement("form"), { method: "post", action: path });
		for (const [name, value] of new URLSearchParams(body)) form.append(Object.assign(document.createElement("input"), { name, value }));
		document.body.append(form);
		form.submit();
	}`, []string{path, body})
	must(p.t, err)
}
