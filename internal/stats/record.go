package stats

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// sums are exact and add up. An ending that no call has is 0.
type sums struct {
	count, failed, total, min, max int64 // ns
}

func (s *sums) add(ns int64, failed bool) {
	if s.count == 0 || ns < s.min {
		s.min = ns
	}
	s.max = max(s.max, ns)
	s.count++
	s.total = plus(s.total, ns)
	if failed {
		s.failed++
	}
}

func (s *sums) merge(o sums) {
	if o.count == 0 {
		return
	}
	if s.count == 0 || o.min < s.min {
		s.min = o.min
	}
	s.max = max(s.max, o.max)
	s.count = plus(s.count, o.count)
	s.failed = plus(s.failed, o.failed)
	s.total = plus(s.total, o.total)
}

// plus adds what is not negative, up to the largest number there is: 292 years of ns.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// record is what is known of the calls of a service in some time.
type record struct {
	sums
	pages [pageCount]*[pageSlots]uint64 // counts by slot; nil = zeros
}

func (r *record) add(ns int64, failed bool) {
	r.sums.add(ns, failed)
	*r.at(slotOf(ns))++
}

func (r *record) at(slot int) *uint64 {
	page := r.pages[slot/pageSlots]
	if page == nil {
		page = new([pageSlots]uint64)
		r.pages[slot/pageSlots] = page
	}
	return &page[slot%pageSlots]
}

func (r *record) merge(o *record) {
	r.sums.merge(o.sums)
	for i, page := range o.pages {
		if page == nil {
			continue
		}
		if r.pages[i] == nil {
			r.pages[i] = new([pageSlots]uint64)
		}
		for j, n := range page {
			r.pages[i][j] += n
		}
	}
}

// clear makes it empty and keeps its memory.
func (r *record) clear() {
	r.sums = sums{}
	for _, page := range r.pages {
		if page != nil {
			*page = [pageSlots]uint64{}
		}
	}
}

// percentile is the smallest value with at least that many percent of the values at or below it.
func (r *record) percentile(percent int64) time.Duration {
	if r.count == 0 {
		return 0
	}
	// As percent/100 of count, rounded up, without an overflow.
	rank := r.count/100*percent + (r.count%100*percent+99)/100
	switch {
	case rank <= 1:
		return time.Duration(r.min)
	case rank >= r.count:
		return time.Duration(r.max)
	}
	var below uint64
	for i, page := range r.pages {
		if page == nil {
			continue
		}
		for j, n := range page {
			if below += n; below >= uint64(rank) {
				return time.Duration(min(max(slotValue(i*pageSlots+j), r.min), r.max))
			}
		}
	}
	return time.Duration(r.max)
}

var errCorrupt = errors.New("stats: what is stored is no record")

// appendSums writes the sums: count, failed, total, min, and how much more max is, as varints.
func appendSums(b []byte, s sums) []byte {
	for _, n := range [...]int64{s.count, s.failed, s.total, s.min, s.max - s.min} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// readSums returns what follows them.
func readSums(b string) (s sums, rest string, err error) {
	for _, to := range [...]*int64{&s.count, &s.failed, &s.total, &s.min, &s.max} {
		n, size := uvarint(b)
		if size <= 0 || n > math.MaxInt64 {
			return s, "", errCorrupt
		}
		*to, b = int64(n), b[size:]
	}
	s.max += s.min
	return s, b, nil
}

// appendSpread writes the counts by slot as varints: how many slots are empty at first, then the count of each; a 0 is followed
// by how many slots are empty there.
func (r *record) appendSpread(b []byte) []byte {
	var empty uint64
	first := true
	for _, page := range r.pages {
		if page == nil {
			empty += pageSlots
			continue
		}
		for _, n := range page {
			switch {
			case n == 0:
				empty++
				continue
			case first:
				b = binary.AppendUvarint(b, empty)
				first = false
			case empty > 0:
				b = binary.AppendUvarint(append(b, 0), empty)
			}
			empty = 0
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// addSpread adds counts that appendSpread wrote.
func (r *record) addSpread(b string) error {
	if b == "" {
		return nil
	}
	first, size := uvarint(b)
	if size <= 0 || first >= slotCount {
		return errCorrupt
	}
	b = b[size:]
	for slot := int(first); len(b) > 0; {
		n, size := uvarint(b)
		if size <= 0 {
			return errCorrupt
		}
		b = b[size:]
		if n == 0 {
			if n, size = uvarint(b); size <= 0 || n > slotCount {
				return errCorrupt
			}
			b = b[size:]
			slot += int(n)
			continue
		}
		if slot >= slotCount {
			return errCorrupt
		}
		*r.at(slot) += n
		slot++
	}
	return nil
}

// uvarint is binary.Uvarint of a string.
func uvarint(s string) (n uint64, size int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// subtract takes away what is in o, as far as it is there. The ends stay as they are.
func (r *record) subtract(o *record) {
	r.count = max(0, r.count-o.count)
	r.failed = max(0, r.failed-o.failed)
	r.total = max(0, r.total-o.total)
	for i, page := range o.pages {
		if page == nil || r.pages[i] == nil {
			continue
		}
		for j, n := range page {
			r.pages[i][j] -= min(n, r.pages[i][j])
		}
	}
}
