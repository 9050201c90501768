package brokerview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// DeadPage is the page of dead letters.
type DeadPage struct {
	layout.Page
	Notices []Notice
	Filters DeadFilters
	Groups  []DeadGroup
	List    DeadList
	Jobs    []Link // what was done to many lately
}

// DeadFilters are the fields above the list.
type DeadFilters struct {
	URL      string
	Search   ui.SearchProps
	Service  ui.FieldProps
	Services []string // to choose from
	Older    ui.SelectProps
	Group    string // fingerprint of the error that is looked at; "" = any
	Clear    string // "" = there are no filters
}

// DeadGroup is how many died of the same.
type DeadGroup struct {
	Count   Count
	Service Link
	Example string
	Newest  time.Time
	Current bool
	Retry   string // counts them first; "" = not for this reader
	Fields  []Hidden
}

// DeadList is a page of dead letters.
type DeadList struct {
	Title   string
	Rows    []DeadRow
	Pager   ui.PagerProps
	Nothing *Nothing // in place of the rows
	Many    *Many    // nil = not for this reader
	Error   string
}

// Many does something to the ticked ones, or to all that match.
type Many struct {
	Action string   // of the ticked ones
	All    string   // counts all that match first
	Fields []Hidden // which they are
}

// DeadRow is a dead letter.
type DeadRow struct {
	CID, Service Link
	Error        string
	Attempts     string
	Died         time.Time
	Edit         string // "" = not for this reader
}

// JobPage is something that is done to many dead letters.
type JobPage struct {
	layout.Page
	Title string
	Job   Job
	Dead  string
}

// Job is how far it is.
type Job struct {
	URL          string
	Facts        []string // which they are
	Running      bool
	Doing        string
	Done, Total  int64
	Kind, Notice string
	Cancel       string      // stops it; "" = nothing goes on
	Confirm      *JobConfirm // nil = there is nothing to confirm
	Back         string
}

// JobConfirm asks before it is done.
type JobConfirm struct {
	Action, Text, Kind, Button string
	Rate                       *ui.SelectProps // how many in a second; nil = at once
	Typed                      *ui.FieldProps  // how many they are, to be typed; nil = need not be
}
