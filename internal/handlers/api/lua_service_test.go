package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
	"webadmin/internal/lua"
)

// luaServices are the services lua:<program> over the programs that are given.
func luaServices(t *testing.T, db *kvdb.DB, programs map[string]string) *broker.Store {
	t.Helper()
	l := lua.New(db, lua.Options{})
	for name, text := range programs {
		if _, _, err := l.Put(t.Context(), lua.By{Who: "test"}, name, text, 0); err != nil {
			t.Fatal(err)
		}
	}
	s := broker.New(db, broker.Options{})
	s.Handle(api.IsLuaService, broker.HandlerLua, api.LuaHandler(l))
	s.Start(t.Context())
	s.StartWorkers(t.Context(), 4)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestServicesThatAreLuaPrograms(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	s := luaServices(t, db, map[string]string{
		"test.args":  "return {#KEYS, #ARGV, KEYS[1] or '-', ARGV[1] or '-'}",
		"test.fails": "error('no ' .. ARGV[1])",
		"test.get":   "return redis.call('GET', KEYS[1])",
	})
	for name, tc := range map[string]struct {
		service, payload string
		state            broker.State
		want             string // in the result, or in the error
	}{
		"no payload":        {"lua:test.args", "", broker.Done, `{"type":"array","result":[0,0,"-","-"],"duration_us":`},
		"no arguments":      {"lua:test.args", "{}", broker.Done, `"result":[0,0,"-","-"]`},
		"arguments":         {"lua:test.args", `{"keys":["a","b"],"values":["c"]}`, broker.Done, `"result":[2,1,"a","c"]`},
		"bytes":             {"lua:test.args", `{"values":[{"base64":"/w=="}]}`, broker.Done, `[0,1,"-",{"base64":"/w=="}]`},
		"nil":               {"lua:test.get", `{"keys":["nothing"]}`, broker.Done, `{"type":"nil","result":null,`},
		"an error":          {"lua:test.fails", `{"values":["luck"]}`, broker.Dead, "line 1: no luck"},
		"no such program":   {"lua:test.none", "", broker.Dead, `there is no program "test.none"`},
		"a bad name":        {"lua:a:b", "", broker.Dead, `there is no program "a:b"`},
		"a number":          {"lua:test.args", "5", broker.Dead, "must be an object"},
		"keys of no kind":   {"lua:test.args", `{"keys":5}`, broker.Dead, "keys: must be a list"},
		"an unknown field":  {"lua:test.args", `{"key":"x"}`, broker.Dead, "key: "},
		"a key of this one": {"lua:test.get", `{"keys":["` + string(db.Keys()) + `x"]}`, broker.Dead, "takes the role admin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cid, err := s.Invoke(t.Context(), broker.Call{Service: tc.service, Payload: []byte(tc.payload), MaxAttempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			var i broker.Invocation
			kvtest.Await(t, name+" has ended", func() bool {
				if i, err = s.Invocation(t.Context(), cid); err != nil {
					t.Fatal(err)
				}
				return i.State.Ended()
			})
			if got := string(i.Result) + i.Error; i.State != tc.state || !strings.Contains(got, tc.want) {
				t.Errorf("%s: %s", i.State, got)
			}
		})
	}
}
