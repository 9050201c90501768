package stats

import "time"

// Other is the name under which everything counts that is beyond MaxServices names.
const Other = "(other services)"

// All is the name under which the calls of all services but the product's own are counted once more, for the figures that can't be had
// from those of each: percentiles, and trends. It is in no report and no list. What is deleted of single services stays in it.
const All = "(all services)"

// Limits of what is recorded.
const (
	MaxServices = 5_000               // distinct names; what is beyond counts under Other
	MaxName     = 200                 // characters of a service's name
	MaxCID      = 200                 // characters of a sample's cid
	MaxDuration = 24 * time.Hour      // of one call
	MaxPast     = 35 * 24 * time.Hour // how far back a sample's time may lie
	MaxFuture   = time.Minute         // and how far ahead, for clocks that differ
)

// WaitPrefix begins the names of services that are the waiting of others: "wait:orders" is how long calls of orders waited.
const WaitPrefix = "wait:"

// Sample is one call of a service, as other servers post it.
type Sample struct {
	Service string
	Took    time.Duration
	At      time.Time // when the call ended; zero = now
	Failed  bool
	CID     string // of the call, "" = none
}

// Rejected is a sample of a batch that was not recorded, and why.
type Rejected struct {
	Index  int
	Reason string
}

// Range is the time from From (inside) to To (outside). A To in the future means all up to now.
type Range struct{ From, To time.Time }

// Len is how long the range is.
func (r Range) Len() time.Duration { return r.To.Sub(r.From) }

// Sort is the figure by which services are ordered, the largest first.
type Sort string

// The orders of services.
const (
	SortUsage  Sort = "usage"
	SortMean   Sort = "mean"
	SortP95    Sort = "p95"
	SortMax    Sort = "max"
	SortTotal  Sort = "total"
	SortErrors Sort = "errors"
)

// Sorts are all orders.
var Sorts = []Sort{SortUsage, SortMean, SortP95, SortMax, SortTotal, SortErrors}

// Step is the length of the parts into which a range is cut for a chart: minute, hour or day, all of UTC.
type Step string

// The steps.
const (
	StepMinute Step = "minute"
	StepHour   Step = "hour"
	StepDay    Step = "day"
)

// Steps are all steps.
var Steps = []Step{StepMinute, StepHour, StepDay}

// Figures are what is known of the calls of a service in a range; all include the failed ones. Usage, Failed, Total, Min and Max
// are exact, Mean is Total/Usage, and PNN is the smallest recorded value with at least NN % of the values at or below it, within
// ErrorBound of it. All are zero where there was no call.
type Figures struct {
	Usage, Failed                 int64
	Total                         time.Duration
	Mean, Min, Max, P50, P95, P99 time.Duration
	Rate                          float64 // calls per second of the range; of a range that reaches into the future, up to now
	UsageShare, TimeShare         float64 // 0 to 1, of all services of the report (those hidden as internal do not count)
}

// Which narrows a report; its zero value leaves all services.
type Which struct {
	Failed bool   // only those with failed calls
	Slow   bool   // only those that are Slow or Slower: see Attention
	Prefix string // only those whose names begin with it
	Not    string // none whose name begins with it; "" = all
}

// ServicesOptions say which services a report is of and what it says of each.
type ServicesOptions struct {
	Sort     Sort   // "" = SortUsage
	Limit    int    // how many at most; 0 = all
	Filter   string // only names that contain it, upper and lower case alike
	Which    Which
	Internal bool   // services of the product itself too
	Compare  *Range // the same figures of another range as Before
	Spark    int    // about how many points the sparklines have; 0 = none
	Marks    bool   // fill in Attention, which reads last week's figures too
}

// ServicesReport is the answer of Services.
type ServicesReport struct {
	Range      Range  // what the figures are really of: the asked one, cut at what is still kept as finely
	Before     *Range // the same of Compare
	Items      []ServiceFigures
	Matched    int     // how many services there are, before Limit
	All        Figures // of all services together, Limit or not
	AllBefore  *Figures
	ErrorBound float64 // of the percentiles: 0.011, or 0.044 where minutes are part of them
	Others     bool    // there were more than MaxServices names: some calls are counted as Other
	Hidden     int     // services of the product itself that were left out
}

// ServiceFigures are the figures of one service.
type ServiceFigures struct {
	Service  string
	Internal bool // one of the product itself
	Figures
	Before     *Figures  // of Compare; nil where there was none
	SparkUsage []float64 // calls in each part of the range
	SparkMean  []float64 // their mean in milliseconds, 0 where there was no call
	Attention  Attention
}

// Attention says what is worth a look.
type Attention struct {
	Slow     bool          // Mean is over Settings.SlowMean
	Busy     bool          // UsageShare is over Settings.BusyShare
	Slower   bool          // Mean is over twice that of the same range a week ago
	LastWeek time.Duration // the mean of the same range a week ago, 0 = no calls
}

// Point is a part of a trend. Parts without calls are there too, with Figures of zero.
type Point struct {
	At  time.Time // where it begins
	End time.Time
	Figures
}

// Heat is how the durations of a service are spread, over time: the count of Cells[i][j] is of the calls in the part that begins
// at At[i] which took from Bounds[j] to under Bounds[j+1].
type Heat struct {
	Step   Step
	At     []time.Time
	Bounds []time.Duration // one more than a row of Cells has; empty where there were no calls
	Cells  [][]int64
	Max    int64 // the largest cell
}

// SlowFilter chooses among the slow calls that are kept.
type SlowFilter struct {
	Service  string        // "" = all
	Min      time.Duration // at least that slow
	Over     bool          // only those over their service's threshold
	Range    Range         // zero = all that is kept
	Internal bool          // those of the product's own services too; a Service that is named is always shown
}

// SlowCall is one of the slowest calls of its day: the slowest 100 of each service and the slowest 1,000 of all are kept.
type SlowCall struct {
	Service   string
	Took      time.Duration
	At        time.Time // when it ended
	CID       string    // "" = none
	Failed    bool
	Threshold time.Duration // that of its service now, 0 = none

	unique string // tells it from others of the same moment, once it is written
}

// Over is whether the call took longer than its service's threshold.
func (c SlowCall) Over() bool { return c.Threshold > 0 && c.Took > c.Threshold }

// Threshold is from where on calls of a service count as slow.
type Threshold struct {
	Service string
	Took    time.Duration
}

// Settings of the statistics, the same for all processes.
type Settings struct {
	Recording bool // false = nothing is recorded any more
	// How long each resolution is kept.
	Minutes, Hours, Days, Months time.Duration
	SlowMean                     time.Duration // a mean above it is marked
	BusyShare                    float64       // and so is a share of all calls above it, 0 to 1
	Threshold                    time.Duration // of services without one of their own; 0 = none
	Version                      int64
	UpdatedAt                    time.Time // zero = never: these are the defaults
	UpdatedBy                    string
}

// StaleSettings says that the settings were changed since they were read. It is a kvdb.ErrConflict.
type StaleSettings struct{ Current Settings }

// Counters are what this process could not do with its samples since it started, and Others across all processes.
type Counters struct {
	Dropped int64     // samples that found no room while Redis was away
	Unknown int64     // samples of which nobody knows whether Redis has them
	Unnamed int64     // samples that were counted as Other
	Waiting int64     // samples that are not in Redis yet
	LastOK  time.Time // last time that everything was in Redis
	LastErr string    // in words; "" = none since
}

// Memory is what statistics cost in Redis, estimated from the services there are.
type Memory struct {
	Services   int
	Used       int64            // measured over a sample of the services
	PerService int64            // of one that is called every minute, for the whole retention
	Full       int64            // all services called every minute, for the whole retention
	Each       ResolutionMemory // PerService by resolution
}

// ResolutionMemory is bytes per resolution, and of the slowest calls.
type ResolutionMemory struct{ Minutes, Hours, Days, Months, Slow int64 }

// Deleted is what a deletion of a range took away.
type Deleted struct {
	Range    Range // what was really deleted: the asked range, cut at what is still kept as finely
	Services int   // that had calls there
	Calls    int64
	Slow     int64 // slow calls
}
