package kvdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// Runs that go together have each its own reply, whatever those beside it do.
func TestEvalTogether(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		const text = `redis.call('INCR', KEYS[1])
if ARGV[1] == 'fail' then return redis.error_reply('MINE ' .. ARGV[2]) end
if ARGV[1] == 'large' then local t = {} for i = 1, 20000 do t[i] = i end return t end
return ARGV[1] .. ARGV[2]`
		sha := must2(db.LoadScript(t.Context(), text))
		key := string(db.Keys()) + "together" // of this run of the test
		run := func(args ...string) (kvdb.Result, error) {
			return db.Eval(t.Context(), kvdb.Eval{Text: text, SHA1: sha, Keys: []string{key}, Args: args})
		}
		must2(run("a", "warm")) // a script that was quick may go with others
		const n = 300
		var wg sync.WaitGroup
		for i := range n {
			kind := []string{"a", "b", "fail", "c", "large"}[i%5]
			if kind == "large" && i%50 != 4 {
				kind = "d"
			}
			wg.Go(func() {
				r, err := run(kind, fmt.Sprint(i))
				switch {
				case err != nil:
					t.Errorf("%s %d: %v", kind, i, err)
				case kind == "fail" && (r.Reply.Kind != kvdb.KindError || !strings.HasPrefix(r.Reply.Text, fmt.Sprint("MINE ", i))):
					t.Errorf("%s %d: %v", kind, i, r.Reply)
				case kind == "large" && (!r.Truncated || len(r.Reply.Items) != kvdb.MaxReplyItems):
					t.Errorf("%s %d: %d items", kind, i, len(r.Reply.Items))
				case len(kind) == 1 && r.Reply.Text != kind+fmt.Sprint(i):
					t.Errorf("%s %d: %v", kind, i, r.Reply)
				}
			})
		}
		wg.Wait()
		if r := must2(run("a", "last")); r.Reply.Text != "alast" {
			t.Errorf("%v", r.Reply)
		}
		if got := must2(db.Client().Get(t.Context(), key).Int()); got != n+2 {
			t.Errorf("%d runs, want %d", got, n+2)
		}
	})
}

// Those behind a script that never ends have their replies when it was ended; nobody's is lost or another's.
func TestEvalTogetherWithARunaway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, "--busy-reply-threshold", "100")
	db := srv.DB(t)
	const text = `if ARGV[1] == 'spin' then while true do end end return ARGV[1]`
	sha := must2(db.LoadScript(t.Context(), text))
	run := func(ctx context.Context, arg string, late func(kvdb.Result, error)) (kvdb.Result, error) {
		return db.Eval(ctx, kvdb.Eval{Text: text, SHA1: sha, Args: []string{arg}, Late: late})
	}
	must2(run(t.Context(), "warm", nil))
	var wg sync.WaitGroup
	var lates atomic.Int64
	for i := range 20 {
		arg := fmt.Sprint(i)
		if i == 7 {
			arg = "spin"
		}
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 && arg != "spin" { // whose caller leaves
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			check := func(r kvdb.Result, err error) {
				if err == nil && arg != "spin" && r.Reply.Text != arg {
					t.Errorf("%s: %v", arg, r.Reply)
				}
			}
			lates.Add(1)
			r, err := run(ctx, arg, func(r kvdb.Result, err error) {
				check(r, err)
				lates.Add(-1)
			})
			if !errors.Is(err, kvdb.ErrLate) {
				lates.Add(-1)
				check(r, err)
			}
		})
	}
	await(t, func() bool { return db.KillScript(t.Context()) == nil })
	wg.Wait()
	await(t, func() bool { return lates.Load() == 0 })
	if r := must2(run(t.Context(), "well", nil)); r.Reply.Text != "well" {
		t.Errorf("%v", r.Reply)
	}
}
