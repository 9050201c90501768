package lua

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

var somebody = Caller{Who: "ann", Address: "192.0.2.1"}

// lastRun is the newest run that is kept of a program; "" = ad hoc.
func lastRun(t testing.TB, s *Store, name string) Run {
	t.Helper()
	page, err := s.Runs(t.Context(), name, "", 1)
	must(t, err)
	if len(page.Items) == 0 {
		return Run{}
	}
	r := page.Items[0]
	r.ID, r.At, r.Took = "", time.Time{}, 0
	return r
}

func TestRun(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		ctx := t.Context()
		key := string("mine" + db.Keys())
		p := mustPut(t, s, "sum", "local n = redis.call('INCRBY', KEYS[1], ARGV[1])\nif n > 5 then\n  error('too much')\nend\nreturn {n, 'x', false}")
		call := Call{Name: "sum", Keys: []string{key}, Values: []string{"5"}}

		out, err := s.Run(ctx, somebody, call)
		if err != nil || out.Failure != nil || out.Truncated || out.Took <= 0 || out.Program.SHA1 != p.SHA1 || Render(out.Reply) != `[(integer) 5, "x", (nil)]` {
			t.Errorf("%+v, %v", out, err)
		}
		want := Run{Program: "sum", SHA1: p.SHA1, Who: "ann", Address: "192.0.2.1", Mode: "run", Keys: []string{key}, Values: []string{"5"},
			Type: "array", Result: `[(integer) 5, "x", (nil)]`, Outcome: "done"}
		if diff := cmp.Diff(want, lastRun(t, s, "sum")); diff != "" {
			t.Errorf("the run (-want +got):\n%s", diff)
		}

		out, err = s.Run(ctx, somebody, call)
		if err != nil || out.Failure == nil || out.Failure.Line != 3 || out.Failure.Message != "too much" || !strings.Contains(out.Failure.Raw, "script: "+p.SHA1) {
			t.Errorf("%+v, %v", out.Failure, err)
		}
		if r := lastRun(t, s, "sum"); r.Outcome != "failed" || r.Error != "too much" || r.Line != 3 {
			t.Errorf("%+v", r)
		}

		call.ReadOnly = true
		out, err = s.Run(ctx, somebody, call)
		if err != nil || out.Failure == nil || out.Failure.Message != "Write commands are not allowed from read-only scripts." || out.Failure.Line != 1 {
			t.Errorf("%+v, %v", out.Failure, err)
		}
		if r := lastRun(t, s, "sum"); r.Mode != "read-only" || r.Outcome != "failed" {
			t.Errorf("%+v", r)
		}

		out, err = s.Run(ctx, somebody, Call{Text: "return ARGV[1]", Values: []string{"é\x00"}})
		if err != nil || out.Reply.Text != "é\x00" || len(out.Program.SHA1) != 40 || out.Program.Name != "" {
			t.Errorf("ad hoc: %+v, %v", out, err)
		}
		if r := lastRun(t, s, ""); r.Text != "return ARGV[1]" || r.Result != `"é\x00"` {
			t.Errorf("%+v", r)
		}

		var notFound *NotFoundError
		if _, err := s.Run(ctx, somebody, Call{Name: "sun"}); !errors.As(err, &notFound) || !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("no such program: %v", err)
		}
		if len(s.Running()) > 0 {
			t.Errorf("still running: %v", s.Running())
		}
	})
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := newStore(t, db)
	own := db.Keys().Schema()
	field := func(err error) string {
		var invalid *kvdb.InvalidError
		if errors.As(err, &invalid) {
			return invalid.Fields[0].Field
		}
		return ""
	}
	many := make([]string, MaxArguments)
	large := []string{strings.Repeat("x", MaxArgBytes+1)}
	for _, tt := range []struct {
		call  Call
		field string
	}{
		{Call{Text: "return 1", Keys: many, Values: []string{""}}, "keys"},
		{Call{Text: "return 1", Keys: []string{""}, Values: many}, "values"},
		{Call{Text: "return 1", Keys: large}, "keys"},
		{Call{Text: "return 1", Values: large}, "values"},
		{Call{}, "source"},
		{Call{Text: "\xff"}, "source"},
	} {
		if _, err := s.Run(t.Context(), somebody, tt.call); field(err) != tt.field {
			t.Errorf("%.40q: %v, want one of %s", tt.call.Text, err, tt.field)
		}
	}
	if _, err := s.Run(t.Context(), somebody, Call{Text: "return 1", Keys: many[:MaxArguments-1], Values: []string{strings.Repeat("x", MaxArgBytes)}}); err != nil {
		t.Errorf("just as much as may be: %v", err)
	}
	call := Call{Text: "return redis.call('EXISTS', KEYS[1])", Keys: []string{own}}
	if _, err := s.Run(t.Context(), somebody, call); !errors.Is(err, kvdb.ErrForbidden) {
		t.Errorf("an own key: %v", err)
	}
	if _, err := s.Run(t.Context(), Caller{Admin: true}, call); err != nil {
		t.Errorf("an own key, by an admin: %v", err)
	}
}

// texts are programs, and what the server says of them.
var texts = map[string]*SyntaxError{
	"return 1":                             nil,
	"return ...":                           nil,
	"-- nothing":                           nil,
	"local x = 1\r\nreturn x\r\n":          nil,
	"#!lua\nreturn 1":                      nil,
	"#!lua flags=no-writes,allow-stale\n":  nil,
	"#!lua flags=\nreturn 1":               nil,
	"#!lua flags=,no-writes\nreturn 1":     {Line: 1, Message: "Unexpected flag in script shebang: "},
	"x = = 1":                              {Line: 1, Message: "unexpected symbol near '='"},
	"return 1\n\nreturn 2":                 {Line: 3, Message: "'<eof>' expected near 'return'"},
	"#!lua\n\nx = = 1":                     {Line: 3, Message: "unexpected symbol near '='"},
	"end return 1 ; local x = function()":  {Line: 1, Message: "'<eof>' expected near 'end'"},
	"--[[ open":                            {Line: 1, Message: "unfinished long comment near '<eof>'"},
	"return 'a":                            {Line: 1, Message: "unfinished string near '<eof>'"},
	"break":                                {Line: 1, Message: "no loop to break near '<eof>'"},
	"#!lua":                                {Line: 1, Message: "Invalid script shebang"},
	"#!js\nreturn 1":                       {Line: 1, Message: "Unexpected engine in script shebang: #!js"},
	"#!\nreturn 1":                         {Line: 1, Message: "Unexpected engine in script shebang: #!"},
	"#!lua flags=no-writes,fast\nreturn 1": {Line: 1, Message: "Unexpected flag in script shebang: fast"},
	"#!lua name=x\nreturn = ":              {Line: 1, Message: "Unknown lua shebang option: name=x"},
	" #!lua\nreturn 1":                     {Line: 1, Message: "unexpected symbol near '#'"},
	"goto done":                            {Line: 1, Message: "'=' expected near 'done'"},
	"return 0x1p4":                         nil,
	"\ufeffreturn 1":                       {Line: 1, Message: "unexpected symbol near '\u00ef'"},
}

// TestVerdict: the server's verdict is the same whether it remembers the text or not, and nothing runs.
func TestVerdict(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		for text, want := range texts {
			for name, verdict := range map[string]func(context.Context, string) error{"verdict": s.verdict, "verdictOnly": s.verdictOnly} {
				err := verdict(t.Context(), text)
				var got *SyntaxError
				if err != nil && !errors.As(err, &got) {
					t.Errorf("%s of %q: %v", name, text, err)
				}
				if got != nil && strings.HasPrefix(text, "\ufeff") { // the server shows a part of a character
					got = &SyntaxError{Line: got.Line, Message: want.Message}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s of %q (-want +got):\n%s", name, text, diff)
				}
			}
			if text == "" || want == nil {
				continue
			}
			var got *SyntaxError
			if _, err := s.Run(t.Context(), somebody, Call{Text: text}); !errors.As(err, &got) || got.Line != want.Line {
				t.Errorf("run of %q: %v", text, err)
			}
		}
		// These are the text's own words: it has run.
		for _, text := range []string{
			"return redis.error_reply('ERR Error compiling script (new function): user_script:1: no')",
			"return redis.error_reply('ERR Invalid script shebang')",
		} {
			if out, err := s.Run(t.Context(), somebody, Call{Text: text}); err != nil || out.Failure == nil {
				t.Errorf("%s: %+v, %v", text, out, err)
			}
		}
	})
}

func TestVerdictOnlyIsNotRemembered(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := newStore(t, db)
	text := "return 'nobody ever loads this' -- " + string(db.Keys()) + time.Now().String()
	must(t, s.verdictOnly(t.Context(), text))
	sum := sha1Of(text)
	if known, err := db.Client().ScriptExists(t.Context(), sum).Result(); err != nil || known[0] {
		t.Errorf("remembered: %v, %v", known, err)
	}
	must(t, s.verdict(t.Context(), text))
	if known, err := db.Client().ScriptExists(t.Context(), sum).Result(); err != nil || !known[0] {
		t.Errorf("not remembered: %v, %v", known, err)
	}
}

// TestFailures reads errors as servers of all versions write them.
func TestFailures(t *testing.T) {
	t.Parallel()
	const sha = "7a7fca58cb00f8d8da0146349dfc81835935c7e7"
	for raw, want := range map[string]Failure{
		// Redis 7.0 and later, Valkey
		"ERR user_script:3: boom script: " + sha + ", on @user_script:3.":                                                         {Message: "boom", Line: 3},
		"ERR user_script:2: deep script: " + sha + ", on @user_script:1.":                                                         {Message: "deep", Line: 2},
		"ERR Unknown Redis command called from script script: " + sha + ", on @user_script:12.":                                   {Message: "Unknown Redis command called from script", Line: 12},
		"WRONGTYPE Operation against a key holding the wrong kind of value script: " + sha + ", on @user_script:1.":               {Message: "WRONGTYPE Operation against a key holding the wrong kind of value", Line: 1},
		"OOM command not allowed when used memory > 'maxmemory'. script: " + sha + ", on @user_script:1.":                         {Message: "OOM command not allowed when used memory > 'maxmemory'.", Line: 1},
		"MY code script: " + sha + ", on @user_script:1.":                                                                         {Message: "MY code", Line: 1},
		"ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: " + sha + ", on @user_script:1.": {Message: "Script attempted to access nonexistent global variable 'foo'", Line: 1},
		// Redis 6.2
		"ERR Error running script (call to f_" + sha + "): @user_script:3: user_script:3: boom":                                           {Message: "boom", Line: 3},
		"ERR Error running script (call to f_" + sha + "): @user_script:1: @user_script: 1: Unknown Redis command called from Lua script": {Message: "Unknown Redis command called from Lua script", Line: 1},
		"ERR Error running script (call to f_" + sha + "): @user_script:1: WRONGTYPE Operation against a key":                             {Message: "WRONGTYPE Operation against a key", Line: 1},
		"ERR Error running script (call to f_" + sha + "): @enable_strict_lua:15: user_script:7: Script attempted to access nonexistent global variable 'x'": {
			Message: "Script attempted to access nonexistent global variable 'x'", Line: 7},
		// replied, not raised
		"MY err": {Message: "MY err"},
		"ERR":    {Message: "ERR"},
		"ERR script: not the server's, on @user_script:1.": {Message: "script: not the server's, on @user_script:1."},
	} {
		want.Raw = raw
		if diff := cmp.Diff(&want, failureOf(raw, true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
	for _, raw := range []string{
		"NOPERM this user has no permissions to access one of the keys used as arguments",
		"ERR The user executing the script can't run this command or subcommand script: " + sha + ", on @user_script:1.",
		"ERR ACL failure in script: User x has no permissions to run the 'config|get' command script: " + sha + ", on @user_script:1.",
	} {
		if f := failureOf(raw, true); !strings.Contains(f.Message, "Programs run as a Redis user of their own") {
			t.Errorf("%s: %s", raw, f.Message)
		}
		if f := failureOf(raw, false); !strings.Contains(f.Message, "the Redis user of the Redis URL") {
			t.Errorf("%s: %s", raw, f.Message)
		}
	}
}

func TestRunAsProgramUser(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	must(t, srv.DB(t).Client().Do(t.Context(), "ACL", "SETUSER", "programs", "on", ">secret", "~mine*", "&*", "+@all", "-@admin", "-@dangerous").Err())
	db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), Prefix: "own:", ProgramUser: "programs:secret"})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := newStore(t, db)
	if out, err := s.Run(t.Context(), somebody, Call{Text: "return redis.call('INCR', KEYS[1])", Keys: []string{"mine"}}); err != nil || out.Failure != nil {
		t.Errorf("%+v, %v", out.Failure, err)
	}
	for text, line := range map[string]int{
		"return redis.call('GET', KEYS[1])":              0,
		"local k = 'own:x'\nreturn redis.call('GET', k)": 2,
		"\n\nreturn redis.call('KEYS', '*')":             3,
		"local r = redis.pcall('KEYS', '*')\nreturn r\n": 0,
	} {
		c := Call{Text: text}
		if line == 0 && strings.Contains(text, "KEYS[1]") {
			c.Keys = []string{"own:x"}
		}
		out, err := s.Run(t.Context(), Caller{Who: "root", Admin: true}, c)
		if err != nil || out.Failure == nil || out.Failure.Line != line || !strings.Contains(out.Failure.Message, "Programs run as a Redis user of their own") {
			t.Errorf("%q: %+v, %v", text, out.Failure, err)
		}
	}
	if out, err := s.Run(t.Context(), somebody, Call{Text: "return redis.call('CONFIG', 'GET', '*')"}); err != nil || out.Failure == nil {
		t.Errorf("CONFIG GET: %+v, %v", out, err)
	}
}

// TestRunaway: a program without end is named, and can be killed; one that has written can't.
func TestRunaway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--lua-time-limit", "1")
	db := srv.DB(t)
	s := newStore(t, db)
	ctx := t.Context()
	if err := s.Kill(ctx); !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "nothing to kill") {
		t.Errorf("kill of nothing: %v", err)
	}
	if r, ok := s.Blocking(); ok {
		t.Errorf("blocked by %v", r)
	}
	mustPut(t, s, "endless", "while true do end")
	type end struct {
		out Outcome
		err error
	}
	ended := make(chan end, 1)
	start := func(ctx context.Context, c Call) {
		go func() {
			out, err := s.Run(ctx, somebody, c)
			ended <- end{out, err}
		}()
		await(t, "the server is busy", func() bool { return db.Health(t.Context()).Status == kvdb.StatusBusy })
	}
	start(ctx, Call{Name: "endless"})
	if r, ok := s.Blocking(); !ok || r.Program != "endless" || r.Who != "ann" || r.Since.IsZero() {
		t.Errorf("blocked by %+v, %v", r, ok)
	}
	if _, err := s.Run(ctx, somebody, Call{Text: "return 1"}); !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "SCRIPT KILL") {
		t.Errorf("a run beside it: %v", err)
	}
	must(t, s.Kill(ctx))
	if e := <-ended; e.err != nil || e.out.Failure == nil || !strings.Contains(e.out.Failure.Message, "killed by user") {
		t.Errorf("killed: %+v, %v", e.out.Failure, e.err)
	}

	// The browser goes; the run is still named until it ends, and only then kept.
	gone, cancel := context.WithCancel(ctx)
	start(gone, Call{Text: "while true do end"})
	cancel()
	if e := <-ended; !errors.Is(e.err, kvdb.ErrUnknown) {
		t.Errorf("gone: %v", e.err)
	}
	if list := s.Running(); len(list) != 1 || list[0].Program != AdHoc {
		t.Errorf("running: %v", list)
	}
	must(t, s.Kill(ctx))
	await(t, "nothing runs", func() bool { return len(s.Running()) == 0 })
	await(t, "it is kept", func() bool { return strings.Contains(lastRun(t, s, "").Error, "killed by user") })

	start(ctx, Call{Text: "redis.call('SET', 'k', 'v') while true do end"})
	var unkillable *UnkillableError
	if err := s.Kill(ctx); !errors.As(err, &unkillable) || !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "SHUTDOWN NOSAVE") || !strings.Contains(err.Error(), "AOF") {
		t.Errorf("kill of what has written: %v", err)
	}
	srv.Kill()
	if e := <-ended; !errors.Is(e.err, kvdb.ErrUnknown) {
		t.Errorf("the server is dead: %v", e.err)
	}
	srv.Restart()
	await(t, "the run is kept", func() bool { return lastRun(t, s, "").Outcome == "unknown" })
}

func TestRender(t *testing.T) {
	bulk := func(s string) kvdb.Reply { return kvdb.Reply{Kind: kvdb.KindBulk, Text: s} }
	list := func(kind kvdb.Kind, items ...kvdb.Reply) kvdb.Reply { return kvdb.Reply{Kind: kind, Items: items} }
	one := kvdb.Reply{Kind: kvdb.KindInteger, Text: "1"}
	for want, r := range map[string]kvdb.Reply{
		`(nil)`:                        {Kind: kvdb.KindNil},
		`""`:                           bulk(""),
		`"a\"\n\x00\xffé"`:             bulk("a\"\n\x00\xffé"),
		`OK`:                           {Kind: kvdb.KindStatus, Text: "OK"},
		`a\nb`:                         {Kind: kvdb.KindStatus, Text: "a\nb"},
		`(error) ERR no`:               {Kind: kvdb.KindError, Text: "ERR no"},
		`(integer) 1`:                  one,
		`(double) 1.5`:                 {Kind: kvdb.KindDouble, Text: "1.5"},
		`(true)`:                       {Kind: kvdb.KindBoolean, Text: "t"},
		`(false)`:                      {Kind: kvdb.KindBoolean, Text: "f"},
		`[]`:                           list(kvdb.KindArray),
		`[(integer) 1, ["x", (nil)]]`:  list(kvdb.KindArray, one, list(kvdb.KindArray, bulk("x"), kvdb.Reply{})),
		`{"a": (integer) 1, "b": "c"}`: list(kvdb.KindMap, bulk("a"), one, bulk("b"), bulk("c")),
		`{"a", "b"}`:                   list(kvdb.KindSet, bulk("a"), bulk("b")),
	} {
		if got := Render(r); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	many := make([]kvdb.Reply, 1_000_000)
	for i := range many {
		many[i] = bulk("é")
	}
	for _, r := range []kvdb.Reply{bulk(strings.Repeat("é", 5<<20)), bulk(strings.Repeat("\xff", 5<<20)), list(kvdb.KindArray, many...), {Kind: kvdb.KindStatus, Text: strings.Repeat("€", 3000)}} {
		got := Render(r)
		if len(got) > maxRendered || len(got) < maxRendered-8 || !strings.HasSuffix(got, "…") || strings.ContainsRune(got, '\uFFFD') {
			t.Errorf("%d bytes: … %q", len(got), got[len(got)-20:])
		}
		if allocs := testing.AllocsPerRun(10, func() { Render(r) }); allocs > 20 {
			t.Errorf("%v allocations", allocs)
		}
	}
}
