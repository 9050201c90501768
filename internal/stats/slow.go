package stats

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	slowPerService = 100   // kept of each service and day
	slowPerDay     = 1_000 // kept of all services and a day
	maxSlowWaiting = 50_000
	slowKept       = 35 * day
)

// slowDay names the day in keys.
func slowDay(t time.Time) string { return t.UTC().Format("20060102") }

// member is a slow call as it stands in the sorted set of its service: when it ended in µs, what tells it from others of that moment, whether it
// failed, and its cid. Writing it again changes nothing. With a cid of usual length it has at most 64 bytes, up to which
// Redis keeps such a set in a third of the memory.
func (c *SlowCall) member() string {
	failed := "0"
	if c.Failed {
		failed = "1"
	}
	return strconv.FormatInt(c.At.UnixMicro(), 36) + "\x00" + c.unique + "\x00" + failed + strings.ReplaceAll(c.CID, "\x00", " ")
}

// memberOfAll is a slow call as it stands in the sorted set of all services: the name of its own is added.
func (c *SlowCall) memberOfAll() string { return c.member() + "\x00" + c.Service }

// parseSlow reads a member of the set of a service; "" = that of all.
func parseSlow(service string, z redis.Z) (c SlowCall, ok bool) {
	member, _ := z.Member.(string)
	parts := strings.SplitN(member, "\x00", 4)
	if len(parts) == 4 && service == "" {
		service = parts[3]
	}
	if len(parts) < 3 || parts[2] == "" || service == "" {
		return c, false
	}
	at, err := strconv.ParseInt(parts[0], 36, 64)
	return SlowCall{Service: service, Took: time.Duration(z.Score), At: time.UnixMicro(at).UTC(), CID: parts[2][1:],
		Failed: parts[2][0] == '1', unique: parts[1]}, err == nil
}

// newUnique tells calls of the same microsecond apart.
func newUnique() string { return strings.ToLower(rand.Text()[:8]) }

// slowKey is the calls of a service on a day.
type slowKey struct{ service, day string }

// writeSlow writes the slow calls that wait, and learns from where on a call is one.
func (s *Store) writeSlow(ctx context.Context) error {
	s.rec.mu.Lock()
	waiting := s.rec.slow
	s.rec.slow = nil
	s.rec.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	for i := range waiting {
		if waiting[i].unique == "" { // it stays when the call is written again
			waiting[i].unique = newUnique()
		}
	}
	calls := map[slowKey][]SlowCall{}
	for _, c := range waiting {
		key := slowKey{c.Service, slowDay(c.At)}
		calls[key] = append(calls[key], c)
	}
	ofDay := map[string][]redis.Z{}
	now := s.now()
	lists := make([]slowKey, 0, len(calls))
	for key := range calls {
		lists = append(lists, key)
	}
	for part := range slices.Chunk(lists, flushAtOnce) {
		pipe := s.db.Client().Pipeline()
		floors := make([]*redis.ZSliceCmd, len(part))
		for i, key := range part {
			list := calls[key]
			slices.SortFunc(list, func(a, b SlowCall) int { return cmp.Compare(b.Took, a.Took) })
			list = list[:min(len(list), slowPerService)]
			members := make([]redis.Z, len(list))
			for j := range list {
				members[j] = redis.Z{Score: float64(list[j].Took), Member: list[j].member()}
				ofDay[key.day] = append(ofDay[key.day], redis.Z{Score: float64(list[j].Took), Member: list[j].memberOfAll()})
			}
			set := s.keys.Service(key.service).Slow(key.day)
			keepSlowest(ctx, pipe, set, members, slowPerService, list[0].At)
			floors[i] = pipe.ZRevRangeWithScores(ctx, set, slowPerService-1, slowPerService-1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.slowLost(kvdb.WriteErr("write slow calls", err), waiting)
		}
		for i, key := range part {
			if floor := floors[i].Val(); len(floor) == 1 && key.day == slowDay(now) {
				s.rec.raiseFloor(key.service, minuteOf(now)/minutesPerDay, int64(floor[0].Score))
			}
		}
	}
	pipe := s.db.Client().Pipeline()
	for day, members := range ofDay {
		at, _ := time.Parse("20060102", day)
		keepSlowest(ctx, pipe, s.keys.Slow(day), members, slowPerDay, at)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return s.slowLost(kvdb.WriteErr("write slow calls", err), waiting)
	}
	return nil
}

// slowLost keeps the calls for the next time.
func (s *Store) slowLost(err error, calls []SlowCall) error {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	if len(s.rec.slow)+len(calls) <= maxSlowWaiting {
		s.rec.slow = append(s.rec.slow, calls...)
	}
	return err
}

// slowAtOnce are added before the set is cut again: it must not outgrow 128 members, up to which Redis keeps it in little memory.
const slowAtOnce = 128 - slowPerService

func keepSlowest(ctx context.Context, pipe redis.Pipeliner, set string, members []redis.Z, most int, at time.Time) {
	for part := range slices.Chunk(members, slowAtOnce) {
		pipe.ZAdd(ctx, set, part...)
		pipe.ZRemRangeByRank(ctx, set, 0, int64(-most-1))
	}
	pipe.ExpireAt(ctx, set, days.start(at).Add(slowKept+day))
}

// raiseFloor lets the cell of a service keep only what is slower.
func (r *recorder) raiseFloor(service string, day, floor int64) {
	c := r.cell(service)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service == service && c.day == day {
		c.floor = max(c.floor, floor)
	}
}

// Slow lists the slowest calls, slowest first; of those of the same time, the latest first. Errors are of reading.
func (s *Store) Slow(ctx context.Context, f SlowFilter, limit int) ([]SlowCall, error) {
	now := s.now()
	last := days.start(now.Add(MaxFuture))
	first := days.start(now.Add(-slowKept))
	if from := days.start(f.Range.From); !f.Range.From.IsZero() && from.After(first) {
		first = from
	}
	if !f.Range.To.IsZero() && f.Range.To.Before(now) {
		last = days.start(f.Range.To)
	}
	pipe := s.db.Client().Pipeline()
	thresholds := pipe.HGetAll(ctx, s.keys.Thresholds()) // at most MaxServices
	var sets []*redis.ZSliceCmd
	for d := first; !d.After(last); d = d.AddDate(0, 0, 1) {
		set := s.keys.Slow(slowDay(d))
		if f.Service != "" {
			set = s.keys.Service(f.Service).Slow(slowDay(d))
		}
		sets = append(sets, pipe.ZRevRangeByScoreWithScores(ctx, set, &redis.ZRangeBy{Min: strconv.FormatInt(int64(f.Min), 10), Max: "+inf"}))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the slow calls", err)
	}
	of := thresholdsOf(thresholds.Val(), s.settings().Threshold)
	var list []SlowCall
	for _, set := range sets {
		for _, z := range set.Val() {
			c, ok := parseSlow(f.Service, z)
			if !ok || f.Service == "" && !f.Internal && IsInternal(c.Service) {
				continue
			}
			if c.Threshold = of(c.Service); f.Over && !c.Over() || !f.holds(c.At, now) {
				continue
			}
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b SlowCall) int {
		return cmp.Or(cmp.Compare(b.Took, a.Took), b.At.Compare(a.At), strings.Compare(a.unique, b.unique))
	})
	return list[:min(len(list), limit)], nil
}

func (f *SlowFilter) holds(at, now time.Time) bool {
	return !at.Before(f.Range.From) && (f.Range.To.IsZero() || !f.Range.To.Before(now) || at.Before(f.Range.To))
}

// thresholdsOf tells the threshold of a service.
func thresholdsOf(set map[string]string, general time.Duration) func(service string) time.Duration {
	return func(service string) time.Duration {
		if ns, err := strconv.ParseInt(set[service], 10, 64); err == nil {
			return time.Duration(ns)
		}
		return general
	}
}
