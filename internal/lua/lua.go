package lua

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// ServicePrefix and the name of a program are the name of the service that it is, for the broker and in the statistics.
const ServicePrefix = "lua:"

// MaxText is the size of a program in bytes.
const MaxText = 256 << 10

// Limits of one run.
const (
	MaxArguments = 1000    // keys and values together
	MaxArgBytes  = 8 << 20 // all of them together
)

// Origin says where a program comes from.
type Origin string

// The origins; one that is earlier overrides those after it.
const (
	Upload  Origin = "upload"
	File    Origin = "file"
	Builtin Origin = "builtin"
)

// Program is what there is to know about a program but its text.
type Program struct {
	Name      string
	SHA1      string // of the text, 40 hex digits: the name by which Redis knows it
	Origin    Origin
	Overrides Origin // the next origin that has a program of this name; "" = none
	Version   int64  // of an upload: grows by 1 with each change, deletion included; 0 for all else
	Size      int64  // bytes
	UpdatedAt time.Time
	UpdatedBy string // "" for files and what is built in
	Error     string // why a file can't be run; its SHA1 is "" then where it has no text
}

// Source is a program with its text, byte for byte as it came.
type Source struct {
	Program
	Text string
}

// Version is one state of an upload.
type Version struct {
	Number int64
	At     time.Time
	By     string
	Kind   string // "upload", "restore" or "delete"
	SHA1   string // "" of a deletion
	Size   int64
	From   int64 // of a restore: which version it brought back
}

// VersionText is a version with its text.
type VersionText struct {
	Version
	Text string
}

// By says who makes a change, and for which operation: the same Op is applied once, however often it is sent.
type By struct {
	Who string
	Op  string // token of a form or of an Idempotency-Key header; "" = an operation of its own
}

// Filter narrows a list: Q is any part of the name, whatever its case.
type Filter struct {
	Q      string
	Origin Origin
}

// Page is a part of a list, in the order of names. Next is the cursor of the next part, "" at the end.
type Page[T any] struct {
	Items []T
	Next  string
}

// Usage is how often a program was run: all over the platform, since it was first run.
type Usage struct {
	Runs, Failures int64
	LastAt         time.Time // zero = never
}

// Call is what is to be run: a program by its name, or a text that nobody saved.
type Call struct {
	Name     string // of a program; "" = ad hoc
	Text     string // of an ad hoc run
	Keys     []string
	Values   []string
	ReadOnly bool // the server refuses all writes (EVAL_RO)
}

// Caller is who runs something.
type Caller struct {
	Who     string
	Address string
	Admin   bool // may name this product's own keys where no program user keeps programs off them
}

// Outcome is what came of a run. Exactly one of Failure and Reply has a meaning.
type Outcome struct {
	Program   Program // that ran; of an ad hoc run only SHA1 is set
	Reply     kvdb.Reply
	Truncated bool          // the reply is the part before the limits
	Took      time.Duration // from sending it to the end of the reply
	Failure   *Failure      // the program raised or returned an error: what it wrote before stays
}

// Failure is an error of a program, told by the server. It is ErrInvalid where it is returned as an error.
type Failure struct {
	Message string // without the server's decoration, for people
	Line    int    // of the program; 0 = not known
	Raw     string // as the server replied it
}

func (f *Failure) Error() string {
	if f.Line > 0 {
		return fmt.Sprintf("line %d: %s", f.Line, f.Message)
	}
	return f.Message
}

// Is makes it ErrInvalid.
func (*Failure) Is(target error) bool { return target == kvdb.ErrInvalid }

// SyntaxError is the server's verdict that a text doesn't compile. It is ErrInvalid; nothing was saved or run.
type SyntaxError struct {
	Message string
	Line    int // 0 = not known
}

func (e *SyntaxError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return e.Message
}

// Is makes it ErrInvalid.
func (*SyntaxError) Is(target error) bool { return target == kvdb.ErrInvalid }

// NotFoundError says that no program has the name. It is ErrNotFound.
type NotFoundError struct {
	Name string
	Near []string // names that look like it, the nearest first; at most five
}

func (e *NotFoundError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("there is no program %q", e.Name)
	}
	return fmt.Sprintf("there is no program %q; there is %s", e.Name, strings.Join(e.Near, ", "))
}

// Is makes it ErrNotFound.
func (*NotFoundError) Is(target error) bool { return target == kvdb.ErrNotFound }

// StaleError says that somebody changed the upload since it was read. It is ErrConflict.
type StaleError struct {
	Current Source // as it is now; its Version is 0 when there is no upload (any more)
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("the program was changed meanwhile: it is at version %d", e.Current.Version)
}

// Is makes it ErrConflict.
func (*StaleError) Is(target error) bool { return target == kvdb.ErrConflict }

// Problem is one finding of the checks. Only the server's own verdict is an error; all else warns.
type Problem struct {
	Line, Column int // 1-based; 0 = not known
	Error        bool
	Rule         string // a short stable name: "syntax", "undefined-global" …
	Message      string
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$`)

// CheckName returns what is wrong with a program's name, as an InvalidError of the field "name".
func CheckName(name string) error {
	switch {
	case name == "":
		return kvdb.Invalid("name", "is missing: letters, digits, _ - and . make a name")
	case len(name) > 128:
		return kvdb.Invalid("name", "has %d characters; 128 are allowed", utf8.RuneCountInString(name))
	case name[0] == '.':
		return kvdb.Invalid("name", "must not begin with a dot")
	case !nameForm.MatchString(name):
		return kvdb.Invalid("name", "may hold the letters A to Z and a to z, digits, _ - and . only")
	}
	return nil
}

// CheckText returns what is wrong with a program's text before any look at its syntax, as an InvalidError of the field "source".
func CheckText(text string) error {
	switch {
	case text == "":
		return kvdb.Invalid("source", "is empty")
	case len(text) > MaxText:
		return kvdb.Invalid("source", "has %d bytes; %d are allowed", len(text), MaxText)
	case !utf8.ValidString(text):
		return kvdb.Invalid("source", "is not UTF-8 in line %d", badLine(text))
	case strings.ContainsRune(text, 0):
		return kvdb.Invalid("source", "has a NUL byte in line %d", 1+strings.Count(text[:strings.IndexByte(text, 0)], "\n"))
	}
	return nil
}

// badLine is the first line that is not UTF-8.
func badLine(text string) int {
	line := 1
	for s := range strings.SplitAfterSeq(text, "\n") {
		if !utf8.ValidString(s) {
			return line
		}
		line++
	}
	return line
}
