package kvdb_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

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
			{"RENAME", own, mine}, {"RENAME", mine, own}, {"COPY", own, mine}, {"COPY", mine, own, "REPLACE"}, {"MOVE", own, "1"},
			{"DUMP", own}, {"OBJECT", "ENCODING", own},
			{"TYPE", own}, {"TTL", own}, {"EXISTS", mine, own}, {"TOUCH", own}, {"EXPIRE", own, "1"}, {"MEMORY", "USAGE", own}, {"XINFO", "STREAM", stream},
			{"XRANGE", stream, "-", "+"}, {"XREAD", "STREAMS", stream, "0"}, {"XREAD", "COUNT", "1", "STREAMS", mine, stream, "0", "0"},
			{"XREADGROUP", "GROUP", "g", "c", "STREAMS", stream, ">"}, {"XREADGROUP", "COUNT", "1", "GROUP", "g", mineStream, "STREAMS", stream, ">"},
			{"GEORADIUS", mine, "0", "0", "1", "m", "STORE", own}, {"GEORADIUS", mine, "0", "0", "1", "m", "STORE", mine, "STORE", own},
			{"GEORADIUSBYMEMBER", mine, "a", "1", "m", "STOREDIST", mine, "STORE", own},
			{"GEOSEARCHSTORE", own, mine, "FROMMEMBER", "a", "BYRADIUS", "1", "m"},
			{"ZUNIONSTORE", own, "1", mine}, {"ZUNIONSTORE", mine, "2", mine, own}, {"ZUNION", "1", own},
			{"ZDIFF", "2", mine, own}, {"SINTERCARD", "2", mine, own},
			{"SINTERSTORE", own, mine}, {"LMPOP", "2", mine, own, "LEFT"}, {"BLMPOP", "1", "1", own, "LEFT"}, {"BLPOP", mine, own, "1"},
			{"LMOVE", list, own, "LEFT", "LEFT"},
			{"BITOP", "NOT", own, mine}, {"PFMERGE", own, mine}, {"PFCOUNT", own}, {"SUNION", own}, {"LCS", mine, own},
			{"SORT", list, "BY", "nosort", "GET", own}, {"SORT", list, "STORE", own},
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
