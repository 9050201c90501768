package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a command may take.
const (
	commandTime  = 10 * time.Second
	blockingTime = 30 * time.Second
	unblockTime  = 2 * time.Second // to answer after that
)

const maxHops = 3 // redirections that one command follows

// Call is a command that somebody may run.
type Call struct {
	Class
	restricted bool // by their role: they run as the program user, and don't get to see our keys
}

// Result is what came of a command.
type Result struct {
	Reply     Reply         // also an error that the server replied
	Truncated bool          // the reply is the part before the limits
	Took      time.Duration // from sending the command to the end of the reply
}

// Run runs the command at most once. A command that may wait ends after 30 s as if its own time were up; any other may
// take 10 s. The errors are ErrAway and, for one that changes something, ErrUnknown.
//
// On a cluster, a command without keys runs on one node, always the same.
func (c *Call) Run(ctx context.Context) (Result, error) {
	r, err := c.run(ctx)
	if errors.Is(err, errNotRedis) && !errors.Is(err, ErrAway) {
		err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF) // an answer that nobody understands is none
	}
	if !c.Changes {
		return r, ReadErr("command", err)
	}
	err = WriteErr("command", err)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.Check = "what " + c.Name + " should have changed"
		if len(c.Keys) > 0 {
			unknown.Check = fmt.Sprintf("the key %.100q", c.Keys[0])
		}
	}
	return r, err
}

func (c *Call) run(ctx context.Context) (Result, error) {
	to, err := c.db.node(ctx, c.place)
	if err != nil {
		return Result{}, err
	}
	r, err := c.runOn(ctx, to, 0, false)
	if err != nil || !c.restricted || len(c.Keys) > 0 {
		return r, err
	}
	// RANDOMKEY: another one, please. As good as none when there are nearly only ours.
	for range 100 {
		if r.Reply.Kind != KindBulk || !c.reads || !c.db.isOurs(r.Reply.Text) {
			c.db.dropOurs(&r.Reply)
			return r, nil
		}
		if r, err = c.runOn(ctx, to, 0, false); err != nil {
			return r, err
		}
	}
	return Result{Took: r.Took}, nil
}

// dropOurs takes this program's own keys out of a reply that lists keys. Only commands that name no key have such.
func (db *DB) dropOurs(r *Reply) {
	if r.Kind != KindArray && r.Kind != KindSet {
		return
	}
	r.Items = slices.DeleteFunc(r.Items, func(item Reply) bool { return len(item.Items) == 0 && db.isOurs(item.Text) })
	for i := range r.Items {
		db.dropOurs(&r.Items[i])
	}
}

// runOn runs the command on a node, and follows it where a cluster says that its key is elsewhere: then nothing was done.
func (c *Call) runOn(ctx context.Context, to string, hops int, asking bool) (Result, error) {
	w, err := c.db.wire(ctx, to, wireOptions{restricted: c.restricted, fresh: !c.plain, anyDB: c.whileBusy})
	if err != nil {
		return Result{}, err
	}
	defer func() {
		w.over = w.over || !c.plain
		c.db.wires.put(w)
	}()
	if asking {
		if _, err := w.ask(ctx, "ASKING"); err != nil {
			return Result{}, &awayError{op: "asking", sentence: refusals["ASK"].text(c.Changes), err: err}
		}
	}
	r, err := c.send(ctx, w)
	if err != nil {
		return Result{}, err
	}
	if next, ask := c.redirection(r.Reply); next != "" && hops < maxHops && c.db.isMember(ctx, w, next) {
		return c.runOn(ctx, dialable(next), hops+1, ask)
	}
	return r, nil
}

// send sends the command and waits for the reply. When its time is over, or nobody waits for it any more, what blocks is
// unblocked: so it is known what came of it.
func (c *Call) send(ctx context.Context, w *wire) (Result, error) {
	limit := commandTime
	if c.Blocking {
		limit = blockingTime
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reading := waiting
	if !c.plain {
		var stop context.CancelFunc
		reading, stop = context.WithTimeout(context.WithoutCancel(ctx), limit+unblockTime)
		defer stop()
		defer context.AfterFunc(waiting, func() {
			if !c.db.unblock(reading, w) {
				stop()
			}
		})()
	}
	start := time.Now()
	reply, cut, err := w.do(reading, c.Args, MaxReplyItems, MaxReplyBytes)
	return Result{Reply: reply, Truncated: cut, Took: time.Since(start)}, err
}

// unblock has the command that waits on w answer as if its time were up. It returns false if none waits.
func (db *DB) unblock(ctx context.Context, w *wire) bool {
	ctx, cancel := context.WithTimeout(ctx, unblockTime)
	defer cancel()
	own, err := db.wire(ctx, w.to, wireOptions{anyDB: true})
	if err != nil {
		return false
	}
	defer db.wires.put(own)
	// After a failover another server has a client of this number.
	if w.id == "" || own.RemoteAddr().String() != w.RemoteAddr().String() {
		return false
	}
	reply, err := own.ask(ctx, "CLIENT", "UNBLOCK", w.id)
	return err == nil && reply.Text == "1"
}

// node returns the address of the server that has the keys, or, without keys, of the one for what concerns none. It is
// empty where a Sentinel knows it.
func (db *DB) node(ctx context.Context, keys []string) (string, error) {
	switch client := db.client.(type) {
	case *redis.ClusterClient:
		key := db.keys.Schema()
		if len(keys) > 0 {
			key = keys[0]
		}
		node, err := client.MasterForKey(ctx, key)
		if err != nil {
			return "", &notSentError{err}
		}
		return node.Options().Addr, nil
	default:
		if db.target.scheme.mode == sentinel {
			return "", nil
		}
		return db.target.addrs[0], nil
	}
}

// redirection returns where a cluster says that the key is, if that is the reply. A script may reply whatever it likes,
// after it has run.
func (c *Call) redirection(r Reply) (to string, asking bool) {
	client, ok := c.db.client.(*redis.ClusterClient)
	words := strings.Split(r.Text, " ")
	if !ok || c.scripting || r.Kind != KindError || len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return "", false
	}
	client.ReloadState(context.Background())
	return words[2], words[0] == "ASK"
}

// dialable writes an address as net.Dial takes it: a cluster writes IPv6 without brackets.
func dialable(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	return net.JoinHostPort(strings.Trim(addr[:max(i, 0)], "[]"), addr[i+1:])
}

// isMember says whether an address is that of a node of the cluster that w is connected to.
func (db *DB) isMember(ctx context.Context, w *wire, addr string) bool {
	nodes, err := w.ask(ctx, "CLUSTER", "NODES")
	return err == nil && addr != "" && strings.Contains(nodes.Text, " "+addr+"@")
}

// credentials sign in to Redis.
type credentials struct{ user, password string }

// programCredentials reads NAME or NAME:PASSWORD.
func programCredentials(s string) credentials {
	user, password, _ := strings.Cut(s, ":")
	return credentials{user, password}
}
