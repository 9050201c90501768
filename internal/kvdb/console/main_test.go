package console_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// open opens a console, and a session in it.
func open(t testing.TB, db *kvdb.DB, role string, o console.Options) (*console.Console, *console.Session) {
	t.Helper()
	c := console.New(db, o)
	t.Cleanup(c.Close)
	return c, must(c.Open("ann", role))(t)
}

// do runs one line, confirmed if it has to be.
func do(t testing.TB, s *console.Session, line string) console.Result {
	t.Helper()
	return doIn(t.Context(), t, s, line)
}

func doIn(ctx context.Context, t testing.TB, s *console.Session, line string) console.Result {
	t.Helper()
	commands := must(console.Parse(line))(t)
	if len(commands) != 1 {
		t.Fatalf("%q is %d commands", line, len(commands))
	}
	return s.Do(ctx, commands[0], console.RunOptions{Confirm: commands[0].Args[0]})
}

// prints runs a line and compares what is printed.
func prints(t testing.TB, s *console.Session, line, want string) {
	t.Helper()
	if r := do(t, s, line); r.Err != nil || strings.TrimSuffix(r.Text(false), "\n") != want {
		t.Errorf("%s: %q, %v, want %q", line, r.Text(false), r.Err, want)
	}
}

// await polls until it is so.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	kvtest.Await(t, what, cond)
}

// clients counts the connections of the server of which the line of CLIENT LIST has the words.
func clients(t testing.TB, db *kvdb.DB, words ...string) (n int) {
	t.Helper()
	for line := range strings.Lines(must(db.Client().ClientList(t.Context()).Result())(t)) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// syncBuffer is a buffer that one writes while another reads.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
