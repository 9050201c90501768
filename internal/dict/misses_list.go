package dict

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// allMisses reads all misses, missesKept at most, the most frequent first.
func (s *Store) allMisses(ctx context.Context) ([]Miss, error) {
	pipe := s.db.Client().Pipeline()
	counts := pipe.ZRevRangeWithScores(ctx, s.keys.Misses(), 0, missesKept-1)
	lasts := pipe.ZRangeWithScores(ctx, s.keys.MissesLast(), 0, missesKept-1)
	// missesKept as well: what drops a miss takes it out of all three.
	firsts := pipe.HGetAll(ctx, s.keys.MissesFirst())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the misses", err)
	}
	last := make(map[string]int64, len(lasts.Val()))
	for _, z := range lasts.Val() {
		last[z.Member.(string)] = int64(z.Score)
	}
	inOrder := counts.Val()
	slices.SortFunc(inOrder, func(a, b redis.Z) int {
		if c := cmp.Compare(b.Score, a.Score); c != 0 {
			return c
		}
		return strings.Compare(a.Member.(string), b.Member.(string))
	})
	misses := make([]Miss, 0, len(inOrder))
	for _, z := range inOrder {
		text := z.Member.(string)
		q, ok := parseMiss(text)
		if !ok {
			continue
		}
		first, _ := strconv.ParseInt(firsts.Val()[text], 10, 64)
		misses = append(misses, Miss{Query: q, Count: int64(z.Score),
			FirstAt: time.UnixMilli(first).UTC(), LastAt: time.UnixMilli(last[text]).UTC()})
	}
	return misses, nil
}

// Misses lists the lookups that failed, the most frequent first; there are missesKept at most. The filter's
// System1, Key1, Value1, System2, Key2 and Q are looked at.
func (s *Store) Misses(ctx context.Context, f Filter, cursor string, limit int) (Page[Miss], error) {
	all, err := s.allMisses(ctx)
	if err != nil {
		return Page[Miss]{}, err
	}
	return s.missesPage(ctx, all, f, cursor, limit)
}

// MissesAndGroups is Misses and MissGroups in one: both need all misses.
func (s *Store) MissesAndGroups(ctx context.Context, f Filter, cursor string, limit int) (Page[Miss], []MissGroup, error) {
	all, err := s.allMisses(ctx)
	if err != nil {
		return Page[Miss]{}, nil, err
	}
	page, err := s.missesPage(ctx, all, f, cursor, limit)
	return page, groupsOf(all), err
}

func (s *Store) missesPage(ctx context.Context, all []Miss, f Filter, cursor string, limit int) (Page[Miss], error) {
	limit, err := pageLimit(limit)
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
	if err := s.countMet(ctx, page.Items); err != nil {
		return page, err
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

// Miss returns one miss. Of what is none (any more) the Count is 0, and Met may still be there.
func (s *Store) Miss(ctx context.Context, q Query) (Miss, error) {
	if err := q.Check(); err != nil {
		return Miss{}, err
	}
	text := missText(q)
	pipe := s.db.Client().Pipeline()
	count, last := pipe.ZScore(ctx, s.keys.Misses(), text), pipe.ZScore(ctx, s.keys.MissesLast(), text)
	first := pipe.HGet(ctx, s.keys.MissesFirst(), text)
	met := pipe.ZCard(ctx, s.keys.MissMet(missID(q)))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Miss{}, kvdb.ReadErr("read the miss", err)
	}
	m := Miss{Query: q, Count: int64(count.Val()), Met: met.Val()}
	if m.Count > 0 {
		ms, _ := strconv.ParseInt(first.Val(), 10, 64)
		m.FirstAt, m.LastAt = time.UnixMilli(ms).UTC(), time.UnixMilli(int64(last.Val())).UTC()
	}
	return m, nil
}

// MissGroups sums the misses by the pair of systems and keys, the most frequent first.
func (s *Store) MissGroups(ctx context.Context) ([]MissGroup, error) {
	all, err := s.allMisses(ctx)
	return groupsOf(all), err
}

func groupsOf(misses []Miss) []MissGroup {
	var groups []MissGroup
	at := map[Pair]int{}
	for _, m := range misses {
		pair := m.Pair()
		i, ok := at[pair]
		if !ok {
			i = len(groups)
			at[pair] = i
			groups = append(groups, MissGroup{Pair: pair})
		}
		g := &groups[i]
		g.Values++
		g.Count += m.Count
		if m.LastAt.After(g.LastAt) {
			g.LastAt = m.LastAt
		}
	}
	slices.SortStableFunc(groups, func(a, b MissGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups
}

// MissedValues counts the different lookups that failed.
func (s *Store) MissedValues(ctx context.Context) (int64, error) {
	n, err := s.db.Client().ZCard(ctx, s.keys.Misses()).Result()
	return n, kvdb.ReadErr("count the misses", err)
}
