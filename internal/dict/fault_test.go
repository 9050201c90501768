package dict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// durable has a server keep what it acknowledged.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

func openURL(t testing.TB, url string) *kvdb.DB {
	t.Helper()
	db, err := kvdb.Open(kvdb.Config{URL: url})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// watch sees what a client sends, just before: each command, or pipeline of commands.
type watch func(cmds ...redis.Cmder)

func (w watch) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w(cmd)
		return next(ctx, cmd)
	}
}

func (w watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		w(cmds...)
		return next(ctx, cmds)
	}
}

// commits says whether the commands are the commit of a change.
func (s *Store) commits(cmds []redis.Cmder) bool {
	args := cmds[0].Args()
	return strings.HasPrefix(cmds[0].Name(), "eval") && len(args) > 4 && args[3] == s.keys.Version() && args[4] == s.keys.Lease()
}

// stagedImport imports rows that take a staged import some twenty round trips, and calls f before each.
func stagedImport(ctx context.Context, t testing.TB, url string, by By, value2 string, f func(n int)) (ImportResult, int, error) {
	db := openURL(t, url)
	n := 0
	db.Client().AddHook(watch(func(...redis.Cmder) {
		n++
		f(n)
	}))
	res, err := newStore(t, db).Import(ctx, by, csvFileOf(faultRows(value2)), ImportOptions{Format: CSV, Mode: Replace})
	return res, n, err
}

func faultRows(value2 string) []Translation { return numbered(99, strings.Repeat(value2, 30)) }

// TestKilledDuringAnImport kills the server before each so many round trips of a staged import: what was
// there is there again, and the import can be sent again.
func TestKilledDuringAnImport(t *testing.T) {
	stageAll(t)
	srv := kvtest.NewServer(t, durable...)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"))
	res, trips, err := stagedImport(t.Context(), t, srv.URL(), By{}, "z", func(int) {})
	must(t, err)
	m.importRows(nil, faultRows("z"), Replace)
	m.check(t, s)
	if trips < 12 {
		t.Fatalf("an import of %d round trips is no test", trips)
	}
	last := res.Change
	for _, at := range []int{3, trips / 4, trips / 2, trips * 3 / 4, trips - 2, trips - 1} { // the last is the commit
		by := By{Op: fmt.Sprint("op ", at)}
		_, _, err := stagedImport(t.Context(), t, srv.URL(), by, fmt.Sprint(at), func(n int) {
			if n == at {
				srv.Kill()
			}
		})
		if !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
			t.Fatalf("killed before round trip %d: %v, want ErrAway or ErrUnknown", at, err)
		}
		srv.Restart()
		awaitOK(t, s.db)
		if change, done, err2 := s.Outcome(t.Context(), by.Op); done || change != "" || err2 != nil {
			t.Fatalf("killed before round trip %d (%v): %q, %v, %v; want not done", at, err, change, done, err2)
		}
		m.check(t, s)
		must(t, s.db.Client().Del(t.Context(), s.keys.Lease()).Err()) // as time does
		res, _, err := stagedImport(t.Context(), t, srv.URL(), by, fmt.Sprint(at), func(int) {})
		must(t, err)
		if res.Change == last || res.Updated != 99 {
			t.Errorf("sent again: %+v", res)
		}
		last = res.Change
		m.importRows(nil, faultRows(fmt.Sprint(at)), Replace)
		m.check(t, s)
	}
}

func awaitOK(t testing.TB, db *kvdb.DB) {
	t.Helper()
	await(t, "the server is well", func() bool { return db.Health(t.Context()).Status == kvdb.StatusOK })
}

// TestLostInAFailover: a server that has lost what was staged last, but not the lease, as a replica may that
// takes over, doesn't take half of an import for the whole.
func TestLostInAFailover(t *testing.T) {
	stageAll(t)
	srv := kvtest.NewServer(t)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"))
	_, trips, err := stagedImport(t.Context(), t, srv.URL(), By{}, "z", func(int) {})
	must(t, err)
	m.importRows(nil, faultRows("z"), Replace)
	for at := 4; at < trips; at += max(1, (trips-4)/4) {
		value := fmt.Sprint(at)
		_, _, err := stagedImport(t.Context(), t, srv.URL(), By{}, value, func(n int) {
			switch n {
			case at:
				must(t, s.db.Client().Save(t.Context()).Err())
			case trips - 1: // nothing but the commit and the release of the lease follow
				srv.Restart()
				awaitOK(t, s.db)
			}
		})
		if err != nil && !errors.Is(err, kvdb.ErrAway) {
			t.Fatalf("saved before round trip %d: %v", at, err)
		}
		if err == nil {
			m.importRows(nil, faultRows(value), Replace)
		}
		m.check(t, s)
	}
}

// TestServerThatForgets: a server that comes back with an older state, or with none, is believed; what was
// remembered of the newer one is neither shown nor written.
func TestServerThatForgets(t *testing.T) {
	srv := kvtest.NewServer(t)
	db := openURL(t, srv.URL())
	s, other, m := newStore(t, db), newStore(t, db), newModel()
	ctx := t.Context()
	m.mustCreate(t, s, tr("PL", "Polska"), tr("DE", "Niemcy"))
	must(t, db.Client().Save(ctx).Err())
	newModel().mustCreate(t, s, tr("forgotten", "x"), tr("forgotten too", "x"))
	if page, err := s.Translations(ctx, Filter{}, ListOptions{}); err != nil || len(page.Items) != 4 { // and is remembered
		t.Errorf("%+v, %v", page, err)
	}
	srv.Restart()
	awaitOK(t, db)
	m.mustCreate(t, other, tr("CZ", "Czechy"), tr("SK", "Słowacja")) // as many changes
	page, err := s.Translations(ctx, Filter{}, ListOptions{})
	must(t, err)
	if len(page.Items) != 4 || page.Items[0].Value1 != "CZ" {
		t.Errorf("the list shows %+v", page.Items)
	}
	m.mustCreate(t, s, tr("HU", "Węgry"))
	m.check(t, s)

	must(t, db.Client().FlushAll(ctx).Err())
	for _, s := range []*Store{s, other} {
		page, err := s.Translations(ctx, Filter{}, ListOptions{})
		if err != nil || len(page.Items) != 0 || page.All != 0 {
			t.Errorf("of nothing, the list shows %+v, %v", page, err)
		}
	}
	m = newModel()
	m.mustCreate(t, other, tr("PL", "Polska"))
	m.mustCreate(t, s, tr("DE", "Niemcy"))
	m.check(t, s)
}

// TestRestartBeforeTheCommit: a restart between reading and writing does an edit no harm.
func TestRestartBeforeTheCommit(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, durable...)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"))
	c, err := createAt(t.Context(), s, By{}, tr("DE", "Niemcy"), func() {
		srv.Restart()
		awaitOK(t, s.db)
	})
	if err != nil || c.ID != "2" {
		t.Fatalf("%+v, %v", c, err)
	}
	m.put(tr("DE", "Niemcy"))
	m.check(t, s)
}

// createAt makes a translation as CreateTranslation does, and calls f just before the script is sent.
func createAt(ctx context.Context, s *Store, by By, x Translation, f func()) (Change, error) {
	return s.apply(ctx, by, func(context.Context, *snapshot) (*plan, error) {
		p := &plan{kind: KindEdit, tick: func(stage string, _, _ int64) {
			if stage == "committing" {
				f()
			}
		}}
		p.rows.addTranslation(x)
		return p, nil
	})
}

// TestPausedAtTheCommit: a server that doesn't answer leaves an edit unknown, until it is asked; then the
// answer is right, and stays right.
func TestPausedAtTheCommit(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	db := openURL(t, srv.URL())
	paused, err := kvdb.Open(kvdb.Config{URL: srv.URL()})
	must(t, err)
	s, m := New(paused, Options{}), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = createAt(ctx, s, By{Op: "op"}, tr("DE", "Niemcy"), srv.Pause)
	srv.Resume()
	var unknown *kvdb.UnknownError
	if !errors.As(err, &unknown) || unknown.Check != "/dictionaries/changes" {
		t.Errorf("%v, want an UnknownError", err)
	}
	change, done, err := newStore(t, db).Outcome(t.Context(), "op")
	if err != nil || done != (change != "") {
		t.Fatalf("%q, %v, %v", change, done, err)
	}
	if done {
		m.put(tr("DE", "Niemcy"))
	}
	// What the first one had sent is done, or not, when the server has let go of it.
	must(t, paused.Close())
	await(t, "its connections are closed", func() bool {
		return strings.Count(db.Client().ClientList(t.Context()).Val(), "\n") == 1
	})
	m.check(t, newStore(t, db))
	if again, stillDone, err := newStore(t, db).Outcome(t.Context(), "op"); again != change || stillDone != done || err != nil {
		t.Errorf("then %q, %v, %v; before %q, %v", again, stillDone, err, change, done)
	}
}

// proxy stands between a client and a server, and does to one request what a test wants.
type proxy struct {
	net.Listener
	socket string
	next   atomic.Pointer[func(request []byte, client, server net.Conn)] // of a script
	mute   atomic.Bool                                                   // the next reply is not delivered, and the connection closed
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
}

func newProxy(t *testing.T, srv *kvtest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{Listener: l, socket: strings.TrimPrefix(srv.URL(), "unix://")}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.cut()
		p.wg.Wait()
	})
	return p
}

// reopen lets clients in again after a cut.
func (p *proxy) reopen(t *testing.T) {
	t.Helper()
	p.wg.Wait()
	l, err := net.Listen("tcp", p.Addr().String())
	must(t, err)
	p.Listener = l
	p.wg.Go(p.accept)
}

func (p *proxy) url() string { return "redis://" + p.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Go(func() { p.requests(client, server) })
		p.wg.Go(func() { p.replies(client, server) })
	}
}

// cut closes all connections but those to be kept, and lets nobody in.
func (p *proxy) cut(keep ...net.Conn) {
	p.Listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if !slices.Contains(keep, c) {
			c.Close()
		}
	}
	p.conns = keep
}

func (p *proxy) replies(client, server net.Conn) {
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || p.mute.CompareAndSwap(true, false) {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) requests(client, server net.Conn) {
	defer server.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if f := p.next.Load(); f != nil && bytes.Contains(buf[:min(n, 30)], []byte("eval")) && p.next.CompareAndSwap(f, nil) {
			(*f)(bytes.Clone(buf[:n]), client, server)
			continue
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// onNext has f handle the next script that is to be run.
func (p *proxy) onNext(f func(request []byte, client, server net.Conn)) { p.next.Store(&f) }

// TestLostReply cuts the connection after the server has got a commit and before it has answered: the store
// finds out by itself that it was done, and it was done once.
func TestLostReply(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	p := newProxy(t, srv)
	s, m := newStore(t, openURL(t, p.url())), newModel()
	direct := newStore(t, openURL(t, srv.URL()))
	m.mustCreate(t, s, tr("PL", "Polska"))
	_, _, err := s.Outcome(t.Context(), "warm") // so that the server knows each script
	must(t, err)
	for i, by := range []By{{}, {Op: "op"}} {
		x := tr(fmt.Sprint(i), "x")
		c, err := createAt(t.Context(), s, by, x, func() {
			p.onNext(func(request []byte, _, server net.Conn) {
				p.mute.Store(true)
				if _, err := server.Write(request); err != nil {
					t.Error(err)
				}
			})
		})
		if err != nil || c.ID == "" {
			t.Fatalf("%+v, %v; want done", c, err)
		}
		m.put(x)
		m.check(t, direct)
		if stored, err := direct.Change(t.Context(), c.ID); err != nil || stored.Counts.Created != 1 {
			t.Errorf("%+v, %v", stored, err)
		}
	}
	if page, err := direct.Changes(t.Context(), "", 0); err != nil || page.Total != 3 {
		t.Errorf("%d changes, %v; want 3", page.Total, err)
	}
}

// TestLostRequest cuts the connection before the server has got a commit: the store finds out that it was not
// done, and it isn't done when it arrives later after all.
func TestLostRequest(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	p := newProxy(t, srv)
	s, m := newStore(t, openURL(t, p.url())), newModel()
	direct := newStore(t, openURL(t, srv.URL()))
	m.mustCreate(t, s, tr("PL", "Polska"))
	_, _, err := s.Outcome(t.Context(), "warm")
	must(t, err)
	for i, by := range []By{{}, {Op: "op"}} {
		x := tr(fmt.Sprint(i), "x")
		late := make(chan []byte, 1)
		_, err := createAt(t.Context(), s, by, x, func() {
			p.onNext(func(request []byte, client, _ net.Conn) {
				late <- request
				client.Close()
			})
		})
		if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "nothing was changed") {
			t.Errorf("%v, want ErrAway", err)
		}
		conn, err := net.Dial("unix", p.socket)
		must(t, err)
		_, err = conn.Write(<-late)
		must(t, err)
		reply := make([]byte, 100)
		n, err := conn.Read(reply)
		if err != nil || n == 0 || reply[0] == '-' {
			t.Errorf("the late request is answered %q, %v", reply[:n], err)
		}
		must(t, conn.Close())
		m.check(t, direct)
		if _, _, err := s.CreateTranslation(t.Context(), by, x, true); err != nil {
			t.Errorf("sent again: %v", err)
		}
		m.put(x)
		m.check(t, direct)
	}
}

// TestDeadProcess: a process that loses all its connections in the middle of a large change holds others up
// until its lease ends, and has changed nothing.
func TestDeadProcess(t *testing.T) {
	stageAll(t)
	set(t, &leaseKept, 300*time.Millisecond)
	srv := kvtest.NewServer(t)
	p := newProxy(t, srv)
	s, other, m := newStore(t, openURL(t, p.url())), newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, other, tr("PL", "Polska"))
	_, err := s.Import(t.Context(), By{}, csvFileOf(faultRows("x")), ImportOptions{Format: CSV, Mode: Replace, Progress: atCommit(func() {
		p.cut()
	})})
	if !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
		t.Errorf("%v, want ErrAway or ErrUnknown", err)
	}
	if n := other.db.Client().Exists(t.Context(), other.keys.Lease()).Val(); n == 0 {
		t.Log("its lease has ended already")
	}
	m.mustCreate(t, other, tr("DE", "Niemcy"))
	m.check(t, other)
}

// TestOutOfMemory lets the server run full before each so many round trips of an import, and of an edit.
func TestOutOfMemory(t *testing.T) {
	stageAll(t)
	srv := kvtest.NewServer(t)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"))
	_, trips, err := stagedImport(t.Context(), t, srv.URL(), By{}, "z", func(int) {})
	must(t, err)
	m.importRows(nil, faultRows("z"), Replace)
	limit := func(bytes string) {
		must(t, s.db.Client().ConfigSet(t.Context(), "maxmemory", bytes).Err())
	}
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "Redis has used all the memory that it may use") {
			t.Errorf("%s: %v, want ErrAway", what, err)
		}
	}
	keys, _ := keysOf(t, s)
	for at := 1; at < trips; at += max(1, trips/5) {
		_, _, err := stagedImport(t.Context(), t, srv.URL(), By{}, "full", func(n int) {
			if n == at {
				limit("1")
			}
		})
		full(fmt.Sprint("import, before round trip ", at), err)
		m.check(t, s)
		after, expiring := keysOf(t, s)
		same(t, "keys that last", keys, after)
		for _, k := range expiring {
			if k == s.keys.Lease() {
				t.Errorf("round trip %d: the lease is left", at)
			}
		}
		limit("0")
	}
	_, err = createAt(t.Context(), s, By{}, tr("DE", "Niemcy"), func() { limit("1") })
	full("edit", err)
	_, _, err = s.CreateEntry(t.Context(), By{}, entry("x"))
	full("another edit", err)
	_, err = s.StartUpload(t.Context(), By{}, "x.csv", "", Merge, csvFileOf(nil))
	full("upload", err)
	_, err = s.Translate(t.Context(), tr("none", "").Query())
	must(t, err)
	full("misses", s.flushMisses(t.Context()))
	m.check(t, s)
	limit("0")
	must(t, s.flushMisses(t.Context()))
	m.mustCreate(t, s, tr("DE", "Niemcy"))
	m.check(t, s)
}

// TestServerAway: without its server, each call says so in words, and the same Store goes on when it is back.
func TestServerAway(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t, durable...)
	s, m := newStore(t, openURL(t, srv.URL())), newModel()
	made := m.mustCreate(t, s, tr("PL", "Polska"))[0]
	ctx := t.Context()
	srv.Kill()
	for name, call := range map[string]func() error{
		"translate":       func() error { _, err := s.Translate(ctx, made.Query()); return err },
		"translate batch": func() error { _, err := s.TranslateBatch(ctx, made.Query(), []string{"x"}); return err },
		"list entries":    func() error { _, err := s.Entries(ctx, Filter{}, ListOptions{}); return err },
		"list":            func() error { _, err := s.Translations(ctx, Filter{}, ListOptions{}); return err },
		"read":            func() error { _, err := s.Translation(ctx, made.ID); return err },
		"systems":         func() error { _, err := s.Systems(ctx); return err },
		"changes":         func() error { _, err := s.Changes(ctx, "", 0); return err },
		"change":          func() error { _, err := s.Change(ctx, "1"); return err },
		"at":              func() error { _, err := s.At(ctx, made.Query(), time.Now()); return err },
		"misses":          func() error { _, err := s.Misses(ctx, Filter{}, "", 0); return err },
		"miss groups":     func() error { _, err := s.MissGroups(ctx); return err },
		"dismiss":         func() error { return s.DismissMiss(ctx, made.Query()) },
		"create":          func() error { _, _, err := s.CreateTranslation(ctx, By{}, tr("x", "y"), true); return err },
		"create by op":    func() error { _, _, err := s.CreateEntry(ctx, By{Op: "op"}, entry("x")); return err },
		"update":          func() error { _, _, err := s.UpdateTranslation(ctx, By{}, made, true); return err },
		"delete":          func() error { _, err := s.DeleteTranslation(ctx, By{}, made.ID, 0); return err },
		"undo":            func() error { _, err := s.Undo(ctx, By{}, "1"); return err },
		"outcome":         func() error { _, _, err := s.Outcome(ctx, "op"); return err },
		"import": func() error {
			_, err := s.Import(ctx, By{}, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Merge})
			return err
		},
		"dry run": func() error {
			_, err := s.Import(ctx, By{}, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Merge, DryRun: true})
			return err
		},
		"export": func() error { return s.Export(ctx, new(bytes.Buffer), CSV, ExportOptions{}) },
		"start upload": func() error {
			_, err := s.StartUpload(ctx, By{}, "x.csv", "", Merge, strings.NewReader(head))
			return err
		},
		"upload":         func() error { _, err := s.Upload(ctx, "x"); return err },
		"apply upload":   func() error { _, err := s.ApplyUpload(ctx, By{}, "x", false); return err },
		"discard upload": func() error { return s.DiscardUpload(ctx, "x") },
		"rejects":        func() error { return s.WriteRejects(ctx, "x", new(bytes.Buffer)) },
	} {
		err := call()
		if !errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown) || !strings.Contains(kvdb.Sentence(err), "Redis is not reachable") {
			t.Errorf("%s: %v, want ErrAway", name, err)
		}
	}
	srv.Restart()
	await(t, "it heals", func() bool { _, err := s.Lookup(ctx, made.Query()); return err == nil })
	m.mustCreate(t, s, tr("DE", "Niemcy"))
	m.check(t, s)
}
