package handlers

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

// A text from Redis is any bytes, and a field of a form is characters. So a text that a field would not send back as it
// is stands there with escapes, and the form says so.

// plainText says whether a field sends the text back as it is.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f })
}

// escapeBytes writes a text so that unescapeBytes gives it back, whatever its bytes are.
func escapeBytes(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)), r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unescapeBytes reads \xff, \n, \r, \t and \\.
func unescapeBytes(field, s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		rest := s[i+1:]
		switch {
		case strings.HasPrefix(rest, "n"):
			b.WriteByte('\n')
		case strings.HasPrefix(rest, "r"):
			b.WriteByte('\r')
		case strings.HasPrefix(rest, "t"):
			b.WriteByte('\t')
		case strings.HasPrefix(rest, `\`):
			b.WriteByte('\\')
		case strings.HasPrefix(rest, "x") && len(rest) >= 3:
			n, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil {
				return "", badEscape(field, rest)
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", badEscape(field, rest)
		}
		i++
	}
	return b.String(), nil
}

func badEscape(field, rest string) error {
	_, n := utf8.DecodeRuneInString(rest)
	return kvdb.Invalid(field, `has \%s, which stands for nothing: a backslash itself is written \\`, rest[:n])
}

// inField returns a text as it stands in a field, and whether that is with escapes.
func inField(s string) (text string, escaped bool) {
	if plainText(s) {
		return s, false
	}
	return escapeBytes(s), true
}

// typed reads a field that may have escapes.
func (f form) typed(name string) (string, error) {
	if f.has("escapes") {
		return unescapeBytes(name, f.text(name))
	}
	return f.text(name), nil
}

// partText is a text on a page: as it is, or its beginning.
func partText(p kvdb.Part, most int) redisview.KeyText {
	text := p.Text
	if len(text) > most {
		n := most
		for n > most-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	out := redisview.KeyText{Text: text}
	if int64(len(text)) < p.Size {
		out.More = "… " + byteSize(p.Size) + " in all"
	}
	return out
}

// wholePart is a text that is here as a whole.
func wholePart(text string) kvdb.Part { return kvdb.Part{Text: text, Size: int64(len(text))} }

const shownName = 300 // bytes of a key's name in a list

func nameText(name string) redisview.KeyText { return partText(wholePart(name), shownName) }

// keyURL is the address of a page about a key. Other than site.url it takes the empty key as well.
func (s *site) keyURL(route, key string, more ...string) string {
	to := s.url(route) + "?key=" + url.QueryEscape(key)
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" || more[i] == "item" {
			to += "&" + more[i] + "=" + url.QueryEscape(more[i+1])
		}
	}
	return to
}

// kindNames are the types of Redis as people call them.
var kindNames = map[string]string{"zset": "sorted set"}

func kindName(kind string) string {
	if name := kindNames[kind]; name != "" {
		return name
	}
	return kind
}

// span says a time in its two largest units, none smaller than a second but where that is all there is.
func span(d time.Duration) string {
	if d >= time.Second {
		d = d.Truncate(time.Second)
	}
	return lastingText(d.Truncate(time.Millisecond))
}

// ttlText says when a key expires.
func ttlText(ttl time.Duration) string {
	if ttl == kvdb.NoTTL {
		return "never"
	}
	return "in " + span(ttl)
}

// readExpire reads the fields of a form that say when a key is to expire. Nothing said is NoTTL.
func readExpire(f form, now time.Time) (time.Duration, error) {
	amount, at := f.word("amount"), f.word("at")
	switch {
	case amount == "" && at == "":
		return kvdb.NoTTL, nil
	case amount != "" && at != "":
		return 0, kvdb.Invalid("ttl", "is said twice: as a time from now, and as a date. Leave one of them empty")
	case at != "":
		for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
			if t, err := time.Parse(layout, at); err == nil {
				if !t.After(now) {
					return 0, kvdb.Invalid("ttl", "is a date that is over already")
				}
				return t.Sub(now), nil
			}
		}
		return 0, kvdb.Invalid("ttl", "is no date like 2030-12-31T23:59")
	}
	n, err := strconv.ParseFloat(strings.Replace(amount, ",", ".", 1), 64)
	unit, known := map[string]time.Duration{"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[f.word("unit")]
	if err != nil || !known || !(n > 0) || n*float64(unit) > float64(longestTTL) {
		return 0, kvdb.Invalid("ttl", "must be a number above 0, and not more than 100 years")
	}
	return time.Duration(n * float64(unit)), nil
}

const longestTTL = 100 * 365 * 24 * time.Hour

func expireOf(f form, wrong faults) redisview.KeyExpire {
	e := redisview.KeyExpire{Amount: f.word("amount"), Unit: f.word("unit"), At: f.word("at"), Error: wrong["ttl"]}
	if e.Unit == "" {
		e.Unit = "s"
	}
	return e
}
