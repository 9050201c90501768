package lua

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua/ldb"
)

// A server forks for each session, and takes its time to notice those that have ended: it is not to have too many of them.
const (
	startsAtOnce  = 10
	startPatience = 3 * time.Second
	startTries    = 4
	startTime     = 5 * time.Second // for one try
	lockTime      = 5 * time.Second // that the lock is held at most
)

// startsEvery is the time between two starts after those.
var startsEvery = time.Second

// starts holds sessions back that would start too fast.
type starts struct {
	mu   sync.Mutex
	full time.Time // when all of startsAtOnce are there again
}

// take returns how long to wait before the next start, which it counts. A wait longer than most is none: it is not counted.
func (s *starts) take(now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(startsEvery)
	wait = max(0, full.Sub(now)-startsAtOnce*startsEvery)
	if wait > most {
		return wait, false
	}
	s.full = full
	return wait, true
}

// noForkError says why a session in a fork is not to be had. Whoever wants one may try another way.
type noForkError struct{ why string }

func (e *noForkError) Error() string { return e.why }

// forked is a program that stands in a fork of a server.
type forked struct {
	*ldb.Session
	wire *kvdb.Wire
	stop ldb.Stop // where it stands first
}

// fork starts a session of the debugger on the target: what it first stops at has to hold the mark, which nobody else can know. The
// errors are *noForkError and ErrAway.
func (s *Store) fork(ctx context.Context, place []string, mark string, command []string) (*forked, error) {
	switch {
	case s.db.TLS():
		return nil, &noForkError{"The connection to Redis is encrypted (TLS), and the debugger of Redis breaks such connections."}
	case len(command) > maxForkArgs:
		return nil, &noForkError{"The keys and values are too many or too large for the debugger of Redis."}
	}
	wait, ok := s.bench.starts.take(time.Now(), startPatience)
	if !ok {
		return nil, &noForkError{fmt.Sprintf("Too many programs were tried at once: the server gets no fork for the next %.0f s.", wait.Seconds())}
	}
	if !sleep(ctx, wait) {
		return nil, kvdb.ReadErr("debug", ctx.Err())
	}
	for range startTries {
		f, err := s.forkOnce(ctx, place, mark, command)
		if !errors.Is(err, errCrossed) {
			return f, err
		}
	}
	return nil, &noForkError{"Somebody else uses the debugger of the server, and the sessions got mixed up."}
}

// errCrossed is when the server shows another program than ours.
var errCrossed = errors.New("the server showed another program")

func (s *Store) forkOnce(ctx context.Context, place []string, mark string, command []string) (_ *forked, err error) {
	limited, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	unlock, err := s.lockDebugger(limited)
	if err != nil {
		return nil, err
	}
	defer unlock()
	wire, err := s.db.OpenWire(limited, place)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = wire.Close()
		}
	}()
	session, stop, err := ldb.Start(limited, wire, command)
	var refused *ldb.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, refusal(refused)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return nil, s.whyEOF(ctx)
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return nil, errCrossed // the first stop went to somebody else
	case err != nil:
		return nil, err
	case !stop.Ended && !strings.Contains(stop.Source, mark):
		return nil, errCrossed
	}
	return &forked{session, wire, stop}, nil
}

// refusal is what a server says that doesn't debug.
func refusal(refused *ldb.RefusedError) error {
	if err := kvdb.ReadErr("debug", refused); errors.Is(err, kvdb.ErrAway) && !strings.HasPrefix(refused.Reply, "NOPERM") {
		return err
	}
	if strings.HasPrefix(refused.Reply, "NOPERM") {
		return &noForkError{"The Redis user as whom programs run has no permission for the debugger (SCRIPT DEBUG)."}
	}
	return &noForkError{fmt.Sprintf("The server has no debugger to offer: it replied %.200q.", refused.Reply)}
}

// whyEOF finds out why a server closed the connection instead of starting a session.
func (s *Store) whyEOF(ctx context.Context) error {
	info, err := s.db.Info(ctx)
	if err != nil {
		return err
	}
	state := info["persistence"]
	switch {
	case state["rdb_bgsave_in_progress"] == "1":
		return &noForkError{"The server is saving its data (BGSAVE), and starts no debugger meanwhile."}
	case state["aof_rewrite_in_progress"] == "1":
		return &noForkError{"The server is rewriting its append-only file, and starts no debugger meanwhile."}
	}
	return &noForkError{"The server closed the connection instead of starting the debugger."}
}

// unlockScript gives a lock back that is still one's own.
//
// KEYS 1 the lock
// ARGV 1 the token with which it was taken
var unlockScript = kvdb.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`)

// lockDebugger keeps all instances but this one off the debugger, until unlock is called. ErrAway, *noForkError.
func (s *Store) lockDebugger(ctx context.Context) (unlock func(), err error) {
	token := newToken()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		taken, err := s.db.Client().SetNX(ctx, s.keys.DebugLock(), token, lockTime).Result()
		if err != nil {
			return nil, kvdb.ReadErr("debug", err)
		}
		if taken {
			break
		}
		if !sleep(ctx, pause) {
			return nil, &noForkError{"Others start debug sessions all the time. Try again in a moment."}
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
		defer cancel()
		if err := unlockScript.Run(ctx, s.db, []string{s.keys.DebugLock()}, token).Err(); err != nil && err.Error() != "redis: nil" {
			s.logger.DebugContext(ctx, "the lock of the debugger is left to expire", "error", err)
		}
	}, nil
}

// sleep returns false as soon as the context ends.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *forked) close() { _ = f.wire.Close() }
