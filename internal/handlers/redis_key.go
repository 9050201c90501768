package handlers

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

const valueRows = 100 // elements of a page

// keyOf is the key that an address is about. Without one there is no such page.
func keyOf(c echo.Context) (string, error) {
	if !c.QueryParams().Has("key") {
		return "", echo.NewHTTPError(http.StatusBadRequest, "The address names no key.")
	}
	return query(c, "key"), nil
}

// keyFaults is what is wrong with a form on the page of a key.
type keyFaults struct {
	form   string // ttl, rename or copy
	f      form
	err    error
	notice string
}

// key serves GET /redis/key with the query key, cursor, as (of a string: text, json, hex), and add, which opens the form for a new element.
func (p *redisKeysPages) key(c echo.Context) error {
	if !c.QueryParams().Has("key") {
		return redirect(c, p.url("redis.keys"))
	}
	return p.renderKey(c, http.StatusOK, query(c, "key"), keyFaults{}, nil)
}

// renderKey shows the page of a key; edit is the form that stands in place of a string.
func (p *redisKeysPages) renderKey(c echo.Context, status int, key string, wrong keyFaults, edit *redisview.KeyStringForm) error {
	ctx, cursor := c.Request().Context(), query(c, "cursor")
	v, err := p.DB.ReadValue(ctx, roleOf(c), kvdb.ValueQuery{Key: key, Cursor: cursor, Limit: valueRows})
	var changed *kvdb.KeyChangedError
	if errors.As(err, &changed) && changed.Type != "none" {
		status, cursor = http.StatusConflict, ""
		wrong.notice = p.problemOf(err, c).Detail + " This is its beginning."
		v, err = p.DB.ReadValue(ctx, roleOf(c), kvdb.ValueQuery{Key: key, Limit: valueRows})
	}
	if errors.Is(err, kvdb.ErrNotFound) || errors.As(err, &changed) && changed.Type == "none" {
		return p.renderGone(c, key, edit)
	}
	if err != nil {
		return err
	}
	page := redisview.KeyPage{
		Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), Type: v.Type, Kind: kindName(v.Type), Size: v.Size, Own: v.Own,
		TTL: "never expires", List: p.url("redis.keys"), Notice: wrong.notice,
	}
	if v.TTL != kvdb.NoTTL {
		page.TTL = "expires " + ttlText(v.TTL)
	}
	page.Facts = append(page.Facts, lengthText(v))
	if v.Encoding != "" {
		page.Facts = append(page.Facts, "encoded as "+v.Encoding)
	}
	may := mayEdit(c) && !v.Own
	page.Value = p.valueView(c, v, cursor, may)
	page.Value.Form = edit
	if v.Type == "stream" {
		if page.Groups, err = p.groups(c, key); err != nil {
			return err
		}
	}
	if may {
		page.Manage = p.manage(c, v, wrong)
	}
	return render(c, status, redisview.Key(page))
}

// renderGone says that there is no such key. What was typed to change a string is kept: it can be created again.
func (p *redisKeysPages) renderGone(c echo.Context, key string, edit *redisview.KeyStringForm) error {
	if edit != nil {
		page := redisview.KeyPage{Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), Type: "string", Kind: "string",
			TTL: "gone", List: p.url("redis.keys")}
		page.Value.Form = edit
		return render(c, http.StatusConflict, redisview.Key(page))
	}
	page := redisview.KeyGonePage{Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), List: p.url("redis.keys")}
	if mayEdit(c) && !p.DB.OwnKey(key) {
		page.New = p.url("redis.keys.new") + "?name=" + url.QueryEscape(key)
	}
	return render(c, http.StatusNotFound, redisview.KeyGone(page))
}

// shortKey is a key in a title.
func shortKey(key string) string {
	if key == "" {
		return "(empty)"
	}
	return short(escapeShown(key))
}

// lengthText says how much a value holds.
func lengthText(v kvdb.Value) string {
	switch v.Type {
	case "string":
		return plural(v.Length, "byte")
	case "list":
		return plural(v.Length, "element")
	case "hash":
		return plural(v.Length, "field")
	case "stream":
		return plural(v.Length, "entry")
	case "set", "zset":
		return plural(v.Length, "member")
	}
	return "a type of a module"
}
