package check

import (
	"github.com/yuin/gopher-lua/ast"
)

// function is what is being read: the program itself, or a function in it.
type function struct {
	loops []*loop // around the statement, the innermost last
}

type loop struct{ left bool } // it can be left

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
