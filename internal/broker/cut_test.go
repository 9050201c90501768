package broker

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// cutter is a way to a server that can be cut between a request and its reply: the server gets the next script and runs it, and
// nobody hears of it.
type cutter struct {
	net.Listener
	armed atomic.Bool
	ran   atomic.Int64 // scripts of which the reply was kept back
}

func newCutter(t *testing.T, srv *kvtest.Server) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.pass(conn, strings.TrimPrefix(srv.URL(), "unix://"))
		}
	}()
	return c
}

func (c *cutter) pass(conn net.Conn, to string) {
	defer conn.Close()
	up, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer up.Close()
	var deaf atomic.Bool
	go func() {
		defer conn.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := up.Read(buf)
			if err != nil {
				return
			}
			if deaf.Load() {
				c.ran.Add(1)
				return
			}
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if strings.Contains(strings.ToUpper(string(buf[:n])), "EVALSHA") && c.armed.CompareAndSwap(true, false) {
			deaf.Store(true)
		}
		if _, err := up.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut has the reply of the next script kept back, and does something that ends in that script.
func (c *cutter) cut(t *testing.T, want error, do func() error) {
	t.Helper()
	before := c.ran.Load()
	c.armed.Store(true)
	if err := do(); !errors.Is(err, want) {
		t.Errorf("without a reply: %v, want %v", err, want)
	}
	kvtest.Await(t, "the server has run it", func() bool { return c.ran.Load() == before+1 })
}

// TestRepliesGetLost cuts the connection between each change and its reply: it is said to be unknown, can be looked up, was made
// once, and is not made again when it is sent again.
func TestRepliesGetLost(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	way := newCutter(t, srv)
	db, err := kvdb.Open(kvdb.Config{URL: "redis://" + way.Addr().String()})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s, ctx := core(t, db), t.Context()
	invoke(t, s, Call{Service: "warm"}) // the server knows the script, and we the service
	if _, err := s.Receive(ctx, "warm", "w", 1, 0, time.Minute); err != nil {
		t.Fatal(err)
	}
	invoke(t, s, Call{Service: "q"})
	first, err := s.Receive(ctx, "q", "w", 1, 0, time.Minute)
	must(t, err)
	must(t, s.Ack(ctx, first[0].CID, first[0].Lease, nil))

	call := Call{Service: "q", Payload: []byte("1"), IdempotencyKey: "once", MaxAttempts: 9}
	var cid string
	way.cut(t, kvdb.ErrUnknown, func() (err error) { cid, err = s.Invoke(ctx, call); return err })
	x, err := s.Invocation(ctx, cid)
	if err != nil || x.State != Queued {
		t.Fatalf("what was published without a reply is %v, %v", x.State, err)
	}
	if again, err := s.Invoke(ctx, call); err != nil || again != cid {
		t.Errorf("sent again it is %s, %v; want %s", again, err, cid)
	}

	// What was handed out without a reply comes back when its lease is over, and the lost run counts.
	way.cut(t, kvdb.ErrAway, func() error { _, err := s.Receive(ctx, "q", "w", 1, 0, leastLease); return err })
	var d []Delivery
	kvtest.Await(t, "it is handed out again", func() bool {
		d, err = s.Receive(ctx, "q", "w", 1, 0, time.Minute)
		return err == nil && len(d) == 1
	})
	if d[0].CID != cid || d[0].Attempt != 2 {
		t.Errorf("then %+v is handed out", d[0])
	}

	way.cut(t, kvdb.ErrUnknown, func() error { return s.Ack(ctx, cid, d[0].Lease, []byte(`"done"`)) })
	wantLost(t, s.Ack(ctx, cid, d[0].Lease, []byte(`"twice"`)), Done)
	if x, err := s.Invocation(ctx, cid); err != nil || x.State != Done || string(x.Result) != `"done"` {
		t.Errorf("what was acknowledged without a reply is %s, %s, %v", x.State, x.Result, err)
	}
	page, err := s.Invocations(ctx, Filter{Service: "q"}, "", 10)
	if err != nil || len(page.Items) != 2 {
		t.Errorf("there are %d invocations, want 2, %v", len(page.Items), err)
	}
}
