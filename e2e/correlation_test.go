//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// priceWorker does the work of the service prices as a worker of another program: it looks the country up on behalf of the invocation, and fails
// without a translation.
func (a *api) priceWorker(ctx context.Context) error {
	for {
		var got struct {
			Invocations []struct {
				CID, Lease string
				Payload    struct{ Country string }
			}
		}
		if err := a.behalf(ctx, "/broker/services/prices/receive", "", map[string]any{"wait_ms": 500}, &got); err != nil {
			return err
		}
		for _, i := range got.Invocations {
			var found struct {
				Value2 string
				Found  bool
			}
			ask := map[string]any{"system1": "SHOP", "key1": "COUNTRY", "value1": i.Payload.Country, "system2": "BILLING", "key2": "COUNTRY"}
			if err := a.behalf(ctx, "/translate", i.CID, ask, &found); err != nil {
				return err
			}
			verb, outcome := "ack", map[string]any{"lease": i.Lease, "result": found.Value2}
			if !found.Found {
				verb, outcome = "nack", map[string]any{"lease": i.Lease, "error": "no country " + i.Payload.Country}
			}
			if err := a.behalf(ctx, "/broker/invocations/"+i.CID+"/"+verb, "", outcome, nil); err != nil {
				return err
			}
		}
	}
}

// behalf makes one call on behalf of an invocation; cid "" = of none.
func (a *api) behalf(ctx context.Context, path, cid string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if cid != "" {
		r.Header.Set("X-Correlation-Id", cid)
	}
	answer, err := a.web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s", path, answer.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// TestMissToRetry: invocations fail on a code that nobody has mapped; from the miss the operator adds the translation and retries them, and
// they are done.
func TestMissToRetry(t *testing.T) {
	t.Parallel()
	for name, noScript := range map[string]bool{"script": false, "no script": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := start(t, options{})
			admin := in.client(t)
			ctx, stop := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- admin.priceWorker(ctx) }()
			t.Cleanup(func() {
				stop()
				if err := <-over; !errors.Is(err, context.Canceled) {
					t.Errorf("the worker: %v", err)
				}
			})
			var made struct{ CID string }
			for range 2 {
				admin.call(http.MethodPost, "/broker/invoke", map[string]any{"service": "prices", "payload": map[string]any{"country": "XK"}, "max_attempts": 1}, &made)
			}
			eventually(t, func() error {
				if n := len(list[struct{ CID string }](admin, "/broker/services/prices/dead")); n != 2 {
					return fmt.Errorf("%d dead letters", n)
				}
				return nil
			})
			p := in.browse(t, browsing{noScript: noScript})
			eventually(t, func() error {
				p.visit("/dictionaries/misses")
				if n, err := p.GetByTestId("miss").Count(); err != nil || n != 1 {
					return fmt.Errorf("%d misses, %w", n, err)
				}
				return nil
			})
			p.click(p.row("miss", "XK").GetByTitle("The invocations that looked for SHOP COUNTRY XK → BILLING COUNTRY"))
			p.counts(p.GetByTestId("met-by"), 2)
			p.says(p.GetByTestId("figures-met"), "2", "dead")
			p.fill(p.field("Value there"), "383")
			p.click(p.button("Add the translation"))
			p.says(p.GetByTestId("answer"), "383")
			p.click(p.button("Retry 2 dead letters"))
			p.says(p.toasts(), "2 dead letters queued again.")
			if noScript {
				eventually(t, func() error {
					p.click(p.link("Refresh"))
					text, err := p.GetByTestId("figures-met").TextContent()
					if err != nil {
						return err
					}
					if !bytes.Contains([]byte(text), []byte("done")) {
						return errors.New(text)
					}
					return nil
				})
			}
			p.says(p.GetByTestId("figures-met"), "2", "done")
			p.click(p.GetByTestId("met-by").GetByText(made.CID))
			p.becomes("done")
			p.says(p.GetByTestId("result"), "383")
		})
	}
}
