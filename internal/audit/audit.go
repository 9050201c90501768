// Package audit keeps who changed what, when, from where, and how it ended. It knows Redis and no other domain.
//
// A change is recorded in two steps, so that none goes by unseen: Begin notes it as pending before it is made, and
// fails when it cannot; End writes the one record with the outcome, and drops the note, in one atomic step. A note
// whose process died is recorded by Sweep, as unknown.
//
// Records are kept in a stream in the order in which they were written, and are never altered; Trim drops those that
// are too old or too many. Callers pass no secrets.
package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Outcomes of a change.
const (
	Done    = "done"
	Failed  = "failed"  // nothing was changed
	Unknown = "unknown" // it may have been changed
)

const (
	maxAge     = 400 * 24 * time.Hour
	maxRecords = 1_000_000
	maxText    = 2 * 1024 // bytes of each text of a record
	pendingFor = 2 * time.Minute
	sweepStep  = 100 // pending records that one round trip of Sweep reads
)

// Record is one change, or an attempt at one. Each text is cut at 2 KiB, with a mark.
type Record struct {
	ID      string    `json:"-"`  // set by the log; grows with each record
	At      time.Time `json:"at"` // set by the log: when it was recorded, which is when the change had ended
	Actor   string    `json:"actor"`
	Address string    `json:"address"`
	CID     string    `json:"cid,omitempty"` // of the invocation on whose behalf it was made, "" = of none
	Verb    string    `json:"verb"`          // "entry.create"
	Object  string    `json:"object"`
	Before  string    `json:"before"`
	After   string    `json:"after"`
	Outcome string    `json:"outcome"`
	Detail  string    `json:"detail"`
}

// Log is the audit log in Redis. It is safe for concurrent use.
type Log struct {
	db         *kvdb.DB
	keys       kvdb.AuditKeys
	clock      func() time.Time
	maxAge     time.Duration
	maxRecords int64
}

// New returns the log over the state store db.
func New(db *kvdb.DB, now func() time.Time) *Log {
	return &Log{db: db, keys: db.Keys().Audit(), clock: now, maxAge: maxAge, maxRecords: maxRecords}
}

// Pending is a change that was begun. Each is to be ended, whatever comes of it.
type Pending struct {
	log *Log
	id  string
	rec Record

	mu    sync.Mutex
	tried bool // an End was sent; whether it arrived may be unknown
	ended bool
}

// beginScript notes a change as pending.
//
// KEYS 1 pending, 2 pending since
// ARGV 1 ID, 2 record as JSON, 3 now in ms
var beginScript = kvdb.NewScript(`
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
`)

// Begin notes that the change r is about to be made. When it fails, the change must not be made; that is why the
// error is never kvdb.ErrUnknown. (If the note did arrive, Sweep later records a change of unknown outcome.)
func (l *Log) Begin(ctx context.Context, r Record) (*Pending, error) {
	if r.Verb == "" {
		return nil, kvdb.Invalid("verb", "is missing")
	}
	p := &Pending{log: l, id: rand.Text(), rec: r.cut()}
	p.rec.At = l.now()
	body, err := json.Marshal(p.rec)
	if err != nil {
		return nil, fmt.Errorf("audit: begin %s: %w", r.Verb, err)
	}
	err = beginScript.Run(ctx, l.db, []string{l.keys.Pending(), l.keys.PendingSince()}, p.id, body, p.rec.At.UnixMilli()).Err()
	if err != nil {
		return nil, kvdb.ReadErr("audit: begin "+r.Verb, err)
	}
	return p, nil
}

// End records how the change ended, though ctx may be cancelled. It may be repeated after an error: there is one
// record all the same. If a Sweep recorded the change as unknown meanwhile, a second record gives the outcome.
func (p *Pending) End(ctx context.Context, outcome, before, after, detail string) error {
	r := p.rec
	r.Outcome, r.Before, r.After, r.Detail = outcome, before, after, detail
	ctx = context.WithoutCancel(ctx) // the change was made: that the caller has gone does not unmake it
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	written, err := p.log.write(ctx, p.id, r)
	if err == nil && !written && !p.tried {
		r.Detail = strings.TrimSpace("Reported late, recorded as unknown before. " + detail)
		err = p.log.Write(ctx, r)
	}
	p.tried = p.tried || errors.Is(err, kvdb.ErrUnknown)
	p.ended = err == nil
	return err
}

// Write records in one step what has ended already.
func (l *Log) Write(ctx context.Context, r Record) error {
	_, err := l.write(ctx, "", r)
	return err
}

// Sweep records the changes that are pending for more than 2 minutes as unknown: their process has died, or takes longer. Run
// it every minute or so; that several processes do is no matter.
func (l *Log) Sweep(ctx context.Context) error {
	for {
		n, err := l.sweepSome(ctx)
		if err != nil || n < sweepStep {
			return err
		}
	}
}

// pendingScript reads the oldest pending changes.
//
// KEYS 1 pending, 2 pending since
// ARGV 1 since when at the latest, in ms, 2 how many at most
// Returns ID, JSON, ID, JSON …
var pendingScript = kvdb.NewScript(`
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', KEYS[1], id) or ''
end
return found
`)

// sweepSome records up to sweepStep old pending changes and returns how many it found.
func (l *Log) sweepSome(ctx context.Context) (int, error) {
	const op = "audit: sweep"
	keys := []string{l.keys.Pending(), l.keys.PendingSince()}
	flat, err := pendingScript.Run(ctx, l.db, keys, l.now().Add(-pendingFor).UnixMilli(), sweepStep).StringSlice()
	if err != nil {
		return 0, kvdb.ReadErr(op, err)
	}
	for i := 0; i+1 < len(flat); i += 2 {
		var r Record
		if err := json.Unmarshal([]byte(flat[i+1]), &r); err != nil || r.Verb == "" {
			r = Record{Verb: "audit.sweep", Object: flat[i], Detail: "The note of this change cannot be read."}
		} else {
			r.Detail = "Begun at " + r.At.Format(time.RFC3339) + "; no outcome was reported within 2 minutes."
		}
		r.Outcome = Unknown
		if _, err := l.write(ctx, flat[i], r); err != nil {
			return 0, err
		}
	}
	return len(flat) / 2, nil
}

// writeScript adds a record, and drops the pending one that it completes. IDs of records are the time of writing, but
// never before the last one's: clocks of several replicas differ.
//
// KEYS 1 records, 2 pending, 3 pending since
// ARGV 1 ID of the pending one (empty = there is none), 2 now in ms, 3 how many records are kept, 4 … fields and values
// Returns 1 when written, 0 when the pending one is gone.
var writeScript = kvdb.NewScript(`
if ARGV[1] ~= '' and not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local ms, seq = string.match(last, '^(%d+)%-(%d+)$')
local id = ARGV[2] .. '-0'
if tonumber(ms) >= tonumber(ARGV[2]) then id = string.format('%s-%.0f', ms, seq + 1) end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], id, unpack(ARGV, 4))
if ARGV[1] ~= '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return 1
`)

// write adds a record. With the ID of a pending one it moves that, and written is false when it was moved already.
func (l *Log) write(ctx context.Context, pending string, r Record) (written bool, err error) {
	op := "audit: record " + r.Verb
	switch {
	case r.Verb == "":
		return false, kvdb.Invalid("verb", "is missing")
	case r.Outcome != Done && r.Outcome != Failed && r.Outcome != Unknown:
		return false, kvdb.Invalid("outcome", "must be done, failed or unknown")
	}
	r = r.cut()
	r.At = l.now()
	args := append([]any{pending, r.At.UnixMilli(), l.maxRecords}, r.fields()...)
	written, err = writeScript.Run(ctx, l.db, []string{l.keys.Records(), l.keys.Pending(), l.keys.PendingSince()}, args...).Bool()
	return written, kvdb.WriteErr(op, err)
}

// Trim drops records that are older than 400 days, and the oldest beyond 1,000,000. Run it every hour or so.
func (l *Log) Trim(ctx context.Context) error {
	const op = "audit: trim"
	oldest := fmt.Sprintf("%d-0", l.now().Add(-l.maxAge).UnixMilli())
	if err := l.db.Client().XTrimMinID(ctx, l.keys.Records(), oldest).Err(); err != nil {
		return kvdb.WriteErr(op, err)
	}
	return kvdb.WriteErr(op, l.db.Client().XTrimMaxLen(ctx, l.keys.Records(), l.maxRecords).Err())
}

// now is the time as records keep it.
func (l *Log) now() time.Time { return l.clock().UTC().Truncate(time.Millisecond) }

// fields are the record's fields and values as the stream has them.
func (r Record) fields() []any {
	list := []any{
		"at", r.At.Format(time.RFC3339Nano), "actor", r.Actor, "address", r.Address, "verb", r.Verb, "object", r.Object,
		"before", r.Before, "after", r.After, "outcome", r.Outcome, "detail", r.Detail,
	}
	if r.CID != "" {
		list = append(list, "cid", r.CID)
	}
	return list
}

// recordOf reads a record of the stream; a field that is missing or no text is empty.
func recordOf(m redis.XMessage) Record {
	text := func(field string) string {
		s, _ := m.Values[field].(string)
		return s
	}
	at, err := time.Parse(time.RFC3339Nano, text("at"))
	if err != nil {
		at = timeOf(m.ID)
	}
	return Record{
		ID: m.ID, At: at, Actor: text("actor"), Address: text("address"), CID: text("cid"), Verb: text("verb"), Object: text("object"),
		Before: text("before"), After: text("after"), Outcome: text("outcome"), Detail: text("detail"),
	}
}

// cut returns the record with each text cut and in UTF-8.
func (r Record) cut() Record {
	for _, s := range []*string{&r.Actor, &r.Address, &r.CID, &r.Verb, &r.Object, &r.Before, &r.After, &r.Detail} {
		*s = cut(*s)
	}
	return r
}

// cut makes s UTF-8 of maxText bytes at most; a mark says that there was more. No character is broken.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	mark := fmt.Sprintf(" … (cut, %d bytes)", len(s))
	n := maxText - len(mark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
