package handlers

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// askRemove serves GET /redis/key/remove: the question whether an element is to go.
func (p *redisKeysPages) askRemove(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	if p.DB.OwnKey(i.key) {
		return p.edit(c, i.key).Delete(c.Request().Context(), "none", "") // which says why not
	}
	e, err := p.readItem(c, i)
	if errors.Is(err, kvdb.ErrConflict) || errors.Is(err, kvdb.ErrNotFound) {
		return redirect(c, p.backToKey(c, i.key, "")) // which says what is there now
	}
	if err != nil {
		return err
	}
	return p.renderRemoval(c, http.StatusOK, i, e, "", nil)
}

func (p *redisKeysPages) renderRemoval(c echo.Context, status int, i item, e kvdb.Element, notice string, theirs *redisview.KeyText) error {
	back := p.backToKey(c, i.key, "")
	seen := kvdb.Digest(e.Value.Text)
	if i.kind == "zset" {
		seen = e.Score
	}
	r := redisview.KeyRemoval{
		Item: p.itemView(i.key, i.kind, e, false, shownValue), Alone: !wantsFragment(c.Request()), Notice: notice, Theirs: theirs,
		Action: p.keyURL("redis.key.remove.do", i.key, "type", i.kind, "item", i.name),
		Cancel: p.keyURL("redis.key.item", i.key, "type", i.kind, "item", i.name),
		Hidden: []redisview.KeyHidden{{Name: "seen", Value: seen}, {Name: "back", Value: back}},
	}
	if r.Alone {
		r.Cancel = back
	}
	r.Question = "Remove the " + itemWord(i.kind) + " " + short(escapeShown(i.name)) + "?"
	switch i.kind {
	case "list":
		r.Question = "Remove element " + i.name + "?"
		r.Text = short(escapeShown(e.Value.Text)) + " Those behind it move up."
	case "hash":
		r.Text = short(escapeShown(e.Value.Text))
	}
	if wantsFragment(c.Request()) {
		return render(c, status, redisview.KeyRemovalItem(r))
	}
	return p.renderItem(c, status, redisview.KeyItemPage{Removal: &r}, i, "")
}

// removeFromKey serves POST /redis/key/remove with the fields seen and back.
func (p *redisKeysPages) removeFromKey(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, edit, seen, was := c.Request().Context(), p.edit(c, i.key), f.values.Get("seen"), ""
	if e, err := p.readItem(c, i); err == nil {
		was = cmp.Or(e.Score, kvdb.Shown(e.Value.Text))
	}
	err = p.audited(c, verbKeyRemove, keyObject(i.key), func() (string, string, error) {
		switch i.kind {
		case "list":
			err = edit.RemoveElement(ctx, i.index(), seen)
		case "set":
			was, err = "", edit.RemoveMember(ctx, i.name)
		case "zset":
			err = edit.RemoveScored(ctx, i.name, seen)
		case "hash":
			err = edit.RemoveField(ctx, i.name, seen)
		case "stream":
			was, err = "", edit.RemoveEntry(ctx, i.name)
		default:
			err = kvdb.Invalid("type", "has no elements that can be removed here")
		}
		return itemPlace(i) + was, "", err
	})
	back := p.backToKey(c, i.key, f.word("back"))
	var changed *kvdb.KeyChangedError
	switch {
	case errors.As(err, &changed) && changed.Type != i.kind && changed.Type != "none":
		return p.done(c, p.keyURL("redis.key", i.key), ui.ToastProps{Kind: "warning", Text: "Nothing was removed: " + p.problemOf(err, c).Detail})
	case changed != nil && i.kind == "list" && changed.Missing && changed.Type == i.kind:
		return p.done(c, back, ui.ToastProps{Kind: "warning", Text: "Nothing was removed: the list is shorter now, and has nothing at this place."})
	case changed != nil && !changed.Missing:
		now, err := p.readItem(c, i)
		if err != nil {
			return err
		}
		theirs := partText(changed.Current, shownValue)
		return p.renderRemoval(c, http.StatusConflict, i, now, "It has changed since you were asked: look again.", &theirs)
	case err != nil && changed == nil:
		return err
	}
	toast := ui.ToastProps{Kind: "success", Text: "Removed."}
	if i.kind == "list" || !wantsFragment(c.Request()) { // the others have moved
		return p.done(c, back, toast)
	}
	removed := redisview.KeyItem{ID: itemDOM(i.kind, i.name), Type: i.kind}
	return render(c, http.StatusOK, templ.Join(redisview.KeyRemovedItem(removed, "Removed "+short(escapeShown(i.name))+"."), ui.ToastOOB(toast)))
}
