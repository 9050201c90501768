package kvdb

import (
	"math/bits"
	"strings"
)

const slotCount = 16384

// slotSet is a set of the slots of a cluster. One server has them all.
type slotSet [slotCount / 64]uint64

func (s *slotSet) add(from, to int) {
	for i := max(0, from); i <= min(to, slotCount-1); i++ {
		s[i/64] |= 1 << (i % 64)
	}
}

func (s *slotSet) join(o *slotSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s *slotSet) keep(o *slotSet) {
	for i := range s {
		s[i] &= o[i]
	}
}

func (s *slotSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// lacks returns the first slot of o that is not in s, -1 if there is none.
func (s *slotSet) lacks(o *slotSet) int {
	for i := range s {
		if missing := o[i] &^ s[i]; missing != 0 {
			return i*64 + bits.TrailingZeros64(missing)
		}
	}
	return -1
}

// slotOf returns the slot of a key in a cluster.
func slotOf(key string) int {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if n := strings.IndexByte(key[i+1:], '}'); n > 0 {
			key = key[i+1 : i+1+n]
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slotCount
}
