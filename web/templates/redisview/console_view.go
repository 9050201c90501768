package redisview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// ConsolePage is the console.
type ConsolePage struct {
	layout.Page
	Role     string // what the reader may run
	Action   string // where commands go
	Complete string // what may come next
	History  string
	Batch    string
	Bar      ConsoleBar
	Text     string // in the field
	Entries  []ConsoleEntry
	Others   []ConsoleSession // the reader's other consoles
}

// ConsoleBar is what stands before the field: it says how the session is.
type ConsoleBar struct {
	Session string // "" = none was opened yet
	Prompt  string
	Running string // what runs; "" = nothing does
	Stop    string // ends it
	End     string // closes the session
	Page    string // with this session
}

// ConsoleSession is a session of the reader.
type ConsoleSession struct {
	Prompt  string
	Opened  time.Time
	Running string // what runs in it; "" = nothing
	Page    string
	End     string
}

// ConsoleEntry is a command and what came of it.
type ConsoleEntry struct {
	ID      string
	Prompt  string
	Line    string // secrets masked; "" = there is no command
	Took    string
	Output  string       // as redis-cli prints it
	Note    string       // what of the output is left out
	Rest    *ConsoleSend // gives all of it
	Failed  bool         // an error of Redis
	Tree    *ui.ReplyValue
	JSON    string // "" = too large for a page
	Notes   []string
	Keep    string // nothing ran: this goes back into the field
	Clear   bool   // the screen is to be empty
	Stream  string // messages follow from here
	Fault   *ConsoleFault
	Confirm *ConsoleConfirm
}

// ConsoleFault says why there is no reply.
type ConsoleFault struct {
	Kind  string // error or warning
	Title string
	Text  string
	See   []ConsoleLink
	Rest  string        // the commands that did not run
	Do    []ConsoleSend // ways on
}

// ConsoleLink is a place to look.
type ConsoleLink struct{ Text, URL string }

// ConsoleSend sends commands again in another way.
type ConsoleSend struct {
	Kind, Text, Icon string
	Action           string
	Fields           []ConsoleHidden
}

// ConsoleHidden is a hidden field.
type ConsoleHidden struct{ Name, Value string }

// ConsoleConfirm asks before a dangerous command runs.
type ConsoleConfirm struct {
	Action  string
	Word    string
	What    string // what the command does, in the server's words
	Error   string
	Session string
	Text    string // it, and what comes after it
	After   int    // commands that come after it
}

// ConsoleMessages are messages of a stream.
type ConsoleMessages struct {
	Items []ConsoleMessage
	Count string // how many came, and how many were dropped
}

// ConsoleMessage is one of them.
type ConsoleMessage struct {
	At      time.Time
	Text    string
	Note    string
	Dropped string // how many before it were too many to keep
}

// ConsoleHelp is what may come at the cursor.
type ConsoleHelp struct {
	Name, Summary, Deprecated string
	Syntax                    []ConsolePart
	Suggestions               []ConsoleSuggestion
	From                      int // where in the line a suggestion goes, in UTF-16 as browsers count
	Trouble                   string
}

// ConsolePart is an argument in the syntax of a command.
type ConsolePart struct {
	Text    string
	Current bool
}

// ConsoleSuggestion is a word that may come.
type ConsoleSuggestion struct{ Text, Kind, Summary string }

// ConsoleHistory are the lines that the reader typed.
type ConsoleHistory struct {
	layout.Page
	URL    string
	Q      string
	Rows   []ConsoleHistoryRow
	Forget string
	Back   string
}

// ConsoleHistoryRow is one of them.
type ConsoleHistoryRow struct {
	At   time.Time
	Line string
	URL  string // fills the field with it
}
