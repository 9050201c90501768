package dictview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// TranslatePage is where a translation is tried out, forward and backward.
type TranslatePage struct {
	layout.Page
	Forward ForwardForm
	Result  *ForwardResult // nil = nothing was asked yet
	Reverse ReverseForm
	Hits    *ReverseResult // nil = nothing was asked yet
}

// ForwardForm asks how one system calls a value of another.
type ForwardForm struct {
	Form
	System1, Key1, Value1, System2, Key2 Input
}

// ForwardResult is the answer to a ForwardForm.
type ForwardResult struct {
	Found   bool
	Value2  string
	Hex     string
	Length  string
	SHA1    string
	SHA256  string
	Edit    string // "" = not for this reader
	Reverse string // lists what else yields it
	Add     string // opens the form for what is missing; "" = not for this reader
	Curl    string // the same call for a shell
}

// ReverseForm asks what yields a value.
type ReverseForm struct {
	Form
	System, Key, Value Input
}

// ReverseResult lists every translation that yields a value.
type ReverseResult struct {
	Question string
	Rows     []TranslationRow
	Pager    ui.PagerProps
}

// TransferPage is where files go out and come in.
type TransferPage struct {
	layout.Page
	Holds   string // how much there is, in a sentence
	Exports []Download
	Import  *ImportForm // nil = not for this reader
	History string
}

// Download is a file that can be had.
type Download struct{ Name, Text, URL string }

// ImportForm takes a file.
type ImportForm struct {
	Action  string
	Op      string
	Format  string
	Replace bool
	Error   string
	Largest string // how large a file may be
}

// UploadPage is one file on its way in.
type UploadPage struct {
	layout.Page
	Upload UploadView
}

// UploadView is the state of a file on its way in.
type UploadView struct {
	URL   string
	Name  string
	Facts []string
	Again string // where another file can be sent

	Running     bool   // it is being checked or imported, so it reads itself anew
	Doing       string // what is going on,
	Done, Total int64  // and how far it is

	Notice string
	Kind   string // of the notice
	Change string // URL of the change that it made
	Check  *Check // finds out what became of it; nil = it is known

	Dry         bool // the figures are those of a dry run
	Figures     []Figure
	Rejects     string // how many rows can't be imported; "" = none
	RejectsURL  string // the file of all of them
	RejectsMore string // what the list leaves out
	Rejected    []RejectedRow
	Sample      []ChangeItem
	More        string // what the sample leaves out

	Apply   *ApplyForm // nil = not for this reader, or there is nothing to apply
	Discard string     // "" = not for this reader
}

// Check asks what became of a change.
type Check struct {
	Action string
	Hidden []Hidden
}

// Figure is a number of a result with its word.
type Figure struct {
	N    int64
	Text string
	Mark string // class of the number: up, down or none
}

// ApplyForm makes the import.
type ApplyForm struct {
	Action  string
	Op      string
	Text    string // of the button
	Says    string // what it will do
	Skip    bool   // it leaves rejected rows out
	Replace string // what it deletes, when something has to be typed for that; "" = it merges
	Error   string // of what was typed
}

// RejectedRow is a row of a file that can't be imported.
type RejectedRow struct{ Line, Reason string }

// MissesPage lists what was asked for and not found.
type MissesPage struct {
	layout.Page
	Groups []MissGroupRow
	All    string // shows the values of all groups; "" = it does already
	List   MissList
}

// MissGroupRow sums the misses from one system and key to another.
type MissGroupRow struct {
	ID                           string
	Label                        string
	System1, Key1, System2, Key2 string
	Values, Count                int64
	Last                         time.Time
	URL                          string
	Current                      bool
	Dismiss                      []Hidden // nil = not for this reader
}

// MissList is a page of misses.
type MissList struct {
	Title   string
	Rows    []MissRow
	Action  string // dismisses
	Pager   ui.PagerProps
	Nothing *Nothing
}

// MissRow is a translation that was asked for and not found.
type MissRow struct {
	ID                    string
	Label                 string
	System1, Key1, Value1 string
	System2, Key2         string
	Count                 int64
	Met                   Count // invocations that met it
	First, Last           time.Time
	Add                   string   // "" = not for this reader
	Dismiss               []Hidden // nil = not for this reader
}

// ChangesPage is the history.
type ChangesPage struct {
	layout.Page
	List ChangeList
}

// ChangeList is a page of changes.
type ChangeList struct {
	Rows    []ChangeRow
	Pager   ui.PagerProps
	Nothing *Nothing
}

// ChangeRow is a change in the history.
type ChangeRow struct {
	Number   string
	URL      string
	By       string
	At       time.Time
	Summary  string
	Figures  []Figure
	Undoes   Link
	UndoneBy Link
}

// ChangePage is one change with all that it did.
type ChangePage struct {
	layout.Page
	Change  ChangeRow
	List    ItemList
	Undo    *UndoForm // nil = not for this reader, or undone already
	History string
}

// ItemList is a page of what a change did.
type ItemList struct {
	Figures []Figure
	Items   []ChangeItem
	Pager   ui.PagerProps
}

// What a change did to an entry or to a translation.
const (
	Created = "created"
	Updated = "changed"
	Deleted = "deleted"
)

// ChangeItem is what a change did to one entry or translation.
type ChangeItem struct {
	What   string // Created, Updated or Deleted
	Entry  bool
	Fields []FieldChange // system, key, value; of a translation both ends
}

func (i ChangeItem) mark() string {
	switch i.What {
	case Created:
		return "success"
	case Deleted:
		return "error"
	}
	return "info"
}

// FieldChange is one field before and after.
type FieldChange struct {
	Before, After string
	Both          bool // it was there before, and is after
}

// UndoForm undoes a change.
type UndoForm struct {
	Action  string
	Op      string
	Says    string // what it will do
	Open    bool
	State   State
	Error   string
	Changed []ChangeItem // what was changed since, and stands in the way
	More    string       // about that
}
