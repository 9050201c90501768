package broker

import (
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// Small payloads stand behind the record, large ones beside it: both come out as they went in, whatever they look like, in all that an
// invocation goes through.
func TestPayloadsSmallAndLarge(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		const small = 1024 // SMALL in scripts/common.lua
		payloads := []string{
			`1`, `""`, "[\n1,\n\n2\n]\n",
			`{"n":7,"x":1,"re":"them","cb":"nobody","s":"done","l":"1-x"}`,
			"{\n\"n\":7,\"x\":1,\"cb\":\"nobody\"}",
			`"` + strings.Repeat("a", small-3) + `"`,
			`"` + strings.Repeat("b", small-2) + `"`,
			`"` + strings.Repeat("c", small-1) + `"`,
			`"` + strings.Repeat("ä", small) + `"`,
		}
		for i, payload := range payloads {
			other := payloads[(i+5)%len(payloads)] // after an edit; some change sides
			cid, err := s.Invoke(t.Context(), Call{Service: "any", Payload: []byte(payload), MaxAttempts: 2, By: "who \"n\":1"})
			must(t, err)
			wantPayload := func(where string, got []byte, want string) {
				t.Helper()
				if string(got) != want {
					t.Fatalf("payload %d %s: %.80q, want %.80q", i, where, got, want)
				}
			}
			wantPayload("queued", about(t, s, cid, Queued).Payload, payload)
			d := take(t, s, "any")
			wantPayload("received", d.Payload, payload)
			if d.Attempt != 1 || d.InReplyTo != "" {
				t.Fatalf("payload %d is taken for the record: attempt %d, in reply to %q", i, d.Attempt, d.InReplyTo)
			}
			must(t, s.Nack(t.Context(), cid, d.Lease, "no", 0))
			d = take(t, s, "any")
			wantPayload("received again", d.Payload, payload)
			must(t, s.Nack(t.Context(), cid, d.Lease, "no", 0))
			wantPayload("dead", about(t, s, cid, Dead).Payload, payload)
			must(t, s.RetryDeadOne(t.Context(), cid, []byte(other), "tester"))
			d = take(t, s, "any")
			wantPayload("edited", d.Payload, other)
			must(t, s.Ack(t.Context(), cid, d.Lease, []byte(`"fine"`)))
			x := about(t, s, cid, Done)
			wantPayload("done", x.Payload, other)
			if string(x.Result) != `"fine"` || x.Callback != "" || x.PayloadSize != len(other) {
				t.Fatalf("payload %d: result %s, callback %q, %d bytes of payload", i, x.Result, x.Callback, x.PayloadSize)
			}
			if n := zcard(t, s, s.keys.Service("any").Outbox()); n != 0 {
				t.Fatalf("payload %d: %d callbacks wait, and none was asked for", i, n)
			}
		}
		page, err := s.Invocations(t.Context(), Filter{Service: "any", State: Done}, "", 50)
		must(t, err)
		for n, x := range page.Items {
			i := len(payloads) - 1 - n
			want := payloads[(i+5)%len(payloads)]
			if x.PayloadSize != len(want) || !strings.HasPrefix(want, string(x.Payload)) || len(x.Payload) == 0 {
				t.Errorf("the list says of payload %d: %.80q, %d bytes", i, x.Payload, x.PayloadSize)
			}
		}
		if len(page.Items) != len(payloads) {
			t.Errorf("%d in the list", len(page.Items))
		}
		bury, err := s.Invoke(t.Context(), Call{Service: "any", Payload: []byte(payloads[8])})
		must(t, err)
		d := take(t, s, "any")
		must(t, s.fail(t.Context(), bury, d.Lease, "no"))
		_, err = s.DeleteDead(t.Context(), DeadSelect{CIDs: []string{bury}}, DeadOptions{})
		must(t, err)
		if n := db.Client().Exists(t.Context(), db.Keys().Service("any").Payload(bury)).Val(); n != 0 {
			t.Error("the payload of what was deleted stays")
		}
	})
}
