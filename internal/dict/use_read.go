package dict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Use says how often programs looked the translations of a pair up, and found one. Who reads Redis directly is not seen.
type Use struct {
	Pair
	Translations int64
	Days         []int64 // lookups of each day (UTC), UseDays of them, today last
	Total        int64   // lookups since they are counted
	LastAt       time.Time
	Since        time.Time // when counting began; zero = it has not
}

// Hits is how many lookups there were in the last so many days, today among them.
func (u Use) Hits(days int) (n int64) {
	for _, hits := range u.Days[max(len(u.Days)-days, 0):] {
		n += hits
	}
	return n
}

// usePart is how many pairs are read in one pipeline.
const usePart = 500

// Usage lists the use of the pairs that the filter's systems and keys match, in their order. InvalidError for a wrong cursor or limit.
func (s *Store) Usage(ctx context.Context, f Filter, cursor string, limit int) (page Page[Use], err error) {
	if limit, err = pageLimit(limit); err != nil {
		return page, err
	}
	uses, all, err := s.pairsOf(ctx, f)
	if err != nil {
		return page, err
	}
	page.Total, page.All = int64(len(uses)), all
	start := 0
	if cursor != "" {
		_, at, err := decodeCursor('p', cursor)
		if err != nil {
			return page, err
		}
		var found bool
		if start, found = slices.BinarySearchFunc(uses, pairOf(string(at)), func(u Use, p Pair) int { return u.compare(p) }); found {
			start++
		}
	}
	page.Items = uses[start:min(start+limit, len(uses))]
	if end := start + limit; end < len(uses) {
		page.Next = encodeCursor('p', cursorNext, []byte(uses[end-1].name()))
	}
	return page, s.readUses(ctx, page.Items)
}

// AllUsage is Usage without pages: a pipeline of reads for each usePart pairs.
func (s *Store) AllUsage(ctx context.Context, f Filter) ([]Use, error) {
	uses, _, err := s.pairsOf(ctx, f)
	if err != nil {
		return nil, err
	}
	return uses, s.readUses(ctx, uses)
}

// pairsOf returns the pairs that match, in order, and how many there are altogether.
func (s *Store) pairsOf(ctx context.Context, f Filter) (uses []Use, all int64, err error) {
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, 0, err
	}
	pairs, _ := sn.matchingPairs(f)
	for _, p := range pairs {
		uses = append(uses, Use{Pair: p, Translations: sn.pairs[p.name()]})
	}
	slices.SortFunc(uses, func(a, b Use) int { return a.compare(b.Pair) })
	return uses, int64(len(sn.pairs)), nil
}

// readUses fills in what was counted.
func (s *Store) readUses(ctx context.Context, uses []Use) error {
	s.showUses(ctx)
	since, err := s.UsesSince(ctx)
	if err != nil {
		return err
	}
	today := dayOf(s.now())
	for part := range slices.Chunk(uses, usePart) {
		pipe := s.db.Client().Pipeline()
		cmds := make([]*redis.MapStringStringCmd, len(part))
		for i, u := range part {
			// UseDays fields and two: a new day takes the oldest out.
			cmds[i] = pipe.HGetAll(ctx, s.keys.Use(u.name()))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return kvdb.ReadErr("read the uses", err)
		}
		for i := range part {
			u := &part[i]
			u.Since, u.Days = since, make([]int64, UseDays)
			for field, text := range cmds[i].Val() {
				n, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return fmt.Errorf("read the uses of %s: %w", u.name(), err)
				}
				switch field {
				case "total":
					u.Total = n
				case "last":
					u.LastAt = time.UnixMilli(n).UTC()
				default:
					day, err := strconv.ParseInt(field, 10, 64)
					if at := UseDays - 1 - (today - day); err == nil && at >= 0 && at < UseDays {
						u.Days[at] = n
					}
				}
			}
		}
	}
	return nil
}

// UsesSince says when lookups began to be counted; zero = they have not.
func (s *Store) UsesSince(ctx context.Context) (time.Time, error) {
	text, err := s.db.Client().Get(ctx, s.keys.UseSince()).Result()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, kvdb.ReadErr("read the uses", err)
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms).UTC(), err
}

// UnusedMonths is how far back Filter.Unused may lie: this month and so many before it.
const UnusedMonths = 12

// What one call reads of the bits at most.
var (
	unusedPairs       = 1000
	unusedBytes int64 = 64 << 20
)

// usedBits are the bits of some pairs since a month.
type usedBits map[Pair][]bitSet

// has says whether a translation was looked up; a no is sure.
func (u usedBits) has(t Translation) bool {
	sets := u[t.Query().Pair()]
	if len(sets) == 0 {
		return false
	}
	at := markOf(0, t.Value1).places
	return slices.ContainsFunc(sets, func(b bitSet) bool { return b.has(at) })
}

// usedSince reads which values of the pairs were looked up since the beginning of the month of a time. InvalidError where that is
// too far back, in the future, or too much to read.
func (s *Store) usedSince(ctx context.Context, since time.Time, pairs []Pair) (usedBits, error) {
	now, from := monthOf(s.now()), monthOf(since)
	switch {
	case from > now:
		return nil, kvdb.Invalid("unused_since", "lies in the future")
	case from < now-UnusedMonths:
		return nil, kvdb.Invalid("unused_since", "is before %s; which values were looked up is kept for %d months",
			(now - UnusedMonths).start().Format(time.DateOnly), UnusedMonths)
	case len(pairs) > unusedPairs:
		return nil, kvdb.Invalid("unused_since", "would have to look at %d pairs of systems and keys; name some, so that there are %d at most",
			len(pairs), unusedPairs)
	}
	s.showUses(ctx)
	var keys []string
	var of []Pair
	for _, p := range pairs {
		for m := from; m <= now; m++ {
			keys = append(keys, s.keys.UseBits(m.String(), p.name()))
			of = append(of, p)
		}
	}
	lengths, err := pipelined(ctx, s, keys, func(pipe redis.Pipeliner, key string) *redis.IntCmd { return pipe.StrLen(ctx, key) })
	if err != nil {
		return nil, err
	}
	total, some, whose := int64(0), keys[:0], of[:0]
	for i, n := range lengths {
		if total += n; n > 0 {
			some, whose = append(some, keys[i]), append(whose, of[i])
		}
	}
	if total > unusedBytes {
		return nil, kvdb.Invalid("unused_since", "would have to read %d MiB; name systems and keys, or a later month", total>>20)
	}
	sets, err := pipelined(ctx, s, some, func(pipe redis.Pipeliner, key string) *redis.StringCmd { return pipe.Get(ctx, key) })
	if err != nil {
		return nil, err
	}
	used := usedBits{}
	for i, set := range sets {
		used[whose[i]] = append(used[whose[i]], bitSet(set))
	}
	return used, nil
}

// pipelined asks the same of many keys. What is not there is the zero value.
func pipelined[T any, C interface{ Result() (T, error) }](ctx context.Context, s *Store, keys []string,
	ask func(redis.Pipeliner, string) C) ([]T, error) {
	out := make([]T, 0, len(keys))
	for part := range slices.Chunk(keys, usePart) {
		pipe := s.db.Client().Pipeline()
		cmds := make([]C, len(part))
		for i, key := range part {
			cmds[i] = ask(pipe, key)
		}
		_, _ = pipe.Exec(ctx) // each has its error
		for _, cmd := range cmds {
			v, err := cmd.Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return nil, kvdb.ReadErr("read the uses", err)
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// unusedMost is how many translations Unused looks at.
var unusedMost int64 = 100_000

// Unused counts the translations of a pair that no program has looked up since the beginning of a month, as Filter.Unused finds them.
// -1 = there are too many to count while somebody waits.
func (s *Store) Unused(ctx context.Context, p Pair, since time.Time) (n int64, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		n = 0
		l := sourceListing(sn)
		l.spans = []span{prefixSpan(key(p.System1, p.Key1))}
		if l.most() > unusedMost {
			n = -1
			return nil
		}
		used, err := s.usedSince(ctx, since, []Pair{p})
		if err != nil {
			return err
		}
		for r, err := range s.scan(ctx, l.run, l.spans, false) {
			if err != nil {
				return err
			}
			t, err := parseSource(r)
			if err != nil {
				return err
			}
			if t.Query().Pair() == p && !used.has(t) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// LookedUp says for each translation in which month it was looked up last, by its first day; zero = surely not since Since of its Use,
// nor in UnusedMonths. Of a few that were not looked up it names a month all the same.
func (s *Store) LookedUp(ctx context.Context, ts []Translation) ([]time.Time, error) {
	months := make([]time.Time, len(ts))
	var pairs []Pair
	for _, t := range ts {
		if p := t.Query().Pair(); !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	s.showUses(ctx)
	now := monthOf(s.now())
	var keys []string
	for _, p := range pairs {
		for m := now; m >= now-UnusedMonths; m-- {
			keys = append(keys, s.keys.UseBits(m.String(), p.name()))
		}
	}
	lengths, err := pipelined(ctx, s, keys, func(pipe redis.Pipeliner, key string) *redis.IntCmd { return pipe.StrLen(ctx, key) })
	if err != nil {
		return nil, err
	}
	type question struct {
		t     int
		month month
		bits  [2]*redis.IntCmd
	}
	var questions []question
	pipe := s.db.Client().Pipeline()
	for i, t := range ts {
		at := slices.Index(pairs, t.Query().Pair()) * (UnusedMonths + 1)
		for n := range month(UnusedMonths + 1) {
			if size := 8 * lengths[at+int(n)]; size > 0 {
				x, y := markOf(0, t.Value1).places.in(size)
				key := keys[at+int(n)]
				questions = append(questions, question{i, now - n, [2]*redis.IntCmd{pipe.GetBit(ctx, key, x), pipe.GetBit(ctx, key, y)}})
			}
		}
	}
	if len(questions) == 0 {
		return months, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the uses", err)
	}
	for _, q := range questions {
		if q.bits[0].Val() == 1 && q.bits[1].Val() == 1 && months[q.t].IsZero() {
			months[q.t] = q.month.start()
		}
	}
	return months, nil
}

// usesOfEntry is how many translations of an entry EntryLookedUp looks at.
const usesOfEntry = 200

// EntryLookedUp says in which month a translation of the entry was looked up last, whether it maps from it or to it, as LookedUp does.
// known is false when there are too many translations to say.
func (s *Store) EntryLookedUp(ctx context.Context, e Entry) (at time.Time, known bool, err error) {
	var ts []Translation
	err = s.retryGone(ctx, func(sn *snapshot) error {
		ts = nil
		sp, n := prefixSpan(e.entryKey()), int64(0)
		for _, run := range []int{runSource, runTarget} {
			some, err := s.count(ctx, sn.runs[run], sp)
			if err != nil {
				return err
			}
			n += some
		}
		if known = n <= usesOfEntry; !known {
			return nil
		}
		return s.eachUse(ctx, sn, e, func(t Translation) { ts = append(ts, t) })
	})
	if err != nil || !known {
		return at, known, err
	}
	months, err := s.LookedUp(ctx, ts)
	for _, m := range months {
		if m.After(at) {
			at = m
		}
	}
	return at, true, err
}
