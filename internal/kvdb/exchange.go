package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file sends many commands in one round trip, over the connections on which commands of people run.

// exchange is a command and its reply, one of several that go out together.
type exchange struct {
	args  []string
	to    string // the node; see node
	reply Reply  // may be an error
	cut   bool   // the reply is the part before the limits
	err   error  // why there is no reply; a notSentError if the command surely wasn't sent

	stay   bool // a reply that looks like a redirection may be the command's own, and is not followed
	asking bool // another node was said to have the key for now
}

// together says how exchanges are made.
type together struct {
	wire  wireOptions
	time  time.Duration // for each round trip; 0 = ioTimeout
	bytes int           // of all replies of a node together; 0 = MaxReplyBytes. Each may have leastReply all the same
	part  int           // see replyReader
}

const (
	leastReply = 1 << 10
	maxParts   = 200_000 // in a reply that is read in parts
)

// exchangeAll sends the commands, in their order, each node's in one round trip, and reads the replies. What a cluster says is
// elsewhere goes there: it was not done.
func (db *DB) exchangeAll(ctx context.Context, all []exchange, o together) {
	if o.time == 0 {
		o.time = ioTimeout
	}
	if o.bytes == 0 {
		o.bytes = MaxReplyBytes
	}
	list := make([]*exchange, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	for range maxHops + 1 {
		db.exchangeRound(ctx, list, o)
		if list = db.redirected(ctx, list); len(list) == 0 {
			return
		}
	}
}

// exchangeRound makes one round trip to each node.
func (db *DB) exchangeRound(ctx context.Context, list []*exchange, o together) {
	if !slices.ContainsFunc(list, func(e *exchange) bool { return e.to != list[0].to }) {
		db.exchangeOn(ctx, list[0].to, list, o)
		return
	}
	var nodes []string
	of := map[string][]*exchange{}
	for _, e := range list {
		if of[e.to] == nil {
			nodes = append(nodes, e.to)
		}
		of[e.to] = append(of[e.to], e)
	}
	var wg sync.WaitGroup
	for _, to := range nodes[1:] {
		wg.Go(func() { db.exchangeOn(ctx, to, of[to], o) })
	}
	db.exchangeOn(ctx, nodes[0], of[nodes[0]], o)
	wg.Wait()
}

// redirected returns the exchanges that have to be made again elsewhere.
func (db *DB) redirected(ctx context.Context, list []*exchange) (again []*exchange) {
	client, ok := db.client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	members := map[string]bool{}
	for _, e := range list {
		words := strings.Split(e.reply.Text, " ")
		if e.err != nil || e.stay || e.reply.Kind != KindError || len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
			continue
		}
		if _, known := members[words[2]]; !known {
			members[words[2]] = db.knows(ctx, e.to, words[2])
		}
		if members[words[2]] {
			e.to, e.asking = dialable(words[2]), words[0] == "ASK"
			again = append(again, e)
		}
	}
	if len(members) > 0 {
		client.ReloadState(context.WithoutCancel(ctx))
	}
	return again
}

// knows says whether a node of a cluster counts an address among its nodes.
func (db *DB) knows(ctx context.Context, node, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, node, wireOptions{anyDB: true})
	if err != nil {
		return false
	}
	defer db.wires.put(w)
	return db.isMember(ctx, w, addr)
}

// exchangeOn makes the exchanges with one node.
func (db *DB) exchangeOn(ctx context.Context, to string, list []*exchange, o together) {
	fail := func(from int, err error) {
		if errors.Is(err, errNotRedis) && !errors.Is(err, ErrAway) {
			err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF) // an answer that nobody understands is none
		}
		for _, e := range list[from:] {
			e.err = err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.time)
	defer cancel()
	w, err := db.wire(ctx, to, o.wire)
	if err != nil {
		fail(0, err)
		return
	}
	defer func() {
		w.over = w.over || o.wire.fresh
		db.wires.put(w)
	}()
	out := w.out[:0]
	for _, e := range list {
		if e.asking {
			out = appendRequest(out, []string{"ASKING"})
		}
		out = appendRequest(out, e.args)
	}
	w.out = out
	stop, err := w.sendMany(ctx, deadlineOf(ctx))
	if err != nil {
		fail(0, err)
		return
	}
	rr := newReplyReader(w.r, 0, o.bytes)
	rr.whole, rr.part = true, o.part
	for i, e := range list {
		if e.asking {
			if _, err = rr.next(); err != nil {
				stop()
				fail(i, err)
				return
			}
		}
		if e.reply, err = rr.next(); err != nil {
			stop()
			fail(i, err)
			return
		}
		e.cut = rr.cut
	}
	w.over = !stop()
}

// next reads one of several replies, which share the limit of bytes.
func (rr *replyReader) next() (Reply, error) {
	left := rr.bytes
	if rr.items, rr.cut = MaxReplyItems, false; rr.part > 0 {
		rr.items = maxParts
	} else {
		rr.bytes = max(left, leastReply)
	}
	before := rr.bytes
	r, err := rr.read()
	rr.bytes = left - (before - rr.bytes)
	return r, err
}

// sendMany is send for several commands. Some of them may have been run after an error that is no notSentError.
func (w *wire) sendMany(ctx context.Context, deadline time.Time) (stop func() bool, err error) {
	w.over = true
	out := w.out
	if cap(out) > maxWireOut {
		w.out = nil
	}
	if err := w.SetDeadline(deadline); err != nil {
		return nil, &notSentError{err}
	}
	stop = context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) })
	if err := ctx.Err(); err != nil {
		stop()
		return nil, &notSentError{err}
	}
	if n, err := w.Write(out); err != nil {
		stop()
		if n == 0 {
			return nil, &notSentError{err}
		}
		return nil, err
	}
	return stop, nil
}

func deadlineOf(ctx context.Context) time.Time {
	deadline, _ := ctx.Deadline()
	return deadline
}

// firstError returns why one of the exchanges has no reply, or has an error as its reply.
func firstError(all []exchange) error {
	for i := range all {
		if err := all[i].failure(); err != nil {
			return err
		}
	}
	return nil
}

func (e *exchange) failure() error {
	if e.err != nil {
		return e.err
	}
	if e.reply.Kind == KindError {
		return replyError(e.reply.Text)
	}
	return nil
}

// onNodeOf makes exchanges about one key.
func (db *DB) onNodeOf(ctx context.Context, key string, o together, commands ...[]string) ([]exchange, error) {
	to, err := db.node(ctx, []string{key})
	if err != nil {
		return nil, err
	}
	all := make([]exchange, len(commands))
	for i, args := range commands {
		all[i] = exchange{args: args, to: to}
	}
	db.exchangeAll(ctx, all, o)
	for i := range all {
		if all[i].err != nil {
			return nil, all[i].err
		}
	}
	return all, nil
}

// access returns whether commands of somebody with the role run as the program user, or the ErrForbidden if it takes another role.
func access(role string, need int, what string) (restricted bool, err error) {
	may := slices.Index(roles, role)
	if may < need {
		return false, forbiddenError(fmt.Sprintf("%s takes the role %s, yours is %s", what, roles[need], role))
	}
	return may < admin, nil
}
