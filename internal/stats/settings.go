package stats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// settingsAge is how old the settings get that this process goes by.
const settingsAge = 5 * time.Second

const day = 24 * time.Hour

// Defaults are the settings until somebody changes them.
func Defaults() Settings {
	return Settings{Recording: true, Minutes: day, Hours: 35 * day, Days: 2 * 365 * day, Months: 10 * 365 * day,
		SlowMean: 2 * time.Second, BusyShare: 0.1}
}

// settingsBox holds the settings that this process goes by.
type settingsBox struct{ current atomic.Pointer[Settings] }

func (s *Store) settings() Settings {
	if set := s.set.current.Load(); set != nil {
		return *set
	}
	return Defaults()
}

// Settings are the current ones.
func (s *Store) Settings(ctx context.Context) (Settings, error) { return s.loadSettings(ctx) }

func (s *Store) loadSettings(ctx context.Context) (Settings, error) {
	text, err := s.db.Client().HGet(ctx, s.keys.Settings(), "json").Result()
	if errors.Is(err, redis.Nil) {
		text, err = "", nil
	}
	if err != nil {
		return Settings{}, kvdb.ReadErr("read the settings of statistics", err)
	}
	set, err := parseSettings(text)
	if err != nil {
		return Settings{}, err
	}
	s.use(set)
	return set, nil
}

func parseSettings(text string) (Settings, error) {
	set := Defaults()
	if text == "" {
		return set, nil
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return set, fmt.Errorf("settings of statistics: %w", err)
	}
	return set, nil
}

func (s *Store) use(set Settings) {
	if before := s.set.current.Load(); before != nil && before.Version > set.Version {
		return
	}
	s.set.current.Store(&set)
	s.rec.off.Store(!set.Recording)
}

// settingsScript replaces the settings.
//
// KEYS: 1 the settings. ARGV: 1 the version that they must have, 2 the new ones as JSON, of the version after. Returns "" when that
// is done, else the current ones ("{}" where they are the defaults).
var settingsScript = kvdb.NewScript(`
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return redis.call('HGET', KEYS[1], 'json') or '{}' end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'json', ARGV[2])
return ''`)

// SetSettings replaces them. A Version that is not the current one is a *StaleSettings, a wrong value a kvdb.ErrInvalid by field
// ("minutes", "hours", "days", "months", "slow_mean", "busy_share", "threshold").
func (s *Store) SetSettings(ctx context.Context, by string, set Settings) (Settings, error) {
	if err := set.check(); err != nil {
		return Settings{}, err
	}
	version := set.Version
	set.Version++
	set.UpdatedAt, set.UpdatedBy = s.now().UTC(), by
	text, err := json.Marshal(set)
	if err != nil {
		return Settings{}, err
	}
	current, err := settingsScript.Run(ctx, s.db, []string{s.keys.Settings()}, version, text).Text()
	if err != nil {
		return Settings{}, kvdb.WriteErr("change the settings of statistics", err)
	}
	if current != "" {
		now, err := parseSettings(current)
		if err != nil {
			return Settings{}, err
		}
		return Settings{}, &StaleSettings{now}
	}
	s.use(set)
	return set, nil
}

func (e *StaleSettings) Error() string { return "the settings of statistics were changed meanwhile" }

// Is makes it kvdb.ErrConflict.
func (e *StaleSettings) Is(target error) bool { return target == kvdb.ErrConflict }

func (s Settings) check() error {
	var wrong []kvdb.FieldError
	say := func(field, message string) { wrong = append(wrong, kvdb.FieldError{Field: field, Message: message}) }
	if s.Minutes < time.Hour || s.Minutes > 31*day {
		say("minutes", "must be from 1 hour to 31 days")
	}
	if s.Hours < day || s.Hours > 2*365*day {
		say("hours", "must be from 1 day to 2 years")
	} else if s.Hours < s.Minutes {
		say("hours", "must not be kept for less time than minutes")
	}
	if s.Days < 31*day || s.Days > 20*365*day {
		say("days", "must be from 31 days to 20 years")
	} else if s.Days < s.Hours {
		say("days", "must not be kept for less time than hours")
	}
	if s.Months < 365*day || s.Months > 50*365*day {
		say("months", "must be from 1 year to 50 years")
	} else if s.Months < s.Days {
		say("months", "must not be kept for less time than days")
	}
	if s.SlowMean < 0 {
		say("slow_mean", "must not be negative")
	}
	if math.IsNaN(s.BusyShare) || s.BusyShare < 0 || s.BusyShare > 1 {
		say("busy_share", "must be from 0 to 100 %")
	}
	if s.Threshold < 0 || s.Threshold > MaxDuration {
		say("threshold", "must be from 0 to 24 hours")
	}
	if len(wrong) > 0 {
		return &kvdb.InvalidError{Fields: wrong}
	}
	return nil
}

// Thresholds are those that were set, by name.
func (s *Store) Thresholds(ctx context.Context) ([]Threshold, error) {
	all, err := s.db.Client().HGetAll(ctx, s.keys.Thresholds()).Result() // at most MaxServices
	if err != nil {
		return nil, kvdb.ReadErr("read the thresholds", err)
	}
	list := make([]Threshold, 0, len(all))
	for service, text := range all {
		ns, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("threshold of %q: %w", service, err)
		}
		list = append(list, Threshold{service, time.Duration(ns)})
	}
	slices.SortFunc(list, func(a, b Threshold) int { return strings.Compare(a.Service, b.Service) })
	return list, nil
}

// thresholdScript sets a threshold. KEYS: 1 the thresholds. ARGV: 1 the service, 2 ns, "0" = none, 3 how many there may be.
// Returns 1, or 0 when there are too many.
var thresholdScript = kvdb.NewScript(`
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], ARGV[1]) return 1 end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`)

// SetThreshold sets that of a service; 0 = the general one again. A wrong one is a kvdb.ErrInvalid of field "service" or "threshold".
func (s *Store) SetThreshold(ctx context.Context, service string, took time.Duration) error {
	if reason := (&Sample{Service: service}).check(s.now()); reason != "" {
		return kvdb.Invalid("service", "%s", strings.TrimPrefix(reason, "service "))
	}
	if took < 0 || took > MaxDuration {
		return kvdb.Invalid("threshold", "must be from 0 to 24 hours")
	}
	done, err := thresholdScript.Run(ctx, s.db, []string{s.keys.Thresholds()}, service, int64(took), MaxServices).Int()
	if err != nil {
		return kvdb.WriteErr("set a threshold", err)
	}
	if done == 0 {
		return kvdb.Invalid("service", "there are %d thresholds already, and there is no room for more", MaxServices)
	}
	return nil
}
