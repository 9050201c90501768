package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

const (
	idempotencyKept = 24 * time.Hour
	mostAttempts    = 100
	mostDelay       = 366 * 24 * time.Hour
	maxKey          = 1024    // bytes of an idempotency key
	maxText         = 200     // bytes of who calls, or of a worker's name
	alonePayload    = 8 << 10 // larger ones don't travel together
)

// item is one call on its way into the queue.
type item struct {
	cid     string
	payload []byte
	fields  string // of its record
	options string // JSON; "" = none

	inReplyTo string
	here      *workers // who have a place for it; nil = nobody in this process

	answer string // what the script said of it: "0", "1", a CID, or ! and a CID
	err    error
}

// options are those that publish.lua knows.
type options struct {
	Delay   int64  `json:"delay,omitempty"`
	Expires int64  `json:"expires,omitempty"`
	Known   bool   `json:"known,omitempty"`
	Key     string `json:"key,omitempty"`
	Hash    string `json:"hash,omitempty"`
	Keep    int64  `json:"keep,omitempty"`
}

// Invoke puts a call into the queue of its service, once, and returns its CID. Once it returns, nothing but the server can lose it.
// Errors: kvdb.InvalidError, *JSONError, *TooLargeError, *IdempotencyError, kvdb.ErrAway; with kvdb.ErrUnknown the CID is returned too:
// if there is an invocation of it, it was put.
func (s *Store) Invoke(ctx context.Context, c Call) (cid string, err error) {
	if c.Op != "" {
		cid = cidFor(c.Service, c.Op)
	} else {
		cid = newCID(s.now(), c.Service)
	}
	return s.invoke(ctx, cid, c.Op != "", c)
}

// invokeAs is Invoke with a CID that was chosen before. If there is such an invocation, nothing is done.
func (s *Store) invokeAs(ctx context.Context, cid string, c Call) error {
	_, err := s.invoke(ctx, cid, true, c)
	return err
}

func (s *Store) invoke(ctx context.Context, cid string, known bool, c Call) (string, error) {
	if err := s.checkCall(c); err != nil {
		return "", err
	}
	if err := s.register(ctx, c.Service); err != nil {
		return "", err
	}
	it := &item{cid: cid, payload: c.Payload, fields: fieldsOf(c), options: optionsOf(c, known), inReplyTo: c.InReplyTo}
	if c.Delay == 0 {
		it.here = s.slotFor(c.Service)
	}
	if err := s.publish(ctx, c.Service, it); err != nil {
		var unknown *kvdb.UnknownError
		if err = kvdb.WriteErr("broker: invoke "+c.Service, err); errors.As(err, &unknown) {
			unknown.Check = "/broker/invocations/" + cid
			return cid, err
		}
		return "", err
	}
	switch first, differs := strings.CutPrefix(it.answer, "!"); {
	case differs:
		return "", &IdempotencyError{CID: first}
	case len(first) > 1:
		return first, nil
	}
	return cid, nil
}

func (s *Store) checkCall(c Call) error {
	if err := CheckName("service", c.Service); err != nil {
		return err
	}
	if c.Callback != "" {
		if err := CheckName("callback", c.Callback); err != nil {
			return err
		}
	}
	switch {
	case c.Delay < 0 || c.Delay > mostDelay:
		return kvdb.Invalid("delay_ms", "must be from 0 to %d", mostDelay.Milliseconds())
	case c.Expires < 0 || c.Expires > mostDelay:
		return kvdb.Invalid("expires_ms", "must be from 0 to %d", mostDelay.Milliseconds())
	case c.Expires > 0 && c.Expires <= c.Delay:
		return kvdb.Invalid("expires_ms", "must be more than the delay, or no worker ever gets it")
	case c.MaxAttempts < 0 || c.MaxAttempts > mostAttempts:
		return kvdb.Invalid("max_attempts", "must be from 1 to %d", mostAttempts)
	case len(c.IdempotencyKey) > maxKey:
		return kvdb.Invalid("idempotency_key", "has %d bytes; at most %d are allowed", len(c.IdempotencyKey), maxKey)
	}
	return s.checkBody("payload", c.Payload)
}

// fieldsOf is what a call gives to its record, in the middle of that which publish.lua knows. Each field ends with a comma.
func fieldsOf(c Call) string {
	r := record{State: Queued, Most: c.MaxAttempts, Callback: c.Callback, InReplyTo: c.InReplyTo, By: cleanText(c.By)}
	if c.IdempotencyKey != "" {
		r.Key = 1
	}
	b, _ := json.Marshal(r) // of strings and numbers: never fails
	fields := string(b[len(`{"s":"queued"`) : len(b)-len("}")])
	if fields == "" {
		return ""
	}
	return fields[len(","):] + ","
}

func optionsOf(c Call, known bool) string {
	o := options{Delay: millis(c.Delay), Expires: millis(c.Expires), Known: known}
	if c.IdempotencyKey != "" {
		o.Key, o.Hash, o.Keep = hashOf([]byte(c.IdempotencyKey)), hashOf(payloadOf(c.Payload)), idempotencyKept.Milliseconds()
	}
	if o == (options{}) {
		return ""
	}
	b, _ := json.Marshal(o)
	return string(b)
}

// publish returns when an item is in the queue, or it is known why not.
func (s *Store) publish(ctx context.Context, service string, it *item) error {
	if len(it.payload) > alonePayload {
		s.publishMany(ctx, service, []*item{it})
		return it.err
	}
	if err := s.publishing.of(service, s.publishMany).Add(ctx, it); err != nil {
		return err
	}
	return it.err
}

// publishMany puts items into the queue of a service in one step, or gives them to the workers of this process that have slots for them.
func (s *Store) publishMany(ctx context.Context, service string, all []*item) {
	channel, text := s.doorbell(service)
	token := newToken()
	args := make([]any, 0, 4+5*len(all))
	args = append(args, channel, text, s.process, token)
	for _, it := range all {
		args = append(args, it.cid, it.payload, it.fields, it.here != nil, it.options)
	}
	sent := time.Now()
	answers, err := s.run(ctx, publishScript, service, args...).Slice()
	if err == nil && len(answers) != len(all) {
		err = fmt.Errorf("broker: %d answers for %d invocations", len(answers), len(all))
	}
	waiting := false
	for i, it := range all {
		d := Delivery{CID: it.cid, Service: service, Payload: payloadOf(it.payload), Attempt: 1, Lease: leaseOf(1, token), InReplyTo: it.inReplyTo}
		if it.err = err; err != nil {
			it.here.doubt(d, err)
			continue
		}
		lease, _ := answers[i].(int64)
		if lease < 0 {
			d.Payload = bytes.Clone(d.Payload) // its caller may go on and write over it
			d.LeaseFor = time.Duration(-lease) * time.Millisecond
			it.here.start(d, sent.Add(d.LeaseFor))
			it.answer = "0"
			continue
		}
		it.here.letGo()
		it.answer = fmt.Sprint(answers[i])
		waiting = waiting || it.answer == "0"
	}
	if waiting {
		s.bell.ring(service) // also for those with a delay: who waits for work learns until when
	}
}

// queues gather what goes to each service at the same moment.
type queues[T any] struct {
	mu sync.RWMutex
	by map[string]*kvdb.Together[T]
}

// scriptsAtOnce is how many scripts of a kind and a service are under way: with as few as kvdb.AtOnce, Redis waits for us a fifth of the time.
const scriptsAtOnce = 4

func (q *queues[T]) of(service string, do func(ctx context.Context, service string, all []T)) *kvdb.Together[T] {
	q.mu.RLock()
	t := q.by[service]
	q.mu.RUnlock()
	if t != nil {
		return t
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if t = q.by[service]; t == nil {
		if q.by == nil {
			q.by = map[string]*kvdb.Together[T]{}
		}
		t = kvdb.NewTogether(scriptsAtOnce, func(ctx context.Context, all []T) { do(ctx, service, all) })
		q.by[service] = t
	}
	return t
}

// payloadOf is what the payload stands for: none is null.
func payloadOf(b []byte) []byte {
	if len(b) == 0 {
		return []byte("null")
	}
	return b
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// millis rounds up, so that the shortest time is not none.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// cleanText makes a name that somebody gave fit for a line: UTF-8 without control characters, not too long.
func cleanText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}
