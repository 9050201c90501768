// Package luaview shows the Lua programs: their list, their texts with an editor, their versions, and what running them gives.
//
// On the pages of a program the text is the text area #source (name "source") of the form #program, with the hidden fields "eol"
// (line ends that the text has: "lf" or "crlf"), "breakpoints" (#breakpoints, lines with commas between) and "version". Other forms
// of the page take them along with hx-include="#program", so that what is run or debugged is what stands in the editor.
// Any element with data-editor-line="8" anywhere on the page has the editor mark that line, and any with data-goto="8:5" leads there;
// see web/static/src/editor.js.
package luaview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// Link is words that lead somewhere; without a URL they are words alone.
type Link struct{ Text, URL string }

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

// Hidden is a field that nobody sees.
type Hidden struct{ Name, Value string }

// Nothing is what stands where a list would be; Do is the way out.
type Nothing struct {
	Icon, Title, Text string
	Do                []Action
}

// Origin is where a program comes from, as a badge; Over says what it overrides, "" = nothing.
type Origin struct{ Name, Over string }

// Count is a number with the list that is behind it.
type Count struct {
	N   int64
	URL string // "" = there is no such list
}

// Row is a program in the list.
type Row struct {
	Name, URL      string
	Origin         Origin
	SHA1           string
	Version        Link // of an upload
	At             time.Time
	By             string
	LastRun        time.Time
	Runs, Failures Count
	Error          string // why it can't be run
}

// List is a page of programs.
type List struct {
	Rows    []Row
	Pager   ui.PagerProps
	Nothing *Nothing // in place of the rows
}

// Filters are the fields above the list.
type Filters struct {
	URL    string
	Clear  string // the list without filters; "" = there are none
	Search ui.SearchProps
	Origin ui.SelectProps
}

// UploadForm takes files of programs.
type UploadForm struct {
	Action, Op, Error string
	Results           []UploadResult
}

// UploadResult is what became of one file.
type UploadResult struct {
	File string
	Kind string // success, info or error
	Text string
	URL  string // of the program; "" = there is none
}

// ListPage is the page of all programs.
type ListPage struct {
	layout.Page
	Filters Filters
	List    List
	Upload  *UploadForm // nil = not for this reader
	New     string      // "" = not for this reader
	Scratch string
	Archive string
	NoUser  bool // programs are not kept off anything
}

// Facts is the quiet line about a program.
type Facts struct {
	Origin   Origin
	File     string // of a program that comes from one
	Version  Link
	At       time.Time
	By       string
	SHA1     string
	Size     int64
	Ends     string // what is special about its line ends
	Runs     Count
	Failures Count
	LastRun  time.Time
}

// Problem is a finding of the checks.
type Problem struct {
	Line, Column int // 0 = not known
	Error        bool
	Message      string
}

// Problems is what the checks have found.
type Problems struct {
	Items   []Problem
	Unknown string // why they could not be made; "" = they were
	Empty   bool   // there is no text yet
}

// errors counts those that keep the program from being saved.
func (p Problems) errors() int {
	n := 0
	for _, i := range p.Items {
		if i.Error {
			n++
		}
	}
	return n
}

// Editor is the text of a program with what can be done about it.
type Editor struct {
	Head     EditorHead
	Source   string
	Lines    int // how tall it is
	ReadOnly bool
	Action   string // "" = not for this reader
	Check    string
	Draft    string
	EOL      string // "lf" or "crlf"
	Focus    bool
}

// EditorHead is the part of the editor that an answer replaces: it says how the text is.
type EditorHead struct {
	Action   string         // the forms target
	Name     *ui.FieldProps // of a text that has none yet
	Op       string
	Version  int64
	Problems Problems
	Versions string
	Debug    string // where the form #run goes to debug; "" = not for this reader
	Save     string // what the button says; "" = nothing can be saved
	Saved    string // what it says while there is nothing to save; "" = there always is
	Copy     *CopyForm
	Notice   string // about the text
	Error    string // why it was not saved
	Unknown  bool   // nobody knows whether it was saved
	Stale    *Stale
}

// CopyForm makes an upload of a program that is a file or built in, byte for byte.
type CopyForm struct {
	Action, Op, SHA1 string
	Says             string
}

// Stale is what somebody else has saved meanwhile.
type Stale struct {
	Text string // what happened
	Diff TextDiff
	Take string // shows theirs
}

// ProgramPage is a program, or a text that nobody saved, with its editor and what can be run.
type ProgramPage struct {
	layout.Page
	Title    string
	Facts    *Facts
	Error    string  // why it can't be run
	Editor   *Editor // nil = there is no text
	Run      RunView
	Life     *Life // nil = it is no program yet
	Download string
	Try      string // opens the text as one that nobody saved
	Delete   string
}

// DeletePage asks before a program is deleted.
type DeletePage struct {
	layout.Page
	Name    string
	Text    string // what will happen
	Confirm string
	Action  string
	Cancel  string
	Op      string
	Version int64
	Error   string
}

// VersionRow is a version in the list.
type VersionRow struct {
	Number  int64
	URL     string // "" = it has no text
	At      time.Time
	By      string
	Kind    string // in words
	SHA1    string
	Size    int64
	Current bool
	Restore *RestoreForm // nil = not for this reader, or it is the current one
	File    string       // download
}

// RestoreForm makes a version the current one again.
type RestoreForm struct {
	Action, Op string
	Version    int64 // that it takes the place of
}

// VersionList is a page of versions.
type VersionList struct {
	Rows    []VersionRow
	Pager   ui.PagerProps
	Nothing *Nothing // in place of the rows
}

// VersionsPage lists the versions of a program.
type VersionsPage struct {
	layout.Page
	Name  string
	Gone  string // says that the program is deleted
	Error string
	Link  Link // the program
	List  VersionList
}

// VersionPage is a version, and what it changed.
type VersionPage struct {
	layout.Page
	Title    string
	Row      VersionRow
	Against  ui.SelectProps
	Compare  string // URL of the page, for another comparison
	Compared Compared
	Source   string
	Versions string
	Program  string // "" = it is deleted
}

// Compared is what differs between two versions.
type Compared struct {
	Text string // what is compared with what
	Diff TextDiff
}

// Missing is the page in place of a program that is not there.
type Missing struct {
	layout.Page
	Name     string
	Near     []Link
	New      string // "" = not for this reader, or no program can be called so
	Versions string // of a program that was deleted
	Service  Link   // that is still called so; no URL = there is none
}
