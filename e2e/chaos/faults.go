package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// chaos does things to the world, in three lanes that know nothing of one another, so that faults meet: to webadmin, to Redis, and to the
// way between them. What each lane does follows from the seed; what comes of it, does not.
type chaos struct {
	w     *world
	line  *timeline
	count map[string]int
	mu    sync.Mutex
	wrong []string // what should not have been, as a webadmin that doesn't stop when it is told to
}

// fault is one thing that is done, and undone.
type fault struct {
	name string
	do   func(ctx context.Context, rnd *rand.Rand) error
}

// run makes faults until ctx ends, and leaves the world as it should be.
func (c *chaos) run(ctx context.Context, seed uint64) {
	lanes := [][]fault{c.appFaults(), c.redisFaults(), c.wayFaults()}
	var all sync.WaitGroup
	for i, lane := range lanes {
		rnd := rand.New(rand.NewPCG(seed, uint64(i+1)))
		all.Go(func() {
			// Each once in an order of its own, and then again: a short run, too, has some of all.
			for {
				for _, f := range rnd.Perm(len(lane)) {
					if rest(ctx, between(rnd, 500*time.Millisecond, 2500*time.Millisecond)) != nil {
						return
					}
					c.note(lane[f].name)
					if err := lane[f].do(ctx, rnd); err != nil {
						c.blame("%s: %v", lane[f].name, err)
					}
				}
			}
		})
	}
	all.Wait()
}

func (c *chaos) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[name]++
}

func (c *chaos) blame(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// victim is the server to whom something is done: the master, or its replica; of a cluster, any.
func (c *chaos) victim(ctx context.Context, rnd *rand.Rand, master bool) *node {
	n := c.w.nodes[rnd.IntN(len(c.w.nodes))]
	if c.w.kind == "cluster" {
		return n
	}
	if m := c.w.master(ctx); m != nil {
		n = m
	}
	if !master {
		return c.w.nodes[1-n.n]
	}
	return n
}

func (c *chaos) appFaults() []fault {
	one := func(rnd *rand.Rand) *app { return c.w.apps[rnd.IntN(len(c.w.apps))] }
	return []fault{
		{"webadmin is killed", func(ctx context.Context, rnd *rand.Rand) error {
			a, away := one(rnd), between(rnd, 0, 2*time.Second)
			defer c.line.begin(false, "%s is killed, and away for %s", a.name, away.Round(time.Millisecond))()
			a.kill()
			_ = rest(ctx, away)
			return a.start()
		}},
		{"webadmin is stopped", func(ctx context.Context, rnd *rand.Rand) error {
			a, away := one(rnd), between(rnd, 0, time.Second)
			defer c.line.begin(false, "%s is told to stop", a.name)()
			code, err := a.stop(20 * time.Second)
			switch {
			case err != nil:
				a.kill()
				c.blame("%v", err)
			case code != 0:
				c.blame("%s ended with code %d when it was told to stop", a.name, code)
			}
			_ = rest(ctx, away)
			return a.start()
		}},
		{"webadmin hangs", func(ctx context.Context, rnd *rand.Rand) error {
			a, d := one(rnd), between(rnd, 200*time.Millisecond, 5*time.Second)
			defer c.line.begin(false, "%s hangs for %s", a.name, d.Round(time.Millisecond))()
			a.pause()
			defer a.resume()
			_ = rest(ctx, d)
			return nil
		}},
	}
}

// redisFaults are done one after the other, each to a Redis that is whole: so what is lost can be told from which.
func (c *chaos) redisFaults() []fault {
	whole := func(f fault) fault {
		do := f.do
		f.do = func(ctx context.Context, rnd *rand.Rand) error {
			if err := do(ctx, rnd); err != nil {
				return err
			}
			return until(40*time.Second, func() error { return c.w.whole(context.Background()) })
		}
		return f
	}
	role := func(master bool) string {
		switch {
		case c.w.kind == "cluster":
			return "node"
		case master:
			return "master"
		}
		return "replica"
	}
	killed := func(master bool) fault {
		return fault{"the " + role(master) + " is killed", func(ctx context.Context, rnd *rand.Rand) error {
			away := between(rnd, 200*time.Millisecond, 4*time.Second)
			n := c.victim(ctx, rnd, master)
			defer c.line.begin(true, "%s, a %s, is killed, and away for %s", n.name, role(master), away.Round(time.Millisecond))()
			n.kill()
			_ = rest(ctx, away)
			return n.start()
		}}
	}
	hangs := func(master bool) fault {
		return fault{"the " + role(master) + " hangs", func(ctx context.Context, rnd *rand.Rand) error {
			d := between(rnd, 200*time.Millisecond, 5*time.Second)
			n := c.victim(ctx, rnd, master)
			defer c.line.begin(true, "%s, a %s, hangs for %s", n.name, role(master), d.Round(time.Millisecond))()
			n.pause()
			defer n.resume()
			_ = rest(ctx, d)
			return nil
		}}
	}
	all := []fault{
		killed(true), hangs(true),
		{"Redis is told to stop", func(ctx context.Context, rnd *rand.Rand) error {
			away := between(rnd, 0, 2*time.Second)
			n := c.victim(ctx, rnd, true)
			defer c.line.begin(true, "%s is told to stop", n.name)()
			if _, err := n.stop(20 * time.Second); err != nil {
				return err
			}
			_ = rest(ctx, away)
			return n.start()
		}},
		{"CLIENT PAUSE", func(ctx context.Context, rnd *rand.Rand) error {
			d, mode := between(rnd, 200*time.Millisecond, 4*time.Second), []string{"WRITE", "ALL"}[rnd.IntN(2)]
			n := c.victim(ctx, rnd, true)
			defer c.line.begin(true, "%s: CLIENT PAUSE %d %s", n.name, d.Milliseconds(), mode)()
			_ = n.rdb.Do(ctx, "CLIENT", "PAUSE", d.Milliseconds(), mode).Err() // it may be no master any more
			_ = rest(ctx, d)
			return nil
		}},
		{"CLIENT KILL", func(ctx context.Context, rnd *rand.Rand) error {
			n := c.victim(ctx, rnd, true)
			defer c.line.begin(true, "%s: CLIENT KILL TYPE normal", n.name)()
			_ = n.rdb.ClientKillByFilter(ctx, "TYPE", "normal").Err()
			return nil
		}},
	}
	if c.w.kind == "sentinel" {
		all = append(all, killed(false), hangs(false),
			fault{"a Sentinel is killed", func(ctx context.Context, rnd *rand.Rand) error {
				s := c.w.sentinels[rnd.IntN(len(c.w.sentinels))]
				defer c.line.begin(false, "%s is killed", s.name)()
				s.kill()
				_ = rest(ctx, between(rnd, 0, 2*time.Second))
				return errors.Join(s.start(), s.hurry())
			}},
			fault{"SENTINEL FAILOVER", func(ctx context.Context, rnd *rand.Rand) error {
				defer c.line.begin(true, "SENTINEL FAILOVER")()
				return c.failover(ctx)
			}})
	}
	for i := range all {
		all[i] = whole(all[i])
	}
	return all
}

// failover has the Sentinels change master and replica. They may refuse, as when there was one a moment ago.
func (c *chaos) failover(ctx context.Context) error {
	before := c.w.master(ctx)
	if err := c.w.askSentinel(ctx, "SENTINEL", "FAILOVER", "main"); err != nil {
		c.line.say("   the Sentinel refuses: %v", err)
		return nil
	}
	_ = until(10*time.Second, func() error {
		if m := c.w.master(ctx); m == nil || m == before {
			return fmt.Errorf("no other master")
		}
		return nil
	})
	return nil
}

func (c *chaos) wayFaults() []fault {
	passing := func(what string, to way) fault {
		return fault{"the way is " + what, func(ctx context.Context, rnd *rand.Rand) error {
			n, d := c.victim(ctx, rnd, true), between(rnd, 200*time.Millisecond, 3500*time.Millisecond)
			late := between(rnd, 20*time.Millisecond, 500*time.Millisecond)
			defer c.line.begin(true, "the way to %s is %s for %s", n.name, what, d.Round(time.Millisecond))()
			n.gate.set(to, late)
			defer n.gate.set(open, 0)
			_ = rest(ctx, d)
			return nil
		}}
	}
	swallow := fault{"replies are lost", func(ctx context.Context, rnd *rand.Rand) error {
		n, some := c.victim(ctx, rnd, true), 1+rnd.Int64N(8)
		defer c.line.begin(true, "%d replies of %s to changes are lost", some, n.name)()
		n.gate.swallow.Store(some)
		_ = rest(ctx, 2*time.Second)
		n.gate.swallow.Store(0)
		return nil
	}}
	return []fault{passing("cut", cut), passing("slow", slow), passing("quiet", quiet), swallow, swallow}
}

// heal undoes what a fault may have left, should the run have ended within it.
func (c *chaos) heal() {
	for _, n := range c.w.nodes {
		n.gate.set(open, 0)
		n.gate.swallow.Store(0)
		n.signal(syscall.SIGCONT, "")
	}
	for _, a := range c.w.apps {
		a.signal(syscall.SIGCONT, "")
	}
}
