package kvdb

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"syscall"
	"time"
)

// This file has the connection of a session: made when it is needed, looked at before each command, given up when it is no good.

// connection returns the connection, a new one where there is none any more.
func (s *Session) connection(ctx context.Context, place []string, out *SessionReply) (*wire, []Reply, error) {
	s.mu.Lock()
	w, closed := s.w, s.closed
	s.mu.Unlock()
	if closed {
		return nil, nil, &notSentError{ErrSessionEnded}
	}
	var pushes []Reply
	if w != nil {
		var ok bool
		if pushes, ok = s.settle(w); ok {
			return w, pushes, nil
		}
		s.drop()
	}
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	if lost {
		return nil, pushes, s.transactionLost(errConnLost)
	}
	w, err := s.connect(ctx, place)
	if err != nil {
		return nil, pushes, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = w.Close()
		return nil, pushes, &notSentError{ErrSessionEnded}
	}
	out.Anew = out.Anew || s.ever && out.Node == ""
	s.w, s.ever = w, true
	if s.db.IsCluster() {
		s.state.Node = w.RemoteAddr().String()
	}
	return w, pushes, nil
}

var errConnLost = errors.New("the connection was lost")

func (s *Session) connect(ctx context.Context, place []string) (*wire, error) {
	if !s.placed {
		to, err := s.db.node(ctx, place)
		if err != nil {
			return nil, err
		}
		s.to, s.placed = to, s.db.IsCluster()
	}
	state := s.State()
	w, err := s.db.wire(ctx, s.to, wireOptions{restricted: s.role != roles[admin], fresh: true, name: cmp.Or(state.Name, sessionName)})
	if err != nil {
		s.placed = false // the node may be gone for good
		return nil, err
	}
	commands := [][]string{{"HELLO", strconv.Itoa(state.Protocol)}}
	if state.Database != w.db {
		commands = append(commands, []string{"SELECT", strconv.Itoa(state.Database)})
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	for _, args := range commands {
		if _, err := w.ask(ctx, args...); err != nil {
			_ = w.Close()
			return nil, &notSentError{err}
		}
	}
	return w, nil
}

// drop gives the connection up, and what was on it.
func (s *Session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w != nil {
		_ = s.w.Close()
	}
	s.w = nil
	s.lost = s.lost || s.state.InTransaction || s.state.Watching
	s.endTransaction()
}

// settle reads what came since the last reply, and says whether the connection is still good.
func (s *Session) settle(w *wire) (pushes []Reply, ok bool) {
	for len(pushes) < maxPushes {
		if w.over {
			return pushes, false
		}
		if w.r.Buffered() == 0 && (w.sys == nil || w.quiet()) {
			return pushes, true
		}
		if err := w.SetReadDeadline(time.Now().Add(pushTime)); err != nil {
			return pushes, false
		}
		r, _, err := w.whole(s.buf, MaxReplyItems, MaxReplyBytes)
		switch {
		case err != nil && isTimeout(err) && w.r.Buffered() == 0 && len(pushes) == 0 && w.open():
			return pushes, true // what came was of TLS
		case err != nil, r.Kind != kindPush:
			return pushes, false
		}
		r.Kind = KindArray
		pushes = append(pushes, r)
	}
	return pushes, true
}

// open says whether the server has not closed the connection.
func (w *wire) open() bool {
	if w.sys == nil {
		return true
	}
	var n int
	err := w.sys.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && n != 0
}
