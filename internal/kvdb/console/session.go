package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// Session is one console: a connection of somebody's own. It runs one command at a time; all else may be called meanwhile.
type Session struct {
	ID     string
	Who    string
	Role   string
	Opened time.Time

	c    *Console
	kv   *kvdb.Session
	done chan struct{}
	idle *time.Timer

	mu      sync.Mutex
	running string // the line of what runs; "" = nothing does
	since   time.Time
	cancel  context.CancelCauseFunc // of what runs
	stream  *Stream                 // the last one
	ended   string                  // why it has ended; "" = it has not
}

// State is a session as it stands.
type State struct {
	kvdb.SessionState
	Running   string    // what runs, secrets masked; "" = nothing
	Since     time.Time // when that began
	Streaming bool      // it is one that streams
	Ended     string    // why the session has ended; "" = it has not
}

// State is the session as it stands.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{s.kv.State(), s.running, s.since, s.stream != nil && !s.stream.over(), s.ended}
}

// Prompt is that of redis-cli, with the database and whether a transaction is open, but without the address.
func (st State) Prompt() string {
	prompt := "redis"
	if st.Database != 0 {
		prompt += fmt.Sprintf("[%d]", st.Database)
	}
	if st.InTransaction {
		prompt += "(TX)"
	}
	return prompt + "> "
}

// Is says whether a client of the server is the connection of this session.
func (s *Session) Is(c kvdb.Client) bool { return s.kv.Is(c) }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Stream is the last one, nil if there was none.
func (s *Session) Stream() *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream
}

var errStopped = errors.New("stopped")

// Stop ends what runs: a command that waits as if its own time were up, a stream, and any other command by closing the connection.
// It returns false if nothing runs.
func (s *Session) Stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel == nil {
		return false
	}
	s.cancel(errStopped)
	return true
}

// Close ends the session, and what runs in it. It may be called again.
func (s *Session) Close() { s.end("The console was closed.") }

func (s *Session) end(why string) {
	s.c.mu.Lock()
	delete(s.c.sessions, s.ID)
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		return
	}
	s.ended = why
	s.idle.Stop()
	if s.cancel != nil {
		s.cancel(errStopped)
	}
	s.kv.Close()
	close(s.done)
}

// begin reserves the session for a command. The errors are *BusyError and *EndedError.
func (s *Session) begin(ctx context.Context) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != "":
		return nil, &EndedError{s.ended + " Open a new one."}
	case s.cancel != nil:
		return nil, &BusyError{"This console still runs another command. Stop that first, or open another console."}
	}
	ctx, s.cancel = s.limit(ctx)
	s.since = s.c.o.Now()
	s.idle.Stop()
	return ctx, nil
}

// runs says what runs now.
func (s *Session) runs(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = line
}

var errTimeLimit = errors.New("time limit")

// limit gives a context the time that a command may take. Its cause says why it has ended.
func (s *Session) limit(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(s.c.o.Run, func() { cancel(errTimeLimit) })
	context.AfterFunc(ctx, func() { timer.Stop() })
	return ctx, cancel
}

// finish makes room for the next command.
func (s *Session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel(nil)
	s.cancel, s.running = nil, ""
	if s.ended == "" {
		s.idle.Reset(s.c.o.Idle)
	}
}

// Recorder has a change recorded: it calls run, which makes the change and gives the reply, be it an error of the server. Where it can't record it,
// it returns an error instead, and the change is not made.
type Recorder func(ctx context.Context, call *kvdb.SessionCall, run func() (kvdb.Reply, error)) error

// RunOptions say how commands run.
type RunOptions struct {
	Confirm string   // what was typed to confirm the first command that has to be
	Record  Recorder // of changes; nil = they are not recorded
}

// Result is what came of a command.
type Result struct {
	Command   Command
	Line      string   // as in kvdb.Class.Line: for those who may not see secrets
	Args      []string // with secrets masked
	Class     kvdb.Class
	Reply     kvdb.Reply
	More      []kvdb.Reply // further replies, of UNSUBSCRIBE
	Pushes    []kvdb.Reply // what the server said by itself before it
	Truncated bool         // the reply is the part before the limits
	Took      time.Duration
	Streaming bool     // messages follow: see Session.Stream
	Notes     []string // sentences on what else there is to know
	Confirm   string   // it didn't run: this word confirms it
	What      string   // with Confirm: what the command does, in the server's words
	Clear     bool     // the screen is to be cleared
	// Err says why there is no reply: ErrInvalid, ErrForbidden, ErrAway, ErrUnknown (cut off: it may have been done or not), a
	// *BusyError or an *EndedError.
	Err error
}

// Text is what redis-cli prints; raw is what --raw asks for.
func (r Result) Text(raw bool) string {
	if r.Err != nil || r.Clear {
		return ""
	}
	var b strings.Builder
	for _, push := range r.Pushes {
		b.WriteString(printPush(push, raw))
	}
	b.WriteString(Print(r.Command.Args, r.Reply, raw))
	for _, more := range r.More {
		b.WriteString(Print(r.Command.Args, more, raw))
	}
	return b.String()
}

// Run runs the commands of a text in turn, each as often as it says, and gives each result to each. It stops, and returns the commands
// that did not run, after a result with Err, one that streams, and one that ended the session; an error that the server
// replies doesn't stop it. The first of the rest is the command that was refused or failed. The error is a *SyntaxError, with which
// nothing ran.
func (s *Session) Run(ctx context.Context, text string, o RunOptions, each func(Result)) (rest []Command, err error) {
	commands, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for i, c := range commands {
		for n := range c.Repeat {
			r := s.do(ctx, c, o, n == 0)
			if each(r); r.Err != nil {
				c.Repeat -= n
				return append([]Command{c}, commands[i+1:]...), nil
			}
			if r.Streaming || s.State().Ended != "" {
				return commands[i+1:], nil
			}
			if r.Class.Confirm {
				o.Confirm = ""
			}
		}
	}
	return nil, nil
}

// Do runs one command, once, at most for the time limit or until ctx ends, which is as good as Stop.
func (s *Session) Do(ctx context.Context, c Command, o RunOptions) Result {
	return s.do(ctx, c, o, true)
}

func (s *Session) do(ctx context.Context, c Command, o RunOptions, remember bool) (r Result) {
	r.Command, r.Args = c, kvdb.Masked(c.Args)
	if len(c.Args) == 0 {
		r.Err = kvdb.Invalid("line", "there is no command")
		return r
	}
	r.Line = kvdb.Shown(c.Args[0])
	ctx, err := s.begin(ctx)
	if err != nil {
		r.Err = err
		return r
	}
	defer func() {
		if !r.Streaming {
			s.finish()
		}
	}()
	if s.local(ctx, &r) {
		return r
	}
	class, err := s.c.db.Classify(ctx, c.Args)
	if err != nil {
		r.Err = err
		return r
	}
	r.Class, r.Line = class, class.Line()
	s.runs(r.Line)
	if remember {
		s.c.remember(ctx, s.Who, c, class)
	}
	call, err := s.kv.Permit(class, o.Confirm)
	if err != nil {
		r.Err = err
		s.askConfirm(ctx, &r, o.Confirm)
		return r
	}
	reply, err := s.run(ctx, call, o.Record)
	r.Reply, r.More, r.Pushes, r.Truncated, r.Took = reply.Reply, reply.More, reply.Pushes, reply.Truncated, reply.Took
	r.Notes, r.Err = s.notes(ctx, reply), err
	if err == nil && reply.Ended {
		s.Close()
	}
	if err == nil && reply.Streaming {
		r.Streaming = s.startStream()
	}
	return r
}

// Download runs a command that only reads once more, and writes all of its reply to out: see kvdb.SessionCall.RunRaw. The errors are a *SyntaxError,
// ErrInvalid (also for an error of the server), ErrForbidden, ErrAway, a *BusyError and an *EndedError. With ErrAway a part may have been written.
func (s *Session) Download(ctx context.Context, line string, out io.Writer) error {
	commands, err := Parse(line)
	if err != nil {
		return err
	}
	if len(commands) != 1 || commands[0].Repeat != 1 {
		return kvdb.Invalid("text", "must be one command")
	}
	if ctx, err = s.begin(ctx); err != nil {
		return err
	}
	defer s.finish()
	class, err := s.c.db.Classify(ctx, commands[0].Args)
	if err != nil {
		return err
	}
	s.runs(class.Line())
	call, err := s.kv.Permit(class, "")
	if err != nil {
		return err
	}
	reply, err := call.RunRaw(ctx, out)
	if err == nil && (reply.Reply.Kind == kvdb.KindError || reply.Reply.Kind == kvdb.KindStatus) {
		err = kvdb.Invalid("text", "the server now says: %s", reply.Reply.Text)
	}
	return err
}

// run has a change recorded, if that is asked for.
func (s *Session) run(ctx context.Context, call *kvdb.SessionCall, record Recorder) (reply kvdb.SessionReply, err error) {
	if !call.Changes || record == nil {
		return call.Run(ctx)
	}
	ran := false
	refused := record(ctx, call, func() (kvdb.Reply, error) {
		ran = true
		reply, err = call.Run(ctx)
		return reply.Reply, err
	})
	if !ran {
		return kvdb.SessionReply{}, refused
	}
	return reply, err
}

// notes says in words what the reply doesn't.
func (s *Session) notes(ctx context.Context, reply kvdb.SessionReply) (notes []string) {
	if reply.Anew {
		notes = append(notes, "The connection is a new one: database, protocol and name are as before, all other settings of the connection are gone.")
	}
	if reply.Node != "" {
		notes = append(notes, "Redirected to the node "+reply.Node+".")
	}
	switch ended := s.State().Ended; {
	case ended != "" && !reply.Ended:
		notes = append(notes, ended)
	case context.Cause(ctx) == errStopped:
		notes = append(notes, "It was stopped.")
	case context.Cause(ctx) == errTimeLimit:
		notes = append(notes, fmt.Sprintf("It was stopped: a command may take %s.", spell(s.c.o.Run)))
	}
	return notes
}

// askConfirm says what is to be typed, where that is all that is missing.
func (s *Session) askConfirm(ctx context.Context, r *Result, typed string) {
	var invalid *kvdb.InvalidError
	if !errors.As(r.Err, &invalid) || len(invalid.Fields) == 0 || invalid.Fields[0].Field != "confirm" {
		return
	}
	r.Confirm = strings.ToUpper(r.Command.Args[0])
	if help, err := s.c.Help(ctx, r.Command.Args...); err == nil {
		r.What = help.Summary
	}
}

// local carries out what is not for the server.
func (s *Session) local(ctx context.Context, r *Result) bool {
	args := r.Command.Args
	switch word := strings.ToLower(args[0]); {
	case word == "help" || word == "?":
		text, err := s.c.helpText(ctx, args[1:])
		r.Reply, r.Err = kvdb.Reply{Kind: kvdb.KindVerbatim, Text: text}, err
	case word == "clear" && len(args) == 1:
		r.Clear = true
	case word == "exit":
		r.Reply = kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}
		s.Close()
	case word == "connect" && len(args) == 3:
		r.Err = kvdb.Invalid("line", "the console stays with the Redis server that this program is for")
	case strings.HasPrefix(word, ":"):
		r.Err = kvdb.Invalid("line", "%.50q is a setting of redis-cli, and means nothing here", args[0])
	default:
		return false
	}
	return true
}
