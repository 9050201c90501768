package lua

import (
	"strconv"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// maxRendered is how long a rendered reply gets, in bytes.
const maxRendered = 2 << 10

const more = "…"

// Render writes a reply on one line, much as redis-cli shows it: "text", (integer) 1, (nil), (error) ERR …, [a, b], {k: v}. What
// is not text is escaped. Of a long reply it writes the first 2 KiB and "…", and takes no more time than that.
func Render(r kvdb.Reply) string {
	b := appendRendered(make([]byte, 0, 64), r)
	if len(b) <= maxRendered {
		return string(b)
	}
	n := maxRendered - len(more)
	for !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + more
}

func appendRendered(b []byte, r kvdb.Reply) []byte {
	switch r.Kind {
	case kvdb.KindNil:
		return append(b, "(nil)"...)
	case kvdb.KindStatus:
		return appendPlain(b, r.Text)
	case kvdb.KindError:
		return appendPlain(append(b, "(error) "...), r.Text)
	case kvdb.KindInteger, kvdb.KindDouble, kvdb.KindBigNumber:
		b = append(append(append(b, '('), r.Kind.String()...), ") "...)
		return append(b, r.Text...)
	case kvdb.KindBoolean:
		return append(b, map[string]string{"t": "(true)", "f": "(false)"}[r.Text]...)
	case kvdb.KindArray, kvdb.KindSet, kvdb.KindMap:
		return appendRenderedItems(b, r)
	}
	return strconv.AppendQuote(b, head(r.Text))
}

func appendRenderedItems(b []byte, r kvdb.Reply) []byte {
	open, end := byte('['), byte(']')
	if r.Kind != kvdb.KindArray {
		open, end = '{', '}'
	}
	b = append(b, open)
	for i, item := range r.Items {
		if len(b) > maxRendered {
			return b
		}
		switch {
		case i > 0 && r.Kind == kvdb.KindMap && i%2 == 1:
			b = append(b, ": "...)
		case i > 0:
			b = append(b, ", "...)
		}
		b = appendRendered(b, item)
	}
	return append(b, end)
}

// appendPlain appends text without quotes, escaped where it isn't plain.
func appendPlain(b []byte, text string) []byte {
	start := len(b)
	b = strconv.AppendQuote(b, head(text))
	copy(b[start:], b[start+1:len(b)-1])
	return b[:len(b)-2]
}

// head is as much of a text as can matter; not in the middle of a character.
func head(text string) string {
	n := maxRendered + utf8.UTFMax
	if len(text) <= n {
		return text
	}
	for n > maxRendered && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
