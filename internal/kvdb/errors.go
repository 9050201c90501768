package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The kinds of errors. Each error that leaves a domain is one of them, or is a fault of the program.
var (
	ErrNotFound  = errors.New("not found")
	ErrConflict  = errors.New("conflict")
	ErrInvalid   = errors.New("invalid")
	ErrAway      = errors.New("not done: Redis is away") // or full, read-only, loading, busy …
	ErrUnknown   = errors.New("outcome unknown")         // sent, but not confirmed
	ErrForbidden = errors.New("forbidden")
)

// FieldError says what is wrong with one field of the input.
type FieldError struct{ Field, Message string }

// InvalidError says what is wrong with the input. It is ErrInvalid.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// Is makes it ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Invalid is an InvalidError of one field.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Fields: []FieldError{{field, fmt.Sprintf(format, args...)}}}
}

// UnknownError says that a change was sent but not confirmed. It is ErrUnknown.
type UnknownError struct {
	Op    string
	Check string // where to look whether it was done: a page's path, or words
	Err   error
}

func (e *UnknownError) Error() string { return e.Op + ": outcome unknown: " + e.Err.Error() }

// Is makes it ErrUnknown.
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }

func (e *UnknownError) Unwrap() error { return e.Err }

// awayError says that something wasn't done, and in its sentence why. It is ErrAway.
type awayError struct {
	op, sentence string
	err          error
}

func (e *awayError) Error() string        { return e.op + ": " + e.err.Error() }
func (e *awayError) Is(target error) bool { return target == ErrAway }
func (e *awayError) Unwrap() error        { return e.err }

// WriteErr gives the error of a change its kind: ErrNotFound for a nil reply, ErrAway where the change was
// surely not made, ErrUnknown (an *UnknownError) where it was sent but not confirmed. An error that has a
// kind keeps it; all others are wrapped as they are. nil stays nil.
func WriteErr(op string, err error) error {
	return classify(op, err, true)
}

// ReadErr is WriteErr for what changes nothing: it never gives ErrUnknown.
func ReadErr(op string, err error) error {
	return classify(op, err, false)
}

func classify(op string, err error, write bool) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrAway, ErrUnknown, ErrForbidden} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%s: %w", op, ErrNotFound)
	}
	s, ok := refusalOf(err)
	if !ok {
		var sent bool
		if s, sent, ok = brokenConn(err); !ok {
			return fmt.Errorf("%s: %w", op, err)
		}
		if sent && write {
			return &UnknownError{Op: op, Err: err}
		}
	}
	return &awayError{op: op, sentence: s.text(write), err: err}
}

// sentence is what people are told: what is, and what to do.
type sentence struct{ what, todo string }

func (s sentence) text(write bool) string {
	if write {
		return s.what + " Nothing was changed. " + s.todo
	}
	return s.what + " " + s.todo
}

// refusals are the replies with which a server refuses to run a command, by their code. Scripts return
// them too, but only before they have written anything: the server looks at these things before the first
// write of a script and not again.
var refusals = map[string]sentence{
	"OOM": {"Redis has used all the memory that it may use (maxmemory).",
		"Delete what is not needed or raise maxmemory, then try again."},
	"READONLY": {"This Redis server is a read-only replica.",
		"Point the Redis URL at the master, or use a redis-sentinel:// URL, which follows it."},
	"LOADING": {"Redis is loading its data from disk.",
		"Try again in a moment."},
	"BUSY": {"Redis is running a script that takes long, and does nothing else meanwhile.",
		"Wait until it ends, or have an administrator stop it (SCRIPT KILL)."},
	"MASTERDOWN": {"This Redis server is a replica that has lost its master.",
		"Bring the master or the connection to it back, or point the Redis URL at the new master."},
	"CLUSTERDOWN": {"The Redis Cluster is down or incomplete.",
		"Bring its missing nodes back (see CLUSTER NODES), then try again."},
	"MISCONF": {"Redis cannot save its data to disk, so it takes no changes.",
		"Look at its log and at the free space of its disk."},
	"NOREPLICAS": {"Redis takes no changes while too few replicas are connected to it (min-replicas-to-write).",
		"Bring the replicas back, then try again."},
	"NOAUTH": {"Redis asks for a password, and none is configured.",
		"Put the user and password into the Redis URL."},
	"WRONGPASS": {"Redis refused the user or the password.",
		"Correct them in the Redis URL."},
	"NOPERM": {"The Redis user has no permission for this.",
		"Give the user of the Redis URL the permission (ACL SETUSER), or use another one."},
	"DENIED": {"Redis refuses connections from other machines (protected mode).",
		"Give it a password, or have it listen on a trusted network only."},
	"TRYAGAIN": {"The Redis Cluster is moving these keys to another node.",
		"Try again in a moment."},
	"MOVED": {"This Redis server is part of a cluster, and another node has these keys.",
		"Use a redis-cluster:// URL; if it is one, try again in a moment."},
	"ASK": {"The Redis Cluster is moving these keys to another node.",
		"Try again in a moment."},
	"EXECABORT": {"Redis refused a command of the transaction, and with it all of them.",
		"The log has the reason."},
	"UNBLOCKED": {"Redis became a replica while this waited.",
		"Try again."},
}

// refusalsByText have only the general code.
var refusalsByText = map[string]sentence{
	"ERR max number of clients": {"Redis has as many connections as it may have (maxclients).",
		"Close some of them or raise maxclients, then try again."},
	"ERR This instance has cluster support disabled": {"This Redis server is not part of a cluster.",
		"Use a redis:// URL."},
}

// refusalOf finds what is to be said of an error of the server that is a refusal.
func refusalOf(err error) (sentence, bool) {
	var (
		reply   redis.Error
		refused *refusedError
		text    string
	)
	switch {
	case errors.As(err, &reply):
		text = reply.Error()
	case errors.As(err, &refused):
		text = refused.reply
	default:
		return sentence{}, false
	}
	code, _, _ := strings.Cut(text, " ")
	if s, ok := refusals[code]; ok {
		return s, true
	}
	for start, s := range refusalsByText {
		if strings.HasPrefix(text, start) {
			return s, true
		}
	}
	return sentence{}, false
}

// brokenConn tells the errors of a connection, and whether the command may have been sent.
func brokenConn(err error) (s sentence, sent, ok bool) {
	var (
		reply       redis.Error
		notSent     *notSentError
		netErr      net.Error
		tlsErr      *tlsError
		opErr       *net.OpError
		sentinelErr *sentinelError
	)
	sent = !errors.As(err, &notSent)
	isNet := errors.As(err, &netErr)
	switch {
	case errors.As(err, &reply):
		return s, false, false
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return sentence{"All connections to Redis are in use.", "Try again in a moment."}, false, true
	case errors.Is(err, redis.ErrClosed):
		return sentence{"This program is shutting down.", "Try again when it is back."}, false, true
	case errors.As(err, &sentinelErr):
		return sentence{"The Sentinels are not reachable, or name no master that is.",
			"Check that they run, and the name of the master in the Redis URL."}, false, true
	case errors.As(err, &tlsErr), errors.As(err, &opErr) && opErr.Op == "remote error": // a TLS alert
		return sentence{"There is no secure connection to Redis: the TLS handshake failed.",
			"Compare the certificates of both sides; the log has the reason."}, sent, true
	case errors.Is(err, context.Canceled):
		return sentence{"The request was cancelled.", "Try again."}, sent, true
	case errors.Is(err, context.DeadlineExceeded), isNet && netErr.Timeout():
		return sentence{"Redis did not answer in time.", "It may be overloaded, blocked or unreachable. Try again in a moment."}, sent, true
	case !sent, isNet, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return sentence{"Redis is not reachable.", "It may be down or restarting. Try again in a moment."}, sent, true
	}
	return s, false, false
}

// Sentence is what to tell people about an ErrAway or ErrUnknown: one to three plain sentences, without
// addresses or secrets. It is empty for errors of other kinds.
func Sentence(err error) string {
	var (
		away    *awayError
		unknown *UnknownError
	)
	switch {
	case errors.As(err, &unknown), errors.Is(err, ErrUnknown):
		return "The change was sent to Redis, but the answer was lost: it may have been made or not. Check before you repeat it."
	case errors.As(err, &away):
		return away.sentence
	case errors.Is(err, ErrAway):
		return "Redis is not reachable. Try again in a moment."
	}
	return ""
}

// NotDone is an ErrAway for a change that a domain gave up before it was made: text says why, and what to do.
func NotDone(op, text string) error {
	return &awayError{op: op, sentence: text, err: errors.New(text)}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
