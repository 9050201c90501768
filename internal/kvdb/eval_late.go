package kvdb

import (
	"net"
	"sync"
	"time"
)

const (
	lateTime = 3 * time.Second // to read a late reply that has begun
	maxLate  = 100
)

// lateReplies are the connections on which nobody waits any more for the reply of a script that runs on.
type lateReplies struct {
	mu     sync.Mutex
	wires  map[*wire]bool
	closed bool
	wg     sync.WaitGroup
}

// await calls the lates, one for each reply that is still to come, when it has come.
func (l *lateReplies) await(w *wire, start time.Time, lates ...func(Result, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.wires) >= maxLate {
		_ = w.Close()
		l.wg.Go(func() { lost(lates, net.ErrClosed) })
		return
	}
	if l.wires == nil {
		l.wires = map[*wire]bool{}
	}
	l.wires[w] = true
	l.wg.Go(func() {
		for i, late := range lates {
			r, err := w.lateReply(start)
			if err != nil {
				lost(lates[i:], err)
				break
			}
			late(lateResult(r))
		}
		l.mu.Lock()
		delete(l.wires, w)
		l.mu.Unlock()
		_ = w.Close()
	})
}

// lateResult is what a late reply says. Whether the server refused the script, or the script says so itself, nobody is there to
// find out any more.
func lateResult(r Result) (Result, error) {
	if saysRefused(r.Reply) {
		return Result{}, &UnknownError{Op: "run", Check: whereToSee, Err: replyError(r.Reply.Text)}
	}
	return r, nil
}

// lost tells that the connection ended before the replies came.
func lost(lates []func(Result, error), err error) {
	for _, late := range lates {
		late(Result{}, &UnknownError{Op: "run", Check: whereToSee, Err: err})
	}
}

func (w *wire) lateReply(start time.Time) (Result, error) {
	for {
		if err := w.SetDeadline(time.Time{}); err != nil {
			return Result{}, err
		}
		// The end of the context may set its deadline only now.
		if _, err := w.r.Peek(1); err == nil {
			break
		} else if !isTimeout(err) {
			return Result{}, err
		}
	}
	_ = w.SetDeadline(time.Now().Add(lateTime))
	rr := newReplyReader(w.r, MaxReplyItems, MaxReplyBytes)
	rr.whole = true
	reply, err := rr.read()
	return Result{Reply: reply, Truncated: rr.cut, Took: time.Since(start)}, err
}

// close ends the waiting.
func (l *lateReplies) close() {
	l.mu.Lock()
	l.closed = true
	for w := range l.wires {
		_ = w.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}
