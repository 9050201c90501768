package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// entries serves GET /dictionaries/entries: the list. The query holds q, system, key, and the place: cursor or last.
func (p *dictPages) entries(c echo.Context) error {
	list, filters, here, err := p.entryList(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		sayAddress(c, p.url("dict.entries", here))
		return render(c, http.StatusOK, templ.Join(dictview.EntryListOf(list), dictview.FiltersAgain(filters)))
	}
	page := dictview.EntriesPage{Page: p.page(c, "Entries", p.crumbs("dict.entries")...), Filters: filters, List: list, History: p.url("dict.changes")}
	if mayEdit(c) {
		page.Import = p.url("dict.transfer")
	}
	return render(c, http.StatusOK, dictview.Entries(page))
}

// entryList reads a page of the list. here is its address without what is empty.
func (p *dictPages) entryList(c echo.Context) (list dictview.EntryList, filters dictview.Filters, here url.Values, err error) {
	ctx, view := c.Request().Context(), p.view(c)
	chosen, q := pair{query(c, "system"), query(c, "key")}, query(c, "q")
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return list, filters, nil, err
	}
	filters = dictview.Filters{URL: p.url("dict.entries"), Search: ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any part of an entry", Value: q}}
	if filters.From, err = p.filterBy(ctx, systems, "", "", &chosen); err != nil {
		return list, filters, nil, err
	}
	here = values("q", q, "system", chosen.system, "key", chosen.key)
	page, err := p.Dict.Entries(ctx, dict.Filter{Q: q, System: chosen.system, Key: chosen.key}, listOptions(c))
	if err != nil {
		return list, filters, nil, err
	}
	if list.Rows, err = p.entryRows(ctx, view, page.Items); err != nil {
		return list, filters, nil, err
	}
	list.Pager = view.pager("dict.entries", here, placeOf(page, true))
	if encode(here) != "" {
		filters.Clear = p.url("dict.entries")
	}
	if view.edit {
		list.AddURL = p.url("dict.entries.new", values("system", chosen.system, "key", chosen.key))
	}
	if len(list.Rows) == 0 {
		list.Nothing = view.nothing(page.All, "entries", filters.Clear)
	}
	return list, filters, withPlace(c, here), err
}

func (p *dictPages) entryRows(ctx context.Context, view dictLinks, entries []dict.Entry) ([]dictview.EntryRow, error) {
	uses, err := p.Dict.Uses(ctx, entries)
	if err != nil {
		return nil, err
	}
	versions := make([]int64, len(entries))
	for i, e := range entries {
		versions[i] = e.Version
	}
	heads, err := p.heads.of(ctx, p.Dict, p.Now(), versions)
	if err != nil {
		return nil, err
	}
	rows := make([]dictview.EntryRow, len(entries))
	for i, e := range entries {
		rows[i] = view.entryRow(e, uses[i], heads)
	}
	return rows, nil
}

// listOptions read which page of a list is wanted.
func listOptions(c echo.Context) dict.ListOptions {
	return dict.ListOptions{Limit: pageRows, Cursor: query(c, "cursor"), Last: query(c, "last") != ""}
}

// withPlace adds the place in a list to its address.
func withPlace(c echo.Context, here url.Values) url.Values {
	here.Set("cursor", query(c, "cursor"))
	here.Set("last", query(c, "last"))
	return here
}

// sayAddress keeps empty fields of a filter out of the address bar.
func sayAddress(c echo.Context, address string) {
	if address != c.Request().URL.RequestURI() {
		pushURL(c, address)
	}
}

// entry serves GET /dictionaries/entries/:id.
func (p *dictPages) entry(c echo.Context) error {
	ctx := c.Request().Context()
	e, err := p.Dict.Entry(ctx, param(c, "id"))
	if err != nil {
		return err
	}
	rows, err := p.entryRows(ctx, p.view(c), []dict.Entry{e})
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.EntryItem(rows[0]))
	}
	page := dictview.EntryPage{Page: p.page(c, "Entry "+entryText(e), p.crumbs("dict.entries", short(e.Value))...), Row: &rows[0], List: p.entriesLink()}
	return render(c, http.StatusOK, dictview.Entry(page))
}

func (p *dictPages) entriesLink() dictview.Link {
	return dictview.Link{Text: "All entries", URL: p.url("dict.entries")}
}

// newEntry serves GET /dictionaries/entries/new. The query fills the form in.
func (p *dictPages) newEntry(c echo.Context) error {
	e := dict.Entry{System: query(c, "system"), Key: query(c, "key"), Value: text(c, "value")}
	f := p.view(c).entryForm(e, newOp(), backOf(c, p.url("dict.entries")))
	f.Value.Lines = query(c, "lines") != ""
	return p.renderEntryForm(c, http.StatusOK, nil, f)
}

// editEntry serves GET /dictionaries/entries/:id/edit. The query may hold what is typed already.
func (p *dictPages) editEntry(c echo.Context) error {
	e, err := p.Dict.Entry(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	f := p.view(c).entryForm(e, newOp(), backOf(c, p.url("dict.entries")))
	if query(c, "lines") != "" {
		version, _ := strconv.ParseInt(query(c, "version"), 10, 64)
		typed := dict.Entry{ID: e.ID, System: query(c, "system"), Key: query(c, "key"), Value: text(c, "value"), Version: version}
		f = p.view(c).entryForm(typed, newOp(), backOf(c, p.url("dict.entries")))
		f.Value.Lines = true
	}
	return p.renderEntryForm(c, http.StatusOK, nil, f)
}

// renderEntryForm shows the form: in place, or on a page of its own. err is why it is shown again.
func (p *dictPages) renderEntryForm(c echo.Context, status int, err error, f dictview.EntryForm) error {
	choices, trouble := p.choicesFor(c.Request().Context(), pickEntry, f.Suffix, typedIn("system", f.System.Value, "key", f.Key.Value, "value", f.Value.Value))
	if trouble != nil && err == nil {
		return trouble // a form that is shown again does without
	}
	f.Choices, f.Alone = choices, !wantsFragment(c.Request())
	crumbs := append(p.crumbs("dict.entries"), layout.Crumb{Text: f.Title})
	page := dictview.EntryPage{Page: p.page(c, f.Title, crumbs...), Form: &f, List: p.entriesLink()}
	return p.again(c, status, err, dictview.EntryFormItem(f), dictview.Entry(page))
}

// entrySent is the form of an entry as it was sent.
type entrySent struct {
	posted
	entry dict.Entry
}

func readEntryForm(c echo.Context) (entrySent, error) {
	f, err := readPosted(c)
	if err != nil {
		return entrySent{}, err
	}
	return entrySent{f, dict.Entry{System: f.word("system"), Key: f.word("key"), Value: f.text("value"), ID: param(c, "id"), Version: f.version}}, nil
}

func (f entrySent) by(c echo.Context) dict.By {
	e := f.entry
	return f.posted.by(c, e.System, e.Key, e.Value, e.ID, strconv.FormatInt(e.Version, 10))
}

// createEntry serves POST /dictionaries/entries.
func (p *dictPages) createEntry(c echo.Context) error {
	f, err := readEntryForm(c)
	if err != nil {
		return err
	}
	if f.entry.Value == "" && !f.has("empty") {
		return p.entryAgain(c, f, errEmpty)
	}
	var made dict.Entry
	var change dict.Change
	by := f.by(c)
	saved, err := p.save(c, f.posted, by, verbEntryCreate, "entry "+entryText(f.entry), func() (before, after string, err error) {
		made, change, err = p.Dict.CreateEntry(c.Request().Context(), by, f.entry)
		return "", entryText(f.entry), err
	}, func(err error) error { return p.entryAgain(c, f, err) })
	if !saved {
		return err
	}
	return p.entryCreated(c, f, made, change)
}

// entryCreated shows the new entry, and a form for the next.
func (p *dictPages) entryCreated(c echo.Context, f entrySent, e dict.Entry, change dict.Change) error {
	list, toast := p.url("dict.entries"), p.toast("Saved "+entryText(e)+".", change)
	switch stay := addressPath(f.backTo(list)) == list; {
	case !stay:
		return p.done(c, f.back, toast)
	case !wantsFragment(c.Request()):
		return p.done(c, p.url("dict.entries.new", values("system", e.System, "key", e.Key, "back", f.back)), toast)
	}
	rows, err := p.entryRows(c.Request().Context(), p.view(c), []dict.Entry{e})
	if err != nil {
		return err
	}
	next := p.view(c).entryForm(dict.Entry{System: e.System, Key: e.Key}, newOp(), f.backTo(list))
	if next.Choices, err = p.choicesFor(c.Request().Context(), pickEntry, next.Suffix, typedIn("system", e.System, "key", e.Key)); err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.EntryFormItem(next), dictview.EntryItem(rows[0]), ui.ToastOOB(toast)))
}

// saveEntry serves POST /dictionaries/entries/:id.
func (p *dictPages) saveEntry(c echo.Context) error {
	f, err := readEntryForm(c)
	if err != nil {
		return err
	}
	var made dict.Entry
	var change dict.Change
	by := f.by(c)
	saved, err := p.save(c, f.posted, by, verbEntryChange, "entry "+entryText(f.entry), func() (before, after string, err error) {
		made, change, err = p.Dict.UpdateEntry(c.Request().Context(), by, f.entry)
		for _, i := range change.Items {
			if i.EntryBefore != nil && i.EntryBefore.ID == f.entry.ID {
				before = entryText(*i.EntryBefore)
			}
		}
		return before, entryText(f.entry), err
	}, func(err error) error { return p.entryAgain(c, f, err) })
	if !saved {
		return err
	}
	toast := p.toast("Saved "+entryText(made)+".", change)
	if !wantsFragment(c.Request()) {
		return p.done(c, f.backTo(p.url("dict.entries")), toast)
	}
	rows, err := p.entryRows(c.Request().Context(), p.view(c), []dict.Entry{made})
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.EntryItem(rows[0]), ui.ToastOOB(toast)))
}

// entryAgain shows the form again, with why it was not saved. Errors that have nothing to do with it are returned.
func (p *dictPages) entryAgain(c echo.Context, f entrySent, err error) error {
	t := p.troubleOf(c, err, f.op, f.entry.ID != "")
	if t.status == 0 {
		return err
	}
	e, list := f.entry, p.url("dict.entries")
	now := t.stale.Entry
	if now != nil {
		e.Version = now.Version // what is saved next is saved over that one
	}
	form := p.view(c).entryForm(e, t.op, f.back)
	p.into(&form.Form, t, "entry", list, f.backTo(list), "system", "key", "value")
	form.System.Error, form.Key.Error, form.Value.Error = t.wrong["system"], t.wrong["key"], t.wrong["value"]
	if errors.Is(err, errEmpty) {
		form.Hidden = append(form.Hidden, dictview.Hidden{Name: "empty", Value: "1"})
	}
	if now != nil {
		rows, err := p.entryRows(c.Request().Context(), p.view(c), []dict.Entry{*now})
		if err != nil {
			return err
		}
		form.Current, form.Theirs = rows[0], rows[0].Changed
	}
	return p.renderEntryForm(c, t.status, err, form)
}
