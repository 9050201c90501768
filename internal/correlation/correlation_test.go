package correlation

import (
	"strings"
	"testing"
)

func TestCorrelation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if got := ID(ctx); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	for _, bad := range []string{"", " ", "a b", "a\n", "\x7f", "ż", "a\x00b", strings.Repeat("x", MaxLen+1)} {
		if With(ctx, bad) != ctx || Valid(bad) {
			t.Errorf("%q is taken for a CID", bad)
		}
	}
	for _, good := range []string{"x", "01hxyz-abc", "~!\"{}%", strings.Repeat("x", MaxLen)} {
		inner := With(With(ctx, "outer"), good)
		if got := ID(inner); got != good {
			t.Errorf("%q became %q", good, got)
		}
		if ID(With(inner, "no good")) != good {
			t.Errorf("what is no CID took %q away", good)
		}
	}
}
