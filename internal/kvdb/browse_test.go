package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// eachAlone runs a test on a server and on a cluster of its own.
func eachAlone(t *testing.T, test func(t *testing.T, db *kvdb.DB)) {
	t.Helper()
	t.Run("single", func(t *testing.T) { t.Parallel(); test(t, kvtest.NewServer(t).DB(t)) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); test(t, open(t, newCluster(t))) })
}

// newCluster starts three masters that have about a third of the slots each, one of them in two pieces.
func newCluster(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	var nodes []*redis.Client
	var urls []string
	for range 3 {
		srv, _ := newServer(t, "empty cluster")
		nodes = append(nodes, open(t, srv.URL()).Client().(*redis.Client))
		urls = append(urls, "127.0.0.1:"+srv.Port())
	}
	for i, ranges := range [][][2]int{{{0, 5000}, {16000, 16383}}, {{5001, 11000}}, {{11001, 15999}}} {
		must(t, nodes[i].Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		for _, r := range ranges {
			must(t, nodes[i].ClusterAddSlotsRange(ctx, r[0], r[1]).Err())
		}
		must(t, nodes[i].ClusterMeet(ctx, "127.0.0.1", strings.TrimPrefix(urls[0], "127.0.0.1:")).Err())
	}
	for _, n := range nodes {
		await(t, func() bool {
			info := n.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:3")
		})
	}
	return "redis-cluster://" + strings.Join(urls, ",")
}

// flush empties all masters.
func flush(t testing.TB, db *kvdb.DB) {
	t.Helper()
	if client, ok := db.Client().(*redis.ClusterClient); ok {
		must(t, client.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }))
		return
	}
	must(t, db.Client().FlushAll(t.Context()).Err())
}

// manyKeys sets n strings.
func manyKeys(t testing.TB, db *kvdb.DB, n int, name func(i int) string) {
	t.Helper()
	for from := 0; from < n; from += 10_000 {
		_, err := db.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := from; i < min(n, from+10_000); i++ {
				p.Set(t.Context(), name(i), "v", 0)
			}
			return nil
		})
		must(t, err)
	}
}

// keysOf pages through a list, calls each between the pages, and returns how often each key came.
func keysOf(t testing.TB, db *kvdb.DB, role string, q kvdb.KeyQuery, each func(kvdb.KeyPage)) map[string]int {
	t.Helper()
	names := map[string]int{}
	for pages := 0; ; pages++ {
		page, err := db.ListKeys(t.Context(), role, q)
		must(t, err)
		if len(page.Items) > q.Limit {
			t.Errorf("%d keys on a page, %d at most", len(page.Items), q.Limit)
		}
		on := map[string]bool{}
		for _, key := range page.Items {
			if on[key.Name] {
				t.Errorf("%q is there twice on a page", key.Name)
			}
			on[key.Name] = true
			names[key.Name]++
		}
		if each != nil {
			each(page)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return names
		}
		if len(q.Cursor) > 4000 || pages > 100_000 {
			t.Fatalf("the cursor has %d characters, page %d", len(q.Cursor), pages)
		}
	}
}

func TestListKeys(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		manyKeys(t, db, 100_000, func(i int) string { return fmt.Sprintf("k:%d:%d", i%10, i) })
		for _, limit := range []int{1000, 77} {
			var last kvdb.KeyPage
			got := keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: limit}, func(p kvdb.KeyPage) {
				if p.Looked < last.Looked || p.Looked > 100_000 || p.About != 100_000 {
					t.Errorf("looked at %d of %d, before %d", p.Looked, p.About, last.Looked)
				}
				last = p
			})
			if len(got) != 100_000 || last.Looked != 100_000 {
				t.Errorf("limit %d: %d keys, %d looked at", limit, len(got), last.Looked)
			}
		}
		got := keysOf(t, db, "viewer", kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: "k:3:*"}, Limit: 100}, nil)
		if len(got) != 10_000 || slices.Max(slices.Collect(maps.Values(got))) != 1 {
			t.Errorf("%d keys match", len(got))
		}

		// Those of each kind, with what there is to know.
		flush(t, db)
		empty, err := db.ListKeys(ctx, "viewer", kvdb.KeyQuery{Limit: 10})
		must(t, err)
		if diff := cmp.Diff(kvdb.KeyPage{Items: []kvdb.Key{}}, empty); diff != "" {
			t.Errorf("empty: %s", diff)
		}
		must(t, client.Set(ctx, "", "the empty key", 0).Err())
		must(t, client.Set(ctx, "\xff\x00\r\n", "v", time.Hour).Err())
		must(t, client.RPush(ctx, "list", "a").Err())
		must(t, client.SAdd(ctx, "set", "a").Err())
		must(t, client.ZAdd(ctx, "zset", redis.Z{Member: "a"}).Err())
		must(t, client.HSet(ctx, "hash", "f", "v").Err())
		must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []string{"f", "v"}}).Err())
		own := string(db.Keys()) + "x"
		must(t, client.Set(ctx, own, "v", 0).Err())
		types := func(role string, f kvdb.KeyFilter) map[string]string {
			got := map[string]string{}
			keysOf(t, db, role, kvdb.KeyQuery{KeyFilter: f, Limit: 2}, func(p kvdb.KeyPage) {
				for _, k := range p.Items {
					got[k.Name] = k.Type
					if expires := k.Name == "\xff\x00\r\n"; k.Size <= 0 || expires != (k.TTL > 0) || !expires && k.TTL != kvdb.NoTTL || k.Own != (k.Name == own) {
						t.Errorf("%+v", k)
					}
				}
			})
			return got
		}
		all := map[string]string{"": "string", "\xff\x00\r\n": "string", "list": "list", "set": "set", "zset": "zset", "hash": "hash", "stream": "stream"}
		for _, role := range []string{"viewer", "operator"} {
			if diff := cmp.Diff(all, types(role, kvdb.KeyFilter{})); diff != "" {
				t.Errorf("%s: %s", role, diff)
			}
			if got := types(role, kvdb.KeyFilter{Match: own}); len(got) != 0 {
				t.Errorf("%s: %v", role, got)
			}
		}
		if got := types("admin", kvdb.KeyFilter{}); len(got) != len(all)+1 || got[own] != "string" {
			t.Errorf("an admin sees %v", got)
		}
		for f, want := range map[kvdb.KeyFilter]map[string]string{
			{Type: "hash"}:                 {"hash": "hash"},
			{Type: "none"}:                 {},
			{Match: "?set"}:                {"zset": "zset"},
			{Match: "list"}:                {"list": "list"},
			{Match: "list", Type: "hash"}:  {},
			{Match: "nothing"}:             {},
			{Match: "*s*", Type: "stream"}: {"stream": "stream"},
			{Match: "\xff*"}:               {"\xff\x00\r\n": "string"},
		} {
			if diff := cmp.Diff(want, types("viewer", f)); diff != "" {
				t.Errorf("%+v: %s", f, diff)
			}
		}
	})
}

// TestListKeysWhileOthersWrite: what is there all the time comes; what others do is no error.
func TestListKeysWhileOthersWrite(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		manyKeys(t, db, 20_000, func(i int) string { return "stays:" + strconv.Itoa(i) })
		n := 0
		got := keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: 500}, func(kvdb.KeyPage) {
			if n++; n > 60 {
				return
			}
			// The table grows, and shrinks later.
			_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := range 2000 {
					if n < 20 {
						p.Set(ctx, fmt.Sprintf("comes:%d:%d", n, i), "v", 0)
					} else if n < 40 {
						p.Del(ctx, fmt.Sprintf("comes:%d:%d", n-20, i))
					}
				}
				return nil
			})
			must(t, err)
		})
		for i := range 20_000 {
			if got["stays:"+strconv.Itoa(i)] == 0 {
				t.Fatalf("stays:%d does not come", i)
			}
		}

		// Somebody empties the server while its pages are read.
		n = 0
		keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: 100}, func(p kvdb.KeyPage) {
			if n++; n == 2 {
				flush(t, db)
			}
			if n > 2 && (len(p.Items) > 0 || p.About != 0) {
				t.Errorf("page %d of nothing: %+v", n, p)
			}
		})
	})
}

// TestListKeysOverARestart: the cursor of the server before says nothing to the new one.
func TestListKeysOverARestart(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	db := srv.DB(t)
	manyKeys(t, db, 5000, strconv.Itoa)
	n := 0
	got := keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: 1000}, func(kvdb.KeyPage) {
		if n++; n == 3 {
			srv.Restart()
			awaitHealth(t, db, kvdb.StatusOK)
		}
	})
	if len(got) != 5000 {
		t.Errorf("%d keys", len(got))
	}
}

// TestListKeysWhileSlotsMove: all slots of a node go to one that was listed before.
func TestListKeysWhileSlotsMove(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := open(t, newCluster(t))
	manyKeys(t, db, 3000, func(i int) string { return "k" + strconv.Itoa(i) })
	client := db.Client().(*redis.ClusterClient)
	node := func(key string) (id string, c *redis.Client) {
		c = must2(client.MasterForKey(ctx, key))
		return c.Do(ctx, "CLUSTER", "MYID").Val().(string), c
	}
	toID, to := node(keyIn(0, 5000))
	fromID, from := node(keyIn(5461, 7000))
	_, third := node(keyIn(11001, 15999))
	moved := false
	got := keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: 100}, func(p kvdb.KeyPage) {
		if p.Looked < 1500 || moved {
			return
		}
		moved = true
		for slot := 5461; slot <= 7000; slot++ { // the first of its slots
			names := from.ClusterGetKeysInSlot(ctx, slot, 1000).Val()
			if len(names) > 0 {
				must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
				must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
				host, port, _ := strings.Cut(to.Options().Addr, ":")
				for _, name := range names {
					must(t, from.Migrate(ctx, host, port, name, 0, time.Second).Err())
				}
			}
			for _, c := range []*redis.Client{to, from, third} {
				must(t, c.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
			}
		}
	})
	if !moved || len(got) != 3000 {
		t.Errorf("%d keys, moved %v", len(got), moved)
	}
}

// keyIn is a key in one of these slots.
func keyIn(from, to int) string {
	for i := 0; ; i++ {
		if key := strconv.Itoa(i); kvdb.SlotOf(key) >= from && kvdb.SlotOf(key) <= to {
			return key
		}
	}
}

func TestListKeysIsBounded(t *testing.T) {
	t.Parallel()
	db := kvtest.NewServer(t).DB(t)
	ctx := t.Context()
	for from := range 30 { // in parts, so that none takes long
		must(t, db.Client().Eval(ctx, "for i = 1, 10000 do redis.call('SET', 'k' .. ARGV[1] .. ':' .. i, 'v') end", nil, from).Err(), redis.Nil)
	}
	start := time.Now()
	page, err := db.ListKeys(ctx, "viewer", kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: "*nothing*"}, Limit: 100})
	must(t, err)
	if page.Next == "" || len(page.Items) != 0 || page.Looked == 0 || page.Looked > 110_000 ||
		page.About != 300_000 || time.Since(start) > 2*time.Second {
		t.Errorf("%+v after %v", page, time.Since(start))
	}
	if got := keysOf(t, db, "viewer", kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: "*nothing*"}, Limit: 100}, nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// Names that fit in no cursor.
	must(t, db.Client().FlushAll(ctx).Err())
	manyKeys(t, db, 50, func(i int) string { return strings.Repeat("x", 5000) + strconv.Itoa(i) })
	got := map[string]bool{}
	q := kvdb.KeyQuery{Limit: 10}
	for {
		page, err := db.ListKeys(ctx, "viewer", q)
		must(t, err)
		for _, k := range page.Items {
			got[k.Name] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
		if len(q.Cursor) > 4000 || len(page.Items) > 30 {
			t.Fatalf("%d keys, a cursor of %d", len(page.Items), len(q.Cursor))
		}
	}
	if len(got) != 50 {
		t.Errorf("%d keys", len(got))
	}
}

func TestListKeysThatAreWrong(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	manyKeys(t, db, 200, func(i int) string { return string(db.Keys()) + strconv.Itoa(i) })
	page, err := db.ListKeys(t.Context(), "admin", kvdb.KeyQuery{Limit: 1})
	must(t, err)
	for _, q := range []kvdb.KeyQuery{
		{Limit: 0}, {Limit: 1001}, {Limit: 1, Cursor: "x"}, {Limit: 1, Cursor: "////"}, {Limit: 1, Cursor: page.Next + "AA"},
		{Limit: 1, Cursor: page.Next[:len(page.Next)-2]},
		{Limit: 1, Cursor: page.Next, KeyFilter: kvdb.KeyFilter{Type: "hash"}}, {Limit: 1, KeyFilter: kvdb.KeyFilter{Type: "a b"}},
		{Limit: 1, KeyFilter: kvdb.KeyFilter{Match: strings.Repeat("x", 2000)}},
	} {
		if _, err := db.ListKeys(t.Context(), "viewer", q); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := db.ListKeys(t.Context(), "nobody", kvdb.KeyQuery{Limit: 1}); !errors.Is(err, kvdb.ErrForbidden) {
		t.Errorf("%v", err)
	}
	// A cursor that an admin got shows nobody else this program's own keys.
	own := keysOf(t, db, "viewer", kvdb.KeyQuery{Limit: 10, Cursor: page.Next}, nil)
	for name := range own {
		if strings.HasPrefix(name, string(db.Keys())) {
			t.Errorf("%q", name)
		}
	}
}

// TestListKeysOfTheProgramUser: who is no admin looks as the program user, and what that user may not know is empty.
func TestListKeysOfTheProgramUser(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	ctx, client := t.Context(), srv.DB(t).Client()
	must(t, client.Do(ctx, "ACL", "SETUSER", "programs", "on", "nopass", "~free*", "+@all", "-@dangerous").Err())
	db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), ProgramUser: "programs"})
	must(t, err)
	defer db.Close()
	must(t, client.MSet(ctx, "free", "v", "other", "v").Err())
	for role, want := range map[string]string{"viewer": "", "admin": "string"} {
		page, err := db.ListKeys(ctx, role, kvdb.KeyQuery{Limit: 10})
		must(t, err)
		got := map[string]string{}
		for _, k := range page.Items {
			got[k.Name] = k.Type
		}
		if diff := cmp.Diff(map[string]string{"free": "string", "other": want}, got); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
	if _, err := db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: "other", Limit: 1}); !errors.Is(err, kvdb.ErrAway) ||
		!strings.Contains(kvdb.Sentence(err), "permission") {
		t.Errorf("%v", err)
	}
}

// TestListKeysOfNoServer: what is wrong is said in words.
func TestListKeysOfNoServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	manyKeys(t, db, 100, strconv.Itoa)
	page, err := db.ListKeys(t.Context(), "viewer", kvdb.KeyQuery{Limit: 10})
	must(t, err)
	srv.Kill()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := db.ListKeys(t.Context(), "viewer", kvdb.KeyQuery{Limit: 10, Cursor: page.Next})
			_, err2 := db.ReadValue(t.Context(), "viewer", kvdb.ValueQuery{Key: "1", Limit: 10})
			if !errors.Is(err, kvdb.ErrAway) || !errors.Is(err2, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
				t.Errorf("%v; %v", err, err2)
			}
		})
	}
	wg.Wait()
}
