package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// What was acknowledged is there after the server was killed; what was not done is not; the rest is one of both, and its CID tells.
func TestNothingIsLostWhenRedisIsKilled(t *testing.T) {
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := core(t, srv.DB(t))
	var (
		mu                sync.Mutex
		done, unknown     []string
		wg                sync.WaitGroup
		stop, interrupted = context.WithCancel(t.Context())
	)
	for range 8 {
		wg.Go(func() {
			for n := 0; stop.Err() == nil; n++ {
				cid, err := s.Invoke(t.Context(), Call{Service: "q" + strconv.Itoa(n%2), Payload: []byte(strconv.Itoa(n))})
				mu.Lock()
				switch {
				case err == nil:
					done = append(done, cid)
				case errors.Is(err, kvdb.ErrUnknown) && cid != "":
					unknown = append(unknown, cid)
				case !errors.Is(err, kvdb.ErrAway):
					t.Errorf("invoke: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(done) }
	for range 3 {
		before := count()
		kvtest.Await(t, "some were published", func() bool { return count() > before+200 })
		srv.Restart()
	}
	interrupted()
	wg.Wait()
	kvtest.Await(t, "the server is back", func() bool { return s.db.Client().Ping(t.Context()).Err() == nil })
	there := map[string]bool{}
	for _, i := range all(t, 1000, func(cursor string) (Page[Invocation], error) {
		return s.Invocations(t.Context(), Filter{State: Queued}, cursor, 1000)
	}) {
		there[i.CID] = true
	}
	for _, cid := range done {
		if !there[cid] {
			t.Fatalf("%s was acknowledged and is lost", cid)
		}
		delete(there, cid)
	}
	for _, cid := range unknown {
		delete(there, cid)
	}
	if len(there) > 0 {
		t.Errorf("%d were not done, but are there", len(there))
	}
	t.Logf("%d done, %d unknown", len(done), len(unknown))
}

func TestAServerThatHangs(t *testing.T) {
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := core(t, db)
	running := invoke(t, s, Call{Service: "q"})
	d := take(t, s, "q")
	srv.Pause()
	var wg sync.WaitGroup
	check := func(what string, do func() error) {
		wg.Go(func() {
			start := time.Now()
			err := do()
			if !errors.Is(err, kvdb.ErrUnknown) && !errors.Is(err, kvdb.ErrAway) {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(start); took > 12*time.Second {
				t.Errorf("%s took %v", what, took)
			}
		})
	}
	var cid string
	check("invoke", func() (err error) {
		cid, err = s.Invoke(t.Context(), Call{Service: "q", Op: "once"})
		var unknown *kvdb.UnknownError
		if errors.As(err, &unknown) && unknown.Check != "/broker/invocations/"+cid {
			t.Errorf("look at %q", unknown.Check)
		}
		return err
	})
	check("ack", func() error { return s.Ack(t.Context(), running, d.Lease, nil) })
	check("read", func() error { _, err := s.Invocation(t.Context(), running); return err })
	check("receive", func() error { _, err := s.Receive(t.Context(), "other", "w", 1, time.Second, 0); return err })
	wg.Wait()
	srv.Resume()
	kvtest.Await(t, "the server answers", func() bool {
		_, err := s.Invocation(t.Context(), running)
		return err == nil
	})
	// Said again, it is done once.
	if again := invoke(t, s, Call{Service: "q", Op: "once"}); again != cidFor("q", "once") || cid != "" && cid != again {
		t.Errorf("%s and %s", cid, again)
	}
	if at, err := s.Service(t.Context(), "q"); err != nil || at.Queued != 1 {
		t.Errorf("%+v, %v", at, err)
	}
	if err := s.Ack(t.Context(), running, d.Lease, nil); err != nil {
		wantLost(t, err, Done)
	}
	about(t, s, running, Done)
}

func TestAServerThatTakesNoWrites(t *testing.T) {
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := core(t, db)
	cid := invoke(t, s, Call{Service: "q"})
	d := take(t, s, "q")
	must(t, db.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
	for what, err := range map[string]error{
		"invoke": func() error { _, err := s.Invoke(t.Context(), Call{Service: "q"}); return err }(),
		"ack":    s.Ack(t.Context(), cid, d.Lease, []byte("1")),
	} {
		if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "maxmemory") {
			t.Errorf("%s: %v (%s)", what, err, kvdb.Sentence(err))
		}
	}
	must(t, db.Client().ConfigSet(t.Context(), "maxmemory", "0").Err())
	must(t, db.Client().Do(t.Context(), "CLIENT", "PAUSE", "300", "WRITE").Err())
	must(t, s.Ack(t.Context(), cid, d.Lease, []byte("1")))
	about(t, s, cid, Done)
}

// A script must not run while a cluster moves its keys: some may be on the one node and some on the other.
func TestASlotThatMoves(t *testing.T) {
	db := kvtest.OpenCluster(t)
	s := core(t, db)
	cid := invoke(t, s, Call{Service: "moves"})
	d := take(t, s, "moves")
	cluster := db.Client().(*redis.ClusterClient)
	slot, err := cluster.ClusterKeySlot(t.Context(), s.keys.Service("moves").Base()).Result()
	must(t, err)
	from, err := cluster.MasterForKey(t.Context(), s.keys.Service("moves").Base())
	must(t, err)
	var to *redis.Client
	var mu sync.Mutex
	must(t, cluster.ForEachMaster(t.Context(), func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Options().Addr != from.Options().Addr {
			to = c
		}
		return nil
	}))
	id := func(c *redis.Client) string { return c.Do(t.Context(), "CLUSTER", "MYID").Val().(string) }
	set := func(c *redis.Client, args ...any) {
		must(t, c.Do(t.Context(), append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err())
	}
	set(to, "IMPORTING", id(from))
	set(from, "MIGRATING", id(to))
	stable := sync.OnceFunc(func() { set(from, "STABLE"); set(to, "STABLE") })
	defer stable()
	if _, err := s.Invoke(t.Context(), Call{Service: "moves"}); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("invoke: %v", err)
	}
	if err := s.Ack(t.Context(), cid, d.Lease, nil); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("ack: %v", err)
	}
	stable()
	must(t, s.Ack(t.Context(), cid, d.Lease, nil))
	about(t, s, cid, Done)
	nothing(t, s, "moves")
}
