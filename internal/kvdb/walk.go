package kvdb

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file walks through the keys of a server or of all masters of a cluster, with SCAN.

// scanStep is how many keys one SCAN looks at: others wait for about 0.2 ms.
const scanStep = 200

// master is a server that has keys.
type master struct {
	id    string // "" = it is the only one
	to    string // see node
	slots slotSet
}

// masters returns all servers that have keys, in a cluster by their first slots.
func (db *DB) masters(ctx context.Context) ([]master, error) {
	to, err := db.node(ctx, nil)
	if err != nil {
		return nil, err
	}
	if db.target.scheme.mode != cluster {
		m := master{to: to}
		m.slots.add(0, slotCount-1)
		return []master{m}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return nil, err
	}
	defer db.wires.put(w)
	reply, err := w.askMuch(ctx, maxTableItems, maxTableBytes, []string{"CLUSTER", "SLOTS"})
	if err != nil {
		return nil, err
	}
	var all []master
	for _, r := range reply.Items {
		if len(r.Items) < 3 || len(r.Items[2].Items) < 3 {
			return nil, errNotRedis
		}
		node := r.Items[2].Items
		i := slices.IndexFunc(all, func(m master) bool { return m.id == node[2].Text })
		if i < 0 {
			host := node[0].Text
			if host == "" || host == "?" { // where it was asked
				host, _, _ = net.SplitHostPort(to)
			}
			i = len(all)
			all = append(all, master{id: node[2].Text, to: net.JoinHostPort(host, node[1].Text)})
		}
		all[i].slots.add(r.Items[0].int(), r.Items[1].int())
	}
	if len(all) == 0 {
		return nil, replyError("CLUSTERDOWN no node has any slot")
	}
	slices.SortFunc(all, func(a, b master) int {
		var none slotSet
		return none.lacks(&a.slots) - none.lacks(&b.slots)
	})
	return all, nil
}

// runAt identifies the run of the server at an address: with another one, its cursors are good no more. It is empty where this
// user may not know.
func (db *DB) runAt(ctx context.Context, to string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return "", err
	}
	defer db.wires.put(w)
	run, err := w.runOf(ctx)
	id, _, known := strings.Cut(run, " ")
	if !known {
		id = ""
	}
	return id[:min(len(id), 16)], err
}

// place is how far a walk is. It holds while others write, and when servers restart, fail over, or slots move: what may have been missed is
// walked through again. So a key may come twice, and none that is there all the time is left out.
type place struct {
	node   string   // that is walked through; see master
	run    string   // of it
	cursor uint64   // of its SCAN
	slots  slotSet  // that it has had all the time since its beginning
	done   slotSet  // that have been walked through
	looked int64    // at how many keys, about
	carry  []string // that were met, and wait for the next page
}

// walker walks through keys.
type walker struct {
	db         *DB
	restricted bool
	withoutOwn bool   // this program's own keys are left out
	match      string // a pattern; "" = all
	kind       string // as TYPE names it; "" = any
	masters    []master
	place
	at    int   // where the node is among the masters; -1 = at the end
	about int64 // how many keys there are; -1 = not known yet
}

// start finds the servers, and where the walk goes on.
func (k *walker) start(ctx context.Context) error {
	all, err := k.db.masters(ctx)
	if err != nil {
		return err
	}
	k.masters, k.about = all, -1
	k.at = slices.IndexFunc(all, func(m master) bool { return m.id == k.node })
	if k.at < 0 || k.cursor == 0 {
		return k.enter(ctx)
	}
	run, err := k.db.runAt(ctx, all[k.at].to)
	if err != nil {
		return err
	}
	if run != k.run {
		return k.enter(ctx)
	}
	k.slots.keep(&all[k.at].slots)
	return nil
}

// enter begins with the next server that has slots which are not done.
func (k *walker) enter(ctx context.Context) (err error) {
	k.at, k.cursor, k.slots = -1, 0, slotSet{}
	var owned slotSet
	for i := range k.masters {
		owned.join(&k.masters[i].slots)
	}
	next := k.done.lacks(&owned)
	if next < 0 {
		return nil
	}
	k.at = slices.IndexFunc(k.masters, func(m master) bool { return m.slots.has(next) })
	m := &k.masters[k.at]
	k.node, k.slots = m.id, m.slots
	k.run, err = k.db.runAt(ctx, m.to)
	return err
}

// leave ends the walk through a server, unless it was started anew meanwhile. What other servers have now is not done.
func (k *walker) leave(ctx context.Context) error {
	run, err := k.db.runAt(ctx, k.masters[k.at].to)
	if err != nil {
		return err
	}
	if k.node != "" {
		if k.masters, err = k.db.masters(ctx); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(k.masters, func(m master) bool { return m.id == k.node }); i >= 0 && run == k.run {
		k.slots.keep(&k.masters[i].slots)
		k.done.join(&k.slots)
	}
	return k.enter(ctx)
}

func (k *walker) over() bool { return k.at < 0 }

// step looks at about count keys, and returns the names of those that match.
func (k *walker) step(ctx context.Context, count int) (names []string, err error) {
	args := []string{"SCAN", strconv.FormatUint(k.cursor, 10), "COUNT", strconv.Itoa(count)}
	if k.match != "" {
		args = append(args, "MATCH", k.match)
	}
	if k.kind != "" {
		args = append(args, "TYPE", k.kind)
	}
	all := []exchange{{args: args, to: k.masters[k.at].to}}
	if k.about < 0 {
		all = append(all, k.sizes()...)
	}
	k.db.exchangeAll(ctx, all, together{wire: wireOptions{restricted: k.restricted}, bytes: maxScan})
	if err := all[0].failure(); err != nil {
		return nil, scanError(err)
	}
	reply := all[0].reply.Items
	if len(reply) != 2 || all[0].cut {
		return nil, errNotRedis
	}
	cursor, err := strconv.ParseUint(reply[0].Text, 10, 64)
	if err != nil {
		return nil, errNotRedis
	}
	names = reply[1].texts()
	if k.about < 0 {
		k.sum(all[1:])
	}
	if k.match == "" && k.kind == "" {
		count = len(names)
	}
	k.looked += int64(max(count, len(names)))
	if k.cursor = cursor; cursor == 0 {
		if err := k.leave(ctx); err != nil {
			return nil, err
		}
	}
	if k.about > 0 && (k.over() || k.looked > k.about) {
		k.looked = k.about
	}
	if k.restricted || k.withoutOwn {
		names = slices.DeleteFunc(names, k.db.isOurs)
	}
	return names, nil
}

// sizes ask how many keys there are.
func (k *walker) sizes() []exchange {
	all := make([]exchange, len(k.masters))
	for i := range all {
		all[i] = exchange{args: []string{"DBSIZE"}, to: k.masters[i].to}
	}
	return all
}

// sum adds up the replies to sizes.
func (k *walker) sum(sizes []exchange) {
	k.about = 0
	for i := range sizes {
		if sizes[i].failure() != nil {
			k.about = 0 // nobody knows
			return
		}
		n, _ := strconv.ParseInt(sizes[i].reply.Text, 10, 64)
		k.about += n
	}
}

// maxScan is the size of what one SCAN may reply: names of keys can be long.
const maxScan = 64 << 20

// scanError makes the refusal of a type an error for people.
func scanError(err error) error {
	var refused replyError
	if errors.As(err, &refused) && strings.Contains(strings.ToLower(string(refused)), "unknown type") {
		return Invalid("type", "is none that this server knows")
	}
	return err
}

// pace waits as long as the work before has taken, so that others have half of the server at least.
func pace(ctx context.Context, worked time.Duration) error {
	timer := time.NewTimer(min(worked, 50*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
