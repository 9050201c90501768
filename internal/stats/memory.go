package stats

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

const memorySample = 20 // services that are measured

// periodBytes are what a period costs in Redis of a service that is called 100 times a minute: a field in each of two hashes, with the sums
// and the buckets. The bench of statistics measures it.
var periodBytes = [resolutions]int64{250, 440, 700, 780}

// slowBytes are those of the slowest calls of a day.
const slowBytes = slowPerService * 65

// Memory estimates what statistics cost in Redis with these settings; Used is measured, over some of the services. Errors are of reading.
func (s *Store) Memory(ctx context.Context, set Settings) (Memory, error) {
	var each [resolutions]int64
	for res, keep := range set.keep() {
		each[res] = int64(keep/resolution(res).length()) * periodBytes[res]
	}
	m := Memory{Each: ResolutionMemory{Minutes: each[minutes], Hours: each[hours], Days: each[days], Months: each[months],
		Slow: int64(slowKept/day) * slowBytes}}
	m.PerService = m.Each.Minutes + m.Each.Hours + m.Each.Days + m.Each.Months + m.Each.Slow
	names, err := s.names(ctx)
	if err != nil {
		return m, err
	}
	m.Services = len(names)
	if len(names) == 0 {
		return m, nil
	}
	m.Full = m.PerService * int64(len(names)+1) // All is kept like a service
	// Spread over those called long ago and those called now.
	step := max(1, len(names)/memorySample)
	var measured []string
	for i := 0; i < len(names); i += step {
		measured = append(measured, names[i])
	}
	used, err := s.used(ctx, measured, set)
	m.Used = used * int64(len(names)) / int64(len(measured))
	return m, err
}

// used measures the keys of services.
func (s *Store) used(ctx context.Context, services []string, set Settings) (total int64, err error) {
	now := s.now()
	keep := set.keep()
	for group := range slices.Chunk(services, 5) {
		pipe := s.db.Client().Pipeline()
		var sizes []*redis.IntCmd
		for _, service := range group {
			keys := s.keys.Service(service)
			sizes = append(sizes, pipe.MemoryUsage(ctx, keys.Live()))
			for res := minutes; res < resolutions; res++ {
				for p := (period{res, res.start(now.Add(-keep[res]))}); !p.start.After(now); p.start = p.chunkEnd() {
					chunk, _ := p.chunk()
					sizes = append(sizes, pipe.MemoryUsage(ctx, keys.Sums(res.letter(), chunk)), pipe.MemoryUsage(ctx, keys.Spread(res.letter(), chunk)))
				}
			}
		}
		if _, err := pipe.Exec(ctx); err != nil && !isNil(err) {
			return 0, kvdb.ReadErr("measure statistics", err)
		}
		for _, size := range sizes {
			total += size.Val()
		}
	}
	return total, nil
}
