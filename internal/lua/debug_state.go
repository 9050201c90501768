package lua

import (
	"time"

	"webadmin/internal/kvdb"
)

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
