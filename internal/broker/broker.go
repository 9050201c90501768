package broker

import (
	"fmt"
	"time"

	"webadmin/internal/kvdb"
)

// State is where an invocation is. It is in one at a time.
type State string

// The states of an invocation.
const (
	Queued    State = "queued"    // waits for a worker
	Delayed   State = "delayed"   // waits for the time that its caller chose
	Running   State = "running"   // a worker has its lease
	Retrying  State = "retrying"  // an attempt failed; waits for the time of the next one
	Done      State = "done"      // a worker acknowledged it
	Dead      State = "dead"      // its attempts are used up, or it can't succeed: a dead letter
	Expired   State = "expired"   // its time was over before a worker took it
	Cancelled State = "cancelled" // somebody took it back
)

// States are all of them, in the order in which people are shown them.
var States = []State{Queued, Delayed, Running, Retrying, Done, Dead, Expired, Cancelled}

// Ended tells whether nothing more happens by itself in this state.
func (s State) Ended() bool { return s == Done || s == Dead || s == Expired || s == Cancelled }

// Call is what somebody wants done.
type Call struct {
	Service        string        // 1–200 letters, digits, _ - . : /
	Payload        []byte        // JSON, kept byte for byte; nil is null
	Callback       string        // the service that is invoked with the result; "" = none
	Delay          time.Duration // until a worker may have it
	Expires        time.Duration // from now, after which no worker gets it any more; 0 = never
	IdempotencyKey string        // the same key, service and payload within 24 hours are one invocation
	MaxAttempts    int           // 1–100; 0 = as the policy of the service says
	InReplyTo      string        // CID of the invocation whose result this is
	By             string        // who calls, for people
	Op             string        // token of a form: sent twice, it is one invocation
}

// Invocation is one call of a service, and what became of it.
type Invocation struct {
	CID            string
	Service        string
	State          State
	Payload        []byte // JSON as it was published; in lists only its first 2 KiB
	PayloadSize    int
	Result         []byte // JSON as the worker gave it; nil = none. In lists only its first 2 KiB
	ResultSize     int
	Error          string    // of the last attempt, unless it is done
	Attempts       []Attempt // the oldest first; in lists only the last one
	Attempt        int       // number of the last attempt, 0 before the first
	MaxAttempts    int
	Worker         string // of the last attempt
	InReplyTo      string
	Callback       string
	CallbackCID    string // of the callback, once it is published
	By             string
	EditedBy       string // who edited the payload of the dead letter
	IdempotencyKey bool   // the caller gave one

	CreatedAt  time.Time
	DueAt      time.Time // of Delayed and Retrying
	ExpiresAt  time.Time // zero = never
	StartedAt  time.Time // of the last attempt
	EndedAt    time.Time
	LeaseUntil time.Time // of Running
}

// Attempt is one run of an invocation. EndedAt is zero while it runs; Error is empty if it succeeded.
type Attempt struct {
	N         int
	Worker    string
	StartedAt time.Time
	EndedAt   time.Time
	Error     string
}

// Delivery is an invocation in the hands of a worker, until it gives Lease to Ack or Nack or the lease runs out.
type Delivery struct {
	CID       string
	Service   string
	Payload   []byte // JSON
	Attempt   int    // counts from 1
	Lease     string // proves that the worker has it
	InReplyTo string
	Waited    time.Duration // since it was ready
	LeaseFor  time.Duration // how long the lease lasts without Extend
}

// Page is a part of a list. It may hold fewer items than were asked for, even none, while there are more: Next tells.
type Page[T any] struct {
	Items []T
	Next  string // cursor of what follows; "" = nothing
}

// Filter chooses invocations.
type Filter struct {
	Service string // "" = all, one service after the other in the order of names
	State   State  // "" = any
	Q       string // part of the CID, payload, result or error
}

// Service is where the invocations of one name stand.
type Service struct {
	Name      string
	Queued    int64
	Delayed   int64
	Running   int64
	Retrying  int64
	Done      int64 // that are still kept
	Dead      int64
	Expired   int64         // that are still kept
	Cancelled int64         // that are still kept
	OldestFor time.Duration // how long the first in the queue has waited
	Paused    bool
	Handler   HandlerKind
	Workers   int // that asked for work within the last minute
	Policy    Policy
}

// HandlerKind is by what the invocations of a service are run.
type HandlerKind string

// The kinds of handlers. What no handler of ours claims is left to those who pull.
const (
	HandlerLua     HandlerKind = "lua"
	HandlerPull    HandlerKind = "pull"
	HandlerWebhook HandlerKind = "webhook"
	HandlerBuiltin HandlerKind = "builtin"
)

// Policy is how a service is to be treated. Zero durations and counts in SetPolicy stand for the default.
type Policy struct {
	MaxAttempts int           // runs until an invocation is dead, unless its caller says otherwise
	Backoff     time.Duration // before the second attempt at most; twice that before each further one
	BackoffMost time.Duration
	Lease       time.Duration // for workers that ask for none
	KeepDone    time.Duration // how long done, expired and cancelled ones are kept
	KeepDoneN   int           // how many of each of these are kept
	KeepDead    time.Duration
	KeepDeadN   int
	Version     int64 // grows with each change; 0 = the default, nobody changed it
}

// DefaultPolicy is that of a service that has none of its own.
var DefaultPolicy = Policy{
	MaxAttempts: 5, Backoff: time.Second, BackoffMost: 5 * time.Minute, Lease: 30 * time.Second,
	KeepDone: time.Hour, KeepDoneN: 10_000, KeepDead: 30 * 24 * time.Hour, KeepDeadN: 10_000,
}

// DeadFilter chooses dead letters.
type DeadFilter struct {
	Service       string // "" = all
	ErrorContains string
	Group         string    // fingerprint of a DeadGroup
	Before        time.Time // that died before; zero = any
}

// DeadSelect chooses dead letters to change: those of CIDs if there are any, else those of the filter, which must not be empty.
type DeadSelect struct {
	CIDs []string
	DeadFilter
}

// DeadOptions say how many dead letters are changed at a time.
type DeadOptions struct {
	DryRun    bool                      // count only
	PerSecond int                       // at most; 0 = as fast as it goes
	Progress  func(done, matched int64) // is told now and then; may be nil
}

// DeadGroup is the dead letters of a service whose errors differ in numbers and names only.
type DeadGroup struct {
	Service     string
	Fingerprint string
	Example     string // an error of the group, at most 500 bytes
	Count       int64
	Newest      time.Time
}

// Finished is told about each attempt that a handler of this process ended.
type Finished struct {
	Service string
	CID     string
	Worker  string
	At      time.Time
	Waited  time.Duration
	Ran     time.Duration
	Failed  bool
}

// Notice is something that people should know of, as that the server was emptied.
type Notice struct {
	At   time.Time
	Text string
}

// IdempotencyError says that an idempotency key came with another payload before. It is kvdb.ErrConflict.
type IdempotencyError struct{ CID string } // of the first

func (e *IdempotencyError) Error() string {
	return "this idempotency key was used with another payload, by the invocation " + e.CID
}

// Is makes it kvdb.ErrConflict.
func (e *IdempotencyError) Is(target error) bool { return target == kvdb.ErrConflict }

// LeaseLostError says that a worker has no lease any more. It is kvdb.ErrConflict.
type LeaseLostError struct {
	CID   string
	State State // that it is in now
}

func (e *LeaseLostError) Error() string {
	switch e.State {
	case Running:
		return fmt.Sprintf("the lease of %s is lost: another worker has it now", e.CID)
	case Queued, Retrying, Delayed:
		return fmt.Sprintf("the lease of %s is lost: it waits to be run again", e.CID)
	}
	return fmt.Sprintf("the lease of %s is over: it is %s", e.CID, e.State)
}

// Is makes it kvdb.ErrConflict.
func (e *LeaseLostError) Is(target error) bool { return target == kvdb.ErrConflict }

// StateError says that an invocation is not in a state in which that can be done. It is kvdb.ErrConflict.
type StateError struct {
	CID   string
	State State
}

func (e *StateError) Error() string { return fmt.Sprintf("%s is %s", e.CID, e.State) }

// Is makes it kvdb.ErrConflict.
func (e *StateError) Is(target error) bool { return target == kvdb.ErrConflict }

// StaleError says that somebody changed a policy since it was read. It is kvdb.ErrConflict.
type StaleError struct{ Current Policy }

func (e *StaleError) Error() string { return "somebody else changed the policy since it was read" }

// Is makes it kvdb.ErrConflict.
func (e *StaleError) Is(target error) bool { return target == kvdb.ErrConflict }

// TooLargeError says that a payload, result or message is larger than this process takes. It is kvdb.ErrInvalid.
type TooLargeError struct {
	What string // "payload", "result", "message"
	Size int
	Max  int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the %s has %d bytes; at most %d are taken", e.What, e.Size, e.Max)
}

// Is makes it kvdb.ErrInvalid.
func (e *TooLargeError) Is(target error) bool { return target == kvdb.ErrInvalid }
