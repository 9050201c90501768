package handlers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"webadmin/internal/audit"
	"webadmin/internal/kvdb/kvtest"
)

// TestJobsEndWithTheProcess: a job that deletes keys is stopped where it is, says so in the audit log before the process ends, and none
// begins after that.
func TestJobsEndWithTheProcess(t *testing.T) {
	t.Parallel()
	a := newKeysAppOn(t, kvtest.NewServer(t).DB(t))
	ctx := context.Background()
	const keys = 60_000
	a.must(a.client().Eval(ctx, `for i = 1, ARGV[1] do redis.call('SET', 'gone:' .. i, 'x') end return 1`, nil, keys).Err())
	left := func() int { return len(a.client().Keys(ctx, "gone:*").Val()) }
	start := func() string {
		return a.send("/redis/keys/bulk", []string{"match", "gone:*", "do", "delete"}).Header().Get("Location")
	}
	at := start()
	a.job(at)
	wantStatus(t, a.send(at+"/run", []string{"confirm", "gone:*"}, fragment), http.StatusOK)
	kvtest.Await(t, "some keys are deleted", func() bool { return left() < keys })
	a.must(a.deps.Background.Close(ctx))
	records, _, err := a.deps.Audit.List(ctx, audit.Filter{Verb: "keys.delete"}, "", 10)
	if err != nil || len(records) != 1 || records[0].Outcome != audit.Done {
		t.Fatalf("%+v, %v", records, err)
	}
	if !strings.Contains(records[0].After, "stopped; deleted") {
		t.Errorf("the audit log says %q", records[0].After)
	}
	wantText(t, doc(t, a.show(at)).Selection, "Stopped.", "the others stay")
	if n := left(); n == 0 || n == keys {
		t.Errorf("%d keys are left", n)
	}

	wantText(t, doc(t, a.show(start())).Selection, "Stopped.")
}

func TestBackgroundWaitsForWhatGoesOn(t *testing.T) {
	t.Parallel()
	b := NewBackground()
	begun, release, told := make(chan struct{}), make(chan struct{}), false
	_, ok := b.start(t.Context(), func(ctx context.Context) {
		close(begun)
		<-ctx.Done()
		<-release
		told = true
	})
	if !ok {
		t.Fatal("it does not start")
	}
	<-begun
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it did not wait: %v", err)
	}
	close(release)
	if err := b.Close(t.Context()); err != nil || !told {
		t.Errorf("ended %v, %v", told, err)
	}
	if _, ok := b.start(t.Context(), func(context.Context) { t.Error("it runs") }); ok {
		t.Error("something begins after the end")
	}
}
