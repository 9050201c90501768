package check

import (
	"slices"
)

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
