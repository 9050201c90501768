// Package kvtest gives tests a real Redis: one server for each test binary, a key prefix of its own for each
// test, a cluster of three for those that ask, and servers to break. It is for _test.go files only.
package kvtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"webadmin/internal/kvdb"
)

const install = "the tests need redis-server on PATH: apt install redis-server (Debian, Ubuntu), brew install redis (macOS)"

// bin is what Main prepares for the tests of this binary.
var bin struct {
	dir    string
	pgid   int // process group of all servers
	single *process
	count  atomic.Int64

	clusterOnce sync.Once
	clusterURL  string
	clusterErr  error
}

// Main is the body of TestMain. It starts the server, runs the tests, stops everything that they started,
// also when they fail or the binary is killed, and fails when goroutines were left behind (but those of opts).
func Main(m *testing.M, opts ...goleak.Option) {
	os.Exit(run(m, opts))
}

func run(m *testing.M, opts []goleak.Option) int {
	stop, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kvtest:", err)
		return 1
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "kvtest:", err)
	}
	if code == 0 {
		// A pool of go-redis that was closed while its server was away looks for it once more, a second later, and ends then.
		opts = append(opts, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
		if err := goleak.Find(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "kvtest:", err)
			return 1
		}
	}
	return code
}

// prepare starts the guardian and the server. The guardian leads the process group of all servers, and ends
// it when the pipe from this process breaks, however that comes. (A group that loses its parent while a member
// is stopped gets SIGHUP.)
func prepare() (stop func() error, err error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("%s (%w)", install, err)
	}
	if bin.dir, err = os.MkdirTemp("", "kvtest"); err != nil {
		return nil, err
	}
	guardian := exec.Command("sh", "-c", `trap '' HUP INT TERM; cat; rm -rf "$1"; kill -KILL -$$`, "kvtest", bin.dir)
	guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := guardian.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := guardian.Start(); err != nil {
		return nil, err
	}
	bin.pgid = guardian.Process.Pid
	stop = func() error {
		err := pipe.Close()
		_ = guardian.Wait() // it kills itself, too
		running.Wait()
		_ = os.RemoveAll(bin.dir)
		return err
	}
	if bin.single, err = start("single", []string{"--port", "0", "--save", ""}); err != nil {
		return nil, fmt.Errorf("%w (%v)", err, stop())
	}
	return stop, nil
}

// Open opens the server of the test binary, under a prefix that no other test has. The test closes it.
func Open(t testing.TB) *kvdb.DB {
	t.Helper()
	needMain(t)
	return open(t, bin.single.url(), prefix())
}

// Each runs a test twice, as the subtests "single" and "cluster", each with a prefix of its own.
func Each(t *testing.T, test func(t *testing.T, db *kvdb.DB)) {
	t.Helper()
	t.Run("single", func(t *testing.T) { test(t, Open(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, OpenCluster(t)) })
}

// OpenCluster is Open for the cluster of the test binary: three masters without replicas, started by the
// first test that asks.
func OpenCluster(t testing.TB) *kvdb.DB {
	t.Helper()
	needMain(t)
	bin.clusterOnce.Do(func() { bin.clusterURL, bin.clusterErr = startCluster() })
	if bin.clusterErr != nil {
		t.Fatal(bin.clusterErr)
	}
	return open(t, bin.clusterURL, prefix())
}

func needMain(t testing.TB) {
	t.Helper()
	if bin.single == nil {
		t.Fatal("this package has no TestMain that calls kvtest.Main")
	}
}

func prefix() string {
	return fmt.Sprintf("t%d:", bin.count.Add(1))
}

func open(t testing.TB, url, prefix string) *kvdb.DB {
	t.Helper()
	db, err := kvdb.Open(kvdb.Config{URL: url, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// running counts the servers, so that none is left unwaited for.
var running sync.WaitGroup

// process is one redis-server.
type process struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// start runs a redis-server in a directory of its own and waits until it answers, be it with an error.
func start(name string, args []string) (*process, error) {
	p := &process{dir: filepath.Join(bin.dir, name)}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.run(args)
}

func (p *process) socket() string { return filepath.Join(p.dir, "s") }
func (p *process) url() string    { return "unix://" + p.socket() }

func (p *process) run(args []string) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command("redis-server", append(slices.Clip(args), "--dir", p.dir, "--unixsocket", p.socket())...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: bin.pgid}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s (%w)", install, err)
	}
	exited := make(chan struct{})
	p.exited = exited
	cmd := p.cmd
	running.Go(func() {
		_ = cmd.Wait()
		close(exited)
	})
	return p.await()
}

// log is what the server wrote, for the message of a test that fails.
func (p *process) log() string {
	f, err := os.Open(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<16))
	return string(text)
}
