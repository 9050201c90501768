package kvdb_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestCommandFacts(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		facts, err := db.CommandFacts(t.Context())
		must(t, err)
		for name, want := range map[string]kvdb.CommandFacts{
			"get":             {Arity: 2, FirstKey: 1, LastKey: 1, Step: 1},
			"set":             {Write: true, Arity: -3, FirstKey: 1, LastKey: 1, Step: 1},
			"mset":            {Write: true, Arity: -3, FirstKey: 1, LastKey: -1, Step: 2},
			"ping":            {Arity: -1},
			"object":          {Arity: -2},
			"object|encoding": {Arity: 3, FirstKey: 2, LastKey: 2, Step: 1},
			"config|get":      {NoScript: true, Arity: -3},
			"subscribe":       {NoScript: true, Arity: -2},
			"zunion":          {Arity: -3, Movable: true},
			"spublish":        {Arity: 3},
		} {
			if diff := cmp.Diff(want, facts[name]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if !facts["blpop"].Blocking || !facts["sort"].Movable {
			t.Errorf("blpop %+v, sort %+v", facts["blpop"], facts["sort"])
		}
		if _, ok := facts["none"]; ok {
			t.Error("facts of a command that isn't there")
		}
	})
}

// TestServerRun: it is the same until the server starts anew.
func TestServerRun(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	first, err := db.ServerRun(t.Context())
	must(t, err)
	again, err := db.ServerRun(t.Context())
	must(t, err)
	if first == "" || again != first {
		t.Errorf("%q, then %q", first, again)
	}
	srv.Kill()
	if _, err := db.ServerRun(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("without a server: %v", err)
	}
	if _, err := db.CommandFacts(t.Context()); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("without a server: %v", err)
	}
	srv.Restart()
	if run, err := db.ServerRun(t.Context()); err != nil || run == first {
		t.Errorf("after a restart: %q, %v", run, err)
	}
}
