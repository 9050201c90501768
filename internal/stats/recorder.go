package stats

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// recorder takes samples in. A sample goes into the cell of its service; once a second the cells are emptied into the records
// of their minutes, which flush writes.
type recorder struct {
	seed   maphash.Seed
	shards [16]shard
	cells  atomic.Int64 // how many there are
	room   atomic.Int64 // for how many new ones, until flush has asked Redis about them
	other  *cell        // of Other

	off atomic.Bool // nothing is recorded

	mu      sync.Mutex
	open    map[openKey]*openRecord
	rolling map[openKey]bool   // records that are all in Redis and have left open
	since   map[string]*record // of each service since the process started, for Snapshot
	slow    []SlowCall         // to be written
	dropped int64              // there was no room
	lost    int64              // nobody knows whether they are in Redis
	unnamed int64              // counted as Other
}

// maxOpen is how many records wait at most, which takes some 40 MB: while Redis is away, each service gets one a minute.
const maxOpen = 20_000

const minutesPerDay = 24 * 60

type openKey struct {
	service string
	minute  int64 // since 1970
}

// openRecord is all that this process knows of a service's calls of one minute, until it is rolled up.
type openRecord struct {
	record
	changed int64 // grows with each change
	written int64 // changed when it was last written for sure
	inRedis int64 // count at that time
	tried   bool  // it may be in Redis, at least in part
}

type shard struct {
	mu    sync.RWMutex
	cells map[string]*cell
	_     [32]byte // shards are not to share a cache line
}

// cell takes the samples of one service.
type cell struct {
	service string
	mu      sync.Mutex
	minute  int64 // that of now
	now     record
	slow    []SlowCall
	floor   int64 // calls that took no longer, in ns, are none of the slowest of the day
	day     int64 // of floor
	fastest int   // of slow, where that is full
	gone    bool  // its name is one of Other
}

func newRecorder() *recorder {
	r := &recorder{seed: maphash.MakeSeed(), open: map[openKey]*openRecord{}, rolling: map[openKey]bool{}, since: map[string]*record{}}
	for i := range r.shards {
		r.shards[i].cells = map[string]*cell{}
	}
	r.room.Store(MaxServices + 1)
	r.other = r.cell(Other)
	return r
}

// cell returns the cell of a service, or that of Other when there are too many.
func (r *recorder) cell(service string) *cell {
	sh := r.shard(service)
	sh.mu.RLock()
	c := sh.cells[service]
	sh.mu.RUnlock()
	if c != nil {
		return c
	}
	if len(service) > MaxName && utf8.RuneCountInString(service) > MaxName || service == "" || service == All ||
		r.cells.Load() > MaxServices || r.room.Load() <= 0 {
		return r.other
	}
	service = strings.Clone(strings.ToValidUTF8(service, "\ufffd"))
	sh = r.shard(service)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c = sh.cells[service]; c == nil {
		c = &cell{service: service, floor: -1}
		sh.cells[service] = c
		r.cells.Add(1)
		r.room.Add(-1)
	}
	return c
}

// forget drops the cells of names that there is no room for. What is in them counts as Other.
func (r *recorder) forget(names []string) {
	gone := make(map[string]bool, len(names))
	for _, service := range names {
		gone[service] = true
		if c := r.remove(service); c != nil {
			c.mu.Lock()
			c.service, c.gone = Other, true // also for who holds it still
			r.empty(c)
			c.mu.Unlock()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, o := range r.open {
		if gone[key.service] {
			delete(r.open, key)
			r.unnamed += o.count
			r.merge(Other, key.minute, &o.record)
		}
	}
	for i := range r.slow {
		if gone[r.slow[i].Service] {
			r.slow[i].Service = Other
		}
	}
	for service := range gone {
		if o := r.since[service]; o != nil {
			delete(r.since, service)
			r.sinceOf(Other).merge(o)
		}
	}
}

// remove takes the cell of a service away and returns it; nil = there is none.
func (r *recorder) remove(service string) *cell {
	sh := r.shard(service)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.cells[service]
	if c != nil {
		delete(sh.cells, service)
		r.cells.Add(-1)
	}
	return c
}

func (r *recorder) shard(service string) *shard {
	return &r.shards[maphash.String(r.seed, service)%uint64(len(r.shards))]
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// record takes a sample of now in.
func (r *recorder) record(service string, took time.Duration, failed bool, cid string, now time.Time) {
	if r.off.Load() {
		return
	}
	ns := min(max(int64(took), 0), int64(MaxDuration))
	minute := minuteOf(now)
	c := r.cell(service)
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		c = r.other
		c.mu.Lock()
	}
	if c.minute != minute {
		r.empty(c)
		c.minute = minute
		if day := minute / minutesPerDay; c.day != day {
			c.day, c.floor = day, -1
		}
	}
	c.now.add(ns, failed)
	if ns > c.floor {
		c.keepSlow(SlowCall{Took: time.Duration(ns), At: now, CID: cid, Failed: failed})
	}
	c.mu.Unlock()
}

// keepSlow keeps a call that is over the floor. Once there are as many as are kept of a day, the floor rises to the fastest of them.
func (c *cell) keepSlow(call SlowCall) {
	if len(c.slow) < slowPerService {
		c.slow = append(c.slow, call)
		if len(c.slow) < slowPerService {
			return
		}
	} else {
		c.slow[c.fastest] = call
	}
	for i := range c.slow {
		if c.slow[i].Took < c.slow[c.fastest].Took {
			c.fastest = i
		}
	}
	c.floor = int64(c.slow[c.fastest].Took)
}

// empty moves what is in the cell, which is locked, to the records.
func (r *recorder) empty(c *cell) {
	if c.now.count == 0 {
		return
	}
	r.mu.Lock()
	if c.service == Other {
		r.unnamed += c.now.count
	}
	r.merge(c.service, c.minute, &c.now)
	if !IsInternal(c.service) {
		r.merge(All, c.minute, &c.now)
	}
	r.sinceOf(c.service).merge(&c.now)
	for _, call := range c.slow {
		call.Service = c.service
		r.slow = append(r.slow, call)
	}
	if over := len(r.slow) - maxSlowWaiting; over > 0 {
		r.slow = append(r.slow[:0], r.slow[over:]...)
	}
	r.mu.Unlock()
	clear(c.slow) // lets go of the cids
	c.slow, c.fastest = c.slow[:0], 0
	c.now.clear()
}

// merge adds to the record of a service's minute. r.mu is held.
func (r *recorder) merge(service string, minute int64, rec *record) {
	key := openKey{service, minute}
	o := r.open[key]
	if o == nil {
		if len(r.open) >= maxOpen {
			if service != All {
				r.dropped += rec.count
			}
			return
		}
		o = &openRecord{}
		r.open[key] = o
	}
	o.merge(rec)
	o.changed++
}

func (r *recorder) sinceOf(service string) *record {
	rec := r.since[service]
	if rec == nil {
		rec = &record{}
		r.since[service] = rec
	}
	return rec
}

// drain moves what is in all cells to the records.
func (r *recorder) drain() {
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		for _, c := range sh.cells {
			c.mu.Lock()
			r.empty(c)
			c.mu.Unlock()
		}
		sh.mu.RUnlock()
	}
}
