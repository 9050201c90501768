package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
)

const (
	listedItems = 100  // items of a change in the list of changes
	shownItems  = 1000 // items of a change on its own
)

// Change is one change set: an edit with all that went with it, an import, or the undoing of either.
type Change struct {
	ID       string    `json:"id" example:"12"`
	At       time.Time `json:"at" doc:"When it was made, in UTC."`
	By       string    `json:"by" example:"admin" doc:"Who made it."`
	Kind     string    `json:"kind" enum:"edit,import,undo"`
	Summary  string    `json:"summary" doc:"What it did, in a line for people."`
	Items    []Item    `json:"items" doc:"What it did to each entry and translation: the first of them, see items_total."`
	Total    int64     `json:"items_total" doc:"How many items there are; those that are left out here are in the list of its items."`
	Undoes   string    `json:"undoes,omitempty" doc:"The change that this one undid."`
	UndoneBy string    `json:"undone_by,omitempty" doc:"The change that undid this one."`
}

// Item is what a change did to one entry or to one translation.
type Item struct {
	Type   string `json:"type" enum:"entry,translation"`
	Before Object `json:"before" doc:"null for what was created."`
	After  Object `json:"after" doc:"null for what was deleted."`
}

// Object is an entry or a translation, or null.
type Object struct{ of any }

// MarshalJSON writes what it holds.
func (o Object) MarshalJSON() ([]byte, error) { return json.Marshal(o.of) }

// Schema says what it may hold.
func (Object) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[Entry](), true, ""),
		r.Schema(reflect.TypeFor[Translation](), true, ""),
		{Type: "null"},
	}}
}

func changeOf(c dict.Change) Change {
	n := c.Counts
	return Change{
		ID: c.ID, At: c.At.UTC(), By: c.By, Kind: c.Kind, Summary: c.Summary, Items: itemsOf(c.Items),
		Total:  n.Created + n.Updated + n.Deleted + n.EntriesCreated + n.EntriesUpdated + n.EntriesDeleted,
		Undoes: c.Undoes, UndoneBy: c.UndoneBy,
	}
}

// listedChangeOf leaves out what would make a list too long.
func listedChangeOf(c dict.Change) Change {
	c.Items = c.Items[:min(len(c.Items), listedItems)]
	return changeOf(c)
}

func itemsOf(items []dict.Item) []Item {
	out := make([]Item, len(items))
	for i, item := range items {
		out[i] = itemOf(item)
	}
	return out
}

func itemOf(i dict.Item) Item {
	if i.IsEntry() {
		return Item{"entry", objectOf(i.EntryBefore, entryOf), objectOf(i.EntryAfter, entryOf)}
	}
	return Item{"translation", objectOf(i.TranslationBefore, translationOf), objectOf(i.TranslationAfter, translationOf)}
}

func objectOf[D, T any](of *D, as func(D) T) Object {
	if of == nil {
		return Object{}
	}
	return Object{as(*of)}
}

type listChangesInput struct{ paging }

type listItemsInput struct {
	idInput
	paging
}

type undoInput struct {
	idInput
	idempotent
}

func (s *server) changeCalls() []operation {
	const path, one = Base + "/dictionary/changes", Base + "/dictionary/changes/:id"
	return []operation{
		call(mw.Route{Name: "api.changes", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: "Changes", summary: "List changes", text: "The newest first, each with its first 100 items."},
			s.listChanges),
		call(mw.Route{Name: "api.change", Method: http.MethodGet, Path: one, Need: account.Viewer},
			about{group: "Changes", summary: "Get a change", text: "With its first 1,000 items."},
			s.getChange),
		call(mw.Route{Name: "api.change.items", Method: http.MethodGet, Path: one + "/items", Need: account.Viewer},
			about{group: "Changes", summary: "List the items of a change"},
			s.listItems),
		call(mw.Route{Name: "api.change.undo", Method: http.MethodPost, Path: one + "/undo", Need: account.Operator, Long: true},
			about{group: "Changes", summary: "Undo a change", text: "All of it in one step, as a change of its own; refused when a part of it was changed again since. It takes no body. The answer has no id when there was nothing left to undo.",
				answers: map[int]answerDoc{http.StatusConflict: {"A part of it was changed again since, or it was undone already.", []any{UndoConflict{}, problem.Problem{}}}}},
			s.undoChange),
	}
}

func (s *server) listChanges(ctx context.Context, in *listChangesInput) (list[Change], error) {
	page, err := s.Dict.Changes(ctx, in.Cursor, in.Limit)
	if err != nil {
		return list[Change]{}, err
	}
	return listOf(page.Items, page.Next, listedChangeOf), nil
}

func (s *server) getChange(ctx context.Context, in *idInput) (Change, error) {
	c, err := s.Dict.Change(ctx, in.ID)
	if err != nil {
		return Change{}, err
	}
	return s.withItems(ctx, c)
}

// withItems adds the first items of a large change.
func (s *server) withItems(ctx context.Context, c dict.Change) (Change, error) {
	if c.Large {
		page, err := s.Dict.ChangeItems(ctx, c.ID, "", shownItems)
		if err != nil {
			return Change{}, err
		}
		c.Items = page.Items
	}
	c.Items = c.Items[:min(len(c.Items), shownItems)]
	return changeOf(c), nil
}

func (s *server) listItems(ctx context.Context, in *listItemsInput) (list[Item], error) {
	page, err := s.Dict.ChangeItems(ctx, in.ID, in.Cursor, in.Limit)
	if err != nil {
		return list[Item]{}, err
	}
	return listOf(page.Items, page.Next, itemOf), nil
}

func (s *server) undoChange(ctx context.Context, in *undoInput) (Change, error) {
	var undo dict.Change
	err := s.audited(ctx, "change.undo", "change "+in.ID, func() (before, after string, err error) {
		undo, err = s.Dict.Undo(ctx, in.by(ctx), in.ID)
		if err == nil && undo.ID != "" && undo.Undoes != in.ID {
			err = keyReusedError{}
		}
		return "", undo.Summary, err
	})
	return listedChangeOf(undo), err
}

// textOf writes an object for the audit log.
func textOf(object any) string {
	buf := getBuffer()
	defer putBuffer(buf)
	if err := encode(buf, object); err != nil {
		panic(err) // entries and translations always have a form
	}
	return string(buf.Bytes()[:buf.Len()-1]) // without the line feed
}
