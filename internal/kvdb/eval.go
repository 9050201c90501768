package kvdb

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file runs the Lua scripts of people. What they reply is theirs, errors included: none is believed to be the
// server's before that is proven, as a script that ran may reply just what a server says that refuses to run it.

const (
	evalTime   = 10 * time.Second
	lateTime   = 3 * time.Second // to read a late reply that has begun
	maxLate    = 100
	maxGates   = 10_000
	whereToSee = "the runs and the state of the server on the Lua page: the script may still run"
)

// ErrLate is within the error of an Eval whose Late will be called.
var ErrLate = errors.New("the script may still run")

// Eval is one run of a Lua script.
type Eval struct {
	Text     string
	SHA1     string // of Text; "" = not known yet
	Keys     []string
	Args     []string
	ReadOnly bool // the server refuses all writes; it has to be Redis 7.0 or newer
	// AdHoc has the server compile the text, instead of remembering it.
	AdHoc bool
	Limit time.Duration // how long to wait for the reply; 0 = 10 s
	// Late, where there is one, is called once if Eval returned with ErrLate because of the Limit or the end of its context: when the script has
	// ended, with its reply, or with an ErrUnknown when the connection has, Close of the DB included.
	Late func(Result, error)
}

// Eval runs a script at most once, as the program user where there is one, on the node that has its first key. An error that
// the script replies or raises is a Reply; what it had written before stays. A server that has forgotten the script is told
// it again.
//
// The errors are ErrAway (it didn't run), ErrUnknown (it may have run, or still run), ErrInvalid (field "read_only": the
// server can't), and that of LoadScript for a text that doesn't compile. One that changes nothing is never ErrUnknown.
func (db *DB) Eval(ctx context.Context, e Eval) (Result, error) {
	if e.SHA1 == "" && !e.AdHoc {
		e.SHA1 = shaOf(e.Text)
	}
	if e.Limit <= 0 {
		e.Limit = evalTime
	}
	r, err := db.eval(ctx, &e)
	if err == nil {
		return r, nil
	}
	if errors.Is(err, errNotRedis) {
		err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF) // an answer that nobody understands is none
	}
	if err = WriteErr("run", err); !errors.Is(err, ErrUnknown) {
		return r, err
	}
	if e.ReadOnly {
		return r, &awayError{op: "run", err: err, sentence: "The script did not end in time, or the connection to Redis broke. It may still run and keep Redis busy, but changes nothing."}
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) && unknown.Check == "" {
		unknown.Check = whereToSee
	}
	return r, err
}

func (db *DB) eval(ctx context.Context, e *Eval) (Result, error) {
	to, err := db.node(ctx, e.Keys)
	if err != nil {
		return Result{}, err
	}
	r, err := db.evalOn(ctx, e, to, false)
	if err != nil || r.Reply.Kind != KindError {
		return r, err
	}
	code, rest, _ := strings.Cut(r.Reply.Text, " ")
	switch code {
	case "MOVED", "ASK":
		client, ok := db.client.(*redis.ClusterClient)
		if !ok || len(e.Keys) == 0 {
			return r, nil
		}
		next, asking := db.elsewhere(ctx, to, e.Keys)
		if next == "" {
			return r, nil // the script's own words
		}
		client.ReloadState(context.WithoutCancel(ctx))
		return db.evalOn(ctx, e, next, asking)
	case "BUSY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		refused := db.refusal(ctx, to, e.Keys)
		switch {
		case redis.HasErrorPrefix(refused, code):
			return Result{}, refused
		case saysRefused(r.Reply):
			return Result{}, &UnknownError{Op: "run", Check: whereToSee, Err: replyError(r.Reply.Text)}
		}
	case "ERR":
		if e.ReadOnly && strings.HasPrefix(rest, "unknown command") && strings.Contains(rest, "_RO") {
			return Result{}, Invalid("read_only", "this server can't: that takes Redis 7.0 or newer")
		}
	}
	return r, nil
}

// saysRefused says whether a reply is what a server says that runs no script now; a script may say the same.
func saysRefused(r Reply) bool {
	return r.Kind == KindError && (strings.HasPrefix(r.Text, "BUSY ") && strings.Contains(r.Text, " is busy running a script") ||
		strings.HasPrefix(r.Text, "LOADING ") && strings.Contains(r.Text, " is loading the dataset"))
}

// refusal is how a server replies to a plain read of the keys (without any, to PING) that it refuses; nil = it does not.
func (db *DB) refusal(ctx context.Context, to string, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return nil
	}
	defer db.wires.put(w)
	args := []string{"PING"}
	if len(keys) > 0 {
		args = append([]string{"EXISTS"}, keys...)
	}
	var refused replyError
	if _, err := w.ask(ctx, args...); errors.As(err, &refused) {
		return refused
	}
	return nil
}

// elsewhere asks a node of a cluster whether another one has the keys; "" = no. Only members of the cluster count.
func (db *DB) elsewhere(ctx context.Context, to string, keys []string) (next string, asking bool) {
	refused := db.refusal(ctx, to, keys)
	if !redis.HasErrorPrefix(refused, "MOVED") && !redis.HasErrorPrefix(refused, "ASK") {
		return "", false
	}
	words := strings.Split(refused.Error(), " ")
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil || len(words) != 3 {
		return "", false
	}
	defer db.wires.put(w)
	if !db.isMember(ctx, w, words[2]) {
		return "", false
	}
	return dialable(words[2]), words[0] == "ASK"
}

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
	gate.RLock()
	told, asText := gate.told, gate.doubts
	var r Result
	var err error
	if gate.quick.Load() && !asText && !asking && e.Limit == evalTime {
		r, err = db.evalTogether(ctx, e, to)
	} else {
		r, err = db.evalOnce(ctx, e, to, asking, asText)
	}
	gate.quick.Store(err == nil && r.Took < quickEval && !r.Truncated)
	gate.RUnlock()
	if err != nil || asText || !saysNoScript(r) {
		return r, err
	}
	if err := db.tell(ctx, e, to, gate, told); err != nil {
		return Result{}, err
	}
	gate.RLock()
	defer gate.RUnlock()
	r, err = db.evalOnce(ctx, e, to, asking, false)
	if err == nil && saysNoScript(r) {
		has, err := db.hasScript(ctx, to, e.SHA1)
		if err != nil || !has {
			return Result{}, forgotten(err)
		}
	}
	return r, err
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
// script, surely didn't run: after its reply, and before it was told again, the server still had none.
func (db *DB) tell(ctx context.Context, e *Eval, to string, gate *scriptGate, told int) error {
	gate.Lock()
	defer gate.Unlock()
	if gate.told != told {
		return nil
	}
	has, err := db.hasScript(ctx, to, e.SHA1)
	if err != nil {
		return forgotten(err)
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
	reply, err := w.ask(ctx, "SCRIPT", "EXISTS", sha)
	if err == nil && len(reply.Items) != 1 {
		err = errNotRedis
	}
	return err == nil && reply.Items[0].Text == "1", err
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

// evalOnce sends the script, or its name, and waits for the reply.
func (db *DB) evalOnce(ctx context.Context, e *Eval, to string, asking, asText bool) (Result, error) {
	w, err := db.wire(ctx, to, wireOptions{restricted: true, unseen: true})
	if err != nil {
		return Result{}, err
	}
	if asking {
		if _, err := w.ask(ctx, "ASKING"); err != nil {
			db.wires.put(w)
			return Result{}, notRun(err)
		}
	}
	w.out = e.request(w.out[:0], asText)
	start := time.Now()
	deadline := start.Add(e.Limit)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop, err := w.send(ctx, deadline)
	if err != nil {
		db.wires.put(w)
		return Result{}, err
	}
	if _, err := w.r.Peek(1); err != nil {
		stop()
		if isTimeout(err) && e.Late != nil {
			db.late.await(w, start, e.Late)
			return Result{}, fmt.Errorf("%w: %w", ErrLate, err)
		}
		_ = w.Close()
		return Result{}, err
	}
	reply, cut, err := w.receive(stop, MaxReplyItems, MaxReplyBytes)
	took := time.Since(start)
	db.wires.put(w)
	return Result{Reply: reply, Truncated: cut, Took: took}, err
}

// request appends the command that runs the script.
func (e *Eval) request(b []byte, asText bool) []byte {
	args := make([]string, 0, 8)
	switch {
	case asText && e.ReadOnly:
		args = append(args, "EVAL_RO", e.Text)
	case asText:
		args = append(args, "EVAL", e.Text)
	case e.ReadOnly:
		args = append(args, "EVALSHA_RO", e.SHA1)
	default:
		args = append(args, "EVALSHA", e.SHA1)
	}
	args = append(args, strconv.Itoa(len(e.Keys)))
	args = append(append(args, e.Keys...), e.Args...)
	return appendRequest(b, args)
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// lateReplies are the connections on which nobody waits any more for the reply of a script that runs on.
type lateReplies struct {
	mu     sync.Mutex
	wires  map[*wire]bool
	closed bool
	wg     sync.WaitGroup
}

// await calls the lates, one for each reply that is still to come, when it has come.
func (l *lateReplies) await(w *wire, start time.Time, lates ...func(Result, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.wires) >= maxLate {
		_ = w.Close()
		l.wg.Go(func() { lost(lates, net.ErrClosed) })
		return
	}
	if l.wires == nil {
		l.wires = map[*wire]bool{}
	}
	l.wires[w] = true
	l.wg.Go(func() {
		for i, late := range lates {
			r, err := w.lateReply(start)
			if err != nil {
				lost(lates[i:], err)
				break
			}
			late(lateResult(r))
		}
		l.mu.Lock()
		delete(l.wires, w)
		l.mu.Unlock()
		_ = w.Close()
	})
}

// lateResult is what a late reply says. Whether the server refused the script, or the script says so itself, nobody is there to
// find out any more.
func lateResult(r Result) (Result, error) {
	if saysRefused(r.Reply) {
		return Result{}, &UnknownError{Op: "run", Check: whereToSee, Err: replyError(r.Reply.Text)}
	}
	return r, nil
}

// lost tells that the connection ended before the replies came.
func lost(lates []func(Result, error), err error) {
	for _, late := range lates {
		late(Result{}, &UnknownError{Op: "run", Check: whereToSee, Err: err})
	}
}

func (w *wire) lateReply(start time.Time) (Result, error) {
	for {
		if err := w.SetDeadline(time.Time{}); err != nil {
			return Result{}, err
		}
		// The end of the context may set its deadline only now.
		if _, err := w.r.Peek(1); err == nil {
			break
		} else if !isTimeout(err) {
			return Result{}, err
		}
	}
	_ = w.SetDeadline(time.Now().Add(lateTime))
	rr := newReplyReader(w.r, MaxReplyItems, MaxReplyBytes)
	rr.whole = true
	reply, err := rr.read()
	return Result{Reply: reply, Truncated: rr.cut, Took: time.Since(start)}, err
}

// close ends the waiting.
func (l *lateReplies) close() {
	l.mu.Lock()
	l.closed = true
	for w := range l.wires {
		_ = w.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
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

// KillScript ends the script that keeps the server busy; of a cluster, that of each master. The errors are ErrAway, and the server's
// own reply (a redis.Error) where nothing was ended: NOTBUSY if nothing runs, UNKILLABLE if it has written.
func (db *DB) KillScript(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	client, ok := db.client.(*redis.ClusterClient)
	if !ok {
		to, err := db.node(ctx, nil)
		if err == nil {
			err = db.killOn(ctx, to)
		}
		return ReadErr("kill script", err)
	}
	var mu sync.Mutex
	var worst error
	killed := false
	err := client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		err := db.killOn(ctx, node.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		killed = killed || err == nil
		if err != nil && (worst == nil || redis.HasErrorPrefix(worst, "NOTBUSY")) {
			worst = err
		}
		return nil
	})
	if killed {
		return nil
	}
	return ReadErr("kill script", errors.Join(err, worst))
}

func (db *DB) killOn(ctx context.Context, to string) error {
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return err
	}
	defer db.wires.put(w)
	_, err = w.ask(ctx, "SCRIPT", "KILL")
	return err
}

// OwnKey says whether a key is one of this program's own.
func (db *DB) OwnKey(key string) bool { return db.isOurs(key) }

// HasProgramUser says whether programs run as a Redis user of their own.
func (db *DB) HasProgramUser() bool { return db.program.user != "" }

// TLS says whether the connections are encrypted.
func (db *DB) TLS() bool { return db.target.tls != nil }

// IsCluster says whether the target is a cluster.
func (db *DB) IsCluster() bool { return db.target.scheme.mode == cluster }

// Wire is a connection of one's own, signed in as the program user where there is one, for what is no exchange of a command and its reply.
// It is for one goroutine at a time, but Close may be called by any.
type Wire struct{ w *wire }

// The limits of one reply on a Wire.
const (
	maxWireItems = 200_000
	maxWireBytes = 32 << 20
)

// OpenWire connects to the node that has the keys. The errors are ErrAway.
func (db *DB) OpenWire(ctx context.Context, place []string) (*Wire, error) {
	to, err := db.node(ctx, place)
	if err != nil {
		return nil, ReadErr("connect", err)
	}
	w, err := db.wire(ctx, to, wireOptions{restricted: true, fresh: true})
	if err != nil {
		return nil, ReadErr("connect", err)
	}
	return &Wire{w}, nil
}

// Write sends a command.
func (w *Wire) Write(args ...string) error { return w.WriteAll([][]string{args}) }

// WriteAll sends commands in one write. It takes at most 3 s. The errors are ErrAway.
func (w *Wire) WriteAll(commands [][]string) error {
	var out []byte
	for _, args := range commands {
		out = appendRequest(out, args)
	}
	err := w.w.SetWriteDeadline(time.Now().Add(ioTimeout))
	if err == nil {
		_, err = w.w.Write(out)
	}
	return ReadErr("send", err)
}

// Read waits for the next reply until ctx ends; it may be an error. The errors are ErrAway; after one, or when the reply is too
// large (over 200,000 elements or 32 MiB), the Wire is of no more use. io.EOF is in the error when the server closed the connection.
func (w *Wire) Read(ctx context.Context) (Reply, error) {
	deadline, _ := ctx.Deadline()
	if err := w.w.SetReadDeadline(deadline); err != nil {
		return Reply{}, ReadErr("read", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.w.SetReadDeadline(time.Unix(1, 0)) })
	rr := newReplyReader(w.w.r, maxWireItems, maxWireBytes)
	reply, err := rr.read()
	switch {
	case !stop() && err == nil && ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && rr.cut:
		err = errors.New("the reply is too large")
	}
	if err != nil {
		return Reply{}, ReadErr("read", err)
	}
	return reply, nil
}

// Close closes the connection.
func (w *Wire) Close() error { return w.w.Close() }

// RemoteAddr is the address of the server.
func (w *Wire) RemoteAddr() string { return w.w.RemoteAddr().String() }
