package lua

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Store keeps the programs and runs them. It is safe for concurrent use, also by several processes.
type Store struct {
	db     *kvdb.DB
	keys   kvdb.LuaKeys
	now    func() time.Time
	logger *slog.Logger
	onRun  func(Run)
	files  files
	cache  cache
	runs   runLog
	work   background

	underway underway // runs
	facts    serverFacts
	bench    bench // dry runs and debug sessions
}

// Options of a Store.
type Options struct {
	Dir    string           // of the program files; "" = none
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
	OnRun  func(Run)        // is told of each run, for statistics; must not block; may be nil
}

// New returns the programs that db and o.Dir hold. It waits for nothing and starts nothing.
func New(db *kvdb.DB, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{db: db, keys: db.Keys().Lua(), now: o.Now, logger: o.Logger, onRun: o.OnRun,
		files: files{dir: o.Dir, logger: o.Logger}, runs: newRunLog()}
	s.work.ctx, s.work.cancel = context.WithCancel(context.Background())
	return s
}

// background is what Start began.
type background struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Start looks at the directory and writes runs until ctx ends or Close is called. It returns at once.
func (s *Store) Start(ctx context.Context) {
	both, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.work.ctx, cancel)
	context.AfterFunc(ctx, func() { s.closeDebug(context.WithoutCancel(ctx)) }) // a server that stops waits for their streams to end
	var jobs sync.WaitGroup
	jobs.Go(func() { s.watchFiles(both) })
	jobs.Go(func() { s.writeRuns(both) })
	s.work.wg.Go(func() {
		jobs.Wait()
		stop()
		cancel()
	})
}

// Close ends what Start began and the debug sessions, and writes the runs that are left.
func (s *Store) Close(ctx context.Context) error {
	s.work.cancel()
	s.closeDebug(ctx)
	done := make(chan struct{})
	go func() { s.work.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.flushRuns(ctx)
}

// newToken makes a text that nobody else makes.
func newToken() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails: see its documentation
	return base64.RawURLEncoding.EncodeToString(b)
}
