//go:build e2e

// Package e2e_test drives the built program as people do: a browser at its pages, programs at its API, and a real Redis behind it.
// Each test has a server and a store of its own; all share one browser, in which each page has a context of its own.
package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"
)

// patience is how long something may take on a busy machine before a test gives it up.
const patience = 20 * time.Second

// world is what all tests share.
var world struct {
	binary  string
	axe     string // script that looks for what keeps people out
	browser playwright.Browser
	pgid    int // process group of all servers
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	stop, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// prepare looks for what make has built and installed, and starts the browser.
func prepare() (stop func() error, err error) {
	if world.binary, err = built("bin/webadmin", "make build"); err != nil {
		return nil, err
	}
	if world.axe, err = built("node_modules/axe-core/axe.min.js", "make e2e"); err != nil {
		return nil, err
	}
	driver := os.Getenv("PLAYWRIGHT_DRIVER_PATH")
	if driver == "" {
		return nil, errors.New("PLAYWRIGHT_DRIVER_PATH is not set: run these tests with make e2e")
	}
	chromium := "/usr/bin/chromium"
	if path := os.Getenv("CHROMIUM"); path != "" {
		chromium = path
	}
	if _, err := os.Stat(chromium); err != nil {
		return nil, fmt.Errorf("there is no %s: make setup installs it, or CHROMIUM says where it is", chromium)
	}
	if err := os.RemoveAll("artifacts"); err != nil {
		return nil, err
	}
	release, err := startGuardian()
	if err != nil {
		return nil, err
	}
	pw, err := playwright.Run(&playwright.RunOptions{DriverDirectory: driver, SkipInstallBrowsers: true, Stdout: io.Discard})
	if err != nil {
		return nil, errors.Join(err, release())
	}
	world.browser, err = pw.Chromium.Launch(playwright.BrowserTypeLaunchOptions{
		ExecutablePath: &chromium,
		Args:           []string{"--no-sandbox", "--disable-background-networking", "--disable-gpu"},
	})
	if err != nil {
		return nil, errors.Join(err, pw.Stop(), release())
	}
	return func() error { return errors.Join(world.browser.Close(), pw.Stop(), release()) }, nil
}

// built returns the absolute path of a file of the project.
func built(path, with string) (string, error) {
	abs, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(path)))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("%s is missing: %s makes it", path, with)
	}
	return abs, nil
}

// startGuardian starts the leader of the process group that all servers are in. When the pipe from this process breaks, however that
// comes, it has them stop, also those that a test has paused.
func startGuardian() (release func() error, err error) {
	guardian := exec.Command("sh", "-c", `trap '' HUP INT TERM; cat; kill -TERM 0; kill -CONT 0`)
	guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := guardian.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := guardian.Start(); err != nil {
		return nil, err
	}
	world.pgid = guardian.Process.Pid
	return func() error { return errors.Join(pipe.Close(), guardian.Wait()) }, nil
}

const (
	admin    = "admin"
	password = "correct horse battery staple"
)

// options say how a server is started; the zero value is one on its embedded Redis.
type options struct {
	args []string
	may  []string // messages that it may log as errors
}

// instance is a running webadmin.
type instance struct {
	url string
	log *serverLog
	cmd *exec.Cmd
}

// start runs the program on a port and a store of its own until the test ends. An error in its log fails the test.
func start(t *testing.T, o options) *instance {
	t.Helper()
	in := &instance{log: &serverLog{listening: make(chan string, 1)}}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--log-format", "json", "--name", "e2e"}, o.args...)
	in.cmd = exec.Command(world.binary, args...)
	in.cmd.Env = append(os.Environ(), "WEBADMIN_ADMIN_PASSWORD="+password)
	in.cmd.Stderr = in.log
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: world.pgid}
	must(t, in.cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- in.cmd.Wait() }()
	t.Cleanup(func() {
		in.stop(t, exited)
		for _, line := range in.log.errors(o.may) {
			t.Errorf("the server logged an error: %s", line)
		}
		if t.Failed() {
			path := artifact(t) + ".log"
			must(t, os.WriteFile(path, []byte(in.log.String()), 0o644))
			t.Logf("the server's log is in e2e/%s", path)
		}
	})
	select {
	case in.url = <-in.log.listening:
	case err := <-exited:
		exited <- err
		t.Fatalf("webadmin ended: %v", err)
	case <-time.After(patience):
		t.Fatal("webadmin does not say where it listens")
	}
	return in
}

func (in *instance) stop(t *testing.T, exited <-chan error) {
	_ = in.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("webadmin ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("webadmin does not stop")
		_ = in.cmd.Process.Kill()
	}
}

// serverLog keeps what a server writes, and picks the address out of it.
type serverLog struct {
	listening chan string

	mu   sync.Mutex
	text bytes.Buffer
	line []byte // that has not ended yet
}

// record is a line of the log.
type record struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	URL   string `json:"url"`
}

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	l.line = append(l.line, b...)
	for {
		line, rest, ok := bytes.Cut(l.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		var r record
		if json.Unmarshal(line, &r) == nil && r.Msg == "listening" {
			l.listening <- r.URL
		}
		l.line = rest
	}
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// errors returns the lines that tell of a fault of the program, and all that is no record: it may be a panic.
func (l *serverLog) errors(may []string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(l.String()), "\n") {
		var r record
		err := json.Unmarshal([]byte(line), &r)
		if err != nil || r.Level == "ERROR" && !slices.Contains(may, r.Msg) {
			out = append(out, line)
		}
	}
	return out
}

// redisServer is a redis-server of a test's own, to be paused and killed. What it has acknowledged survives that.
type redisServer struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	gone chan struct{}
}

// startRedis starts a server that runs until the test ends.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") // t.TempDir is too long for a socket
	must(t, err)
	r := &redisServer{t: t, dir: dir}
	t.Cleanup(func() {
		r.kill()
		must(t, os.RemoveAll(dir))
	})
	r.start()
	return r
}

func (r *redisServer) url() string { return "unix://" + filepath.Join(r.dir, "s") }

// start starts the server, for the first time or again on the same data, and waits until it answers.
func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", filepath.Join(r.dir, "s"), "--dir", r.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: world.pgid}
	must(r.t, r.cmd.Start())
	cmd, gone := r.cmd, make(chan struct{})
	r.gone = gone
	go func() {
		_ = cmd.Wait() // it is killed
		close(gone)
	}()
	eventually(r.t, func() error { return r.command("PING", "+PONG") })
}

// command sends a command to the server and expects a reply of one line.
func (r *redisServer) command(line, want string) error {
	conn, err := net.Dial("unix", filepath.Join(r.dir, "s"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", line); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(reply) != want {
		err = fmt.Errorf("redis: %s: %s", line, reply)
	}
	return err
}

// kill ends the server as a power cut would.
func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill() // it may be gone
	<-r.gone
}

// pause has the server stop answering while its connections stay open.
func (r *redisServer) pause() {
	r.t.Helper()
	must(r.t, r.cmd.Process.Signal(syscall.SIGSTOP))
}

// resume ends a pause.
func (r *redisServer) resume() {
	r.t.Helper()
	must(r.t, r.cmd.Process.Signal(syscall.SIGCONT))
}

// artifacts numbers what failed tests leave behind.
var artifacts atomic.Int64

// artifact returns the path, without its ending, of a file that helps to find out why a test failed.
func artifact(t *testing.T) string {
	must(t, os.MkdirAll("artifacts", 0o755))
	return filepath.Join("artifacts", fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), artifacts.Add(1)))
}

// must stops the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until what returns nil.
func eventually(t *testing.T, what func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %v", patience, err)
		}
	}
}

// status returns nil when a GET of the path answers with the status.
func (in *instance) status(path string, want int) error {
	return status(http.DefaultClient, in.url+path, want)
}

func status(client *http.Client, url string, want int) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("GET %s answers %d, want %d", url, resp.StatusCode, want)
	}
	return nil
}
