package stats

import "time"

// Since is what this process has counted of a service since it started.
type Since struct {
	Service       string
	Count, Failed int64
	Total         time.Duration
	// Buckets are counts by bucket: i is of the calls that took up to 2^(i/8) seconds and more than 2^((i-1)/8), which are the buckets
	// of schema 3 in native histograms of Prometheus.
	Buckets map[int]int64
}

// SinceSchema is the schema of Since.Buckets.
const SinceSchema = 3

// Since reports what this process has counted of each service since it started, with what is not in Redis yet.
func (s *Store) Since() []Since {
	s.rec.drain()
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	list := make([]Since, 0, len(s.rec.since))
	for service, rec := range s.rec.since {
		one := Since{Service: service, Count: rec.count, Failed: rec.failed, Total: time.Duration(rec.total), Buckets: map[int]int64{}}
		for i, page := range rec.pages {
			if page == nil {
				continue
			}
			for j, n := range page {
				if n > 0 {
					one.Buckets[bucketOf(i*pageSlots+j)] += int64(n)
				}
			}
		}
		list = append(list, one)
	}
	return list
}

// bucketOf is the bucket of schema 3 that a slot is in: each has four buckets of schema 5, the last of which ends with it.
func bucketOf(slot int) int {
	const perBucket = 4
	return (max(slot, linear)-slotOfOne+perBucket-1+perBucket*slotCount)/perBucket - slotCount
}
