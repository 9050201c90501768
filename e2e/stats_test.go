//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// record posts calls of a service that took so many ms, so long ago.
func (a *api) record(service string, n int, ms float64, ago time.Duration) {
	a.t.Helper()
	type sample struct {
		Service  string    `json:"service"`
		Duration float64   `json:"duration_ms"`
		At       time.Time `json:"at"`
	}
	var body struct {
		Samples []sample `json:"samples"`
	}
	for range n {
		body.Samples = append(body.Samples, sample{service, ms, time.Now().Add(-ago).UTC()})
	}
	var out struct{ Accepted int }
	a.call(http.MethodPost, "/stats/record", body, &out)
	if out.Accepted != n {
		a.t.Fatalf("%d of %d samples were accepted", out.Accepted, n)
	}
}

// recorded waits until a page has the text: what is recorded is written once a second.
func (a *api) recorded(path, text string) {
	a.t.Helper()
	eventually(a.t, func() error {
		if !regexp.MustCompile(text).MatchString(a.get(path)) {
			return fmt.Errorf("%s has no %q", path, text)
		}
		return nil
	})
}

// TestStats looks for what has become slow: trends beside the hour before, the service, a stretch of its time, and a call.
func TestStats(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	admin := in.client(t)
	admin.record("orders.create", 20, 300, 30*time.Minute)
	admin.record("orders.create", 10, 100, 95*time.Minute)
	admin.record("crm.lookup", 200, 5, 30*time.Minute)
	var invoked struct{ CID string }
	admin.call(http.MethodPost, "/broker/invoke", map[string]any{"service": "echo", "payload": "ping"}, &invoked)
	admin.recorded("/stats/slow?service=echo", invoked.CID)
	admin.recorded("/stats/trends?view=all", "crm[.]")

	p := in.browse(t, browsing{})
	p.visit("/stats/trends")
	row := p.row("row", "orders.create")
	p.says(row, "300")
	p.says(row, "↑ 200 %") // the hour before is what trends compare with at first
	p.sees(p.GetByTestId("chart").GetByText("mean, the hour before"))

	p.click(p.Locator("#compare summary"))
	p.click(p.link("nothing"))
	p.lacks(p.Locator("th").Filter(playwright.LocatorFilterOptions{HasText: "Change"}))
	p.click(p.Locator("#compare summary"))
	p.click(p.link("the hour before"))
	p.says(row, "↑ 200 %")

	p.click(p.link("orders.create"))
	p.sees(p.heading("orders.create"))
	p.says(p.GetByTestId("tile").Filter(playwright.LocatorFilterOptions{HasText: "Mean, ms"}), "was 100")

	// What is dragged over is looked at closely.
	plot := p.Locator("#chart-latency svg[data-zoom]")
	box, err := plot.BoundingBox()
	must(t, err)
	y := box.Y + box.Height/2
	must(t, p.Mouse().Move(box.X+box.Width*.4, y))
	must(t, p.Mouse().Down())
	must(t, p.Mouse().Move(box.X+box.Width*.6, y, playwright.MouseMoveOptions{Steps: playwright.Int(4)}))
	p.sees(p.Locator(".chart-pick"))
	must(t, p.Mouse().Up())
	must(t, p.WaitForURL(regexp.MustCompile(`from=.*to=`)))
	p.sees(p.GetByTestId("zoom-out"))
	p.sees(p.GetByTestId("periods").GetByTestId("row").First())

	// A part of the chart is a link, and a time of the reader's own a form.
	p.visit("/stats/service?name=orders.create")
	p.click(p.Locator("#range summary"))
	p.click(p.link("Another time…"))
	p.fill(p.field("From (UTC)"), time.Now().UTC().Add(-2*time.Hour).Format("2006-01-02T15:04"))
	p.click(p.button("Show"))
	p.says(p.GetByTestId("tile").Filter(playwright.LocatorFilterOptions{HasText: "Calls"}).First(), "30")

	p.visit("/stats/service?name=echo")
	p.click(p.link(invoked.CID))
	p.at("/broker/invocations/" + invoked.CID)
	p.sees(p.GetByText("echo").First())
}
