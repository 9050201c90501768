package kvdb_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestInfoOf(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		nodes, err := db.InfoOf(t.Context())
		must(t, err)
		inCluster := strings.HasSuffix(t.Name(), "cluster")
		if want := map[bool]int{false: 1, true: 3}[inCluster]; len(nodes) != want {
			t.Fatalf("%d servers, want %d", len(nodes), want)
		}
		for i, n := range nodes {
			if n.Err != nil || n.Role != "master" || n.Info["server"]["redis_version"] == "" {
				t.Errorf("%s: role %q, %v", n.Addr, n.Role, n.Err)
			}
			if inCluster && (n.ID == "" || n.Slots == "") {
				t.Errorf("%s has no slots: %+v", n.Addr, n)
			}
			if inCluster && i == 0 && !strings.HasPrefix(n.Slots, "0-") {
				t.Errorf("the first has the slots %s", n.Slots)
			}
			if !n.NoPassword {
				t.Errorf("%s: the server has no password, and nobody says so", n.Addr)
			}
			if save, ok := n.Settings["save"]; !ok || !inCluster && save != "" {
				t.Errorf("%s: save is %q, %v", n.Addr, save, ok)
			}
		}
	})
}

func TestInfoOfReplica(t *testing.T) {
	t.Parallel()
	master := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1")
	replica := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--replicaof", "127.0.0.1 "+master.Port())
	db := open(t, replica.URL())
	var n kvdb.NodeInfo
	await(t, func() bool {
		nodes, err := db.InfoOf(t.Context())
		must(t, err)
		n = nodes[0]
		return n.Info["replication"]["master_link_status"] == "up"
	})
	if n.Role != "replica" || n.Of != "127.0.0.1:"+master.Port() {
		t.Errorf("role %s of %s", n.Role, n.Of)
	}
	master.Kill()
	await(t, func() bool {
		nodes, err := db.InfoOf(t.Context())
		must(t, err)
		return slices.ContainsFunc(nodes[0].Warnings(), func(w kvdb.Warning) bool {
			return w.Serious && strings.Contains(w.Text, "no connection to its master")
		})
	})
	replica.Kill()
	if _, err := db.InfoOf(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("without a server: %v", err)
	}
}

func TestEveryFieldOfInfoIsExplained(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		must(t, db.Client().Set(t.Context(), string(db.Keys())+"x", 1, 0).Err())
		_ = db.Client().Do(t.Context(), "lpush", string(db.Keys())+"x", 1).Err() // an error, so that there is one
		nodes, err := db.InfoOf(t.Context())
		must(t, err)
		fields := 0
		for _, n := range nodes {
			for _, s := range n.Info.Sections() {
				if s.Meaning == "" {
					t.Errorf("section %s is not explained", s.Name)
				}
				for _, f := range s.Fields {
					fields++
					if f.Meaning == "" {
						t.Errorf("%s: %s:%s is not explained", s.Name, f.Name, f.Raw)
					}
				}
			}
		}
		if fields < 150 {
			t.Errorf("there are %d fields", fields)
		}
	})
}

func TestSectionsKeepAnOrder(t *testing.T) {
	t.Parallel()
	info := kvdb.Info{
		"keyspace":     {"db10": "keys=1,expires=0,avg_ttl=0", "db2": "keys=12,expires=3,avg_ttl=1500"},
		"commandstats": {"cmdstat_get": "calls=1,usec=20,usec_per_call=20.00", "cmdstat_eval": "calls=1,usec=3000,usec_per_call=3000.00"},
		"server":       {"uptime_in_seconds": "1", "redis_version": "7.0.15"},
		"what":         {"new": "1"},
	}
	var got []string
	for _, s := range info.Sections() {
		got = append(got, s.Name)
		for _, f := range s.Fields {
			got = append(got, f.Name)
		}
	}
	want := "server redis_version uptime_in_seconds commandstats cmdstat_eval cmdstat_get keyspace db2 db10 what new"
	if strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
	db2 := info.Sections()[2].Fields[0]
	if len(db2.Parts) != 3 || db2.Parts[2] != (kvdb.InfoPart{Name: "avg_ttl", Raw: "1500", Unit: kvdb.Millis}) {
		t.Errorf("%+v", db2)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	gigabyte := "1073741824"
	for _, tc := range []struct {
		name     string
		section  string
		fields   map[string]string
		settings map[string]string
		want     string // "" = nothing
		serious  bool
	}{
		{"well", "memory", map[string]string{"used_memory": "1000000", "total_system_memory": gigabyte, "maxmemory_policy": "noeviction"}, nil, "", false},
		{"no limit", "memory", map[string]string{"used_memory": "1000000000", "total_system_memory": gigabyte}, nil, "has no limit", true},
		{"nearly full", "memory", map[string]string{"used_memory": "1000000000", "maxmemory": gigabyte, "maxmemory_policy": "noeviction"}, nil,
			"writes are refused", true},
		{"high", "memory", map[string]string{"used_memory": "900000000", "maxmemory": gigabyte, "maxmemory_policy": "noeviction"},
			nil, "at 84 % of its limit", false},
		{"may evict", "memory", map[string]string{"used_memory": "1", "maxmemory": gigabyte, "maxmemory_policy": "allkeys-lru"}, nil,
			"may be thrown away", false},
		{"fragmented", "memory", map[string]string{"used_memory": "100000000", "used_memory_rss": "300000000", "mem_fragmentation_ratio": "3.00"}, nil,
			"3.0 times", false},
		{"a small one is always fragmented", "memory", map[string]string{"used_memory": "1000000", "used_memory_rss": "7000000",
			"mem_fragmentation_ratio": "7.00"}, nil, "", false},
		{"swapped", "memory", map[string]string{"used_memory": "300000000", "used_memory_rss": "100000000", "mem_fragmentation_ratio": "0.33"}, nil,
			"swapped", true},
		{"evicted", "stats", map[string]string{"evicted_keys": "7"}, nil, "7 keys were thrown away", true},
		{"no disk", "persistence", map[string]string{"aof_enabled": "0"}, map[string]string{"save": ""}, "a restart loses all data", true},
		{"not known whether", "persistence", map[string]string{"aof_enabled": "0"}, nil, "", false},
		{"snapshot failed", "persistence", map[string]string{"rdb_last_bgsave_status": "err", "rdb_changes_since_last_save": "5"},
			nil, "5 changes are not on disk", true},
		{"log failed", "persistence", map[string]string{"aof_last_write_status": "err"}, nil, "writes are refused", true},
		{"slow fork", "stats", map[string]string{"latest_fork_usec": "350000"}, nil, "350ms", false},
		{"refused clients", "stats", map[string]string{"rejected_connections": "3"}, nil, "3 connections were refused", false},
		{"few hits", "stats", map[string]string{"keyspace_hits": "1000", "keyspace_misses": "99000"}, nil, "99 % of the lookups", false},
		{"blocked", "clients", map[string]string{"blocked_clients": "8", "connected_clients": "10"}, nil, "8 of 10 clients wait", false},
		{"lagging", "replication", map[string]string{"role": "master", "master_repl_offset": "1000",
			"slave0": "ip=10.0.0.2,port=6379,state=online,offset=400,lag=60"}, nil, "60 s and is 600 bytes behind", false},
	} {
		n := kvdb.NodeInfo{Info: kvdb.Info{tc.section: tc.fields}, Settings: tc.settings}
		got := n.Warnings()
		switch {
		case tc.want == "" && len(got) == 0:
		case len(got) != 1 || tc.want == "" || !strings.Contains(got[0].Text, tc.want) || got[0].Serious != tc.serious || got[0].Cure == "":
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
	open := kvdb.NodeInfo{NoPassword: true, Info: kvdb.Info{"server": {"tcp_port": "6379"}}}
	if got := open.Warnings(); len(got) != 1 || !strings.Contains(got[0].Text, "no password") {
		t.Errorf("without a password: %+v", got)
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := open(t, srv.URL())
	db.Summary()
	ctx := t.Context()
	worked := func() (s kvdb.Sample) {
		await(t, func() bool {
			must(t, db.Client().Get(ctx, "nothing").Err(), redis.Nil)
			all := db.Samples()
			s = all[len(all)-1]
			return s.OK && s.Rates
		})
		return s
	}
	await(t, func() bool { return len(db.Samples()) > 0 })
	s := worked()
	if s.Memory == 0 || s.Clients == 0 || s.Ops < 1 || s.NetIn <= 0 || s.NetOut <= 0 || !s.Lookups || s.Hits != 0 {
		t.Errorf("%+v", s)
	}
	srv.Kill()
	await(t, func() bool {
		all := db.Samples()
		return !all[len(all)-1].OK
	})
	srv.Restart()
	worked()
	all := db.Samples()
	for i := 1; i < len(all); i++ {
		if !all[i].At.After(all[i-1].At) {
			t.Errorf("sample %d comes before the one before it", i)
		}
		if all[i].Rates && !all[i-1].OK {
			t.Error("there are rates over a gap")
		}
	}
}

func TestSlowLog(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "500", "--latency-monitor-threshold",
		"1", "--enable-debug-command", "yes")
	db := open(t, srv.URL())
	ctx := t.Context()
	must(t, db.Client().Set(ctx, string(db.Keys())+"session", "secret of ours", 0).Err())
	must(t, db.Client().Do(ctx, "acl", "setuser", "somebody", ">hunter2").Err())
	must(t, db.Client().Do(ctx, "debug", "sleep", "0.05").Err())
	log, err := db.SlowLog(ctx, "admin", 100)
	must(t, err)
	if !log.Known || log.Threshold != 0 || log.MaxLen != 500 || log.Nodes != 1 || log.Kept < 3 {
		t.Errorf("%+v", log)
	}
	line := func(log kvdb.SlowLog, word string) kvdb.SlowEntry {
		i := slices.IndexFunc(log.Entries, func(e kvdb.SlowEntry) bool { return strings.HasPrefix(e.Line, word) })
		if i < 0 {
			t.Fatalf("no %s in %+v", word, log.Entries)
		}
		return log.Entries[i]
	}
	if e := line(log, "debug"); e.Took < 50*time.Millisecond || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	if !log.Latency.Known || log.Latency.Threshold != time.Millisecond || len(log.Latency.Events) == 0 ||
		log.Latency.Events[0].Max < 50*time.Millisecond {
		t.Errorf("latency %+v", log.Latency)
	}
	if e := line(log, "acl"); strings.Contains(e.Line, "hunter2") {
		t.Error(e.Line)
	}
	if e := line(log, "set "); !strings.Contains(e.Line, "secret of ours") {
		t.Error(e.Line)
	}
	log, err = db.SlowLog(ctx, "operator", 100)
	must(t, err)
	if e := line(log, "set "); strings.Contains(e.Line, "secret of ours") || !strings.Contains(e.Line, "for admins") {
		t.Error(e.Line)
	}
	if log, err = db.SlowLog(ctx, "viewer", 2); err != nil || len(log.Entries) != 2 {
		t.Errorf("%d entries, %v", len(log.Entries), err)
	}
	if _, err := db.SlowLog(ctx, "viewer", 1001); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("1001: %v", err)
	}
	if err := db.ResetSlowLog(ctx, "operator"); !errors.Is(err, kvdb.ErrForbidden) {
		t.Errorf("an operator: %v", err)
	}
	must(t, db.ResetSlowLog(ctx, "admin"))
	if log, err = db.SlowLog(ctx, "admin", 100); err != nil || slices.ContainsFunc(log.Entries,
		func(e kvdb.SlowEntry) bool { return strings.HasPrefix(e.Line, "debug") }) {
		t.Errorf("it is not empty: %+v, %v", log.Entries, err)
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		blocked, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			done <- db.Client().Do(blocked, "bzmpop", 2, 1, string(db.Keys())+"nothing", "min").Err() // no other test uses it
		}()
		var waiting kvdb.Client
		await(t, func() bool {
			list, err := db.ListClients(ctx, "viewer")
			must(t, err)
			i := slices.IndexFunc(list, func(c kvdb.Client) bool {
				return c.Command == "bzmpop" && slices.Contains(c.FlagWords(), "waits in a blocking command")
			})
			if i >= 0 {
				waiting = list[i]
			}
			return i >= 0
		})
		if !waiting.Ours || waiting.User != "default" || waiting.Memory == 0 || waiting.Kind != "normal" || waiting.Node == "" {
			t.Errorf("%+v", waiting)
		}
		if err := db.KillClient(ctx, "operator", waiting.Node, waiting.ID, waiting.Addr); !errors.Is(err, kvdb.ErrForbidden) {
			t.Errorf("an operator: %v", err)
		}
		if err := db.KillClient(ctx, "admin", waiting.Node, waiting.ID, "192.0.2.1:1"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("with another address: %v", err)
		}
		must(t, db.KillClient(ctx, "admin", waiting.Node, waiting.ID, waiting.Addr))
		if err := <-done; err == nil {
			t.Error("it was not closed")
		}
		if err := db.KillClient(ctx, "admin", waiting.Node, waiting.ID, waiting.Addr); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestUserWhoMayNotNameConnections(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	admin := open(t, srv.URL())
	must(t, admin.Client().Do(t.Context(), "acl", "setuser", "plain", "on", ">pw", "~*", "+get", "+set", "+ping", "+select", "+hello").Err())
	db := open(t, strings.Replace(srv.URL(), "unix://", "unix://plain:pw@", 1))
	must(t, db.Client().Set(t.Context(), "k", "v", 0).Err())
}

func TestBigJob(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		mine := "big." + string(db.Keys())
		for i, size := range []int{10, 100_000, 1000} {
			must(t, db.Client().Set(ctx, mine+string(rune('a'+i)), strings.Repeat("x", size), 0).Err())
		}
		t.Cleanup(func() {
			for i := range 3 {
				db.Client().Del(context.Background(), mine+string(rune('a'+i)))
			}
		})
		q := kvdb.BigQuery{KeyFilter: kvdb.KeyFilter{Match: mine + "*"}, Top: 2}
		j, err := db.StartBigKeys("viewer", q)
		must(t, err)
		<-j.Done()
		state := j.State()
		if state.Err != nil || !state.Found.Complete || len(state.Found.Keys) != 2 || state.Found.Keys[0].Name != mine+"b" ||
			state.Found.Keys[1].Name != mine+"c" {
			t.Errorf("%+v", state)
		}
		if j, err = db.StartBigKeys("viewer", q); err != nil {
			t.Fatal(err)
		}
		j.Cancel()
		<-j.Done()
		if state := j.State(); state.Err != nil || state.Ended.IsZero() {
			t.Errorf("cancelled: %+v", state)
		}
		q.Top = 0
		if _, err := db.StartBigKeys("viewer", q); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("none: %v", err)
		}
		said, err := db.MemoryDoctor(ctx)
		if err != nil || len(said) == 0 {
			t.Errorf("%v, %v", said, err)
		}
	})
}
