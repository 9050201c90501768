package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// process is a Store with workers, as a process has it.
func process(t *testing.T, db *kvdb.DB, n int, prepare func(s *Store)) *Store {
	t.Helper()
	s := New(db, Options{Secret: []byte("0123456789abcdef"), Logger: slog.New(slog.DiscardHandler)})
	if prepare != nil {
		prepare(s)
	}
	s.Start(t.Context())
	s.StartWorkers(t.Context(), n)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// handles has h run one service.
func handles(service string, h Handler) func(s *Store) {
	return func(s *Store) {
		s.Handle(func(name string) bool { return name == service }, HandlerBuiltin, h)
	}
}

func invoke(t *testing.T, s *Store, c Call) (cid string) {
	t.Helper()
	cid, err := s.Invoke(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return cid
}

// becomes waits until an invocation is in a state.
func becomes(t *testing.T, s *Store, cid string, state State) Invocation {
	t.Helper()
	var i Invocation
	kvtest.Await(t, fmt.Sprintf("%s is %s", cid, state), func() bool {
		var err error
		if i, err = s.Invocation(t.Context(), cid); err != nil {
			t.Fatal(err)
		}
		return i.State == state
	})
	return i
}

func TestEchoAnswersAtOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := process(t, db, 8, nil)
		payload := `{"n": 12345678901234567890, "text": "<b>"}`
		i := becomes(t, s, invoke(t, s, Call{Service: "echo", Payload: []byte(payload)}), Done)
		if string(i.Result) != payload || i.Attempt != 1 || i.Worker != s.process || len(i.Attempts) != 1 || i.Attempts[0].Error != "" {
			t.Errorf("%+v", i)
		}
		if i := becomes(t, s, invoke(t, s, Call{Service: "echo"}), Done); string(i.Result) != "null" {
			t.Errorf("result %q", i.Result)
		}
	})
}

// Another process's doorbell is enough; none has to wait for the next look.
func TestWorkersHearOtherProcesses(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		process(t, db, 1, nil)
		caller := process(t, db, 0, nil)
		becomes(t, caller, invoke(t, caller, Call{Service: "echo"}), Done) // now both know the service
		var waited time.Duration
		for range 10 {
			start := time.Now()
			becomes(t, caller, invoke(t, caller, Call{Service: "echo"}), Done)
			waited += time.Since(start)
		}
		if waited > lookEvery {
			t.Errorf("ten took %s", waited)
		}
	})
}

func TestWorkersRunWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	caller := New(db, Options{})
	cid := invoke(t, caller, Call{Service: "echo", Payload: []byte("1")})
	s := process(t, db, 1, nil)
	becomes(t, s, cid, Done)
}

func TestFailedAttemptsComeAgainAndEndDead(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		var runs atomic.Int64
		s := process(t, db, 2, handles("fails", func(context.Context, Delivery) ([]byte, error) {
			return nil, &RetryAfterError{20 * time.Millisecond, fmt.Errorf("attempt %d failed", runs.Add(1))}
		}))
		i := becomes(t, s, invoke(t, s, Call{Service: "fails", MaxAttempts: 3}), Dead)
		if runs.Load() != 3 || i.Attempt != 3 || len(i.Attempts) != 3 || i.Error != "attempt 3 failed" || i.Attempts[0].Error != "attempt 1 failed" {
			t.Errorf("%d runs, %+v", runs.Load(), i)
		}
	})
}

func TestHandlersThatCantSucceed(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := process(t, db, 4, handles("bad", func(_ context.Context, d Delivery) ([]byte, error) {
		switch string(d.Payload) {
		case `"permanent"`:
			return nil, &PermanentError{errors.New("no such thing")}
		case `"no JSON"`:
			return []byte("{"), nil
		case `"too much"`:
			return []byte(`"` + strings.Repeat("x", 2<<20) + `"`), nil
		}
		panic("boom")
	}))
	for payload, want := range map[string]string{"permanent": "no such thing", "no JSON": "JSON", "too much": "bytes",
		"panic": "the handler panicked: boom"} {
		i := becomes(t, s, invoke(t, s, Call{Service: "bad", Payload: []byte(`"` + payload + `"`), MaxAttempts: 1}), Dead)
		if !strings.Contains(i.Error, want) || i.Attempt != 1 {
			t.Errorf("%s: %+v", payload, i)
		}
	}
}

func TestWorkersTakeNoMoreThanTheyCanRun(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	const slots = 4
	var now, most atomic.Int64
	release := make(chan struct{})
	s := process(t, db, slots, handles("slow", func(ctx context.Context, _ Delivery) ([]byte, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		<-release
		return nil, nil
	}))
	var last string
	for range 20 {
		last = invoke(t, s, Call{Service: "slow"})
	}
	kvtest.Await(t, "as many run as may", func() bool { return now.Load() == slots-slots/4 })
	// One service does not hold up the others.
	becomes(t, s, invoke(t, s, Call{Service: "echo"}), Done)
	if i, err := s.Invocation(t.Context(), last); err != nil || i.State != Queued {
		t.Errorf("the last is %s, %v", i.State, err)
	}
	close(release)
	becomes(t, s, last, Done)
	kvtest.Await(t, "all are done", func() bool {
		v, err := s.Service(t.Context(), "slow")
		return err == nil && v.Done == 20
	})
	if most.Load() != slots-slots/4 {
		t.Errorf("%d ran at a time", most.Load())
	}
}

// A handler that takes longer than its lease keeps it, and nobody else gets the invocation.
func TestLeasesAreKept(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		var runs atomic.Int64
		slow := handles("slow", func(ctx context.Context, d Delivery) ([]byte, error) {
			runs.Add(1)
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(5 * d.LeaseFor):
			}
			return []byte(`"done"`), nil
		})
		s := process(t, db, 2, slow)
		process(t, db, 2, slow)
		shorten(t, s, "slow", 300*time.Millisecond)
		i := becomes(t, s, invoke(t, s, Call{Service: "slow"}), Done)
		if runs.Load() != 1 || i.Attempt != 1 || string(i.Result) != `"done"` {
			t.Errorf("%d runs, %+v", runs.Load(), i)
		}
	})
}

// shorten gives a service a short lease.
func shorten(t *testing.T, s *Store, service string, lease time.Duration) {
	t.Helper()
	p := DefaultPolicy
	p.Lease, p.Backoff, p.BackoffMost = lease, 10*time.Millisecond, 20*time.Millisecond
	if _, err := s.SetPolicy(t.Context(), service, p); err != nil {
		t.Fatal(err)
	}
}

func TestACancelledInvocationEndsItsHandler(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	causes := make(chan error, 1)
	s := process(t, db, 2, handles("slow", func(ctx context.Context, d Delivery) ([]byte, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, ctx.Err()
	}))
	shorten(t, s, "slow", 300*time.Millisecond)
	cid := invoke(t, s, Call{Service: "slow"})
	becomes(t, s, cid, Running)
	if _, err := s.Cancel(t.Context(), cid); err != nil {
		t.Fatal(err)
	}
	cause := <-causes
	lost, ok := errors.AsType[*LeaseLostError](cause)
	if !ok || lost.State != Cancelled {
		t.Errorf("cause %v", cause)
	}
	becomes(t, s, cid, Cancelled)
	becomes(t, s, invoke(t, s, Call{Service: "echo"}), Done) // its slot is free again
}

// What a process has not done when it stops, another does at once, and it was no attempt.
func TestDrainGivesLeasesBack(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		started := make(chan string, 10)
		hangs := func(obey bool, until <-chan struct{}) func(s *Store) {
			return func(s *Store) {
				s.drain = 50 * time.Millisecond
				handles("slow", func(ctx context.Context, d Delivery) ([]byte, error) {
					started <- d.CID
					if obey {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					<-until
					return []byte(`"too late"`), nil
				})(s)
			}
		}
		stuck := make(chan struct{})
		defer close(stuck)
		first := process(t, db, 4, hangs(true, nil))
		cid := invoke(t, first, Call{Service: "slow", MaxAttempts: 1})
		<-started
		closeStore(t, first)
		if i, err := first.Invocation(t.Context(), cid); err != nil || i.State != Queued || i.Attempt != 0 || len(i.Attempts) != 0 {
			t.Fatalf("given back: %+v, %v", i, err)
		}

		second := process(t, db, 4, hangs(false, stuck))
		<-started
		closeStore(t, second)
		third := process(t, db, 4, handles("slow", func(context.Context, Delivery) ([]byte, error) { return []byte(`"done"`), nil }))
		if i := becomes(t, third, cid, Done); i.Attempt != 1 || string(i.Result) != `"done"` {
			t.Errorf("%+v", i)
		}
	})
}

func TestDrainLetsHandlersFinish(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	started := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	s := New(db, Options{})
	handles("slow", func(ctx context.Context, _ Delivery) ([]byte, error) {
		close(started)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		return []byte("1"), nil
	})(s)
	s.Start(ctx)
	s.StartWorkers(ctx, 2)
	cid := invoke(t, s, Call{Service: "slow"})
	<-started
	stop()
	later := invoke(t, s, Call{Service: "slow"})
	closeStore(t, s)
	if i, err := s.Invocation(t.Context(), cid); err != nil || i.State != Done {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := s.Invocation(t.Context(), later); err != nil || i.State != Queued {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestCallbacksGetTheResult(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		got := make(chan Delivery, 10)
		s := process(t, db, 4, handles("billing/reply", func(_ context.Context, d Delivery) ([]byte, error) {
			got <- d
			return nil, nil
		}))
		start := time.Now()
		cid := invoke(t, s, Call{Service: "echo", Payload: []byte(`{"n":9007199254740993}`), Callback: "billing/reply", By: "joe"})
		d := <-got
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("the callback took %s", took)
		}
		if d.InReplyTo != cid || string(d.Payload) != `{"n":9007199254740993}` {
			t.Errorf("%+v", d)
		}
		kvtest.Await(t, "the invocation knows its callback", func() bool {
			i, err := s.Invocation(t.Context(), cid)
			return err == nil && i.CallbackCID == d.CID
		})
		if i := becomes(t, s, d.CID, Done); i.By != "joe" || i.InReplyTo != cid {
			t.Errorf("%+v", i)
		}
		// A process that died before it emptied the outbox has the callback published again, which does nothing.
		keys := s.keys.Service("echo")
		if err := db.Client().ZAdd(t.Context(), keys.Outbox(), redis.Z{Member: cid, Score: 1}).Err(); err != nil {
			t.Fatal(err)
		}
		s.posted.add("echo")
		kvtest.Await(t, "the outbox is empty", func() bool {
			n, err := db.Client().ZCard(t.Context(), keys.Outbox()).Result()
			return err == nil && n == 0
		})
		becomes(t, s, invoke(t, s, Call{Service: "echo", Callback: "billing/reply"}), Done)
		if second := <-got; second.CID == d.CID {
			t.Error("the callback came twice")
		}
	})
}

// What this process publishes and can run goes past the queue, but not past those that wait there, and not into a paused service.
func TestOffersGoPastTheQueue(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ran := make(chan Delivery, 10)
		release := make(chan struct{})
		s := process(t, db, 1, handles("x", func(_ context.Context, d Delivery) ([]byte, error) {
			ran <- d
			<-release
			return nil, nil
		}))
		first := invoke(t, s, Call{Service: "x", Payload: []byte("1"), InReplyTo: "someone", Expires: time.Hour, IdempotencyKey: "k"})
		if i, err := s.Invocation(t.Context(), first); err != nil || i.State != Running || i.Attempt != 1 ||
			i.Worker != s.process || i.LeaseUntil.IsZero() {
			t.Errorf("%+v, %v", i, err)
		}
		if d := <-ran; d.CID != first || string(d.Payload) != "1" || d.InReplyTo != "someone" || d.LeaseFor != DefaultPolicy.Lease || d.Attempt != 1 {
			t.Errorf("%+v", d)
		}
		if n, err := db.Client().ZCard(t.Context(), s.keys.Service("x").Expiring()).Result(); err != nil || n != 0 {
			t.Errorf("%d expire, %v", n, err)
		}
		again, err := s.Invoke(t.Context(), Call{Service: "x", Payload: []byte("1"), IdempotencyKey: "k"})
		if err != nil || again != first {
			t.Errorf("%s, %v", again, err)
		}
		second := invoke(t, s, Call{Service: "x", Payload: []byte("2")})
		if i, err := s.Invocation(t.Context(), second); err != nil || i.State != Queued {
			t.Errorf("there is no slot: %+v, %v", i, err)
		}
		close(release)
		becomes(t, s, second, Done)
		becomes(t, s, first, Done)
		if err := s.SetPaused(t.Context(), "x", true); err != nil {
			t.Fatal(err)
		}
		third := invoke(t, s, Call{Service: "x"})
		if i, err := s.Invocation(t.Context(), third); err != nil || i.State != Queued {
			t.Errorf("the service is paused: %+v, %v", i, err)
		}
		if err := s.SetPaused(t.Context(), "x", false); err != nil {
			t.Fatal(err)
		}
		becomes(t, s, third, Done)
		kvtest.Await(t, "no slot is kept", func() bool {
			w := s.workers.Load()
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.offers == 0 && w.free == w.size && len(w.busy) == 0 && len(w.held) == 0
		})
	})
}

// An answer that gets lost leaves no lease behind that nobody has, and no slot that nobody uses.
func TestOffersInDoubtAreGivenBack(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := process(t, db, 1, handles("x", func(context.Context, Delivery) ([]byte, error) { return nil, nil }))
	becomes(t, s, invoke(t, s, Call{Service: "x"}), Done)
	kvtest.Await(t, "a slot is free", func() bool { w := s.slotFor("x"); w.letGo(); return w != nil })
	srv.Pause()
	cid, err := s.Invoke(t.Context(), Call{Service: "x"})
	srv.Resume()
	if !errors.Is(err, kvdb.ErrUnknown) || cid == "" {
		t.Fatalf("%q, %v", cid, err)
	}
	if i := becomes(t, s, cid, Done); len(i.Attempts) != 1 {
		t.Errorf("%+v", i)
	}
}

func TestFinishedIsTold(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	var mu sync.Mutex
	var told []Finished
	s := New(db, Options{Process: "p1", OnFinished: func(f Finished) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, f)
	}})
	handles("x", func(_ context.Context, d Delivery) ([]byte, error) {
		var wait int
		if err := json.Unmarshal(d.Payload, &wait); err != nil {
			return nil, err
		}
		<-time.After(time.Duration(wait) * time.Millisecond)
		return nil, nil
	})(s)
	s.Start(t.Context())
	s.StartWorkers(t.Context(), 2)
	good := invoke(t, s, Call{Service: "x", Payload: []byte("30")})
	becomes(t, s, good, Done)
	bad := invoke(t, s, Call{Service: "x", Payload: []byte("{}"), MaxAttempts: 1})
	becomes(t, s, bad, Dead)
	closeStore(t, s)
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 {
		t.Fatalf("told %+v", told)
	}
	if f := told[0]; f.CID != good || f.Service != "x" || f.Worker != "p1" || f.Failed || f.Ran < 30*time.Millisecond ||
		f.Ran > 10*time.Second || f.Waited < 0 {
		t.Errorf("%+v", f)
	}
	if f := told[1]; f.CID != bad || !f.Failed {
		t.Errorf("%+v", f)
	}
}
