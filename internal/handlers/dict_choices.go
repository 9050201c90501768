package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/ui"
)

// How much is offered to pick from. What is left out can be typed.
const (
	offeredNames  = 500
	offeredValues = 50
)

// The forms that offer something to pick.
const (
	pickEntry       = "entry"
	pickTranslation = "translation"
	pickForward     = "forward"
	pickReverse     = "reverse"
)

// end is an entry that a form speaks of: the names of its fields, and what is typed in them.
type end struct {
	system, key, value string // value "" = the form has no such field
	typed              dict.Entry
}

func endsOf(of string, typed func(field string) string) []end {
	at := func(system, key, value string) end {
		return end{system, key, value, dict.Entry{System: typed(system), Key: typed(key), Value: typed(value)}}
	}
	switch of {
	case pickTranslation:
		return []end{at("system1", "key1", "value1"), at("system2", "key2", "value2")}
	case pickForward:
		return []end{at("system1", "key1", "value1"), at("system2", "key2", "")}
	}
	return []end{at("system", "key", "value")}
}

// choices serves GET /dictionaries/choices: what can be picked in the fields of a form, by what is typed there by now. The query
// says of which form, and holds its fields.
func (p *dictPages) choices(c echo.Context) error {
	of, suffix := query(c, "of"), query(c, "suffix")
	choices, err := p.choicesFor(c.Request().Context(), of, suffix, func(field string) string { return text(c, field) })
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, dictview.ChoicesFor(choices))
}

func (p *dictPages) choicesFor(ctx context.Context, of, suffix string, typed func(field string) string) (dictview.Choices, error) {
	out := dictview.Choices{
		URL: p.url("dict.choices", values("of", of, "suffix", suffix)), Suffix: suffix, Around: "tbody", Tell: of == pickTranslation,
	}
	if of == pickForward || of == pickReverse {
		out.Around = "form"
	}
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return out, err
	}
	names := namesOf(systems)
	ends := endsOf(of, typed)
	for _, e := range ends {
		keys, err := p.keysOf(ctx, e.typed.System)
		if err != nil {
			return out, err
		}
		out.Lists = append(out.Lists, dictview.Choice{Field: e.system, Values: names}, dictview.Choice{Field: e.key, Values: keys})
		if e.value == "" || e.typed.System == "" || e.typed.Key == "" {
			continue
		}
		found, err := p.Dict.Values(ctx, e.typed.System, e.typed.Key, e.typed.Value, offeredValues)
		if err != nil {
			return out, err
		}
		out.Lists = append(out.Lists, dictview.Choice{Field: e.value, Values: found})
	}
	if out.Tell {
		out.Missing, out.Sure, err = p.missing(ctx, ends)
	}
	return out, err
}

// missing names the ends that are no entries yet. sure is false while the form is not filled in far enough to tell.
func (p *dictPages) missing(ctx context.Context, ends []end) (names []string, sure bool, err error) {
	typed := false
	for _, e := range ends {
		if e.typed.Check() != nil {
			return nil, false, nil
		}
		typed = typed || e.typed.Value != ""
	}
	if !typed { // nobody has begun with the values
		return nil, false, nil
	}
	for i, e := range ends {
		if i > 0 && e.typed == ends[0].typed {
			continue
		}
		// A value sorts before all that begin with it.
		found, err := p.Dict.Values(ctx, e.typed.System, e.typed.Key, e.typed.Value, 1)
		if err != nil {
			return nil, false, err
		}
		if len(found) == 0 || found[0] != e.typed.Value {
			names = append(names, entryText(e.typed))
		}
	}
	return names, true, nil
}

func namesOf(counts []dict.Count) []string {
	names := make([]string, 0, len(counts))
	for _, n := range counts[:min(len(counts), offeredNames)] {
		names = append(names, n.Name)
	}
	return names
}

// keysOf lists the keys of a system; one that does not exist has none.
func (p *dictPages) keysOf(ctx context.Context, system string) ([]string, error) {
	if system == "" {
		return nil, nil
	}
	keys, err := p.Dict.SystemKeys(ctx, system)
	if errors.Is(err, kvdb.ErrNotFound) || errors.Is(err, kvdb.ErrInvalid) {
		return nil, nil
	}
	return namesOf(keys), err
}

// pair is a system and a key to filter by.
type pair struct{ system, key string }

// filterBy makes the two selects of a pair. A key that the system does not have is left out of the filter: it is what was picked
// before another system was.
func (p *dictPages) filterBy(ctx context.Context, systems []dict.Count, suffix, label string, chosen *pair) ([]ui.SelectProps, error) {
	if chosen.system == "" {
		chosen.key = ""
	}
	keys, err := p.keysOf(ctx, chosen.system)
	if err != nil {
		return nil, err
	}
	known := false
	for _, k := range keys {
		known = known || k == chosen.key
	}
	if !known {
		chosen.key = ""
	}
	return []ui.SelectProps{
		{ID: "filter-system" + suffix, Name: "system" + suffix, Label: label + "system", HideLabel: true, Value: chosen.system, Options: options("Any system", namesOf(systems))},
		{ID: "filter-key" + suffix, Name: "key" + suffix, Label: label + "key", HideLabel: true, Value: chosen.key, Disabled: len(keys) == 0, Options: options("Any key", keys)},
	}, nil
}

func options(all string, names []string) []ui.Option {
	out := make([]ui.Option, 0, len(names)+1)
	out = append(out, ui.Option{Text: all})
	for _, n := range names {
		out = append(out, ui.Option{Value: n})
	}
	return out
}
