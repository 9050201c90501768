//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"

	"github.com/playwright-community/playwright-go"
)

// TestConsole types commands as in redis-cli: some that run, one that has to be confirmed, and one that waits and is stopped. A
// viewer is refused what viewers may not.
func TestConsole(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	p := in.browse(t, browsing{})
	p.visit("/redis/console")
	line := p.Locator("#console-text")
	run := func(text string) playwright.Locator {
		t.Helper()
		before, err := p.GetByTestId("entry").Count()
		must(t, err)
		p.fill(line, text)
		must(t, line.Press("Enter"))
		p.counts(p.GetByTestId("entry"), before+1)
		return p.GetByTestId("entry").Last()
	}

	p.says(run(`SET greeting "hello\tworld"`), "OK")
	p.says(run("GET greeting"), `"hello\tworld"`)

	flush := run("FLUSHDB")
	p.sees(flush.GetByTestId("confirm"))
	if got := admin.command("GET", "greeting"); got != "hello\tworld" {
		t.Fatalf("before it was confirmed: %v", got)
	}
	p.says(run("PING"), "PONG") // nothing is in the way of others meanwhile

	before := p.GetByTestId("entry")
	n, err := before.Count()
	must(t, err)
	p.fill(line, "BLPOP nothing:there 0")
	must(t, line.Press("Enter"))
	p.click(p.button("Stop"))
	p.counts(before, n+1)
	p.says(run("ECHO on"), "on")

	admin.user("vera", "viewer")
	v := in.browse(t, browsing{user: "vera"})
	v.visit("/redis/console")
	v.fill(v.Locator("#console-text"), "SET greeting bye")
	v.click(v.button("Run"))
	v.says(v.GetByTestId("entry").Last(), "role")
	if got := admin.command("GET", "greeting"); got != "hello\tworld" {
		t.Fatalf("a viewer made %v of it", got)
	}
}

// TestKeys finds a key, looks into it, and deletes many by a pattern, which asks first.
func TestKeys(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	for i := range 30 {
		admin.command("SET", fmt.Sprint("many:", i), "v")
	}
	admin.command("HSET", "order", "state", "open")
	p := in.browse(t, browsing{})
	p.visit("/redis/info")
	p.sees(p.GetByText("Operations a second").First())
	p.visit("/redis/keys?match=order")
	p.click(p.link("order"))
	p.says(p.GetByTestId("facts"), "hash")
	p.says(p.GetByTestId("item").First(), "state", "open")

	p.visit("/redis/keys")
	p.click(p.link("Many at once…"))
	p.fill(p.field("Pattern"), "many:*")
	p.click(p.button("Count them first"))
	confirm := p.GetByTestId("confirm")
	p.sees(confirm)
	if got := admin.command("EXISTS", "many:7"); got != 1.0 {
		t.Fatalf("counting has deleted: %v", got)
	}
	p.fill(p.field("Type the pattern to go on"), "many:*")
	p.click(confirm.GetByRole("button"))
	p.says(p.GetByTestId("figures"), "30")
	eventually(t, func() error {
		if got := admin.command("EXISTS", "many:7"); got != 0.0 {
			return fmt.Errorf("many:7: %v", got)
		}
		return nil
	})
	if got := admin.command("EXISTS", "order"); got != 1.0 {
		t.Fatalf("another key is gone: %v", got)
	}
}
