package lua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// BusyError says that no debug session can start now. It is ErrConflict.
type BusyError struct {
	ID      string    // of the caller's own session, which they can end; "" = others have all there are, or they start too fast
	Program string    // of that session; "" = ad hoc
	Since   time.Time // of that session
	Reason  string    // in words
}

func (e *BusyError) Error() string { return e.Reason }

// Is makes it ErrConflict.
func (*BusyError) Is(target error) bool { return target == kvdb.ErrConflict }

// NoDebugError says why the target has no debugger to offer. It is ErrAway.
type NoDebugError struct{ Reason string }

func (e *NoDebugError) Error() string { return e.Reason }

// Is makes it ErrAway.
func (*NoDebugError) Is(target error) bool { return target == kvdb.ErrAway }

// The limits of debug sessions: each is a process on the server.
const (
	maxSessions  = 3 // of this process
	debugStep    = 20 * time.Second
	debugMaxlen  = 4 << 10 // of a value that is shown
	debugPrelude = 64 << 10
)

// How long a session lives.
var (
	debugIdle  = 60 * time.Second // without a command
	debugWhole = 10 * time.Minute
)

// Debug is a debug session: a program that runs step by step in a fork of the server. Nothing of what it does stays. It is
// safe for concurrent use; commands queue.
type Debug struct {
	ID string

	s       *Store
	session string
	who     Caller
	call    Call
	src     Source
	at      time.Time
	whole   time.Time // when it ends for good

	turn chan struct{} // holds a token: who has it talks to the server
	f    *forked
	mark string // in what the prologue prints
	skip bool   // the next stop is of the prologue

	mu    sync.Mutex
	state DebugState
	timer *time.Timer
	done  chan struct{}
}

// StartDebug starts a session for one browser session, and stops before the first line. The errors are those of Run, *BusyError
// and *NoDebugError.
func (s *Store) StartDebug(ctx context.Context, who Caller, session string, c Call, breakpoints []int) (*Debug, error) {
	src, err := s.prepare(ctx, who, c)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	d := &Debug{
		ID: rand.Text(), s: s, session: session, who: who, call: c, src: src, at: s.now(), whole: now.Add(debugWhole),
		turn: make(chan struct{}, 1), done: make(chan struct{}),
	}
	d.state = DebugState{ID: d.ID, Program: src.Program, Source: src.Text, Keys: c.Keys, Values: c.Values}
	if err := s.bench.enter(d); err != nil {
		return nil, err
	}
	if err := d.start(ctx, breakpoints); err != nil {
		d.end(kvdb.Reply{}, nil)
		var no *noForkError
		if errors.As(err, &no) {
			return nil, &NoDebugError{no.why}
		}
		return nil, fmt.Errorf("lua: debug: %w", err)
	}
	d.turn <- struct{}{}
	return d, nil
}

// State is the session as the last command left it.
func (d *Debug) State() DebugState {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.state
	st.Locals, st.Log, st.Trace, st.Breakpoints = slices.Clone(st.Locals), slices.Clone(st.Log), slices.Clone(st.Trace), slices.Clone(st.Breakpoints)
	return st
}

// Done is closed when the session has ended.
func (d *Debug) Done() <-chan struct{} { return d.done }

// Do carries one command out. What the program or the server objects to is in the log; what can't be sent is ErrInvalid (fields
// "text", "args", "lines"). A session that has ended is ErrNotFound.
func (d *Debug) Do(ctx context.Context, cmd DebugCommand) (DebugState, error) {
	select {
	case <-d.turn:
	case <-d.done:
		return d.State(), d.gone()
	case <-ctx.Done():
		return d.State(), kvdb.ReadErr("lua: debug", ctx.Err())
	}
	defer func() { d.turn <- struct{}{} }()
	select {
	case <-d.done:
		return d.State(), d.gone()
	default:
	}
	// A command whose answer nobody has read leaves the session useless: so it is read, even if the caller goes.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), debugStep)
	defer cancel()
	err := d.do(limited, cmd)
	if err != nil && !errors.Is(err, kvdb.ErrInvalid) {
		select {
		case <-d.done: // somebody ended it meanwhile
			return d.State(), d.gone()
		default:
		}
		message := "the connection to the debugger broke"
		if limited.Err() != nil {
			message, err = fmt.Sprintf("it had not stopped after %.0f s, and the session was ended", debugStep.Seconds()), nil
		}
		d.finish(kvdb.Reply{}, &Failure{Message: message, Raw: message})
	}
	d.mu.Lock()
	if !d.state.Ended {
		d.touch()
	}
	d.mu.Unlock()
	if err != nil {
		return d.State(), fmt.Errorf("lua: debug: %w", err)
	}
	return d.State(), nil
}

func (d *Debug) gone() error {
	return fmt.Errorf("lua: debug session %s has ended: %w", d.ID, kvdb.ErrNotFound)
}

// touch sets when the session ends by itself. d.mu is held.
func (d *Debug) touch() {
	end := time.Now().Add(debugIdle)
	if end.After(d.whole) {
		end = d.whole
	}
	d.state.EndsAt = end
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(end), d.Close)
		return
	}
	d.timer.Reset(time.Until(end))
}

const endedEarly = "the session was ended before the program"

// Close ends the session. It may be called again.
func (d *Debug) Close() {
	d.finish(kvdb.Reply{}, &Failure{Message: endedEarly, Raw: endedEarly})
}

// finish ends the session, and keeps the run.
func (d *Debug) finish(reply kvdb.Reply, failure *Failure) {
	if !d.end(reply, failure) {
		return
	}
	run := runOf(d.who, d.call, d.at, Outcome{Program: d.src.Program, Reply: reply, Failure: failure, Took: d.s.now().Sub(d.at)}, nil)
	run.Mode = "debug"
	if failure != nil && failure.Message == endedEarly { // people do so when they have seen enough
		run.Outcome, run.Type, run.Result, run.Error = "done", "", endedEarly, ""
	}
	d.s.record(run)
}

// end notes how the session ended and leaves nothing on the server. It returns false if it had ended.
func (d *Debug) end(reply kvdb.Reply, failure *Failure) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := &d.state
	if st.Ended {
		return false
	}
	st.Ended, st.Line, st.Reason, st.Failure, st.Locals, st.Trace = true, 0, "", failure, nil, nil
	if failure == nil || reply.Kind == kvdb.KindError {
		st.Reply = &reply
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.f != nil {
		_ = d.f.wire.Write("abort") // a program whose connection ends would run on
		d.f.close()
	}
	d.s.bench.leave(d)
	close(d.done)
	return true
}
