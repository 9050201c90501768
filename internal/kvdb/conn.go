package kvdb

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file finds out what the client doesn't tell: whether a command that failed had been sent.

// notSentError wraps the error of a command that surely wasn't sent.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }

// Unwrap returns a list because the client strips what has one error inside from those of a handshake.
func (e *notSentError) Unwrap() []error { return []error{e.err} }

// writeError wraps the error of a write to a connection. The last bytes of a command that failed so never
// reached the server, which runs only what it has whole.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// tlsError wraps the error of a TLS handshake.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// sentinelError is why the Sentinels gave no master. Of the cause only the text is kept: it may be a nil
// reply ("no such master"), which must not pass for that of the command.
type sentinelError struct{ text string }

func (e *sentinelError) Error() string { return "sentinel: " + e.text }

// refusedError is the reply of a server that lets nobody in and closes the connection. The client takes it
// for that of an old server which doesn't know HELLO, and goes on.
type refusedError struct{ reply string }

func (e *refusedError) Error() string { return e.reply }

// dial connects, with TLS where the target has it, within dialTimeout. All its errors are a notSentError.
func (t target) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if t.scheme.defaultPort == "" {
		network = "unix"
	}
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &notSentError{err}
	}
	if t.tls != nil {
		cfg := t.tls.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName, _, _ = net.SplitHostPort(addr)
		}
		tlsConn := tls.Client(conn, cfg)
		if err := tlsConn.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, &notSentError{&tlsError{err}}
		}
		conn = tlsConn
	}
	watched := &watchedConn{Conn: conn}
	if sys, ok := conn.(syscall.Conn); ok {
		return &watchedSysConn{watched, sys}, nil
	}
	return watched, nil
}

// watchedConn notices when the handshake (HELLO, AUTH, SELECT …) ends and the first command is sent: what
// fails before is a notSentError. The client itself reports both alike.
type watchedConn struct {
	net.Conn
	used    atomic.Bool
	refused error // a refusedError that the handshake met; the client reads on after the first error
}

// begin says that the handshake is over, so that no command is taken for a part of it (CLIENT …).
func (c *watchedConn) begin() { c.used.Store(true) }

func (c *watchedConn) Write(p []byte) (int, error) {
	if !c.used.Load() && !isHandshake(p) {
		c.used.Store(true)
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	if !c.used.Load() {
		// The server may have closed the connection already, and said why before.
		reply := make([]byte, 256)
		_ = c.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		read, _ := c.Conn.Read(reply)
		if refused := refusedBy(reply[:read]); refused != nil {
			return n, &notSentError{refused}
		}
		return n, &notSentError{err}
	}
	return n, &writeError{err}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	if c.used.Load() {
		return c.Conn.Read(p)
	}
	if c.refused != nil {
		return 0, &notSentError{c.refused}
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		return n, &notSentError{err}
	}
	if c.refused = refusedBy(p[:n]); c.refused != nil {
		return 0, &notSentError{c.refused}
	}
	return n, nil
}

// refusedBy returns a refusedError if the reply is one.
func refusedBy(reply []byte) error {
	for _, start := range []string{"-ERR max number of clients", "-DENIED "} {
		if bytes.HasPrefix(reply, []byte(start)) {
			line, _, _ := bytes.Cut(reply[1:], []byte("\r\n"))
			return &refusedError{string(line)}
		}
	}
	return nil
}

// NetConn lets the client find the transport under TLS.
func (c *watchedConn) NetConn() net.Conn { return c.Conn }

// watchedSysConn is a watchedConn of which the client can see whether the server has closed it.
type watchedSysConn struct {
	*watchedConn
	syscall.Conn
}

// isHandshake says whether a request, as the client writes it ("*2\r\n$6\r\nselect\r\n…"), is of those with
// which it prepares a connection.
func isHandshake(request []byte) bool {
	parts := bytes.SplitN(request, []byte("\r\n"), 4)
	if len(parts) < 4 {
		return false
	}
	switch string(bytes.ToLower(parts[2])) {
	case "hello", "auth", "select", "readonly", "client":
		return true
	}
	return false
}

// once is a command that the client must not send again after an error. Redirections are followed all the
// same: they say that nothing was done.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }

// hook sees each connection and command before and after the client. The retries of a cluster client can't
// be switched off by configuration, where they count as redirections, so on clusters it makes each command
// a once.
type hook struct{ cluster bool }

// DialHook marks what the client does by itself before it dials, which is to ask the Sentinels.
func (hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		if _, ours := err.(*notSentError); ours { // of target.dial itself, and not of that to a Sentinel
			return nil, err
		}
		return nil, &notSentError{&sentinelError{err.Error()}}
	}
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.cluster {
			cmd = once{cmd}
		}
		err := next(ctx, cmd)
		if err == nil {
			return nil
		}
		// The client looks at the context before it sends, and afterwards only at the deadline of the
		// connection, which gives a network error. (In a pipeline, this does not hold.)
		var we *writeError
		if errors.As(err, &we) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return &notSentError{err}
		}
		// The only trace of a cluster of which no node is known. Nothing was sent to any.
		if h.cluster && err.Error() == "redis: cluster has no nodes" {
			return &notSentError{err}
		}
		return err
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	if !h.cluster {
		return next
	}
	return func(ctx context.Context, cmds []redis.Cmder) error {
		all := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			all[i] = once{cmd}
		}
		return next(ctx, all)
	}
}
