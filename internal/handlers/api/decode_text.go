package api

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// This file reads JSON by its grammar, and knows nothing of what a body should hold.

// malformedError says that a body is no JSON text.
type malformedError struct {
	offset int
	what   string
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("The body is not JSON: %s at byte %d.", e.what, e.offset)
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// decoder walks one text. After the first malformed byte it stands still: every method returns at once.
type decoder struct {
	b     []byte // valid UTF-8
	i     int
	depth int
	bad   *malformedError
	wrong []kvdb.FieldError
}

func (d *decoder) fail(what string) {
	if d.bad == nil {
		d.bad = &malformedError{d.i, what}
	}
	d.i = len(d.b)
}

// skip reads a value of any kind and keeps nothing of it.
func (d *decoder) skip() {
	switch c := d.peek(); {
	case c == '{':
		d.members(func([]byte) { d.skip() })
	case c == '[':
		d.items(d.skip)
	case c == '"':
		d.quoted()
	case c == '-' || '0' <= c && c <= '9':
		d.number()
	case c == 't':
		d.literal("true")
	case c == 'f':
		d.literal("false")
	case c == 'n':
		d.literal("null")
	default:
		d.unexpected()
	}
}

// members calls value with each name of the object that starts here, to read its value.
func (d *decoder) members(value func(name []byte)) {
	if !d.enter() {
		return
	}
	for first := true; ; first = false {
		c := d.peek()
		if c == '}' && first {
			break
		}
		if c != '"' {
			d.unexpected()
			return
		}
		name := d.quoted()
		if d.peek() != ':' {
			d.unexpected()
			return
		}
		d.i++
		value(name)
		if c = d.peek(); c == '}' {
			break
		}
		if c != ',' {
			d.unexpected()
			return
		}
		d.i++
	}
	d.i++
	d.depth--
}

// items calls item at each item of the list that starts here, to read it.
func (d *decoder) items(item func()) {
	if !d.enter() {
		return
	}
	for first := true; ; first = false {
		if d.peek() == ']' && first {
			break
		}
		item()
		c := d.peek()
		if c == ']' {
			break
		}
		if c != ',' {
			d.unexpected()
			return
		}
		d.i++
	}
	d.i++
	d.depth--
}

func (d *decoder) enter() bool {
	if d.depth++; d.depth > maxDepth {
		d.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return false
	}
	d.i++
	return true
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// peek returns the first byte of what comes next, 0 at the end.
func (d *decoder) peek() byte {
	if d.space(); d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *decoder) unexpected() {
	if d.i >= len(d.b) {
		d.fail("it ends too early")
		return
	}
	r, _ := utf8.DecodeRune(d.b[d.i:])
	d.fail(fmt.Sprintf("unexpected %q", r))
}

func (d *decoder) literal(word string) {
	end := d.i + len(word)
	if end > len(d.b) || string(d.b[d.i:end]) != word {
		d.unexpected()
		return
	}
	d.i = end
}

// number returns the number that starts here, checked against the grammar.
func (d *decoder) number() []byte {
	start := d.i
	if d.b[d.i] == '-' {
		d.i++
	}
	if d.i < len(d.b) && d.b[d.i] == '0' {
		d.i++
	} else if !d.digits() {
		return nil
	}
	if d.i < len(d.b) && d.b[d.i] == '.' {
		if d.i++; !d.digits() {
			return nil
		}
	}
	if d.i < len(d.b) && d.b[d.i]|0x20 == 'e' {
		if d.i++; d.i < len(d.b) && (d.b[d.i] == '+' || d.b[d.i] == '-') {
			d.i++
		}
		if !d.digits() {
			return nil
		}
	}
	return d.b[start:d.i]
}

func (d *decoder) digits() bool {
	start := d.i
	for d.i < len(d.b) && '0' <= d.b[d.i] && d.b[d.i] <= '9' {
		d.i++
	}
	if d.i == start {
		d.unexpected()
		return false
	}
	return true
}

// quoted returns the string that starts here, unescaped. It may be a part of the body: copy what is kept.
func (d *decoder) quoted() []byte {
	start := d.i + 1
	for i := start; i < len(d.b); i++ {
		switch c := d.b[i]; {
		case c == '"':
			d.i = i + 1
			return d.b[start:i]
		case c == '\\':
			d.i = i
			return d.unescape(start)
		case c < ' ':
			d.i = i
			d.fail("a control character inside a string")
			return nil
		}
	}
	d.i = len(d.b)
	d.unexpected()
	return nil
}

// unescape reads on from the first backslash of the string that starts at start.
func (d *decoder) unescape(start int) []byte {
	out := append(make([]byte, 0, d.i-start+64), d.b[start:d.i]...)
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return out
		case c < ' ':
			d.fail("a control character inside a string")
			return nil
		case c != '\\':
			out = append(out, c)
			d.i++
		default:
			r, ok := d.escape()
			if !ok {
				return nil
			}
			out = utf8.AppendRune(out, r)
		}
	}
	d.unexpected()
	return nil
}

func (d *decoder) escape() (rune, bool) {
	if d.i+1 >= len(d.b) {
		d.i = len(d.b)
		d.unexpected()
		return 0, false
	}
	if d.b[d.i+1] != 'u' {
		if at := strings.IndexByte(`"\/bfnrt`, d.b[d.i+1]); at >= 0 {
			d.i += 2
			return rune("\"\\/\b\f\n\r\t"[at]), true
		}
		d.fail("an unknown escape")
		return 0, false
	}
	r, ok := d.unicode(d.i)
	if !ok {
		d.fail("an unknown escape")
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		d.i += 6
		return r, true
	}
	low, ok := d.unicode(d.i + 6)
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		d.fail("half of a surrogate pair, which is no text")
		return 0, false
	}
	d.i += 12
	return r, true
}

// unicode returns the code unit of the \uXXXX at i.
func (d *decoder) unicode(i int) (rune, bool) {
	if i+6 > len(d.b) || d.b[i] != '\\' || d.b[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range d.b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
