package lua

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func wantText(t testing.TB, s *Store, name, want string) {
	t.Helper()
	if src, err := s.resolve(t.Context(), name); err != nil || src.Text != want || src.Name != name {
		t.Errorf("%s is %q, %v; want %q", name, src.Text, err, want)
	}
}

// TestResolve: own changes are used at once, those of others within a second, and a run costs no round trip.
func TestResolve(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		dir := t.TempDir()
		write(t, dir, map[string]string{"f": "return 'f'"})
		s, other := newStore(t, db, withClock(now), withDir(dir)), newStore(t, db, withClock(now))
		var trips atomic.Int64
		db.Client().AddHook(watch(func(...redis.Cmder) { trips.Add(1) }))
		mustPut(t, s, "a", "return 1")
		wantText(t, s, "a", "return 1")
		wantText(t, s, "f", "return 'f'")
		wantText(t, s, "kvdb.rename_if_exists", builtins["kvdb.rename_if_exists"].Text)
		before := trips.Load()
		for range 100 {
			wantText(t, s, "a", "return 1")
			wantText(t, s, "f", "return 'f'")
			wantText(t, s, "kvdb.rename_if_exists", builtins["kvdb.rename_if_exists"].Text)
		}
		if n := trips.Load() - before; n != 0 {
			t.Errorf("300 runs took %d round trips", n)
		}
		now.add(cacheFresh)
		for range 100 {
			wantText(t, s, "a", "return 1")
			wantText(t, s, "f", "return 'f'")
		}
		if n := trips.Load() - before; n != 1 {
			t.Errorf("200 runs a second later took %d round trips", n)
		}
		mustPut(t, s, "a", "return 2")
		wantText(t, s, "a", "return 2")
		mustPut(t, other, "a", "return 3")
		mustPut(t, other, "f", "return 'mine'")
		wantText(t, s, "a", "return 2")
		now.add(cacheFresh)
		wantText(t, s, "a", "return 3")
		wantText(t, s, "f", "return 'mine'")
		must(t, other.Delete(t.Context(), By{}, "a", -1))
		must(t, other.Delete(t.Context(), By{}, "f", -1))
		now.add(cacheFresh)
		if _, err := s.resolve(t.Context(), "a"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		wantText(t, s, "f", "return 'f'")
		write(t, dir, map[string]string{"f": "return 'new'"})
		s.files.scan()
		wantText(t, s, "f", "return 'new'")
		write(t, dir, map[string]string{"f": "return \xff"})
		s.files.scan()
		if _, err := s.resolve(t.Context(), "f"); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("a file that can't be run: %v", err)
		}
	})
}

// TestResolveTogether: those who ask at the same time share what is read, and it goes on without who leaves.
func TestResolveTogether(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	s := newStore(t, db)
	mustPut(t, s, "a", "return 1")
	must(t, db.Client().Ping(t.Context()).Err())
	var reads atomic.Int64
	db.Client().AddHook(watch(func(cmds ...redis.Cmder) { reads.Add(1) }))
	srv.Pause()
	impatient, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	left := make(chan error)
	go func() {
		_, err := s.resolve(impatient, "a")
		left <- err
	}()
	await(t, "the first asks", func() bool { return reads.Load() == 1 })
	for range 50 {
		wg.Go(func() { wantText(t, s, "a", "return 1") })
	}
	cancel()
	if err := <-left; !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("who has left gets %v", err)
	}
	srv.Resume()
	wg.Wait()
	if n := reads.Load(); n > 3 { // the version, the program, and once more where somebody comes between
		t.Errorf("51 who ask at once took %d round trips", n)
	}
}

// TestResolveAfterPut: who has changed a program runs the changed one, whoever else reads meanwhile.
func TestResolveAfterPut(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := newStore(t, db)
	mustPut(t, s, "a", "return -1")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = s.resolve(ctx, "a")
			}
		})
	}
	for i := range 100 {
		text := fmt.Sprintf("return %d", i)
		mustPut(t, s, "a", text)
		wantText(t, s, "a", text)
	}
	cancel()
	wg.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	set(t, &cacheMost, 10*(cacheCost+1000))
	db := kvtest.Open(t)
	s := newStore(t, db)
	text := func(i int) string { return fmt.Sprintf("return %d --%s", i, strings.Repeat("x", 900)) }
	for i := range 30 {
		mustPut(t, s, fmt.Sprint(i), text(i))
	}
	for range 2 {
		for i := range 30 {
			wantText(t, s, fmt.Sprint(i), text(i))
			if n := len(s.cache.sources); n > 11 || s.cache.bytes > cacheMost {
				t.Fatalf("%d programs of %d bytes are kept", n, s.cache.bytes)
			}
		}
	}
	if n := len(s.cache.sources); n < 8 {
		t.Errorf("%d programs are kept", n)
	}
	sum := 0
	for _, src := range s.cache.sources {
		sum += len(src.Text) + cacheCost
	}
	if sum != s.cache.bytes {
		t.Errorf("%d bytes are kept, counted as %d", sum, s.cache.bytes)
	}
}

// TestCacheAges: after a failover the version can be what it was, and the programs others.
func TestCacheAges(t *testing.T) {
	t.Parallel()
	now := newClock()
	db := kvtest.Open(t)
	s := newStore(t, db, withClock(now))
	mustPut(t, s, "a", "return 1")
	wantText(t, s, "a", "return 1")
	other := newStore(t, db, withClock(now))
	mustPut(t, other, "a", "return 2")
	must(t, db.Client().Decr(t.Context(), s.keys.Version()).Err())
	now.add(cacheFresh)
	wantText(t, s, "a", "return 1")
	now.add(cacheKept - cacheFresh - time.Millisecond)
	wantText(t, s, "a", "return 1")
	now.add(cacheFresh)
	wantText(t, s, "a", "return 2")
}
