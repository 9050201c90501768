package broker

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Who listens to a channel is written down: each connection gives a sign now and then, so that the ones of a process that died are known
// for what they are, and the positions of named subscribers are kept.
const (
	attendEvery    = time.Second      // positions are kept at most this old
	beatEvery      = 10 * time.Second // a sign of each connection
	connectedFor   = 30 * time.Second // after its last sign
	forgottenAfter = time.Hour
	maxSubscribers = 1000 // names of a channel whose position is kept
)

func checkSubscriber(name string) error {
	if len(name) > maxChannelName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return kvdb.Invalid("subscriber", "must be UTF-8 text of 1 to %d bytes without control characters", maxChannelName)
	}
	return nil
}

// attendScript writes down who listens.
//
// KEYS: 1 seen, 2 state, 3 positions.
// ARGV: 1 after how many ms a silent connection is forgotten, 2 how many names positions may have; 3 number of those that leave, they; number of
// those that are there, they; then epoch, name and number for each position.
// Returns 1, or 0 when a name is one too many.
var attendScript = kvdb.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local i, kept = 3, 1
for _ = 1, tonumber(ARGV[i]) do
  i = i + 1
  redis.call('ZREM', KEYS[1], ARGV[i])
end
i = i + 1
for _ = 1, tonumber(ARGV[i]) do
  i = i + 1
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
for j = i + 1, #ARGV, 3 do
  if ARGV[j] == epoch then
    if redis.call('HEXISTS', KEYS[3], ARGV[j + 1]) == 0 and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[2]) then
      kept = 0
    else
      redis.call('HSET', KEYS[3], ARGV[j + 1], ARGV[j + 2])
    end
  end
end
return kept`)

// member is a connection among those that were seen.
func (sub *Subscription) member() string { return sub.id + " " + sub.name }

// note writes down subscribers. attending is held.
func (f *feed) note(ctx context.Context, leaving, there []string, positions []any) (kept bool, err error) {
	k := f.s.keys.Channel(f.channel)
	args := []any{forgottenAfter.Milliseconds(), maxSubscribers, len(leaving)}
	for _, m := range leaving {
		args = append(args, m)
	}
	args = append(args, len(there))
	for _, m := range there {
		args = append(args, m)
	}
	n, err := attendScript.Run(ctx, f.s.db, []string{k.Seen(), k.State(), k.Positions()}, append(args, positions...)...).Int()
	return n == 1, err
}

// arrive writes a new subscriber down.
func (f *feed) arrive(ctx context.Context, sub *Subscription) error {
	f.attending.Lock()
	defer f.attending.Unlock()
	kept, err := f.note(ctx, nil, []string{sub.member()}, sub.unsaved(true))
	if err == nil && !kept {
		return kvdb.Invalid("subscriber", "is one too many: the channel keeps the positions of %d, and somebody has to forget one", maxSubscribers)
	}
	return err
}

// departTime is how long the end of a subscription waits for Redis: who can't be told sees the position of a second before.
const departTime = 2 * time.Second

// depart writes down that a subscriber leaves.
func (f *feed) depart(sub *Subscription) {
	f.attending.Lock()
	defer f.attending.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), departTime)
	defer cancel()
	if _, err := f.note(ctx, []string{sub.member()}, nil, sub.unsaved(false)); err != nil {
		f.s.logger.Debug("the position of a subscriber is not kept", "channel", f.channel, "error", err)
	}
}

// attendAll writes down who is there and where until ctx ends.
func (f *feed) attendAll(ctx context.Context) {
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.attend(ctx)
		}
	}
}

// attend writes down who is there and where, if there is news.
func (f *feed) attend(ctx context.Context) {
	f.attending.Lock()
	defer f.attending.Unlock()
	var there []string
	var positions []any
	beat := f.s.now().Sub(f.beat) >= beatEvery
	f.mu.Lock()
	for sub := range f.subs {
		if sub.watch || sub.isGone() {
			continue
		}
		if beat {
			there = append(there, sub.member())
		}
		positions = append(positions, sub.unsaved(false)...)
	}
	f.mu.Unlock()
	if len(there) == 0 && len(positions) == 0 {
		return
	}
	if _, err := f.note(ctx, nil, there, positions); err != nil {
		f.beat = time.Time{}
		f.mu.Lock()
		defer f.mu.Unlock()
		for sub := range f.subs {
			sub.unsave()
		}
		return
	}
	if beat {
		f.beat = f.s.now()
	}
}

func (sub *Subscription) isGone() bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.gone
}

// unsaved is the position to be kept: epoch, name and number. Nothing, if nobody wants it kept or it is kept already.
func (sub *Subscription) unsaved(first bool) []any {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.name == "" || sub.saved == sub.handled && !first {
		return nil
	}
	sub.saved = sub.handled
	return []any{sub.handled.epoch, sub.name, spot(sub.handled.n, sub.handled.at)}
}

// unsave says that nobody knows whether the position is kept.
func (sub *Subscription) unsave() {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.saved = position{}
}

// keptPosition is where a subscriber stopped: a number, and the time of its message if that is known.
func (s *Store) keptPosition(ctx context.Context, channel, subscriber string) (n, at int64, ok bool, err error) {
	kept, err := s.db.Client().HGet(ctx, s.keys.Channel(channel).Positions(), subscriber).Result()
	if errors.Is(err, redis.Nil) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, kvdb.ReadErr("read a position", err)
	}
	n, at, ok = parseSpot(kept)
	return n, at, ok, nil
}
