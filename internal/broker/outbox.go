package broker

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// The reply to an invocation is in the slot of its service, and the callback that takes it in another. So the acknowledgement puts
// the CID into the outbox, in the same step, and any process publishes the callback then, under a CID that follows from that of the invocation,
// and takes it out. A crash between the two has the callback published again, which does nothing.

const (
	outboxEvery = time.Second
	outboxMany  = 16 // at a time: a result may have a MiB
)

var sentScript = serviceScript("sent")

// runOutbox publishes callbacks until ctx ends: of services that were put on the list at once, and of all from time to time.
func (s *Store) runOutbox(ctx context.Context) {
	tick := time.NewTicker(outboxEvery)
	defer tick.Stop()
	all := func(string) bool { return true }
	for {
		for service, of := s.posted.take(all); of > 0 && ctx.Err() == nil; service, of = s.posted.take(all) {
			if err := s.sendOutbox(ctx, service); err != nil && ctx.Err() == nil {
				s.logger.Debug("callbacks wait", "service", service, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.posted.more:
		case <-tick.C:
			services, err := s.withAny(ctx, kvdb.ServiceKeys.Outbox, all)
			if err != nil && ctx.Err() == nil {
				s.logger.Debug("looking for callbacks", "error", err)
			}
			for _, service := range services {
				s.posted.add(service)
			}
		}
	}
}

// sendOutbox publishes all callbacks of a service.
func (s *Store) sendOutbox(ctx context.Context, service string) error {
	for {
		cids, err := s.db.Client().ZRange(ctx, s.keys.Service(service).Outbox(), 0, outboxMany-1).Result()
		if err != nil {
			return kvdb.ReadErr("broker: outbox", err)
		}
		if len(cids) == 0 {
			return nil
		}
		if err := s.sendCallbacks(ctx, service, cids); err != nil {
			return err
		}
		if len(cids) < outboxMany {
			return nil
		}
	}
}

// sendCallbacks publishes the callbacks of invocations in the outbox of their service.
func (s *Store) sendCallbacks(ctx context.Context, service string, cids []string) error {
	keys := s.keys.Service(service)
	records, results := make([]*redis.StringCmd, len(cids)), make([]*redis.StringCmd, len(cids))
	_, err := s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, cid := range cids {
			records[i] = p.Get(ctx, keys.Invocation(cid))
			results[i] = p.Get(ctx, keys.Result(cid))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return kvdb.ReadErr("broker: outbox", err)
	}
	sent := make([]any, 0, 2*len(cids))
	for i, cid := range cids {
		r, _ := readRecord(records[i].Val())
		callback := ""
		if r.Callback != "" { // else somebody deleted the record
			callback = callbackCID(cid, r.Callback)
			result, _ := results[i].Bytes() // none is null
			err := s.invokeAs(ctx, callback, Call{Service: r.Callback, Payload: result, InReplyTo: cid, By: r.By})
			switch {
			case errors.Is(err, kvdb.ErrInvalid):
				s.logger.Error("a callback can't be published, and is dropped", "service", service, "cid", cid, "callback", r.Callback, "error", err)
			case err != nil:
				return err
			}
		}
		sent = append(sent, cid, callback)
	}
	return kvdb.WriteErr("broker: outbox", s.run(ctx, sentScript, service, sent...).Err())
}
