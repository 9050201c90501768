package kvdb_test

import (
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestScript(t *testing.T) {
	t.Parallel()
	// KEYS: a counter. Returns its new value.
	incr := kvdb.NewScript(`return redis.call('INCR', KEYS[1])`)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		key := db.Keys().Schema() + "n"
		for want := range 3 {
			if got, err := incr.Run(t.Context(), db, []string{key}).Int(); err != nil || got != want+1 {
				t.Fatalf("run %d = %d, %v", want+1, got, err)
			}
		}
	})
}
