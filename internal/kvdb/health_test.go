package kvdb_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		awaitHealth(t, db, kvdb.StatusOK)
	})
}

// TestHealthOfTroubles has one server go from one trouble to the next.
func TestHealthOfTroubles(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode, "--appendonly", "yes", "--appendfsync", "no")
			if mode == "single" {
				url += "?db=3" // a blocked server refuses to select it
			}
			db := open(t, url)
			ctx := t.Context()
			is := func(status, detail string) {
				t.Helper()
				var h kvdb.Health
				await(t, func() bool {
					start := time.Now()
					h = db.Health(ctx)
					if took := time.Since(start); took > 3*time.Second {
						t.Errorf("it took %v", took)
					}
					return h.Status == status
				})
				if !strings.Contains(h.Detail, detail) || (detail == "") != (h.Detail == "") {
					t.Errorf("%+v, want %q", h, detail)
				}
			}
			fill(t, db)

			busy := make(chan struct{})
			go func() {
				db.Client().Eval(ctx, "while true do end", []string{"k"})
				close(busy)
			}()
			is(kvdb.StatusBusy, "running a script")
			killer := open(t, srv.URL()).Client()
			must(t, killer.ScriptKill(ctx).Err())
			<-busy
			is(kvdb.StatusOK, "")

			srv.Pause()
			is(kvdb.StatusAway, "did not answer in time")
			srv.Resume()
			is(kvdb.StatusOK, "")

			srv.Kill()
			is(kvdb.StatusAway, "not reachable")
			srv.Args = append(srv.Args, loadSlowly...)
			srv.Restart()
			is(kvdb.StatusLoading, "is loading")
		})
	}
}

// loadSlowly has a server take some seconds to load what fill wrote.
var loadSlowly = []string{"--key-load-delay", "20", "--loading-process-events-interval-bytes", "1024"}

func fill(t *testing.T, db *kvdb.DB) {
	t.Helper()
	script := kvdb.NewScript(`for i = 1, 10000 do redis.call('RPUSH', KEYS[1], i) end`)
	for range 4 {
		must(t, script.Run(t.Context(), db, []string{"k"}).Err(), redis.Nil)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		info, err := db.Info(t.Context())
		must(t, err)
		if info["server"]["redis_version"] == "" || len(info["commandstats"]) == 0 || info["keyspace"] == nil {
			t.Errorf("%v", slices.Collect(maps.Keys(info)))
		}
	})
	got := kvdb.ParseInfo("# Server\r\na:b:c\r\nempty:\r\n\r\n# Keyspace\r\nno field\r\n")
	if len(got) != 2 || got["server"]["a"] != "b:c" || len(got["server"]) != 2 || len(got["keyspace"]) != 0 {
		t.Errorf("%v", got)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		await(t, func() bool { return db.Summary().Status == kvdb.StatusOK })
		s := db.Summary()
		_, cluster := db.Client().(*redis.ClusterClient)
		if s.Version == "" || s.UsedMemory == 0 || s.Clients == 0 || (s.Mode == "cluster") != cluster {
			t.Errorf("%+v", s)
		}
	})
}

func TestSummaryWithoutInfo(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	must(t, srv.DB(t).Client().Do(t.Context(), "ACL", "SETUSER", "eve", "on", ">x", "~*", "+@all", "-info").Err())
	db := open(t, strings.Replace(srv.URL(), "unix://", "unix://eve:x@", 1))
	await(t, func() bool { return db.Summary().Status == kvdb.StatusOK })
	if s := db.Summary(); s != (kvdb.Summary{Status: kvdb.StatusOK}) {
		t.Errorf("%+v", s)
	}
	if _, err := db.Info(t.Context()); !strings.Contains(kvdb.Sentence(err), "no permission") {
		t.Errorf("info: %v", err)
	}
}

// TestSummaryNeverWaits: a page is shown while the server hangs.
func TestSummaryNeverWaits(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	srv.Pause()
	start := time.Now()
	for range 1000 {
		db.Summary()
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("1000 calls took %v", took)
	}
}
