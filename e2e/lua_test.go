//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/playwright-community/playwright-go"
)

const misspelt = `local from, to = KEYS[1], KEYS[2]
if redis.cal('exists', from) == 1 then
  redis.call('rename', from, to)
  return 10
end
return 11
`

// command runs a command of Redis and returns its value.
func (a *api) command(args ...string) any {
	a.t.Helper()
	var out struct{ Value any }
	a.call(http.MethodPost, "/kvdb/command", map[string]any{"args": args, "confirm": args[0]}, &out)
	return out.Value
}

// drop lets a file fall onto an element.
func (p *page) drop(onto, name, text string) {
	p.t.Helper()
	_, err := p.Locator(onto).Evaluate(`(zone, [name, text]) => {
		const files = new DataTransfer();
		files.items.add(new File([text], name, { type: "text/x-lua" }));
		for (const type of ["dragenter", "dragover", "drop"]) zone.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: files }));
	}`, []string{name, text})
	must(p.t, err)
}

// reply expects the reply that the result shows.
func (p *page) reply(kind, text string) {
	p.t.Helper()
	p.says(p.GetByTestId("result").Locator(`[data-type="`+kind+`"]`).First(), text)
}

// TestLua is the life of a program: it is dropped onto the page with a mistake, mended, tried on real data, run and debugged.
func TestLua(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.command("SET", "rename-from", "x")
	p := in.browse(t, browsing{})

	p.visit("/lua")
	p.sees(p.row("program", "kvdb.rename_if_exists"))
	p.drop("[data-drop-zone]", "mylib.rename_if_exists.lua", misspelt)
	p.click(p.button("Upload"))
	p.sees(p.GetByText("Saved as version 1"))
	p.visit("/lua/mylib.rename_if_exists")

	problems, editor := p.GetByTestId("problems"), p.Locator(".cm-content")
	p.says(problems, "1 problem")
	p.sees(p.Locator(".cm-lintRange"))
	p.click(problems.Locator("summary"))
	p.says(problems, "Line 2", "redis.call")
	p.click(problems.Locator("a"))
	p.focused(editor)
	line := p.Locator(".cm-line").Filter(playwright.LocatorFilterOptions{HasText: "redis.cal('exists'"})
	p.click(line)
	for _, key := range []string{"Home", "Shift+End", "Delete"} {
		must(t, p.Keyboard().Press(key))
	}
	must(t, p.Keyboard().InsertText("if redis.call('exists', from) == 1 then"))
	p.says(problems, "No problems")
	must(t, p.Keyboard().Press("Control+s"))
	p.says(p.toasts(), "version 2")

	key := func(n int) playwright.Locator { return p.field(fmt.Sprintf("KEYS[%d]", n)) }
	p.fill(key(1), "rename-from")
	p.fill(key(2), "rename-to")
	p.click(p.button("Dry run"))
	tried := p.GetByTestId("dryrun")
	p.says(tried, "nothing was written", "integer 10")
	p.counts(tried.GetByTestId("call"), 2)
	p.says(tried.GetByTestId("call").Nth(1), "3", "RENAME", "rename-from")
	p.says(tried.GetByTestId("change").Filter(playwright.LocatorFilterOptions{HasText: "rename-from"}), "gone")
	p.says(tried.GetByTestId("change").Filter(playwright.LocatorFilterOptions{HasText: "rename-to"}).Locator("ins"), "x")
	if got := admin.command("GET", "rename-from"); got != "x" {
		t.Fatalf("the dry run made %v of the key", got)
	}

	p.click(p.button("Apply these changes"))
	p.reply("integer", "10")
	if got := admin.command("GET", "rename-to"); got != "x" {
		t.Fatalf("applied, the key is %v", got)
	}
	p.click(p.button("Run"))
	p.reply("integer", "11")

	// Debugging: nothing of it stays.
	admin.command("RENAME", "rename-to", "rename-from")
	p.click(p.Locator(".cm-lineNumbers .cm-gutterElement").Filter(playwright.LocatorFilterOptions{HasText: "4"}))
	p.holds(p.Locator("#breakpoints"), "4")
	p.click(p.button("Debug"))
	session := p.GetByTestId("debug")
	p.says(session.GetByTestId("where"), "line 1")
	p.click(p.button("Step"))
	p.says(session.GetByTestId("where"), "line 2")
	p.says(session.GetByTestId("locals"), "from", "rename-from")
	p.click(p.button("Continue"))
	p.says(session.GetByTestId("where"), "line 4")
	p.fill(p.field("Redis command, in the copy"), "GET rename-to")
	p.click(p.button("Send"))
	p.says(session.GetByTestId("log"), "x")
	p.click(p.button("Continue"))
	p.says(session, "integer 10")
	if got := admin.command("GET", "rename-from"); got != "x" {
		t.Fatalf("after debugging the key is %v", got)
	}
	if got := admin.command("EXISTS", "rename-to"); got != 0.0 {
		t.Fatalf("after debugging the other key is there: %v", got)
	}
}

// TestBusyScript has somebody run a program that never ends: everybody is told whose it is, and it can be ended.
func TestBusyScript(t *testing.T) {
	t.Parallel()
	in := start(t, options{may: []string{"request", "the outcome of a change is not in the audit log"}})
	admin := in.client(t)
	admin.command("CONFIG", "SET", "busy-reply-threshold", "200")
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusUnprocessableEntity)
	p.visit("/lua/-/scratch")
	ended := make(chan error, 1)
	go func() {
		body, _ := json.Marshal(map[string]string{"source": "while true do end"})
		ended <- admin.try(http.MethodPost, "/lua/run", body)
	}()
	busy := p.GetByTestId("busy")
	p.says(busy, "a text that is not saved", "admin")
	p.click(p.button("Kill it"))
	p.lacks(p.GetByText("Redis is busy"))
	if err := <-ended; err == nil {
		t.Error("a program that never ends has ended well")
	}
	p.visit("/")
	p.sees(p.heading("Overview"))
}
