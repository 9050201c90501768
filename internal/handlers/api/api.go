package api

import (
	"context"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
	"webadmin/web/templates/layout"
)

// Base is the path that all calls start with.
const Base = "/api/v1"

// Deps is what the API is made of.
type Deps struct {
	DB     *kvdb.DB // the KVDB
	Dict   *dict.Store
	Lua    *lua.Store
	Broker *broker.Store
	Stats  *stats.Store
	Audit  *audit.Log
	Now    func() time.Time
	// Audited writes an audit record round a change; see trail.Trail.
	Audited func(ctx context.Context, verb, object string, change func() (before, after string, err error)) error
	// AuditedOften is Audited for what programs do thousands of times a second; see trail.Burst.
	AuditedOften func(ctx context.Context, verb, object string, change func() (before, after string, err error)) error
	// StillIn says whether whoever made a request that goes on may still make it; true when nobody can say.
	StillIn func(c echo.Context) bool
	// Page returns the frame of the page that documents the API.
	Page    func(c echo.Context, title string) layout.Page
	Version string
}

type server struct {
	Deps
	work workTimes
}

// Routes returns the rows of all calls for the route table.
func Routes() []mw.Route {
	ops := (&server{}).operations()
	rows := make([]mw.Route, 0, len(ops)+2)
	for _, o := range ops {
		rows = append(rows, o.Route)
	}
	return append(rows, documentRow, docsRow)
}

// Mount adds the handlers of all rows to e, which has the middleware and the error handler that they rely on.
func Mount(e *echo.Echo, d Deps) {
	s := &server{Deps: d}
	ops := s.operations()
	for _, o := range ops {
		e.Add(o.Method, o.Path, o.handler).Name = o.Name
	}
	doc := document(ops, d.Version)
	e.Add(documentRow.Method, documentRow.Path, serveDocument(doc)).Name = documentRow.Name
	e.Add(docsRow.Method, docsRow.Path, s.serveDocs(docsView(ops, doc))).Name = docsRow.Name
}

func (s *server) operations() []operation {
	var all []operation
	for _, area := range [][]operation{
		s.translateCalls(), s.entryCalls(), s.translationCalls(), s.systemCalls(), s.transferCalls(),
		s.missCalls(), s.usageCalls(), s.changeCalls(), s.luaCalls(), s.kvdbCalls(),
		s.channelCalls(), s.invocationCalls(), s.serviceCalls(), s.deadCalls(), s.statsCalls(), s.auditCalls(),
	} {
		all = append(all, area...)
	}
	return all
}

// audited makes a change under an audit record. A change whose outcome is unknown says where to look.
func (s *server) audited(ctx context.Context, verb, object string, change func() (before, after string, err error)) error {
	return checked(s.Audited(ctx, verb, object, change), verb, Base+"/dictionary/changes")
}

// checked has an error whose outcome is unknown say where to look.
func checked(err error, verb, where string) error {
	if errors.Is(err, kvdb.ErrUnknown) {
		return &kvdb.UnknownError{Op: verb, Check: where, Err: err}
	}
	return err
}

// list is a page of a list.
type list[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor" doc:"Send it as cursor to get what follows; empty at the end. It stays good while others write."`
}

// listOf turns a page of the domain into that of the API.
func listOf[D, T any](items []D, next string, as func(D) T) list[T] {
	out := list[T]{Items: make([]T, len(items)), NextCursor: next}
	for i, item := range items {
		out.Items[i] = as(item)
	}
	return out
}

// paging is part of the input of every list.
type paging struct {
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many items at most."`
}
