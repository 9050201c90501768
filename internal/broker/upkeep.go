package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	upkeepEvery   = time.Second
	forgetEvery   = 10 // times of upkeepEvery
	settleMost    = 500
	settleRounds  = 20 // for one service at a time
	settleAtOnce  = 4
	mostNotices   = 20
	noticeLasts   = 24 * time.Hour
	upkeepTimeout = 10 * time.Second
)

// keepUp does, until ctx ends, what is due in the services although nobody asks them for work, and looks whether the store is the
// one that it was. Every process does so: what one has done, the others find done.
func (s *Store) keepUp(ctx context.Context) {
	for round := 0; ; round++ {
		if err := s.upkeep(ctx, round%forgetEvery == 0); err != nil && ctx.Err() == nil {
			s.logger.Debug("broker: the upkeep waits", "error", err)
		}
		if pause(ctx, time.Duration((0.9+0.2*rand.Float64())*float64(upkeepEvery))) != nil {
			return
		}
	}
}

// upkeep does it once; all = also what has no time of its own.
func (s *Store) upkeep(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	if err := s.checkEpoch(ctx); err != nil {
		return err
	}
	names, err := s.serviceNames(ctx)
	if err != nil {
		return err
	}
	names, err = s.having(ctx, names, func(k kvdb.ServiceKeys) []string {
		keys := []string{setOf(k, Running).key, setOf(k, Delayed).key, setOf(k, Retrying).key, k.Expiring()}
		if all {
			keys = append(keys, setOf(k, Done).key, setOf(k, Dead).key, setOf(k, Expired).key, setOf(k, Cancelled).key, k.Workers())
		}
		return keys
	})
	if err != nil {
		return err
	}
	var (
		next = make(chan string)
		mu   sync.Mutex
		errs []error
		wg   sync.WaitGroup
	)
	for range min(settleAtOnce, len(names)) {
		wg.Go(func() {
			for name := range next {
				if err := s.settle(ctx, name); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// settle does what is due in a service.
func (s *Store) settle(ctx context.Context, service string) error {
	channel, text := s.doorbell(service)
	for range settleRounds {
		reply, err := s.run(ctx, settleScript, service, channel, text, settleMost).Int64Slice()
		if err != nil {
			return kvdb.WriteErr("broker: settle "+service, err)
		}
		if len(reply) != 2 {
			return fmt.Errorf("broker: the upkeep of %s answered %v", service, reply)
		}
		if reply[0] > 0 {
			s.bell.ring(service)
		}
		if reply[1] == 0 {
			return nil
		}
	}
	return nil
}

// epoch is what this process knows of the store.
type epoch struct {
	mu      sync.Mutex
	is      string // "" = not read yet
	notices []Notice
}

// checkEpoch looks whether the store still has what it had. If it was emptied or replaced, the services are made known again.
func (s *Store) checkEpoch(ctx context.Context) error {
	key, client := s.keys.Broker().Epoch(), s.db.Client()
	is, err := client.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		if err = client.SetNX(ctx, key, newToken(), 0).Err(); err == nil {
			is, err = client.Get(ctx, key).Result()
		}
	}
	if err != nil {
		return kvdb.WriteErr("broker: look whether the store is still the same", err)
	}
	s.epoch.mu.Lock()
	was := s.epoch.is
	s.epoch.mu.Unlock()
	if was == is {
		return nil
	}
	if was != "" {
		if names := s.registry.all(); len(names) > 0 {
			if err := client.HSet(ctx, s.keys.Broker().Services(), names).Err(); err != nil {
				return kvdb.WriteErr("broker: make the services known again", err)
			}
		}
		s.notice("Redis has lost what the broker kept in it: it was emptied, or another server took its place. " +
			"Invocations and messages from before are gone; what was sent since then is there.")
	}
	s.epoch.mu.Lock()
	s.epoch.is = is
	s.epoch.mu.Unlock()
	return nil
}

// notice tells people something.
func (s *Store) notice(text string) {
	s.logger.Warn("broker: " + text)
	s.epoch.mu.Lock()
	defer s.epoch.mu.Unlock()
	s.epoch.notices = append(s.epoch.notices, Notice{At: s.now(), Text: text})
	if over := len(s.epoch.notices) - mostNotices; over > 0 {
		s.epoch.notices = s.epoch.notices[over:]
	}
}

// Notices says what people should know of: that the store was emptied or replaced, within the last day, since this process
// started. The newest is the last.
func (s *Store) Notices() (those []Notice) {
	s.epoch.mu.Lock()
	defer s.epoch.mu.Unlock()
	for _, n := range s.epoch.notices {
		if s.now().Sub(n.At) < noticeLasts {
			those = append(those, n)
		}
	}
	return those
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
