package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

// asProgram makes this test binary be the program, for tests that need a process of its own.
const asProgram = "RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	kvtest.Main(m)
}

const (
	testPassword = "correct horse battery staple"
	patience     = 30 * time.Second // for what takes milliseconds on a machine that is not busy
)

// result is what a run of a command gave.
type result struct {
	code           int
	stdout, stderr string
}

// runIn runs a command in this process, with a data directory of its own unless args name one.
func runIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code := run(ctx, args, process{
		environ:  []string{"WEBADMIN_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "WEBADMIN_SESSION_KEY=" + longKey},
		readFile: os.ReadFile,
		stdin:    strings.NewReader(stdin),
		stdout:   &stdout,
		stderr:   &stderr,
		now:      time.Now,
	})
	return result{code, stdout.String(), stderr.String()}
}

// server is "webadmin serve" as a process.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    output
	exited chan struct{}
	code   int // once exited is closed
	URL    string
}

// startServe starts serve on a free port; the test ends it. It does not wait for it.
func startServe(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, exited: make(chan struct{})}
	s.out.more = make(chan struct{}, 1)
	s.cmd = exec.Command(os.Args[0], append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"}, args...)...)
	s.cmd.Env = append(os.Environ(), asProgram+"=1", "WEBADMIN_ADMIN_PASSWORD="+testPassword)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var exit *exec.ExitError
		if err := s.cmd.Wait(); errors.As(err, &exit) {
			s.code = exit.ExitCode()
		} else if err != nil {
			s.code = -1
		}
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log of serve:\n%s", s.out.String())
		}
	})
	return s
}

// serving starts serve and waits until it listens.
func serving(t *testing.T, args ...string) *server {
	t.Helper()
	s := startServe(t, args...)
	line := s.logged("listening")
	s.URL, _ = line["url"].(string)
	if s.URL == "" {
		t.Fatalf("no URL in %v", line)
	}
	return s
}

// logged waits for a line of the log with this message.
func (s *server) logged(msg string) map[string]any {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		if line := s.out.line(msg); line != nil {
			return line
		}
		select {
		case <-s.out.more:
		case <-s.exited:
			if line := s.out.line(msg); line != nil {
				return line
			}
			s.t.Fatalf("serve ended with code %d and never logged %q:\n%s", s.code, msg, s.out.String())
		case <-deadline:
			s.t.Fatalf("serve has not logged %q:\n%s", msg, s.out.String())
		}
	}
}

// wait waits for the end of the process and returns its code.
func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.exited:
		return s.code
	case <-time.After(patience):
		s.t.Fatalf("serve has not ended:\n%s", s.out.String())
		return -1
	}
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends the process as a supervisor would, and by force if that takes too long.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.t.Error("serve had to be killed")
	}
}

// call makes a request, with a bearer token unless that is empty.
func (s *server) call(method, path, token, body string) (status int, answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// until polls a path until it answers with the status.
func (s *server) until(path string, want int) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		got, answer := s.call("GET", path, "", "")
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s answers %d %s, want %d", path, got, answer, want)
		}
	}
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// line finds a line of the log by its message.
func (o *output) line(msg string) map[string]any {
	for text := range strings.Lines(o.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == msg {
			return line
		}
	}
	return nil
}
