package kvdb

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// BigJob looks for the biggest keys in the background. It is safe for concurrent use.
type BigJob struct {
	Query   BigQuery
	Role    string // what whoever started it may see
	Started time.Time

	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	found  BigKeys
	err    error
	ended  time.Time
}

// BigJobState is how far a BigJob is.
type BigJobState struct {
	Found BigKeys
	Ended time.Time // zero = it goes on
	Err   error     // why it found no more; nil also when it was cancelled
}

// StartBigKeys starts FindBigKeys in the background. It ends at the latest when the DB is closed. The errors are ErrInvalid and ErrForbidden.
func (db *DB) StartBigKeys(role string, q BigQuery) (*BigJob, error) {
	if _, err := access(role, viewer, "looking at keys"); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if q.Top < 1 || q.Top > MaxPage {
		return nil, Invalid("top", "must be from 1 to %d", MaxPage)
	}
	ctx, cancel := context.WithCancel(context.Background())
	j := &BigJob{Query: q, Role: role, Started: time.Now(), cancel: cancel, done: make(chan struct{})}
	db.watchers.Go(func() {
		select {
		case <-db.closing:
			cancel()
		case <-j.done:
		}
	})
	db.watchers.Go(func() {
		defer close(j.done)
		defer cancel()
		found, err := db.FindBigKeys(ctx, role, q, j.report)
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.ended, j.err = time.Now(), err; err == nil {
			j.found = found
		}
	})
	return j, nil
}

func (j *BigJob) report(found BigKeys) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.found = found
}

// State says how far it is.
func (j *BigJob) State() BigJobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return BigJobState{Found: j.found, Ended: j.ended, Err: j.err}
}

// Done is closed when it has ended.
func (j *BigJob) Done() <-chan struct{} { return j.done }

// Cancel ends it with what it has found.
func (j *BigJob) Cancel() { j.cancel() }

// MemoryDoctor returns what the server itself says about its memory, by its address.
func (db *DB) MemoryDoctor(ctx context.Context) (map[string]string, error) {
	said := map[string]string{}
	var mu sync.Mutex
	var failed error
	err := db.eachNode(ctx, func(ctx context.Context, addr string, node *redis.Client) {
		text, err := node.Do(ctx, "memory", "doctor").Text()
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = err
			return
		}
		said[addr] = text
	})
	switch {
	case err != nil:
		return nil, ReadErr("memory doctor", &notSentError{err})
	case len(said) == 0:
		return nil, ReadErr("memory doctor", failed)
	}
	return said, nil
}
