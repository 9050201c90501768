package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// cutInLists is how much of a payload or result a list shows.
const cutInLists = 2 << 10

// Invocation returns one with all that is known of it, as it was at one moment. Error: kvdb.ErrNotFound.
func (s *Store) Invocation(ctx context.Context, cid string) (Invocation, error) {
	service, err := s.ServiceOf(ctx, cid)
	if err != nil {
		return Invocation{}, err
	}
	var (
		k        = s.keys.Service(service)
		r        reading
		attempts *redis.StringSliceCmd
		most     *redis.StringCmd
	)
	cmds, err := s.db.Client().TxPipelined(ctx, func(p redis.Pipeliner) error {
		r = reading{
			record: p.Get(ctx, k.Invocation(cid)), payload: p.Get(ctx, k.Payload(cid)), result: p.Get(ctx, k.Result(cid)),
			lease: p.ZScore(ctx, k.State(string(Running)), cid),
		}
		attempts, most = p.LRange(ctx, k.Attempts(cid), 0, -1), p.HGet(ctx, k.Policy(), "max_attempts") // at most KEEP_ATTEMPTS of common.lua
		return nil
	})
	if err := firstErr(cmds, err); err != nil {
		return Invocation{}, kvdb.ReadErr("broker: invocation "+cid, err)
	}
	i, ok := r.invocation(cid, service, mostOf(most))
	if !ok {
		return Invocation{}, fmt.Errorf("broker: invocation %s: %w", cid, kvdb.ErrNotFound)
	}
	i.PayloadSize, i.ResultSize = len(i.Payload), len(i.Result)
	i.readAttempts(attempts.Val())
	return i, nil
}

// firstErr is the first error of a pipeline; that a key isn't there is none.
func firstErr(cmds []redis.Cmder, err error) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	if len(cmds) > 0 && errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// mostOf is how many attempts a policy allows.
func mostOf(field *redis.StringCmd) int {
	if n, err := field.Int(); err == nil {
		return n
	}
	return DefaultPolicy.MaxAttempts
}

// record is what the scripts keep of an invocation; scripts/common.lua says what each field is. Times are Unix ms.
type record struct {
	State       State  `json:"s"`
	Created     int64  `json:"c,omitempty"`
	Due         int64  `json:"d,omitempty"`
	Expires     int64  `json:"x,omitempty"`
	Ended       int64  `json:"e,omitempty"`
	Attempt     int    `json:"n,omitempty"`
	Most        int    `json:"m,omitempty"`
	Worker      string `json:"w,omitempty"`
	Begun       int64  `json:"b,omitempty"`
	Callback    string `json:"cb,omitempty"`
	CallbackCID string `json:"cc,omitempty"`
	InReplyTo   string `json:"re,omitempty"`
	By          string `json:"by,omitempty"`
	EditedBy    string `json:"ed,omitempty"`
	Key         int    `json:"k,omitempty"`
}

// readRecord reads a record; ok is false where there is none, or what somebody else wrote there is none.
func readRecord(text string) (r record, ok bool) {
	ok = json.Unmarshal([]byte(text), &r) == nil && r.State != ""
	return r, ok
}

// reading is what is read of an invocation.
type reading struct {
	record, payload, result *redis.StringCmd
	lease                   *redis.FloatCmd
}

// invocation makes an invocation of what was read, without its attempts. ok is false if there is none.
func (r reading) invocation(cid, service string, most int) (i Invocation, ok bool) {
	f, ok := readRecord(r.record.Val())
	if !ok {
		return i, false
	}
	i = Invocation{
		CID: cid, Service: service, State: f.State, Payload: payloadOf([]byte(r.payload.Val())),
		Attempt: f.Attempt, MaxAttempts: or(f.Most, most), Worker: f.Worker, InReplyTo: f.InReplyTo, Callback: f.Callback, CallbackCID: f.CallbackCID,
		By: f.By, EditedBy: f.EditedBy, IdempotencyKey: f.Key != 0,
		CreatedAt: timeOf(f.Created), ExpiresAt: timeOf(f.Expires), StartedAt: timeOf(f.Begun), EndedAt: timeOf(f.Ended),
	}
	if result := r.result.Val(); result != "" {
		i.Result = []byte(result)
	}
	switch i.State {
	case Delayed, Retrying:
		i.DueAt = timeOf(f.Due)
	case Running:
		i.LeaseUntil = timeOf(int64(r.lease.Val()))
	case Expired:
		i.Error = "its time was over before a worker took it"
	}
	return i, true
}

// readAttempts reads the attempts that failed, and adds the one that is in the record.
func (i *Invocation) readAttempts(failed []string) {
	for _, text := range failed {
		var a struct {
			N            int
			Worker       string
			Begun, Ended int64
			Error        string
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			a.Error = text // written by somebody else
		}
		i.Attempts = append(i.Attempts, Attempt{N: a.N, Worker: a.Worker, StartedAt: timeOf(a.Begun), EndedAt: timeOf(a.Ended), Error: a.Error})
		if i.State != Done {
			i.Error = a.Error
		}
	}
	if i.State == Running || i.State == Done {
		i.Attempts = append(i.Attempts, Attempt{N: i.Attempt, Worker: i.Worker, StartedAt: i.StartedAt, EndedAt: i.EndedAt})
	}
}

func intOf(text string) int {
	n, _ := strconv.Atoi(text) // 0 for none
	return n
}

// timeOf is a time of Unix ms; 0 is the zero time.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// ref is the place of an invocation in the lists.
type ref struct {
	service, cid string
	at           int64 // score, in µs
}

// read reads invocations with at most cut bytes of their payloads and results, and their last attempt. Those that are gone are left out;
// at says where each of the others was.
func (s *Store) read(ctx context.Context, refs []ref, cut int64) (all []Invocation, at []int, err error) {
	type line struct {
		reading
		payloadSize, resultSize *redis.IntCmd
		last, most              *redis.StringCmd
	}
	lines := make([]line, len(refs))
	cmds, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, r := range refs {
			k := s.keys.Service(r.service)
			lines[n] = line{
				reading: reading{
					record: p.Get(ctx, k.Invocation(r.cid)), payload: p.GetRange(ctx, k.Payload(r.cid), 0, cut-1),
					result: p.GetRange(ctx, k.Result(r.cid), 0, cut-1), lease: p.ZScore(ctx, k.State(string(Running)), r.cid),
				},
				payloadSize: p.StrLen(ctx, k.Payload(r.cid)), resultSize: p.StrLen(ctx, k.Result(r.cid)),
				last: p.LIndex(ctx, k.Attempts(r.cid), -1),
			}
			if n > 0 && r.service == refs[n-1].service {
				lines[n].most = lines[n-1].most
			} else {
				lines[n].most = p.HGet(ctx, k.Policy(), "max_attempts")
			}
		}
		return nil
	})
	if len(refs) == 0 {
		return nil, nil, nil
	}
	if err := firstErr(cmds, err); err != nil {
		return nil, nil, err
	}
	for n, l := range lines {
		i, ok := l.invocation(refs[n].cid, refs[n].service, mostOf(l.most))
		if !ok {
			continue
		}
		i.PayloadSize, i.ResultSize = max(int(l.payloadSize.Val()), len("null")), int(l.resultSize.Val())
		if l.payloadSize.Val() > 0 {
			i.PayloadSize = int(l.payloadSize.Val())
		}
		if last := l.last.Val(); last != "" {
			i.readAttempts([]string{last})
		} else {
			i.readAttempts(nil)
		}
		if len(i.Attempts) > 1 {
			i.Attempts = i.Attempts[1:]
		}
		all, at = append(all, i), append(at, n)
	}
	return all, at, nil
}

// shorten cuts the payload and the result to what a list shows.
func (i *Invocation) shorten() {
	for _, b := range []*[]byte{&i.Payload, &i.Result} {
		if len(*b) >= cutInLists {
			*b = []byte(strings.ToValidUTF8(string((*b)[:cutInLists]), ""))
		}
	}
}
