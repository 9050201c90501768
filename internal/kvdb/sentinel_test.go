package kvdb_test

import (
	"errors"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestSentinel goes through a failover from a master that is killed.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master, replica := kvtest.NewPair(t)
	db := open(t, kvtest.NewSentinel(t, master.Port(), "main"))
	ctx := t.Context()

	must(t, incr.Run(ctx, db, []string{"k"}).Err())
	awaitHealth(t, db, kvdb.StatusOK)
	client := open(t, replica.URL()).Client()
	await(t, func() bool { return client.Get(ctx, "k").Val() == "1" })
	master.Kill()
	unknown := 0
	await(t, func() bool {
		err := kvdb.WriteErr("add", incr.Run(ctx, db, []string{"k"}).Err())
		switch {
		case errors.Is(err, kvdb.ErrUnknown): // the Sentinel closes the connections to a new master
			unknown++
		case err != nil && !errors.Is(err, kvdb.ErrAway):
			t.Error(err)
		}
		return err == nil
	})
	if got, err := client.Get(ctx, "k").Int(); err != nil || got < 2 || got > 2+unknown {
		t.Errorf("the counter is %d (%v), with %d unknown", got, err, unknown)
	}
}
