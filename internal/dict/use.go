package dict

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"webadmin/internal/kvdb"
)

// Lookups that find something are counted in memory and written every useFlush: how often for each pair, and which values. A count
// for each value would take more memory than the values do, so that of these only bits are kept, one set for each pair and month
// (use_bits.go says how). A process sends a bit once: in the steady state it sends counts alone.
const useFlush = 10 * time.Second

var (
	// useFresh bounds the values that wait to be sent, of all pairs. When there is no room, all values of the pair
	// count as looked up in that month: what is listed as unused is so for sure.
	useFresh int64 = 100_000
	// useMemory bounds, in bytes, what the process remembers to have sent. The pairs that were not asked for longest are
	// forgotten first; their values are sent again when they are asked for.
	useMemory = 64 << 20
)

// useIdle is how long the process remembers a pair that nobody asks for.
const useIdle = time.Hour

// useCounter is what has not been written yet, and what is known to have been.
type useCounter struct {
	mu    sync.RWMutex
	pairs map[Pair]*pairUse
	fresh atomic.Int64  // values that wait
	full  chan struct{} // many do

	*kvdb.Behind[*useBatch]
}

func newUseCounter() *useCounter {
	return &useCounter{pairs: map[Pair]*pairUse{}, full: make(chan struct{}, 1), Behind: kvdb.NewBehind[*useBatch]("count the uses")}
}

// pairUse is the use of a pair.
type pairUse struct {
	name string

	mu    sync.Mutex
	hits  map[int64]int64 // by day
	last  int64           // Unix time in ms
	fresh map[mark]struct{}
	month month  // that sent is of
	sent  bitSet // what Redis is known to have
	gone  bool   // it is among the pairs no more
}

// add counts a lookup of a value.
func (u *useCounter) add(q Query, at time.Time) {
	p := u.lock(q.Pair())
	defer p.mu.Unlock()
	p.count(1, at)
	u.mark(p, markOf(monthOf(at), q.Value1))
}

// addFound counts the lookups of a batch that found something.
func (u *useCounter) addFound(pair Pair, values []string, results []Result, at time.Time) {
	n := int64(0)
	for _, r := range results {
		if r.Found {
			n++
		}
	}
	if n == 0 {
		return
	}
	p := u.lock(pair)
	defer p.mu.Unlock()
	p.count(n, at)
	m := monthOf(at)
	for i, r := range results {
		if r.Found {
			u.mark(p, markOf(m, values[i]))
		}
	}
}

// lock returns the use of a pair, locked.
func (u *useCounter) lock(pair Pair) *pairUse {
	for {
		u.mu.RLock()
		p := u.pairs[pair]
		u.mu.RUnlock()
		if p == nil {
			p = u.make(pair)
		}
		p.mu.Lock()
		if !p.gone {
			return p
		}
		p.mu.Unlock()
	}
}

func (u *useCounter) make(pair Pair) *pairUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.pairs[pair]; p != nil {
		return p
	}
	// The names may be parts of a request; what is kept is a copy.
	p := &pairUse{name: pair.name(), hits: map[int64]int64{}, fresh: map[mark]struct{}{}}
	u.pairs[pairOf(p.name)] = p
	return p
}

func (p *pairUse) count(n int64, at time.Time) {
	p.hits[dayOf(at)] += n
	p.last = max(p.last, at.UnixMilli())
}

// mark has a value sent, unless it was.
func (u *useCounter) mark(p *pairUse, m mark) {
	if p.month == m.month && p.sent.has(m.places) {
		return
	}
	if _, waits := p.fresh[m]; waits {
		return
	}
	n := u.fresh.Load()
	if n >= useFresh {
		m.places = everything
		if _, waits := p.fresh[m]; waits {
			return
		}
	}
	p.fresh[m] = struct{}{}
	u.fresh.Add(1)
	if n >= useFresh/2 {
		select {
		case u.full <- struct{}{}:
		default:
		}
	}
}

// forget drops the pairs that nobody has asked for since a time, and then what was sent of those not asked for longest until
// the rest has room.
func (u *useCounter) forget(since time.Time) {
	type holder struct {
		p     *pairUse
		last  int64
		bytes int
	}
	var holders []holder
	bytes := 0
	u.mu.Lock()
	defer u.mu.Unlock()
	for pair, p := range u.pairs {
		p.mu.Lock()
		switch {
		case p.last < since.UnixMilli() && len(p.hits) == 0 && len(p.fresh) == 0:
			p.gone = true
			delete(u.pairs, pair)
		case p.sent != nil:
			holders = append(holders, holder{p, p.last, len(p.sent)})
			bytes += len(p.sent)
		}
		p.mu.Unlock()
	}
	if bytes <= useMemory {
		return
	}
	slices.SortFunc(holders, func(a, b holder) int { return cmp.Compare(a.last, b.last) })
	for _, h := range holders {
		if bytes <= useMemory {
			return
		}
		bytes -= h.bytes
		h.p.mu.Lock()
		h.p.sent = nil
		h.p.mu.Unlock()
	}
}

// dayOf numbers days since 1970, in UTC.
func dayOf(at time.Time) int64 { return at.Unix() / int64(24*time.Hour/time.Second) }

// month numbers months since the year 0, in UTC.
type month int32

func monthOf(at time.Time) month {
	year, m, _ := at.UTC().Date()
	return month(year*12 + int(m) - 1)
}

// start is when the month begins.
func (m month) start() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// String is how keys name the month: 2026-10.
func (m month) String() string { return m.start().Format("2006-01") }
