//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// failing is what the log says of requests that Redis could not serve.
var failing = []string{"request"}

// TestRedisGoes has Redis die, and then hang, while somebody types. Nothing that was typed is lost, and webadmin heals by itself.
func TestRedisGoes(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	a := in.client(t)
	row := a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))[0]
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable)

	for _, fault := range []struct {
		name      string
		from, end func()
	}{{"killed", redis.kill, redis.start}, {"paused", redis.pause, redis.resume}} {
		p.visit("/dictionaries/translations")
		p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
		p.fill(p.input("To value"), "typed while Redis is "+fault.name)
		fault.from()
		answer, err := p.ExpectResponse(regexp.MustCompile(`/translations/`+row.ID+`$`), func() error {
			return p.Keyboard().Press("Enter")
		})
		must(t, err)
		if answer.Status() != http.StatusServiceUnavailable {
			t.Errorf("while Redis is %s a change is answered with %d", fault.name, answer.Status())
		}
		p.says(p.toasts(), "Not done.", "Redis")
		p.holds(p.input("To value"), "typed while Redis is "+fault.name)
		eventually(t, func() error { return in.status("/readyz", http.StatusServiceUnavailable) })
		must(t, in.status("/healthz", http.StatusOK))
		fault.end()
		a.awaitRedis()
		must(t, p.input("To value").Press("Enter"))
		p.says(p.GetByTestId("translation"), "typed while Redis is "+fault.name)
		if got := a.translation(row.ID).Value2; got != "typed while Redis is "+fault.name {
			t.Fatalf("after Redis was %s there is %q", fault.name, got)
		}
	}
	if n := len(a.changes()); n != 3 {
		t.Errorf("there are %d changes, want 3", n)
	}
}

// TestServerOutOfReach has the network go while somebody types: the page says so until the server answers again.
func TestServerOutOfReach(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{})
	p.expects(offline)
	p.visit("/dictionaries/translations")
	p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
	p.fill(p.input("To value"), "typed without a network")
	must(t, p.Context().SetOffline(true))
	must(t, p.input("To value").Press("Enter"))
	p.says(p.toasts(), "could not be reached")
	p.holds(p.input("To value"), "typed without a network")
	must(t, p.Context().SetOffline(false))
	must(t, p.input("To value").Press("Enter"))
	p.says(p.GetByTestId("translation"), "typed without a network")
	must(t, expect.Locator(p.toasts()).Not().ToContainText("could not be reached"))
}

// TestOpenPageWithoutRedis has Redis go and come back while nobody does anything on a page that is open: it says so once, and then no more.
func TestOpenPageWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable)
	p.visit("/broker/services")
	p.says(p.Locator("#server"), "Redis 7")

	redis.kill()
	p.says(p.toasts(), "Redis does not answer. What you see may be out of date")
	must(t, expect.Locator(p.toasts()).Not().ToContainText("Not done"))
	p.says(p.Locator("#server"), "Redis is away")
	p.sees(p.Locator("main .stale"))

	redis.start()
	must(t, expect.Locator(p.toasts().Locator(".toast")).ToHaveCount(0))
	p.says(p.Locator("#server"), "Redis 7")
	must(t, expect.Locator(p.Locator("main .stale")).ToHaveCount(0))
}

// TestPageComesByItself loads a page while Redis is away: it is there as soon as Redis is, without anybody's doing.
func TestPageComesByItself(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	in.client(t).create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable)
	p.visit("/dictionaries/entries")
	redis.kill()
	eventually(t, func() error { return in.status("/readyz", http.StatusServiceUnavailable) })
	p.visit("/dictionaries/translations")
	p.says(p.Locator("[data-failed]"), "Redis is not reachable", "comes by itself")
	redis.start()
	p.says(p.GetByTestId("translation"), "Bonaire")
}

// awaitRedis waits until the server says that it is ready, and until the last of its connections has found out.
func (a *api) awaitRedis() {
	a.t.Helper()
	for _, path := range []string{"/readyz", "/dictionaries/changes"} {
		eventually(a.t, func() error { return status(a.web, a.url+path, http.StatusOK) })
	}
}

// TestOverviewWithoutRedis has the KVDB away while users and sessions, on a server of their own, are there.
func TestOverviewWithoutRedis(t *testing.T) {
	t.Parallel()
	redis, state := startRedis(t), startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url(), "--state-url", state.url()}, may: failing})
	a := in.client(t)
	a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable)

	redis.kill()
	eventually(t, func() error { return in.status("/readyz", http.StatusServiceUnavailable) })
	p.visit("/")
	p.says(p.Locator("[data-failed]"), "Redis")
	p.sees(p.heading("Accounts")) // which are elsewhere
	eventually(t, func() error {  // what is shown of the server was asked for some seconds ago
		p.visit("/")
		text, err := p.GetByTestId("server").TextContent()
		if err == nil && !strings.Contains(text, "away") {
			err = fmt.Errorf("of the server it says %q", text)
		}
		return err
	})
	redis.start()
	a.awaitRedis()
	p.click(p.link("Try again"))
	p.says(p.row("number", "Translations"), "1")
}

// TestOutcomeUnknown loses the answer to a change: the page says so, and finds out what became of it.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	redis, state := startRedis(t), startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url(), "--state-url", state.url()}, may: failing})
	a := in.client(t)
	a.create(of("CRM", "COUNTRY", "BQ", "PORTAL", "name", "Bonaire"))
	p := in.browse(t, browsing{})
	p.expects(http.StatusGatewayTimeout, http.StatusConflict)
	p.visit("/dictionaries/translations")
	p.click(p.link("Edit CRM COUNTRY BQ → PORTAL name"))
	p.fill(p.input("To value"), "sent, and no answer")

	must(t, redis.command("CLIENT PAUSE 60000 WRITE", "+OK"))
	p.keys("Enter")
	form := p.GetByTestId("translation-form")
	p.says(form, "It is not known whether this was saved")
	p.holds(p.input("To value"), "sent, and no answer")
	must(t, expect.Locator(p.input("To value")).ToHaveJSProperty("readOnly", true))
	must(t, redis.command("CLIENT UNPAUSE", "+OK"))
	p.click(form.GetByRole("button", playwright.LocatorGetByRoleOptions{Name: "Check"}))
	p.says(form, "It was not saved, and the earlier attempt can't do it any more")
	p.holds(p.input("To value"), "sent, and no answer")
	p.click(form.GetByRole("button", playwright.LocatorGetByRoleOptions{Name: "Save"}))
	p.says(p.GetByTestId("translation"), "sent, and no answer")
	if n := len(a.changes()); n != 2 {
		t.Errorf("there are %d changes, want 2", n)
	}
}
