package console

import (
	"fmt"
	"strconv"
	"strings"

	"webadmin/internal/kvdb"
)

// SyntaxError says where a text is no command. It is kvdb.ErrInvalid.
type SyntaxError struct {
	Line   int // from 1
	Pos    int // byte of the line, from 0
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, position %d: %s", e.Line, e.Pos+1, e.Reason)
}

// Is makes it kvdb.ErrInvalid.
func (*SyntaxError) Is(target error) bool { return target == kvdb.ErrInvalid }

// Split splits a line into arguments just as redis-cli does: they are separated by blanks; within "…" there are the escapes \n \r \t \b \a
// \xHH (and \ before anything else is that), within '…' only \'; a quote that closes must be followed by a
// blank. Any bytes are allowed. The error is a *SyntaxError.
func Split(line string) ([]string, error) {
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	args := make([]string, len(words))
	for i, w := range words {
		args[i] = w.text
	}
	return args, nil
}

// word is an argument, and where it stands in its line.
type word struct {
	text       string
	start, end int
}

// split returns, with an error, the words before it, and last the one that is not complete.
func split(line string) (words []word, err error) {
	at := func(i int) byte {
		if i < len(line) {
			return line[i]
		}
		return 0
	}
	for p := 0; ; {
		for p < len(line) && isSpace(line[p]) {
			p++
		}
		if p == len(line) {
			return words, nil
		}
		start := p
		var text []byte
		var quote byte // that is open
		opened := 0
		for done := false; !done; {
			c := at(p)
			switch {
			case p >= len(line) && quote != 0:
				return append(words, word{string(text), start, p}), &SyntaxError{Line: 1, Pos: opened, Reason: fmt.Sprintf("the quote %c is not closed", quote)}
			case p >= len(line), quote == 0 && (c == ' ' || c == '\n' || c == '\r' || c == '\t'):
				done = true
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote, opened = c, p
			case quote == 0:
				text = append(text, c)
			case c == quote:
				if p+1 < len(line) && !isSpace(line[p+1]) {
					return append(words, word{string(text), start, p + 1}), &SyntaxError{Line: 1, Pos: p + 1,
						Reason: fmt.Sprintf("a blank must follow the quote %c that closes", quote)}
				}
				done = true
			case quote == '\'' && c == '\\' && at(p+1) == '\'':
				p++
				text = append(text, '\'')
			case quote == '"' && c == '\\' && at(p+1) == 'x' && isHex(at(p+2)) && isHex(at(p+3)):
				n, _ := strconv.ParseUint(line[p+2:p+4], 16, 8)
				text = append(text, byte(n))
				p += 3
			case quote == '"' && c == '\\' && p+1 < len(line):
				p++
				text = append(text, unescape(line[p]))
			default:
				text = append(text, c)
			}
			p++
		}
		words = append(words, word{string(text), start, p})
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// Quote writes an argument in double quotes, so that Split gives it back.
func Quote(arg string) string { return string(appendQuoted(nil, arg)) }

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\a':
			b = append(b, '\\', 'a')
		case '\b':
			b = append(b, '\\', 'b')
		default:
			if c >= ' ' && c <= '~' {
				b = append(b, c)
			} else {
				const hex = "0123456789abcdef"
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			}
		}
	}
	return append(b, '"')
}

// Join writes a line of which Split gives the arguments back, with quotes only where they are needed.
func Join(args []string) string {
	parts := make([]string, len(args))
	for i, arg := range args {
		parts[i] = arg
		if quoted := Quote(arg); quoted != `"`+arg+`"` || arg == "" || strings.ContainsAny(arg, " '") {
			parts[i] = quoted
		}
	}
	return strings.Join(parts, " ")
}

// MaxRepeat is how often one line may have its command run.
const MaxRepeat = 1000

// Command is one line that was typed.
type Command struct {
	Text   string // as typed
	Args   []string
	Repeat int // how often: "5 PING"; else 1
	Line   int // of the text that was typed, from 1
}

// Parse reads commands, one on each line; empty lines are none. Before a command may stand how often it is to run. The error is
// a *SyntaxError: then nothing of the text is to run.
func Parse(text string) ([]Command, error) {
	var commands []Command
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		words, err := split(line)
		if err != nil {
			err.(*SyntaxError).Line = n
			return nil, err
		}
		if len(words) == 0 {
			continue
		}
		c := Command{Text: line, Repeat: 1, Line: n}
		for _, w := range words {
			c.Args = append(c.Args, w.text)
		}
		if times, ok := repeat(c.Args); ok {
			if times < 1 || times > MaxRepeat {
				return nil, &SyntaxError{Line: n, Pos: words[0].start, Reason: fmt.Sprintf("a command runs 1 to %d times", MaxRepeat)}
			}
			c.Repeat, c.Args = times, c.Args[1:]
		}
		commands = append(commands, c)
	}
	return commands, nil
}

// repeat reads the first argument as the number that it is for redis-cli, if it is one and a command follows; 0 = it is out of range.
func repeat(args []string) (n int, ok bool) {
	if len(args) < 2 {
		return 0, false
	}
	text, _, _ := strings.Cut(args[0], "\x00")
	if text == "" {
		return 0, true
	}
	digits := strings.TrimLeft(text, " \t\n\v\f\r")
	if strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "-") {
		digits = digits[1:]
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimLeft(text, " \t\n\v\f\r"))
	if err != nil {
		return 0, true
	}
	return n, true
}
