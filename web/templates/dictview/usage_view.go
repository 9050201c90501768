package dictview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// UsagePage says how much the translations from each system and key to another are looked up.
type UsagePage struct {
	layout.Page
	List UsageList
}

// UsageList is a page of it.
type UsageList struct {
	Pair, Hits, Last SortHead
	UnusedHead       string
	Rows             []UsageRow
	Since            time.Time // when counting began
	Pager            ui.PagerProps
	Nothing          *Nothing // in place of the rows
}

// UsageRow is a pair of systems and keys.
type UsageRow struct {
	ID                           string
	Label                        string
	System1, Key1, System2, Key2 string
	Translations                 int64
	URL                          string // its translations
	Hits                         int64
	Spark                        []float64
	Last                         time.Time
	Misses                       int64
	MissesURL                    string
	UnusedURL                    string
}

// UseStrip says above a list of translations how much they are used.
type UseStrip struct {
	Pair      bool // the list is of one pair of systems and keys, which has these figures:
	Hits      string
	Spark     []float64 // nil = no lookups
	Last      time.Time
	Since     time.Time // when counting began
	Unused    string    // what is not looked up, in words; "" = the list is narrowed to it
	UnusedURL string    // "" = there is none
	Filtered  string    // since when what is listed was not looked up; "" = the list is not narrowed to it
}
