//go:build e2e

package e2e_test

import (
	"net/http"
	"testing"
)

// TestAccessible has axe look at what is not on a page before somebody asks for it. TestWalk looks at all that is.
func TestAccessible(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{})
	p.looks()

	p.visit("/dictionaries/translations")
	row := p.row("translation", "Bonaire")
	p.menu(row)
	p.accessible("the menu of a row")
	p.keys("Escape", "n")
	p.focused(p.input("From system"))
	p.accessible("the form of a new row")
	p.keys("Escape")
	p.click(p.menu(row).GetByText("Delete…"))
	p.sees(p.GetByTestId("deletion"))
	p.accessible("the question before a deletion")
	p.click(p.button("Delete the translation"))
	p.sees(p.GetByTestId("deleted"))
	p.accessible("the place of what was deleted")
	p.keys("?")
	p.sees(p.Locator("dialog"))
	p.accessible("the list of keys")
	p.keys("Escape")
	p.visit("/account")
	p.click(p.Locator(".user summary"))
	p.accessible("the menu of the user")
}

// TestWrongFields sends forms with mistakes: each wrong field says what is wrong with it, also to those who only hear the page.
func TestWrongFields(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	p := in.browse(t, browsing{untraced: true})
	p.expects(http.StatusUnprocessableEntity, http.StatusUnauthorized)
	p.looks()
	p.visit("/")
	for path, body := range map[string]string{
		"/settings/users":            "name=a+b&role=viewer&password=x",
		"/settings/tokens":           "name=&role=viewer&days=90",
		"/settings/webhooks":         "service=a+b&url=ftp%3A%2F%2Fx&timeout=never&version=0",
		"/account/password":          "old=x&new=y&again=z",
		"/dictionaries/entries":      "system=a+b&key=&value=x",
		"/dictionaries/translations": "system1=a+b&key1=&value1=x&system2=&key2=b&value2=",
		"/broker/publish":            "channel=a+b&message=%7B&op=1",
		"/broker/invoke":             "service=a+b&payload=%7B&attempts=many&op=1",
		"/redis/keys/bulk":           "match=&do=delete",
		"/stats/settings":            "minutes=never&hours=never",
	} {
		p.send(path, body)
		must(t, p.Locator("[aria-invalid=true]").First().WaitFor())
		p.accessible("mistakes sent to " + path)
	}
}
