//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// drawn is the line of the chart of operations.
var drawn = regexp.MustCompile(`(?s)id="chart-ops".*?<path d="([^"]*)"[^>]*fill="none"`)

// TestLiveChart leaves Info with a moving chart and comes back: it has grown before one's eyes and while nobody looked.
func TestLiveChart(t *testing.T) {
	t.Parallel()
	in := start(t, options{})
	p := in.browse(t, browsing{})
	p.visit("/redis/info")
	points := func() int {
		t.Helper()
		line, err := p.Locator("#chart-ops path[fill=none]").GetAttribute("d")
		must(t, err)
		return strings.Count(line, " ")
	}
	grows := func(from int) (to int) {
		t.Helper()
		eventually(t, func() error {
			if to = points(); to <= from {
				return fmt.Errorf("the chart has %d points, and had %d", to, from)
			}
			return nil
		})
		return to
	}
	p.sees(p.GetByText("Operations a second").First())
	first := points()
	seen := grows(grows(first)) // without a word to the server by hand

	p.visit("/redis/keys")
	away := in.client(t)
	eventually(t, func() error {
		m := drawn.FindStringSubmatch(away.get("/redis/info"))
		if m == nil || strings.Count(m[1], " ") <= seen {
			return fmt.Errorf("nothing was seen of the server while nobody looked: %q", m)
		}
		return nil
	})
	p.visit("/redis/info")
	if back := points(); back <= seen {
		t.Fatalf("%d points after coming back, %d before", back, seen)
	}
	grows(points())
}
