package kvdb

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file has the connections on which commands of people run. They are apart from those of the client: a command
// may leave its connection in any state, wait for long, or get a reply of any size. Nothing on them is ever repeated.

// wire is one connection. It is for one user at a time.
type wire struct {
	net.Conn
	r    *bufio.Reader
	to   string // the address that was dialled
	user string // "" = that of the URL
	db   int
	id   string // the server's number for it
	run  string // which run of which server this is; "" = nobody has asked
	idle time.Time
	over bool            // an error, or what is still to come of a reply, makes it useless
	has  map[string]bool // scripts that the server had since this connection began; see mustHave
	out  []byte
	sys  syscall.RawConn // to look at it without reading; nil = nobody can
}

// replyError is an error that the server replied.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError makes it one of those that the client gives.
func (replyError) RedisError() {}

const (
	maxIdleWires = 64
	maxWireIdle  = 10 * time.Second
	justUsed     = time.Millisecond // see wireOptions.unseen
	maxWireOut   = 64 << 10         // the buffer for requests that a connection keeps
)

// wires keeps a few connections that are as good as new.
type wires struct {
	mu     sync.Mutex
	idle   []*wire
	closed bool
}

// take returns the connection that was used last, nil if there is none.
func (p *wires) take(to, user string, db int, unseen bool) *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		w := p.idle[i]
		if w.to != to || w.user != user || w.db != db {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1)
		if age := time.Since(w.idle); age < maxWireIdle && w.r.Buffered() == 0 && (unseen && age < justUsed || w.quiet()) {
			return w
		}
		_ = w.Close()
	}
	return nil
}

// put takes a connection back, or closes it where it is over.
func (p *wires) put(w *wire) {
	w.idle = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || w.over {
		_ = w.Close()
		return
	}
	if len(p.idle) > 0 && (len(p.idle) == maxIdleWires || w.idle.Sub(p.idle[0].idle) > maxWireIdle) {
		_ = p.idle[0].Close()
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.idle = append(p.idle, w)
}

func (p *wires) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, w := range p.idle {
		errs = append(errs, w.Close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

// quiet says whether the connection is open, with nothing to come on it.
func (w *wire) quiet() bool {
	if w.sys == nil {
		return false
	}
	var peeked error
	err := w.sys.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, peeked = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && (errors.Is(peeked, syscall.EAGAIN) || errors.Is(peeked, syscall.EWOULDBLOCK))
}

// transport finds what is under TLS and the like; nil = it can't be looked at.
func transport(conn net.Conn) syscall.RawConn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

type wireOptions struct {
	restricted bool   // as the program user, where there is one, else as the user of the URL
	fresh      bool   // not used before
	unseen     bool   // nobody need look again whether one that was in use just now is open
	name       string // what the server is to call it; "" = commandName
	anyDB      bool   // for what is not about keys: a server that runs a script doesn't let anybody select a database
}

// wire returns a connection to a node (see node). Give its errors to ReadErr or WriteErr: nothing was done.
func (db *DB) wire(ctx context.Context, to string, o wireOptions) (*wire, error) {
	user, number := "", db.target.db
	if o.restricted {
		user = db.program.user
	}
	if o.anyDB {
		number = 0
	}
	if !o.fresh {
		if w := db.wires.take(to, user, number, o.unseen); w != nil {
			return w, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.dialWire(ctx, to, user, number, cmp.Or(o.name, commandName))
	if err == nil {
		return w, nil
	}
	_, known := refusalOf(err)
	switch {
	case user != "" && redis.HasErrorPrefix(err, "WRONGPASS"):
		return nil, &awayError{op: "connect", err: err,
			sentence: "Redis does not let the user for programs in, as whom this has to run. Have an administrator set it up (ACL SETUSER), or correct " +
				"--program-user."}
	case errors.Is(err, errNotRedis), !known && errors.As(err, new(redis.Error)):
		return nil, &awayError{op: "connect", err: err,
			sentence: "What answers is not a Redis server that works, or not with this URL. Check the Redis URL; the log has the reason."}
	}
	return nil, err
}

func (db *DB) dialWire(ctx context.Context, to, user string, number int, name string) (*wire, error) {
	dial := db.target.dial
	if client, ok := db.client.(*redis.Client); ok && db.target.scheme.mode == sentinel {
		dial = hook{}.DialHook(client.Options().Dialer) // which asks for the master
	}
	conn, err := dial(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, r: bufio.NewReader(conn), to: to, user: user, db: number, sys: transport(conn)}
	if err := w.greet(ctx, db.target, db.program, name); err != nil {
		_ = conn.Close()
		return nil, &notSentError{err}
	}
	if conn, ok := conn.(interface{ begin() }); ok {
		conn.begin()
	}
	return w, nil
}

// greet signs in, asks for RESP3, says its name and selects the database.
func (w *wire) greet(ctx context.Context, t target, program credentials, name string) error {
	as := credentials{t.user, t.password}
	if w.user != "" {
		as = program
	}
	hello := []string{"HELLO", "3"}
	if as != (credentials{}) {
		if as.user == "" {
			as.user = "default"
		}
		hello = append(hello, "AUTH", as.user, as.password)
	}
	hello = append(hello, "SETNAME", name)
	commands := [][]string{hello}
	if w.db > 0 {
		commands = append(commands, []string{"SELECT", strconv.Itoa(w.db)})
	}
	for _, args := range commands {
		reply, err := w.ask(ctx, args...)
		if err != nil {
			return err
		}
		if id, ok := reply.field("id"); ok {
			w.id = id.Text
		}
	}
	return nil
}

// ask runs a command of ours, whose reply is short. An error that the server replies is a replyError.
func (w *wire) ask(ctx context.Context, args ...string) (Reply, error) {
	return w.askMuch(ctx, MaxReplyItems, 1<<20, args)
}

// askMuch is ask where the reply may be longer.
func (w *wire) askMuch(ctx context.Context, items, bytes int, args []string) (Reply, error) {
	reply, cut, err := w.do(ctx, args, items, bytes)
	switch {
	case err != nil:
		return Reply{}, err
	case cut:
		return Reply{}, errNotRedis
	case reply.Kind == KindError:
		return Reply{}, replyError(reply.Text)
	}
	return reply, nil
}

// do sends a command and reads its reply, or, when it is cut, that part of it which the limits allow. An error before
// all was sent is a notSentError.
func (w *wire) do(ctx context.Context, args []string, items, bytes int) (reply Reply, cut bool, err error) {
	deadline, _ := ctx.Deadline()
	w.out = appendRequest(w.out[:0], args)
	stop, err := w.send(ctx, deadline)
	if err != nil {
		return Reply{}, false, err
	}
	return w.receive(stop, items, bytes)
}

// send sends what is in w.out. Until stop is called, the end of ctx ends what reads and writes; so does the deadline, after
// that as well. An error is a notSentError.
func (w *wire) send(ctx context.Context, deadline time.Time) (stop func() bool, err error) {
	w.over = true
	out := w.out
	if cap(out) > maxWireOut {
		w.out = nil
	}
	if err := w.SetDeadline(deadline); err != nil {
		return nil, &notSentError{err}
	}
	stop = context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })
	if err := ctx.Err(); err != nil {
		return nil, &notSentError{err}
	}
	if _, err := w.Write(out); err != nil {
		stop()
		return nil, &notSentError{err} // a server runs only what it has whole
	}
	return stop, nil
}

// receive reads the reply to what was sent.
func (w *wire) receive(stop func() bool, items, bytes int) (reply Reply, cut bool, err error) {
	rr := newReplyReader(w.r, items, bytes)
	reply, err = rr.read()
	w.over = !stop() || err != nil || rr.cut
	return reply, rr.cut, err
}

// appendRequest writes a command as the server takes it.
func appendRequest(b []byte, args []string) []byte {
	n := 16
	for _, arg := range args {
		n += len(arg) + 16
	}
	b = slices.Grow(b, n)
	b = append(strconv.AppendInt(append(b, '*'), int64(len(args)), 10), "\r\n"...)
	for _, arg := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(arg)), 10), "\r\n"...)
		b = append(append(b, arg...), "\r\n"...)
	}
	return b
}
