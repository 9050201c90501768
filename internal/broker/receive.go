package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

const (
	mostReceived = 100
	mostWait     = 30 * time.Second
	leastLease   = 100 * time.Millisecond
	mostLease    = 24 * time.Hour
	lookAgain    = 2 * time.Second // for what no bell rang
)

// Receive hands out at most max (1–100) invocations of a service, those first that wait longest, and waits for the first of them at most
// wait (≤ 30 s); there may be none. lease is how long each is the worker's without Extend; 0 = the policy's. When ctx ends, what
// was on its way to the caller goes back.
func (s *Store) Receive(ctx context.Context, service, worker string, max int, wait, lease time.Duration) ([]Delivery, error) {
	if err := checkReceive(service, max, wait, lease); err != nil {
		return nil, err
	}
	if err := s.register(ctx, service); err != nil {
		return nil, err
	}
	heard, stop := s.bell.listen(service)
	defer stop()
	until := time.NewTimer(wait)
	defer until.Stop()
	for {
		got, err := s.fetch(ctx, service, worker, max, lease)
		if err != nil || len(got.deliveries) > 0 || wait == 0 {
			return got.deliveries, err
		}
		look := time.NewTimer(got.again())
		select {
		case <-heard:
		case <-look.C:
		case <-until.C:
			wait = 0 // one look more: a bell may have rung at this moment
		case <-s.work.ctx.Done():
			wait = 0
		case <-ctx.Done():
			look.Stop()
			return nil, kvdb.ReadErr("broker: receive "+service, ctx.Err())
		}
		look.Stop()
	}
}

func checkReceive(service string, max int, wait, lease time.Duration) error {
	if err := CheckName("service", service); err != nil {
		return err
	}
	switch {
	case max < 1 || max > mostReceived:
		return kvdb.Invalid("max", "must be from 1 to %d", mostReceived)
	case wait < 0 || wait > mostWait:
		return kvdb.Invalid("wait_ms", "must be from 0 to %d", mostWait.Milliseconds())
	case lease != 0 && (lease < leastLease || lease > mostLease):
		return kvdb.Invalid("lease_ms", "must be from %d to %d", leastLease.Milliseconds(), mostLease.Milliseconds())
	}
	return nil
}

// fetched is what came of a fetch.
type fetched struct {
	deliveries []Delivery
	left       int64         // in the queue
	next       time.Duration // until there may be more; < 0 = that is not known
	paused     bool
}

// again is when to look again if no bell rings.
func (f fetched) again() time.Duration {
	if f.next >= 0 && f.next < lookAgain {
		return max(f.next, time.Millisecond)
	}
	return lookAgain
}

// ask is one worker's wish for work.
type ask struct {
	worker string
	n      int
	lease  time.Duration

	mu   sync.Mutex
	left bool // nobody waits for it any more
	over bool
	got  fetched
	err  error
}

// fetch hands out at most n invocations and waits for none.
func (s *Store) fetch(ctx context.Context, service, worker string, n int, lease time.Duration) (fetched, error) {
	a := &ask{worker: cleanText(worker), n: n, lease: lease}
	if err := s.fetching.of(service, s.fetchMany).Add(ctx, a); err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.left = true; a.over {
			s.PutBack(a.got.deliveries)
		}
		return fetched{}, kvdb.ReadErr("broker: receive "+service, err)
	}
	return a.got, kvdb.ReadErr("broker: receive "+service, a.err)
}

// PutBack gives back, in the background, what its worker doesn't wait for any more. What can't be given back is run when its lease is over.
func (s *Store) PutBack(all []Delivery) {
	if len(all) == 0 {
		return
	}
	s.work.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, d := range all {
			if err := s.giveBack(ctx, d.CID, d.Lease); err != nil {
				s.logger.Debug("an invocation waits until its lease is over", "cid", d.CID, "error", err)
				return
			}
		}
	})
}

// fetchMany asks for the work of several workers in one step.
func (s *Store) fetchMany(ctx context.Context, service string, all []*ask) {
	channel, text := s.doorbell(service)
	token := newToken()
	args := make([]any, 0, 2+4*len(all))
	args = append(args, channel, text)
	for _, a := range all {
		args = append(args, a.worker, a.n, millis(a.lease), token)
	}
	reply, err := s.run(ctx, fetchScript, service, args...).Slice()
	got := make([]fetched, len(all))
	if err == nil {
		err = readFetched(reply, service, token, got)
	}
	for i, a := range all {
		a.mu.Lock()
		if a.got, a.err, a.over = got[i], err, true; a.left {
			s.PutBack(a.got.deliveries)
		}
		a.mu.Unlock()
	}
	if err == nil && reply[3] != int64(0) && got[0].left > 0 {
		s.bell.ring(service)
	}
}

// readFetched reads the reply of fetch.lua.
func readFetched(reply []any, service, token string, got []fetched) error {
	if len(reply) < 4 {
		return fmt.Errorf("broker: a fetch answered %d things", len(reply))
	}
	left, _ := reply[0].(int64)
	next, _ := reply[1].(int64)
	for i := range got {
		got[i] = fetched{left: left, next: time.Duration(next) * time.Millisecond, paused: reply[2] == int64(1)}
	}
	for _, one := range reply[4:] {
		f, _ := one.([]any)
		if len(f) != 7 {
			return fmt.Errorf("broker: a fetch handed out %v", one)
		}
		who, _ := f[0].(int64)
		if who < 1 || who > int64(len(got)) {
			return fmt.Errorf("broker: a fetch handed out to %d", who)
		}
		d := Delivery{Service: service, Payload: []byte("null")}
		d.CID, _ = f[1].(string)
		if payload, ok := f[2].(string); ok {
			d.Payload = []byte(payload)
		}
		attempt, _ := f[3].(int64)
		d.Attempt, d.Lease = int(attempt), leaseOf(attempt, token)
		d.InReplyTo, _ = f[4].(string)
		waited, _ := f[5].(int64)
		lease, _ := f[6].(int64)
		d.Waited, d.LeaseFor = time.Duration(waited)*time.Microsecond, time.Duration(lease)*time.Millisecond
		got[who-1].deliveries = append(got[who-1].deliveries, d)
	}
	return nil
}

// leaseOf is what fetch.lua writes as the lease.
func leaseOf(attempt int64, token string) string { return fmt.Sprintf("%d-%s", attempt, token) }
