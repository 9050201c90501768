package statsview

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// Link leads somewhere. Without an address it is text, without a text nothing.
type Link struct{ Text, URL string }

// Choice is one of several links.
type Choice struct {
	Text, URL string
	Current   bool
}

// Menu is a choice among links, with what is chosen now.
type Menu struct {
	ID, Label, Now string
	Choices        []Choice
}

// Controls say which time is looked at, and what it is compared with.
type Controls struct {
	Back, Forward string // addresses of the time before and after; "" = there is none
	Range         Menu
	Compare       *Menu  // nil = it can't be compared
	Out           string // the address of more time round this one; "" = there is none
	Live          *Switch
	CSV           string
	Own           *OwnRange
}

// Switch is a link that turns something on or off.
type Switch struct {
	Text, URL string
	On        bool
}

// OwnRange is the form for a range of the reader's own, or for one to compare with.
type OwnRange struct {
	URL, Title string
	Hidden     [][2]string
	From, To   ui.FieldProps
	Cancel     string
}

// Notice needs someone; Do is the cure.
type Notice struct {
	Kind, Text string
	Do         Link
}

// FiguresPage is the page of trends, or of a summary.
type FiguresPage struct {
	Page     layout.Page
	Title    string
	Settings string // address
	Zone     string // in which zone times are
	Notices  []Notice
	Controls Controls
	Figures  Figures
}

// Figures is the part that is polled while it is live.
type Figures struct {
	Refresh string // "" = it stays as it is
	Every   string // how often: "every 10s"
	Chart   Chart
	Filters Filters
	List    List
}

// Filters are above the list of services.
type Filters struct {
	URL      string
	Hidden   [][2]string
	Search   ui.SearchProps
	Limit    ui.SelectProps
	Which    ui.SelectProps
	Internal ui.CheckProps
	Views    []Choice
}

// List is what a filter replaces: one table of services, or two beside each other.
type List struct {
	Tables  []Table
	Nothing *Nothing
	Summary string
	Notes   []string
}

// Nothing stands where the list would be.
type Nothing struct {
	Icon, Title, Text string
	Do                Link
}

// Table has a row for each service, or for each period.
type Table struct {
	ID, Title, Caption string // ID is its data-testid
	Heads              []Head
	Rows               []Row
}

// Head is a column. Meaning says what it has, on hover.
type Head struct {
	Text, Meaning string
	URL           string // it sorts; "" = it doesn't
	Sorted        bool
	Kind          string // of its cells: number, text
}

// Row is a service or a period.
type Row struct {
	Name, URL string
	Mono      bool
	Pair      string // rows with the same one are of the same service
	Marks     []Badge
	Cells     []Cell
}

// Badge stands out beside a name. Meaning is shown on hover.
type Badge struct{ Kind, Text, Meaning string }

// Cell is a number, a bar or a line.
type Cell struct {
	Text       string
	URL        string // of the list behind it
	Tone       string // "", muted, up (better), down (worse)
	Title      string // on hover: what it was
	Change     string // "↑ 38 %", below the number
	ChangeTone string
	Bar        int // of a hundred; 0 = none
	BarWords   string
	Spark      []float64
}

// spark and bar say what is drawn instead of a number.
func (c Cell) spark() bool { return c.Spark != nil }

func (c Cell) bar() string { return strconv.Itoa(c.Bar) }

func (r SlowRow) bar() string { return strconv.Itoa(r.Bar) }

// ServicePage is all about one service.
type ServicePage struct {
	Page     layout.Page
	Name     string
	Facts    []Link // what it is, and where it is looked after
	Zone     string
	Notices  []Notice
	Controls Controls
	Live     ServiceLive
}

// ServiceLive is the part of the page that is polled while it is live.
type ServiceLive struct {
	Refresh   string // "" = it stays as it is
	Every     string
	Tiles     []Tile
	Charts    []Chart
	Heat      Heat
	Slow      SlowList
	Periods   Table
	Threshold Threshold
	Nothing   *Nothing
}

// Tile is a figure that matters, with how it has changed.
type Tile struct {
	Name, Value, Note string
	Change            string
	ChangeTone        string
}

// Threshold is the form for the duration from which on calls of a service are slow.
type Threshold struct {
	Action, Service string // without an action the reader may not set it
	Value           ui.FieldProps
	Note            string
}

// SlowPage is the page of slow calls.
type SlowPage struct {
	Page    layout.Page
	Zone    string
	Filters SlowFilters
	List    SlowList
}

// SlowFilters are above the list of slow calls.
type SlowFilters struct {
	URL      string
	Service  ui.SearchProps
	Min      ui.FieldProps
	Range    ui.SelectProps
	From, To *ui.FieldProps // of a time without a name; nil otherwise
	Over     ui.CheckProps
	Internal ui.CheckProps
	Clear    string
}

// SlowList is what a filter replaces.
type SlowList struct {
	Rows    []SlowRow
	Service bool // there may be several
	Nothing *Nothing
	Summary string
	All     string // the address of all of them; "" = these are all
	CSV     string
}

// SlowRow is a call.
type SlowRow struct {
	Took       string
	Bar        int // of a hundred, of the slowest
	Service    string
	ServiceURL string
	At         time.Time
	CID        string
	CIDURL     string
	Marks      []Badge
}

// breakable is a name that may break behind the marks that stand between its words.
func breakable(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		var b strings.Builder
		for name := name; name != ""; {
			i := strings.IndexAny(name, "._:/-") + 1
			if i == 0 || i == len(name) {
				b.WriteString(templ.EscapeString(name))
				break
			}
			b.WriteString(templ.EscapeString(name[:i]) + "<wbr>")
			name = name[i:]
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}
