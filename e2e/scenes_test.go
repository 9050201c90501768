//go:build e2e && screenshots

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/playwright-community/playwright-go"
)

// stage fills the store of a server with demo data with one of everything that a page can show, and returns the scenes to look at.
func (a *api) stage() []scene {
	a.t.Helper()
	paths := a.seed("a value that is neither short nor very long").paths
	for _, more := range [][]string{a.stageBroker(), a.stageLua(), a.stageRedis(), a.stageStats()} {
		paths = append(paths, more...)
	}
	scenes := scenesOf(paths...)
	a.user("olga", "operator")
	scenes = append(scenes, scenesOf("/search?q=COUNTRY", "/search?q=orders", "/search?q=no+such+thing")...)
	scenes = append(scenes, scene{name: "sign in", path: "/login", as: nobody}, scene{name: "sign in, refused", path: "/login", as: nobody, do: func(p *page) {
		p.expects(http.StatusUnauthorized)
		p.fill(p.Locator("[name=username]"), "anna")
		p.fill(p.Locator("[name=password]"), "wrong")
		p.keys("Enter")
		p.sees(p.Locator(".notice, .field-error").First())
	}})
	for _, path := range []string{"/", "/settings/users", "/dictionaries/translations", "/lua/walk", "/redis/key?key=page:order", "/broker/dead", "/redis/console"} {
		scenes = append(scenes, scene{name: "a viewer: " + path, path: path, as: "vera"})
	}
	return append(scenes, acts()...)
}

// invoke invokes a service and returns the CID.
func (a *api) invoke(call map[string]any) string {
	a.t.Helper()
	var out struct{ CID string }
	a.call(http.MethodPost, "/broker/invoke", call, &out)
	return out.CID
}

// stageBroker makes an invocation of each state, a channel with a subscriber, a policy and a webhook.
func (a *api) stageBroker() []string {
	a.t.Helper()
	states := map[string]string{}
	receive := func(service string) (lease string) {
		var got struct{ Invocations []struct{ CID, Lease string } }
		a.call(http.MethodPost, "/broker/services/"+service+"/receive", map[string]any{"worker": "host-1", "wait_ms": 3000, "lease_ms": 3_600_000}, &got)
		return got.Invocations[0].Lease
	}
	order := map[string]any{"order": 4711, "customer": map[string]any{"name": "Ada Lovelace", "city": "London"}, "lines": []any{map[string]any{"article": "candle", "pieces": 3}}}
	states["running"] = a.invoke(map[string]any{"service": "billing.invoices", "payload": order})
	receive("billing.invoices")
	states["retrying"] = a.invoke(map[string]any{"service": "billing.mails", "payload": order})
	a.call(http.MethodPost, "/broker/invocations/"+states["retrying"]+"/nack", map[string]any{
		"lease": receive("billing.mails"), "error": "the mail server does not answer", "retry_after_ms": 3_600_000,
	}, nil)
	states["queued"] = a.invoke(map[string]any{"service": "billing.archive", "payload": order})
	states["delayed"] = a.invoke(map[string]any{"service": "billing.archive", "payload": order, "delay_ms": 86_400_000})
	states["cancelled"] = a.invoke(map[string]any{"service": "billing.archive", "payload": "stop"})
	a.call(http.MethodPost, "/broker/invocations/"+states["cancelled"]+"/cancel", nil, nil)
	states["expired"] = a.invoke(map[string]any{"service": "billing.archive", "payload": "late", "expires_ms": 1})
	states["done"] = a.invoke(map[string]any{"service": "echo", "payload": order, "callback": "echo"})
	states["dead"] = a.invoke(map[string]any{"service": "lua:nowhere", "payload": map[string]any{"keys": []string{"a"}}, "max_attempts": 1})
	for state, cid := range states {
		eventually(a.t, func() error {
			var got struct{ State string }
			a.call(http.MethodGet, "/broker/invocations/"+cid, nil, &got)
			if got.State != state {
				return fmt.Errorf("%s is %s", cid, got.State)
			}
			return nil
		})
	}
	a.post("/broker/services/billing.archive/pause", nil)
	for _, m := range []any{order, "a text", 17, nil, strings.Repeat("long ", 800)} {
		a.call(http.MethodPost, "/broker/channels/page:orders/publish", map[string]any{"message": m}, nil)
	}
	a.post("/settings/webhooks", url.Values{"service": {"billing.webhook"}, "url": {"https://billing.example.com/hooks/webadmin"}, "timeout": {"10s"}})
	job := a.leads("/broker/dead/many", url.Values{"do": {"retry"}, "service": {"lua:nowhere"}})
	out := []string{
		"/broker/channels", "/broker/channels/page:orders", "/broker/channels/demo:stock", "/broker/publish",
		"/broker/publish?channel=page:orders", "/broker/services", "/broker/services/demo:orders", "/broker/services/billing.archive",
		"/broker/services/lua:nowhere",
		"/broker/services/lua:limit.per_window", "/broker/dead", "/broker/dead?service=lua:nowhere", job, "/broker/invocations", "/broker/invocations?service=demo:orders", "/broker/invoke",
		"/broker/invoke?service=demo:orders", "/settings/webhooks", "/settings/webhooks/billing.webhook", "/broker/invocations/" + states["dead"] + "/edit",
	}
	for _, state := range []string{"queued", "delayed", "running", "retrying", "done", "dead", "expired", "cancelled"} {
		out = append(out, "/broker/invocations/"+states[state], "/broker/invocations?state="+state)
	}
	return out
}

// stageLua makes a program of two versions with a mistake, and one with examples.
func (a *api) stageLua() []string {
	a.t.Helper()
	a.call(http.MethodPut, "/lua/programs/page.archive", renamer, nil)
	a.call(http.MethodPut, "/lua/programs/page.archive", misspelt, nil)
	return []string{"/lua/mylib.rename_if_exists", "/lua/page.archive", "/lua/page.archive/versions", "/lua/page.archive/versions/1", "/lua/page.archive/versions/2",
		"/lua/page.archive/delete", "/lua/page.archive/runs", "/lua/limit.per_window/runs"}
}

// stageRedis makes a key of each type.
func (a *api) stageRedis() []string {
	a.t.Helper()
	for _, args := range [][]string{
		{"SET", "page:text", "some text\nof two lines"},
		{"SET", "page:json", `{"order":4711,"lines":[{"article":"candle","pieces":3}],"paid":false}`},
		{"SET", "page:session:4711", "expires", "EX", "3600"},
		{"SET", "page:number", "9007199254740993"},
		{"HSET", "page:order", "state", "open", "by", "ann", "total", "17.50", "note", "to be delivered on a day that suits the neighbours"},
		{"RPUSH", "page:queue", "one", "two", "three", "four"},
		{"SADD", "page:tags", "new", "urgent", "paid"},
		{"ZADD", "page:scores", "1", "ann", "2.5", "bob", "1e300", "eve"},
		{"XADD", "page:events", "*", "event", "sent", "by", "ann"},
		{"XADD", "page:events", "*", "event", "seen", "by", "bob"},
		{"XGROUP", "CREATE", "page:events", "mailers", "0"},
		{"XREADGROUP", "GROUP", "mailers", "host-1", "COUNT", "1", "STREAMS", "page:events", ">"},
	} {
		a.command(args...)
	}
	bulk := a.leads("/redis/keys/bulk", url.Values{"match": {"page:*"}, "do": {"delete"}})
	out := []string{"/redis/keys?match=page:*", "/redis/keys?view=tree", "/redis/keys/new", "/redis/keys/bulk", bulk, "/redis/key/edit?key=page:text",
		"/redis/keys?match=nothing:*", a.linkOn("/redis/key?key=page:events", `/redis/key/add[^"]*`), a.linkOn("/redis/key?key=page:scores", `/redis/key/add[^"]*`)}
	for _, key := range []string{"text", "json", "session:4711", "number", "order", "queue", "tags", "scores", "events"} {
		out = append(out, "/redis/key?key=page:"+key)
	}
	return out
}

// stageStats records calls of services with an hour to compare with.
func (a *api) stageStats() []string {
	a.t.Helper()
	for minute := range 110 {
		ago := time.Duration(minute) * time.Minute
		a.record("crm.sync_customer", 3, 60+float64(minute*7%31), ago)
		a.record("billing.rate_invoice", 1, 300+float64(minute*13%170), ago)
	}
	a.recorded("/stats/trends?view=all", "crm[.]")
	return []string{"/stats/trends", "/stats/service?name=billing.rate_invoice", "/stats/service?name=crm.sync_customer&period=day", "/stats/slow", "/stats/slow?service=billing.rate_invoice",
		"/stats/summary?period=day", "/stats/service?name=nowhere"}
}

// acts are pages that somebody has done something on.
func acts() []scene {
	row := func(p *page) playwright.Locator { return p.GetByTestId("translation").First() }
	list := "/dictionaries/translations?system1=CRM"
	return []scene{
		{name: "the keys", path: list, do: func(p *page) { p.keys("?"); p.sees(p.Locator("dialog")) }},
		{name: "the menu of the user", path: "/", do: func(p *page) { p.click(p.Locator(".user summary")) }},
		{name: "the sections on a phone", path: "/dictionaries/misses", do: func(p *page) {
			if p.ViewportSize().Width < 500 {
				p.click(p.button("Sections"))
			}
		}},
		{name: "the menu of a row", path: list, do: func(p *page) { p.menu(row(p)) }},
		{name: "a row under edit", path: list, do: func(p *page) { p.editFirst() }},
		{name: "a row under edit, refused", path: list, do: func(p *page) {
			p.editFirst()
			p.fill(p.input("From system"), "with a blank")
			p.keys("Enter")
			p.sees(p.Locator(".field-error").First())
		}},
		{name: "a new row", path: list, do: func(p *page) {
			p.click(p.Locator("[data-key-new]").First())
			p.sees(p.Locator("tr.edit, form.form").First())
		}},
		{name: "a deletion to be confirmed", path: list, do: func(p *page) {
			p.click(p.menu(row(p)).GetByText("Delete…"))
			p.sees(p.GetByTestId("deletion"))
		}},
		{name: "saved", path: list, do: func(p *page) {
			p.editFirst()
			p.fill(p.input("To value"), fmt.Sprint("saved at ", time.Now().UnixNano()))
			p.keys("Enter")
			p.sees(p.toasts().Locator(".toast").First())
		}},
		{name: "a conflict", path: list, do: func(p *page) {
			p.editFirst()
			p.fill(p.input("To value"), "of mine")
			_, err := p.Evaluate(`async () => {
				const form = document.querySelector("tr.edit :is(input, textarea)").form, data = new FormData(form);
				data.set("value2", "of somebody else " + Date.now());
				data.delete("op");
				await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
			}`)
			must(p.t, err)
			p.keys("Enter")
			p.sees(p.GetByTestId("theirs"))
		}},
		{name: "a dry run", path: "/lua/mylib.rename_if_exists", do: func(p *page) {
			p.fill(p.field("KEYS[1]"), "page:text")
			p.fill(p.field("KEYS[2]"), "page:text:renamed")
			p.click(p.button("Dry run"))
			p.sees(p.GetByTestId("dryrun").GetByTestId("call").First())
		}},
		{name: "a run", path: "/lua/walk", do: func(p *page) {
			p.click(p.button("Run"))
			p.sees(p.GetByTestId("result"))
		}},
		{name: "a run that fails", path: "/lua/page.archive", do: func(p *page) {
			p.click(p.button("Run"))
			p.sees(p.GetByTestId("result"))
		}},
		{name: "a debugger", path: "/lua/mylib.rename_if_exists", do: func(p *page) {
			p.fill(p.field("KEYS[1]"), "page:text")
			p.fill(p.field("KEYS[2]"), "page:text:renamed")
			p.click(p.button("Debug"))
			if p.ViewportSize().Width < 500 { // the phone is another sign-in of the same user, who has a session already
				p.says(p.GetByTestId("fault"), "No debug session can start now")
				return
			}
			p.click(p.button("Step"))
			p.says(p.GetByTestId("debug").GetByTestId("where"), "line 4")
		}},
		{name: "problems", path: "/lua/page.archive", do: func(p *page) { p.click(p.GetByTestId("problems").Locator("summary")) }},
		{name: "an invocation with wrong JSON", path: "/broker/invoke?service=demo:orders", do: func(p *page) {
			p.fill(p.field("Payload, JSON"), `{"keys": ["a" "b"]}`)
			p.click(p.button("Invoke"))
			p.says(p.GetByTestId("json-say"), "Line 1")
		}},
		{name: "dead letters that are ticked", path: "/broker/dead", do: func(p *page) { must(p.t, p.Locator("[name=cid]").First().Check()) }},
		{name: "console", path: "/redis/console", do: func(p *page) {
			for _, line := range []string{"HGETALL page:order", "GET page:queue", "LRANGE page:queue 0 -1", "FLUSHALL"} {
				p.fill(p.Locator("#console-text"), line)
				p.keys("Enter")
				p.holds(p.Locator("#console-text"), "")
			}
			p.sees(p.GetByTestId("confirm"))
		}},
		{name: "console, completion", path: "/redis/console", do: func(p *page) {
			must(p.t, p.Locator("#console-text").PressSequentially("HGE"))
			p.sees(p.Locator(".console-list"))
		}},
		{name: "an element under edit", path: "/redis/key?key=page:order", do: func(p *page) {
			p.click(p.GetByTestId("item").First().GetByTitle(regexp.MustCompile("^Edit ")))
			p.sees(p.input("Value"))
		}},
		{name: "a batch that has run", path: "/redis/console/batch", do: func(p *page) {
			p.fill(p.field("Commands, one on each line, as in redis-cli"), "GET page:number\nHGETALL page:order\nGET page:queue\nLRANGE page:queue 0 -1")
			p.click(p.button("Check"))
			p.click(p.GetByTestId("batch-run").GetByRole("button"))
			p.sees(p.GetByTestId("replies"))
		}},
		{name: "statistics, own range", path: "/stats/trends?period=own"},
		{name: "a token, just made", path: "/settings/tokens", do: func(p *page) {
			p.fill(p.GetByTestId("new-token").GetByLabel("Name"), "nightly import")
			p.click(p.GetByTestId("new-token").GetByRole("button"))
			p.sees(p.Locator("[data-copy]").First())
		}},
	}
}

// editFirst opens the first translation for editing.
func (p *page) editFirst() {
	p.t.Helper()
	first := p.GetByTestId("translation").First()
	if p.ViewportSize().Width < 500 {
		p.click(p.menu(first).GetByText("Edit", playwright.LocatorGetByTextOptions{Exact: playwright.Bool(true)}))
	} else {
		p.click(first.Locator("[data-focus]"))
	}
	p.sees(p.input("To value"))
}
