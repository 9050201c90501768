package ldb

import (
	"errors"
	"strconv"
	"strings"
)

// ErrValue is the error of a text that is no value as the debugger writes them.
var ErrValue = errors.New("not a value of the debugger")

// ParseStrings reads a table of texts as the debugger writes it, {"one"; "two"}: byte for byte what they are.
func ParseStrings(text string) ([]string, error) {
	rest, ok := strings.CutPrefix(text, "{")
	if !ok {
		return nil, ErrValue
	}
	var list []string
	for rest != "}" {
		if len(list) > 0 {
			if rest, ok = strings.CutPrefix(rest, "; "); !ok {
				return nil, ErrValue
			}
		}
		s, n, err := unquote(rest)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
		rest = rest[n:]
	}
	return list, nil
}

// Unquote reads a text as the debugger writes it, "one\x00": byte for byte what it is.
func Unquote(text string) (string, error) {
	s, n, err := unquote(text)
	if err == nil && n < len(text) {
		err = ErrValue
	}
	return s, err
}

// unquote reads the text that s begins with, and says how long it is in s.
func unquote(s string) (text string, n int, err error) {
	if s == "" || s[0] != '"' {
		return "", 0, ErrValue
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i + 1, nil
		case '\\':
			i++
			if i == len(s) {
				return "", 0, ErrValue
			}
			switch c := s[i]; c {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case 'a':
				b.WriteByte('\a')
			case 'b':
				b.WriteByte('\b')
			case '\\', '"':
				b.WriteByte(c)
			case 'x':
				if i+2 >= len(s) {
					return "", 0, ErrValue
				}
				v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
				if err != nil {
					return "", 0, ErrValue
				}
				b.WriteByte(byte(v))
				i += 2
			default:
				return "", 0, ErrValue
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, ErrValue
}

// Literal returns a value as Lua reads it back, exactly what it was: it returns false for one that the debugger doesn't show in
// full, such as a function or a number with too many digits.
func Literal(value string) (string, bool) {
	switch value {
	case "nil", "true", "false":
		return value, true
	}
	if s, err := Unquote(value); err == nil {
		for _, kind := range []string{"function@", "userdata@", "thread@", "lightuserdata@", "unknown-lua-type@"} {
			if strings.HasPrefix(s, kind) {
				return "", false
			}
		}
		return quote(s), true
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil && !Rounded(value) && strings.Trim(value, "0123456789+-.e") == "" {
		return value, true
	}
	return "", false
}

// quote writes a text as Lua 5.1 reads it, which doesn't know \x00.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			b.WriteByte('\\')
			d := strconv.Itoa(int(c))
			b.WriteString("000"[len(d):] + d)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Rounded says whether a value is a number that may have more digits than are shown: the debugger shows six.
func Rounded(value string) bool {
	if _, err := strconv.ParseFloat(value, 64); err != nil {
		return false
	}
	mantissa, _, exponent := strings.Cut(strings.TrimPrefix(value, "-"), "e")
	digits := strings.TrimLeft(strings.ReplaceAll(mantissa, ".", ""), "0")
	return exponent && len(digits) > 1 || len(digits) >= 6
}
