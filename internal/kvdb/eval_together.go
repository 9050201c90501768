package kvdb

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Runs of a busy moment go to a node in one write. Only scripts that were quick before do so, as those behind one that is not would
// wait for it without knowing; and only runs that wait as long as all do.

// quickEval is how long a quick script takes at most, the way to the server and back included.
const quickEval = 5 * time.Millisecond

// evalCall is one run of several.
type evalCall struct {
	e *Eval

	mu     sync.Mutex
	left   bool // its caller doesn't wait any more
	over   bool // result and err are what came of it
	result Result
	err    error
}

// finish gives the caller what came of the run.
func (c *evalCall) finish(r Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result, c.err, c.over = r, err, true; c.left && c.e.Late != nil {
		if err == nil {
			r, err = lateResult(r)
		}
		go c.e.Late(r, err)
	}
}

// leave says that the caller doesn't wait any more.
func (c *evalCall) leave(why error) (Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.result, c.err
	}
	if c.left = true; c.e.Late == nil {
		return Result{}, why
	}
	return Result{}, fmt.Errorf("%w: %w", ErrLate, why)
}

// evalTogether runs a script by its name, with others of this moment.
func (db *DB) evalTogether(ctx context.Context, e *Eval, to string) (Result, error) {
	c := &evalCall{e: e}
	if err := db.evals.of(db, to).Add(ctx, c); err != nil {
		return c.leave(err)
	}
	return c.result, c.err
}

// evalQueues has one queue for each node.
type evalQueues struct {
	mu sync.Mutex
	by map[string]*Together[*evalCall]
}

func (q *evalQueues) of(db *DB, to string) *Together[*evalCall] {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.by[to]
	if t == nil {
		if q.by == nil {
			q.by = map[string]*Together[*evalCall]{}
		}
		t = NewTogether(AtOnce, func(ctx context.Context, all []*evalCall) { db.evalMany(ctx, to, all) })
		q.by[to] = t
	}
	return t
}

// evalMany sends the runs in one write, and reads their replies.
func (db *DB) evalMany(ctx context.Context, to string, all []*evalCall) {
	fail := func(err error) {
		for _, c := range all {
			c.finish(Result{}, err)
		}
	}
	w, err := db.wire(ctx, to, wireOptions{restricted: true, unseen: true})
	if err != nil {
		fail(err)
		return
	}
	if all = w.havingAll(ctx, all); len(all) == 0 {
		db.wires.put(w)
		return
	}
	w.out = w.out[:0]
	for _, c := range all {
		w.out = c.e.request(w.out, false)
	}
	start := time.Now()
	stop, err := w.sendMany(ctx, start.Add(evalTime))
	if err != nil {
		db.wires.put(w)
		fail(err)
		return
	}
	rr := newReplyReader(w.r, 0, 0)
	rr.whole = true
	for i, c := range all {
		_, err := w.r.Peek(1)
		if err == nil {
			rr.items, rr.bytes, rr.cut = MaxReplyItems, MaxReplyBytes, false
			var reply Reply
			if reply, err = rr.read(); err == nil {
				c.finish(Result{Reply: reply, Truncated: rr.cut, Took: time.Since(start)}, nil)
				continue
			}
		} else if isTimeout(err) {
			stop()
			db.later(w, start, all[i:], err)
			return
		}
		stop()
		_ = w.Close()
		all = all[i:]
		fail(err)
		return
	}
	w.over = !stop()
	db.wires.put(w)
}

// havingAll returns the runs whose scripts the server has; to the others it says that theirs is not there.
func (w *wire) havingAll(ctx context.Context, all []*evalCall) []*evalCall {
	for i, c := range all {
		if !w.has[c.e.SHA1] {
			having := slices.Clone(all[:i])
			for n, c := range all[i:] {
				err := w.mustHave(ctx, c.e.SHA1)
				switch {
				case err == nil:
					having = append(having, c)
				case w.over: // what may still come on it would be taken for the reply of a run
					for _, c := range slices.Concat(having, all[i+n:]) {
						c.finish(Result{}, err)
					}
					return nil
				default:
					c.finish(Result{}, err)
				}
			}
			return having
		}
	}
	return all
}

// later tells the callers that their scripts may still run, and waits for the replies without them.
func (db *DB) later(w *wire, start time.Time, all []*evalCall, why error) {
	lates := make([]func(Result, error), len(all))
	for i, c := range all {
		c.mu.Lock()
		if lates[i] = c.e.Late; lates[i] == nil {
			c.err, lates[i] = why, func(Result, error) {}
		} else {
			c.err = fmt.Errorf("%w: %w", ErrLate, why)
		}
		c.mu.Unlock()
	}
	db.late.await(w, start, lates...)
}
