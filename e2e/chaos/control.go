package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// control writes numbered things straight to each Redis server, through the same faults as all others but past webadmin and the gates. What of
// it was acknowledged and is not there in the end, Redis itself has lost.
//
// A replica has what its master wrote up to some moment. So when a control write is there that was sent to a master after it acknowledged
// another write, that one must be there, too: only what was acknowledged after the last such control write may be lost.
type control struct{ nodes []*controlled }

// controlled is one server.
type controlled struct {
	*node
	rdb *redis.Client
	key string // on this server

	mu     sync.Mutex
	writes []controlWrite
	ends   []time.Time // of the times during which it was master, when it was seen to be a replica
}

type controlWrite struct {
	field          string
	sent, answered time.Time
	reign          int // the how manieth time
}

// window is a time in which Redis may have lost what it had acknowledged.
type window struct {
	server      string
	from, to    time.Time
	lost, acked int // of the control writes of that reign
}

func newControl(w *world) *control {
	c := &control{}
	for i, n := range w.nodes {
		one := &controlled{node: n, key: "chaos:control", rdb: redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:" + n.port, MaxRetries: -1, PoolSize: 1, DialTimeout: time.Second, ReadTimeout: 10 * time.Second, DisableIdentity: true})}
		for try := 0; w.kind == "cluster"; try++ {
			one.key = fmt.Sprintf("chaos:control:{%d}", try)
			slot, err := n.rdb.ClusterKeySlot(context.Background(), one.key).Result()
			if err == nil && int(slot) >= i*slots/3 && int(slot) < (i+1)*slots/3 {
				break
			}
		}
		c.nodes = append(c.nodes, one)
	}
	return c
}

func (c *control) start(ctx context.Context, all *sync.WaitGroup) {
	for _, n := range c.nodes {
		all.Go(func() { n.write(ctx) })
	}
}

func (n *controlled) write(ctx context.Context) {
	for i := 0; rest(ctx, 4*time.Millisecond) == nil; i++ {
		w := controlWrite{field: fmt.Sprintf("%d-%d", n.n, i), sent: time.Now()}
		err := n.rdb.HSet(context.Background(), n.key, w.field, 1).Err() // also when ctx has ended: it is to be known
		w.answered = time.Now()
		n.mu.Lock()
		w.reign = len(n.ends)
		last := len(n.writes) - 1
		switch {
		case err == nil:
			n.writes = append(n.writes, w)
		case strings.HasPrefix(err.Error(), "READONLY") && last >= 0 && n.writes[last].reign == w.reign:
			n.ends = append(n.ends, w.answered)
		}
		n.mu.Unlock()
		if err != nil {
			_ = rest(ctx, 15*time.Millisecond)
		}
	}
}

// windows finds out what was lost, and in which times.
func (c *control) windows(ctx context.Context, store redis.UniversalClient) (all []window, acked, lost int, err error) {
	for _, n := range c.nodes {
		there, err := store.HGetAll(ctx, n.key).Result() // no more than n.writes, and some of which nobody knows
		if err != nil {
			return nil, 0, 0, err
		}
		reigns := make([]window, len(n.ends)+1)
		for i := range reigns {
			reigns[i].server = n.name
			if i > 0 {
				reigns[i].from = n.ends[i-1] // unless a control write since is there
			}
			if i < len(n.ends) {
				reigns[i].to = n.ends[i]
			}
		}
		for _, w := range n.writes {
			r := &reigns[w.reign]
			acked++
			r.acked++
			if there[w.field] != "" {
				r.from = w.sent
				if r.lost > 0 {
					return nil, 0, 0, fmt.Errorf("%s has %s, and not what it acknowledged before", n.name, w.field)
				}
			} else {
				r.lost++
				lost++
			}
		}
		if last := reigns[len(n.ends)]; last.lost > 0 {
			err = fmt.Errorf("%s has lost %d control writes of %d without a failover", n.name, last.lost, last.acked)
		}
		all = append(all, reigns[:len(n.ends)]...)
		if err != nil {
			return all, acked, lost, err
		}
	}
	for _, n := range c.nodes {
		err = errors.Join(err, n.rdb.Close())
	}
	return all, acked, lost, err
}

// excused says whether what was sent and acknowledged then may have been lost by Redis.
func excused(windows []window, a *act) bool {
	for _, w := range windows {
		if !a.answered.Before(w.from) && !a.sent.After(w.to) {
			return true
		}
	}
	return false
}
