package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
)

const (
	password   = "bench password of nobody"
	sessionKey = "0123456789abcdef0123456789abcdef"
)

// bench holds the servers of a run. Each part starts what it needs.
type bench struct {
	bin    string
	rows   int
	report string // the file that it is written to; "" = none
	missed int

	figures []figure // of the part that runs

	dir    string
	socket string
	tcp    string    // another address of the same server
	server *exec.Cmd // redis-server
	rdb    *redis.Client
	app    *app
	bare   *exec.Cmd
	procs  []*exec.Cmd
	filled bool
}

// app is a webadmin with a signed-in browser and a token.
type app struct {
	cmd   *exec.Cmd
	url   string
	token string
	web   *http.Client
}

func (b *bench) close() {
	if b.rdb != nil {
		_ = b.rdb.Close()
	}
	for i := len(b.procs) - 1; i >= 0; i-- {
		_ = b.procs[i].Process.Signal(syscall.SIGTERM)
		_ = b.procs[i].Wait()
	}
	_ = os.RemoveAll(b.dir)
}

// redis starts a redis-server without persistence, which both sides use.
func (b *bench) redis() error {
	if b.rdb != nil {
		return nil
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	b.socket = filepath.Join(b.dir, "redis.sock")
	if b.tcp, err = freePort(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(b.tcp, ":")
	b.server = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--unixsocket", b.socket, "--save", "", "--appendonly", "no",
		"--dir", b.dir, "--enable-debug-command", "local")
	if err := b.server.Start(); err != nil {
		return err
	}
	b.procs = append(b.procs, b.server)
	b.rdb = redis.NewClient(&redis.Options{Network: "unix", Addr: b.socket, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	return until(func() error { return b.rdb.Ping(context.Background()).Err() })
}

func until(f func() error) (err error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(15 * time.Second); ; <-again.C {
		if err = f(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// start starts the product under a key prefix of its own. more are flags that win over those that it has else.
func (b *bench) start(prefix string, more ...string) (*app, error) {
	if err := b.redis(); err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	flags := []string{"--redis-url", "unix://" + b.socket, "--key-prefix", prefix, "--data-dir", filepath.Join(b.dir, "data-"+strings.Trim(prefix, ":"))}
	flags = append(flags, more...)
	env := append(os.Environ(), "WEBADMIN_ADMIN_PASSWORD="+password, "WEBADMIN_SESSION_KEY="+sessionKey)
	log, err := os.Create(filepath.Join(b.dir, "log-"+strings.Trim(prefix, ":")))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.bin, append([]string{"serve", "--listen", addr, "--log-format", "json"}, flags...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.procs = append(b.procs, cmd)
	a := &app{cmd: cmd, url: "http://" + addr}
	if err := until(func() error { return expect(http.Get(a.url + "/readyz")) }); err != nil {
		return nil, err
	}
	make := exec.Command(b.bin, append([]string{"token", "create", "--name", "bench", "--role", "admin"}, flags...)...)
	make.Env = env
	out, err := make.Output()
	if err != nil {
		return nil, fmt.Errorf("token create: %w", err)
	}
	a.token = strings.TrimSpace(string(out))
	jar, _ := cookiejar.New(nil)
	a.web = &http.Client{Jar: jar}
	return a, expect(a.web.PostForm(a.url+"/login", url.Values{"username": {"admin"}, "password": {password}}))
}

func expect(r *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", r.Request.Method, r.Request.URL, r.Status, body)
	}
	return err
}

// main is the app with the store that import fills.
func (b *bench) main() (*app, error) {
	if b.app != nil {
		return b.app, nil
	}
	var err error
	b.app, err = b.start("kvdb:")
	return b.app, err
}

// serveBare is what translate and runs of programs are compared with: an echo handler that does one HGET, or one EVALSHA.
func serveBare(args string) error {
	addr, socket, ok := strings.Cut(args, ",")
	if !ok {
		return errors.New("want address,socket")
	}
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1, ContextTimeoutEnabled: true})
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.POST("/translate", func(c echo.Context) error {
		var q struct{ System1, Key1, Value1, System2, Key2 string }
		if err := c.Bind(&q); err != nil {
			return err
		}
		value2, err := rdb.HGet(c.Request().Context(), "bare:"+q.System1+"/"+q.Key1+"/"+q.System2+"/"+q.Key2, q.Value1).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{"value2": value2, "found": err == nil})
	})
	sha, err := rdb.ScriptLoad(context.Background(), smallProgram).Result()
	if err != nil {
		return err
	}
	e.POST("/run", func(c echo.Context) error {
		var q struct{ Keys, Values []string }
		if err := c.Bind(&q); err != nil {
			return err
		}
		args := make([]any, len(q.Values))
		for i, v := range q.Values {
			args[i] = v
		}
		result, err := rdb.EvalSha(c.Request().Context(), sha, q.Keys, args...).Result()
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]any{"type": "bulk", "result": result})
	})
	return e.Start(addr)
}

// cpu is the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// memory is a field of /proc/pid/status, in MiB.
func memory(pid int, field string) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no " + field)
}
