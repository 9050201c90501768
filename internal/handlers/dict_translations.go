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

// translations serves GET /dictionaries/translations: the list. The query holds q, systems, keys and values of both ends, unused_since, the
// order (sort: source, -source, target or -target), and the place: cursor or last.
func (p *dictPages) translations(c echo.Context) error {
	filters, f, here, err := p.translationFilters(c)
	if err != nil {
		return err
	}
	list, err := p.translationList(c, filters, f, here)
	if err != nil {
		return err
	}
	use, err := p.strip(c, f)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		sayAddress(c, p.url("dict.translations", withPlace(c, here)))
		return render(c, http.StatusOK, templ.Join(dictview.TranslationListOf(list), dictview.FiltersAgain(filters), dictview.UseAgain(use)))
	}
	page := dictview.TranslationsPage{Page: p.page(c, "Translations", p.crumbs("dict.translations")...), Filters: filters, Use: use, List: list, History: p.url("dict.changes")}
	if mayEdit(c) {
		page.Import = p.url("dict.transfer")
	}
	groups, err := p.missed.of(c.Request().Context(), p.Dict, p.Now())
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

// translationList reads a page of the list, as translationFilters says.
func (p *dictPages) translationList(c echo.Context, filters dictview.Filters, f dict.Filter, here url.Values) (list dictview.TranslationList, err error) {
	ctx, view := c.Request().Context(), p.view(c)
	sort := here.Get("sort")
	order := listOptions(c)
	order.Sort, order.Desc = sorts[sort].by, sorts[sort].desc
	page, err := p.Dict.Translations(ctx, f, order)
	if err != nil {
		return list, err
	}
	if list.Rows, err = p.translationRows(ctx, view, page.Items); err != nil {
		return list, err
	}
	list.Source, list.Target = p.sortHeads(here, sort)
	list.Pager = view.pager("dict.translations", here, placeOf(page, true))
	if view.edit {
		list.AddURL = p.url("dict.translations.new", values("system1", f.System1, "key1", f.Key1, "value1", f.Value1, "system2", f.System2, "key2", f.Key2))
	}
	if len(list.Rows) == 0 {
		list.Nothing = view.nothing(page.All, "translations", filters.Clear)
	}
	return list, nil
}

// translationFilters reads what the list is narrowed to. here is the query that says it, with the order and without what is empty.
func (p *dictPages) translationFilters(c echo.Context) (filters dictview.Filters, f dict.Filter, here url.Values, err error) {
	ctx := c.Request().Context()
	from, to := pair{query(c, "system1"), query(c, "key1")}, pair{query(c, "system2"), query(c, "key2")}
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return filters, f, nil, err
	}
	filters.URL, filters.Search = p.url("dict.translations"), ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any of the six fields", Value: query(c, "q")}
	if filters.From, err = p.filterBy(ctx, systems, "1", "From ", &from); err != nil {
		return filters, f, nil, err
	}
	if filters.To, err = p.filterBy(ctx, systems, "2", "To ", &to); err != nil {
		return filters, f, nil, err
	}
	f = dict.Filter{
		Q:       query(c, "q"),
		System1: from.system, Key1: from.key, Value1: text(c, "value1"),
		System2: to.system, Key2: to.key, Value2: text(c, "value2"),
	}
	filters.Unused, f.Unused = unusedChoice(c, p.Now())
	here = values("q", f.Q, "system1", f.System1, "key1", f.Key1, "value1", f.Value1, "system2", f.System2, "key2", f.Key2, "value2", f.Value2,
		"unused_since", filters.Unused.Value)
	if encode(here) != "" {
		filters.Clear = p.url("dict.translations")
	}
	if sort := query(c, "sort"); sorts[sort].by != dict.SortSource || sorts[sort].desc {
		here.Set("sort", sort)
	}
	filters.Sort, filters.Chips = sortChoice(here.Get("sort")), p.valueChips(here)
	return filters, f, here, nil
}

func sortChoice(sort string) ui.SelectProps {
	return ui.SelectProps{ID: "filter-sort", Name: "sort", Label: "Order", HideLabel: true, Value: sort, Options: []ui.Option{
		{Value: "", Text: "Source, A–Z"}, {Value: "-source", Text: "Source, Z–A"}, {Value: "target", Text: "Target, A–Z"}, {Value: "-target", Text: "Target, Z–A"},
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
	page := dictview.TranslationPage{
		Page: p.page(c, "Translation of "+entryText(t.Source()), p.crumbs("dict.translations", short(t.Value1))...),
		Row:  &rows[0], List: p.translationsLink(),
	}
	return render(c, http.StatusOK, dictview.Translation(page))
}

func (p *dictPages) translationsLink() dictview.Link {
	return dictview.Link{Text: "All translations", URL: p.url("dict.translations")}
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
	back, lines := backOf(c, p.url("dict.translations")), query(c, "lines") != ""
	if lines {
		id := t.ID
		t = translationAsked(c)
		t.ID = id
		t.Version, _ = strconv.ParseInt(query(c, "version"), 10, 64)
	}
	f := p.view(c).translationForm(t, newOp(), back)
	if lines {
		f.Value1.Lines, f.Value2.Lines, f.CreateEntries = true, true, query(c, "create_entries") != ""
	}
	return p.renderTranslationForm(c, http.StatusOK, nil, f)
}

// renderTranslationForm shows the form: in place, or on a page of its own. err is why it is shown again.
func (p *dictPages) renderTranslationForm(c echo.Context, status int, err error, f dictview.TranslationForm) error {
	choices, trouble := p.choicesFor(c.Request().Context(), pickTranslation, f.Suffix, typedIn(
		"system1", f.System1.Value, "key1", f.Key1.Value, "value1", f.Value1.Value, "system2", f.System2.Value, "key2", f.Key2.Value, "value2", f.Value2.Value))
	if trouble != nil && err == nil {
		return trouble // a form that is shown again does without
	}
	f.Choices, f.Alone = choices, !wantsFragment(c.Request())
	crumbs := append(p.crumbs("dict.translations"), layout.Crumb{Text: f.Title})
	page := dictview.TranslationPage{Page: p.page(c, f.Title, crumbs...), Form: &f, List: p.translationsLink()}
	return p.again(c, status, err, dictview.TranslationFormItem(f), dictview.Translation(page))
}

// translationSent is the form of a translation as it was sent.
type translationSent struct {
	posted
	translation   dict.Translation
	createEntries bool
}

func readTranslationForm(c echo.Context) (translationSent, error) {
	f, err := readPosted(c)
	if err != nil {
		return translationSent{}, err
	}
	t := dict.Translation{
		ID: param(c, "id"), Version: f.version,
		System1: f.word("system1"), Key1: f.word("key1"), Value1: f.text("value1"),
		System2: f.word("system2"), Key2: f.word("key2"), Value2: f.text("value2"),
	}
	return translationSent{f, t, f.has("create_entries")}, nil
}

func (f translationSent) by(c echo.Context) dict.By {
	t := f.translation
	return f.posted.by(c, t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2, t.ID,
		strconv.FormatInt(t.Version, 10), strconv.FormatBool(f.createEntries))
}

// wholeText is a translation with its value, for the audit log.
func wholeText(t dict.Translation) string { return translationText(t) + ": " + short(t.Value2) }

// createTranslation serves POST /dictionaries/translations.
func (p *dictPages) createTranslation(c echo.Context) error {
	f, err := readTranslationForm(c)
	if err != nil {
		return err
	}
	if f.translation.Value1+f.translation.Value2 == "" && !f.has("empty") {
		return p.translationAgain(c, f, errEmpty)
	}
	var made dict.Translation
	var change dict.Change
	by := f.by(c)
	saved, err := p.save(c, f.posted, by, verbTranslationCreate, "translation "+translationText(f.translation), func() (before, after string, err error) {
		made, change, err = p.Dict.CreateTranslation(c.Request().Context(), by, f.translation, f.createEntries)
		return "", wholeText(f.translation), err
	}, func(err error) error { return p.translationAgain(c, f, err) })
	if !saved {
		return err
	}
	return p.translationCreated(c, f, made, change)
}

// savedToast says what was saved, as briefly as can be: many are saved in a row.
func (p *dictPages) savedToast(t dict.Translation, change dict.Change) ui.ToastProps {
	said := "Saved " + short(t.Value1) + " → " + short(t.Value2)
	if n := change.Counts.EntriesCreated; n > 0 {
		said += ", with " + decimal(n) + " new " + nounOf(n)
	}
	return p.toast(said+".", change)
}

// translationCreated shows the new translation, and a form for the next.
func (p *dictPages) translationCreated(c echo.Context, f translationSent, t dict.Translation, change dict.Change) error {
	ctx, list, toast := c.Request().Context(), p.url("dict.translations"), p.savedToast(t, change)
	kept := dict.Translation{System1: t.System1, Key1: t.Key1, System2: t.System2, Key2: t.Key2}
	switch stay := addressPath(f.backTo(list)) == list; {
	case !stay:
		if addressPath(f.back) == p.url("dict.misses") {
			p.offerRetry(c, &toast, t.Query())
		}
		return p.done(c, f.back, toast)
	case !wantsFragment(c.Request()):
		next := queryValues(kept.Query())
		next.Set("back", f.back)
		return p.done(c, p.url("dict.translations.new", next), toast)
	}
	rows, err := p.translationRows(ctx, p.view(c), []dict.Translation{t})
	if err != nil {
		return err
	}
	next := p.view(c).translationForm(kept, newOp(), f.backTo(list))
	next.CreateEntries = f.createEntries
	next.Choices, err = p.choicesFor(ctx, pickTranslation, next.Suffix, typedIn("system1", t.System1, "key1", t.Key1, "system2", t.System2, "key2", t.Key2))
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.TranslationFormItem(next), dictview.TranslationItem(rows[0]), ui.ToastOOB(toast)))
}

// saveTranslation serves POST /dictionaries/translations/:id.
func (p *dictPages) saveTranslation(c echo.Context) error {
	f, err := readTranslationForm(c)
	if err != nil {
		return err
	}
	var made dict.Translation
	var change dict.Change
	by := f.by(c)
	saved, err := p.save(c, f.posted, by, verbTranslationChange, "translation "+translationText(f.translation), func() (before, after string, err error) {
		made, change, err = p.Dict.UpdateTranslation(c.Request().Context(), by, f.translation, f.createEntries)
		for _, i := range change.Items {
			if i.TranslationBefore != nil && i.TranslationBefore.ID == f.translation.ID {
				before = wholeText(*i.TranslationBefore)
			}
		}
		return before, wholeText(f.translation), err
	}, func(err error) error { return p.translationAgain(c, f, err) })
	if !saved {
		return err
	}
	toast := p.savedToast(made, change)
	if !wantsFragment(c.Request()) {
		return p.done(c, f.backTo(p.url("dict.translations")), toast)
	}
	rows, err := p.translationRows(c.Request().Context(), p.view(c), []dict.Translation{made})
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.TranslationItem(rows[0]), ui.ToastOOB(toast)))
}

// translationAgain shows the form again, with why it was not saved. Errors that have nothing to do with it are returned.
func (p *dictPages) translationAgain(c echo.Context, f translationSent, err error) error {
	x := p.troubleOf(c, err, f.op, f.translation.ID != "")
	if x.status == 0 {
		return err
	}
	t, list := f.translation, p.url("dict.translations")
	now := x.stale.Translation
	if now != nil {
		t.Version = now.Version // what is saved next is saved over that one
	}
	form := p.view(c).translationForm(t, x.op, f.back)
	form.CreateEntries = f.createEntries
	p.into(&form.Form, x, "translation", list, f.backTo(list), "system1", "key1", "value1", "system2", "key2", "value2")
	form.System1.Error, form.Key1.Error, form.Value1.Error = x.wrong["system1"], x.wrong["key1"], x.wrong["value1"]
	form.System2.Error, form.Key2.Error, form.Value2.Error = x.wrong["system2"], x.wrong["key2"], x.wrong["value2"]
	if errors.Is(err, errEmpty) {
		form.Hidden = append(form.Hidden, dictview.Hidden{Name: "empty", Value: "1"})
	}
	if now != nil {
		rows, err := p.translationRows(c.Request().Context(), p.view(c), []dict.Translation{*now})
		if err != nil {
			return err
		}
		form.Current, form.Theirs = rows[0], rows[0].Changed
	}
	return p.renderTranslationForm(c, x.status, err, form)
}
