package check

import "github.com/yuin/gopher-lua/ast"

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

func either(a, b origin) origin {
	if a == b {
		return a
	}
	return unknown
}
