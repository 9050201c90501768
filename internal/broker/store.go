package broker

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Store is the broker of one Redis. It is safe for concurrent use, also by several processes.
type Store struct {
	db         *kvdb.DB
	keys       kvdb.Keys
	now        func() time.Time
	logger     *slog.Logger
	maxPayload int
	onFinished func(Finished)
	secret     []byte
	process    string

	registry   registry
	publishing queues[*item]
	fetching   queues[*ask]
	acking     queues[*acked]
	epoch      epoch

	bell *bell // rings in this process
	running

	channels channels
	work     background
}

// Options of a Store.
type Options struct {
	Now        func() time.Time // nil = time.Now. The times that decide are those of Redis
	Logger     *slog.Logger     // nil = none
	MaxPayload int              // bytes of a payload, result or message; 0 = 1 MiB
	OnFinished func(Finished)   // is told of each attempt that a handler of this process ended; must not block; may be nil
	Secret     []byte           // seals the secrets of webhooks
	Process    string           // how this process is called in the names of its workers; "" = its host and number
}

// New returns the broker that db holds. It waits for nothing and starts nothing.
func New(db *kvdb.DB, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 1 << 20
	}
	if o.Process == "" {
		o.Process = processName()
	}
	s := &Store{db: db, keys: db.Keys(), now: o.Now, logger: o.Logger, maxPayload: o.MaxPayload,
		onFinished: o.OnFinished, secret: o.Secret, process: o.Process, bell: newBell(newToken())}
	s.work.ctx, s.work.cancel = context.WithCancel(context.Background())
	s.atStart(s.keepUp)
	s.initRunning()
	s.channels.over, s.channels.end = context.WithCancel(s.work.ctx)
	s.atStart(s.keepChannels)
	return s
}

// MaxPayload is how many bytes a payload, result or message may have.
func (s *Store) MaxPayload() int { return s.maxPayload }

// background is what Start began, and what Close ends.
type background struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	upkeep []func(ctx context.Context) // each runs from Start until its ctx ends
}

// atStart has f run from Start until its ctx ends. It is for New and what is called before Start.
func (s *Store) atStart(f func(ctx context.Context)) { s.work.upkeep = append(s.work.upkeep, f) }

// Start keeps the broker up until ctx ends or Close is called; then whoever waits for work or messages is told that there are none.
// It returns at once. Other processes do the same, so that no one of them is needed.
func (s *Store) Start(ctx context.Context) {
	context.AfterFunc(ctx, s.work.cancel)
	for _, f := range s.work.upkeep {
		s.goes(ctx, f)
	}
}

// goes runs f until ctx ends or Close is called; Close waits for it.
func (s *Store) goes(ctx context.Context, f func(ctx context.Context)) {
	both, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.work.ctx, cancel)
	s.work.wg.Go(func() {
		defer stop()
		defer cancel()
		f(both)
	})
}

// Close ends what Start and StartWorkers began and waits for it as long as ctx allows: handlers that run have their time, and what they
// don't finish is given back.
func (s *Store) Close(ctx context.Context) error {
	s.work.cancel()
	done := make(chan struct{})
	go func() { s.work.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// processName is the host and the number of this process.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "-" + strconv.Itoa(os.Getpid())
}

// newToken makes a text that nobody else makes.
func newToken() string { return rand.Text()[:16] }
