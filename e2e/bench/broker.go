package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
)

// The broker in this process, on the bench's Redis over TCP, beside raw commands on the same.
const (
	invoked       = 60_000 // invocations of a round
	brokerRounds  = 5
	publishers    = 50
	subscribers   = 16
	published     = 40_000 // messages of a round
	latencyRate   = 500    // a second
	latencyTime   = 4 * time.Second
	fewWaiting    = 1_000
	manyWaiting   = 1_000_000
	payloadBytes  = 256
	asynqTasks    = 30_000
	nobody        = "nobody.works.here"
	nothingToDo   = "bench.nothing"
	consumerGroup = "w"
)

// broker: invocations, latency, messages to many, and services in which a million wait.
func (b *bench) broker() error {
	if err := b.redis(); err != nil {
		return err
	}
	for _, part := range []func() error{b.invoking, b.latency, b.fanOut, b.waiting} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// openBroker makes a broker of its own in this process.
func (b *bench) openBroker(prefix string, o broker.Options) (*broker.Store, func(), error) {
	db, err := kvdb.Open(kvdb.Config{URL: "redis://" + b.tcp, Prefix: prefix})
	if err != nil {
		return nil, nil, err
	}
	s := broker.New(db, o)
	return s, func() { _ = errors.Join(s.Close(context.Background()), db.Close()) }, nil
}

// many calls do n times from that many goroutines, and returns how many were done a second. The first error ends it.
func many(goroutines, n int, do func() error) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	errs := make(chan error, goroutines)
	start := time.Now()
	for range goroutines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return float64(n) / time.Since(start).Seconds(), <-errs
}

// plain is a client with a connection for each publisher, and without what the product adds.
func (b *bench) plain() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: b.tcp, PoolSize: publishers + subscribers, MaxRetries: -1})
}

// invoking: from the call to the record that says done, against XADD alone, and against asynq.
func (b *bench) invoking() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var round atomic.Pointer[counted]
	s, end, err := b.openBroker("invoking:", broker.Options{OnFinished: func(broker.Finished) { round.Load().one() }})
	if err != nil {
		return err
	}
	defer end()
	s.Handle(func(service string) bool { return service == nothingToDo }, broker.HandlerBuiltin,
		func(context.Context, broker.Delivery) ([]byte, error) { return nil, nil })
	s.Start(ctx)
	s.StartWorkers(ctx, 4*publishers) // more than wait at a time, so that a handler has a free slot
	rdb := b.plain()
	defer func() { _ = rdb.Close() }()
	payload := []byte(`"` + strings.Repeat("x", payloadBytes-2) + `"`)
	var ratios, ours, raw []float64
	for i := range brokerRounds + 1 {
		r2, err := many(publishers, invoked, func() error {
			return rdb.XAdd(ctx, &redis.XAddArgs{Stream: "bench:raw", Values: []any{"m", payload}}).Err()
		})
		if err != nil {
			return err
		}
		if err := rdb.Del(ctx, "bench:raw").Err(); err != nil {
			return err
		}
		c := newCounted(invoked)
		round.Store(c)
		var last atomic.Value
		start := time.Now()
		if _, err := many(publishers, invoked, func() error {
			cid, err := s.Invoke(ctx, broker.Call{Service: nothingToDo, Payload: payload})
			last.Store(cid)
			return err
		}); err != nil {
			return err
		}
		<-c.over
		r1 := invoked / time.Since(start).Seconds()
		if x, err := s.Invocation(ctx, last.Load().(string)); err != nil || x.State != broker.Done {
			return fmt.Errorf("the last invocation is %s: %w", x.State, err)
		}
		if i == 0 {
			continue // warm-up
		}
		ratios, ours, raw = append(ratios, r1/r2), append(ours, r1), append(raw, r2)
	}
	b.atLeast("invocations, end to end, against XADD alone", median(ratios), 0.4, pair("%.0f/s", median(ours), median(raw)))
	other, err := b.asynq()
	if err != nil {
		return fmt.Errorf("asynq: %w", err)
	}
	b.atLeast("invocations, end to end, against asynq", median(ours)/other, 5, pair("%.0f/s", median(ours), other))
	return nil
}

// counted closes over when so many are done.
type counted struct {
	left atomic.Int64
	over chan struct{}
}

func newCounted(n int64) *counted {
	c := &counted{over: make(chan struct{})}
	c.left.Store(n)
	return c
}

func (c *counted) one() {
	if c.left.Add(-1) == 0 {
		close(c.over)
	}
}

// asynq builds and runs the comparison, which is a module of its own.
func (b *bench) asynq() (float64, error) {
	program := filepath.Join(b.dir, "asynq")
	build := exec.Command("go", "build", "-C", "e2e/bench/asynq", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var rates []float64
	for range 3 {
		run := exec.Command(program, b.tcp, strconv.Itoa(asynqTasks), strconv.Itoa(payloadBytes))
		var said bytes.Buffer
		run.Stderr = &said
		out, err := run.Output()
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, &said)
		}
		rate, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
	}
	return median(rates), nil
}

// stamped is a payload that says when it was sent.
func stamped() []byte {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(time.Now().UnixNano()))
	return []byte(`"` + hex.EncodeToString(at[:]) + strings.Repeat("x", payloadBytes-18) + `"`)
}

// since says how long ago it was.
func since(payload []byte) time.Duration {
	now := time.Now().UnixNano()
	var at [8]byte
	if len(payload) < 17 {
		return 0
	}
	if _, err := hex.Decode(at[:], payload[1:17]); err != nil {
		return 0
	}
	return time.Duration(now - int64(binary.BigEndian.Uint64(at[:])))
}

// delays collects how long each took.
type delays struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *delays) add(x time.Duration) {
	d.mu.Lock()
	d.all = append(d.all, x)
	d.mu.Unlock()
}

// quantile returns it and forgets all.
func (d *delays) quantiles(qs ...float64) (out []float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.all)
	for _, q := range qs {
		out = append(out, float64(d.all[min(int(q*float64(len(d.all))), len(d.all)-1)].Microseconds()))
	}
	d.all = nil
	return out
}

// atRate sends so many a second for a while.
func atRate(send func() error) error {
	tick := time.NewTicker(time.Second / latencyRate)
	defer tick.Stop()
	var all sync.WaitGroup
	errs := make(chan error, 1)
	for range int(latencyTime.Seconds() * latencyRate) {
		<-tick.C
		all.Go(func() {
			if err := send(); err != nil {
				select {
				case errs <- err:
				default:
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// latency: from the call to the handler, against XADD and a loop of XREADGROUP.
func (b *bench) latency() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var took delays
	s, end, err := b.openBroker("latency:", broker.Options{})
	if err != nil {
		return err
	}
	defer end()
	s.Handle(func(service string) bool { return service == nothingToDo }, broker.HandlerBuiltin,
		func(_ context.Context, d broker.Delivery) ([]byte, error) {
			took.add(since(d.Payload))
			return nil, nil
		})
	s.Start(ctx)
	s.StartWorkers(ctx, 8)
	rdb := b.plain()
	defer func() { _ = rdb.Close() }()
	if err := rdb.XGroupCreateMkStream(ctx, "bench:latency", consumerGroup, "$").Err(); err != nil {
		return err
	}
	var rawTook delays
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	reading.Go(func() {
		for ctx.Err() == nil {
			got, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: consumerGroup, Consumer: "c", Streams: []string{"bench:latency", ">"}, Count: 10,
				Block: 100 * time.Millisecond, NoAck: true}).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return
			}
			for _, stream := range got {
				for _, m := range stream.Messages {
					rawTook.add(since([]byte(m.Values["m"].(string))))
				}
			}
		}
	})
	var p50, p99, ours50, raw50, ours99, raw99 []float64
	for range brokerRounds {
		if err := atRate(func() error {
			_, err := s.Invoke(ctx, broker.Call{Service: nothingToDo, Payload: stamped()})
			return err
		}); err != nil {
			return err
		}
		if err := atRate(func() error {
			return rdb.XAdd(ctx, &redis.XAddArgs{Stream: "bench:latency", MaxLen: 1000, Approx: true, Values: []any{"m", stamped()}}).Err()
		}); err != nil {
			return err
		}
		q1, q2 := took.quantiles(.5, .99), rawTook.quantiles(.5, .99)
		p50, p99 = append(p50, q1[0]/q2[0]), append(p99, q1[1]/q2[1])
		ours50, raw50, ours99, raw99 = append(ours50, q1[0]), append(raw50, q2[0]), append(ours99, q1[1]), append(raw99, q2[1])
	}
	b.atMost("from invoke to handler, p50, against XREADGROUP", median(p50), 2, pair("%.0f µs", median(ours50), median(raw50)))
	b.atMost("from invoke to handler, p99, against XREADGROUP", median(p99), 3, pair("%.0f µs", median(ours99), median(raw99)))
	return nil
}

// fanOut: messages to 16 subscribers, the last of which has the last message, against PUBLISH of Redis.
func (b *bench) fanOut() error {
	var ratios, ours, raw []float64
	for i := range brokerRounds {
		r2, err := b.rawFanOut()
		if err != nil {
			return err
		}
		r1, err := b.ourFanOut(fmt.Sprintf("fan%d:", i))
		if err != nil {
			return err
		}
		ratios, ours, raw = append(ratios, r1/r2), append(ours, r1), append(raw, r2)
	}
	b.atLeast("messages to 16 subscribers, against PUBLISH", median(ratios), 0.5, pair("%.0f/s", median(ours), median(raw)))
	return nil
}

func (b *bench) ourFanOut(prefix string) (float64, error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s, end, err := b.openBroker(prefix, broker.Options{})
	if err != nil {
		return 0, err
	}
	defer end()
	var got sync.WaitGroup
	errs := make(chan error, subscribers)
	for range subscribers {
		sub, err := s.Subscribe(ctx, "bench", broker.SubscribeOptions{})
		if err != nil {
			return 0, err
		}
		got.Go(func() {
			defer sub.Close()
			for n := range int64(published) {
				if e, err := sub.Next(ctx); err != nil || e.Gap != nil || e.N != n+1 {
					errs <- fmt.Errorf("message %d: gap %v, %w", n+1, e.Gap, err)
					return
				}
			}
		})
	}
	message := []byte(`"` + strings.Repeat("x", payloadBytes-2) + `"`)
	start := time.Now()
	if _, err := many(publishers, published, func() error {
		_, _, err := s.Publish(ctx, "bench", message, "bench", "")
		return err
	}); err != nil {
		return 0, err
	}
	got.Wait()
	took := time.Since(start)
	close(errs)
	return published / took.Seconds(), <-errs
}

func (b *bench) rawFanOut() (float64, error) {
	ctx := context.Background()
	rdb := b.plain()
	defer func() { _ = rdb.Close() }()
	var got sync.WaitGroup
	errs := make(chan error, subscribers)
	for range subscribers {
		sub := rdb.Subscribe(ctx, "bench:fan")
		if _, err := sub.Receive(ctx); err != nil {
			return 0, err
		}
		got.Go(func() {
			defer func() { _ = sub.Close() }()
			for range published {
				if _, err := sub.Receive(ctx); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	message := strings.Repeat("x", payloadBytes)
	start := time.Now()
	if _, err := many(publishers, published, func() error { return rdb.Publish(ctx, "bench:fan", message).Err() }); err != nil {
		return 0, err
	}
	got.Wait()
	took := time.Since(start)
	close(errs)
	return published / took.Seconds(), <-errs
}

// waiting: pages of services in which a million wait, against those of one in which a thousand do.
func (b *bench) waiting() error {
	few, err := b.withWaiting("few:", fewWaiting)
	if err != nil {
		return err
	}
	full, err := b.withWaiting("full:", manyWaiting)
	if err != nil {
		return err
	}
	for _, path := range []string{"/broker/services", "/broker/services/" + nobody, "/broker/invocations?service=" + nobody + "&state=queued",
		"/broker/invocations?service=" + nobody + "&q=xyz", "/broker/dead"} {
		if err := b.compareLists("page: "+path, func() (time.Duration, error) { return full.timed(path) },
			func() (time.Duration, error) { return few.timed(path) }); err != nil {
			return err
		}
	}
	one, err := memory(few.cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	two, err := memory(full.cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	b.atMost("memory with a million waiting against a thousand", two/one, 1.2, pair("%.0f MiB", two, one))
	return nil
}

// withWaiting starts the product on a store in which so many invocations wait for a worker.
func (b *bench) withWaiting(prefix string, n int) (*app, error) {
	s, end, err := b.openBroker(prefix, broker.Options{})
	if err != nil {
		return nil, err
	}
	defer end()
	payload := []byte(`{"order":12345,"customer":"bench"}`)
	if _, err := many(4*publishers, n, func() error {
		_, err := s.Invoke(context.Background(), broker.Call{Service: nobody, Payload: payload})
		return err
	}); err != nil {
		return nil, err
	}
	return b.start(prefix)
}
