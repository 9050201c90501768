package lua

import (
	"log/slog"
	"os"
	"path/filepath"
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

// await polls until it is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	kvtest.Await(t, what, so)
}

// set changes a limit until the end of the test, which must not be parallel.
func set[T any](t testing.TB, limit *T, to T) {
	old := *limit
	*limit = to
	t.Cleanup(func() { *limit = old })
}

// clock is a time that only tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newStore returns a store that the test closes; options it changes as it likes.
func newStore(t testing.TB, db *kvdb.DB, options ...func(*Options)) *Store {
	t.Helper()
	var o Options
	for _, f := range options {
		f(&o)
	}
	s := New(db, o)
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return s
}

func withDir(dir string) func(*Options)     { return func(o *Options) { o.Dir = dir } }
func withClock(c *clock) func(*Options)     { return func(o *Options) { o.Now = c.now } }
func withLog(l *slog.Logger) func(*Options) { return func(o *Options) { o.Logger = l } }

// write makes program files: name without .lua, text.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, name+".lua"), []byte(text), 0o600))
	}
}

// mustPut uploads a program.
func mustPut(t testing.TB, s *Store, name, text string) Program {
	t.Helper()
	p, _, err := s.Put(t.Context(), By{Who: "setup"}, name, text, -1)
	must(t, err)
	return p
}
