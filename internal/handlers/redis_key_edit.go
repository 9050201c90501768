package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// editKey serves GET /redis/key/edit: the form for an element, or for a string.
func (p *redisKeysPages) editKey(c echo.Context) error {
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
	if e.Value.Size > largestString {
		return kvdb.Invalid("value", "is longer than the %s that can be edited here", byteSize(largestString))
	}
	if i.kind == "string" {
		f := p.stringForm(i.key, e.Value.Text)
		return p.renderKey(c, http.StatusOK, i.key, keyFaults{}, &f)
	}
	f := p.itemForm(c, i, e)
	return p.renderForm(c, http.StatusOK, i, f, "")
}

func (p *redisKeysPages) stringForm(key, text string) redisview.KeyStringForm {
	f := redisview.KeyStringForm{
		Rows: 8, Save: "Save", Action: p.keyURL("redis.key.save", key, "type", "string"), Cancel: p.keyURL("redis.key", key),
		Draft: "key-" + kvdb.Digest(key)[:16], Hidden: []redisview.KeyHidden{{Name: "seen", Value: kvdb.Digest(text)}},
	}
	f.Value, f.Escapes = inField(text)
	if f.Escapes {
		f.Note = `It has bytes that are no text, so it stands here with escapes: \xff is one byte, \\ a backslash.`
	}
	f.Rows = max(f.Rows, min(strings.Count(f.Value, "\n")+1, 30))
	return f
}

// itemForm is the form for an element.
func (p *redisKeysPages) itemForm(c echo.Context, i item, e kvdb.Element) redisview.KeyForm {
	f := redisview.KeyForm{
		ID: itemDOM(i.kind, i.name), Type: i.kind, Title: "Edit the " + itemWord(i.kind), Item: p.itemView(i.key, i.kind, e, false, shownValue),
		Score: e.Score, CanSave: true, Save: "Save", Focus: "value", Alone: !wantsFragment(c.Request()),
		Action: p.keyURL("redis.key.save", i.key, "type", i.kind, "item", i.name),
		Cancel: p.keyURL("redis.key.item", i.key, "type", i.kind, "item", i.name),
	}
	back := p.backToKey(c, i.key, "")
	if f.Alone {
		f.Cancel = back
	}
	seen := kvdb.Digest(e.Value.Text)
	if i.kind == "zset" {
		seen, f.Focus = e.Score, "score"
	}
	f.Hidden = []redisview.KeyHidden{{Name: "seen", Value: seen}, {Name: "back", Value: back}}
	f.Value, f.Escapes = inField(e.Value.Text)
	if f.Escapes {
		f.Note = `It has bytes that are no text, so it stands here with escapes.`
	}
	return f
}

func (p *redisKeysPages) renderForm(c echo.Context, status int, i item, f redisview.KeyForm, back string) error {
	if wantsFragment(c.Request()) {
		return render(c, status, redisview.KeyFormItem(f))
	}
	return p.renderItem(c, status, redisview.KeyItemPage{Form: &f}, i, back)
}

// saveKey serves POST /redis/key/edit with the fields value or score, escapes, seen and back.
func (p *redisKeysPages) saveKey(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	value, err := f.typed("value")
	if i.kind == "zset" {
		value = f.word("score")
	}
	if err == nil {
		err = p.saveItem(c, i, f.values.Get("seen"), value)
	}
	if err != nil {
		if i.kind == "string" {
			return p.stringAgain(c, i.key, f, err)
		}
		return p.itemAgain(c, i, f, err)
	}
	toast := ui.ToastProps{Kind: "success", Text: "Saved."}
	if i.kind == "string" || !wantsFragment(c.Request()) {
		return p.done(c, p.backToKey(c, i.key, f.word("back")), toast)
	}
	e := kvdb.Element{Index: i.index(), Name: wholePart(i.name), Value: wholePart(value)}
	if i.kind == "zset" {
		e.Value = kvdb.Part{}
		if e, err = p.readItem(c, i); err != nil { // as the server writes it
			return p.done(c, p.backToKey(c, i.key, f.word("back")), toast)
		}
	}
	return render(c, http.StatusOK, templ.Join(redisview.KeyItemOf(p.itemView(i.key, i.kind, e, true, shownValue)), ui.ToastOOB(toast)))
}

// saveItem makes the change and its audit record.
func (p *redisKeysPages) saveItem(c echo.Context, i item, seen, value string) error {
	if int64(len(value)) > largestString {
		return kvdb.Invalid("value", "is longer than the %s that can be edited here", byteSize(largestString))
	}
	was := ""
	if e, err := p.readItem(c, i); err == nil {
		was = cmp.Or(e.Score, kvdb.Shown(e.Value.Text))
	}
	place := itemPlace(i)
	return p.audited(c, verbKeyChange, keyObject(i.key), func() (before, after string, err error) {
		return place + was, place + kvdb.Shown(value), p.putItem(c.Request().Context(), p.edit(c, i.key), i, seen, value)
	})
}

// itemPlace says in the audit log which element it was.
func itemPlace(i item) string {
	switch i.kind {
	case "string":
		return ""
	case "list":
		return "element " + i.name + ": "
	}
	return itemWord(i.kind) + " " + kvdb.Shown(i.name) + ": "
}

func (p *redisKeysPages) putItem(ctx context.Context, edit kvdb.Edit, i item, seen, value string) error {
	switch i.kind {
	case "string":
		return edit.SetString(ctx, seen, value)
	case "list":
		return edit.SetElement(ctx, i.index(), seen, value)
	case "zset":
		return edit.SetScore(ctx, i.name, seen, value)
	case "hash":
		return edit.SetField(ctx, i.name, seen, value)
	}
	return kvdb.Invalid("type", "has no elements that can be changed here")
}

// stringAgain shows the form of a string again, with why it was not saved. Errors that have nothing to do with it are returned.
func (p *redisKeysPages) stringAgain(c echo.Context, key string, sent form, err error) error {
	f := p.stringForm(key, "")
	f.Value, f.Escapes, f.Note = sent.text("value"), sent.has("escapes"), ""
	f.Rows = max(8, min(strings.Count(f.Value, "\n")+1, 30))
	f.Hidden[0].Value = sent.values.Get("seen")
	said := p.problemOf(err, c)
	status := said.Status
	var changed *kvdb.KeyChangedError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &changed) && changed.Type == "none":
		name, escaped := inField(key)
		f.Notice = "The key is gone: somebody deleted it, or it has expired, while you were editing it. What you typed is still here."
		f.Save, f.Action = "Create it again", p.url("redis.keys.create")
		f.Hidden = []redisview.KeyHidden{{Name: "type", Value: "string"}, {Name: "name", Value: name}, {Name: "empty", Value: "1"}}
		if escaped != f.Escapes { // both are read in the same way
			f.Hidden[1].Value = escapeBytes(key)
			if !f.Escapes {
				f.Value, f.Escapes = escapeBytes(f.Value), true
			}
		}
	case errors.As(err, &changed) && changed.Type != "string":
		f.Notice, f.See = "The key is a "+kindName(changed.Type)+" now, and no string any more. What you typed is still here.",
			redisview.KeyLink{Text: "Look at it", URL: p.keyURL("redis.key", key)}
	case changed != nil:
		f.Notice, f.Save = "Somebody else changed the value while you were editing it. Theirs is above the field, yours in it.", "Save mine over it"
		now := changed.Current
		if now.Cut() {
			if e, err := p.readItem(c, item{key: key, kind: "string"}); err == nil {
				now = e.Value
			}
		}
		theirs := partText(now, largestString)
		theirs.Text, _ = inField(theirs.Text)
		f.Theirs, f.Hidden[0].Value = &theirs, kvdb.Digest(now.Text)
	case invalid:
		f.Error = cmp.Or(wrong["value"], said.Detail)
	case errors.Is(err, kvdb.ErrAway):
		f.Notice = "Not saved. " + said.Detail
	case errors.Is(err, kvdb.ErrUnknown):
		f.Notice = "It is not known whether this was saved: the server did not answer in time. Save it again to find out: if it was saved, both will be " +
			"the same."
	default:
		return err
	}
	page := redisview.KeyPage{Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), Type: "string", Kind: "string",
		TTL: "being edited", List: p.url("redis.keys")}
	page.Value.Form = &f
	return render(c, status, redisview.Key(page))
}

// itemAgain shows the form of an element again, with why it was not saved.
func (p *redisKeysPages) itemAgain(c echo.Context, i item, sent form, err error) error {
	f := p.itemForm(c, i, kvdb.Element{Index: i.index(), Name: wholePart(i.name)})
	f.Value, f.Score, f.Escapes, f.Note, f.Kind = sent.text("value"), sent.text("score"), sent.has("escapes"), "", "warning"
	f.Hidden = []redisview.KeyHidden{{Name: "seen", Value: sent.values.Get("seen")}, {Name: "back", Value: p.backToKey(c, i.key, sent.word("back"))}}
	said := p.problemOf(err, c)
	var changed *kvdb.KeyChangedError
	wrong, invalid := faultsOf(err)
	switch {
	case errors.As(err, &changed) && (changed.Type != i.kind || changed.Missing):
		p.itemGone(&f, i, changed)
	case changed != nil:
		f.Notice, f.Save = "Somebody else changed it while you were editing it. Yours is in the field, theirs below it.", "Save mine over it"
		if i.kind == "list" {
			f.Notice = "Something else is at this place now: it was changed, or the list has moved. Yours is in the field, what is there below it."
		}
		now := changed.Current
		if now.Cut() {
			if e, err := p.readItem(c, i); err == nil {
				now = e.Value
			}
		}
		theirs := partText(now, shownValue)
		f.Theirs, f.Hidden[0].Value = &theirs, kvdb.Digest(now.Text)
		if i.kind == "zset" {
			f.Hidden[0].Value = now.Text
		}
	case invalid:
		f.Error, f.ScoreError = cmp.Or(wrong["value"], said.Detail), cmp.Or(wrong["score"], said.Detail)
	case (errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown)) && !wantsFragment(c.Request()):
		f.Notice = said.Detail
	default:
		return err // the form is still where it was, and a toast says why
	}
	return p.renderForm(c, said.Status, i, f, sent.word("back"))
}

// itemGone says that an element is not there any more, and what can be done with what was typed.
func (p *redisKeysPages) itemGone(f *redisview.KeyForm, i item, changed *kvdb.KeyChangedError) {
	f.Cancel = p.keyURL("redis.key", i.key)
	switch {
	case changed.Type == "none":
		f.Notice, f.CanSave = "The key is gone: somebody deleted it, or it has expired. What you typed is still here.", false
		f.See = redisview.KeyLink{Text: "Create it", URL: p.url("redis.keys.new", values("type", i.kind)) + "&name=" + url.QueryEscape(i.key)}
	case changed.Type != i.kind:
		f.Notice, f.CanSave = "The key is a "+kindName(changed.Type)+" now, and no "+kindName(i.kind)+" any more. What you typed is still here.", false
		f.See = redisview.KeyLink{Text: "Look at it", URL: p.keyURL("redis.key", i.key)}
	case i.kind == "list":
		f.Notice, f.Save, f.Action = "The list is shorter now, and has nothing at this place. What you typed is still here.", "Add it at the end",
			p.keyURL("redis.key.add.do", i.key, "type", "list")
	default:
		f.Notice, f.Save, f.Hidden[0].Value = "Somebody else removed this "+itemWord(i.kind)+
			" while you were editing it. What you typed is still here.", "Add it again", ""
	}
	if f.Alone || changed.Type != i.kind {
		f.Alone = true // Cancel leads to the page of the key as it is now
	}
}
