package kvtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/kvdb"
)

// Server is a server of one test, to be paused and killed.
type Server struct {
	// Args are those of redis-server; a change holds from the next Restart.
	Args []string
	t    testing.TB
	p    *process
}

// NewServer starts a redis-server on a Unix socket, with more arguments where a test needs them: options
// ("--appendonly", "yes"), before which the path of a configuration file may stand. By default it keeps
// nothing on disk. It is killed at the end of the test.
func NewServer(t testing.TB, args ...string) *Server {
	t.Helper()
	needMain(t)
	s := &Server{t: t}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		s.Args, args = append(s.Args, args[0]), args[1:]
	}
	s.Args = append(append(s.Args, "--port", "0", "--save", ""), args...)
	p, err := start("server"+strconv.FormatInt(bin.count.Add(1), 10), s.Args)
	s.p = p
	if p != nil && p.cmd.Process != nil {
		t.Cleanup(s.Kill)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// URL is that of its socket.
func (s *Server) URL() string { return s.p.url() }

// Dir is its data directory.
func (s *Server) Dir() string { return s.p.dir }

// PID is that of its process.
func (s *Server) PID() int { return s.p.cmd.Process.Pid }

// DB opens the server under a prefix of its own; the test closes it.
func (s *Server) DB(t testing.TB) *kvdb.DB {
	t.Helper()
	return open(t, s.URL(), prefix())
}

// Pause stops the process (SIGSTOP): connections stay and nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Kill ends it at once (SIGKILL), and waits for that. It may be dead already.
func (s *Server) Kill() {
	_ = s.p.cmd.Process.Kill()
	<-s.p.exited
}

// Restart starts it again in the same directory, after a Kill where it still ran. What it had is there again
// if Args had it write an append-only file. It answers when Restart returns, be it with LOADING.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.p.run(s.Args); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.p.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// await returns when the server answers, or with its log if it ends or takes over 10 s.
func (p *process) await() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, err := call(p.socket(), "PING"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("redis-server ended at its start:\n%s", p.log())
		case <-deadline:
			return fmt.Errorf("redis-server does not answer:\n%s", p.log())
		}
	}
}

// call sends one command to a socket and returns the reply: a text, or the line of any other kind, which may
// be an error of the server.
func call(socket, command string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	size, isText := strings.CutPrefix(line, "$")
	if err != nil || !isText {
		return line, err
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return "", err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(r, text)
	return string(text), err
}
