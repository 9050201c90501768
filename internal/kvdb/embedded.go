package kvdb

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// EmbeddedConfig says where the embedded server keeps its files.
type EmbeddedConfig struct {
	DataDir string // made where it is missing; the server's files are in its folder redis
	Prefix  string // of this program's keys, kept from the program user; "" = DefaultPrefix
	Logger  *slog.Logger
}

// Embedded is a redis-server (or valkey-server) of our own. It listens on a Unix socket alone, in a
// directory that only this user may enter, and writes each change to disk before it confirms it.
//
// It is a child process with a process group of its own, so that Ctrl-C in a terminal doesn't end it while
// requests are still served. It lives on when this process is killed; the next StartEmbedded ends it.
type Embedded struct {
	files  embeddedFiles
	lock   *os.File
	logger *slog.Logger
	binary string
	socket string
	child  *child
	prefix string
	secret string // password of the program user

	stop       context.CancelFunc
	supervised chan struct{} // closed when nothing starts children any more
	closeOnce  sync.Once
	closeErr   error
}

// How long the server may take to answer at its start (it does while it loads, too), how long a start then
// waits for it to load, and how long it may take to end when asked over its socket, and then by SIGTERM.
const (
	startTimeout    = 30 * time.Second
	loadTimeout     = 3 * time.Second
	shutdownTimeout = 10 * time.Second
	sigtermTimeout  = 3 * time.Second
)

// restartPause is the pause before a server that died starts again. It doubles up to maxRestartPause while
// that fails or it dies within a minute.
const (
	restartPause    = 100 * time.Millisecond
	maxRestartPause = 5 * time.Second
)

// StartEmbedded takes the data directory, ends a server that an earlier process left there, starts one, and
// keeps it running until Close. It returns when the server is ready, or answers and still loads its data after
// 3 s (see Ready). The errors are for people: no such program, or a directory that is in use, are two.
func StartEmbedded(ctx context.Context, cfg EmbeddedConfig) (_ *Embedded, err error) {
	binary, err := findServer()
	if err != nil {
		return nil, err
	}
	dataDir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	e := &Embedded{
		files: filesOf(dataDir), logger: cfg.Logger, binary: binary, prefix: cmp.Or(cfg.Prefix, DefaultPrefix), secret: rand.Text(),
		supervised: make(chan struct{}),
	}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(e.files.dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// Whoever can reach the socket can do everything, so an older directory is closed to others, too.
	if err := os.Chmod(e.files.dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if e.lock, err = e.files.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.release())
		}
	}()
	if err := e.files.endLeftover(ctx, e.logger); err != nil {
		return nil, err
	}
	if e.socket, err = e.files.placeSocket(); err != nil {
		return nil, err
	}
	if e.child, err = e.start(ctx); err != nil {
		return nil, err
	}
	e.logger.InfoContext(ctx, "embedded server started", "program", binary, "pid", e.child.cmd.Process.Pid, "dir", e.files.dir)
	supervise, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	go e.supervise(supervise)
	return e, nil
}

// AttachEmbedded returns the URL of the server that another process runs on the data directory, if one does.
func AttachEmbedded(dataDir string) (url string, ok bool) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", false
	}
	files := filesOf(dataDir)
	// A server that was left behind, or that a copy of the directory names, is not run by anybody.
	if !files.locked() {
		return "", false
	}
	conn, err := net.DialTimeout("unix", files.currentSocket(), time.Second)
	if err != nil {
		return "", false
	}
	conn.Close()
	return socketURL(files.currentSocket()), true
}

// URL is for Config. It stays the same when the server restarts.
func (e *Embedded) URL() string { return socketURL(e.socket) }

// ProgramUser is the ACL user as which programs and operators' commands run: without @admin and @dangerous,
// and without the keys under the prefix. Its password is new with each StartEmbedded.
func (e *Embedded) ProgramUser() (name, password string) { return programUser, e.secret }

// Ready waits until the server has loaded its data.
func (e *Embedded) Ready(ctx context.Context) error {
	for {
		reply, err := rawCommand(ctx, e.socket, "PING")
		if err == nil && isReady(reply) {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the embedded server is not ready: %w", cmp.Or(err, ctx.Err()))
		}
	}
}

// Close ends the server: by SHUTDOWN, which finishes what it does and writes its files; after 10 s, or the
// end of the context, by force, which loses nothing that was confirmed. Then it gives the directory back.
func (e *Embedded) Close(ctx context.Context) error {
	e.closeOnce.Do(func() {
		e.stop()
		<-e.supervised
		e.closeErr = errors.Join(e.child.end(ctx, e.socket), e.release())
		e.logger.InfoContext(ctx, "embedded server stopped")
	})
	return e.closeErr
}

func (e *Embedded) release() error {
	return errors.Join(e.files.removeSocket(), e.lock.Truncate(0), e.lock.Close())
}

// supervise starts the server again whenever it dies.
func (e *Embedded) supervise(ctx context.Context) {
	defer close(e.supervised)
	pause := restartPause
	for {
		started := time.Now()
		select {
		case <-e.child.exited:
		case <-ctx.Done():
			return
		}
		e.logger.ErrorContext(ctx, "embedded server died, starting it again", "error", e.child.failure())
		if time.Since(started) > time.Minute {
			pause = restartPause
		}
		for {
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, maxRestartPause)
			child, err := e.start(ctx)
			if err == nil {
				e.child = child
				e.logger.InfoContext(ctx, "embedded server started again", "pid", child.cmd.Process.Pid)
				break
			}
			if ctx.Err() == nil {
				e.logger.ErrorContext(ctx, "embedded server does not start", "error", err)
			}
		}
	}
}

// start runs a server, waits until it answers and sets the program user up. On an error nothing runs.
func (e *Embedded) start(ctx context.Context) (*child, error) {
	c := &child{exited: make(chan struct{}), log: serverLog{logger: e.logger}}
	c.cmd = exec.Command(e.binary,
		"--port", "0", "--unixsocket", e.socket, "--unixsocketperm", "700",
		"--dir", e.files.dir, "--pidfile", e.files.pid, "--daemonize", "no", "--always-show-logo", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
	c.cmd.Env = []string{} // ours holds secrets
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	c.cmd.WaitDelay = time.Second // a child of its own may hold the pipe of the log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	if err := c.await(ctx, e.socket, startTimeout, func(string) bool { return true }); err != nil {
		return nil, c.abort(err)
	}
	reply, err := rawCommand(ctx, e.socket, programUserCommand(e.secret, e.prefix)...)
	if err == nil && reply != "+OK" {
		err = errors.New(reply)
	}
	if err != nil {
		return nil, c.abort(fmt.Errorf("set up the user for programs: %w", err))
	}
	// It answers before it has found out whether it can read its files.
	if err := c.await(ctx, e.socket, loadTimeout, isReady); err != nil && !errors.Is(err, errNotYet) {
		return nil, c.abort(err)
	}
	return c, nil
}

// child is one run of the server.
type child struct {
	cmd    *exec.Cmd
	log    serverLog
	err    error         // of Wait, once exited is closed
	exited chan struct{} // closed when it has ended
}

// errNotYet is when a child takes longer than it is waited for.
var errNotYet = errors.New("the server does not answer")

// await waits until the reply to PING is as it should be.
func (c *child) await(ctx context.Context, socket string, limit time.Duration, good func(reply string) bool) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		reply, err := rawCommand(limited, socket, "PING")
		if err == nil && good(reply) {
			return nil
		}
		select {
		case <-c.exited:
			return c.failure()
		case <-time.After(10 * time.Millisecond):
		case <-limited.Done():
			return cmp.Or(ctx.Err(), errNotYet)
		}
	}
}

func isReady(pingReply string) bool { return pingReply == "+PONG" }

// failure says how it ended, with the last of its log. It has ended.
func (c *child) failure() error {
	<-c.exited
	return fmt.Errorf("%s ended (%w): %s", filepath.Base(c.cmd.Path), cmp.Or(c.err, errors.New("exit status 0")), c.log.last())
}

// abort ends it after an error. Where that comes from its own end, what it said about that is returned.
func (c *child) abort(err error) error {
	select {
	case <-c.exited:
		err = c.failure()
	case <-time.After(time.Second):
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
	return fmt.Errorf("embedded server: %w", err)
}

// end asks it to end, ever less politely, and waits until it has.
func (c *child) end(ctx context.Context, socket string) error {
	steps := []struct {
		do   func()
		wait time.Duration
	}{
		{func() { _, _ = rawCommand(ctx, socket, "SHUTDOWN", "NOSAVE") }, shutdownTimeout},
		{func() { _ = c.cmd.Process.Signal(syscall.SIGTERM) }, sigtermTimeout},
	}
	for _, step := range steps {
		go step.do()
		select {
		case <-c.exited:
			return nil
		case <-time.After(step.wait):
		case <-ctx.Done():
		}
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	return errors.New("the embedded server did not end when asked and was killed")
}

// findServer finds a server program on PATH.
func findServer() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no redis-server or valkey-server on PATH: install one (Debian, Ubuntu: apt install redis-server; " +
		"Fedora: dnf install valkey; macOS: brew install redis), or use a server that runs already with --redis-url redis://host:port")
}

// rawCommand sends one command to a server and returns the first line of the reply, be it an error of the
// server. SHUTDOWN has no reply: it gives io.EOF when the server has ended.
func rawCommand(ctx context.Context, socket string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func socketURL(path string) string {
	return "unix://" + (&url.URL{Path: path}).EscapedPath()
}

// sleep returns false as soon as the context ends.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// serverLog passes the lines that the server writes on to the log, and keeps the last of them. What the
// server calls a warning includes its every start and end, so that it is Info here; all else is Debug.
type serverLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	part   []byte   // a line of which the end hasn't come
	lines  []string // the last ones
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		line, rest, ok := strings.Cut(string(l.part), "\n")
		if !ok && len(l.part) < 4096 {
			return len(p), nil
		}
		l.part = []byte(rest)
		l.line(strings.TrimSpace(line))
	}
}

func (l *serverLog) line(line string) {
	if line == "" {
		return
	}
	level := slog.LevelDebug
	// 1234:M 31 Jan 2026 10:00:00.000 # text
	if f := strings.SplitN(line, " ", 7); len(f) == 7 && len(f[5]) == 1 {
		line = f[6]
		if f[5] == "#" {
			level = slog.LevelInfo
		}
	}
	l.logger.Log(context.Background(), level, "embedded server", "line", line)
	l.lines = append(l.lines, line)
	if len(l.lines) > 3 {
		l.lines = l.lines[1:]
	}
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strconv.Quote(strings.Join(l.lines, " | "))
}
