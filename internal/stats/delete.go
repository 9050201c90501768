package stats

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// stillWritten is how long after its end a minute may still be written by a process: what is younger is not deleted.
const stillWritten = 2 * time.Minute

// deleteScript replaces and deletes periods of a service, when nothing has been rolled up since they were read.
//
// KEYS: 1 the live records of a service, then the hash of each field. ARGV: 1 the version of what stays, 2 how many live records follow
// that are deleted, these; then for each of the hashes field and value, "" = none. Returns 1, or 0 when it was too late.
var deleteScript = kvdb.NewScript(`
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
local n = tonumber(ARGV[2])
for i = 3, 2 + n do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
local i = 3 + n
for k = 2, #KEYS do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[k], ARGV[i]) else redis.call('HSET', KEYS[k], ARGV[i], ARGV[i + 1]) end
  i = i + 2
end
return 1`)

// DeleteRange forgets what was recorded in the range, of the services named or of all. The range is cut as finely as its time is still kept, and two
// minutes ago; longer periods that it is a part of lose its share. Each service is one atomic step; an error leaves those before it
// deleted, and doing it again deletes the rest.
func (s *Store) DeleteRange(ctx context.Context, r Range, services ...string) (Deleted, error) {
	now := s.now()
	if end := minutes.start(now.Add(-stillWritten)); r.To.After(end) {
		r.To = end
	}
	keep := s.settings().keep()
	cut := Range{keep.snap(r.From, now), keep.snap(r.To, now)}
	out := Deleted{Range: cut}
	if !cut.To.After(cut.From) {
		return out, kvdb.Invalid("to",
			"must be after the start, and not in the last two minutes; what is older than %d hours is kept by the hour or less finely",
			int(keep[minutes].Hours()))
	}
	if err := s.Flush(ctx); err != nil {
		return out, err
	}
	if len(services) == 0 {
		var err error
		if services, err = s.names(ctx); err != nil {
			return out, err
		}
		if _, err = s.deleteOf(ctx, All, cut, now); err != nil {
			return out, err
		}
	}
	for _, service := range services {
		calls, err := s.deleteOf(ctx, service, cut, now)
		if err != nil {
			return out, err
		}
		if calls > 0 {
			out.Services++
			out.Calls += calls
		}
	}
	var err error
	if out.Slow, err = s.deleteSlow(ctx, cut, services); err != nil {
		return out, err
	}
	return out, s.forgetEmpty(ctx, services)
}

// forgetScript forgets a service that nobody has called lately, so that no process takes its name for known.
// KEYS: 1 the services. ARGV: 1 the service, 2 the hour since which it must not have been called.
var forgetScript = kvdb.NewScript(`
local hour = redis.call('ZSCORE', KEYS[1], ARGV[1])
if hour and tonumber(hour) < tonumber(ARGV[2]) then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0`)

// forgetEmpty makes room for names by those of services of which nothing is left. The months are what is kept longest.
func (s *Store) forgetEmpty(ctx context.Context, services []string) error {
	now := s.now()
	pipe := s.db.Client().Pipeline()
	left := make([]*redis.IntCmd, len(services))
	for i, service := range services {
		var keys []string
		for year := now.Add(-s.settings().Months).Year(); year <= now.Year(); year++ {
			keys = append(keys, s.keys.Service(service).Sums(months.letter(), strconv.Itoa(year)))
		}
		left[i] = pipe.Exists(ctx, keys...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return kvdb.ReadErr("read statistics", err)
	}
	var calls []kvdb.ScriptCall
	for i, service := range services {
		if left[i].Val() == 0 {
			calls = append(calls, kvdb.ScriptCall{Keys: []string{s.keys.Services()}, Args: []any{service, now.Unix()/3600 - 1}})
		}
	}
	for _, cmd := range forgetScript.RunEach(ctx, s.db, calls) {
		if err := cmd.Err(); err != nil {
			return kvdb.WriteErr("forget services", err)
		}
	}
	return nil
}

// deleteOf deletes the range of a service and says how many calls that were.
func (s *Store) deleteOf(ctx context.Context, service string, r Range, now time.Time) (int64, error) {
	for range readTries {
		d := &deletion{keys: s.keys.Service(service), r: r, in: map[period]*record{}}
		if err := s.readDeletion(ctx, d, now); err != nil {
			return 0, err
		}
		if d.gone.count == 0 && len(d.live) == 0 {
			return 0, nil
		}
		done, err := deleteScript.RunEach(ctx, s.db, []kvdb.ScriptCall{d.call()})[0].Int()
		if err != nil {
			return 0, kvdb.WriteErr("delete statistics", err)
		}
		if done == 1 {
			return d.gone.count, nil
		}
	}
	return 0, kvdb.NotDone("delete statistics", "They change faster than they can be deleted. Try again in a moment.")
}

// deletion is what is done to a service: covered periods go with all that is in them, and those around them lose their share.
type deletion struct {
	keys    kvdb.StatsServiceKeys
	r       Range
	version string
	live    []string
	gone    sums
	order   []period
	in      map[period]*record // nil = is deleted
}

func (d *deletion) put(p period, rec *record) {
	if _, ok := d.in[p]; !ok {
		d.order = append(d.order, p)
	}
	d.in[p] = rec
}

func (s *Store) readDeletion(ctx context.Context, d *deletion, now time.Time) error {
	live, err := s.db.Client().HGetAll(ctx, d.keys.Live()).Result() // some minutes of each process
	if err != nil {
		return kvdb.ReadErr("read statistics", err)
	}
	if d.version = live["version"]; d.version == "" {
		d.version = "0"
	}
	for field, value := range live {
		if minute, _, ok := parseLive(field); ok && minute*60 >= d.r.From.Unix() && minute*60 < d.r.To.Unix() {
			_, rec, err := readLive(value)
			if err != nil {
				return err
			}
			d.live = append(d.live, field)
			d.gone.merge(rec.sums)
		}
	}
	covered := cover(d.r, now)
	stored, err := s.readStored(ctx, d.keys, covered)
	if err != nil {
		return err
	}
	around := map[period]*record{} // what the periods around lose
	var order []period
	for _, p := range covered {
		rec := stored[p]
		d.gone.merge(rec.sums)
		if rec.count > 0 {
			d.put(p, nil)
			for res := p.res + 1; res < resolutions; res++ {
				up := period{res, res.start(p.start)}
				if around[up] == nil {
					around[up] = &record{}
					order = append(order, up)
				}
				around[up].merge(rec)
			}
		}
		d.dropInside(p, now, s.settings().keep())
	}
	return s.readAround(ctx, d, order, around, now)
}

// dropInside deletes all periods within one that goes.
func (d *deletion) dropInside(p period, now time.Time, keep keep) {
	if p.res == minutes {
		return
	}
	below := p.res - 1
	for t := p.start; t.Before(p.end()) && !t.After(now); {
		one := period{below, t}
		if t = one.end(); keep.kept(below, t.Add(spare), now) {
			d.put(one, nil)
			d.dropInside(one, now, keep)
		}
	}
}

// readAround takes their share off the periods around what goes. Where what is left of them is known more finely, their ends are those
// of what is left; else they stay, as nobody knows better.
func (s *Store) readAround(ctx context.Context, d *deletion, order []period, less map[period]*record, now time.Time) error {
	stored, err := s.readStored(ctx, d.keys, order)
	if err != nil {
		return err
	}
	for _, p := range order {
		rec := stored[p]
		if rec.count == 0 {
			continue
		}
		rec.subtract(less[p])
		if rec.count == 0 {
			d.put(p, nil)
			continue
		}
		var left []period
		for _, side := range []Range{{p.start, d.r.From}, {d.r.To, p.end()}} {
			if side.From.Before(p.start) {
				side.From = p.start
			}
			if side.To.After(p.end()) {
				side.To = p.end()
			}
			left = append(left, cover(side, now)...)
		}
		parts, err := s.readStored(ctx, d.keys, left)
		if err != nil {
			return err
		}
		var known sums
		for _, part := range parts {
			known.merge(part.sums)
		}
		if known.count == rec.count {
			rec.min, rec.max = known.min, known.max
		}
		d.put(p, rec)
	}
	return nil
}

// readStored reads periods of a service; what there is not is empty.
func (s *Store) readStored(ctx context.Context, keys kvdb.StatsServiceKeys, list []period) (map[period]*record, error) {
	out := make(map[period]*record, len(list))
	if len(list) == 0 {
		return out, nil
	}
	plan := planOf(list)
	pipe := s.db.Client().Pipeline()
	var sums, spreads []*redis.SliceCmd
	for _, c := range plan.chunks {
		sums = append(sums, pipe.HMGet(ctx, keys.Sums(c.res.letter(), c.chunk), c.fields...))
		spreads = append(spreads, pipe.HMGet(ctx, keys.Spread(c.res.letter(), c.chunk), c.fields...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read statistics", err)
	}
	for i, c := range plan.chunks {
		for j, which := range c.which {
			rec := &record{}
			text, _ := sums[i].Val()[j].(string)
			spread, _ := spreads[i].Val()[j].(string)
			if err := rec.addStored(text, spread); err != nil {
				return nil, err
			}
			out[plan.periods[which]] = rec
		}
	}
	return out, nil
}

func (d *deletion) call() kvdb.ScriptCall {
	c := kvdb.ScriptCall{Keys: []string{d.keys.Live()}, Args: []any{d.version, len(d.live)}}
	for _, field := range d.live {
		c.Args = append(c.Args, field)
	}
	for _, p := range d.order {
		chunk, field := p.chunk()
		var sumsText, spread []byte
		if rec := d.in[p]; rec != nil {
			sumsText, spread = appendSums(nil, rec.sums), rec.appendSpread(nil)
		}
		c.Keys = append(c.Keys, d.keys.Sums(p.res.letter(), chunk), d.keys.Spread(p.res.letter(), chunk))
		c.Args = append(c.Args, field, sumsText, field, spread)
	}
	return c
}

// deleteSlow deletes the slow calls of the range.
func (s *Store) deleteSlow(ctx context.Context, r Range, services []string) (count int64, err error) {
	type list struct {
		set     string
		service string // "" = all
		found   *redis.ZSliceCmd
	}
	first := days.start(s.now().Add(-slowKept))
	if r.From.After(first) {
		first = days.start(r.From)
	}
	for d := first; d.Before(r.To); d = d.AddDate(0, 0, 1) {
		pipe := s.db.Client().Pipeline()
		lists := []list{{set: s.keys.Slow(slowDay(d))}}
		for _, service := range services {
			lists = append(lists, list{set: s.keys.Service(service).Slow(slowDay(d)), service: service})
		}
		for i := range lists {
			lists[i].found = pipe.ZRangeWithScores(ctx, lists[i].set, 0, -1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return count, kvdb.ReadErr("read the slow calls", err)
		}
		pipe = s.db.Client().Pipeline()
		for _, l := range lists {
			var members []any
			for _, z := range l.found.Val() {
				if c, ok := parseSlow(l.service, z); ok && !c.At.Before(r.From) && c.At.Before(r.To) && slices.Contains(services, c.Service) {
					members = append(members, z.Member)
				}
			}
			if len(members) > 0 {
				pipe.ZRem(ctx, l.set, members...)
			}
			if l.service != "" {
				count += int64(len(members))
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return count, kvdb.WriteErr("delete slow calls", err)
		}
	}
	return count, nil
}
