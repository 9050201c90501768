package lua

import (
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestRenameIfExists(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx, client := t.Context(), db.Client()
		src, err := newStore(t, db).resolve(ctx, "kvdb.rename_if_exists")
		must(t, err)
		from, to := string(db.Keys())+"{x}from", string(db.Keys())+"{x}to"
		must(t, client.Set(ctx, from, "new", 0).Err())
		must(t, client.Set(ctx, to, "old", 0).Err())
		for _, want := range []int64{10, 11} {
			if got, err := client.Eval(ctx, src.Text, []string{from, to}).Int64(); err != nil || got != want {
				t.Errorf("it returns %d, %v; want %d", got, err, want)
			}
		}
		if got := client.Get(ctx, to).Val(); got != "new" {
			t.Errorf("the key is %q", got)
		}
		if err := client.Eval(ctx, src.Text, []string{from}).Err(); err == nil || !strings.Contains(err.Error(), "give two keys") {
			t.Errorf("of one key: %v", err)
		}
	})
}

func TestBuiltinsAreFine(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	for _, name := range builtinNames {
		src := builtins[name]
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
		if err := CheckText(src.Text); err != nil {
			t.Error(err)
		}
		if err := s.verdict(t.Context(), src.Text); err != nil {
			t.Error(err)
		}
	}
}
