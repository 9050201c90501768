//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/playwright-community/playwright-go"
)

const renamer = `if redis.call('exists', KEYS[1]) == 1 then
  redis.call('rename', KEYS[1], KEYS[2])
  return 10
end
return 11
`

// becomes waits until the page of an invocation shows a state; it follows by itself.
func (p *page) becomes(state string) {
	p.t.Helper()
	must(p.t, expect.Locator(p.GetByTestId("state")).ToHaveAttribute("data-state", state))
}

// TestInvocations invokes a program and watches it become done; one that fails dies, and is done after its payload was edited.
func TestInvocations(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.command("SET", "rename-from", "x")
	admin.call(http.MethodPut, "/lua/programs/mylib.rename_if_exists", renamer, nil)
	p := in.browse(t, browsing{})
	payload := p.field("Payload, JSON")

	p.visit("/broker/services")
	p.click(p.link("Invoke…").First())
	p.fill(p.field("Service"), "lua:mylib.rename_if_exists")
	p.fill(payload, `{"keys": ["rename-from" "rename-to"]}`)
	p.says(p.GetByTestId("json-say"), "Line 1, column")
	p.fill(payload, `{"keys": ["rename-from", "rename-to"]}`)
	p.click(p.button("Invoke"))
	p.becomes("done")
	p.says(p.GetByTestId("result"), "10")
	p.counts(p.GetByTestId("attempt"), 1)
	if got := admin.command("GET", "rename-to"); got != "x" {
		t.Errorf("the key is %v", got)
	}

	p.visit("/broker/invoke")
	p.fill(p.field("Service"), "lua:mylib.rename_if_exists")
	p.fill(payload, `{"keys": []}`)
	p.click(p.GetByText("Delay, expiry, attempts"))
	p.fill(p.field("Attempts"), "2")
	p.click(p.button("Invoke"))
	p.becomes("dead")
	p.counts(p.GetByTestId("attempt"), 2)

	p.visit("/broker/dead")
	p.says(p.row("group", "lua:mylib.rename_if_exists"), "1")
	letter := p.row("letter", "lua:mylib.rename_if_exists")
	p.click(letter.GetByRole(*playwright.AriaRoleLink, playwright.LocatorGetByRoleOptions{Name: "Edit the payload and retry"}))
	p.holds(payload, "{\n  \"keys\": []\n}")
	p.fill(payload, `{"keys": ["rename-to", "rename-back"]}`)
	p.click(p.button("Retry with this payload"))
	p.becomes("done")
	p.says(p.GetByTestId("payload"), "rename-back")
	p.counts(p.GetByTestId("attempt"), 3)
	if got := admin.command("GET", "rename-back"); got != "x" {
		t.Errorf("the key is %v", got)
	}
	p.visit("/broker/dead")
	p.counts(p.GetByTestId("letter"), 0)
}

// TestInvocationWithoutScript invokes with plain forms, and by hand what a worker would do.
func TestInvocationWithoutScript(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	p := in.browse(t, browsing{noScript: true})
	p.visit("/broker/invoke?service=orders")
	p.fill(p.field("Payload, JSON"), `{"n": 12345678901234567890.10}`)
	p.click(p.button("Invoke"))
	p.becomes("queued")
	var got struct {
		Invocations []struct{ CID, Lease string }
	}
	admin.call(http.MethodPost, "/broker/services/orders/receive", map[string]any{}, &got)
	one := got.Invocations[0]
	p.at("/broker/invocations/" + one.CID)
	p.becomes("running") // the page reads itself anew
	admin.call(http.MethodPost, "/broker/invocations/"+one.CID+"/ack", map[string]any{"lease": one.Lease, "result": "fine"}, nil)
	p.becomes("done")
	p.says(p.GetByTestId("payload"), "12345678901234567890.10")
	p.says(p.GetByTestId("result"), "fine")
}

// isDead returns nil when a dead letter of the service is there.
func (a *api) isDead(service string) error {
	if n := len(list[struct{ CID string }](a, "/broker/services/"+url.PathEscape(service)+"/dead")); n == 0 {
		return fmt.Errorf("%s has no dead letter", service)
	}
	return nil
}
