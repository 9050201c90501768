package kvdb_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		serve(dir)
	}
	flag.Parse()
	// They wait for servers more than they work.
	_ = flag.Set("test.parallel", "16")
	kvtest.Main(m)
}

// opened counts the prefixes that open has given.
var opened atomic.Int64

func open(t testing.TB, url string) *kvdb.DB {
	t.Helper()
	db, err := kvdb.Open(kvdb.Config{URL: url, Prefix: fmt.Sprintf("open%d:", opened.Add(1))})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// must fails the test on an error that is none of those expected.
func must(t testing.TB, err error, expected ...error) {
	t.Helper()
	if err != nil && !slices.Contains(expected, err) {
		t.Fatal(err)
	}
}

// await polls until it is so.
func await(t testing.TB, cond func() bool) {
	t.Helper()
	kvtest.Await(t, "what is waited for", cond)
}
