package dict

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"webadmin/internal/kvdb"
)

const (
	useBatchMarks = 500                  // values that a script writes: about a millisecond
	useBatchPairs = 500                  // pairs that a script writes
	useBatchKept  = 24 * time.Hour       // that Redis remembers the number of a batch
	useKept       = 430 * 24 * time.Hour // bits of a month, and the counts of a pair that nobody asks for
	UseDays       = 90                   // days of which the lookups are kept apart
)

// useBatch is what one script writes.
type useBatch struct {
	keys         []string
	args         []any       // but for its number
	sent         []sentMarks // for each number of the reply
	pairs, marks int
}

// sentMarks are the values of a pair and month in a batch.
type sentMarks struct {
	pair  *pairUse
	month month
	marks []places
}

// useScript writes a batch. The counts in it count once; bits can be set again.
//
// KEYS: 1 number of the last batch of this process, 2 since when uses are counted, 3 translations of each pair, then the counts of a
// pair, or its bits of a month, as the arguments say. ARGV: 1 number of this batch, 2 seconds to remember it, 3 now, 4 seconds
// to keep counts and bits, 5 the oldest day that is kept, 6 the mark of everything; then for each key either 'hits', index of the key,
// last use, number of days, and for each the day and its hits, or 'bits', index of the key, pair, number of marks, marks.
// Returns the size of each set of bits, below zero when it was not there before. A pair has
// UseDays fields and three at most, when their names are read: a new day takes the oldest out.
var useScript = kvdb.NewScript(fmt.Sprintf(`
local first = tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1])
if first then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
redis.call('SET', KEYS[2], ARGV[3], 'NX')

local function hits(key, last, from, to)
  local newday, total = false, 0
  for i = from, to, 2 do
    local n = tonumber(ARGV[i + 1])
    total = total + n
    if redis.call('HINCRBY', key, ARGV[i], n) == n then newday = true end
  end
  redis.call('HINCRBY', key, 'total', total)
  if tonumber(last) > tonumber(redis.call('HGET', key, 'last') or 0) then redis.call('HSET', key, 'last', last) end
  redis.call('EXPIRE', key, ARGV[4])
  if not newday then return end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local day = tonumber(field)
    if day and day < tonumber(ARGV[5]) then redis.call('HDEL', key, field) end
  end
end

local function bits(key, pair, from, to)
  local want, translations = %d, tonumber(redis.call('HGET', KEYS[3], pair) or 0)
  while want < %d * translations and want < %d do want = want * 2 end
  local size, made = redis.call('STRLEN', key) * 8, false
  if size == 0 then
    size, made = want, true
    redis.call('SETBIT', key, size - 1, 0)
    redis.call('EXPIRE', key, ARGV[4])
  elseif size * %d <= want then
    redis.call('SET', key, string.rep(redis.call('GET', key), want / size), 'KEEPTTL')
    size = want
  end
  for i = from, to do
    if ARGV[i] == ARGV[6] then
      redis.call('SET', key, string.rep('\255', size / 8), 'KEEPTTL')
    else
      local mark = tonumber(ARGV[i])
      local y = mark %% %[3]d
      redis.call('SETBIT', key, (mark - y) / %[3]d %% size, 1)
      redis.call('SETBIT', key, y %% size, 1)
    end
  end
  return made and -size or size
end

local sizes, i = {}, 7
while i <= #ARGV do
  local key, about, n = KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], tonumber(ARGV[i + 3])
  local from = i + 4
  if ARGV[i] == 'hits' then
    i = from + 2 * n
    if first then hits(key, about, from, i - 1) end
  else
    i = from + n
    sizes[#sizes + 1] = bits(key, about, from, i - 1)
  end
end
return sizes`, minBits, bitsForEach, maxBits, growFrom))

// flushUses writes what was counted. What can't be written waits.
func (s *Store) flushUses(ctx context.Context) error {
	err := s.uses.Flush(ctx, s.takeUses, s.writeUseBatch)
	s.uses.forget(s.now().Add(-useIdle))
	return err
}

// takeUses takes what was counted and cuts it into parts that a script writes in a moment.
func (s *Store) takeUses() (list []*useBatch, err error) {
	u := s.uses
	u.mu.RLock()
	pairs := slices.Collect(maps.Values(u.pairs)) // lookups of new pairs don't wait for what follows
	u.mu.RUnlock()
	var b *useBatch
	room := func() {
		if b == nil || b.pairs >= useBatchPairs || b.marks >= useBatchMarks {
			b = s.newUseBatch()
			list = append(list, b)
		}
	}
	for _, p := range pairs {
		hits, last, fresh := p.take()
		u.fresh.Add(-int64(len(fresh)))
		if len(hits) > 0 {
			room()
			b.addHits(s.keys.Use(p.name), last, hits)
		}
		byMonth := map[month][]places{}
		for m := range fresh {
			byMonth[m.month] = append(byMonth[m.month], m.places)
		}
		for m, marks := range byMonth {
			for len(marks) > 0 {
				room()
				n := min(len(marks), useBatchMarks-b.marks)
				b.addMarks(s.keys.UseBits(m.String(), p.name), sentMarks{p, m, marks[:n]})
				marks = marks[n:]
			}
		}
	}
	return list, nil
}

// take takes what was counted.
func (p *pairUse) take() (hits map[int64]int64, last int64, fresh map[mark]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last = p.last
	if len(p.hits) > 0 {
		hits, p.hits = p.hits, make(map[int64]int64, 1)
	}
	if len(p.fresh) > 0 {
		fresh, p.fresh = p.fresh, map[mark]struct{}{}
	}
	return hits, last, fresh
}

func (s *Store) newUseBatch() *useBatch {
	now := s.now()
	return &useBatch{
		keys: []string{s.keys.UseBatch(s.uses.Process), s.keys.UseSince(), s.keys.Pairs()},
		args: []any{int(useBatchKept.Seconds()), now.UnixMilli(), int(useKept.Seconds()), dayOf(now) - UseDays + 1, uint64(everything)},
	}
}

func (b *useBatch) addHits(key string, last int64, hits map[int64]int64) {
	b.keys = append(b.keys, key)
	b.args = append(b.args, "hits", len(b.keys), last, len(hits))
	for day, n := range hits {
		b.args = append(b.args, day, n)
	}
	b.pairs++
}

func (b *useBatch) addMarks(key string, x sentMarks) {
	b.keys = append(b.keys, key)
	b.args = append(b.args, "bits", len(b.keys), x.pair.name, len(x.marks))
	for _, m := range x.marks {
		b.args = append(b.args, uint64(m))
	}
	b.sent = append(b.sent, x)
	b.pairs, b.marks = b.pairs+1, b.marks+len(x.marks)
}

// writeUseBatch writes a batch, and notes what Redis has then.
func (s *Store) writeUseBatch(ctx context.Context, number int64, b *useBatch) error {
	sizes, err := useScript.Run(ctx, s.db, b.keys, append([]any{number}, b.args...)...).Int64Slice()
	if err != nil {
		return err
	}
	if len(sizes) != len(b.sent) {
		return fmt.Errorf("%d sizes for %d sets", len(sizes), len(b.sent))
	}
	for i, x := range b.sent {
		x.known(sizes[i])
	}
	return nil
}

// known notes that Redis has the marks, in a set of a size: they need not be sent again. Of a set that has grown, or is a new one, the
// process knows nothing but these.
func (x sentMarks) known(size int64) {
	p := x.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.month < p.month {
		return
	}
	if x.month > p.month || p.sent.bits() != size {
		p.month, p.sent = x.month, newBitSet(max(size, -size))
	}
	for _, m := range x.marks {
		p.sent.add(m)
	}
}

// beginUses says since when uses are counted, if Redis doesn't know.
func (s *Store) beginUses(ctx context.Context) error {
	return kvdb.WriteErr("count the uses", s.db.Client().SetNX(ctx, s.keys.UseSince(), s.now().UnixMilli(), 0).Err())
}

// writeUses writes what was counted every useFlush, and earlier when much waits, until ctx ends.
func (s *Store) writeUses(ctx context.Context) {
	tick := time.NewTicker(useFlush)
	defer tick.Stop()
	begun, quiet := false, false
	for {
		var err error
		if !begun {
			err = s.beginUses(ctx)
			begun = err == nil
		}
		if err == nil {
			err = s.flushUses(ctx)
		}
		if err != nil && !quiet && ctx.Err() == nil {
			s.logger.Warn("uses of dictionaries are not being written; they wait", "error", err)
		}
		full := s.uses.full
		if quiet = err != nil; quiet {
			full = nil // trying again at once would not help
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-full:
		}
	}
}

// showUses writes what was counted here before somebody reads it, if that is quick.
func (s *Store) showUses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.flushUses(ctx); err != nil {
		s.logger.Debug("what was looked up last is not counted yet", "error", err)
	}
}
