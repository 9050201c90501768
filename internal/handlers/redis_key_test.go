package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestKeysOfEachTypeAreShownAndEdited(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	for _, tc := range []struct {
		kind       string
		create     []string
		shown      []string
		item       string
		add        []string // a further element
		change     []string // of item
		after      func() string
		wantAdd    string
		wantChange string
		wantRemove string
	}{
		{
			"list", []string{"value", "one"}, []string{"1 element", "one"}, "0",
			[]string{"value", "zero", "where", "head"}, []string{"value", "ZERO\r\nline"},
			func() string { return strings.Join(a.client().LRange(ctx, a.key("list"), 0, -1).Val(), "|") },
			"zero|one", "ZERO\nline|one", "one",
		}, {
			"set", []string{"value", "a"}, []string{"1 member", "a"}, "b",
			[]string{"name", "b"}, nil,
			func() string {
				return strings.Join(a.client().Sort(ctx, a.key("set"), &redis.Sort{Alpha: true}).Val(), "|")
			},
			"a|b", "a|b", "a",
		}, {
			"zset", []string{"score", "1.5", "value", "a"}, []string{"sorted set", "1.5", "a"}, "b",
			[]string{"name", "b", "score", "2"}, []string{"score", "-inf"},
			func() string { return fmt.Sprint(a.client().ZRangeWithScores(ctx, a.key("zset"), 0, -1).Val()) },
			"[{1.5 a} {2 b}]", "[{-Inf b} {1.5 a}]", "[{1.5 a}]",
		}, {
			"hash", []string{"field", "f", "value", "v"}, []string{"1 field", "f", "v"}, "g",
			[]string{"name", "g", "value", "w"}, []string{"value", "W"},
			func() string { return fmt.Sprint(a.client().HGetAll(ctx, a.key("hash")).Val()) },
			"map[f:v g:w]", "map[f:v g:W]", "map[f:v]",
		},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			rec := a.send("/redis/keys/new", append([]string{"type", tc.kind, "name", a.key(tc.kind)}, tc.create...))
			wantRedirect(t, rec, a.at("", tc.kind))
			a.wantRecord("operator | key.create | key " + kvdb.Shown(a.key(tc.kind)) + " | done")
			d := doc(t, a.show(a.at("", tc.kind)))
			wantText(t, d.Find("main"), tc.shown...)
			if twice := duplicateIDs(d); len(twice) > 0 {
				t.Errorf("IDs twice: %v", twice)
			}
			rec = a.send(a.at("/add", tc.kind, "type", tc.kind), tc.add, fragment)
			wantStatus(t, rec, http.StatusOK)
			if got := tc.after(); got != tc.wantAdd {
				t.Errorf("added: %s", got)
			}
			wantText(t, doc(t, a.show(a.at("/item", tc.kind, "type", tc.kind, "item", tc.item))).Find(testid("item")))
			if tc.change != nil {
				rec = a.show(a.at("/edit", tc.kind, "type", tc.kind, "item", tc.item), fragment)
				wantStatus(t, rec, http.StatusOK)
				rec = a.send(a.at("/edit", tc.kind, "type", tc.kind, "item", tc.item), instead(fieldsOf(rows(t, rec)), tc.change...), fragment)
				wantStatus(t, rec, http.StatusOK)
				if rows(t, rec).Find(testid("item")).Length() != 1 {
					t.Error("no row")
				}
				a.wantRecord("operator | key.change | key " + kvdb.Shown(a.key(tc.kind)) + " | done")
			}
			if got := tc.after(); got != tc.wantChange {
				t.Errorf("changed: %s", got)
			}
			rec = a.show(a.at("/remove", tc.kind, "type", tc.kind, "item", tc.item), fragment)
			wantStatus(t, rec, http.StatusOK)
			rec = a.send(a.at("/remove", tc.kind, "type", tc.kind, "item", tc.item), fieldsOf(rows(t, rec)), fragment)
			wantStatus(t, rec, http.StatusOK)
			if got := tc.after(); got != tc.wantRemove {
				t.Errorf("removed: %s", got)
			}
			a.wantRecord("operator | key.remove | key " + kvdb.Shown(a.key(tc.kind)) + " | done")
		})
	}
}

func TestAStringIsShownAndEdited(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	text := `{"n":12345678901234567890,"s":"<em>x</em>"}`
	a.must(a.client().Set(ctx, a.key("s"), text, time.Hour).Err())
	d := doc(t, a.show(a.at("", "s")))
	wantText(t, d.Find(testid("text")), `"n": 12345678901234567890,`, "<em>")
	wantText(t, doc(t, a.show(a.at("", "s", "as", "text"))).Find(testid("text")), text)
	wantText(t, doc(t, a.show(a.at("", "s", "as", "hex"))).Find(testid("text")), "00000000 7b 22 6e")

	form := doc(t, a.show(a.at("/edit", "s", "type", "string"))).Find(testid("string-form"))
	seen, _ := form.Find(`[name="seen"]`).Attr("value")
	rec := a.send(a.at("/edit", "s", "type", "string"), []string{"seen", seen, "value", "a\r\nb"})
	wantRedirect(t, rec, a.at("", "s"))
	if got := a.value("s"); got != "a\nb" {
		t.Errorf("value %q", got)
	}
	if ttl := a.client().TTL(ctx, a.key("s")).Val(); ttl <= 0 {
		t.Errorf("TTL %v", ttl)
	}
	// Again with what was seen before: both are shown, and nothing is lost.
	rec = a.send(a.at("/edit", "s", "type", "string"), []string{"seen", seen, "value", "mine"})
	wantStatus(t, rec, http.StatusConflict)
	d = doc(t, rec)
	wantText(t, d.Find(testid("theirs")), "a b")
	again := d.Find(testid("string-form"))
	wantText(t, again.Find("textarea"), "mine")
	seen, _ = again.Find(`[name="seen"]`).Attr("value")
	wantRedirect(t, a.send(a.at("/edit", "s", "type", "string"), []string{"seen", seen, "value", "mine"}), a.at("", "s"))

	// It is gone, then of another type.
	a.must(a.client().Del(ctx, a.key("s")).Err())
	rec = a.send(a.at("/edit", "s", "type", "string"), []string{"seen", seen, "value", "still here"})
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find(testid("string-form")), "The key is gone", "Create it again", "still here")
	wantRedirect(t, a.send("/redis/keys/new", fieldsIn(doc(t, rec).Find(testid("string-form")))), a.at("", "s"))
	a.must(a.client().Del(ctx, a.key("s")).Err())
	a.must(a.client().RPush(ctx, a.key("s"), "x").Err())
	rec = a.send(a.at("/edit", "s", "type", "string"), []string{"seen", seen, "value", "still here"})
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find(testid("string-form")), "is a list now", "still here")
	wantStatus(t, a.show(a.at("", "nothing")), http.StatusNotFound)
}

// fieldsIn returns what one form of a page would send.
func fieldsIn(form *goquery.Selection) []string {
	var out []string
	for _, el := range form.Find("input[name], textarea[name], select[name]").EachIter() {
		name, _ := el.Attr("name")
		value, _ := el.Attr("value")
		if goquery.NodeName(el) == "textarea" {
			value = strings.TrimPrefix(el.Text(), "\n")
		}
		if kind, _ := el.Attr("type"); kind == "checkbox" {
			if _, on := el.Attr("checked"); !on {
				continue
			}
			value = "on"
		}
		out = append(out, name, value)
	}
	return out
}

func TestAStaleElementShowsBoth(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	a.must(a.client().HSet(ctx, a.key("h"), "f", "old").Err())
	at := a.at("/edit", "h", "type", "hash", "item", "f")
	fields := instead(fieldsOf(rows(t, a.show(at, fragment))), "value", "mine")
	a.must(a.client().HSet(ctx, a.key("h"), "f", "theirs").Err())
	for _, how := range [][]with{{fragment}, nil} {
		rec := a.send(at, fields, how...)
		wantStatus(t, rec, http.StatusConflict)
		d := rows(t, rec)
		wantText(t, d.Find(testid("theirs")), "theirs")
		if got := valueOf(d, "value"); got != "mine" {
			t.Errorf("typed %q", got)
		}
	}
	if got := a.client().HGet(ctx, a.key("h"), "f").Val(); got != "theirs" {
		t.Errorf("it is %q", got)
	}
	again := fieldsOf(rows(t, a.send(at, fields, fragment)))
	wantStatus(t, a.send(at, again, fragment), http.StatusOK)

	a.must(a.client().HDel(ctx, a.key("h"), "f").Err())
	a.must(a.client().HSet(ctx, a.key("h"), "other", "x").Err())
	rec := a.send(at, again, fragment)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, rows(t, rec).Find(testid("item-form")), "removed this field", "Add it again")
	wantStatus(t, a.send(at, fieldsOf(rows(t, rec)), fragment), http.StatusOK)
	a.must(a.client().Del(ctx, a.key("h")).Err())
	rec = a.send(at, again, fragment)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, rows(t, rec).Find(testid("item-form")), "The key is gone")
	a.wantRecord("operator | key.change | key " + kvdb.Shown(a.key("h")) + " | failed")

	// Elements of a list move.
	a.must(a.client().RPush(ctx, a.key("l"), "a", "b").Err())
	at = a.at("/remove", "l", "type", "list", "item", "0")
	fields = fieldsOf(rows(t, a.show(at, fragment)))
	a.must(a.client().LPush(ctx, a.key("l"), "new").Err())
	rec = a.send(at, fields, fragment)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, rows(t, rec).Find(testid("theirs")), "new")
	if got := a.client().LLen(ctx, a.key("l")).Val(); got != 3 {
		t.Errorf("%d elements", got)
	}
}

func TestBinaryKeysAndValues(t *testing.T) {
	t.Parallel()
	a := newKeysAppOn(t, kvtest.NewServer(t).DB(t)) // whose list nobody else's keys make longer
	ctx := context.Background()
	name, value := "bin\xff\x00", "\x00\xfe raw\r\n\\"
	a.must(a.client().Set(ctx, a.key(name), value, 0).Err())
	d := doc(t, a.show("/redis/keys?match="+url.QueryEscape(a.key("bin"))))
	link, _ := d.Find(testid("key") + " a").Attr("href")
	d = doc(t, a.show(link))
	wantText(t, d.Find(testid("text")), "00 fe 20 72")
	edit, _ := d.Find("#edit-value").Attr("href")
	form := doc(t, a.show(edit)).Find(testid("string-form"))
	wantText(t, form.Find("textarea"), `\x00\xfe raw\r\n\\`)
	action, _ := form.Attr("action")
	fields := fieldsIn(form)
	wantStatus(t, a.send(action, fields), http.StatusSeeOther)
	if got := a.value(name); got != value {
		t.Errorf("saved as it was: %q", got)
	}
	wantStatus(t, a.send(action, instead(fields, "value", `\q`)), http.StatusUnprocessableEntity)
	wantStatus(t, a.send(action, instead(fields, "value", `\xff2`)), http.StatusSeeOther)
	if got := a.value(name); got != "\xff2" {
		t.Errorf("saved: %q", got)
	}

	a.must(a.client().HSet(ctx, a.key("h"), "f\xff", "v\xfe").Err())
	d = doc(t, a.show(a.at("", "h")))
	link, _ = d.Find(testid("item") + ` a[href^="/redis/key/edit"]`).Attr("href")
	rec := a.show(link, fragment)
	wantStatus(t, a.send(link, instead(fieldsOf(rows(t, rec)), "value", `w\xfd`, "escapes", "on"), fragment), http.StatusOK)
	if got := a.client().HGet(ctx, a.key("h"), "f\xff").Val(); got != "w\xfd" {
		t.Errorf("field: %q", got)
	}

	// The empty key is one too.
	wantStatus(t, a.show("/redis/key?key="), http.StatusNotFound)
	wantRedirect(t, a.show("/redis/key"), "/redis/keys")
	wantStatus(t, a.send("/redis/keys/new", []string{"type", "string", "name", "", "value", "x"}), http.StatusUnprocessableEntity)
}

func TestAKeyAsAWhole(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	a.set("k", "v")
	a.set("taken", "x")
	seen := []string{"type", "string"}
	wantRedirect(t, a.send(a.at("/ttl", "k"), append(seen, "do", "set", "amount", "2", "unit", "h")), a.at("", "k"))
	if ttl := a.client().TTL(ctx, a.key("k")).Val(); ttl < 119*time.Minute {
		t.Errorf("TTL %v", ttl)
	}
	for _, bad := range [][]string{{"amount", "x"}, {"amount", "-1"}, {}, {"at", "2001-01-01T00:00"}, {"amount", "1", "at", "2099-01-01T00:00"}} {
		rec := a.send(a.at("/ttl", "k"), append([]string{"type", "string", "had_ttl", "1", "do", "set"}, bad...))
		wantStatus(t, rec, http.StatusUnprocessableEntity)
		if doc(t, rec).Find(testid("ttl")+" .field-error").Length() != 1 {
			t.Errorf("%v: not said", bad)
		}
	}
	wantRedirect(t, a.send(a.at("/ttl", "k"), append(seen, "had_ttl", "1", "do", "persist")), a.at("", "k"))
	if ttl := a.client().TTL(ctx, a.key("k")).Val(); ttl > 0 {
		t.Errorf("TTL %v", ttl)
	}

	rec := a.send(a.at("/rename", "k"), append(seen, "to", a.key("taken")))
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find(testid("rename")), "already", "Replace the key")
	wantRedirect(t, a.send(a.at("/rename", "k"), append(seen, "to", a.key("taken"), "replace", "on")), a.at("", "taken"))
	wantRedirect(t, a.send(a.at("/copy", "taken"), append(seen, "to", a.key("copy"))), a.at("", "copy"))
	if a.value("copy") != "v" || a.value("taken") != "v" || a.value("k") != "(nil)" {
		t.Error("not renamed and copied")
	}

	d := doc(t, a.show(a.at("/delete", "copy")))
	wantText(t, d.Find("main"), "1 byte", "v", "never expires")
	fields := fieldsIn(d.Find(testid("delete")))
	a.set("copy", "changed")
	rec = a.send(a.at("/delete", "copy"), fields)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find("main"), "Look again", "changed")
	wantRedirect(t, a.send(a.at("/delete", "copy"), fieldsIn(doc(t, rec).Find(testid("delete")))), "/redis/keys")
	if a.value("copy") != "(nil)" {
		t.Error("not deleted")
	}
	for _, verb := range []string{"key.expire", "key.rename", "key.copy", "key.delete"} {
		found := false
		for _, r := range a.records() {
			found = found || strings.Contains(r, verb+" ") && strings.HasSuffix(r, "| done")
		}
		if !found {
			t.Errorf("no record of %s", verb)
		}
	}
}

func TestAStreamWithItsGroups(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	rec := a.send("/redis/keys/new", []string{"type", "stream", "name", a.key("x"), "field", "temp", "value", "21"})
	wantRedirect(t, rec, a.at("", "x"))
	a.must(a.client().XGroupCreate(ctx, a.key("x"), "readers", "0").Err())
	a.must(a.client().XReadGroup(ctx, &redis.XReadGroupArgs{Group: "readers", Consumer: "alice", Streams: []string{a.key("x"), ">"}}).Err())
	d := doc(t, a.show(a.at("", "x")))
	wantText(t, d.Find(testid("item")), "temp", "21")
	wantText(t, d.Find(testid("groups")), "readers", "alice")
	wantStatus(t, a.send(a.at("/add", "x", "type", "stream"), []string{"name", "*", "value", "a=1\r\nb=2=3"}, fragment), http.StatusOK)
	wantStatus(t, a.send(a.at("/add", "x", "type", "stream"), []string{"name", "*", "value", "nothing"}, fragment), http.StatusUnprocessableEntity)
	wantStatus(t, a.send(a.at("/add", "x", "type", "stream"), []string{"name", "1-1", "value", "a=1"}, fragment), http.StatusUnprocessableEntity)
	all := a.client().XRange(ctx, a.key("x"), "-", "+").Val()
	if len(all) != 2 || all[1].Values["b"] != "2=3" {
		t.Fatalf("entries %v", all)
	}
	wantStatus(t, a.send(a.at("/remove", "x", "type", "stream", "item", all[0].ID), nil, fragment), http.StatusOK)
	if n := a.client().XLen(ctx, a.key("x")).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestLargeValuesArePaged(t *testing.T) {
	t.Parallel()
	a := newKeysApp(t)
	ctx := context.Background()
	for i := range 250 {
		a.must(a.client().HSet(ctx, a.key("h"), fmt.Sprintf("field%d", i), strings.Repeat("v", 600)).Err())
	}
	seen, next := 0, a.at("", "h")
	for next != "" {
		d := doc(t, a.show(next))
		seen += d.Find(testid("item")).Length()
		next, _ = d.Find("#value-next").Attr("href")
	}
	if seen != 250 {
		t.Errorf("%d fields", seen)
	}
	d := doc(t, a.show(a.at("", "h")))
	wantText(t, d.Find(testid("item")).First(), "600 B in all")
	all, _ := d.Find(testid("item") + ` a[href*="all=1"]`).Attr("href")
	if got := rows(t, a.show(all, fragment)).Text(); !strings.Contains(got, strings.Repeat("v", 600)) {
		t.Error("not all is shown")
	}
	next, _ = d.Find("#value-next").Attr("href")
	a.must(a.client().Del(ctx, a.key("h")).Err())
	wantStatus(t, a.show(next), http.StatusNotFound)
	a.set("h", "text now")
	rec := a.show(next)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, doc(t, rec).Find("main"), "text now")
}
