package trail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webadmin/internal/audit"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

// clock stands still unless a test moves it.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newBurst(t *testing.T, db *kvdb.DB, window time.Duration) (*Burst, *clock) {
	t.Helper()
	c := newClock()
	b := NewBurst(Trail{Log: audit.New(db, c.now), Logger: slog.New(slog.DiscardHandler)})
	b.now, b.window = c.now, window
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b, c
}

func done() (string, string, error) { return "", "", nil }

// lines is the log, as "object outcome detail", oldest first.
func lines(t *testing.T, b *Burst) (all []string) {
	t.Helper()
	items, _, err := b.trail.Log.List(t.Context(), audit.Filter{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(items)
	for _, r := range items {
		all = append(all, strings.TrimSpace(r.Object+" "+r.Outcome+" "+r.Detail))
	}
	return all
}

func await(t *testing.T, so func() bool) {
	t.Helper()
	kvtest.Await(t, "the records are there", so)
}

func closeIt(t *testing.T, b *Burst) {
	t.Helper()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func times(n int, s string) []string { return slices.Repeat([]string{s}, n) }

func TestBurst(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		b, c := newBurst(t, db, time.Hour)
		run := func(object string, n int, change func() (string, string, error)) {
			for range n {
				_ = b.Do(t.Context(), "lua.run", object, change)
			}
		}
		run("a", 10, done)
		if got := lines(t, b); !slices.Equal(got, times(10, "a done")) {
			t.Errorf("ten: %q", got)
		}
		c.advance(time.Second)
		run("a", 5, done) // refilled
		run("a", 1200, done)
		run("a", 3, func() (string, string, error) { return "", "", kvdb.ErrConflict })
		if got := lines(t, b); len(got) != 15 {
			t.Errorf("before the end of the window: %d records", len(got))
		}
		run("b", 11, done)
		run("b", 2, func() (string, string, error) { return "", "", &kvdb.UnknownError{Err: errors.New("gone")} })
		for range 12 {
			_ = b.Do(t.Context(), "lua.run", "c", func() (string, string, error) { return "", "", kvdb.ErrInvalid })
		}
		closeIt(t, b)
		run("a", 1, done)
		got := lines(t, b)
		slices.SortStableFunc(got, func(x, y string) int { return cmp.Compare(x[:1], y[:1]) })
		var want []string
		want = append(want, times(15, "a done")...)
		want = append(want, "a done 1,203 further: 1,200 done, 3 failed, 0 unknown", "a done")
		want = append(want, times(10, "b done")...)
		want = append(want, "b unknown 3 further: 1 done, 0 failed, 2 unknown")
		want = append(want, times(10, "c failed Some of the input is not valid.")...)
		want = append(want, "c failed 2 further: 0 done, 2 failed, 0 unknown")
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestBurstWindow: a summary ends by itself, and not before the changes that it counts.
func TestBurstWindow(t *testing.T) {
	t.Parallel()
	b, _ := newBurst(t, kvtest.Open(t), 20*time.Millisecond)
	for range 10 {
		_ = b.Do(t.Context(), "v", "o", done)
	}
	release := make(chan struct{})
	var slow sync.WaitGroup
	slow.Go(func() {
		_ = b.Do(t.Context(), "v", "o", func() (string, string, error) { <-release; return "", "", nil })
	})
	var sum *summary
	await(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for s := range b.summaries {
			sum = s
		}
		return sum != nil && sum.shut
	})
	if got := lines(t, b); len(got) != 10 {
		t.Errorf("%q", got)
	}
	close(release)
	slow.Wait()
	await(t, func() bool { return len(lines(t, b)) == 11 })
	if got := lines(t, b)[10]; got != "o done 1 further: 1 done, 0 failed, 0 unknown" {
		t.Error(got)
	}
}

// TestBurstAtOnce: whoever comes while a summary is begun waits for that, and each change is counted once.
func TestBurstAtOnce(t *testing.T) {
	t.Parallel()
	b, _ := newBurst(t, kvtest.Open(t), 5*time.Millisecond)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 40 {
				_ = b.Do(t.Context(), "v", "o", done)
			}
		})
	}
	wg.Wait()
	closeIt(t, b)
	total := 0
	for _, line := range lines(t, b) {
		n := 1
		_, _ = fmt.Sscanf(strings.ReplaceAll(line, ",", ""), "o done %d further", &n)
		total += n
	}
	if total != 2000 {
		t.Errorf("%d changes are recorded, 2000 were made", total)
	}
}

// TestBurstWithoutLog: no change is made that can't be recorded, and what is open when the process dies comes to light.
func TestBurstWithoutLog(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	b, c := newBurst(t, srv.DB(t), time.Hour)
	made := 0
	do := func() error {
		return b.Do(t.Context(), "v", "o", func() (string, string, error) { made++; return "", "", nil })
	}
	for range 10 {
		_ = do()
	}
	srv.Kill()
	for range 3 {
		if err := do(); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("without the log: %v", err)
		}
	}
	if made != 10 {
		t.Errorf("%d were made", made)
	}
	srv.Restart()
	await(t, func() bool { return do() == nil })
	if got := len(lines(t, b)); got != made {
		t.Errorf("after a failure each has its own record: %d of %d", got, made)
	}
	c.advance(b.window)
	for range 20 {
		_ = do()
	}
	before := len(lines(t, b))
	c.advance(3 * time.Minute)
	if err := b.trail.Log.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	items, _, err := b.trail.Log.List(t.Context(), audit.Filter{}, "", 1)
	if err != nil || len(lines(t, b)) != before+1 || items[0].Outcome != audit.Unknown || items[0].After != summaryText {
		t.Errorf("the process died: %+v, %v", items, err)
	}

	// The end of a summary fails.
	c.advance(time.Hour)
	srv.Kill()
	closing, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Close(closing); err != nil {
		t.Error(err)
	}
	srv.Restart()
}

// TestManyKinds: the memory for kinds of change has a bound.
func TestManyKinds(t *testing.T) {
	t.Parallel()
	b, c := newBurst(t, kvtest.Open(t), time.Hour)
	for i := range maxStreams + 50 {
		if err := b.Do(t.Context(), "v", fmt.Sprint(i), done); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.streams); n != maxStreams {
		t.Errorf("%d kinds", n)
	}
	c.advance(time.Minute)
	_ = b.Do(t.Context(), "v", "new", done)
	if n := len(b.streams); n != 1 {
		t.Errorf("%d kinds after a minute", n)
	}
}
