package kvdb

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Script is one atomic change: a Lua program that runs on one hash slot.
type Script struct{ src, sha string }

// NewScript prepares a script. Its text should say what KEYS, ARGV and the reply are.
func NewScript(src string) *Script {
	sum := sha1.Sum([]byte(src))
	return &Script{src: src, sha: hex.EncodeToString(sum[:])}
}

// Run runs the script at most once. The keys, of which there is at least one, must be of one slot. An error
// that the script returns keeps its code. Give errors to WriteErr.
func (s *Script) Run(ctx context.Context, db *DB, keys []string, args ...any) *redis.Cmd {
	cmd := db.client.EvalSha(ctx, s.sha, keys, args...)
	// The server doesn't have it, so nothing ran.
	if err := cmd.Err(); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT ") {
		cmd = db.client.Eval(ctx, s.src, keys, args...)
	}
	return cmd
}
