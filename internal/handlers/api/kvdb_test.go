package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// command runs a command as somebody with the role.
func (w *world) command(role account.Role, args ...any) answer {
	w.t.Helper()
	return w.call("POST", "/kvdb/command", object{"args": args}, w.as(role))
}

// raw is the type and the value of a reply as they are written.
func (a answer) reply(t testing.TB) string {
	t.Helper()
	var r struct {
		Type     string
		Value    json.RawMessage
		Duration *int64 `json:"duration_us"`
	}
	a.into(t, &r)
	if a.status != http.StatusOK || r.Duration == nil || *r.Duration < 0 {
		t.Errorf("%d %.500s", a.status, a.raw)
	}
	return r.Type + " " + string(r.Value)
}

func TestCommandRepliesHaveTypes(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		w := newWorldOn(t, db)
		k := "{reply-" + string(db.Keys()) + "}"
		lua := func(script string) []any { return []any{"EVAL", "redis.setresp(3); return " + script, "1", k} }
		binary := object{"base64": base64.StdEncoding.EncodeToString([]byte("\xff\x00a"))}
		for _, c := range []struct {
			args []any
			want string
		}{
			{[]any{"SET", k, "v"}, `status "OK"`},
			{[]any{"GET", k}, `bulk "v"`},
			{[]any{"get", k + "none"}, `nil null`},
			{[]any{"STRLEN", k}, `integer 1`},
			{[]any{"LPUSH", k, "x"}, `error "WRONGTYPE Operation against a key holding the wrong kind of value"`},
			{[]any{"NOSUCH"}, "error \"ERR unknown command 'NOSUCH', with args beginning with: \""},
			{[]any{"SET", k, "9007199254740993"}, `status "OK"`},
			{[]any{"INCR", k}, `integer 9007199254740994`},
			{[]any{"SET", k, "\"quotes\"\n<&>\u2028"}, `status "OK"`},
			{[]any{"GET", k}, "bulk \"\\\"quotes\\\"\\n<&>\u2028\""},
			{[]any{"SET", k, binary}, `status "OK"`},
			{[]any{"GET", k}, `bulk {"base64":"/wBh"}`},
			{[]any{"SET", object{"base64": base64.StdEncoding.EncodeToString([]byte(k + "\xfe"))}, "w"}, `status "OK"`},
			{[]any{"GET", object{"base64": base64.StdEncoding.EncodeToString([]byte(k + "\xfe"))}}, `bulk "w"`},
			{[]any{"SET", k, ""}, `status "OK"`},
			{[]any{"GET", k}, `bulk ""`},
			{[]any{"HSET", k + "h", "f", "v", binary, "w"}, `integer 2`},
			{[]any{"HGETALL", k + "h"}, `map [["f","v"],[{"base64":"/wBh"},"w"]]`},
			{[]any{"HGETALL", k + "none"}, `map []`},
			{[]any{"HMGET", k + "h", "f", "none"}, `array ["v",null]`},
			{[]any{"SADD", k + "s", "m"}, `integer 1`},
			{[]any{"SMEMBERS", k + "s"}, `set ["m"]`},
			{[]any{"ZADD", k + "z", "1.10", "m", "inf", "n"}, `integer 2`},
			{[]any{"ZSCORE", k + "z", "m"}, `double 1.1000000000000001`},
			{[]any{"ZSCORE", k + "z", "n"}, `double "inf"`},
			{[]any{"ZRANGE", k + "z", "0", "-1", "WITHSCORES"},
				`array [["m",{"type":"double","value":1.1000000000000001}],["n",{"type":"double","value":"inf"}]]`},
			{lua("{1, 'a', {ok='fine'}, {err='MINE no'}, {false}, {}}"),
				`array [1,"a",{"type":"status","value":"fine"},{"type":"error","value":"MINE no"},[false],[]]`},
			{lua("{double=-1/0}"), `double "-inf"`},
			{lua("{double=0/0}"), `double "nan"`},
			{lua("{double=1e300}"), `double 1.0000000000000001e+300`},
			{lua("true"), `boolean true`},
			{lua("false"), `boolean false`},
			{lua("redis.call('GET', KEYS[1] .. 'none')"), `nil null`},
			{lua("{big_number='12345678901234567890123'}"), `big_number 12345678901234567890123`},
			{lua("{verbatim_string={string='# a', format='mkd'}}"), `verbatim "# a"`},
			{lua("{map={a={map={b={set={c=true}}}}}}"), `map [["a",{"type":"map","value":[["b",{"type":"set","value":["c"]}]]}]]`},
			{lua("{verbatim_string={string='a', format='txt'}, 1}"), `verbatim "a"`},
			{lua("{{verbatim_string={string='a', format='txt'}}, {big_number='-5'}}"),
				`array [{"type":"verbatim","value":"a"},{"type":"big_number","value":-5}]`},
		} {
			got := w.command(account.Admin, c.args...).reply(t)
			if got != c.want {
				t.Errorf("%.100q: %s, want %s", c.args, got, c.want)
			}
		}
	})
}

func TestCommandIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := "cut-" + string(w.db.Keys())
	values := make([]any, 10_001)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	w.command(account.Operator, append([]any{"RPUSH", k}, values...)...)
	for last, cut := range map[string]any{"9999": nil, "10000": true} {
		got := w.command(account.Viewer, "LRANGE", k, "0", last).object(t)
		if n := len(got["value"].([]any)); n != 10_000 || got["truncated"] != cut {
			t.Errorf("to %s: %d elements, truncated %v", last, n, got["truncated"])
		}
	}
	if err := w.db.Client().Set(t.Context(), k+"s", strings.Repeat("x", 9<<20), 0).Err(); err != nil {
		t.Fatal(err)
	}
	got := w.command(account.Viewer, "GET", k+"s").object(t)
	if n := len(got["value"].(string)); n != 8<<20 || got["truncated"] != true {
		t.Errorf("%d bytes, truncated %v", n, got["truncated"])
	}
}

func TestCommandsOfEachRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := "role-" + string(w.db.Keys())
	ours := w.db.Keys().Audit().Records()
	for _, c := range []struct {
		args                    []any
		viewer, operator, admin int
	}{
		{[]any{"GET", k}, 200, 200, 200},
		{[]any{"DBSIZE"}, 200, 200, 200},
		{[]any{"SCAN", "0"}, 200, 200, 200},
		{[]any{"SET", k, "v"}, 403, 200, 200},
		{[]any{"PUBLISH", k, "v"}, 403, 200, 200},
		{[]any{"BLPOP", k + "l", "0.01"}, 403, 200, 200},
		{[]any{"INFO"}, 403, 403, 200},
		{[]any{"CONFIG", "GET", "maxmemory"}, 403, 403, 200},
		{[]any{"KEYS", k}, 403, 403, 200},
		{[]any{"EVAL", "return 1", "0"}, 403, 403, 200},
		{[]any{"NOSUCH"}, 403, 403, 200},
		{[]any{"FLUSHALL"}, 403, 403, 422},
		{[]any{"CONFIG", "SET", "maxmemory", "0"}, 403, 403, 422},
		{[]any{"SELECT", "1"}, 403, 422, 422},
		{[]any{"MULTI"}, 403, 422, 422},
		{[]any{"SUBSCRIBE", "c"}, 403, 422, 422},
		{[]any{"MONITOR"}, 403, 403, 422},
		{[]any{"XRANGE", ours, "-", "+"}, 403, 403, 200},
		{[]any{"DEL", ours}, 403, 403, 200},
	} {
		for role, want := range map[account.Role]int{account.Viewer: c.viewer, account.Operator: c.operator, account.Admin: c.admin} {
			a := w.command(role, c.args...)
			if a.status != want {
				t.Errorf("%s: %q: %d %s, want %d", role, c.args, a.status, a.raw, want)
			}
			if a.status != 200 {
				if detail, _ := a.problem(t); detail == "" || a.status == 403 && !strings.Contains(detail, " role ") {
					t.Errorf("%s: %q: %s", role, c.args, a.raw)
				}
			}
		}
	}
	for _, a := range []answer{
		w.do(w.request("POST", base+"/kvdb/command", strings.NewReader(`{"args":["PING"]}`))),
		w.do(w.request("GET", base+"/kvdb/info", nil)),
	} {
		if a.status != 401 {
			t.Errorf("nobody: %d", a.status)
		}
	}
}

func TestCommandsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, want := range map[string]string{
		`{}`:                                   "args",
		`{"args":[]}`:                          "args",
		`{"args":[""]}`:                        "args",
		`{"args":"PING"}`:                      "args",
		`{"args":["GET",1]}`:                   "args[1]",
		`{"args":["GET",{"base64":"?"}]}`:      "args[1]",
		`{"args":["GET",{"base64":"YQ"}]}`:     "args[1]",
		`{"args":["GET",{"base64":1}]}`:        "args[1]",
		`{"args":["GET",{}]}`:                  "args[1]",
		`{"args":["GET",{"base64":"","x":1}]}`: "args[1]",
		`{"args":["FLUSHDB"]}`:                 "confirm",
		`{"args":["FLUSHDB"],"confirm":"x"}`:   "confirm",
		`{"args":["FLUSHDB"],"confirm":1}`:     "confirm",
		`{"args":["PING"],"more":1}`:           "more",
		`{"args":["QUIT"]}`:                    "args",
	} {
		_, fields := w.want(422, "POST", "/kvdb/command", body, w.as(account.Admin)).problem(t)
		if fields[want] == "" || len(fields) != 1 {
			t.Errorf("%s: %v", body, fields)
		}
	}
	if detail, _ := w.want(422, "POST", "/kvdb/command", `{"args":["config","set","a","b"]}`,
		w.as(account.Admin)).problem(t); !strings.Contains(detail, "the word CONFIG") {
		t.Errorf("it does not say which word: %s", detail)
	}
	w.want(400, "POST", "/kvdb/command", `{"args":["PING"`)
}

func TestDangerousCommand(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, kvtest.NewServer(t).DB(t))
	w.command(account.Operator, "SET", "k", "v")
	a := w.want(200, "POST", "/kvdb/command", object{"args": []any{"FLUSHDB"}, "confirm": "flushdb"}, w.as(account.Admin))
	if got := a.reply(t); got != `status "OK"` {
		t.Error(got)
	}
	if n := w.db.Client().Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("the key is still there")
	}
}

func TestCommandsAreAudited(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, kvtest.NewServer(t).DB(t))
	w.command(account.Viewer, "GET", "k")
	w.command(account.Viewer, "SET", "k", "v") // refused
	w.command(account.Admin, "INFO")
	w.command(account.Operator, "SET", "k", "a b")
	w.command(account.Operator, "INCR", "k")
	w.command(account.Operator, "PUBLISH", "c", "m")
	w.command(account.Admin, "AUHT", "s3cret")
	for _, args := range [][]any{
		{"CONFIG", "SET", "masterauth", "s3cret"}, {"CONFIG", "SET", "requirepass", "s3cret", "nosuch", "s3cret"},
		{"ACL", "SETUSER", "u", "on", ">s3cret"}, {"ACL", "SETUSER", "u", ">s3cret", "+s3cret"},
	} {
		w.call("POST", "/kvdb/command", object{"args": args, "confirm": args[0]}, w.as(account.Admin))
	}
	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "kvdb.command"}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := len(records) - 1; i >= 0; i-- {
		r := records[i]
		got = append(got, strings.Join([]string{r.Actor, r.Object, r.Before, r.After, r.Outcome, r.Detail}, " | "))
	}
	want := []string{
		`token-operator | k |  | SET k "a b" → OK | done | `,
		`token-operator | k |  | INCR k | failed | ERR value is not an integer or out of range.`,
		`token-operator | PUBLISH |  | PUBLISH c m → 0 | done | `,
		`token-admin | unknown command |  | AUHT … (1 arguments) | failed | ERR …`,
		`token-admin | CONFIG SET |  | CONFIG SET masterauth *** → OK | done | `,
		`token-admin | CONFIG SET |  | CONFIG SET requirepass *** nosuch s3cret | failed | ERR …`,
		`token-admin | ACL SETUSER |  | ACL SETUSER u on *** → OK | done | `,
		`token-admin | ACL SETUSER |  | ACL SETUSER u *** +s3cret | failed | ERR …`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A command of which the answer doesn't come was sent once, and the answer of ours says so.
func TestCommandOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t)
	db := server.DB(t)
	state := kvtest.Open(t) // so that the audit log and the tokens stay
	w := newWorldOf(t, db, state)
	w.command(account.Operator, "INCR", "n")
	stop := make(chan answer)
	go func() { stop <- w.command(account.Operator, "BLMOVE", "from", "to", "LEFT", "LEFT", "0") }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(db.Client().Info(t.Context(), "clients").Val(), "blocked_clients:1"); {
		if time.Now().After(deadline) {
			t.Fatal("it does not wait")
		}
	}
	server.Kill()
	a := <-stop
	got := a.object(t)
	if a.status != 504 || got["outcome"] != "unknown" || !strings.Contains(fmt.Sprint(got["check"]), `"from"`) {
		t.Errorf("%d %s", a.status, a.raw)
	}
	for _, a := range []answer{w.command(account.Operator, "INCR", "n"), w.command(account.Viewer, "GET", "n"), w.call("GET", "/kvdb/info", nil)} {
		if a.problem(t); a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(string(a.raw), "unix") {
			t.Errorf("away: %d %s", a.status, a.raw)
		}
	}
	records, _, err := w.audit.List(t.Context(), audit.Filter{Object: "from"}, "", 10)
	if err != nil || len(records) != 1 || records[0].Outcome != audit.Unknown {
		t.Errorf("%v, %v", records, err)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		w := newWorldOn(t, db)
		w.want(200, "GET", "/kvdb/info", nil) // so that it has been called
		var info map[string]map[string]json.RawMessage
		w.want(200, "GET", "/kvdb/info", nil, w.as(account.Viewer)).into(t, &info)
		for _, c := range []struct{ section, field, is string }{
			{"clients", "connected_clients", "number"}, {"memory", "used_memory", "number"}, {"memory", "mem_fragmentation_ratio", "number"},
			{"cpu", "used_cpu_sys", "number"}, {"server", "redis_version", "text"}, {"server", "run_id", "text"}, {"server", "redis_git_sha1", "text"},
			{"replication", "role", "text"}, {"memory", "used_memory_human", "text"}, {"commandstats", "cmdstat_info", "text"},
			{"stats", "total_commands_processed", "number"},
		} {
			value := string(info[c.section][c.field])
			if is := map[bool]string{true: "text", false: "number"}[strings.HasPrefix(value, `"`)]; value == "" || is != c.is {
				t.Errorf("%s.%s is %s", c.section, c.field, value)
			}
		}
	})
}
