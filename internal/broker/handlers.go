package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Handler runs an invocation and returns its result as JSON, nil for none. Its context ends when the lease is lost, so that another
// worker may have the invocation already, and when this process must go. An error ends the attempt: the next one comes after the
// policy's backoff, unless it is a *RetryAfterError or a *PermanentError.
type Handler func(ctx context.Context, d Delivery) (result []byte, err error)

// RetryAfterError says when the next attempt should be made.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// PermanentError says that no further attempt can do better: the invocation is a dead letter at once.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// running is what a Store has to run invocations.
type running struct {
	handlers []registered
	hooks    hooked
	posted   *readyList // services that may have something in their outbox
	drain    time.Duration
	workers  atomic.Pointer[workers] // of this process; nil = none
}

// initRunning is called by New.
func (s *Store) initRunning() {
	s.handlers = []registered{echo}
	s.posted = newReadyList(func(string) bool { return true })
	s.drain = drainTime
	s.atStart(s.hearDoorbell)
	s.atStart(s.watchWebhooks)
	s.atStart(s.runOutbox)
}

// registered is a handler, and the services that are its.
type registered struct {
	match func(service string) bool
	kind  HandlerKind
	run   Handler
}

// echo is the handler that is always there.
var echo = registered{
	match: func(service string) bool { return service == "echo" },
	kind:  HandlerBuiltin,
	run:   func(_ context.Context, d Delivery) ([]byte, error) { return d.Payload, nil },
}

// Handle has h run the invocations of the services that match. The first handler that matches gets a service; match is called
// often, and must be quick. It is for the time before Start.
func (s *Store) Handle(match func(service string) bool, kind HandlerKind, h Handler) {
	s.handlers = append(s.handlers, registered{match, kind, h})
}

// handlerOf finds the handler of a service.
func (s *Store) handlerOf(service string) (h registered, ok bool) {
	for _, h := range s.handlers {
		if h.match(service) {
			return h, true
		}
	}
	return registered{}, false
}

// handlerKind is by what a service is handled.
func (s *Store) handlerKind(service string) HandlerKind {
	if h, ok := s.handlerOf(service); ok {
		return h.kind
	}
	return HandlerPull
}

// panicError is what is told of a handler that panicked; the stack is for the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.value) }

// call runs a handler; a panic is an error.
func (h registered) call(ctx context.Context, d Delivery) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, &panicError{v, debug.Stack()}
		}
	}()
	return h.run(ctx, d)
}

// afterOf is when the next attempt is to be made; < 0 = after the policy's backoff.
func afterOf(err error) time.Duration {
	if later, ok := errors.AsType[*RetryAfterError](err); ok {
		return max(later.After, 0)
	}
	return -1
}
