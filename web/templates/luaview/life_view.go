package luaview

import "time"

// Life is what a program does while nobody edits it. It reads itself anew.
type Life struct {
	Refresh, Every string
	Figures        LifeFigures
	Calls          LifeCalls
}

// LifeFigures are those of its calls in the last 24 hours.
type LifeFigures struct {
	Trouble string // why they can't be shown
	Called  bool
	More    string
	Tiles   []LifeTile
	Spark   []float64 // calls by the hour
	Words   string    // for those who don't see it
}

// LifeTile is one of the figures.
type LifeTile struct {
	Name, Value, Note, URL string
	Bad                    bool
}

// LifeCalls are its invocations as a service.
type LifeCalls struct {
	Trouble string // why they can't be shown
	Service Link
	Invoke  string // "" = not for this reader
	Never   string // why there are none
	Alone   string // why those that wait stay there; "" = they don't
	States  []LifeState
	Rows    []LifeCall // the newest
}

// LifeState is how many are in a state.
type LifeState struct {
	Name string
	N    int64
	URL  string
	Bad  bool
}

// LifeCall is an invocation.
type LifeCall struct {
	CID         Link
	Kind, State string
	Word        string // what the time is of
	At          time.Time
	Error       string
}
