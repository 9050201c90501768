package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// A service that was quick and is slow all at once does not keep what another process could run.
func TestWhatWaitsForASlotGoesBack(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		const many = 40
		var slow atomic.Bool
		release := make(chan struct{})
		s := process(t, db, 4, handles("x", func(ctx context.Context, _ Delivery) ([]byte, error) {
			if slow.Load() {
				select {
				case <-release:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return nil, nil
		}))
		w := s.workers.Load()
		for range 20 {
			becomes(t, s, invoke(t, s, Call{Service: "x"}), Done)
		}
		kvtest.Await(t, "the service is known as quick", func() bool {
			becomes(t, s, invoke(t, s, Call{Service: "x"}), Done)
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.mayWait("x") > 0
		})
		slow.Store(true)
		var all sync.WaitGroup
		cids := make([]string, many)
		for i := range cids {
			all.Go(func() { cids[i] = invoke(t, s, Call{Service: "x"}) })
		}
		all.Wait()
		kvtest.Await(t, "what has no slot is in the queue again", func() bool {
			sv, err := s.Service(t.Context(), "x")
			return err == nil && sv.Running == int64(w.most) && sv.Queued == int64(many-w.most)
		})
		w.mu.Lock()
		if n := w.mayWait("x"); n != 0 {
			t.Errorf("%d more would come, while its handlers hang", n)
		}
		w.mu.Unlock()
		other := process(t, db, 4, handles("x", func(context.Context, Delivery) ([]byte, error) { return nil, nil }))
		kvtest.Await(t, "the other process has run the rest", func() bool {
			sv, err := other.Service(t.Context(), "x")
			return err == nil && sv.Queued == 0 && sv.Running == int64(w.most)
		})
		close(release)
		for _, cid := range cids {
			if i := becomes(t, s, cid, Done); len(i.Attempts) != 1 || i.Attempt != 1 {
				t.Errorf("%s: %+v", cid, i)
			}
		}
		for _, w := range []*workers{w, other.workers.Load()} {
			kvtest.Await(t, "no slot is kept", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.offers == 0 && w.free == w.size && len(w.busy) == 0 && len(w.held) == 0 && len(w.waiting) == 0
			})
		}
	})
}
