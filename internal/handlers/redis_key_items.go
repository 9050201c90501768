package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

const (
	largestString = 1 << 20 // bytes that can be edited
	shownValue    = 500     // bytes of a text in a row
	longestName   = 2 << 10 // bytes of a field or member that an address names
)

// item is an element of a key that an address is about: of a list its index, of a stream its ID, of all others its name.
type item struct {
	key, kind, name string
}

func itemOf(c echo.Context) (item, error) {
	key, err := keyOf(c)
	return item{key: key, kind: query(c, "type"), name: query(c, "item")}, err
}

func (i item) index() int64 {
	n, _ := strconv.ParseInt(i.name, 10, 64)
	return n
}

// itemDOM is the id of an element on a page.
func itemDOM(kind, name string) string {
	if kind == "list" || kind == "stream" {
		return "item-" + name
	}
	return "item-" + kvdb.Digest(name)[:16]
}

// itemView shows an element. most is how many bytes of its texts are shown.
func (p *redisKeysPages) itemView(key, kind string, e kvdb.Element, may bool, most int) redisview.KeyItem {
	name := e.Name.Text
	switch kind {
	case "list":
		name = strconv.FormatInt(e.Index, 10)
	case "stream":
		name = e.ID
	}
	out := redisview.KeyItem{
		ID: itemDOM(kind, name), Type: kind, Index: decimal(e.Index), EntryID: e.ID, Name: partText(e.Name, most), Value: partText(e.Value, most), Score: e.Score,
		Label: short(escapeShown(name)),
	}
	if kind == "list" {
		out.Label = "element " + name
	}
	cut := e.Value.Size > int64(most)
	for _, f := range e.Fields {
		out.Fields = append(out.Fields, redisview.KeyPair{Name: partText(f.Name, most), Value: partText(f.Value, most)})
		cut = cut || f.Value.Size > int64(most)
	}
	if e.Name.Cut() || len(name) > longestName {
		out.Note = "Its name is too long to be changed here: use the console."
		return out
	}
	if cut {
		out.All = p.keyURL("redis.key.item", key, "type", kind, "item", name, "all", "1")
	}
	if !may {
		return out
	}
	if kind == "list" || kind == "hash" || kind == "zset" {
		out.Edit = p.keyURL("redis.key.edit", key, "type", kind, "item", name)
	}
	if e.Value.Size > largestString {
		out.Edit, out.Note = "", "Too long to be edited here."
	}
	out.Remove = p.keyURL("redis.key.remove", key, "type", kind, "item", name)
	return out
}

// readItem reads one element as it is now. An element or key that is gone is ErrNotFound, a key of another type ErrConflict.
func (p *redisKeysPages) readItem(c echo.Context, i item) (kvdb.Element, error) {
	e := kvdb.Element{Index: i.index(), Name: wholePart(i.name)}
	var args []string
	switch i.kind {
	case "string":
		args = []string{"GET", i.key}
	case "list":
		args = []string{"LINDEX", i.key, strconv.FormatInt(i.index(), 10)}
		e.Name = kvdb.Part{}
	case "hash":
		args = []string{"HGET", i.key, i.name}
	case "zset":
		args = []string{"ZSCORE", i.key, i.name}
	case "set":
		args = []string{"SISMEMBER", i.key, i.name}
	case "stream":
		args = []string{"XRANGE", i.key, i.name, i.name}
		e.ID, e.Name = i.name, kvdb.Part{}
	default:
		return e, kvdb.Invalid("type", "has no elements that can be changed here")
	}
	reply, err := p.ask(c, args...)
	if err != nil {
		return e, err
	}
	switch {
	case reply.Kind == kvdb.KindError && strings.HasPrefix(reply.Text, "WRONGTYPE"):
		return e, kvdb.ErrConflict
	case reply.Kind == kvdb.KindError:
		return e, kvdb.Invalid("item", "is none that this key can have")
	case reply.Kind == kvdb.KindNil, i.kind == "set" && reply.Text == "0", i.kind == "stream" && len(reply.Items) == 0:
		return e, kvdb.ErrNotFound
	case i.kind == "zset":
		e.Score = reply.Text
	case i.kind == "stream":
		if entry := reply.Items[0].Items; len(entry) == 2 {
			for j := 0; j+1 < len(entry[1].Items); j += 2 {
				e.Fields = append(e.Fields, kvdb.Pair{Name: wholePart(entry[1].Items[j].Text), Value: wholePart(entry[1].Items[j+1].Text)})
			}
		}
	case i.kind != "set":
		e.Value = wholePart(reply.Text)
	}
	return e, nil
}

// ask runs a command that reads, as the reader may.
func (p *redisKeysPages) ask(c echo.Context, args ...string) (kvdb.Reply, error) {
	ctx := c.Request().Context()
	class, err := p.DB.Classify(ctx, args)
	if err != nil {
		return kvdb.Reply{}, err
	}
	call, err := class.Permit(roleOf(c), "")
	if err != nil {
		return kvdb.Reply{}, err
	}
	result, err := call.Run(ctx)
	if err == nil && result.Truncated {
		err = kvdb.Invalid("item", "is too large to be shown")
	}
	return result.Reply, err
}

// backToKey is the page of the key to go to when all is done: the page of its value that the reader came from.
func (p *redisKeysPages) backToKey(c echo.Context, key, said string) string {
	for _, back := range []string{localPath(said), whereFrom(c.Request()), ownPath(c.Request(), c.Request().Referer())} {
		u, err := url.Parse(back)
		if err == nil && u.Path == p.url("redis.key") && u.Query().Get("key") == key {
			return back
		}
	}
	return p.keyURL("redis.key", key)
}

// keyItem serves GET /redis/key/item: an element as it is, with the query type and item; all shows it uncut.
func (p *redisKeysPages) keyItem(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	e, err := p.readItem(c, i)
	if err != nil {
		return err
	}
	most := shownValue
	if query(c, "all") != "" {
		most = largestString
	}
	row := p.itemView(i.key, i.kind, e, mayEdit(c) && !p.DB.OwnKey(i.key), most)
	if query(c, "all") != "" {
		row.All = ""
		row.Value.Text = strings.ToValidUTF8(row.Value.Text, "\uFFFD")
		if !plainText(e.Value.Text) {
			row.Value.Text = escapeBytes(e.Value.Text)
		}
		row.Edit = "" // so that the text stands there as a whole; the page of the key has the pencil
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, redisview.KeyItemOf(row))
	}
	return p.renderItem(c, http.StatusOK, redisview.KeyItemPage{Item: &row}, i, "")
}

func (p *redisKeysPages) renderItem(c echo.Context, status int, page redisview.KeyItemPage, i item, back string) error {
	title := upperFirst(itemWord(i.kind)) + " of " + shortKey(i.key)
	page.Page, page.Type = p.keysPage(c, title, shortKey(i.key)), i.kind
	page.Key = redisview.KeyLink{Text: "The key", URL: p.backToKey(c, i.key, back)}
	return render(c, status, redisview.KeyItemAlone(page))
}

func itemWord(kind string) string {
	switch kind {
	case "list":
		return "element"
	case "hash":
		return "field"
	case "stream":
		return "entry"
	}
	return "member"
}

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
		Action: p.keyURL("redis.key.save", i.key, "type", i.kind, "item", i.name), Cancel: p.keyURL("redis.key.item", i.key, "type", i.kind, "item", i.name),
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
		f.Notice, f.Save, f.Action = "The key is gone: somebody deleted it, or it has expired, while you were editing it. What you typed is still here.", "Create it again", p.url("redis.keys.create")
		f.Hidden = []redisview.KeyHidden{{Name: "type", Value: "string"}, {Name: "name", Value: name}, {Name: "empty", Value: "1"}}
		if escaped != f.Escapes { // both are read in the same way
			f.Hidden[1].Value = escapeBytes(key)
			if !f.Escapes {
				f.Value, f.Escapes = escapeBytes(f.Value), true
			}
		}
	case errors.As(err, &changed) && changed.Type != "string":
		f.Notice, f.See = "The key is a "+kindName(changed.Type)+" now, and no string any more. What you typed is still here.", redisview.KeyLink{Text: "Look at it", URL: p.keyURL("redis.key", key)}
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
		f.Notice = "It is not known whether this was saved: the server did not answer in time. Save it again to find out: if it was saved, both will be the same."
	default:
		return err
	}
	page := redisview.KeyPage{Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), Type: "string", Kind: "string", TTL: "being edited", List: p.url("redis.keys")}
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
		f.Notice, f.Save, f.Action = "The list is shorter now, and has nothing at this place. What you typed is still here.", "Add it at the end", p.keyURL("redis.key.add.do", i.key, "type", "list")
	default:
		f.Notice, f.Save, f.Hidden[0].Value = "Somebody else removed this "+itemWord(i.kind)+" while you were editing it. What you typed is still here.", "Add it again", ""
	}
	if f.Alone || changed.Type != i.kind {
		f.Alone = true // Cancel leads to the page of the key as it is now
	}
}

// askAdd serves GET /redis/key/add: the form for a new element.
func (p *redisKeysPages) askAdd(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	f := p.addForm(i.key, i.kind, form{url.Values{}}, p.backToKey(c, i.key, ""))
	f.Alone = !wantsFragment(c.Request())
	return p.renderForm(c, http.StatusOK, i, f, "")
}

// addForm is the form for a new element, as it was sent.
func (p *redisKeysPages) addForm(key, kind string, sent form, back string) redisview.KeyForm {
	f := redisview.KeyForm{
		ID: "add", Type: kind, Title: "Add to the key", New: true, CanSave: true, Save: "Add", Kind: "error",
		Name: sent.text("name"), Value: sent.text("value"), Score: sent.text("score"), Where: cmp.Or(sent.word("where"), "tail"), Escapes: sent.has("escapes"),
		Action: p.keyURL("redis.key.add.do", key, "type", kind), Cancel: cmp.Or(back, p.keyURL("redis.key", key)),
		Focus: map[string]string{"list": "value", "zset": "score", "stream": "value"}[kind],
	}
	f.Focus = cmp.Or(f.Focus, "name")
	if f.Where == "1" {
		f.Where = "tail"
	}
	if kind == "stream" {
		f.Name = cmp.Or(f.Name, "*")
		f.Note = "One field a line, as field=value. * has the server make the ID."
	}
	return f
}

// addToKey serves POST /redis/key/add with the fields name, value, score, where and escapes.
func (p *redisKeysPages) addToKey(c echo.Context) error {
	i, err := itemOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	said, err := p.addItem(c, i, f)
	if err == nil {
		return p.done(c, p.keyURL("redis.key", i.key, "add", cmp.Or(f.word("where"), "1")), ui.ToastProps{Kind: "success", Text: said})
	}
	problem := p.problemOf(err, c)
	again := p.addForm(i.key, i.kind, f, p.keyURL("redis.key", i.key))
	again.Alone = !wantsFragment(c.Request())
	wrong, invalid := faultsOf(err)
	var changed *kvdb.KeyChangedError
	switch {
	case errors.As(err, &changed):
		again.Kind, again.Notice = "warning", problem.Detail
		if changed.Type != i.kind {
			again.CanSave, again.See = false, redisview.KeyLink{Text: "Look at the key", URL: p.keyURL("redis.key", i.key)}
		} else if !changed.Missing && i.kind != "set" {
			theirs := partText(changed.Current, shownValue)
			again.Notice, again.Theirs, again.CanSave = "It has this "+itemWord(i.kind)+" already. Edit that one, or take another name.", &theirs, true
			again.Save = "Add"
		}
	case invalid:
		again.NameError, again.Error, again.ScoreError = wrong["name"], cmp.Or(wrong["value"], wrong["fields"]), wrong["score"]
		if wrong["id"] != "" {
			again.NameError = wrong["id"]
		}
		if again.NameError+again.Error+again.ScoreError == "" {
			again.Notice = problem.Detail
		}
	case (errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown)) && again.Alone:
		again.Notice = problem.Detail
	default:
		return err
	}
	return p.renderForm(c, problem.Status, i, again, "")
}

// addItem adds what a form says, and returns what was done.
func (p *redisKeysPages) addItem(c echo.Context, i item, f form) (said string, err error) {
	name, err := f.typed("name")
	if err != nil {
		return "", err
	}
	value, err := f.typed("value")
	if err != nil && i.kind != "stream" {
		return "", err
	}
	var fields []string
	if i.kind == "stream" {
		if fields, err = streamFields(f); err != nil {
			return "", err
		}
	}
	ctx, edit := c.Request().Context(), p.edit(c, i.key)
	after := "added " + kvdb.Shown(name)
	switch i.kind {
	case "list", "hash":
		after = "added " + kvdb.Shown(value)
		if i.kind == "hash" {
			after = "added " + kvdb.Shown(name) + ": " + kvdb.Shown(value)
		}
	case "zset":
		after += ": " + f.word("score")
		if f.word("score") == "" {
			return "", kvdb.Invalid("score", "must be a number, or inf or -inf")
		}
	case "stream":
		after = "added an entry of " + plural(int64(len(fields)/2), "field")
	}
	err = p.audited(c, verbKeyAdd, keyObject(i.key), func() (string, string, error) {
		switch {
		case i.kind == "list" && f.word("where") == "head":
			err = edit.PrependElement(ctx, value)
		case i.kind == "list":
			err = edit.AppendElement(ctx, value)
		case i.kind == "set":
			err = edit.AddMember(ctx, name)
		case i.kind == "zset":
			err = edit.SetScore(ctx, name, "", f.word("score"))
		case i.kind == "hash":
			err = edit.SetField(ctx, name, "", value)
		case i.kind == "stream":
			var id string
			id, err = edit.AddEntry(ctx, f.word("name"), fields)
			after += " " + id
		default:
			err = kvdb.Invalid("type", "takes no elements here")
		}
		return "", after, err
	})
	return upperFirst(after) + ".", err
}

// streamFields reads the fields of a stream entry: one a line, with a = between name and value.
func streamFields(f form) ([]string, error) {
	var fields []string
	for line := range strings.SplitSeq(f.text("value"), "\n") {
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, kvdb.Invalid("value", "needs a = between field and value in each line: %s has none", kvdb.Shown(line))
		}
		for _, part := range []string{name, value} {
			if f.has("escapes") {
				var err error
				if part, err = unescapeBytes("value", part); err != nil {
					return nil, err
				}
			}
			fields = append(fields, part)
		}
	}
	if len(fields) == 0 {
		return nil, kvdb.Invalid("value", "needs at least one field, as field=value")
	}
	return fields, nil
}

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
		Action: p.keyURL("redis.key.remove.do", i.key, "type", i.kind, "item", i.name), Cancel: p.keyURL("redis.key.item", i.key, "type", i.kind, "item", i.name),
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
