package console_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// read reads messages until one has the text, or the stream ends.
func read(t testing.TB, st *console.Stream, last string) (messages []console.Message) {
	t.Helper()
	for {
		batch, err := st.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return messages
		}
		messages = append(messages, must(batch, err)(t)...)
		if last != "" && strings.Contains(messages[len(messages)-1].Text(false), last) {
			return messages
		}
	}
}

// TestStream: messages come until they are stopped, and the session goes on where it was.
func TestStream(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	client, ctx := db.Client(), t.Context()
	for _, protocol := range []string{"2", "3"} {
		_, s := open(t, db, "operator", console.Options{})
		do(t, s, "HELLO "+protocol)
		prints(t, s, "SELECT 2", "OK")
		r := do(t, s, "SUBSCRIBE c")
		if !r.Streaming || r.Text(false) != "1) \"subscribe\"\n2) \"c\"\n3) (integer) 1\n" {
			t.Errorf("%q, %v", r.Text(false), r.Err)
		}
		if r := do(t, s, "PING"); !errors.Is(r.Err, kvdb.ErrConflict) {
			t.Error(r.Err)
		}
		if st := s.State(); !st.Streaming || st.Running != "SUBSCRIBE c" {
			t.Errorf("%+v", st)
		}
		client.Publish(ctx, "c", "a\x00b")
		if got := read(t, s.Stream(), "message"); got[0].Text(false) != "1) \"message\"\n2) \"c\"\n3) \"a\\x00b\"\n" {
			t.Errorf("%v", got)
		}
		s.Stop()
		if got := read(t, s.Stream(), ""); len(got) > 0 || s.Stream().End() != "It was stopped." {
			t.Errorf("%v, %s", got, s.Stream().End())
		}
		prints(t, s, "ECHO again", `"again"`)
		if st := s.State(); st.Database != 2 || fmt.Sprint(st.Protocol) != protocol {
			t.Errorf("%+v", st)
		}
		// The server goes away meanwhile.
		do(t, s, "SUBSCRIBE c")
		client.ClientKillByFilter(ctx, "TYPE", "pubsub")
		read(t, s.Stream(), "")
		if end := s.Stream().End(); !strings.HasPrefix(end, "The connection was lost: Redis is not reachable.") {
			t.Error(end)
		}
		prints(t, s, "ECHO again", `"again"`)
	}
}

// TestSlowReader: what is too much is dropped, counted, and said.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "operator", console.Options{})
	do(t, s, "SUBSCRIBE c")
	pipe := db.Client().Pipeline()
	const n = 5000
	for i := range n {
		pipe.Publish(t.Context(), "c", i)
	}
	must(pipe.Exec(t.Context()))(t)
	st := s.Stream()
	await(t, "all", func() bool { total, _ := st.Count(); return total == n })
	got := must(st.Next(t.Context()))(t)
	if len(got) != 1000 || got[0].Dropped != n-1000 || got[0].Reply.Items[2].Text != "4000" || got[1].Dropped != 0 {
		t.Errorf("%d, %+v", len(got), got[0])
	}
	if _, dropped := st.Count(); dropped != n-1000 {
		t.Errorf("%d dropped", dropped)
	}
	// Also when they are few, but large.
	for range 20 {
		db.Client().Publish(t.Context(), "c", strings.Repeat("x", 1<<20))
	}
	await(t, "all", func() bool { total, _ := st.Count(); return total == n+20 })
	if got := must(st.Next(t.Context()))(t); len(got) != 7 || got[0].Dropped != 13 {
		t.Errorf("%d, %d dropped", len(got), got[0].Dropped)
	}
	// One that is larger than any reply may be.
	db.Client().Publish(t.Context(), "c", strings.Repeat("x", kvdb.MaxReplyBytes+10))
	db.Client().Publish(t.Context(), "c", "small")
	got = read(t, st, "small")
	if len(got) > 2 || len(got) == 2 && !got[0].Truncated || len(got) == 1 && got[0].Dropped != 1 {
		t.Errorf("%d", len(got))
	}
}

// TestMonitor: for admins, who see no secret.
func TestMonitor(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	c, s := open(t, db, "admin", console.Options{})
	other := must(c.Open("bob", "admin"))(t)
	if r := s.Do(t.Context(), console.Command{Args: []string{"MONITOR"}}, console.RunOptions{}); r.Confirm != "MONITOR" || r.What == "" {
		t.Errorf("%+v", r)
	}
	if r := do(t, s, "MONITOR"); !r.Streaming || r.Text(false) != "OK\n" {
		t.Errorf("%v, %v", r.Reply, r.Err)
	}
	for _, line := range []string{`SET "a b" "\xff"`, "AUTH hunter2", "AUTH default hunter2", "HELLO 3 AUTH default hunter2",
		"ACL SETUSER x >hunter2", "CONFIG SET masterauth hunter2",
		"MIGRATE 127.0.0.1 1 none 0 1 AUTH hunter2", `EVAL "return redis.call('SET','k','v')" 0`,
		`EVAL "return redis.pcall('MIGRATE','127.0.0.1','1','none','0','1','AUTH','hunter2')" 0`, "ECHO done"} {
		do(t, other, line)
	}
	var all strings.Builder
	for _, m := range read(t, s.Stream(), `"ECHO" "done"`) {
		all.WriteString(m.Text(false))
	}
	for _, want := range []string{`] "SET" "a b" "\xff"` + "\n", ` lua] "SET" "k" "v"` + "\n",
		`"MIGRATE" "127.0.0.1" "1" "none" "0" "1" "AUTH" "***"` + "\n"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%s is missing in\n%s", want, &all)
		}
	}
	for line := range strings.Lines(all.String()) {
		if strings.Contains(line, "hunter2") && !strings.Contains(line, "pcall") {
			t.Error(line)
		}
	}
	s.Stop()
	read(t, s.Stream(), "")
	prints(t, s, "PING", "PONG")
}

// TestEventsOfOwnKeys are not for everybody.
func TestEventsOfOwnKeys(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t, "--notify-keyspace-events", "KEA").DB(t)
	c, s := open(t, db, "operator", console.Options{})
	admin := must(c.Open("root", "admin"))(t)
	do(t, s, "PSUBSCRIBE __key*")
	do(t, admin, "PSUBSCRIBE __key*")
	own := string(db.Keys()) + "{x}"
	for _, key := range []string{own, "mine"} {
		if err := db.Client().Set(t.Context(), key, "", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for s, want := range map[*console.Session]int{s: 0, admin: 2} {
		n := 0
		for _, m := range read(t, s.Stream(), `__keyevent@0__:set"`+"\n"+`4) "mine"`) {
			if strings.Contains(m.Text(false), own) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s sees %d events of our own keys", s.Role, n)
		}
	}
}

// TestTrackedKeys: what the server says by itself comes with the next reply.
func TestTrackedKeys(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "operator", console.Options{})
	do(t, s, "HELLO 3")
	prints(t, s, "CLIENT TRACKING ON BCAST", "OK")
	for _, key := range []string{string(db.Keys()) + "{x}", "mine"} {
		if err := db.Client().Set(t.Context(), key, "", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the news", func() bool { return strings.Contains(do(t, s, "PING").Text(false), "-> invalidate: 'mine'\n") })
}
