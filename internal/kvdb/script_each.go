package kvdb

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ScriptCall is one run of a script among many.
type ScriptCall struct {
	Keys []string
	Args []any
}

// RunEach runs the script once for each call, in one pipeline: each run is atomic, all together are not. Each
// has an error of its own in its result; give them to WriteErr.
func (s *Script) RunEach(ctx context.Context, db *DB, calls []ScriptCall) []*redis.Cmd {
	results := make([]*redis.Cmd, len(calls))
	pipe := db.client.Pipeline()
	for i, c := range calls {
		results[i] = pipe.EvalSha(ctx, s.sha, c.Keys, c.Args...)
	}
	_, _ = pipe.Exec(ctx) // each result has its own error
	var missing []int
	for i, cmd := range results {
		if err := cmd.Err(); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT ") {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return results
	}
	// The server doesn't have it, so these didn't run.
	pipe = db.client.Pipeline()
	for _, i := range missing {
		results[i] = pipe.Eval(ctx, s.src, calls[i].Keys, calls[i].Args...)
	}
	_, _ = pipe.Exec(ctx)
	return results
}
