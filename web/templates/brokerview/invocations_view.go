package brokerview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// InvocationFilters are the fields above a list of invocations.
type InvocationFilters struct {
	URL     string
	Search  ui.SearchProps
	State   *ui.SelectProps // nil = the page has other ways to choose it
	Service *ui.FieldProps  // nil = the page is that of one
	Hidden  []Hidden        // what else holds
}

// InvocationList is a page of invocations.
type InvocationList struct {
	Title    string
	Services bool // of several services
	Refresh  string
	Rows     []InvocationRow
	Pager    ui.PagerProps
	Nothing  *Nothing // in place of the rows
	Searched string   // how far a search has looked; "" = through all
}

// InvocationRow is an invocation in a list.
type InvocationRow struct {
	CID, Service Link
	State        Badge
	Sent         time.Time
	Attempts     string // "2 of 5"
	When         Moment // due, since, ended
	Error        string // why it failed last; else
	Payload      string // the beginning of what was sent
}

// InvocationsPage lists the invocations of all services.
type InvocationsPage struct {
	layout.Page
	Notices  []Notice
	Filters  InvocationFilters
	List     InvocationList
	Services string
	Invoke   string // "" = not for this reader
}

// InvocationPage is one invocation.
type InvocationPage struct {
	layout.Page
	CID     string
	State   InvocationState
	Payload Data
	Again   string // sends the same once more; "" = not for this reader
}

// InvocationState is how an invocation is now. Until it has ended it reads itself anew.
type InvocationState struct {
	CID      string
	Refresh  string // "" = it has ended
	State    Badge
	Service  Link
	By       string
	Sent     time.Time
	When     Moment // due, since, ended
	Expires  time.Time
	Attempts string // "2 of 5"
	Waits    string // for what it waits, in a sentence; "" = for nothing
	Facts    []string
	ReplyTo  Link // the invocation whose reply this one carries
	Callback Link // the service that gets the reply
	CallCID  Link // the invocation of it
	Runs     Link // of its program, on its behalf; no URL = it is none of a program
	Records  Link // of the audit log, on its behalf
	Result   *Data
	Error    string
	Fatal    bool // the error is the last word
	Timeline []AttemptRow
	Cancel   string // "" = it has ended, or not for this reader
	Retry    string // of a dead one
	Edit     string // with another payload
	Delete   string // asks before it deletes it
}

// AttemptRow is a run of an invocation.
type AttemptRow struct {
	N      int
	Worker string
	Began  time.Time
	Took   string
	Error  string
	Done   bool
	Now    Moment // of the one that goes on: until when its lease holds
}

// InvokePage is the form that invokes a service.
type InvokePage struct {
	layout.Page
	Form InvokeForm
}

// InvokeForm invokes a service.
type InvokeForm struct {
	Action, Op               string
	Problem                  *Problem
	Service                  ui.FieldProps
	Services                 []string // to choose from
	Payload                  Editor
	Delay, Expires, Attempts ui.FieldProps
	Callback, Key            ui.FieldProps
	More                     bool // the lesser fields are open
	Cancel                   string
}

// Problem says why a form was not taken, with what to look at.
type Problem struct {
	Kind, Text string
	Link       Link
}

// EditPage is the form that retries a dead letter with another payload.
type EditPage struct {
	layout.Page
	CID      string
	Service  Link
	Error    string // it died of
	Attempts string
	Problem  *Problem
	Payload  Editor
	Action   string
	Cancel   string
}

// GonePage is in place of an invocation that is not there.
type GonePage struct {
	layout.Page
	CID   string
	Kept  string // how long its service keeps those that have ended
	None  bool   // it never was one
	Links []Action
}
