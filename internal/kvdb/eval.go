package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file runs the Lua scripts of people. What they reply is theirs, errors included: none is believed to be the
// server's before that is proven, as a script that ran may reply just what a server says that refuses to run it.

const (
	evalTime   = 10 * time.Second
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
		return r, &awayError{op: "run", err: err,
			sentence: "The script did not end in time, or the connection to Redis broke. It may still run and keep Redis busy, but changes nothing."}
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

// refusedWords are in what a server says that runs no script now: the code at its beginning, and words after it.
var refusedWords = [][2]string{
	{"BUSY", " is busy running a script"}, {"LOADING", " is loading the dataset"}, {"MASTERDOWN", " is down"},
	{"CLUSTERDOWN", " The cluster is down"}, {"CLUSTERDOWN", " Hash slot not served"}, {"TRYAGAIN", " Multiple keys request"},
}

// saysRefused says whether a reply is what a server says that runs no script now; a script may say the same.
func saysRefused(r Reply) bool {
	return r.Kind == KindError && slices.ContainsFunc(refusedWords, func(words [2]string) bool {
		rest, ok := strings.CutPrefix(r.Text, words[0])
		return ok && strings.Contains(rest, words[1])
	})
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

// evalOnce sends the script, or its name, and waits for the reply.
func (db *DB) evalOnce(ctx context.Context, e *Eval, to string, asking, asText bool) (Result, error) {
	w, err := db.wire(ctx, to, wireOptions{restricted: true, unseen: true})
	if err != nil {
		return Result{}, err
	}
	if !asText {
		if err := w.mustHave(ctx, e.SHA1); err != nil {
			db.wires.put(w)
			return Result{}, err
		}
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
