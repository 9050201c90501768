package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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

// pipeline runs commands as somebody with the role, with more fields of the request.
func (w *world) pipeline(role account.Role, commands []any, more ...any) answer {
	w.t.Helper()
	return w.call("POST", "/kvdb/pipeline", but(object{"commands": commands}, more...), w.as(role))
}

// replies are the types and values of the replies as they are written.
func (a answer) replies(t testing.TB) []string {
	t.Helper()
	var r struct {
		Replies []struct {
			Type      string
			Value     json.RawMessage
			Truncated bool
		}
	}
	a.into(t, &r)
	if a.status != 200 {
		t.Errorf("%d %.500s", a.status, a.raw)
	}
	out := []string{}
	for _, r := range r.Replies {
		text := r.Type + " " + string(r.Value)
		if r.Truncated {
			text = r.Type + " truncated"
		}
		out = append(out, text)
	}
	return out
}

type line = []any

func TestPipeline(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		w := newWorldOn(t, db)
		k := string(db.Keys()) + "k"
		k = "pipe-" + k
		binary := object{"base64": base64.StdEncoding.EncodeToString([]byte("\xff\x00"))}
		commands := []any{
			line{"SET", k, "1"}, line{"incr", k}, line{"NOSUCH"}, line{"GET", k}, line{"HSET", k + "h", binary, "v"}, line{"HGETALL", k + "h"},
			line{"LPUSH", k, "x"}, line{"GET", k + "none"}, line{"ZUNION", "1", k + "none"}, line{"MGET", k, k},
			line{"DBSIZE", "x"}, line{"ECHO", ""}, line{"GET"},
		}
		want := []string{
			`status "OK"`, `integer 2`, "error \"ERR unknown command 'NOSUCH', with args beginning with: \"", `bulk "2"`,
			`integer 1`, `map [[{"base64":"/wA="},"v"]]`,
			`error "WRONGTYPE Operation against a key holding the wrong kind of value"`, `nil null`, `array []`, `array ["2","2"]`,
			`error "ERR wrong number of arguments for 'dbsize' command"`, `bulk ""`, `error "ERR wrong number of arguments for 'get' command"`,
		}
		if diff := cmp.Diff(want, w.pipeline(account.Admin, commands).replies(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		// As a transaction, what can't be queued keeps the rest from running.
		tag := "{" + k + "}"
		got := w.pipeline(account.Operator, []any{line{"SET", tag + "a", "1"}, line{"INCR", tag + "b"}, line{"LPUSH", tag + "a", "x"},
			line{"GET", tag + "a"}}, "transaction", true).replies(t)
		if diff := cmp.Diff([]string{`status "OK"`, `integer 1`, `error "WRONGTYPE Operation against a key holding the wrong kind of value"`,
			`bulk "1"`}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		got = w.pipeline(account.Operator, []any{line{"SET", tag + "a", "2"}, line{"GET"}, line{"INCR", tag + "b"}}, "transaction", true).replies(t)
		abort := `error "EXECABORT Transaction discarded because of previous errors."`
		if diff := cmp.Diff([]string{abort, `error "ERR wrong number of arguments for 'get' command"`, abort}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		got = w.pipeline(account.Viewer, []any{line{"GET", tag + "a"}, line{"GET", tag + "b"}}, "transaction", true, "confirm", line{}).replies(t)
		if diff := cmp.Diff([]string{`bulk "1"`, `bulk "1"`}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := w.pipeline(account.Viewer, []any{line{"SCAN", "0"}, line{"RANDOMKEY"}}).replies(t); len(got) != 2 ||
			strings.Contains(strings.Join(got, ""), string(db.Keys())+"{") {
			t.Errorf("%v", got)
		}
		if !db.IsCluster() {
			return
		}
		_, fields := w.pipeline(account.Operator, []any{line{"SET", "a", "1"}, line{"PING"}, line{"SET", "b", "1"}}, "transaction", true).problem(t)
		if len(fields) != 1 || !strings.HasPrefix(fields["commands[2]"], "CROSSSLOT") {
			t.Errorf("%v", fields)
		}
		got = w.pipeline(account.Operator, []any{line{"SET", k + "1", "1"}, line{"SET", k + "2", "2"}, line{"SET", k + "3", "3"},
			line{"MGET", k + "1", k + "2", k + "3"}, line{"GET", k + "2"}}).replies(t)
		if len(got) != 5 || got[0]+got[1]+got[2] != strings.Repeat(`status "OK"`, 3) ||
			!strings.HasPrefix(got[3], `error "CROSSSLOT`) || got[4] != `bulk "2"` {
			t.Errorf("%v", got)
		}
	})
}

func TestPipelinesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := "refused-" + string(w.db.Keys())
	own := w.db.Keys().Audit().Records()
	many := make([]any, 10_001)
	for i := range many {
		many[i] = line{"PING"}
	}
	for _, c := range []struct {
		role   account.Role
		last   []any
		more   []any
		status int
		says   string // of the field commands[1], or the detail
	}{
		{account.Viewer, line{"SET", k, "v"}, nil, 403, "Commands[1]: SET takes the role operator, yours is viewer."},
		{account.Operator, line{"FLUSHALL"}, []any{"confirm", line{"FLUSHALL"}}, 403, "Commands[1]: FLUSHALL takes the role admin"},
		{account.Operator, line{"GET", own}, nil, 403, "Commands[1]: "},
		{account.Operator, line{"XREAD", "STREAMS", own, "0"}, nil, 403, "Commands[1]: "},
		{account.Operator, line{"NOSUCH"}, nil, 403, "Commands[1]: this server has no command"},
		{account.Operator, line{"EVAL", "return 1", "0"}, nil, 403, "Commands[1]: "},
		{account.Operator, line{"BLPOP", k, "0"}, nil, 422, "BLPOP may wait"},
		{account.Operator, line{"MULTI"}, nil, 422, "MULTI can't run here"},
		{account.Operator, line{"SELECT", "1"}, nil, 422, "SELECT can't run here"},
		{account.Operator, line{"SUBSCRIBE", "c"}, nil, 422, "SUBSCRIBE can't run here"},
		{account.Operator, line{"SINTERCARD", "5", k}, nil, 422, "Redis can't tell which keys"},
		{account.Operator, line{}, nil, 422, "must hold the name"},
		{account.Operator, line{""}, nil, 422, "must hold the name"},
		{account.Admin, line{"CONFIG", "SET", "maxmemory", "0"}, nil, 422, "the word CONFIG"},
		{account.Admin, line{"CONFIG", "SET", "maxmemory", "0"}, []any{"confirm", line{"SET"}}, 422, "the word CONFIG"},
	} {
		a := w.pipeline(c.role, []any{line{"GET", k}, c.last}, c.more...)
		detail, fields := a.problem(t)
		said := detail
		if c.status == 422 {
			if said = fields["commands[1]"]; said == "" {
				said = fields["confirm"]
			}
			if len(fields) != 1 {
				t.Errorf("%v: %v", c.last, fields)
			}
		}
		if a.status != c.status || !strings.Contains(said, c.says) {
			t.Errorf("%s %v: %d %s", c.role, c.last, a.status, a.raw)
		}
	}
	if n := w.db.Client().Exists(t.Context(), k).Val(); n != 0 {
		t.Error("something ran")
	}
	_, fields := w.pipeline(account.Admin, []any{line{"FLUSHDB"}, line{"SUBSCRIBE", "c"}, line{"BLPOP", k, "0"}, line{"FLUSHDB"}}).problem(t)
	if len(fields) != 3 || fields["confirm"] == "" || fields["commands[1]"] == "" || fields["commands[2]"] == "" {
		t.Errorf("%v", fields)
	}
	for body, want := range map[string]string{
		`{}`:                       "commands",
		`{"commands":[]}`:          "commands",
		`{"commands":"PING"}`:      "commands",
		`{"commands":["PING"]}`:    "commands[0]",
		`{"commands":[["GET",1]]}`: "commands[0][1]",
		`{"commands":[["PING"],["GET",{"base64":"?"}]]}`:      "commands[1][1]",
		`{"commands":[["PING"]],"transaction":1}`:             "transaction",
		`{"commands":[["PING"]],"confirm":"PING"}`:            "confirm",
		`{"commands":[["PING"]],"more":1}`:                    "more",
		string(must2(json.Marshal(object{"commands": many}))): "commands",
	} {
		if _, fields := w.want(422, "POST", "/kvdb/pipeline", body).problem(t); fields[want] == "" || len(fields) != 1 {
			t.Errorf("%.100s: %v", body, fields)
		}
	}
	w.want(400, "POST", "/kvdb/pipeline", `{"commands":[["PING"]`)
	w.want(413, "POST", "/kvdb/pipeline", `{"commands":[["ECHO","`+strings.Repeat("x", 17<<20)+`"]]}`)
	if a := w.pipeline(account.Admin, []any{line{"CONFIG", "SET", "maxmemory", "0"}}, "confirm", line{"config"}); a.status != 200 {
		t.Errorf("%s", a.raw)
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPipelineIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, client := t.Context(), w.db.Client()
	k := "cut-" + string(w.db.Keys())
	values := make([]any, 10_001)
	for i := range values {
		values[i] = i
	}
	if _, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.RPush(ctx, k+"l", values...)
		p.HSet(ctx, k+"h", values[:10_000]...)
		p.Set(ctx, k+"s", strings.Repeat("x", 9<<20), 0)
		p.Set(ctx, k, "v", 0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, transaction := range []bool{false, true} {
		got := w.pipeline(account.Viewer, []any{
			line{"GET", k}, line{"LRANGE", k + "l", "0", "-1"}, line{"GET", k}, line{"GET", k + "s"}, line{"GET", k},
			line{"GET", k + "s"}, line{"STRLEN", k + "s"},
		}, "transaction", transaction).replies(t)
		if diff := cmp.Diff([]string{`bulk "v"`, "array truncated", `bulk "v"`, "bulk truncated", `bulk "v"`, "bulk truncated", "integer 9437184"},
			got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", transaction, diff)
		}
		a := w.pipeline(account.Viewer, []any{line{"GET", k + "s"}, line{"GET", k + "s"}}, "transaction", transaction)
		if len(a.raw) > 9<<20 {
			t.Errorf("%d bytes", len(a.raw))
		}
	}
}

func TestPipelinesAreAudited(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, kvtest.NewServer(t).DB(t))
	w.pipeline(account.Viewer, []any{line{"GET", "k"}})
	w.pipeline(account.Viewer, []any{line{"GET", "k"}, line{"SET", "k", "v"}}) // refused
	w.pipeline(account.Operator, []any{line{"SET", "k", "v"}, line{"GET", "k"}, line{"INCR", "k"}})
	w.pipeline(account.Operator, []any{line{"INCR", "k"}, line{"LPUSH", "k", "x"}})
	w.pipeline(account.Admin, []any{line{"CONFIG", "SET", "masterauth", "s3cret"}, line{"AUHT", "s3cret"}}, "confirm", line{"CONFIG"})
	big := make([]any, 1000)
	for i := range big {
		big[i] = line{"SET", fmt.Sprintf("k%d", i), "v"}
	}
	w.pipeline(account.Operator, big)
	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "kvdb.pipeline"}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := len(records) - 1; i >= 0; i-- {
		r := records[i]
		got = append(got, fmt.Sprintf("%s | %s | %.70s | %s | %s", r.Actor, r.Object, r.After, r.Outcome, r.Detail))
		if strings.Contains(r.After+r.Detail, "s3cret") || len(r.After) > 3000 {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff([]string{
		"token-operator | 3 commands, first key k | SET k v → OK\nINCR k → ERR value is not an integer or out of range | done | ",
		"token-operator | 2 commands, first key k | INCR k → ERR value is not an integer or out of range\nLPUSH k x → WRONG | failed | ERR value is not " +
			"an integer or out of range.",
		"token-admin | 2 commands | CONFIG SET masterauth *** → OK\nAUHT … (1 arguments) → ERR … | done | ",
		"token-operator | 1000 commands, first key k0 | SET k0 v → OK\nSET k1 v → OK\nSET k2 v → OK\nSET k3 v → OK\nSET k4 v → OK\n | done | ",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A pipeline of which the answers don't come was sent once, and the answer of ours says so.
func TestPipelineOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	server := kvtest.NewServer(t, "--lua-time-limit", "1")
	db := server.DB(t)
	w := newWorldOf(t, db, kvtest.Open(t))
	for _, transaction := range []bool{false, true} {
		stop := make(chan answer)
		go func() {
			stop <- w.pipeline(account.Admin, []any{line{"INCR", "n"}, line{"EVAL", "while true do end", "0"}, line{"INCR", "m"}}, "transaction", transaction)
		}()
		for deadline := time.Now().Add(10 * time.Second); db.Health(t.Context()).Status != kvdb.StatusBusy; {
			if time.Now().After(deadline) {
				t.Fatal("it does not run")
			}
		}
		server.Kill()
		a := <-stop
		if got := a.object(t); a.status != 504 || got["outcome"] != "unknown" || !strings.Contains(fmt.Sprint(got["check"]), `"n"`) {
			t.Errorf("%d %s", a.status, a.raw)
		}
		if a := w.pipeline(account.Operator, []any{line{"INCR", "n"}}); a.status != 503 {
			t.Errorf("%d %s", a.status, a.raw)
		}
		server.Restart()
	}
	records, _, err := w.audit.List(t.Context(), audit.Filter{Verb: "kvdb.pipeline", Outcome: audit.Unknown}, "", 10)
	if err != nil || len(records) != 2 || !strings.Contains(records[0].After, "INCR n") {
		t.Errorf("%+v, %v", records, err)
	}
}

// BenchmarkPipeline holds a call with 1,000 commands, by an operator through HTTP and with its audit record, against a pipeline of the client.
func BenchmarkPipeline(b *testing.B) {
	w := newWorld(b)
	commands := make([]any, 1000)
	for i := range commands {
		commands[i] = line{"SET", fmt.Sprintf("bench:%d", i), "some value"}
	}
	body := string(must2(json.Marshal(object{"commands": commands})))
	b.Run("client", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.db.Client().Pipelined(b.Context(), func(p redis.Pipeliner) error {
				for _, c := range commands {
					p.Do(b.Context(), c.(line)...)
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("api", func(b *testing.B) {
		for b.Loop() {
			if a := w.do(w.request("POST", base+"/kvdb/pipeline", strings.NewReader(body), w.as(account.Operator))); a.status != 200 {
				b.Fatalf("%d %s", a.status, a.raw)
			}
		}
	})
}
