package kvdb_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// do runs a command as somebody with the role, who confirms whatever they have to.
func do(t testing.TB, db *kvdb.DB, role string, args ...string) (kvdb.Result, error) {
	t.Helper()
	return doIn(t.Context(), db, role, args...)
}

func doIn(ctx context.Context, db *kvdb.DB, role string, args ...string) (kvdb.Result, error) {
	class, err := db.Classify(ctx, args)
	if err != nil {
		return kvdb.Result{}, err
	}
	call, err := class.Permit(role, args[0])
	if err != nil {
		return kvdb.Result{}, err
	}
	return call.Run(ctx)
}

// reply is do for what has to work.
func reply(t testing.TB, db *kvdb.DB, role string, args ...string) kvdb.Reply {
	t.Helper()
	r, err := do(t, db, role, args...)
	if err != nil {
		t.Fatalf("%s, %.50q: %v", role, args, err)
	}
	return r.Reply
}

func texts(r kvdb.Reply) []string {
	out := []string{}
	for _, item := range r.Items {
		out = append(out, item.Text)
	}
	return out
}

// TestClassify: what the server calls a command decides who may run it.
func TestClassify(t *testing.T) {
	t.Parallel()
	type class struct {
		Need                                string
		Dangerous, Confirm, Changes, Blocks bool
		Keys                                string
	}
	want := map[string]class{
		"GET k":                            {Need: "viewer", Keys: "k"},
		"get k":                            {Need: "viewer", Keys: "k"},
		"GET":                              {Need: "viewer"},
		"MGET a b a":                       {Need: "viewer", Keys: "a b a"},
		"OBJECT ENCODING k":                {Need: "viewer", Keys: "k"},
		"XINFO STREAM k":                   {Need: "viewer", Keys: "k"},
		"MEMORY USAGE k":                   {Need: "viewer", Keys: "k"},
		"SCAN 0":                           {Need: "viewer"},
		"DBSIZE":                           {Need: "viewer"},
		"RANDOMKEY":                        {Need: "viewer"},
		"DUMP k":                           {Need: "viewer", Keys: "k"},
		"ZUNION 2 a b":                     {Need: "viewer", Keys: "a b"},
		"PING":                             {Need: "operator"},
		"TIME":                             {Need: "operator"},
		"SET k v":                          {Need: "operator", Changes: true, Keys: "k"},
		"DEL a b":                          {Need: "operator", Changes: true, Keys: "a b"},
		"MSET a 1 b 2":                     {Need: "operator", Changes: true, Keys: "a b"},
		"RENAME a b":                       {Need: "operator", Changes: true, Keys: "a b"},
		"XADD k * f v":                     {Need: "operator", Changes: true, Keys: "k"},
		"XGROUP CREATE k g 0":              {Need: "operator", Changes: true, Keys: "k"},
		"ZUNIONSTORE d 2 a b":              {Need: "operator", Changes: true, Keys: "d a b"},
		"BITOP AND d a b":                  {Need: "operator", Changes: true, Keys: "d a b"},
		"XREAD COUNT 1 STREAMS a b 0 0":    {Need: "operator", Blocks: true, Keys: "a b"},
		"XREADGROUP GROUP g c STREAMS a >": {Need: "operator", Blocks: true, Changes: true, Keys: "a"},
		"BLPOP a b 0":                      {Need: "operator", Blocks: true, Changes: true, Keys: "a b"},
		"BLMPOP 0 2 a b LEFT":              {Need: "operator", Blocks: true, Changes: true, Keys: "a b"},
		"SPUBLISH c m":                     {Need: "operator", Changes: true},
		"PUBLISH c m":                      {Need: "operator", Changes: true},
		"PUBSUB CHANNELS":                  {Need: "operator"},
		"CLIENT ID":                        {Need: "operator"},
		"CLUSTER INFO":                     {Need: "operator"},
		"ACL WHOAMI":                       {Need: "operator"},
		"COMMAND COUNT":                    {Need: "operator"},
		"SELECT 1":                         {Need: "operator"},
		"MULTI":                            {Need: "operator"},
		"SUBSCRIBE c":                      {Need: "operator", Changes: true},
		"INFO":                             {Need: "admin", Dangerous: true},
		"info everything":                  {Need: "admin", Dangerous: true},
		"KEYS *":                           {Need: "admin", Dangerous: true},
		"ROLE":                             {Need: "admin", Dangerous: true},
		"LASTSAVE":                         {Need: "admin", Dangerous: true},
		"CONFIG GET *":                     {Need: "admin", Dangerous: true},
		"CLIENT LIST":                      {Need: "admin", Dangerous: true},
		"SLOWLOG GET":                      {Need: "admin", Dangerous: true},
		"SLOWLOG LEN":                      {Need: "admin", Dangerous: true},
		"LATENCY LATEST":                   {Need: "admin", Dangerous: true},
		"ACL LIST":                         {Need: "admin", Dangerous: true},
		"ACL LOG":                          {Need: "admin", Dangerous: true},
		"ACL LOG reset":                    {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"SORT_RO k":                        {Need: "admin", Dangerous: true, Keys: "k"},
		"SORT k BY w_* STORE d":            {Need: "admin", Dangerous: true, Confirm: true, Changes: true, Keys: "k d"},
		"CONFIG SET maxmemory 0":           {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"CONFIG RESETSTAT":                 {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"CLIENT KILL ID 1":                 {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"SLOWLOG RESET":                    {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"FLUSHALL":                         {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"FLUSHDB ASYNC":                    {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"SWAPDB 0 1":                       {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"RESTORE k 0 x":                    {Need: "admin", Dangerous: true, Confirm: true, Changes: true, Keys: "k"},
		"MIGRATE h 1  0 9 KEYS a b":        {Need: "admin", Dangerous: true, Confirm: true, Changes: true, Keys: "a b"},
		"SHUTDOWN":                         {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"DEBUG JMAP":                       {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"MONITOR":                          {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"REPLICAOF NO ONE":                 {Need: "admin", Dangerous: true, Confirm: true, Changes: true},
		"EVAL x 1 k":                       {Need: "admin", Changes: true, Keys: "k"},
		"EVAL_RO x 0":                      {Need: "admin"},
		"FCALL f 1 k":                      {Need: "admin", Changes: true, Keys: "k"},
		"SCRIPT FLUSH":                     {Need: "admin", Changes: true},
		"SCRIPT EXISTS x":                  {Need: "admin"},
		"FUNCTION LIST":                    {Need: "admin"},
		"FUNCTION FLUSH":                   {Need: "admin", Changes: true},
		"NOSUCH k":                         {Need: "admin", Changes: true},
		"CONFIG NOSUCH":                    {Need: "admin", Changes: true},
		"\x00":                             {Need: "admin", Changes: true},
	}
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		for line, want := range want {
			c, err := db.Classify(t.Context(), strings.Split(line, " "))
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			got := class{c.Need, c.Dangerous, c.Confirm, c.Changes, c.Blocking, strings.Join(c.Keys, " ")}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", line, diff)
			}
		}
	})
}

// TestKeysByPosition holds the keys that are found here against those that the server finds.
func TestKeysByPosition(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	samples, err := kvdb.SamplesOf(t.Context(), db)
	must(t, err)
	if len(samples) < 100 {
		t.Errorf("only %d commands", len(samples))
	}
	for _, s := range samples {
		args := []any{"COMMAND", "GETKEYS"}
		for _, arg := range s.Args {
			args = append(args, arg)
		}
		want, err := db.Client().Do(t.Context(), args...).StringSlice()
		if err != nil {
			t.Errorf("%q: %v", s.Args, err)
			continue
		}
		if diff := cmp.Diff(want, s.Keys); diff != "" {
			t.Errorf("%q (-server +here):\n%s", s.Args, diff)
		}
	}
}

// TestPermit: each role may what it may, and is told in words what it may not.
func TestPermit(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	ours := db.Keys().Schema()
	tests := []struct {
		role, line, confirm string
		says                string // of the refusal, "" = permitted
		kind                error
	}{
		{"viewer", "GET k", "", "", nil},
		{"viewer", "SET k v", "", "SET takes the role operator, yours is viewer", kvdb.ErrForbidden},
		{"viewer", "XREAD STREAMS k 0", "", "XREAD takes the role operator", kvdb.ErrForbidden},
		{"viewer", "EVAL_RO x 0", "", "EVAL_RO takes the role admin", kvdb.ErrForbidden},
		{"viewer", "INFO", "", "INFO takes the role admin", kvdb.ErrForbidden},
		{"viewer", "MULTI", "", "MULTI takes the role operator", kvdb.ErrForbidden},
		{"viewer", "GET " + ours, "", "takes the role admin", kvdb.ErrForbidden},
		{"operator", "SET k v", "", "", nil},
		{"operator", "SET " + ours + " v", "", "takes the role admin", kvdb.ErrForbidden},
		{"operator", "FLUSHALL", "FLUSHALL", "FLUSHALL takes the role admin, yours is operator", kvdb.ErrForbidden},
		{"operator", "CONFIG GET *", "", "CONFIG GET takes the role admin", kvdb.ErrForbidden},
		{"operator", "EVAL x 0", "", "EVAL takes the role admin", kvdb.ErrForbidden},
		{"operator", "NOSUCH", "", `this server has no command "NOSUCH"`, kvdb.ErrForbidden},
		{"operator", "SELECT 1", "", "SELECT can't run here: each call has a connection of its own", kvdb.ErrInvalid},
		{"operator", "WATCH k", "", "WATCH can't run here", kvdb.ErrInvalid},
		{"operator", "Subscribe c", "", "SUBSCRIBE can't run here: what it asks for has no end", kvdb.ErrInvalid},
		{"operator", "CLIENT REPLY OFF", "", "CLIENT REPLY can't run here", kvdb.ErrInvalid},
		{"operator", "HELLO 3", "", "HELLO can't run here", kvdb.ErrInvalid},
		{"operator", "SINTERCARD 5 a b", "", "Redis can't tell which keys this is about", kvdb.ErrInvalid},
		{"operator", "SINTERCARD", "", "", nil},
		{"admin", "SINTERCARD 5 a b", "", "", nil},
		{"admin", "GET " + ours, "", "", nil},
		{"admin", "NOSUCH", "", "", nil},
		{"admin", "INFO", "", "", nil},
		{"admin", "EVAL x 0", "", "", nil},
		{"admin", "FLUSHDB", "", "FLUSHDB is dangerous: send confirm with the word FLUSHDB to run it", kvdb.ErrInvalid},
		{"admin", "FLUSHDB", "FLUSHALL", "send confirm with the word FLUSHDB", kvdb.ErrInvalid},
		{"admin", "FLUSHDB", "FLUSHDB", "", nil},
		{"admin", "flushdb", "FlushDB", "", nil},
		{"admin", "CONFIG SET maxmemory 0", "CONFIG SET", "send confirm with the word CONFIG", kvdb.ErrInvalid},
		{"admin", "CONFIG SET maxmemory 0", "CONFIG", "", nil},
		{"admin", "MONITOR", "MONITOR", "MONITOR can't run here: what it asks for has no end", kvdb.ErrInvalid},
		{"admin", "PSYNC ? -1", "PSYNC", "PSYNC can't run here: it is for servers", kvdb.ErrInvalid},
		{"admin", "SCRIPT DEBUG YES", "", "SCRIPT DEBUG can't run here", kvdb.ErrInvalid},
		{"", "GET k", "", "takes the role viewer", kvdb.ErrForbidden},
		{"root", "GET k", "", "takes the role viewer", kvdb.ErrForbidden},
	}
	for _, tt := range tests {
		class, err := db.Classify(t.Context(), strings.Split(tt.line, " "))
		must(t, err)
		_, err = class.Permit(tt.role, tt.confirm)
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s, %s, %q: %v", tt.role, tt.line, tt.confirm, err)
		}
	}
	for _, args := range [][]string{nil, {}, {""}, {"", "k"}} {
		if _, err := db.Classify(t.Context(), args); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestOwnKeys tries to get at this program's own keys without being an admin.
func TestOwnKeys(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		prefix := string(db.Keys())
		// All in one slot, so that a cluster is no reason to refuse.
		tag := "{" + strings.Trim(prefix, ":") + "}"
		own, stream := prefix+tag+"secret", prefix+tag+"stream"
		mine, list, mineStream := "k"+tag, "l"+tag, "STREAMS"
		client := db.Client()
		must(t, client.Set(ctx, own, "secret", 0).Err())
		must(t, client.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{"f", "secret"}}).Err())
		must(t, client.XGroupCreate(ctx, stream, "g", "0").Err())
		must(t, client.GeoAdd(ctx, mine, &redis.GeoLocation{Name: "a"}).Err())
		must(t, client.RPush(ctx, list, "1").Err())
		for _, args := range [][]string{
			{"GET", own}, {"SET", own, "x"}, {"DEL", mine, own}, {"UNLINK", own}, {"MGET", mine, own}, {"MSET", mine, "1", own, "2"},
			{"RENAME", own, mine}, {"RENAME", mine, own}, {"COPY", own, mine}, {"COPY", mine, own, "REPLACE"}, {"MOVE", own, "1"}, {"DUMP", own}, {"OBJECT", "ENCODING", own},
			{"TYPE", own}, {"TTL", own}, {"EXISTS", mine, own}, {"TOUCH", own}, {"EXPIRE", own, "1"}, {"MEMORY", "USAGE", own}, {"XINFO", "STREAM", stream},
			{"XRANGE", stream, "-", "+"}, {"XREAD", "STREAMS", stream, "0"}, {"XREAD", "COUNT", "1", "STREAMS", mine, stream, "0", "0"},
			{"XREADGROUP", "GROUP", "g", "c", "STREAMS", stream, ">"}, {"XREADGROUP", "COUNT", "1", "GROUP", "g", mineStream, "STREAMS", stream, ">"},
			{"GEORADIUS", mine, "0", "0", "1", "m", "STORE", own}, {"GEORADIUS", mine, "0", "0", "1", "m", "STORE", mine, "STORE", own},
			{"GEORADIUSBYMEMBER", mine, "a", "1", "m", "STOREDIST", mine, "STORE", own}, {"GEOSEARCHSTORE", own, mine, "FROMMEMBER", "a", "BYRADIUS", "1", "m"},
			{"ZUNIONSTORE", own, "1", mine}, {"ZUNIONSTORE", mine, "2", mine, own}, {"ZUNION", "1", own}, {"ZDIFF", "2", mine, own}, {"SINTERCARD", "2", mine, own},
			{"SINTERSTORE", own, mine}, {"LMPOP", "2", mine, own, "LEFT"}, {"BLMPOP", "1", "1", own, "LEFT"}, {"BLPOP", mine, own, "1"}, {"LMOVE", list, own, "LEFT", "LEFT"},
			{"BITOP", "NOT", own, mine}, {"PFMERGE", own, mine}, {"PFCOUNT", own}, {"SUNION", own}, {"LCS", mine, own}, {"SORT", list, "BY", "nosort", "GET", own}, {"SORT", list, "STORE", own},
			{"SORT_RO", list, "BY", "nosort", "GET", prefix + "*"}, {"EVAL", "return redis.call('GET', KEYS[1])", "1", own}, {"KEYS", prefix + "*"},
			{"MIGRATE", "127.0.0.1", "1", "", "0", "9", "KEYS", own}, {"RESTORE", own, "0", "x"}, {"WATCH", own},
		} {
			for _, role := range []string{"viewer", "operator"} {
				if r, err := do(t, db, role, args...); !errors.Is(err, kvdb.ErrForbidden) {
					t.Errorf("%s: %q: %v, %v", role, args, r.Reply, err)
				}
			}
		}
		if got := client.Get(ctx, own).Val(); got != "secret" {
			t.Errorf("it is %q", got)
		}
		if r := reply(t, db, "admin", "GET", own); r.Text != "secret" {
			t.Errorf("an admin gets %v", r)
		}
	})
}

// TestListsLeaveOwnKeysOut: names of this program's own keys are not for everybody either.
func TestListsLeaveOwnKeysOut(t *testing.T) {
	t.Parallel()
	srv, url := newServer(t, "cluster")
	_ = srv
	for _, url := range []string{kvtest.NewServer(t).URL(), url} {
		db := open(t, url)
		ctx := t.Context()
		own, mine := string(db.Keys())+"{x}", "mine{x}"
		if r := reply(t, db, "viewer", "RANDOMKEY"); r.Kind != kvdb.KindNil {
			t.Errorf("RANDOMKEY of nothing: %v", r)
		}
		must(t, db.Client().Set(ctx, own, "", 0).Err())
		for _, role := range []string{"viewer", "operator"} {
			if r := reply(t, db, role, "RANDOMKEY"); r.Kind != kvdb.KindNil {
				t.Errorf("RANDOMKEY: %v", r)
			}
		}
		must(t, db.Client().Set(ctx, mine, "", 0).Err())
		for role, want := range map[string][]string{"viewer": {mine}, "operator": {mine}, "admin": {mine, own}} {
			got := texts(reply(t, db, role, "SCAN", "0", "COUNT", "1000").Items[1])
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: SCAN: %q", role, got)
			}
			if r := reply(t, db, role, "RANDOMKEY"); role != "admin" && r.Text != mine {
				t.Errorf("%s: RANDOMKEY: %v", role, r)
			}
		}
		if !strings.HasPrefix(url, "redis-cluster") {
			continue
		}
		slot := strconv.FormatInt(db.Client().ClusterKeySlot(ctx, mine).Val(), 10)
		if got := texts(reply(t, db, "operator", "CLUSTER", "GETKEYSINSLOT", slot, "10")); !slices.Equal(got, []string{mine}) {
			t.Errorf("CLUSTER GETKEYSINSLOT: %q", got)
		}
	}
}

// TestCommand runs some of each kind, on every kind of target.
func TestCommand(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, db *kvdb.DB) {
		k := "cmd-" + string(db.Keys())
		for _, tt := range []struct {
			role string
			args []string
			want kvdb.Reply
		}{
			{"operator", []string{"SET", k, "\xff\x00\r\n"}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}},
			{"viewer", []string{"GET", k}, bulk("\xff\x00\r\n")},
			{"viewer", []string{"GET", k + "none"}, kvdb.Reply{}},
			{"operator", []string{"INCR", k}, kvdb.Reply{Kind: kvdb.KindError, Text: "ERR value is not an integer or out of range"}},
			{"viewer", []string{"GET"}, kvdb.Reply{Kind: kvdb.KindError, Text: "ERR wrong number of arguments for 'get' command"}},
			{"operator", []string{"HSET", k + "h", "f", "v"}, number("1")},
			{"viewer", []string{"HGETALL", k + "h"}, list(kvdb.KindMap, bulk("f"), bulk("v"))},
			{"operator", []string{"ZADD", k + "z", "1.5", "m"}, number("1")},
			{"viewer", []string{"ZSCORE", k + "z", "m"}, kvdb.Reply{Kind: kvdb.KindDouble, Text: "1.5"}},
			{"operator", []string{"SADD", k + "s", "m"}, number("1")},
			{"viewer", []string{"SMEMBERS", k + "s"}, list(kvdb.KindSet, bulk("m"))},
			{"viewer", []string{"LRANGE", k + "l", "0", "-1"}, list(kvdb.KindArray)},
			{"operator", []string{"SPUBLISH", k, "m"}, number("0")},
			{"operator", []string{"PING"}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "PONG"}},
			{"operator", []string{"DEL", k}, number("1")},
			{"admin", []string{"EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", k}, kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}},
			{"admin", []string{"CLIENT", "GETNAME"}, bulk("webadmin:command")},
		} {
			if diff := cmp.Diff(tt.want, reply(t, db, tt.role, tt.args...)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tt.args, diff)
			}
		}
	}
	kvtest.Each(t, test)
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		master := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1")
		test(t, open(t, kvtest.NewSentinel(t, master.Port(), "main")))
	})
	t.Run("TLS and another database", func(t *testing.T) {
		t.Parallel()
		ca := newCA(t)
		l := tls.NewListener(listen(t), &tls.Config{Certificates: ca.issue(t, "127.0.0.1", time.Hour).pair})
		srv := kvtest.NewServer(t)
		db, err := kvdb.Open(kvdb.Config{URL: "rediss://" + proxy(t, l, srv) + "/3", TLSCA: ca.file})
		must(t, err)
		defer db.Close()
		test(t, db)
		if info := srv.DB(t).Client().Info(t.Context(), "keyspace").Val(); !strings.Contains(info, "db3:") || strings.Contains(info, "db0:") {
			t.Errorf("%s", info)
		}
	})
}

// TestReplyKinds has the server give each kind.
func TestReplyKinds(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		for script, want := range map[string]kvdb.Reply{
			"{ok='fine'}":      {Kind: kvdb.KindStatus, Text: "fine"},
			"{err='MINE no'}":  {Kind: kvdb.KindError, Text: "MINE no"},
			"'text'":           bulk("text"),
			"9007199254740993": number("9007199254740992"), // a number of Lua
			"redis.call('INCRBY', KEYS[1], '9007199254740993')": number("9007199254740992"),
			"redis.call('GET', KEYS[1] .. 'none')":              {},
			"true":                                              {Kind: kvdb.KindBoolean, Text: "t"},
			"{1, 'a', {ok='x'}, {false}, true}":                 list(kvdb.KindArray, number("1"), bulk("a"), kvdb.Reply{Kind: kvdb.KindStatus, Text: "x"}, list(kvdb.KindArray, kvdb.Reply{Kind: kvdb.KindBoolean, Text: "f"}), kvdb.Reply{Kind: kvdb.KindBoolean, Text: "t"}),
			"{double=3.5}":                                      {Kind: kvdb.KindDouble, Text: "3.5"},
			"{double=1/0}":                                      {Kind: kvdb.KindDouble, Text: "inf"},
			"{double=-1/0}":                                     {Kind: kvdb.KindDouble, Text: "-inf"},
			"{big_number='12345678901234567890123'}":            {Kind: kvdb.KindBigNumber, Text: "12345678901234567890123"},
			"{verbatim_string={string='# a', format='mkd'}}":    {Kind: kvdb.KindVerbatim, Text: "# a"},
			"{map={a=1}}":                                       list(kvdb.KindMap, bulk("a"), number("1")),
			"{set={a=true}}":                                    list(kvdb.KindSet, bulk("a")),
			"redis.call('HGETALL', KEYS[1] .. 'none')":          list(kvdb.KindMap),
		} {
			args := []string{"EVAL", "redis.setresp(3); return " + script, "1", "{kinds-" + string(db.Keys()) + "}"}
			if diff := cmp.Diff(want, reply(t, db, "admin", args...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", script, diff)
			}
		}
	})
}

// TestBigReplies: what is too big is cut, and the next command is not disturbed.
func TestBigReplies(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, k := t.Context(), "big-"+string(db.Keys())
		values := make([]any, 20_001)
		for i := range values {
			values[i] = i
		}
		must(t, db.Client().RPush(ctx, k+"l", values...).Err())
		must(t, db.Client().HSet(ctx, k+"h", values[:20_000]...).Err())
		must(t, db.Client().Set(ctx, k+"s", strings.Repeat("x", kvdb.MaxReplyBytes+1), 0).Err())
		for _, tt := range []struct {
			args []string
			n    int
			cut  bool
		}{
			{[]string{"LRANGE", k + "l", "0", "-1"}, 10_000, true},
			{[]string{"LRANGE", k + "l", "0", "9999"}, 10_000, false},
			{[]string{"LRANGE", k + "l", "0", "10000"}, 10_000, true},
			{[]string{"HGETALL", k + "h"}, 20_000, false},
			{[]string{"GET", k + "s"}, kvdb.MaxReplyBytes, true},
			{[]string{"GETRANGE", k + "s", "0", strconv.Itoa(kvdb.MaxReplyBytes - 1)}, kvdb.MaxReplyBytes, false},
		} {
			r, err := do(t, db, "viewer", tt.args...)
			must(t, err)
			if n := len(r.Reply.Items) + len(r.Reply.Text); n != tt.n || r.Truncated != tt.cut {
				t.Errorf("%q: %d, truncated %v", tt.args, n, r.Truncated)
			}
			if n := reply(t, db, "viewer", "LLEN", k+"l").Text; n != "20001" {
				t.Errorf("after %q: %s", tt.args, n)
			}
		}
	})
}

// TestConnectionsAreKept: plain commands share a few connections, all others leave none behind.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	id := func(role string) string { return reply(t, db, role, "CLIENT", "ID").Text }
	connections := func() int {
		n, err := strconv.Atoi(must2(db.Info(t.Context()))["stats"]["total_connections_received"])
		must(t, err)
		return n
	}
	reply(t, db, "viewer", "GET", "k")
	before := connections()
	for range 50 {
		reply(t, db, "viewer", "GET", "k")
		reply(t, db, "operator", "SET", "k", "v")
	}
	if n := connections() - before; n > 2 {
		t.Errorf("%d connections for 100 plain commands", n)
	}
	if first := id("admin"); id("admin") == first {
		t.Error("a connection that is not fresh")
	}
	// Those that are kept don't live on after a restart.
	srv.Restart()
	if r := reply(t, db, "operator", "SET", "k", "v"); r.Text != "OK" {
		t.Errorf("%v", r)
	}
}

// TestCommandTableIsOfTheServer: after a restart as another version, the table is that of the new one.
func TestCommandTableIsOfTheServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	known := func() bool {
		class, err := db.Classify(t.Context(), []string{"GETEX", "k"})
		must(t, err)
		return class.Known
	}
	if !known() {
		t.Error("it is not that of Redis")
	}
	srv.Args = append(srv.Args, "--rename-command", "GETEX", "")
	srv.Restart()
	if known() {
		t.Error("it is still that of the server before")
	}
}

// TestCommandsOfTheProgramUser: commands of others than admins run as the program user.
func TestCommandsOfTheProgramUser(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	admin := srv.DB(t).Client()
	must(t, admin.Do(t.Context(), "ACL", "SETUSER", "programs", "on", ">a:b", "~free*", "+@all", "-@dangerous").Err())
	must(t, admin.Do(t.Context(), "ACL", "SETUSER", "open", "on", "nopass", "~*", "+@all", "-@dangerous").Err())
	with := func(user string) *kvdb.DB {
		db, err := kvdb.Open(kvdb.Config{URL: srv.URL(), ProgramUser: user})
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return db
	}
	db := with("programs:a:b")
	for role, want := range map[string]string{"operator": "programs", "admin": "default"} {
		if got := reply(t, db, role, "ACL", "WHOAMI").Text; got != want {
			t.Errorf("%s runs as %s", role, got)
		}
	}
	if r := reply(t, db, "operator", "SET", "free", "v"); r.Text != "OK" {
		t.Errorf("%v", r)
	}
	if r := reply(t, db, "viewer", "GET", "other"); r.Kind != kvdb.KindError || !strings.HasPrefix(r.Text, "NOPERM") {
		t.Errorf("%v", r)
	}
	if got := reply(t, with("open"), "operator", "ACL", "WHOAMI").Text; got != "open" {
		t.Errorf("without a password it runs as %s", got)
	}
	for _, user := range []string{"programs:wrong", "nobody"} {
		_, err := do(t, with(user), "operator", "SET", "free", "v")
		if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "--program-user") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v (%s)", user, err, kvdb.Sentence(err))
		}
	}
}

// TestBlockingCommand: when nobody waits any longer, the server doesn't either, and it is known what came of it.
func TestBlockingCommand(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		k := "{block-" + string(db.Keys()) + "}"
		for _, args := range [][]string{{"BLPOP", k, "0"}, {"BLMOVE", k, k + "2", "LEFT", "LEFT", "0"}, {"WAIT", "1", "0"}, {"BZPOPMIN", k, "0"}} {
			class, err := db.Classify(t.Context(), args)
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r, err := must2(class.Permit("operator", "")).Run(ctx)
			cancel()
			if err != nil || r.Reply.Kind != kvdb.KindNil && r.Reply.Text != "0" {
				t.Errorf("%q: %v, %v", args, r.Reply, err)
			}
		}
		// Others are not held up, and what comes is there.
		done := make(chan string)
		go func() {
			r, err := doIn(t.Context(), db, "operator", "BLPOP", k, "0")
			if err != nil || len(r.Reply.Items) != 2 {
				done <- fmt.Sprint(r.Reply, err)
				return
			}
			done <- r.Reply.Items[1].Text
		}()
		if r := reply(t, db, "operator", "RPUSH", k, "v"); r.Text != "1" {
			t.Errorf("%v", r)
		}
		if got := <-done; got != "v" {
			t.Errorf("it got %s", got)
		}
	})
}

// A command that a client also sends to prepare a connection counts as sent, like any other.
func TestSentIsNotHandshake(t *testing.T) {
	t.Parallel()
	srv, url := newServer(t, "single")
	db := open(t, url)
	for _, args := range [][]string{{"CLIENT", "KILL", "TYPE", "pubsub"}, {"SELECT", "1"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := db.ChangeAfter(ctx, srv.Pause, args...); !errors.Is(err, kvdb.ErrUnknown) {
			t.Errorf("%v: %v", args, err)
		}
		cancel()
		srv.Resume()
	}
}

// TestCommandRunsAtMostOnce stalls and kills the server during commands.
func TestCommandRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, url := newServer(t, mode)
			db := open(t, url)
			lines := []string{"INCR incr", "RPUSH list v", "EVAL return(redis.call('INCR',KEYS[1])) 1 eval", "BLMPOP 0 1 none LEFT", "PUBLISH c m"}
			calls := map[string]*kvdb.Call{}
			for _, line := range append(lines, "GET k") {
				class, err := db.Classify(t.Context(), strings.Split(line, " "))
				must(t, err)
				calls[line] = must2(class.Permit("admin", ""))
				if !strings.HasPrefix(line, "BLMPOP") {
					_, err = calls[line].Run(t.Context()) // the plain ones have a connection now
					must(t, err)
				}
			}
			srv.Pause()
			var wg sync.WaitGroup
			for line, call := range calls {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					_, err := call.Run(ctx)
					unknown := (*kvdb.UnknownError)(nil)
					switch {
					case errors.As(err, &unknown) && unknown.Check != "" && line != "GET k":
					case errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown):
						// It had to connect, and got no further than that; or it only reads.
					default:
						t.Errorf("%s: %v", line, err)
					}
				})
			}
			wg.Wait()
			if _, err := db.Classify(t.Context(), []string{"GET", "k"}); !errors.Is(err, kvdb.ErrAway) {
				t.Errorf("classify: %v", err)
			}
			srv.Resume()
			awaitHealth(t, db, kvdb.StatusOK)
			client := db.Client()
			for key, n := range map[string]int64{"incr": must2(client.Get(t.Context(), "incr").Int64()), "list": client.LLen(t.Context(), "list").Val(), "eval": must2(client.Get(t.Context(), "eval").Int64())} {
				if n < 1 || n > 2 {
					t.Errorf("%s was done %d times, twice at most", key, n)
				}
			}
			srv.Kill()
			for _, line := range lines {
				if _, err := calls[line].Run(t.Context()); !errors.Is(err, kvdb.ErrAway) {
					t.Errorf("%s: %v", line, err)
				}
			}
		})
	}
}

// TestKillABusyScript: who may, can, though the server answers nothing else.
func TestKillABusyScript(t *testing.T) {
	t.Parallel()
	srv, _ := newServer(t, "single")
	db := open(t, srv.URL()+"?db=2")
	reply(t, db, "admin", "GET", "k")
	go func() { _, _ = doIn(t.Context(), db, "admin", "EVAL", "while true do end", "0") }()
	awaitHealth(t, db, kvdb.StatusBusy)
	if _, err := do(t, db, "admin", "GET", "k"); !errors.Is(err, kvdb.ErrAway) && err != nil {
		t.Errorf("GET: %v", err)
	}
	if r := reply(t, db, "admin", "SCRIPT", "KILL"); r.Text != "OK" {
		t.Errorf("SCRIPT KILL: %v", r)
	}
	awaitHealth(t, db, kvdb.StatusOK)
}

// TestCommandFollowsAMovingSlot: while a slot moves to another node, and after, and only within the cluster.
func TestCommandFollowsAMovingSlot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv, url := newServer(t, "cluster")
	other, _ := newServer(t, "empty cluster")
	from, to := open(t, srv.URL()).Client(), open(t, other.URL()).Client()
	must(t, to.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", srv.Port()).Err())
	fromID, toID := from.Do(ctx, "CLUSTER", "MYID").Val(), to.Do(ctx, "CLUSTER", "MYID").Val()
	await(t, func() bool {
		return strings.Contains(to.ClusterInfo(ctx).Val(), "cluster_state:ok") && strings.Contains(from.ClusterNodes(ctx).Val(), toID.(string))
	})
	db := open(t, url)
	reply(t, db, "admin", "GET", "k")
	slot := from.ClusterKeySlot(ctx, "k").Val()
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	if r := reply(t, db, "operator", "INCR", "k"); r.Text != "1" {
		t.Errorf("ASK: %v", r)
	}
	must(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	must(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err())
	if r := reply(t, db, "operator", "INCR", "k"); r.Text != "2" {
		t.Errorf("MOVED: %v", r)
	}
	if r := reply(t, db, "admin", "EVAL", "return redis.error_reply('MOVED 1 127.0.0.1:"+other.Port()+"')", "0"); r.Kind != kvdb.KindError || !strings.HasPrefix(r.Text, "MOVED") {
		t.Errorf("a script that lies: %v", r)
	}
}

// TestHostileServer: what answers is no Redis.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a web server":      "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"another protocol":  "220 smtp.example ESMTP\r\n",
		"an old server":     "-ERR unknown command 'HELLO'\r\n",
		"a huge text":       "$1500000000\r\n",
		"a huge list":       "*100000000\r\n",
		"lists in lists":    strings.Repeat("*1\r\n", 100_000),
		"a line at a time":  "+" + strings.Repeat("x", 2<<20),
		"nothing but an OK": "+OK\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(answer))
					conn.Close()
				}
			}()
			db := open(t, "redis://"+l.Addr().String())
			if _, err := db.Classify(t.Context(), []string{"GET", "k"}); !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestLine: what the audit log shows of a command has no secrets.
func TestLine(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	for line, want := range map[string]string{
		"SET k v":                                  "SET k v",
		"AUTH s3cret":                              "AUTH ***",
		"AUTH user s3cret":                         "AUTH *** ***",
		"HELLO 3 AUTH user s3cret SETNAME n":       "HELLO 3 AUTH *** *** SETNAME n",
		"CONFIG SET requirepass s3cret":            "CONFIG SET requirepass ***",
		"config set maxmemory 1 MASTERAUTH s3cret": "config set maxmemory 1 MASTERAUTH ***",
		"CONFIG SET tls-key-file-pass s3cret":      "CONFIG SET tls-key-file-pass ***",
		"CONFIG GET requirepass":                   "CONFIG GET requirepass",
		"ACL SETUSER u on >s3cret ~* +@all":        "ACL SETUSER u on *** ~* +@all",
		"ACL SETUSER u #s3cret <s3cret !s3cret":    "ACL SETUSER u *** *** ***",
		"MIGRATE h 1 k 0 9 AUTH s3cret KEYS a":     "MIGRATE h 1 k 0 9 AUTH *** KEYS a",
		"MIGRATE h 1 k 0 9 AUTH2 user s3cret":      "MIGRATE h 1 k 0 9 AUTH2 *** ***",
		"AUHT s3cret":                              "AUHT … (1 arguments)",
		"SET k two\nlines":                         `SET k "two\nlines"`,
		"SET k \xff":                               `SET k "\xff"`,
		"SET k " + strings.Repeat("x", 300):        "SET k " + strings.Repeat("x", 200) + "… (300 bytes)",
		"SET  ":                                    `SET "" ""`,
	} {
		class, err := db.Classify(t.Context(), strings.Split(line, " "))
		must(t, err)
		if got := class.Line(); got != want {
			t.Errorf("%.60q: %s, want %s", line, got, want)
		}
		if class.Masks() != strings.Contains(line, "s3cret") {
			t.Errorf("%.60q: masks %v", line, class.Masks())
		}
	}
}
