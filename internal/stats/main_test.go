package stats

import (
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is a time that only tests move. Redis goes by its own: it starts at the real one, in the middle of an hour of a day that is
// neither the first nor the last of its month.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock {
	now := time.Now().UTC()
	return &clock{at: time.Date(now.Year()+1, 5, 15, 13, 37, 20, 0, time.UTC)}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// newStore returns a store that writes only when the test says so.
func newStore(t testing.TB, db *kvdb.DB, c *clock) *Store {
	t.Helper()
	return New(db, Options{Now: c.now})
}

func flush(t testing.TB, s *Store) {
	t.Helper()
	must(t, s.Flush(t.Context()))
}

// whole is a range that holds all that tests record.
func whole(c *clock) Range { return Range{c.now().Add(-100 * day), c.now().Add(time.Hour)} }

// figures returns those of one service.
func figures(t testing.TB, s *Store, service string, r Range) Figures {
	t.Helper()
	report, err := s.Service(t.Context(), service, r, nil)
	must(t, err)
	return report.Items[0].Figures
}
