package lua

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua/ldb"
)

// debug starts a session that the test ends.
func debug(t testing.TB, s *Store, who, text string, keys ...string) *Debug {
	t.Helper()
	d, err := s.StartDebug(t.Context(), Caller{Who: who}, "browser of "+who, Call{Text: text, Keys: keys}, nil)
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

func step(t testing.TB, d *Debug, cmd DebugCommand) DebugState {
	t.Helper()
	st, err := d.Do(t.Context(), cmd)
	must(t, err)
	return st
}

func logTexts(log []LogEntry) (list []string) {
	for _, e := range log {
		list = append(list, fmt.Sprintf("%s %d %s", e.Kind, e.Line, e.Text))
	}
	return list
}

func TestDebug(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		do(t, db, "SET", "{k}n", 5)
		d := debug(t, s, "ann", `local n = redis.call('GET', KEYS[1])
local function add(a, b)
  local sum = a + b
  return sum
end
local big, name, tab = 1234567890123, "a \"b\"\r\n\0\255", {1, 2}
for i = 1, 2 do
  n = add(n, i)
end
redis.call('SET', KEYS[1], n)
return {n, name}`, "{k}n")
		st := d.State()
		if st.Line != 1 || st.Reason != "start" || len(st.Locals) != 0 || st.EndsAt.IsZero() {
			t.Errorf("start: %+v", st)
		}
		st = step(t, d, DebugCommand{Kind: DebugStep})
		if st.Line != 5 || st.Reason != "step" {
			t.Errorf("step: line %d, %s", st.Line, st.Reason)
		}
		diff(t, "log", []string{"call 1 GET {k}n", `reply 1 "5"`}, logTexts(st.Log))
		st = step(t, d, DebugCommand{Kind: DebugBreak, Lines: []int{4, 10}})
		diff(t, "breakpoints", []int{4, 10}, st.Breakpoints)
		st = step(t, d, DebugCommand{Kind: DebugContinue})
		if st.Line != 4 || st.Reason != "breakpoint" {
			t.Errorf("continue: line %d, %s", st.Line, st.Reason)
		}
		diff(t, "locals", []Variable{{"a", `"5"`, false}, {"b", "1", false}, {"sum", "6", false}}, st.Locals)
		diff(t, "trace", []Frame{{4, "return sum"}, {8, "n = add(n, i)"}}, st.Trace)
		st = step(t, d, DebugCommand{Kind: DebugEval, Text: "sum + b * 10"})
		diff(t, "eval", []string{"value 4 16"}, logTexts(st.Log))
		st = step(t, d, DebugCommand{Kind: DebugBreak, Lines: []int{10}})
		st = step(t, d, DebugCommand{Kind: DebugContinue})
		if st.Line != 10 {
			t.Errorf("line %d", st.Line)
		}
		for _, v := range st.Locals {
			if v.Name == "big" && !v.Rounded || v.Name == "n" && v.Value != "8" || strings.HasPrefix(v.Name, "(") || v.Name == "redis" {
				t.Errorf("local %+v", v)
			}
		}
		for text, want := range map[string]string{
			"#name": "value 10 9", "string.byte(name, 9)": "value 10 255", "local x = name return #x": "value 10 9", "big": "error", "nope(": "error",
			"redis.call('GET', KEYS[1])":                `value 10 "5"`,
			"'" + strings.Repeat("x ", 2000) + "' == 1": "value 10 false",
		} {
			st = step(t, d, DebugCommand{Kind: DebugEval, Text: text})
			if !strings.HasPrefix(logTexts(st.Log)[len(st.Log)-1], want) {
				t.Errorf("eval %.100s: %q, want %s", text, logTexts(st.Log), want)
			}
		}
		st = step(t, d, DebugCommand{Kind: DebugRedis, Args: []string{"INCR", "{k}n"}})
		diff(t, "redis", []string{"call 10 INCR {k}n", "reply 10 6"}, logTexts(st.Log))
		for _, cmd := range []DebugCommand{
			{Kind: DebugEval}, {Kind: DebugEval, Text: strings.Repeat("x", 2000)}, {Kind: DebugEval, Text: "redis.call('FLUSHALL')"}, {Kind: "nope"},
			{Kind: DebugRedis}, {Kind: DebugRedis, Args: []string{"SET", "k", ""}}, {Kind: DebugRedis, Args: []string{"flushAll"}}, {Kind: DebugRedis, Args: []string{"SET", "k", "a\nb"}},
			{Kind: DebugBreak, Lines: []int{0}}, {Kind: DebugBreak, Lines: []int{12}}, {Kind: DebugBreak, Lines: manyLines()},
		} {
			if _, err := d.Do(t.Context(), cmd); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%.60v: %v, want ErrInvalid", cmd, err)
			}
		}
		st = step(t, d, DebugCommand{Kind: DebugContinue})
		if !st.Ended || st.Reply == nil || Render(*st.Reply) != `["8", "a \"b\"\r\n\x00\xff"]` && Render(*st.Reply) != `[(integer) 8, "a \"b\"\r\n\x00\xff"]` {
			t.Errorf("end: %+v", st)
		}
		if _, err := d.Do(t.Context(), DebugCommand{Kind: DebugStep}); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("after the end: %v", err)
		}
		if v, err := db.Client().Get(t.Context(), "{k}n").Result(); err != nil || v != "5" {
			t.Errorf("the session has written: %q, %v", v, err)
		}
	})
}

func manyLines() (lines []int) {
	for i := range 70 {
		lines = append(lines, i+1)
	}
	return lines
}

func TestDebugEnds(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	for _, tc := range []struct{ text, want string }{
		{"-- nothing", "(nil)"},
		{"\n\nreturn 1", "(integer) 1"},
		{"return 'x'", `"x"`},
		{"#!lua\nreturn 2", "(integer) 2"},
		{"#!lua flags=no-writes\n\nreturn redis.call('SET', 'a', 1)", "Write commands are not allowed from read-only scripts."},
		{"local x = 1\nx.y.z = 1", "line 2: attempt to index local 'x' (a number value)"},
		{"local ok, e = pcall(redis.call, 'LPUSH', KEYS[1])\n\nredis.call('NOPE')", "line 3: Unknown Redis command called from script"},
		{"\n\nerror('boom')", "line 3: boom"},
		{"redis.call('MIGRATE', 'h', 1, 'k', 0, 1)", "line 1: MIGRATE is not run in the debugger: what it does is not undone"},
		{"\nlocal t = {} for i = 1, 100000 do t[i] = '0123456789' end return t", "the program has ended; its reply is too long for the debugger"},
	} {
		d := debug(t, s, "ann", tc.text)
		st := d.State()
		for range 5 {
			if !st.Ended {
				st = step(t, d, DebugCommand{Kind: DebugContinue})
			}
		}
		got := ""
		switch {
		case st.Failure != nil:
			got = st.Failure.Error()
		case st.Reply != nil:
			got = Render(*st.Reply)
		}
		if got != tc.want {
			t.Errorf("%q ends with %q, want %q", tc.text, got, tc.want)
		}
	}
	var syntax *SyntaxError
	for _, text := range []string{"return 1\n)", "#!lua flags=x\nreturn 1"} {
		if _, err := s.StartDebug(t.Context(), me, "b", Call{Text: text}, nil); !errors.As(err, &syntax) {
			t.Errorf("%q: %v, want a SyntaxError", text, err)
		}
	}
	if d, err := s.StartDebug(t.Context(), me, "b", Call{Text: "_G.redis.call('PING')"}, nil); !errors.As(err, new(*NoDebugError)) || d != nil {
		t.Errorf("a program that reaches past the guard: %v", err)
	}
	d := debug(t, s, "ann", "return 1") // no place is left taken
	d.Close()
}

func TestDebugLimits(t *testing.T) {
	srv := kvtest.NewServer(t)
	s := newStore(t, srv.DB(t))
	const text = "local x = 1\nreturn x"
	first := debug(t, s, "ann", text)
	var busy *BusyError
	if _, err := s.StartDebug(t.Context(), Caller{Who: "ann"}, "browser of ann", Call{Text: text}, nil); !errors.As(err, &busy) || busy.ID != first.ID || !errors.Is(err, kvdb.ErrConflict) {
		t.Errorf("a second one: %v", err)
	}
	debug(t, s, "bob", text)
	debug(t, s, "cid", text)
	if _, err := s.StartDebug(t.Context(), Caller{Who: "dan"}, "browser", Call{Text: text}, nil); !errors.As(err, &busy) || busy.ID != "" {
		t.Errorf("a fourth one: %v", err)
	}
	if d, err := s.Debug(first.ID, "browser of ann"); err != nil || d != first {
		t.Errorf("found %v, %v", d, err)
	}
	if _, err := s.Debug(first.ID, "browser of bob"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("of another browser: %v", err)
	}
	first.Close()
	if _, err := s.Debug(first.ID, "browser of ann"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("after the end: %v", err)
	}
	must(t, s.Close(t.Context()))
	await(t, "the server has no child left", func() bool { return len(children(t, srv.PID())) == 0 })
	if _, err := s.StartDebug(t.Context(), Caller{Who: "eve"}, "browser", Call{Text: text}, nil); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("after Close: %v", err)
	}
}

// A session that nobody uses ends, and so does that of a process which is gone.
func TestDebugAbandoned(t *testing.T) {
	srv := kvtest.NewServer(t, "--busy-reply-threshold", "200")
	s := newStore(t, srv.DB(t))
	const text = "local x = 1\nwhile true do\n  x = x + 1\nend"
	gone := func() bool { return len(children(t, srv.PID())) == 0 }
	set(t, &debugIdle, 50*time.Millisecond)
	d := debug(t, s, "ann", text)
	<-d.Done()
	await(t, "the server has no child left", gone)
	debugIdle = time.Minute
	d = debug(t, s, "ann", text)
	if gone() {
		t.Fatal("the session has no process")
	}
	st := step(t, d, DebugCommand{Kind: DebugContinue})
	if st.Reason != string(ldb.Timeout) || st.Line < 2 {
		t.Errorf("an endless loop: %+v", st)
	}
	must(t, d.f.wire.Close())
	await(t, "the server has no child left", gone)
	if _, err := d.Do(t.Context(), DebugCommand{Kind: DebugStep}); err == nil {
		t.Error("a session without a connection goes on")
	}
	d = debug(t, s, "ann", text)
	must(t, d.f.wire.Close())
	await(t, "the server has no child left", gone)
	d.Close()
	set(t, &debugWhole, 10*time.Millisecond)
	d = debug(t, s, "ann", text)
	<-d.Done()
	await(t, "the server has no child left", gone)
}

// Sessions that start at once, with long programs, never see each other's.
func TestDebugStartsTogether(t *testing.T) {
	srv := kvtest.NewServer(t)
	url := srv.URL()
	var wg sync.WaitGroup
	for i := range 2 {
		db, err := kvdb.Open(kvdb.Config{URL: url})
		must(t, err)
		defer db.Close()
		s := newStore(t, db)
		for j := range 4 {
			wg.Go(func() {
				own := fmt.Sprintf("%d-%d", i, j)
				text := "local own = '" + own + "'\n-- " + strings.Repeat("x", 100_000) + "\nreturn own"
				d, err := s.DryRun(t.Context(), me, Call{Text: text})
				if err != nil || d.Rung != RungFork || Render(d.Reply) != `"`+own+`"` {
					t.Errorf("%s: %s %s, %s, %v", own, d.Rung, d.Why, Render(d.Reply), err)
				}
			})
		}
	}
	wg.Wait()
}

func TestStartsAreHeldBack(t *testing.T) {
	set(t, &startsEvery, time.Second)
	var s starts
	now := time.Now()
	for i := range startsAtOnce {
		if wait, ok := s.take(now, 0); wait != 0 || !ok {
			t.Fatalf("start %d waits %v", i, wait)
		}
	}
	if wait, ok := s.take(now, time.Minute); wait != time.Second || !ok {
		t.Errorf("the next one waits %v", wait)
	}
	if wait, ok := s.take(now, time.Second); wait != 2*time.Second || ok {
		t.Errorf("one that can't wait so long waits %v", wait)
	}
	if wait, ok := s.take(now.Add(time.Minute), 0); wait != 0 || !ok {
		t.Errorf("later: %v", wait)
	}
}
