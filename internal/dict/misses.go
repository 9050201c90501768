package dict

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Failed lookups are counted in memory and written every missFlush. Both places are bounded: when the memory
// is full, what was asked for least is given up; in Redis, what was not asked for longest.
const missFlush = time.Second

var (
	missesPending       = 4096
	missesKept    int64 = 10_000
)

type missCount struct {
	n           int64
	first, last int64 // Unix time in ms
}

// missCounter is what has not been written yet.
type missCounter struct {
	mu     sync.Mutex
	counts map[Query]*missCount
}

// add counts a miss. What can't be an entry is not worth adding one for, so that it isn't counted.
func (m *missCounter) add(q Query, at time.Time) {
	if CheckValue(q.Value1) != "" {
		return
	}
	ms := at.UnixMilli()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.counts[q]; c != nil {
		c.n++
		c.last = ms
		return
	}
	if m.counts == nil {
		m.counts = map[Query]*missCount{}
	}
	if len(m.counts) >= missesPending {
		for old, c := range m.counts { // any of those asked for once; a flood of them is noise
			if c.n == 1 {
				delete(m.counts, old)
				break
			}
		}
		if len(m.counts) >= missesPending {
			return
		}
	}
	m.counts[q] = &missCount{n: 1, first: ms, last: ms}
}

func (m *missCounter) take() map[Query]*missCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := m.counts
	m.counts = nil
	return counts
}

// giveBack returns counts that could not be written.
func (m *missCounter) giveBack(counts map[Query]*missCount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = counts
		return
	}
	for q, c := range counts {
		if have := m.counts[q]; have != nil {
			have.n += c.n
			have.first = c.first
		} else if len(m.counts) < missesPending {
			m.counts[q] = c
		}
	}
}

// missScript adds counts, and drops what was not seen longest. What has been answered since it was counted is
// no miss any more.
//
// KEYS: 1 counts, 2 last seen, 3 first seen, then the map of each query. ARGV: 1 how many to keep; then for
// each query: itself, count, first seen, last seen, its value1.
var missScript = kvdb.NewScript(`
for i = 2, #ARGV, 5 do
  if redis.call('HEXISTS', KEYS[4 + (i - 2) / 5], ARGV[i + 4]) == 0 then
    redis.call('ZINCRBY', KEYS[1], ARGV[i + 1], ARGV[i])
    redis.call('HSETNX', KEYS[3], ARGV[i], ARGV[i + 2])
    redis.call('ZADD', KEYS[2], 'GT', ARGV[i + 3], ARGV[i])
  end
end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[1])
while over > 0 do
  local old = redis.call('ZPOPMIN', KEYS[2], math.min(over, 500))
  local gone = {}
  for i = 1, #old, 2 do gone[#gone + 1] = old[i] end
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[3], unpack(gone))
  over = over - #gone
end
return 1`)

// dropMissScript forgets queries. KEYS as missScript. ARGV: the queries.
var dropMissScript = kvdb.NewScript(`
for _, q in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], q)
  redis.call('ZREM', KEYS[2], q)
  redis.call('HDEL', KEYS[3], q)
end
return 1`)

func (s *Store) missKeys() []string {
	return []string{s.keys.Misses(), s.keys.MissesLast(), s.keys.MissesFirst()}
}

// missText writes a query as it stands in Redis: the names don't hold a slash, the value may.
func missText(q Query) string {
	return strings.Join([]string{q.System1, q.Key1, q.System2, q.Key2, q.Value1}, "/")
}

func parseMiss(text string) (Query, bool) {
	f := strings.SplitN(text, "/", 5)
	if len(f) != 5 {
		return Query{}, false
	}
	return Query{System1: f[0], Key1: f[1], System2: f[2], Key2: f[3], Value1: f[4]}, true
}

// flushMisses writes what was counted.
func (s *Store) flushMisses(ctx context.Context) error {
	counts := s.misses.take()
	if len(counts) == 0 {
		return nil
	}
	keys, args := s.missKeys(), make([]any, 1, 1+5*len(counts))
	args[0] = missesKept
	for q, c := range counts {
		keys = append(keys, s.keys.Map(q.System1, q.Key1, q.System2, q.Key2))
		args = append(args, missText(q), c.n, c.first, c.last, q.Value1)
	}
	err := kvdb.WriteErr("count the misses", missScript.Run(ctx, s.db, keys, args...).Err())
	if err != nil && !errors.Is(err, kvdb.ErrUnknown) { // what may have been counted is not counted again
		s.misses.giveBack(counts)
	}
	return err
}

// answered forgets the misses that a change has answered.
func (s *Store) answered(c Change) {
	var queries []any
	for _, i := range c.Items {
		if after, before := i.TranslationAfter, i.TranslationBefore; after != nil && (before == nil || before.Query() != after.Query()) {
			queries = append(queries, missText(after.Query()))
		}
	}
	if queries == nil && !c.Large {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	if c.Large {
		err = s.sweepMisses(ctx)
	} else {
		err = dropMissScript.Run(ctx, s.db, s.missKeys(), queries...).Err()
	}
	if err != nil {
		s.logger.Warn("answered misses stay listed", "error", err)
	}
}

// sweepMisses forgets every miss that is none any more.
func (s *Store) sweepMisses(ctx context.Context) error {
	all, err := s.allMisses(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(all, 500) {
		pipe := s.db.Client().Pipeline()
		cmds := make([]*redis.BoolCmd, len(part))
		for i, m := range part {
			cmds[i] = pipe.HExists(ctx, s.keys.Map(m.System1, m.Key1, m.System2, m.Key2), m.Value1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		var gone []any
		for i, m := range part {
			if cmds[i].Val() {
				gone = append(gone, missText(m.Query))
			}
		}
		if len(gone) > 0 {
			if err := dropMissScript.Run(ctx, s.db, s.missKeys(), gone...).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// allMisses reads all misses, missesKept at most, the most frequent first.
func (s *Store) allMisses(ctx context.Context) ([]Miss, error) {
	pipe := s.db.Client().Pipeline()
	counts := pipe.ZRevRangeWithScores(ctx, s.keys.Misses(), 0, missesKept-1)
	lasts := pipe.ZRangeWithScores(ctx, s.keys.MissesLast(), 0, missesKept-1)
	firsts := pipe.HGetAll(ctx, s.keys.MissesFirst())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the misses", err)
	}
	last := make(map[string]int64, len(lasts.Val()))
	for _, z := range lasts.Val() {
		last[z.Member.(string)] = int64(z.Score)
	}
	misses := make([]Miss, 0, len(counts.Val()))
	for _, z := range counts.Val() {
		text := z.Member.(string)
		q, ok := parseMiss(text)
		if !ok {
			continue
		}
		first, _ := strconv.ParseInt(firsts.Val()[text], 10, 64)
		misses = append(misses, Miss{Query: q, Count: int64(z.Score),
			FirstAt: time.UnixMilli(first).UTC(), LastAt: time.UnixMilli(last[text]).UTC()})
	}
	slices.SortStableFunc(misses, func(a, b Miss) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(missText(a.Query), missText(b.Query)))
	})
	return misses, nil
}

// Misses lists the lookups that failed, the most frequent first; there are missesKept at most. The filter's
// System1, Key1, Value1, System2, Key2 and Q are looked at.
func (s *Store) Misses(ctx context.Context, f Filter, cursor string, limit int) (Page[Miss], error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page[Miss]{}, err
	}
	all, err := s.allMisses(ctx)
	if err != nil {
		return Page[Miss]{}, err
	}
	needle := newNeedle(f.Q)
	some := all[:0:0]
	for _, m := range all {
		if matches(f.System1, m.System1) && matches(f.Key1, m.Key1) && matches(f.Value1, m.Value1) &&
			matches(f.System2, m.System2) && matches(f.Key2, m.Key2) &&
			needle.in(m.System1, m.Key1, m.Value1, m.System2, m.Key2) {
			some = append(some, m)
		}
	}
	page := Page[Miss]{Total: int64(len(some)), All: int64(len(all))}
	start, err := missStart(some, cursor)
	if err != nil {
		return page, err
	}
	page.Items = some[start:min(start+limit, len(some))]
	if len(page.Items) > 0 {
		page.First = int64(start) + 1
	}
	if start+limit < len(some) {
		page.Next = missCursor(some[start+limit-1])
	}
	if start > 0 {
		if start > limit {
			page.Prev = missCursor(some[start-limit-1])
		} else {
			page.Prev = missCursor(Miss{Count: 1 << 52})
		}
	}
	return page, nil
}

// The cursor of the misses is the count and the query that the page starts behind; counts change, but the
// place in their order stays.
func missCursor(m Miss) string {
	return encodeCursor('m', cursorNext, []byte(fmt.Sprintf("%d %s", m.Count, missText(m.Query))))
}

func missStart(ms []Miss, cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	_, at, err := decodeCursor('m', cursor)
	if err != nil {
		return 0, err
	}
	count, text, _ := strings.Cut(string(at), " ")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return 0, errCursor
	}
	i := slices.IndexFunc(ms, func(m Miss) bool {
		return m.Count < n || m.Count == n && missText(m.Query) > text
	})
	if i < 0 {
		i = len(ms)
	}
	return i, nil
}

// MissGroups sums the misses by the pair of systems and keys, the most frequent first.
func (s *Store) MissGroups(ctx context.Context) ([]MissGroup, error) {
	all, err := s.allMisses(ctx)
	if err != nil {
		return nil, err
	}
	var groups []MissGroup
	at := map[Query]int{}
	for _, m := range all {
		pair := m.Query
		pair.Value1 = ""
		i, ok := at[pair]
		if !ok {
			i = len(groups)
			at[pair] = i
			groups = append(groups, MissGroup{System1: m.System1, Key1: m.Key1, System2: m.System2, Key2: m.Key2})
		}
		g := &groups[i]
		g.Values++
		g.Count += m.Count
		if m.LastAt.After(g.LastAt) {
			g.LastAt = m.LastAt
		}
	}
	slices.SortStableFunc(groups, func(a, b MissGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups, nil
}

// MissedValues counts the different lookups that failed.
func (s *Store) MissedValues(ctx context.Context) (int64, error) {
	n, err := s.db.Client().ZCard(ctx, s.keys.Misses()).Result()
	return n, kvdb.ReadErr("count the misses", err)
}

// DismissMiss forgets a miss; it comes back when it is asked for again.
func (s *Store) DismissMiss(ctx context.Context, q Query) error {
	return kvdb.WriteErr("dismiss the miss", dropMissScript.Run(ctx, s.db, s.missKeys(), missText(q)).Err())
}

// DismissMissGroup forgets all misses from one system and key to another.
func (s *Store) DismissMissGroup(ctx context.Context, pair Query) error {
	all, err := s.allMisses(ctx)
	if err != nil {
		return err
	}
	var queries []any
	for _, m := range all {
		if m.System1 == pair.System1 && m.Key1 == pair.Key1 && m.System2 == pair.System2 && m.Key2 == pair.Key2 {
			queries = append(queries, missText(m.Query))
		}
	}
	if len(queries) == 0 {
		return nil
	}
	return kvdb.WriteErr("dismiss the misses", dropMissScript.Run(ctx, s.db, s.missKeys(), queries...).Err())
}
