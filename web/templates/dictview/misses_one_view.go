package dictview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// MissOnePage is one miss on a page of its own.
type MissOnePage struct {
	layout.Page
	List string
	Miss MissOne
}

// MissOne is a miss from the failed lookup to the retry: what was asked for, its translation or the form for it, and who met it.
type MissOne struct {
	System1, Key1, Value1 string
	System2, Key2         string
	Badge                 Badge
	Count                 int64 // 0 = it is no miss (any more)
	First, Last           time.Time
	Answer                *MissAnswer // nil = there is none
	Form                  *MissForm   // nil = there is nothing to add, or not for this reader
	Said                  string      // instead of a form
	Met                   Met
}

// Badge is a word in a colour.
type Badge struct{ Kind, Text string }

// MissAnswer is the translation that was missing.
type MissAnswer struct {
	Value2 string
	See    Link
}

// MissForm adds the translation that is missing.
type MissForm struct {
	Action string
	Hidden []Hidden
	Draft  string // names what is typed, which is kept until it is saved
	Value2 Input
	State  State
	Error  string // what is wrong with the whole
}

func (f MissForm) field() ui.FieldProps {
	return ui.FieldProps{
		ID: "miss-value2", Name: "value2", Label: "Value there", Value: f.Value2.Value, Error: f.Value2.Error, Mono: true, ReadOnly: f.State == Unknown,
		Autofocus: f.Value2.Error != "" || f.Error != "",
	}
}

// Met are the invocations that met a miss, as they are now.
type Met struct {
	URL     string // reads it anew
	Live    bool   // it keeps itself up to date
	Figures []MetFigure
	Retries string // what is to be known of those that try again by themselves
	Next    time.Time
	Retry   *MetRetry // nil = nothing to retry, or not for this reader
	Waits   string    // why there is nothing to retry yet
	Rows    []MetRow
	More    string // says that there are more, with All
	All     string
	Trouble string // why it can't be told
}

// MetFigure says how many invocations are in a state.
type MetFigure struct {
	Badge
	N string
}

// MetRetry queues the dead letters again.
type MetRetry struct {
	Action, Button string
	Hidden         []Hidden
}

// MetRow is an invocation that met a miss.
type MetRow struct {
	CID     Link // without a URL: it is none of this broker
	Service Link
	State   Badge
	Word    string // about When: due, since
	When    time.Time
	At      time.Time // it met the miss
	Error   string
}
