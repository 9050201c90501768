package broker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	maxLimit     = 1000
	mostSearched = 2000     // invocations that one call of a searching list looks at
	mostRead     = 16 << 20 // bytes that it reads, about
	searchCut    = 64 << 10 // bytes of a payload or result that are searched
	atATime      = 100
)

// set is a sorted set of CIDs; unit is what its scores count, in µs.
type set struct {
	key  string
	unit int64
}

// setOf is the set of a state.
func setOf(k kvdb.ServiceKeys, state State) set {
	if state == Queued || state.Ended() {
		return set{k.State(string(state)), 1}
	}
	return set{k.State(string(state)), 1000}
}

// place is where a list goes on: with what is in the order of lists after it.
type place struct {
	service string
	at      int64 // µs
	cid     string
}

func (p place) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.service + " " + strconv.FormatInt(p.at, 10) + " " + p.cid))
}

func parsePlace(cursor string) (place, error) {
	wrong := kvdb.Invalid("cursor", "is not a cursor of this list; leave it out to start from the beginning")
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	parts := strings.Split(string(b), " ")
	if err != nil || len(parts) != 3 {
		return place{}, wrong
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return place{}, wrong
	}
	return place{parts[0], at, parts[2]}, nil
}

// listing is a list of invocations: service by service in the order of names, in each of them the newest first.
type listing struct {
	service string // "" = all
	sets    func(k kvdb.ServiceKeys) []set
	before  int64                    // µs; 0 = any
	keep    func(i *Invocation) bool // nil = all
}

// Invocations lists those that the filter chooses: service by service in the order of names, and in each those first whose time is latest: when
// they are due, began to wait, or ended. A search looks at some thousands in one call, so that a page may hold few and have a Next.
func (s *Store) Invocations(ctx context.Context, f Filter, cursor string, limit int) (Page[Invocation], error) {
	states := States
	if f.State != "" {
		if !slices.Contains(States, f.State) {
			return Page[Invocation]{}, kvdb.Invalid("state", "is none of queued, delayed, running, retrying, done, dead, expired, cancelled")
		}
		states = []State{f.State}
	}
	l := listing{service: f.Service, sets: func(k kvdb.ServiceKeys) (sets []set) {
		for _, state := range states {
			sets = append(sets, setOf(k, state))
		}
		return sets
	}}
	if f.Q != "" {
		q := bytes.ToLower([]byte(f.Q))
		l.keep = func(i *Invocation) bool {
			return strings.Contains(i.CID, string(q)) || bytes.Contains(bytes.ToLower(i.Payload), q) ||
				bytes.Contains(bytes.ToLower(i.Result), q) || strings.Contains(strings.ToLower(i.Error), string(q))
		}
	}
	page, err := s.list(ctx, l, cursor, limit)
	return page, kvdb.ReadErr("broker: list invocations", err)
}

func (s *Store) list(ctx context.Context, l listing, cursor string, limit int) (page Page[Invocation], err error) {
	if limit < 1 || limit > maxLimit {
		return page, kvdb.Invalid("limit", "must be from 1 to %d", maxLimit)
	}
	var from place
	if cursor != "" {
		if from, err = parsePlace(cursor); err != nil {
			return page, err
		}
	}
	services, err := s.listed(ctx, l, from.service)
	if err != nil {
		return page, err
	}
	searched, bytes := 0, 0
	for n, service := range services {
		at := from
		if service != from.service {
			at = place{service: service, at: l.before}
		}
		for {
			want := limit - len(page.Items)
			if l.keep != nil {
				want = atATime
			}
			refs, more, err := s.newest(ctx, l.sets(s.keys.Service(service)), at, want)
			if err != nil {
				return page, err
			}
			last, err := s.take(ctx, l, refs, limit, &page, &bytes)
			if err != nil {
				return page, err
			}
			searched += len(refs)
			if last >= 0 {
				at = place{service, refs[last].at, refs[last].cid}
			}
			more = more || last < len(refs)-1
			full := len(page.Items) == limit || l.keep != nil && (searched >= mostSearched || bytes >= mostRead)
			if full && (more || n < len(services)-1) {
				page.Next = at.cursor()
			}
			if full {
				return page, nil
			}
			if !more {
				break
			}
		}
	}
	return page, nil
}

// take reads invocations and adds those that the listing keeps, until the page is full. last is the index of the last one that it is done
// with.
func (s *Store) take(ctx context.Context, l listing, refs []ref, limit int, page *Page[Invocation], bytes *int) (last int, err error) {
	cut := int64(cutInLists)
	if l.keep != nil {
		cut = searchCut
	}
	all, at, err := s.read(ctx, refs, cut)
	if err != nil {
		return -1, err
	}
	for n, i := range all {
		*bytes += len(i.Payload) + len(i.Result)
		if l.keep != nil && !l.keep(&i) {
			continue
		}
		i.shorten()
		if page.Items = append(page.Items, i); len(page.Items) == limit {
			return at[n], nil
		}
	}
	return len(refs) - 1, nil
}

// listed returns the services of a listing that have something in its sets, from one on.
func (s *Store) listed(ctx context.Context, l listing, from string) ([]string, error) {
	if l.service != "" {
		if from != "" && from != l.service {
			return nil, kvdb.Invalid("cursor", "is one of another service")
		}
		return []string{l.service}, CheckName("service", l.service)
	}
	names, err := s.serviceNames(ctx)
	if err != nil {
		return nil, err
	}
	start, _ := slices.BinarySearch(names, from)
	return s.having(ctx, names[start:], func(k kvdb.ServiceKeys) (keys []string) {
		for _, set := range l.sets(k) {
			keys = append(keys, set.key)
		}
		return keys
	})
}

// having returns the services of which any of the keys is there. With an error, it returns those that could be looked at.
func (s *Store) having(ctx context.Context, services []string, keys func(k kvdb.ServiceKeys) []string) (those []string, err error) {
	for some := range slices.Chunk(services, 1000) {
		cmds, failed := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, service := range some {
				p.Exists(ctx, keys(s.keys.Service(service))...)
			}
			return nil
		})
		if failed != nil {
			err = kvdb.ReadErr("broker: look at the services", failed)
		}
		for n, cmd := range cmds {
			if cmd.(*redis.IntCmd).Val() > 0 {
				those = append(those, some[n])
			}
		}
	}
	return those, err
}

// newest returns at most n of the sets of one service that come after a place, the latest first, and whether there are more.
func (s *Store) newest(ctx context.Context, sets []set, after place, n int) (refs []ref, more bool, err error) {
	offsets := make([]int64, len(sets))
	open := make([]int, len(sets)) // sets of which there is more to read, as those of the time of the place come again
	for i := range sets {
		open[i] = i
	}
	for len(open) > 0 {
		cmds := make([]*redis.ZSliceCmd, len(open))
		_, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, which := range open {
				till := "+inf"
				if after.at != 0 {
					till = strconv.FormatInt(after.at/sets[which].unit, 10)
				}
				cmds[i] = p.ZRevRangeByScoreWithScores(ctx, sets[which].key, &redis.ZRangeBy{Min: "-inf", Max: till, Offset: offsets[which], Count: int64(n) + 1})
			}
			return nil
		})
		if err != nil {
			return nil, false, err
		}
		var again []int
		for i, which := range open {
			got, before := cmds[i].Val(), 0
			for _, z := range got {
				r := ref{after.service, z.Member.(string), int64(z.Score) * sets[which].unit}
				if after.at == 0 || r.at < after.at || r.at == after.at && r.cid < after.cid {
					refs = append(refs, r)
				} else {
					before++
				}
			}
			if before > 0 && len(got) == n+1 {
				offsets[which] += int64(len(got))
				again = append(again, which)
			}
		}
		open = again
	}
	slices.SortFunc(refs, func(a, b ref) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.cid, a.cid)) })
	if len(refs) > n {
		return refs[:n], true, nil
	}
	return refs, false, nil
}
