package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb/kvtest"
)

func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	w := newWorldOn(t, server.DB(t))
	e := w.want(201, "POST", "/dictionary/entries", entry("A", "k", "v")).object(t)
	server.Kill()
	ask := object{"system1": "A", "key1": "k", "value1": "v", "system2": "B", "key2": "k"}
	for _, a := range []answer{
		w.want(503, "POST", "/translate", ask),
		w.want(503, "POST", "/translate/batch", object{"system1": "A", "key1": "k", "values": []string{"v"}, "system2": "B", "key2": "k"}),
		w.want(503, "POST", "/dictionary/entries", entry("A", "k", "w")),
		w.want(503, "PUT", "/dictionary/entries/"+e["id"].(string), but(e, "value", "w")),
		w.want(503, "POST", "/dictionary/import?format=csv", csvHead+"A,k,1,B,k,2\n"),
		w.want(503, "GET", "/dictionary/export?format=csv", nil),
		w.want(503, "GET", "/dictionary/changes", nil),
		w.want(503, "GET", "/audit", nil),
	} {
		detail, _ := a.problem(t)
		if a.header.Get("Retry-After") == "" || detail == "" || strings.Contains(string(a.raw), "unix") || strings.Contains(string(a.raw), "dial") {
			t.Errorf("Retry-After %q: %s", a.header.Get("Retry-After"), a.raw)
		}
	}
	server.Restart() // with nothing in it; the tokens are still known for a moment, and then unknown
	for range 3 {
		if a := w.call("POST", "/translate", ask); a.status != 200 && a.status != 401 {
			t.Errorf("back again: %d %s", a.status, a.raw)
		}
	}
}

// deafness loses the answer to the next change of the keys that it is about, which is made, and then the way to Redis for
// everything else about them.
type deafness struct {
	about    string // part of the names of the keys
	on, deaf atomic.Bool
}

func (d *deafness) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (d *deafness) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		about := fmt.Sprint(cmd.Args()...)
		if !d.on.Load() || !strings.Contains(about, d.about) {
			return next(ctx, cmd)
		}
		if !d.deaf.Load() {
			if err := next(ctx, cmd); err != nil || !strings.HasPrefix(cmd.Name(), "eval") {
				return err
			}
			d.deaf.Store(true)
		}
		cmd.SetErr(io.EOF)
		return io.EOF
	}
}

func (d *deafness) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	w := newWorldOn(t, db)
	w.want(201, "POST", "/dictionary/entries", entry("A", "k", "zero"))
	deaf := &deafness{about: "{dict}"}
	db.Client().AddHook(deaf)
	deaf.on.Store(true)
	key := header("Idempotency-Key", "sent once")
	a := w.want(504, "POST", "/dictionary/entries", entry("A", "k", "one"), key)
	a.problem(t)
	got := a.object(t)
	if check, _ := got["check"].(string); got["outcome"] != "unknown" || !strings.HasPrefix(check, base+"/dictionary/changes") {
		t.Errorf("%s", a.raw)
	}
	if !deaf.deaf.Load() {
		t.Error("no answer was lost")
	}
	deaf.on.Store(false)
	w.want(200, "GET", strings.TrimPrefix(got["check"].(string), base), nil)
	// Sent again with its key, it is applied once.
	w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one"), key)
	if n := len(w.items("/dictionary/changes")); n != 2 {
		t.Errorf("%d changes", n)
	}
	if got := w.items("/audit?verb=entry.create&limit=1000"); len(got) != 3 || got[1].(object)["outcome"] != "unknown" {
		t.Errorf("audit: %v", got)
	}
}
