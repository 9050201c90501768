package kvdb_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestCommandDocs: what the server says of its commands is read once for each run of it.
func TestCommandDocs(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := srv.DB(t)
	docs, err := db.CommandDocs(t.Context(), nil)
	must(t, err)
	doc, n := docs.Find("Config", "get", "x")
	want := &kvdb.CommandDoc{
		Name: "CONFIG GET", Summary: "Get the values of configuration parameters", Since: "2.0.0", Group: "server",
		Complexity: "O(N) when N is the number of configuration parameters provided",
		Args:       []kvdb.ArgDoc{{Name: "parameter", Type: "block", Multiple: true, Args: []kvdb.ArgDoc{{Name: "parameter", Type: "string"}}}},
	}
	if diff := cmp.Diff(want, doc); diff != "" || n != 2 {
		t.Errorf("%d (-want +got):\n%s", n, diff)
	}
	if doc, n := docs.Find("config", "nosuch"); doc.Name != "CONFIG" || !doc.Container || n != 1 {
		t.Errorf("%+v", doc)
	}
	if doc, n := docs.Find(); doc != nil || n != 0 {
		t.Errorf("%+v", doc)
	}
	if len(docs.Names()) < 300 || !slices.IsSorted(docs.Names()) {
		t.Errorf("%d names", len(docs.Names()))
	}
	again, err := db.CommandDocs(t.Context(), docs)
	if must(t, err); again != docs {
		t.Error("it asked again")
	}
	srv.Args = append(srv.Args, "--rename-command", "GETEX", "")
	srv.Restart()
	again, err = db.CommandDocs(t.Context(), docs)
	must(t, err)
	if doc, _ := again.Find("GETEX"); doc != nil {
		t.Error("it is that of the server before")
	}
}

// TestCommandDocsWithoutDocs: a server that doesn't have them still says which commands there are.
func TestCommandDocsWithoutDocs(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	must(t, srv.DB(t).Client().Do(t.Context(), "ACL", "SETUSER", "old", "on", "nopass", "~*", "+@all", "-command|docs").Err())
	db := open(t, srv.URL()+"?user=old&password=x")
	docs, err := db.CommandDocs(t.Context(), nil)
	must(t, err)
	key, arg, more := kvdb.ArgDoc{Name: "key", Type: "key"}, kvdb.ArgDoc{Name: "arg", Type: "string"},
		kvdb.ArgDoc{Name: "arg", Type: "string", Optional: true, Multiple: true}
	for _, want := range []kvdb.CommandDoc{
		{Name: "SET", Group: "string", Args: []kvdb.ArgDoc{key, arg, more}},
		{Name: "GET", Group: "string", Args: []kvdb.ArgDoc{key}},
		{Name: "XINFO STREAM", Group: "stream", Args: []kvdb.ArgDoc{key, more}},
		{Name: "DEL", Group: "generic", Args: []kvdb.ArgDoc{key, more}},
		{Name: "FLUSHALL", Group: "generic", Args: []kvdb.ArgDoc{more}},
		{Name: "INFO", Group: "server", Args: []kvdb.ArgDoc{more}},
	} {
		doc, _ := docs.Find(strings.Fields(want.Name)...)
		if diff := cmp.Diff(&want, doc); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
