package handlers

import (
	"context"
	"errors"
	"sync"
)

// Background is what goes on when the requests that began it have been answered: jobs over many things. Whoever makes it closes it, when no
// requests come any more and before what the jobs work on. It is safe for concurrent use.
type Background struct {
	mu     sync.Mutex
	closed bool
	stop   map[*context.CancelFunc]struct{} // of each that goes on
	all    sync.WaitGroup
}

// NewBackground returns one in which nothing goes on.
func NewBackground() *Background {
	return &Background{stop: map[*context.CancelFunc]struct{}{}}
}

// start has the work go on, as ctx says but for its end: that comes with cancel, or when b is closed. It returns false after that.
func (b *Background) start(ctx context.Context, work func(context.Context)) (cancel context.CancelFunc, ok bool) {
	ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		cancel()
		return cancel, false
	}
	b.stop[&cancel] = struct{}{}
	b.all.Go(func() {
		defer func() {
			cancel()
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.stop, &cancel)
		}()
		work(ctx)
	})
	return cancel, true
}

// Close stops what goes on, and waits until each has noted how it ended, or until ctx ends, which is the error.
func (b *Background) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	for stop := range b.stop {
		(*stop)()
	}
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		b.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("a job goes on"), ctx.Err())
	}
}
