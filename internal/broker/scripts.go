package broker

import (
	"context"
	"embed"
	"fmt"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

//go:embed scripts
var scriptFiles embed.FS

// The changes of a service, each of which is one atomic step; their files say what they take and return.
var (
	publishScript = serviceScript("publish")
	fetchScript   = serviceScript("fetch")
	ackScript     = serviceScript("ack")
	nackScript    = serviceScript("nack")
	extendScript  = serviceScript("extend")
	cancelScript  = serviceScript("cancel")
	settleScript  = serviceScript("settle")
	reviveScript  = serviceScript("revive")
	buryScript    = serviceScript("bury")
	policyScript  = serviceScript("policy")
)

func serviceScript(name string) *kvdb.Script {
	d := DefaultPolicy
	defaults := fmt.Sprintf("local DEFAULT = {max_attempts = %d, backoff_ms = %d, backoff_most_ms = %d, lease_ms = %d, keep_ms = %d, keep_n = %d, "+
		"dead_keep_ms = %d, dead_keep_n = %d}\n",
		d.MaxAttempts, d.Backoff.Milliseconds(), d.BackoffMost.Milliseconds(), d.Lease.Milliseconds(),
		d.KeepDone.Milliseconds(), d.KeepDoneN, d.KeepDead.Milliseconds(), d.KeepDeadN)
	return kvdb.NewScript(defaults + scriptFile("common") + scriptFile(name))
}

func scriptFile(name string) string {
	b, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // it is not embedded
	}
	return string(b)
}

// run runs a script on the keys of a service.
func (s *Store) run(ctx context.Context, script *kvdb.Script, service string, args ...any) *redis.Cmd {
	base := s.keys.Service(service).Base()
	return script.Run(ctx, s.db, []string{base, base + "-"}, args...)
}

// doorbell is where, and how, a script tells other processes that a service has work.
func (s *Store) doorbell(service string) (channel, text string) {
	return s.keys.Broker().Wake(), s.bell.id + " " + service
}
