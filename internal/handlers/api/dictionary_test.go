package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/api"
)

// awkward are values that something on the way might alter.
var awkward = []string{
	"", " ", " leading and trailing ", "two\nlines\tand a tab", `"quotes" 'single' \back\slash \u0041`, "<script>alert(1)</script>&amp;",
	"é ü ß 漢字 😀 🇦🇼 e\u0301", "\u2028\u2029\ufeff\ufffd", "a:::b/c;d,e", strings.Repeat("x", 4096), "null", "0012", "1e3", "%20+%", "\u00a0",
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(201, "POST", "/dictionary/translations", translation("CRM", "COUNTRY", "AW", "ERP", "country.iso3", "ABW"))
	w.want(201, "POST", "/dictionary/translations", translation("CRM", "COUNTRY", "", "ERP", "country.iso3", ""))
	ask := object{"system1": "CRM", "key1": "COUNTRY", "value1": "AW", "system2": "ERP", "key2": "country.iso3"}
	for name, c := range map[string]struct {
		body object
		want object
	}{
		"found":                        {ask, object{"value2": "ABW", "found": true}},
		"found, with a default":        {but(ask, "default", "d"), object{"value2": "ABW", "found": true}},
		"found to be empty":            {but(ask, "value1", "", "default", "d"), object{"value2": "", "found": true}},
		"missing":                      {but(ask, "value1", "XX"), object{"value2": "", "found": false}},
		"missing, with a default":      {but(ask, "value1", "XX", "default", "<d>"), object{"value2": "<d>", "found": false}},
		"missing, with null":           {but(ask, "value1", "XX", "default", json.RawMessage("null")), object{"value2": "", "found": false}},
		"unknown system":               {but(ask, "system2", "nowhere"), object{"value2": "", "found": false}},
		"a value that can't exist":     {but(ask, "value1", "\x00\x1b"), object{"value2": "", "found": false}},
		"a value that is far too long": {but(ask, "value1", strings.Repeat("x", 5000)), object{"value2": "", "found": false}},
	} {
		got := w.want(200, "POST", "/translate", c.body, w.as(account.Viewer)).object(t)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTranslateBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, v := range []string{"PL", "BQ"} {
		w.want(201, "POST", "/dictionary/translations", translation("CRM", "C", v, "ERP", "C", v+"!"))
	}
	ask := object{"system1": "CRM", "key1": "C", "system2": "ERP", "key2": "C"}
	got := w.want(200, "POST", "/translate/batch", but(ask, "values", []string{"PL", "??", "BQ", "PL", "\x01"}, "default", "d")).object(t)
	want := object{"results": []any{
		object{"value1": "PL", "value2": "PL!", "found": true}, object{"value1": "??", "value2": "d", "found": false},
		object{"value1": "BQ", "value2": "BQ!", "found": true}, object{"value1": "PL", "value2": "PL!", "found": true},
		object{"value1": "\x01", "value2": "d", "found": false},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(w.want(200, "POST", "/translate/batch", but(ask, "values", []string{})).raw); got != `{"results":[]}` {
		t.Errorf("no values: %s", got)
	}

	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprintf("value %d", i)
	}
	var all struct{ Results []api.BatchResult }
	w.want(200, "POST", "/translate/batch", but(ask, "values", many[:10_000])).into(t, &all)
	if n := len(all.Results); n != 10_000 || all.Results[9_999].Value1 != "value 9999" {
		t.Errorf("%d results", n)
	}
	_, fields := w.want(422, "POST", "/translate/batch", but(ask, "values", many)).problem(t)
	if want := map[string]string{"values": "holds 10001 items; at most 10000 are allowed"}; !cmp.Equal(want, fields) {
		t.Errorf("10,001 values: %v", fields)
	}
	_, fields = w.want(422, "POST", "/translate/batch", but(ask, "values", []any{"a", "b", "c", 4, nil})).problem(t)
	if want := map[string]string{"values[3]": "must be text", "values[4]": "must be text"}; !cmp.Equal(want, fields) {
		t.Errorf("wrong values: %v", fields)
	}
	// The largest values, in the longest way to write them.
	long := make([]string, 400)
	for i := range long {
		long[i] = strings.Repeat("\u00e9", 2048)
	}
	w.want(200, "POST", "/translate/batch", but(ask, "values", long))
}

func TestEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/dictionary/entries"
	made := w.want(201, "POST", path, but(entry("A", "k", "one"), "id", "of my own", "version", "none"))
	e := made.object(t)
	if got, want := made.header.Get("Location"), base+path+"/"+e["id"].(string); got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	if diff := cmp.Diff(but(entry("A", "k", "one"), "id", e["id"], "version", e["version"]), e); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	one := path + "/" + e["id"].(string)
	if diff := cmp.Diff(e, w.want(200, "GET", one, nil, w.as(account.Viewer)).object(t)); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}

	taken := w.want(409, "POST", path, entry("A", "k", "one"))
	if detail, _ := taken.problem(t); !strings.Contains(detail, `A k "one" exists already`) || taken.object(t)["id"] != e["id"] {
		t.Errorf("the same again: %s", taken.raw)
	}

	// An entry may be sent back as it was read.
	same := w.want(200, "PUT", one, e).object(t)
	if diff := cmp.Diff(e, same); diff != "" {
		t.Errorf("sent back (-want +got):\n%s", diff)
	}
	w.want(201, "POST", "/dictionary/translations", translation("A", "k", "one", "B", "k", "two"))
	renamed := w.want(200, "PUT", one, but(e, "value", "uno")).object(t)
	if renamed["id"] != e["id"] || renamed["value"] != "uno" || renamed["version"].(float64) <= e["version"].(float64) {
		t.Errorf("renamed: %v", renamed)
	}
	if got := w.want(200, "POST", "/translate", object{"system1": "A", "key1": "k", "value1": "uno", "system2": "B", "key2": "k"}).object(t); got["value2"] != "two" {
		t.Errorf("its translation: %v", got)
	}
	stale := w.want(409, "PUT", one, but(e, "value", "dos"))
	stale.problem(t)
	if diff := cmp.Diff(renamed, stale.object(t)["current"]); diff != "" {
		t.Errorf("current (-want +got):\n%s", diff)
	}
	other := w.want(201, "POST", path, entry("A", "k", "other")).object(t)
	if got := w.want(409, "PUT", one, but(renamed, "value", "other")).object(t); got["id"] != other["id"] {
		t.Errorf("renamed to what exists: %v", got)
	}

	if got := w.want(200, "DELETE", one+"?dry_run=true", nil).object(t); got["translations"] != 1.0 {
		t.Errorf("dry run: %v", got)
	}
	w.want(200, "GET", one, nil)
	w.want(204, "DELETE", one, nil)
	w.want(404, "GET", one, nil)
	w.want(404, "DELETE", one, nil)
	w.want(404, "DELETE", one+"?dry_run=true", nil)
	w.want(404, "PUT", one, renamed)
	if got := w.want(200, "GET", "/dictionary/translations", nil).object(t); len(got["items"].([]any)) != 0 {
		t.Errorf("its translations are left: %v", got)
	}
}

func TestDryRunCountsATranslationToItselfOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(201, "POST", "/dictionary/translations", translation("A", "k", "x", "A", "k", "x"))
	w.want(201, "POST", "/dictionary/translations", translation("A", "k", "x", "B", "k", "y"))
	w.want(201, "POST", "/dictionary/translations", translation("B", "k", "y", "A", "k", "x"))
	var found struct{ Items []api.Entry }
	w.want(200, "GET", "/dictionary/entries?system=A", nil).into(t, &found)
	got := w.want(200, "DELETE", "/dictionary/entries/"+found.Items[0].ID+"?dry_run=true", nil).object(t)
	if got["translations"] != 3.0 {
		t.Errorf("%v, want 3", got)
	}
}

func TestTranslation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/dictionary/translations"
	want := translation("A", "k", "one", "B", "k", "two")
	_, fields := w.want(422, "POST", path, but(want, "create_entries", nil)).problem(t)
	if !strings.Contains(fields["value1"], "is no entry of A k") || !strings.Contains(fields["value2"], "is no entry of B k") || len(fields) != 2 {
		t.Errorf("without entries: %v", fields)
	}
	w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one"))
	if _, fields = w.want(422, "POST", path, but(want, "create_entries", false)).problem(t); len(fields) != 1 || fields["value2"] == "" {
		t.Errorf("without one entry: %v", fields)
	}
	made := w.want(201, "POST", path, want)
	tr := made.object(t)
	if diff := cmp.Diff(but(want, "create_entries", nil, "id", tr["id"], "version", tr["version"]), tr); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	one := path + "/" + tr["id"].(string)
	if got := made.header.Get("Location"); got != base+one {
		t.Errorf("Location is %q", got)
	}
	if got := w.want(409, "POST", path, but(want, "value2", "another")).object(t); got["id"] != tr["id"] {
		t.Errorf("the same again: %v", got)
	}
	if diff := cmp.Diff(tr, w.want(200, "PUT", one, tr).object(t)); diff != "" {
		t.Errorf("sent back as it was read (-want +got):\n%s", diff)
	}
	if _, fields = w.want(422, "PUT", one, but(tr, "value1", "uno", "value2", "2")).problem(t); len(fields) != 2 || fields["value1"] == "" || fields["value2"] == "" {
		t.Errorf("changed to what is no entry: %v", fields)
	}
	now := w.want(200, "PUT", one, but(tr, "value2", "2")).object(t)
	if now["value2"] != "2" || now["id"] != tr["id"] || now["version"] == tr["version"] {
		t.Errorf("changed: %v", now)
	}
	stale := w.want(409, "PUT", one, but(tr, "value2", "3", "create_entries", true)).object(t)
	if diff := cmp.Diff(now, stale["current"]); diff != "" {
		t.Errorf("current (-want +got):\n%s", diff)
	}
	w.want(422, "DELETE", one+"?dry_run=true", nil)
	w.want(204, "DELETE", one, nil)
	w.want(404, "GET", one, nil)
	w.want(404, "PUT", one, now)
	w.want(404, "DELETE", one, nil)
}

func TestValuesComeBackAsTheyWereSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, v := range awkward {
		made := w.want(201, "POST", "/dictionary/translations", translation("A", "k", v, "B.é-漢_1", "k", v)).object(t)
		if made["value1"] != v || made["value2"] != v {
			t.Errorf("%d: created %q, %q from %q", i, made["value1"], made["value2"], v)
		}
		got := w.want(200, "POST", "/translate", object{"system1": "A", "key1": "k", "value1": v, "system2": "B.é-漢_1", "key2": "k"}).object(t)
		if got["value2"] != v || got["found"] != true {
			t.Errorf("%d: translated %q to %v", i, v, got)
		}
		if v == "" {
			continue // as a filter it is no filter
		}
		var page struct{ Items []api.Translation }
		w.want(200, "GET", "/dictionary/translations?"+url.Values{"value1": {v}, "system2": {"B.é-漢_1"}}.Encode(), nil).into(t, &page)
		if len(page.Items) != 1 || page.Items[0].Value2 != v {
			t.Errorf("%d: filtered by %q: %v", i, v, page.Items)
		}
	}
	var batch struct{ Results []api.BatchResult }
	w.want(200, "POST", "/translate/batch", object{"system1": "A", "key1": "k", "system2": "B.é-漢_1", "key2": "k", "values": awkward}).into(t, &batch)
	for i, r := range batch.Results {
		if r.Value1 != awkward[i] || r.Value2 != awkward[i] || !r.Found {
			t.Errorf("%d: %q gave %+v", i, awkward[i], r)
		}
	}
	w.want(200, "GET", "/dictionary/systems/B.é-漢_1/keys", nil)
	w.want(200, "GET", "/dictionary/systems/"+url.PathEscape("B.é-漢_1")+"/keys", nil)
	w.want(200, "GET", "/dictionary/systems/B%2E%C3%A9%2D%E6%BC%A2_1/keys", nil)
}

func TestNamesAndValuesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, body := range map[string]object{
		"/dictionary/entries":      entry("A", "k", "v"),
		"/dictionary/translations": translation("A", "k", "v", "B", "k", "v"),
		"/translate":               {"system1": "A", "key1": "k", "value1": "v", "system2": "B", "key2": "k"},
		"/translate/batch":         {"system1": "A", "key1": "k", "values": []string{}, "system2": "B", "key2": "k"},
	} {
		for name := range body {
			for _, bad := range []any{5, nil, true, []any{}, object{}, strings.Repeat("n", 4097), "a b\x00", "\x7f"} {
				if name == "create_entries" || name == "values" || path == "/translate" && name == "value1" {
					continue
				}
				wrong := but(body)
				wrong[name] = bad
				_, fields := w.want(422, "POST", path, wrong).problem(t)
				if fields[name] == "" || len(fields) != 1 {
					t.Errorf("%s: %s = %.20v: %v", path, name, bad, fields)
				}
			}
		}
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var csv strings.Builder
	csv.WriteString("system1,key1,value1,system2,key2,value2\n")
	for i := range 250 {
		fmt.Fprintf(&csv, "A,k%d,v%03d,B,k,w%03d\n", i%3, i, i)
	}
	w.want(200, "POST", "/dictionary/import?format=csv", csv.String())

	for path, total := range map[string]int{
		"/dictionary/entries": 500, "/dictionary/entries?system=A": 250, "/dictionary/entries?q=V00": 10,
		"/dictionary/translations": 250, "/dictionary/translations?key1=k1&system2=B": 83, "/dictionary/translations?q=w24": 10,
		"/dictionary/systems": 2, "/dictionary/systems/A/keys": 3, "/dictionary/changes": 1, "/dictionary/changes/1/items": 750,
	} {
		and := "?"
		if strings.Contains(path, "?") {
			and = "&"
		}
		whole := w.items(path + and + "limit=1000")
		if len(whole) != total {
			t.Errorf("%s: %d items, want %d", path, len(whole), total)
		}
		for _, limit := range []int{1, 7, 100} {
			if limit == 1 && total > 100 {
				continue
			}
			if diff := cmp.Diff(whole, w.items(path+and+fmt.Sprint("limit=", limit))); diff != "" {
				t.Errorf("%s in pages of %d (-whole +paged):\n%s", path, limit, diff)
			}
		}
		if n := len(w.page(path, "").Items); n != min(total, 100) {
			t.Errorf("%s: %d items on a page of the usual size", path, n)
		}
		w.want(422, "GET", path+and+"cursor=%21nonsense", nil)
	}
}

// items walks through all pages of a list.
func (w *world) items(path string) []any {
	w.t.Helper()
	var all []any
	cursor := ""
	for {
		p := w.page(path, cursor)
		all = append(all, p.Items...)
		if cursor = p.Next; cursor == "" {
			return all
		}
	}
}

type page struct {
	Items []any
	Next  string `json:"next_cursor"`
}

func (w *world) page(path, cursor string) (p page) {
	w.t.Helper()
	if cursor != "" {
		and := "?"
		if strings.Contains(path, "?") {
			and = "&"
		}
		path += and + url.Values{"cursor": {cursor}}.Encode()
	}
	w.want(200, "GET", path, nil, w.as(account.Viewer)).into(w.t, &p)
	return p
}

// A walk through a list sees each entry that is there from beginning to end exactly once, whatever others do.
func TestCursorsStayGoodWhileOthersWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var csv strings.Builder
	csv.WriteString("system1,key1,value1,system2,key2,value2\n")
	for i := range 200 {
		fmt.Fprintf(&csv, "A,k,v%03d,B,k,w\n", i*2)
	}
	w.want(200, "POST", "/dictionary/import?format=csv", csv.String())
	seen := map[string]int{}
	cursor, ids := "", []string(nil)
	for i := 0; ; i++ {
		p := w.page("/dictionary/entries?system=A&key=k&limit=13", cursor)
		for _, item := range p.Items {
			seen[item.(object)["value"].(string)]++
			ids = append(ids, item.(object)["id"].(string))
		}
		if cursor = p.Next; cursor == "" {
			break
		}
		// One that was seen goes, and others come before and after the place where the walk is.
		w.want(204, "DELETE", "/dictionary/entries/"+ids[i*13], nil)
		w.want(201, "POST", "/dictionary/entries", entry("A", "k", fmt.Sprintf("v%03d", i*2+1)))
		w.want(201, "POST", "/dictionary/entries", entry("A", "k", fmt.Sprintf("v%03d", 399-i*2)))
	}
	for i := range 200 {
		if v := fmt.Sprintf("v%03d", i*2); seen[v] != 1 {
			t.Errorf("%s was seen %d times", v, seen[v])
		}
	}
	for v, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", v, n)
		}
	}
}

func TestSystems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(201, "POST", "/dictionary/translations", translation("CRM", "a", "1", "ERP", "x", "1"))
	w.want(201, "POST", "/dictionary/translations", translation("CRM", "b", "1", "CRM", "a", "2"))
	want := []any{
		object{"name": "CRM", "entries": 3.0, "translations": 2.0}, object{"name": "ERP", "entries": 1.0, "translations": 1.0},
	}
	if diff := cmp.Diff(want, w.items("/dictionary/systems")); diff != "" {
		t.Errorf("systems (-want +got):\n%s", diff)
	}
	want = []any{object{"name": "a", "entries": 2.0, "translations": 2.0}, object{"name": "b", "entries": 1.0, "translations": 1.0}}
	if diff := cmp.Diff(want, w.items("/dictionary/systems/CRM/keys")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	w.want(404, "GET", "/dictionary/systems/NONE/keys", nil)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := header("Idempotency-Key", "a key: of <mine>")
	first := w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one"), key)
	again := w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one"), key)
	if string(first.raw) != string(again.raw) || first.header.Get("Location") != again.header.Get("Location") {
		t.Errorf("the second answer differs: %s, %s", first.raw, again.raw)
	}
	if n := len(w.items("/dictionary/changes")); n != 1 {
		t.Errorf("%d changes", n)
	}
	// Another token's key is another key.
	w.want(409, "POST", "/dictionary/entries", entry("A", "k", "one"), key, w.as(account.Admin))
	// The same key for something else is refused, not taken for done.
	e := first.object(t)
	one := "/dictionary/entries/" + e["id"].(string)
	for _, a := range []answer{
		w.want(409, "POST", "/dictionary/entries", entry("A", "k", "other"), key),
		w.want(409, "PUT", one, but(e, "value", "other"), key),
		w.want(409, "DELETE", one, nil, key),
		w.want(409, "POST", "/dictionary/translations", translation("A", "k", "one", "B", "k", "two"), key),
		w.want(409, "POST", "/dictionary/import?format=csv", "system1,key1,value1,system2,key2,value2\n", key),
	} {
		if detail, _ := a.problem(t); !strings.Contains(detail, "another change") {
			t.Errorf("%s", a.raw)
		}
	}
	w.want(422, "POST", "/dictionary/entries", entry("A", "k", "x"), header("Idempotency-Key", strings.Repeat("x", 201)))

	change := header("Idempotency-Key", "change")
	renamed := w.want(200, "PUT", one, but(e, "value", "uno"), change)
	if again := w.want(200, "PUT", one, but(e, "value", "uno"), change); string(again.raw) != string(renamed.raw) {
		t.Errorf("%s, again %s", renamed.raw, again.raw)
	}
	made := w.want(201, "POST", "/dictionary/translations", translation("A", "k", "uno", "B", "k", "two"), header("Idempotency-Key", "tr"))
	if again := w.want(201, "POST", "/dictionary/translations", translation("A", "k", "uno", "B", "k", "two"), header("Idempotency-Key", "tr")); string(again.raw) != string(made.raw) {
		t.Errorf("%s, again %s", made.raw, again.raw)
	}
	for range 2 {
		w.want(204, "DELETE", one, nil, header("Idempotency-Key", "gone"))
	}
	file := "system1,key1,value1,system2,key2,value2\nA,k,1,B,k,2\n"
	imported := w.want(200, "POST", "/dictionary/import?format=csv", file, header("Idempotency-Key", "file"))
	w.want(200, "POST", "/dictionary/import?format=csv", "system1,key1,value1,system2,key2,value2\nA,k,1,B,k,3\n")
	if again := w.want(200, "POST", "/dictionary/import?format=csv", file, header("Idempotency-Key", "file")); again.object(t)["change"] != imported.object(t)["change"] {
		t.Errorf("%s, again %s", imported.raw, again.raw)
	}
	if got := w.want(200, "POST", "/translate", object{"system1": "A", "key1": "k", "value1": "1", "system2": "B", "key2": "k"}).object(t); got["value2"] != "3" {
		t.Errorf("a repeated import was made again: %v", got)
	}
}

func TestChangesAndUndo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tr := w.want(201, "POST", "/dictionary/translations", translation("A", "k", "one", "B", "k", "two")).object(t)
	now := w.want(200, "PUT", "/dictionary/translations/"+tr["id"].(string), but(tr, "value2", "2", "create_entries", true)).object(t)
	var list struct{ Items []object }
	w.want(200, "GET", "/dictionary/changes", nil, w.as(account.Viewer)).into(t, &list)
	if len(list.Items) != 2 {
		t.Fatalf("%v", list)
	}
	last := list.Items[0]
	at, err := time.Parse(time.RFC3339, last["at"].(string))
	if err != nil || time.Since(at) > time.Minute || last["by"] != "token-operator" || last["kind"] != "edit" || last["summary"] == "" {
		t.Errorf("%v", last)
	}
	items := last["items"].([]any)
	changed := object{"type": "translation", "before": tr, "after": now}
	if last["items_total"] != 2.0 || len(items) != 2 || !slices.ContainsFunc(items, func(i any) bool { return cmp.Equal(i, any(changed)) }) {
		t.Errorf("items: %v", items)
	}
	id := last["id"].(string)
	if diff := cmp.Diff(last, w.want(200, "GET", "/dictionary/changes/"+id, nil).object(t)); diff != "" {
		t.Errorf("one change (-list +one):\n%s", diff)
	}
	if diff := cmp.Diff(items, w.items("/dictionary/changes/"+id+"/items")); diff != "" {
		t.Errorf("its items (-list +items):\n%s", diff)
	}

	undo := w.want(200, "POST", "/dictionary/changes/"+id+"/undo", nil, header("Idempotency-Key", "u")).object(t)
	if undo["kind"] != "undo" || undo["undoes"] != id {
		t.Errorf("undo: %v", undo)
	}
	if got := w.want(200, "GET", "/dictionary/translations/"+tr["id"].(string), nil).object(t); got["value2"] != "two" {
		t.Errorf("after the undo: %v", got)
	}
	if got := w.want(200, "GET", "/dictionary/changes/"+id, nil).object(t); got["undone_by"] != undo["id"] {
		t.Errorf("the undone change: %v", got)
	}
	if again := w.want(200, "POST", "/dictionary/changes/"+id+"/undo", nil, header("Idempotency-Key", "u")).object(t); again["id"] != undo["id"] {
		t.Errorf("undone again: %v", again)
	}
	w.want(409, "POST", "/dictionary/changes/"+id+"/undo", nil)
	w.want(404, "POST", "/dictionary/changes/99/undo", nil)
	w.want(404, "GET", "/dictionary/changes/x", nil)
	w.want(404, "GET", "/dictionary/changes/99/items", nil)

	// What was changed since stands against it, and is named.
	now = w.want(200, "GET", "/dictionary/translations/"+tr["id"].(string), nil).object(t)
	w.want(200, "PUT", "/dictionary/translations/"+tr["id"].(string), but(now, "value2", "three"))
	conflict := w.want(409, "POST", "/dictionary/changes/1/undo", nil)
	conflict.problem(t)
	if got := conflict.object(t); got["total"].(float64) < 1 || len(got["items"].([]any)) < 1 {
		t.Errorf("%s", conflict.raw)
	}
}

func TestLargeChangesAreCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var csv strings.Builder
	csv.WriteString("system1,key1,value1,system2,key2,value2\n")
	for i := range 1500 {
		fmt.Fprintf(&csv, "A,k,%d,B,k,%d\n", i, i)
	}
	id := w.want(200, "POST", "/dictionary/import?format=csv", csv.String()).object(t)["change"].(string)
	w.want(200, "GET", "/dictionary/changes", nil)
	var one struct {
		Items []object
		Total int `json:"items_total"`
	}
	w.want(200, "GET", "/dictionary/changes/"+id, nil).into(t, &one)
	if one.Total != 4500 || len(one.Items) != 1000 {
		t.Errorf("%d of %d items", len(one.Items), one.Total)
	}
	if n := len(w.items("/dictionary/changes/" + id + "/items?limit=1000")); n != 4500 {
		t.Errorf("%d items in the list", n)
	}
}

func TestMisses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := object{"system1": "CRM", "key1": "C", "value1": "<b>", "system2": "ERP", "key2": "C"}
	before := time.Now().Add(-time.Second)
	for range 3 {
		w.want(200, "POST", "/translate", ask)
	}
	w.want(200, "POST", "/translate/batch", object{"system1": "CRM", "key1": "C", "system2": "ERP", "key2": "C", "values": []string{"x"}})
	var got []any
	for deadline := time.Now().Add(10 * time.Second); len(got) < 2 && time.Now().Before(deadline); {
		got = w.items("/dictionary/misses")
	}
	if len(got) != 2 {
		t.Fatalf("%v", got)
	}
	m := got[0].(object)
	for _, name := range []string{"first_at", "last_at"} {
		at, err := time.Parse(time.RFC3339, m[name].(string))
		if err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("%s is %v", name, m[name])
		}
	}
	if diff := cmp.Diff(but(ask, "count", 3.0, "invocations", 0.0), but(m, "first_at", nil, "last_at", nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(w.items("/dictionary/misses?value1=x&system1=CRM")); n != 1 {
		t.Errorf("filtered: %d", n)
	}
	if n := len(w.items("/dictionary/misses?limit=1")); n != 2 {
		t.Errorf("paged: %d", n)
	}
}

// Other replicas and subcommands write too.
func TestWhatOthersWriteIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := dict.New(w.db, dict.Options{})
	w.want(200, "GET", "/dictionary/entries", nil)
	e, _, err := other.CreateEntry(context.Background(), dict.By{Who: "other"}, dict.Entry{System: "A", Key: "k", Value: "v"})
	if err != nil {
		t.Fatal(err)
	}
	w.want(200, "GET", "/dictionary/entries/"+e.ID, nil)
	if n := len(w.items("/dictionary/entries")); n != 1 {
		t.Errorf("%d entries", n)
	}
	if err := other.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
