package handlers

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// What a page shows of a reply.
const (
	shownItems = 1000      // elements, at any depth
	shownText  = 512       // bytes of a text before one asks for all of it
	shownBytes = 1 << 20   // bytes of all texts
	shownRaw   = 128 << 10 // bytes of a reply that is shown in other forms, too
	keptExpect = 32 << 10  // bytes of a reply that an example may expect
)

// showReply puts a reply into a result.
func showReply(r *luaview.Result, reply kvdb.Reply, truncated bool) {
	left := room{items: shownItems, bytes: shownBytes}
	value := left.value(reply)
	r.Reply, r.Badge = &value, badgeOf(reply)
	if replySize(reply) <= shownRaw {
		r.Raw = strings.TrimSuffix(redisCLI(reply), "\n")
		r.JSON = string(api.ReplyJSON(reply))
	}
	if truncated {
		r.Notes = append(r.Notes, fmt.Sprintf("The reply is longer than %s elements or %s: this is the part before.",
			decimal(kvdb.MaxReplyItems), byteSize(kvdb.MaxReplyBytes)))
	}
}

// badgeOf says a reply in a few characters: its type, and what it is if that is short.
func badgeOf(r kvdb.Reply) string {
	switch r.Kind {
	case kvdb.KindNil:
		return "nil"
	case kvdb.KindArray, kvdb.KindSet:
		return fmt.Sprintf("%s of %d", r.Kind, len(r.Items))
	case kvdb.KindMap:
		return fmt.Sprintf("map of %d", len(r.Items)/2)
	case kvdb.KindBoolean:
		return strconv.FormatBool(r.Text == "t")
	}
	if len(r.Text) > 0 && len(r.Text) <= 20 && printable(r.Text) {
		return r.Kind.String() + " " + r.Text
	}
	return r.Kind.String()
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// room is what is left to show.
type room struct{ items, bytes int }

func (left *room) value(r kvdb.Reply) ui.ReplyValue {
	v := ui.ReplyValue{Type: r.Kind.String()}
	switch r.Kind {
	case kvdb.KindArray, kvdb.KindSet:
		for i, item := range r.Items {
			if left.items <= 0 {
				v.Note = fmt.Sprintf("and %s more", decimal(int64(len(r.Items)-i)))
				break
			}
			left.items--
			v.Items = append(v.Items, ui.ReplyItem{Index: strconv.Itoa(i + 1), Value: left.value(item)})
		}
	case kvdb.KindMap:
		for i := 0; i+1 < len(r.Items); i += 2 {
			if left.items <= 0 {
				v.Note = fmt.Sprintf("and %s more", decimal(int64((len(r.Items)-i)/2)))
				break
			}
			left.items--
			key := left.value(r.Items[i])
			v.Items = append(v.Items, ui.ReplyItem{Key: &key, Value: left.value(r.Items[i+1])})
		}
	case kvdb.KindBoolean:
		v.Text = strconv.FormatBool(r.Text == "t")
	default:
		left.text(&v, r.Text)
	}
	return v
}

func (left *room) text(v *ui.ReplyValue, text string) {
	whole := headOf(text, max(0, left.bytes))
	left.bytes -= len(whole)
	if len(whole) < len(text) {
		v.Note = fmt.Sprintf("the first %s of %s", byteSize(int64(len(whole))), byteSize(int64(len(text))))
	}
	v.Text = headOf(whole, shownText)
	if len(v.Text) < len(whole) {
		v.Text += "…"
		v.Whole = whole
	}
}

// headOf is the beginning of a text, without a part of a character at its end.
func headOf(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for back := 0; back < utf8.UTFMax && n-back > 0; back++ {
		if utf8.RuneStart(text[n-back]) {
			return text[:n-back]
		}
	}
	return text[:n]
}

// replySize is about how much a reply takes.
func replySize(r kvdb.Reply) int {
	n := len(r.Text) + 16
	for _, item := range r.Items {
		n += replySize(item)
	}
	return n
}

// redisCLI writes a reply as redis-cli does, nested lists indented.
func redisCLI(r kvdb.Reply) string {
	var b strings.Builder
	writeCLI(&b, r, "")
	return b.String()
}

func writeCLI(b *strings.Builder, r kvdb.Reply, indent string) {
	switch r.Kind {
	case kvdb.KindNil:
		b.WriteString("(nil)\n")
	case kvdb.KindInteger:
		b.WriteString("(integer) " + r.Text + "\n")
	case kvdb.KindDouble:
		b.WriteString("(double) " + r.Text + "\n")
	case kvdb.KindBoolean:
		fmt.Fprintf(b, "(%t)\n", r.Text == "t")
	case kvdb.KindError:
		b.WriteString("(error) " + r.Text + "\n")
	case kvdb.KindStatus, kvdb.KindBigNumber, kvdb.KindVerbatim:
		b.WriteString(r.Text + "\n")
	case kvdb.KindArray, kvdb.KindSet, kvdb.KindMap:
		writeListCLI(b, r, indent)
	default:
		b.WriteString(quoteCLI(r.Text) + "\n")
	}
}

func writeListCLI(b *strings.Builder, r kvdb.Reply, indent string) {
	step, mark := 1, ") "
	switch r.Kind {
	case kvdb.KindSet:
		mark = "~ "
	case kvdb.KindMap:
		step, mark = 2, "# "
	}
	if len(r.Items) == 0 {
		b.WriteString("(empty " + r.Kind.String() + ")\n")
		return
	}
	count := len(r.Items) / step
	width := len(strconv.Itoa(count))
	inner := indent + strings.Repeat(" ", width+len(mark))
	for i := range count {
		if i > 0 {
			b.WriteString(indent)
		}
		fmt.Fprintf(b, "%*d%s", width, i+1, mark)
		if step == 2 {
			var key strings.Builder
			writeCLI(&key, r.Items[2*i], inner)
			b.WriteString(strings.TrimSuffix(key.String(), "\n") + " => ")
			writeCLI(b, r.Items[2*i+1], inner+"   ")
			continue
		}
		writeCLI(b, r.Items[i], inner)
	}
}

// quoteCLI writes bytes in quotes as redis-cli does.
func quoteCLI(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c >= 0x7f:
			b = append(b, fmt.Sprintf(`\x%02x`, c)...)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// durationText says how long something took: with three digits, from a minute on in two units.
func durationText(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return lastingText(d.Round(time.Second))
}

// spanText says how long something lasts: "5 minutes", "2 days".
func spanText(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.of {
			return plural(int64(d/unit.of), unit.name)
		}
	}
	return plural(int64((d+time.Second-1)/time.Second), "second")
}

// expectedText says an expected reply, {"type","result"}, in a few words: "integer 10".
func expectedText(expect string) string {
	var said struct {
		Type   string          `json:"type"`
		Result json.RawMessage `json:"result"`
	}
	if expect == "" || json.Unmarshal([]byte(expect), &said) != nil {
		return expect
	}
	return said.Type + " " + string(said.Result)
}
