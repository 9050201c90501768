package handlers

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
)

// shownUses is how many of the translations that go with an entry are named before it is deleted.
const shownUses = 10

// deleting is the deletion of one thing, from the question to what is left in its place.
type deleting struct {
	list, verb, object string
	columns            string
	ask                func(op, back string) dictview.Deletion
	do                 func(by dict.By) (dict.Change, error)
	before             string
	said               func(dict.Change) string
	use                func() (string, error) // when it was looked up last
}

// askEntry serves GET /dictionaries/entries/:id/delete: what goes with the entry, and the question.
func (p *dictPages) askEntry(c echo.Context) error {
	e, err := p.Dict.Entry(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	uses, err := p.usesOf(c.Request().Context(), e)
	if err != nil {
		return err
	}
	return p.ask(c, p.entryDeleting(c, e, uses))
}

// deleteEntry serves POST /dictionaries/entries/:id/delete with the fields op, version and uses: how many translations were
// said to go with it. If that is no longer so, it asks again.
func (p *dictPages) deleteEntry(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	e, err := p.Dict.Entry(ctx, param(c, "id"))
	if errors.Is(err, kvdb.ErrNotFound) {
		return p.goneAlready(c, f, p.entryDeleting(c, e, uses{}))
	}
	if err != nil {
		return err
	}
	uses, err := p.usesOf(ctx, e)
	if err != nil {
		return err
	}
	d := p.entryDeleting(c, e, uses)
	if f.word("uses") != strconv.FormatInt(uses.total, 10) && !f.check {
		return p.askAgain(c, f, d, http.StatusConflict, dictview.Typing, kvdb.ErrConflict)
	}
	return p.delete(c, f, d)
}

func (p *dictPages) entryDeleting(c echo.Context, e dict.Entry, uses uses) deleting {
	ctx, id := c.Request().Context(), param(c, "id")
	return deleting{
		list: "dict.entries", verb: verbEntryDelete, object: "entry " + id, columns: dictview.EntryColumns, before: entryText(e),
		ask: func(op, back string) dictview.Deletion { return p.view(c).entryDeletion(e, uses, op, back) },
		do: func(by dict.By) (dict.Change, error) {
			return p.Dict.DeleteEntry(ctx, by, id, e.Version)
		},
		said: func(change dict.Change) string {
			if n := change.Counts.Deleted; n > 0 {
				return "Deleted " + entryText(e) + " and " + plural(n, "translation") + "."
			}
			return "Deleted " + entryText(e) + "."
		},
		use: func() (string, error) { return p.entryUse(ctx, e) },
	}
}

// uses are the translations that an entry is part of: the first of them, and how many there are.
type uses struct {
	first []dict.Translation
	total int64
}

func (p *dictPages) usesOf(ctx context.Context, e dict.Entry) (out uses, err error) {
	if out.total, err = p.Dict.CountUses(ctx, e); err != nil {
		return out, err
	}
	// A filter can't ask for the empty value, but that one sorts first.
	from, err := p.Dict.Translations(ctx, dict.Filter{System1: e.System, Key1: e.Key, Value1: e.Value}, dict.ListOptions{Limit: shownUses})
	if err != nil {
		return out, err
	}
	to, err := p.Dict.Reverse(ctx, e, dict.ListOptions{Limit: shownUses})
	if err != nil {
		return out, err
	}
	seen, want := map[string]bool{}, dict.Entry{System: e.System, Key: e.Key, Value: e.Value}
	for _, t := range append(from.Items, to.Items...) {
		if (t.Source() == want || t.Target() == want) && !seen[t.ID] && len(out.first) < shownUses {
			seen[t.ID] = true
			out.first = append(out.first, t)
		}
	}
	return out, nil
}

// askTranslation serves GET /dictionaries/translations/:id/delete.
func (p *dictPages) askTranslation(c echo.Context) error {
	t, err := p.Dict.Translation(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return p.ask(c, p.translationDeleting(c, t))
}

// deleteTranslation serves POST /dictionaries/translations/:id/delete with the fields op and version.
func (p *dictPages) deleteTranslation(c echo.Context) error {
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	t, err := p.Dict.Translation(c.Request().Context(), param(c, "id"))
	d := p.translationDeleting(c, t)
	switch {
	case errors.Is(err, kvdb.ErrNotFound):
		return p.goneAlready(c, f, d)
	case err != nil:
		return err
	case t.Version != f.version && !f.check:
		return p.askAgain(c, f, d, http.StatusConflict, dictview.Typing, kvdb.ErrConflict)
	}
	return p.delete(c, f, d)
}

func (p *dictPages) translationDeleting(c echo.Context, t dict.Translation) deleting {
	id := param(c, "id")
	return deleting{
		list: "dict.translations", verb: verbTranslationDelete, object: "translation " + id, columns: dictview.TranslationColumns, before: wholeText(t),
		ask: func(op, back string) dictview.Deletion {
			return dictview.Deletion{
				ID: itemID(t.ID), Suffix: t.ID, Columns: dictview.TranslationColumns, Label: wholeText(t), Text: "Its two entries stay. It can be undone.",
				Confirm: "Delete the translation", Action: p.url("dict.translation.delete", t.ID), Cancel: p.url("dict.translation", t.ID),
				Hidden: hidden("op", op, "back", back, "version", strconv.FormatInt(t.Version, 10)),
			}
		},
		do: func(by dict.By) (dict.Change, error) {
			return p.Dict.DeleteTranslation(c.Request().Context(), by, id, t.Version)
		},
		said: func(dict.Change) string { return "Deleted " + wholeText(t) + "." },
		use:  func() (string, error) { return p.translationUse(c.Request().Context(), t) },
	}
}

// ask puts the question.
func (p *dictPages) ask(c echo.Context, d deleting) error {
	return p.renderDeletion(c, http.StatusOK, nil, d, d.ask(newOp(), backOf(c, p.url(d.list))))
}

// askAgain puts the question again, with what has come between. The token stays where nobody knows whether it was done.
func (p *dictPages) askAgain(c echo.Context, f posted, d deleting, status int, state dictview.State, why error) error {
	op := newOp()
	if state == dictview.Unknown {
		op = f.op
	}
	question := d.ask(op, f.back)
	question.State = state
	if state == dictview.Typing {
		question.Notice = "It has changed since you were asked: look again."
	}
	return p.renderDeletion(c, status, why, d, question)
}

func (p *dictPages) renderDeletion(c echo.Context, status int, err error, d deleting, question dictview.Deletion) error {
	question.Alone = !wantsFragment(c.Request())
	if use, trouble := d.use(); trouble == nil { // else the question does without
		question.Use = use
	}
	page := dictview.DeletionPage{Page: p.page(c, "Delete "+question.Label, p.crumbs(d.list, question.Label)...), Deletion: question}
	return p.again(c, status, err, dictview.DeletionItem(question), dictview.DeletionPageOf(page))
}

// delete does it, and says in its place, or on the list, that it is gone.
func (p *dictPages) delete(c echo.Context, f posted, d deleting) error {
	by := f.by(c, param(c, "id"), strconv.FormatInt(f.version, 10))
	err := p.settle(c.Request().Context(), f, by)
	var change dict.Change
	if err == nil {
		err = p.audited(c, d.verb, d.object, func() (string, string, error) {
			change, err = d.do(by)
			return d.before, "", err
		})
	}
	var stale *dict.StaleError
	switch {
	case errors.Is(err, errNotDone):
		return p.askAgain(c, f, d, http.StatusConflict, dictview.NotDone, err)
	case errors.Is(err, kvdb.ErrUnknown):
		return p.askAgain(c, f, d, http.StatusGatewayTimeout, dictview.Unknown, err)
	case errors.As(err, &stale):
		return p.askAgain(c, f, d, http.StatusConflict, dictview.Typing, err)
	case errors.Is(err, kvdb.ErrNotFound):
		return p.goneAlready(c, f, d)
	case err != nil:
		return err
	}
	return p.deleted(c, f, d, d.said(change), change.ID)
}

// goneAlready answers for what is not there: by this form when it was sent before, or by somebody else, it is as it was wanted.
func (p *dictPages) goneAlready(c echo.Context, f posted, d deleting) error {
	return p.deleted(c, f, d, "It is deleted.", "")
}

func (p *dictPages) deleted(c echo.Context, f posted, d deleting, said, change string) error {
	toast := p.toast(said, dict.Change{ID: change})
	if change == "" {
		toast.Text, toast.LinkText, toast.LinkURL = said, "History", p.url("dict.changes")
	}
	if !wantsFragment(c.Request()) {
		return p.done(c, f.backTo(p.url(d.list)), toast)
	}
	return render(c, http.StatusOK, dictview.RemovedItem(dictview.Removed{ID: itemID(param(c, "id")), Text: said, Change: toast.LinkURL, Columns: d.columns}))
}
