package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// newKeyForm is the form for a new key, as it was sent. problem is what is wrong with it.
func (p *redisKeysPages) newKeyForm(c echo.Context, f form, kind string, problem error) redisview.NewKeyPage {
	wrong, _ := faultsOf(problem)
	if _, known := kindFields[kind]; !known {
		kind = "string"
	}
	page := redisview.NewKeyPage{
		Page: p.keysStep(c, "New key", "New key"), Action: p.url("redis.keys.create"), Again: p.url("redis.keys.create"), Type: kind,
		Key: ui.FieldProps{ID: "new-name", Name: "name", Label: "Key", Value: f.text("name"), Error: wrong["name"], Mono: true,
			Autofocus: wrong == nil || wrong["name"] != "", Hint: "Colons make a tree: user:42:name"},
		Expire: expireOf(f, wrong), Escape: f.has("escapes"), Cancel: p.url("redis.keys"),
	}
	for _, t := range keyTypes {
		page.Types = append(page.Types, ui.Option{Value: t.Value, Text: upperFirst(kindName(t.Value))})
	}
	for _, field := range kindFields[kind] {
		field.ID = "new-" + field.Name
		field.Value, field.Error, field.Mono = f.text(field.Name), cmp.Or(wrong[field.Name], field.Error), true
		if field.Name == "value" {
			field.Error = cmp.Or(wrong["value"], wrong["content"])
		}
		page.Fields = append(page.Fields, field)
	}
	var exists *kvdb.KeyExistsError
	switch {
	case problem == nil:
	case errors.Is(problem, errEmptyKey):
		page.Error, page.Empty = "The key is empty. The empty key is a key too: create it once more if that is meant.", true
	case errors.As(problem, &exists):
		page.Error, page.Exists = p.problemOf(problem, c).Detail, redisview.KeyLink{Text: "Look at it", URL: p.keyURL("redis.key", exists.Key)}
	case wrong == nil:
		page.Error = p.problemOf(problem, c).Detail
	}
	return page
}

// errEmptyKey says that no name is typed: that may be meant, or a slip of the Enter key.
var errEmptyKey = errors.New("no name is typed")

// kindFields are the fields of a new key of each type, by their names: score, field and value.
var kindFields = map[string][]ui.FieldProps{
	"string": {{Name: "value", Label: "Value", Rows: 6}},
	"list":   {{Name: "value", Label: "First element", Rows: 3}},
	"set":    {{Name: "value", Label: "First member", Rows: 3}},
	"zset":   {{Name: "score", Label: "Score"}, {Name: "value", Label: "First member", Rows: 3}},
	"hash":   {{Name: "field", Label: "First field"}, {Name: "value", Label: "Its value", Rows: 3}},
	"stream": {{Name: "field", Label: "First field of the first entry"}, {Name: "value", Label: "Its value", Rows: 3}},
}

// newKey serves GET /redis/keys/new. The query may hold type and name.
func (p *redisKeysPages) newKey(c echo.Context) error {
	name, escaped := inField(query(c, "name"))
	f := form{url.Values{"name": {name}, "escapes": {tick(escaped)}}}
	return render(c, http.StatusOK, redisview.NewKey(p.newKeyForm(c, f, query(c, "type"), nil)))
}

// createKey serves POST /redis/keys/new with the fields type, name, those of the type, and when it expires. With as, it shows the form for that type.
func (p *redisKeysPages) createKey(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	if as := f.word("as"); as != "" {
		return render(c, http.StatusOK, redisview.NewKey(p.newKeyForm(c, f, as, nil)))
	}
	name, err := p.createFrom(c, f)
	if err != nil {
		said := p.problemOf(err, c)
		if errors.Is(err, errEmptyKey) {
			said.Status = http.StatusUnprocessableEntity
		}
		if said.Status == http.StatusForbidden || said.Status >= http.StatusInternalServerError &&
			!errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
			return err
		}
		return render(c, said.Status, redisview.NewKey(p.newKeyForm(c, f, f.word("type"), err)))
	}
	return p.done(c, p.keyURL("redis.key", name), ui.ToastProps{Kind: "success", Text: "Created " + kvdb.Shown(name) + "."})
}

// createFrom makes the key that a form describes.
func (p *redisKeysPages) createFrom(c echo.Context, f form) (name string, err error) {
	kind := f.word("type")
	texts := map[string]string{}
	for _, field := range []string{"name", "field", "value"} {
		if texts[field], err = f.typed(field); err != nil {
			return "", err
		}
	}
	name = texts["name"]
	if name == "" && !f.has("empty") {
		return "", errEmptyKey
	}
	content := []string{texts["value"]}
	switch kind {
	case "zset":
		content = []string{f.word("score"), texts["value"]}
		if _, err := strconv.ParseFloat(content[0], 64); err != nil {
			return "", kvdb.Invalid("score", "must be a number, or inf or -inf")
		}
	case "hash", "stream":
		content = []string{texts["field"], texts["value"]}
	}
	ttl, err := readExpire(f, p.Now())
	if err != nil {
		return "", err
	}
	return name, p.audited(c, verbKeyCreate, keyObject(name), func() (before, after string, err error) {
		after = kindName(kind) + ": " + kvdb.Shown(texts["value"])
		if ttl != kvdb.NoTTL {
			after += ", expires in " + span(ttl)
		}
		return "", after, p.edit(c, name).Create(c.Request().Context(), kind, content, ttl)
	})
}
