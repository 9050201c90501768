package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"webadmin/internal/account"
	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/handlers"
	"webadmin/internal/handlers/trail"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

const base = "/api/v1"

// world is the whole server on a Redis, and somebody who calls its API.
type world struct {
	t      testing.TB
	url    string
	client *http.Client
	db     *kvdb.DB
	dict   *dict.Store
	lua    *lua.Store
	broker *broker.Store
	stats  *stats.Store
	audit  *audit.Log
	token  map[account.Role]string
	spec   *spec  // every answer is held against it
	stop   func() // tells the stores that the server stops
}

func newWorld(t testing.TB) *world { return newWorldOn(t, kvtest.Open(t)) }

func newWorldOn(t testing.TB, db *kvdb.DB) *world { return newWorldOf(t, db, db) }

func newWorldOf(t testing.TB, db, state *kvdb.DB) *world {
	t.Helper()
	ctx := context.Background()
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
	w := &world{
		t: t, db: db, dict: dict.New(db, dict.Options{Logger: logger}), audit: audit.New(state, time.Now),
		lua:    lua.New(db, lua.Options{Logger: logger}),
		broker: broker.New(db, broker.Options{Logger: logger}),
		stats:  stats.New(db, stats.Options{Logger: logger}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, token: map[account.Role]string{},
	}
	accounts := account.New(state, []byte("0123456789abcdef0123456789abcdef"), time.Now, logger)
	often := trail.NewBurst(trail.Trail{Log: w.audit, Logger: logger})
	e, err := handlers.New(handlers.Deps{
		DB: db, State: state, Accounts: accounts, Audit: w.audit, Often: often, Dict: w.dict, Lua: w.lua, Broker: w.broker, Stats: w.stats,
		Logger: logger, Now: time.Now, Metrics: prometheus.NewRegistry(), Version: "v1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []account.Role{account.Viewer, account.Operator, account.Admin} {
		_, secret, err := accounts.CreateToken(ctx, "token-"+string(role), role, time.Time{}, "admin")
		if err != nil {
			t.Fatal(err)
		}
		w.token[role] = secret
	}
	server := httptest.NewServer(e)
	w.url = server.URL
	running, stop := context.WithCancel(ctx)
	w.stop = stop
	stopped := make(chan error)
	go func() { stopped <- w.dict.Run(running) }()
	w.broker.Start(running)
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		w.client.CloseIdleConnections()
		server.Close()
		if err := errors.Join(w.broker.Close(ctx), w.dict.Close(ctx), w.lua.Close(ctx), often.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	w.spec = readSpec(t, w.do(w.request(http.MethodGet, base+"/openapi.json", nil)))
	return w
}

// answer is what the server answered.
type answer struct {
	status int
	header http.Header
	raw    []byte
	err    error // of reading it to the end
}

// object reads the answer as JSON.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.raw, &v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.raw, err)
	}
	return v
}

// into reads the answer into v.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.raw, v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.raw, err)
	}
}

// problem returns what the answer says of each wrong field.
func (a answer) problem(t testing.TB) (detail string, fields map[string]string) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		Errors              []struct{ Field, Message string }
	}
	a.into(t, &p)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" || p.Type == "" || p.Title == "" || p.Status != a.status {
		t.Errorf("%d, %s: no problem document: %s", a.status, got, a.raw)
	}
	fields = map[string]string{}
	for _, e := range p.Errors {
		fields[e.Field] = e.Message
	}
	return p.Detail, fields
}

type with func(*http.Request)

func header(name, value string) with { return func(r *http.Request) { r.Header.Set(name, value) } }

func (w *world) as(role account.Role) with { return header("Authorization", "Bearer "+w.token[role]) }

func (w *world) request(method, path string, body io.Reader, alter ...with) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range alter {
		f(r)
	}
	return r
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	res, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, raw, err}
}

// call makes a call as an operator. body is text as it is, or what makes JSON; nil = none. The answer is held against the
// OpenAPI document.
func (w *world) call(method, path string, body any, alter ...with) answer {
	w.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case io.Reader:
		reader = b
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	a := w.do(w.request(method, base+path, reader, append([]with{w.as(account.Operator)}, alter...)...))
	w.spec.check(w.t, method, base+path, a)
	return a
}

// want is call for what has to be answered with a status.
func (w *world) want(status int, method, path string, body any, alter ...with) answer {
	w.t.Helper()
	a := w.call(method, path, body, alter...)
	if a.status != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.raw, status)
	}
	return a
}

type object = map[string]any

// entry and translation make what a request sends.
func entry(system, key, value string) object {
	return object{"system": system, "key": key, "value": value}
}

func translation(system1, key1, value1, system2, key2, value2 string) object {
	return object{"system1": system1, "key1": key1, "value1": value1, "system2": system2, "key2": key2, "value2": value2, "create_entries": true}
}

// but is o with other fields.
func but(o object, changes ...any) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	for i := 0; i+1 < len(changes); i += 2 {
		name := changes[i].(string)
		if changes[i+1] == nil {
			delete(out, name)
			continue
		}
		out[name] = changes[i+1]
	}
	return out
}
