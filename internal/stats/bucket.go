package stats

import "math"

// Durations are counted in buckets whose bounds grow by 2^(1/32): each estimate from them is within ErrorBound of the truth.
// Bucket i of those ends at 2^(i/32) seconds and does not include its beginning, which are the buckets of schema 5 in
// native histograms of Prometheus. A slot is the place of a bucket in a record; the first slots are for what is shorter than
// about a microsecond, where equal steps of 30 ns are as fine as clocks are.
const (
	perOctave  = 32
	linear     = 32  // slots of equal width, up to 2^-20 s
	slotOfOne  = 671 // slot of the bucket that ends at 1 s: 20 octaves, and the linear slots but the one that would end there
	pageSlots  = 64
	pageCount  = 19
	slotCount  = pageSlots * pageCount // up to 2^17 s, more than MaxDuration
	linearStep = 1e9 / (1 << 25)       // ns
	linearEnd  = 1e9 / (1 << 20)       // ns
)

// ErrorBound is how far a percentile may be from the true one, as a share of it; below two microseconds, it is 16 ns.
const ErrorBound = 0.011

var (
	bounds     [perOctave + 1]uint64 // mantissas of 2^(i/32)
	firstBound [64]uint8             // how many of them are below a mantissa that begins with these six bits
)

const mantissa = 1<<52 - 1

func init() {
	for i := range bounds[:perOctave] {
		bounds[i] = math.Float64bits(math.Exp2(float64(i)/perOctave)) & mantissa
	}
	bounds[perOctave] = math.MaxUint64
	for i := range firstBound {
		for bounds[firstBound[i]] < uint64(i)<<46 {
			firstBound[i]++
		}
	}
}

// slotOf is where a duration of that many ns counts.
func slotOf(ns int64) int {
	if float64(ns) < linearEnd {
		return max(0, int(math.Ceil(float64(ns)/linearStep))-1)
	}
	bits := math.Float64bits(float64(ns) / 1e9)
	m := bits & mantissa
	i := int(firstBound[m>>46])
	for bounds[i] < m {
		i++
	}
	octave := int(bits>>52) - 1023
	return min(octave*perOctave+i+slotOfOne, slotCount-1)
}

// slotEnd is the largest duration that counts in the slot, in ns.
func slotEnd(slot int) float64 {
	if slot < linear {
		return linearStep * float64(slot+1)
	}
	return 1e9 * math.Exp2(float64(slot-slotOfOne)/perOctave)
}

func slotStart(slot int) float64 {
	if slot == 0 {
		return 0
	}
	return slotEnd(slot - 1)
}

// slotValue stands for all durations of the slot: no other is as near to both of its ends in proportion.
func slotValue(slot int) int64 {
	from, to := slotStart(slot), slotEnd(slot)
	if slot < linear {
		return int64((from + to) / 2)
	}
	return int64(math.Round(2 * from * to / (from + to)))
}
