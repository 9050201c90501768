// Package overviewview shows what needs someone, what was changed, how the server is, and what there is.
package overviewview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// OverviewPage is the first page.
type OverviewPage struct {
	layout.Page
	Needs    Needs
	Pulse    Pulse
	Warnings []Warning
	Trouble  string // why what is below can't be shown; "" = it is
	Steps    []Step // in an empty store, in place of what there is
	Dict     Dictionaries
	Changes  Changes
	Accounts []Number // for administrators
}

// Warning is about the configuration: what is wrong, and what to do about it.
type Warning struct{ Text, Cure string }

// Link leads somewhere.
type Link struct{ Text, URL string }

// Step is what one does first; Do is empty for who may not.
type Step struct {
	Icon, Title, Text string
	Do                []Link
}

// Needs is what waits for someone. It reads itself anew.
type Needs struct {
	Refresh, Every string
	Items          []Need   // the worst first; none = nothing does
	Unknown        []string // what could not be told
}

// Need is something that waits for someone: how many there are, and the list of them.
type Need struct {
	Kind string // of the notice: warning or error
	N    int64
	Text string
	URL  string
	Most string // the one that matters most, as a value; "" = none
	Note string // about that one
}

// Pulse is how the server is. It reads itself anew.
type Pulse struct {
	Refresh, Every string
	Info           string // the page with more
	Status, Says   string // Says is what is wrong, or which server it is
	Tiles          []PulseTile
}

// PulseTile is a figure with its last minute.
type PulseTile struct {
	Name, Value, Note, URL string
	Words                  string // for those who don't see the line
	ui.Curve
}

// Changes are the last changes of everything.
type Changes struct {
	Rows    []Change
	Note    string // what is not among them
	History string // of the dictionaries
	Audit   string
}

// Change is one of them: kind, name and what was done to it, or a summary in Done alone.
type Change struct {
	At               time.Time
	By               string
	Kind, Name, Done string
	URL              string
	Undo             string // where it can be undone; "" = it can't, or not by this reader
	Mark             Mark
}

// Mark is a word beside a change; "" = none.
type Mark struct{ Kind, Text string }

// Number is a count and the list that is behind it.
type Number struct {
	Name string
	N    int64
	URL  string
	Warn bool // it waits for someone
}

// Dictionaries are the counts of the dictionaries.
type Dictionaries struct {
	Numbers    []Number
	Systems    []System
	More       int64  // systems that are not in the list
	AllEntries string // list of what they all have
}

// System is one system with what is filed under it.
type System struct {
	Name     string
	Entries  Number
	From, To Number // translations that map from it and to it
}

// statusKind is the badge of the server's status.
func (p Pulse) statusKind() string {
	switch p.Status {
	case "ok":
		return "success"
	case "":
		return "plain"
	case "loading", "busy":
		return "warning"
	}
	return "error"
}

func (p Pulse) statusText() string {
	if p.Status == "" {
		return "not known yet"
	}
	return p.Status
}
