package broker

import (
	"errors"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestPolicies(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		p, err := s.SetPolicy(t.Context(), "new", Policy{MaxAttempts: 1, Lease: 5 * time.Second})
		must(t, err)
		want := DefaultPolicy
		want.MaxAttempts, want.Lease, want.Version = 1, 5*time.Second, 1
		if at, err := s.Service(t.Context(), "new"); err != nil || p != want || at.Policy != want {
			t.Errorf("%+v, %+v, %v", p, at.Policy, err)
		}
		var stale *StaleError
		if _, err := s.SetPolicy(t.Context(), "new", Policy{}); !errors.As(err, &stale) || stale.Current != want || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("with an old version: %v", err)
		}
		// It holds for what is there already.
		cid := invoke(t, s, Call{Service: "new"})
		d := take(t, s, "new")
		if d.LeaseFor != 5*time.Second {
			t.Errorf("%+v", d)
		}
		must(t, s.Nack(t.Context(), cid, d.Lease, "x", 0))
		about(t, s, cid, Dead)
		for _, wrong := range []Policy{{MaxAttempts: 101}, {Backoff: -1}, {Backoff: time.Hour, BackoffMost: time.Minute}, {Lease: time.Millisecond},
			{KeepDoneN: -1}, {KeepDead: time.Second}} {
			if _, err := s.SetPolicy(t.Context(), "other", wrong); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
		must(t, s.SetPaused(t.Context(), "new", true))
		want.Version, want.MaxAttempts = 2, 9
		if p, err := s.SetPolicy(t.Context(), "new", Policy{Version: 1, MaxAttempts: 9, Lease: 5 * time.Second}); err != nil || p != want {
			t.Errorf("changed while paused: %+v, %v", p, err)
		}
	})
}

func TestUpkeepSettlesWhatNobodyAsksFor(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		k := s.keys.Service("q")
		leased := invoke(t, s, Call{Service: "q", MaxAttempts: 1})
		take(t, s, "q")
		delayed := invoke(t, s, Call{Service: "q", Delay: time.Hour})
		expires := invoke(t, s, Call{Service: "q", Expires: time.Hour})
		back(t, s, setOf(k, Running).key, leased, time.Hour)
		back(t, s, setOf(k, Delayed).key, delayed, 2*time.Hour)
		back(t, s, k.Expiring(), expires, 2*time.Hour)
		core(t, db).Start(t.Context()) // any process does it
		becomes(t, s, leased, Dead)
		becomes(t, s, delayed, Queued)
		becomes(t, s, expires, Expired)
	})
}

func TestWhatEndedIsForgotten(t *testing.T) {
	s := core(t, kvtest.Open(t))
	k := s.keys.Service("q")
	_, err := s.SetPolicy(t.Context(), "q", Policy{KeepDoneN: 5})
	must(t, err)
	var last string
	for range 20 {
		invoke(t, s, Call{Service: "q", Payload: []byte("1")})
		d := take(t, s, "q")
		must(t, s.Ack(t.Context(), d.CID, d.Lease, []byte("2")))
		last = d.CID
	}
	if n := zcard(t, s, setOf(k, Done).key); n != 5 {
		t.Errorf("%d are kept", n)
	}
	about(t, s, last, Done)

	// One whose callback is not published yet stays.
	invoke(t, s, Call{Service: "q", Callback: "c"})
	waits := take(t, s, "q")
	must(t, s.Ack(t.Context(), waits.CID, waits.Lease, []byte(`"needed"`)))
	for range 10 {
		cid := invoke(t, s, Call{Service: "q"})
		d := take(t, s, "q")
		must(t, s.Ack(t.Context(), d.CID, d.Lease, nil))
		back(t, s, setOf(k, Done).key, cid, 2*time.Hour)
	}
	back(t, s, setOf(k, Done).key, waits.CID, 3*time.Hour)
	must(t, s.upkeep(t.Context(), true))
	if n := zcard(t, s, setOf(k, Done).key); n < 1 || n > 6 {
		t.Errorf("%d are kept", n)
	}
	if i := about(t, s, waits.CID, Done); string(i.Result) != `"needed"` {
		t.Errorf("%+v", i)
	}
	must(t, s.db.Client().ZRem(t.Context(), k.Outbox(), waits.CID).Err())
	must(t, s.upkeep(t.Context(), true))
	if _, err := s.Invocation(t.Context(), waits.CID); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("after its callback was published: %v", err)
	}

	gone := deadLetter(t, s, "q", "x")
	back(t, s, setOf(k, Dead).key, gone, 31*24*time.Hour)
	cancelled := invoke(t, s, Call{Service: "q"})
	_, err = s.Cancel(t.Context(), cancelled)
	must(t, err)
	back(t, s, setOf(k, Cancelled).key, cancelled, 2*time.Hour)
	must(t, s.upkeep(t.Context(), true))
	for _, cid := range []string{gone, cancelled} {
		if _, err := s.Invocation(t.Context(), cid); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("after it was kept long enough: %v", err)
		}
	}
	if groups, err := s.DeadGroups(t.Context(), "q"); err != nil || len(groups) != 0 {
		t.Errorf("groups %+v, %v", groups, err)
	}
}

func TestAStoreThatWasEmptied(t *testing.T) {
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s, other := core(t, db), core(t, db)
	must(t, s.upkeep(t.Context(), true))
	gone := invoke(t, s, Call{Service: "q"})
	about(t, other, gone, Queued)
	if n := s.Notices(); len(n) != 0 {
		t.Errorf("noticed %v", n)
	}
	must(t, db.Client().FlushAll(t.Context()).Err())
	cid := invoke(t, s, Call{Service: "q"}) // before anybody noticed
	must(t, s.upkeep(t.Context(), true))
	if n := s.Notices(); len(n) != 1 || n[0].Text == "" || time.Since(n[0].At) > time.Minute {
		t.Errorf("noticed %v", n)
	}
	about(t, core(t, db), cid, Queued) // by a process that has never seen the service
	if _, err := s.Invocation(t.Context(), gone); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("what was lost: %v", err)
	}
	must(t, s.upkeep(t.Context(), true))
	if n := s.Notices(); len(n) != 1 {
		t.Errorf("noticed again: %v", n)
	}
}

func TestRecordsThatSomebodyDeleted(t *testing.T) {
	s := core(t, kvtest.Open(t))
	k := s.keys.Service("q")
	queued, running, delayed := "", "", invoke(t, s, Call{Service: "q", Delay: time.Hour, Expires: 2 * time.Hour})
	running = invoke(t, s, Call{Service: "q"})
	take(t, s, "q")
	queued = invoke(t, s, Call{Service: "q"})
	dead := deadLetter(t, s, "other", "x")
	for _, cid := range []string{queued, running, delayed} {
		must(t, s.db.Client().Del(t.Context(), k.Invocation(cid)).Err())
	}
	must(t, s.db.Client().Del(t.Context(), s.keys.Service("other").Invocation(dead)).Err())
	back(t, s, setOf(k, Running).key, running, time.Hour)
	back(t, s, k.Expiring(), delayed, 3*time.Hour)
	back(t, s, setOf(k, Delayed).key, delayed, 2*time.Hour)
	must(t, s.upkeep(t.Context(), true))
	nothing(t, s, "q")
	if page, err := s.Invocations(t.Context(), Filter{}, "", 10); err != nil || len(page.Items) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	must(t, s.db.Client().Del(t.Context(), k.Invocation("x")).Err())
	cid := invoke(t, s, Call{Service: "q"})
	if d := take(t, s, "q"); d.CID != cid {
		t.Errorf("then came %+v", d)
	}
}
