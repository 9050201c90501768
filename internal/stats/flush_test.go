package stats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// While Redis is away for minutes, nothing is lost; after it, all is there once.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	c := newClock()
	s := newStore(t, srv.DB(t), c)
	s.Record("orders", time.Millisecond, false, "")
	flush(t, s)
	srv.Kill()
	for range 90 {
		c.add(time.Second)
		s.Record("orders", time.Millisecond, true, "")
	}
	if err := s.Flush(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Fatalf("with Redis away: %v", err)
	}
	if n := s.Counters(); n.Waiting != 90 || n.Dropped != 0 || n.LastErr == "" {
		t.Errorf("counters: %+v", n)
	}
	srv.Restart()
	kvtest.Await(t, "what waits is written", func() bool { return s.Flush(t.Context()) == nil })
	if n := s.Counters(); n.Waiting != 0 || n.Unknown != 0 || n.LastErr != "" {
		t.Errorf("counters: %+v", n)
	}
	if got := figures(t, s, "orders", whole(c)); got.Usage != 91 || got.Failed != 90 {
		t.Errorf("there are %d calls, %d failed", got.Usage, got.Failed)
	}
}

// A server that hangs answers late, when the same has been sent again: it counts once, wherever it was stopped.
func TestAnswersGetLost(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	c := newClock()
	s := newStore(t, srv.DB(t), c)
	total := int64(0)
	for round := range 4 {
		for range 10 {
			s.Record("orders", 2*time.Millisecond, false, fmt.Sprint("cid ", total))
			total++
		}
		if round%2 == 1 { // the minute before is rolled up meanwhile
			c.add(time.Minute)
		}
		srv.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := s.Flush(ctx); err == nil {
			t.Fatal("a server that hangs has answered")
		}
		cancel()
		srv.Resume()
		kvtest.Await(t, "it is written", func() bool { return s.Flush(t.Context()) == nil })
		flush(t, s)
	}
	if got := figures(t, s, "orders", whole(c)); got.Usage != total {
		t.Errorf("there are %d calls, want %d", got.Usage, total)
	}
	slow, err := s.Slow(t.Context(), SlowFilter{Service: "orders"}, 100)
	if must(t, err); int64(len(slow)) != total {
		t.Errorf("there are %d slow calls, want %d", len(slow), total)
	}
	if n := s.Counters(); n.Unknown != 0 || n.Dropped != 0 {
		t.Errorf("counters: %+v", n)
	}
}

// What a process that was killed had written is rolled up by another one, once. If it only seemed dead, it goes on under another
// name, and what nobody knows of is counted.
func TestDeadProcess(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		victim, heir := newStore(t, db, c), newStore(t, db, c)
		record := func(s *Store, service string, n int) {
			for range n {
				s.Record(service, time.Millisecond, false, "")
			}
		}
		record(victim, "orders", 10)
		record(victim, "bills", 5)
		flush(t, victim)
		record(victim, "orders", 3) // are not written yet
		must(t, db.Client().Del(t.Context(), db.Keys().Stats().Alive(victim.process)).Err())
		record(heir, "orders", 1)
		flush(t, heir)
		c.add(2 * time.Minute)
		flush(t, heir)
		if got := figures(t, heir, "orders", whole(c)).Usage; got != 11 {
			t.Errorf("there are %d calls, want 11", got)
		}
		if live := liveRecords(t, heir, "orders"); len(live) != 0 {
			t.Errorf("still live: %v", live)
		}
		before := victim.process
		record(victim, "fresh", 4)
		flush(t, victim)
		flush(t, victim)
		if victim.process == before || victim.Counters().Unknown != 3 {
			t.Errorf("the process that was not dead: same name %v, %+v", victim.process == before, victim.Counters())
		}
		record(victim, "orders", 2)
		flush(t, victim)
		for service, want := range map[string]int64{"orders": 13, "bills": 5, "fresh": 4} {
			if got := figures(t, heir, service, whole(c)).Usage; got != want {
				t.Errorf("%s has %d calls, want %d", service, got, want)
			}
		}
	})
}

// liveRecords are the fields of records that are not rolled up.
func liveRecords(t *testing.T, s *Store, service string) (list []string) {
	t.Helper()
	all, err := s.db.Client().HGetAll(t.Context(), s.keys.Service(service).Live()).Result()
	must(t, err)
	for field := range all {
		if _, _, ok := parseLive(field); ok {
			list = append(list, field)
		}
	}
	return list
}

// Who closes leaves nothing that somebody else would have to roll up.
func TestClose(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := New(db, Options{})
		s.Start(t.Context())
		s.Record("orders", time.Millisecond, false, "")
		kvtest.Await(t, "it is written by itself", func() bool { return s.Counters().Waiting == 0 && len(liveRecords(t, s, "orders")) == 1 })
		s.Record("orders", time.Millisecond, false, "")
		must(t, s.Close(t.Context()))
		if live := liveRecords(t, s, "orders"); len(live) != 0 {
			t.Errorf("still live: %v", live)
		}
		if n := db.Client().Exists(t.Context(), s.keys.Writers()).Val(); n != 0 {
			t.Error("it is still a writer")
		}
		after := New(db, Options{})
		report, err := after.Services(t.Context(), Range{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)}, ServicesOptions{})
		if must(t, err); len(report.Items) != 1 || report.Items[0].Usage != 2 {
			t.Errorf("%+v", report.Items)
		}
	})
}

// However many names there are, memory doesn't grow with them, here or in Redis; those known before keep counting.
func TestMillionNames(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := newClock()
	s := newStore(t, db, c)
	s.Record("orders", time.Millisecond, false, "")
	flush(t, s)
	const names = 1_000_000
	for i := range names {
		s.Record(fmt.Sprint("junk ", i), time.Millisecond, false, "")
		if i%100_000 == 0 {
			flush(t, s)
		}
	}
	s.Record("orders", time.Millisecond, false, "")
	s.Record(strings.Repeat("x", MaxName+1), time.Millisecond, false, "")
	s.Record("", time.Millisecond, false, "")
	flush(t, s)
	known, err := s.Names(t.Context())
	if must(t, err); len(known) > MaxServices+1 {
		t.Errorf("there are %d names", len(known))
	}
	if n := s.rec.cells.Load(); n > MaxServices+1 {
		t.Errorf("there are %d cells", n)
	}
	report, err := s.Services(t.Context(), whole(c), ServicesOptions{Limit: 1})
	must(t, err)
	if report.All.Usage != names+4 || !report.Others || report.Items[0].Service != Other {
		t.Errorf("%d calls, others %v, most in %q", report.All.Usage, report.Others, report.Items[0].Service)
	}
	if n := s.Counters().Unnamed; n != report.Items[0].Usage || n < names-2*MaxServices {
		t.Errorf("%d calls are said to be without a name, and %d are", n, report.Items[0].Usage)
	}
	if got := figures(t, s, "orders", whole(c)).Usage; got != 2 {
		t.Errorf("orders has %d calls", got)
	}
	// Another process knows none of the names. What it calls them counts for those there are.
	other := newStore(t, db, c)
	other.Record("orders", time.Millisecond, false, "")
	other.Record("too late", time.Millisecond, false, "")
	flush(t, other)
	if got := figures(t, s, "orders", whole(c)).Usage; got != 3 {
		t.Errorf("orders has %d calls", got)
	}
	if n := other.Counters().Unnamed; n != 1 {
		t.Errorf("%d calls of the other process have no name", n)
	}
}

// A clock that jumps, forth or back, loses and doubles nothing.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := newClock()
	s := newStore(t, db, c)
	jumps := []time.Duration{0, 3 * time.Hour, -3 * time.Hour, -26 * time.Hour, 26 * time.Hour, -time.Minute,
		time.Minute, -time.Second, 40 * day, -40 * day}
	for _, jump := range jumps {
		c.add(jump)
		for range 3 {
			s.Record("orders", time.Millisecond, false, "")
			flush(t, s)
			s.Record("orders", time.Millisecond, false, "")
		}
	}
	c.add(time.Minute)
	flush(t, s)
	c.add(41 * day)
	flush(t, s)
	if got := figures(t, s, "orders", whole(c)).Usage; got != int64(6*len(jumps)) {
		t.Errorf("there are %d calls, want %d", got, 6*len(jumps))
	}
}

// The buffer is bounded: what finds no room is counted, and batches are refused.
func TestBufferIsBounded(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	c := newClock()
	s := newStore(t, srv.DB(t), c)
	srv.Kill()
	var batch []Sample
	for i := range maxOpen/2 - 1 { // each has one of All beside it
		batch = append(batch, Sample{Service: "orders", At: c.now().Add(-time.Duration(i) * time.Minute)})
	}
	accepted, _, err := s.RecordSamples(t.Context(), batch)
	if must(t, err); accepted != len(batch) {
		t.Fatalf("%d were accepted", accepted)
	}
	if _, _, err := s.RecordSamples(t.Context(), batch[:3]); !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
		t.Errorf("a batch without room: %v", err)
	}
	for range 10 {
		s.Record("more", time.Millisecond, false, "")
		s.Record("still more", time.Millisecond, false, "")
		s.Record("most", time.Millisecond, false, "")
	}
	if err := s.Flush(t.Context()); err == nil {
		t.Error("Redis is away, and it was written")
	}
	if n := s.Counters(); n.Dropped != 10 || n.Waiting != int64(len(batch))+20 {
		t.Errorf("counters: %+v", n)
	}
}

func TestRejectedSamples(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := newClock()
	s := newStore(t, db, c)
	now := c.now()
	list := []Sample{
		{Service: "a", Took: time.Second},
		{Took: time.Second},
		{Service: strings.Repeat("é", MaxName), Took: 0, At: now.Add(-MaxPast)},
		{Service: strings.Repeat("é", MaxName+1)},
		{Service: "a", Took: -1},
		{Service: "a", Took: MaxDuration, At: now.Add(MaxFuture)},
		{Service: "a", Took: MaxDuration + 1},
		{Service: "a", At: now.Add(-MaxPast - 1)},
		{Service: "a", At: now.Add(MaxFuture + 1)},
		{Service: "a", CID: strings.Repeat("c", MaxCID+1)},
		{Service: "\xff"},
	}
	accepted, rejected, err := s.RecordSamples(t.Context(), list)
	must(t, err)
	var wrong []int
	for _, r := range rejected {
		if wrong = append(wrong, r.Index); r.Reason == "" {
			t.Errorf("no reason for %d", r.Index)
		}
	}
	if accepted != 3 || fmt.Sprint(wrong) != "[1 3 4 6 7 8 9 10]" {
		t.Errorf("accepted %d, rejected %v", accepted, rejected)
	}
	flush(t, s)
	if got := figures(t, s, "a", whole(c)); got.Usage != 2 || got.Max != MaxDuration {
		t.Errorf("%+v", got)
	}
}
