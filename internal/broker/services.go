package broker

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// workerSeen is how long a worker counts after it asked for work.
const workerSeen = time.Minute

// Services lists those whose name contains q, in the order of names.
func (s *Store) Services(ctx context.Context, q, cursor string, limit int) (page Page[Service], err error) {
	if limit < 1 || limit > maxLimit {
		return page, kvdb.Invalid("limit", "must be from 1 to %d", maxLimit)
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return page, kvdb.Invalid("cursor", "is not a cursor of this list; leave it out to start from the beginning")
	}
	names, err := s.serviceNames(ctx)
	if err != nil {
		return page, err
	}
	start, found := slices.BinarySearch(names, string(after))
	if found {
		start++
	}
	var some []string
	for _, name := range names[start:] {
		if !strings.Contains(strings.ToLower(name), strings.ToLower(q)) {
			continue
		}
		if len(some) == limit {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(some[limit-1]))
			break
		}
		some = append(some, name)
	}
	page.Items, err = s.standing(ctx, some)
	return page, kvdb.ReadErr("broker: list the services", err)
}

// Service returns where one stands. Error: kvdb.ErrNotFound if nobody has used it yet.
func (s *Store) Service(ctx context.Context, name string) (Service, error) {
	if err := CheckName("service", name); err != nil {
		return Service{}, err
	}
	if err := s.known(ctx, name); err != nil {
		return Service{}, err
	}
	all, err := s.standing(ctx, []string{name})
	if err != nil {
		return Service{}, kvdb.ReadErr("broker: service "+name, err)
	}
	return all[0], nil
}

// standing reads where services stand.
func (s *Store) standing(ctx context.Context, names []string) ([]Service, error) {
	if len(names) == 0 {
		return nil, nil
	}
	client := s.db.Client()
	now, err := client.Time(ctx).Result() // that of this process may be wrong
	if err != nil {
		return nil, err
	}
	type line struct {
		counts  []*redis.IntCmd // of States
		oldest  *redis.ZSliceCmd
		policy  *redis.MapStringStringCmd
		workers *redis.IntCmd
	}
	lines := make([]line, len(names))
	cmds, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, name := range names {
			k := s.keys.Service(name)
			for _, state := range States {
				lines[n].counts = append(lines[n].counts, p.ZCard(ctx, setOf(k, state).key))
			}
			lines[n].oldest = p.ZRangeWithScores(ctx, k.Queue(), 0, 0)
			lines[n].policy = p.HGetAll(ctx, k.Policy()) // the fields of a Policy
			lines[n].workers = p.ZCount(ctx, k.Workers(), strconv.FormatInt(now.Add(-workerSeen).UnixMilli(), 10), "+inf")
		}
		return nil
	})
	if err := firstErr(cmds, err); err != nil {
		return nil, err
	}
	all := make([]Service, len(names))
	for n, l := range lines {
		service := Service{Name: names[n], Handler: s.handlerKind(names[n]), Workers: int(l.workers.Val()),
			Paused: l.policy.Val()["paused"] == "1", Policy: readPolicy(l.policy.Val())}
		for i, count := range []*int64{&service.Queued, &service.Delayed, &service.Running, &service.Retrying,
			&service.Done, &service.Dead, &service.Expired, &service.Cancelled} {
			*count = l.counts[i].Val()
		}
		if oldest := l.oldest.Val(); len(oldest) > 0 {
			service.OldestFor = max(now.Sub(time.UnixMicro(int64(oldest[0].Score))), 0)
		}
		all[n] = service
	}
	return all, nil
}

// SetPaused has no worker get anything of a service any more, or lets them again. What runs goes on. A service that nobody has used yet is
// known from then on.
func (s *Store) SetPaused(ctx context.Context, name string, paused bool) error {
	if err := CheckName("service", name); err != nil {
		return err
	}
	if err := s.register(ctx, name); err != nil {
		return err
	}
	k, client := s.keys.Service(name), s.db.Client()
	if paused {
		return kvdb.WriteErr("broker: pause "+name, client.HSet(ctx, k.Policy(), "paused", "1").Err())
	}
	if err := client.HDel(ctx, k.Policy(), "paused").Err(); err != nil {
		return kvdb.WriteErr("broker: resume "+name, err)
	}
	channel, text := s.doorbell(name)
	if err := client.Publish(ctx, channel, text).Err(); err != nil {
		s.logger.Debug("other processes find the resumed service a little later", "service", name, "error", err)
	}
	s.bell.ring(name)
	return nil
}
