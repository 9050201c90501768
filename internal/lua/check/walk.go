package check

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
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

// function is what is being read: the program itself, or a function in it.
type function struct {
	loops []*loop // around the statement, the innermost last
}

type loop struct{ left bool } // it can be left

// origin says where a value comes from, as far as keys are concerned.
type origin int

const (
	unknown  origin = iota
	named           // it is one of KEYS, or all of them
	computed        // it is none of them, but perhaps by chance
)

// value is what there is to know about the value of an expression.
type value struct {
	origin origin
	path   string // of a global, or of a member of one: "redis", "redis.call"
}

type kind int

const (
	variable kind = iota
	parameter
	loopVariable
)

// local is a local variable, a parameter, or the variable of a loop.
type local struct {
	name  string
	at    place
	kind  kind
	block int
	fn    *function
	reads int
	set   bool // after it was declared
	empty bool // it was declared without a value, and has had none since
	value value
	after []*local // those that the same statement declares after it
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

// scope runs what is in a block, and then looks back at its locals.
func (w *walker) scope(inside func()) {
	outer, first := w.block, len(w.open)
	w.blocks++
	w.block = w.blocks
	inside()
	closed := w.open[first:]
	for _, l := range closed {
		l.check(w)
	}
	for _, l := range slices.Backward(closed) {
		stack := w.locals[l.name]
		if len(stack) == 1 {
			delete(w.locals, l.name)
		} else {
			w.locals[l.name] = stack[:len(stack)-1]
		}
	}
	w.open, w.block = w.open[:first], outer
}

// check reports a local that nobody reads, but where it only holds the place for one that is read.
func (l *local) check(w *walker) {
	if l.kind != variable || l.reads > 0 || l.name[0] == '_' || slices.ContainsFunc(l.after, func(o *local) bool { return o.reads > 0 }) {
		return
	}
	if l.set {
		w.report(l.at, "unused-local", "%.60s is set, but nobody reads it", l.name)
	} else {
		w.report(l.at, "unused-local", "nobody reads %.60s", l.name)
	}
}

func (w *walker) lookup(name string) *local {
	if stack := w.locals[name]; len(stack) > 0 {
		return stack[len(stack)-1]
	}
	return nil
}

func (w *walker) declare(name string, at place, k kind, v value) *local {
	l := &local{name: name, at: at, kind: k, block: w.block, fn: w.fn, value: v}
	w.locals[name] = append(w.locals[name], l)
	w.open = append(w.open, l)
	return l
}

// hides reports that a declaration hides another one, without having read it.
func (w *walker) hides(before *local, reads int, name string, at place, k kind) {
	switch {
	case before == nil || name[0] == '_':
	case before.block == w.block && before.reads == reads:
		w.report(at, "shadowed-local", "%.60s hides the one of line %d", name, before.at.line)
	case k == loopVariable && before.kind == loopVariable && before.fn == w.fn:
		w.report(at, "shadowed-local", "%.60s hides that of the loop in line %d", name, before.at.line)
	}
}

func (w *walker) statements(list []ast.Stmt) {
	for _, s := range list {
		w.depth++
		if w.tooDeep(s.Line()) {
			return
		}
		w.statement(s)
		w.depth--
	}
}

func (w *walker) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		w.assign(s)
	case *ast.LocalAssignStmt:
		w.localAssign(s)
	case *ast.FuncCallStmt:
		w.expr(s.Expr)
	case *ast.DoBlockStmt:
		w.scope(func() { w.statements(s.Stmts) })
	case *ast.WhileStmt:
		at := w.take("while", s.Line())
		w.expr(s.Condition)
		w.loop(at, isTrue(s.Condition), func() { w.scope(func() { w.statements(s.Stmts) }) })
	case *ast.RepeatStmt:
		at := w.take("repeat", s.Line())
		w.loop(at, isFalse(s.Condition), func() {
			w.scope(func() {
				w.statements(s.Stmts)
				w.expr(s.Condition)
			})
		})
	case *ast.IfStmt:
		w.ifThen(s)
	case *ast.NumberForStmt:
		at := w.take(s.Name, s.Line())
		before := w.lookup(s.Name)
		for _, e := range []ast.Expr{s.Init, s.Limit, s.Step} {
			if e != nil {
				w.expr(e)
			}
		}
		w.hides(before, -1, s.Name, at, loopVariable)
		w.loop(at, false, func() {
			w.scope(func() {
				w.declare(s.Name, at, loopVariable, value{origin: computed})
				w.statements(s.Stmts)
			})
		})
	case *ast.GenericForStmt:
		w.forIn(s)
	case *ast.FuncDefStmt:
		w.defineFunction(s)
	case *ast.ReturnStmt:
		w.exprs(s.Exprs)
		w.leave()
	case *ast.BreakStmt:
		if n := len(w.fn.loops); n > 0 {
			w.fn.loops[n-1].left = true
		} else {
			w.report(place{line: s.Line()}, "parse", "break is not in a loop")
		}
	case *ast.LabelStmt:
		w.report(w.take(s.Name, s.Line()), "goto", "Lua 5.1, which Redis has, does not know labels")
	case *ast.GotoStmt:
		at := w.take("goto", s.Line())
		w.take(s.Label, s.Line())
		w.leave()
		w.report(at, "goto", "Lua 5.1, which Redis has, does not know goto")
	}
}

// leave notes that all loops around are left.
func (w *walker) leave() {
	for _, l := range w.fn.loops {
		l.left = true
	}
}

// loop reads a loop. forever says that its condition doesn't end it.
func (w *walker) loop(at place, forever bool, body func()) {
	l := &loop{}
	w.fn.loops = append(w.fn.loops, l)
	body()
	w.fn.loops = w.fn.loops[:len(w.fn.loops)-1]
	if forever && !l.left {
		w.report(at, "endless-loop", "this loop never ends: it has no break and no return, and the server can do nothing else while it runs")
	}
}

func isTrue(e ast.Expr) bool {
	switch e.(type) {
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr:
		return true
	}
	return false
}

func isFalse(e ast.Expr) bool {
	switch e.(type) {
	case *ast.FalseExpr, *ast.NilExpr:
		return true
	}
	return false
}

func (w *walker) ifThen(s *ast.IfStmt) {
	for {
		w.expr(s.Condition)
		w.scope(func() { w.statements(s.Then) })
		if len(s.Else) == 1 {
			if next, ok := s.Else[0].(*ast.IfStmt); ok { // elseif
				s = next
				continue
			}
		}
		w.scope(func() { w.statements(s.Else) })
		return
	}
}

func (w *walker) forIn(s *ast.GenericForStmt) {
	places := make([]place, len(s.Names))
	before := make([]*local, len(s.Names))
	for i, name := range s.Names {
		places[i], before[i] = w.take(name, s.Line()), w.lookup(name)
	}
	values := w.exprs(s.Exprs)
	for i, name := range s.Names {
		w.hides(before[i], -1, name, places[i], loopVariable)
	}
	w.loop(place{line: s.Line()}, false, func() {
		w.scope(func() {
			for i, name := range s.Names {
				v := value{}
				if i == 1 && len(values) > 0 {
					v.origin = values[0].origin
				}
				w.declare(name, places[i], loopVariable, v)
			}
			w.statements(s.Stmts)
		})
	})
}

func (w *walker) localAssign(s *ast.LocalAssignStmt) {
	places := make([]place, len(s.Names))
	before := make([]*local, len(s.Names))
	reads := make([]int, len(s.Names))
	for i, name := range s.Names {
		places[i], before[i] = w.take(name, s.Line()), w.lookup(name)
		if before[i] != nil {
			reads[i] = before[i].reads
		}
	}
	// The tree doesn't tell "local function f" from "local f = function", where f is not visible within. But only the former says
	// where the statement ends.
	if s.LastLine() > 0 && len(s.Names) == 1 && len(s.Exprs) == 1 {
		w.hides(before[0], reads[0], s.Names[0], places[0], variable)
		w.declare(s.Names[0], places[0], variable, value{})
		w.exprs(s.Exprs)
		return
	}
	values := w.exprs(s.Exprs)
	declared := make([]*local, len(s.Names))
	for i, name := range s.Names {
		w.hides(before[i], reads[i], name, places[i], variable)
		declared[i] = w.declare(name, places[i], variable, valueAt(values, s.Exprs, i))
		declared[i].empty = len(s.Exprs) == 0
	}
	for i := range declared {
		declared[i].after = declared[i+1:]
	}
}

// valueAt returns the i-th value of a list of expressions, of which the last may have many.
func valueAt(values []value, exprs []ast.Expr, i int) value {
	switch {
	case i < len(values):
		return values[i]
	case len(values) > 0 && manyValued(exprs[len(exprs)-1]):
		return value{origin: values[len(values)-1].origin}
	}
	return value{}
}

// manyValued says whether an expression stands for any number of values, where it is the last.
func manyValued(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

func (w *walker) assign(s *ast.AssignStmt) {
	targets := make([]*local, len(s.Lhs))
	for i, e := range s.Lhs {
		targets[i] = w.target(e)
	}
	values := w.exprs(s.Rhs)
	for i, l := range targets {
		if l != nil {
			l.assign(valueAt(values, s.Rhs, i))
		}
	}
}

// assign notes that a local may have this value, too.
func (l *local) assign(v value) {
	l.set = true
	switch {
	case l.empty:
		l.value, l.empty = v, false
	case l.value != v:
		l.value = value{origin: either(l.value.origin, v.origin)}
	}
}

func either(a, b origin) origin {
	if a == b {
		return a
	}
	return unknown
}

// target reads what is assigned to, and returns the local if it is one.
func (w *walker) target(e ast.Expr) *local {
	switch e := e.(type) {
	case *ast.IdentExpr:
		at := w.take(e.Value, e.Line())
		l := w.lookup(e.Value)
		if l == nil {
			w.assigned[e.Value] = true
			w.report(at, "assigned-global", "Redis refuses to set globals: declare it, local %.60s", e.Value)
		}
		return l
	case *ast.AttrGetExpr:
		at := w.here(e.Line())
		if v := w.index(e, true); w.isMember(v.path) {
			w.report(at, "assigned-global", "Redis refuses to set members of its libraries: keep %.60s in a local", v.path)
		}
	default:
		w.expr(e)
	}
	return nil
}

// isMember says whether a path is one into a library.
func (w *walker) isMember(path string) bool {
	lib, _, ok := strings.Cut(path, ".")
	return ok && w.facts.Libs[lib] != nil
}

func (w *walker) defineFunction(s *ast.FuncDefStmt) {
	if s.Name.Func != nil {
		if l := w.target(s.Name.Func); l != nil {
			l.assign(value{})
		}
		w.function(s.Func, "")
		return
	}
	w.expr(s.Name.Receiver)
	w.take(s.Name.Method, s.Line())
	w.function(s.Func, "self")
}

// function reads a function. implicit is a parameter that the text doesn't name.
func (w *walker) function(f *ast.FunctionExpr, implicit string) {
	outer := w.fn
	w.fn = &function{}
	w.scope(func() {
		if implicit != "" {
			w.declare(implicit, place{line: f.Line()}, parameter, value{})
		}
		for _, name := range f.ParList.Names {
			w.declare(name, w.take(name, f.Line()), parameter, value{})
		}
		w.statements(f.Stmts)
	})
	w.fn = outer
}

func (w *walker) exprs(list []ast.Expr) []value {
	values := make([]value, len(list))
	for i, e := range list {
		values[i] = w.expr(e)
	}
	return values
}

func (w *walker) expr(e ast.Expr) value {
	w.depth++
	defer func() { w.depth-- }()
	if w.tooDeep(e.Line()) {
		return value{}
	}
	switch e := e.(type) {
	case *ast.NumberExpr:
		w.take(e.Value, e.Line())
		return value{origin: computed}
	case *ast.StringExpr:
		w.take(e.Value, e.Line())
		return value{origin: computed}
	case *ast.NilExpr:
		w.take("nil", e.Line())
	case *ast.TrueExpr:
		w.take("true", e.Line())
	case *ast.FalseExpr:
		w.take("false", e.Line())
	case *ast.IdentExpr:
		return w.ident(e)
	case *ast.AttrGetExpr:
		return w.index(e, false)
	case *ast.FuncCallExpr:
		return w.call(e)
	case *ast.FunctionExpr:
		w.function(e, "")
	case *ast.TableExpr:
		for _, f := range e.Fields {
			if f.Key != nil {
				w.expr(f.Key)
			}
			w.expr(f.Value)
		}
	case *ast.LogicalOpExpr:
		l, r := w.expr(e.Lhs), w.expr(e.Rhs)
		if e.Operator == "and" {
			return value{origin: r.origin}
		}
		return value{origin: either(l.origin, r.origin)}
	case *ast.RelationalOpExpr:
		w.expr(e.Lhs)
		w.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		w.expr(e.Lhs)
		w.expr(e.Rhs)
		return value{origin: computed}
	case *ast.ArithmeticOpExpr:
		w.expr(e.Lhs)
		w.expr(e.Rhs)
		return value{origin: computed}
	case *ast.UnaryMinusOpExpr:
		w.expr(e.Expr)
		return value{origin: computed}
	case *ast.UnaryNotOpExpr:
		w.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		if id, ok := e.Expr.(*ast.IdentExpr); ok && w.isGlobal(id, "KEYS", "ARGV") {
			w.take(id.Value, id.Line()) // how many there are may be asked for any number of them
			return value{origin: computed}
		}
		w.expr(e.Expr)
		return value{origin: computed}
	}
	return value{}
}

// isGlobal says whether an expression is one of these globals.
func (w *walker) isGlobal(e ast.Expr, names ...string) bool {
	id, ok := e.(*ast.IdentExpr)
	return ok && slices.Contains(names, id.Value) && w.lookup(id.Value) == nil
}

// loaders are the globals through which a text gets at the real redis, where a dry run has put its own in the way.
var loaders = []string{"getfenv", "setfenv", "load", "loadstring"}

func (w *walker) ident(e *ast.IdentExpr) value {
	at := w.take(e.Value, e.Line())
	if l := w.lookup(e.Value); l != nil {
		l.reads++
		return l.value
	}
	switch {
	case e.Value == "KEYS":
		w.keys = -1
	case e.Value == "ARGV":
		w.values = -1
	case e.Value == "_G":
		w.report(at, "hidden-redis", "a dry run does not see the commands that are called through _G")
	case w.facts.Globals != nil && !w.facts.Globals[e.Value]:
		w.undefined(e.Value, at)
	case slices.Contains(loaders, e.Value):
		w.report(at, "hidden-redis", "a dry run does not see the commands that are called from what %s makes", e.Value)
	}
	return value{path: e.Value}
}

// instead says what to use for names that other Luas have.
var instead = map[string]string{
	"print": "; redis.log writes to the log of the server", "require": "; a program can't load others",
	"null": "; did you mean nil?", "NULL": "; did you mean nil?",
}

func (w *walker) undefined(name string, at place) {
	if len(w.found) >= maxFound {
		return
	}
	hint := instead[name]
	if hint == "" {
		hint = didYouMean(w.guess(name, func(yield func(string) bool) {
			for candidate := range w.facts.Globals {
				if !strings.HasPrefix(candidate, "__") && !yield(candidate) {
					return
				}
			}
			for candidate := range w.locals {
				if !yield(candidate) {
					return
				}
			}
		}))
	}
	w.report(at, "undefined-global", "there is no %.60s%s", name, hint)
	w.found[len(w.found)-1].global = name
}

// guess is nearest as long as it doesn't take too long.
func (w *walker) guess(name string, candidates iter.Seq[string]) string {
	if w.guesses > maxGuesses {
		return ""
	}
	return nearest(name, func(yield func(string) bool) {
		for c := range candidates {
			w.guesses++
			if !yield(c) {
				return
			}
		}
	})
}

// index reads a[b] and a.b; assigned says that it is to be set.
func (w *walker) index(e *ast.AttrGetExpr, assigned bool) value {
	name, constant := e.Key.(*ast.StringExpr)
	switch {
	case w.isGlobal(e.Object, "KEYS", "ARGV"):
		return w.argument(e)
	case constant && w.isGlobal(e.Object, "_G") && name.Value != "redis" && name.Value != "server":
		w.take("_G", e.Line())
		return value{path: name.Value, origin: w.expr(e.Key).origin}
	}
	object := w.expr(e.Object)
	at := w.here(e.Key.Line())
	w.expr(e.Key)
	switch {
	case object.path == "KEYS":
		return value{origin: named}
	case object.path == "ARGV":
		return value{origin: computed}
	case object.path == "":
		if object.origin == computed {
			return value{origin: computed}
		}
		return value{}
	case !constant || strings.Contains(object.path, "."):
		return value{}
	}
	path := object.path + "." + name.Value
	if members := w.facts.Libs[object.path]; members != nil && !members[name.Value] && !assigned {
		meant := w.guess(name.Value, func(yield func(string) bool) {
			for m := range members {
				if !yield(m) {
					return
				}
			}
		})
		if meant != "" {
			meant = object.path + "." + meant
		} else if w.facts.Globals[name.Value] {
			meant = name.Value
		}
		w.report(at, "unknown-member", "there is no %.60s%s", path, didYouMean(meant))
	}
	return value{path: path}
}

// argument reads an index into KEYS or ARGV.
func (w *walker) argument(e *ast.AttrGetExpr) value {
	object := e.Object.(*ast.IdentExpr)
	at := w.take(object.Value, object.Line())
	w.expr(e.Key)
	highest, v := &w.values, value{origin: computed}
	if object.Value == "KEYS" {
		highest, v = &w.keys, value{origin: named}
	}
	number, ok := e.Key.(*ast.NumberExpr)
	if !ok {
		*highest = -1
		return v
	}
	n := wholeNumber(number.Value)
	switch {
	case n < 1:
		w.report(at, "missing-keys", "%s[%.20s] is always nil: the first is %s[1]", object.Value, number.Value, object.Value)
	case *highest >= 0:
		*highest = max(*highest, n)
	}
	return v
}

// wholeNumber reads a number of Lua, 0 if it is not whole or too great.
func wholeNumber(s string) int {
	if n, err := strconv.ParseInt(s, 0, 32); err == nil {
		return int(n)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || f > math.MaxInt32 {
		return 0
	}
	return int(f)
}
