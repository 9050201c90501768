package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// set is a change in a script, as the domains make them.
var set = kvdb.NewScript(`return redis.call('SET', KEYS[1], ARGV[1])`)

// TestRefusals has each way in which a server refuses to work, from a real one.
func TestRefusals(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, args ...string) (*kvtest.Server, *kvdb.DB) {
		t.Helper()
		srv := kvtest.NewServer(t, args...)
		return srv, srv.DB(t)
	}
	tests := []struct {
		name  string
		setup func(t *testing.T) *kvdb.DB
		says  string // part of the sentence
		reads bool   // whether reads work
	}{
		{"full", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--maxmemory", "100kb")
			return db
		}, "all the memory", true},
		{"replica", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--replicaof", "127.0.0.1 1")
			return db
		}, "read-only replica", true},
		{"replica without its master", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
			return db
		}, "lost its master", false},
		{"too few replicas", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--min-replicas-to-write", "1")
			return db
		}, "too few replicas", true},
		{"disk broken", func(t *testing.T) *kvdb.DB {
			srv, db := start(t, "--save", "3600 1")
			ctx := t.Context()
			must(t, os.Mkdir(filepath.Join(srv.Dir(), "dump.rdb"), 0o700)) // in the way of the file
			must(t, db.Client().BgSave(ctx).Err())
			await(t, func() bool {
				return strings.Contains(db.Client().Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:err")
			})
			return db
		}, "cannot save its data to disk", true},
		{"no password", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--requirepass", "secret")
			return db
		}, "asks for a password", false},
		{"wrong password", func(t *testing.T) *kvdb.DB {
			srv, _ := start(t, "--requirepass", "secret")
			return open(t, strings.Replace(srv.URL(), "unix://", "unix://:hunter2@", 1))
		}, "refused the user or the password", false},
		{"no permission", func(t *testing.T) *kvdb.DB {
			srv, db := start(t)
			must(t, db.Client().Do(t.Context(), "ACL", "SETUSER", "eve", "on", ">hunter2", "+ping").Err())
			return open(t, strings.Replace(srv.URL(), "unix://", "unix://eve:hunter2@", 1))
		}, "no permission", false},
		{"too many clients", func(t *testing.T) *kvdb.DB {
			srv, db := start(t, "--maxclients", "1")
			// The server may not have seen yet that kvtest is gone.
			await(t, func() bool { return db.Client().Ping(t.Context()).Err() == nil })
			return srv.DB(t)
		}, "as many connections as it may have", false},
		{"cluster without slots", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
			return db
		}, "Cluster is down", false},
		{"a node as one server", func(t *testing.T) *kvdb.DB {
			addr := strings.TrimPrefix(kvtest.OpenCluster(t).Addr(), "redis-cluster://")
			addr, _, _ = strings.Cut(addr, ",")
			// Of the keys that are tried, each node lacks some.
			return open(t, "redis://"+addr)
		}, "redis-cluster://", false},
		{"one server as a cluster", func(t *testing.T) *kvdb.DB {
			srv, _ := start(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1")
			return open(t, "redis-cluster://127.0.0.1:"+srv.Port())
		}, "not part of a cluster", false},
		{"loading", func(t *testing.T) *kvdb.DB {
			srv, db := start(t, "--appendonly", "yes", "--appendfsync", "no")
			fill(t, db)
			srv.Args = append(srv.Args, loadSlowly...)
			srv.Restart()
			return db
		}, "is loading", false},
		{"busy", func(t *testing.T) *kvdb.DB {
			_, db := start(t, "--lua-time-limit", "1")
			go db.Client().Eval(t.Context(), "while true do end", nil)
			ctx := t.Context()
			await(t, func() bool { return db.Health(ctx).Status == kvdb.StatusBusy })
			return db
		}, "running a script", false},
		{"killed", func(t *testing.T) *kvdb.DB {
			srv, db := start(t)
			must(t, db.Client().Ping(t.Context()).Err())
			srv.Kill()
			return db
		}, "not reachable", false},
		{"paused before it was asked", func(t *testing.T) *kvdb.DB {
			srv, db := start(t)
			srv.Pause()
			return db
		}, "did not answer in time", false},
		{"nobody there", func(t *testing.T) *kvdb.DB {
			return open(t, "redis://127.0.0.1:1")
		}, "not reachable", false},
		{"no such name", func(t *testing.T) *kvdb.DB {
			return open(t, "redis://no-such-host.invalid")
		}, "not reachable", false},
		{"no cluster there", func(t *testing.T) *kvdb.DB {
			return open(t, "redis-cluster://127.0.0.1:1,127.0.0.1:2")
		}, "not reachable", false},
		{"no Sentinel there", func(t *testing.T) *kvdb.DB {
			return open(t, "redis-sentinel://127.0.0.1:1?master=m")
		}, "Sentinels", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := tt.setup(t)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var err error
			for _, key := range []string{"a", "b", "c", "d"} { // of three nodes
				if err = set.Run(ctx, db, []string{key}, "v").Err(); err != nil {
					break
				}
			}
			werr := kvdb.WriteErr("save the thing", err)
			if !errors.Is(werr, kvdb.ErrAway) || errors.Is(werr, kvdb.ErrUnknown) {
				t.Fatalf("write: %v (%T), want ErrAway", werr, err)
			}
			says := kvdb.Sentence(werr)
			if !strings.Contains(says, tt.says) || !strings.Contains(says, "Nothing was changed.") {
				t.Errorf("the sentence is %q, want it to say %q; %v", says, tt.says, werr)
			}
			if text := werr.Error() + says; strings.Contains(text, "hunter2") {
				t.Errorf("the error has the password: %s", text)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			rerr := kvdb.ReadErr("read the thing", db.Client().MGet(ctx, "d").Err())
			if tt.reads && rerr != nil {
				t.Errorf("read: %v", rerr)
			}
			if !tt.reads && !errors.Is(rerr, kvdb.ErrAway) && rerr != nil && tt.name != "a node as one server" {
				t.Errorf("read: %v, want ErrAway", rerr)
			}
			if rerr != nil && strings.Contains(kvdb.Sentence(rerr), "changed") {
				t.Errorf("the sentence of a read is %q", kvdb.Sentence(rerr))
			}
		})
	}
}

func TestPoolTimeoutIsNotSent(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := kvdb.WriteErr("save", set.Run(ctx, db, []string{"k"}, "v").Err())
	if !errors.Is(err, kvdb.ErrAway) || !errors.Is(err, context.Canceled) {
		t.Errorf("write with a context that has ended: %v", err)
	}
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	if kvdb.WriteErr("op", nil) != nil || kvdb.ReadErr("op", nil) != nil {
		t.Error("nil became an error")
	}
	conflict := fmt.Errorf("dict: %w", kvdb.ErrConflict)
	plain := errors.New("plain")
	tests := []struct {
		err, want error
	}{
		{redis.Nil, kvdb.ErrNotFound},
		{conflict, kvdb.ErrConflict},
		{kvdb.Invalid("name", "is %d characters too long", 3), kvdb.ErrInvalid},
		{plain, plain},
	}
	for _, tt := range tests {
		for _, wrap := range []func(string, error) error{kvdb.WriteErr, kvdb.ReadErr} {
			err := wrap("op", tt.err)
			if !errors.Is(err, tt.want) || errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) || kvdb.Sentence(err) != "" {
				t.Errorf("%v became %v", tt.err, err)
			}
		}
	}
	if got, want := kvdb.Invalid("name", "is %d characters too long", 3).Error(), "name: is 3 characters too long"; got != want {
		t.Errorf("InvalidError = %q, want %q", got, want)
	}
}

// TestScriptErrorKeepsItsCode: scripts return their own codes.
func TestScriptErrorKeepsItsCode(t *testing.T) {
	t.Parallel()
	script := kvdb.NewScript(`return redis.error_reply('STALE version is 3')`)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		for range 2 { // by EVAL, then by EVALSHA
			if err := script.Run(t.Context(), db, []string{db.Keys().Schema()}).Err(); !redis.HasErrorPrefix(err, "STALE ") {
				t.Errorf("the error is %v", err)
			}
		}
	})
}

// TestNotRedis: other servers give errors, not crashes or hangs.
func TestNotRedis(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "", "\x00\x01\x02\r\n"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = conn.Write([]byte(answer))
				conn.Close()
			}
		}()
		db := open(t, "redis://"+l.Addr().String())
		if err := kvdb.WriteErr("save", set.Run(t.Context(), db, []string{"k"}, "v").Err()); err == nil || errors.Is(err, kvdb.ErrUnknown) {
			t.Errorf("answer %q: %v", answer, err)
		}
		if h := db.Health(t.Context()); h.Status != kvdb.StatusAway || h.Detail == "" {
			t.Errorf("answer %q: health %+v", answer, h)
		}
	}
}
