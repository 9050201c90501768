package kvdb_test

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

var incr = kvdb.NewScript(`return redis.call('INCR', KEYS[1])`)

// ways are the ways to send a change.
var ways = map[string]func(ctx context.Context, db *kvdb.DB, key string) error{
	"command": func(ctx context.Context, db *kvdb.DB, key string) error { return db.Client().Incr(ctx, key).Err() },
	"script": func(ctx context.Context, db *kvdb.DB, key string) error {
		return incr.Run(ctx, db, []string{key}).Err()
	},
	"eval": func(ctx context.Context, db *kvdb.DB, key string) error {
		return db.Client().Eval(ctx, `return redis.call('INCR', KEYS[1])`, []string{key}).Err()
	},
	"pipeline": func(ctx context.Context, db *kvdb.DB, key string) error {
		_, err := db.Client().Pipelined(ctx, func(p redis.Pipeliner) error { return p.Incr(ctx, key).Err() })
		return err
	},
	"transaction": func(ctx context.Context, db *kvdb.DB, key string) error {
		_, err := db.Client().TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Incr(ctx, key).Err() })
		return err
	},
}

// TestNothingIsSentTwice stalls the server during each way of a change, for longer than the client waits. It
// runs them when it goes on: once.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode)
			ctx := t.Context()
			dbs := map[string]*kvdb.DB{}
			for name, way := range ways {
				dbs[name] = open(t, url)
				must(t, way(ctx, dbs[name], "warm")) // the connection is there, the script is known
			}
			srv.Pause()
			var wg sync.WaitGroup
			var mu sync.Mutex
			want := map[string]string{}
			for name, way := range ways {
				wg.Go(func() {
					err := kvdb.WriteErr("add", way(ctx, dbs[name], name))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case errors.Is(err, kvdb.ErrUnknown):
						want[name] = "1"
					case errors.Is(err, kvdb.ErrAway):
						// The client had to connect anew, and got no further than that.
					default:
						t.Errorf("%s: %v, want ErrUnknown", name, err)
					}
				})
			}
			wg.Wait()
			if len(want) == 0 {
				t.Error("nothing was sent")
			}
			srv.Resume()
			for _, db := range dbs {
				must(t, db.Close())
			}
			// What clients that are gone had sent is done when the server has let go of them.
			db := open(t, srv.URL())
			await(t, func() bool {
				return strings.Contains(db.Client().Info(ctx, "clients").Val(), "connected_clients:1\r")
			})
			for name := range ways {
				if n := db.Client().Get(ctx, name).Val(); n != want[name] {
					t.Errorf("%s was done %q times, want %q", name, n, want[name])
				}
			}
		})
	}
}

// TestHalfACommand: what was not sent to its end was surely not done. Of a pipeline, the first part may be.
func TestHalfACommand(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	must(t, db.Client().Ping(t.Context()).Err())
	srv.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	long := strings.Repeat("v", 16<<20)
	err := kvdb.WriteErr("save", set.Run(ctx, db, []string{"long"}, long).Err())
	if !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
		t.Errorf("half a command: %v", err)
	}
	srv.Resume()
	must(t, db.Client().Ping(t.Context()).Err())
	srv.Pause()
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "short", "v", 0)
		return p.Set(ctx, "long", long, 0).Err()
	})
	if err = kvdb.WriteErr("save", err); !errors.Is(err, kvdb.ErrUnknown) {
		t.Errorf("half a pipeline: %v", err)
	}
	srv.Resume()
	await(t, func() bool { return db.Client().Get(t.Context(), "short").Val() == "v" })
	if err := db.Client().Get(t.Context(), "long").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("half a command was done: %v", err)
	}
}

// TestCutConnection kills the server while a script runs that has changed something.
func TestCutConnection(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode)
			db := open(t, url)
			ctx := t.Context()
			must(t, db.Client().Get(ctx, "k").Err(), redis.Nil)
			done := make(chan error)
			go func() {
				script := kvdb.NewScript(`redis.call('INCR', KEYS[1]) while true do end`)
				done <- kvdb.WriteErr("add", script.Run(ctx, db, []string{"k"}).Err())
			}()
			await(t, func() bool { return db.Health(ctx).Status == kvdb.StatusBusy })
			srv.Kill()
			err := <-done
			var unknown *kvdb.UnknownError
			if !errors.As(err, &unknown) || !errors.Is(err, kvdb.ErrUnknown) || errors.Is(err, kvdb.ErrAway) || unknown.Op != "add" {
				t.Fatalf("%v, want ErrUnknown", err)
			}
			if says := kvdb.Sentence(err); !strings.Contains(says, "Check before you repeat it") {
				t.Errorf("the sentence is %q", says)
			}
			if err := kvdb.ReadErr("look", unknown.Err); !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
				t.Errorf("of a read: %v, want ErrAway", err)
			}
		})
	}
}

// TestRestartedServer: no request fails because the connections of before the restart are dead.
func TestRestartedServer(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode, "--appendonly", "yes", "--appendfsync", "always")
			db := open(t, url)
			ctx := t.Context()
			if n, err := incr.Run(ctx, db, []string{"k"}).Int(); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			srv.Restart()
			awaitHealth(t, db, kvdb.StatusOK)
			if n, err := incr.Run(ctx, db, []string{"k"}).Int(); n != 2 || err != nil {
				t.Error(n, err)
			}
		})
	}
}

// TestMovingSlot has a cluster hand a slot over while a client uses it.
func TestMovingSlot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv, url := newServer(t, "cluster")
	other, _ := newServer(t, "empty cluster")
	from, to := open(t, srv.URL()).Client(), open(t, other.URL()).Client()
	must(t, to.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", srv.Port()).Err())
	fromID, toID := from.Do(ctx, "CLUSTER", "MYID").Val(), to.Do(ctx, "CLUSTER", "MYID").Val()
	await(t, func() bool {
		return strings.Contains(to.ClusterInfo(ctx).Val(), "cluster_state:ok") && strings.Contains(from.ClusterNodes(ctx).Val(), toID.(string))
	})

	db := open(t, url)
	want := 0
	add := func(node redis.UniversalClient) {
		t.Helper()
		for name, way := range ways {
			if name == "transaction" { // which asks for each command; see the client's own tests
				continue
			}
			want++
			if err := way(ctx, db, "k"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// READONLY is not needed by the owner, ASKING is by the one that imports.
		pipe := node.Pipeline()
		pipe.Do(ctx, "ASKING")
		got := pipe.Get(ctx, "k")
		_, _ = pipe.Exec(ctx)
		if got.Val() != strconv.Itoa(want) {
			t.Errorf("the counter is %q (%v), want %d", got.Val(), got.Err(), want)
		}
	}
	slot := from.ClusterKeySlot(ctx, "k").Val()
	must(t, db.Client().Ping(ctx).Err())
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	add(to) // by ASK
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	add(to) // by MOVED
}

// newServer starts a server, for "cluster" one that is a cluster of its own, and returns its URL as such.
func newServer(t *testing.T, mode string, args ...string) (*kvtest.Server, string) {
	t.Helper()
	if mode == "single" {
		srv := kvtest.NewServer(t, append(args, "--lua-time-limit", "1")...)
		return srv, srv.URL()
	}
	srv := kvtest.NewServer(t, append([]string{"--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
		"--lua-time-limit", "1"}, args...)...)
	client := open(t, srv.URL()).Client()
	if mode == "cluster" {
		slots := make([]int, 16384)
		for i := range slots {
			slots[i] = i
		}
		must(t, client.ClusterAddSlots(t.Context(), slots...).Err())
		await(t, func() bool { return strings.Contains(client.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	}
	must(t, client.Close())
	return srv, "redis-cluster://127.0.0.1:" + srv.Port()
}

func awaitHealth(t *testing.T, db *kvdb.DB, status string) {
	t.Helper()
	var h kvdb.Health
	await(t, func() bool {
		h = db.Health(t.Context())
		return h.Status == status
	})
}
