package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// core is a Store of which nothing runs but what a test calls.
func core(t *testing.T, db *kvdb.DB, options ...func(o *Options)) *Store {
	t.Helper()
	var o Options
	for _, f := range options {
		f(&o)
	}
	s := New(db, o)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// take receives one invocation that has to be there.
func take(t *testing.T, s *Store, service string) Delivery {
	t.Helper()
	got, err := s.Receive(t.Context(), service, "worker", 1, 0, 0)
	if err != nil || len(got) != 1 {
		t.Fatalf("received %v, %v", got, err)
	}
	return got[0]
}

// nothing wants that there is nothing to receive.
func nothing(t *testing.T, s *Store, service string) {
	t.Helper()
	if got, err := s.Receive(t.Context(), service, "worker", 1, 0, 0); err != nil || len(got) != 0 {
		t.Fatalf("received %v, %v", got, err)
	}
}

// about returns an invocation that must be in a state.
func about(t *testing.T, s *Store, cid string, want State) Invocation {
	t.Helper()
	i, err := s.Invocation(t.Context(), cid)
	if err != nil || i.State != want {
		t.Fatalf("%s is %s, %v; want %s", cid, i.State, err, want)
	}
	wantInOneSet(t, s, i)
	return i
}

// wantInOneSet checks that an invocation is in the set of its state and in no other.
func wantInOneSet(t *testing.T, s *Store, i Invocation) {
	t.Helper()
	for _, state := range States {
		err := s.db.Client().ZScore(t.Context(), setOf(s.keys.Service(i.Service), state).key, i.CID).Err()
		if in := err == nil; in != (state == i.State) {
			t.Errorf("%s is %s; that it is in the set of %s is %t (%v)", i.CID, i.State, state, in, err)
		}
	}
}

// back makes the scores of a set earlier, as if time had passed.
func back(t *testing.T, s *Store, key, cid string, by time.Duration) {
	t.Helper()
	amount := float64(by.Milliseconds())
	for _, state := range []State{Queued, Done, Dead, Expired, Cancelled} {
		if strings.HasSuffix(key, ":"+string(state)) {
			amount = float64(by.Microseconds())
		}
	}
	must(t, s.db.Client().ZIncrBy(t.Context(), key, -amount, cid).Err())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantLost(t *testing.T, err error, state State) {
	t.Helper()
	var lost *LeaseLostError
	if !errors.As(err, &lost) || lost.State != state || !errors.Is(err, kvdb.ErrConflict) {
		t.Errorf("error %v; want a lost lease, %s", err, state)
	}
}

func TestAnInvocationIsDone(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		cid := invoke(t, s, Call{Service: "a/b:c.d-e_f", Payload: []byte(` {"n": 12345678901234567890, "x":1.0} `),
			By: `who "n":1 "s":"done"`, MaxAttempts: 7})
		i := about(t, s, cid, Queued)
		if string(i.Payload) != ` {"n": 12345678901234567890, "x":1.0} ` || i.By != `who "n":1 "s":"done"` || i.MaxAttempts != 7 ||
			i.Attempt != 0 || len(i.Attempts) != 0 {
			t.Errorf("published: %+v", i)
		}
		d := take(t, s, "a/b:c.d-e_f")
		if d.CID != cid || string(d.Payload) != string(i.Payload) || d.Attempt != 1 || d.LeaseFor != DefaultPolicy.Lease ||
			d.Waited <= 0 || d.Waited > time.Minute {
			t.Errorf("delivered: %+v", d)
		}
		nothing(t, s, d.Service)
		i = about(t, s, cid, Running)
		if left := time.Until(i.LeaseUntil); left < 20*time.Second || left > 40*time.Second || i.Worker != "worker" ||
			len(i.Attempts) != 1 || !i.Attempts[0].EndedAt.IsZero() {
			t.Errorf("running: %+v", i)
		}
		must(t, s.Ack(t.Context(), cid, d.Lease, []byte(`{"ok":true}`)))
		i = about(t, s, cid, Done)
		if string(i.Result) != `{"ok":true}` || i.Error != "" || len(i.Attempts) != 1 || i.Attempts[0].EndedAt.IsZero() || i.EndedAt.Before(i.StartedAt) {
			t.Errorf("done: %+v", i)
		}
		wantLost(t, s.Ack(t.Context(), cid, d.Lease, nil), Done)
		wantLost(t, s.Nack(t.Context(), cid, d.Lease, "late", 0), Done)
		_, err := s.Extend(t.Context(), cid, d.Lease)
		wantLost(t, err, Done)
	})
}

func TestAFailureIsRetriedUntilItIsDead(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		cid := invoke(t, s, Call{Service: "fails", MaxAttempts: 3})
		set := func(state State) string { return setOf(s.keys.Service("fails"), state).key }

		must(t, s.Nack(t.Context(), cid, take(t, s, "fails").Lease, "first \xff failure", -1))
		i := about(t, s, cid, Retrying)
		if wait := i.DueAt.Sub(i.Attempts[0].EndedAt); wait < 0 || wait > time.Second {
			t.Errorf("the second attempt is after %v", wait)
		}
		nothingUnlessDue := i.DueAt
		if time.Now().Before(nothingUnlessDue.Add(-100 * time.Millisecond)) {
			nothing(t, s, "fails")
		}
		back(t, s, set(Retrying), cid, time.Hour)
		d := take(t, s, "fails")
		if d.Attempt != 2 {
			t.Errorf("attempt %d", d.Attempt)
		}
		must(t, s.Nack(t.Context(), cid, d.Lease, "second", time.Hour))
		i = about(t, s, cid, Retrying)
		if wait := i.DueAt.Sub(i.Attempts[1].EndedAt); wait != time.Hour {
			t.Errorf("the third attempt is after %v", wait)
		}
		back(t, s, set(Retrying), cid, 2*time.Hour)
		must(t, s.Nack(t.Context(), cid, take(t, s, "fails").Lease, "third", 0))
		i = about(t, s, cid, Dead)
		var errs []string
		for n, a := range i.Attempts {
			if errs = append(errs, a.Error); a.N != n+1 || a.Worker != "worker" || a.EndedAt.Before(a.StartedAt) {
				t.Errorf("attempt %+v", a)
			}
		}
		if want := []string{"first \uFFFD failure", "second", "third"}; !slices.Equal(errs, want) || i.Error != "third" {
			t.Errorf("errors %q, last %q", errs, i.Error)
		}
	})
}

func TestAPermanentFailureIsDeadAtOnce(t *testing.T) {
	s := core(t, kvtest.Open(t))
	cid := invoke(t, s, Call{Service: "fails"})
	must(t, s.fail(t.Context(), cid, take(t, s, "fails").Lease, "it never can"))
	if i := about(t, s, cid, Dead); i.Error != "it never can" || i.Attempt != 1 {
		t.Errorf("%+v", i)
	}
}

func TestRetryAtOnceGoesBehindTheOthers(t *testing.T) {
	s := core(t, kvtest.Open(t))
	first, second := invoke(t, s, Call{Service: "q"}), invoke(t, s, Call{Service: "q"})
	must(t, s.Nack(t.Context(), first, take(t, s, "q").Lease, "again", 0))
	about(t, s, first, Queued)
	if d := take(t, s, "q"); d.CID != second {
		t.Error("what failed came before the others")
	}
	if d := take(t, s, "q"); d.CID != first || d.Attempt != 2 {
		t.Errorf("then came %+v", d)
	}
}

func TestALeaseThatRunsOutIsGivenToAnother(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		cid := invoke(t, s, Call{Service: "q", MaxAttempts: 2})
		invoke(t, s, Call{Service: "q"})
		lost := take(t, s, "q")
		running := setOf(s.keys.Service("q"), Running).key
		back(t, s, running, cid, time.Hour)
		d := take(t, s, "q") // before the one that came later
		if d.CID != cid || d.Attempt != 2 || d.Lease == lost.Lease {
			t.Fatalf("delivered %+v", d)
		}
		wantLost(t, s.Ack(t.Context(), cid, lost.Lease, []byte(`"late"`)), Running)
		wantLost(t, s.Nack(t.Context(), cid, lost.Lease, "late", 0), Running)
		_, err := s.Extend(t.Context(), cid, lost.Lease)
		wantLost(t, err, Running)

		back(t, s, running, cid, time.Hour)
		take(t, s, "q") // settles, and gets the other one
		i := about(t, s, cid, Dead)
		if want := "the worker worker vanished: its lease ran out"; i.Error != want || len(i.Attempts) != 2 || i.Attempts[0].Error != want {
			t.Errorf("%+v", i)
		}
		wantLost(t, s.Ack(t.Context(), cid, d.Lease, nil), Dead)
	})
}

func TestExtendKeepsALease(t *testing.T) {
	s := core(t, kvtest.Open(t))
	cid := invoke(t, s, Call{Service: "q"})
	d := take(t, s, "q")
	running := setOf(s.keys.Service("q"), Running).key
	back(t, s, running, cid, 29*time.Second)
	until, err := s.Extend(t.Context(), cid, d.Lease)
	must(t, err)
	if left := time.Until(until); left < 25*time.Second || left > 35*time.Second {
		t.Errorf("it ends in %v", left)
	}
	if i := about(t, s, cid, Running); !i.LeaseUntil.Equal(until) {
		t.Errorf("it ends at %v, not %v", i.LeaseUntil, until)
	}
}

func TestGivenBackIsAsIfNeverTaken(t *testing.T) {
	s := core(t, kvtest.Open(t))
	cid := invoke(t, s, Call{Service: "q", Expires: time.Hour})
	invoke(t, s, Call{Service: "q"})
	d := take(t, s, "q")
	must(t, s.giveBack(t.Context(), cid, d.Lease))
	if i := about(t, s, cid, Queued); i.Attempt != 0 || len(i.Attempts) != 0 {
		t.Errorf("%+v", i)
	}
	wantLost(t, s.Ack(t.Context(), cid, d.Lease, nil), Queued)
	if again := take(t, s, "q"); again.CID != cid || again.Attempt != 1 || again.Lease == d.Lease {
		t.Errorf("then came %+v", again)
	}
}

func TestCancel(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		queued, delayed, running, retrying := invoke(t, s, Call{Service: "run"}),
			invoke(t, s, Call{Service: "wait", Delay: time.Hour, Expires: 2 * time.Hour}), "", ""
		running = take(t, s, "run").CID
		if running != queued {
			t.Fatal("another one ran")
		}
		lease := about(t, s, running, Running)
		retrying = invoke(t, s, Call{Service: "retry"})
		must(t, s.Nack(t.Context(), retrying, take(t, s, "retry").Lease, "x", time.Hour))
		queued = invoke(t, s, Call{Service: "run"})
		for _, cid := range []string{queued, delayed, running, retrying} {
			i, err := s.Cancel(t.Context(), cid)
			if err != nil || i.State != Cancelled || i.EndedAt.IsZero() {
				t.Errorf("cancelled %+v, %v", i, err)
			}
			about(t, s, cid, Cancelled)
			var state *StateError
			if _, err := s.Cancel(t.Context(), cid); !errors.As(err, &state) || state.State != Cancelled {
				t.Errorf("cancelled twice: %v", err)
			}
		}
		nothing(t, s, "run")
		wantLost(t, s.Ack(t.Context(), running, "1-"+lease.Worker, nil), Cancelled)
		if i := about(t, s, running, Cancelled); len(i.Attempts) != 1 || i.Attempts[0].Error == "" {
			t.Errorf("%+v", i)
		}
		if n := db.Client().ZCard(t.Context(), s.keys.Service("wait").Expiring()).Val(); n != 0 {
			t.Errorf("%d still expire", n)
		}
	})
}

func TestAClockThatIsWrong(t *testing.T) {
	db := kvtest.Open(t)
	s := core(t, db)
	ahead := core(t, db, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	early := invoke(t, ahead, Call{Service: "q"})
	late := invoke(t, s, Call{Service: "q"})
	expires := invoke(t, ahead, Call{Service: "q", Expires: time.Minute})
	if got := take(t, ahead, "q"); got.CID != early || got.Waited > time.Minute {
		t.Errorf("first came %+v", got)
	}
	if got := take(t, ahead, "q"); got.CID != late {
		t.Errorf("then came %+v", got)
	}
	must(t, ahead.upkeep(t.Context(), true))
	about(t, s, expires, Queued)
	about(t, s, late, Running)
	if at, err := ahead.Service(t.Context(), "q"); err != nil || at.OldestFor > time.Minute || at.Workers != 1 {
		t.Errorf("%+v, %v", at, err)
	}
}

func TestErrorsOfAKind(t *testing.T) {
	t.Parallel()
	same := [][]string{
		{`order 17 not found`, `order 99 not found`}, {`no user "jim"`, `no user "eve"`},
		{"x 550e8400-e29b-41d4-a716-446655440000", "x 123e4567-e89b-12d3-a456-426614174000"},
		{"timeout after 1.5s\nstack 1", "timeout after 22.75s\nstack other"},
	}
	seen := map[string]bool{}
	for _, pair := range same {
		if fingerprint(pair[0]) != fingerprint(pair[1]) {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
		seen[fingerprint(pair[0])] = true
	}
	if len(seen) != len(same) {
		t.Error("different errors are of one kind")
	}
}

// zcard is how many a set holds.
func zcard(t *testing.T, s *Store, key string) int64 {
	t.Helper()
	n, err := s.db.Client().ZCard(t.Context(), key).Result()
	must(t, err)
	return n
}

// keysOf counts the keys of a service.
func keysOf(t *testing.T, s *Store, service string) (n int) {
	t.Helper()
	client := s.db.Client().(*redis.Client)
	for iter := client.Scan(t.Context(), 0, s.keys.Service(service).Base()+"*", 1000).Iterator(); iter.Next(t.Context()); {
		n++
	}
	return n
}
