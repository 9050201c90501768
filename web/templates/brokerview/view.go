package brokerview

import (
	"cmp"
	"time"

	"github.com/a-h/templ"

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

// Count is a number with the list that is behind it.
type Count struct {
	N   int64
	URL string // "" = there is no such list
}

// Badge is a word that stands out; see ui.Badge.
type Badge struct{ Kind, Text string }

// Moment is a time with what happens then: "due", "since".
type Moment struct {
	Word string
	At   time.Time // zero = there is none
}

// label names it in a narrow window, where the head of its column isn't seen.
func (m Moment) label() string {
	if m.Word != "" || m.At.IsZero() {
		return ""
	}
	return "Ended"
}

// Notice is a sentence above a page; kind as of ui.Notice.
type Notice struct{ Kind, Text string }

// Data is a payload, a result or a message as it is shown.
type Data struct {
	Text  string // indented; the beginning of it if it is long
	Size  int64  // of all of it, in bytes
	Cut   bool   // Text is only the beginning
	Whole string // where all of it can be had as it is; "" = nowhere
}

// Editor is a field for JSON that is checked while it is typed.
type Editor struct {
	Field ui.FieldProps // its ID must be set
	Check string        // where it is sent to be checked; its address says how the field is called
	Say   Say
}

// Say is what is said about a JSON text.
type Say struct {
	ID           string // that of the field
	Empty        bool
	Text         string // "Valid JSON, 32 bytes"
	Fault        string // what is wrong; "" = nothing
	Line, Column int    // where
	Before, At   string // of that line, what stands before the place and from there on
}

func (s Say) id() string { return cmp.Or(s.ID, "json") + "-say" }

func (e Editor) field() ui.FieldProps {
	f := e.Field
	f.Mono = true
	if f.Rows == 0 {
		f.Rows = 10
	}
	attrs := templ.Attributes{"aria-describedby": e.Say.id()}
	if e.Say.Fault != "" {
		attrs["aria-invalid"] = "true"
	}
	for k, v := range f.Attrs {
		attrs[k] = v
	}
	f.Attrs = attrs
	return f
}
