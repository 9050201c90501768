package ui

import (
	"math"
	"testing"
	"time"
)

func TestCurve(t *testing.T) {
	t.Parallel()
	from := time.Unix(1_000_000, 0)
	p := Plot{Width: 100, Height: 10, From: from, To: from.Add(100 * time.Second), Top: 10, Apart: 10 * time.Second}
	at := func(seconds int, v float64) Point { return Point{from.Add(time.Duration(seconds) * time.Second), v} }
	got := p.Curve([]Point{at(-1, 5), at(0, 10), at(10, 5), at(20, math.NaN()), at(30, 0), at(60, 20), at(101, 5)})
	if want := "M0 0h.01L10 5M30 10h.01M60 0h.01"; got.Line != want {
		t.Errorf("line %s, want %s", got.Line, want)
	}
	if want := "M0 10L0 0L10 5L10 10L0 10ZM30 10L30 10L30 10L30 10ZM60 10L60 0L60 10L60 10Z"; got.Area != want {
		t.Errorf("area %s, want %s", got.Area, want)
	}
}

func TestSparkPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		want   string
	}{
		{nil, ""}, {[]float64{math.NaN()}, ""}, {[]float64{0, 0}, "M0 14h.01L94 14"}, {[]float64{1, math.NaN(), 2}, "M0 7h.01L94 0"},
	} {
		if got := sparkPath(tc.values); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.values, got, tc.want)
		}
	}
}

func TestRoundUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ x, step, want float64 }{
		{0, 0, 1}, {0.3, 0, 0.4}, {3, 0, 4}, {17, 0, 20}, {100, 0, 100}, {1025, 1024, 2048}, {900, 1024, 1000}, {3 << 20, 1024, 4 << 20},
	} {
		if got := RoundUp(tc.x, tc.step); math.Abs(got-tc.want) > tc.want/1e9 {
			t.Errorf("%v in steps of %v: %v, want %v", tc.x, tc.step, got, tc.want)
		}
	}
}
