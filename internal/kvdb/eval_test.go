package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

const count = `return redis.call('INCR', KEYS[1])`

// eval runs a script that has to be answered.
func eval(t testing.TB, db *kvdb.DB, e kvdb.Eval) kvdb.Reply {
	t.Helper()
	r, err := db.Eval(t.Context(), e)
	if err != nil {
		t.Fatalf("%.60q: %v", e.Text, err)
	}
	return r.Reply
}

func TestEval(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		key := string(db.Keys()) + "k"
		for _, adHoc := range []bool{false, true} {
			for _, readOnly := range []bool{false, true} {
				e := kvdb.Eval{AdHoc: adHoc, ReadOnly: readOnly, Keys: []string{key}, Args: []string{"", "a\r\nb\x00\xff"}}
				e.Text = `return {KEYS[1], #KEYS, ARGV[1], ARGV[2], false, redis.status_reply('fine')}`
				r := eval(t, db, e)
				want := []string{key, "1", "", "a\r\nb\x00\xff", "", "fine"}
				if diff := cmp.Diff(want, texts(r)); diff != "" || r.Items[4].Kind != kvdb.KindNil || r.Items[5].Kind != kvdb.KindStatus {
					t.Errorf("ad hoc %v, read only %v (-want +got):\n%s", adHoc, readOnly, diff)
				}
				e.Text = count
				r = eval(t, db, e)
				if refused := r.Kind == kvdb.KindError && strings.Contains(r.Text, "Write commands are not allowed from read-only scripts"); refused != readOnly {
					t.Errorf("a write, read only %v: %v", readOnly, r)
				}
			}
		}
		if got := db.Client().Get(t.Context(), key).Val(); got != "2" {
			t.Errorf("counted %q", got)
		}
		if r := eval(t, db, kvdb.Eval{Text: `redis.setresp(3) return {{double = 1.5}, {map = {a = 1}}, true}`, AdHoc: true}); len(r.Items) != 3 ||
			r.Items[0].Kind != kvdb.KindDouble || r.Items[1].Kind != kvdb.KindMap {
			t.Errorf("types of RESP3: %v", r)
		}
		_, err := db.Eval(t.Context(), kvdb.Eval{Text: "x = = 1"})
		if !errors.As(err, new(redis.Error)) || errors.Is(err, kvdb.ErrAway) || !strings.Contains(err.Error(), "Error compiling script") {
			t.Errorf("no Lua: %v", err)
		}
		if r := eval(t, db, kvdb.Eval{Text: "x = = 1", AdHoc: true}); r.Kind != kvdb.KindError {
			t.Errorf("no Lua, ad hoc: %v", r)
		}
	})
}

// TestErrorsOfScripts: what a script replies is never taken for the server's own words, and it runs once.
func TestErrorsOfScripts(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		for i, text := range []string{
			"MOVED 1 127.0.0.1:1", "ASK 1 127.0.0.1:1", "MOVED x", "TRYAGAIN x", "CLUSTERDOWN x", "BUSY later", "LOADING x", "MASTERDOWN x", "OOM x",
			"READONLY x", "NOAUTH x", "NOPERM x",
			"ERR unknown command `EVALSHA`, with args beginning with: ", "MISCONF x", "UNBLOCKED x",
		} {
			for _, adHoc := range []bool{false, true} {
				key := fmt.Sprintf("%s%d%v", db.Keys(), i, adHoc)
				e := kvdb.Eval{Text: `redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])`, AdHoc: adHoc, Keys: []string{key}, Args: []string{text}}
				if r := eval(t, db, e); r.Kind != kvdb.KindError || r.Text != text {
					t.Errorf("%s: %v", text, r)
				}
				if n := db.Client().Get(ctx, key).Val(); n != "1" {
					t.Errorf("%s: ran %q times", text, n)
				}
			}
		}
		// What can't be told apart from a refusal that is over: unknown, but not repeated.
		for i, text := range []string{
			"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "LOADING Redis is loading the dataset in memory",
			"CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down and only accepts read commands", "CLUSTERDOWN Hash slot not served",
			"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "TRYAGAIN Multiple keys request during rehashing of slot",
		} {
			key := fmt.Sprintf("%sfalse%d", db.Keys(), i)
			_, err := db.Eval(ctx, kvdb.Eval{Text: `redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])`, Keys: []string{key}, Args: []string{text}})
			if n := db.Client().Get(ctx, key).Val(); n != "1" || !errors.Is(err, kvdb.ErrUnknown) {
				t.Errorf("a false %s: %v, ran %q times", text, err, n)
			}
		}
	})
}

// TestFalseNoScript: a script that says that there is no such script has run, and is not run again.
func TestFalseNoScript(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		key := string(db.Keys()) + "k"
		e := kvdb.Eval{Text: `redis.call('INCR', KEYS[1]) return redis.error_reply('NOSCRIPT No matching script. Please use EVAL.') -- ` + key,
			Keys: []string{key}}
		// The first time the server has none, and is told.
		if r := eval(t, db, e); r.Kind != kvdb.KindError {
			t.Errorf("the first: %v", r)
		}
		_, err := db.Eval(ctx, e)
		var unknown *kvdb.UnknownError
		if !errors.As(err, &unknown) || !strings.Contains(unknown.Check, "no such script") {
			t.Errorf("the second: %v", err)
		}
		// From then on it is known whose words they are.
		if r := eval(t, db, e); r.Kind != kvdb.KindError {
			t.Errorf("the third: %v", r)
		}
		if n := db.Client().Get(ctx, key).Val(); n != "3" {
			t.Errorf("ran %q times, want 3", n)
		}
	})
}

// TestForgottenScript: when the server has forgotten a script, many first calls at once run once each, also of a script
// that lies about it.
func TestForgottenScript(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode, "--appendonly", "yes", "--appendfsync", "always")
			db := open(t, url)
			ctx := t.Context()
			want := int64(0)
			burst := func(when string) {
				t.Helper()
				var wg sync.WaitGroup
				for range 50 {
					want++
					wg.Go(func() {
						r, err := db.Eval(ctx, kvdb.Eval{Text: count, Keys: []string{"k"}})
						if err != nil || r.Reply.Kind != kvdb.KindInteger {
							t.Errorf("%s: %v, %v", when, r.Reply, err)
						}
					})
				}
				wg.Wait()
				if n, err := db.Client().Get(ctx, "k").Int64(); err != nil || n != want {
					t.Errorf("%s: ran %d times, want %d (%v)", when, n, want, err)
				}
			}
			burst("new server")
			for range 5 {
				must(t, db.Client().ScriptFlush(ctx).Err())
				burst("flushed")
			}
			srv.Restart()
			awaitHealth(t, db, kvdb.StatusOK)
			burst("restarted")

			// While others flush, a call may end in doubt, but none is doubled.
			const lies = `local n = redis.call('INCR', KEYS[1]) if n % 7 == 0 then return redis.error_reply('NOSCRIPT No matching script.') end return n`
			var wg sync.WaitGroup
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = db.Client().ScriptFlush(ctx).Err()
					}
				}
			}()
			var mu sync.Mutex
			calls, unsure, notRun := 0, 0, 0
			for range 16 {
				wg.Go(func() {
					for range 20 {
						_, err := db.Eval(ctx, kvdb.Eval{Text: lies, Keys: []string{"lies"}})
						mu.Lock()
						calls++
						switch {
						case errors.Is(err, kvdb.ErrUnknown):
							unsure++
						case errors.Is(err, kvdb.ErrAway):
							notRun++
						case err != nil:
							t.Error(err)
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			close(stop)
			if n, _ := db.Client().Get(ctx, "lies").Int(); n > calls-notRun || n < calls-notRun-unsure {
				t.Errorf("ran %d times for %d calls, %d of which nobody knows and %d didn't run", n, calls, unsure, notRun)
			}
		})
	}
}

// TestScriptOfTwoProcesses: when a server begins anew, all processes run a script at once, and each knows what became of it.
func TestScriptOfTwoProcesses(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode, "--appendonly", "yes", "--appendfsync", "always")
			processes := []*kvdb.DB{open(t, url), open(t, url), open(t, url)}
			want := int64(0)
			for range 5 {
				var wg sync.WaitGroup
				for _, db := range processes {
					for range 10 {
						want++
						wg.Go(func() {
							if r, err := db.Eval(t.Context(), kvdb.Eval{Text: count, Keys: []string{"k"}}); err != nil || r.Reply.Kind != kvdb.KindInteger {
								t.Errorf("%v, %v", r.Reply, err)
							}
						})
					}
				}
				wg.Wait()
				if n, err := processes[0].Client().Get(t.Context(), "k").Int64(); err != nil || n != want {
					t.Fatalf("ran %d times, want %d (%v)", n, want, err)
				}
				srv.Restart()
				for _, db := range processes {
					awaitHealth(t, db, kvdb.StatusOK)
				}
			}
		})
	}
}

// TestEvalIsUnknown kills the server while a script runs, and pauses it.
func TestEvalIsUnknown(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--lua-time-limit", "1", "--appendonly", "yes", "--appendfsync", "always")
	db := srv.DB(t)
	ctx := t.Context()
	wants := func(what string, err error, kind error) {
		t.Helper()
		if !errors.Is(err, kind) || errors.Is(err, kvdb.ErrAway) && errors.Is(err, kvdb.ErrUnknown) {
			t.Errorf("%s: %v, want %v", what, err, kind)
		}
	}
	done := make(chan error)
	go func() {
		_, err := db.Eval(ctx, kvdb.Eval{Text: `redis.call('INCR', 'k') while true do end`, AdHoc: true})
		done <- err
	}()
	await(t, func() bool { return db.Health(ctx).Status == kvdb.StatusBusy })
	_, err := db.Eval(ctx, kvdb.Eval{Text: count, Keys: []string{"k"}})
	wants("busy", err, kvdb.ErrAway)
	if err := db.KillScript(ctx); !redis.HasErrorPrefix(err, "UNKILLABLE") {
		t.Errorf("kill of what has written: %v", err)
	}
	srv.Kill()
	wants("killed", <-done, kvdb.ErrUnknown)
	_, err = db.Eval(ctx, kvdb.Eval{Text: count, Keys: []string{"k"}})
	wants("dead", err, kvdb.ErrAway)

	srv.Restart()
	for range 2 {
		eval(t, db, kvdb.Eval{Text: count, Keys: []string{"n"}})
	}
	srv.Pause()
	_, err = db.Eval(ctx, kvdb.Eval{Text: count, Keys: []string{"n"}, Limit: 100 * time.Millisecond})
	wants("paused", err, kvdb.ErrUnknown)
	var unknown *kvdb.UnknownError
	if !errors.As(err, &unknown) || !strings.Contains(unknown.Check, "may still run") {
		t.Errorf("check %v", err)
	}
	srv.Resume()
	await(t, func() bool { return db.Client().Get(ctx, "n").Val() == "3" })
	srv.Pause()
	_, err = db.Eval(ctx, kvdb.Eval{Text: "return 1", ReadOnly: true, AdHoc: true, Limit: 100 * time.Millisecond})
	if srv.Resume(); errors.Is(err, kvdb.ErrUnknown) || !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("read only: %v", err)
	}
}

// TestLateReply: who gives up is told when the script has ended.
func TestLateReply(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--lua-time-limit", "1")
	db := srv.DB(t)
	ctx := t.Context()
	type answer struct {
		kvdb.Result
		err error
	}
	late := make(chan answer, 1)
	endless := kvdb.Eval{Text: `while true do end`, Limit: 50 * time.Millisecond, Late: func(r kvdb.Result, err error) { late <- answer{r, err} }}
	_, err := db.Eval(ctx, endless)
	if !errors.Is(err, kvdb.ErrUnknown) || !errors.Is(err, kvdb.ErrLate) {
		t.Fatal(err)
	}
	await(t, func() bool { return db.KillScript(ctx) == nil })
	if a := <-late; a.err != nil || a.Reply.Kind != kvdb.KindError || a.Took < endless.Limit {
		t.Errorf("late: %v, %v", a.Result, a.err)
	}
	if err := db.KillScript(ctx); !redis.HasErrorPrefix(err, "NOTBUSY") {
		t.Errorf("nothing to kill: %v", err)
	}

	// The browser has gone.
	gone, cancel := context.WithCancel(ctx)
	endless.Limit = 0
	done := make(chan error)
	go func() {
		_, err := db.Eval(gone, endless)
		done <- err
	}()
	await(t, func() bool { return db.Health(ctx).Status == kvdb.StatusBusy })
	cancel()
	if err := <-done; !errors.Is(err, kvdb.ErrLate) || !errors.Is(err, kvdb.ErrUnknown) {
		t.Error(err)
	}
	srv.Kill()
	if a := <-late; !errors.Is(a.err, kvdb.ErrUnknown) {
		t.Errorf("the server is dead: %v, %v", a.Result, a.err)
	}
	_, err = db.Eval(gone, endless)
	if !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("cancelled before: %v", err)
	}

	// The process ends.
	srv.Restart()
	own := srv.DB(t)
	endless.Limit = 50 * time.Millisecond
	if _, err := own.Eval(ctx, endless); !errors.Is(err, kvdb.ErrLate) {
		t.Error(err)
	}
	must(t, own.Close())
	if a := <-late; !errors.Is(a.err, kvdb.ErrUnknown) {
		t.Errorf("closed: %v, %v", a.Result, a.err)
	}
}

// TestLargeReplies: of what a script replies, only so much is kept as anybody can look at.
func TestLargeReplies(t *testing.T) {
	db := kvtest.Open(t)
	for text, items := range map[string]int{
		`local t = {} for i = 1, 1000000 do t[i] = i end return t`:                                                     kvdb.MaxReplyItems,
		`local s = string.rep('x', 1048576) for _ = 1, 7 do s = s .. s end return s .. string.sub(s, 1, 72 * 1048576)`: 0,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := db.Eval(t.Context(), kvdb.Eval{Text: text, AdHoc: true, Limit: time.Minute})
		runtime.ReadMemStats(&after)
		if err != nil || !r.Truncated || len(r.Reply.Items) != items || items == 0 && len(r.Reply.Text) != kvdb.MaxReplyBytes {
			t.Errorf("%s: %d items, %d bytes, cut %v, %v", text, len(r.Reply.Items), len(r.Reply.Text), r.Truncated, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 40<<20 {
			t.Errorf("%s: allocated %d MiB", text, n>>20)
		}
		if r := eval(t, db, kvdb.Eval{Text: `return 'next'`}); r.Text != "next" {
			t.Errorf("the next reply is %v", r)
		}
	}
}

// TestEvalInMovingSlot has a cluster hand a slot over: a script runs where its key is, once.
func TestEvalInMovingSlot(t *testing.T) {
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
	add := func() {
		t.Helper()
		for _, adHoc := range []bool{false, true} {
			want++
			if r := eval(t, db, kvdb.Eval{Text: count, Keys: []string{"k"}, AdHoc: adHoc}); r.Text != strconv.Itoa(want) {
				t.Errorf("%v, want %d", r, want)
			}
		}
	}
	slot := from.ClusterKeySlot(ctx, "k").Val()
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	add() // by ASK
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	add() // by MOVED
}

// TestWire: what is sent in one write is answered in turn.
func TestWire(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		w, err := db.OpenWire(t.Context(), []string{"k"})
		must(t, err)
		defer w.Close()
		must(t, w.WriteAll([][]string{{"PING"}, {"ECHO", "a\r\nb"}}))
		for _, want := range []string{"PONG", "a\r\nb"} {
			if r, err := w.Read(t.Context()); err != nil || r.Text != want {
				t.Errorf("%v, %v, want %q", r, err, want)
			}
		}
		must(t, w.Write("NOSUCH"))
		if r, err := w.Read(t.Context()); err != nil || r.Kind != kvdb.KindError {
			t.Errorf("%v, %v", r, err)
		}
		must(t, w.Write("QUIT"))
		_, _ = w.Read(t.Context())
		if _, err := w.Read(t.Context()); !errors.Is(err, io.EOF) || !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("closed: %v", err)
		}
		if w.RemoteAddr() == "" {
			t.Error("no address")
		}
		ctx, cancel := context.WithCancel(t.Context())
		w, err = db.OpenWire(ctx, nil)
		must(t, err)
		defer w.Close()
		cancel()
		if _, err := w.Read(ctx); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestProgramUserOfScripts: scripts run as the program user, who is told off within them.
func TestProgramUserOfScripts(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	admin := srv.DB(t)
	must(t, admin.Client().Do(t.Context(), "ACL", "SETUSER", "programs", "on", ">secret", "~mine*", "&*", "+@all", "-@admin", "-@dangerous").Err())
	db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), Prefix: "own:", ProgramUser: "programs:secret"})
	must(t, err)
	defer db.Close()
	if !db.HasProgramUser() || admin.HasProgramUser() || db.TLS() || db.IsCluster() || !db.OwnKey("own:x") || db.OwnKey("mine") {
		t.Error("facts are wrong")
	}
	if r := eval(t, db, kvdb.Eval{Text: `return redis.call('ACL', 'WHOAMI')`, AdHoc: true}); r.Kind == kvdb.KindBulk && r.Text != "programs" {
		t.Errorf("runs as %v", r)
	}
	eval(t, db, kvdb.Eval{Text: count, Keys: []string{"mine"}})
	for _, e := range []kvdb.Eval{
		{Text: count, Keys: []string{"own:x"}},
		{Text: `return redis.call('GET', 'own:x')`},
		{Text: `return redis.call('CONFIG', 'GET', '*')`},
		{Text: `return redis.call('KEYS', '*')`},
	} {
		if r := eval(t, db, e); r.Kind != kvdb.KindError {
			t.Errorf("%s: %v", e.Text, r)
		}
	}
}
