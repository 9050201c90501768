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
	"webadmin/internal/kvdb"
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
	page.Page.Search = "" // the list has a search of its own
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
	page := dictview.EntryPage{Page: p.page(c, "Entry "+entryText(e), p.below("dict.entries", e.Value)...), Row: &rows[0]}
	return render(c, http.StatusOK, dictview.Entry(p.withEntryList(page)))
}

func (p *dictPages) withEntryList(page dictview.EntryPage) dictview.EntryPage {
	page.List = dictview.Link{Text: "All entries", URL: p.url("dict.entries")}
	return page
}

// below are the crumbs of one thing of a list.
func (p *dictPages) below(route, value string) []layout.Crumb {
	return p.crumbs(route, short(value))
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
		f.System.Value, f.Key.Value = query(c, "system"), query(c, "key")
		f.Value = dictview.Input{Value: text(c, "value"), Lines: true}
		f.Hidden = hidden("op", newOp(), "back", localPath(query(c, "back")), "version", query(c, "version"))
	}
	return p.renderEntryForm(c, http.StatusOK, nil, f)
}

// renderEntryForm shows the form: in place, or on a page of its own. err is why it is shown again.
func (p *dictPages) renderEntryForm(c echo.Context, status int, err error, f dictview.EntryForm) error {
	typed := map[string]string{"system": f.System.Value, "key": f.Key.Value, "value": f.Value.Value}
	choices, trouble := p.choicesFor(c.Request().Context(), pickEntry, f.Suffix, func(field string) string { return typed[field] })
	if trouble != nil && err == nil {
		return trouble // a form that is shown again does without
	}
	f.Choices = choices
	page := dictview.EntryPage{Page: p.page(c, f.Title, p.below("dict.entries", f.Title)...), Form: &f}
	return p.again(c, status, err, dictview.EntryFormItem(f), dictview.Entry(p.withEntryList(page)))
}

// entryPosted is the form of an entry as it was sent.
type entryPosted struct {
	posted
	entry dict.Entry
}

func readEntryForm(c echo.Context) (entryPosted, error) {
	f, err := readPosted(c)
	return entryPosted{f, dict.Entry{System: f.word("system"), Key: f.word("key"), Value: f.text("value"), ID: param(c, "id"), Version: f.version}}, err
}

func (f entryPosted) fields() []string {
	return []string{f.entry.System, f.entry.Key, f.entry.Value, f.entry.ID, strconv.FormatInt(f.version, 10)}
}

// createEntry serves POST /dictionaries/entries.
func (p *dictPages) createEntry(c echo.Context) error {
	return p.putEntry(c, verbEntryCreate, func(ctx context.Context, by dict.By, e dict.Entry) (string, dict.Entry, dict.Change, error) {
		e.ID = ""
		made, change, err := p.Dict.CreateEntry(ctx, by, e)
		return "", made, change, err
	})
}

// saveEntry serves POST /dictionaries/entries/:id.
func (p *dictPages) saveEntry(c echo.Context) error {
	return p.putEntry(c, verbEntryChange, func(ctx context.Context, by dict.By, e dict.Entry) (string, dict.Entry, dict.Change, error) {
		made, change, err := p.Dict.UpdateEntry(ctx, by, e)
		before := ""
		for _, i := range change.Items {
			if i.EntryBefore != nil && i.EntryBefore.ID == e.ID {
				before = entryText(*i.EntryBefore)
			}
		}
		return before, made, change, err
	})
}

func (p *dictPages) putEntry(c echo.Context, verb string, put func(context.Context, dict.By, dict.Entry) (string, dict.Entry, dict.Change, error)) error {
	ctx := c.Request().Context()
	f, err := readEntryForm(c)
	if err != nil {
		return err
	}
	by := f.by(c, f.fields()...)
	if done, err := p.settled(ctx, f.posted, by); err != nil {
		return p.entryAgain(c, f, kvdb.ErrUnknown)
	} else if !done {
		return p.entryNotDone(c, f)
	}
	var made dict.Entry
	var change dict.Change
	err = p.audited(c, verb, "entry "+entryText(f.entry), func() (before, after string, err error) {
		before, made, change, err = put(ctx, by, f.entry)
		return before, entryText(made), err
	})
	if err != nil {
		return p.entryAgain(c, f, err)
	}
	return p.entrySaved(c, f, made, change)
}

// entrySaved shows the entry as it is now, after a new one also a form for the next.
func (p *dictPages) entrySaved(c echo.Context, f entryPosted, e dict.Entry, change dict.Change) error {
	list := p.url("dict.entries")
	toast := p.toast("Saved "+entryText(e)+".", change)
	created := f.entry.ID == ""
	if !wantsFragment(c.Request()) {
		to := f.back
		if created && addressPath(to) == list {
			to = p.url("dict.entries.new", values("system", e.System, "key", e.Key, "back", f.back))
		}
		return p.done(c, orList(to, list), toast)
	}
	if created && f.back != "" && addressPath(f.back) != list {
		return p.done(c, f.back, toast)
	}
	view := p.view(c)
	rows, err := p.entryRows(c.Request().Context(), view, []dict.Entry{e})
	if err != nil {
		return err
	}
	item := dictview.EntryItem(rows[0])
	if !created {
		return render(c, http.StatusOK, templ.Join(item, ui.ToastOOB(toast)))
	}
	next := view.entryForm(dict.Entry{System: e.System, Key: e.Key}, newOp(), f.back)
	if next.Choices, err = p.choicesFor(c.Request().Context(), pickEntry, next.Suffix, func(field string) string {
		return map[string]string{"system": e.System, "key": e.Key}[field]
	}); err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.EntryFormItem(next), item, ui.ToastOOB(toast)))
}

func orList(to, list string) string {
	if to == "" {
		return list
	}
	return to
}

// typedEntry is the form with what was typed; op is its token.
func (p *dictPages) typedEntry(c echo.Context, f entryPosted, op string) dictview.EntryForm {
	return p.view(c).entryForm(f.entry, op, f.back)
}

func (p *dictPages) entryNotDone(c echo.Context, f entryPosted) error {
	form := p.typedEntry(c, f, newOp())
	form.State = dictview.NotDone
	return p.renderEntryForm(c, http.StatusOK, nil, form)
}

// entryAgain shows the form again, with why it was not saved. Errors that have nothing to do with the form are returned.
func (p *dictPages) entryAgain(c echo.Context, f entryPosted, err error) error {
	ctx := c.Request().Context()
	state, status := stateOf(err)
	if f.entry.ID != "" && errors.Is(err, kvdb.ErrNotFound) {
		state, status = dictview.Gone, http.StatusConflict
	}
	if status == 0 {
		return err
	}
	op := f.op // the same, so that what was perhaps done is not done again
	if state == dictview.Stale {
		op = newOp()
	}
	form := p.typedEntry(c, f, op)
	form.State = state
	var stale *dict.StaleError
	var exists *dict.ExistsError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &stale) && stale.Entry != nil:
		heads, err := p.heads.of(ctx, p.Dict, p.Now(), []int64{stale.Entry.Version})
		if err != nil {
			return err
		}
		form.Current = p.view(c).entryRow(*stale.Entry, dict.Uses{}, heads)
		form.Theirs = form.Current.Changed
		form.Hidden = hidden("op", op, "back", f.back, "version", strconv.FormatInt(stale.Entry.Version, 10))
	case errors.As(err, &stale), state == dictview.Gone:
		form.State, form.Again, form.Cancel = dictview.Gone, p.url("dict.entries.create"), orList(f.back, p.url("dict.entries"))
	case errors.As(err, &exists):
		form.Error, form.See = p.problemOf(err, c).Detail, dictview.Link{Text: "Look at it", URL: p.url("dict.entry", exists.ID)}
	case invalid:
		form.System.Error, form.Key.Error, form.Value.Error = wrong["system"], wrong["key"], wrong["value"]
		form.Focus = firstWrong(wrong, form.Focus, "system", "key", "value")
	case state == dictview.Typing:
		form.Error = p.problemOf(err, c).Detail
	}
	return p.renderEntryForm(c, status, err, form)
}

// firstWrong is the first field with a message, else what it was.
func firstWrong(wrong faults, focus string, fields ...string) string {
	for _, f := range fields {
		if wrong[f] != "" {
			return f
		}
	}
	return focus
}

// askEntry serves GET /dictionaries/entries/:id/delete: what goes with the entry, and the question.
func (p *dictPages) askEntry(c echo.Context) error {
	e, err := p.Dict.Entry(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	d, err := p.entryDeletion(c, e, newOp(), backOf(c, p.url("dict.entries")))
	if err != nil {
		return err
	}
	return p.renderDeletion(c, http.StatusOK, nil, "dict.entries", d)
}

// shownUses is how many of the translations that go with an entry are named before it is deleted.
const shownUses = 10

func (p *dictPages) entryDeletion(c echo.Context, e dict.Entry, op, back string) (dictview.Deletion, error) {
	ctx, view := c.Request().Context(), p.view(c)
	with, total, err := p.usesOf(ctx, e)
	if err != nil {
		return dictview.Deletion{}, err
	}
	row := view.entryRow(e, dict.Uses{}, nil)
	d := dictview.Deletion{
		ID: row.ID, Suffix: e.ID, Columns: dictview.EntryColumns, Label: row.Label, Text: "No translation goes with it. It can be undone.", Confirm: "Delete the entry",
		Action: p.url("dict.entry.delete", e.ID), Cancel: p.url("dict.entry", e.ID), More: total - int64(len(with)),
		Hidden: hidden("op", op, "back", back, "version", strconv.FormatInt(e.Version, 10), "uses", strconv.FormatInt(total, 10)),
	}
	if total > 0 {
		d.Text = plural(total, "translation") + " will be deleted with it:"
		if total == 1 {
			d.Text = "1 translation will be deleted with it:"
		}
		d.Confirm = "Delete the entry and " + plural(total, "translation")
		if row.AsSource.URL != "" {
			d.All = []dictview.Link{{Text: "all that map from it", URL: row.AsSource.URL}, {Text: "all that map to it", URL: row.AsTarget.URL}}
		}
	}
	for _, t := range with {
		d.With = append(d.With, dictLinks{url: p.url}.translationRow(t, nil))
	}
	return d, nil
}

// usesOf returns the first translations that an entry is part of, and how many there are.
func (p *dictPages) usesOf(ctx context.Context, e dict.Entry) (first []dict.Translation, total int64, err error) {
	uses, err := p.Dict.Uses(ctx, []dict.Entry{e})
	if err != nil {
		return nil, 0, err
	}
	total = uses[0].AsSource + uses[0].AsTarget
	self, err := p.Dict.Lookup(ctx, dict.Query{System1: e.System, Key1: e.Key, Value1: e.Value, System2: e.System, Key2: e.Key})
	if err != nil {
		return nil, 0, err
	}
	if self.Found && self.Value2 == e.Value { // it maps from itself to itself: one, not two
		total--
	}
	// A filter can't ask for the empty value, but that one sorts first.
	from, err := p.Dict.Translations(ctx, dict.Filter{System1: e.System, Key1: e.Key, Value1: e.Value}, dict.ListOptions{Limit: shownUses})
	if err != nil {
		return nil, 0, err
	}
	to, err := p.Dict.Reverse(ctx, e, dict.ListOptions{Limit: shownUses})
	if err != nil {
		return nil, 0, err
	}
	seen := map[string]bool{}
	for _, t := range append(from.Items, to.Items...) {
		fits := t.Source() == (dict.Entry{System: e.System, Key: e.Key, Value: e.Value}) || t.Target() == (dict.Entry{System: e.System, Key: e.Key, Value: e.Value})
		if fits && !seen[t.ID] && len(first) < shownUses {
			seen[t.ID] = true
			first = append(first, t)
		}
	}
	return first, total, nil
}

func (p *dictPages) renderDeletion(c echo.Context, status int, err error, route string, d dictview.Deletion) error {
	page := dictview.DeletionPage{Page: p.page(c, "Delete "+d.Label, p.crumbs(route, d.Label)...), Deletion: d}
	return p.again(c, status, err, dictview.DeletionItem(d), dictview.DeletionPageOf(page))
}

// deleteEntry serves POST /dictionaries/entries/:id/delete with the fields op, version and uses: how many translations were
// said to go with it. If others have come since, it asks again.
func (p *dictPages) deleteEntry(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	by := f.by(c, id, f.word("version"))
	e, err := p.Dict.Entry(ctx, id)
	gone := errors.Is(err, kvdb.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	ask := func(state dictview.State, status int, why error, notice string) error {
		op := newOp()
		if state == dictview.Unknown {
			op = f.op
		}
		d, err := p.entryDeletion(c, e, op, f.back)
		if err != nil {
			return why
		}
		d.State, d.Notice = state, notice
		return p.renderDeletion(c, status, why, "dict.entries", d)
	}
	if done, err := p.settled(ctx, f, by); err != nil {
		return ask(dictview.Unknown, http.StatusGatewayTimeout, kvdb.ErrUnknown, "")
	} else if !done {
		return ask(dictview.NotDone, http.StatusOK, nil, "")
	}
	if !gone {
		_, total, err := p.usesOf(ctx, e)
		if err != nil {
			return err
		}
		if said := f.word("uses"); said != strconv.FormatInt(total, 10) {
			return ask(dictview.Typing, http.StatusConflict, kvdb.ErrConflict, "What goes with it has changed since you were asked: look again.")
		}
	}
	var change dict.Change
	err = p.audited(c, verbEntryDelete, "entry "+id, func() (string, string, error) {
		change, err = p.Dict.DeleteEntry(ctx, by, id, f.version)
		return entryText(e), "", err
	})
	switch state, status := stateOf(err); {
	case errors.Is(err, kvdb.ErrNotFound): // by somebody else: it is as it was wanted
		return p.itemDeleted(c, f.back, "dict.entries", id, dictview.EntryColumns, "It was deleted already.", change)
	case state == dictview.Stale:
		return ask(dictview.Typing, status, err, "It was changed since you were asked: look again.")
	case state == dictview.Unknown:
		return ask(state, status, err, "")
	case err != nil:
		return err
	}
	said := "Deleted " + entryText(e) + "."
	if n := change.Counts.Deleted; n > 0 {
		said = "Deleted " + entryText(e) + " and " + plural(n, "translation") + "."
	}
	return p.itemDeleted(c, f.back, "dict.entries", id, dictview.EntryColumns, said, change)
}

// itemDeleted says in the place of an item, or on the list, that it is gone.
func (p *dictPages) itemDeleted(c echo.Context, back, route, id, columns, said string, change dict.Change) error {
	if !wantsFragment(c.Request()) {
		toast := p.toast(said, change)
		toast.Text = said
		return p.done(c, orList(back, p.url(route)), toast)
	}
	gone := dictview.Removed{ID: itemID(id), Text: said, Change: p.url("dict.changes"), Columns: columns}
	if change.ID != "" {
		gone.Change = p.url("dict.change", change.ID)
	}
	return render(c, http.StatusOK, dictview.RemovedItem(gone))
}

// nothing is what stands where a list would be. all counts it without a filter.
func (l dictLinks) nothing(all int64, what, clear string) *dictview.Nothing {
	if all > 0 {
		n := &dictview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "There are " + decimal(all) + " " + what + " without the filters."}
		if clear != "" {
			n.Do = []dictview.Action{{Text: "Clear the filters", Icon: "x", URL: clear}}
		}
		return n
	}
	n := &dictview.Nothing{Icon: "book-open-text", Title: "There are no " + what + " yet", Text: "Import a file, or add the first row above."}
	if what == "entries" {
		n.Text = "An entry is a value that a system uses under a key, such as CRM, COUNTRY_CODE, AW. " + n.Text
	} else {
		n.Text = "A translation says what one system's value is called in another. " + n.Text
	}
	if l.edit {
		n.Do = []dictview.Action{{Text: "Import a file", Icon: "upload", URL: l.url("dict.transfer"), Primary: true}}
	} else {
		n.Text = "They can be added or imported by an operator."
	}
	return n
}
