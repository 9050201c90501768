//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dies makes a dead letter.
func (a *api) dies(service string) {
	a.t.Helper()
	a.call(http.MethodPost, "/broker/invoke", map[string]any{"service": service, "max_attempts": 1}, nil)
	var got struct {
		Invocations []struct{ CID, Lease string }
	}
	a.call(http.MethodPost, "/broker/services/"+service+"/receive", map[string]any{"max": 1}, &got)
	if len(got.Invocations) != 1 {
		a.t.Fatalf("received %v", got)
	}
	x := got.Invocations[0]
	a.call(http.MethodPost, "/broker/invocations/"+x.CID+"/nack", map[string]any{"lease": x.Lease, "error": "no such customer"}, nil)
}

// waited makes an invocation that nobody has taken for two minutes.
func (a *api) waited(service string) {
	a.t.Helper()
	var made struct{ CID string }
	a.call(http.MethodPost, "/broker/invoke", map[string]any{"service": service}, &made)
	keys, _ := a.command("KEYS", "*"+service+"*queued").([]any)
	if len(keys) != 1 {
		a.t.Fatalf("the queue of %s is %v", service, keys)
	}
	a.command("ZADD", keys[0].(string), strconv.FormatInt(time.Now().Add(-2*time.Minute).UnixMicro(), 10), made.CID)
}

// TestOverviewLeftOpen: what comes to need someone is on an open overview half a minute later.
func TestOverviewLeftOpen(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	p := in.browse(t, browsing{})
	must(t, p.Clock().Install())
	p.visit("/")
	p.sees(p.GetByText("All is well."))
	a.dies("orders")
	must(t, status(a.web, a.url+"/", http.StatusOK)) // somebody else looks: open pages are told what is known for some seconds
	must(t, p.Clock().FastForward("00:31"))
	p.sees(p.row("need", "dead letter", "1"))
	p.lacks(p.GetByText("All is well."))
}

// TestMorning opens the overview with one need of each kind, and follows each to its list.
func TestMorning(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	a := in.client(t)
	p := in.browse(t, browsing{})
	p.visit("/")
	p.sees(p.heading("First steps"), p.GetByText("All is well."))

	a.dies("orders")
	a.waited("lonely")
	a.waited("resting")
	a.call(http.MethodPost, "/broker/services/resting/pause", nil, nil)
	a.call(http.MethodPut, "/lua/programs/bad", "error('no stock')", nil)
	if err := a.try(http.MethodPost, "/lua/programs/bad/run", []byte(`{}`)); err == nil {
		t.Fatal("the program doesn't fail")
	}
	a.call(http.MethodPost, "/stats/record", map[string]any{"samples": []any{
		map[string]any{"service": "pay", "duration_ms": 3, "failed": true}, map[string]any{"service": "report", "duration_ms": 5000},
		map[string]any{"service": "well", "duration_ms": 1},
	}}, nil)
	a.translate(of("CRM", "COUNTRY", "XX", "PORTAL", "name", ""))

	needs := []struct {
		n          int
		text, rows string
	}{
		{1, "dead letter", "letter"},
		{1, "service whose queue nobody handles", "service"},
		{1, "paused service with invocations that wait", "service"},
		{1, "failed run of a program in the last hour", "run"},
		{2, "services with failed calls in the last hour", "row"}, // orders, too
		{1, "slow service in the last hour", "row"},
		{1, "value that found no translation", "miss"},
	}
	eventually(t, func() error { // figures and misses are written a little later
		p.visit("/")
		for _, need := range needs {
			if n, err := p.row("need", need.text, strconv.Itoa(need.n)).Count(); err != nil || n != 1 {
				return fmt.Errorf("%q is said %d times: %v", need.text, n, err)
			}
		}
		return nil
	})
	for _, need := range needs {
		p.visit("/")
		p.click(p.row("need", need.text).GetByRole("link"))
		p.counts(p.GetByTestId(need.rows), need.n)
	}

	p.visit("/")
	p.says(p.GetByTestId("last-change").First(), "program", "bad", "saved")
	p.lacks(p.heading("First steps"))
}

// TestPulse watches the server's pulse move, leave and come back, while the focus stays where it is.
func TestPulse(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	a := in.client(t)
	p := in.browse(t, browsing{})
	p.expects(http.StatusServiceUnavailable)
	p.visit("/")
	link := p.GetByTestId("pulse").First().GetByRole("link")
	must(t, link.Focus())
	_, err := p.Evaluate("() => (window.opened = true)")
	must(t, err)
	line := func() string {
		t.Helper()
		d, err := p.Locator("#pulse path").Last().GetAttribute("d")
		must(t, err)
		return d
	}
	moves := func() {
		t.Helper()
		before := line()
		eventually(t, func() error {
			if now := line(); now == before || strings.Count(now, " ") < 1 {
				return fmt.Errorf("the line stays as it is: %q", now)
			}
			return nil
		})
	}
	moves()
	moves()
	p.focused(link)
	redis.kill()
	p.says(p.Locator("#pulse"), "away")
	p.focused(link)
	redis.start()
	a.awaitRedis()
	p.says(p.Locator("#pulse"), "ok")
	p.focused(link)
	if same, err := p.Evaluate("() => window.opened === true"); err != nil || same != true {
		t.Errorf("the page was loaded anew: %v", err)
	}
}
