package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

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
		Name: sent.text("name"), Value: sent.text("value"), Score: sent.text("score"),
		Where: cmp.Or(sent.word("where"), "tail"), Escapes: sent.has("escapes"),
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
