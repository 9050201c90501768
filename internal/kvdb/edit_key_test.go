package kvdb_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestEdit: each edit is done when the key is as it was seen, and else says what is there.
func TestEdit(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		k := "{edit-" + string(db.Keys()) + "}"
		d := kvdb.Digest
		reset := func() {
			t.Helper()
			for _, name := range []string{"", "s", "l", "set", "z", "h", "x", "new", "copy"} {
				must(t, client.Del(ctx, k+name).Err())
			}
			must(t, client.Set(ctx, k+"s", "old\xff", time.Hour).Err())
			must(t, client.RPush(ctx, k+"l", "a", "b", "a").Err())
			must(t, client.SAdd(ctx, k+"set", "m").Err())
			must(t, client.ZAdd(ctx, k+"z", redis.Z{Score: 0.1, Member: "m"}).Err())
			must(t, client.HSet(ctx, k+"h", "f", "v").Err())
			must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: k + "x", ID: "1-1", Values: []string{"f", "v"}}).Err())
		}
		list := func() string { return strings.Join(client.LRange(ctx, k+"l", 0, -1).Val(), " ") }
		score := func() string { return client.Do(ctx, "ZSCORE", k+"z", "m").String() }
		zscore := must2(db.ReadValue(ctx, "viewer", kvdb.ValueQuery{Key: seed(t, client, k), Limit: 1})).Elements[0].Score
		type edit = kvdb.Edit
		for _, tt := range []struct {
			what string
			key  string
			do   func(edit) error
			got  func() string // what is there then
			want string
			// of the conflict; "" = none
			conflict, current string
			missing           bool
		}{
			{"string", "s", func(e edit) error { return e.SetString(ctx, d("old\xff"), "new") },
				func() string { return client.Get(ctx, k+"s").Val() }, "new", "", "", false},
			{"string, changed", "s", func(e edit) error { return e.SetString(ctx, d("older"), "new") },
				func() string { return client.Get(ctx, k+"s").Val() }, "old\xff", "string", "old\xff", false},
			{"string, of another type", "l", func(e edit) error { return e.SetString(ctx, d("x"), "new") }, list, "a b a", "list", "", false},
			{"string, gone", "none", func(e edit) error { return e.SetString(ctx, d("x"), "new") },
				func() string { return client.Get(ctx, k+"none").Val() }, "", "none", "", true},

			{"element", "l", func(e edit) error { return e.SetElement(ctx, 2, d("a"), "c") }, list, "a b c", "", "", false},
			{"element, changed", "l", func(e edit) error { return e.SetElement(ctx, 1, d("a"), "c") }, list, "a b a", "list", "b", false},
			{"element, none", "l", func(e edit) error { return e.SetElement(ctx, 9, d("a"), "c") }, list, "a b a", "list", "", true},
			{"insert", "l", func(e edit) error { return e.InsertElement(ctx, 2, d("a"), "n") }, list, "a b n a", "", "", false},
			{"insert first", "l", func(e edit) error { return e.InsertElement(ctx, 0, d("a"), "n") }, list, "n a b a", "", "", false},
			{"insert, changed", "l", func(e edit) error { return e.InsertElement(ctx, 1, d("a"), "n") }, list, "a b a", "list", "b", false},
			{"append", "l", func(e edit) error { return e.AppendElement(ctx, "n") }, list, "a b a n", "", "", false},
			{"prepend", "l", func(e edit) error { return e.PrependElement(ctx, "n") }, list, "n a b a", "", "", false},
			{"append, gone", "none", func(e edit) error { return e.AppendElement(ctx, "n") },
				func() string { return client.Type(ctx, k+"none").Val() }, "none", "none", "", true},
			{"remove the second of two", "l", func(e edit) error { return e.RemoveElement(ctx, 2, d("a")) }, list, "a b", "", "", false},
			{"remove, changed", "l", func(e edit) error { return e.RemoveElement(ctx, 0, d("b")) }, list, "a b a", "list", "a", false},

			{"member", "set", func(e edit) error { return e.AddMember(ctx, "n") },
				func() string { return client.Do(ctx, "SCARD", k+"set").String() }, "SCARD " + k + "set: 2", "", "", false},
			{"member, there", "set", func(e edit) error { return e.AddMember(ctx, "m") }, func() string { return "" }, "", "set", "m", false},
			{"remove member", "set", func(e edit) error { return e.RemoveMember(ctx, "m") },
				func() string { return client.Type(ctx, k+"set").Val() }, "none", "", "", false},
			{"remove member, gone", "set", func(e edit) error { return e.RemoveMember(ctx, "x") },
				func() string { return client.Type(ctx, k+"set").Val() }, "set", "set", "", true},

			{"score", "z", func(e edit) error { return e.SetScore(ctx, "m", zscore, "1e3") }, score, "ZSCORE " + k + "z m: 1000", "", "", false},
			{"score, as others write it", "z", func(e edit) error { return e.SetScore(ctx, "m", "0.1", "-inf") }, score,
				"ZSCORE " + k + "z m: -Inf", "", "", false},
			{"score, changed", "z", func(e edit) error { return e.SetScore(ctx, "m", "0.2", "1") }, func() string { return "" }, "", "zset", zscore, false},
			{"new score", "z", func(e edit) error { return e.SetScore(ctx, "n", "", "1") },
				func() string { return client.Do(ctx, "ZCARD", k+"z").String() }, "ZCARD " + k + "z: 2", "", "", false},
			{"new score, there", "z", func(e edit) error { return e.SetScore(ctx, "m", "", "1") }, func() string { return "" }, "", "zset", zscore, false},
			{"remove scored", "z", func(e edit) error { return e.RemoveScored(ctx, "m", "0.1") },
				func() string { return client.Type(ctx, k+"z").Val() }, "none", "", "", false},
			{"remove scored, changed", "z", func(e edit) error { return e.RemoveScored(ctx, "m", "0.2") },
				func() string { return client.Type(ctx, k+"z").Val() }, "zset", "zset", zscore, false},
			{"remove scored, gone", "z", func(e edit) error { return e.RemoveScored(ctx, "x", "0.2") },
				func() string { return client.Type(ctx, k+"z").Val() }, "zset", "zset", "", true},

			{"field", "h", func(e edit) error { return e.SetField(ctx, "f", d("v"), "w") },
				func() string { return client.HGet(ctx, k+"h", "f").Val() }, "w", "", "", false},
			{"field, changed", "h", func(e edit) error { return e.SetField(ctx, "f", d("u"), "w") },
				func() string { return client.HGet(ctx, k+"h", "f").Val() }, "v", "hash", "v", false},
			{"field, gone", "h", func(e edit) error { return e.SetField(ctx, "g", d("u"), "w") },
				func() string { return client.HGet(ctx, k+"h", "g").Val() }, "", "hash", "", true},
			{"new field", "h", func(e edit) error { return e.SetField(ctx, "g", "", "") },
				func() string { return client.Do(ctx, "HLEN", k+"h").String() }, "HLEN " + k + "h: 2", "", "", false},
			{"new field, there", "h", func(e edit) error { return e.SetField(ctx, "f", "", "w") },
				func() string { return client.HGet(ctx, k+"h", "f").Val() }, "v", "hash", "v", false},
			{"remove field", "h", func(e edit) error { return e.RemoveField(ctx, "f", d("v")) },
				func() string { return client.Type(ctx, k+"h").Val() }, "none", "", "", false},
			{"remove field, changed", "h", func(e edit) error { return e.RemoveField(ctx, "f", d("w")) },
				func() string { return client.Type(ctx, k+"h").Val() }, "hash", "hash", "v", false},

			{"entry", "x", func(e edit) error {
				id, err := e.AddEntry(ctx, "2-1", []string{"f", "v", "f", "w"})
				if id != "2-1" {
					t.Errorf("ID %q", id)
				}
				return err
			}, func() string { return client.Do(ctx, "XLEN", k+"x").String() }, "XLEN " + k + "x: 2", "", "", false},
			{"remove entry", "x", func(e edit) error { return e.RemoveEntry(ctx, "1-1") },
				func() string { return client.Do(ctx, "XLEN", k+"x").String() }, "XLEN " + k + "x: 0", "", "", false},
			{"remove entry, gone", "x", func(e edit) error { return e.RemoveEntry(ctx, "9-1") },
				func() string { return client.Do(ctx, "XLEN", k+"x").String() }, "XLEN " + k + "x: 1", "stream", "", true},

			{"rename", "s", func(e edit) error { return e.Rename(ctx, "string", k+"new", false) },
				func() string { return client.Get(ctx, k+"new").Val() + client.Get(ctx, k+"s").Val() }, "old\xff", "", "", false},
			{"rename, another type", "s", func(e edit) error { return e.Rename(ctx, "hash", k+"new", false) },
				func() string { return client.Get(ctx, k+"new").Val() }, "", "string", "", false},
			{"rename over", "s", func(e edit) error { return e.Rename(ctx, "string", k+"h", true) },
				func() string { return client.Get(ctx, k+"h").Val() }, "old\xff", "", "", false},
			{"copy", "s", func(e edit) error { return e.Copy(ctx, "string", k+"copy", false) },
				func() string { return client.Get(ctx, k+"copy").Val() + client.Get(ctx, k+"s").Val() }, "old\xffold\xff", "", "", false},
			{"copy over", "s", func(e edit) error { return e.Copy(ctx, "string", k+"h", true) },
				func() string { return client.Type(ctx, k+"h").Val() }, "string", "", "", false},

			{"expire", "h", func(e edit) error { return e.SetTTL(ctx, "hash", false, time.Hour) },
				func() string { return client.TTL(ctx, k+"h").Val().Round(time.Minute).String() }, "1h0m0s", "", "", false},
			{"persist", "s", func(e edit) error { return e.SetTTL(ctx, "string", true, kvdb.NoTTL) },
				func() string { return client.TTL(ctx, k+"s").Val().String() }, "-1ns", "", "", false},
			{"expire, changed", "s", func(e edit) error { return e.SetTTL(ctx, "string", false, time.Minute) },
				func() string { return client.TTL(ctx, k+"s").Val().Round(time.Minute).String() }, "1h0m0s", "string", "?", false},
			{"delete", "s", func(e edit) error { return e.Delete(ctx, "string", d("old\xff")) },
				func() string { return client.Type(ctx, k+"s").Val() }, "none", "", "", false},
			{"delete whatever it is", "l", func(e edit) error { return e.Delete(ctx, "list", "") },
				func() string { return client.Type(ctx, k+"l").Val() }, "none", "", "", false},
			{"delete, changed", "s", func(e edit) error { return e.Delete(ctx, "string", d("new")) },
				func() string { return client.Type(ctx, k+"s").Val() }, "string", "string", "old\xff", false},
			{"delete, another type", "s", func(e edit) error { return e.Delete(ctx, "list", "") },
				func() string { return client.Type(ctx, k+"s").Val() }, "string", "string", "", false},
			{"delete, gone", "none", func(e edit) error { return e.Delete(ctx, "list", "") }, func() string { return "" }, "", "none", "", true},
		} {
			reset()
			err := tt.do(edit{DB: db, Role: "operator", Key: k + tt.key})
			var changed *kvdb.KeyChangedError
			switch {
			case tt.conflict == "" && err != nil:
				t.Errorf("%s: %v", tt.what, err)
			case tt.conflict != "" && (!errors.As(err, &changed) || !errors.Is(err, kvdb.ErrConflict) || err.Error() == ""):
				t.Errorf("%s: %v", tt.what, err)
			case tt.conflict != "" && (changed.Type != tt.conflict || changed.Current.Text != tt.current && tt.current != "?" ||
				changed.Missing != tt.missing || changed.Key != k+tt.key):
				t.Errorf("%s: %+v", tt.what, changed)
			}
			if got := tt.got(); got != tt.want {
				t.Errorf("%s: it is %q, want %q", tt.what, got, tt.want)
			}
			if tt.key == "s" && tt.what == "string" && client.TTL(ctx, k+"s").Val() < time.Minute {
				t.Errorf("%s: the TTL is gone", tt.what)
			}
		}

		reset()
		e := edit{DB: db, Role: "operator", Key: k + "s"}
		var exists *kvdb.KeyExistsError
		for what, err := range map[string]error{
			"rename": e.Rename(ctx, "string", k+"h", false), "copy": e.Copy(ctx, "string", k+"h", false),
			"create": edit{DB: db, Role: "operator", Key: k + "h"}.Create(ctx, "string", []string{"v"}, kvdb.NoTTL),
		} {
			if !errors.As(err, &exists) || exists.Key != k+"h" || exists.Type != "hash" || !errors.Is(err, kvdb.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
		}
		must(t, e.Rename(ctx, "string", k+"s", false))
		for kind, content := range map[string][]string{
			"string": {""}, "list": {"a", "a"}, "set": {"a", "b"}, "zset": {"1.5", "a", "inf", "b"},
			"hash": {"f", "v", "", ""}, "stream": {"f", "v", "f", "w"},
		} {
			must(t, client.Del(ctx, k+"new").Err())
			must(t, edit{DB: db, Role: "operator", Key: k + "new"}.Create(ctx, kind, content, time.Hour))
			if got, ttl := client.Type(ctx, k+"new").Val(), client.TTL(ctx, k+"new").Val(); got != kind || ttl < time.Minute {
				t.Errorf("%s: it is a %s for %s", kind, got, ttl)
			}
		}
	})
}

// seed makes a sorted set with the score that TestEdit has.
func seed(t testing.TB, client redis.UniversalClient, k string) string {
	must(t, client.ZAdd(t.Context(), k+"z", redis.Z{Score: 0.1, Member: "m"}).Err())
	return k + "z"
}

func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client, k := t.Context(), db.Client(), "refused-"+string(db.Keys())
		own := string(db.Keys()) + "x"
		must(t, client.Set(ctx, own, "v", 0).Err())
		must(t, client.Set(ctx, k, "v", 0).Err())
		must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: k + "x", ID: "5-1", Values: []string{"f", "v"}}).Err())
		as := func(role, key string) kvdb.Edit { return kvdb.Edit{DB: db, Role: role, Key: key} }
		for what, err := range map[string]error{
			"viewer":       as("viewer", k).SetString(ctx, kvdb.Digest("v"), "w"),
			"nobody":       as("", k).Delete(ctx, "string", ""),
			"own":          as("operator", own).SetString(ctx, kvdb.Digest("v"), "w"),
			"own, admin":   as("admin", own).Delete(ctx, "string", ""),
			"own, create":  as("admin", own+"y").Create(ctx, "string", []string{"v"}, kvdb.NoTTL),
			"to own":       as("admin", k).Rename(ctx, "string", own+"y", true),
			"copy own":     as("admin", own).Copy(ctx, "string", k+"y", true),
			"copy to own":  as("admin", k).Copy(ctx, "string", own, true),
			"expire own":   as("admin", own).SetTTL(ctx, "string", false, time.Second),
			"viewer, bulk": second(db.DeleteKeys(ctx, "viewer", kvdb.KeyFilter{Match: k}, nil)),
		} {
			if !errors.Is(err, kvdb.ErrForbidden) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if got := client.Get(ctx, own).Val() + client.Get(ctx, k).Val(); got != "vv" {
			t.Errorf("they are %q", got)
		}
		for what, err := range map[string]error{
			"score":        as("operator", k).SetScore(ctx, "m", "", "nan"),
			"score, words": as("operator", k).SetScore(ctx, "m", "", "1_0"),
			"no score":     as("operator", k).RemoveScored(ctx, "m", ""),
			"ttl":          as("operator", k).SetTTL(ctx, "string", false, 0),
			"fields":       second(as("operator", k+"x").AddEntry(ctx, "*", []string{"f"})),
			"ID":           second(as("operator", k+"x").AddEntry(ctx, "a", []string{"f", "v"})),
			"an old ID":    second(as("operator", k+"x").AddEntry(ctx, "4-1", []string{"f", "v"})),
			"type":         as("operator", k).Create(ctx, "json", []string{"v"}, kvdb.NoTTL),
			"content":      as("operator", k+"y").Create(ctx, "hash", []string{"v"}, kvdb.NoTTL),
			"no content":   as("operator", k+"y").Create(ctx, "list", nil, kvdb.NoTTL),
			"itself":       as("operator", k).Copy(ctx, "string", k, true),
			"bulk":         second(db.DeleteKeys(ctx, "operator", kvdb.KeyFilter{}, nil)),
		} {
			if !errors.Is(err, kvdb.ErrInvalid) || err.Error() == "" || strings.Contains(err.Error(), "script") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if db.IsCluster() {
			if err := as("operator", "a").Rename(ctx, "string", "b", true); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), "slot") {
				t.Errorf("%v", err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestEditEndsInOneOfThreeWays: done, not done, or unknown, and never twice.
func TestEditEndsInOneOfThreeWays(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	ctx, client := t.Context(), db.Client()
	must(t, client.RPush(ctx, "l", "a").Err())
	e := kvdb.Edit{DB: db, Role: "operator", Key: "l"}
	must(t, e.AppendElement(ctx, "b"))

	must(t, client.Do(ctx, "CONFIG", "SET", "maxmemory", "1").Err())
	if err := e.AppendElement(ctx, "c"); !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "maxmemory") {
		t.Errorf("a full server: %v", err)
	}
	must(t, client.Do(ctx, "CONFIG", "SET", "maxmemory", "0").Err())
	must(t, client.Do(ctx, "SCRIPT", "FLUSH").Err())
	must(t, e.AppendElement(ctx, "c"))

	srv.Pause()
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	err := e.AppendElement(short, "d")
	var unknown *kvdb.UnknownError
	if !errors.As(err, &unknown) || !strings.Contains(unknown.Check, `"l"`) {
		t.Errorf("a server that stalls: %v", err)
	}
	srv.Resume()
	awaitHealth(t, db, kvdb.StatusOK)
	if got := client.LRange(ctx, "l", 0, -1).Val(); !slices.Equal(got, []string{"a", "b", "c"}) && !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("%q", got)
	}
	srv.Kill()
	if err := e.AppendElement(ctx, "e"); !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) {
		t.Errorf("no server: %v", err)
	}
}

// TestEditOfTheProgramUser: operators change keys as the program user.
func TestEditOfTheProgramUser(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	ctx, client := t.Context(), srv.DB(t).Client()
	must(t, client.Do(ctx, "ACL", "SETUSER", "programs", "on", "nopass", "~free*", "+@all", "-@dangerous").Err())
	db := must2(kvdb.Open(kvdb.Config{URL: srv.URL(), ProgramUser: "programs"}))
	defer db.Close()
	must(t, client.MSet(ctx, "free", "v", "other", "v").Err())
	must(t, kvdb.Edit{DB: db, Role: "operator", Key: "free"}.SetString(ctx, kvdb.Digest("v"), "w"))
	if err := (kvdb.Edit{DB: db, Role: "operator", Key: "other"}).SetString(ctx, kvdb.Digest("v"), "w"); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v", err)
	}
	must(t, kvdb.Edit{DB: db, Role: "admin", Key: "other"}.SetString(ctx, kvdb.Digest("v"), "w"))
	if diff := cmp.Diff([]any{"w", "w"}, client.MGet(ctx, "free", "other").Val()); diff != "" {
		t.Error(diff)
	}
}
