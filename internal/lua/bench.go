package lua

import (
	"context"
	"crypto/subtle"
	"fmt"
	"sync"

	"webadmin/internal/kvdb"
)

// bench is where programs are tried. Its zero value is ready.
type bench struct {
	starts  starts
	scratch scratch

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Debug
}

// enter takes a place for a session. *BusyError, ErrAway.
func (b *bench) enter(d *Debug) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return kvdb.NotDone("lua: debug", "This program is shutting down. Try again when it is back.")
	}
	for _, other := range b.sessions {
		if other.who.Who != d.who.Who {
			continue
		}
		e := &BusyError{Program: other.call.Name, Since: other.at, Reason: "You have a debug session already, perhaps in another window: end it, or go on with it."}
		if other.session == d.session {
			e.ID = other.ID
		}
		return e
	}
	if len(b.sessions) >= maxSessions {
		return &BusyError{Reason: fmt.Sprintf("Others have all %d debug sessions that there are. Try again when one of them has ended.", maxSessions)}
	}
	if b.sessions == nil {
		b.sessions = map[string]*Debug{}
	}
	b.sessions[d.ID] = d
	return nil
}

func (b *bench) leave(d *Debug) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, d.ID)
}

// Debug returns a session of this browser session. ErrNotFound: there is none, not any more, or in another process.
func (s *Store) Debug(id, session string) (*Debug, error) {
	s.bench.mu.Lock()
	defer s.bench.mu.Unlock()
	d := s.bench.sessions[id]
	if d == nil || subtle.ConstantTimeCompare([]byte(d.session), []byte(session)) == 0 {
		return nil, fmt.Errorf("lua: debug session %.40q: %w", id, kvdb.ErrNotFound)
	}
	return d, nil
}

// closeDebug ends all sessions and the scratch server.
func (s *Store) closeDebug(ctx context.Context) {
	s.bench.mu.Lock()
	s.bench.closed = true
	var sessions []*Debug
	for _, d := range s.bench.sessions {
		sessions = append(sessions, d)
	}
	s.bench.mu.Unlock()
	for _, d := range sessions {
		d.Close()
	}
	s.bench.scratch.close(ctx)
}
