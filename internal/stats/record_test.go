package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		ns := int64(math.Exp2(random.Float64() * math.Log2(float64(MaxDuration))))
		slot := slotOf(ns)
		if from, to := slotStart(slot), slotEnd(slot); float64(ns) <= from*(1-1e-12) || float64(ns) > to*(1+1e-12) {
			t.Fatalf("%d ns is in slot %d, which is from %f to %f", ns, slot, from, to)
		}
		if off := math.Abs(float64(slotValue(slot) - ns)); off > 16 && off > ErrorBound*float64(ns)+1 {
			t.Fatalf("%d ns is taken for %d", ns, slotValue(slot))
		}
	}
	for _, tc := range []struct {
		took time.Duration
		slot int
	}{{0, 0}, {1, 0}, {30, 1}, {953, linear - 1}, {954, linear}, {time.Second, slotOfOne}, {time.Second + 1, slotOfOne + 1},
		{2 * time.Second, slotOfOne + perOctave}} {
		if slot := slotOf(int64(tc.took)); slot != tc.slot {
			t.Errorf("%v is in slot %d, want %d", tc.took, slot, tc.slot)
		}
	}
	if slot := slotOf(int64(MaxDuration)); slot >= slotCount-1 {
		t.Errorf("the longest duration is in slot %d", slot)
	}
}

// distributions are those that the percentiles are checked on, in ns.
var distributions = map[string]func(r *rand.Rand) float64{
	"lognormal": func(r *rand.Rand) float64 { return 20e6 * math.Exp(r.NormFloat64()) },
	"bimodal": func(r *rand.Rand) float64 {
		if r.IntN(10) < 8 {
			return 5e6 * math.Exp(0.1*r.NormFloat64())
		}
		return 800e6 * math.Exp(0.2*r.NormFloat64())
	},
	"Pareto":   func(r *rand.Rand) float64 { return 1e6 / math.Pow(1-r.Float64(), 1/1.2) },
	"constant": func(*rand.Rand) float64 { return 12_345_678 },
	"quick":    func(r *rand.Rand) float64 { return 2_500 * math.Exp(0.5*r.NormFloat64()) },
}

// Percentiles of what was merged from many parts, each written and read, are near the exact ones; all else is exact.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	for name, next := range distributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const parts, samples = 240, 100_000
			random := rand.New(rand.NewPCG(3, 4))
			var list [parts]record
			exact := make([]int64, samples)
			var total int64
			for i := range exact {
				ns := min(int64(next(random)), int64(MaxDuration))
				exact[i] = ns
				total += ns
				list[random.IntN(parts)].add(ns, i%10 == 0)
			}
			slices.Sort(exact)
			var merged record
			for i := range list {
				sums, rest, err := readSums(string(list[i].appendSpread(appendSums(nil, list[i].sums))))
				must(t, err)
				merged.sums.merge(sums)
				must(t, merged.addSpread(rest))
			}
			if want := (sums{samples, samples / 10, total, exact[0], exact[samples-1]}); merged.sums != want {
				t.Errorf("sums are %+v, want %+v", merged.sums, want)
			}
			for _, percent := range []int64{1, 25, 50, 90, 95, 99, 100} {
				want := exact[(samples*percent+99)/100-1]
				got := int64(merged.percentile(percent))
				if off := max(0, math.Abs(float64(got-want))-16) / float64(want); off > ErrorBound || name == "constant" && got != want {
					t.Errorf("p%d is %d, want %d: off by %.2f %%", percent, got, want, 100*off)
				}
			}
		})
	}
}

func TestPercentileOfFew(t *testing.T) {
	t.Parallel()
	var r record
	if got := r.percentile(50); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for _, ms := range []int64{90, 1, 2, 3, 4} {
		r.add(ms*1e6, false)
	}
	for percent, want := range map[int64]time.Duration{1: time.Millisecond, 95: 90 * time.Millisecond, 100: 90 * time.Millisecond} {
		if got := r.percentile(percent); got != want {
			t.Errorf("p%d = %v, want %v", percent, got, want)
		}
	}
	if got := r.percentile(50); math.Abs(float64(got-3*time.Millisecond)) > 3e6*ErrorBound {
		t.Errorf("p50 = %v, want about 3 ms", got)
	}
}

// What is no record is an error and no crash.
func FuzzReadRecord(f *testing.F) {
	var r record
	for _, ns := range []int64{0, 1, 1e6, 1e6, 5e9} {
		r.add(ns, false)
	}
	f.Add(string(r.appendSpread(appendSums(nil, r.sums))))
	f.Add("")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, text string) {
		sums, rest, err := readSums(text)
		if err != nil {
			return
		}
		var r record
		if r.addSpread(rest) != nil {
			return
		}
		r.sums = sums
		var again record
		must(t, again.addSpread(string(r.appendSpread(nil))))
		for i, page := range r.pages {
			for j := range pageSlots {
				if page != nil && page[j] != *again.at(i*pageSlots + j) {
					t.Fatalf("slot %d was %d and is %d", i*pageSlots+j, page[j], again.pages[i][j])
				}
			}
		}
	})
}
