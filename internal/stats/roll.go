package stats

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/kvdb"
)

const (
	rollAtOnce = 200           // services in a pipeline
	markKept   = time.Hour     // longer than any command can be on its way
	markOfDead = math.MaxInt32 // more than 60 years of attempts each second: the process counts no more
	spare      = time.Hour     // that chunks are kept beyond what is promised
)

// rollScript moves live records to where they stay. What stays was read before; it is replaced only when nothing has been moved
// since.
//
// KEYS: 1 the live records of a service, then the hash of each field that is replaced. ARGV: 1 the version of what stays, 2 how many
// fields of live follow: first the mark, its value, then the records that are moved, 3 how many old marks follow after them;
// then for each of the hashes: when it expires in Unix seconds, field, value. Returns 1, or 0 when something else was first.
var rollScript = kvdb.NewScript(`
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
local records, marks = tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 6, 5 + records do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then return 0 end
end
for i = 6, 5 + records + marks do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], ARGV[4], ARGV[5])
local i = 6 + records + marks
for k = 2, #KEYS do
  redis.call('HSET', KEYS[k], ARGV[i + 1], ARGV[i + 2])
  redis.call('EXPIREAT', KEYS[k], ARGV[i])
  i = i + 3
end
return 1`)

// rolling is the live records of a service that are to be rolled up.
type rolling struct {
	service string
	minutes []int64 // nil = all of the process
}

// rollOwn rolls up the minutes that are over and all in Redis.
func (s *Store) rollOwn(ctx context.Context) error {
	return s.rollUntil(ctx, minuteOf(s.now().Add(-rollAfter)))
}

// rollUntil rolls up the minutes of this process before minute. While a record is being rolled up, samples of its minute start
// another one, which is not written before the first is done.
func (s *Store) rollUntil(ctx context.Context, minute int64) error {
	byName := map[string][]int64{}
	s.rec.mu.Lock()
	for key, o := range s.rec.open {
		if o.changed == o.written && key.minute < minute && !s.rec.rolling[key] {
			delete(s.rec.open, key)
			s.rec.rolling[key] = true
		}
	}
	for key := range s.rec.rolling {
		byName[key.service] = append(byName[key.service], key.minute)
	}
	s.rec.mu.Unlock()
	list := make([]rolling, 0, len(byName))
	for service, minutes := range byName {
		list = append(list, rolling{service, minutes})
	}
	for part := range slices.Chunk(list, rollAtOnce) {
		done, err := s.roll(ctx, part, s.process, false)
		s.rec.mu.Lock()
		for i, r := range part {
			for _, minute := range r.minutes {
				if done[i] {
					delete(s.rec.rolling, openKey{r.service, minute})
				}
			}
		}
		s.rec.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// roll adds live records of a process to the minute, hour, day and month that they are of, and says which services are done: those
// whose records are not live any more. For one that is not, somebody else was at it at the same time; try again. dead takes
// all records of a process that has gone, and lets it write none.
func (s *Store) roll(ctx context.Context, list []rolling, process string, dead bool) (done []bool, err error) {
	done = make([]bool, len(list))
	pipe := s.db.Client().Pipeline()
	for _, r := range list {
		pipe.HGetAll(ctx, s.keys.Service(r.service).Live()) // some minutes of each process
	}
	replies, err := pipe.Exec(ctx)
	if err != nil {
		return done, kvdb.ReadErr("read statistics", err)
	}
	now := s.now()
	keep := s.settings().keep()
	moves := make([]*move, 0, len(list))
	for i, r := range list {
		m := &move{index: i, service: r.service, keys: s.keys.Service(r.service), into: map[period]*record{}}
		if err := m.take(mapOf(replies[i]), r, process, dead, now, keep); err != nil {
			return done, err
		}
		if done[i] = len(m.fields) == 0; !done[i] {
			moves = append(moves, m)
		}
	}
	if len(moves) == 0 {
		return done, nil
	}
	if err := s.addStored(ctx, moves); err != nil {
		return done, err
	}
	calls := make([]kvdb.ScriptCall, len(moves))
	for i, m := range moves {
		calls[i] = m.call(keep)
	}
	var errs []error
	for i, cmd := range rollScript.RunEach(ctx, s.db, calls) {
		moved, err := cmd.Int()
		if err != nil {
			errs = append(errs, kvdb.WriteErr("roll up statistics", err))
		}
		done[moves[i].index] = err == nil && moved == 1
	}
	return done, firstOf(errs)
}

// move is one run of rollScript.
type move struct {
	index       int
	service     string
	keys        kvdb.StatsServiceKeys
	version     string
	mark, value string
	fields, old []string
	into        map[period]*record // what is added, then what stays
	order       []period
}

// take finds the live records that are to be moved and adds them up.
func (m *move) take(live map[string]string, r rolling, process string, dead bool, now time.Time, keep keep) error {
	var number int64
	m.version, m.mark = live["version"], markField(process)
	if m.version == "" {
		m.version = "0"
	}
	for field, value := range live {
		minute, of, ok := parseLive(field)
		if !ok {
			if strings.HasPrefix(field, "mark.") && field != m.mark && oldMark(value, now) {
				m.old = append(m.old, field)
			}
			continue
		}
		if of != process || !dead && !slices.Contains(r.minutes, minute) {
			continue
		}
		n, rec, err := readLive(value)
		if err != nil {
			return err
		}
		m.fields = append(m.fields, field)
		number = max(number, n)
		at := time.Unix(minute*60, 0)
		for res := minutes; res < resolutions; res++ {
			p := period{res, res.start(at)}
			if !keep.kept(res, p.end(), now) {
				continue
			}
			if m.into[p] == nil {
				m.into[p] = &record{}
				m.order = append(m.order, p)
			}
			m.into[p].merge(rec)
		}
	}
	if dead {
		number = markOfDead
	} else if before, _ := leadingNumber(live[m.mark]); before > number {
		number = before
	}
	m.value = strconv.FormatInt(number, 10) + " " + strconv.FormatInt(now.Unix(), 10)
	return nil
}

// addStored adds what was rolled up before.
func (s *Store) addStored(ctx context.Context, moves []*move) error {
	pipe := s.db.Client().Pipeline()
	for _, m := range moves {
		for _, p := range m.order {
			chunk, field := p.chunk()
			pipe.HGet(ctx, m.keys.Sums(p.res.letter(), chunk), field)
			pipe.HGet(ctx, m.keys.Spread(p.res.letter(), chunk), field)
		}
	}
	replies, _ := pipe.Exec(ctx) // each has its own error
	texts := make([]string, len(replies))
	for i, cmd := range replies {
		var err error
		if texts[i], err = textOf(cmd); err != nil {
			return kvdb.ReadErr("read statistics", err)
		}
	}
	for _, m := range moves {
		for _, p := range m.order {
			if err := m.into[p].addStored(texts[0], texts[1]); err != nil {
				return err
			}
			texts = texts[2:]
		}
	}
	return nil
}

// addStored adds what stands in the two hashes; "" = nothing.
func (r *record) addStored(sumsText, spread string) error {
	if sumsText == "" {
		return nil
	}
	sums, _, err := readSums(sumsText)
	if err != nil {
		return err
	}
	r.sums.merge(sums)
	return r.addSpread(spread)
}

func (m *move) call(keep keep) kvdb.ScriptCall {
	c := kvdb.ScriptCall{Keys: []string{m.keys.Live()}, Args: []any{m.version, len(m.fields), len(m.old), m.mark, m.value}}
	for _, field := range slices.Concat(m.fields, m.old) {
		c.Args = append(c.Args, field)
	}
	for _, p := range m.order {
		chunk, field := p.chunk()
		expires := p.chunkEnd().Add(keep[p.res] + spare).Unix()
		rec := m.into[p]
		c.Keys = append(c.Keys, m.keys.Sums(p.res.letter(), chunk), m.keys.Spread(p.res.letter(), chunk))
		c.Args = append(c.Args, expires, field, appendSums(nil, rec.sums), expires, field, rec.appendSpread(nil))
	}
	return c
}

// parseLive reads the field of a live record; false = it is something else.
func parseLive(field string) (minute int64, process string, ok bool) {
	number, process, ok := strings.Cut(field, ".")
	if !ok {
		return 0, "", false
	}
	minute, err := strconv.ParseInt(number, 10, 64)
	return minute, process, err == nil
}

// readLive reads a live record and the number of the attempt that wrote it.
func readLive(value string) (number int64, rec *record, err error) {
	number, rest := leadingNumber(value)
	rec = &record{}
	if rec.sums, rest, err = readSums(rest); err != nil {
		return 0, nil, err
	}
	return number, rec, rec.addSpread(rest)
}

// leadingNumber reads a number and what follows it after a blank.
func leadingNumber(text string) (n int64, rest string) {
	number, rest, _ := strings.Cut(text, " ")
	n, _ = strconv.ParseInt(number, 10, 64)
	return n, rest
}

func oldMark(value string, now time.Time) bool {
	_, rest := leadingNumber(value)
	at, _ := leadingNumber(rest)
	return now.Sub(time.Unix(at, 0)).Abs() > markKept
}
