package broker

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestInvocationsOf(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other := core(t, db), core(t, db)
		var cids []string
		for range manyAtATime + 5 {
			cids = append(cids, invoke(t, s, Call{Service: "a", Payload: []byte(`{"much":1}`), MaxAttempts: 1}))
		}
		elsewhere := invoke(t, s, Call{Service: "b"})
		got, err := s.Receive(t.Context(), "a", "w", 1, 0, 0)
		must(t, err)
		must(t, s.Nack(t.Context(), got[0].CID, got[0].Lease, "no such code", -1))
		strangers := []string{"", "order 4711", newCID(s.now(), "nobody's"), newCID(s.now(), "a")}
		for _, reader := range []*Store{s, other} { // the other one knows no service yet
			found, err := reader.InvocationsOf(t.Context(), slices.Concat(strangers, cids, []string{elsewhere}))
			must(t, err)
			if len(found) != len(cids)+1 {
				t.Fatalf("%d of %d found", len(found), len(cids)+1)
			}
			if x := found[got[0].CID]; x.State != Dead || x.Error != "no such code" || x.Service != "a" || x.Payload != nil || x.EndedAt.IsZero() {
				t.Errorf("%+v", x)
			}
			if x := found[elsewhere]; x.State != Queued || x.Service != "b" {
				t.Errorf("%+v", x)
			}
		}
		if none, err := s.InvocationsOf(t.Context(), nil); len(none) != 0 || err != nil {
			t.Errorf("%v, %v", none, err)
		}
	})
}

// TestHandlersKnowTheirInvocation: what a handler does is done on behalf of its invocation.
func TestHandlersKnowTheirInvocation(t *testing.T) {
	t.Parallel()
	var got atomic.Value
	s := process(t, kvtest.Open(t), 1, handles("a", func(ctx context.Context, _ Delivery) ([]byte, error) {
		got.Store(correlation.ID(ctx))
		return nil, nil
	}))
	cid := invoke(t, s, Call{Service: "a"})
	becomes(t, s, cid, Done)
	if got.Load() != cid {
		t.Errorf("%v, want %s", got.Load(), cid)
	}
}
