// Package ldb speaks the protocol of LDB, the debugger for Lua that is in Redis and Valkey. A session is a fork of the server: what
// the program does in it is gone when it ends, and it ends with its connection.
//
// The server takes one command at a time and loses what comes before its answer; an argument that is empty or too long ends the
// session. A Session therefore waits for each answer, and refuses what the server would not survive.
package ldb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"webadmin/internal/kvdb"
)

// MaxArg is the longest argument that the debugger takes, in bytes.
const MaxArg = 1024

// MaxBreakpoints is how many breakpoints a session may have.
const MaxBreakpoints = 64

// Conn is the connection of one session.
type Conn interface {
	WriteAll(commands [][]string) error // in one piece
	Read(ctx context.Context) (kvdb.Reply, error)
}

// ErrEnded is the error of a command after the end of the session.
var ErrEnded = errors.New("the debug session has ended")

// RefusedError says that the server doesn't start a session. Nothing ran.
type RefusedError struct{ Reply string }

func (e *RefusedError) Error() string { return e.Reply }

// RedisError makes it one of those that the client gives.
func (*RefusedError) RedisError() {}

// ArgumentError says why an argument isn't sent.
type ArgumentError struct{ Reason string }

func (e *ArgumentError) Error() string { return e.Reason }

// Reason is why a program stopped.
type Reason string

// The reasons.
const (
	Step       Reason = "step"
	Breakpoint Reason = "breakpoint"
	Call       Reason = "breakpoint call" // of redis.breakpoint
	Timeout    Reason = "endless loop"    // it ran for as long as a script may before it is called slow
)

// Kind says what an Entry tells.
type Kind string

// The kinds.
const (
	KindCall  Kind = "call"  // a command of the program, as far as the server shows it
	KindReply Kind = "reply" // to that
	KindDebug Kind = "debug" // of redis.debug
	KindValue Kind = "value"
	KindError Kind = "error"
	KindOther Kind = "other"
)

// Entry is one line of what happened.
type Entry struct {
	Kind Kind
	Line int // of redis.debug; else 0
	Text string
}

// Stop is where a program stands, or how it ended.
type Stop struct {
	Line   int // that comes next
	Source string
	Reason Reason
	Log    []Entry
	Ended  bool
	Reply  kvdb.Reply // of the program, once it has ended
	Lost   bool       // the reply is: a fork ends before it has sent a long one
}

// Variable is a local variable. Value is as Lua would write it, see Parse.
type Variable struct{ Name, Value string }

// Frame is a call under way.
type Frame struct {
	Function string
	Line     int
	Source   string
}

// Session is a program that is being debugged. It is for one user at a time.
type Session struct {
	conn  Conn
	ended bool
}

// Start begins to debug what the command (EVAL …, EVAL_RO …) runs, and returns where it first stops. A RefusedError says that
// the server doesn't debug; io.EOF, that it gave up. When the program doesn't compile the session has ended.
func Start(ctx context.Context, conn Conn, command []string) (*Session, Stop, error) {
	// A server that doesn't debug would run what comes after this. Once it has agreed it can't but debug.
	if err := conn.WriteAll([][]string{debugYes, {"CLIENT", "REPLY", "ON"}}); err != nil {
		return nil, Stop{}, err
	}
	agreed, err := conn.Read(ctx)
	if err != nil {
		return nil, Stop{}, err
	}
	if !isOK(agreed) {
		return nil, Stop{}, &RefusedError{agreed.Text}
	}
	skips, err := conn.Read(ctx)
	if err != nil {
		return nil, Stop{}, err
	}
	// A server has one debugger, and its output goes to who asked for it last: so this asks again, at the last moment. A reply to that
	// must not wait to be sent when the server forks: the fork of Redis 7 overwrites it with zeros.
	commands := [][]string{command}
	if isOK(skips) {
		commands = [][]string{{"CLIENT", "REPLY", "SKIP"}, debugYes, command}
	}
	if err := conn.WriteAll(commands); err != nil {
		return nil, Stop{}, err
	}
	s := &Session{conn: conn}
	stop, err := s.await(ctx)
	return s, stop, err
}

func isOK(r kvdb.Reply) bool { return r.Kind == kvdb.KindStatus && r.Text == "OK" }

var debugYes = []string{"SCRIPT", "DEBUG", "YES"}

// Step runs to the next line, also into functions.
func (s *Session) Step(ctx context.Context) (Stop, error) { return s.resume(ctx, "step") }

// Continue runs to the next breakpoint or the end.
func (s *Session) Continue(ctx context.Context) (Stop, error) { return s.resume(ctx, "continue") }

// Abort ends the program.
func (s *Session) Abort(ctx context.Context) (Stop, error) { return s.resume(ctx, "abort") }

// Maxlen sets how much of a value is shown, in bytes; 0 = all.
func (s *Session) Maxlen(ctx context.Context, n int) error {
	_, err := s.ask(ctx, "maxlen", strconv.Itoa(n))
	return err
}

// Break sets a breakpoint. It returns false if there is no such line.
func (s *Session) Break(ctx context.Context, line int) (bool, error) {
	lines, err := s.ask(ctx, "break", strconv.Itoa(line))
	return !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "Wrong line") || strings.HasPrefix(l, "Too many")
	}), err
}

// Unbreak takes a breakpoint away.
func (s *Session) Unbreak(ctx context.Context, line int) error {
	_, err := s.ask(ctx, "break", "-"+strconv.Itoa(line))
	return err
}

var valueForm = regexp.MustCompile(`^<value> ([^=]*) = `)

// Locals returns the local variables of the function that runs, those that the server adds for itself left out.
func (s *Session) Locals(ctx context.Context) ([]Variable, error) {
	lines, err := s.ask(ctx, "print")
	if err != nil {
		return nil, err
	}
	var vars []Variable
	for _, l := range lines {
		m := valueForm.FindStringSubmatch(l)
		if m != nil && !strings.HasPrefix(m[1], "(") { // (for index), (*temporary)
			vars = append(vars, Variable{m[1], l[len(m[0]):]})
		}
	}
	return vars, nil
}

// Value returns a variable of the innermost function that has it. It returns false if none has.
func (s *Session) Value(ctx context.Context, name string) (string, bool, error) {
	lines, err := s.ask(ctx, "print", name)
	if err != nil || len(lines) == 0 {
		return "", false, err
	}
	text, ok := strings.CutPrefix(lines[0], "<value> ")
	return text, ok, nil
}

// Eval evaluates an expression or statement, which is joined from the parts with blanks. It sees no local variables.
func (s *Session) Eval(ctx context.Context, parts ...string) ([]Entry, error) {
	return s.log(ctx, append([]string{"eval"}, parts...))
}

// Redis runs a command in the fork.
func (s *Session) Redis(ctx context.Context, args ...string) ([]Entry, error) {
	return s.log(ctx, append([]string{"redis"}, args...))
}

// Trace returns the calls under way, the innermost first.
func (s *Session) Trace(ctx context.Context) ([]Frame, error) {
	lines, err := s.ask(ctx, "trace")
	if err != nil {
		return nil, err
	}
	var frames []Frame
	for i := 0; i+1 < len(lines); i += 2 {
		name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(lines[i], "In "), "From "), ":")
		line, source, ok := sourceLine(lines[i+1])
		if !ok {
			i-- // a frame of which the server has no source
			continue
		}
		frames = append(frames, Frame{name, line, source})
	}
	return frames, nil
}

// CheckArgs returns an ArgumentError if the debugger would not survive one of these.
func CheckArgs(args ...string) error {
	for _, arg := range args {
		switch {
		case arg == "":
			return &ArgumentError{"an empty argument can't be sent to the debugger"}
		case len(arg) > MaxArg:
			return &ArgumentError{fmt.Sprintf("an argument has %d bytes; the debugger takes %d", len(arg), MaxArg)}
		case strings.ContainsAny(arg, "\r\n"):
			return &ArgumentError{"a line break can't be sent to the debugger"}
		}
	}
	return nil
}

func (s *Session) resume(ctx context.Context, command string) (Stop, error) {
	if err := s.send(command); err != nil {
		return Stop{}, err
	}
	return s.await(ctx)
}

func (s *Session) log(ctx context.Context, command []string) ([]Entry, error) {
	lines, err := s.ask(ctx, command...)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(lines))
	for i, l := range lines {
		entries[i] = entry(l)
	}
	return entries, nil
}

// ask sends a command after which the program stands where it stood.
func (s *Session) ask(ctx context.Context, command ...string) ([]string, error) {
	if err := s.send(command...); err != nil {
		return nil, err
	}
	lines, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if slices.Contains(lines, endMark) {
		s.ended = true
		return nil, ErrEnded
	}
	return lines, nil
}

func (s *Session) send(command ...string) error {
	if s.ended {
		return ErrEnded
	}
	if err := CheckArgs(command...); err != nil {
		return err
	}
	if err := s.conn.WriteAll([][]string{command}); err != nil {
		s.ended = true
		return err
	}
	return nil
}

const endMark = "<endsession>"

// read returns the lines of one answer.
func (s *Session) read(ctx context.Context) ([]string, error) {
	reply, err := s.conn.Read(ctx)
	switch {
	case err != nil:
	case reply.Kind == kvdb.KindArray:
		lines := make([]string, len(reply.Items))
		for i, item := range reply.Items {
			lines[i] = item.Text
		}
		return lines, nil
	case reply.Kind == kvdb.KindError:
		err = &RefusedError{reply.Text}
	default:
		err = errors.New("the server sent what is not of its debugger")
	}
	s.ended = true
	return nil, err
}

// await reads where the program stops, or its reply.
func (s *Session) await(ctx context.Context) (Stop, error) {
	lines, err := s.read(ctx)
	if err != nil {
		return Stop{}, err
	}
	stop := parseStop(lines)
	if !stop.Ended {
		return stop, nil
	}
	s.ended = true
	stop.Reply, err = s.conn.Read(ctx)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		stop.Lost, err = true, nil
	}
	return stop, err
}

var (
	stopForm   = regexp.MustCompile(`^\* Stopped at (\d+), stop reason = (.*)$`)
	sourceForm = regexp.MustCompile(`(?s)^(?:->|  )[# ](\d+) +(.*)$`)
	debugForm  = regexp.MustCompile(`(?s)^<debug> line (\d+): (.*)$`)
)

func parseStop(lines []string) Stop {
	var stop Stop
	at := -1
	for i, l := range lines {
		if stopForm.MatchString(l) {
			at = i // the last, of which only the server itself can be the author: a program's output stands behind a mark
		}
	}
	for i, l := range lines {
		switch {
		case l == endMark && i == len(lines)-1:
			stop.Ended = true
		case i == at:
			m := stopForm.FindStringSubmatch(l)
			stop.Line, _ = strconv.Atoi(m[1])
			stop.Reason = reason(m[2])
		case at >= 0 && i == at+1:
			_, stop.Source, _ = sourceLine(l)
		default:
			stop.Log = append(stop.Log, entry(l))
		}
	}
	return stop
}

func reason(text string) Reason {
	switch {
	case strings.HasPrefix(text, "break point"):
		return Breakpoint
	case strings.Contains(text, "breakpoint()"):
		return Call
	case strings.Contains(text, "timeout"):
		return Timeout
	}
	return Step
}

// sourceLine reads "->#3   source".
func sourceLine(l string) (line int, source string, ok bool) {
	m := sourceForm.FindStringSubmatch(l)
	if m == nil {
		return 0, "", false
	}
	line, err := strconv.Atoi(m[1])
	return line, m[2], err == nil
}

// marks are what lines begin with. Valkey has marks of its own for some.
var marks = []struct {
	mark string
	kind Kind
}{
	{"<redis> ", KindCall}, {"<command> ", KindCall}, {"<reply> ", KindReply}, {"<value> ", KindValue}, {"<retval> ", KindValue}, {"<error> ", KindError},
}

func entry(l string) Entry {
	if m := debugForm.FindStringSubmatch(l); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Entry{Kind: KindDebug, Line: line, Text: m[2]}
	}
	for _, m := range marks {
		if text, ok := strings.CutPrefix(l, m.mark); ok {
			return Entry{Kind: m.kind, Text: text}
		}
	}
	return Entry{Kind: KindOther, Text: l}
}
