package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	page.Search = ""
	for i := range page.Nav {
		for j := range page.Nav[i].Sub {
			if page.Nav[i].Sub[j].URL == p.url("redis.keys") {
				page.Nav[i].Current, page.Nav[i].Sub[j].Current = true, true
			}
		}
	}
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
	page := redisview.KeysPage{Page: p.keysPage(c, "Keys"), Filters: p.keyFilters(q), List: list, Tree: redisview.KeyTree{URL: p.url("redis.keys.prefixes", values("prefix", escapeBytes(q.prefix), "type", q.kind))}}
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
		Type:   ui.SelectProps{ID: "filter-type", Name: "type", Label: "Type", HideLabel: true, Value: q.kind, Options: append([]ui.Option{{Text: "Any type"}}, keyTypes...)},
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

// prefixes serves GET /redis/keys/prefixes with the query prefix and type: a level of the tree. all looks at all keys, for some seconds at most.
func (p *redisKeysPages) prefixes(c echo.Context) error {
	q, err := readKeysQuery(c)
	if err != nil {
		return err
	}
	all := query(c, "all") != ""
	most, limit := int64(treeSample), quickTree
	if all {
		most, limit = 0, treeTime
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), limit)
	defer cancel()
	level, err := p.DB.CountPrefixes(ctx, roleOf(c), kvdb.PrefixQuery{Prefix: q.prefix, Type: q.kind, Most: most}, nil)
	if err != nil {
		return err
	}
	tree := p.keyTree(q, level)
	if !level.Complete && !all {
		tree.Exact = p.url("redis.keys.prefixes", values("prefix", escapeBytes(q.prefix), "type", q.kind, "all", "1"))
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, redisview.KeyTreeOf(tree))
	}
	return render(c, http.StatusOK, redisview.KeysTree(redisview.KeysTreePage{Page: p.keysPage(c, "Prefixes", "prefixes"), Tree: tree, List: p.url("redis.keys", values("prefix", escapeBytes(q.prefix), "type", q.kind))}))
}

func (p *redisKeysPages) keyTree(q keysQuery, level kvdb.Prefixes) redisview.KeyTree {
	var tree redisview.KeyTree
	to := func(prefix string) string {
		return p.url("redis.keys", values("prefix", escapeBytes(prefix), "type", q.kind))
	}
	if q.prefix != "" {
		tree.Path = append(tree.Path, redisview.KeyLink{Text: "all", URL: to("")})
		for i := range len(q.prefix) {
			if q.prefix[i] == ':' && i < len(q.prefix)-1 {
				from := strings.LastIndexByte(q.prefix[:i], ':') + 1
				tree.Path = append(tree.Path, redisview.KeyLink{Text: escapeBytes(q.prefix[from : i+1]), URL: to(q.prefix[:i+1])})
			}
		}
		from := strings.LastIndexByte(strings.TrimSuffix(q.prefix, ":"), ':') + 1
		tree.Path = append(tree.Path, redisview.KeyLink{Text: escapeBytes(q.prefix[from:])})
	}
	count := func(n int64) string {
		if level.Complete {
			return decimal(n)
		}
		return "about " + decimal(n)
	}
	branches := level.Children
	if len(branches) > treeRows {
		branches = slices.Clone(branches)
		slices.SortFunc(branches, func(a, b kvdb.Prefix) int { return cmp.Compare(b.Keys, a.Keys) })
		branches = branches[:treeRows]
		slices.SortFunc(branches, func(a, b kvdb.Prefix) int { return cmp.Compare(a.Name, b.Name) })
		tree.Note = "The " + decimal(treeRows) + " largest of " + decimal(int64(len(level.Children))) + " prefixes. "
	}
	for _, b := range branches {
		tree.Rows = append(tree.Rows, redisview.KeyBranch{Name: nameText(strings.TrimPrefix(b.Name, q.prefix)), URL: to(b.Name), Keys: count(b.About)})
	}
	if level.Leaves > 0 && len(tree.Rows) > 0 {
		leaves := level.Leaves
		if !level.Complete && level.Keys > 0 {
			leaves = int64(float64(level.Leaves) * float64(level.About) / float64(level.Keys))
		}
		tree.Leaves = count(leaves)
	}
	if len(tree.Rows) == 0 {
		tree.Nothing = "There are no prefixes: no key has a colon."
		if q.prefix != "" {
			tree.Nothing = "No further prefixes below this one. Keys that begin with it: " + count(level.About) + "."
		}
	}
	if !level.Complete {
		tree.Note += "Estimates from " + decimal(level.Looked) + " of about " + plural(level.Total, "key") + "."
	}
	return tree
}

// newKeyForm is the form for a new key, as it was sent. problem is what is wrong with it.
func (p *redisKeysPages) newKeyForm(c echo.Context, f form, kind string, problem error) redisview.NewKeyPage {
	wrong, _ := faultsOf(problem)
	if _, known := kindFields[kind]; !known {
		kind = "string"
	}
	page := redisview.NewKeyPage{
		Page: p.keysPage(c, "New key", "new"), Action: p.url("redis.keys.create"), Again: p.url("redis.keys.create"), Type: kind,
		Key:    ui.FieldProps{ID: "new-name", Name: "name", Label: "Key", Value: f.text("name"), Error: wrong["name"], Mono: true, Autofocus: wrong == nil || wrong["name"] != "", Hint: "Colons make a tree: user:42:name"},
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
		if said.Status == http.StatusForbidden || said.Status >= http.StatusInternalServerError && !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
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

func (p *redisKeysPages) edit(c echo.Context, key string) kvdb.Edit {
	return kvdb.Edit{DB: p.DB, Role: roleOf(c), Key: key}
}

// keyObject is a key in the audit log.
func keyObject(key string) string { return "key " + kvdb.Shown(key) }
