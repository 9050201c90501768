package broker

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// underSentinel opens a master that a Sentinel watches, as a process of ours does.
func underSentinel(t *testing.T, url string) *kvdb.DB {
	t.Helper()
	db, err := kvdb.Open(kvdb.Config{URL: url, Prefix: "failover:"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// at opens one server itself, under the same prefix.
func at(t *testing.T, srv *kvtest.Server) *kvdb.DB {
	t.Helper()
	db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), Prefix: "failover:"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// becomesMaster waits for the end of a failover.
func becomesMaster(t *testing.T, db *kvdb.DB) {
	t.Helper()
	kvtest.Await(t, "the replica is the master", func() bool {
		role, err := db.Client().Do(t.Context(), "ROLE").Slice()
		return err == nil && role[0] == "master"
	})
}

// TestFailover kills the master while 200 invocations run, which its replica is known to have, and others are published. All that was
// acknowledged is done, but what the replica had not got yet: that can only be from the moment of the kill.
func TestFailover(t *testing.T) {
	t.Parallel()
	safe := []string{"--appendonly", "yes", "--appendfsync", "always", "--min-replicas-to-write", "1"}
	master, replica := kvtest.NewPair(t, safe...)
	url := kvtest.NewSentinel(t, master.Port(), "main")
	const underWay = 200
	release, begun := make(chan struct{}), make(chan string, underWay)
	var mu sync.Mutex
	ran := map[string]int{}
	s := process(t, underSentinel(t, url), 2*underWay, handles("work", func(ctx context.Context, d Delivery) ([]byte, error) {
		mu.Lock()
		ran[d.CID]++
		mu.Unlock()
		if string(d.Payload) == `"long"` && d.Attempt == 1 {
			begun <- d.CID
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return d.Payload, ctx.Err()
	}))
	p := DefaultPolicy // what was handed out when the master died comes back, and what was tried while it was away does not count
	p.Lease, p.Backoff, p.BackoffMost, p.MaxAttempts = 5*time.Second, 10*time.Millisecond, 20*time.Millisecond, mostAttempts
	kvtest.Await(t, "the master knows that it has a replica", func() bool {
		_, err := s.SetPolicy(t.Context(), "work", p)
		return err == nil
	})
	for range underWay {
		go func() {
			if _, err := s.Invoke(t.Context(), Call{Service: "work", Payload: []byte(`"long"`)}); err != nil {
				t.Error(err)
			}
		}()
	}
	var long []string
	for range underWay {
		long = append(long, <-begun)
	}
	// What this connection waits for comes after all that was written before.
	old := at(t, master).Client().(*redis.Client).Conn()
	must(t, old.Set(t.Context(), "marker", "all are under way", 0).Err())
	if n, err := old.Wait(t.Context(), 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("the replica does not follow: %d, %v", n, err)
	}
	must(t, old.Close())

	type published struct {
		cid           string
		since, answer time.Time
	}
	var acked []published
	var last error // that a caller got
	var seen Invocation
	stop, stopped := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for n := 0; stop.Err() == nil; n++ {
				since := time.Now()
				cid, err := s.Invoke(t.Context(), Call{Service: "work", Payload: []byte(strconv.Itoa(n))})
				switch {
				case err == nil:
					mu.Lock()
					acked = append(acked, published{cid, since, time.Now()})
					mu.Unlock()
				case !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown):
					t.Errorf("invoke: %v", err)
				default:
					mu.Lock()
					last = err
					mu.Unlock()
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	kvtest.Await(t, "others are published", func() bool { return count() > 100 })
	killed := time.Now()
	master.Kill()
	becomesMaster(t, s.db)                                                        // by what the Sentinel says: it is done then
	master.Args = append(master.Args, "--replicaof", "127.0.0.1 "+replica.Port()) // else nothing may be written
	master.Restart()
	close(release)
	before := count()
	t.Cleanup(func() {
		if mu.Lock(); t.Failed() {
			t.Logf("the last error of a caller was %v; the last invocation looked at: %+v", last, seen)
		}
		mu.Unlock()
	})
	kvtest.Await(t, "others are published again", func() bool { return count() > before+100 })
	stopped()
	callers.Wait()

	for _, cid := range long {
		kvtest.Await(t, cid+" is done", func() bool {
			i, err := s.Invocation(t.Context(), cid)
			if errors.Is(err, kvdb.ErrNotFound) {
				t.Fatalf("%s is lost, which the replica had", cid)
			}
			seen = i
			return err == nil && i.State == Done && string(i.Result) == `"long"`
		})
	}
	lost := 0
	for _, p := range acked {
		kvtest.Await(t, p.cid+" is done or lost", func() bool {
			i, err := s.Invocation(t.Context(), p.cid)
			seen = i
			if !errors.Is(err, kvdb.ErrNotFound) {
				return err == nil && i.State == Done
			}
			if p.answer.Before(killed.Add(-time.Second)) || p.since.After(killed) { // replication is behind by milliseconds
				t.Errorf("%s, acknowledged %s after the kill, is lost", p.cid, p.answer.Sub(killed))
			}
			lost++
			return true
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for _, cid := range long {
		if ran[cid] == 0 {
			t.Errorf("%s is done, and nobody ran it", cid)
		}
	}
	t.Logf("%d acknowledged, %d of them lost by Redis at the failover", len(acked)+underWay, lost)
}

// TestSubscribersAfterAFailover has Redis lose messages that subscribers have got already. The numbers of the lost ones are given out
// again, and however many there are when a subscriber looks, it is told that it has missed some.
func TestSubscribersAfterAFailover(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int{"fewer come": 2, "as many come": 3, "more come": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, replica := kvtest.NewPair(t)
			s := core(t, underSentinel(t, kvtest.NewSentinel(t, master.Port(), "main")))
			publish := func(s *Store, n int) {
				t.Helper()
				_, _, err := s.PublishTimes(t.Context(), "news", []byte(strconv.Itoa(n)), "anna", "", n)
				must(t, err)
			}
			publish(s, 10)
			new := at(t, replica)
			kvtest.Await(t, "the replica has them", func() bool {
				n, err := new.Client().XLen(t.Context(), new.Keys().Channel("news").Log()).Result()
				return err == nil && n == 10
			})
			sub, err := s.Subscribe(t.Context(), "news", SubscribeOptions{After: FromOldest})
			must(t, err)
			defer sub.Close()
			next := func() Event {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				e, err := sub.Next(ctx)
				if err != nil {
					t.Fatalf("nothing comes: %v (%v)", err, sub.Trouble())
				}
				return e
			}
			replica.Pause()
			must(t, at(t, master).Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err()) // or it would read them when it goes on
			publish(s, 3)
			for n := range int64(13) {
				if e := next(); e.Gap != nil || e.N != n+1 {
					t.Fatalf("%+v comes, want message %d", e, n+1)
				}
			}
			master.Kill()
			replica.Resume()
			becomesMaster(t, new)
			publish(core(t, new), after) // before the subscriber's process has found the new master

			if e := next(); e.Gap == nil || e.Gap.Reason != GapLost {
				t.Fatalf("after the failover comes %+v, not that messages are missing", e)
			}
			kvtest.Await(t, "the process has found the new master", func() bool { return s.db.Client().Ping(t.Context()).Err() == nil })
			publish(s, 1)
			for {
				if e := next(); e.Gap != nil {
					t.Fatalf("one more gap: %+v", e.Gap)
				} else if string(e.Data) == "1" {
					break
				}
			}
		})
	}
}
