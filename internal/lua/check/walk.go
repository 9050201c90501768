package check

import (
	"fmt"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// maxDepth is how deep in the tree the walker goes. A sum of as many terms is as deep.
const maxDepth = 5000

// maxGuesses bounds the search for names that were meant.
const maxGuesses = 100_000

// walker goes through a program in the order of its text.
type walker struct {
	facts Facts
	subs  map[string][]string // the subcommands of the commands that have any

	words []word
	next  int
	depth int
	deep  int // line in which it was too deep; the walk is over then

	locals map[string][]*local // what is visible of a name, the innermost last
	open   []*local            // all that are visible
	block  int                 // number of the block
	blocks int                 // how many there were
	fn     *function

	keys, values int // see Arguments
	found        []finding
	assigned     map[string]bool // globals that the program sets
	guesses      int
}

type finding struct {
	Problem
	global string // of undefined-global: the name
}

func newWalker(f Facts) *walker {
	w := &walker{facts: f, locals: map[string][]*local{}, assigned: map[string]bool{}, subs: map[string][]string{}, fn: &function{}}
	for name := range f.Commands {
		if command, sub, ok := strings.Cut(name, "|"); ok {
			w.subs[command] = append(w.subs[command], sub)
		}
	}
	return w
}

func (w *walker) program(chunk []ast.Stmt) {
	w.scope(func() { w.statements(chunk) })
}

// report notes a problem.
func (w *walker) report(at place, rule, format string, args ...any) {
	if len(w.found) < maxFound {
		w.found = append(w.found, finding{Problem: Problem{Line: at.line, Column: at.column, Rule: rule, Message: fmt.Sprintf(format, args...)}})
	}
}

// take returns the place of the next word, which the tree says is this one, in this line.
func (w *walker) take(text string, line int) place {
	if w.next < len(w.words) && w.words[w.next].text == text {
		w.next++
		return w.words[w.next-1].at
	}
	w.next = len(w.words) // out of step: better no columns than wrong ones
	return place{line: line}
}

// here is the place of the word that comes next, if it is in the line.
func (w *walker) here(line int) place {
	if w.next < len(w.words) && w.words[w.next].at.line == line {
		return w.words[w.next].at
	}
	return place{line: line}
}

// tooDeep says that the walk is over.
func (w *walker) tooDeep(line int) bool {
	if w.deep == 0 && w.depth > maxDepth {
		w.deep = max(line, 1)
	}
	return w.deep > 0
}
