package check

import (
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// isMember says whether a path is one into a library.
func (w *walker) isMember(path string) bool {
	lib, _, ok := strings.Cut(path, ".")
	return ok && w.facts.Libs[lib] != nil
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
