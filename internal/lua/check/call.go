package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// argument is one of a call.
type argument struct {
	expr  ast.Expr
	at    place
	value value
}

func (w *walker) call(e *ast.FuncCallExpr) value {
	at := w.here(e.Line())
	if e.Method != "" {
		object := w.expr(e.Receiver)
		w.take(e.Method, e.Line())
		w.arguments(e, at)
		if isAPI(object.path + "." + e.Method) {
			w.report(at, "bad-argument", "%s:%s passes %s itself as an argument: write %s.%s", object.path, e.Method, object.path, object.path, e.Method)
		}
		if object.origin != unknown {
			return value{origin: computed} // texts have methods
		}
		return value{}
	}
	f := w.expr(e.Func)
	args := w.arguments(e, at)
	open := len(args) > 0 && manyValued(args[len(args)-1].expr)
	first := value{}
	if len(args) > 0 {
		first = args[0].value
	}
	lib, _, _ := strings.Cut(f.path, ".")
	switch {
	case isAPI(f.path):
		w.command(f.path, at, args, open)
		return value{origin: computed}
	case (f.path == "pcall" || f.path == "xpcall") && isAPI(first.path):
		if f.path == "pcall" {
			w.command(first.path, args[0].at, args[1:], open)
		}
		return value{origin: computed}
	case f.path == "error", f.path == "coroutine.yield":
		if f.path == "error" && raisesWithoutErr(e.Args) {
			w.report(at, "error-table", "a table without err, raised and not caught, takes Redis 7.0 down: raise a text, or {err = 'CODE text'}")
		}
		w.leave()
	case f.path == "ipairs", f.path == "pairs", f.path == "unpack":
		switch first.path {
		case "KEYS":
			return value{origin: named}
		case "ARGV":
			return value{origin: computed}
		}
		return value{origin: first.origin}
	case f.path == "tostring":
		return value{origin: first.origin}
	case f.path == "tonumber", f.path == "table.concat", slices.Contains([]string{"string", "math", "cjson", "cmsgpack", "struct", "bit"}, lib):
		return value{origin: computed}
	}
	return value{}
}

// raisesWithoutErr says whether the arguments of error are a table without the field in which Redis looks for the text.
func raisesWithoutErr(args []ast.Expr) bool {
	if len(args) == 0 {
		return false
	}
	table, ok := args[0].(*ast.TableExpr)
	return ok && !slices.ContainsFunc(table.Fields, func(f *ast.Field) bool {
		name, ok := f.Key.(*ast.StringExpr)
		return f.Key != nil && (!ok || name.Value == "err")
	})
}

// arguments reads those of a call.
func (w *walker) arguments(e *ast.FuncCallExpr, call place) []argument {
	args := make([]argument, len(e.Args))
	for i, a := range e.Args {
		before := w.next
		args[i] = argument{expr: a, at: call, value: w.expr(a)}
		if before < w.next && w.next <= len(w.words) {
			args[i].at = w.words[before].at
		}
	}
	return args
}

// isAPI says whether a path is a function that calls commands.
func isAPI(path string) bool {
	switch path {
	case "redis.call", "redis.pcall", "server.call", "server.pcall":
		return true
	}
	return false
}

// command checks the call of a command. open says that the last of the arguments may be many, or none.
func (w *walker) command(via string, at place, args []argument, open bool) {
	if len(args) == 0 {
		w.report(at, "missing-arguments", "%s needs the name of a command", via)
		return
	}
	for _, a := range args {
		switch a.expr.(type) {
		case *ast.NilExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.TableExpr, *ast.FunctionExpr, *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
			w.report(a.at, "bad-argument", "the arguments of %s are texts and numbers: Redis refuses all else", via)
			return
		}
	}
	literal, ok := args[0].expr.(*ast.StringExpr)
	if !ok || w.facts.Commands == nil {
		return
	}
	name, words := strings.ToLower(literal.Value), 1
	command, ok := w.facts.Commands[name]
	if !ok || strings.Contains(name, "|") {
		w.report(args[0].at, "unknown-command", "the server has no command %.60q%s", literal.Value, w.commandHint(name))
		return
	}
	shown := strings.ToUpper(name)
	if subs := w.subs[name]; len(subs) > 0 && len(args) > 1 {
		literal, ok := args[1].expr.(*ast.StringExpr)
		if !ok {
			return
		}
		sub := strings.ToLower(literal.Value)
		if command, ok = w.facts.Commands[name+"|"+sub]; !ok {
			meant := w.guess(sub, slices.Values(subs))
			w.report(args[1].at, "unknown-command", "%s has no subcommand %.60q%s", shown, literal.Value, didYouMean(strings.ToUpper(meant)))
			return
		}
		words, shown = 2, shown+" "+strings.ToUpper(sub)
	}
	if command.NoScript {
		w.report(args[0].at, "noscript-command", "Redis refuses to run %s for a program", shown)
		return
	}
	w.checkArity(shown, words, command.Arity, args, open)
	w.checkKeys(command, args, open)
}

func (w *walker) commandHint(name string) string {
	if first, rest, ok := strings.Cut(name, " "); ok {
		if _, known := w.facts.Commands[first]; known {
			return "; each word is an argument of its own: " + strings.ToUpper(first) + ", " + strings.ToUpper(strings.Join(strings.Fields(rest), ", "))
		}
	}
	meant := w.guess(name, func(yield func(string) bool) {
		for c := range maps.Keys(w.facts.Commands) {
			if !strings.Contains(c, "|") && !yield(c) {
				return
			}
		}
	})
	return didYouMean(strings.ToUpper(meant))
}

// checkArity compares the number of arguments with that which a command takes; words is how many of them its name has.
func (w *walker) checkArity(shown string, words, arity int, args []argument, open bool) {
	n, takes := len(args), max(arity, -arity)
	count := "exactly"
	if arity < 0 {
		count = "at least"
	}
	switch {
	case !open && n < takes:
		w.report(args[0].at, "missing-arguments", "%s takes %s %s, and gets %d", shown, count, plural(takes-words, "argument"), n-words)
	case arity > 0 && n > takes && (!open || n-1 > takes):
		w.report(args[takes].at, "extra-arguments", "%s takes %s %s, and gets %d", shown, count, plural(takes-words, "argument"), n-words)
	}
}

// checkKeys reports a key that is not one of KEYS. One is enough for a call.
func (w *walker) checkKeys(c Command, args []argument, open bool) {
	last := c.LastKey
	if last < 0 {
		last += len(args)
	}
	if c.FirstKey <= 0 || c.Step <= 0 {
		return
	}
	if open {
		last = min(last, len(args)-2)
	}
	for i := c.FirstKey; i <= min(last, len(args)-1); i += c.Step {
		if args[i].value.origin != computed {
			continue
		}
		if w.facts.Cluster {
			w.report(args[i].at, "dynamic-key", "this key is not one of KEYS: the cluster refuses it, unless it is in the slot of the keys that the call names")
		} else {
			w.report(args[i].at, "dynamic-key", "this key is not one of KEYS: nobody sees from the call that it is used, and a cluster would refuse it")
		}
		return
	}
}
