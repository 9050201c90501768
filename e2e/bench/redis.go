package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The stores of keys that pages of keys are measured on: databases of their own of the same server, with the bench's rows of the other parts in 0.
const (
	fewKeys  = 10_000
	manyKeys = 1_000_000
	mostKeys = 10_000_000
	pageKeys = 100
	paged    = 60 // measurements of a page
)

// redisPart: the keys and values of the API against the raw commands that they need.
func (b *bench) redisPart() error {
	times := map[int]float64{}
	for i, n := range []int{fewKeys, manyKeys, mostKeys} {
		ours, raw, err := b.firstKeys(i+1, n)
		if err != nil {
			return err
		}
		times[n] = ours
		b.atMost(fmt.Sprintf("first %d of %d keys against raw SCAN and pipeline", pageKeys, n), ours/raw, 3, pair("%.2f ms", 1e3*ours, 1e3*raw))
	}
	b.atMost("first page of 10,000,000 keys against 10,000", times[mostKeys]/times[fewKeys], 1.5,
		pair("%.2f ms", 1e3*times[mostKeys], 1e3*times[fewKeys]))
	if err := b.browsers(3); err != nil {
		return err
	}
	return b.hashPages()
}

// startOn starts the product on a database of the bench's server.
func (b *bench) startOn(db int) (*app, error) {
	if err := b.redis(); err != nil {
		return nil, err
	}
	return b.start("kvdb:", "--redis-url", fmt.Sprintf("unix://%s?db=%d", b.socket, db), "--state-url", "unix://"+b.socket, "--data-dir",
		fmt.Sprintf("%s/data-db%d", b.dir, db))
}

// onDB is a client of a database.
func (b *bench) onDB(db int) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: b.socket, DB: db, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
}

// firstKeys returns the seconds that the first page of keys takes of the API, and of the raw commands that it needs.
func (b *bench) firstKeys(db, n int) (ours, raw float64, err error) {
	a, err := b.startOn(db)
	if err != nil {
		return 0, 0, err
	}
	rdb := b.onDB(db)
	defer func() { _ = rdb.Close() }()
	ctx := context.Background()
	if err := rdb.Do(ctx, "DEBUG", "POPULATE", n).Err(); err != nil {
		return 0, 0, err
	}
	var one, two []float64
	for i := range paged {
		start := time.Now()
		body, err := a.get(fmt.Sprintf("/kvdb/keys?limit=%d", pageKeys))
		if err != nil {
			return 0, 0, err
		}
		took := time.Since(start).Seconds()
		if i == 0 && !bytes.Contains(body, []byte(`"size_bytes"`)) {
			return 0, 0, fmt.Errorf("no keys: %.200s", body)
		}
		start = time.Now()
		keys, _, err := rdb.Scan(ctx, 0, "", pageKeys).Result()
		if err != nil {
			return 0, 0, err
		}
		pipe := rdb.Pipeline()
		for _, key := range keys {
			pipe.Type(ctx, key)
			pipe.PTTL(ctx, key)
			pipe.MemoryUsage(ctx, key)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return 0, 0, err
		}
		one, two = append(one, took), append(two, time.Since(start).Seconds())
	}
	return median(one), median(two), nil
}

// browsers has twenty of them page through all keys for a while.
func (b *bench) browsers(db int) error {
	a, err := b.startOn(db)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	end := time.Now().Add(10 * time.Second)
	for range 20 {
		wg.Go(func() {
			cursor := ""
			for time.Now().Before(end) {
				body, err := a.get("/kvdb/keys?limit=1000&cursor=" + cursor)
				if err != nil {
					errs <- err
					return
				}
				var page struct {
					NextCursor string `json:"next_cursor"`
				}
				if err := json.Unmarshal(body, &page); err != nil {
					errs <- err
					return
				}
				cursor = page.NextCursor
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	peak, err := memory(a.cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	b.atMost("peak memory, 20 browsers in 10,000,000 keys", peak, 120, single("MiB", ""))
	return nil
}

// hashPages: one page of a large hash against one of a small.
func (b *bench) hashPages() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	ctx := context.Background()
	for key, n := range map[string]int{"bench:small": 100, "bench:large": 1_000_000} {
		for i := 0; i < n; i += 10_000 {
			var fields []any
			for j := i; j < min(n, i+10_000); j++ {
				fields = append(fields, fmt.Sprint("field ", j), fmt.Sprint("value ", j))
			}
			if err := b.rdb.HSet(ctx, key, fields...).Err(); err != nil {
				return err
			}
		}
	}
	var small, large []float64
	for range paged {
		for key, to := range map[string]*[]float64{"bench:small": &small, "bench:large": &large} {
			start := time.Now()
			if _, err := a.get("/kvdb/key?key=" + key + "&limit=100"); err != nil {
				return err
			}
			*to = append(*to, time.Since(start).Seconds())
		}
	}
	b.atMost("a page of a hash of 1,000,000 against 100", median(large)/median(small), 2, pair("%.2f ms", 1e3*median(large), 1e3*median(small)))
	return nil
}

// pipelines: a thousand commands a request against a raw pipeline of a thousand.
func (b *bench) pipelines() error {
	a, err := b.main()
	if err != nil {
		return err
	}
	const n = 1000
	var commands [][]string
	for i := range n {
		commands = append(commands, []string{"SET", fmt.Sprint("bench:pipe:", i), "value"})
	}
	body, _ := json.Marshal(map[string]any{"commands": commands})
	ctx := context.Background()
	var ratios, ours, theirs []float64
	for i := range rounds + 1 {
		rate, err := perSecond(func() error { _, err := a.post("/kvdb/pipeline", string(body)); return err })
		if err != nil {
			return err
		}
		raw, err := perSecond(func() error {
			pipe := b.rdb.Pipeline()
			for _, c := range commands {
				pipe.Set(ctx, c[1], c[2], 0)
			}
			_, err := pipe.Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if i > 0 {
			ratios, ours, theirs = append(ratios, rate/raw), append(ours, n*rate), append(theirs, n*raw)
		}
	}
	b.atLeast("pipeline of 1,000, commands/s against raw", median(ratios), 0.5, pair("%.0f/s", median(ours), median(theirs)))
	return nil
}

// perSecond does something again and again for half a second.
func perSecond(f func() error) (float64, error) {
	n, start := 0, time.Now()
	for time.Since(start) < 500*time.Millisecond {
		if err := f(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
