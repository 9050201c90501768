package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

const (
	keyRows    = 100              // of a page
	treeSample = 20_000           // keys that the tree looks at
	treeRows   = 200              // prefixes that it shows
	treeTime   = 10 * time.Second // that it counts all keys
	quickTree  = time.Second      // that it counts the sample
)

// keysPage is page for the pages of the keys: Keys is the current item of the navigation on all of them.
func (p *redisKeysPages) keysPage(c echo.Context, title string, below ...string) layout.Page {
	page := p.page(c, title, p.crumbs("redis.keys", below...)...)
	for i := range page.Nav {
		for j := range page.Nav[i].Sub {
			if page.Nav[i].Sub[j].URL == p.url("redis.keys") {
				page.Nav[i].Current, page.Nav[i].Sub[j].Current = true, true
			}
		}
	}
	return page
}

// keysStep is keysPage for what is done there, which stands last in the way to it.
func (p *redisKeysPages) keysStep(c echo.Context, title, step string, below ...string) layout.Page {
	page := p.keysPage(c, title, below...)
	page.Crumbs = append(page.Crumbs, layout.Crumb{Text: step})
	return page
}

// keysQuery says which keys a list is of.
type keysQuery struct {
	text   string // as it was typed
	prefix string
	kind   string
	cursor string
}

func readKeysQuery(c echo.Context) (keysQuery, error) {
	q := keysQuery{text: query(c, "match"), kind: query(c, "type"), cursor: query(c, "cursor")}
	var err error
	q.prefix, err = unescapeBytes("prefix", query(c, "prefix"))
	return q, err
}

// wild says whether the text is a pattern rather than a part of a name.
func (q keysQuery) wild() bool { return strings.ContainsAny(q.text, `*?[\`) }

// filter is what the server is asked for. A text without wildcards is looked for anywhere in the names.
func (q keysQuery) filter() kvdb.KeyFilter {
	f := kvdb.KeyFilter{Type: q.kind}
	switch {
	case q.text == "" && q.prefix == "":
	case q.text == "":
		f.Match = kvdb.GlobEscape(q.prefix) + "*"
	case q.wild():
		f.Match = kvdb.GlobEscape(q.prefix) + q.text
	default:
		f.Match = kvdb.GlobEscape(q.prefix) + "*" + kvdb.GlobEscape(q.text) + "*"
	}
	return f
}

func (q keysQuery) values(more ...string) url.Values {
	v := values("match", q.text, "prefix", escapeBytes(q.prefix), "type", q.kind)
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

// keys serves GET /redis/keys with the query match, type, prefix (with escapes) and cursor. A search that goes on by itself sends found: how many
// keys it has, and stop to end: at how many it has looked, of how many.
func (p *redisKeysPages) keys(c echo.Context) error {
	q, err := readKeysQuery(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) && targets(c.Request(), "more") {
		return p.moreKeys(c, q)
	}
	list, status, err := p.keyList(c, q)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		if status == http.StatusOK {
			sayAddress(c, p.url("redis.keys", q.values("cursor", q.cursor)))
		}
		return render(c, status, redisview.KeyListOf(list))
	}
	page := redisview.KeysPage{Page: p.keysPage(c, "Keys"), Filters: p.keyFilters(q), List: list,
		Tree: redisview.KeyTree{URL: p.url("redis.keys.prefixes", values("prefix", escapeBytes(q.prefix), "type", q.kind))}}
	if mayEdit(c) {
		page.New = p.url("redis.keys.new")
		match, escaped := inField(q.filter().Match)
		page.Bulk = p.url("redis.bulk", values("match", match, "escapes", tick(escaped), "type", q.kind))
	}
	return render(c, status, redisview.Keys(page))
}

func tick(on bool) string {
	if on {
		return "1"
	}
	return ""
}

var keyTypes = []ui.Option{
	{Value: "string"}, {Value: "list"}, {Value: "set"}, {Value: "zset", Text: "sorted set"}, {Value: "hash"}, {Value: "stream"},
}

func (p *redisKeysPages) keyFilters(q keysQuery) redisview.KeyFilters {
	f := redisview.KeyFilters{
		URL:    p.url("redis.keys"),
		Search: ui.SearchProps{ID: "filter-match", Name: "match", Label: "Part of a key, or a pattern: user:*", Value: q.text},
		Type: ui.SelectProps{ID: "filter-type", Name: "type", Label: "Type", HideLabel: true, Value: q.kind,
			Options: append([]ui.Option{{Text: "Any type"}}, keyTypes...)},
	}
	if q.prefix != "" {
		whole := q
		whole.prefix = ""
		f.Prefix, f.Whole = escapeBytes(q.prefix), p.url("redis.keys", whole.values())
	}
	if encode(q.values()) != "" {
		f.Clear = f.URL
	}
	return f
}

// keyList reads a page of the list. What is wrong with the filters is said in its place.
func (p *redisKeysPages) keyList(c echo.Context, q keysQuery) (redisview.KeyList, int, error) {
	ctx := c.Request().Context()
	var list redisview.KeyList
	if f := q.filter(); f.Match != "" && f.Match != q.text {
		list.Means = escapeShown(f.Match)
	}
	page, err := p.DB.ListKeys(ctx, roleOf(c), kvdb.KeyQuery{KeyFilter: q.filter(), Cursor: q.cursor, Limit: keyRows})
	if wrong, ok := faultsOf(err); ok {
		for _, field := range []struct{ name, text string }{{"match", "The pattern"}, {"type", "The type"}, {"cursor", "The place in the list"}} {
			if wrong[field.name] != "" {
				list.Error = field.text + " " + strings.ToLower(wrong[field.name][:1]) + wrong[field.name][1:] + "."
			}
		}
		if list.Error == "" {
			return list, 0, err
		}
		return list, http.StatusUnprocessableEntity, nil
	}
	if err != nil {
		return list, 0, err
	}
	if q.cursor != "" {
		list.First = p.url("redis.keys", q.values())
	} else if q.text != "" && !q.wild() {
		if list.Exact, err = p.exactKey(c, q); err != nil {
			return list, 0, err
		}
	}
	list.Rows = p.keyRows(page.Items, list.Exact)
	list.More = p.keyMore(q, page, len(page.Items), false)
	if len(list.Rows) == 0 && list.Exact == nil && page.Next == "" {
		list.Nothing = p.noKeys(c, q, page)
	}
	return list, http.StatusOK, nil
}

// escapeShown is a pattern as people read it.
func escapeShown(pattern string) string {
	if plainText(pattern) {
		return pattern
	}
	return escapeBytes(pattern)
}

// exactKey finds the key that is called as the text that is looked for: then nobody has to wait for the search.
func (p *redisKeysPages) exactKey(c echo.Context, q keysQuery) (*redisview.KeyListRow, error) {
	exact, err := p.DB.ListKeys(c.Request().Context(), roleOf(c), kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: q.text, Type: q.kind}, Limit: 1})
	if err != nil || len(exact.Items) == 0 {
		return nil, err
	}
	row := p.keyRow(exact.Items[0])
	return &row, nil
}

func (p *redisKeysPages) noKeys(c echo.Context, q keysQuery, page kvdb.KeyPage) *redisview.KeyNothing {
	n := &redisview.KeyNothing{Title: "There are no keys", Text: "Nobody has written any yet."}
	if encode(q.values()) != "" {
		n.Title, n.Text, n.Clear = "No key matches", "All of about "+plural(page.About, "key")+" were looked at.", p.url("redis.keys")
	} else if q.cursor != "" {
		n.Title, n.Text = "That was all", "No further keys are left."
	}
	if mayEdit(c) && n.Clear == "" {
		n.New = p.url("redis.keys.new")
	}
	return n
}

func (p *redisKeysPages) keyRows(keys []kvdb.Key, but *redisview.KeyListRow) []redisview.KeyListRow {
	rows := make([]redisview.KeyListRow, 0, len(keys))
	for _, k := range keys {
		if row := p.keyRow(k); but == nil || row.URL != but.URL {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *redisKeysPages) keyRow(k kvdb.Key) redisview.KeyListRow {
	return redisview.KeyListRow{
		URL: p.keyURL("redis.key", k.Name), Name: nameText(k.Name), Kind: kindName(k.Type), TTL: ttlText(k.TTL), Size: k.Size, Own: k.Own,
	}
}

// keyMore says how far the list has looked. found is how many keys the page has by now; a search that goes on stops when it is full.
func (p *redisKeysPages) keyMore(q keysQuery, page kvdb.KeyPage, found int, on bool) redisview.KeyMore {
	m := redisview.KeyMore{Text: "Looked at " + decimal(page.Looked) + " of about " + plural(page.About, "key")}
	if page.About == 0 {
		m.Text = "Looked at " + plural(page.Looked, "key")
	}
	if page.Next == "" {
		if page.About > 0 {
			m.Text = "Looked at all of about " + plural(page.About, "key")
		}
		if on {
			m.Text += ", found " + decimal(int64(found))
		}
		return m
	}
	here := p.url("redis.keys", q.values("cursor", page.Next))
	if found >= keyRows {
		m.Next = here
		return m
	}
	m.Text += ", found " + decimal(int64(found))
	m.URL, m.Run = here, p.url("redis.keys", q.values("cursor", page.Next, "found", strconv.Itoa(found)))
	if on {
		m.Stop = p.url("redis.keys", q.values("cursor", page.Next, "found", strconv.Itoa(found), "stop", fmt.Sprint(page.Looked, " ", page.About)))
	}
	return m
}

// moreKeys goes on with a search, or stops it.
func (p *redisKeysPages) moreKeys(c echo.Context, q keysQuery) error {
	found, _ := strconv.Atoi(query(c, "found"))
	if far := query(c, "stop"); far != "" {
		here := kvdb.KeyPage{Next: q.cursor}
		_, _ = fmt.Sscan(far, &here.Looked, &here.About)
		return render(c, http.StatusOK, redisview.KeyMoreOf(p.keyMore(q, here, found, false)))
	}
	left := max(1, keyRows-found)
	page, err := p.DB.ListKeys(c.Request().Context(), roleOf(c), kvdb.KeyQuery{KeyFilter: q.filter(), Cursor: q.cursor, Limit: left})
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, redisview.KeyRowsOf(p.keyRows(page.Items, nil), p.keyMore(q, page, found+len(page.Items), true)))
}

func (p *redisKeysPages) edit(c echo.Context, key string) kvdb.Edit {
	return kvdb.Edit{DB: p.DB, Role: roleOf(c), Key: key}
}

// keyObject is a key in the audit log.
func keyObject(key string) string { return "key " + kvdb.Shown(key) }
