package dict

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// Limits of the names and values that a dictionary takes.
const (
	MaxName  = 128      // characters of a system or a key
	MaxValue = 4 * 1024 // bytes of a value
	MaxBatch = 10_000   // values of one batch translation
	MaxPage  = 1000     // items of one page of a list
)

// Entry is one value that a system uses under a key: CRM, COUNTRY_CODE, AW.
//
// ID is opaque and stays the same when the entry is renamed. Version is the number of the change that
// last touched the entry; it grows with each of them.
type Entry struct {
	ID      string
	System  string
	Key     string
	Value   string
	Version int64
}

// Translation maps a source entry to what the target calls it: (System1, Key1, Value1) to (System2, Key2)
// yields Value2. The first five fields are its natural key; both ends are entries.
type Translation struct {
	ID      string
	System1 string
	Key1    string
	Value1  string
	System2 string
	Key2    string
	Value2  string
	Version int64
}

// Query returns what is asked to get this translation's value.
func (t Translation) Query() Query {
	return Query{System1: t.System1, Key1: t.Key1, Value1: t.Value1, System2: t.System2, Key2: t.Key2}
}

// Source is the entry that the translation maps from, without its ID and version.
func (t Translation) Source() Entry { return Entry{System: t.System1, Key: t.Key1, Value: t.Value1} }

// Target is the entry that the translation maps to, without its ID and version.
func (t Translation) Target() Entry { return Entry{System: t.System2, Key: t.Key2, Value: t.Value2} }

// Query asks how one system calls a value of another.
type Query struct {
	System1, Key1, Value1 string
	System2, Key2         string
}

// Pair is the systems and keys of a translation without its values.
type Pair struct{ System1, Key1, System2, Key2 string }

// Pair returns the pair that the query asks.
func (q Query) Pair() Pair { return Pair{q.System1, q.Key1, q.System2, q.Key2} }

// Query asks the pair for the empty value.
func (p Pair) Query() Query {
	return Query{System1: p.System1, Key1: p.Key1, System2: p.System2, Key2: p.Key2}
}

// name is how Redis knows the pair.
func (p Pair) name() string { return p.System1 + "/" + p.Key1 + "/" + p.System2 + "/" + p.Key2 }

func pairOf(name string) Pair {
	var f [4]string
	copy(f[:], strings.Split(name, "/"))
	return Pair{f[0], f[1], f[2], f[3]}
}

func (p Pair) compare(q Pair) int {
	return slices.Compare([]string{p.System1, p.Key1, p.System2, p.Key2}, []string{q.System1, q.Key1, q.System2, q.Key2})
}

// Result answers a Query. A translation to the empty text is found; a missing one is not.
type Result struct {
	Value2 string
	Found  bool
}

// By says who makes a change, and for which operation: the same Op is applied once, however often it is sent.
type By struct {
	Who string // shown in the history
	Op  string // token of a form or of an Idempotency-Key header; "" = an operation of its own
}

// Filter narrows a list. An empty field matches everything. Fields match whole and exactly, Q matches
// any part of any field, whatever its case. Lists of entries look at System, Key, Value and Q only,
// lists of translations at the others.
type Filter struct {
	System, Key, Value    string
	System1, Key1, Value1 string
	System2, Key2, Value2 string
	Q                     string
	Unused                time.Time // translations that no program has looked up since the beginning of its month (UTC); zero = all
}

// Sort is the order of a list.
type Sort int

const (
	SortSource Sort = iota // by system, key, value; of translations: of the source, then of the target
	SortTarget             // translations by what they map to
)

// ListOptions say which page of a list is wanted.
type ListOptions struct {
	Cursor string // Next or Prev of another page of the same list; "" = the first page
	Limit  int    // 1 to MaxPage; 0 = 100
	Sort   Sort
	Desc   bool
	Last   bool // the last page; Cursor is not looked at
}

// Page is one page of a list. A cursor names a place between two items, so it stays good while others write.
type Page[T any] struct {
	Items []T
	Next  string // cursor of the page after this one; "" = this is the last
	Prev  string // cursor of the page before this one; "" = this is the first
	First int64  // position of the first item, from 1; 0 = not known
	Total int64  // items that match the filter; -1 = not counted
	All   int64  // items without a filter
}

// Count says how much is filed under a name.
type Count struct {
	Name         string
	Entries      int64
	Translations int64 // that map from it or to it; one that does both counts once
	From, To     int64 // that map from it, and to it
}

// Uses says how many translations an entry is part of.
type Uses struct {
	AsSource int64
	AsTarget int64
}

// StaleError says that somebody else changed or removed what was being changed.
type StaleError struct {
	Entry       *Entry       // as it is now; nil = it is no entry, or gone
	Translation *Translation // as it is now; nil = it is no translation, or gone
}

func (e *StaleError) Error() string {
	return "it was changed by somebody else since you read it"
}

// Is makes a StaleError a conflict.
func (e *StaleError) Is(target error) bool { return target == kvdb.ErrConflict }

// ExistsError says that the natural key is taken.
type ExistsError struct {
	ID   string // of what has it
	What string // in words
}

func (e *ExistsError) Error() string { return e.What + " exists already" }

// Is makes an ExistsError a conflict.
func (e *ExistsError) Is(target error) bool { return target == kvdb.ErrConflict }

// MissingEntriesError names the ends of a translation that are no entries.
type MissingEntriesError struct {
	Entries []Entry
}

func (e *MissingEntriesError) Error() string {
	names := make([]string, len(e.Entries))
	for i, x := range e.Entries {
		names[i] = x.describe()
	}
	return "no such entry: " + strings.Join(names, "; ")
}

// Is makes a MissingEntriesError invalid input.
func (e *MissingEntriesError) Is(target error) bool { return target == kvdb.ErrInvalid }

func (e Entry) describe() string {
	return fmt.Sprintf("%s %s %q", e.System, e.Key, e.Value)
}

func (t Translation) describe() string {
	return fmt.Sprintf("%s %s %q → %s %s", t.System1, t.Key1, t.Value1, t.System2, t.Key2)
}

// CheckName says what is wrong with the name of a system or a key; "" = nothing.
func CheckName(name string) string {
	if name == "" {
		return "is empty"
	}
	if !utf8.ValidString(name) {
		return "is not UTF-8 text"
	}
	n := 0
	for _, r := range name {
		if n++; n > MaxName {
			return fmt.Sprintf("is longer than %d characters", MaxName)
		}
		if !nameRune(r) {
			return fmt.Sprintf("holds %q; letters, digits, _ - and . are allowed", r)
		}
	}
	return ""
}

func nameRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
		return true
	case r < utf8.RuneSelf:
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}

// CheckValue says what is wrong with a value; "" = nothing. The empty value is a value.
func CheckValue(value string) string {
	if len(value) > MaxValue {
		return fmt.Sprintf("is longer than %d bytes (it has %d)", MaxValue, len(value))
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c >= utf8.RuneSelf {
			return checkWideValue(value)
		}
		if c < ' ' && c != '\t' && c != '\n' || c == 0x7f {
			return controlMessage(rune(c))
		}
	}
	return ""
}

func checkWideValue(value string) string {
	if !utf8.ValidString(value) {
		for i, r := range value {
			if _, n := utf8.DecodeRuneInString(value[i:]); r == utf8.RuneError && n == 1 {
				return fmt.Sprintf("is not UTF-8 text: byte 0x%02X at offset %d", value[i], i)
			}
		}
	}
	for _, r := range value {
		if unicode.IsControl(r) && r != '\t' && r != '\n' {
			return controlMessage(r)
		}
	}
	return ""
}

func controlMessage(r rune) string {
	return fmt.Sprintf("holds the control character U+%04X; of these only tab and line feed are allowed", r)
}

type fieldCheck struct {
	field, value string
	check        func(string) string
}

func checkFields(checks ...fieldCheck) error {
	var fields []kvdb.FieldError
	for _, c := range checks {
		if message := c.check(c.value); message != "" {
			fields = append(fields, kvdb.FieldError{Field: c.field, Message: message})
		}
	}
	if fields == nil {
		return nil
	}
	return &kvdb.InvalidError{Fields: fields}
}

// Check returns a kvdb.InvalidError that names each field that is wrong, or nil.
func (e Entry) Check() error {
	return checkFields(
		fieldCheck{"system", e.System, CheckName},
		fieldCheck{"key", e.Key, CheckName},
		fieldCheck{"value", e.Value, CheckValue},
	)
}

// Check returns a kvdb.InvalidError that names each field that is wrong, or nil.
func (t Translation) Check() error {
	return checkFields(
		fieldCheck{"system1", t.System1, CheckName},
		fieldCheck{"key1", t.Key1, CheckName},
		fieldCheck{"value1", t.Value1, CheckValue},
		fieldCheck{"system2", t.System2, CheckName},
		fieldCheck{"key2", t.Key2, CheckName},
		fieldCheck{"value2", t.Value2, CheckValue},
	)
}

// Check returns a kvdb.InvalidError that names each name that can't exist, or nil. Any value may be asked
// for: what a message holds is not for its sender to mend, so a value that can't exist is just not found.
func (q Query) Check() error {
	return checkFields(
		fieldCheck{"system1", q.System1, CheckName},
		fieldCheck{"key1", q.Key1, CheckName},
		fieldCheck{"system2", q.System2, CheckName},
		fieldCheck{"key2", q.Key2, CheckName},
	)
}

// Kinds of change.
const (
	KindEdit   = "edit"
	KindImport = "import"
	KindUndo   = "undo"
)

// Change is one change set: an edit with all that went with it, an import, or the undoing of either.
// Its number is the version that it gave to everything it touched.
type Change struct {
	ID       string // its number in decimal
	At       time.Time
	By       string
	Kind     string // KindEdit, KindImport or KindUndo
	Summary  string // one line for people
	Counts   Counts
	Undoes   string // ID of the change that this one undid
	UndoneBy string // ID of the change that undid this one
	Items    []Item // of a small change all of them; of a large one none: see Store.ChangeItems
	Large    bool   // Items are left out
}

// Counts say how many translations and entries a change created, updated or deleted.
type Counts struct {
	Created, Updated, Deleted                      int64 // translations
	EntriesCreated, EntriesUpdated, EntriesDeleted int64
}

// Item is what a change did to one entry or to one translation. Before is nil for what was created, After
// for what was deleted.
type Item struct {
	EntryBefore, EntryAfter             *Entry
	TranslationBefore, TranslationAfter *Translation
}

// IsEntry says whether the item is about an entry.
func (i Item) IsEntry() bool { return i.EntryBefore != nil || i.EntryAfter != nil }

// Miss is a translation that was asked for and not found.
type Miss struct {
	Query
	Count   int64
	FirstAt time.Time
	LastAt  time.Time
	Met     int64 // invocations that met it, as far as they said so; see Store.Met
}

// MissGroup sums the misses from one system and key to another.
type MissGroup struct {
	Pair
	Values int64 // different values that were asked for
	Count  int64
	LastAt time.Time
}

// Format names a file format of import and export.
type Format string

const (
	CSV  Format = "csv"  // translations alone, a header and six columns
	JSON Format = "json" // {"entries":[…],"translations":[…]}
	Zato Format = "zato" // the export of the system that this one replaces, plain or bz2
)

// Mode says what an import does with translations that the file doesn't hold.
type Mode string

const (
	Merge   Mode = "merge"   // keep them
	Replace Mode = "replace" // delete them, and the entries that the file doesn't hold
)

// Reject is a row of a file that can't be imported.
type Reject struct {
	Line   int64 // in the file, from 1
	Reason string
}

// ImportOptions say how a file is imported.
type ImportOptions struct {
	Format       Format
	Mode         Mode
	DryRun       bool
	SkipRejected bool
	Name         string         // of the file, for the history
	Progress     func(Progress) // called now and then; nil = nobody looks
}

// Progress of an import. Total is 0 while it is not known.
type Progress struct {
	Stage       string // "reading", "comparing", "writing"
	Done, Total int64
}

// ImportResult counts translations; EntriesCreated counts entries.
type ImportResult struct {
	Created, Updated, Unchanged, Deleted int64
	EntriesCreated, EntriesDeleted       int64
	Rejected                             []Reject // the first MaxRejects
	RejectedTotal                        int64
	Change                               string // ID of the change; "" = nothing was written
	Sample                               []Item // of a dry run: the first of what would change
}

// MaxRejects is how many rejected rows an ImportResult lists.
const MaxRejects = 10_000

// RejectedError says that a file holds rows that can't be imported, so that nothing was written.
type RejectedError struct{ Result ImportResult }

func (e *RejectedError) Error() string {
	if e.Result.RejectedTotal == 1 {
		return fmt.Sprintf("line %d: %s; nothing was imported", e.Result.Rejected[0].Line, e.Result.Rejected[0].Reason)
	}
	return fmt.Sprintf("%d rows can't be imported, the first is line %d: %s; nothing was imported",
		e.Result.RejectedTotal, e.Result.Rejected[0].Line, e.Result.Rejected[0].Reason)
}

// Is makes a RejectedError invalid input.
func (e *RejectedError) Is(target error) bool { return target == kvdb.ErrInvalid }

// conflictError is a conflict in words.
type conflictError struct{ text string }

func (e *conflictError) Error() string { return e.text }

func (e *conflictError) Is(target error) bool { return target == kvdb.ErrConflict }
