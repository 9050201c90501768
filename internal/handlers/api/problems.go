package api

import (
	"encoding/json"
	"errors"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/lua"
)

// The problems that say more than what is wrong.

// StaleEntry answers a change of an entry that somebody else has changed meanwhile.
type StaleEntry struct {
	problem.Problem
	Current *Entry `json:"current,omitempty" doc:"The entry as it is now."`
}

// StaleTranslation answers a change of a translation that somebody else has changed meanwhile.
type StaleTranslation struct {
	problem.Problem
	Current *Translation `json:"current,omitempty" doc:"The translation as it is now."`
}

// Taken answers the creation of what exists already.
type Taken struct {
	problem.Problem
	ID string `json:"id" doc:"Of what exists already."`
}

// UndoConflict answers an undo of what has been changed again since.
type UndoConflict struct {
	problem.Problem
	Items []Item `json:"items" doc:"The first of what was changed since."`
	Total int64  `json:"total" doc:"How many were changed since."`
}

// RejectedImport answers an import with rows that can't be imported: nothing was written.
type RejectedImport struct {
	problem.Problem
	ImportResult
}

// refuse answers the errors that have a document of their own; the error handler answers all others.
func refuse(c echo.Context, err error) error {
	if c.Response().Committed {
		return err
	}
	p := problem.Of(err)
	body := extended(p, err)
	if body == nil {
		return err
	}
	mw.From(c.Request().Context()).Err = err // for the log and the metrics
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	p.SetHeaders(c.Response().Header())
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(p.Status, problem.ContentType, text)
}

// extended returns the document of an error that has one of its own, else nil.
func extended(p problem.Problem, err error) any {
	var (
		stale    *dict.StaleError
		exists   *dict.ExistsError
		undo     *dict.UndoConflictError
		rejected *dict.RejectedError
		syntax   *lua.SyntaxError
		failure  *lua.Failure
		unknown  *lua.NotFoundError
		changed  *lua.StaleError
	)
	switch {
	case errors.As(err, &stale) && stale.Entry != nil:
		current := entryOf(*stale.Entry)
		return StaleEntry{p, &current}
	case errors.As(err, &stale) && stale.Translation != nil:
		current := translationOf(*stale.Translation)
		return StaleTranslation{p, &current}
	case errors.As(err, &exists):
		return Taken{p, exists.ID}
	case errors.As(err, &undo):
		return UndoConflict{p, itemsOf(undo.Items), undo.Total}
	case errors.As(err, &rejected):
		return RejectedImport{p, importResultOf(rejected.Result)}
	case errors.As(err, &syntax):
		return ProgramError{p, syntax.Line, syntax.Message}
	case errors.As(err, &failure):
		return ProgramError{p, failure.Line, failure.Message}
	case errors.As(err, &unknown):
		return UnknownProgram{p, append([]string{}, unknown.Near...)}
	case errors.As(err, &changed):
		return StaleProgram{p, sourceOf(changed.Current)}
	}
	return nil
}
