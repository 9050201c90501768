package console_test

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// TestDownloadIsWhatRedisCLIWrites: all of a reply, in either protocol, and the session goes on as before.
func TestDownloadIsWhatRedisCLIWrites(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	_, s := open(t, db, "admin", console.Options{})
	for _, args := range [][]any{
		{"SET", "text", "two\nlines\x00\xff"}, {"SET", "empty", ""}, {"RPUSH", "list", "a", "", "c\nd"}, {"SADD", "set", "m"},
		{"ZADD", "zset", "1.5", "m", "2", "n"},
		{"HSET", "hash", "f", "v", "g", "w"}, {"XADD", "stream", "1-1", "f", "v"}, {"XADD", "stream", "1-2", "f", "v"},
	} {
		if err := db.Client().Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	commands := []string{
		"GET text", "GET empty", "GET none", "STRLEN text", "LRANGE list 0 -1", "LRANGE none 0 -1", "SMEMBERS set",
		"SMISMEMBER set m n", "ZRANGE zset 0 -1 WITHSCORES",
		"HGETALL hash", "HGETALL none", "XRANGE stream - +", "KEYS none*", "CONFIG GET maxmemory*", "SCAN 0 MATCH none",
		"ZSCORE zset m", "LCS text empty IDX",
	}
	for _, protocol := range []string{"2", "3"} {
		do(t, s, "HELLO "+protocol)
		for _, line := range commands {
			var got bytes.Buffer
			if err := s.Download(t.Context(), line, &got); err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			args := append([]string{"-s", strings.TrimPrefix(srv.URL(), "unix://"), "-" + protocol, "--raw"}, must(console.Split(line))(t)...)
			want := must(exec.Command("redis-cli", args...).Output())(t)
			// A value alone has no new line of ours behind it: the file is to be what the server has.
			if got.String() != string(want) && got.String()+"\n" != string(want) {
				t.Errorf("RESP%s %s: %q, redis-cli writes %q", protocol, line, got.String(), want)
			}
		}
	}
	if state := s.State(); state.Protocol != 3 || state.Running != "" {
		t.Errorf("the session is %+v", state)
	}
	prints(t, s, "GET empty", `""`)
}

// TestDownloadOfMuch takes what is too much for a page, and little memory for it: it runs alone, as it counts that.
func TestDownloadOfMuch(t *testing.T) {
	db := kvtest.NewServer(t).DB(t)
	_, s := open(t, db, "viewer", console.Options{})
	const size, elements = 100 << 20, 200_000
	ctx := t.Context()
	fill := kvdb.NewScript(`
		redis.call('SETRANGE', KEYS[1], ARGV[1] - 1, 'x')
		for i = 1, ARGV[2] do redis.call('RPUSH', KEYS[2], i) end
		return 1`)
	if err := fill.Run(ctx, db, []string{"{a}text", "{a}list"}, size, elements).Err(); err != nil {
		t.Fatal(err)
	}
	if r := do(t, s, "LRANGE {a}list 0 -1"); !r.Truncated || !r.Class.Repeatable("viewer") {
		t.Fatalf("%d elements, %+v", len(r.Reply.Items), r.Class)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var n counter
	if err := s.Download(ctx, "GET {a}text", &n); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
		t.Errorf("%d bytes of memory were needed for %d", took, size)
	}
	var list bytes.Buffer
	if err := s.Download(ctx, "LRANGE {a}list 0 -1", &list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(list.String(), "\n"), "\n")
	if len(lines) != elements || lines[elements-1] != strconv.Itoa(elements) {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// TestDownloadIsForWhatOnlyReads, for somebody who may see all of it, and outside of a transaction.
func TestDownloadIsForWhatOnlyReads(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	c, s := open(t, db, "operator", console.Options{})
	prints(t, s, "SET k v", "OK")
	refused := func(s *console.Session, line string, kind error, words string) {
		t.Helper()
		var out bytes.Buffer
		if err := s.Download(t.Context(), line, &out); !errors.Is(err, kind) || !strings.Contains(err.Error(), words) || out.Len() > 0 {
			t.Errorf("%s: %q, %v", line, out.String(), err)
		}
	}
	for _, line := range []string{"SET k w", "GETDEL k", "XREAD STREAMS k 0", "SELECT 1", "MULTI", "SUBSCRIBE c", "PING",
		"SCAN 0", "RANDOMKEY", "PUBSUB CHANNELS"} {
		refused(s, line, kvdb.ErrInvalid, "only reads")
	}
	admin := must(c.Open("root", "admin"))(t)
	for _, line := range []string{"EVAL x 0", "FUNCTION LIST", "MONITOR", "FLUSHALL"} {
		refused(admin, line, kvdb.ErrInvalid, "")
	}
	refused(s, "CONFIG GET *", kvdb.ErrForbidden, "role admin")
	refused(s, "GET "+string(db.Keys())+"x", kvdb.ErrForbidden, "a key of this program")
	refused(s, "LRANGE k 0 -1", kvdb.ErrInvalid, "WRONGTYPE")
	refused(s, "GET k\nGET k", kvdb.ErrInvalid, "one command")
	refused(s, `GET "k`, kvdb.ErrInvalid, "not closed")
	prints(t, s, "GET k", `"v"`)
	prints(t, s, "MULTI", "OK")
	refused(s, "GET k", kvdb.ErrInvalid, "a transaction is open")
	prints(t, s, "DISCARD", "OK")
	s.Close()
	refused(s, "GET k", kvdb.ErrNotFound, "")
}

// TestDownloadThatBreaksOff tells of it, and costs the connection, not the session.
func TestDownloadThatBreaksOff(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	_, s := open(t, db, "viewer", console.Options{})
	if err := db.Client().SetRange(t.Context(), "k", 50<<20, "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Download(t.Context(), "GET k", brokenWriter{}); err == nil {
		t.Error("nobody was there to take it, and that is no error")
	}
	prints(t, s, "STRLEN k", "(integer) 52428801")
	kill := &killing{srv: srv}
	if err := s.Download(t.Context(), "GET k", kill); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%d bytes came, %v", kill.n, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// killing ends the server with the first bytes of its reply.
type killing struct {
	srv *kvtest.Server
	n   int
}

func (k *killing) Write(b []byte) (int, error) {
	if k.n == 0 {
		k.srv.Kill()
	}
	k.n += len(b)
	return len(b), nil
}
