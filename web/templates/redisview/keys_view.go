package redisview

import (
	"strings"

	"github.com/a-h/templ"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// KeyText is a text from Redis, or its beginning.
type KeyText struct {
	Text string
	More string // says how long it is, if this is its beginning
}

// KeyHidden is a field of a form that nobody sees.
type KeyHidden struct{ Name, Value string }

// KeyLink leads somewhere.
type KeyLink struct{ Text, URL string }

// KeysPage is the page of all keys.
type KeysPage struct {
	Page    layout.Page
	Filters KeyFilters
	List    KeyList
	Tree    KeyTree
	New     string // form for a new key; "" = not for this reader
	Bulk    string // many at once
}

// KeyFilters is the line of fields above the list.
type KeyFilters struct {
	URL, Clear string
	Search     ui.SearchProps
	Type       ui.SelectProps
	Prefix     string // in whose branch the list is, as a field sends it; "" = in none
	Whole      string // the same list without it
}

// KeyList is a page of keys.
type KeyList struct {
	Rows    []KeyListRow
	Means   string      // which keys the filters look for, when that is not plain from them
	Exact   *KeyListRow // the key that is called as what is looked for
	More    KeyMore
	Error   string
	Nothing *KeyNothing
	First   string // the first page, on the others
}

// KeyListRow is a key in a list.
type KeyListRow struct {
	URL  string
	Name KeyText
	Kind string // its type, as people name it
	TTL  string
	Size int64
	Own  bool
}

// KeyMore says how far a list has looked, and goes on.
type KeyMore struct {
	Text string
	Next string // the next page, when this one is full
	URL  string // of a search that has found few: the rest of it as a page
	Run  string // the rest of it as rows
	Stop string // while it goes on by itself: where it stops
}

// KeyNothing stands in place of a list without keys.
type KeyNothing struct{ Title, Text, Clear, New string }

// KeyTree is a level of the tree of prefixes.
type KeyTree struct {
	URL     string // what fills it in; "" = it is filled in
	Path    []KeyLink
	Rows    []KeyBranch
	Leaves  string // keys that are in none of the branches
	Note    string
	Exact   string // counts all keys
	Nothing string
}

// KeyBranch is a prefix with its count.
type KeyBranch struct {
	Name KeyText
	URL  string
	Keys string
}

// KeysTreePage is the tree on a page of its own.
type KeysTreePage struct {
	Page layout.Page
	Tree KeyTree
	List string
}

// NewKeyPage is the form for a new key.
type NewKeyPage struct {
	Page   layout.Page
	Action string
	Again  string // the same form for another type
	Types  []ui.Option
	Type   string
	Key    ui.FieldProps
	Fields []ui.FieldProps
	Expire KeyExpire
	Escape bool
	Empty  bool // the empty key is meant
	Error  string
	Exists KeyLink
	Cancel string
}

// KeyExpire are the fields that say when a key expires.
type KeyExpire struct {
	Amount, Unit, At, Error string
}

// KeyPage is the page of a key.
type KeyPage struct {
	Page   layout.Page
	Title  KeyText
	Type   string
	Kind   string
	Facts  []string
	TTL    string
	Size   int64
	Own    bool
	Notice string
	Value  KeyValue
	Groups *KeyGroups
	Manage *KeyManage // nil = the reader may not change it
	List   string
}

// KeyValue is a page of a key's value.
type KeyValue struct {
	Type    string
	Summary string
	Views   []KeyTab
	Shown   string // of a string: text, json, hex or escaped
	Text    string
	Note    string
	Edit    string // of a string
	Form    *KeyStringForm
	Items   []KeyItem
	Add     string // opens the form for a new element
	AddForm *KeyForm
	First   string
	Next    string
	Unknown bool // a type that can't be shown
}

// KeyTab is a way to show a string.
type KeyTab struct {
	Text, URL string
	Current   bool
}

// KeyItem is an element of a value.
type KeyItem struct {
	ID, Type, Label string
	Index           string // in a list
	EntryID         string // of a stream
	Name, Value     KeyText
	Score           string
	Fields          []KeyPair
	Edit, Remove    string
	All             string // shows all of what is cut here
	Note            string
}

// KeyPair is a field with its value.
type KeyPair struct{ Name, Value KeyText }

// KeyForm is the form of an element in its row.
type KeyForm struct {
	ID, Type, Title string
	Item            KeyItem // what stays as it is
	New             bool
	Name, NameError string // of a new field or member
	Value, Error    string
	Score           string
	ScoreError      string
	Where           string // of a new element of a list: head or tail
	Escapes         bool
	Note            string
	Notice          string
	Kind            string // of the notice
	Theirs          *KeyText
	See             KeyLink
	CanSave         bool
	Save            string // text of its button
	Action, Cancel  string
	Hidden          []KeyHidden
	Alone           bool // on a page without the list round it
	Focus           string
}

// KeyStringForm edits a string.
type KeyStringForm struct {
	Value, Error string
	Rows         int
	Escapes      bool
	Note         string
	Notice       string
	Theirs       *KeyText
	Save         string
	Action       string
	Cancel       string
	Draft        string
	See          KeyLink
	Hidden       []KeyHidden
}

// KeyRemoval asks whether an element is to go.
type KeyRemoval struct {
	Item           KeyItem
	Question       string
	Text           string
	Notice         string
	Theirs         *KeyText
	Action, Cancel string
	Hidden         []KeyHidden
	Alone          bool
}

// KeyItemPage is an element on a page of its own; one of them is set.
type KeyItemPage struct {
	Page    layout.Page
	Key     KeyLink
	Type    string
	Item    *KeyItem
	Form    *KeyForm
	Removal *KeyRemoval
}

// KeyManage is what can be done with a key as a whole.
type KeyManage struct {
	TTL, Rename, Copy, Delete string
	Type                      string
	HadTTL                    bool
	Expire                    KeyExpire
	RenameTo, CopyTo          ui.FieldProps
	RenameReplace             bool // the name is taken: offer to replace what has it
	CopyReplace               bool
	Escape                    bool
}

// KeyGroups are the consumer groups of a stream.
type KeyGroups struct {
	Rows []KeyGroup
	More string
}

// KeyGroup is a consumer group.
type KeyGroup struct {
	Name                 KeyText
	LastID, Lag, Waiting string
	Pending              int64
	Consumers            []KeyConsumer
	More                 string
}

// KeyConsumer is a consumer of a group.
type KeyConsumer struct {
	Name    KeyText
	Pending int64
	Idle    string
}

// KeyDeletePage asks whether a key is to go.
type KeyDeletePage struct {
	Page           layout.Page
	Title          KeyText
	Kind           string
	Holds          []string
	Sample         []KeyText
	Action, Cancel string
	Hidden         []KeyHidden
	Notice         string
}

// KeyGonePage stands where a key was.
type KeyGonePage struct {
	Page  layout.Page
	Title KeyText
	List  string
	New   string
}

// BulkPage is where many keys are changed at once.
type BulkPage struct {
	Page   layout.Page
	Form   *BulkForm
	Job    *BulkJob
	Recent []BulkRecent
}

// BulkForm says which keys are meant, and what is to be done.
type BulkForm struct {
	Action string
	Match  ui.FieldProps
	Type   ui.SelectProps
	Do     string // delete, expire or persist
	Expire KeyExpire
	Escape bool
	Error  string
}

// BulkRecent is a job of this process.
type BulkRecent struct{ URL, Text, State string }

// BulkJob is a change of many keys on its way.
type BulkJob struct {
	ID, URL, Again string
	Pattern        string // as it is typed
	Facts          []string
	Running        bool
	Done, Total    int64
	Doing          string
	Figures        []BulkFigure
	Kind, Notice   string
	Cancel         string // stops it
	Confirm        *BulkConfirm
}

// BulkFigure is a number with what it counts.
type BulkFigure struct {
	N    int64
	Text string
}

// BulkConfirm asks for the pattern before it is done.
type BulkConfirm struct {
	Action, Text, Button, Error, Typed string
}

// keySwap has htmx put the answer of a URL in the place of an element.
func keySwap(alone bool, way, url string) templ.Attributes {
	if alone {
		return nil
	}
	return templ.Attributes{way: url, "hx-target": "closest tbody", "hx-swap": "outerHTML"}
}

// keyWith adds attributes to others.
func keyWith(attrs templ.Attributes, pairs ...any) templ.Attributes {
	out := templ.Attributes{}
	for k, v := range attrs {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// keyColumns is how many columns the table of a type has.
func keyColumns(kind string) string {
	if kind == "set" {
		return "2"
	}
	return "3"
}

func (f KeyForm) form() string { return "form-" + f.ID }

func (f KeyForm) field(name string) string { return name + "-" + f.ID }

func keyLines(text string) int { return min(strings.Count(text, "\n")+1, 12) }

var keyUnits = []ui.Option{{Value: "s", Text: "seconds"}, {Value: "m", Text: "minutes"}, {Value: "h", Text: "hours"}, {Value: "d", Text: "days"}}
