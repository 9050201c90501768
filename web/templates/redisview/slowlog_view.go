package redisview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// Confirmation asks before something that can't be taken back.
type Confirmation struct {
	Title, Text string
	Word        string // what is to be typed
	Error       string
	Action      string
	Button      string
	Cancel      string
	Hidden      [][2]string
}

// ConfirmPage asks on a page of its own.
type ConfirmPage struct {
	Page    layout.Page
	Confirm Confirmation
}

// SlowPage is the slow log.
type SlowPage struct {
	Page    layout.Page
	Note    string // what counts as slow
	Off     string // that nothing does, and how to change it
	Reset   string // "" = not for this reader
	URL     string
	Limit   ui.SelectProps
	Search  ui.SearchProps
	Sort    string // that the filter keeps
	Rows    []SlowRow
	Summary string
	Bound   string // what was not searched; "" = all was
	More    string // where it is
	Node    bool   // there are several servers
	At      SortLink
	Took    SortLink
	Latency Latency
}

// SortLink is a column that sorts.
type SortLink struct {
	URL       string
	Direction string // ascending or descending; "" = it is not sorted by this
}

// SlowRow is a command.
type SlowRow struct {
	At           time.Time
	Took         string
	Line, Name   string
	Client, Node string
}

// Latency is what the monitor of latency says.
type Latency struct {
	Note string
	Rows []LatencyRow
}

// LatencyRow is a kind of work.
type LatencyRow struct {
	Name, Meaning, Node string
	At                  time.Time
	Last, Max           string
}

// ClientsPage is the list of clients.
type ClientsPage struct {
	Page   layout.Page
	URL    string
	Search ui.SearchProps
	Kind   ui.SelectProps
	Sort   ui.SelectProps
	List   ClientList
}

// ClientList are those that match.
type ClientList struct {
	Rows    []ClientRow
	Summary string
	Node    bool
}

// ClientRow is a connection.
type ClientRow struct {
	ID                    string
	Addr, Name, User      string
	Age, Idle             string
	DB                    string
	Command, Memory, Node string
	Flags                 []string
	Ours                  bool
	Console, ConsoleURL   string // whose console it is; "" = nobody's, or not for this reader
	Kill                  string // "" = not for this reader
}

// MemoryPage is what takes the memory.
type MemoryPage struct {
	Page   layout.Page
	Job    Job
	Doctor []Doctor
}

// Job looks for the biggest keys.
type Job struct {
	Refresh string // while it runs
	Start   string
	Cancel  string // "" = it doesn't run
	Form    JobForm
	Known   bool // there is something to show
	Running bool
	Note    string
	Trouble string
	Looked  int64
	Total   int64
	Types   []TypeRow
	Keys    []BigKeyRow
}

// JobForm is what to look for.
type JobForm struct {
	Match, MatchError string
	Type              ui.SelectProps
	Most              ui.SelectProps
}

// TypeRow is what keys of a type have together.
type TypeRow struct {
	Type  string
	Keys  int64
	Size  int64
	Share int
}

// BigKeyRow is a big key.
type BigKeyRow struct {
	Name, URL, Type string
	Size            int64
	TTL             string
	Own             bool
}

// Doctor is what a server says about its memory.
type Doctor struct{ Node, Text string }
