package kvtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Port is the one of a server that was started with "--port" as its first option.
func (s *Server) Port() string { return s.Args[slices.Index(s.Args, "")+2] }

// NewPair starts a master and a replica of it on ports of this machine, both with the further arguments of
// NewServer, and returns them when the replica has what the master has.
func NewPair(t testing.TB, args ...string) (master, replica *Server) {
	t.Helper()
	on := func(more ...string) *Server {
		return NewServer(t, slices.Concat([]string{"--port", FreePort(), "--bind", "127.0.0.1"}, args, more)...)
	}
	master = on("--repl-diskless-sync-delay", "0")
	replica = on("--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1 "+master.Port())
	Await(t, "the replica is one", func() bool {
		reply, err := call(replica.p.socket(), "INFO replication")
		return err == nil && strings.Contains(reply, "master_link_status:up")
	})
	return master, replica
}

// NewSentinel starts a Sentinel that watches the master "main" on a port of this machine, and returns the URL with
// which to ask it for the master with a name. It takes a master for dead after 300 ms.
func NewSentinel(t testing.TB, masterPort, ask string) (url string) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(conf, []byte("sentinel monitor main 127.0.0.1 "+masterPort+" 1\n"+
		"sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := NewServer(t, conf, "--port", FreePort(), "--bind", "127.0.0.1", "--sentinel")
	return "redis-sentinel://127.0.0.1:" + sentinel.Port() + "/0?master=" + ask
}
