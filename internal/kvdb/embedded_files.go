package kvdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// embeddedFiles are the files of the embedded server in a data directory.
type embeddedFiles struct {
	dataDir string
	lock    string // held by the process that runs the server, whose PID it has
	dir     string // of the server
	pid     string // written by the server
	socket  string // of the server, where its path is short enough
	moved   string // has the path of the socket where it is elsewhere
}

func filesOf(dataDir string) embeddedFiles {
	dir := filepath.Join(dataDir, "redis")
	return embeddedFiles{
		dataDir: dataDir, lock: filepath.Join(dataDir, "lock"), dir: dir, pid: filepath.Join(dir, "redis.pid"),
		socket: filepath.Join(dir, "redis.sock"), moved: filepath.Join(dir, "socket"),
	}
}

// maxSocketPath is what the system takes as the path of a socket: 107 bytes on Linux, 103 elsewhere.
func maxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// acquire takes the lock on the data directory, which ends with the process, however that ends.
func (f embeddedFiles) acquire(ctx context.Context) (*os.File, error) {
	file, err := os.OpenFile(f.lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// AttachEmbedded of another process holds the lock for a moment to see whether it is free.
	for attempt := 0; ; attempt++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("data directory: lock %s: %w", f.lock, err)
		}
		if attempt == 5 || !sleep(ctx, 50*time.Millisecond) {
			pid, _ := io.ReadAll(io.LimitReader(file, 20))
			file.Close()
			return nil, fmt.Errorf("another webadmin is running on %s (pid %s)", f.dataDir, strings.TrimSpace(string(pid)))
		}
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return file, nil
}

// locked says whether a process holds the lock.
func (f embeddedFiles) locked() bool {
	file, err := os.Open(f.lock)
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// currentSocket is where the server listens, or did last.
func (f embeddedFiles) currentSocket() string {
	if path, err := os.ReadFile(f.moved); err == nil && filepath.IsAbs(string(path)) {
		return string(path)
	}
	return f.socket
}

// placeSocket finds a place for the socket: in the data directory, or where the path would be too long, in a
// new private directory, which it notes in the data directory.
func (f embeddedFiles) placeSocket() (string, error) {
	if err := f.removeSocket(); err != nil {
		return "", err
	}
	if len(f.socket) <= maxSocketPath() {
		return f.socket, nil
	}
	dir, err := os.MkdirTemp("", "webadmin")
	if err != nil {
		return "", fmt.Errorf("socket of the embedded server: %w", err)
	}
	path := filepath.Join(dir, "redis.sock")
	if len(path) > maxSocketPath() {
		return "", errors.Join(fmt.Errorf("both the data directory %s and the directory for temporary files %s have paths too long for a socket",
			f.dataDir, os.TempDir()), os.Remove(dir))
	}
	if err := os.WriteFile(f.moved, []byte(path), 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("socket of the embedded server: %w", err), os.Remove(dir))
	}
	return path, nil
}

// removeSocket removes what placeSocket made. The server itself removes its socket, unless it was killed.
func (f embeddedFiles) removeSocket() error {
	path := f.currentSocket()
	err := remove(path)
	if path != f.socket {
		err = errors.Join(err, remove(filepath.Dir(path)), remove(f.moved))
	}
	return err
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// endLeftover ends a server that a killed process left behind: two servers must never write to the same
// files. We hold the lock, so it is nobody's. It is asked over its socket; one that doesn't react gets a
// signal, where it is certain that the process is the server of this directory.
func (f embeddedFiles) endLeftover(ctx context.Context, logger *slog.Logger) error {
	socket := f.currentSocket()
	if listening(socket) {
		logger.WarnContext(ctx, "ending an embedded server that an earlier run left behind", "dir", f.dir)
		ping, cancel := context.WithTimeout(ctx, time.Second)
		if _, err := rawCommand(ping, socket, "PING"); err == nil {
			_, _ = rawCommand(ctx, socket, "SHUTDOWN", "NOSAVE")
		}
		cancel()
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		pid := f.leftoverPID()
		if pid == 0 && !listening(socket) {
			return nil
		}
		if pid != 0 {
			logger.WarnContext(ctx, "ending an embedded server that an earlier run left behind", "dir", f.dir, "pid", pid, "signal", sig.String())
			_ = syscall.Kill(pid, sig)
		}
		for deadline := time.Now().Add(sigtermTimeout); time.Now().Before(deadline); {
			if f.leftoverPID() == 0 && !listening(socket) {
				return nil
			}
			if !sleep(ctx, 20*time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	pid, _ := os.ReadFile(f.pid)
	return fmt.Errorf("an embedded server that an earlier run left behind in %s does not end (pid %s): end it by hand",
		f.dir, strings.TrimSpace(string(pid)))
}

func listening(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// leftoverPID is the process of the server's PID file, 0 if it has ended. A number alone may be that of
// another process by now, so its working directory must be the server's: Linux tells, elsewhere it is 0.
func (f embeddedFiles) leftoverPID() int {
	text, err := os.ReadFile(f.pid)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0
	}
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return 0
	}
	ours, err := filepath.EvalSymlinks(f.dir)
	if err != nil || cwd != ours {
		return 0
	}
	return pid
}
