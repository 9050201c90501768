package lua

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yuin/gopher-lua/parse"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua/ldb"
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

// The kinds of a DebugCommand.
const (
	DebugStep     = "step"     // to the next line
	DebugContinue = "continue" // to the next breakpoint, or the end
	DebugBreak    = "break"    // Lines are the breakpoints from now on
	DebugEval     = "eval"     // the expression or statement Text
	DebugRedis    = "redis"    // the command Args, in the fork
	DebugAbort    = "abort"    // end the session
)

// DebugCommand is what a debug session is to do.
type DebugCommand struct {
	Kind  string
	Lines []int
	Text  string
	Args  []string
}

// DebugState is a debug session as it stands, and what the last command brought.
type DebugState struct {
	ID          string
	Program     Program
	Line        int    // where it stands: this line comes next; 0 = it has ended
	Reason      string // why it stopped there: "start", "step", "breakpoint", "breakpoint call", "endless loop"
	Source      string
	Locals      []Variable
	Keys        []string
	Values      []string
	Log         []LogEntry // what the last command brought
	Trace       []Frame    // calls under way, the innermost first
	Breakpoints []int
	Ended       bool
	Reply       *kvdb.Reply // once it has ended, unless it was aborted
	Failure     *Failure    // once it has ended, of a program that failed
	EndsAt      time.Time   // when it ends if nobody does anything
}

// Variable is a local variable of the function that runs.
type Variable struct {
	Name, Value string
	Rounded     bool // a number that the server shows with fewer digits than it has
}

// LogEntry is one line of what happened.
type LogEntry struct {
	Kind string // "call", "reply", "debug", "value", "error" or "other"
	Text string
	Line int // of the program, where the server tells; else 0
}

// Frame is one call under way.
type Frame struct {
	Line int
	Text string // the source of the line
}

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

// debugPrologue returns the redis that a program in the debugger gets: that of everybody, if the server itself refuses what is not
// undone with the fork; else one that refuses it. Outside of a debugger it returns nil.
const debugPrologue = `local mark=...
local R=redis
if not R.breakpoint() then return end
if R.sha1hex(table.concat(KEYS,' ')..' '..table.concat(ARGV,' ',1,#ARGV-1)..' ')~=table.remove(ARGV) then
  error('the server has garbled the arguments of the program')
end
local pcall,error,type,tostring,pairs,upper,match=pcall,error,type,tostring,pairs,string.upper,string.match
local ok,may=pcall(R.acl_check_cmd,'FLUSHALL')
if ok and may==false then return R end
local own={}
for k,v in pairs(R) do own[k]=v end
local function guarded(...)
  local name=upper(tostring((...)))
  if name=='FLUSHALL' or name=='MIGRATE' or name=='CLUSTER' then
    return {err='ERR '..name..' is not run in the debugger: what it does is not undone'}
  end
  return R.pcall(...)
end
own.pcall=guarded
own.call=function(...)
  local r=guarded(...)
  if type(r)=='table' and type(r.err)=='string' then
    for level=2,9 do -- the error will not say the line
      local _,at=pcall(error,'',level)
      local line=match(tostring(at),'^user_script:(%d+):')
      if line then R.debug(mark..' '..line) break end
    end
    error(r,0)
  end
  return r
end
return own`

// guardedError is what an error of the guard has at its end.
var guardedError = regexp.MustCompile(` ?script: [0-9a-f]{40}, on =?webadmin:\d+\.\s*$`)

// notUndone are commands whose effects would outlive the fork.
var notUndone = regexp.MustCompile(`(?i)\b(flushall|migrate|cluster)\b`)

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

// enter takes a place for a session. *BusyError, ErrAway.
func (b *bench) enter(d *Debug) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return kvdb.NotDone("lua: debug", "This program is shutting down. Try again when it is back.")
	}
	for _, other := range b.sessions {
		if other.who.Who != d.who.Who {
			continue
		}
		e := &BusyError{Program: other.call.Name, Since: other.at, Reason: "You have a debug session already, perhaps in another window: end it, or go on with it."}
		if other.session == d.session {
			e.ID = other.ID
		}
		return e
	}
	if len(b.sessions) >= maxSessions {
		return &BusyError{Reason: fmt.Sprintf("Others have all %d debug sessions that there are. Try again when one of them has ended.", maxSessions)}
	}
	if b.sessions == nil {
		b.sessions = map[string]*Debug{}
	}
	b.sessions[d.ID] = d
	return nil
}

func (b *bench) leave(d *Debug) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, d.ID)
}

// Debug returns a session of this browser session. ErrNotFound: there is none, not any more, or in another process.
func (s *Store) Debug(id, session string) (*Debug, error) {
	s.bench.mu.Lock()
	defer s.bench.mu.Unlock()
	d := s.bench.sessions[id]
	if d == nil || subtle.ConstantTimeCompare([]byte(d.session), []byte(session)) == 0 {
		return nil, fmt.Errorf("lua: debug session %.40q: %w", id, kvdb.ErrNotFound)
	}
	return d, nil
}

// start runs the program up to its first line. On an error nothing is left.
func (d *Debug) start(ctx context.Context, breakpoints []int) (err error) {
	if reaches(d.src.Text) != "" {
		if err := d.s.checkReach(ctx, d.call); err != nil {
			return err
		}
	}
	mark := "mark_" + rand.Text()
	d.mark = mark
	prologue := "do local " + mark + " end " + unpad + "local redis=loadstring(table.remove(ARGV),'=webadmin')('" + mark + "') if not redis then return end "
	command := "EVAL"
	if d.call.ReadOnly {
		command = "EVAL_RO"
	}
	args := append([]string{command, onFirstLine(prologue, d.src.Text), strconv.Itoa(len(d.call.Keys))}, d.call.Keys...)
	args = pad(append(append(args, d.call.Values...), sumOf(d.call, ""), debugPrologue))
	f, err := d.s.fork(ctx, d.call.Keys, mark, args)
	if err != nil {
		return err
	}
	if f.stop.Ended {
		f.close()
		if isVerdict(f.stop.Reply.Text) {
			var syntax *SyntaxError
			if err := d.s.verdictOnly(ctx, d.src.Text); errors.As(err, &syntax) {
				return syntax
			}
		}
		return &noForkError{fmt.Sprintf("The server did not start: it replied %.200q.", f.stop.Reply.Text)}
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	d.mu.Lock()
	d.f = f
	closed := d.state.Ended
	d.mu.Unlock()
	if closed {
		return kvdb.NotDone("lua: debug", "This program is shutting down. Try again when it is back.")
	}
	limited, cancel := context.WithTimeout(ctx, debugStep)
	defer cancel()
	if err := f.Maxlen(limited, debugMaxlen); err != nil {
		return err
	}
	stop := f.stop
	d.skip = true
	if d.emptyFirstLine() {
		if stop, err = f.Step(limited); err != nil {
			return err
		}
		d.skip = false
	}
	stop.Reason = "start"
	if !stop.Ended {
		if err := d.setBreakpoints(limited, breakpoints); err != nil {
			return err
		}
	}
	if err := d.stopped(limited, stop); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.state.Ended {
		d.touch()
	}
	return nil
}

// emptyFirstLine says whether the line on which the prologue stands has no code of the program.
func (d *Debug) emptyFirstLine() bool {
	text := strings.TrimPrefix(strings.TrimPrefix(d.src.Text, shebangForm.FindString(d.src.Text)), "\n")
	if shebangForm.FindString(d.src.Text) == "" {
		text = d.src.Text
	}
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "--[")
}

// checkReach returns a noForkError if a program that gets at the redis of everybody could do what is not undone.
func (s *Store) checkReach(ctx context.Context, c Call) error {
	const text = "if not redis.acl_check_cmd or redis.acl_check_cmd('FLUSHALL') then return 1 end return 0"
	result, err := s.db.Eval(ctx, kvdb.Eval{Text: text, Keys: c.Keys, AdHoc: true})
	if err != nil {
		return err
	}
	if result.Reply.Kind != kvdb.KindInteger || result.Reply.Text != "0" {
		return &noForkError{"The program can reach commands such as FLUSHALL in ways that the debugger can't guard (_G, loadstring …), " +
			"and the Redis user may run them: what they do to the files of the server would stay."}
	}
	return nil
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

func (d *Debug) do(ctx context.Context, cmd DebugCommand) error {
	switch cmd.Kind {
	case DebugStep, DebugContinue:
		return d.resume(ctx, cmd.Kind)
	case DebugBreak:
		d.setLog(nil)
		return d.setBreakpoints(ctx, cmd.Lines)
	case DebugEval:
		return d.eval(ctx, cmd.Text)
	case DebugRedis:
		return d.redis(ctx, cmd.Args)
	case DebugAbort:
		d.finish(kvdb.Reply{}, &Failure{Message: "it was ended in the debugger", Raw: "it was ended in the debugger"})
		return nil
	}
	return kvdb.Invalid("kind", "is none that the debugger knows")
}

func (d *Debug) resume(ctx context.Context, kind string) error {
	run := d.f.Step
	if kind == DebugContinue {
		run = d.f.Continue
	}
	stop, err := run(ctx)
	if err == nil && d.skip && !stop.Ended {
		d.skip = false
		if stop.Reason == ldb.Call {
			stop.Reason = ldb.Step
			if slices.Contains(d.state.Breakpoints, stop.Line) {
				stop.Reason = ldb.Breakpoint
			} else if kind == DebugContinue {
				log := stop.Log
				stop, err = d.f.Continue(ctx)
				stop.Log = append(log, stop.Log...)
			}
		}
	}
	if err != nil {
		return err
	}
	return d.stopped(ctx, stop)
}

// stopped notes where the program stands.
func (d *Debug) stopped(ctx context.Context, stop ldb.Stop) error {
	d.mu.Lock()
	from := d.state.Line
	d.mu.Unlock()
	raised := 0 // where the guard raised an error
	stop.Log = slices.DeleteFunc(stop.Log, func(e ldb.Entry) bool {
		line, ours := strings.CutPrefix(e.Text, `"`+d.mark+" ")
		if ours {
			raised, _ = strconv.Atoi(strings.TrimSuffix(line, `"`))
		}
		return ours
	})
	log := logOf(stop.Log, from)
	if stop.Ended {
		d.setLog(log)
		reply := stop.Reply
		var failure *Failure
		if reply.Kind == kvdb.KindError {
			reply.Text = guardedError.ReplaceAllString(reply.Text, "")
			failure = failureOf(reply.Text, d.s.db.HasProgramUser())
			if failure.Line == 0 {
				failure.Line = raised
			}
		}
		if stop.Lost {
			const text = "the program has ended; its reply is too long for the debugger"
			failure = &Failure{Message: text, Raw: text}
		}
		d.finish(reply, failure)
		return nil
	}
	locals, err := d.f.Locals(ctx)
	if err != nil {
		return err
	}
	frames, err := d.f.Trace(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	st := &d.state
	st.Line, st.Reason, st.Log = stop.Line, string(stop.Reason), log
	st.Locals, st.Trace = nil, nil
	for _, v := range locals {
		if v.Name != "redis" {
			st.Locals = append(st.Locals, Variable{Name: v.Name, Value: v.Value, Rounded: ldb.Rounded(v.Value)})
		}
	}
	lines := strings.Split(d.src.Text, "\n")
	for _, f := range frames {
		if f.Line >= 1 && f.Line <= len(lines) {
			st.Trace = append(st.Trace, Frame{Line: f.Line, Text: strings.TrimSpace(lines[f.Line-1])})
		}
	}
	return nil
}

func logOf(entries []ldb.Entry, line int) []LogEntry {
	log := make([]LogEntry, 0, len(entries))
	for _, e := range entries {
		if e.Line == 0 && e.Kind != ldb.KindOther {
			e.Line = line
		}
		log = append(log, LogEntry{Kind: string(e.Kind), Text: e.Text, Line: e.Line})
	}
	return log
}

func (d *Debug) setLog(log []LogEntry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Log = log
}

// setBreakpoints makes the lines the breakpoints.
func (d *Debug) setBreakpoints(ctx context.Context, lines []int) error {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	lines = slices.Compact(lines)
	last := 1 + strings.Count(d.src.Text, "\n")
	switch {
	case len(lines) > ldb.MaxBreakpoints:
		return kvdb.Invalid("lines", "are %d; Redis keeps %d breakpoints", len(lines), ldb.MaxBreakpoints)
	case len(lines) > 0 && (lines[0] < 1 || lines[len(lines)-1] > last):
		return kvdb.Invalid("lines", "must be from 1 to %d", last)
	}
	d.mu.Lock()
	old := d.state.Breakpoints
	d.mu.Unlock()
	for _, line := range old {
		if !slices.Contains(lines, line) {
			if err := d.f.Unbreak(ctx, line); err != nil {
				return err
			}
		}
	}
	var set []int
	for _, line := range lines {
		ok := slices.Contains(old, line)
		if !ok {
			var err error
			if ok, err = d.f.Break(ctx, line); err != nil {
				return err
			}
		}
		if ok {
			set = append(set, line)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Breakpoints = set
	return nil
}

// eval evaluates an expression or a statement, which sees copies of the local variables, as far as the debugger shows them in full.
func (d *Debug) eval(ctx context.Context, text string) error {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	switch {
	case text == "":
		return kvdb.Invalid("text", "is empty")
	case strings.Contains(text, "\n") && strings.Contains(text, "--"):
		return kvdb.Invalid("text", "has a comment and several lines, of which the debugger makes one: leave the comment out")
	case notUndone.MatchString(text):
		return kvdb.Invalid("text", "names FLUSHALL, MIGRATE or CLUSTER, which would not be undone")
	}
	text = strings.ReplaceAll(text, "\n", " ")
	if _, err := parse.Parse(strings.NewReader("return "+text), "eval"); err == nil {
		text = "return " + text
	}
	body, err := inPieces(text)
	if err != nil {
		return err
	}
	d.mu.Lock()
	var parts []string
	left := debugPrelude
	for _, v := range d.state.Locals {
		value, ok := ldb.Literal(v.Value)
		part := "local " + v.Name + "=" + value
		if ok && len(part) <= ldb.MaxArg && len(part) <= left {
			parts = append(parts, part)
			left -= len(part)
		}
	}
	line := d.state.Line
	d.mu.Unlock()
	entries, err := d.f.Eval(ctx, append(parts, body...)...)
	if err != nil {
		return err
	}
	d.setLog(logOf(entries, line))
	return nil
}

// inPieces splits a text at blanks, so that the debugger takes it. ErrInvalid.
func inPieces(text string) ([]string, error) {
	var pieces []string
	for len(text) > ldb.MaxArg {
		i := strings.LastIndexByte(text[1:ldb.MaxArg+1], ' ') + 1
		if i <= 0 || text[i+1:] == "" || text[i+1] == ' ' {
			return nil, kvdb.Invalid("text", "has %d bytes without a single blank; the debugger takes %d", len(text), ldb.MaxArg)
		}
		pieces, text = append(pieces, text[:i]), text[i+1:]
	}
	return append(pieces, text), nil
}

// redis runs a command in the fork.
func (d *Debug) redis(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return kvdb.Invalid("args", "are missing")
	}
	if err := ldb.CheckArgs(args...); err != nil {
		return kvdb.Invalid("args", "%s", err.Error())
	}
	if notUndone.MatchString(args[0]) {
		return kvdb.Invalid("args", "name %s, which would not be undone", strings.ToUpper(args[0]))
	}
	entries, err := d.f.Redis(ctx, args...)
	if err != nil {
		return err
	}
	d.mu.Lock()
	line := d.state.Line
	d.mu.Unlock()
	d.setLog(logOf(entries, line))
	return nil
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

// closeDebug ends all sessions and the scratch server.
func (s *Store) closeDebug(ctx context.Context) {
	s.bench.mu.Lock()
	s.bench.closed = true
	var sessions []*Debug
	for _, d := range s.bench.sessions {
		sessions = append(sessions, d)
	}
	s.bench.mu.Unlock()
	for _, d := range sessions {
		d.Close()
	}
	s.bench.scratch.close(ctx)
}
