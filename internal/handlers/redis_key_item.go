package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

// This file shows elements of keys; redis_key_edit.go, redis_key_add.go and redis_key_remove.go change them.

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
		ID: itemDOM(kind, name), Type: kind, Index: decimal(e.Index), EntryID: e.ID, Name: partText(e.Name, most),
		Value: partText(e.Value, most), Score: e.Score,
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
	title := itemWord(i.kind) + " of " + shortKey(i.key)
	switch {
	case page.Removal != nil:
		title = "Remove " + title
	case page.Form != nil && page.Form.New:
		title = "Add " + title
	case page.Form != nil:
		title = "Edit " + title
	default:
		title = upperFirst(title)
	}
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
