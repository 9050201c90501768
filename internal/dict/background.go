package dict

import (
	"context"
	"errors"
	"sync"
	"time"
)

// background is work that goes on after a request has been answered: imports of uploads.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (b *background) init() { b.ctx, b.cancel = context.WithCancel(context.Background()) }

// start runs f; Close waits for it.
func (b *background) start(f func(ctx context.Context)) {
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		f(b.ctx)
	}()
}

// Run writes the counted misses every second, and forgets who met those that were answered long ago, until ctx ends. Beside that
// it writes the counted uses.
func (s *Store) Run(ctx context.Context) error {
	var uses sync.WaitGroup
	uses.Go(func() { s.writeUses(ctx) })
	defer uses.Wait()
	tick := time.NewTicker(missFlush)
	defer tick.Stop()
	sweep := time.NewTicker(metSweep)
	defer sweep.Stop()
	quiet := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			if err := s.sweepMet(ctx); err != nil {
				s.logger.Debug("who met answered misses is not forgotten yet", "error", err)
			}
			continue
		case <-tick.C:
		}
		err := s.flushMisses(ctx)
		if err != nil && !quiet && ctx.Err() == nil {
			s.logger.Warn("misses are not being written", "error", err)
		}
		quiet = err != nil
	}
}

// Close ends imports that run in the background (nothing of theirs is written then) and writes the misses
// and uses that are left.
func (s *Store) Close(ctx context.Context) error {
	s.work.cancel()
	done := make(chan struct{})
	go func() { s.work.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return errors.Join(s.flushMisses(ctx), s.flushUses(ctx))
}
