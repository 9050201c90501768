package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// size is how many keys all masters have.
func size(t testing.TB, db *kvdb.DB) int64 {
	t.Helper()
	return db.Client().DBSize(t.Context()).Val()
}

func TestBulk(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		manyKeys(t, db, 5000, func(i int) string { return fmt.Sprintf("%c:%d", 'a'+i%5, i) })
		must(t, client.HSet(ctx, "a:hash", "f", "v").Err())
		own := string(db.Keys()) + "a:own"
		must(t, client.Set(ctx, own, "v", 0).Err())
		all := size(t, db)
		calls := 0
		p, err := db.CountKeys(ctx, "viewer", kvdb.KeyFilter{Match: "a:*"}, func(kvdb.Progress) { calls++ })
		if err != nil || p.Matched != 1001 || p.Done != 0 || p.Looked != all || p.About != all || calls < 5 {
			t.Errorf("%+v, %d calls, %v", p, calls, err)
		}
		if p, err = db.CountKeys(ctx, "admin", kvdb.KeyFilter{}, nil); err != nil || p.Matched != all-1 {
			t.Errorf("%+v, %v", p, err)
		}
		if p, err = db.ExpireKeys(ctx, "operator", kvdb.KeyFilter{Match: "b:*"}, time.Hour, nil); err != nil || p.Done != 1000 ||
			client.TTL(ctx, "b:1").Val() < time.Minute || client.TTL(ctx, "a:0").Val() > 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if p, err = db.ExpireKeys(ctx, "operator", kvdb.KeyFilter{Match: "b:*"}, kvdb.NoTTL, nil); err != nil ||
			p.Done != 1000 || client.TTL(ctx, "b:1").Val() > 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if p, err = db.DeleteKeys(ctx, "operator", kvdb.KeyFilter{Match: "a:*", Type: "string"}, nil); err != nil || p.Done != 1000 ||
			p.Matched < 1000 || size(t, db) != all-1000 || client.Exists(ctx, "a:hash").Val() != 1 {
			t.Errorf("%+v, %v, %d left", p, err, size(t, db))
		}
		// Cancelled, the rest stays, and what was done is known.
		stopped, cancel := context.WithCancel(ctx)
		p, err = db.DeleteKeys(stopped, "operator", kvdb.KeyFilter{Match: "*"}, func(p kvdb.Progress) {
			if p.Done > 0 {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) || p.Done == 0 || p.Done > 2000 || size(t, db) != all-1000-p.Done {
			t.Errorf("%+v, %v, %d left", p, err, size(t, db))
		}
		if p, err = db.DeleteKeys(ctx, "admin", kvdb.KeyFilter{Match: "*"}, nil); err != nil || size(t, db) != 1 || client.Exists(ctx, own).Val() != 1 {
			t.Errorf("%+v, %v, %d left", p, err, size(t, db))
		}
	})
}

// TestBulkThatBreaks: what was done is told from what was not.
func TestBulkThatBreaks(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	ctx := t.Context()
	manyKeys(t, db, 5000, strconv.Itoa)
	p, err := db.DeleteKeys(ctx, "operator", kvdb.KeyFilter{Match: "*"}, func(p kvdb.Progress) {
		if p.Done == 1000 {
			must(t, db.Client().Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err())
		}
	})
	if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "replica") || p.Done != 1000 {
		t.Errorf("%+v, %v", p, err)
	}
	must(t, db.Client().Do(ctx, "REPLICAOF", "NO", "ONE").Err())
	if n := size(t, db); n != 4000 {
		t.Errorf("%d left", n)
	}
	p, err = db.DeleteKeys(ctx, "operator", kvdb.KeyFilter{Match: "*"}, func(p kvdb.Progress) {
		if p.Done == 500 {
			srv.Kill()
		}
	})
	if !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) || p.Done < 500 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestCountPrefixes(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		manyKeys(t, db, 9000, func(i int) string { return fmt.Sprintf("app*:%d:%d", i%3, i) })
		manyKeys(t, db, 1000, func(i int) string { return fmt.Sprintf("other:%d", i) })
		must(t, client.Set(ctx, "leaf", "v", 0).Err())
		must(t, client.Set(ctx, ":", "v", 0).Err())
		must(t, client.Set(ctx, string(db.Keys())+"own:x", "v", 0).Err())
		p, err := db.CountPrefixes(ctx, "viewer", kvdb.PrefixQuery{}, nil)
		must(t, err)
		got := map[string]int64{}
		for _, c := range p.Children {
			got[c.Name] = c.Keys
			if c.About != c.Keys {
				t.Errorf("%+v", c)
			}
		}
		if len(got) != 3 || got["app*:"] != 9000 || got["other:"] != 1000 || got[":"] != 1 || p.Leaves != 1 ||
			p.Keys != 10_002 || !p.Complete || p.Total != 10_003 {
			t.Errorf("%+v, %v", p, got)
		}
		p, err = db.CountPrefixes(ctx, "viewer", kvdb.PrefixQuery{Prefix: "app*:"}, nil)
		if err != nil || len(p.Children) != 3 || p.Children[0].Name != "app*:0:" || p.Children[0].Keys != 3000 || p.Keys != 9000 {
			t.Errorf("%+v, %v", p, err)
		}
		p, err = db.CountPrefixes(ctx, "viewer", kvdb.PrefixQuery{Separator: "*:"}, nil)
		if err != nil || len(p.Children) != 1 || p.Children[0].Name != "app*:" || p.Leaves != 1002 {
			t.Errorf("%+v, %v", p, err)
		}
		// Of a part, the rest is estimated.
		p, err = db.CountPrefixes(ctx, "viewer", kvdb.PrefixQuery{Most: 3000}, nil)
		if err != nil || p.Complete || p.Looked < 3000 || p.Looked > 4500 {
			t.Fatalf("%+v, %v", p, err)
		}
		for _, c := range p.Children {
			if c.Name == "app*:" && (c.About < 8500 || c.About > 9500) {
				t.Errorf("%+v", c)
			}
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if p, err := db.CountPrefixes(stopped, "viewer", kvdb.PrefixQuery{}, nil); err != nil || p.Complete {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestFindBigKeys(t *testing.T) {
	t.Parallel()
	eachAlone(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		manyKeys(t, db, 3000, strconv.Itoa)
		for i := range 20 {
			must(t, client.Set(ctx, fmt.Sprintf("big:%02d", i), strings.Repeat("x", int(100*math.Pow(1.5, float64(i)))), 0).Err())
		}
		must(t, client.Eval(ctx, "for i = 1, 1000 do redis.call('HSET', KEYS[1], 'f' .. i, string.rep('x', 1000)) end", []string{"hash"}).Err(), redis.Nil)
		must(t, client.Set(ctx, string(db.Keys())+"own", strings.Repeat("x", 1<<20), 0).Err())
		b, err := db.FindBigKeys(ctx, "viewer", kvdb.BigQuery{Top: 5}, nil)
		must(t, err)
		var got []string
		for _, k := range b.Keys {
			got = append(got, k.Name)
		}
		if strings.Join(got, " ") != "hash big:19 big:18 big:17 big:16" || !b.Complete || b.Total != 3022 || len(b.Types) != 2 ||
			b.Types[0].Type != "hash" || b.Types[0].Keys != 1 || b.Types[1].Keys < 3020 {
			t.Errorf("%q, %+v", got, b)
		}
		if b, err = db.FindBigKeys(ctx, "admin", kvdb.BigQuery{Top: 1, KeyFilter: kvdb.KeyFilter{Type: "string"}}, nil); err != nil ||
			len(b.Keys) != 1 || !b.Keys[0].Own {
			t.Errorf("%+v, %v", b, err)
		}
		if b, err = db.FindBigKeys(ctx, "viewer", kvdb.BigQuery{Top: 1, Most: 300}, nil); err != nil || b.Complete || b.Looked > 900 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
