package handlers

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

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
		structured = (strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")) && utf8.ValidString(trimmed) &&
			json.Indent(&pretty, []byte(trimmed), "", "  ") == nil
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
			out.Text, out.Note = strings.ReplaceAll(escapeBytes(v.Text), `\n`, "\\n\n"),
				`Shown with escapes, as it has bytes that are no text: \xff is one byte, \\ a backslash.`
		}
	}
	for _, view := range []struct{ name, text string }{{"text", "Text"}, {"json", "JSON"}, {"hex", "Hex"}} {
		if view.name != "json" || structured {
			out.Views = append(out.Views, redisview.KeyTab{Text: view.text, URL: p.keyURL("redis.key", v.Name, "as", view.name, "cursor",
				query(c, "cursor")), Current: view.name == as})
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
