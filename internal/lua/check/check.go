// Package check reads Lua programs for Redis and says what looks wrong in them, without running them. It knows nothing of any
// server: what there is to call comes as Facts.
//
// The rules:
//
//	parse             the text can't be read; all else is not looked at then
//	shebang           the first line asks for what Redis doesn't know
//	undefined-global  a name that is neither a local nor a global of the server
//	assigned-global   a global, or a member of a library, is set: Redis refuses that
//	unknown-member    redis.cal, string.trim
//	unknown-command   redis.call("GETT", …)
//	noscript-command  a command that programs may not call
//	missing-arguments too few arguments for the command, or none at all
//	extra-arguments   too many of them
//	bad-argument      an argument that is neither text nor a number
//	missing-keys      KEYS[0], ARGV[1.5]: an index that no call fills
//	dynamic-key       a key that is not one of KEYS
//	goto              a goto or its label, which Lua 5.1 doesn't have
//	hidden-redis      commands may be called where a dry run doesn't see them
//	unused-local      a local that nobody reads
//	shadowed-local    a local that hides another one of the same block, or of the loop around
//	endless-loop      a loop without end
package check

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// MaxProblems is how many problems Check returns; the first ones of the text.
const MaxProblems = 100

// maxFound bounds the work for a text that is not Lua for Redis at all.
const maxFound = 1000

// Facts is what the server has. What is nil is not known: the rules about it don't apply then.
type Facts struct {
	Globals  map[string]bool
	Libs     map[string]map[string]bool // the members of those globals that are tables: "redis", "string" …
	Commands map[string]Command         // by their names in lower case: "get", "config|get"
	Cluster  bool
}

// Command is what there is to know about a command.
type Command struct {
	NoScript bool
	Arity    int // number of arguments with the name; negative = at least so many
	// The keys are the arguments from FirstKey to LastKey (negative = from the end), every Step. FirstKey 0 = there are none, or
	// nobody knows where.
	FirstKey, LastKey, Step int
}

// Problem is one finding.
type Problem struct {
	Line, Column int // 1-based, in characters; 0 = not known
	Rule         string
	Message      string
}

// Check returns the problems of a text, in the order of their places. The text may be anything.
func Check(text string, f Facts) []Problem {
	w, failed := read(text, f)
	problems := shebang(text)
	if failed != nil {
		problems = append(problems, *failed)
	}
	for _, p := range w.found {
		if !w.assigned[p.global] {
			problems = append(problems, p.Problem)
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	problems = problems[:min(len(problems), MaxProblems)]
	inCharacters(text, problems)
	return problems
}

// Arguments returns how many keys and values a program reads: the highest index that it takes of KEYS and of ARGV. It is -1 where
// that depends on the call, or can't be told.
func Arguments(text string) (keys, values int) {
	w, failed := read(text, Facts{})
	if failed != nil {
		return -1, -1
	}
	return w.keys, w.values
}

// read walks through a text. The walker has what was found; failed says why it doesn't have all of it.
func read(text string, f Facts) (w *walker, failed *Problem) {
	text = withoutShebang(text)
	w = newWalker(f)
	words, deep := scan(text)
	if deep > 0 {
		return w, &Problem{Line: deep, Rule: "parse", Message: "this is nested too deeply"}
	}
	chunk, failed := parseText(text)
	if failed != nil {
		return w, failed
	}
	w.words = words
	w.program(chunk)
	if w.deep > 0 {
		w.found = nil
		return w, &Problem{Line: w.deep, Rule: "parse", Message: "this expression is too long to be checked"}
	}
	return w, nil
}

func parseText(text string) (chunk []ast.Stmt, failed *Problem) {
	defer func() {
		if recover() != nil { // what the parser itself doesn't catch
			failed = &Problem{Rule: "parse", Message: "the text can't be read"}
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(text), "")
	var bad *parse.Error
	switch {
	case err == nil && chunk != nil:
		return chunk, nil
	case !errors.As(err, &bad):
		return nil, &Problem{Rule: "parse", Message: "the text can't be read"}
	case bad.Pos.Line == parse.EOF:
		return nil, &Problem{Line: 1 + strings.Count(text, "\n"), Rule: "parse", Message: "the text ends before something that it began: a string, a bracket, a block without its end"}
	}
	at, near := tokenAt(text, bad.Pos)
	message := strings.ToLower(bad.Message)
	if message == "invalid token" || message == "parse error" {
		message = "syntax error"
	}
	if near != "" {
		message = fmt.Sprintf("%s near %.60q", message, near)
	}
	return nil, &Problem{Line: at.line, Column: at.column, Rule: "parse", Message: message}
}

// engine begins the first line of a program that says how it is to be run.
const engine = "#!lua"

// ShebangFlags are those that servers know.
var ShebangFlags = []string{"allow-cross-slot-keys", "allow-oom", "allow-stale", "no-cluster", "no-writes"}

// withoutShebang takes the first line away if it is not Lua; its end stays, so that the lines keep their numbers.
func withoutShebang(text string) string {
	if !strings.HasPrefix(text, "#!") {
		return text
	}
	return text[len(firstLine(text)):]
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// shebang returns what is wrong with the first line.
func shebang(text string) (problems []Problem) {
	if !strings.HasPrefix(text, "#!") {
		return nil
	}
	bad := func(column int, format string, args ...any) {
		if len(problems) < MaxProblems {
			problems = append(problems, Problem{Line: 1, Column: column + 1, Rule: "shebang", Message: fmt.Sprintf(format, args...)})
		}
	}
	line := strings.TrimSuffix(firstLine(text), "\r")
	for i, part := range parts(line, " ") {
		name, flags, isFlags := strings.Cut(part, "=")
		switch {
		case i == 0:
			if part != engine {
				bad(0, "a program for Redis begins with %s, not with %.60q", engine, part)
			}
		case isFlags && name == "flags":
			for j, flag := range parts(flags, ",") {
				if slices.Contains(ShebangFlags, flag) {
					continue
				}
				hint := didYouMean(nearest(flag, slices.Values(ShebangFlags)))
				if hint == "" {
					hint = "; there are " + strings.Join(ShebangFlags, ", ")
				}
				bad(i+len("flags=")+j, "there is no flag %.60q%s", flag, hint)
			}
		case name == "name":
			bad(i, "name= is for libraries of functions: a program has no use for it")
		case part != "":
			bad(i, "Redis takes flags= here, and does not know %.60q", part)
		}
	}
	return problems
}

// parts yields what sep separates, and where each begins.
func parts(s, sep string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		at := 0
		for part := range strings.SplitSeq(s, sep) {
			if !yield(at, part) {
				return
			}
			at += len(part) + len(sep)
		}
	}
}

// inCharacters turns columns of bytes into those of characters. The problems are in the order of their lines.
func inCharacters(text string, problems []Problem) {
	line := 1
	for i := range problems {
		p := &problems[i]
		for ; line < p.Line && text != ""; line++ {
			n := strings.IndexAny(text, "\r\n")
			if n < 0 {
				return
			}
			end := text[n]
			text = text[n+1:]
			if text != "" && (text[0] == '\r' || text[0] == '\n') && text[0] != end {
				text = text[1:] // a pair of them is one end
			}
		}
		if p.Column > 1 && p.Column <= len(text) {
			p.Column = utf8.RuneCountInString(text[:p.Column-1]) + 1
		}
	}
}
