package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that is started, killed, stopped and started again under one name.
type process struct {
	name string
	path string
	args []string
	env  []string
	w    *world

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	code   int
	lives  []life
}

// life is one run of a process.
type life struct {
	from, to time.Time // to is zero while it lives
	how      string    // killed, stopped, or by itself
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.w.dir, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), p.env...), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: p.w.pgid}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.lives = append(p.lives, life{from: time.Now(), how: "by itself"})
	p.exited = make(chan struct{})
	go p.await(p.cmd, p.exited, len(p.lives)-1)
	return nil
}

func (p *process) await(cmd *exec.Cmd, exited chan struct{}, n int) {
	_ = cmd.Wait() // its code says it
	p.mu.Lock()
	p.lives[n].to, p.code = time.Now(), cmd.ProcessState.ExitCode()
	p.mu.Unlock()
	close(exited)
}

// signal sends a signal; how says what the end of this life is called if it ends it.
func (p *process) signal(s syscall.Signal, how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if how != "" {
		p.lives[len(p.lives)-1].how = how
	}
	_ = p.cmd.Process.Signal(s) // it may have ended
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL, "killed")
	<-p.exited
}

// stop asks it to end, and returns its exit code; an error when it took longer than that.
func (p *process) stop(patience time.Duration) (code int, err error) {
	p.signal(syscall.SIGTERM, "stopped")
	select {
	case <-p.exited:
		return p.code, nil
	case <-time.After(patience):
		return -1, fmt.Errorf("%s does not stop within %s", p.name, patience)
	}
}

func (p *process) pause()  { p.signal(syscall.SIGSTOP, "") }
func (p *process) resume() { p.signal(syscall.SIGCONT, "") }

// life is the number of the run that is, from 1.
func (p *process) life() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lives)
}

func (p *process) history() []life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]life(nil), p.lives...)
}

// marked are the processes that have a text in their environment, which children inherit.
func marked(mark string) (pids []string) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && strings.Contains(string(env), mark) {
			name, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			pids = append(pids, filepath.Base(dir)+" "+strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return pids
}

// freePorts finds n ports that are free, below those that the system gives to connections, together with those 10000 above, which
// are for the bus of a cluster.
func freePorts(w *world, n int) ([]string, error) {
	var ports []string
	for range 1000 {
		port := 12000 + w.rnd.IntN(10000)
		if free(port) && free(port+10000) && !w.taken[port] {
			w.taken[port] = true
			ports = append(ports, strconv.Itoa(port))
		}
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// until tries again until it works, for some time.
func until(patience time.Duration, f func() error) (err error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); ; <-again.C {
		if err = f(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
