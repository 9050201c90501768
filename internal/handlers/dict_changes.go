package handlers

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/layout"
)

// changes serves GET /dictionaries/changes: the history.
func (p *dictPages) changes(c echo.Context) error {
	page, err := p.Dict.Changes(c.Request().Context(), query(c, "cursor"), pageRows)
	if err != nil {
		return err
	}
	view := p.view(c)
	list := dictview.ChangeList{Pager: view.pager("dict.changes", nil, placeOf(page, false))}
	if query(c, "cursor") != "" {
		list.Pager.First = p.url("dict.changes")
	}
	for _, x := range page.Items {
		list.Rows = append(list.Rows, view.changeRow(x))
	}
	if len(list.Rows) == 0 {
		list.Nothing = &dictview.Nothing{Icon: "history", Title: "Nothing was changed so far", Text: "Every change of the dictionaries is kept here, with what was before and what is after, and can be undone."}
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.ChangeListOf(list))
	}
	return render(c, http.StatusOK, dictview.Changes(dictview.ChangesPage{Page: p.page(c, "History", p.historyCrumbs()...), List: list}))
}

func (p *dictPages) historyCrumbs(below ...string) []layout.Crumb {
	way := []layout.Crumb{{Text: "Dictionaries", URL: p.url("dict.translations")}, {Text: "History", URL: p.url("dict.changes")}}
	for _, text := range below {
		way = append(way, layout.Crumb{Text: text})
	}
	return way
}

// change serves GET /dictionaries/changes/:id: what one change did.
func (p *dictPages) change(c echo.Context) error {
	return p.renderChange(c, http.StatusOK, nil)
}

// renderChange shows a change; undo is the form that could not be sent, nil = a fresh one.
func (p *dictPages) renderChange(c echo.Context, status int, undo *dictview.UndoForm) error {
	ctx, id, view := c.Request().Context(), param(c, "id"), p.view(c)
	change, err := p.Dict.Change(ctx, id)
	if err != nil {
		return err
	}
	items, err := p.Dict.ChangeItems(ctx, id, query(c, "cursor"), pageRows)
	if err != nil {
		return err
	}
	list := dictview.ItemList{Items: changeItems(items.Items), Figures: figuresOf(change.Counts)}
	list.Pager = view.pagerAt(p.url("dict.change", id), nil, placeOf(items, false))
	if wantsFragment(c.Request()) {
		return render(c, status, dictview.ItemListOf(list))
	}
	page := dictview.ChangePage{
		Page: p.page(c, "Change "+id, p.historyCrumbs("Change "+id)...), Change: view.changeRow(change), List: list, Undo: undo,
		History: p.url("dict.changes"),
	}
	if page.Undo == nil && mayEdit(c) && change.UndoneBy == "" {
		page.Undo = p.undoForm(change)
	}
	return render(c, status, dictview.Change(page))
}

func (p *dictPages) undoForm(change dict.Change) *dictview.UndoForm {
	return &dictview.UndoForm{Action: p.url("dict.change.undo", change.ID), Op: newOp(), Says: undoSays(change)}
}

// undo serves POST /dictionaries/changes/:id/undo with the fields op and check.
func (p *dictPages) undo(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	change, err := p.Dict.Change(ctx, id)
	if err != nil {
		return err
	}
	if change.UndoneBy != "" { // by somebody else, or by this form when it was sent before: it is as it was wanted
		return p.done(c, p.url("dict.change", change.UndoneBy), p.toast("Change "+id+" is undone.", dict.Change{ID: change.UndoneBy}))
	}
	by := f.by(c, id)
	form := p.undoForm(change)
	form.Open = true
	err = p.settle(ctx, f, by)
	var undone dict.Change
	if err == nil {
		err = p.audited(c, verbUndo, "change "+id, func() (string, string, error) {
			undone, err = p.Dict.Undo(ctx, by, id)
			return change.Summary, undone.Summary, err
		})
	}
	var conflict *dict.UndoConflictError
	switch {
	case errors.Is(err, errNotDone):
		form.State = dictview.NotDone
		return p.undoAgain(c, http.StatusConflict, err, form)
	case errors.As(err, &conflict):
		form.Error, form.Changed = p.problemOf(err, c).Detail, changeItems(conflict.Items)
		form.More = "What this change left, and what it is now. Change these back by hand, or undo the later changes first."
		if more := conflict.Total - int64(len(conflict.Items)); more > 0 {
			form.More += " There are " + decimal(more) + " more of them."
		}
		return p.undoAgain(c, http.StatusConflict, err, form)
	case errors.Is(err, kvdb.ErrUnknown):
		form.State, form.Op = dictview.Unknown, f.op
		return p.undoAgain(c, http.StatusGatewayTimeout, err, form)
	case err != nil:
		return err
	case undone.ID == "": // everything was as before the change already
		return p.done(c, p.url("dict.change", id), p.toast("", undone))
	}
	return p.done(c, p.url("dict.change", undone.ID), p.toast("Change "+id+" is undone.", undone))
}

func (p *dictPages) undoAgain(c echo.Context, status int, err error, form *dictview.UndoForm) error {
	if wantsFragment(c.Request()) {
		return p.again(c, status, err, dictview.UndoPanel(*form), nil)
	}
	if trouble := p.renderChange(c, status, form); trouble != nil {
		return err // the page can't be shown, and that must not hide what became of the change
	}
	return nil
}

// changeHead is what a list says of the change that touched a row last.
type changeHead struct {
	who, kind string
	at        time.Time
	read      time.Time
}

const (
	headsKept = time.Minute // a change doesn't change, but the server may be another one
	headsMost = 10_000
)

// changeHeads remembers heads of changes: rows that are shown again and again were mostly touched by the same few.
type changeHeads struct {
	mu    sync.Mutex
	known map[int64]changeHead
}

// of returns the heads of the changes that made the versions. Of a change that is not in the history any more there is none.
func (h *changeHeads) of(ctx context.Context, store *dict.Store, now time.Time, versions []int64) (map[int64]changeHead, error) {
	out, missing := h.cached(now, versions)
	changes, err := store.Heads(ctx, missing)
	if err != nil {
		return nil, err
	}
	for v, c := range changes {
		out[v] = changeHead{who: c.By, kind: c.Kind, at: c.At, read: now}
	}
	h.keep(out)
	return out, nil
}

func (h *changeHeads) cached(now time.Time, versions []int64) (known map[int64]changeHead, missing []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known = map[int64]changeHead{}
	asked := map[int64]bool{0: true}
	for _, v := range versions {
		if asked[v] {
			continue
		}
		asked[v] = true
		if head, ok := h.known[v]; ok && now.Sub(head.read) < headsKept {
			known[v] = head
		} else {
			missing = append(missing, v)
		}
	}
	return known, missing
}

func (h *changeHeads) keep(heads map[int64]changeHead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || len(h.known) > headsMost {
		h.known = map[int64]changeHead{}
	}
	for v, head := range heads {
		h.known[v] = head
	}
}
