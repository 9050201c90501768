package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestTheLongestWaitingComesFirst(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		var want []string
		for n := range 200 {
			want = append(want, invoke(t, s, Call{Service: "order", Payload: fmt.Appendf(nil, "%d", n)}))
		}
		var got []string
		for len(got) < len(want) {
			some, err := s.Receive(t.Context(), "order", "w", 70, 0, 0)
			must(t, err)
			if len(some) == 0 {
				break
			}
			for _, d := range some {
				got = append(got, d.CID)
			}
		}
		if !slices.Equal(got, want) {
			t.Error("they came in another order")
		}
	})
}

func TestReceiveWaits(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other := core(t, db), core(t, db)
		s.Start(t.Context())
		type answer struct {
			got []Delivery
			err error
		}
		answers := make(chan answer)
		go func() {
			got, err := s.Receive(t.Context(), "q", "w", 10, 20*time.Second, time.Minute)
			answers <- answer{got, err}
		}()
		kvtest.Await(t, "the worker waits", func() bool {
			at, err := other.Service(t.Context(), "q")
			return err == nil && at.Workers == 1
		})
		start := time.Now()
		cid := invoke(t, other, Call{Service: "q"})
		if a := <-answers; a.err != nil || len(a.got) != 1 || a.got[0].CID != cid || a.got[0].LeaseFor != time.Minute {
			t.Errorf("received %+v", a)
		}
		if took := time.Since(start); took > lookAgain+time.Second {
			t.Errorf("it took %v", took)
		}
		// What is due by itself comes as soon as it is.
		invoke(t, other, Call{Service: "q", Delay: 50 * time.Millisecond})
		if got, err := s.Receive(t.Context(), "q", "w", 1, 20*time.Second, 0); err != nil || len(got) != 1 {
			t.Errorf("received %v, %v", got, err)
		}
		// Who goes away in the middle takes nothing with him.
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			got, err := s.Receive(ctx, "q", "w", 1, 20*time.Second, 0)
			answers <- answer{got, err}
		}()
		cancel()
		if a := <-answers; a.err == nil || len(a.got) > 0 {
			t.Errorf("after it was cancelled, it received %v, %v", a.got, a.err)
		}
	})
}

func TestPausedGivesNothing(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		must(t, s.SetPaused(t.Context(), "new", true))
		cid := invoke(t, s, Call{Service: "new"})
		nothing(t, s, "new")
		if at, err := s.Service(t.Context(), "new"); err != nil || !at.Paused || at.Queued != 1 {
			t.Errorf("%+v, %v", at, err)
		}
		must(t, s.SetPaused(t.Context(), "new", false))
		if d := take(t, s, "new"); d.CID != cid {
			t.Errorf("then came %+v", d)
		}
	})
}
