package kvdb

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file has connections that somebody keeps over several commands: a transaction, a database, what one subscribes to. As
// ever, nothing is sent twice; and what belongs to a transaction never runs outside of it because the connection was lost.

const (
	maxQueued     = 10_000  // commands in one transaction
	maxQueuedText = 4 << 10 // bytes of what the audit log says of them
	maxPushes     = 100     // that come before one reply
	pushTime      = time.Second
)

// Session is a connection of one's own, on which each command finds what those before it left: transactions, SELECT, HELLO,
// names, subscriptions. It is for one goroutine at a time, but State and Close may be called by any.
//
// It connects when there is something to run, and again after the connection was lost: the database, the protocol and the
// name are as before then. A transaction, or what was watched, is not: the next command is refused and says so.
type Session struct {
	db     *DB
	role   string
	buf    *bufio.Reader
	to     string // the node of a cluster that it is connected to, or is to be
	placed bool   // to is set

	mu     sync.Mutex
	w      *wire // nil = not connected
	closed bool
	state  SessionState
	queue  []queued // the commands of the transaction
	lines  string   // those of them that change something, as far as there is room
	lost   bool     // a transaction or what was watched is gone, and nobody was told yet
	ever   bool     // it was connected before
}

// OpenSession returns a session of somebody with the role. It doesn't connect yet. Close it.
func (db *DB) OpenSession(role string, protocol int) *Session {
	return &Session{
		db: db, role: role, buf: bufio.NewReader(nil),
		state: SessionState{Database: db.target.db, Protocol: protocol},
	}
}

// State is what the commands so far left behind.
func (s *Session) State() SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Is says whether a client of the server is the connection of this session.
func (s *Session) Is(c Client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil || s.w.id != strconv.FormatInt(c.ID, 10) {
		return false
	}
	return !s.db.IsCluster() || c.Node == s.w.to || c.Node == s.w.RemoteAddr().String()
}

// Close closes the connection, and ends what runs on it. It may be called again.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.w != nil {
		_ = s.w.Close()
	}
}

// ErrSessionEnded says that a session was closed. It is ErrNotFound.
var ErrSessionEnded = fmt.Errorf("the session has ended: %w", ErrNotFound)

// Listen gives each message to each until ctx ends, or the connection does: cut says that a message is the part before the
// limits of a reply. Afterwards the connection is a new one. The errors are ErrAway.
func (s *Session) Listen(ctx context.Context, each func(message Reply, cut bool)) error {
	s.mu.Lock()
	w := s.w
	s.mu.Unlock()
	if w == nil {
		return ReadErr("listen", &notSentError{errConnLost})
	}
	defer s.drop()
	defer context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })()
	for {
		r, cut, err := w.whole(s.buf, MaxReplyItems, MaxReplyBytes)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return ReadErr("listen", err)
		}
		if r.Kind == kindPush {
			r.Kind = KindArray
		}
		if s.role == roles[admin] || !s.db.tellsOfOurs(r) {
			each(r, cut)
		}
	}
}

// tellsOfOurs says whether a message is a keyspace event of one of this program's own keys.
func (db *DB) tellsOfOurs(r Reply) bool {
	n := len(r.Items)
	if n < 3 {
		return false
	}
	channel, payload := r.Items[n-2].Text, r.Items[n-1].Text
	if strings.HasPrefix(channel, "__keyevent@") {
		return db.isOurs(payload)
	}
	_, key, ok := strings.Cut(channel, "__:")
	return ok && strings.HasPrefix(channel, "__keyspace@") && db.isOurs(key)
}
