package lua

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/parse"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua/ldb"
)

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
