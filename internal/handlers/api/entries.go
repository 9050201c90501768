package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// EntryFields are what people give of an entry.
type EntryFields struct {
	System string `json:"system" minLength:"1" maxLength:"128" example:"CRM" doc:"The system that uses the value: letters, digits, _ - and ."`
	Key    string `json:"key" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of value it is: letters, digits, _ - and ."`
	Value  string `json:"value" maxLength:"4096" example:"AW" doc:"Any text of up to 4 KiB of UTF-8, also the empty one; no control characters but tab and line feed."`
}

// Entry is one value that a system uses under a key.
type Entry struct {
	ID string `json:"id" example:"e1" doc:"Stays the same when the entry is renamed."`
	EntryFields
	Version int64 `json:"version" example:"7" doc:"Grows with each change of the entry."`
}

func (e Entry) location() string { return Base + "/dictionary/entries/" + e.ID }

// NewEntry is an entry to be created. An entry can be sent as it was read elsewhere: id and version are ignored.
type NewEntry struct {
	ID string `json:"id,omitempty" readOnly:"true"`
	EntryFields
	Version int64 `json:"version,omitempty" readOnly:"true"`
}

// ChangedEntry is an entry as it shall be.
type ChangedEntry struct {
	ID string `json:"id,omitempty" readOnly:"true"`
	EntryFields
	Version int64 `json:"version" example:"7" doc:"The version that was read. Another one meanwhile is 409."`
}

func entryOf(e dict.Entry) Entry {
	return Entry{ID: e.ID, EntryFields: EntryFields{System: e.System, Key: e.Key, Value: e.Value}, Version: e.Version}
}

func (f EntryFields) domain(id string, version int64) dict.Entry {
	return dict.Entry{ID: id, System: f.System, Key: f.Key, Value: f.Value, Version: version}
}

// Deletion says what a deletion takes with it.
type Deletion struct {
	Translations int64 `json:"translations" doc:"How many translations go with it."`
}

type listEntriesInput struct {
	paging
	System string `query:"system" doc:"Only of this system."`
	Key    string `query:"key" doc:"Only under this key."`
	Value  string `query:"value" doc:"Only with this value."`
	Q      string `query:"q" doc:"Only those with this text in any field, whatever its case."`
}

type createEntryInput struct {
	idempotent
	Body NewEntry
}

type idInput struct {
	ID string `path:"id"`
}

type updateEntryInput struct {
	idInput
	idempotent
	Body ChangedEntry
}

type deleteEntryInput struct {
	idInput
	idempotent
	DryRun bool `query:"dry_run" doc:"Only say what would go with it: 200 instead of 204."`
}

func (s *server) entryCalls() []operation {
	const path, one = Base + "/dictionary/entries", Base + "/dictionary/entries/:id"
	stale := map[int]answerDoc{http.StatusConflict: {"Somebody else changed it since that version, or the new name is taken.", []any{StaleEntry{}, Taken{}}}}
	return []operation{
		call(mw.Route{Name: "api.entries", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: "Entries", summary: "List entries", text: "By system, key and value."},
			s.listEntries),
		call(mw.Route{Name: "api.entries.create", Method: http.MethodPost, Path: path, Need: account.Operator},
			about{group: "Entries", summary: "Create an entry", status: http.StatusCreated,
				answers: map[int]answerDoc{http.StatusConflict: {"There is such an entry.", []any{Taken{}, problem.Problem{}}}}},
			s.createEntry),
		call(mw.Route{Name: "api.entry", Method: http.MethodGet, Path: one, Need: account.Viewer},
			about{group: "Entries", summary: "Get an entry"},
			s.getEntry),
		call(mw.Route{Name: "api.entry.update", Method: http.MethodPut, Path: one, Need: account.Operator},
			about{group: "Entries", summary: "Change an entry", text: "Renames it in every translation that it is part of, in one step.", answers: stale},
			s.updateEntry),
		call(mw.Route{Name: "api.entry.delete", Method: http.MethodDelete, Path: one, Need: account.Operator},
			about{group: "Entries", summary: "Delete an entry", text: "Deletes all its translations with it.",
				answers: map[int]answerDoc{http.StatusNoContent: {text: "It is deleted."}}},
			s.deleteEntry),
	}
}

func (s *server) listEntries(ctx context.Context, in *listEntriesInput) (list[Entry], error) {
	page, err := s.Dict.Entries(ctx, dict.Filter{System: in.System, Key: in.Key, Value: in.Value, Q: in.Q}, dict.ListOptions{Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return list[Entry]{}, err
	}
	return listOf(page.Items, page.Next, entryOf), nil
}

func (s *server) getEntry(ctx context.Context, in *idInput) (Entry, error) {
	e, err := s.Dict.Entry(ctx, in.ID)
	return entryOf(e), err
}

func (s *server) createEntry(ctx context.Context, in *createEntryInput) (Entry, error) {
	want := in.Body.domain("", 0)
	var made Entry
	err := s.audited(ctx, "entry.create", entryName(want), func() (before, after string, err error) {
		e, change, err := s.Dict.CreateEntry(ctx, in.by(ctx), want)
		if err != nil {
			return "", "", err
		}
		made = entryOf(e)
		return "", textOf(made), s.verify(ctx, in.idempotent, change, wroteEntry(want))
	})
	return made, err
}

func (s *server) updateEntry(ctx context.Context, in *updateEntryInput) (Entry, error) {
	want := in.Body.domain(in.ID, in.Body.Version)
	name, before, err := s.entryBefore(ctx, in.ID)
	if err != nil {
		return Entry{}, err
	}
	var now Entry
	err = s.audited(ctx, "entry.change", name, func() (string, string, error) {
		e, change, err := s.Dict.UpdateEntry(ctx, in.by(ctx), want)
		if err != nil {
			return before, "", err
		}
		now = entryOf(e)
		return before, textOf(now), s.verify(ctx, in.idempotent, change, wroteEntry(want))
	})
	return now, err
}

func (s *server) deleteEntry(ctx context.Context, in *deleteEntryInput) (*Deletion, error) {
	if in.DryRun {
		return s.entryDeletion(ctx, in.ID)
	}
	name, before, err := s.entryBefore(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.audited(ctx, "entry.delete", name, func() (string, string, error) {
		change, err := s.Dict.DeleteEntry(ctx, in.by(ctx), in.ID, 0)
		if err != nil {
			return before, "", err
		}
		return before, "", s.verify(ctx, in.idempotent, change, deleted(in.ID))
	})
}

// entryBefore tells what the audit log says of an entry before it is changed. One that is gone has only its ID: a
// change that is sent again may find it so, and is not wrong for that.
func (s *server) entryBefore(ctx context.Context, id string) (name, text string, err error) {
	e, err := s.Dict.Entry(ctx, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return "entry " + id, "", nil
	}
	return entryName(e), textOf(entryOf(e)), err
}

// entryName names an entry in the audit log.
func entryName(e dict.Entry) string {
	return "entry " + e.System + " " + e.Key + " " + strconv.Quote(e.Value)
}

// entryDeletion counts the translations that go with an entry.
func (s *server) entryDeletion(ctx context.Context, id string) (*Deletion, error) {
	e, err := s.Dict.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	n, err := s.Dict.CountUses(ctx, e)
	if err != nil {
		return nil, err
	}
	return &Deletion{Translations: n}, nil
}
