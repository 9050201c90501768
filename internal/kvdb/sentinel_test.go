package kvdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestSentinel goes through a failover from a master that is killed.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1")
	replica := kvtest.NewServer(t, "--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--replicaof", "127.0.0.1 "+port(master))
	db := open(t, newSentinel(t, port(master), "main"))
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

// newSentinel starts a Sentinel that watches the master "main" on a port of this machine, and returns the
// URL with which to ask it for a master.
func newSentinel(t *testing.T, masterPort, ask string) string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	must(t, os.WriteFile(conf, []byte("sentinel monitor main 127.0.0.1 "+masterPort+" 1\n"+
		"sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n"), 0o600))
	sentinel := kvtest.NewServer(t, conf, "--port", kvtest.FreePort(), "--bind", "127.0.0.1", "--sentinel")
	return "redis-sentinel://127.0.0.1:" + port(sentinel) + "/0?master=" + ask
}
