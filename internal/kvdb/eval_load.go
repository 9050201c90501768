package kvdb

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// This file has servers remember scripts. A script whose reply was NOSCRIPT is run again only where it is proven that it didn't
// run: the script itself may reply so.

const (
	maxGates = 10_000
	maxHas   = 1000 // scripts that a connection remembers

	timesTold = 3 // a server is told a script for one run, if somebody has it forget again
	neverMind = -1
)

// scriptGate lets the runs of a script on a node pass, and keeps them off while the node is told the script again. So it is
// known of each run whether it was over before that.
type scriptGate struct {
	sync.RWMutex
	told   int         // how often the server was told
	doubts bool        // the script may reply what a server says that has no such script, so it is sent as a text
	quick  atomic.Bool // it was, when it last ran
}

type scriptGates struct {
	mu sync.Mutex
	of map[scriptOn]*scriptGate
}

type scriptOn struct{ to, sha string }

func (g *scriptGates) get(to, sha string) *scriptGate {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate := g.of[scriptOn{to, sha}]
	if gate == nil {
		if g.of == nil || len(g.of) >= maxGates {
			g.of = map[scriptOn]*scriptGate{}
		}
		gate = &scriptGate{}
		g.of[scriptOn{to, sha}] = gate
	}
	return gate
}

// evalOn runs the script on a node, which is told it where it has to be.
func (db *DB) evalOn(ctx context.Context, e *Eval, to string, asking bool) (Result, error) {
	if e.AdHoc {
		return db.evalOnce(ctx, e, to, asking, true)
	}
	gate := db.gates.get(to, e.SHA1)
	r, told, err := db.evalGated(ctx, e, to, asking, gate)
	unsent := errors.Is(err, errNoScript)
	if !unsent && (err != nil || told == neverMind || !saysNoScript(r)) {
		return r, err
	}
	for range timesTold {
		if err := db.tell(ctx, e, to, gate, told, unsent); err != nil {
			return Result{}, err
		}
		if r, told, err = db.evalTold(ctx, e, to, asking, gate); !errors.Is(err, errNoScript) {
			break
		}
		unsent = true
	}
	return r, err
}

// evalGated runs the script while the server is not told any. told is how often it had been before; neverMind = it was sent as a text.
func (db *DB) evalGated(ctx context.Context, e *Eval, to string, asking bool, gate *scriptGate) (r Result, told int, err error) {
	gate.RLock()
	defer gate.RUnlock()
	told = gate.told
	switch {
	case gate.doubts:
		told = neverMind
		r, err = db.evalOnce(ctx, e, to, asking, true)
	case gate.quick.Load() && !asking && e.Limit == evalTime:
		r, err = db.evalTogether(ctx, e, to)
	default:
		r, err = db.evalOnce(ctx, e, to, asking, false)
	}
	gate.quick.Store(err == nil && r.Took < quickEval && !r.Truncated)
	return r, told, err
}

// evalTold is evalGated where the server was told just now: if it has the script still, a NOSCRIPT is the script's own word.
func (db *DB) evalTold(ctx context.Context, e *Eval, to string, asking bool, gate *scriptGate) (r Result, told int, err error) {
	gate.RLock()
	defer gate.RUnlock()
	if r, err = db.evalOnce(ctx, e, to, asking, false); err == nil && saysNoScript(r) {
		if has, err := db.hasScript(ctx, to, e.SHA1); err != nil || !has {
			return Result{}, gate.told, forgotten(err)
		}
	}
	return r, gate.told, err
}

func saysNoScript(r Result) bool {
	return r.Reply.Kind == KindError && strings.HasPrefix(r.Reply.Text, "NOSCRIPT ")
}

// forgotten is the error where it can't be told whether the server had no such script, or the script replied so.
func forgotten(err error) error {
	text := "the reply is that of a server that has no such script, but it has"
	if err != nil {
		text = "the server, or the script itself, replied that there is no such script: " + err.Error()
	}
	return &UnknownError{Op: "run", Check: "whether it was done, before you run it again: " + text, Err: errors.New(text)}
}

// tell has a server remember a script. nil says that a run which began when it had been told so often, and which found no
// script, surely didn't run: it wasn't sent, or after its reply, and before it was told again, the server still had none.
func (db *DB) tell(ctx context.Context, e *Eval, to string, gate *scriptGate, told int, unsent bool) error {
	gate.Lock()
	defer gate.Unlock()
	if gate.told != told {
		return nil
	}
	has, err := db.hasScript(ctx, to, e.SHA1)
	if err != nil {
		return forgotten(err)
	}
	if has && unsent {
		return nil
	}
	if has {
		// Another process has told it in between, or the script has run and lies.
		gate.doubts = true
		return forgotten(nil)
	}
	if err := db.loadOn(ctx, to, e.Text); err != nil {
		return notRun(err)
	}
	gate.told++
	return nil
}

// notRun marks an error of the connection as one of before the run.
func notRun(err error) error {
	if errors.As(err, new(replyError)) || errors.As(err, new(*notSentError)) {
		return err
	}
	return &notSentError{err}
}

func (db *DB) hasScript(ctx context.Context, to, sha string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{restricted: true})
	if err != nil {
		return false, err
	}
	defer db.wires.put(w)
	return w.hasScript(ctx, sha)
}

func (w *wire) hasScript(ctx context.Context, sha string) (bool, error) {
	reply, err := w.ask(ctx, "SCRIPT", "EXISTS", sha)
	if err == nil && len(reply.Items) != 1 {
		err = errNotRedis
	}
	return err == nil && reply.Items[0].Text == "1", err
}

// errNoScript is within the error of a run that wasn't sent, as the server has no such script.
var errNoScript = errors.New("the server has no such script")

// mustHave asks once on each connection whether the server has a script: one that has begun anew has none, and to ask before leaves
// no doubt about a run, as its reply NOSCRIPT would where another process has told the server meanwhile.
func (w *wire) mustHave(ctx context.Context, sha string) error {
	if w.has[sha] {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	has, err := w.hasScript(ctx, sha)
	if err != nil {
		return notRun(err)
	}
	if !has || w.over { // over without an error: the time was up just then
		return &notSentError{errNoScript}
	}
	if w.has == nil || len(w.has) >= maxHas {
		w.has = map[string]bool{}
	}
	w.has[sha] = true
	return nil
}

func (db *DB) loadOn(ctx context.Context, to, text string) error {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{restricted: true})
	if err != nil {
		return err
	}
	defer db.wires.put(w)
	_, err = w.ask(ctx, "SCRIPT", "LOAD", text)
	return err
}

func shaOf(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// LoadScript has the server compile a script, as the program user where there is one, and remember it; nothing runs. On a cluster it
// is one node, always the same. The errors are ErrAway, and the server's own reply (a redis.Error) where the text doesn't compile.
func (db *DB) LoadScript(ctx context.Context, text string) (sha1 string, err error) {
	to, err := db.node(ctx, nil)
	if err == nil {
		err = db.loadOn(ctx, to, text)
	}
	if err != nil {
		return "", ReadErr("load script", err)
	}
	return shaOf(text), nil
}
