package kvdb_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// pages reads a value to its end and calls each between the pages.
func pages(t testing.TB, db *kvdb.DB, q kvdb.ValueQuery, each func()) (all []kvdb.Value) {
	t.Helper()
	for {
		v, err := db.ReadValue(t.Context(), "viewer", q)
		must(t, err)
		if len(v.Elements) > q.Limit {
			t.Errorf("%d elements on a page, %d at most", len(v.Elements), q.Limit)
		}
		all = append(all, v)
		if q.Cursor = v.Next; q.Cursor == "" {
			return all
		}
		if len(q.Cursor) > 4000 || len(all) > 100_000 {
			t.Fatalf("a cursor of %d bytes on page %d", len(q.Cursor), len(all))
		}
		if each != nil {
			each()
		}
	}
}

func part(text string) kvdb.Part { return kvdb.Part{Text: text, Size: int64(len(text))} }

func TestReadValue(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "value-"+string(db.Keys())
		must(t, client.Set(ctx, k+"string", "a\x00\xff", time.Hour).Err())
		must(t, client.Set(ctx, k+"empty", "", 0).Err())
		must(t, client.RPush(ctx, k+"list", "a", "", "c").Err())
		must(t, client.SAdd(ctx, k+"set", "a", "").Err())
		must(t, client.SAdd(ctx, k+"ints", 3, 1, 2).Err())
		must(t, client.ZAdd(ctx, k+"zset", redis.Z{Score: 0.1, Member: "a"}, redis.Z{Score: -3, Member: "b"}).Err())
		must(t, client.HSet(ctx, k+"hash", "f", "v", "", "w").Err())
		must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: k + "stream", ID: "5-1", Values: []string{"f", "v", "f", "w"}}).Err())
		must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: k + "stream", ID: "5-2", Values: []string{"g", ""}}).Err())
		for name, want := range map[string]struct {
			kind, encoding string
			length         int64
			text           string
			elements       []kvdb.Element
		}{
			"string": {"string", "embstr", 3, "a\x00\xff", nil},
			"empty":  {"string", "embstr", 0, "", nil},
			"list":   {"list", "listpack", 3, "", []kvdb.Element{{Index: 0, Value: part("a")}, {Index: 1, Value: part("")}, {Index: 2, Value: part("c")}}},
			"set":    {"set", "hashtable", 2, "", []kvdb.Element{{Name: part("")}, {Name: part("a")}}},
			"ints":   {"set", "intset", 3, "", []kvdb.Element{{Name: part("1")}, {Name: part("2")}, {Name: part("3")}}},
			"zset": {"zset", "listpack", 2, "", []kvdb.Element{{Index: 0, Name: part("b"), Score: "-3"},
				{Index: 1, Name: part("a"), Score: "0.10000000000000001"}}},
			"hash": {"hash", "listpack", 2, "", []kvdb.Element{{Name: part(""), Value: part("w")}, {Name: part("f"), Value: part("v")}}},
			"stream": {"stream", "stream", 2, "", []kvdb.Element{{ID: "5-1", Fields: []kvdb.Pair{{Name: part("f"), Value: part("v")},
				{Name: part("f"), Value: part("w")}}}, {ID: "5-2", Fields: []kvdb.Pair{{Name: part("g"), Value: part("")}}}}},
		} {
			for limit := 1; limit <= 4; limit++ {
				var elements []kvdb.Element
				var v kvdb.Value
				for _, v = range pages(t, db, kvdb.ValueQuery{Key: k + name, Limit: limit}, nil) {
					elements = append(elements, v.Elements...)
				}
				if want.kind == "set" || want.kind == "hash" {
					slices.SortFunc(elements, func(a, b kvdb.Element) int { return strings.Compare(a.Name.Text, b.Name.Text) })
				}
				if diff := cmp.Diff(want.elements, elements); diff != "" {
					t.Errorf("%s, limit %d (-want +got):\n%s", name, limit, diff)
				}
				if v.Type != want.kind || v.Length != want.length || v.Text != want.text || v.Size <= 0 || v.Name != k+name ||
					(v.TTL != kvdb.NoTTL) != (name == "string") {
					t.Errorf("%s: %+v", name, v)
				}
				// The names of encodings are those of Redis 7.0; older and newer ones have others.
				if v.Encoding == "" || name == "ints" && v.Encoding != want.encoding {
					t.Errorf("%s: encoding %q", name, v.Encoding)
				}
			}
		}
		_, err := db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: k + "none", Limit: 1})
		if !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("%v", err)
		}
		own := string(db.Keys()) + "own"
		must(t, client.Set(ctx, own, "secret", 0).Err())
		for role, want := range map[string]error{"viewer": kvdb.ErrForbidden, "operator": kvdb.ErrForbidden, "": kvdb.ErrForbidden, "admin": nil} {
			if v, err := db.ReadValue(ctx, role, kvdb.ValueQuery{Key: own, Limit: 1}); !errors.Is(err, want) || err == nil && !v.Own {
				t.Errorf("%s: %v, %v", role, v, err)
			}
			if _, _, err := db.StreamGroups(ctx, role, own); role != "admin" && !errors.Is(err, kvdb.ErrForbidden) {
				t.Errorf("%s: %v", role, err)
			}
		}
		for _, q := range []kvdb.ValueQuery{{Key: k + "hash"}, {Key: k + "hash", Limit: 1001}, {Key: k + "hash", Limit: 1, Cursor: "x"}} {
			if _, err := db.ReadValue(ctx, "viewer", q); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	})
}

// TestLargeCollections: each element comes once, in pages of one size, whatever the encoding.
func TestLargeCollections(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "{large-"+string(db.Keys())+"}"
		for name, n := range map[string]int{"hash": 100, "hash2": 5000, "set": 5000, "ints": 500, "zset": 3000, "list": 3000, "stream": 2000} {
			commands := map[string]string{
				"hash": "'HSET', KEYS[1], 'f' .. i, i", "hash2": "'HSET', KEYS[1], 'f' .. i, i", "set": "'SADD', KEYS[1], 'f' .. i", "ints": "'SADD', KEYS[1], i",
				"zset": "'ZADD', KEYS[1], i, 'f' .. i", "list": "'RPUSH', KEYS[1], 'f' .. i", "stream": "'XADD', KEYS[1], i .. '-1', 'f', i",
			}
			must(t, client.Eval(ctx, "for i = 1, ARGV[1] do redis.call("+commands[name]+") end", []string{k + name}, n).Err(), redis.Nil)
			for _, limit := range []int{7, 100, 1000} {
				got := map[string]int{}
				for _, v := range pages(t, db, kvdb.ValueQuery{Key: k + name, Limit: limit}, nil) {
					for _, e := range v.Elements {
						got[e.Name.Text+e.ID+map[bool]string{true: e.Value.Text}[name == "list"]]++
					}
				}
				if len(got) != n {
					t.Errorf("%s, limit %d: %d elements of %d", name, limit, len(got), n)
				}
				for e, times := range got {
					if times != 1 {
						t.Errorf("%s, limit %d: %s comes %d times", name, limit, e, times)
						break
					}
				}
			}
		}
	})
}

// TestHashOfAMillionFields: a page of it costs no more than one of any other.
func TestHashOfAMillionFields(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	ctx := t.Context()
	for from := 1; from < 1_000_000; from += 20_000 {
		must(t, db.Client().Eval(ctx, `for i = ARGV[1], ARGV[1] + 19999, 1000 do
			local pairs = {}
			for j = i, i + 999 do pairs[#pairs + 1] = 'f' .. j; pairs[#pairs + 1] = j end
			redis.call('HSET', KEYS[1], unpack(pairs))
		end`, []string{"h"}, from).Err(), redis.Nil)
	}
	must(t, db.Client().Do(ctx, "CONFIG", "RESETSTAT").Err())
	seen, q := map[string]bool{}, kvdb.ValueQuery{Key: "h", Limit: 1000}
	for range 50 { // TestLargeCollections reads smaller ones to their end
		v := must2(db.ReadValue(ctx, "viewer", q))
		if v.Length != 1_000_000 || v.Next == "" {
			t.Fatalf("length %d, next %q", v.Length, v.Next)
		}
		for _, e := range v.Elements {
			seen[e.Value.Text] = true
		}
		q.Cursor = v.Next
	}
	if len(seen) < 40_000 {
		t.Errorf("%d fields in 50 pages", len(seen))
	}
	stats := db.Client().Info(ctx, "commandstats").Val()
	for line := range strings.Lines(stats) {
		_, rest, ok := strings.Cut(line, "usec_per_call=")
		per, _, _ := strings.Cut(rest, ",")
		if us, err := strconv.ParseFloat(per, 64); ok && (err != nil || us > 20_000) {
			t.Errorf("%s", line)
		}
	}
}

func TestLongStrings(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "long-"+string(db.Keys())
		for _, text := range []string{strings.Repeat("x", kvdb.StringPage), strings.Repeat("é☺\U0001F600", 40_000),
			"a" + strings.Repeat("\x80\xff", 100_000)} {
			must(t, client.Set(ctx, k, text, 0).Err())
			got := ""
			for _, v := range pages(t, db, kvdb.ValueQuery{Key: k, Limit: 1}, nil) {
				if v.Offset != int64(len(got)) || v.Length != int64(len(text)) || utf8.ValidString(text) && !utf8.ValidString(v.Text) ||
					len(v.Text) > kvdb.StringPage {
					t.Errorf("a part of %d bytes at %d, not at %d", len(v.Text), v.Offset, len(got))
				}
				got += v.Text
			}
			if got != text {
				t.Errorf("%d bytes, not %d", len(got), len(text))
			}
		}
	})
}

// TestHugeElements are cut, say how long they are, and keep nothing else from being read.
func TestHugeElements(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	ctx, client := t.Context(), db.Client()
	const huge, more = 10 << 20, 100 << 20
	must(t, client.SetRange(ctx, "string", huge-1, "x").Err())
	must(t, client.SetRange(ctx, "longer", more-1, "x").Err())
	for _, script := range []string{
		"redis.call('HSET', 'hash', 'a', 'v', 'huge', redis.call('GET', 'string'), 'z', 'v')",
		"redis.call('RPUSH', 'list', 'a', redis.call('GET', 'string'), 'z')",
		"redis.call('XADD', 'stream', '1-1', 'f', redis.call('GET', 'string'), 'g', 'v')",
		"local s = string.rep('y', 1000000) for i = 1, 60 do redis.call('RPUSH', 'many', s) end",
	} {
		must(t, client.Eval(ctx, script, nil).Err(), redis.Nil)
	}
	for _, key := range []string{"hash", "list", "stream"} {
		var cut, whole int
		for _, v := range pages(t, db, kvdb.ValueQuery{Key: key, Limit: 100}, nil) {
			for _, e := range v.Elements {
				parts := []kvdb.Part{e.Value}
				for _, f := range e.Fields {
					parts = append(parts, f.Value)
				}
				for _, p := range parts {
					switch {
					case p.Cut() && p.Size == huge && len(p.Text) > 1000 && len(p.Text) <= 64<<10:
						cut++
					case !p.Cut() && len(p.Text) == 1:
						whole++
					}
				}
			}
		}
		if cut != 1 || whole != map[string]int{"hash": 2, "list": 2, "stream": 1}[key] {
			t.Errorf("%s: %d cut, %d whole", key, cut, whole)
		}
	}
	v, err := db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: "longer", Limit: 1})
	if err != nil || len(v.Text) != kvdb.StringPage || v.Length != more {
		t.Errorf("%d of %d bytes, %v", len(v.Text), v.Length, err)
	}
	all := pages(t, db, kvdb.ValueQuery{Key: "many", Limit: 1000}, nil)
	if len(all) < 6 || len(all) > 60 {
		t.Errorf("%d pages of 60 MB", len(all))
	}
}

// TestValueThatChanges: others delete, replace and change what is being read.
func TestValueThatChanges(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "changes-"+string(db.Keys())
		hash := func(n int) {
			must(t, client.Del(ctx, k).Err())
			must(t, client.Eval(ctx, "for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'f' .. i, i) end", []string{k}, n).Err(), redis.Nil)
		}
		for what, change := range map[string]struct {
			do   func()
			want error
		}{
			"gone":         {func() { must(t, client.Del(ctx, k).Err()) }, kvdb.ErrNotFound},
			"expired":      {func() { must(t, client.PExpire(ctx, k, -time.Second).Err()) }, kvdb.ErrNotFound},
			"another type": {func() { must(t, client.Del(ctx, k).Err()); must(t, client.RPush(ctx, k, "x").Err()) }, kvdb.ErrConflict},
			"another hash": {func() { hash(3) }, nil},
			"larger":       {func() { must(t, client.HSet(ctx, k, "new", strings.Repeat("x", 1000)).Err()) }, nil},
		} {
			for _, n := range []int{100, 3000} {
				hash(n)
				v, err := db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: k, Limit: 10})
				must(t, err)
				change.do()
				_, err = db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: k, Limit: 10, Cursor: v.Next})
				if !errors.Is(err, change.want) {
					t.Errorf("%s: %v", what, err)
				}
				var changed *kvdb.KeyChangedError
				if errors.As(err, &changed) && (changed.Type != "list" || !strings.Contains(err.Error(), "was a hash")) {
					t.Errorf("%s: %+v", what, changed)
				}
			}
		}
		// What stays comes, though a small hash becomes a large one in between.
		hash(100)
		n := 0
		got := map[string]bool{}
		for _, v := range pages(t, db, kvdb.ValueQuery{Key: k, Limit: 10}, func() {
			if n++; n == 3 {
				must(t, client.HSet(ctx, k, "long", strings.Repeat("x", 1000)).Err())
			}
		}) {
			for _, e := range v.Elements {
				got[e.Name.Text] = true
			}
		}
		for i := 1; i <= 100; i++ {
			if !got[fmt.Sprintf("f%d", i)] {
				t.Errorf("f%d does not come", i)
			}
		}
	})
}

func TestStreamGroups(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "groups-"+string(db.Keys())
		for _, id := range []string{"1-1", "1-2", "1-3"} {
			must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: k, ID: id, Values: []string{"f", "v"}}).Err())
		}
		groups, total, err := db.StreamGroups(ctx, "viewer", k)
		if err != nil || groups != nil || total != 0 {
			t.Errorf("%v, %d, %v", groups, total, err)
		}
		must(t, client.XGroupCreate(ctx, k, "g", "0").Err())
		must(t, client.XGroupCreate(ctx, k, "idle", "$").Err())
		must(t, client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{k, ">"}, Count: 2}).Err())
		groups, total, err = db.StreamGroups(ctx, "viewer", k)
		must(t, err)
		if total != 2 || len(groups) != 2 {
			t.Fatalf("%+v", groups)
		}
		g := groups[0]
		if g.Name != "g" || g.LastID != "1-2" || g.Pending != 2 || g.First != "1-1" || g.Last != "1-2" || g.Lag != 1 && g.Lag != -1 || g.Total != 1 ||
			len(g.Consumers) != 1 || g.Consumers[0].Name != "c" || g.Consumers[0].Pending != 2 {
			t.Errorf("%+v", g)
		}
		if g := groups[1]; g.Name != "idle" || g.Pending != 0 || g.First != "" || g.Consumers != nil {
			t.Errorf("%+v", g)
		}
		must(t, client.Set(ctx, k+"s", "v", 0).Err())
		if _, _, err := db.StreamGroups(ctx, "viewer", k+"s"); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%v", err)
		}
		if _, _, err := db.StreamGroups(ctx, "viewer", k+"none"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}
