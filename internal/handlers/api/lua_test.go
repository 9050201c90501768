package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/audit"
)

const renameProgram = `if redis.call('exists', KEYS[1]) == 1 then
  redis.call('rename', KEYS[1], KEYS[2])
  return 10
end
return 11
`

func (w *world) putProgram(status int, name, text string, alter ...with) answer {
	w.t.Helper()
	a := w.call("PUT", "/lua/programs/"+name, strings.NewReader(text), alter...)
	if a.status != status {
		w.t.Fatalf("PUT %s: %d %.300s; want %d", name, a.status, a.raw, status)
	}
	return a
}

func TestProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := "/lua/programs/mylib.rename"

	created := w.putProgram(201, "mylib.rename", renameProgram).object(t)
	if created["version"] != 1.0 || created["origin"] != "upload" || created["updated_by"] != "token-operator" || created["source"] != nil {
		t.Errorf("created %v", created)
	}
	if again := w.putProgram(200, "mylib.rename", renameProgram+"-- more\n", header("If-Match", `"1"`)).object(t); again["version"] != 2.0 {
		t.Errorf("changed %v", again)
	}
	stale := w.putProgram(409, "mylib.rename", "return 1", header("If-Match", "1"))
	if current, _ := stale.object(t)["current"].(object); current["version"] != 2.0 || current["source"] != renameProgram+"-- more\n" {
		t.Errorf("stale: %s", stale.raw)
	}
	if got := w.want(200, "GET", p, nil).object(t); got["source"] != renameProgram+"-- more\n" || got["sha1"] == "" {
		t.Errorf("got %v", got)
	}
	text := w.want(200, "GET", p, nil, header("Accept", "text/x-lua"))
	if string(text.raw) != renameProgram+"-- more\n" || !strings.HasPrefix(text.header.Get("Content-Type"), "text/x-lua") {
		t.Errorf("as text: %q %q", text.header.Get("Content-Type"), text.raw)
	}

	if err := w.db.Client().Set(ctx, "{x}from", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	body := object{"keys": []string{"{x}from", "{x}to"}}
	for _, want := range []float64{10, 11} {
		if got := w.want(200, "POST", p+"/run", body).object(t); got["type"] != "integer" || got["result"] != want {
			t.Errorf("run: %v, want %v", got, want)
		}
	}
	if got := w.want(200, "POST", "/lua/programs/kvdb.rename_if_exists/run",
		object{"keys": []string{"{x}none", "{x}to"}}).object(t); got["result"] != 11.0 {
		t.Errorf("built in: %v", got)
	}

	var names []string
	for _, item := range w.want(200, "GET", "/lua/programs", nil).object(t)["items"].([]any) {
		names = append(names, fmt.Sprint(item.(object)["name"], " ", item.(object)["origin"]))
	}
	if diff := cmp.Diff([]string{"kvdb.rename_if_exists builtin", "mylib.rename upload"}, names); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
	w.want(204, "DELETE", p, nil, header("If-Match", "2"))
	w.want(404, "GET", p, nil)
}

func TestRunReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for source, want := range map[string]string{
		"return {#KEYS, ARGV}":              `"type":"array","result":[0,[]],`,
		"return 1.9":                        `"type":"integer","result":1,`,
		"return '9007199254740993'":         `"type":"bulk","result":"9007199254740993",`,
		"return redis.status_reply('FINE')": `"type":"status","result":"FINE",`,
		"return false":                      `"type":"nil","result":null,`,
		"return ''":                         `"type":"bulk","result":"",`,
		"return '\\255'":                    `"type":"bulk","result":{"base64":"/w=="},`,
		"return {1, 'a', {2}, redis.status_reply('S')}":          `"type":"array","result":[1,"a",[2],{"type":"status","value":"S"}],`,
		"redis.setresp(3) return {double=1.5}":                   `"type":"double","result":1.5,`,
		"redis.setresp(3) return {map={a=1}}":                    `"type":"map","result":[["a",1]],`,
		"local t = {} for i = 1, 20000 do t[i] = i end return t": `"truncated":true`,
	} {
		a := w.want(200, "POST", "/lua/run", object{"source": source})
		if !strings.Contains(string(a.raw), want) {
			t.Errorf("%s: %.200s, want %s", source, a.raw, want)
		}
	}
	binary := `{"source":"return #ARGV[1]","values":[{"base64":"//8="}]}`
	if got := w.want(200, "POST", "/lua/run", strings.NewReader(binary)).object(t); got["result"] != 2.0 {
		t.Errorf("binary: %v", got)
	}
}

func TestRunFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putProgram(201, "near.miss", "return 1")
	for name, c := range map[string]struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		"unknown":    {"POST", "/lua/programs/near.mis/run", object{}, 404, `"near":["near.miss"]`},
		"bad syntax": {"POST", "/lua/run", object{"source": "local a = 1\nreturn ]"}, 422, `"line":2`},
		"raised":     {"POST", "/lua/run", object{"source": "local a = 1\nerror('boom')"}, 422, `"line":2`},
		"returned":   {"POST", "/lua/run", object{"source": "return redis.error_reply('MINE is bad')"}, 422, "MINE is bad"},
		"a write": {"POST", "/lua/run", object{"source": "return redis.call('SET', KEYS[1], 'v')", "keys": []string{"k"}, "read_only": true}, 422,
			"read-only"},
		"no text":      {"POST", "/lua/run", object{"source": ""}, 422, "source"},
		"keys no list": {"POST", "/lua/run", object{"source": "return 1", "keys": "k"}, 422, "keys"},
		"a bad name":   {"PUT", "/lua/programs/a%20b", strings.NewReader("return 1"), 422, "name"},
		"a path":       {"PUT", "/lua/programs/..%2Fetc", strings.NewReader("return 1"), 422, "name"},
		"300 letters":  {"PUT", "/lua/programs/" + strings.Repeat("x", 300), strings.NewReader("return 1"), 422, "name"},
		"empty":        {"PUT", "/lua/programs/p", strings.NewReader(""), 422, "empty"},
		"not UTF-8":    {"PUT", "/lua/programs/p", strings.NewReader("-- a\nreturn '\xe9'"), 422, "line 2"},
		"NUL":          {"PUT", "/lua/programs/p", strings.NewReader("-- a\nreturn '\x00'"), 422, "line 2"},
		"too large":    {"PUT", "/lua/programs/p", strings.NewReader("--" + strings.Repeat("x", 256<<10)), 413, "larger"},
		"bad text":     {"PUT", "/lua/programs/p", strings.NewReader("return ]"), 422, `"line":1`},
	} {
		a := w.call(c.method, c.path, c.body)
		if a.status != c.status || !strings.Contains(string(a.raw), c.says) {
			t.Errorf("%s: %d %.300s, want %d with %s", name, a.status, a.raw, c.status, c.says)
		}
		a.problem(t)
	}
	w.want(404, "GET", "/lua/programs/p", nil)
	if a := w.call("PUT", "/lua/programs/p", strings.NewReader("return 1"), header("If-Match", "x")); a.status != 422 {
		t.Errorf("If-Match: %d", a.status)
	}
}

func TestProgramWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	saved := w.putProgram(201, "p", "return redis.cal('GET', KEYS[1])").object(t)
	if warnings, _ := saved["warnings"].([]any); len(warnings) == 0 || !strings.Contains(fmt.Sprint(warnings), "redis.call") {
		t.Errorf("%v", saved)
	}
}

func TestProgramRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putProgram(403, "p", "return 1", w.as(account.Viewer))
	w.putProgram(201, "p", "return 1", w.as(account.Operator))
	w.want(200, "GET", "/lua/programs/p", nil, w.as(account.Viewer))
	w.want(403, "POST", "/lua/programs/p/run", object{}, w.as(account.Viewer))
	w.want(403, "POST", "/lua/run", object{"source": "return 1"}, w.as(account.Viewer))
	w.want(200, "POST", "/lua/programs/p/run", object{}, w.as(account.Operator))

	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "lua.run"}, "", 10)
	if err != nil || len(records) != 1 || records[0].Object != "program p" || records[0].Outcome != "done" || records[0].Actor != "token-operator" {
		t.Errorf("%+v, %v", records, err)
	}
}
