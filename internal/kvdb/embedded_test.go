package kvdb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func startEmbedded(t *testing.T, dir string) *kvdb.Embedded {
	t.Helper()
	e, err := kvdb.StartEmbedded(t.Context(), kvdb.EmbeddedConfig{DataDir: dir})
	must(t, err)
	t.Cleanup(func() { closeEmbedded(t, e) })
	return e
}

func closeEmbedded(t *testing.T, e *kvdb.Embedded) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// embeddedPID is that of the server on a data directory.
func embeddedPID(t *testing.T, dir string) int {
	t.Helper()
	var pid int
	await(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "redis", "redis.pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	return pid
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := t.Context()
	if url, ok := kvdb.AttachEmbedded(dir); ok {
		t.Errorf("attached to %s, where there is nothing", url)
	}

	e := startEmbedded(t, dir)
	must(t, e.Ready(ctx))
	db := open(t, e.URL())
	must(t, kvdb.EnsureSchema(ctx, db))
	config := db.Client().ConfigGet(ctx, "append*").Val()
	if config["appendonly"] != "yes" || config["appendfsync"] != "always" {
		t.Errorf("its configuration is %v", config)
	}
	if url, ok := kvdb.AttachEmbedded(dir); !ok || url != e.URL() {
		t.Errorf("attached to %s (%v), want %s", url, ok, e.URL())
	}
	if mode := must2(os.Stat(filepath.Join(dir, "redis"))).Mode().Perm(); mode != 0o700 {
		t.Errorf("the directory of the socket has the mode %v", mode)
	}

	// One process at a time.
	_, err := kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: dir})
	if want := fmt.Sprintf("another webadmin is running on %s (pid %d)", dir, os.Getpid()); err == nil || err.Error() != want {
		t.Errorf("second start: %v, want %s", err, want)
	}

	// What was confirmed is there when the server was killed, and the server again by itself.
	old := embeddedPID(t, dir)
	must(t, db.Client().Set(ctx, "k", "v", 0).Err())
	must(t, syscall.Kill(old, syscall.SIGKILL))
	await(t, func() bool { return db.Client().Get(ctx, "k").Val() == "v" })
	if embeddedPID(t, dir) == old {
		t.Error("it is the same process")
	}
	user, password := e.ProgramUser()
	await(t, func() bool { return userCan(t, e, user, password, "PING") == nil })

	// Close and start again.
	closeEmbedded(t, e)
	if _, ok := kvdb.AttachEmbedded(dir); ok {
		t.Error("attached to what was closed")
	}
	if h := db.Health(ctx); h.Status != kvdb.StatusAway {
		t.Errorf("%+v", h)
	}
	again := startEmbedded(t, dir)
	if got := open(t, again.URL()).Client().Get(ctx, "k").Val(); got != "v" {
		t.Errorf("after a restart the value is %q", got)
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestEmbeddedInALongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30), "a b#?%c")
	e := startEmbedded(t, dir)
	db := open(t, e.URL())
	must(t, db.Client().Set(t.Context(), "k", "v", 0).Err())
	url, ok := kvdb.AttachEmbedded(dir)
	if !ok || url != e.URL() {
		t.Errorf("attached to %s (%v), want %s", url, ok, e.URL())
	}
	socket := strings.TrimPrefix(e.URL(), "unix://")
	if mode := must2(os.Stat(filepath.Dir(socket))).Mode().Perm(); mode != 0o700 || len(socket) > 107 {
		t.Errorf("the directory of %s has the mode %v", socket, mode)
	}
	closeEmbedded(t, e)
	if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the socket is still there: %v", err)
	}
	again := startEmbedded(t, dir)
	if got := open(t, again.URL()).Client().Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("after a restart the value is %q", got)
	}
}

// TestEmbeddedClosesWhatHangs: a stopped server and one that a script blocks end all the same.
func TestEmbeddedClosesWhatHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := kvdb.StartEmbedded(t.Context(), kvdb.EmbeddedConfig{DataDir: dir})
	must(t, err)
	db := open(t, e.URL())
	must(t, db.Client().ConfigSet(t.Context(), "lua-time-limit", "1").Err())
	go db.Client().Eval(t.Context(), "redis.call('SET', KEYS[1], 'v') while true do end", []string{"k"})
	awaitHealth(t, db, kvdb.StatusBusy)
	closeEmbedded(t, e)

	e, err = kvdb.StartEmbedded(t.Context(), kvdb.EmbeddedConfig{DataDir: dir})
	must(t, err)
	must(t, syscall.Kill(embeddedPID(t, dir), syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("closing a stopped server: %v", err)
	}
	startEmbedded(t, dir)
}

// TestEmbeddedLeftover kills a process that runs a server, and starts on the same directory.
func TestEmbeddedLeftover(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"well", "stopped", "without its socket"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			serve := exec.Command(must2(os.Executable()))
			serve.Env = append(os.Environ(), serveEnv+"="+dir)
			out, err := serve.StdoutPipe()
			must(t, err)
			must(t, serve.Start())
			url := make([]byte, 4096)
			n, err := out.Read(url)
			must(t, err)
			db := open(t, string(url[:n]))
			must(t, db.Client().Set(t.Context(), "k", "v", 0).Err())
			pid := embeddedPID(t, dir)
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			must(t, serve.Process.Kill())
			_ = serve.Wait()
			must(t, db.Client().Ping(t.Context()).Err()) // it lives on
			if _, ok := kvdb.AttachEmbedded(dir); ok {
				t.Error("attached to a server that nobody runs")
			}
			switch state {
			case "stopped":
				must(t, syscall.Kill(pid, syscall.SIGSTOP))
			case "without its socket":
				must(t, os.Remove(filepath.Join(dir, "redis", "redis.sock")))
			}

			e := startEmbedded(t, dir)
			if got := open(t, e.URL()).Client().Get(t.Context(), "k").Val(); got != "v" {
				t.Errorf("the value is %q", got)
			}
			if now := embeddedPID(t, dir); now == pid {
				t.Error("it is the same server")
			}
			await(t, func() bool { return !alive(pid) })
		})
	}
}

// alive says whether a process runs, and isn't only waiting to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) && syscall.Kill(pid, 0) == nil
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return rest[0] != 'Z'
}

// serveEnv has the test binary run an embedded server on a directory, write its URL and wait to be killed.
const serveEnv = "KVDB_TEST_SERVE"

func serve(dir string) {
	e, err := kvdb.StartEmbedded(context.Background(), kvdb.EmbeddedConfig{DataDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(e.URL())
	select {}
}

// TestEmbeddedErrors are those that people can do something about.
func TestEmbeddedErrors(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()

	// A file that the server can't read; its own words are in the error. The lock is given back.
	e, err := kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: dir})
	must(t, err)
	must(t, open(t, e.URL()).Client().Set(ctx, "k", "v", 0).Err())
	closeEmbedded(t, e)
	files := must2(filepath.Glob(filepath.Join(dir, "redis", "appendonlydir", "*.incr.aof")))
	if len(files) != 1 { // before Redis 7
		files = []string{filepath.Join(dir, "redis", "appendonly.aof")}
	}
	good := must2(os.ReadFile(files[0]))
	must(t, os.WriteFile(files[0], []byte("*1\r\n$3\r\nXXX\r\n"), 0o600))
	for range 2 {
		_, err = kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: dir})
		if err == nil || !strings.Contains(err.Error(), "redis-server ended") || !strings.Contains(err.Error(), "XXX") {
			t.Errorf("bad file: %v", err)
		}
	}
	must(t, os.WriteFile(files[0], good, 0o600))
	startEmbedded(t, dir)

	// A context that ends while it starts.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := kvdb.StartEmbedded(ended, kvdb.EmbeddedConfig{DataDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}

	// A directory that can't be made.
	if _, err := kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: "/dev/null/x"}); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("bad directory: %v", err)
	}

	t.Setenv("PATH", t.TempDir())
	_, err = kvdb.StartEmbedded(ctx, kvdb.EmbeddedConfig{DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "apt install redis-server") || !strings.Contains(err.Error(), "--redis-url") {
		t.Errorf("no program: %v", err)
	}
}

// TestEmbeddedKeepsDying: the server ends at each start; Close is at once, and the log says what happens.
func TestEmbeddedKeepsDying(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log lockedBuffer
	e, err := kvdb.StartEmbedded(t.Context(), kvdb.EmbeddedConfig{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	pid := embeddedPID(t, dir)
	// A directory in place of the socket, which it can't remove.
	socket := filepath.Join(dir, "redis", "redis.sock")
	must(t, os.Remove(socket))
	must(t, os.MkdirAll(filepath.Join(socket, "x"), 0o700))
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	await(t, func() bool { return strings.Count(log.String(), "embedded server does not start") >= 2 })
	must(t, os.RemoveAll(socket))
	await(t, func() bool { return strings.Contains(log.String(), "embedded server started again") })
	must(t, open(t, e.URL()).Client().Ping(t.Context()).Err())
	closeEmbedded(t, e)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// userCan runs a command as a user of the embedded server.
func userCan(t *testing.T, e *kvdb.Embedded, user, password string, args ...any) error {
	t.Helper()
	db := open(t, strings.Replace(e.URL(), "unix://", "unix://"+user+":"+password+"@", 1))
	err := db.Client().Do(t.Context(), args...).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func TestProgramUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := kvdb.StartEmbedded(t.Context(), kvdb.EmbeddedConfig{DataDir: dir, Prefix: "app:"})
	must(t, err)
	defer closeEmbedded(t, e)
	user, password := e.ProgramUser()
	script := func(key string) []any { return []any{"EVAL", "return redis.call('SET', '" + key + "', 'v')", "0"} }
	tests := []struct {
		args []any
		may  bool
	}{
		{[]any{"PING"}, true},
		{[]any{"SET", "k", "v"}, true},
		{[]any{"SET", "", "v"}, true},
		{[]any{"SET", "a", "v"}, true},
		{[]any{"SET", "app", "v"}, true},
		{[]any{"SET", "apple:x", "v"}, true},
		{[]any{"SET", "ap:", "v"}, true},
		{[]any{"SET", "xapp:", "v"}, true},
		{[]any{"SET", "APP:x", "v"}, true},
		{[]any{"SET", "*", "v"}, true},
		{[]any{"SET", "\x00\xff", "v"}, true},
		{[]any{"SET", "app:", "v"}, false},
		{[]any{"SET", "app:x", "v"}, false},
		{[]any{"GET", "app:{dict}:map"}, false},
		{[]any{"MGET", "k", "app:x"}, false},
		{[]any{"RENAME", "k", "app:x"}, false},
		{[]any{"PUBLISH", "channel", "text"}, true},
		{script("k2"), true},
		{script("app:x"), false},
		{[]any{"EVAL", "return redis.call('FLUSHALL')", "0"}, false},
		{[]any{"FLUSHALL"}, false},
		{[]any{"CONFIG", "GET", "*"}, false},
		{[]any{"KEYS", "*"}, false},
		{[]any{"SHUTDOWN"}, false},
		{[]any{"ACL", "LIST"}, false},
	}
	for _, tt := range tests {
		if err := userCan(t, e, user, password, tt.args...); (err == nil) != tt.may {
			t.Errorf("%q: %v", tt.args, err)
		}
	}
	if err := userCan(t, e, user, "guess", "PING"); err == nil {
		t.Error("any password will do")
	}
}

// TestKeysOutside compares with what the server makes of the patterns.
func TestKeysOutside(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	admin := srv.DB(t).Client()
	ctx := t.Context()
	for i, prefix := range []string{"kvdb:", "a", `[\]*?^-`, "é:", "t.1:", "aaa"} {
		name := "u" + strconv.Itoa(i)
		args := []any{"ACL", "SETUSER", name, "on", ">x", "+get"}
		for _, pattern := range kvdb.KeysOutside(prefix) {
			args = append(args, "~"+pattern)
		}
		must(t, admin.Do(ctx, args...).Err())
		user := open(t, strings.Replace(srv.URL(), "unix://", "unix://"+name+":x@", 1)).Client()
		keys := []string{"", "x", "*", prefix, prefix + "x", "x" + prefix, strings.ToUpper(prefix)}
		for n := range len(prefix) {
			keys = append(keys, prefix[:n], prefix[:n]+"\x00", prefix[:n]+"]x", prefix[:n]+`\`)
		}
		for _, key := range keys {
			err := user.Get(ctx, key).Err()
			if may := errors.Is(err, redis.Nil); may == strings.HasPrefix(key, prefix) {
				t.Errorf("prefix %q: the key %q: %v", prefix, key, err)
			}
		}
	}
}
