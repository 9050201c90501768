package kvdb

import (
	"strconv"
	"sync"
	"time"
)

const (
	// SampleSpan is how far back Samples go.
	SampleSpan = 15 * time.Minute
	// SampleEvery is how far apart they are, about.
	SampleEvery = summaryEvery * statusInterval

	maxSamples = 512
)

// Sample is the server at a moment; of a cluster, all its masters together.
type Sample struct {
	At     time.Time
	OK     bool // the server has told; else only At is there
	Memory int64
	// Limit is that of the memory, 0 = none.
	Limit   int64
	Clients int64
	// Rates says that the figures below are known: those since the sample before. They are not when there was none, or the server has restarted.
	Rates           bool
	Ops             float64 // commands a second
	NetIn, NetOut   float64 // bytes a second
	Hits            float64 // share of the lookups of keys that found one, from 0 to 1
	Lookups         bool    // there were any, so that Hits says something
	commands        int64
	in, out         int64
	found, notFound int64
}

// sampleRing keeps what was read for Summary.
type sampleRing struct {
	mu  sync.Mutex
	all []Sample // the oldest first
}

// Samples returns what was seen of the server within SampleSpan, the oldest first. They are taken from the first call of Summary on,
// whether somebody looks or not. While the server doesn't answer there are samples without OK; while this process stood still there are none.
func (db *DB) Samples() []Sample {
	db.samples.mu.Lock()
	defer db.samples.mu.Unlock()
	return append([]Sample(nil), db.samples.all...)
}

// add counts in what a server of the cluster says, or the only one.
func (s *Sample) add(info Info) {
	s.Memory += info.number("memory", "used_memory")
	s.Limit += info.number("memory", "maxmemory")
	s.Clients += info.number("clients", "connected_clients")
	s.commands += info.number("stats", "total_commands_processed")
	s.in += info.number("stats", "total_net_input_bytes")
	s.out += info.number("stats", "total_net_output_bytes")
	s.found += info.number("stats", "keyspace_hits")
	s.notFound += info.number("stats", "keyspace_misses")
}

func (i Info) number(section, field string) int64 {
	n, _ := strconv.ParseInt(i[section][field], 10, 64)
	return n
}

// put keeps a sample, with its rates, and drops those that are too old.
func (r *sampleRing) put(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.all); n > 0 {
		s.since(r.all[n-1])
	}
	r.all = append(r.all, s)
	old := 0
	for old < len(r.all) && (len(r.all)-old > maxSamples || s.At.Sub(r.all[old].At) > SampleSpan) {
		old++
	}
	r.all = append(r.all[:0], r.all[old:]...)
}

// since works out the rates from the counters of the sample before.
func (s *Sample) since(before Sample) {
	seconds := s.At.Sub(before.At).Seconds()
	deltas := [...]int64{s.commands - before.commands, s.in - before.in, s.out - before.out, s.found - before.found, s.notFound - before.notFound}
	if !s.OK || !before.OK || seconds < 0.1 {
		return
	}
	for _, d := range deltas {
		if d < 0 { // the counters began anew
			return
		}
	}
	s.Rates = true
	s.Ops, s.NetIn, s.NetOut = float64(deltas[0])/seconds, float64(deltas[1])/seconds, float64(deltas[2])/seconds
	if lookups := deltas[3] + deltas[4]; lookups > 0 {
		s.Lookups, s.Hits = true, float64(deltas[3])/float64(lookups)
	}
}
