// Package auditview shows the audit log.
package auditview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// AuditPage is the log.
type AuditPage struct {
	layout.Page
	Filter Filter
	List   List
}

// Filter is what the list is narrowed to.
type Filter struct {
	URL                                    string
	Clear                                  string // URL of the list without filters; "" = there are none
	Actor, Verb, Object, Outcome, From, To string
	CID                                    string // asked for by a link; "" = its field is not shown
	FromError, ToError                     string
}

// List is a page of records.
type List struct {
	Rows      []Row
	Pager     ui.PagerProps
	CSV, JSON string // URLs of the same list as files
	Filtered  bool
}

// Row is a record.
type Row struct {
	At                             time.Time
	Actor, ActorURL, Address       string
	Verb, Object, ObjectURL        string
	CID, CIDURL                    string       // of the invocation on whose behalf it was made; without a URL, one that is none of this broker
	Invocations                    []Invocation // that were changed together; Before is "" then
	Before, After, Outcome, Detail string
}

// Invocation is one of several that a record is of.
type Invocation struct{ CID, URL string }

func (r Row) kind() string {
	switch r.Outcome {
	case "done":
		return "plain"
	case "unknown":
		return "warning"
	}
	return "error"
}

func outcomes() []ui.Option {
	return []ui.Option{{Value: "", Text: "any outcome"}, {Value: "done", Text: "done"}, {Value: "failed", Text: "failed"}, {Value: "unknown", Text: "unknown"}}
}
