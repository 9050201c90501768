package dict

// Which values were looked up: each has two places, which follow from its text alone, and its bits there are set. A value
// without both was not looked up. One that has both probably was; the places of a few are taken by others. A set has a power of two
// of bits, so that the place of a value in a smaller set is that in a larger one, less the upper bits: a set grows
// by being put behind itself, and every value that was in it still is.
const (
	minBits      = 1 << 10
	placeBits    = 25
	maxBits      = 1 << placeBits
	bitsForEach  = 16 // bits for each translation of the pair, at least, when the set begins
	growFrom     = 4  // times too small
	everything   = places(1) << (2 * placeBits)
	onePlaceMask = maxBits - 1
)

// places are the two places of a value in a set of maxBits.
type places uint64

// mark says that a value was looked up in a month.
type mark struct {
	month  month
	places places
}

// markOf is the same in every process, whatever runs it: FNV-1a, and then its bits mixed, as the lower ones of short texts are
// alike.
func markOf(m month, value string) mark {
	h := uint64(0xcbf29ce484222325)
	for i := 0; i < len(value); i++ {
		h = (h ^ uint64(value[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return mark{m, places(h >> (64 - 2*placeBits))}
}

// bitSet is a set as Redis keeps it: the first place is the uppermost bit of the first byte. nil = it is not known.
type bitSet []byte

func newBitSet(bits int64) bitSet { return make(bitSet, bits/8) }

func (b bitSet) bits() int64 { return 8 * int64(len(b)) }

// in returns the places in a set of a size in bits.
func (p places) in(bits int64) (x, y int64) {
	return int64(p>>placeBits) & (bits - 1), int64(p&onePlaceMask) & (bits - 1)
}

// has says whether a value is in the set.
func (b bitSet) has(p places) bool {
	if len(b) == 0 {
		return false
	}
	x, y := p.in(b.bits())
	return b[x/8]&(0x80>>(x%8)) != 0 && b[y/8]&(0x80>>(y%8)) != 0
}

func (b bitSet) add(p places) {
	if p == everything {
		for i := range b {
			b[i] = 0xff
		}
		return
	}
	x, y := p.in(b.bits())
	b[x/8] |= 0x80 >> (x % 8)
	b[y/8] |= 0x80 >> (y % 8)
}
