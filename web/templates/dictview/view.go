// Package dictview shows the dictionaries: entries, translations, misses, changes, and files going in and out.
//
// An item of a list is a tbody of its own: edited, it becomes the form in the same place, and what has to be said about it
// stands in further lines of the same body. One component draws it in the page and in the answer to a fragment request.
package dictview

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// Link is words that lead somewhere; without a URL they are words alone.
type Link struct{ Text, URL string }

// Count is a number with the list that is behind it.
type Count struct {
	N   int64
	URL string // "" = there is no such list
}

// Changed says who last touched a thing and when, and leads to the change.
type Changed struct {
	Text string // who, or which import
	At   time.Time
	URL  string
}

// Hidden is a field that nobody sees.
type Hidden struct{ Name, Value string }

// Nothing is what stands where a list would be; Do is the way out.
type Nothing struct {
	Icon, Title, Text string
	Do                []Action
}

// Action is a link that looks like a button.
type Action struct {
	Text, Icon, URL string
	Primary         bool
}

func (a Action) kind() string {
	if a.Primary {
		return "primary"
	}
	return "plain"
}

// Input is one field of a form: what was typed, and what is wrong with it.
type Input struct {
	Value, Error string
	Lines        bool // several lines were asked for
}

// State is what became of a form that was sent and could not simply be saved.
type State string

const (
	Typing  State = ""        // nothing has gone wrong but what the fields say
	Stale   State = "stale"   // somebody else changed it meanwhile
	Gone    State = "gone"    // somebody else deleted it meanwhile
	Unknown State = "unknown" // it was sent, and nobody knows whether it was done
	NotDone State = "notdone" // it is certain that it was not done
)

// Form is what the forms of all items share.
type Form struct {
	ID      string // of the item's body
	Suffix  string // makes the ids of its elements unique on the page
	Title   string // what the form does to what, for those who do not see where it stands
	Draft   string // names what is typed, which is kept until it is saved
	Action  string
	Edit    string // shows the form itself
	Again   string // creates it anew, when it is gone
	Cancel  string // shows the item as it is, or the list without the form
	Back    string // page to go back to from a page of its own
	Alone   bool   // it stands on a page of its own, so that nothing is swapped
	Hidden  []Hidden
	New     bool
	Focus   string // name of the field to begin with
	Error   string // what is wrong with the whole
	See     Link   // what is in the way
	State   State
	Theirs  Changed // who changed it meanwhile
	Choices Choices
}

func (f Form) form() string { return "form-" + f.Suffix }

func (f Form) field(name string) string { return name + "-" + f.Suffix }

// leave is where Cancel leads.
func (f Form) leave() string {
	if f.Alone && f.Back != "" {
		return f.Back
	}
	return f.Cancel
}

// swap has htmx put the answer of a URL in the place of the item; way is hx-get or hx-post.
func swap(alone bool, way, url string) templ.Attributes {
	if alone {
		return nil
	}
	return templ.Attributes{way: url, "hx-target": "closest tbody", "hx-swap": "outerHTML"}
}

// with adds attributes to others.
func with(attrs templ.Attributes, pairs ...any) templ.Attributes {
	out := templ.Attributes{}
	for k, v := range attrs {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// Choices are what can be picked in the fields of a form, and what saving it would add.
type Choices struct {
	URL     string // answers with the choices for what is typed
	Suffix  string
	Around  string // the element that holds the fields: tbody or form
	Tell    bool   // says what saving would create
	Lists   []Choice
	Missing []string // entries that would be created
	Sure    bool     // both ends are filled in, so that Missing is all
}

// Choice is what can be picked in one field.
type Choice struct {
	Field  string
	Values []string
}

// Filters are the fields above a list.
type Filters struct {
	URL    string
	Clear  string // URL of the list without filters; "" = there are none
	Search ui.SearchProps
	From   []ui.SelectProps
	To     []ui.SelectProps
	Unused ui.SelectProps // whether something is looked up; no options = nobody knows
	Sort   ui.SelectProps // for screens too small for heads to click; no options = the list has one order
	Chips  []Chip
}

// Chip is a filter that a link has set, with the way to take it off.
type Chip struct {
	Name, Label, Value string
	URL                string
}

// EntryRow is an entry in a list.
type EntryRow struct {
	ID                 string // of the item's body
	Label              string
	System, Key, Value string
	AsSource, AsTarget Count
	Changed            Changed
	Edit, Delete       string // "" = not for this reader
}

// EntryForm creates or changes an entry.
type EntryForm struct {
	Form
	System, Key, Value Input
	Current            EntryRow // as it is now, when State is Stale
}

// EntryList is a page of entries.
type EntryList struct {
	Add     *EntryForm // open form; nil = closed
	AddURL  string     // "" = not for this reader
	Rows    []EntryRow
	Pager   ui.PagerProps
	Nothing *Nothing // in place of the rows
}

// EntriesPage is the page of all entries.
type EntriesPage struct {
	layout.Page
	Filters Filters
	List    EntryList
	History string
	Import  string // "" = not for this reader
}

// EntryPage is one entry on a page of its own: its row, or its form.
type EntryPage struct {
	layout.Page
	Row  *EntryRow
	Form *EntryForm
	List Link
}

// TranslationRow is a translation in a list.
type TranslationRow struct {
	ID                    string // of the item's body
	Label                 string
	System1, Key1, Value1 string
	System2, Key2, Value2 string
	Changed               Changed
	Try                   string
	Edit, Delete          string // "" = not for this reader
}

// TranslationForm creates or changes a translation.
type TranslationForm struct {
	Form
	System1, Key1, Value1 Input
	System2, Key2, Value2 Input
	CreateEntries         bool
	Current               TranslationRow // as it is now, when State is Stale
}

// SortHead is the head of columns by which a list can be sorted.
type SortHead struct {
	URL  string
	Aria string // ascending, descending or none
	Num  bool   // of figures
}

// TranslationList is a page of translations.
type TranslationList struct {
	Source, Target SortHead
	Add            *TranslationForm // open form; nil = closed
	AddURL         string           // "" = not for this reader
	Rows           []TranslationRow
	Pager          ui.PagerProps
	Nothing        *Nothing // in place of the rows
}

// TranslationsPage is the page of all translations.
type TranslationsPage struct {
	layout.Page
	Filters Filters
	Use     UseStrip
	List    TranslationList
	History string
	Import  string // "" = not for this reader
	Misses  *MissNotice
}

// MissNotice says that lookups found nothing.
type MissNotice struct {
	Text string
	Do   Action
}

// TranslationPage is one translation on a page of its own: its row, or its form.
type TranslationPage struct {
	layout.Page
	Row  *TranslationRow
	Form *TranslationForm
	List Link
}

// Deletion asks before something is deleted, and says what goes with it.
type Deletion struct {
	ID      string // of the item's body
	Suffix  string
	Columns string
	Label   string
	Text    string // what will happen, in a sentence
	Use     string // when it was looked up last; "" = that is not known
	Confirm string // what the button says
	Action  string
	Cancel  string
	Alone   bool // it stands on a page of its own, so that nothing is swapped
	Hidden  []Hidden
	With    []TranslationRow // the first translations that go with it
	More    int64            // how many more do
	All     []Link           // all of them, as lists
	State   State
	Notice  string // what has changed since the question was asked first
}

// DeletionPage is a Deletion on a page of its own.
type DeletionPage struct {
	layout.Page
	Deletion Deletion
}

// Removed is what is left of an item in the list it was deleted from.
type Removed struct {
	ID      string
	Text    string
	Change  string // URL of the change, where it can be undone
	Columns string
}

// Columns of the two lists, for a cell that spans all of them.
const (
	EntryColumns       = "7"
	TranslationColumns = "8"
)

// count says a number with its noun: 1 entry, 2,643 entries.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		noun = strings.TrimSuffix(noun, "y") + "ie"
	}
	return ui.Number(n) + " " + noun + "s"
}
