package stats

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Options of a Store.
type Options struct {
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
}

// Store records and answers. It is safe for concurrent use.
type Store struct {
	db     *kvdb.DB
	keys   kvdb.StatsKeys
	now    func() time.Time
	logger *slog.Logger
	rec    *recorder
	set    settingsBox

	turn chan struct{} // holds one token: who has it writes
	writer

	stop    context.CancelFunc // of the background work; nil = not started
	working sync.WaitGroup
}

// New makes a store. It records at once, and writes once it was started.
func New(db *kvdb.DB, o Options) *Store {
	s := &Store{db: db, keys: db.Keys().Stats(), now: o.Now, logger: o.Logger, rec: newRecorder(), turn: make(chan struct{}, 1)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.writer = newWriter()
	return s
}

// Start writes what is recorded, about once a second, until ctx ends or Close.
func (s *Store) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	s.working.Go(func() { s.work(ctx) })
}

// Close writes what is still to be written and leaves nothing behind that another process would have to take over. The error is a
// kvdb.ErrAway or kvdb.ErrUnknown when Redis didn't take it all; what it did not take is lost.
func (s *Store) Close(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
		s.working.Wait()
	}
	if err := s.Flush(ctx); err != nil {
		return err
	}
	return s.leave(ctx)
}

func newProcess() string { return rand.Text()[:12] }
