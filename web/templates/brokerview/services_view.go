package brokerview

import (
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// ServicesPage is the page of all services.
type ServicesPage struct {
	layout.Page
	Notices []Notice
	Filters ServiceFilters
	List    ServiceList
	All     string // the invocations of all services
	Invoke  string // "" = not for this reader
}

// ServiceFilters are the fields above the list.
type ServiceFilters struct {
	URL    string
	Search ui.SearchProps
	Which  ui.SelectProps
}

// ServiceList is a page of services.
type ServiceList struct {
	Refresh string // where it reads itself anew
	Figures bool   // calls and times are known
	Rows    []ServiceRow
	Pager   ui.PagerProps
	Nothing *Nothing // in place of the rows
}

// ServiceRow is a service with what waits and goes on.
type ServiceRow struct {
	Name                                     Link
	Handler                                  Link   // who handles it; without text nobody has yet
	Alone                                    string // what waits and nobody handles, in words; "" = nothing
	Paused                                   bool
	Queued, Running, Retrying, Delayed, Dead Count
	Oldest                                   string // how long the first in the queue has waited
	Rate                                     string // calls in a second
	Wait, Run                                Times
	Stats                                    string   // more of these figures
	Switch                                   *Switch  // nil = not for this reader
	Menu                                     []Action // what else can be done
}

// Times are the median and the 95th percentile of a time; "" = not known.
type Times struct{ P50, P95 string }

// Switch pauses a service, or has it go on.
type Switch struct {
	Action string
	Paused bool // as it is now
}

// ServicePage is a service: how it is, its invocations and its policy.
type ServicePage struct {
	layout.Page
	Name    string
	Notices []Notice
	State   ServiceState
	Filters InvocationFilters
	List    InvocationList
	Policy  PolicyForm
	Invoke  string // "" = not for this reader
	Stats   string // "" = there are none
	Program Program
	Unknown bool // nothing was ever sent to it
}

// Program is the Lua program that a service is; without a URL it is none.
type Program struct {
	Name, URL string
	Gone      bool // there is none of that name
}

// ServiceState is how a service is now. It reads itself anew.
type ServiceState struct {
	Refresh string
	Row     ServiceRow
	Tabs    []StateTab
}

// StateTab is a state with how many are in it, and leads to their list.
type StateTab struct {
	Text    string
	Count   Count
	Current bool
	Urgent  bool // someone should look
}

// PolicyForm is how a service is treated.
type PolicyForm struct {
	Action  string // "" = not for this reader
	Version string
	Error   string
	Stale   bool // somebody else has changed it: the values of both are shown
	Fields  []PolicyField
	Changed string // what is to be said of it; "" = nothing
}

// PolicyField is a part of a policy.
type PolicyField struct {
	Name, Label, Value, Hint, Error string
	Theirs                          string // what somebody else has made of it meanwhile; "" = the same
	Number                          bool
}
