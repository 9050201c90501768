package lua

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb/kvtest"
)

func TestNear(t *testing.T) {
	t.Parallel()
	all := []string{"kvdb.rename_if_exists", "mylib.rename_if_exists", "mylib.check", "orders.move", "orders.mover", "orders.remove", "Orders.Move2", "a", "ab", "zebra"}
	for name, want := range map[string][]string{
		"kvdb.rename_if_exist":       {"kvdb.rename_if_exists", "mylib.rename_if_exists"},
		"kvdb.reanme_if_exists":      {"kvdb.rename_if_exists", "mylib.rename_if_exists"},
		"rename_if_exists":           {"kvdb.rename_if_exists", "mylib.rename_if_exists"},
		"other.rename_if_exists":     {"kvdb.rename_if_exists", "mylib.rename_if_exists"},
		"ORDERS.MOVE":                {"orders.move", "Orders.Move2", "orders.mover", "orders.remove"},
		"orders.move.lua":            {"orders.move", "Orders.Move2", "orders.mover"},
		"mylib":                      {"mylib.check", "mylib.rename_if_exists"},
		"b":                          {"a", "ab"},
		"quite something else":       nil,
		"":                           {"a"},
		strings.Repeat("zebra", 100): {"zebra"},
	} {
		got := near(name, append(all, all...))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("near %.30q (-want +got)\n%s", name, diff)
		}
	}
}

func TestNotFoundTellsNearNames(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	mustPut(t, s, "mylib.check", "return 1")
	for name, want := range map[string]string{
		"mylib.chek":            `there is no program "mylib.chek"; there is mylib.check`,
		"kvdb.rename_if_exist":  `there is no program "kvdb.rename_if_exist"; there is kvdb.rename_if_exists`,
		"something.quite.apart": `there is no program "something.quite.apart"`,
	} {
		if _, err := s.resolve(t.Context(), name); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
