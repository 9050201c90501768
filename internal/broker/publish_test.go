package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// onChannels returns a broker that the test ends.
func onChannels(t testing.TB, db *kvdb.DB) *broker.Store {
	t.Helper()
	s := broker.New(db, broker.Options{})
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// say publishes a message and fails the test if it can't.
func say(t testing.TB, s *broker.Store, channel, message string) broker.Message {
	t.Helper()
	m, _, err := s.Publish(t.Context(), channel, []byte(message), "anna", "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPublish(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		name := string(db.Keys()) + "orders/eu:v1.2" // names of plain channels have no prefix
		first := say(t, s, name, ` {"n": 12345678901234567890.10} `)
		if first.N != 1 || first.By != "anna" || time.Since(first.At).Abs() > time.Minute {
			t.Errorf("%+v", first)
		}
		if second := say(t, s, name, "2"); second.N != 2 || second.ID == first.ID {
			t.Errorf("%+v", second)
		}
		got, err := s.Message(ctx, name, first.ID)
		if err != nil || string(got.Data) != ` {"n": 12345678901234567890.10} ` || got.By != "anna" || !got.At.Equal(first.At) {
			t.Errorf("%+v, %v", got, err)
		}
		for _, id := range []string{"", "x", "x-1", first.ID + "0"} {
			if _, err := s.Message(ctx, name, id); !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
		_, n, err := s.PublishTimes(ctx, name, []byte(`"again"`), "", "", 1000)
		if err != nil || n != 0 {
			t.Errorf("%d receivers, %v", n, err)
		}
		c, err := s.Channel(ctx, name)
		if err != nil || c.Published != 1002 || c.Length != 1002 || c.RatePerMinute < 1 || c.LastAt.IsZero() || !c.FirstAt.Equal(first.At) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestPublishToPlainSubscribers: who listens with Redis itself gets each message, and is counted.
func TestPublishToPlainSubscribers(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	s, ctx := onChannels(t, db), t.Context()
	plain := db.Client().Subscribe(ctx, "news")
	defer plain.Close()
	if _, err := plain.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	sub, err := s.Subscribe(ctx, "news", broker.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watching, err := s.Subscribe(ctx, "news", broker.SubscribeOptions{Watch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	if _, n, err := s.Publish(ctx, "news", []byte(`[1]`), "", ""); err != nil || n != 2 {
		t.Errorf("%d receivers, %v", n, err)
	}
	if m, err := plain.ReceiveMessage(ctx); err != nil || m.Payload != "[1]" || m.Channel != "news" {
		t.Errorf("%v, %v", m, err)
	}
	sub.Close()
	if _, n, err := s.Publish(ctx, "news", []byte(`[2]`), "", ""); err != nil || n != 1 {
		t.Errorf("%d receivers after one left, %v", n, err)
	}
}

func TestPublishOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		var all sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			all.Go(func() {
				m, _, err := s.Publish(ctx, "c", []byte(`"x"`), "", "op")
				if err != nil {
					t.Error(err)
				}
				ids[i] = m.ID
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("one operation has several messages: %v", ids)
			}
		}
		var other *broker.OpError
		if _, _, err := s.Publish(ctx, "c", []byte(`"y"`), "", "op"); !errors.As(err, &other) || !errors.Is(err, kvdb.ErrConflict) {
			t.Error(err)
		}
		if m := say(t, s, "c", `"y"`); m.N != 2 {
			t.Errorf("%+v", m)
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := broker.New(db, broker.Options{MaxPayload: 1000})
	defer s.Close(context.Background())
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	large := `"` + strings.Repeat("x", 1000) + `"`
	for _, c := range []struct {
		channel, message string
		times            int
	}{
		{"", "1", 1}, {"a b", "1", 1}, {"a{b}", "1", 1}, {"ä", "1", 1}, {strings.Repeat("a", 201), "1", 1},
		{"c", "", 1}, {"c", "{", 1}, {"c", "\"\xff\"", 1}, {"c", deep[:900], 1}, {"c", deep, 1}, {"c", large, 1}, {"c", "1 2", 1},
		{"c", "1", 0}, {"c", "1", 1001},
	} {
		_, _, err := s.PublishTimes(t.Context(), c.channel, []byte(c.message), "", "", c.times)
		if !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%.20q %.20q %d: %v", c.channel, c.message, c.times, err)
		}
	}
	if _, err := s.Channel(t.Context(), "c"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("what was refused made a channel: %v", err)
	}
	for _, name := range []string{"a", strings.Repeat("Z", 200), "-", "..", "a/b:c.d_e-f", "__proto__"} {
		if m := say(t, s, name, "null"); m.N != 1 {
			t.Errorf("%q: %+v", name, m)
		}
	}
}

// TestPublishTogether: many publishers at once, each in order, none lost.
func TestPublishTogether(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		const publishers, each = 20, 50
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				last := int64(0)
				for i := range each {
					m, _, err := s.Publish(ctx, "c", fmt.Appendf(nil, "[%d,%d]", p, i), "", "")
					if err != nil || m.N <= last {
						t.Errorf("%d after %d, %v", m.N, last, err)
						return
					}
					last = m.N
				}
			})
		}
		all.Wait()
		if c, err := s.Channel(ctx, "c"); err != nil || c.Published != publishers*each || c.Length != publishers*each {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
