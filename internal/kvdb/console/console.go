package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Options of a Console; what is zero has the default.
type Options struct {
	PerPerson int           // sessions that somebody may have at a time; 3
	All       int           // sessions of all people; 50
	Run       time.Duration // how long a command or a stream may take; 10 minutes
	Idle      time.Duration // after which a session ends in which nothing runs; 5 minutes
	Now       func() time.Time
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		n   *int
		def int
	}{{&o.PerPerson, 3}, {&o.All, 50}} {
		if *d.n <= 0 {
			*d.n = d.def
		}
	}
	if o.Run <= 0 {
		o.Run = 10 * time.Minute
	}
	if o.Idle <= 0 {
		o.Idle = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Console has the sessions of all people. It is safe for concurrent use.
type Console struct {
	db *kvdb.DB
	o  Options

	mu       sync.Mutex
	sessions map[string]*Session
	closed   bool
	batches  []*Batch // the oldest first
	streams  sync.WaitGroup

	docsMu sync.Mutex
	docs   *kvdb.CommandDocs
}

// New returns a Console. Close it before the DB.
func New(db *kvdb.DB, o Options) *Console {
	return &Console{db: db, o: o.withDefaults(), sessions: map[string]*Session{}}
}

// BusyError says why something can't be now. It is kvdb.ErrConflict.
type BusyError struct{ Reason string }

func (e *BusyError) Error() string { return e.Reason }

// Is makes it kvdb.ErrConflict.
func (*BusyError) Is(target error) bool { return target == kvdb.ErrConflict }

// EndedError says that there is no such session any more, and why. It is kvdb.ErrNotFound.
type EndedError struct{ Reason string }

func (e *EndedError) Error() string { return e.Reason }

// Is makes it kvdb.ErrNotFound.
func (*EndedError) Is(target error) bool { return target == kvdb.ErrNotFound }

// Open opens a session of somebody with the role. The error is a *BusyError when there are too many.
func (c *Console) Open(who, role string) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := 0
	for _, s := range c.sessions {
		if s.Who == who {
			own++
		}
	}
	switch {
	case c.closed:
		return nil, &EndedError{"This program is shutting down."}
	case own >= c.o.PerPerson:
		return nil, &BusyError{fmt.Sprintf("You have %d consoles open, which is as many as one may have. Close one of them first.", own)}
	case len(c.sessions) >= c.o.All:
		return nil, &BusyError{fmt.Sprintf("%d consoles are open, which is as many as this server may have. Try again later.", len(c.sessions))}
	}
	s := &Session{ID: rand.Text(), Who: who, Role: role, Opened: c.o.Now(), c: c, kv: c.db.OpenSession(role, 2), done: make(chan struct{})}
	s.idle = time.AfterFunc(c.o.Idle, func() { s.end(fmt.Sprintf("The console has ended: nothing ran in it for %s.", spell(c.o.Idle))) })
	c.sessions[s.ID] = s
	return s, nil
}

// Session returns somebody's session. Where their role has changed, it ends. The error is an *EndedError.
func (c *Console) Session(id, who, role string) (*Session, error) {
	c.mu.Lock()
	s := c.sessions[id]
	c.mu.Unlock()
	if s == nil || s.Who != who {
		return nil, &EndedError{"This console is not open any more, or not here. Open a new one."}
	}
	if s.Role != role {
		s.end("The console has ended: your role has changed.")
		return nil, &EndedError{"This console has ended, as your role has changed. Open a new one."}
	}
	return s, nil
}

// Sessions are those of somebody, in the order in which they were opened; of "" those of all.
func (c *Console) Sessions(who string) []*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Session
	for _, s := range c.sessions {
		if who == "" || s.Who == who {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Session) int { return a.Opened.Compare(b.Opened) })
	return all
}

// CloseOf ends the sessions of somebody, as when they sign out.
func (c *Console) CloseOf(who string) {
	for _, s := range c.Sessions(who) {
		if s.Who == who {
			s.Close()
		}
	}
}

// Close ends all sessions. It may be called again.
func (c *Console) Close() {
	c.mu.Lock()
	c.closed = true
	batches := c.batches
	c.mu.Unlock()
	for _, b := range batches {
		b.Stop()
	}
	for _, s := range c.Sessions("") {
		s.end("The console has ended: this program is shutting down.")
	}
	c.streams.Wait()
	for _, b := range batches {
		b.drop()
	}
}

// spell writes a time limit.
func spell(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "a minute"
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// commandDocs are those of the server as it is now.
func (c *Console) commandDocs(ctx context.Context) (*kvdb.CommandDocs, error) {
	c.docsMu.Lock()
	defer c.docsMu.Unlock()
	docs, err := c.db.CommandDocs(ctx, c.docs)
	if err != nil {
		return nil, err
	}
	c.docs = docs
	return docs, nil
}
