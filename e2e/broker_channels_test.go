//go:build e2e

package e2e_test

import (
	"net/http"
	"testing"
)

// TestLiveTail publishes on one page while another one shows what comes: paused and resumed, filtered, and after Redis was killed.
func TestLiveTail(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	in := start(t, options{args: []string{"--redis-url", redis.url()}, may: failing})
	a := in.client(t)
	writer := in.browse(t, browsing{})
	writer.visit("/broker/publish")
	writer.fill(writer.Locator("#publish-channel"), "orders/eu")
	writer.fill(writer.Locator("#message"), `{"n": 12345678901234567890.10}`)
	writer.click(writer.button("Publish"))
	writer.says(writer.GetByTestId("message"), "12345678901234567890.10")

	reader := in.browse(t, browsing{})
	reader.expects(http.StatusServiceUnavailable) // what looks after the figures is refused while Redis is away
	writer.expects(http.StatusServiceUnavailable)
	reader.visit("/broker/channels/orders%2Feu")
	first, state, toggle := reader.GetByTestId("message").First(), reader.GetByTestId("tail-state"), reader.GetByTestId("tail-toggle")
	reader.says(state, "Live")
	publish := func(message string) {
		t.Helper()
		writer.fill(writer.Locator("#message"), message)
		writer.click(writer.Locator("#publish-do"))
		writer.says(writer.GetByTestId("message").First(), message) // its own tail
	}
	publish(`"one <em>"`)
	reader.says(first, `"one <em>"`)

	reader.click(toggle)
	reader.says(state, "Paused")
	publish(`"two"`)
	publish(`"three"`)
	reader.says(first, `"one <em>"`)
	reader.click(toggle)
	reader.says(first, `"three"`)
	reader.counts(reader.GetByTestId("message"), 4)

	reader.fill(reader.Locator("#filter-q"), "NEEDLE")
	reader.counts(reader.GetByTestId("message"), 0)
	publish(`"hay"`)
	publish(`"a needle"`)
	reader.says(first, `"a needle"`)
	reader.counts(reader.GetByTestId("message"), 1)

	redis.kill()
	reader.says(state, "Redis is away")
	redis.start()
	a.awaitRedis()
	reader.says(state, "Live")
	publish(`"needle after the kill"`)
	reader.says(first, "after the kill")

	writer.fill(writer.Locator("#message"), "{\n\"a\": }")
	writer.says(writer.GetByTestId("json-say"), "Line 2, column 6")
	writer.fill(writer.Locator("#message"), `"many"`)
	writer.fill(writer.Locator("#publish-times"), "1000")
	writer.click(writer.Locator("#publish-do"))
	writer.says(writer.GetByTestId("message").First(), `"many"`)
	writer.counts(writer.GetByTestId("message"), 500) // no more stay on the page
}
