// Package overviewview shows what there is, and what needs someone.
package overviewview

import (
	"time"

	"webadmin/web/templates/layout"
)

// OverviewPage is the first page.
type OverviewPage struct {
	layout.Page
	Warnings []Warning
	Needs    []Need // what waits for someone; none = nothing does
	Server   Server
	Dict     Dictionaries
	Accounts []Number // for administrators
}

// Warning is what needs someone, and what to do about it.
type Warning struct{ Text, Cure string }

// Need is something that waits for someone: how many there are, and the list of them.
type Need struct {
	Kind string // of the notice: warning or error
	N    int64
	Text string
	URL  string
	Most string // the one that matters most, as a value; "" = none
	Note string // about that one
}

// Number is a count and the list that is behind it.
type Number struct {
	Name string
	N    int64
	URL  string
	Warn bool // it waits for someone
}

// Server is the Redis server at a glance.
type Server struct {
	Status, Trouble       string // Trouble is what is wrong in a sentence
	Address, Version      string
	Mode                  string
	Ops, Clients          int64
	UsedMemory, MaxMemory int64 // MaxMemory 0 = no limit
	Up                    time.Duration
}

// Dictionaries are the counts of the dictionaries.
type Dictionaries struct {
	Trouble    string // why they can't be shown; "" = they are
	Numbers    []Number
	Systems    []System
	More       int64  // systems that are not in the list
	AllEntries string // list of what they all have
	Changes    []Change
	ChangesURL string // list of them all
	Import     string // where to bring data in; "" = not for this reader
}

// System is one system with what is filed under it.
type System struct {
	Name     string
	Entries  Number
	From, To Number // translations that map from it and to it
}

// Change is one change of the dictionaries.
type Change struct {
	At               time.Time
	By, Summary, URL string
	Undone           bool
}

// statusKind is the badge of a server's status.
func (s Server) statusKind() string {
	switch s.Status {
	case "ok":
		return "success"
	case "":
		return "plain"
	case "loading", "busy":
		return "warning"
	}
	return "error"
}

func (s Server) statusText() string {
	if s.Status == "" {
		return "not known yet"
	}
	return s.Status
}

// upText says how long the server runs in its largest unit.
func (s Server) upText() string {
	switch {
	case s.Up >= 48*time.Hour:
		return plural(int64(s.Up/(24*time.Hour)), "day")
	case s.Up >= 2*time.Hour:
		return plural(int64(s.Up/time.Hour), "hour")
	case s.Up >= 2*time.Minute:
		return plural(int64(s.Up/time.Minute), "minute")
	}
	return plural(int64(s.Up/time.Second), "second")
}
