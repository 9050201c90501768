package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/handlers/api"
)

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := `{"system":"A","key":"k","value":"v"}`
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"none":             {"", 400, "it is empty"},
		"not JSON":         {"system=A", 400, "unexpected 's'"},
		"cut off":          {good[:20], 400, "it ends too early"},
		"more than one":    {good + good, 400, "text after the end"},
		"not UTF-8":        {`{"system":"A","key":"k","value":"` + "\xe9" + `"}`, 400, "not UTF-8"},
		"half a surrogate": {`{"system":"A","key":"k","value":"\ud83d"}`, 400, "half of a surrogate pair"},
		"1,001 levels": {`{"system":"A","key":"k","value":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, 400,
			"nested deeper than 1000"},
		"a million levels":     {strings.Repeat("[", 1_000_000), 400, "nested deeper than 1000"},
		"too large":            {`{"system":"A","key":"k","value":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "larger"},
		"a list":               {"[" + good + "]", 422, "must be an object"},
		"an unknown field":     {`{"system":"A","key":"k","value":"v","vlaue":"v"}`, 422, "vlaue"},
		"a field in capitals":  {`{"system":"A","Key":"k","value":"v"}`, 422, "Key"},
		"a field twice":        {`{"system":"A","key":"k","value":"v","value":"w"}`, 422, "twice"},
		"a number for a text":  {`{"system":"A","key":"k","value":5}`, 422, "must be text"},
		"a field less":         {`{"system":"A","key":"k"}`, 422, "missing"},
		"1,000 levels, unread": {`{"id":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `,` + good[1:], 201, ""},
	} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(c.body)
			if chunked { // without a length that is known beforehand
				body = io.MultiReader(body)
			}
			want := c.status
			if want == 201 && chunked {
				want = 409
			}
			a := w.call("POST", "/dictionary/entries", body)
			if a.status != want || !strings.Contains(string(a.raw), c.says) {
				t.Errorf("%s: %d %.200s, want %d with %q", name, a.status, a.raw, want, c.says)
			}
			if a.status >= 400 {
				a.problem(t)
			}
		}
	}
}

func TestContentTypeIsNotAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, kind := range []string{"", "application/json", "application/json; charset=utf-8", "text/plain",
		"application/x-www-form-urlencoded", "nonsense;;"} {
		w.want(201, "POST", "/dictionary/entries", entry("A", "k", fmt.Sprint(i)), header("Content-Type", kind))
	}
}

func TestPutNeedsAVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, kind := range []string{"entries", "translations"} {
		body := entry("A", "k", "v")
		if kind == "translations" {
			body = translation("A", "k", "v", "B", "k", "w")
		}
		made := w.want(201, "POST", "/dictionary/"+kind, body).object(t)
		one := "/dictionary/" + kind + "/" + made["id"].(string)
		if _, fields := w.want(422, "PUT", one, but(made, "version", nil)).problem(t); !cmp.Equal(fields, map[string]string{"version": "is missing"}) {
			t.Errorf("%s without a version: %v", kind, fields)
		}
		if _, fields := w.want(422, "PUT", one, but(made, "version", "1")).problem(t); fields["version"] == "" {
			t.Errorf("%s with a text for a version: %v", kind, fields)
		}
		w.want(409, "PUT", one, but(made, "version", 0))
		w.want(200, "PUT", one, but(made, "id", "another"))
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]map[string]string{
		"/dictionary/entries?limit=0":         {"limit": "must be from 1 to 1000"},
		"/dictionary/entries?limit=1001":      {"limit": "must be from 1 to 1000"},
		"/dictionary/entries?limit=ten":       {"limit": "must be a whole number"},
		"/dictionary/entries?limit=1&limit=2": {"limit": "is given more than once"},
		"/dictionary/entries?system1=A&sytem=B&limit=x": {"system1": "is not a parameter of this call",
			"sytem": "is not a parameter of this call", "limit": "must be a whole number"},
		"/dictionary/translations?system=A":          {"system": "is not a parameter of this call"},
		"/dictionary/entries?q=%FF":                  {"q": "is not UTF-8 text"},
		"/dictionary/entries?%FF=x":                  {"\ufffd": "is not a parameter of this call"},
		"/dictionary/systems?q=x":                    {"q": "is not a parameter of this call"},
		"/dictionary/export":                         {"format": "is missing"},
		"/dictionary/export?format=xml":              {"format": "must be one of csv, json, zato"},
		"/dictionary/export?format=csv&compress=bz2": {"compress": "is for the format zato only"},
		"/dictionary/export?format=zato&compress=gz": {"compress": "must be one of bz2"},
		"/audit?from=yesterday":                      {"from": "must be a time like 2026-01-31T18:00:00Z"},
		"/audit?by=me":                               {"by": "is not a parameter of this call"},
		"/dictionary/misses?limit=-1":                {"limit": "must be from 1 to 1000"},
		"/dictionary/changes?x":                      {"x": "is not a parameter of this call"},
		"/dictionary/entries/1?dry_run=true":         {"dry_run": "is not a parameter of this call"},
	} {
		_, fields := w.want(422, "GET", query, nil).problem(t)
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"/dictionary/entries?q=%zz", "/dictionary/entries?a;b"} {
		w.want(400, "GET", query, nil).problem(t)
	}
	w.want(422, "POST", "/translate?default=x", object{"system1": "A", "key1": "k", "value1": "v", "system2": "B", "key2": "k"}).problem(t)
	w.want(422, "POST", "/dictionary/import?format=csv&dry_run=maybe", "x").problem(t)
	w.want(422, "POST", "/dictionary/import?mode=merge", "x").problem(t)
	w.want(200, "GET", "/dictionary/entries?system=&limit=&cursor=", nil)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range api.Routes() {
		if row.Name == "api.openapi" || row.Name == "api.docs" {
			continue
		}
		path := strings.TrimPrefix(strings.NewReplacer(":id", "0", ":system", "A").Replace(row.Path), base)
		if a := w.call(row.Method, path, nil, func(r *http.Request) { r.Header.Del("Authorization") }); a.status != 401 ||
			a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s without a token: %d", row.Name, a.status)
		}
		if a := w.call(row.Method, path, nil, header("Authorization", "Bearer nonsense")); a.status != 401 {
			t.Errorf("%s with a wrong token: %d", row.Name, a.status)
		}
		changes := row.Method != http.MethodGet && !strings.HasPrefix(row.Name, "api.translate") &&
			(row.Method != http.MethodPost || !strings.HasPrefix(row.Name, "api.kvdb.")) // commands have their own rules
		want := map[bool]account.Role{false: account.Viewer, true: account.Operator}[changes]
		if row.Name == "api.stats.delete" { // there is no way back
			want = account.Admin
		}
		if row.Need != want {
			t.Errorf("%s needs %s, not %s", row.Name, row.Need, want)
		}
		if strings.HasSuffix(row.Path, "/events") { // a stream without end; its own test tells who may have it
			continue
		}
		if a := w.call(row.Method, path, nil, w.as(account.Viewer)); (a.status == 403) != changes {
			t.Errorf("%s by a viewer: %d", row.Name, a.status)
		}
	}
	a := w.do(w.request("PATCH", base+"/dictionary/entries", nil, w.as(account.Admin)))
	if a.problem(t); a.status != 405 || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("PATCH: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	a = w.do(w.request("GET", base+"/nothing", nil, w.as(account.Admin)))
	if a.problem(t); a.status != 404 {
		t.Errorf("an unknown path: %d", a.status)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one")).object(t)
	one := "/dictionary/entries/" + e["id"].(string)
	now := w.want(200, "PUT", one, but(e, "value", "two"), w.as(account.Admin))
	w.want(409, "PUT", one, but(e, "value", "three"))
	w.want(200, "DELETE", one+"?dry_run=true", nil)
	w.want(204, "DELETE", one, nil)
	w.want(200, "POST", "/dictionary/import?format=csv&dry_run=true", "system1,key1,value1,system2,key2,value2\nA,k,1,B,k,2\n")
	w.want(200, "POST", "/dictionary/import?format=csv", "system1,key1,value1,system2,key2,value2\nA,k,1,B,k,2\n")
	w.want(200, "POST", "/dictionary/changes/4/undo", nil)

	type record struct{ Actor, Verb, Object, Before, After, Outcome string }
	var page struct{ Items []record }
	w.want(200, "GET", "/audit", nil, w.as(account.Viewer)).into(t, &page)
	text := func(a answer) string { return strings.TrimSpace(string(a.raw)) }
	was := text(w.want(201, "POST", "/dictionary/entries", entry("A", "k", "one")))
	was = strings.NewReplacer(was[:strings.Index(was, `,"system`)], `{"id":"`+e["id"].(string)+`"`).Replace(was)
	was = was[:strings.LastIndex(was, ":")] + ":1}"
	want := []record{
		{"token-operator", "change.undo", "change 4", "", `Undo of change 4: Imported a csv file`, "done"},
		{"token-operator", "import.apply", "import csv, merge", "", "1 created, 0 updated, 0 deleted, 0 unchanged, 0 rejected; 2 entries created", "done"},
		{"token-operator", "entry.delete", `entry A k "two"`, text(now), "", "done"},
		{"token-operator", "entry.change", `entry A k "two"`, text(now), "", "failed"},
		{"token-admin", "entry.change", `entry A k "one"`, was, text(now), "done"},
		{"token-operator", "entry.create", `entry A k "one"`, "", was, "done"},
	}
	if diff := cmp.Diff(want, page.Items); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for query, n := range map[string]int{
		"actor=token-admin": 1, "verb=entry.change": 2, "object=k+%22two%22": 2, "from=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339): 0,
		"to=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339): 0, "limit=2": 7,
	} {
		if got := len(w.items("/audit?" + query)); got != n {
			t.Errorf("%s: %d records, want %d", query, got, n)
		}
	}
}

func TestDocsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.do(w.request("GET", "/api/docs", nil))
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	page, err := goquery.NewDocumentFromReader(bytes.NewReader(a.raw))
	if err != nil {
		t.Fatal(err)
	}
	if n := page.Find("article").Length(); n != len(api.Routes())-2 {
		t.Errorf("%d calls are described, %d are served", n, len(api.Routes())-2)
	}
	page.Find("[src], link[href], form[action]").Each(func(_ int, s *goquery.Selection) {
		for _, name := range []string{"src", "href", "action"} {
			if to, ok := s.Attr(name); ok && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
				t.Errorf("loads %s", to)
			}
		}
	})
	if n := page.Find("style, script:not([src]), [style], [onclick]").Length(); n > 0 {
		t.Errorf("%d inline styles and scripts", n)
	}
	ids := map[string]bool{}
	page.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id, _ := s.Attr("id")
		if ids[id] {
			t.Errorf("%s is there twice", id)
		}
		ids[id] = true
	})
	page.Find(`a[href^="#"]`).Each(func(_ int, s *goquery.Selection) {
		if to, _ := s.Attr("href"); !ids[to[1:]] {
			t.Errorf("%s leads nowhere", to)
		}
	})
	page.Find("article").Each(func(_ int, s *goquery.Selection) {
		name := s.Find("h3").Text()
		if !strings.HasPrefix(s.Find("pre").Text(), "curl ") || s.Find("table").Length() == 0 {
			t.Errorf("%s has no example or no answers", name)
		}
	})
}

// The examples on the page work when they are typed as they stand there.
func TestExamplesOfThePageAreAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page, err := goquery.NewDocumentFromReader(bytes.NewReader(w.do(w.request("GET", "/api/docs", nil)).raw))
	if err != nil {
		t.Fatal(err)
	}
	page.Find("article pre").Each(func(_ int, s *goquery.Selection) {
		text := s.Text()
		method := "GET"
		if _, rest, ok := strings.Cut(text, "-X "); ok {
			method, _, _ = strings.Cut(rest, " ")
		}
		_, path, _ := strings.Cut(text, "$SERVER"+base)
		path, rest, _ := strings.Cut(path, `"`)
		var body any
		if _, b, ok := strings.Cut(rest, "END'\n"); ok {
			body = strings.TrimSuffix(b, "\nEND")
		}
		if strings.Contains(text, "--data-binary @") && !strings.Contains(text, "@- ") ||
			strings.HasSuffix(text, " -N") { // a file that nobody has here, or a stream without end
			return
		}
		if a := w.call(method, strings.NewReplacer("{id}", "none", "{system}", "CRM", "{name}", "none.such", "{service}", "none", "{cid}", "none",
			"{channel}", "none").Replace(path), body, w.as(account.Admin)); a.status >= 400 && a.status != 404 && a.status != 422 {
			t.Errorf("%s: %d %s", text, a.status, a.raw)
		} else if a.status == 422 {
			// An entry is not there, or the program finds a key of another type.
			if _, fields := a.problem(t); fields["value1"] == "" && !strings.HasSuffix(path, "/lua/run") {
				t.Errorf("%s: %s", text, a.raw)
			}
		}
	})
}

func TestRequestsThatBreakOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	pr, pw := io.Pipe()
	r := w.request("POST", base+"/dictionary/import?format=csv", pr, w.as(account.Operator)).WithContext(ctx)
	done := make(chan error)
	go func() {
		res, err := w.client.Do(r)
		if err == nil {
			err = res.Body.Close()
		}
		done <- err
	}()
	if _, err := io.WriteString(pw, "system1,key1,value1,system2,key2,value2\nA,k,1,B,k,2\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = pw.CloseWithError(io.ErrUnexpectedEOF) // the client waits for the body before it gives up
	if err := <-done; err == nil {
		t.Error("answered")
	}
	for deadline := time.Now().Add(10 * time.Second); len(w.items("/audit?verb=import.apply")) == 0 && time.Now().Before(deadline); {
	}
	if got := w.items("/audit?verb=import.apply"); len(got) != 1 || got[0].(object)["outcome"] != "failed" {
		t.Errorf("audit: %v", got)
	}
	if n := len(w.items("/dictionary/entries")); n != 0 {
		t.Errorf("%d entries of half a file", n)
	}
}
