package redisview

import (
	"strconv"
	"time"

	"webadmin/web/templates/layout"
)

// Link leads somewhere.
type Link struct {
	Text, URL string
	Current   bool
}

// InfoPage is what the servers say of themselves.
type InfoPage struct {
	Page     layout.Page
	Note     string // where this comes from
	Nodes    []NodeRow
	Live     Live
	Sections Sections
	Memory   string // page of the biggest keys
}

// NodeRow is a server of a cluster.
type NodeRow struct {
	Link
	Role, Of, Slots string
	Memory          string
	Trouble         string
}

// Live is the part of the page that is always new.
type Live struct {
	Refresh  string
	Trouble  string // why the servers tell nothing now
	Tiles    []Tile
	Warnings []Warning
	Well     bool // there was nothing to warn of
	Charts   []Chart
	Of       string // whose the charts are
}

// Tile is one of the few that matter.
type Tile struct {
	Name, Value, Note string
	Share             int // per cent of a limit; 0 = there is none
	Bad               bool
}

// Warning is what somebody should look after.
type Warning struct {
	Kind, Node, Text, Cure string
}

// Sections are the tables.
type Sections struct {
	URL, Node, Query string
	List             []Section
	Trouble          string
}

// Section is a section of INFO.
type Section struct {
	ID, Title, Meaning string
	Columns            []string // of the parts, when all fields have the same
	Fields             []Field
}

// Field is a line of INFO. It is a text, a moment, or parts.
type Field struct {
	Name, Raw, Text, Meaning string
	At                       time.Time
	Parts                    []Part
}

// Part is one of several values.
type Part struct{ Name, Text string }

func (t Tile) share() string { return strconv.Itoa(t.Share) }

func (s Sections) count() int {
	n := 0
	for _, sec := range s.List {
		n += len(sec.Fields)
	}
	return n
}
