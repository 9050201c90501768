package lua

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

var me = Caller{Who: "ann"}

func init() { startsEvery = 0 }

func do(t testing.TB, db *kvdb.DB, args ...any) {
	t.Helper()
	must(t, db.Client().Do(t.Context(), args...).Err())
}

// dry makes a dry run in a fork.
func dry(t testing.TB, s *Store, text string, keys, values []string) DryRun {
	t.Helper()
	d, err := s.DryRun(t.Context(), me, Call{Text: text, Keys: keys, Values: values})
	must(t, err)
	if d.Rung != RungFork {
		t.Fatalf("the dry run is of rung %s: %s", d.Rung, d.Why)
	}
	return d
}

// shown writes calls in short: line, name, arguments, reply, flags.
func shown(d DryRun) (list []string) {
	for _, c := range d.Calls {
		s := fmt.Sprintf("%d %s %s → %s", c.Line, c.Name, strings.Join(c.Args, " "), c.Reply)
		if c.Writes {
			s += " w"
		}
		if c.Failed {
			s += " f"
		}
		list = append(list, s)
	}
	return list
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want, +got):\n%s", what, d)
	}
}

func TestDryRun(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		do(t, db, "SET", "{x}a", "1", "PX", 1_000_000)
		do(t, db, "HSET", "{x}h", "b", "2", "a", "1")
		text := "-- renames\nlocal a, b = KEYS[1], KEYS[2]\nif redis.call('EXISTS', a) == 1 then\n  redis.call('RENAME', a, b)\nend\n" +
			"redis.call('HSET', '{x}h', 'c', \"x\\r\\n\\0\")\nreturn redis.call('HGETALL', '{x}h')"
		d := dry(t, s, text, []string{"{x}a", "{x}b"}, nil)
		diff(t, "calls", []string{
			`3 EXISTS {x}a → (integer) 1`, `4 RENAME {x}a {x}b → OK w`, "6 HSET {x}h c x\r\n\x00 → (integer) 1 w",
			`0 HGETALL {x}h → ["b", "2", "a", "1", "c", "x\r\n\x00"]`,
		}, shown(d))
		if len(d.Changes) != 3 {
			t.Fatalf("%d changes: %+v", len(d.Changes), d.Changes)
		}
		if ttl := d.Changes[0].Before.TTL; ttl <= 0 || ttl > 1000*time.Second {
			t.Errorf("TTL %v", ttl)
		}
		for i := range d.Changes {
			d.Changes[i].Before.TTL, d.Changes[i].After.TTL = max(-1, min(0, d.Changes[i].Before.TTL)), max(-1, min(0, d.Changes[i].After.TTL))
		}
		diff(t, "changes", []KeyChange{
			{"{x}a", KeyState{Type: "string", Lines: []string{"1"}, Size: 1}, KeyState{TTL: -1}},
			{"{x}b", KeyState{TTL: -1}, KeyState{Type: "string", Lines: []string{"1"}, Size: 1}},
			{"{x}h", KeyState{Type: "hash", TTL: -1, Lines: []string{"a = 1", "b = 2"}, Size: 2}, KeyState{Type: "hash", TTL: -1, Lines: []string{"a = 1", "b = 2", `c = "x\r\n\x00"`}, Size: 3}},
		}, d.Changes)
		if d.Reply.Kind != kvdb.KindArray || len(d.Reply.Items) != 6 || d.Failure != nil || d.Why != "" {
			t.Errorf("reply %+v, failure %v", d.Reply, d.Failure)
		}
		if n, err := db.Client().Exists(t.Context(), "{x}b").Result(); err != nil || n != 0 {
			t.Errorf("the dry run has written: %d, %v", n, err)
		}
	})
}

// Each type of value has its lines.
func TestDryRunTypes(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	d := dry(t, s, `redis.call('DEL', 's', 'l', 'e', 'z', 'h', 'x', 'n')
redis.call('SET', 's', 'one\ntwo\n')
redis.call('RPUSH', 'l', 'b', 'a b', '')
redis.call('SADD', 'e', 'b', 'a')
redis.call('ZADD', 'z', 1.5, 'm', 1, 'n')
redis.call('HSET', 'h', 'f', 'v', 'a = b', ' c')
redis.call('XADD', 'x', '1-1', 'f', 'v', 'g', 'w')
redis.call('SETRANGE', 'n', 20000, 'x')
redis.call('EXPIRE', 's', 100)
redis.call('PUBLISH', 'ch', 'm')
return {1, {double = 1.5}, {map = {a = 1}}, {ok = 'fine'}, false, 'x'}`, nil, nil)
	got := map[string]KeyState{}
	for _, c := range d.Changes {
		if c.After.TTL > 0 {
			c.After.TTL = c.After.TTL.Round(10 * time.Second)
		}
		got[c.Key] = c.After
	}
	if n := got["n"]; n.Size != 20001 || !n.Cut || len(n.Lines[0]) != 16384 {
		t.Errorf("n: %d, cut %v, %d shown", n.Size, n.Cut, len(n.Lines[0]))
	}
	delete(got, "n")
	diff(t, "after", map[string]KeyState{
		"s": {Type: "string", TTL: 100 * time.Second, Lines: []string{"one", "two", ""}, Size: 8},
		"l": {Type: "list", TTL: -1, Lines: []string{"b", "a b", `""`}, Size: 3},
		"e": {Type: "set", TTL: -1, Lines: []string{"a", "b"}, Size: 2},
		"z": {Type: "zset", TTL: -1, Lines: []string{"1  n", "1.5  m"}, Size: 2},
		"h": {Type: "hash", TTL: -1, Lines: []string{`"a = b" = " c"`, "f = v"}, Size: 2},
		"x": {Type: "stream", TTL: -1, Lines: []string{"1-1  f = v  g = w"}, Size: 1},
	}, got)
	if d.Published != 1 {
		t.Errorf("published %d", d.Published)
	}
	diff(t, "reply", `[(integer) 1, (double) 1.5, {"a": (integer) 1}, fine, (nil), "x"]`, Render(d.Reply))
}

func TestDryRunFailures(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	do(t, s.db, "SET", "list", "text")
	for _, tc := range []struct {
		name, text string
		calls      []string
		message    string
		line       int
	}{
		{"midway", "redis.call('SET', 'p1', 1)\n\nredis.call('LPUSH', 'list', 1)\nredis.call('SET', 'p2', 2)",
			[]string{"1 SET p1 1 → OK w", "3 LPUSH list 1 → (error) WRONGTYPE Operation against a key holding the wrong kind of value w f"},
			"WRONGTYPE Operation against a key holding the wrong kind of value", 3},
		{"error", "local function f()\n  error('boom')\nend\nf()", nil, "boom", 2},
		{"error object", "\nerror({err = 'MY boom'})", nil, "MY boom", 2},
		{"returned", "return redis.error_reply('MY boom')", nil, "MY boom", 0},
		{"nil", "local x\nreturn x.y", nil, "attempt to index local 'x' (a nil value)", 2},
		{"no global", "\nreturn nope", nil, "Script attempted to access nonexistent global variable 'nope'", 2},
		{"nested pcall", "local ok, e = pcall(function() return pcall(redis.call, 'NOPE') end)\nlocal r = redis.pcall('LPUSH', 'list', 1)\nreturn r.err", []string{
			"0 NOPE  → (error) ERR Unknown Redis command called from script f",
			"2 LPUSH list 1 → (error) WRONGTYPE Operation against a key holding the wrong kind of value w f"}, "", 0},
		{"coroutine", "local co = coroutine.wrap(function()\n  redis.call('SET', 'co', 1)\n  coroutine.yield(1)\n  error('late')\nend)\nco()\nco()",
			[]string{"2 SET co 1 → OK w"}, "late", 4},
		{"no arguments", "redis.call()", []string{"1   → (error) ERR Please specify at least one argument for this redis lib call f"}, "Please specify at least one argument for this redis lib call", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := dry(t, s, tc.text, nil, nil)
			if calls := shown(d); tc.name != "nested pcall" || len(calls) != 2 {
				diff(t, "calls", tc.calls, calls)
			}
			var message string
			var line int
			if d.Failure != nil {
				message, line = d.Failure.Message, d.Failure.Line
			}
			if !strings.HasPrefix(message, tc.message) || (message == "") != (tc.message == "") || line != tc.line {
				t.Errorf("failure %q in line %d, want %q in line %d", message, line, tc.message, tc.line)
			}
			out, err := s.Run(t.Context(), me, Call{Text: tc.text})
			must(t, err)
			if (out.Failure == nil) != (d.Failure == nil) {
				t.Errorf("the run gives %v, the dry run %v", out.Failure, d.Failure)
			}
			if out.Failure != nil && d.Failure != nil && (out.Failure.Line != line || out.Failure.Message != message) {
				t.Errorf("the run gives %q in line %d, the dry run %q in line %d", out.Failure.Message, out.Failure.Line, message, line)
			}
		})
	}
	var syntax *SyntaxError
	if _, err := s.DryRun(t.Context(), me, Call{Text: "return 1\n)"}); !errors.As(err, &syntax) || syntax.Line != 2 {
		t.Errorf("%v, want a SyntaxError in line 2", err)
	}
	if _, err := s.DryRun(t.Context(), me, Call{Text: "#!lua flags=nope\nreturn 1"}); !errors.As(err, &syntax) || syntax.Line != 1 {
		t.Errorf("%v, want a SyntaxError in line 1", err)
	}
	// A text that would end the function around it doesn't compile.
	if _, err := s.DryRun(t.Context(), me, Call{Text: "end)() redis.call('SET','evil',1) ; (function()"}); !errors.As(err, &syntax) {
		t.Errorf("%v, want a SyntaxError", err)
	}
}

// What a program redefines or writes is not taken for ours.
func TestDryRunHostile(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	d := dry(t, s, `redis.call = nil
ARGV[1] = 'changed'
KEYS[1] = 'other'
local ok = pcall(function() string.format = nil end)
redis.pcall('SET', 'k', '3:C:1')
redis.debug('CALL', 1)
redis.breakpoint()
redis.log(redis.LOG_WARNING, 'x')
return {#ARGV, select('#', ...), '0:'}`, []string{"k"}, []string{"v"})
	diff(t, "calls", []string{"5 SET k 3:C:1 → OK w"}, shown(d))
	diff(t, "reply", `[(integer) 1, (integer) 0, "0:"]`, Render(d.Reply))
	d = dry(t, s, "#!lua flags=no-writes\nlocal x = 1\nreturn redis.pcall('SET', 'k', 1)", nil, nil)
	if d.Failure == nil || !strings.Contains(d.Failure.Message, "Write commands are not allowed") {
		t.Errorf("failure %v", d.Failure)
	}
	d = dry(t, s, "redis.setresp(3) local r = redis.call('HGETALL', 'none') redis.call('SET', 'k', 1) return {true, r.map ~= nil}", nil, nil)
	diff(t, "reply", `[(true), (true)]`, Render(d.Reply))
	d = dry(t, s, "local t = {} for i = 1, 10000 do t[i] = redis.call('INCR', 'n') end return #t", nil, nil)
	if len(d.Calls) != 5000 || d.MoreCalls != 5000 || Render(d.Reply) != "(integer) 10000" || d.Changes[0].After.Lines[0] != "10000" {
		t.Errorf("%d calls, %d more, reply %s, %+v", len(d.Calls), d.MoreCalls, Render(d.Reply), d.Changes)
	}
	d = dry(t, s, "local big = string.rep('\\255\\0\"', 1000000) for i = 1, 20 do redis.call('SET', i, big) end redis.call('SET', big, 1) return big", nil, nil)
	if len(d.Calls) != 21 || len(d.Reply.Text) != 2<<20 || !d.Truncated || len(d.Changes) != 20 || !d.Changes[0].After.Cut {
		t.Errorf("%d calls, %d changes, reply of %d bytes", len(d.Calls), len(d.Changes), len(d.Reply.Text))
	}
	for text, want := range map[string]string{
		"local g = _G.redis": "_G", "-- _G\nx = '_G' .. \"_G\" .. [[ _G ]] --[==[ ]=] \" ]==] y = [=[ ' ]=]": "", "x.load()": "", "return 'a'..loadstring": "loadstring",
		"--[==[ ]=] \" ]==] getfenv() --\"": "getfenv", "local a = [=[ \" ]=] load() --\"": "load", `local a = "\"" _G.x = "\""`: "_G",
	} {
		if got := reaches(text); got != want {
			t.Errorf("%s reaches %q, want %q", text, got, want)
		}
	}
}

// What would outlive a fork is not done in one: a server with snapshots keeps its file.
func TestDryRunLeavesFiles(t *testing.T) {
	srv := kvtest.NewServer(t, "--save", "3600 1")
	db := srv.DB(t)
	s := newStore(t, db)
	do(t, db, "SET", "a", 1)
	do(t, db, "SAVE")
	before := digestOf(t, db)
	file := fileOf(t, srv)
	d := dry(t, s, "redis.call('FLUSHALL')\nredis.call('SET', 'b', 1)\nreturn redis.call('DBSIZE')", nil, nil)
	diff(t, "reply", "(integer) 1", Render(d.Reply))
	if len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "FLUSHALL, which deletes all 2 keys") {
		t.Errorf("notes %q", d.Notes)
	}
	if d = dry(t, s, "redis.call('MIGRATE', 'h', 1, 'a', 0, 1)", nil, nil); d.Failure == nil || !strings.Contains(d.Failure.Message, "is not run in a dry run") {
		t.Errorf("failure %v", d.Failure)
	}
	past, err := s.DryRun(t.Context(), me, Call{Text: "_G.redis.call('FLUSHALL') return 1"})
	must(t, err)
	if past.Rung != RungScratch || !strings.Contains(past.Why, "FLUSHALL") {
		t.Errorf("rung %s: %s", past.Rung, past.Why)
	}
	if after := digestOf(t, db); after != before {
		t.Errorf("the data changed: %s, %s", before, after)
	}
	if after := fileOf(t, srv); after != file {
		t.Error("the file of the server changed")
	}
}

// Others notice nothing of a dry run.
func TestDryRunIsSilent(t *testing.T) {
	srv := kvtest.NewServer(t, "--enable-debug-command", "yes")
	db := srv.DB(t)
	s := newStore(t, db)
	popped := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sub := db.Client().Subscribe(ctx, "ch")
	defer sub.Close()
	_, err := sub.Receive(ctx)
	must(t, err)
	go func() { popped <- db.Client().BLPop(ctx, 2*time.Second, "queue").Err() }()
	await(t, "somebody waits for the queue", func() bool {
		info, err := db.Info(t.Context())
		return err == nil && info["clients"]["blocked_clients"] == "1"
	})
	before := digestOf(t, db)
	d := dry(t, s, "redis.call('LPUSH', 'queue', 1) redis.call('PUBLISH', 'ch', 'dry') return 1", nil, nil)
	if len(d.Calls) != 2 {
		t.Fatalf("calls %q", shown(d))
	}
	do(t, db, "PUBLISH", "ch", "real")
	if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "real" {
		t.Errorf("%v, %v", m, err)
	}
	if after := digestOf(t, db); after != before {
		t.Errorf("the data changed: %s, %s", before, after)
	}
	do(t, db, "LPUSH", "queue", "real")
	must(t, <-popped)
	await(t, "the server has no child left", func() bool { return len(children(t, srv.PID())) == 0 })
}

func TestDryRunEndless(t *testing.T) {
	srv := kvtest.NewServer(t, "--busy-reply-threshold", "300")
	s := newStore(t, srv.DB(t))
	d := dry(t, s, "redis.call('SET', 'k', \"\\0\\\"\")\nlocal n = 0\nwhile true do\n  n = n + 1\nend", nil, nil)
	diff(t, "calls", []string{"1 SET k \x00\" → OK w"}, shown(d))
	if d.Failure == nil || d.Failure.Line < 3 || !strings.Contains(d.Failure.Message, "does not end") {
		t.Errorf("failure %+v", d.Failure)
	}
	await(t, "the server has no child left", func() bool { return len(children(t, srv.PID())) == 0 })
}

// Where the target offers no fork, the program runs on copies, or read-only.
func TestDryRunRungs(t *testing.T) {
	srv := kvtest.NewServer(t)
	admin := srv.DB(t)
	do(t, admin, "SET", "{k}a", "1")
	do(t, admin, "SET", "{k}undeclared", "2", "PX", 500_000)
	as := func(rules ...any) *Store {
		name := fmt.Sprintf("user%d", len(rules))
		do(t, admin, append([]any{"ACL", "SETUSER", name, "reset", "on", ">pw", "~*", "&*", "+@all"}, rules...)...)
		db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), ProgramUser: name + ":pw"})
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return newStore(t, db)
	}
	text := "local n = redis.call('GET', '{k}undeclared')\nredis.call('SET', KEYS[1], n + 1)\nreturn redis.call('TTL', '{k}undeclared') > 0"
	s := as("-script|debug", "-@admin", "-@dangerous")
	c := Call{Text: text, Keys: []string{"{k}a"}}
	d, err := s.DryRun(t.Context(), me, c)
	must(t, err)
	if d.Rung != RungScratch || !strings.Contains(d.Why, "SCRIPT DEBUG") || Render(d.Reply) != "(integer) 1" || len(d.Changes) != 1 || d.Changes[0].After.Lines[0] != "3" {
		t.Errorf("%+v", d)
	}
	out, err := s.Apply(t.Context(), me, c, d.Expect)
	must(t, err)
	if Render(out.Reply) != "(integer) 1" {
		t.Errorf("applied: %+v", out)
	}
	if d, err = s.DryRun(t.Context(), me, Call{Text: "return redis.call('FLUSHALL')"}); err != nil || d.Failure == nil {
		t.Errorf("FLUSHALL in a copy, as the user for programs: %+v, %v", d, err)
	}

	t.Setenv("PATH", "") // no server can be started
	s = as("-script|debug", "-@admin")
	d, err = s.DryRun(t.Context(), me, c)
	must(t, err)
	if d.Rung != RungReadOnly || d.Failure == nil || d.Failure.Line != 2 || !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.Contains(n, "would write at line 2 (SET)") }) {
		t.Errorf("%+v", d)
	}
	s = as("-script|debug", "-eval_ro", "-@admin", "-migrate")
	d, err = s.DryRun(t.Context(), me, c)
	must(t, err)
	if d.Rung != RungStatic || strings.Count(d.Why, ".") != 3 {
		t.Errorf("%+v", d)
	}
	if v, err := admin.Client().Get(t.Context(), "{k}a").Result(); err != nil || v != "3" {
		t.Errorf("%q, %v", v, err)
	}
}

// Over TLS, a forked session breaks; while the server saves, it may not start.
func TestDryRunNoFork(t *testing.T) {
	srv := kvtest.NewServer(t)
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	must(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				backend, err := net.Dial("unix", strings.TrimPrefix(srv.URL(), "unix://"))
				if err != nil {
					return
				}
				defer backend.Close()
				go func() {
					_, _ = io.Copy(conn, backend)
					conn.Close()
				}()
				_, _ = io.Copy(backend, conn)
			}()
		}
	}()
	ca := filepath.Join(t.TempDir(), "ca")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o600))
	db, err := kvdb.Open(kvdb.Config{URL: "rediss://" + l.Addr().String(), TLSCA: ca})
	must(t, err)
	defer db.Close()
	s := newStore(t, db)
	c := Call{Text: "return redis.call('INCR', KEYS[1])", Keys: []string{"k"}}
	d, err := s.DryRun(t.Context(), me, c)
	must(t, err)
	if d.Rung != RungScratch || !strings.Contains(d.Why, "TLS") || Render(d.Reply) != "(integer) 1" {
		t.Errorf("TLS: %+v", d)
	}
	if _, err := s.StartDebug(t.Context(), me, "browser", c, nil); !errors.As(err, new(*NoDebugError)) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("TLS: %v", err)
	}

	s = newStore(t, srv.DB(t))
	do(t, s.db, "SET", "k", "1")
	do(t, s.db, "CONFIG", "SET", "rdb-key-save-delay", "10000000")
	do(t, s.db, "BGSAVE")
	d, err = s.DryRun(t.Context(), me, c)
	must(t, err)
	if Render(d.Reply) != "(integer) 2" || d.Rung != RungFork && !strings.Contains(d.Why, "BGSAVE") {
		t.Errorf("while it saves: %+v", d)
	}
}

// Programs get just the arguments that they are given, however many or large.
func TestDryRunArguments(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	const text = "local n = 0 for i = 1, #ARGV do n = n + #ARGV[i] end return {#KEYS, #ARGV, n, redis.sha1hex(table.concat(ARGV))}"
	for _, values := range [][]string{{strings.Repeat("x", 11560)}, {strings.Repeat("x", 16030), strings.Repeat("y", 11560)}, {strings.Repeat("z", 700_000)}, manyValues(500), {strings.Repeat("z", 4_000_000)}} {
		c := Call{Text: "-- " + strings.Repeat("x", 16000) + "\n" + text, Keys: []string{"k"}, Values: values}
		d, err := s.DryRun(t.Context(), me, c)
		must(t, err)
		out, err := s.Run(t.Context(), me, c)
		must(t, err)
		if Render(d.Reply) != Render(out.Reply) || d.Rung != RungFork && d.Rung != RungScratch {
			t.Errorf("%d values: %s %s, %s, want %s", len(values), d.Rung, d.Why, Render(d.Reply), Render(out.Reply))
		}
	}
}

func manyValues(n int) (values []string) {
	for i := range n {
		values = append(values, strings.Repeat("v", i))
	}
	return values
}

func TestExpectText(t *testing.T) {
	e := Expect{Call: "c", Keys: []ExpectedKey{{"\xff\x00", strings.Repeat("a", 40)}, {"k", ""}}}
	text, err := e.MarshalText()
	must(t, err)
	var back Expect
	must(t, back.UnmarshalText(text))
	diff(t, "read back", e, back)
	for _, bad := range []string{"", "{}x", `{"k":[["YQ==","eHg="]]}`} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", bad, err)
		}
	}
}

func FuzzTrace(f *testing.F) {
	f.Add("9:1:X2:ab1:c")
	f.Add("30:1:C1:11:31:w1:38:$2:okay3:SET")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseTrace(text, false)
		_, _, _ = tracedReply(text)
	})
}
