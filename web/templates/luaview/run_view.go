package luaview

import (
	"strconv"
	"time"

	"github.com/a-h/templ"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// RunView is what stands beside a program's text: its arguments, what can be done with them, and what came of it.
type RunView struct {
	Name      string // of the program; "" = ad hoc
	Arguments ArgumentsView
	ReadOnly  bool
	Source    *string // the text, on a page that has no editor; nil = the editor's is taken
	Only      string  // why the reader can't run anything; "" = they can

	DryRun, Run, Debug string          // where the form goes; the button of Debug is the editor's
	Result             templ.Component // nil = nothing was run yet
	Busy               BusyView
	Examples           *ExamplesView // nil = there are none of an ad hoc program
	Runs               RunsView
}

// ArgumentsView are the rows of KEYS and ARGV. An empty value is a row, too.
type ArgumentsView struct {
	Keys, Values []string
	Change       string // where rows are added and removed; "" = they can't be
	Focus        string // id of the field that gets the focus
}

// argument is one row.
type argument struct {
	Field, List, Label, Remove string
	N                          int
	Value                      string
}

func (a argument) id() string   { return a.Field + "-" + strconv.Itoa(a.N) }
func (a argument) drop() string { return a.Field + "." + strconv.Itoa(a.N) }

func arguments(field, list string, values []string) []argument {
	rows := make([]argument, len(values))
	for i, v := range values {
		label := list + "[" + strconv.Itoa(i+1) + "]"
		rows[i] = argument{Field: field, List: list, Label: label, N: i + 1, Value: v}
	}
	return rows
}

// RunPage is a run on a page of its own, for who has no scripts.
type RunPage struct {
	layout.Page
	Title string
	Run   RunView
	Back  Link
}

// Fault is an error of a program, or what stands in the way of a run.
type Fault struct {
	Kind  string // error or warning
	Title string
	Text  string
	Line  int      // of the program; 0 = not known
	More  string   // what to know about it
	Names []string // what it is about: keys, or names of programs
	See   []Link   // where to look
	Do    []Send   // ways on
}

// Send is a form that sends the run once more in another way.
type Send struct {
	Kind, Text, Icon string
	Action           string
	Fields           []Hidden
}

// Result is what came of a run.
type Result struct {
	Title     string // "Run", "Read-only run" …
	Says      string // quiet words behind it
	Badge     string
	Reply     *ui.ReplyValue // nil = there is none
	Raw, JSON string         // "" = too large for a page
	Notes     []string
	Fault     *Fault
	Link      string // fills the form again; "" = too long for an address
	Copy      string // the same from anywhere
	Save      *ExampleForm
}

func (r Result) kind() string {
	if r.Fault != nil && r.Fault.Kind == "error" {
		return "error"
	}
	return "success"
}

// DryRun is what a program would do.
type DryRun struct {
	Says    string // "2 calls, nothing was written"
	Badge   string
	Rung    string // where it ran, when that is not the best place; "" = it is
	Unsaved bool   // it is of the text in the editor, which is not the saved one
	Calls   []Call
	More    string // how many calls are not listed
	Changes []Change
	Notes   []string
	Result  Result // reply or fault
	Apply   *Apply // nil = there is nothing to apply
}

// Call is a call of a command.
type Call struct {
	Line           int // 0 = what the program returns
	Name           string
	Args           []string
	Reply          string
	Failed, Writes bool
}

// Change is what would become of a key.
type Change struct {
	Key           string
	Words         string // "string, no expiry → gone"
	Before, After []string
	Note          string // what is left out
}

// mostSame is how many lines that are the same are shown in a row.
const mostSame = 3

// lines are those of the value before and after; instead of many that are the same stands how many there are.
func (c Change) lines() []TextLine {
	ended := func(lines []string) []string {
		out := make([]string, len(lines))
		for i, line := range lines {
			out[i] = line + "\n"
		}
		return out
	}
	all := diffLines(ended(c.Before), ended(c.After))
	var out []TextLine
	for i := 0; i < len(all); {
		end := i
		for end < len(all) && all[end].Kind == "same" {
			end++
		}
		switch n := end - i; {
		case n > mostSame:
			out = append(out, TextLine{Kind: "same", Text: "… " + strconv.Itoa(n) + " that stay the same"})
		case n > 0:
			out = append(out, all[i:end]...)
		default:
			out = append(out, all[i])
			end++
		}
		i = end
	}
	return out
}

// Apply does for real what was tried.
type Apply struct {
	Action string
	Fields []Hidden
	Says   string
}

// DebugView is a debug session.
type DebugView struct {
	ID          string
	Badge       string // of the reply
	Where       string // "stopped at line 7: step"
	Line        int    // where it stands; 0 = it has ended
	Action, End string
	Stream      string // holds the session open; "" = it has ended
	EndsAt      time.Time
	Locals      []Variable
	Arguments   []Variable
	Trace       []FrameRow
	Log         []LogRow
	Breakpoints string
	Eval, Redis string // what was typed
	Error       string // why the last command was not carried out
	Result      *Result
	Focus       string // id of what gets the focus
}

// Variable is a name with its value. Rounded says that a number is shown with fewer digits than it has.
type Variable struct {
	Name, Value string
	Rounded     bool
}

// FrameRow is a call under way.
type FrameRow struct {
	Line int
	Text string
}

// LogRow is a line of what happened.
type LogRow struct {
	Kind, Text string
	Line       int
}

// RunsView are the last runs.
type RunsView struct {
	Title   string // "" = they are the last ones
	Refresh string // asks for this panel again after a run; "" = it stays
	Rows    []RunRow
	All     Link   // the page with all of them, or what is shown again; no URL = this is it
	Filter  Link   // shows only failures, or all
	Failed  bool   // only failures are shown
	None    string // what stands where none is; "" = that nobody has run it
	Trouble string // why they can't be shown
}

// RunRow is one run.
type RunRow struct {
	At           time.Time
	Who, Mode    string
	CID          Link // the invocation on whose behalf it ran; without a URL, one that is none of this broker
	Keys, Values []string
	Text         string // of an ad hoc run: its beginning
	Outcome      string // done, failed or unknown
	Result       string
	Line         int // of the error
	Took         string
	Again        string // fills the form again; "" = it can't
}

// RunsPage lists the last runs.
type RunsPage struct {
	layout.Page
	Title string
	Runs  RunsView
	Back  Link
}

// ExamplesView are the saved examples of a program.
type ExamplesView struct {
	Rows    []ExampleRow
	Test    string // where one or all are tested; "" = not for this reader
	Kind    string // success or error: what the test said
	Tested  string
	Trouble string // why they can't be shown
}

// ExampleRow is one example.
type ExampleRow struct {
	ID, Title    string
	Keys, Values []string
	ReadOnly     bool
	Expect       string // "" = only that it succeeds
	Fill         string // fills the form
	Delete       string // "" = not for this reader
	State        string // "" = not tested, else passed or failed
	Got          string // of a failed one: the reply, where another one was expected
	Why          string // of a failed one: in words
}

// ExampleForm saves what was run.
type ExampleForm struct {
	Action string
	Title  string
	Error  string
	Fields []Hidden
	Expect string
}

// BusyView says that the server does nothing but one script; else it only asks again whether that is so.
type BusyView struct {
	URL   string // asks again
	Busy  bool
	Text  string
	Since time.Time // zero = not known
	Kill  string    // "" = not for this reader, or it can't be done
	Why   string    // why not
}

// BusyPage is in place of a page that the busy server can't give.
type BusyPage struct {
	layout.Page
	Busy      BusyView
	RequestID string
}
