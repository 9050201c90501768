package lua

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// AdHoc is what a run of a text that nobody saved is called where runs are listed.
const AdHoc = "ad hoc"

// Running is a run under way in this process.
type Running struct {
	Program string // or AdHoc
	Who     string
	Since   time.Time
}

// underway are the runs of this process that have not ended on the server, as far as it is known: also those that
// nobody waits for any more.
type underway struct {
	mu   sync.Mutex
	last uint64
	runs map[uint64]Running
}

func (u *underway) begin(r Running) (id uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.runs == nil {
		u.runs = map[uint64]Running{}
	}
	u.last++
	u.runs[u.last] = r
	return u.last
}

func (u *underway) end(id uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.runs, id)
}

// Running returns the runs of this process that are under way, the longest first; also those whose callers have gone or
// have given up.
func (s *Store) Running() []Running {
	s.underway.mu.Lock()
	defer s.underway.mu.Unlock()
	list := make([]Running, 0, len(s.underway.runs))
	for _, r := range s.underway.runs {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Running) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Program, b.Program), cmp.Compare(a.Who, b.Who))
	})
	return list
}

// Blocking returns the run that is under way for the longest: the one that keeps a busy server busy, if it is one of this process.
func (s *Store) Blocking() (Running, bool) {
	list := s.Running()
	if len(list) == 0 {
		return Running{}, false
	}
	return list[0], true
}

// UnkillableError says why a script can't be killed: it has written already. It is ErrConflict.
type UnkillableError struct{ Reply string } // of the server

func (*UnkillableError) Error() string {
	return "The script has written data already, so Redis doesn't let it be killed: that would leave its work half done. " +
		"It ends by itself, or with the server: SHUTDOWN NOSAVE on its machine stops it without saving. What was written to disk before stays; with an append-only file (AOF) " +
		"that is all but the last second at most (appendfsync everysec) and nothing of this script, without one all since the last snapshot is lost."
}

// Is makes it ErrConflict.
func (*UnkillableError) Is(target error) bool { return target == kvdb.ErrConflict }

// nothingRunsError is ErrConflict.
type nothingRunsError struct{}

func (nothingRunsError) Error() string {
	return "Redis isn't busy with a script, so there is nothing to kill: it may have ended just now."
}

// Is makes it ErrConflict.
func (nothingRunsError) Is(target error) bool { return target == kvdb.ErrConflict }

// Kill ends the script that the server is busy with, whoever runs it. Errors: *UnkillableError, ErrConflict when
// nothing runs, ErrAway.
func (s *Store) Kill(ctx context.Context) error {
	err := s.db.KillScript(ctx)
	switch {
	case err == nil:
		return nil
	case redis.HasErrorPrefix(err, "UNKILLABLE"):
		return &UnkillableError{Reply: err.Error()}
	case redis.HasErrorPrefix(err, "NOTBUSY"):
		return nothingRunsError{}
	}
	return fmt.Errorf("lua: kill: %w", err)
}
