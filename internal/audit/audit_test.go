package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// all returns the whole log, newest first.
func all(t *testing.T, l *Log) []Record {
	t.Helper()
	items, next, err := l.List(t.Context(), Filter{}, "", maxLimit)
	if err != nil || next != "" {
		t.Fatalf("List: next %q, error %v", next, err)
	}
	return items
}

func wantRecords(t *testing.T, l *Log, want []Record) {
	t.Helper()
	if diff := cmp.Diff(want, all(t, l), cmpopts.IgnoreFields(Record{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// wantPending checks how many changes are pending.
func wantPending(t *testing.T, l *Log, want int64) {
	t.Helper()
	notes, err1 := l.db.Client().HLen(t.Context(), l.keys.Pending()).Result()
	since, err2 := l.db.Client().ZCard(t.Context(), l.keys.PendingSince()).Result()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if notes != want || since != want {
		t.Errorf("pending: got %d notes and %d times, want %d", notes, since, want)
	}
}

func begin(t *testing.T, l *Log, r Record) *Pending {
	t.Helper()
	p, err := l.Begin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var sample = Record{Actor: "ann", Address: "192.0.2.1", CID: "c1", Verb: "entry.update", Object: "CRM/COUNTRY_CODE/AW"}

func TestBeginAndEnd(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		l := New(db, c.now)
		p := begin(t, l, sample)
		wantRecords(t, l, nil)
		wantPending(t, l, 1)
		c.advance(3 * time.Second)
		for range 3 {
			if err := p.End(t.Context(), Done, "AW", "ABW", "renamed"); err != nil {
				t.Fatal(err)
			}
		}
		want := sample
		want.At, want.Before, want.After, want.Outcome, want.Detail = c.now(), "AW", "ABW", Done, "renamed"
		wantRecords(t, l, []Record{want})
		wantPending(t, l, 0)
	})
}

func TestEndConcurrently(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		l := New(db, newClock().now)
		p := begin(t, l, sample)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := p.End(t.Context(), Failed, "", "", ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(all(t, l)); n != 1 {
			t.Errorf("got %d records, want 1", n)
		}
	})
}

// TestEndAfterItsAnswerWasLost repeats an End that arrived, though nobody knew.
func TestEndAfterItsAnswerWasLost(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	p := begin(t, l, sample)
	r := p.rec
	r.Outcome = Done
	if _, err := l.write(t.Context(), p.id, r); err != nil {
		t.Fatal(err)
	}
	p.tried = true
	if err := p.End(t.Context(), Done, "", "", ""); err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, l)); n != 1 {
		t.Errorf("got %d records, want 1", n)
	}
}

func TestEndAfterTheCallerLeft(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	p := begin(t, l, sample)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.End(ctx, Done, "", "", ""); err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, l)); n != 1 {
		t.Errorf("got %d records, want 1", n)
	}
}

func TestBeginFailsClosed(t *testing.T) {
	srv := kvtest.NewServer(t)
	l := New(srv.DB(t), newClock().now)
	p := begin(t, l, sample)
	srv.Kill()
	if _, err := l.Begin(t.Context(), sample); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("Begin without Redis: got %v, want ErrAway", err)
	}
	if err := p.End(t.Context(), Done, "", "", ""); err == nil {
		t.Error("End without Redis: got no error")
	}
	if err := l.Write(t.Context(), Record{Verb: "v", Outcome: Done}); err == nil {
		t.Error("Write without Redis: got no error")
	}
	if _, _, err := l.List(t.Context(), Filter{}, "", 0); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("List without Redis: got %v, want ErrAway", err)
	}
	if err := l.Sweep(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("Sweep without Redis: got %v, want ErrAway", err)
	}
}

func TestBeginWhenItTimesOutIsNotUnknown(t *testing.T) {
	srv := kvtest.NewServer(t)
	l := New(srv.DB(t), newClock().now)
	begin(t, l, sample) // the connection is open, so that the next one is sent
	srv.Pause()
	defer srv.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := l.Begin(ctx, sample)
	if !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
		t.Errorf("got %v, want ErrAway", err)
	}
}

func TestWithFullMemory(t *testing.T) {
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	l := New(db, newClock().now)
	p := begin(t, l, sample)
	if err := db.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := p.End(t.Context(), Done, "", "", ""); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("End: got %v, want ErrAway", err)
	}
	wantPending(t, l, 1)
	if err := db.Client().ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	c.advance(time.Hour)
	if err := New(db, c.now).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := all(t, l); len(got) != 1 || got[0].Outcome != Unknown {
		t.Errorf("after the sweep: got %+v, want one unknown", got)
	}
}

func TestWriteRefuses(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	for _, r := range []Record{{}, {Verb: "v"}, {Verb: "v", Outcome: "ok"}, {Outcome: Done}} {
		if err := l.Write(t.Context(), r); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("Write(%+v): got %v, want ErrInvalid", r, err)
		}
	}
	if _, err := l.Begin(t.Context(), Record{Actor: "ann"}); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("Begin without a verb: got %v, want ErrInvalid", err)
	}
	wantRecords(t, l, nil)
}

func TestSweep(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		l := New(db, c.now)
		begun := c.now()
		old := begin(t, l, sample)
		for range sweepStep + 1 {
			begin(t, l, Record{Verb: "many"})
		}
		c.advance(time.Second)
		young := begin(t, l, Record{Verb: "young"})
		c.advance(pendingFor - time.Second)

		var wg sync.WaitGroup
		for range 3 { // as several replicas do
			wg.Go(func() {
				if err := New(db, c.now).Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantPending(t, l, 1)
		items := all(t, l)
		if len(items) != sweepStep+2 {
			t.Fatalf("got %d records, want %d", len(items), sweepStep+2)
		}
		found := map[string]Record{}
		for _, r := range items {
			found[r.Verb] = r
		}
		want := sample
		want.At, want.Outcome = c.now(), Unknown
		want.Detail = "Begun at " + begun.Format(time.RFC3339) + "; no outcome was reported within 2 minutes."
		if diff := cmp.Diff(want, found[sample.Verb], cmpopts.IgnoreFields(Record{}, "ID")); diff != "" {
			t.Errorf("swept record (-want +got):\n%s", diff)
		}

		if err := young.End(t.Context(), Done, "", "", ""); err != nil {
			t.Fatal(err)
		}
		if err := old.End(t.Context(), Done, "b", "a", "took long"); err != nil {
			t.Fatal(err)
		}
		got := all(t, l)
		if len(got) != sweepStep+4 {
			t.Fatalf("got %d records, want %d", len(got), sweepStep+4)
		}
		if want := "Reported late, recorded as unknown before. took long"; got[0].Outcome != Done || got[0].Detail != want {
			t.Errorf("late end: got %+v, want the detail %q", got[0], want)
		}
	})
}

func TestSweepOfDamagedNotes(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	begin(t, l, sample)
	ids, err := l.db.Client().HKeys(t.Context(), l.keys.Pending()).Result()
	if err != nil {
		t.Fatal(err)
	}
	damage := func(id string, body any) {
		t.Helper()
		err := errors.Join(
			l.db.Client().HSet(t.Context(), l.keys.Pending(), id, body).Err(),
			l.db.Client().ZAdd(t.Context(), l.keys.PendingSince(), redis.Z{Score: 0, Member: id}).Err())
		if err != nil {
			t.Fatal(err)
		}
	}
	damage(ids[0], "{")
	damage("other", "{}")
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range all(t, l) {
		if r.Outcome != Unknown || r.Verb != "audit.sweep" {
			t.Errorf("got %+v", r)
		}
	}
	wantPending(t, l, 0)
}

func TestIDsGrowThoughClocksDiffer(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		l := New(db, c.now)
		for _, d := range []time.Duration{0, 0, -time.Hour, -time.Second, 2 * time.Hour} {
			c.advance(d)
			if err := l.Write(t.Context(), Record{Verb: "v", Outcome: Done}); err != nil {
				t.Fatal(err)
			}
		}
		items := all(t, l)
		if len(items) != 5 {
			t.Fatalf("got %d records, want 5", len(items))
		}
		if got, want := items[0].ID, fmt.Sprintf("%d-0", c.now().UnixMilli()); got != want {
			t.Errorf("last ID: got %s, want %s", got, want)
		}
		if got, want := items[1].At, c.now().Add(-2*time.Hour); !got.Equal(want) {
			t.Errorf("time by the clock that was behind: got %v, want %v", got, want)
		}
	})
}

func TestTrim(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		l := New(db, c.now)
		l.maxRecords = 5
		write := func(n int) {
			t.Helper()
			for range n {
				if err := l.Write(t.Context(), Record{Verb: "v", Object: fmt.Sprint(n), Outcome: Done}); err != nil {
					t.Fatal(err)
				}
			}
		}
		trimmed := func(want int) {
			t.Helper()
			if err := l.Trim(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(all(t, l)); got != want {
				t.Errorf("got %d records, want %d", got, want)
			}
		}
		trimmed(0)
		write(2)
		c.advance(maxAge)
		trimmed(2)
		write(1)
		c.advance(time.Millisecond)
		trimmed(1)
		write(9)
		trimmed(5)
		c.advance(2 * maxAge)
		trimmed(0)
		c.advance(-2 * maxAge) // an empty stream remembers its last ID
		write(1)
		trimmed(1)
	})
}

// TestMemoryIsBounded checks that the log cannot outgrow its size when nobody trims it.
func TestMemoryIsBounded(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	l.maxRecords = 100
	for range 1000 {
		if err := l.Write(t.Context(), Record{Verb: "v", Outcome: Done}); err != nil {
			t.Fatal(err)
		}
	}
	n, err := l.db.Client().XLen(t.Context(), l.keys.Records()).Result()
	if err != nil || n > 300 {
		t.Errorf("got %d records, want about 100 (%v)", n, err)
	}
}

func TestCut(t *testing.T) {
	euros := strings.Repeat("€", 1000) // 3 bytes each
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"whole", strings.Repeat("a", maxText), strings.Repeat("a", maxText)},
		{"one too many", strings.Repeat("a", maxText+1), strings.Repeat("a", maxText-22) + " … (cut, 2049 bytes)"},
		{"between characters", euros, strings.Repeat("€", 675) + " … (cut, 3000 bytes)"},
		{"no text", "a\xffb", "a\uFFFDb"},
	} {
		if got := cut(tc.in); got != tc.want {
			t.Errorf("%s: got %d bytes %q…, want %d bytes", tc.name, len(got), got[max(0, len(got)-40):], len(tc.want))
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a", 3000)
	f.Add("€", 1000)
	f.Add("a\xff", 1500)
	f.Add("\xf0\x9f\x98", 900)
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := cut(strings.Repeat(s, max(0, n%4000)))
		if len(got) > maxText || !utf8.ValidString(got) {
			t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		if again := cut(got); again != got {
			t.Error("cutting twice is not cutting once")
		}
	})
}

// TestRecordsAreCut also checks that the longest texts come back as they were cut.
func TestRecordsAreCut(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	long := strings.Repeat("x", 10_000)
	p := begin(t, l, Record{Actor: long, Address: long, Verb: long, Object: long})
	if err := p.End(t.Context(), Done, long, long, long); err != nil {
		t.Fatal(err)
	}
	r := all(t, l)[0]
	for _, s := range []string{r.Actor, r.Address, r.Verb, r.Object, r.Before, r.After, r.Detail} {
		if s != cut(long) {
			t.Errorf("got %d bytes, want them cut", len(s))
		}
	}
}
