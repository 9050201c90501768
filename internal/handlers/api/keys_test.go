package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

type keyList struct {
	Items []struct {
		Key  any
		Type string
		TTL  *int64 `json:"ttl_ms"`
		Size int64  `json:"size_bytes"`
		Own  bool
	}
	Next  string `json:"next_cursor"`
	About int64
}

// keys pages through the list of keys and returns their types.
func (w *world) keys(role account.Role, query string) map[string]string {
	w.t.Helper()
	got := map[string]string{}
	for cursor := ""; ; {
		var page keyList
		w.want(200, "GET", "/kvdb/keys?"+query+"&cursor="+url.QueryEscape(cursor), nil, w.as(role)).into(w.t, &page)
		for _, k := range page.Items {
			got[fmt.Sprint(k.Key)] = k.Type
			if k.Size <= 0 {
				w.t.Errorf("%+v", k)
			}
		}
		if cursor = page.Next; cursor == "" {
			return got
		}
	}
}

func TestListOfRedisKeys(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, kvtest.NewServer(t).DB(t))
	ctx, client := t.Context(), w.db.Client()
	for i := range 250 {
		if err := client.Set(ctx, fmt.Sprintf("k:%d", i), "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	client.Set(ctx, "expires", "v", time.Hour)
	client.HSet(ctx, "hash", "f", "v")
	client.Set(ctx, "", "v", 0)
	client.Set(ctx, "\xff", "v", 0)
	if got := w.keys(account.Viewer, "match=k:*&limit=20"); len(got) != 250 {
		t.Errorf("%d keys", len(got))
	}
	if diff := cmp.Diff(map[string]string{"hash": "hash"}, w.keys(account.Viewer, "type=hash&limit=1000")); diff != "" {
		t.Error(diff)
	}
	if got := w.keys(account.Viewer, "match=%FF"); len(got) != 1 || got["map[base64:/w==]"] != "string" {
		t.Errorf("%v", got)
	}
	if got := w.keys(account.Viewer, "limit=1000"); len(got) != 254 || got[""] != "string" {
		t.Errorf("%d keys", len(got))
	}
	var page keyList
	w.want(200, "GET", "/kvdb/keys?match=expires", nil).into(t, &page)
	if len(page.Items) != 1 || page.Items[0].TTL == nil || *page.Items[0].TTL < 3_500_000 {
		t.Errorf("%+v", page)
	}
	if a := w.want(200, "GET", "/kvdb/keys?match=hash", nil); !strings.Contains(string(a.raw), `"ttl_ms":null`) {
		t.Errorf("%s", a.raw)
	}
	// Keys of this program are for administrators, and marked.
	prefix := string(w.db.Keys())
	if got := w.keys(account.Operator, "match="+prefix+"*"); len(got) != 0 {
		t.Errorf("an operator sees %v", got)
	}
	others := keyList{}
	w.want(200, "GET", "/kvdb/keys?limit=1000&match="+prefix[:1]+"*", nil, w.as(account.Admin)).into(t, &others)
	for _, k := range others.Items {
		if k.Own {
			t.Errorf("%v is this program's own, and nobody asked for such", k.Key)
		}
	}
	own := keyList{}
	w.want(200, "GET", "/kvdb/keys?limit=1000&match="+prefix+"*", nil, w.as(account.Admin)).into(t, &own)
	for _, k := range own.Items {
		if !k.Own {
			t.Errorf("%+v", k)
		}
	}
	if len(own.Items) == 0 {
		t.Error("an admin sees none")
	}
	for _, query := range []string{"limit=0", "limit=1001", "cursor=x", "more=1", "type=a%20b", "match=a&match=b"} {
		w.want(422, "GET", "/kvdb/keys?"+query, nil)
	}
	w.want(400, "GET", "/kvdb/keys?match=%zz", nil)
}

// value pages through a value and returns its parts as JSON.
func (w *world) value(query string) (parts []string, all map[string]json.RawMessage) {
	w.t.Helper()
	for cursor := ""; ; {
		a := w.want(200, "GET", "/kvdb/key?"+query+"&cursor="+url.QueryEscape(cursor), nil, w.as(account.Viewer))
		a.into(w.t, &all)
		parts = append(parts, string(all["value"]))
		if err := json.Unmarshal(all["next_cursor"], &cursor); err != nil {
			w.t.Fatal(err)
		}
		if cursor == "" {
			return parts, all
		}
	}
}

func TestRedisKey(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		w := newWorldOn(t, db)
		ctx, client := t.Context(), db.Client()
		k := "key-" + string(db.Keys())
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(client.Set(ctx, k, "text", time.Hour).Err())
		must(client.Set(ctx, k+"long", strings.Repeat("é", 50_000), 0).Err())
		must(client.Set(ctx, k+"\xff", "\xfe", 0).Err())
		must(client.RPush(ctx, k+"l", "a", "\xff", "c").Err())
		must(client.SAdd(ctx, k+"s", "m").Err())
		must(client.ZAdd(ctx, k+"z", redis.Z{Score: 1.5, Member: "a"}, redis.Z{Score: 9007199254740993, Member: "b"}).Err())
		must(client.Do(ctx, "ZADD", k+"z", "+inf", "c").Err())
		must(client.HSet(ctx, k+"h", "f", "v", "g", strings.Repeat("x", 100_000)).Err())
		must(client.XAdd(ctx, &redis.XAddArgs{Stream: k + "x", ID: "1-1", Values: []string{"f", "v", "f", "w"}}).Err())
		for _, c := range []struct {
			name, query, kind, length string
			want                      []string
		}{
			{"", "", "string", "4", []string{`"text"`}},
			{"\xff", "", "string", "1", []string{`{"base64":"/g=="}`}},
			{"l", "&limit=2", "list", "3", []string{`["a",{"base64":"/w=="}]`, `["c"]`}},
			{"s", "", "set", "1", []string{`["m"]`}},
			{"z", "", "zset", "3", []string{`[["a",1.5],["b",9007199254740992],["c","inf"]]`}},
			{"x", "", "stream", "1", []string{`[{"id":"1-1","fields":[["f","v"],["f","w"]]}]`}},
		} {
			parts, all := w.value("key=" + url.QueryEscape(k+c.name) + c.query)
			if diff := cmp.Diff(c.want, parts); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.name, diff)
			}
			if string(all["type"]) != `"`+c.kind+`"` || string(all["length"]) != c.length || string(all["encoding"]) == `""` || all["truncated"] != nil ||
				(string(all["ttl_ms"]) == "null") == (c.name == "") {
				t.Errorf("%q: %s", c.name, all)
			}
		}
		parts, _ := w.value("key=" + url.QueryEscape(k+"long"))
		text := ""
		for _, part := range parts {
			var s string
			must(json.Unmarshal([]byte(part), &s))
			text += s
		}
		if len(parts) != 2 || text != strings.Repeat("é", 50_000) {
			t.Errorf("%d parts, %d bytes", len(parts), len(text))
		}
		parts, all := w.value("key=" + url.QueryEscape(k+"h"))
		if len(parts) != 1 || len(parts[0]) > 70_000 || string(all["truncated"]) != "true" || !strings.Contains(string(all["cut"]), `"size_bytes":100000`) {
			t.Errorf("%d parts, cut %s", len(parts), all["cut"])
		}

		// What is wrong.
		w.want(404, "GET", "/kvdb/key?key="+k+"none", nil)
		w.want(404, "DELETE", "/kvdb/key?key="+k+"none", nil)
		w.want(422, "GET", "/kvdb/key", nil)
		w.want(422, "DELETE", "/kvdb/key", nil)
		w.want(422, "GET", "/kvdb/key?cursor=x&key="+k, nil)
		first := w.want(200, "GET", "/kvdb/key?limit=1&key="+k+"l", nil).object(t)["next_cursor"].(string)
		must(client.Del(ctx, k+"l").Err())
		must(client.SAdd(ctx, k+"l", "m").Err())
		if detail, _ := w.want(409, "GET", "/kvdb/key?key="+k+"l&cursor="+first, nil).problem(t); !strings.Contains(detail, "is set now") {
			t.Error(detail)
		}
		own := db.Keys().Audit().Records()
		w.want(403, "GET", "/kvdb/key?key="+url.QueryEscape(own), nil)
		w.want(403, "DELETE", "/kvdb/key?key="+url.QueryEscape(own), nil, w.as(account.Admin))
		w.want(403, "DELETE", "/kvdb/key?key="+k, nil, w.as(account.Viewer))

		for _, name := range []string{k, k + "\xff", k + "h"} {
			w.want(204, "DELETE", "/kvdb/key?key="+url.QueryEscape(name), nil)
			if client.Exists(ctx, name).Val() != 0 {
				t.Errorf("%q is still there", name)
			}
		}
		records, _, err := w.audit.List(ctx, audit.Filter{Verb: "key.delete"}, "", 10)
		if err != nil || len(records) != 3 || records[2].Object != k || !strings.HasPrefix(records[2].Before, "string, length 4: text, expires in ") ||
			records[2].Outcome != audit.Done {
			t.Errorf("%+v, %v", records, err)
		}
	})
}

func TestEmptyRedisKey(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, kvtest.NewServer(t).DB(t))
	w.want(404, "GET", "/kvdb/key?key=", nil)
	w.command(account.Operator, "SET", "", object{"base64": base64.StdEncoding.EncodeToString([]byte("v"))})
	if got := w.want(200, "GET", "/kvdb/key?key=", nil).object(t); got["key"] != "" || got["value"] != "v" {
		t.Errorf("%v", got)
	}
	w.want(204, "DELETE", "/kvdb/key?key=", nil)
	w.want(404, "GET", "/kvdb/key?key=", nil)
}
