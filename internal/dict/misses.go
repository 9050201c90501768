package dict

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Failed lookups are counted in memory and written every missFlush. Both places are bounded: when the memory
// is full, what was asked for least is given up; in Redis, what was not asked for longest. What is written at a
// time has a number, so that it counts once however often it is sent.
const (
	missFlush   = time.Second
	missMarked  = time.Hour // that Redis remembers the number
	missesABit  = 1000      // that one script writes
	missesAPart = 500       // that are looked at in one round trip
)

var (
	missesPending       = 4096
	missesKept    int64 = 10_000
)

type missCount struct {
	n           int64
	first, last int64 // Unix time in ms
	met         meetings
}

// missCounter is what has not been written yet.
type missCounter struct {
	*kvdb.Behind[*missBatch]

	mu     sync.Mutex
	counts map[Query]*missCount
	met    int // meetings in counts
}

func newMissCounter() *missCounter {
	return &missCounter{Behind: kvdb.NewBehind[*missBatch]("count the misses")}
}

// add counts a miss that the invocation cid met; "" = nobody says which. What can't be an entry is not worth adding one
// for, so that it isn't counted.
func (m *missCounter) add(q Query, at time.Time, cid string) {
	if CheckValue(q.Value1) != "" {
		return
	}
	ms := at.UnixMilli()
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counts[q]
	if c == nil {
		if !m.makeRoom() {
			return
		}
		c = &missCount{first: ms}
		m.counts[q] = c
	}
	c.n++
	c.last = ms
	if cid != "" && c.met.add(cid, ms, m.met < metPending) {
		m.met++
	}
}

// makeRoom says whether there is room for one more query.
func (m *missCounter) makeRoom() bool {
	if m.counts == nil {
		m.counts = map[Query]*missCount{}
	}
	if len(m.counts) < missesPending {
		return true
	}
	for old, c := range m.counts { // any of those asked for once; a flood of them is noise
		if c.n == 1 {
			m.met -= c.met.len()
			delete(m.counts, old)
			return true
		}
	}
	return false
}

func (m *missCounter) take() map[Query]*missCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := m.counts
	m.counts, m.met = nil, 0
	return counts
}

// missBatch is what one script writes.
type missBatch struct {
	maps []string // of the queries, in the order of args
	args []any
	met  int
}

// takeMisses cuts what was counted into parts that a script can write.
func (s *Store) takeMisses() (list []*missBatch, err error) {
	var b *missBatch
	for q, c := range s.misses.take() {
		if b == nil || len(b.maps) >= missesABit || b.met >= metABit {
			b = &missBatch{}
			list = append(list, b)
		}
		b.maps = append(b.maps, s.keys.Map(q.System1, q.Key1, q.System2, q.Key2))
		b.args = append(b.args, missText(q), c.n, c.first, c.last, q.Value1, c.met.len())
		b.args = c.met.appendTo(b.args)
		b.met += c.met.len()
	}
	return list, nil
}

// missScript writes a batch, unless it was written before, and drops what was not seen longest. What has been
// answered since it was counted is no miss any more; who met it is remembered all the same, for as long as of any that is answered.
//
// KEYS: 1–3 and 4–6 as in missKeys, 7 number of the last batch of this process, then the map of each query. ARGV: 1 base of
// the keys of meetings, 2 number of this batch, 3 seconds to remember it, 4 how many misses to keep, 5 and 6 how many
// meetings, of one miss and of all, 7 when those of an answered one end; then for each query: itself, count, first seen, last
// seen, its value1, how many meetings, and of these time and CID. Times are Unix ms.
var missScript = kvdb.NewScript(metFunctions + `
if tonumber(redis.call('GET', KEYS[7]) or 0) >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[7], ARGV[2], 'EX', ARGV[3])
local i, map, grown = 8, 8, 0
while i <= #ARGV do
  local q, met = ARGV[i], tonumber(ARGV[i + 5])
  local answered = redis.call('HEXISTS', KEYS[map], ARGV[i + 4]) == 1
  if not answered then
    redis.call('ZINCRBY', KEYS[1], ARGV[i + 1], q)
    redis.call('HSETNX', KEYS[3], q, ARGV[i + 2])
    redis.call('ZADD', KEYS[2], 'GT', ARGV[i + 3], q)
  end
  if met > 0 then
    local id = redis.sha1hex(q)
    local key = base .. id
    grown = grown - redis.call('ZCARD', key)
    for j = i + 6, i + 5 + 2 * met, 2 do redis.call('ZADD', key, 'GT', ARGV[j], ARGV[j + 1]) end
    redis.call('ZREMRANGEBYRANK', key, 0, -tonumber(ARGV[5]) - 1)
    grown = grown + redis.call('ZCARD', key)
    redis.call('ZADD', KEYS[4], 'GT', ARGV[i + 3], id)
    if answered then redis.call('ZADD', KEYS[5], ARGV[7], id) else redis.call('ZREM', KEYS[5], id) end
  end
  i, map = i + 6 + 2 * met, map + 1
end
if grown ~= 0 then redis.call('INCRBY', KEYS[6], grown) end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
while over > 0 do
  local old = redis.call('ZPOPMIN', KEYS[2], math.min(over, 500))
  local gone, ids = {}, {}
  for n = 1, #old, 2 do
    gone[#gone + 1] = old[n]
    ids[#ids + 1] = redis.sha1hex(old[n])
  end
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[3], unpack(gone))
  forget(ids)
  over = over - #gone
end
while tonumber(redis.call('GET', KEYS[6]) or 0) > tonumber(ARGV[6]) do
  local longest = redis.call('ZRANGE', KEYS[4], 0, 0)
  if #longest == 0 then redis.call('DEL', KEYS[6]) else forget(longest) end
end
return 1`)

// dropMissScript forgets queries. KEYS as missKeys. ARGV: 1 base of the keys of meetings, 2 when their meetings end, in Unix ms
// ("" = at once); then the queries.
var dropMissScript = kvdb.NewScript(metFunctions + `
local ids = {}
for i = 3, #ARGV do
  local id = redis.sha1hex(ARGV[i])
  if ARGV[2] == '' then
    ids[#ids + 1] = id
  elseif redis.call('EXISTS', base .. id) == 1 then
    redis.call('ZADD', KEYS[5], ARGV[2], id)
  end
end
forget(ids)
for i = 3, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
return 1`)

// missKeys are those of the misses, and those of the meetings but for what each miss has of its own.
func (s *Store) missKeys() []string {
	return []string{s.keys.Misses(), s.keys.MissesLast(), s.keys.MissesFirst(), s.keys.MetLast(), s.keys.MetEnds(), s.keys.MetTotal()}
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
	return s.misses.Flush(ctx, s.takeMisses, s.writeMissBatch)
}

func (s *Store) writeMissBatch(ctx context.Context, number int64, b *missBatch) error {
	keys := append(append(s.missKeys(), s.keys.MissBatch(s.misses.Process)), b.maps...)
	args := append([]any{s.keys.MissMet(""), number, int(missMarked.Seconds()), missesKept, metOfMiss, metKept, s.metEnd()}, b.args...)
	return missScript.Run(ctx, s.db, keys, args...).Err()
}

// drop forgets misses. Those who met answered ones are remembered for a while.
func (s *Store) drop(ctx context.Context, answered bool, queries []any) error {
	args := []any{s.keys.MissMet(""), ""}
	if answered {
		args[1] = s.metEnd()
	}
	return dropMissScript.Run(ctx, s.db, s.missKeys(), append(args, queries...)...).Err()
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
		err = s.drop(ctx, true, queries)
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
	for part := range slices.Chunk(all, missesAPart) {
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
			if err := s.drop(ctx, true, gone); err != nil {
				return err
			}
		}
	}
	return nil
}

// DismissMiss forgets a miss and who met it; it comes back when it is asked for again.
func (s *Store) DismissMiss(ctx context.Context, q Query) error {
	return kvdb.WriteErr("dismiss the miss", s.drop(ctx, false, []any{missText(q)}))
}

// DismissMissGroup forgets all misses from one system and key to another.
func (s *Store) DismissMissGroup(ctx context.Context, pair Pair) error {
	all, err := s.allMisses(ctx)
	if err != nil {
		return err
	}
	var queries []any
	for _, m := range all {
		if m.Pair() == pair {
			queries = append(queries, missText(m.Query))
		}
	}
	if len(queries) == 0 {
		return nil
	}
	return kvdb.WriteErr("dismiss the misses", s.drop(ctx, false, queries))
}
