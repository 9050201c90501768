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
	"webadmin/web/templates/ui"
)

// translations serves GET /dictionaries/translations: the list. The query holds q, systems, keys and values of both ends, the
// order (sort: source, -source, target or -target), and the place: cursor or last.
func (p *dictPages) translations(c echo.Context) error {
	list, filters, here, err := p.translationList(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		sayAddress(c, p.url("dict.translations", here))
		return render(c, http.StatusOK, templ.Join(dictview.TranslationListOf(list), dictview.FiltersAgain(filters)))
	}
	page := dictview.TranslationsPage{Page: p.page(c, "Translations", p.crumbs("dict.translations")...), Filters: filters, List: list, History: p.url("dict.changes")}
	page.Page.Search = "" // the list has a search of its own
	if mayEdit(c) {
		page.Import = p.url("dict.transfer")
	}
	groups, err := p.Dict.MissGroups(c.Request().Context())
	if err != nil {
		return err
	}
	page.Misses = p.view(c).missNotice(groups)
	return render(c, http.StatusOK, dictview.Translations(page))
}

// sorts are the orders of the list by their names in the address.
var sorts = map[string]struct {
	by   dict.Sort
	desc bool
}{"": {dict.SortSource, false}, "-source": {dict.SortSource, true}, "target": {dict.SortTarget, false}, "-target": {dict.SortTarget, true}}

// translationList reads a page of the list. here is its address without what is empty.
func (p *dictPages) translationList(c echo.Context) (list dictview.TranslationList, filters dictview.Filters, here url.Values, err error) {
	ctx, view := c.Request().Context(), p.view(c)
	from, to := pair{query(c, "system1"), query(c, "key1")}, pair{query(c, "system2"), query(c, "key2")}
	f := dict.Filter{Q: query(c, "q"), Value1: text(c, "value1"), Value2: text(c, "value2")}
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return list, filters, nil, err
	}
	filters = dictview.Filters{URL: p.url("dict.translations"), Search: ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any of the six fields", Value: f.Q}}
	if filters.From, err = p.filterBy(ctx, systems, "1", "From ", &from); err != nil {
		return list, filters, nil, err
	}
	if filters.To, err = p.filterBy(ctx, systems, "2", "To ", &to); err != nil {
		return list, filters, nil, err
	}
	f.System1, f.Key1, f.System2, f.Key2 = from.system, from.key, to.system, to.key
	here = values("q", f.Q, "system1", f.System1, "key1", f.Key1, "value1", f.Value1, "system2", f.System2, "key2", f.Key2, "value2", f.Value2)
	if encode(here) != "" {
		filters.Clear = p.url("dict.translations")
	}
	sort := query(c, "sort")
	if sort != "source" { // which is what it is without
		here.Set("sort", sort)
	}
	filters.Sort = sortChoice(sort)
	filters.Chips = p.valueChips(here)
	order := listOptions(c)
	order.Sort, order.Desc = sorts[sort].by, sorts[sort].desc
	page, err := p.Dict.Translations(ctx, f, order)
	if err != nil {
		return list, filters, nil, err
	}
	if list.Rows, err = p.translationRows(ctx, view, page.Items); err != nil {
		return list, filters, nil, err
	}
	list.Source, list.Target = p.sortHeads(here, sort)
	list.Pager = view.pager("dict.translations", here, placeOf(page, true))
	if view.edit {
		list.AddURL = p.url("dict.translations.new", values("system1", from.system, "key1", from.key, "value1", f.Value1, "system2", to.system, "key2", to.key))
	}
	if len(list.Rows) == 0 {
		list.Nothing = view.nothing(page.All, "translations", filters.Clear)
	}
	return list, filters, withPlace(c, here), nil
}

func sortChoice(sort string) ui.SelectProps {
	return ui.SelectProps{ID: "filter-sort", Name: "sort", Label: "Order", HideLabel: true, Value: sort, Options: []ui.Option{
		{Value: "", Text: "By source, A–Z"}, {Value: "-source", Text: "By source, Z–A"}, {Value: "target", Text: "By target, A–Z"}, {Value: "-target", Text: "By target, Z–A"},
	}}
}

// valueChips show the values that links have put into the filter.
func (p *dictPages) valueChips(here url.Values) []dictview.Chip {
	var chips []dictview.Chip
	for _, x := range []struct{ name, label string }{{"value1", "from value"}, {"value2", "to value"}} {
		if here.Get(x.name) == "" {
			continue
		}
		without := url.Values{}
		for k, v := range here {
			if k != x.name {
				without[k] = v
			}
		}
		chips = append(chips, dictview.Chip{Name: x.name, Label: x.label, Value: here.Get(x.name), URL: p.url("dict.translations", without)})
	}
	return chips
}

// sortHeads are the heads of both sides: the one that sorts turns the order round.
func (p *dictPages) sortHeads(here url.Values, sort string) (source, target dictview.SortHead) {
	by := func(sort string) string {
		q := url.Values{}
		for k, v := range here {
			q[k] = v
		}
		q.Set("sort", sort)
		return p.url("dict.translations", q)
	}
	source, target = dictview.SortHead{URL: by(""), Aria: "none"}, dictview.SortHead{URL: by("target"), Aria: "none"}
	switch sort {
	case "-source":
		source.Aria = "descending"
	case "target":
		target.Aria, target.URL = "ascending", by("-target")
	case "-target":
		target.Aria = "descending"
	default:
		source.Aria, source.URL = "ascending", by("-source")
	}
	return source, target
}

func (p *dictPages) translationRows(ctx context.Context, view dictLinks, ts []dict.Translation) ([]dictview.TranslationRow, error) {
	versions := make([]int64, len(ts))
	for i, t := range ts {
		versions[i] = t.Version
	}
	heads, err := p.heads.of(ctx, p.Dict, p.Now(), versions)
	if err != nil {
		return nil, err
	}
	rows := make([]dictview.TranslationRow, len(ts))
	for i, t := range ts {
		rows[i] = view.translationRow(t, heads)
	}
	return rows, nil
}

// translation serves GET /dictionaries/translations/:id.
func (p *dictPages) translation(c echo.Context) error {
	ctx := c.Request().Context()
	t, err := p.Dict.Translation(ctx, param(c, "id"))
	if err != nil {
		return err
	}
	rows, err := p.translationRows(ctx, p.view(c), []dict.Translation{t})
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.TranslationItem(rows[0]))
	}
	page := dictview.TranslationPage{Page: p.page(c, "Translation of "+t.System1+" "+t.Key1+" "+short(t.Value1), p.below("dict.translations", t.Value1)...), Row: &rows[0]}
	return render(c, http.StatusOK, dictview.Translation(p.withTranslationList(page)))
}

func (p *dictPages) withTranslationList(page dictview.TranslationPage) dictview.TranslationPage {
	page.List = dictview.Link{Text: "All translations", URL: p.url("dict.translations")}
	return page
}

func translationAsked(c echo.Context) dict.Translation {
	return dict.Translation{
		System1: query(c, "system1"), Key1: query(c, "key1"), Value1: text(c, "value1"),
		System2: query(c, "system2"), Key2: query(c, "key2"), Value2: text(c, "value2"),
	}
}

// newTranslation serves GET /dictionaries/translations/new. The query fills the form in.
func (p *dictPages) newTranslation(c echo.Context) error {
	f := p.view(c).translationForm(translationAsked(c), newOp(), backOf(c, p.url("dict.translations")))
	if query(c, "lines") != "" {
		f.Value1.Lines, f.Value2.Lines, f.CreateEntries = true, true, query(c, "create_entries") != ""
	}
	return p.renderTranslationForm(c, http.StatusOK, nil, f)
}

// editTranslation serves GET /dictionaries/translations/:id/edit. The query may hold what is typed already.
func (p *dictPages) editTranslation(c echo.Context) error {
	t, err := p.Dict.Translation(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	f := p.view(c).translationForm(t, newOp(), backOf(c, p.url("dict.translations")))
	if query(c, "lines") != "" {
		typed := translationAsked(c)
		typed.ID = t.ID
		typed.Version, _ = strconv.ParseInt(query(c, "version"), 10, 64)
		f = p.view(c).translationForm(typed, newOp(), localPath(query(c, "back")))
		f.Value1.Lines, f.Value2.Lines, f.CreateEntries = true, true, query(c, "create_entries") != ""
	}
	return p.renderTranslationForm(c, http.StatusOK, nil, f)
}

// renderTranslationForm shows the form: in place, or on a page of its own. err is why it is shown again.
func (p *dictPages) renderTranslationForm(c echo.Context, status int, err error, f dictview.TranslationForm) error {
	typed := map[string]string{
		"system1": f.System1.Value, "key1": f.Key1.Value, "value1": f.Value1.Value,
		"system2": f.System2.Value, "key2": f.Key2.Value, "value2": f.Value2.Value,
	}
	choices, trouble := p.choicesFor(c.Request().Context(), pickTranslation, f.Suffix, func(field string) string { return typed[field] })
	if trouble != nil && err == nil {
		return trouble // a form that is shown again does without
	}
	f.Choices = choices
	page := dictview.TranslationPage{Page: p.page(c, f.Title, p.below("dict.translations", f.Title)...), Form: &f}
	return p.again(c, status, err, dictview.TranslationFormItem(f), dictview.Translation(p.withTranslationList(page)))
}

// translationPosted is the form of a translation as it was sent.
type translationPosted struct {
	posted
	translation   dict.Translation
	createEntries bool
}

func readTranslationForm(c echo.Context) (translationPosted, error) {
	f, err := readPosted(c)
	t := dict.Translation{
		ID: param(c, "id"), Version: f.version,
		System1: f.word("system1"), Key1: f.word("key1"), Value1: f.text("value1"),
		System2: f.word("system2"), Key2: f.word("key2"), Value2: f.text("value2"),
	}
	return translationPosted{f, t, f.has("create_entries")}, err
}

func (f translationPosted) fields() []string {
	t := f.translation
	return []string{
		t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2, t.ID,
		strconv.FormatInt(f.version, 10), strconv.FormatBool(f.createEntries),
	}
}

// createTranslation serves POST /dictionaries/translations.
func (p *dictPages) createTranslation(c echo.Context) error {
	return p.putTranslation(c, verbTranslationCreate, func(ctx context.Context, by dict.By, f translationPosted) (string, dict.Translation, dict.Change, error) {
		made, change, err := p.Dict.CreateTranslation(ctx, by, f.translation, f.createEntries)
		return "", made, change, err
	})
}

// saveTranslation serves POST /dictionaries/translations/:id.
func (p *dictPages) saveTranslation(c echo.Context) error {
	return p.putTranslation(c, verbTranslationChange, func(ctx context.Context, by dict.By, f translationPosted) (string, dict.Translation, dict.Change, error) {
		made, change, err := p.Dict.UpdateTranslation(ctx, by, f.translation, f.createEntries)
		before := ""
		for _, i := range change.Items {
			if i.TranslationBefore != nil && i.TranslationBefore.ID == f.translation.ID {
				before = wholeText(*i.TranslationBefore)
			}
		}
		return before, made, change, err
	})
}

// wholeText is a translation with its value, for the audit log.
func wholeText(t dict.Translation) string { return translationText(t) + ": " + short(t.Value2) }

func (p *dictPages) putTranslation(c echo.Context, verb string, put func(context.Context, dict.By, translationPosted) (string, dict.Translation, dict.Change, error)) error {
	ctx := c.Request().Context()
	f, err := readTranslationForm(c)
	if err != nil {
		return err
	}
	by := f.by(c, f.fields()...)
	if done, err := p.settled(ctx, f.posted, by); err != nil {
		return p.translationAgain(c, f, kvdb.ErrUnknown)
	} else if !done {
		form := p.typedTranslation(c, f, newOp())
		form.State = dictview.NotDone
		return p.renderTranslationForm(c, http.StatusOK, nil, form)
	}
	var made dict.Translation
	var change dict.Change
	err = p.audited(c, verb, "translation "+translationText(f.translation), func() (before, after string, err error) {
		before, made, change, err = put(ctx, by, f)
		if err == nil {
			after = wholeText(made)
		}
		return before, after, err
	})
	if err != nil {
		return p.translationAgain(c, f, err)
	}
	return p.translationSaved(c, f, made, change)
}

// translationSaved shows the translation as it is now, after a new one also a form for the next.
func (p *dictPages) translationSaved(c echo.Context, f translationPosted, t dict.Translation, change dict.Change) error {
	ctx, list := c.Request().Context(), p.url("dict.translations")
	said := "Saved " + wholeText(t) + "."
	if n := change.Counts.EntriesCreated; n > 0 {
		said = "Saved " + wholeText(t) + ", and created " + plural(n, "entry") + "."
	}
	toast := p.toast(said, change)
	created := f.translation.ID == ""
	kept := dict.Translation{System1: t.System1, Key1: t.Key1, System2: t.System2, Key2: t.Key2}
	if !wantsFragment(c.Request()) {
		to := f.back
		if created && addressPath(to) == list {
			next := queryValues(kept.Query())
			next.Set("back", f.back)
			to = p.url("dict.translations.new", next)
		}
		return p.done(c, orList(to, list), toast)
	}
	if created && f.back != "" && addressPath(f.back) != list {
		return p.done(c, f.back, toast)
	}
	view := p.view(c)
	rows, err := p.translationRows(ctx, view, []dict.Translation{t})
	if err != nil {
		return err
	}
	item := dictview.TranslationItem(rows[0])
	if !created {
		return render(c, http.StatusOK, templ.Join(item, ui.ToastOOB(toast)))
	}
	next := view.translationForm(kept, newOp(), f.back)
	next.Focus, next.CreateEntries = "value1", f.createEntries
	typed := map[string]string{"system1": t.System1, "key1": t.Key1, "system2": t.System2, "key2": t.Key2}
	if next.Choices, err = p.choicesFor(ctx, pickTranslation, next.Suffix, func(field string) string { return typed[field] }); err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.TranslationFormItem(next), item, ui.ToastOOB(toast)))
}

// typedTranslation is the form with what was typed; op is its token.
func (p *dictPages) typedTranslation(c echo.Context, f translationPosted, op string) dictview.TranslationForm {
	form := p.view(c).translationForm(f.translation, op, f.back)
	form.CreateEntries = f.createEntries
	return form
}

// translationAgain shows the form again, with why it was not saved. Errors that have nothing to do with the form are returned.
func (p *dictPages) translationAgain(c echo.Context, f translationPosted, err error) error {
	state, status := stateOf(err)
	if f.translation.ID != "" && errors.Is(err, kvdb.ErrNotFound) {
		state, status = dictview.Gone, http.StatusConflict
	}
	if status == 0 {
		return err
	}
	op := f.op // the same, so that what was perhaps done is not done again
	if state == dictview.Stale {
		op = newOp()
	}
	form := p.typedTranslation(c, f, op)
	form.State = state
	var stale *dict.StaleError
	var exists *dict.ExistsError
	var missing *dict.MissingEntriesError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &stale) && stale.Translation != nil:
		heads, err := p.heads.of(c.Request().Context(), p.Dict, p.Now(), []int64{stale.Translation.Version})
		if err != nil {
			return err
		}
		form.Current = p.view(c).translationRow(*stale.Translation, heads)
		form.Theirs = form.Current.Changed
		form.Hidden = hidden("op", op, "back", f.back, "version", strconv.FormatInt(stale.Translation.Version, 10))
	case errors.As(err, &stale), state == dictview.Gone:
		form.State, form.Again, form.Cancel = dictview.Gone, p.url("dict.translations.create"), orList(f.back, p.url("dict.translations"))
	case errors.As(err, &exists):
		form.Error, form.See = p.problemOf(err, c).Detail, dictview.Link{Text: "Edit that one", URL: p.url("dict.translation.edit", exists.ID)}
	case errors.As(err, &missing):
		form.Error = missingSaid(missing.Entries) + " Tick the box to have it created with the translation."
	case invalid:
		form.System1.Error, form.Key1.Error, form.Value1.Error = wrong["system1"], wrong["key1"], wrong["value1"]
		form.System2.Error, form.Key2.Error, form.Value2.Error = wrong["system2"], wrong["key2"], wrong["value2"]
		form.Focus = firstWrong(wrong, form.Focus, "system1", "key1", "value1", "system2", "key2", "value2")
	case state == dictview.Typing:
		form.Error = p.problemOf(err, c).Detail
	}
	return p.renderTranslationForm(c, status, err, form)
}

// missingSaid names the ends of a translation that are no entries.
func missingSaid(entries []dict.Entry) string {
	said := "There is no entry "
	for i, e := range entries {
		if i > 0 {
			said += " and no entry "
		}
		said += entryText(e)
	}
	return said + "."
}

// askTranslation serves GET /dictionaries/translations/:id/delete.
func (p *dictPages) askTranslation(c echo.Context) error {
	t, err := p.Dict.Translation(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return p.renderDeletion(c, http.StatusOK, nil, "dict.translations", p.translationDeletion(t, newOp(), backOf(c, p.url("dict.translations"))))
}

func (p *dictPages) translationDeletion(t dict.Translation, op, back string) dictview.Deletion {
	return dictview.Deletion{
		ID: itemID(t.ID), Suffix: t.ID, Columns: dictview.TranslationColumns, Label: wholeText(t), Text: "Its two entries stay. It can be undone.", Confirm: "Delete the translation",
		Action: p.url("dict.translation.delete", t.ID), Cancel: p.url("dict.translation", t.ID),
		Hidden: hidden("op", op, "back", back, "version", strconv.FormatInt(t.Version, 10)),
	}
}

// deleteTranslation serves POST /dictionaries/translations/:id/delete with the fields op and version.
func (p *dictPages) deleteTranslation(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	by := f.by(c, id, f.word("version"))
	t, err := p.Dict.Translation(ctx, id)
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	ask := func(state dictview.State, status int, why error, notice string) error {
		op := newOp()
		if state == dictview.Unknown {
			op = f.op
		}
		d := p.translationDeletion(t, op, f.back)
		d.State, d.Notice = state, notice
		return p.renderDeletion(c, status, why, "dict.translations", d)
	}
	if done, err := p.settled(ctx, f, by); err != nil {
		return ask(dictview.Unknown, http.StatusGatewayTimeout, kvdb.ErrUnknown, "")
	} else if !done {
		return ask(dictview.NotDone, http.StatusOK, nil, "")
	}
	var change dict.Change
	err = p.audited(c, verbTranslationDelete, "translation "+id, func() (string, string, error) {
		change, err = p.Dict.DeleteTranslation(ctx, by, id, f.version)
		return wholeText(t), "", err
	})
	switch state, status := stateOf(err); {
	case errors.Is(err, kvdb.ErrNotFound): // by somebody else: it is as it was wanted
		return p.itemDeleted(c, f.back, "dict.translations", id, dictview.TranslationColumns, "It was deleted already.", change)
	case state == dictview.Stale:
		return ask(dictview.Typing, status, err, "It was changed since you were asked: look again.")
	case state == dictview.Unknown:
		return ask(state, status, err, "")
	case err != nil:
		return err
	}
	return p.itemDeleted(c, f.back, "dict.translations", id, dictview.TranslationColumns, "Deleted "+wholeText(t)+".", change)
}
