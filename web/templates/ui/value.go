package ui

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"
)

// V shows a value as it is, in monospace. What would not be seen is marked: nothing at all, blanks at either end, tabs,
// newlines, and characters without a shape (zero-width, direction marks, controls, bytes that are not UTF-8).
// The marks are drawn by the stylesheet, so copying gives the value itself.
func V(text string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		var b strings.Builder
		writeValue(&b, text)
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// longValue is where a value gets a tooltip, as a table may cut it off.
const longValue = 32

func writeValue(b *strings.Builder, text string) {
	if text == "" {
		b.WriteString(`<span class="v v-empty">empty</span>`)
		return
	}
	b.WriteString(`<bdi class="v"`)
	if utf8.RuneCountInString(text) > longValue {
		b.WriteString(` title="` + templ.EscapeString(text) + `"`)
	}
	b.WriteString(`>`)
	writeMarked(b, text)
	b.WriteString(`</bdi>`)
}

// writeMarked writes escaped text with marks for what cannot be seen.
func writeMarked(b *strings.Builder, text string) {
	first := len(text) - len(strings.TrimLeft(text, " "))
	last := len(strings.TrimRight(text, " "))
	plain := 0 // start of the run that needs no mark
	for i, r := range text {
		size := utf8.RuneLen(r)
		var class, title string
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			size, class, title = 1, "ws-code", fmt.Sprintf("\\x%02x", text[i])
		case r == '\n':
			class, title = "ws-nl", "newline"
		case r == '\t':
			class, title = "ws-tab", "tab"
		case r == ' ' && (i < first || i >= last):
			class, title = "ws-sp", "blank"
		case r != ' ' && !unicode.IsGraphic(r), r != ' ' && unicode.Is(unicode.Zs, r):
			class, title = "ws-code", fmt.Sprintf("U+%04X", r)
		default:
			continue
		}
		b.WriteString(templ.EscapeString(text[plain:i]))
		b.WriteString(`<span class="ws ` + class + `" title="` + title + `"`)
		if class == "ws-code" {
			b.WriteString(` data-code="` + title + `"`)
		}
		b.WriteString(`>`)
		if title[0] != '\\' {
			b.WriteString(templ.EscapeString(text[i : i+size]))
		}
		b.WriteString(`</span>`)
		plain = i + size
	}
	b.WriteString(templ.EscapeString(text[plain:]))
}

const (
	stampUTC  = "2006-01-02 15:04:05 UTC"
	minuteUTC = "2006-01-02 15:04 UTC"
)

func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Number groups the digits of n by three: 12,345.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// bytesText says a size with three digits at most before its unit; the units are powers of 1024, as Redis counts.
func bytesText(n int64) string {
	if n < 1024 && n > -1024 {
		return Number(n) + " B"
	}
	f := float64(n)
	for _, unit := range []string{"KB", "MB", "GB", "TB", "PB", "EB"} {
		f /= 1024
		if f < 9.995 && f > -9.995 {
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		}
		if f < 1023.5 && f > -1023.5 || unit == "EB" {
			return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
		}
	}
	return ""
}

// split cuts what two texts share at both ends off them, at character boundaries: head + a + tail and head + b + tail.
func split(before, after string) (head, a, b, tail string) {
	n := 0
	for n < len(before) && n < len(after) {
		r, size := utf8.DecodeRuneInString(before[n:])
		s, _ := utf8.DecodeRuneInString(after[n:])
		if r != s || r == utf8.RuneError {
			break
		}
		n += size
	}
	head, before, after = before[:n], before[n:], after[n:]
	n = 0
	for n < len(before) && n < len(after) {
		r, size := utf8.DecodeLastRuneInString(before[:len(before)-n])
		s, _ := utf8.DecodeLastRuneInString(after[:len(after)-n])
		if r != s || r == utf8.RuneError {
			break
		}
		n += size
	}
	return head, before[:len(before)-n], after[:len(after)-n], before[len(before)-n:]
}

// Diff shows a text before and after a change, what differs marked. Equal texts are shown once.
func Diff(before, after string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		var b strings.Builder
		if before == after {
			writeValue(&b, before)
		} else {
			head, was, is, tail := split(before, after)
			b.WriteString(`<span class="diff">`)
			writeSide(&b, "del", before, head, was, tail)
			writeSide(&b, "ins", after, head, is, tail)
			b.WriteString(`</span>`)
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func writeSide(b *strings.Builder, tag, whole, head, changed, tail string) {
	b.WriteString("<" + tag + ` class="v">`)
	switch {
	case whole == "":
		b.WriteString(`<span class="v-empty">empty</span>`)
	default:
		writeMarked(b, head)
		if changed != "" {
			b.WriteString("<b>")
			writeMarked(b, changed)
			b.WriteString("</b>")
		}
		writeMarked(b, tail)
	}
	b.WriteString("</" + tag + ">")
}
