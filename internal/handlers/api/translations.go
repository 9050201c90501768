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

// TranslationFields are what people give of a translation.
type TranslationFields struct {
	System1 string `json:"system1" minLength:"1" maxLength:"128" example:"CRM" doc:"The system that it maps from."`
	Key1    string `json:"key1" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
	Value1  string `json:"value1" maxLength:"4096" example:"AW" doc:"The value there."`
	System2 string `json:"system2" minLength:"1" maxLength:"128" example:"BILLING" doc:"The system that it maps to."`
	Key2    string `json:"key2" minLength:"1" maxLength:"128" example:"COUNTRY_CODE" doc:"What kind of value it is there."`
	Value2  string `json:"value2" maxLength:"4096" example:"533" doc:"The value there."`
}

// Translation maps a value of one system to that of another. Both ends are entries.
type Translation struct {
	ID string `json:"id" example:"t1" doc:"Stays the same when one of its ends is renamed."`
	TranslationFields
	Version int64 `json:"version" example:"7" doc:"Grows with each change of the translation."`
}

func (t Translation) location() string { return Base + "/dictionary/translations/" + t.ID }

// NewTranslation is a translation to be created. One can be sent as it was read elsewhere: id and version are ignored.
type NewTranslation struct {
	ID string `json:"id,omitempty" readOnly:"true"`
	TranslationFields
	Version       int64 `json:"version,omitempty" readOnly:"true"`
	CreateEntries bool  `json:"create_entries,omitempty" example:"true" doc:"Create the entries that it needs; without it, missing ones are 422."`
}

// ChangedTranslation is a translation as it shall be.
type ChangedTranslation struct {
	ID string `json:"id,omitempty" readOnly:"true"`
	TranslationFields
	Version       int64 `json:"version" example:"7" doc:"The version that was read. Another one meanwhile is 409."`
	CreateEntries bool  `json:"create_entries,omitempty" example:"true" doc:"Create the entries that it needs; without it, missing ones are 422. Changing value2 alone needs no leave."`
}

func translationOf(t dict.Translation) Translation {
	return Translation{ID: t.ID, Version: t.Version, TranslationFields: TranslationFields{
		System1: t.System1, Key1: t.Key1, Value1: t.Value1, System2: t.System2, Key2: t.Key2, Value2: t.Value2,
	}}
}

func (f TranslationFields) domain(id string, version int64) dict.Translation {
	return dict.Translation{
		ID: id, Version: version,
		System1: f.System1, Key1: f.Key1, Value1: f.Value1, System2: f.System2, Key2: f.Key2, Value2: f.Value2,
	}
}

type listTranslationsInput struct {
	paging
	System1 string `query:"system1" doc:"Only from this system."`
	Key1    string `query:"key1" doc:"Only from this key."`
	Value1  string `query:"value1" doc:"Only from this value."`
	System2 string `query:"system2" doc:"Only to this system."`
	Key2    string `query:"key2" doc:"Only to this key."`
	Value2  string `query:"value2" doc:"Only to this value."`
	Q       string `query:"q" doc:"Only those with this text in any field, whatever its case."`
	Unused  string `query:"unused_since" format:"date" example:"2026-10-01" doc:"Only those that no program has looked up since the first of this month, in UTC. What is listed is so for sure, as far as lookups are counted (see since in /dictionary/usage); a few of a hundred may be left out. At most 12 months back."`
}

type createTranslationInput struct {
	idempotent
	Body NewTranslation
}

type updateTranslationInput struct {
	idInput
	idempotent
	Body ChangedTranslation
}

type deleteTranslationInput struct {
	idInput
	idempotent
}

func (s *server) translationCalls() []operation {
	const path, one = Base + "/dictionary/translations", Base + "/dictionary/translations/:id"
	stale := map[int]answerDoc{http.StatusConflict: {"Somebody else changed it since that version, or there is another translation of that source to that target.", []any{StaleTranslation{}, Taken{}}}}
	return []operation{
		call(mw.Route{Name: "api.translations", Method: http.MethodGet, Path: path, Need: account.Viewer},
			about{group: "Translations", summary: "List translations", text: "By system, key and value of the source, then by system and key of the target."},
			s.listTranslations),
		call(mw.Route{Name: "api.translations.create", Method: http.MethodPost, Path: path, Need: account.Operator},
			about{group: "Translations", summary: "Create a translation", status: http.StatusCreated,
				answers: map[int]answerDoc{http.StatusConflict: {"There is a translation of that source to that target.", []any{Taken{}, problem.Problem{}}}}},
			s.createTranslation),
		call(mw.Route{Name: "api.translation", Method: http.MethodGet, Path: one, Need: account.Viewer},
			about{group: "Translations", summary: "Get a translation"},
			s.getTranslation),
		call(mw.Route{Name: "api.translation.update", Method: http.MethodPut, Path: one, Need: account.Operator},
			about{group: "Translations", summary: "Change a translation", answers: stale},
			s.updateTranslation),
		call(mw.Route{Name: "api.translation.delete", Method: http.MethodDelete, Path: one, Need: account.Operator},
			about{group: "Translations", summary: "Delete a translation", text: "Its entries stay.", status: http.StatusNoContent},
			s.deleteTranslation),
	}
}

func (s *server) listTranslations(ctx context.Context, in *listTranslationsInput) (list[Translation], error) {
	unused, err := parseUnused(in.Unused)
	if err != nil {
		return list[Translation]{}, err
	}
	filter := dict.Filter{
		System1: in.System1, Key1: in.Key1, Value1: in.Value1,
		System2: in.System2, Key2: in.Key2, Value2: in.Value2, Q: in.Q, Unused: unused,
	}
	page, err := s.Dict.Translations(ctx, filter, dict.ListOptions{Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return list[Translation]{}, err
	}
	return listOf(page.Items, page.Next, translationOf), nil
}

func (s *server) getTranslation(ctx context.Context, in *idInput) (Translation, error) {
	t, err := s.Dict.Translation(ctx, in.ID)
	return translationOf(t), err
}

func (s *server) createTranslation(ctx context.Context, in *createTranslationInput) (Translation, error) {
	want := in.Body.domain("", 0)
	var made Translation
	err := s.audited(ctx, "translation.create", translationName(want), func() (before, after string, err error) {
		t, change, err := s.Dict.CreateTranslation(ctx, in.by(ctx), want, in.Body.CreateEntries)
		if err != nil {
			return "", "", nameMissing(err, want)
		}
		made = translationOf(t)
		return "", textOf(made), s.verify(ctx, in.idempotent, change, wroteTranslation(want))
	})
	return made, err
}

func (s *server) updateTranslation(ctx context.Context, in *updateTranslationInput) (Translation, error) {
	want := in.Body.domain(in.ID, in.Body.Version)
	name, before, err := s.translationBefore(ctx, in.ID)
	if err != nil {
		return Translation{}, err
	}
	var now Translation
	err = s.audited(ctx, "translation.change", name, func() (string, string, error) {
		t, change, err := s.Dict.UpdateTranslation(ctx, in.by(ctx), want, in.Body.CreateEntries)
		if err != nil {
			return before, "", nameMissing(err, want)
		}
		now = translationOf(t)
		return before, textOf(now), s.verify(ctx, in.idempotent, change, wroteTranslation(want))
	})
	return now, err
}

func (s *server) deleteTranslation(ctx context.Context, in *deleteTranslationInput) (*Translation, error) {
	name, before, err := s.translationBefore(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.audited(ctx, "translation.delete", name, func() (string, string, error) {
		change, err := s.Dict.DeleteTranslation(ctx, in.by(ctx), in.ID, 0)
		if err != nil {
			return before, "", err
		}
		return before, "", s.verify(ctx, in.idempotent, change, deleted(in.ID))
	})
}

// translationBefore is entryBefore for a translation.
func (s *server) translationBefore(ctx context.Context, id string) (name, text string, err error) {
	t, err := s.Dict.Translation(ctx, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return "translation " + id, "", nil
	}
	return translationName(t), textOf(translationOf(t)), err
}

// translationName names a translation in the audit log.
func translationName(t dict.Translation) string {
	return "translation " + t.System1 + " " + t.Key1 + " " + strconv.Quote(t.Value1) + " → " + t.System2 + " " + t.Key2
}

// nameMissing turns the entries that a translation misses into its fields.
func nameMissing(err error, t dict.Translation) error {
	var missing *dict.MissingEntriesError
	if !errors.As(err, &missing) {
		return err
	}
	invalid := &kvdb.InvalidError{}
	for _, end := range []struct {
		field string
		entry dict.Entry
	}{{"value1", t.Source()}, {"value2", t.Target()}} {
		for _, m := range missing.Entries {
			if m.System == end.entry.System && m.Key == end.entry.Key && m.Value == end.entry.Value {
				invalid.Fields = append(invalid.Fields, kvdb.FieldError{Field: end.field, Message: "is no entry of " + m.System + " " + m.Key + "; create_entries creates it"})
				break
			}
		}
	}
	return invalid
}
