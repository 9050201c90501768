package lua

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// children are the processes that one has started and that run.
func children(t testing.TB, pid int) (list []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// 123 (redis-server) S 122 …
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) > 1 && f[1] == strconv.Itoa(pid) && f[0] != "Z" {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			list = append(list, n)
		}
	}
	return list
}

func digestOf(t testing.TB, db *kvdb.DB) string {
	t.Helper()
	keys, err := db.Client().Keys(t.Context(), "*").Result()
	must(t, err)
	s := ""
	for _, key := range keys {
		if strings.Contains(key, "debuglock") || strings.Contains(key, "{lua}") {
			continue
		}
		dump, err := db.Client().Dump(t.Context(), key).Result()
		must(t, err)
		s += key + "=" + dump + ";"
	}
	return s
}

func fileOf(t testing.TB, srv *kvtest.Server) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(srv.Dir(), "dump.rdb"))
	must(t, err)
	return string(text)
}

// The server for copies ends with the store, and leaves nothing behind.
func TestScratchEnds(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	srv, err := s.bench.scratch.take(t.Context())
	must(t, err)
	s.bench.scratch.give()
	again, err := s.bench.scratch.take(t.Context())
	must(t, err)
	if again != srv {
		t.Error("it was started twice")
	}
	must(t, srv.cmd.Process.Kill())
	<-srv.exited
	s.bench.scratch.give()
	again, err = s.bench.scratch.take(t.Context())
	must(t, err)
	if again == srv {
		t.Error("one that died was not started again")
	}
	s.bench.scratch.give()
	must(t, s.Close(t.Context()))
	<-again.exited
	for _, dir := range []string{srv.dir, again.dir} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
	if _, err := s.bench.scratch.take(t.Context()); err == nil {
		t.Error("it starts after Close")
	}
}
