package stats

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"webadmin/internal/kvdb"
)

const (
	flushEvery  = time.Second
	flushAtOnce = 500 // records in a pipeline
	namesAtOnce = 500 // names in a script
	// rollAfter is how long after its end a minute is rolled up: by then the samples of its last second are there.
	rollAfter = 2 * time.Second
)

// writer is the state of who writes; only the holder of the turn uses it.
type writer struct {
	process string           // of this process in Redis; it gets another one when the others took it for dead
	joined  bool             // process is among the writers
	beat    time.Time        // when it last said that it lives
	number  int64            // of the last attempt to write a record
	named   map[string]int64 // names that Redis knows, by the hour in which it was told
	adopted time.Time        // when others were last looked after
	looked  time.Time        // when the settings were last read
	fullAt  time.Time        // when Redis last had no room for a name

	status statusBox
}

func newWriter() writer {
	return writer{process: newProcess(), named: map[string]int64{}}
}

func (s *Store) work(ctx context.Context) {
	quiet := false
	for {
		wait := time.NewTimer(flushEvery - flushEvery/10 + rand.N(flushEvery/5)) // processes are not to write all at once
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		err := s.Flush(ctx)
		if err != nil && !quiet && ctx.Err() == nil {
			s.logger.Warn("statistics are not being written; they wait", "error", err)
		}
		quiet = err != nil
	}
}

// Flush writes what was recorded until now. Whoever wants to read what was just recorded may call it; else it is done about once a
// second. What could not be written waits for the next time, and as each record replaces its older self, nothing counts twice.
func (s *Store) Flush(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return kvdb.NotDone("write statistics", "They are being written.")
	}
	err := s.flush(ctx)
	s.status.set(err, s.now())
	return err
}

func (s *Store) flush(ctx context.Context) error {
	if now := s.now(); now.Sub(s.looked).Abs() > settingsAge {
		if _, err := s.loadSettings(ctx); err != nil {
			return err
		}
		s.looked = now
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	s.rec.drain()
	if err := s.nameServices(ctx); err != nil {
		return err
	}
	err := s.writeOpen(ctx)
	if err == nil {
		err = s.writeSlow(ctx)
	}
	if err == nil {
		err = s.rollOwn(ctx)
	}
	if err == nil {
		err = s.adopt(ctx)
	}
	return err
}

// nameScript notes services, while there is room.
//
// KEYS: 1 the services, 2 those that this process has records of. ARGV: 1 the hour, 2 how many there may be, then names.
// Returns 1 for each name that is known now, and 0 for each that there is no room for.
var nameScript = kvdb.NewScript(`
local known = {}
local count = redis.call('ZCARD', KEYS[1])
for i = 3, #ARGV do
  local ok = 1
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    if count < tonumber(ARGV[2]) then count = count + 1 else ok = 0 end
  end
  if ok == 1 then
    redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[i])
    redis.call('SADD', KEYS[2], ARGV[i])
  end
  known[#known + 1] = ok
end
return known`)

// nameServices tells Redis of services that it doesn't know. Those that there is no room for count as Other.
func (s *Store) nameServices(ctx context.Context) error {
	hour := s.now().Unix() / 3600
	var fresh []string
	s.rec.mu.Lock()
	seen := map[string]bool{}
	for key, o := range s.rec.open {
		if o.changed != o.written && s.named[key.service] != hour && !seen[key.service] {
			seen[key.service] = true
			fresh = append(fresh, key.service)
		}
	}
	s.rec.mu.Unlock()
	var refused []string
	for names := range slices.Chunk(fresh, namesAtOnce) {
		args := []any{hour, MaxServices + 2} // and Other and All
		for _, name := range names {
			args = append(args, name)
		}
		known, err := nameScript.Run(ctx, s.db, []string{s.keys.Services(), s.keys.Open(s.process)}, args...).Int64Slice()
		if err != nil {
			return kvdb.WriteErr("note services", err)
		}
		for i, name := range names {
			if known[i] == 1 {
				s.named[name] = hour
				continue
			}
			delete(s.named, name)
			refused = append(refused, name)
		}
	}
	// While Redis is full, trying new names is worth little and costs a command each.
	room := int64(MaxServices)
	if len(refused) > 0 {
		s.rec.forget(refused)
		s.fullAt = s.now()
	}
	if s.now().Sub(s.fullAt).Abs() < time.Minute {
		room = 100
	}
	s.rec.room.Store(room)
	return nil
}

// liveScript writes a record of a minute, unless what is there is newer, or the record was rolled up.
//
// KEYS: 1 the live records of a service. ARGV: 1 the record's field, 2 the field of the process's mark, 3 the number of this attempt,
// 4 the record. Returns 1, or 0 when the attempt came too late.
var liveScript = kvdb.NewScript(`
for _, field in ipairs({ARGV[1], ARGV[2]}) do
  local there = redis.call('HGET', KEYS[1], field)
  if there and tonumber(string.match(there, '^%d+')) >= tonumber(ARGV[3]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
return 1`)

// writing is a record on its way.
type writing struct {
	key            openKey
	o              *openRecord
	changed, count int64
}

// writeOpen writes the records that have changed.
func (s *Store) writeOpen(ctx context.Context) error {
	var list []writing
	s.rec.mu.Lock()
	for key, o := range s.rec.open {
		if o.changed != o.written && !s.rec.rolling[key] {
			list = append(list, writing{key: key, o: o})
		}
	}
	s.rec.mu.Unlock()
	// The oldest first: they are rolled up and make room.
	slices.SortFunc(list, func(a, b writing) int { return int(a.key.minute - b.key.minute) })
	for part := range slices.Chunk(list, flushAtOnce) {
		if err := s.writePart(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writePart(ctx context.Context, part []writing) error {
	calls := make([]kvdb.ScriptCall, len(part))
	s.rec.mu.Lock()
	for i := range part {
		w := &part[i]
		s.number++
		w.changed, w.count, w.o.tried = w.o.changed, w.o.count, true
		value := w.o.appendSpread(appendSums(nil, w.o.sums))
		calls[i] = kvdb.ScriptCall{Keys: []string{s.keys.Service(w.key.service).Live()},
			Args: []any{liveField(w.key.minute, s.process), markField(s.process), s.number, value}}
	}
	s.rec.mu.Unlock()
	results := liveScript.RunEach(ctx, s.db, calls)
	var errs []error
	dead := false
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	for i, w := range part {
		done, err := results[i].Int()
		switch err = kvdb.WriteErr("write statistics", err); {
		case err == nil && done == 1:
			w.o.written, w.o.inRedis = w.changed, w.count
		case err == nil:
			dead = true
			s.giveUp(w.key, w.o)
		default:
			errs = append(errs, err)
		}
	}
	if dead {
		s.rename()
	}
	return firstOf(errs)
}

// giveUp forgets a record that was written at least in part under a name that the others took for dead: what is in Redis, they
// roll up, and of the rest nobody knows. rec.mu is held.
func (s *Store) giveUp(key openKey, o *openRecord) {
	if key.service != All {
		s.rec.lost += o.count - o.inRedis
	}
	delete(s.rec.open, key)
}

// rename gives the process a new name after the others took it for dead. rec.mu is held.
func (s *Store) rename() {
	for key, o := range s.rec.open {
		if o.tried {
			s.giveUp(key, o)
		}
	}
	clear(s.rec.rolling) // they are in Redis
	s.process, s.joined, s.named = newProcess(), false, map[string]int64{}
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
			return err
		}
	}
	return errors.Join(errs...)
}

// liveField names the record of a minute by a process, and markField the number of the last attempt that counts.
func liveField(minute int64, process string) string {
	return strconv.FormatInt(minute, 10) + "." + process
}

func markField(process string) string { return "mark." + process }
