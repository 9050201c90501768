package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	password   = "chaos password of nobody"
	sessionKey = "0123456789abcdef0123456789abcdef"
	slots      = 16384
)

// world is what a run happens in: two webadmins, and behind gates either a master with a replica and three Sentinels, or three
// masters of a cluster.
type world struct {
	kind  string // sentinel or cluster
	bin   string
	dir   string
	mark  string // in the environment of webadmins and of all that they start
	rnd   *rand.Rand
	taken map[int]bool

	guardian *exec.Cmd
	pipe     io.Closer
	pgid     int

	nodes     []*node
	sentinels []*sentinel
	apps      []*app
	url       string
	token     string
}

// node is a redis-server behind a gate.
type node struct {
	process
	n    int
	port string
	gate *gate
	rdb  *redis.Client // straight to it
}

type sentinel struct {
	process
	addr string
}

// hurry has a Sentinel look and talk more often: else it takes 8 s until it tells an old master that is back to follow the new one.
func (s *sentinel) hurry() error {
	c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1, DialTimeout: time.Second})
	defer func() { _ = c.Close() }()
	return until(5*time.Second, func() error {
		return c.Do(context.Background(), "SENTINEL", "DEBUG", "INFO-PERIOD", 1000, "PUBLISH-PERIOD", 500).Err()
	})
}

// app is a webadmin.
type app struct {
	process
	n   int
	url string
}

// newWorld starts it all. The guardian leads the group of all processes and ends it when the pipe from this one breaks, however
// that comes.
func newWorld(kind, bin string, rnd *rand.Rand) (w *world, err error) {
	w = &world{kind: kind, bin: bin, rnd: rnd, taken: map[int]bool{}}
	if w.dir, err = os.MkdirTemp("", "chaos"); err != nil {
		return nil, err
	}
	w.mark = "CHAOS_WORLD=" + filepath.Base(w.dir)
	w.guardian = exec.Command("sh", "-c", `trap '' HUP INT TERM; cat; kill -KILL -$$`)
	w.guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if w.pipe, err = w.guardian.StdinPipe(); err != nil {
		return nil, err
	}
	if err := w.guardian.Start(); err != nil {
		return nil, err
	}
	w.pgid = w.guardian.Process.Pid
	start := w.startSentinel
	if kind == "cluster" {
		start = w.startCluster
	}
	if err := errors.Join(start(), w.startApps()); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// close ends whatever is left; the logs stay.
func (w *world) close() {
	_ = w.pipe.Close()
	_ = w.guardian.Wait() // it kills itself, too
	for _, n := range w.nodes {
		_ = n.rdb.Close()
		_ = n.gate.Close()
	}
}

// forget removes the files of a world that was as it should be.
func (w *world) forget() { _ = os.RemoveAll(w.dir) }

// addNode starts a redis-server that keeps what it acknowledges, and its gate.
func (w *world) addNode(more func(n *node, gatePort string) []string) error {
	ports, err := freePorts(w, 2)
	if err != nil {
		return err
	}
	n := &node{n: len(w.nodes), port: ports[0]}
	n.name, n.w, n.path = "redis"+strconv.Itoa(n.n), w, "redis-server"
	dir := filepath.Join(w.dir, n.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if n.gate, err = newGate("127.0.0.1:"+ports[1], "127.0.0.1:"+n.port); err != nil {
		return err
	}
	n.rdb = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:" + n.port, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 3 * time.Second, ContextTimeoutEnabled: true,
	})
	n.args = append([]string{"--port", n.port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always"}, more(n, ports[1])...)
	w.nodes = append(w.nodes, n)
	if err := n.start(); err != nil {
		return err
	}
	return until(10*time.Second, func() error { return n.rdb.Ping(context.Background()).Err() })
}

func (n *node) gateAddr() string { return n.gate.Addr().String() }

// startSentinel starts a master that takes writes only while it has a replica, that replica, and three Sentinels.
func (w *world) startSentinel() error {
	for range 2 {
		if err := w.addNode(func(n *node, port string) []string {
			args := []string{"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", port, "--repl-diskless-sync-delay", "0",
				"--min-replicas-to-write", "1", "--min-replicas-max-lag", "3", "--repl-timeout", "10"}
			if n.n > 0 {
				_, to, _ := strings.Cut(w.nodes[0].gateAddr(), ":")
				args = append(args, "--replicaof", "127.0.0.1 "+to)
			}
			return args
		}); err != nil {
			return err
		}
	}
	_, master, _ := strings.Cut(w.nodes[0].gateAddr(), ":")
	ports, err := freePorts(w, 3)
	if err != nil {
		return err
	}
	for i, port := range ports {
		conf := filepath.Join(w.dir, fmt.Sprintf("sentinel%d.conf", i))
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", port, w.dir, master)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return err
		}
		s := &sentinel{addr: "127.0.0.1:" + port}
		s.name, s.w, s.path, s.args = "sentinel"+strconv.Itoa(i), w, "redis-server", []string{conf, "--sentinel"}
		if err := s.start(); err != nil {
			return err
		}
		w.sentinels = append(w.sentinels, s)
	}
	for _, s := range w.sentinels {
		if err := s.hurry(); err != nil {
			return err
		}
	}
	w.url = "redis-sentinel://127.0.0.1:" + strings.Join(ports, ",127.0.0.1:") + "/0?master=main"
	return until(15*time.Second, func() error { return w.whole(context.Background()) })
}

// startCluster starts three masters, which announce their gates.
func (w *world) startCluster() error {
	ctx := context.Background()
	for range 3 {
		if err := w.addNode(func(n *node, port string) []string {
			bus, _ := strconv.Atoi(n.port)
			return []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", "127.0.0.1",
				"--cluster-announce-port", port, "--cluster-announce-bus-port", strconv.Itoa(bus + 10000)}
		}); err != nil {
			return err
		}
	}
	var addrs []string
	for i, n := range w.nodes {
		addrs = append(addrs, n.gateAddr())
		bus, _ := strconv.Atoi(w.nodes[0].port)
		if err := errors.Join(
			n.rdb.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(),
			n.rdb.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(),
			n.rdb.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", w.nodes[0].port, bus+10000).Err()); err != nil {
			return err
		}
	}
	w.url = "redis-cluster://" + strings.Join(addrs, ",")
	return until(20*time.Second, func() error { return w.whole(ctx) })
}

// whole says what is missing until Redis is as it should be: a master with a replica that follows it and Sentinels that know it,
// or a cluster of three.
func (w *world) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if w.kind == "cluster" {
		for _, n := range w.nodes {
			info, err := n.rdb.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:3") {
				return fmt.Errorf("%s: the cluster is not whole: %w", n.name, err)
			}
		}
		return nil
	}
	m := w.master(ctx)
	if m == nil {
		return errors.New("there is no master")
	}
	info, err := m.rdb.Info(ctx, "replication").Result()
	if err != nil || !strings.Contains(info, "state=online") || !strings.Contains(info, "min_slaves_good_slaves:1") {
		return fmt.Errorf("%s has no replica: %w", m.name, err)
	}
	return nil
}

// master is the node that is master alone; nil = none, or both are.
func (w *world) master(ctx context.Context) (m *node) {
	for _, n := range w.nodes {
		role, err := n.rdb.Do(ctx, "ROLE").Slice()
		if err != nil {
			continue
		}
		if role[0] == "master" {
			if m != nil {
				return nil
			}
			m = n
		}
	}
	return m
}

// startApps starts two webadmins and makes a token.
func (w *world) startApps() error {
	for i := range 2 {
		ports, err := freePorts(w, 1)
		if err != nil {
			return err
		}
		a := &app{n: i, url: "http://127.0.0.1:" + ports[0]}
		a.name, a.w, a.path = "webadmin"+strconv.Itoa(i), w, w.bin
		a.env = []string{w.mark, "WEBADMIN_ADMIN_PASSWORD=" + password, "WEBADMIN_SESSION_KEY=" + sessionKey}
		a.args = append([]string{"serve", "--listen", "127.0.0.1:" + ports[0], "--log-format", "json"}, w.flags(i)...)
		w.apps = append(w.apps, a)
		if err := a.start(); err != nil {
			return err
		}
		if err := until(15*time.Second, a.ready); err != nil {
			return err
		}
	}
	make := exec.Command(w.bin, append([]string{"token", "create", "--name", "chaos", "--role", "admin"}, w.flags(0)...)...)
	make.Env = append(os.Environ(), w.apps[0].env...)
	out, err := make.Output()
	w.token = strings.TrimSpace(string(out))
	return err
}

func (w *world) flags(app int) []string {
	return []string{"--redis-url", w.url, "--data-dir", filepath.Join(w.dir, "data"+strconv.Itoa(app))}
}

// health is for questions that must not wait for long.
var health = &http.Client{Timeout: 3 * time.Second}

func (a *app) ready() error {
	r, err := health.Get(a.url + "/readyz")
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: /readyz answers %s", a.name, r.Status)
	}
	return nil
}

// timeline is what happened, as it is printed.
type timeline struct {
	mu     sync.Mutex
	start  time.Time
	events []event
}

// event is something that was done to the world, from one moment to another.
type event struct {
	from, to time.Time // to is zero while it lasts
	what     string
	redis    bool // or the way to it
}

func (t *timeline) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf("%7.2fs  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}

// begin notes a fault, and returns what notes its end.
func (t *timeline) begin(redis bool, format string, args ...any) (end func()) {
	what := fmt.Sprintf(format, args...)
	t.say("%s", what)
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.events)
	t.events = append(t.events, event{from: time.Now(), what: what, redis: redis})
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.events[i].to = time.Now()
	}
}

// askSentinel gives the first Sentinel that answers a command.
func (w *world) askSentinel(ctx context.Context, args ...any) (err error) {
	for _, s := range w.sentinels {
		c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1, DialTimeout: time.Second})
		err = c.Do(ctx, args...).Err()
		_ = c.Close()
		var reply redis.Error
		if err == nil || errors.As(err, &reply) {
			return err
		}
	}
	return err
}
