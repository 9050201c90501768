// Command chaos uses all systems of two webadmins at once, as programs and as browsers do, while processes are killed, stopped, made to hang and
// cut off from one another at random, first over a Redis with a replica and Sentinels, then over a cluster of three. In the end it counts
// what is there, and compares it with what its clients were told: nothing that was acknowledged may be lost or applied twice, but for what Redis
// itself has lost, which a client of its own finds out.
//
//	go run ./e2e/chaos -bin bin/webadmin [-seed 17] [-for 5m] [-world sentinel|cluster|both] [-keep]
//
// What is done to the world follows from the seed; when it meets what, is up to the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	calm     = 3 * time.Second  // before the faults, and after them
	healing  = 30 * time.Second // by when all is well again by itself
	drainMax = 20 * time.Second // for a webadmin that is told to stop
)

func main() {
	bin := flag.String("bin", "bin/webadmin", "the binary to use")
	seed := flag.Uint64("seed", 0, "what the faults follow from; 0 = another one each time")
	lasts := flag.Duration("for", 5*time.Minute, "how long there are faults, in each world")
	kind := flag.String("world", "both", "sentinel, cluster or both")
	keep := flag.Bool("keep", false, "keep logs and data also when all was well")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano() % 1_000_000)
	}
	worlds := []string{*kind}
	if *kind == "both" {
		worlds = []string{"sentinel", "cluster"}
	}
	redis.SetLogger(silent{})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var wrong []string
	for _, kind := range worlds {
		fmt.Printf("%s, seed %d, %s\n", kind, *seed, *lasts)
		for _, w := range run(ctx, kind, *bin, *seed, *lasts, *keep) {
			wrong = append(wrong, kind+": "+w)
		}
	}
	if len(wrong) > 0 {
		fmt.Printf("\nseed %d: %d findings\n", *seed, len(wrong))
		for _, w := range wrong {
			fmt.Println("  -", w)
		}
		os.Exit(1)
	}
	fmt.Printf("\nseed %d: nothing that was acknowledged is lost or was applied twice, and all has healed\n", *seed)
}

// silent is for what the client of Redis has to say of servers that were killed.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// run is one world from its beginning to its end. It returns what was not as it should be.
func run(ctx context.Context, kind, bin string, seed uint64, lasts time.Duration, keep bool) (wrong []string) {
	w, err := newWorld(kind, bin, rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano()))))
	if err != nil {
		return []string{err.Error()}
	}
	defer func() {
		w.close()
		if keep || len(wrong) > 0 {
			fmt.Println("  logs and data are in", w.dir)
		} else {
			w.forget()
		}
	}()
	line := &timeline{start: time.Now()}
	l, c := newLoad(w, seed), &chaos{w: w, line: line, count: map[string]int{}}
	if err := l.prepare(); err != nil {
		return []string{err.Error()}
	}
	before := sample(w)

	loading, loaded := context.WithCancel(ctx)
	serving, served := context.WithCancel(ctx)
	defer served()
	defer loaded()
	l.start(loading, serving)
	_ = rest(ctx, calm)
	faults, over := context.WithTimeout(ctx, lasts)
	c.run(faults, seed)
	over()
	c.heal()
	line.say("the faults are over")
	wrong = c.wrong
	if err := healed(w, line); err != nil {
		wrong = append(wrong, "it does not heal: "+err.Error())
	}
	_ = rest(ctx, calm)
	loaded()
	l.clients.Wait()
	line.say("the clients have ended")
	if ctx.Err() != nil {
		return append(wrong, "interrupted")
	}
	for _, name := range slices.Sorted(maps.Keys(c.count)) {
		fmt.Printf("  %2d × %s\n", c.count[name], name)
	}
	swallowed := int64(0)
	for _, n := range w.nodes {
		swallowed += n.gate.swallowed.Load()
	}
	fmt.Printf("  %d replies to changes were lost\n", swallowed)

	counts, err := newCount(w, l, line, line.start)
	if err == nil {
		err = errors.Join(counts.settled(ctx), counts.caughtUp(ctx))
		served()
		l.servers.Wait()
		err = errors.Join(err, counts.all(ctx), counts.store.Close())
		wrong = append(wrong, counts.wrong...)
	}
	if err != nil {
		wrong = append(wrong, "it can't be counted: "+err.Error())
	}
	wrong = append(wrong, pagesWork(w)...)
	wrong = append(wrong, leftovers(w, l, before)...)
	wrong = append(wrong, logged(w)...)
	return wrong
}

// healed waits until both webadmins are ready again, without anybody's help.
func healed(w *world, line *timeline) error {
	start := time.Now()
	err := until(healing, func() error {
		var all []error
		for _, a := range w.apps {
			all = append(all, a.ready())
		}
		return errors.Join(append(all, w.whole(context.Background()))...)
	})
	line.say("all is well again after %s", time.Since(start).Round(10*time.Millisecond))
	return err
}

// pagesWork looks at every page of both webadmins once more.
func pagesWork(w *world) (wrong []string) {
	c := newClient(w, "last", 1, "")
	jar := signedIn(c)
	if jar == "" {
		return []string{"nobody can sign in"}
	}
	for _, a := range w.apps {
		for _, path := range pages {
			if r := c.sendTo(a, "GET", path, nil, "Cookie", jar); r.status != 200 || strings.Contains(string(r.body), "data-failed") {
				wrong = append(wrong, fmt.Sprintf("%s of %s answers %d", path, a.name, r.status))
			}
		}
	}
	return wrong
}
