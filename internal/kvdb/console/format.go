package console

import (
	"fmt"
	"strconv"
	"strings"

	"webadmin/internal/kvdb"
)

// Format writes a reply as redis-cli 7.0 does on a terminal.
func Format(r kvdb.Reply) string {
	var b []byte
	return string(appendReply(b, r, ""))
}

// appendReply ends with a new line. The prefix is that of the lines after the first.
func appendReply(b []byte, r kvdb.Reply, prefix string) []byte {
	switch r.Kind {
	case kvdb.KindError:
		b = append(append(b, "(error) "...), cString(r.Text)...)
	case kvdb.KindStatus:
		b = append(b, cString(r.Text)...)
	case kvdb.KindInteger:
		b = append(append(b, "(integer) "...), r.Text...)
	case kvdb.KindDouble:
		b = append(append(b, "(double) "...), r.Text...)
	case kvdb.KindBigNumber: // redis-cli 7.0 ends itself instead
		b = append(append(b, "(big number) "...), r.Text...)
	case kvdb.KindBulk:
		b = appendQuoted(b, r.Text)
	case kvdb.KindVerbatim:
		b = append(b, r.Text...)
	case kvdb.KindNil:
		b = append(b, "(nil)"...)
	case kvdb.KindBoolean:
		b = append(b, boolean(r)...)
	default:
		return appendItems(b, r, prefix)
	}
	return append(b, '\n')
}

// cString is what C takes for the text.
func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func boolean(r kvdb.Reply) string {
	if r.Text == "t" {
		return "(true)"
	}
	return "(false)"
}

func appendItems(b []byte, r kvdb.Reply, prefix string) []byte {
	sign, empty, step := byte(')'), "(empty array)\n", 1
	switch r.Kind {
	case kvdb.KindMap:
		sign, empty, step = '#', "(empty hash)\n", 2
	case kvdb.KindSet:
		sign, empty = '~', "(empty set)\n"
	}
	n := len(r.Items) / step
	if n == 0 {
		return append(b, empty...)
	}
	width := len(strconv.Itoa(n))
	inner := prefix + strings.Repeat(" ", width+2)
	for i := range n {
		if i > 0 {
			b = append(b, prefix...)
		}
		b = fmt.Appendf(b, "%*d%c ", width, i+1, sign)
		b = appendReply(b, r.Items[i*step], inner)
		if r.Kind != kvdb.KindMap {
			continue
		}
		b = append(b[:len(b)-1], " => "...)
		value := r.Items[i*step+1]
		if isLong(value) {
			b = append(append(b, '\n'), inner...)
		}
		b = appendReply(b, value, inner)
	}
	return b
}

// isLong says whether a reply has several elements on any level, so that as a value it begins on a line of its own.
func isLong(r kvdb.Reply) bool {
	n := len(r.Items)
	if r.Kind == kvdb.KindMap {
		n /= 2
	}
	return n > 1 || n == 1 && isLong(r.Items[len(r.Items)-1])
}

// FormatRaw writes a reply as redis-cli --raw does, without the new line at its end.
func FormatRaw(r kvdb.Reply) string { return string(appendRaw(nil, r)) }

func appendRaw(b []byte, r kvdb.Reply) []byte {
	switch r.Kind {
	case kvdb.KindNil:
		return b
	case kvdb.KindError:
		return append(append(b, r.Text...), '\n')
	case kvdb.KindBoolean:
		return append(b, boolean(r)...)
	case kvdb.KindArray, kvdb.KindSet, kvdb.KindMap:
		for i, item := range r.Items {
			switch {
			case i == 0:
			case r.Kind == kvdb.KindMap && i%2 == 1:
				b = append(b, ' ')
			default:
				b = append(b, '\n')
			}
			b = appendRaw(b, item)
		}
		return b
	}
	return append(b, r.Text...)
}

// Print is what redis-cli prints for the reply to a command: some commands reply a text that is for people as it is. raw is
// what --raw asks for.
func Print(args []string, r kvdb.Reply, raw bool) string {
	switch {
	case isText(args):
		return FormatRaw(r)
	case raw:
		return FormatRaw(r) + "\n"
	}
	return Format(r)
}

// isText says whether the command replies a text for people.
func isText(args []string) bool {
	word := func(i int) string {
		if i < len(args) {
			return strings.ToLower(args[i])
		}
		return ""
	}
	n := len(args)
	switch word(0) {
	case "info", "lolwut":
		return true
	case "debug":
		return word(1) == "htstats" || word(1) == "htstats-key" || word(1) == "client-eviction"
	case "memory":
		return word(1) == "malloc-stats" || word(1) == "doctor"
	case "cluster":
		return n == 2 && (word(1) == "nodes" || word(1) == "info")
	case "client":
		return word(1) == "list" || word(1) == "info"
	case "latency":
		return n == 3 && word(1) == "graph" || n == 2 && word(1) == "doctor"
	case "proxy":
		return word(1) == "info"
	}
	return false
}

// printPush is what redis-cli prints for what the server said by itself.
func printPush(r kvdb.Reply, raw bool) string {
	if raw {
		return FormatRaw(r) + "\n"
	}
	if len(r.Items) != 2 || r.Items[0].Text != "invalidate" || r.Items[1].Kind != kvdb.KindArray {
		return Format(r)
	}
	keys := make([]string, len(r.Items[1].Items))
	for i, key := range r.Items[1].Items {
		keys[i] = "'" + cString(key.Text) + "'"
	}
	return "-> invalidate: " + strings.Join(keys, ", ") + "\n"
}
