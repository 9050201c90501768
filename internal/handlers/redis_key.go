package handlers

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
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
		page := redisview.KeyPage{Page: p.keysPage(c, "Key "+shortKey(key), shortKey(key)), Title: nameText(key), Type: "string", Kind: "string", TTL: "gone", List: p.url("redis.keys")}
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

func (p *redisKeysPages) valueView(c echo.Context, v kvdb.Value, cursor string, may bool) redisview.KeyValue {
	key := v.Name
	out := redisview.KeyValue{Type: v.Type, Summary: lengthText(v)}
	if cursor != "" {
		out.First = p.keyURL("redis.key", key)
	}
	if v.Next != "" {
		out.Next = p.keyURL("redis.key", key, "cursor", v.Next, "as", query(c, "as"))
	}
	switch v.Type {
	case "string":
		p.stringView(c, v, &out)
		if may && v.Length <= largestString {
			out.Edit = p.keyURL("redis.key.edit", key, "type", "string")
		}
		if may && v.Length > largestString {
			out.Note = "Longer than what can be edited here: " + byteSize(largestString) + ". " + out.Note
		}
		return out
	case "list", "set", "zset", "hash", "stream":
	default:
		out.Unknown = true
		return out
	}
	for _, e := range v.Elements {
		out.Items = append(out.Items, p.itemView(key, v.Type, e, may, shownValue))
	}
	if n := int64(len(v.Elements)); n > 0 && n < v.Length {
		out.Summary = decimal(n) + " of " + out.Summary
		if v.Type == "list" || v.Type == "zset" {
			out.Summary = decimal(v.Elements[0].Index+1) + "–" + decimal(v.Elements[0].Index+n) + " of " + lengthText(v)
		}
	}
	if may {
		out.Add = p.keyURL("redis.key.add", key, "type", v.Type)
		if query(c, "add") != "" {
			form := p.addForm(key, v.Type, form{url.Values{"where": {query(c, "add")}}}, "")
			out.AddForm = &form
		}
	}
	return out
}

// stringView shows a part of a string in the way that was asked for, or else in the one that suits it.
func (p *redisKeysPages) stringView(c echo.Context, v kvdb.Value, out *redisview.KeyValue) {
	whole := v.Offset == 0 && v.Next == ""
	var pretty bytes.Buffer
	structured := false
	if whole {
		trimmed := strings.TrimSpace(v.Text)
		structured = (strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")) && utf8.ValidString(trimmed) && json.Indent(&pretty, []byte(trimmed), "", "  ") == nil
	}
	as := query(c, "as")
	switch {
	case as == "json" && !structured, as != "text" && as != "json" && as != "hex":
		as = "text"
		if structured {
			as = "json"
		} else if !plainText(v.Text) && !mostlyText(v.Text) {
			as = "hex"
		}
	}
	out.Shown = as
	switch as {
	case "json":
		out.Text, out.Note = pretty.String(), "Indented to be read; the value itself has other blanks."
		if pretty.String() == v.Text {
			out.Note = ""
		}
	case "hex":
		out.Text = hexDump(v.Text, v.Offset)
	default:
		out.Text = v.Text
		if !plainText(v.Text) {
			out.Text, out.Note = strings.ReplaceAll(escapeBytes(v.Text), `\n`, "\\n\n"), `Shown with escapes, as it has bytes that are no text: \xff is one byte, \\ a backslash.`
		}
	}
	for _, view := range []struct{ name, text string }{{"text", "Text"}, {"json", "JSON"}, {"hex", "Hex"}} {
		if view.name != "json" || structured {
			out.Views = append(out.Views, redisview.KeyTab{Text: view.text, URL: p.keyURL("redis.key", v.Name, "as", view.name, "cursor", query(c, "cursor")), Current: view.name == as})
		}
	}
	if !whole {
		out.Summary = fmt.Sprintf("Bytes %s–%s of %s", decimal(v.Offset), decimal(v.Offset+int64(len(v.Text))-1), decimal(v.Length))
	}
}

// mostlyText says whether a text with escapes can still be read.
func mostlyText(s string) bool {
	odd := 0
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) || r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			odd++
		}
	}
	return odd*10 <= len(s)
}

// hexDump shows bytes with their offsets in the value.
func hexDump(text string, offset int64) string {
	var b strings.Builder
	for i := 0; i < len(text); i += 16 {
		line := text[i:min(i+16, len(text))]
		fmt.Fprintf(&b, "%08x  ", offset+int64(i))
		for j := range 16 {
			if j < len(line) {
				b.WriteString(hex.EncodeToString([]byte(line[j:j+1])) + " ")
			} else {
				b.WriteString("   ")
			}
			if j == 7 {
				b.WriteByte(' ')
			}
		}
		b.WriteString(" ")
		for j := range len(line) {
			if line[j] >= ' ' && line[j] <= '~' {
				b.WriteByte(line[j])
			} else {
				b.WriteByte('.')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *redisKeysPages) groups(c echo.Context, key string) (*redisview.KeyGroups, error) {
	groups, total, err := p.DB.StreamGroups(c.Request().Context(), roleOf(c), key)
	if errors.Is(err, kvdb.ErrNotFound) || errors.Is(err, kvdb.ErrInvalid) { // changed at this moment
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &redisview.KeyGroups{}
	if total > len(groups) {
		out.More = "the first " + decimal(int64(len(groups))) + " of " + decimal(int64(total))
	}
	for _, g := range groups {
		row := redisview.KeyGroup{Name: nameText(g.Name), LastID: g.LastID, Pending: g.Pending, Lag: decimal(g.Lag)}
		if g.Lag < 0 {
			row.Lag = "not known"
		}
		if g.First != "" {
			row.Waiting = g.First + " – " + g.Last
		}
		for _, consumer := range g.Consumers {
			row.Consumers = append(row.Consumers, redisview.KeyConsumer{Name: nameText(consumer.Name), Pending: consumer.Pending, Idle: span(consumer.Idle)})
		}
		if more := g.Total - int64(len(g.Consumers)); more > 0 {
			row.More = "and " + plural(more, "consumer") + " more"
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// manage are the forms for the key as a whole, one of them perhaps as it was sent.
func (p *redisKeysPages) manage(c echo.Context, v kvdb.Value, wrong keyFaults) *redisview.KeyManage {
	key := v.Name
	name, escaped := inField(key)
	m := &redisview.KeyManage{
		TTL: p.keyURL("redis.key.ttl", key), Rename: p.keyURL("redis.key.rename", key), Copy: p.keyURL("redis.key.copy", key), Delete: p.keyURL("redis.key.delete", key),
		Type: v.Type, HadTTL: v.TTL != kvdb.NoTTL, Expire: redisview.KeyExpire{Unit: "s"}, Escape: escaped,
		RenameTo: ui.FieldProps{ID: "rename-to", Name: "to", Label: "New name", Value: name, Mono: true},
		CopyTo:   ui.FieldProps{ID: "copy-to", Name: "to", Label: "Name of the copy", Value: name, Mono: true, Hint: "It expires when this one does."},
	}
	if wrong.form == "" {
		return m
	}
	faults, _ := faultsOf(wrong.err)
	var exists *kvdb.KeyExistsError
	said := p.problemOf(wrong.err, c).Detail
	for _, field := range []string{"to", "ttl", "value"} {
		if faults[field] != "" {
			said = faults[field]
		}
	}
	taken := errors.As(wrong.err, &exists)
	switch wrong.form {
	case "ttl":
		m.Expire = expireOf(wrong.f, nil)
		m.Expire.Error = said
	case "rename":
		m.RenameTo.Value, m.RenameTo.Error, m.RenameTo.Autofocus, m.RenameReplace, m.Escape = wrong.f.text("to"), said, true, taken, wrong.f.has("escapes")
	case "copy":
		m.CopyTo.Value, m.CopyTo.Error, m.CopyTo.Autofocus, m.CopyReplace, m.Escape = wrong.f.text("to"), said, true, taken, wrong.f.has("escapes")
	}
	return m
}

// refuseKeyForm shows the page of a key again, with what is wrong with one of its forms.
func (p *redisKeysPages) refuseKeyForm(c echo.Context, key, name string, f form, err error) error {
	said := p.problemOf(err, c)
	switch {
	case errors.Is(err, kvdb.ErrInvalid), errors.Is(err, kvdb.ErrConflict):
		return p.renderKey(c, said.Status, key, keyFaults{form: name, f: f, err: err}, nil)
	}
	return err
}

// setTTL serves POST /redis/key/ttl with the fields type, had_ttl, do (set or persist), amount, unit and at.
func (p *redisKeysPages) setTTL(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ttl := kvdb.NoTTL
	if f.word("do") != "persist" {
		if ttl, err = readExpire(f, p.Now()); err == nil && ttl == kvdb.NoTTL {
			err = kvdb.Invalid("ttl", "say when: as a time from now, or as a date")
		}
	}
	if err == nil {
		before := map[bool]string{true: "expires", false: "never expires"}[f.has("had_ttl")]
		err = p.audited(c, verbKeyExpire, keyObject(key), func() (string, string, error) {
			return before, "expires " + ttlText(ttl), p.edit(c, key).SetTTL(c.Request().Context(), f.word("type"), f.has("had_ttl"), ttl)
		})
	}
	if err != nil {
		return p.refuseKeyForm(c, key, "ttl", f, err)
	}
	said := "The key expires " + ttlText(ttl) + "."
	if ttl == kvdb.NoTTL {
		said = "The key never expires."
	}
	return p.done(c, p.keyURL("redis.key", key), ui.ToastProps{Kind: "success", Text: said})
}

// renameKey serves POST /redis/key/rename with the fields type, to, escapes and replace.
func (p *redisKeysPages) renameKey(c echo.Context) error {
	return p.moveKey(c, "rename", verbKeyRename, "Renamed", func(e kvdb.Edit, kind, to string, replace bool) error {
		return e.Rename(c.Request().Context(), kind, to, replace)
	})
}

// copyKey serves POST /redis/key/copy with the same fields.
func (p *redisKeysPages) copyKey(c echo.Context) error {
	return p.moveKey(c, "copy", verbKeyCopy, "Copied", func(e kvdb.Edit, kind, to string, replace bool) error {
		return e.Copy(c.Request().Context(), kind, to, replace)
	})
}

func (p *redisKeysPages) moveKey(c echo.Context, name, verb, said string, do func(e kvdb.Edit, kind, to string, replace bool) error) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	to := f.text("to")
	if f.has("escapes") {
		to, err = unescapeBytes("to", to)
	}
	switch {
	case err != nil:
	case to == key:
		err = kvdb.Invalid("to", "is the name that it has")
	case to == "":
		err = kvdb.Invalid("to", "is empty")
	default:
		err = p.audited(c, verb, keyObject(key), func() (string, string, error) {
			after := kvdb.Shown(to)
			if f.has("replace") {
				after += ", replacing what had this name"
			}
			return kvdb.Shown(key), after, do(p.edit(c, key), f.word("type"), to, f.has("replace"))
		})
	}
	if err != nil {
		return p.refuseKeyForm(c, key, name, f, err)
	}
	return p.done(c, p.keyURL("redis.key", to), ui.ToastProps{Kind: "success", Text: said + " " + kvdb.Shown(key) + " to " + kvdb.Shown(to) + "."})
}

// askDeleteKey serves GET /redis/key/delete: what the key holds, and the question.
func (p *redisKeysPages) askDeleteKey(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	return p.renderDeletion(c, http.StatusOK, key, "")
}

func (p *redisKeysPages) renderDeletion(c echo.Context, status int, key, notice string) error {
	const sample = 10
	v, err := p.DB.ReadValue(c.Request().Context(), roleOf(c), kvdb.ValueQuery{Key: key, Limit: sample})
	if errors.Is(err, kvdb.ErrNotFound) {
		return p.renderGone(c, key, nil)
	}
	if err != nil {
		return err
	}
	page := redisview.KeyDeletePage{
		Page: p.keysPage(c, "Delete "+shortKey(key), shortKey(key), "delete"), Title: nameText(key), Kind: kindName(v.Type), Notice: notice,
		Holds:  []string{"A " + kindName(v.Type) + ",", lengthText(v) + ",", byteSize(v.Size) + " in memory.", "It expires " + ttlText(v.TTL) + "."},
		Action: p.keyURL("redis.key.delete.do", key), Cancel: p.keyURL("redis.key", key),
		Hidden: []redisview.KeyHidden{{Name: "type", Value: v.Type}},
	}
	if v.TTL == kvdb.NoTTL {
		page.Holds[3] = "It never expires."
	}
	if v.Type == "string" && v.Next == "" {
		page.Hidden = append(page.Hidden, redisview.KeyHidden{Name: "seen", Value: kvdb.Digest(v.Text)})
	}
	if v.Type == "string" && v.Text != "" {
		page.Sample = append(page.Sample, partText(kvdb.Part{Text: v.Text, Size: v.Length}, shownValue))
	}
	for _, e := range v.Elements[:min(len(v.Elements), sample)] {
		page.Sample = append(page.Sample, elementText(v.Type, e))
	}
	if n := v.Length - int64(len(page.Sample)); v.Type != "string" && n > 0 && len(page.Sample) > 0 {
		page.Holds = append(page.Holds, "The first of what it holds:")
	}
	return render(c, status, redisview.KeyDelete(page))
}

// elementText is an element in one line.
func elementText(kind string, e kvdb.Element) redisview.KeyText {
	const most = 120
	switch kind {
	case "list":
		return partText(e.Value, most)
	case "hash":
		name, value := partText(e.Name, most), partText(e.Value, most)
		return redisview.KeyText{Text: name.Text + ": " + value.Text, More: value.More}
	case "stream":
		return redisview.KeyText{Text: e.ID}
	case "zset":
		member := partText(e.Name, most)
		return redisview.KeyText{Text: e.Score + " " + member.Text, More: member.More}
	}
	return partText(e.Name, most)
}

// deleteKey serves POST /redis/key/delete with the fields type and, of a string, seen.
func (p *redisKeysPages) deleteKey(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	before := ""
	if v, err := p.DB.ReadValue(ctx, roleOf(c), kvdb.ValueQuery{Key: key, Limit: 1}); err == nil {
		before = keyWords(v)
	}
	err = p.audited(c, verbKeyDelete, keyObject(key), func() (string, string, error) {
		return before, "", p.edit(c, key).Delete(ctx, f.word("type"), f.word("seen"))
	})
	var changed *kvdb.KeyChangedError
	if errors.As(err, &changed) && changed.Type != "none" {
		return p.renderDeletion(c, http.StatusConflict, key, p.problemOf(err, c).Detail+" Look again.")
	}
	if err != nil && changed == nil {
		return err
	}
	return p.done(c, p.url("redis.keys"), ui.ToastProps{Kind: "success", Text: kvdb.Shown(key) + " is deleted."})
}

// keyWords is a key in the audit log.
func keyWords(v kvdb.Value) string {
	words := kindName(v.Type) + ", " + lengthText(v)
	if v.Type == "string" {
		words += ": " + kvdb.Shown(v.Text)
	}
	if v.TTL != kvdb.NoTTL {
		words += ", expires in " + v.TTL.Round(time.Second).String()
	}
	return words
}
