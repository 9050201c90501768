package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// listen subscribes; the test closes it.
func listen(t testing.TB, s *broker.Store, channel string, o broker.SubscribeOptions) *broker.Subscription {
	t.Helper()
	sub, err := s.Subscribe(t.Context(), channel, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// next is what a subscriber gets next: the data of a message, or a gap.
func next(t testing.TB, sub *broker.Subscription) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	e, err := sub.Next(ctx)
	if err != nil {
		t.Fatalf("nothing comes: %v (%v)", err, sub.Trouble())
	}
	if e.Gap != nil {
		return fmt.Sprintf("gap %s %d", e.Gap.Reason, e.Gap.Missed)
	}
	return string(e.Data)
}

// wantNext wants these to come, in this order.
func wantNext(t testing.TB, sub *broker.Subscription, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(t, sub); got != w {
			t.Fatalf("%s comes, want %s", got, w)
		}
	}
}

// sayMany publishes the numbers of a range.
func sayMany(t testing.TB, s *broker.Store, channel string, from, to int) (messages []broker.Message) {
	t.Helper()
	for i := from; i <= to; i++ {
		messages = append(messages, say(t, s, channel, strconv.Itoa(i)))
	}
	return messages
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s := onChannels(t, db)
		early := listen(t, s, "c", broker.SubscribeOptions{}) // before the channel exists
		messages := sayMany(t, s, "c", 1, 5)
		now := listen(t, s, "c", broker.SubscribeOptions{})
		oldest := listen(t, s, "c", broker.SubscribeOptions{After: broker.FromOldest})
		after := listen(t, s, "c", broker.SubscribeOptions{After: messages[2].ID})
		sayMany(t, s, "c", 6, 7)
		wantNext(t, early, "1", "2", "3", "4", "5", "6", "7")
		wantNext(t, now, "6", "7")
		wantNext(t, oldest, "1", "2", "3", "4", "5", "6", "7")
		wantNext(t, after, "4", "5", "6", "7")
		for _, bad := range []broker.SubscribeOptions{{After: "x"}, {After: "x-y"}, {Subscriber: "a\nb"}} {
			if _, err := s.Subscribe(t.Context(), "c", bad); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// TestPositionsAreKept: who comes back under the same name goes on where they were, also in another process.
func TestPositionsAreKept(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, other := onChannels(t, db), onChannels(t, db)
		sayMany(t, s, "c", 1, 3)
		named := broker.SubscribeOptions{Subscriber: "billing 1"}
		sub := listen(t, s, "c", named)
		sayMany(t, s, "c", 4, 6)
		wantNext(t, sub, "4", "5")
		sub.Handled()
		wantNext(t, sub, "6") // that it was handled, nobody says
		sub.Close()
		sayMany(t, s, "c", 7, 8)
		c, err := s.Channel(t.Context(), "c")
		if err != nil || len(c.Subscribers) != 1 || c.Subscribers[0].Name != "billing 1" || c.Subscribers[0].Position != 5 ||
			c.Subscribers[0].Lag != 3 || c.Subscribers[0].Connected != 0 {
			t.Errorf("%+v, %v", c.Subscribers, err)
		}
		sub = listen(t, other, "c", named)
		wantNext(t, sub, "6", "7", "8")
		sub.Handled()
		// It is written down while the connection stands, too.
		kvtest.Await(t, "the position is kept", func() bool {
			c, err := s.Channel(t.Context(), "c")
			return err == nil && len(c.Subscribers) == 1 && c.Subscribers[0].Position == 8 && c.Subscribers[0].Connected == 1 && c.Connected == 1
		})
		if err := s.ForgetSubscriber(t.Context(), "c", "billing 1"); err != nil {
			t.Error(err)
		}
		if err := s.ForgetSubscriber(t.Context(), "c", "billing 1"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestGaps: what a subscriber has missed is said, with how much where that is known.
func TestGaps(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := onChannels(t, db), t.Context()
		log, state := db.Keys().Channel("c").Log(), db.Keys().Channel("c").State()
		messages := sayMany(t, s, "c", 1, 10)
		live := listen(t, s, "c", broker.SubscribeOptions{})
		if err := db.Client().XTrimMinID(ctx, log, "8").Err(); err != nil {
			t.Fatal(err)
		}
		wantNext(t, listen(t, s, "c", broker.SubscribeOptions{After: messages[2].ID}), "gap trimmed 4", "8", "9", "10")
		wantNext(t, listen(t, s, "c", broker.SubscribeOptions{After: broker.FromOldest}), "8", "9", "10")
		if err := db.Client().XTrimMaxLen(ctx, log, 0).Err(); err != nil {
			t.Fatal(err)
		}
		late := listen(t, s, "c", broker.SubscribeOptions{After: messages[2].ID})
		wantNext(t, late, "gap trimmed 7")
		say(t, s, "c", "11")
		wantNext(t, late, "11")
		wantNext(t, live, "11")

		// The newest are lost, as after a failover; the numbers are given again.
		if err := db.Client().Del(ctx, log).Err(); err != nil {
			t.Fatal(err)
		}
		if err := db.Client().HSet(ctx, state, "n", 9).Err(); err != nil {
			t.Fatal(err)
		}
		wantNext(t, live, "gap lost -1")
		say(t, s, "c", `"new 10"`)
		wantNext(t, live, `"new 10"`)
		wantNext(t, late, "gap lost -1") // it was at 11, so that 10 is among what it must look for elsewhere
		say(t, s, "c", "11")
		wantNext(t, late, "11")
		wantNext(t, live, "11")

		// All is gone: it begins anew.
		if err := db.Client().Del(ctx, log, state, db.Keys().Channel("c").Positions()).Err(); err != nil {
			t.Fatal(err)
		}
		sayMany(t, s, "c", 1, 30)
		wantNext(t, live, "gap anew -1", "1", "2")
		wantNext(t, listen(t, s, "c", broker.SubscribeOptions{After: messages[9].ID}), "gap anew -1", "1")
		if _, err := s.Messages(ctx, "c", broker.MessageFilter{Before: messages[5].ID}, "", 10); !errors.Is(err, kvdb.ErrInvalid) {
			t.Error(err)
		}

		// Only what tells the numbers is gone: the stream knows better.
		if err := db.Client().Del(ctx, state).Err(); err != nil {
			t.Fatal(err)
		}
		if m := say(t, s, "c", "31"); m.N != 31 {
			t.Errorf("%+v", m)
		}
	})
}

// TestSlowSubscriber: who is slower than what is kept in memory misses nothing and holds up nobody.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	s := onChannels(t, kvtest.Open(t))
	slow, quick := listen(t, s, "c", broker.SubscribeOptions{}), listen(t, s, "c", broker.SubscribeOptions{})
	const n = 4000
	for i := 1; i <= n; i += 1000 {
		if _, _, err := s.PublishTimes(t.Context(), "c", fmt.Appendf(nil, "%d", i), "", "", 1000); err != nil {
			t.Fatal(err)
		}
	}
	say(t, s, "c", "0")
	for _, sub := range []*broker.Subscription{quick, slow} {
		for i := range int64(n) {
			e, err := sub.Next(t.Context())
			if err != nil || e.Gap != nil || e.N != i+1 {
				t.Fatalf("%d: %+v, %v", i, e, err)
			}
		}
		wantNext(t, sub, "0")
	}
}

// TestSubscribersOutliveRedis: a subscription goes on when the server does, and nothing that it kept is missed.
func TestSubscribersOutliveRedis(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	db := server.DB(t)
	s := onChannels(t, db)
	sub := listen(t, s, "c", broker.SubscribeOptions{Subscriber: "x"})
	say(t, s, "c", "1")
	wantNext(t, sub, "1")
	server.Kill()
	if _, _, err := s.Publish(t.Context(), "c", []byte("2"), "", ""); !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
		t.Error(err)
	}
	waiting, cancel := context.WithCancel(t.Context())
	said := make(chan error)
	go func() {
		_, err := sub.Next(waiting)
		said <- err
	}()
	kvtest.Await(t, "the subscriber is told why nothing comes", func() bool { return errors.Is(sub.Trouble(), kvdb.ErrAway) })
	cancel()
	if err := <-said; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Subscribe(t.Context(), "c", broker.SubscribeOptions{}); !errors.Is(err, kvdb.ErrAway) {
		t.Error(err)
	}
	server.Restart()
	kvtest.Await(t, "Redis has loaded its data", func() bool { return db.Client().Ping(t.Context()).Err() == nil })
	say(t, s, "c", "3")
	wantNext(t, sub, "3")
	if err := sub.Trouble(); err != nil {
		t.Error(err)
	}
	server.Pause()
	waiting, cancel = context.WithCancel(t.Context())
	go func() {
		_, err := sub.Next(waiting)
		said <- err
	}()
	kvtest.Await(t, "the subscriber is told again", func() bool { return sub.Trouble() != nil })
	cancel()
	<-said
	server.Resume()
	say(t, s, "c", "4")
	wantNext(t, sub, "4")
}

// TestSubscriptionsEnd with the store, so that nobody waits for them at the end of the process.
func TestSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	s := broker.New(kvtest.Open(t), broker.Options{})
	ctx, stop := context.WithCancel(t.Context())
	s.Start(ctx)
	sub := listen(t, s, "c", broker.SubscribeOptions{})
	ended := make(chan error)
	go func() {
		_, err := sub.Next(context.Background())
		ended <- err
	}()
	stop()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := s.Subscribe(t.Context(), "c", broker.SubscribeOptions{}); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	sub.Close()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
