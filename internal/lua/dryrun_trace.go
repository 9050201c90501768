package lua

import (
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

//go:embed dryrun.lua
var dryRunner string

// errTrace is the error of a trace that is none.
var errTrace = errors.New("the trace of the dry run can't be read")

// tracer is the command that runs a program under trace.
type tracer struct {
	name string // of the variable that holds the trace: nobody else knows it
	args []string
}

var shebangForm = regexp.MustCompile(`^#![^\n]*`)

// newTracer makes the command for a rung: what a debugger stops at is its first line, which does nothing outside of one.
func newTracer(src Source, c Call, rung string) tracer {
	t := tracer{name: "trace_" + rand.Text()}
	shebang := shebangForm.FindString(src.Text)
	text := src.Text[len(shebang):]
	command, mode, first := "EVAL", rung, "local "+t.name+"={} "
	if rung == RungFork {
		first += "if not redis.breakpoint() then return end "
		if reaches(text) != "" {
			mode = "fork that it reaches past"
		}
	}
	first += unpad + "return loadstring(table.remove(ARGV),'=webadmin')(" + t.name + ")"
	if shebang != "" {
		first = shebang + "\n" + first
	}
	if c.ReadOnly || rung == RungReadOnly {
		command = "EVAL_RO"
	}
	t.args = append([]string{command, first, strconv.Itoa(len(c.Keys))}, c.Keys...)
	t.args = append(t.args, c.Values...)
	t.args = pad(append(t.args, sumOf(c, text), mode, text, strings.ReplaceAll(dryRunner, "TRACE", t.name)))
	return t
}

// sumOf lets a script see whether its arguments are what was sent.
func sumOf(c Call, text string) string {
	sum := sha1.Sum([]byte(strings.Join(c.Keys, " ") + " " + strings.Join(c.Values, " ") + " " + text))
	return hex.EncodeToString(sum[:])
}

// A fork of Redis 7 gives the memory of its clients back, and so overwrites the arguments of the very command that it debugs with
// zeros: where they have 4 KiB on average, and the list of them where it has 4 KiB itself.
const (
	maxForkArgs = 440
	meanForkArg = 2 << 10
)

// pad adds empty arguments to a command, so that they are many and short on average, and their number. unpad takes them off
// again.
func pad(args []string) []string {
	total := 0
	for _, arg := range args {
		total += len(arg)
	}
	n := max(0, total/meanForkArg+1-len(args))
	return append(append(args, make([]string, n)...), strconv.Itoa(n))
}

const unpad = "for _=1,tonumber(table.remove(ARGV)) do table.remove(ARGV) end "

// reaching are the names with which a program gets at the redis of everybody, past the one that it is given: there is no way without
// one of them.
var reaching = []string{"_G", "getfenv", "setfenv", "load", "loadstring"}

// reaches returns the first of those names in a program; "" = there is none. Names in comments and texts don't count, nor do fields.
func reaches(text string) string {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "--"):
			if n := longBracket(text[i+2:]); n > 0 {
				i += 2 + n
				continue
			}
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == '[' && longBracket(text[i:]) > 0:
			i += longBracket(text[i:])
		case c == '"' || c == '\'':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case isNameByte(c):
			start := i
			for i < len(text) && isNameByte(text[i]) {
				i++
			}
			before := strings.TrimRight(text[:start], " \t\r\n")
			isField := strings.HasSuffix(before, ":") || strings.HasSuffix(before, ".") && !strings.HasSuffix(before, "..")
			if name := text[start:i]; !isField && slices.Contains(reaching, name) {
				return name
			}
		default:
			i++
		}
	}
	return ""
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// longBracket is the length of the [==[ … ]==] that text begins with; 0 = it doesn't.
func longBracket(text string) int {
	level := 0
	for level+1 < len(text) && text[0] == '[' && text[level+1] == '=' {
		level++
	}
	if level+1 >= len(text) || text[0] != '[' || text[level+1] != '[' {
		return 0
	}
	end := "]" + strings.Repeat("=", level) + "]"
	if i := strings.Index(text[level+2:], end); i >= 0 {
		return level + 2 + i + len(end)
	}
	return len(text)
}

// trace is what was seen of a run.
type trace struct {
	calls     []TracedCall
	total     int
	before    map[string]KeyState
	after     map[string]KeyState
	changed   []string // in the order of their first writes
	seen      []ExpectedKey
	published int
	logged    int
	hidden    int
	notes     []string
	reply     kvdb.Reply
	cut       bool // the reply is
	failure   *Failure
	syntax    *SyntaxError
	reaches   bool
	garbled   bool
}

// parseTrace reads records, which stand one after the other.
func parseTrace(text string, ownUser bool) (*trace, error) {
	t := &trace{before: map[string]KeyState{}, after: map[string]KeyState{}}
	for text != "" {
		record, rest, err := field(text)
		if err != nil {
			return nil, err
		}
		text = rest
		f, err := fields(record)
		if err != nil {
			return nil, err
		}
		if err := t.add(f, ownUser); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// field reads the field that text begins with.
func field(text string) (value, rest string, err error) {
	size, _, ok := strings.Cut(text[:min(len(text), 20)], ":")
	n, err := strconv.Atoi(size)
	if !ok || err != nil || n < 0 {
		return "", "", errTrace
	}
	rest = text[len(size)+1:]
	if n > len(rest) {
		return "", "", errTrace
	}
	return rest[:n], rest[n:], nil
}

func fields(text string) ([]string, error) {
	var list []string
	for text != "" {
		value, rest, err := field(text)
		if err != nil {
			return nil, err
		}
		list, text = append(list, value), rest
	}
	return list, nil
}

// recordSizes are how many fields each record has at least.
var recordSizes = map[string]int{"D": 3, "K": 7, "C": 6, "R": 2, "F": 3, "S": 2, "N": 3, "X": 1, "B": 1, "Z": 5}

func (t *trace) add(f []string, ownUser bool) error {
	if len(f) == 0 || recordSizes[f[0]] == 0 || len(f) < recordSizes[f[0]] {
		return errTrace
	}
	number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
	switch f[0] {
	case "D":
		t.seen = append(t.seen, ExpectedKey{Key: f[1], Digest: f[2]})
	case "K":
		state, err := keyState(f[3:])
		if err != nil {
			return err
		}
		if f[1] == "B" {
			t.before[f[2]] = state
		} else {
			t.after[f[2]] = state
			t.changed = append(t.changed, f[2])
		}
	case "C":
		reply, cut, err := tracedReply(f[5])
		if err != nil {
			return err
		}
		call := TracedCall{N: number(1), Line: number(2), Writes: strings.Contains(f[3], "w"), Failed: strings.Contains(f[3], "f"), Reply: Render(reply)}
		if cut {
			call.Reply += " …"
		}
		if args := f[6:]; len(args) > 0 {
			call.Name = strings.ToUpper(args[0])
			for _, arg := range args[1:] {
				if len(arg) > maxTracedArg {
					arg = cutText(arg, maxTracedArg) + "…"
				}
				call.Args = append(call.Args, arg)
			}
			if more := number(4) - len(args); more > 0 {
				call.Args = append(call.Args, fmt.Sprintf("… (%d more)", more))
			}
		}
		t.calls = append(t.calls, call)
	case "R":
		var err error
		if t.reply, t.cut, err = tracedReply(f[1]); err != nil {
			return err
		}
	case "F":
		t.failure = failureOf(f[2], ownUser)
		t.failure.Line = cmp.Or(t.failure.Line, number(1))
	case "S":
		t.syntax = syntaxError(f[1])
	case "N":
		t.notes = append(t.notes, emptying(f[1], number(2)))
	case "X":
		t.reaches = true
	case "B":
		t.garbled = true
	case "Z":
		t.total, t.published, t.logged, t.hidden = number(1), number(2), number(3), number(4)
	}
	return nil
}

const maxTracedArg = 1 << 10

// emptying is the note on a command that concerns whole databases.
func emptying(name string, keys int) string {
	if name == "SWAPDB" {
		return "It calls SWAPDB, which exchanges whole databases: their keys are not listed here."
	}
	return fmt.Sprintf("It calls %s, which deletes all %d keys of the database: they are not listed here.", name, keys)
}

// keyState reads type, ttl, size, cut and the lines.
func keyState(f []string) (KeyState, error) {
	s := KeyState{Type: f[0], TTL: -1, Cut: f[3] == "1"}
	if s.Type == "none" {
		s.Type = ""
	}
	if ms, _ := strconv.ParseInt(f[1], 10, 64); ms >= 0 {
		s.TTL = time.Duration(ms) * time.Millisecond
	}
	s.Size, _ = strconv.ParseInt(f[2], 10, 64)
	for _, line := range f[4:] {
		parts, err := fields(line)
		if err != nil {
			return s, err
		}
		s.Lines = append(s.Lines, valueLines(s.Type, parts)...)
	}
	if s.Type == "set" || s.Type == "hash" {
		slices.Sort(s.Lines)
	}
	if len(s.Lines) > maxStateLines {
		s.Lines, s.Cut = s.Lines[:maxStateLines], true
	}
	return s, nil
}

const maxStateLines = 200

// valueLines writes one element, or the whole of a string.
func valueLines(kind string, parts []string) []string {
	for len(parts) < 2 {
		parts = append(parts, "")
	}
	switch kind {
	case "string":
		return strings.Split(parts[0], "\n")
	case "hash":
		return []string{plain(parts[0]) + " = " + plain(parts[1])}
	case "zset":
		return []string{plain(parts[1]) + "  " + plain(parts[0])}
	case "stream":
		line := parts[0]
		for i := 1; i+1 < len(parts); i += 2 {
			line += "  " + plain(parts[i]) + " = " + plain(parts[i+1])
		}
		return []string{line}
	}
	return []string{plain(parts[0])}
}

// plain writes a text so that it stays on its line and is no other one: quoted where it has to be.
func plain(s string) string {
	odd := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError }
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsFunc(s, odd) || strings.Contains(s, " = ") || strings.Contains(s, "  ") {
		return strconv.Quote(s)
	}
	return s
}

// tracedReply reads what encode of the tracer wrote.
func tracedReply(text string) (r kvdb.Reply, cut bool, err error) {
	text, cut = strings.CutSuffix(text, "!")
	r, rest, err := tracedValue(text, 0)
	if err == nil && rest != "" {
		err = errTrace
	}
	return r, cut, err
}

func tracedValue(text string, depth int) (r kvdb.Reply, rest string, err error) {
	if text == "" || depth > 40 {
		return r, "", errTrace
	}
	mark, rest := text[0], text[1:]
	blobs := map[byte]kvdb.Kind{'$': kvdb.KindBulk, '+': kvdb.KindStatus, '-': kvdb.KindError, '(': kvdb.KindBigNumber, '=': kvdb.KindVerbatim}
	lists := map[byte]struct {
		kind kvdb.Kind
		end  byte
	}{'[': {kvdb.KindArray, ']'}, '{': {kvdb.KindMap, '}'}, '<': {kvdb.KindSet, '>'}}
	if kind, ok := blobs[mark]; ok {
		r.Kind = kind
		r.Text, rest, err = field(rest)
		return r, rest, err
	}
	if list, ok := lists[mark]; ok {
		r.Kind = list.kind
		for {
			if rest == "" {
				return r, "", errTrace
			}
			if rest[0] == list.end {
				return r, rest[1:], nil
			}
			var item kvdb.Reply
			if item, rest, err = tracedValue(rest, depth+1); err != nil {
				return r, "", err
			}
			r.Items = append(r.Items, item)
		}
	}
	switch mark {
	case '_':
		return r, rest, nil
	case '#':
		if rest == "" {
			return r, "", errTrace
		}
		return kvdb.Reply{Kind: kvdb.KindBoolean, Text: rest[:1]}, rest[1:], nil
	case ':', ',':
		digits, rest, ok := strings.Cut(rest, ";")
		if !ok {
			return r, "", errTrace
		}
		r.Kind, r.Text = kvdb.KindInteger, digits
		if mark == ',' {
			r.Kind = kvdb.KindDouble
		}
		return r, rest, nil
	}
	return r, "", errTrace
}
