package stats

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	beatEvery  = 20 * time.Second
	aliveFor   = 5 * time.Minute // after its last beat, a process is taken for dead
	adoptEvery = 30 * time.Second
)

// join tells the others that this process lives.
func (s *Store) join(ctx context.Context) error {
	now := s.now()
	if s.joined && now.Sub(s.beat).Abs() < beatEvery {
		return nil
	}
	pipe := s.db.Client().Pipeline()
	pipe.SAdd(ctx, s.keys.Writers(), s.process)
	before := pipe.SetArgs(ctx, s.keys.Alive(s.process), 1, redis.SetArgs{TTL: aliveFor, Get: true})
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return kvdb.WriteErr("join the writers of statistics", err)
	}
	if before.Err() != nil { // the first time, or the others took it for dead and may have forgotten what it has open
		clear(s.named)
	}
	s.joined, s.beat = true, now
	return nil
}

// leave rolls up all that this process has live, and says that it goes.
func (s *Store) leave(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return kvdb.NotDone("roll up statistics", "They are being written.")
	}
	for s.rec.waits() {
		if err := s.rollUntil(ctx, minuteOf(s.now().Add(2*MaxFuture))); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return kvdb.ReadErr("roll up statistics", ctx.Err())
		}
	}
	return s.remove(ctx, s.process)
}

// waits is whether there are records that are not rolled up yet.
func (r *recorder) waits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.open {
		if o.changed == o.written {
			return true
		}
	}
	return len(r.rolling) > 0
}

func (s *Store) remove(ctx context.Context, process string) error {
	pipe := s.db.Client().Pipeline()
	pipe.SRem(ctx, s.keys.Writers(), process)
	pipe.Del(ctx, s.keys.Alive(process), s.keys.Open(process))
	_, err := pipe.Exec(ctx)
	return kvdb.WriteErr("leave the writers of statistics", err)
}

// adopt rolls up what processes left behind that have died.
func (s *Store) adopt(ctx context.Context) error {
	now := s.now()
	if now.Sub(s.adopted).Abs() < adoptEvery {
		return nil
	}
	s.adopted = now
	writers, err := s.db.Client().SMembers(ctx, s.keys.Writers()).Result() // processes that run, or died since the last look
	if err != nil {
		return kvdb.ReadErr("read the writers of statistics", err)
	}
	alive, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, process := range writers {
			p.Exists(ctx, s.keys.Alive(process))
		}
		return nil
	})
	if err != nil {
		return kvdb.ReadErr("read the writers of statistics", err)
	}
	for i, process := range writers {
		if process == s.process || alive[i].(*redis.IntCmd).Val() == 1 {
			continue
		}
		if err := s.adoptFrom(ctx, process); err != nil {
			return err
		}
		s.logger.Info("rolled up the statistics of a process that has gone", "process", process)
	}
	return s.prune(ctx)
}

func (s *Store) adoptFrom(ctx context.Context, process string) error {
	services, err := s.db.Client().SMembers(ctx, s.keys.Open(process)).Result() // at most MaxServices, Other and All
	if err != nil {
		return kvdb.ReadErr("read the services of a writer", err)
	}
	for len(services) > 0 {
		n := min(len(services), rollAtOnce)
		list := make([]rolling, n)
		for i, service := range services[:n] {
			list[i] = rolling{service: service}
		}
		done, err := s.roll(ctx, list, process, true)
		if err != nil {
			return err
		}
		services = services[n:]
		for i, ok := range done {
			if !ok {
				services = append(services, list[i].service)
			}
		}
	}
	return s.remove(ctx, process)
}

// prune makes room for names by those of services that have not been called for as long as anything is kept.
func (s *Store) prune(ctx context.Context) error {
	oldest := s.now().Add(-s.settings().Months).Unix() / 3600
	names, err := s.db.Client().ZRangeByScore(ctx, s.keys.Services(), &redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(oldest, 10)}).Result()
	if err != nil || len(names) == 0 {
		return kvdb.ReadErr("read the services", err)
	}
	pipe := s.db.Client().Pipeline()
	for _, name := range names {
		pipe.ZRem(ctx, s.keys.Services(), name)
		pipe.Unlink(ctx, s.keys.Service(name).Live())
	}
	_, err = pipe.Exec(ctx)
	return kvdb.WriteErr("forget services", err)
}
