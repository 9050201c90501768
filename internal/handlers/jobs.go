package handlers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

const (
	runningJobs = 3  // at once
	keptJobs    = 30 // of which the last state can be seen
)

// The states of a job, in the order in which it goes through them.
const (
	jobCounting = "counting"
	jobCounted  = "counted"
	jobRunning  = "running"
	jobDone     = "done"
	jobStopped  = "stopped"
	jobFailed   = "failed"
	jobUnknown  = "unknown"
)

// job changes many things at once, after it has counted them. It goes on in this process, whether somebody looks at it or not.
type job struct {
	id, who string
	at      time.Time

	mu       sync.Mutex
	state    string
	counting bool // nothing has been changed yet
	matched  int64
	progress kvdb.Progress
	failure  string
	stop     context.CancelFunc
	in       *Background
}

// jobState is a job at a moment.
type jobState struct {
	state, failure string
	counting       bool
	matched        int64
	progress       kvdb.Progress
}

// base is the job itself, for what is made of one.
func (j *job) base() *job { return j }

func (j *job) now() jobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return jobState{j.state, j.failure, j.counting, j.matched, j.progress}
}

func (s jobState) active() bool { return s.state == jobCounting || s.state == jobRunning }

func (j *job) tell(p kvdb.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress = p
}

// ended notes how a part of the job ended.
func (j *job) ended(p kvdb.Progress, err error, done string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress, j.counting = p, done == jobCounted
	if j.counting {
		j.matched = p.Matched
	}
	switch {
	case err == nil:
		j.state = done
	case errors.Is(err, context.Canceled):
		j.state = jobStopped
	case errors.Is(err, kvdb.ErrUnknown):
		j.state, j.failure = jobUnknown, problem.Of(err).Detail
	default:
		j.state, j.failure = jobFailed, problem.Of(err).Detail
	}
}

// begin starts a part of the job if it is in the state from. The work is handed a context that halt ends, and the end of this process.
func (j *job) begin(ctx context.Context, from, to string, work func(context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != from {
		return false
	}
	stop, ok := j.in.start(ctx, work)
	if !ok {
		j.state = jobStopped
		return false
	}
	j.stop, j.state, j.progress, j.counting = stop, to, kvdb.Progress{}, to == jobCounting
	return true
}

// halt has the job end where it is.
func (j *job) halt() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stop != nil {
		j.stop()
	}
}

// jobs are the jobs of a kind in this process, the oldest first.
type jobs[J interface{ base() *job }] struct {
	in   *Background // where they go on
	mu   sync.Mutex
	list []J
}

// add keeps a job. It refuses one too many, as an error of the field.
func (b *jobs[J]) add(j J, field string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	active := 0
	for _, other := range b.list {
		if other.base().now().active() {
			active++
		}
	}
	if active >= runningJobs {
		return kvdb.Invalid(field, "has to wait: %d of these are going on already", active)
	}
	j.base().in = b.in
	b.list = append(b.list, j)
	for i := 0; len(b.list) > keptJobs && i < len(b.list); {
		if b.list[i].base().now().active() {
			i++
			continue
		}
		b.list = slices.Delete(b.list, i, i+1)
	}
	return nil
}

func (b *jobs[J]) find(id string) (found J, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range b.list {
		if j.base().id == id {
			return j, nil
		}
	}
	return found, kvdb.ErrNotFound
}

func (b *jobs[J]) all() []J {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}
