package broker

import (
	"errors"
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestDelayAndExpiry(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		k := s.keys.Service("later")
		delayed := invoke(t, s, Call{Service: "later", Delay: time.Hour})
		nothing(t, s, "later")
		i := about(t, s, delayed, Delayed)
		if wait := i.DueAt.Sub(i.CreatedAt); wait != time.Hour {
			t.Errorf("it waits %v", wait)
		}
		back(t, s, setOf(k, Delayed).key, delayed, time.Hour+time.Second)
		if d := take(t, s, "later"); d.CID != delayed || d.Waited < 500*time.Millisecond {
			t.Errorf("then came %+v", d)
		}

		expires := invoke(t, s, Call{Service: "later", Expires: time.Hour})
		never := invoke(t, s, Call{Service: "later", Delay: time.Hour, Expires: 2 * time.Hour})
		runs := invoke(t, s, Call{Service: "later", Expires: 3 * time.Hour})
		back(t, s, k.Expiring(), expires, 2*time.Hour)
		back(t, s, k.Expiring(), never, 3*time.Hour)
		d := take(t, s, "later")
		if d.CID != runs {
			t.Errorf("then came %+v", d)
		}
		about(t, s, expires, Expired)
		if i := about(t, s, never, Expired); i.Error == "" || i.EndedAt.IsZero() {
			t.Errorf("expired: %+v", i)
		}
		// What a worker had does not expire.
		if n := db.Client().ZCard(t.Context(), k.Expiring()).Val(); n != 0 {
			t.Errorf("%d still expire", n)
		}
		must(t, s.Nack(t.Context(), runs, d.Lease, "again", 0))
		about(t, s, runs, Queued)
	})
}

func TestTheSameIsPublishedOnce(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, other := core(t, db), core(t, db)
		first := invoke(t, s, Call{Service: "q", IdempotencyKey: "key \n1", Payload: []byte(`{"a":1}`)})
		if again := invoke(t, other, Call{Service: "q", IdempotencyKey: "key \n1", Payload: []byte(`{"a":1}`)}); again != first {
			t.Errorf("the same key gave %s and %s", first, again)
		}
		if i := about(t, s, first, Queued); !i.IdempotencyKey {
			t.Errorf("%+v", i)
		}
		_, err := other.Invoke(t.Context(), Call{Service: "q", IdempotencyKey: "key \n1", Payload: []byte(`{"a":2}`)})
		var used *IdempotencyError
		if !errors.As(err, &used) || used.CID != first || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("another payload: %v", err)
		}
		if elsewhere := invoke(t, s, Call{Service: "r", IdempotencyKey: "key \n1", Payload: []byte(`{"a":2}`)}); elsewhere == first {
			t.Error("the same key for another service gave the same invocation")
		}
		byForm := invoke(t, s, Call{Service: "q", Op: "form-1"})
		if again := invoke(t, other, Call{Service: "q", Op: "form-1"}); again != byForm {
			t.Errorf("the same form gave %s and %s", byForm, again)
		}
		must(t, s.invokeAs(t.Context(), callbackCID(byForm, "r"), Call{Service: "r"}))
		must(t, s.invokeAs(t.Context(), callbackCID(byForm, "r"), Call{Service: "r"}))
		for service, want := range map[string]int64{"q": 2, "r": 2} {
			if at, err := s.Service(t.Context(), service); err != nil || at.Queued != want {
				t.Errorf("%s has %d, %v; want %d", service, at.Queued, err, want)
			}
		}
	})
}

func TestPublishTogetherIsOnceEach(t *testing.T) {
	s := core(t, kvtest.Open(t))
	cids := make(chan string, 300)
	share(30, 300, func() {
		cid, err := s.Invoke(t.Context(), Call{Service: "busy", Op: "the same"})
		if err != nil {
			t.Error(err)
		}
		cids <- cid
	})
	close(cids)
	first := <-cids
	for cid := range cids {
		if cid != first {
			t.Fatalf("%s and %s", first, cid)
		}
	}
	share(30, 300, func() {
		if _, err := s.Invoke(t.Context(), Call{Service: "busy"}); err != nil {
			t.Error(err)
		}
	})
	if at, err := s.Service(t.Context(), "busy"); err != nil || at.Queued != 301 {
		t.Errorf("%d are there, %v", at.Queued, err)
	}
	// Of as many acknowledgements with one lease, one is taken.
	d := take(t, s, "busy")
	results := make(chan error, 30)
	share(30, 30, func() { results <- s.Ack(t.Context(), d.CID, d.Lease, nil) })
	close(results)
	taken := 0
	for err := range results {
		if err == nil {
			taken++
		} else {
			wantLost(t, err, Done)
		}
	}
	if taken != 1 {
		t.Errorf("%d acknowledgements were taken", taken)
	}
}

func TestWhatIsNotTaken(t *testing.T) {
	s := core(t, kvtest.Open(t), func(o *Options) { o.MaxPayload = 1 << 20 })
	text := func(n int) []byte { return []byte(`"` + string(slices.Repeat([]byte("x"), n-2)) + `"`) }
	deep := func(n int) []byte { return append(slices.Repeat([]byte("["), n), slices.Repeat([]byte("]"), n)...) }
	for _, payload := range [][]byte{nil, []byte("0"), text(1 << 20), deep(1000), []byte(`"]]]\"[[["`),
		slices.Concat([]byte(`"`), slices.Repeat([]byte("["), 2000), []byte(`"`))} {
		cid := invoke(t, s, Call{Service: "q", Payload: payload})
		if i := about(t, s, cid, Queued); string(i.Payload) != string(payloadOf(payload)) || i.PayloadSize != len(payloadOf(payload)) {
			t.Errorf("a payload of %d bytes came back as one of %d", len(payload), len(i.Payload))
		}
		d := take(t, s, "q")
		must(t, s.Ack(t.Context(), d.CID, d.Lease, payload))
		if i := about(t, s, cid, Done); string(i.Result) != string(payload) {
			t.Errorf("a result of %d bytes came back as one of %d", len(payload), len(i.Result))
		}
	}
	for name, c := range map[string]Call{
		"too large":      {Service: "q", Payload: text(1<<20 + 1)},
		"too deep":       {Service: "q", Payload: deep(1001)},
		"far too deep":   {Service: "q", Payload: deep(10_000)},
		"not JSON":       {Service: "q", Payload: []byte("{")},
		"two values":     {Service: "q", Payload: []byte("1 2")},
		"not UTF-8":      {Service: "q", Payload: []byte("\"\xff\"")},
		"blank":          {Service: "q", Payload: []byte(" ")},
		"no name":        {},
		"a brace":        {Service: "a}b"},
		"a blank":        {Service: "a b"},
		"another script": {Service: "дом"},
		"a long name":    {Service: string(slices.Repeat([]byte("n"), 201))},
		"its callback":   {Service: "q", Callback: "{"},
		"negative delay": {Service: "q", Delay: -1},
		"over before":    {Service: "q", Delay: time.Second, Expires: time.Second},
		"many attempts":  {Service: "q", MaxAttempts: 101},
		"a long key":     {Service: "q", IdempotencyKey: string(make([]byte, 2000))},
		"years of delay": {Service: "q", Delay: 400 * 24 * time.Hour},
	} {
		if cid, err := s.Invoke(t.Context(), c); !errors.Is(err, kvdb.ErrInvalid) || cid != "" {
			t.Errorf("%s: %q, %v", name, cid, err)
		}
	}
	longest := string(slices.Repeat([]byte("n"), 200))
	about(t, s, invoke(t, s, Call{Service: longest}), Queued)
	d := func() Delivery { invoke(t, s, Call{Service: "q"}); return take(t, s, "q") }()
	var large *TooLargeError
	if err := s.Ack(t.Context(), d.CID, d.Lease, text(1<<20+1)); !errors.As(err, &large) || large.What != "result" {
		t.Errorf("a large result: %v", err)
	}
	about(t, s, d.CID, Running)
	for _, cid := range []string{"", "x", "{}", d.CID + "x", cidFor("unknown", "x"), cidFor("q", "not there")} {
		if _, err := s.Invocation(t.Context(), cid); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("invocation %q: %v", cid, err)
		}
		if err := s.Ack(t.Context(), cid, "l", nil); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("ack of %q: %v", cid, err)
		}
		if err := s.Nack(t.Context(), cid, "l", "", 0); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("nack of %q: %v", cid, err)
		}
		if _, err := s.Extend(t.Context(), cid, "l"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("extension of %q: %v", cid, err)
		}
		if _, err := s.Cancel(t.Context(), cid); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("cancellation of %q: %v", cid, err)
		}
	}
	if _, err := s.Receive(t.Context(), "q", "w", 101, 0, 0); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("101 at a time: %v", err)
	}
	if _, err := s.Receive(t.Context(), "q", "w", 1, time.Minute, 0); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a minute of waiting: %v", err)
	}
	if _, err := s.Receive(t.Context(), "q", "w", 1, 0, time.Millisecond); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a millisecond of lease: %v", err)
	}
}

func TestAJSONErrorSaysWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"{\n  \"a\": 1,\n  \"é\": x\n}": {3, 8}, "": {1, 1}, "[1,]": {1, 4}, "\"a\nb\"": {1, 3}, "{}}": {1, 3}, "\"é\xff\"": {1, 3}, "[1": {1, 2},
	} {
		var e *JSONError
		if err := CheckJSON([]byte(text)); !errors.As(err, &e) || [2]int{e.Line, e.Column} != want || e.Reason == "" {
			t.Errorf("%q: %v; want %v", text, err, want)
		}
	}
}
