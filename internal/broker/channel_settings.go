package broker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// StaleSettingsError says that somebody changed the settings of a channel since they were read. It is kvdb.ErrConflict.
type StaleSettingsError struct{ Current ChannelSettings }

func (e *StaleSettingsError) Error() string {
	return "somebody else changed the settings since they were read"
}

// Is makes it kvdb.ErrConflict.
func (e *StaleSettingsError) Is(target error) bool { return target == kvdb.ErrConflict }

// settingsScript changes the settings unless somebody else did.
//
// KEYS: 1 settings. ARGV: 1 the version that was read, 2 keep_n, 3 keep_ms.
// Returns the new version, 0 when it was changed.
var settingsScript = kvdb.NewScript(`
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if version ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', version + 1, 'keep_n', ARGV[2], 'keep_ms', ARGV[3])
return version + 1`)

// SetChannelSettings changes how many messages of a channel are kept, if the settings still have the version of set. Messages that are too
// many go at once, those that are too old a little later. Errors: *kvdb.InvalidError, *StaleSettingsError.
func (s *Store) SetChannelSettings(ctx context.Context, channel string, set ChannelSettings) (ChannelSettings, error) {
	if err := checkSettings(channel, set); err != nil {
		return ChannelSettings{}, err
	}
	k := s.keys.Channel(channel)
	version, err := settingsScript.Run(ctx, s.db, []string{k.Settings()}, set.Version, set.KeepN, set.Keep.Milliseconds()).Int64()
	if err != nil {
		return ChannelSettings{}, kvdb.WriteErr("change the settings of a channel", err)
	}
	if version == 0 {
		fields, err := s.db.Client().HGetAll(ctx, k.Settings()).Result() // those of ChannelSettings
		if err != nil {
			return ChannelSettings{}, kvdb.ReadErr("read the settings of a channel", err)
		}
		return ChannelSettings{}, &StaleSettingsError{settingsOf(fields)}
	}
	set.Version = version
	if err := s.db.Client().XTrimMaxLenApprox(ctx, k.Log(), set.KeepN, 0).Err(); err != nil {
		s.logger.Debug("a channel is trimmed by the next message", "channel", channel, "error", err)
	}
	return set, nil
}

func checkSettings(channel string, set ChannelSettings) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	var wrong []kvdb.FieldError
	if set.KeepN < 1 || set.KeepN > maxKeepN {
		wrong = append(wrong, kvdb.FieldError{Field: "keep_n", Message: "must be from 1 to 10,000,000"})
	}
	if set.Keep < minKeep || set.Keep > maxKeep {
		wrong = append(wrong, kvdb.FieldError{Field: "keep", Message: "must be from 1 minute to 400 days"})
	}
	if len(wrong) > 0 {
		return &kvdb.InvalidError{Fields: wrong}
	}
	return nil
}

const (
	trimEvery    = 10 * time.Second
	trimChannels = 100    // that are looked at each time
	trimMessages = 10_000 // that one script drops of a channel
)

// trimScript drops messages that are too old. Their numbers grow with their times, so it finds the first that stays by halving.
//
// KEYS: 1 log, 2 settings. ARGV: 1 for how many ms messages are kept unless the settings say, 2 how many it drops at most.
// Returns how many it dropped.
var trimScript = kvdb.NewScript(`
local now = redis.call('TIME')
local limit = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(redis.call('HGET', KEYS[2], 'keep_ms') or ARGV[1])
local function at(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 't' then return tonumber(entry[2][i + 1]) end
  end
  return 0
end
local function number(entry) return tonumber(string.match(entry[1], '^%d+')) end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first or at(first) >= limit then return 0 end
local low, high = number(first), number(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]) + 1
high = math.min(high, low + tonumber(ARGV[2]))
while high - low > 1 do
  local middle = math.floor((low + high) / 2)
  local entry = redis.call('XRANGE', KEYS[1], string.format('%.0f-0', middle), '+', 'COUNT', 1)[1]
  if entry and at(entry) < limit then low = middle else high = middle end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f-0', high))`)

// keepChannels drops what is too old until ctx ends; then all subscriptions end. Every process does it, a part of the channels each time.
func (s *Store) keepChannels(ctx context.Context) {
	defer s.channels.end()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for cursor := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var err error
		if cursor, err = s.trimSome(ctx, cursor); err != nil && ctx.Err() == nil {
			s.logger.Debug("old messages stay a little longer", "error", err)
		}
	}
}

// trimSome drops what is too old of the channels after cursor, and returns where it stopped; "" = at the end.
func (s *Store) trimSome(ctx context.Context, cursor string) (next string, err error) {
	from := "-"
	if cursor != "" {
		from = "(" + cursor
	}
	names, err := s.db.Client().ZRangeByLex(ctx, s.keys.Broker().Channels(), &redis.ZRangeBy{Min: from, Max: "+", Count: trimChannels}).Result()
	if err != nil {
		return cursor, kvdb.ReadErr("list the channels", err)
	}
	for _, name := range names {
		k := s.keys.Channel(name)
		err := trimScript.Run(ctx, s.db, []string{k.Log(), k.Settings()}, DefaultChannelSettings.Keep.Milliseconds(), trimMessages).Err()
		if err != nil {
			return cursor, kvdb.WriteErr("drop old messages", err)
		}
	}
	if len(names) < trimChannels {
		return "", nil
	}
	return names[len(names)-1], nil
}
