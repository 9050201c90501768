package console_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// TestConnectionOfOnesOwn: what a command leaves behind is there for the next, and for nobody else.
func TestConnectionOfOnesOwn(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	c, s := open(t, db, "operator", console.Options{})
	other := must(c.Open("bob", "operator"))(t)
	prints(t, s, "SELECT 3", "OK")
	prints(t, s, "CLIENT SETNAME me", "OK")
	prints(t, s, "SET k v", "OK")
	prints(t, s, "HSET h f v", "(integer) 1")
	prints(t, s, "HGETALL h", "1) \"f\"\n2) \"v\"")
	if r := do(t, s, "HELLO 3"); r.Reply.Kind != kvdb.KindMap {
		t.Errorf("%v", r)
	}
	prints(t, s, "HGETALL h", `1# "f" => "v"`)
	prints(t, other, "GET k", "(nil)")
	prints(t, other, "HGETALL h", "(empty array)")
	prints(t, other, "CLIENT GETNAME", `"webadmin:console"`)
	if st := s.State(); st.Prompt() != "redis[3]> " || st.Protocol != 3 || st.Name != "me" {
		t.Errorf("%+v", st)
	}
	prints(t, s, "WATCH k", "OK")
	prints(t, s, "MULTI", "OK")
	prints(t, s, "GET k", "QUEUED")
	if st := s.State(); st.Prompt() != "redis[3](TX)> " || st.Queued != 1 || !st.Watching {
		t.Errorf("%+v", st)
	}
	prints(t, other, "SELECT 3", "OK")
	prints(t, other, "SET k w", "OK")
	prints(t, s, "EXEC", "(nil)")
	prints(t, s, "MULTI", "OK")
	prints(t, s, "SELECT 4", "QUEUED")
	prints(t, s, "CLIENT SETNAME you", "QUEUED")
	prints(t, s, "EXEC", "1) OK\n2) OK")
	if st := s.State(); st.Database != 4 || st.Name != "you" || st.Watching {
		t.Errorf("%+v", st)
	}
	prints(t, s, "RESET", "RESET")
	if st := s.State(); st.SessionState != (kvdb.SessionState{Protocol: 2}) {
		t.Errorf("%+v", st)
	}
	prints(t, s, "QUIT", "OK")
	<-s.Done()
	if r := do(t, s, "PING"); !errors.Is(r.Err, kvdb.ErrNotFound) {
		t.Error(r.Err)
	}
}

// TestPolicyHoldsForEachCommand: also in a transaction, and for what only a connection of one's own can do.
func TestPolicyHoldsForEachCommand(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	root := srv.DB(t).Client()
	if err := root.Do(t.Context(), "ACL", "SETUSER", "program", "on", ">secret", "~*", "&*", "+@all", "-@dangerous").Err(); err != nil {
		t.Fatal(err)
	}
	db := must(kvdb.Open(kvdb.Config{URL: srv.URL(), ProgramUser: "program:secret"}))(t)
	defer db.Close()
	c, s := open(t, db, "operator", console.Options{})
	refused := func(line, words string, kind error) {
		t.Helper()
		if r := do(t, s, line); !errors.Is(r.Err, kind) || !strings.Contains(r.Err.Error(), words) {
			t.Errorf("%s: %v, %v", line, r.Reply, r.Err)
		}
	}
	own := string(db.Keys()) + "{x}"
	for _, inTransaction := range []bool{false, true} {
		if inTransaction {
			prints(t, s, "MULTI", "OK")
		}
		refused("GET "+own, "is, or could be, a key of this program", kvdb.ErrForbidden)
		refused("FLUSHALL", "takes the role admin", kvdb.ErrForbidden)
		refused("EVAL x 0", "takes the role admin", kvdb.ErrForbidden)
		refused("MONITOR", "takes the role admin", kvdb.ErrForbidden)
		refused("AUTH default x", "takes the role admin", kvdb.ErrForbidden)
		refused("HELLO 3 AUTH default x", "takes the role admin", kvdb.ErrForbidden)
		refused("NOSUCH", "for the role admin", kvdb.ErrForbidden)
		refused("CLIENT REPLY OFF", "waits for each reply", kvdb.ErrInvalid)
		refused("connect example.com 6379", "stays with the Redis server", kvdb.ErrInvalid)
		refused(":set hints", "means nothing here", kvdb.ErrInvalid)
	}
	for _, line := range []string{"SUBSCRIBE c", "UNSUBSCRIBE c"} {
		refused(line, "can't be part of a transaction", kvdb.ErrInvalid)
	}
	prints(t, s, "RANDOMKEY", "QUEUED")
	prints(t, s, "SCAN 0 COUNT 1000", "QUEUED")
	if err := root.Set(t.Context(), own, "", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := root.Del(t.Context(), db.Keys().Console().History("ann")).Err(); err != nil {
		t.Fatal(err)
	}
	prints(t, s, "EXEC", "1) (nil)\n2) 1) \"0\"\n   2) (empty array)")
	prints(t, s, "RANDOMKEY", "(nil)")
	// Whoever resets the connection is the same person afterwards.
	prints(t, s, "ACL WHOAMI", `"program"`)
	prints(t, s, "RESET", "RESET")
	prints(t, s, "ACL WHOAMI", `"program"`)

	viewer := must(c.Open("bob", "viewer"))(t)
	prints(t, viewer, "GET k", "(nil)")
	if r := do(t, viewer, "SET k v"); !errors.Is(r.Err, kvdb.ErrForbidden) {
		t.Error(r.Err)
	}
	if _, err := c.Session(viewer.ID, "bob", "operator"); !errors.Is(err, kvdb.ErrNotFound) || viewer.State().Ended == "" {
		t.Errorf("with another role: %v", err)
	}
	if _, err := c.Session(s.ID, "bob", "operator"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("of somebody else: %v", err)
	}
	if got := must(c.Session(s.ID, "ann", "operator"))(t); got != s {
		t.Error("it is another one")
	}
}

// TestConfirm: what is dangerous runs when its name was typed, and says before what it does.
func TestConfirm(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "admin", console.Options{})
	var results []string
	run := func(text, confirm string) []console.Command {
		t.Helper()
		results = nil
		return must(s.Run(t.Context(), text, console.RunOptions{Confirm: confirm}, func(r console.Result) {
			results = append(results, r.Line+": "+strings.TrimSpace(r.Text(false))+r.Confirm)
			if r.Confirm != "" && (r.What != "Remove all keys from all databases" || !errors.Is(r.Err, kvdb.ErrInvalid)) {
				t.Errorf("%q, %v", r.What, r.Err)
			}
		}))(t)
	}
	rest := run("2 INCR k\nflushall\nGET k\nFLUSHALL", "")
	if want := []string{"INCR k: (integer) 1", "INCR k: (integer) 2", "flushall: FLUSHALL"}; !slices.Equal(results, want) ||
		len(rest) != 3 || rest[0].Text != "flushall" {
		t.Errorf("%q, %v", results, rest)
	}
	// One word confirms one command.
	rest = run("flushall\nGET k\nFLUSHALL\nPING", "FLUSHALL")
	if want := []string{"flushall: OK", "GET k: (nil)", "FLUSHALL: FLUSHALL"}; !slices.Equal(results, want) || len(rest) != 2 {
		t.Errorf("%q, %v", results, rest)
	}
	if _, err := s.Run(t.Context(), "INCR k\n\"", console.RunOptions{}, func(console.Result) { t.Error("it ran") }); !errors.Is(err, kvdb.ErrInvalid) {
		t.Error(err)
	}
}

// TestRecorder: changes are recorded, and none is made that can't be.
func TestRecorder(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "admin", console.Options{})
	var lines []string
	var full error
	record := func(_ context.Context, call *kvdb.SessionCall, run func() (kvdb.Reply, error)) error {
		lines = append(lines, call.Line())
		if full != nil {
			return full
		}
		_, err := run()
		return err
	}
	run := func(text string) (out string) {
		_, err := s.Run(t.Context(), text, console.RunOptions{Record: record, Confirm: "CONFIG"}, func(r console.Result) {
			out += r.Text(false)
			if r.Err != nil {
				out += r.Err.Error()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	run("SET k v\nGET k\nMULTI\nSET k w\nGET k\nLPUSH l x\nEXEC\nMULTI\nGET k\nEXEC\nMULTI\nSET k gone\nDISCARD\nCONFIG SET requirepass \"\"")
	want := []string{"SET k v", "EXEC: SET k w; LPUSH l x", "CONFIG SET requirepass ***"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	full = errors.New("the log is full")
	if out := run("SET k no"); out != full.Error() {
		t.Error(out)
	}
	prints(t, s, "GET k", `"w"`)
}

// TestTransactionsDontOutliveTheirConnection: what was meant for a transaction never runs by itself.
func TestTransactionsDontOutliveTheirConnection(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "operator", console.Options{})
	id := do(t, s, "CLIENT ID").Reply.Text
	for _, lines := range []string{"SELECT 2\nMULTI\nSET k a", "WATCH k"} {
		if _, err := s.Run(t.Context(), lines, console.RunOptions{}, func(console.Result) {}); err != nil {
			t.Fatal(err)
		}
		if err := db.Client().ClientKillByFilter(t.Context(), "ID", id).Err(); err != nil {
			t.Fatal(err)
		}
		r := do(t, s, "SET k b")
		if !errors.Is(r.Err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(r.Err), "None of its commands was run") {
			t.Errorf("%v, %v", r.Reply, r.Err)
		}
		if st := s.State(); st.InTransaction || st.Watching || st.Database != 2 {
			t.Errorf("%+v", st)
		}
		prints(t, s, "GET k", "(nil)")
		id = do(t, s, "CLIENT ID").Reply.Text
	}
	// What is no transaction goes on, and says that the connection is another one.
	prints(t, s, "CLIENT SETNAME me", "OK")
	if err := db.Client().ClientKillByFilter(t.Context(), "ID", id).Err(); err != nil {
		t.Fatal(err)
	}
	r := do(t, s, "CLIENT GETNAME")
	if r.Text(false) != "\"me\"\n" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "new one") {
		t.Errorf("%q, %q, %v", r.Text(false), r.Notes, r.Err)
	}
}

// TestStop ends what runs.
func TestStop(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	c, s := open(t, db, "admin", console.Options{})
	other := must(c.Open("bob", "admin"))(t)
	if s.Stop() {
		t.Error("nothing runs")
	}
	id := do(t, s, "CLIENT ID").Reply.Text
	for line, want := range map[string]string{"BLPOP none 0": "(nil)", "WAIT 1 0": "(integer) 0", "XREAD BLOCK 0 STREAMS none $": "(nil)"} {
		done := make(chan console.Result)
		go func() { done <- do(t, s, line) }()
		await(t, "it blocks", func() bool { return clients(t, db, "id="+id+" ", " flags=b") == 1 })
		if r := do(t, s, "PING"); !errors.Is(r.Err, kvdb.ErrConflict) {
			t.Errorf("a second command meanwhile: %v", r.Err)
		}
		if st := s.State(); st.Running != line || st.Streaming {
			t.Errorf("%+v", st)
		}
		prints(t, other, "PING", "PONG")
		if !s.Stop() {
			t.Error("it runs")
		}
		if r := <-done; r.Err != nil || strings.TrimSpace(r.Text(false)) != want || !slices.Equal(r.Notes, []string{"It was stopped."}) {
			t.Errorf("%s: %v, %q, %v", line, r.Reply, r.Notes, r.Err)
		}
	}
	prints(t, s, "CLIENT ID", "(integer) "+id) // it is still the same connection

	// What doesn't wait can't be taken back, so nobody knows what came of it.
	done := make(chan console.Result)
	go func() { done <- do(t, s, `EVAL "while true do end" 0`) }()
	await(t, "it is busy", func() bool { return db.Health(t.Context()).Status == kvdb.StatusBusy })
	s.Stop()
	r := <-done
	var unknown *kvdb.UnknownError
	if !errors.As(r.Err, &unknown) || unknown.Check == "" {
		t.Errorf("%v", r.Err)
	}
	prints(t, other, "SCRIPT KILL", "OK")
	prints(t, s, "PING", "PONG")
}

// TestLimits: nobody may have everything, and nothing lasts for ever.
func TestLimits(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c, s := open(t, db, "admin", console.Options{PerPerson: 2, All: 3, Run: 200 * time.Millisecond, Idle: time.Hour})
	must(c.Open("ann", "admin"))(t)
	if _, err := c.Open("ann", "admin"); !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "You have 2 consoles open") {
		t.Error(err)
	}
	must(c.Open("bob", "admin"))(t)
	if _, err := c.Open("bob", "admin"); !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "3 consoles are open") {
		t.Error(err)
	}
	if n := len(c.Sessions("ann")); n != 2 || len(c.Sessions("")) != 3 {
		t.Errorf("%d sessions", n)
	}
	r := do(t, s, "BLPOP none-"+string(db.Keys())+" 0")
	if r.Err != nil || r.Reply.Kind != kvdb.KindNil || !slices.Equal(r.Notes, []string{"It was stopped: a command may take 200ms."}) {
		t.Errorf("%v, %q, %v", r.Reply, r.Notes, r.Err)
	}
	if r := do(t, s, "SUBSCRIBE limited"); !r.Streaming {
		t.Error(r.Err)
	}
	await(t, "the end of the stream", func() bool { return s.Stream().End() != "" })
	if end := s.Stream().End(); end != "It was stopped: it may take 200ms." {
		t.Error(end)
	}
	c.CloseOf("ann")
	if n := len(c.Sessions("")); n != 1 {
		t.Errorf("%d sessions", n)
	}
	brief := console.New(db, console.Options{Idle: 50 * time.Millisecond})
	defer brief.Close()
	s = must(brief.Open("ann", "admin"))(t)
	prints(t, s, "PING", "PONG")
	<-s.Done()
	if r := do(t, s, "PING"); !errors.Is(r.Err, kvdb.ErrNotFound) || !strings.Contains(r.Err.Error(), "nothing ran in it") {
		t.Error(r.Err)
	}
	brief.Close()
	if _, err := brief.Open("ann", "admin"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Error(err)
	}
}

// TestCutOff: of what was sent when the server went away, it is said whether anybody knows what came of it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	permit := func(s *kvdb.Session, line string) *kvdb.SessionCall {
		t.Helper()
		class := must(db.Classify(t.Context(), must(console.Split(line))(t)))(t)
		return must(s.Permit(class, ""))(t)
	}
	var wg sync.WaitGroup
	var runs []func()
	for _, try := range []struct {
		before, line string
		kind         error
		words        string
	}{
		{"PING", "INCR n", kvdb.ErrUnknown, `the key "n"`},
		{"PING", "GET n", kvdb.ErrAway, "cancelled"},
		{"PING", "PUBLISH c m", kvdb.ErrUnknown, "what PUBLISH should have changed"},
		{"MULTI, INCR n", "EXEC", kvdb.ErrUnknown, "all of it was done, or nothing (EXEC: INCR n)"},
		{"MULTI, GET n", "EXEC", kvdb.ErrAway, "cancelled"},
		{"MULTI, INCR n", "INCR n", kvdb.ErrAway, "None of its commands was run"},
	} {
		s := db.OpenSession("operator", 2)
		t.Cleanup(s.Close)
		for line := range strings.SplitSeq(try.before, ", ") {
			must(permit(s, line).Run(t.Context()))(t)
		}
		call := permit(s, try.line)
		runs = append(runs, func() {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)
			_, err := call.Run(ctx)
			says := kvdb.Sentence(err)
			if unknown := (*kvdb.UnknownError)(nil); errors.As(err, &unknown) {
				says = unknown.Check
			}
			if !errors.Is(err, try.kind) || errors.Is(err, kvdb.ErrUnknown) != (try.kind == kvdb.ErrUnknown) || !strings.Contains(says, try.words) {
				t.Errorf("%s, %s: %v (%s)", try.before, try.line, err, says)
			}
		})
	}
	_, s := open(t, db, "operator", console.Options{})
	prints(t, s, "PING", "PONG")
	srv.Pause()
	for _, run := range runs {
		wg.Go(run)
	}
	wg.Wait()
	srv.Resume()
	// Nothing was done twice: at most the two of which it is unknown.
	await(t, "the server", func() bool { return db.Health(t.Context()).Status == kvdb.StatusOK })
	if n, _ := strconv.Atoi(db.Client().Get(t.Context(), "n").Val()); n > 2 {
		t.Errorf("it was done %d times", n)
	}
	srv.Kill()
	if r := do(t, s, "INCR n"); !errors.Is(r.Err, kvdb.ErrAway) {
		t.Error(r.Err)
	}
	srv.Restart()
	prints(t, s, "INCR n", "(integer) 1")
}

// TestBigRepliesDontCostTheConnection: they are cut, and all that is on the connection stays.
func TestBigRepliesDontCostTheConnection(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "operator", console.Options{})
	client, ctx := db.Client(), t.Context()
	var values []any
	for i := range 20_000 {
		values = append(values, i)
	}
	for _, err := range []error{client.Set(ctx, "s", strings.Repeat("x", 20<<20), 0).Err(), client.RPush(ctx, "l", values...).Err(),
		client.HSet(ctx, "h", values...).Err()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	prints(t, s, "WATCH w", "OK")
	id := do(t, s, "CLIENT ID").Reply.Text
	for _, protocol := range []string{"2", "3"} {
		do(t, s, "HELLO "+protocol)
		for _, line := range []string{"GET s", "LRANGE l 0 -1", "MGET s s s"} {
			if r := do(t, s, line); r.Err != nil || !r.Truncated {
				t.Errorf("%s: %v, %v", line, r.Truncated, r.Err)
			}
			prints(t, s, "CLIENT ID", "(integer) "+id)
		}
		if r := do(t, s, "HGETALL h"); r.Err != nil || r.Truncated != (protocol == "2") {
			t.Errorf("HGETALL: %v, %v", r.Truncated, r.Err)
		}
	}
	if err := client.Set(ctx, "w", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	prints(t, s, "MULTI", "OK")
	prints(t, s, "GET s", "QUEUED")
	prints(t, s, "EXEC", "(nil)")
}

// TestCluster: a session goes to where the keys are.
func TestCluster(t *testing.T) {
	t.Parallel()
	db := kvtest.OpenCluster(t)
	_, s := open(t, db, "operator", console.Options{})
	nodes := map[string]bool{}
	for i := range 20 {
		key := fmt.Sprintf("%sk%d", strings.TrimSuffix(string(db.Keys()), ":"), i)
		prints(t, s, "SET "+key+" v", "OK")
		prints(t, s, "GET "+key, `"v"`)
		nodes[s.State().Node] = true
	}
	if len(nodes) != 3 {
		t.Errorf("%v", nodes)
	}
	prints(t, s, "MULTI", "OK")
	moved := 0
	for i := range 20 {
		if r := do(t, s, fmt.Sprintf("GET none-%d", i)); r.Err != nil {
			t.Error(r.Err)
		} else if strings.HasPrefix(r.Reply.Text, "MOVED") {
			moved++ // a transaction stays where it is
		}
	}
	if moved == 0 || moved == 20 {
		t.Errorf("%d are elsewhere", moved)
	}
	if r := do(t, s, "EXEC"); r.Reply.Kind != kvdb.KindError || s.State().InTransaction {
		t.Errorf("%v, %v", r.Reply, r.Err)
	}
	prints(t, s, "PING", "PONG")
	if r := do(t, s, "SSUBSCRIBE c1"); !r.Streaming {
		t.Errorf("%v, %v", r.Reply, r.Err)
	}
	if err := db.Client().SPublish(t.Context(), "c1", "m").Err(); err != nil {
		t.Fatal(err)
	}
	if m := must(s.Stream().Next(t.Context()))(t); m[0].Reply.Items[2].Text != "m" {
		t.Errorf("%v", m)
	}
}
