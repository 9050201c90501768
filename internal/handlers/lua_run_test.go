package handlers

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
)

const renameIfExists = `-- Renames a key if it exists.
if redis.call('exists', KEYS[1]) == 1 then
    redis.call('rename', KEYS[1], KEYS[2])
    return 10
end
return 11
`

// runApp is the server with an operator signed in, and keys that no other test uses.
type runApp struct {
	*dictApp
	prefix string
}

func newRunApp(t *testing.T, change ...func(*Deps)) *runApp {
	a := &runApp{dictApp: newDictApp(t, change...)}
	a.prefix = "{" + strings.ReplaceAll(t.Name(), "/", ".") + newOp() + "}:"
	ctx := context.Background()
	t.Cleanup(func() {
		keys, _ := a.deps.DB.Client().Keys(ctx, a.prefix+"*").Result()
		for _, k := range keys {
			a.deps.DB.Client().Del(ctx, k)
		}
	})
	return a
}

func (a *runApp) key(name string) string { return a.prefix + name }

func (a *runApp) set(name, value string) {
	a.t.Helper()
	if err := a.deps.DB.Client().Set(context.Background(), a.key(name), value, 0).Err(); err != nil {
		a.t.Fatal(err)
	}
}

// value is what a key holds, "(nil)" when there is none.
func (a *runApp) value(name string) string {
	a.t.Helper()
	ctx, client := context.Background(), a.deps.DB.Client()
	if n, err := client.Exists(ctx, a.key(name)).Result(); err != nil || n == 0 {
		return "(nil)"
	}
	got, err := client.Get(ctx, a.key(name)).Result()
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *runApp) program(name, text string) {
	a.t.Helper()
	if _, _, err := a.deps.Lua.Put(context.Background(), lua.By{Who: "anna"}, name, text, -1); err != nil {
		a.t.Fatal(err)
	}
}

// ask posts a form as htmx does.
func (a *runApp) ask(path string, fields ...string) (*httptest.ResponseRecorder, *goquery.Document) {
	a.t.Helper()
	rec := a.send(path, fields, fragment)
	return rec, doc(a.t, rec)
}

func TestRunASavedProgram(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.rename", renameIfExists)
	a.set("from", "x")
	rec, d := a.ask("/lua/-/run", "program", "my.rename", "key", a.key("from"), "key", a.key("to"), "source",
		strings.ReplaceAll(renameIfExists, "\n", "\r\n"))
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("result")), "Run", "integer 10")
	if a.value("to") != "x" || a.value("from") != "(nil)" {
		t.Errorf("from %s, to %s", a.value("from"), a.value("to"))
	}
	a.wantRecord("operator | lua.run | my.rename | done")
	link, _ := d.Find(testid("result") + " a").Attr("href")
	filled := doc(t, a.show(link))
	if got := valueOf(filled, "key"); got != a.key("from") {
		t.Errorf("the link %q fills in %q", link, got)
	}
}

func TestRunAsksWhichTextIsMeant(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.one", "return 1")
	rec, d := a.ask("/lua/-/run", "program", "my.one", "source", "return 2")
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, d.Find(testid("fault")), "not the saved one", "Run the saved one", "Run the text as it stands here")
	for which, want := range map[string]string{"saved": "integer 1", "text": "integer 2"} {
		rec, d = a.ask("/lua/-/run", "program", "my.one", "source", "return 2", "which", which)
		wantStatus(t, rec, http.StatusOK)
		wantText(t, d.Find(testid("result")), want)
	}
	rec, d = a.ask("/lua/-/run", "program", "my.one") // a browser without scripts sends no text
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("result")), "integer 1")
	a.wantRecord("operator | lua.run | ad hoc | done")
}

func TestRunWithoutScriptsIsAPage(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.echo", "return {ARGV[1], ARGV[2]}")
	rec := a.send("/lua/-/run", []string{"program", "my.echo", "value", "a\r\nb", "value", ""})
	wantStatus(t, rec, http.StatusOK)
	d := doc(t, rec)
	wantText(t, d.Find("h1"), "Run my.echo")
	wantText(t, d.Find(testid("reply")), "array, 2 elements", "empty")
	if got := d.Find(testid("run-form") + ` [name="value"]`).Length(); got != 2 {
		t.Errorf("%d rows of values", got)
	}
	if got := valueOf(d, "value"); got != "a\nb" {
		t.Errorf("value %q", got)
	}
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.fails", "redis.call('set', KEYS[1], 'half')\nerror('boom')")
	for _, tc := range []struct {
		name   string
		fields []string
		status int
		want   []string
		line   string
	}{
		{"raised", []string{"program", "my.fails", "key", a.key("k")}, 422, []string{"raised an error", "boom", "not rolled back"}, "2"},
		{"read-only", []string{"program", "my.fails", "key", a.key("k"), "read_only", "1"}, 422, []string{"Read-only run", "raised an error"}, "1"},
		{"syntax", []string{"program", "", "source", "return 1\nx ="}, 422, []string{"does not compile"}, "2"},
		{"nothing", []string{"program", "", "source", ""}, 422, []string{"Nothing ran", "The text is empty"}, ""},
		{"gone", []string{"program", "my.fail", "key", "k"}, 404, []string{"no program my.fail", "my.fails"}, ""},
	} {
		rec, d := a.ask("/lua/-/run", tc.fields...)
		if rec.Code != tc.status {
			t.Errorf("%s: status %d: %s", tc.name, rec.Code, rec.Body)
			continue
		}
		wantText(t, d.Selection, tc.want...)
		if line, _ := d.Find("[data-editor-line]").Attr("data-editor-line"); line != tc.line {
			t.Errorf("%s: marks line %q, want %q", tc.name, line, tc.line)
		}
		if got := rec.Header().Get("HX-Reswap"); got != "innerHTML" {
			t.Errorf("%s: HX-Reswap %q", tc.name, got)
		}
	}
	if a.value("k") != "half" {
		t.Errorf("the key holds %s", a.value("k"))
	}
	a.wantRecord("operator | lua.run | my.fails | failed")
}

func TestTypesOfReplies(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	for text, want := range map[string][]string{
		"return false":                               {"nil"},
		"return ''":                                  {"empty"},
		"return redis.status_reply('FINE')":          {"FINE", "status"},
		"return {1, {'two', {}}}":                    {"array, 2 elements", "two", "array, empty"},
		"return '\\255\\0'":                          {"\\xff"},
		"return string.rep('long ', 1000)":           {"show all"},
		"redis.setresp(3) return {double=1.5}":       {"1.5"},
		"redis.setresp(3) return {map={a=1}}":        {"a", "1"},
		"redis.setresp(3) return {set={a=true}}":     {"a"},
		"redis.setresp(3) return {big_number='123'}": {"123"},
		"redis.setresp(3) return true":               {"1"},
	} {
		rec, d := a.ask("/lua/-/run", "program", "", "source", text)
		wantStatus(t, rec, http.StatusOK)
		if body := rec.Body.String(); !strings.Contains(body, "redis-cli") {
			t.Errorf("%s: no raw form", text)
		}
		for _, w := range want {
			if got, html := words(d.Find(testid("reply"))), rec.Body.String(); !strings.Contains(got, w) && !strings.Contains(html, w) {
				t.Errorf("%s: no %q in %s", text, w, got)
			}
		}
	}
}

func TestRawForm(t *testing.T) {
	t.Parallel()
	bulk := func(s string) kvdb.Reply { return kvdb.Reply{Kind: kvdb.KindBulk, Text: s} }
	list := func(items ...kvdb.Reply) kvdb.Reply { return kvdb.Reply{Kind: kvdb.KindArray, Items: items} }
	for want, r := range map[string]kvdb.Reply{
		"(nil)\n":                              {},
		"(integer) 5\n":                        {Kind: kvdb.KindInteger, Text: "5"},
		"\"a\\x00\\n\"\n":                      bulk("a\x00\n"),
		"(empty array)\n":                      list(),
		"1) \"a\"\n2) 1) \"b\"\n   2) (nil)\n": list(bulk("a"), list(bulk("b"), kvdb.Reply{})),
		"1# \"k\" => (integer) 1\n":            {Kind: kvdb.KindMap, Items: []kvdb.Reply{bulk("k"), {Kind: kvdb.KindInteger, Text: "1"}}},
		"1~ (true)\n":                          {Kind: kvdb.KindSet, Items: []kvdb.Reply{{Kind: kvdb.KindBoolean, Text: "t"}}},
		"(error) ERR no\n":                     {Kind: kvdb.KindError, Text: "ERR no"},
	} {
		if got := redisCLI(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLongRepliesAreCut(t *testing.T) {
	t.Parallel()
	many := kvdb.Reply{Kind: kvdb.KindArray}
	for range shownItems + 5 {
		many.Items = append(many.Items, kvdb.Reply{Kind: kvdb.KindInteger, Text: "1"})
	}
	many.Items[0] = kvdb.Reply{Kind: kvdb.KindBulk, Text: strings.Repeat("é", shownBytes)}
	var r luaview.Result
	showReply(&r, many, true)
	if len(r.Reply.Items) != shownItems || r.Reply.Note != "and 5 more" {
		t.Errorf("%d items, %q", len(r.Reply.Items), r.Reply.Note)
	}
	first := r.Reply.Items[0].Value
	if first.Note != "the first 1.0 MB of 2.0 MB" || len(first.Whole) != shownBytes || !strings.HasSuffix(first.Text, "é…") {
		t.Errorf("note %q, whole %d, text ends %q", first.Note, len(first.Whole), first.Text[len(first.Text)-5:])
	}
	if r.Raw != "" || r.JSON != "" || len(r.Notes) != 1 {
		t.Errorf("raw %d, JSON %d, notes %v", len(r.Raw), len(r.JSON), r.Notes)
	}
}

func TestRowsOfArguments(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	rec, d := a.ask("/lua/-/arguments", "key", "one", "key", "two", "value", "", "add", "value")
	wantStatus(t, rec, http.StatusOK)
	if d.Find(`[name="key"]`).Length() != 2 || d.Find(`[name="value"]`).Length() != 2 || d.Find("#value-2[autofocus]").Length() != 1 {
		t.Errorf("%s", rec.Body)
	}
	_, d = a.ask("/lua/-/arguments", "key", "one", "key", "two", "key", "three", "drop", "key.2")
	if got := d.Find(`[name="key"]`).Map(func(_ int, s *goquery.Selection) string { return s.AttrOr("value", "") }); strings.Join(got,
		" ") != "one three" {
		t.Errorf("%v", got)
	}
	page := doc(t, a.send("/lua/-/arguments", []string{"program", "", "source", "return 1", "add", "key"}))
	if page.Find(`[name="key"]`).Length() != 1 || valueOf(page, "source") != "return 1" {
		t.Error("without scripts, the page has no row more or lost the text")
	}
}

func TestTheFormBeginsWithWhatTheTextReads(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.rename", renameIfExists)
	d := doc(t, a.show("/lua/my.rename?key=one&value=&read_only=1"))
	form := d.Find(testid("run-form"))
	if form.Find(`[name="key"]`).Length() != 2 || form.Find(`[name="value"]`).Length() != 1 || form.Find(`[name="read_only"][checked]`).Length() != 1 {
		html, _ := form.Html()
		t.Errorf("%s", html)
	}
	if twice := duplicateIDs(d); len(twice) > 0 {
		t.Errorf("IDs twice: %v", twice)
	}
	viewer := doc(t, a.as(Viewer).show("/lua/my.rename"))
	if viewer.Find(testid("run-form")).Length() != 0 {
		t.Error("a viewer sees the form")
	}
	wantText(t, viewer.Find(testid("run-panel")), "takes the role operator")
}

func TestDryRunAndApply(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.rename", renameIfExists)
	a.set("from", "x")
	fields := []string{"program", "my.rename", "key", a.key("from"), "key", a.key("to"), "source", renameIfExists}
	rec, d := a.ask("/lua/-/dryrun", fields...)
	wantStatus(t, rec, http.StatusOK)
	panel := d.Find(testid("dryrun"))
	wantText(t, panel, "2 calls, nothing was written", "integer 10", "EXISTS", "RENAME", "gone", "new, string, no expiry", "Apply these changes")
	if panel.Find(testid("change")).Length() != 2 || panel.Find("del").Length() != 1 || panel.Find("ins").Length() != 1 {
		t.Errorf("%s", rec.Body)
	}
	if line := panel.Find("[data-editor-line]").AttrOr("data-editor-line", ""); line != "3" {
		t.Errorf("line %q is marked", line)
	}
	if a.value("from") != "x" {
		t.Fatal("the dry run has changed something")
	}
	apply := formFields(panel.Find("#apply"))

	a.set("from", "other")
	rec, d = a.ask("/lua/-/apply", apply...)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, d.Find(testid("fault")), "something has changed", a.key("from"), "Dry run again")
	a.set("from", "x")
	rec, d = a.ask("/lua/-/apply", apply...)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("result")), "Applied", "integer 10")
	if a.value("to") != "x" {
		t.Errorf("to %s", a.value("to"))
	}
	a.wantRecord("operator | lua.dryrun | my.rename | done")
	a.wantRecord("operator | lua.apply | my.rename | failed")
	a.wantRecord("operator | lua.apply | my.rename | done")
}

// formFields are the fields that a form sends.
func formFields(form *goquery.Selection) []string {
	var out []string
	for _, el := range form.Find("input[name], textarea[name]").EachIter() {
		out = append(out, el.AttrOr("name", ""), el.AttrOr("value", el.Text()))
	}
	return out
}

func TestDryRunTakesTheTextInTheEditor(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.one", "return 1")
	rec, d := a.ask("/lua/-/dryrun", "program", "my.one", "source", "error('not saved')")
	wantStatus(t, rec, http.StatusUnprocessableEntity)
	wantText(t, d.Find(testid("dryrun")), "it is not saved", "would raise an error", "not saved")
	if d.Find("#apply").Length() != 0 {
		t.Error("what fails can be applied")
	}
}

func TestDebug(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.set("k", "before")
	text := "local a = 41\nredis.call('set', KEYS[1], 'inside')\nlocal b = a + 1\nreturn {KEYS[1], b}\n"
	rec, d := a.ask("/lua/-/debug", "program", "", "source", text, "key", a.key("k"), "breakpoints", "3")
	wantStatus(t, rec, http.StatusOK)
	panel := d.Find(testid("debug"))
	wantText(t, panel, "stopped at line 1", "KEYS[1]", a.key("k"), "Breakpoints in line 3")
	do := panel.Find("#debug-go").AttrOr("action", "")
	stream := panel.AttrOr("data-debug-stream", "")

	// A second one must wait until the first has ended.
	rec, busy := a.ask("/lua/-/debug", "program", "", "source", text)
	wantStatus(t, rec, http.StatusConflict)
	wantText(t, busy.Find(testid("fault")), "No debug session can start now", "End that one and debug this")

	rec, d = a.ask(do, "kind", "continue", "breakpoints", "3")
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("debug")), "stopped at line 3")
	wantText(t, d.Find(testid("locals")), "a", "41")
	_, d = a.ask(do, "kind", "redis", "command", `get "`+a.key("k")+`"`, "breakpoints", "3")
	wantText(t, d.Find(testid("log")), "inside")
	_, d = a.ask(do, "kind", "eval", "text", "1 + 1")
	wantText(t, d.Find(testid("log")), "2")
	rec, d = a.ask(do, "kind", "redis", "command", `"`)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("debug")), "a quote that does not end", "stopped at line 3")
	rec, d = a.ask(do, "kind", "step", "breakpoints", "")
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("debug")), "stopped at line 4", "No breakpoints")
	_, d = a.ask(do, "kind", "continue")
	wantText(t, d.Find(testid("debug")), "Nothing was kept", "array of 2", "42")
	if d.Find("[data-debug-stream]").Length() != 0 {
		t.Error("a session that has ended has a stream")
	}
	if a.value("k") != "before" {
		t.Errorf("the key holds %s", a.value("k"))
	}
	rec, d = a.ask(do, "kind", "step")
	wantStatus(t, rec, http.StatusNotFound)
	wantText(t, d.Find(testid("debug")), "not there any more")
	wantStatus(t, a.show(stream), http.StatusNotFound)
	a.wantRecord("operator | lua.debug | ad hoc | done")
}

func TestDebugEndsWithItsStream(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	server := httptest.NewServer(a.e)
	defer server.Close()
	_, d := a.ask("/lua/-/debug", "program", "", "source", "local a = 1\nreturn a")
	panel := d.Find(testid("debug"))
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+panel.AttrOr("data-debug-stream", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.who(r)
	r.Header.Set(echo.HeaderAccept, "text/event-stream")
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, ":") ||
		res.Header.Get(echo.HeaderContentType) != "text/event-stream" {
		t.Fatalf("%q %v %v", line, err, res.Header)
	}
	leave()
	do := panel.Find("#debug-go").AttrOr("action", "")
	eventually(t, func() bool {
		rec, _ := a.ask(do, "kind", "eval", "text", "1")
		return rec.Code == http.StatusNotFound
	})
	rec, _ := a.ask("/lua/-/debug", "program", "", "source", "return 1") // nobody is in its way
	wantStatus(t, rec, http.StatusOK)
}

func TestCommandsOfTheDebugger(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`GET  key`:                    `GET|key`,
		`SET "a b" 'c "d"'`:           `SET|a b|c "d"`,
		`SET k "\x41\n\"\\"`:          "SET|k|A\n\"\\",
		`SET k ""`:                    `SET|k|`,
		`SET k 'it\'s' ` + "\t" + `x`: `SET|k|it's|x`,
		`SET k "\xg"`:                 `SET|k|xg`,
	} {
		if got, err := splitCommand(text); err != nil || strings.Join(got, "|") != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	for _, text := range []string{"", "  ", `GET "`, `GET 'x`, `GET "\`} {
		if got, err := splitCommand(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestLastRuns(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.maybe", "if ARGV[1] == 'no' then error('refused') end return ARGV[1]")
	for _, v := range []string{"yes", "no"} {
		a.ask("/lua/-/run", "program", "my.maybe", "value", v)
	}
	d := doc(t, a.show("/lua/my.maybe/runs"))
	if got := d.Find(testid("run")).Length(); got != 2 {
		t.Fatalf("%d runs", got)
	}
	wantText(t, d.Find(testid("run")).First(), "operator", "no", "line 1", "refused")
	failed := doc(t, a.show("/lua/my.maybe/runs?failed=1"))
	if got := failed.Find(testid("run")).Length(); got != 1 {
		t.Errorf("%d failures", got)
	}
	again := d.Find(testid("run")).First().Find("td.act a").AttrOr("href", "")
	if got := valueOf(doc(t, a.show(again)), "value"); got != "no" {
		t.Errorf("%s fills in %q", again, got)
	}
	a.ask("/lua/-/run", "program", "", "source", "return 'just so'")
	wantText(t, doc(t, a.show("/lua/-/runs")).Find(testid("runs")), "return 'just so'")
	wantText(t, doc(t, a.show("/lua/my.maybe")).Find(testid("runs")), "refused")
}

func TestExamples(t *testing.T) {
	t.Parallel()
	a := newRunApp(t)
	a.program("my.rename", renameIfExists)
	a.set("from", "x")
	_, d := a.ask("/lua/-/dryrun", "program", "my.rename", "key", a.key("from"), "key", a.key("to"))
	form := d.Find(testid("save-example"))
	fields := instead(formFields(form), "title", "It is there")
	rec, d := a.ask(form.AttrOr("action", ""), fields...)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("example")), "It is there", a.key("from"), "integer 10")
	rec, d = a.ask("/lua/my.rename/examples/test")
	wantStatus(t, rec, http.StatusOK)
	wantText(t, d.Find(testid("examples")), "1 of 1 example passed", "nothing was changed", "passed")
	if a.value("from") != "x" {
		t.Error("the test has changed something")
	}
	a.deps.DB.Client().Del(context.Background(), a.key("from"))
	id := d.Find(testid("example")+" input[name=id]").AttrOr("value", "")
	_, d = a.ask("/lua/my.rename/examples/test", "id", id)
	wantText(t, d.Find(testid("examples")), "0 of 1 example passed", "failed", "something else")
	if got := d.Find(testid("got")).Text(); !strings.Contains(got, "integer 10") || !strings.Contains(got, "integer 11") {
		t.Errorf("the difference: %q", got)
	}
	rec, d = a.ask("/lua/my.rename/examples/" + id + "/delete")
	wantStatus(t, rec, http.StatusOK)
	if d.Find(testid("example")).Length() != 0 {
		t.Error("it is not deleted")
	}
	a.wantRecord("operator | lua.example.save | program my.rename | done")
	a.wantRecord("operator | lua.example.delete | program my.rename | done")
}

func TestExpectedReplies(t *testing.T) {
	t.Parallel()
	for expect, want := range map[string]string{"": "", `{"type":"integer","result":10}`: "integer 10", "odd": "odd"} {
		if got := expectedText(expect); got != want {
			t.Errorf("%q: %q", expect, got)
		}
	}
	if !json.Valid([]byte(`{"type":"integer","result":10}`)) {
		t.Error("not JSON")
	}
}

// A script that blocks the server also blocks the sessions, and who has just been here can end it all the same.
func TestKillABusyScript(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t, "--busy-reply-threshold", "100")
	db := server.DB(t)
	a := &runApp{dictApp: nil}
	app := newAppOn(t, db, func(d *Deps) { d.StateShared = true })
	a.dictApp = &dictApp{app, session(app.signIn(Operator))}
	stranger := session(app.signIn(Operator))
	viewer := session(app.signIn(Viewer))
	wantStatus(t, app.get("/lua/-/busy", a.who), http.StatusOK)
	wantStatus(t, app.get("/lua/-/busy", viewer), http.StatusOK)

	done := make(chan *httptest.ResponseRecorder)
	go func() {
		done <- app.post("/lua/-/run", []string{"program", "", "source", "while true do end"}, a.who, fragment)
	}()
	eventually(t, func() bool {
		return db.Health(context.Background()).Status == kvdb.StatusBusy
	})
	rec := app.get("/lua/-/busy", a.who, fragment)
	wantStatus(t, rec, http.StatusOK)
	wantText(t, doc(t, rec).Find(testid("busy")), "Redis is busy with a text that is not saved", "operator", "Kill it")
	rec = app.get("/audit", a.who)
	wantStatus(t, rec, http.StatusServiceUnavailable)
	wantText(t, doc(t, rec).Selection, "Redis is busy with a script", "Kill it")
	rec = app.get("/audit", stranger)
	wantStatus(t, rec, http.StatusServiceUnavailable)
	if strings.Contains(rec.Body.String(), "Kill it") {
		t.Error("somebody who was not seen is offered to kill")
	}
	wantStatus(t, app.post("/lua/-/kill", nil, stranger), http.StatusServiceUnavailable)
	wantStatus(t, app.post("/lua/-/kill", nil, viewer), http.StatusForbidden)
	wantStatus(t, app.post("/lua/-/run", nil, a.who), http.StatusServiceUnavailable)

	rec = app.post("/lua/-/kill", nil, a.who, fragment)
	wantStatus(t, rec, http.StatusOK)
	if rec := <-done; rec.Code != http.StatusUnprocessableEntity && rec.Code != http.StatusServiceUnavailable {
		t.Errorf("the run answers %d: %s", rec.Code, rec.Body)
	}
	app.wantRecord("operator | lua.kill | ad hoc | done")
	wantStatus(t, app.post("/lua/-/kill", nil, a.who, fragment), http.StatusConflict)
}
