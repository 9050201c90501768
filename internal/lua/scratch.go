package lua

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// What is copied for a try.
const (
	scratchIdle     = 60 * time.Second // after which the server is ended
	scratchStart    = 5 * time.Second
	scratchRounds   = 5 // of a program that each time uses keys which it didn't before
	maxScratchKeys  = 1000
	maxScratchKey   = 16 << 20 // bytes of memory of one key
	maxScratchTotal = 64 << 20
	scratchChunk    = 100
)

// scratch is a server of our own, in which programs run on copies where the target has no fork to offer. It is started when it
// is needed. Its zero value is ready.
type scratch struct {
	once  sync.Once
	turn  chan struct{} // holds a token: who has it uses the server
	timer *time.Timer
	srv   *scratchServer
	ended bool // for good
}

func (b *scratch) init() {
	b.once.Do(func() {
		b.turn = make(chan struct{}, 1)
		b.turn <- struct{}{}
	})
}

// take returns the server, for this caller only, until give. *noForkError, and that of ctx.
func (b *scratch) take(ctx context.Context) (*scratchServer, error) {
	b.init()
	select {
	case <-b.turn:
	case <-ctx.Done():
		return nil, kvdb.ReadErr("scratch server", ctx.Err())
	}
	err := b.ready(ctx)
	if err != nil {
		b.turn <- struct{}{}
		return nil, err
	}
	return b.srv, nil
}

func (b *scratch) ready(ctx context.Context) error {
	if b.ended {
		return kvdb.NotDone("scratch server", "This program is shutting down. Try again when it is back.")
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.srv != nil {
		select {
		case <-b.srv.exited:
			b.srv.end()
			b.srv = nil
		default:
			return nil
		}
	}
	srv, err := startScratch(ctx)
	if err != nil {
		return &noForkError{"No server could be started for a copy: " + err.Error() + "."}
	}
	b.srv = srv
	return nil
}

// give takes the server back.
func (b *scratch) give() {
	b.timer = time.AfterFunc(scratchIdle, func() {
		select {
		case <-b.turn:
			b.stop()
			b.turn <- struct{}{}
		default: // somebody uses it
		}
	})
	b.turn <- struct{}{}
}

func (b *scratch) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.srv != nil {
		b.srv.end()
		b.srv = nil
	}
}

// close ends the server for good. If it is still used when ctx ends, it ends with this process.
func (b *scratch) close(ctx context.Context) {
	b.init()
	select {
	case <-b.turn:
	default:
		select {
		case <-b.turn:
		case <-ctx.Done():
			return
		}
	}
	b.stop()
	b.ended = true
	b.turn <- struct{}{}
}

// scratchServer is the process.
type scratchServer struct {
	dir    string
	db     *kvdb.DB // its programs run as a user who may do nothing that a program user may not
	free   *kvdb.DB // and here as one who may do all but reach out
	cmd    *exec.Cmd
	exited chan struct{}
}

// startScratch starts a server that listens on a socket in a private directory, and keeps nothing on disk.
func startScratch(ctx context.Context) (_ *scratchServer, err error) {
	binary := ""
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		return nil, errors.New("there is no redis-server here")
	}
	dir, err := os.MkdirTemp("", "webadmin-scratch")
	if err != nil {
		return nil, err
	}
	srv := &scratchServer{dir: dir, exited: make(chan struct{})}
	socket := filepath.Join(dir, "s")
	srv.cmd = exec.Command(binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir, "--save", "",
		"--appendonly", "no", "--daemonize", "no", "--logfile", "/dev/null", "--maxmemory", "512mb", "--maxmemory-policy", "noeviction")
	srv.cmd.Env = []string{}
	srv.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the child would die with the thread that started it
		defer runtime.UnlockOSThread()
		err := srv.cmd.Start()
		started <- err
		if err == nil {
			_ = srv.cmd.Wait()
		}
		close(srv.exited)
	}()
	defer func() {
		if err != nil {
			srv.end()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, scratchStart)
	defer cancel()
	secret := rand.Text()
	at := (&url.URL{Scheme: "unix", Path: socket}).String()
	open := func(user string) *kvdb.DB {
		var db *kvdb.DB
		if err == nil {
			db, err = kvdb.Open(kvdb.Config{URL: at, ProgramUser: user + ":" + secret})
		}
		return db
	}
	srv.db, srv.free = open("restricted"), open("free")
	if err != nil {
		return nil, err
	}
	for err = srv.db.Client().Ping(ctx).Err(); err != nil; err = srv.db.Client().Ping(ctx).Err() {
		select {
		case <-srv.exited:
			return nil, errors.New(filepath.Base(binary) + " ended at once")
		default:
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return nil, errors.New(filepath.Base(binary) + " does not answer")
		}
	}
	users := [][]any{
		{"ACL", "SETUSER", "restricted", "reset", "on", ">" + secret, "~*", "&*", "+@all", "-@admin", "-@dangerous", "-georadius", "-georadiusbymember", "-xreadgroup"},
		{"ACL", "SETUSER", "free", "reset", "on", ">" + secret, "~*", "&*", "+@all", "-@admin", "-migrate"},
	}
	for _, args := range users {
		if err := srv.db.Client().Do(ctx, args...).Err(); err != nil {
			return nil, err
		}
	}
	return srv, nil
}

// end kills the process: it has nothing to keep.
func (srv *scratchServer) end() {
	for _, db := range []*kvdb.DB{srv.db, srv.free} {
		if db != nil {
			_ = db.Close()
		}
	}
	if srv.cmd.Process != nil {
		_ = srv.cmd.Process.Kill()
	}
	<-srv.exited
	_ = os.RemoveAll(srv.dir)
}

// copied is a key as the target has it.
type copied struct {
	dump string // "" = there is no such key
	ttl  time.Duration
}

func (c copied) digest() string {
	if c.dump == "" {
		return ""
	}
	sum := sha1.Sum([]byte(c.dump))
	return hex.EncodeToString(sum[:])
}

// tryScratch runs the program in a server of our own, on copies of the keys that it is given and of those that it turns out to use.
func (s *Store) tryScratch(ctx context.Context, who Caller, src Source, c Call) (tried, error) {
	srv, err := s.bench.scratch.take(ctx)
	if err != nil {
		return tried{}, err
	}
	defer s.bench.scratch.give()
	db := srv.free
	if s.db.HasProgramUser() {
		db = srv.db
	}
	copies := map[string]copied{}
	wanted := c.Keys
	for round := 1; ; round++ {
		if err := s.copyKeys(ctx, wanted, copies); err != nil {
			return tried{}, err
		}
		if err := srv.load(ctx, copies); err != nil {
			return tried{}, err
		}
		try, err := s.tryOn(ctx, srv, db, src, c)
		if err != nil {
			return tried{}, err
		}
		wanted = nil
		for _, k := range try.trace.seen {
			if _, ok := copies[k.Key]; !ok && (who.Admin || !s.db.OwnKey(k.Key)) && len(copies)+len(wanted) < maxScratchKeys {
				wanted = append(wanted, k.Key)
			}
		}
		if len(wanted) > 0 && round < scratchRounds {
			continue
		}
		try.digests = map[string]string{}
		var missing []string
		for key, copy := range copies {
			try.digests[key] = copy.digest()
		}
		for _, k := range try.trace.seen {
			if _, ok := copies[k.Key]; !ok {
				missing = append(missing, k.Key)
			}
		}
		try.notes = append(try.notes, fmt.Sprintf("It ran on copies of %d keys, which were made one after the other.", len(copies)))
		if len(missing) > 0 {
			try.notes = append(try.notes, "These keys were not copied, so that it found nothing there: "+some(missing)+".")
		}
		return try, nil
	}
}

// tryOn runs the program on a server of ours.
func (s *Store) tryOn(ctx context.Context, srv *scratchServer, db *kvdb.DB, src Source, c Call) (tried, error) {
	result, err := db.Eval(ctx, newTracer(src, c, RungScratch).eval(c))
	switch {
	case errors.Is(err, kvdb.ErrLate):
		_ = srv.cmd.Process.Kill()
		if ctx.Err() != nil {
			return tried{}, kvdb.ReadErr("try", ctx.Err())
		}
		return notEnded(readOnlyTime), nil
	case err != nil:
		return tried{}, &noForkError{fmt.Sprintf("The server for copies failed: %.200s.", err.Error())}
	}
	return s.readReply(result)
}

// copyKeys adds keys of the target to the copies. The errors are *noForkError and ErrAway.
func (s *Store) copyKeys(ctx context.Context, keys []string, copies map[string]copied) error {
	if len(copies)+len(keys) > maxScratchKeys {
		return &noForkError{fmt.Sprintf("For a copy there are too many keys: over %d.", maxScratchKeys)}
	}
	total := 0
	for _, c := range copies {
		total += len(c.dump)
	}
	for chunk := range slices.Chunk(keys, scratchChunk) {
		sizes := make([]*redis.IntCmd, len(chunk))
		_, _ = s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range chunk {
				sizes[i] = p.MemoryUsage(ctx, key)
			}
			return nil
		})
		for i, size := range sizes {
			n, err := size.Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return cannotCopy(err)
			}
			total += int(n)
			if n > maxScratchKey || total > maxScratchTotal {
				return &noForkError{fmt.Sprintf("The key %.100q is too large to be copied.", chunk[i])}
			}
		}
		dumps := make([]*redis.StringCmd, len(chunk))
		ttls := make([]*redis.DurationCmd, len(chunk))
		_, _ = s.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range chunk {
				dumps[i], ttls[i] = p.Dump(ctx, key), p.PTTL(ctx, key)
			}
			return nil
		})
		for i, key := range chunk {
			dump, err := dumps[i].Result()
			if errors.Is(err, redis.Nil) {
				copies[key] = copied{}
				continue
			}
			if err == nil {
				err = ttls[i].Err()
			}
			if err != nil {
				return cannotCopy(err)
			}
			copies[key] = copied{dump, max(0, ttls[i].Val())}
		}
	}
	return nil
}

// cannotCopy is the error of a command that copies keys.
func cannotCopy(err error) error {
	if away := kvdb.ReadErr("copy keys", err); errors.Is(away, kvdb.ErrAway) && !strings.HasPrefix(err.Error(), "NOPERM") {
		return away
	}
	return &noForkError{fmt.Sprintf("The keys can't be copied: the server replied %.200q.", err.Error())}
}

// load makes the server hold the copies and nothing else. *noForkError.
func (srv *scratchServer) load(ctx context.Context, copies map[string]copied) error {
	_, err := srv.db.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
		p.FlushAll(ctx)
		for key, c := range copies {
			if c.dump != "" {
				p.RestoreReplace(ctx, key, c.ttl, c.dump)
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return kvdb.ReadErr("copy keys", err)
	case strings.Contains(err.Error(), "version or checksum"):
		return &noForkError{"The redis-server of this machine is older than the target, and can't read copies from it."}
	}
	return &noForkError{fmt.Sprintf("The keys can't be copied: %.200s.", err.Error())}
}
