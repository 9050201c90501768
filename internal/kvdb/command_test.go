package kvdb_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// do runs a command as somebody with the role, who confirms whatever they have to.
func do(t testing.TB, db *kvdb.DB, role string, args ...string) (kvdb.Result, error) {
	t.Helper()
	return doIn(t.Context(), db, role, args...)
}

func doIn(ctx context.Context, db *kvdb.DB, role string, args ...string) (kvdb.Result, error) {
	class, err := db.Classify(ctx, args)
	if err != nil {
		return kvdb.Result{}, err
	}
	call, err := class.Permit(role, args[0])
	if err != nil {
		return kvdb.Result{}, err
	}
	return call.Run(ctx)
}

// reply is do for what has to work.
func reply(t testing.TB, db *kvdb.DB, role string, args ...string) kvdb.Reply {
	t.Helper()
	r, err := do(t, db, role, args...)
	if err != nil {
		t.Fatalf("%s, %.50q: %v", role, args, err)
	}
	return r.Reply
}

func texts(r kvdb.Reply) []string {
	out := []string{}
	for _, item := range r.Items {
		out = append(out, item.Text)
	}
	return out
}

// TestCommand runs some of each kind, on every kind of target.
func TestCommand(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, db *kvdb.DB) {
		k := "cmd-" + string(db.Keys())
		for _, tt := range []struct {
			role string
			args []string
			want kvdb.Reply
		}{
			{"operator", []string{"SET", k, "\xff\x00\r\n"}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}},
			{"viewer", []string{"GET", k}, bulk("\xff\x00\r\n")},
			{"viewer", []string{"GET", k + "none"}, kvdb.Reply{}},
			{"operator", []string{"INCR", k}, kvdb.Reply{Kind: kvdb.KindError, Text: "ERR value is not an integer or out of range"}},
			{"viewer", []string{"GET"}, kvdb.Reply{Kind: kvdb.KindError, Text: "ERR wrong number of arguments for 'get' command"}},
			{"operator", []string{"HSET", k + "h", "f", "v"}, number("1")},
			{"viewer", []string{"HGETALL", k + "h"}, list(kvdb.KindMap, bulk("f"), bulk("v"))},
			{"operator", []string{"ZADD", k + "z", "1.5", "m"}, number("1")},
			{"viewer", []string{"ZSCORE", k + "z", "m"}, kvdb.Reply{Kind: kvdb.KindDouble, Text: "1.5"}},
			{"operator", []string{"SADD", k + "s", "m"}, number("1")},
			{"viewer", []string{"SMEMBERS", k + "s"}, list(kvdb.KindSet, bulk("m"))},
			{"viewer", []string{"LRANGE", k + "l", "0", "-1"}, list(kvdb.KindArray)},
			{"operator", []string{"SPUBLISH", k, "m"}, number("0")},
			{"operator", []string{"PING"}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "PONG"}},
			{"operator", []string{"DEL", k}, number("1")},
			{"admin", []string{"EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", k}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}},
			{"admin", []string{"CLIENT", "GETNAME"}, bulk("webadmin:command")},
		} {
			if diff := cmp.Diff(tt.want, reply(t, db, tt.role, tt.args...)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tt.args, diff)
			}
		}
	}
	kvtest.Each(t, test)
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		master := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1")
		test(t, open(t, kvtest.NewSentinel(t, master.Port(), "main")))
	})
	t.Run("TLS and another database", func(t *testing.T) {
		t.Parallel()
		ca := newCA(t)
		l := tls.NewListener(listen(t), &tls.Config{Certificates: ca.issue(t, "127.0.0.1", time.Hour).pair})
		srv := kvtest.NewServer(t)
		db, err := kvdb.Open(kvdb.Config{URL: "rediss://" + proxy(t, l, srv) + "/3", TLSCA: ca.file})
		must(t, err)
		defer db.Close()
		test(t, db)
		if info := srv.DB(t).Client().Info(t.Context(), "keyspace").Val(); !strings.Contains(info, "db3:") || strings.Contains(info, "db0:") {
			t.Errorf("%s", info)
		}
	})
}

// TestReplyKinds has the server give each kind.
func TestReplyKinds(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		for script, want := range map[string]kvdb.Reply{
			"{ok='fine'}":      {Kind: kvdb.KindStatus, Text: "fine"},
			"{err='MINE no'}":  {Kind: kvdb.KindError, Text: "MINE no"},
			"'text'":           bulk("text"),
			"9007199254740993": number("9007199254740992"), // a number of Lua
			"redis.call('INCRBY', KEYS[1], '9007199254740993')": number("9007199254740992"),
			"redis.call('GET', KEYS[1] .. 'none')":              {},
			"true":                                              {Kind: kvdb.KindBoolean, Text: "t"},
			"{1, 'a', {ok='x'}, {false}, true}": list(kvdb.KindArray, number("1"), bulk("a"), kvdb.Reply{Kind: kvdb.KindStatus, Text: "x"},
				list(kvdb.KindArray, kvdb.Reply{Kind: kvdb.KindBoolean, Text: "f"}), kvdb.Reply{Kind: kvdb.KindBoolean, Text: "t"}),
			"{double=3.5}":                           {Kind: kvdb.KindDouble, Text: "3.5"},
			"{double=1/0}":                           {Kind: kvdb.KindDouble, Text: "inf"},
			"{double=-1/0}":                          {Kind: kvdb.KindDouble, Text: "-inf"},
			"{big_number='12345678901234567890123'}": {Kind: kvdb.KindBigNumber, Text: "12345678901234567890123"},
			"{verbatim_string={string='# a', format='mkd'}}": {Kind: kvdb.KindVerbatim, Text: "# a"},
			"{map={a=1}}":    list(kvdb.KindMap, bulk("a"), number("1")),
			"{set={a=true}}": list(kvdb.KindSet, bulk("a")),
			"redis.call('HGETALL', KEYS[1] .. 'none')": list(kvdb.KindMap),
		} {
			args := []string{"EVAL", "redis.setresp(3); return " + script, "1", "{kinds-" + string(db.Keys()) + "}"}
			if diff := cmp.Diff(want, reply(t, db, "admin", args...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", script, diff)
			}
		}
	})
}

// TestBigReplies: what is too big is cut, and the next command is not disturbed.
func TestBigReplies(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, k := t.Context(), "big-"+string(db.Keys())
		values := make([]any, 20_001)
		for i := range values {
			values[i] = i
		}
		must(t, db.Client().RPush(ctx, k+"l", values...).Err())
		must(t, db.Client().HSet(ctx, k+"h", values[:20_000]...).Err())
		must(t, db.Client().Set(ctx, k+"s", strings.Repeat("x", kvdb.MaxReplyBytes+1), 0).Err())
		for _, tt := range []struct {
			args []string
			n    int
			cut  bool
		}{
			{[]string{"LRANGE", k + "l", "0", "-1"}, 10_000, true},
			{[]string{"LRANGE", k + "l", "0", "9999"}, 10_000, false},
			{[]string{"LRANGE", k + "l", "0", "10000"}, 10_000, true},
			{[]string{"HGETALL", k + "h"}, 20_000, false},
			{[]string{"GET", k + "s"}, kvdb.MaxReplyBytes, true},
			{[]string{"GETRANGE", k + "s", "0", strconv.Itoa(kvdb.MaxReplyBytes - 1)}, kvdb.MaxReplyBytes, false},
		} {
			r, err := do(t, db, "viewer", tt.args...)
			must(t, err)
			if n := len(r.Reply.Items) + len(r.Reply.Text); n != tt.n || r.Truncated != tt.cut {
				t.Errorf("%q: %d, truncated %v", tt.args, n, r.Truncated)
			}
			if n := reply(t, db, "viewer", "LLEN", k+"l").Text; n != "20001" {
				t.Errorf("after %q: %s", tt.args, n)
			}
		}
	})
}

// TestConnectionsAreKept: plain commands share a few connections, all others leave none behind.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	id := func(role string) string { return reply(t, db, role, "CLIENT", "ID").Text }
	connections := func() int {
		n, err := strconv.Atoi(must2(db.Info(t.Context()))["stats"]["total_connections_received"])
		must(t, err)
		return n
	}
	reply(t, db, "viewer", "GET", "k")
	before := connections()
	for range 50 {
		reply(t, db, "viewer", "GET", "k")
		reply(t, db, "operator", "SET", "k", "v")
	}
	if n := connections() - before; n > 2 {
		t.Errorf("%d connections for 100 plain commands", n)
	}
	if first := id("admin"); id("admin") == first {
		t.Error("a connection that is not fresh")
	}
	// Those that are kept don't live on after a restart.
	srv.Restart()
	if r := reply(t, db, "operator", "SET", "k", "v"); r.Text != "OK" {
		t.Errorf("%v", r)
	}
}

// TestCommandTableIsOfTheServer: after a restart as another version, the table is that of the new one.
func TestCommandTableIsOfTheServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	known := func() bool {
		class, err := db.Classify(t.Context(), []string{"GETEX", "k"})
		must(t, err)
		return class.Known
	}
	if !known() {
		t.Error("it is not that of Redis")
	}
	srv.Args = append(srv.Args, "--rename-command", "GETEX", "")
	srv.Restart()
	if known() {
		t.Error("it is still that of the server before")
	}
}

// TestBlockingCommand: when nobody waits any longer, the server doesn't either, and it is known what came of it.
func TestBlockingCommand(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		k := "{block-" + string(db.Keys()) + "}"
		for _, args := range [][]string{{"BLPOP", k, "0"}, {"BLMOVE", k, k + "2", "LEFT", "LEFT", "0"}, {"WAIT", "1", "0"}, {"BZPOPMIN", k, "0"}} {
			class, err := db.Classify(t.Context(), args)
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r, err := must2(class.Permit("operator", "")).Run(ctx)
			cancel()
			if err != nil || r.Reply.Kind != kvdb.KindNil && r.Reply.Text != "0" {
				t.Errorf("%q: %v, %v", args, r.Reply, err)
			}
		}
		// Others are not held up, and what comes is there.
		done := make(chan string)
		go func() {
			r, err := doIn(t.Context(), db, "operator", "BLPOP", k, "0")
			if err != nil || len(r.Reply.Items) != 2 {
				done <- fmt.Sprint(r.Reply, err)
				return
			}
			done <- r.Reply.Items[1].Text
		}()
		if r := reply(t, db, "operator", "RPUSH", k, "v"); r.Text != "1" {
			t.Errorf("%v", r)
		}
		if got := <-done; got != "v" {
			t.Errorf("it got %s", got)
		}
	})
}

// A command that a client also sends to prepare a connection counts as sent, like any other.
func TestSentIsNotHandshake(t *testing.T) {
	t.Parallel()
	srv, url := newServer(t, "single")
	db := open(t, url)
	for _, args := range [][]string{{"CLIENT", "KILL", "TYPE", "pubsub"}, {"SELECT", "1"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := db.ChangeAfter(ctx, srv.Pause, args...); !errors.Is(err, kvdb.ErrUnknown) {
			t.Errorf("%v: %v", args, err)
		}
		cancel()
		srv.Resume()
	}
}

// TestCommandRunsAtMostOnce stalls and kills the server during commands.
func TestCommandRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode)
			db := open(t, url)
			lines := []string{"INCR incr", "RPUSH list v", "EVAL return(redis.call('INCR',KEYS[1])) 1 eval", "BLMPOP 0 1 none LEFT", "PUBLISH c m"}
			calls := map[string]*kvdb.Call{}
			for _, line := range append(lines, "GET k") {
				class, err := db.Classify(t.Context(), strings.Split(line, " "))
				must(t, err)
				calls[line] = must2(class.Permit("admin", ""))
				if !strings.HasPrefix(line, "BLMPOP") {
					_, err = calls[line].Run(t.Context()) // the plain ones have a connection now
					must(t, err)
				}
			}
			srv.Pause()
			var wg sync.WaitGroup
			for line, call := range calls {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					_, err := call.Run(ctx)
					unknown := (*kvdb.UnknownError)(nil)
					switch {
					case errors.As(err, &unknown) && unknown.Check != "" && line != "GET k":
					case errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown):
						// It had to connect, and got no further than that; or it only reads.
					default:
						t.Errorf("%s: %v", line, err)
					}
				})
			}
			wg.Wait()
			if _, err := db.Classify(t.Context(), []string{"GET", "k"}); !errors.Is(err, kvdb.ErrAway) {
				t.Errorf("classify: %v", err)
			}
			srv.Resume()
			awaitHealth(t, db, kvdb.StatusOK)
			client := db.Client()
			for key, n := range map[string]int64{"incr": must2(client.Get(t.Context(), "incr").Int64()), "list": client.LLen(t.Context(), "list").Val(),
				"eval": must2(client.Get(t.Context(), "eval").Int64())} {
				if n < 1 || n > 2 {
					t.Errorf("%s was done %d times, twice at most", key, n)
				}
			}
			srv.Kill()
			for _, line := range lines {
				if _, err := calls[line].Run(t.Context()); !errors.Is(err, kvdb.ErrAway) {
					t.Errorf("%s: %v", line, err)
				}
			}
		})
	}
}

// TestKillABusyScript: who may, can, though the server answers nothing else.
func TestKillABusyScript(t *testing.T) {
	t.Parallel()
	srv, _ := newServer(t, "single")
	db := open(t, srv.URL()+"?db=2")
	reply(t, db, "admin", "GET", "k")
	go func() { _, _ = doIn(t.Context(), db, "admin", "EVAL", "while true do end", "0") }()
	awaitHealth(t, db, kvdb.StatusBusy)
	if _, err := do(t, db, "admin", "GET", "k"); !errors.Is(err, kvdb.ErrAway) && err != nil {
		t.Errorf("GET: %v", err)
	}
	if r := reply(t, db, "admin", "SCRIPT", "KILL"); r.Text != "OK" {
		t.Errorf("SCRIPT KILL: %v", r)
	}
	awaitHealth(t, db, kvdb.StatusOK)
}

// TestCommandFollowsAMovingSlot: while a slot moves to another node, and after, and only within the cluster.
func TestCommandFollowsAMovingSlot(t *testing.T) {
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
	reply(t, db, "admin", "GET", "k")
	slot := from.ClusterKeySlot(ctx, "k").Val()
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	if r := reply(t, db, "operator", "INCR", "k"); r.Text != "1" {
		t.Errorf("ASK: %v", r)
	}
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	if r := reply(t, db, "operator", "INCR", "k"); r.Text != "2" {
		t.Errorf("MOVED: %v", r)
	}
	if r := reply(t, db, "admin", "EVAL", "return redis.error_reply('MOVED 1 127.0.0.1:"+other.Port()+"')", "0"); r.Kind != kvdb.KindError ||
		!strings.HasPrefix(r.Text, "MOVED") {
		t.Errorf("a script that lies: %v", r)
	}
}

// TestHostileServer: what answers is no Redis.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a web server":      "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"another protocol":  "220 smtp.example ESMTP\r\n",
		"an old server":     "-ERR unknown command 'HELLO'\r\n",
		"a huge text":       "$1500000000\r\n",
		"a huge list":       "*100000000\r\n",
		"lists in lists":    strings.Repeat("*1\r\n", 100_000),
		"a line at a time":  "+" + strings.Repeat("x", 2<<20),
		"nothing but an OK": "+OK\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(answer))
					conn.Close()
				}
			}()
			db := open(t, "redis://"+l.Addr().String())
			if _, err := db.Classify(t.Context(), []string{"GET", "k"}); !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}
