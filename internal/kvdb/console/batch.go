package console

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"
)

// The limits of a batch.
const (
	MaxBatch         = 16 << 20  // bytes of its text
	MaxBatchCommands = 1_000_000 // those that a number repeats count as often
	batchesPerPerson = 3
	maxBatchTexts    = 64 << 20  // bytes of all texts
	maxBatchReplies  = 256 << 20 // bytes of replies that are kept of one
	batchNames       = 50        // lines that are named of each kind
	maxBatchAgain    = 1000      // cut replies of which there is a way to the rest
	longestAgain     = 4 << 10   // bytes of a command that has one
	stepwise         = 1000      // commands that are recorded together where each waits for the one before
)

// BatchOptions say how a batch runs.
type BatchOptions struct {
	// Transaction has all of it run as one, with MULTI and EXEC: kvdb.MaxPipeline commands at most.
	Transaction bool
	// StopAtError sends each command when the one before has its reply, and none after an error. Otherwise they go out by
	// kvdb.MaxPipeline in a round trip, and errors don't stop them.
	StopAtError bool
}

// BatchLine is a line of a batch, and what there is to say about it.
type BatchLine struct {
	Line    int
	Command string // secrets masked
	Reason  string
}

// BatchCount says how often a command comes.
type BatchCount struct {
	Name string
	N    int
}

// Batch is a list of commands that was checked, and can run. All of its methods may be called at any time.
type Batch struct {
	ID, Who, Role string
	BatchOptions
	Made time.Time
	// Commands is how many there are, Counts how many of each, the most frequent first.
	Commands int
	Counts   []BatchCount
	// Dangerous and Refused name the first of those that are to be confirmed and that can't run. With a refused one, nothing runs.
	Dangerous, Refused           []BatchLine
	DangerousCount, RefusedCount int
	Confirm                      []string // words that confirm the dangerous ones
	Changes                      bool     // some of it may change something

	c    *Console
	text string
	out  *os.File // the replies; its name is gone already

	mu     sync.Mutex
	cancel context.CancelFunc // nil = it doesn't run
	begun  bool
	took   time.Duration
	since  time.Time
	offs   []int64 // where each reply begins
	size   int64
	failed []int // the commands that failed
	again  map[int]string
	ended  string
	err    error
}

// BatchState is a batch as it stands.
type BatchState struct {
	Begun, Running bool
	Done, Failed   int
	Took           time.Duration
	Ended          string // why it has ended before its end; "" = it has not
	Err            error  // with Ended: what went wrong; nil = it was stopped, or a command failed
}

// keep makes room for a batch among those of all people: of somebody's own, the oldest that doesn't run goes.
func (c *Console) keep(b *Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &EndedError{"This program is shutting down."}
	}
	own, size, idle := 0, len(b.text), -1
	for i, other := range c.batches {
		size += len(other.text)
		if other.Who != b.Who {
			continue
		}
		if own++; idle < 0 && !other.State().Running {
			idle = i
		}
	}
	if own >= batchesPerPerson || size > maxBatchTexts {
		if idle < 0 {
			return &BusyError{"There are as many batches as there may be. Wait until one has ended."}
		}
		c.batches[idle].drop()
		c.batches = slices.Delete(c.batches, idle, idle+1)
	}
	c.batches = append(c.batches, b)
	return nil
}

// Batch returns somebody's batch. The error is an *EndedError.
func (c *Console) Batch(id, who string) (*Batch, error) {
	for _, b := range c.Batches(who) {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, &EndedError{"This batch is not kept any more, or not here."}
}

// Batches are those of somebody that are kept, the newest first. They are not kept longer than this program runs.
func (c *Console) Batches(who string) []*Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	var own []*Batch
	for _, b := range slices.Backward(c.batches) {
		if b.Who == who {
			own = append(own, b)
		}
	}
	return own
}

// drop frees what a batch holds.
func (b *Batch) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out != nil {
		_ = b.out.Close()
	}
}

// State is the batch as it stands.
func (b *Batch) State() BatchState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BatchState{Begun: b.begun, Running: b.cancel != nil, Done: len(b.offs), Failed: len(b.failed), Took: b.took, Ended: b.ended, Err: b.err}
	if s.Running {
		s.Took = b.c.o.Now().Sub(b.since)
	}
	return s
}
