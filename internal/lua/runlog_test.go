package lua

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// ran records so many runs of a program.
func ran(s *Store, program string, n int) {
	for i := range n {
		s.record(Run{Program: program, Mode: "run", Outcome: "done", Result: fmt.Sprint(i)})
	}
}

func wantRuns(t testing.TB, s *Store, program string, runs, failures int64) {
	t.Helper()
	usage, err := s.Usage(t.Context(), []string{program})
	must(t, err)
	if u := usage[program]; u.Runs != runs || u.Failures != failures {
		t.Errorf("%q: %+v, want %d runs, %d failures", program, u, runs, failures)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		var told []Run
		s := newStore(t, db, withClock(now), func(o *Options) { o.OnRun = func(r Run) { told = append(told, r) } })
		other, ctx := newStore(t, db, withClock(now)), t.Context()
		at := now.now()
		runs := []Run{
			{Program: "a", SHA1: "x", At: at, Who: "ann", Address: "10.0.0.1", CID: "c1", Mode: "run", Keys: []string{"k", "\xff"}, Values: []string{"", "ż\n"}, Type: "integer", Result: "1", Took: 1234567, Outcome: "done"},
			{Program: "a", At: at.Add(time.Second), Mode: "read-only", Error: "boom", Line: 3, Outcome: "failed"},
			{Program: "a", Mode: "dry-run", Outcome: "failed"},
			{Program: "a", Mode: "debug", Outcome: "done"},
			{Program: "a", Mode: "apply", Outcome: "unknown"},
			{Mode: "run", Text: "return 1", Outcome: "done"},
		}
		for _, r := range runs {
			s.record(r)
		}
		if len(told) != len(runs) {
			t.Errorf("OnRun was told of %d runs", len(told))
		}
		ran(other, "b", 1)
		page, err := s.Runs(ctx, "a", "", 0)
		must(t, err)
		for i := range page.Items {
			want := runs[4-i]
			if want.At.IsZero() {
				want.At = at
			}
			if page.Items[i].ID == "" {
				t.Error("a run without an ID")
			}
			page.Items[i].ID = ""
			if diff := cmp.Diff(want, page.Items[i]); diff != "" {
				t.Errorf("run %d (-want +got)\n%s", i, diff)
			}
		}
		if len(page.Items) != 5 || page.Next != "" {
			t.Errorf("%d runs, next %q", len(page.Items), page.Next)
		}
		if page, err := s.Runs(ctx, "", "", 0); err != nil || len(page.Items) != 1 || page.Items[0].Text != "return 1" {
			t.Errorf("ad hoc: %+v, %v", page, err)
		}
		usage, err := s.Usage(ctx, []string{"a", "b", "", "never"})
		want := map[string]Usage{"a": {3, 1, at.Add(time.Second)}, "b": {}, "": {1, 0, at}, "never": {}}
		if diff := cmp.Diff(want, usage); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		must(t, other.flushRuns(ctx))
		wantRuns(t, s, "b", 1, 0)

		ran(s, "many", 250)
		var got []string
		for cursor := ""; ; {
			page, err := s.Runs(ctx, "many", cursor, 7)
			must(t, err)
			for _, r := range page.Items {
				got = append(got, r.Result)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			ran(s, "many", 1)
		}
		if len(got) < runsKept-20 || got[0] != "249" || got[50] != "199" {
			t.Errorf("%d runs: %q", len(got), got)
		}
		if n := db.Client().XLen(ctx, s.keys.Log("many")).Val(); n != runsKept {
			t.Errorf("%d runs are kept", n)
		}
		for _, cursor := range []string{"x", "1", "-"} {
			if _, err := s.Runs(ctx, "a", cursor, 0); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
	})
}

// TestRunsAreCut: what is kept of a run is bounded, and says so.
func TestRunsAreCut(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	many := make([]string, 200)
	big := strings.Repeat("ż", 1<<20)
	s.record(Run{Program: "list", Mode: "run", Keys: many, Values: []string{"kept"}})
	s.record(Run{Program: "value", Mode: "run", Values: []string{"kept", big, strings.Repeat("\xff", 2000)}})
	s.record(Run{Program: "bytes", Mode: "run", Keys: []string{"k"}, Values: strings.SplitAfter(strings.Repeat(strings.Repeat("x", 1000)+"\n", 40), "\n")})
	s.record(Run{Mode: "run", Text: big, Result: big, Error: big})
	s.record(Run{Program: "small", Mode: "run", Keys: []string{"k"}, Result: big})
	get := func(program string) Run {
		page, err := s.Runs(t.Context(), program, "", 0)
		must(t, err)
		return page.Items[0]
	}
	if r := get("list"); len(r.Keys) != keptArgs || len(r.Values) != 1 || !r.Cut {
		t.Errorf("%d keys, %q, %v", len(r.Keys), r.Values, r.Cut)
	}
	if r := get("value"); len(r.Values) != 3 || r.Values[0] != "kept" || r.Values[1] != big[:keptArg] || len(r.Values[2]) != keptArg || !r.Cut {
		t.Errorf("%d values, %v", len(r.Values), r.Cut)
	}
	if r := get("bytes"); len(r.Keys) != 1 || len(r.Values) != 16 || !r.Cut {
		t.Errorf("%d values, %v", len(r.Values), r.Cut)
	}
	if r := get(""); r.Text != big[:keptText] || r.Result != big[:keptResult] || len(r.Error) != keptResult || !r.Cut {
		t.Errorf("%d bytes of text, %d of result", len(r.Text), len(r.Result))
	}
	if r := get("small"); r.Cut || len(r.Result) != keptResult {
		t.Errorf("%+v", r)
	}
	for text, want := range map[string]string{"aż": "a", "abc": "ab", "ab": "ab", "\xff\xff\xff": "\xff\xff", "a𝄞": "a"} {
		if got := cutText(text, 2); got != want {
			t.Errorf("%q is cut to %q", text, got)
		}
	}
}

// TestManyRuns: what waits to be written is bounded, whatever is run, and every run is counted.
func TestManyRuns(t *testing.T) {
	set(t, &runsMemory, 1<<20)
	srv := kvtest.NewServer(t)
	s := newStore(t, srv.DB(t))
	s.record(Run{Program: "p0", Mode: "run"})
	must(t, s.flushRuns(t.Context()))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	const writers, each = 4, 10_000
	values := []string{strings.Repeat("x", 1000), strings.Repeat("y", 1000)}
	start := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				s.record(Run{Program: fmt.Sprint("p", i%300), Mode: "run", Outcome: []string{"done", "failed"}[i/300%2], Values: values})
			}
		})
	}
	wg.Wait()
	t.Logf("a record takes %v", time.Since(start)/(writers*each))
	if s.runs.bytes > runsMemory {
		t.Errorf("%d bytes wait, counted as such", s.runs.bytes)
	}
	if took := heap() - before; took > 4<<20 {
		t.Errorf("%d bytes wait", took)
	}
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprint("p", i))
	}
	usage, err := s.Usage(t.Context(), names)
	must(t, err)
	var runs, failures int64
	for _, u := range usage {
		runs, failures = runs+u.Runs, failures+u.Failures
	}
	if want := int64(writers * 300 * 16); runs != writers*each+1 || failures < want || failures > want+writers*300 {
		t.Errorf("%d runs, %d failures", runs, failures)
	}
}

// TestRunsOutliveTheServer: what could not be written waits, and is counted once.
func TestRunsOutliveTheServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newStore(t, srv.DB(t))
	ran(s, "a", 150)
	must(t, s.flushRuns(t.Context()))
	ran(s, "a", 5)
	srv.Kill()
	for range 3 {
		if err := s.flushRuns(t.Context()); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("%v, want ErrAway", err)
		}
		ran(s, "a", 10)
		ran(s, "b", 1)
	}
	srv.Restart()
	await(t, "it heals", func() bool { return s.flushRuns(t.Context()) == nil })
	wantRuns(t, s, "a", 185, 0)
	wantRuns(t, s, "b", 3, 0)
}

// TestRunsCountOnce: a flush of which no answer comes is sent again, and counts once.
func TestRunsCountOnce(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := newStore(t, db)
	ran(s, "a", 1)
	must(t, s.flushRuns(t.Context())) // the server knows the script
	once := true
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) {
		if once && strings.HasPrefix(cmds[0].Name(), "eval") {
			once = false
			srv.Pause()
		}
	}))
	ran(s, "a", 3)
	if err := s.flushRuns(t.Context()); !errors.Is(err, kvdb.ErrUnknown) {
		t.Fatalf("%v, want ErrUnknown", err)
	}
	ran(s, "a", 2)
	srv.Resume()
	await(t, "it was written all the same", func() bool { return db.Client().HGet(t.Context(), s.keys.Runs(), "a").Val() == "4" })
	for range 2 {
		must(t, s.flushRuns(t.Context()))
	}
	wantRuns(t, s, "a", 6, 0)
	if n := db.Client().XLen(t.Context(), s.keys.Log("a")).Val(); n != 6 {
		t.Errorf("%d runs in the log", n)
	}
}

// TestRunsAreWrittenByTheWay: Start writes them each second, and Close what is left.
func TestRunsAreWrittenByTheWay(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := New(db, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s.Start(ctx)
	ran(s, "a", 1)
	await(t, "the run is written", func() bool { return db.Client().XLen(t.Context(), s.keys.Log("a")).Val() == 1 })
	cancel()
	ran(s, "a", 1)
	must(t, s.Close(t.Context()))
	wantRuns(t, newStore(t, db), "a", 2, 0)
}

// TestRunOnBehalfOf: a run knows the invocation on whose behalf it was made.
func TestRunOnBehalfOf(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	for _, ctx := range []context.Context{t.Context(), correlation.With(t.Context(), "c1")} {
		_, err := s.Run(ctx, Caller{Who: "ann"}, Call{Text: "return 1"})
		must(t, err)
	}
	page, err := s.Runs(t.Context(), "", "", 0)
	must(t, err)
	if len(page.Items) != 2 || page.Items[0].CID != "c1" || page.Items[1].CID != "" {
		t.Errorf("%+v", page.Items)
	}
}
