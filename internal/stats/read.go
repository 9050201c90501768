package stats

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const (
	readAtOnce = 100 // services in a pipeline
	readTries  = 10
)

// part is something that a reading adds up: the periods that it is made of, and the live minutes in its range.
type part struct {
	Range
	periods []period
}

// read adds up parts of services, with the counts by slot or with the sums only. What of a service's calls is where changes once a
// minute, from live to what stays; it is read until nothing changed meanwhile, so that each call counts once.
func (s *Store) read(ctx context.Context, services []string, parts []part, spread bool) ([][]record, error) {
	var all []period
	for _, p := range parts {
		all = append(all, p.periods...)
	}
	plan := planOf(all)
	in := make([][]int32, len(plan.periods)) // parts that a period is in
	for i, p := range parts {
		for _, one := range p.periods {
			at := plan.find(one)
			in[at] = append(in[at], int32(i))
		}
	}
	sums := make([][]record, len(services))
	todo := make([]int, len(services))
	for i := range todo {
		todo[i] = i
	}
	for try := 0; len(todo) > 0; try++ {
		if try == readTries {
			return nil, kvdb.NotDone("read statistics", "They change faster than they can be read. Try again in a moment.")
		}
		var again []int
		for group := range slices.Chunk(todo, readAtOnce) {
			moved, err := s.readGroup(ctx, services, group, plan, in, parts, spread, sums)
			if err != nil {
				return nil, err
			}
			again = append(again, moved...)
		}
		todo = again
	}
	return sums, nil
}

func (p plan) find(one period) int {
	i, _ := slices.BinarySearchFunc(p.periods, one, func(a, b period) int {
		if a.res != b.res {
			return int(a.res - b.res)
		}
		return a.start.Compare(b.start)
	})
	return i
}

// readGroup reads some of the services into sums, and returns those that changed meanwhile.
func (s *Store) readGroup(ctx context.Context, services []string, group []int, plan plan, in [][]int32, parts []part, spread bool,
	sums [][]record) (moved []int, err error) {
	type reading struct {
		live    *redis.MapStringStringCmd
		chunks  []*redis.SliceCmd // sums, and spread after each
		version *redis.StringCmd
	}
	readings := make([]reading, len(group))
	pipe := s.db.Client().Pipeline()
	for i, service := range group {
		keys := s.keys.Service(services[service])
		r := &readings[i]
		r.live = pipe.HGetAll(ctx, keys.Live()) // some minutes of each process
		for _, c := range plan.chunks {
			r.chunks = append(r.chunks, pipe.HMGet(ctx, keys.Sums(c.res.letter(), c.chunk), c.fields...))
			if spread {
				r.chunks = append(r.chunks, pipe.HMGet(ctx, keys.Spread(c.res.letter(), c.chunk), c.fields...))
			}
		}
		r.version = pipe.HGet(ctx, keys.Live(), "version")
	}
	if _, err := pipe.Exec(ctx); err != nil && !isNil(err) {
		return nil, kvdb.ReadErr("read statistics", err)
	}
	for i, service := range group {
		r := &readings[i]
		live := r.live.Val()
		if live["version"] != r.version.Val() {
			moved = append(moved, service)
			continue
		}
		out := make([]record, len(parts))
		sums[service] = out
		chunks := r.chunks
		for _, c := range plan.chunks {
			var spreads []any
			values := chunks[0].Val()
			chunks = chunks[1:]
			if spread {
				spreads, chunks = chunks[0].Val(), chunks[1:]
			}
			for j, value := range values {
				text, ok := value.(string)
				if !ok {
					continue
				}
				one, _, err := readSums(text)
				if err != nil {
					return nil, err
				}
				for _, to := range in[c.which[j]] {
					out[to].sums.merge(one)
					if spread {
						text, _ := spreads[j].(string)
						if err := out[to].addSpread(text); err != nil {
							return nil, err
						}
					}
				}
			}
		}
		if err := addLive(out, live, parts, spread); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// addLive adds what has not been rolled up yet.
func addLive(out []record, live map[string]string, parts []part, spread bool) error {
	for field, value := range live {
		minute, _, ok := parseLive(field)
		if !ok {
			continue
		}
		_, rest := leadingNumber(value)
		one, rest, err := readSums(rest)
		if err != nil {
			return err
		}
		for i := range parts {
			if at := minute * 60; at < parts[i].From.Unix() || at >= parts[i].To.Unix() {
				continue
			}
			out[i].sums.merge(one)
			if spread {
				if err := out[i].addSpread(rest); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// names returns the services that are known.
func (s *Store) names(ctx context.Context) ([]string, error) {
	names, err := s.db.Client().ZRange(ctx, s.keys.Services(), 0, -1).Result() // at most MaxServices, Other and All
	if err != nil {
		return nil, kvdb.ReadErr("read the services", err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == All }), nil
}

// Names are those of the services that are known, in order.
func (s *Store) Names(ctx context.Context) ([]string, error) {
	names, err := s.names(ctx)
	slices.Sort(names)
	return names, err
}
