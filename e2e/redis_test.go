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

	setting := func() string { return fmt.Sprint(admin.command("CONFIG", "GET", "slowlog-max-len")) }
	was := setting()
	asks := run("CONFIG SET slowlog-max-len 77").GetByTestId("confirm")
	p.says(asks, "CONFIG is dangerous, and has not run.")
	typed := asks.GetByLabel("To run it, type CONFIG")
	p.fill(typed, "SURE")
	must(t, typed.Press("Enter"))
	p.says(p.GetByTestId("confirm").Last(), "That was SURE, not CONFIG.")
	if got := setting(); got != was {
		t.Fatalf("another word has run it: %v", got)
	}
	entries := p.GetByTestId("entry")
	typed = entries.Last().GetByLabel("To run it, type CONFIG")
	p.fill(typed, "CONFIG")
	must(t, typed.Press("Enter"))
	p.says(entries.Last().GetByTestId("output"), "OK")
	if got := setting(); got != "[[slowlog-max-len 77]]" {
		t.Fatalf("after it was confirmed: %v", got)
	}

	n, err := entries.Count()
	must(t, err)
	p.fill(line, "BLPOP nothing:there 0")
	must(t, line.Press("Enter"))
	p.says(p.GetByTestId("running"), "BLPOP nothing:there 0")
	if got := admin.command("ECHO", "others"); got != "others" { // nobody else waits with it
		t.Fatalf("meanwhile: %v", got)
	}
	p.click(p.button("Stop"))
	p.counts(entries, n+1)
	p.says(entries.Last(), "It was stopped.")
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

// TestBatch runs commands together, one of which fails: first up to it, then past it.
func TestBatch(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	p := in.browse(t, browsing{})
	check := func(key string, stop bool) {
		t.Helper()
		p.visit("/redis/console/batch")
		p.fill(p.field("Commands, one on each line, as in redis-cli"), fmt.Sprintf("SET %[1]s:before text\nINCR %[1]s:before\nSET %[1]s:after text", key))
		must(t, p.GetByLabel("Stop at the first error").SetChecked(stop))
		p.click(p.button("Check"))
		p.says(p.GetByTestId("preview"), "3 commands", "INCR")
		if got := admin.command("EXISTS", key+":before"); got != 0.0 {
			t.Fatalf("to check it has run it: %v", got)
		}
		p.click(p.button("Run"))
	}
	exists := func(key string, want float64) {
		t.Helper()
		if got := admin.command("EXISTS", key); got != want {
			t.Errorf("EXISTS %s: %v, want %v", key, got, want)
		}
	}
	batch, rows := p.GetByTestId("batch"), p.GetByTestId("replies").Locator("tbody tr")

	check("stopped", true)
	p.says(batch, "1 command did not run.")
	p.counts(rows, 2)
	p.says(rows.Last(), "ERR value is not an integer")
	exists("stopped:before", 1)
	exists("stopped:after", 0)

	check("on", false)
	p.says(batch, "1 error")
	p.counts(rows, 3)
	p.says(rows.Last(), "OK")
	exists("on:after", 1)
	p.click(p.link("Only errors"))
	p.counts(rows, 1)
	p.says(rows, "INCR on:before", "ERR value is not an integer")
}
