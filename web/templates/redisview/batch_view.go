package redisview

import (
	"strconv"
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// BatchFormPage takes a batch of commands.
type BatchFormPage struct {
	layout.Page
	Action      string
	Text        string
	Transaction bool
	Stop        bool
	Errors      map[string]string // by field: text, transaction
	Trouble     *ConsoleFault
	Kept        []BatchRow
	Console     string
}

// BatchRow is a batch that is kept.
type BatchRow struct {
	URL      string
	Made     time.Time
	Commands int64
	State    string
}

// BatchPage is a batch: what is in it, how far it is, and the replies.
type BatchPage struct {
	layout.Page
	New   string
	Batch BatchView
}

// BatchView is what is asked for again while the batch runs.
type BatchView struct {
	URL       string
	Poll      bool
	Title     string // how many commands
	Options   string // in words
	Commands  int64
	Counts    []BatchCount
	MoreNames int
	Dangerous []BatchLine
	Refused   []BatchLine
	MoreD     string
	MoreR     string

	Run     *BatchRun // nil = it has run, or can't
	Stop    string    // "" = it doesn't run
	Begun   bool
	Done    int64
	Failed  int64
	Says    string // how long it took
	Ended   *ConsoleFault
	Replies BatchReplies
}

// BatchRun starts a batch.
type BatchRun struct {
	Action string
	Words  string // to be typed; "" = nothing is dangerous
	Error  string
}

// BatchCount says how often a command comes.
type BatchCount struct {
	Name string
	N    int64
}

// BatchLine is a line, and what there is to say about it.
type BatchLine struct {
	Line            int
	Command, Reason string
}

func (l BatchLine) line() string { return strconv.Itoa(l.Line) }

// BatchReplies is a page of the replies.
type BatchReplies struct {
	Rows     []BatchReply
	Filter   ConsoleLink // only failed ones, or all
	Failed   bool        // only those are shown
	Download string
	Pager    ui.PagerProps
}

// BatchReply is what came of a command.
type BatchReply struct {
	N             int
	Command, Text string
	Cut, Failed   bool
	Again         string // the console with the command, which gives all of a reply that was cut; "" = it was not
}

func (r BatchReply) n() string { return strconv.Itoa(r.N) }
