package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/stats"
)

// The statistics in this process, on the bench's Redis.
const (
	trendServices = 500 // services of a page
	recorded      = 2_000_000
	sampleBatch   = 1_000
	statsPrefix   = "stats:"
	busyPrefix    = "busy:"
	busyPerMinute = 100 // calls of a service that is always busy
	busyPerHour   = 60 * busyPerMinute
)

// stats: recording, samples by the API, a page of trends, and what a busy service takes of Redis.
func (b *bench) stats() error {
	if err := b.redis(); err != nil {
		return err
	}
	for _, part := range []func() error{b.recording, b.trends, b.busyService, b.samples} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// movable is a clock that the bench sets.
type movable struct{ at time.Time }

func (m *movable) now() time.Time { return m.at }

func (b *bench) openStats(prefix string, o stats.Options) (*stats.Store, *kvdb.DB, error) {
	db, err := kvdb.Open(kvdb.Config{URL: "unix://" + b.socket, Prefix: prefix})
	if err != nil {
		return nil, nil, err
	}
	return stats.New(db, o), db, nil
}

// lognormal are durations as services have them.
func lognormal(n int) []time.Duration {
	random := rand.New(rand.NewPCG(1, 2))
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = time.Duration(20e6 * math.Exp(random.NormFloat64()))
	}
	return list
}

// recording: one call in process. It is the time of the processor, as others may use it meanwhile.
func (b *bench) recording() error {
	s, db, err := b.openStats("record:", stats.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprint("service.", i)
	}
	took := lognormal(4096)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ns, allocs []float64
	for round := range rounds + 1 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := threadTime()
		for i := range recorded / rounds {
			s.Record(names[i%len(names)], took[i%len(took)], false, "cid")
		}
		spent := threadTime() - start
		runtime.ReadMemStats(&after)
		if err := s.Flush(context.Background()); err != nil {
			return err
		}
		if round > 0 { // the services are known then
			ns, allocs = append(ns, float64(spent)/(recorded/rounds)), append(allocs, float64(after.Mallocs-before.Mallocs)/(recorded/rounds))
		}
	}
	b.atMost("recording a call", median(ns), 200, single("ns", ""))
	b.atMost("recording a call, allocations", math.Round(median(allocs)*100)/100, 0, single("", ""))
	return nil
}

// threadTime is the time of the processor that this thread has used.
func threadTime() time.Duration {
	var u syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// samples: batches by the API against decoding the same bytes alone.
func (b *bench) samples() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	type sample struct {
		Service  string    `json:"service"`
		Duration float64   `json:"duration_ms"`
		At       time.Time `json:"at,omitzero"`
		Failed   bool      `json:"failed,omitempty"`
		CID      string    `json:"cid,omitempty"`
	}
	var body struct {
		Samples []sample `json:"samples"`
	}
	for i, d := range lognormal(sampleBatch) {
		body.Samples = append(body.Samples, sample{Service: fmt.Sprint("billing.invoice.", i%50), Duration: float64(d.Microseconds()) / 1000,
			At:     time.Now().UTC().Truncate(time.Millisecond),
			Failed: i%20 == 0, CID: fmt.Sprintf("%016x", i*7919)})
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var ratios, ours, theirs []float64
	for i := range rounds + 1 {
		rate, err := perSecond(func() error { _, err := a.post("/stats/record", string(text)); return err })
		if err != nil {
			return err
		}
		alone, err := perSecond(func() error { body.Samples = nil; return json.Unmarshal(text, &body) })
		if err != nil {
			return err
		}
		if i > 0 {
			ratios, ours, theirs = append(ratios, rate/alone), append(ours, sampleBatch*rate), append(theirs, sampleBatch*alone)
		}
	}
	b.atLeast("samples/s in batches of 1,000 against json.Unmarshal", median(ratios), 0.5, pair("%.0f/s", median(ours), median(theirs)))
	return nil
}

// trends: the figures of 500 services over 24 hours, with percentiles and sparklines of those that a page shows, against the reads
// alone that they need.
func (b *bench) trends() error {
	clock := &movable{at: time.Now()}
	s, db, err := b.openStats(statsPrefix, stats.Options{Now: clock.now})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := fillDay(s, clock, trendServices); err != nil {
		return err
	}
	tape := &tape{}
	db.Client().AddHook(tape)
	ctx := context.Background()
	for _, page := range []struct {
		what string
		o    stats.ServicesOptions
	}{
		{"trends of 500 services, 24 h, the first 20 shown", stats.ServicesOptions{Sort: stats.SortMean, Limit: 20, Spark: 24}},
		{"trends of 500 services, 24 h, by p95, all shown", stats.ServicesOptions{Sort: stats.SortP95}},
	} {
		var ours, raw []float64
		for round := range rounds + 1 {
			tape.record(true)
			start := time.Now()
			report, err := s.Services(ctx, stats.Range{From: clock.at.Add(-24 * time.Hour), To: clock.at}, page.o)
			if err != nil {
				return err
			}
			took := time.Since(start).Seconds()
			tape.record(false)
			if report.Matched != trendServices || report.Items[0].P95 == 0 {
				return fmt.Errorf("%d services, p95 %v", report.Matched, report.Items[0].P95)
			}
			start = time.Now()
			if err := tape.replay(ctx, b.rdb); err != nil {
				return err
			}
			if round > 0 {
				ours, raw = append(ours, took), append(raw, time.Since(start).Seconds())
			}
		}
		b.atMost(page.what+", against raw reads", median(ours)/median(raw), 3, pair("%.1f ms", 1e3*median(ours), 1e3*median(raw)))
	}
	tape.record(true)
	if _, err := s.Services(ctx, stats.Range{From: clock.at.AddDate(-1, 0, 0), To: clock.at},
		stats.ServicesOptions{Filter: "service.7", Limit: 1}); err != nil {
		return err
	}
	tape.record(false)
	b.atMost("keys read of a service by a year", float64(tape.keysOf("service.7}")), 150, single("", ""))
	return nil
}

// fillDay records a day: each hour, and each minute of those hours that a range of 24 hours begins and ends in.
func fillDay(s *stats.Store, clock *movable, services int) error {
	took := lognormal(4096)
	n := 0
	now := clock.at
	record := func(at time.Time, calls int) error {
		clock.at = at
		for i := range services {
			for range calls {
				s.Record(fmt.Sprint("service.", i), took[n%len(took)], n%50 == 0, "")
				n++
			}
		}
		return s.Flush(context.Background())
	}
	for at := now.Add(-24 * time.Hour); !at.After(now); {
		edge := at.Sub(now.Add(-24*time.Hour)) < time.Hour || now.Sub(at) < time.Hour
		calls, next := 30, time.Minute
		if !edge {
			calls, next = 100, time.Hour
		}
		if err := record(at, calls); err != nil {
			return err
		}
		at = at.Add(next)
	}
	clock.at = now.Add(3 * time.Second)
	return s.Flush(context.Background())
}

// tape remembers the commands of a client, by the pipelines that they came in.
type tape struct {
	mu    sync.Mutex
	on    bool
	pipes [][][]any
}

func (t *tape) record(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.pipes = nil
	}
	t.on = on
}

func (t *tape) add(commands ...redis.Cmder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	var pipe [][]any
	for _, c := range commands {
		pipe = append(pipe, c.Args())
	}
	t.pipes = append(t.pipes, pipe)
}

// replay sends the commands again and does nothing with the replies.
func (t *tape) replay(ctx context.Context, rdb *redis.Client) error {
	for _, commands := range t.pipes {
		pipe := rdb.Pipeline()
		for _, args := range commands {
			pipe.Do(ctx, args...)
		}
		if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
			return err
		}
	}
	return nil
}

// keysOf counts the keys with a text in them.
func (t *tape) keysOf(text string) int {
	keys := map[string]bool{}
	for _, pipe := range t.pipes {
		for _, args := range pipe {
			if key := fmt.Sprint(args[1]); strings.Contains(key, text) {
				keys[key] = true
			}
		}
	}
	return len(keys)
}

func (t *tape) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (t *tape) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { t.add(cmd); return next(ctx, cmd) }
}

func (t *tape) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		t.add(commands...)
		return next(ctx, commands)
	}
}

// busyService: what a service takes that is called in every minute for as long as anything is kept. Its clock begins years ago, so that Redis
// drops by itself what is kept no more.
func (b *bench) busyService() error {
	clock := &movable{}
	s, db, err := b.openStats(busyPrefix, stats.Options{Now: clock.now})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	took := lognormal(1 << 16)
	n := 0
	ctx := context.Background()
	now := time.Now().UTC()
	set := stats.Defaults()
	for _, part := range []struct {
		keep, every time.Duration
		calls       int
	}{
		{set.Months, 30 * 24 * time.Hour, 24 * busyPerHour}, {set.Days, 24 * time.Hour, 24 * busyPerHour}, {set.Hours, time.Hour, busyPerHour},
		{set.Minutes + time.Hour, time.Minute, busyPerMinute},
	} {
		for clock.at = now.Add(-part.keep); clock.at.Before(now); clock.at = clock.at.Add(part.every) {
			for range part.calls {
				s.Record("always.busy", took[n%len(took)], false, fmt.Sprintf("%024x", n))
				n += 17
			}
			if err := s.Flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.Flush(ctx); err != nil {
		return err
	}
	total, shared, each := 0.0, 0.0, map[string]float64{}
	keys, err := b.rdb.Keys(ctx, busyPrefix+"*").Result()
	if err != nil {
		return err
	}
	for _, key := range keys {
		size, err := b.rdb.MemoryUsage(ctx, key, 0).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(key, "always.busy") { // of all services: bounded, however many there are
			shared += float64(size) / (1 << 20)
			continue
		}
		_, kind, _ := strings.Cut(key, "}:")
		kind, _, _ = strings.Cut(kind, ":")
		each[kind] += float64(size) / (1 << 20)
		total += float64(size) / (1 << 20)
	}
	var parts bytes.Buffer
	kinds := make([]string, 0, len(each))
	for kind := range each {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		fmt.Fprintf(&parts, "%s %.2f ", kind, each[kind])
	}
	b.atMost("memory of an always busy service", total, 4, single("MiB", fmt.Sprintf("%sand %.2f of all services", parts.String(), shared)))
	return nil
}
