package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) { kvtest.Main(m) }

const (
	sessionKey = "0123456789abcdef0123456789abcdef"
	password   = "correct horse battery"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// house is a store with a clock and a log of its own.
type house struct {
	*Store
	clock *clock
	log   *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// openHouse opens a store that hashes passwords cheaply, so that tests may hash many.
func openHouse(t testing.TB, db *kvdb.DB) *house {
	t.Helper()
	h := &house{clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, log: new(syncBuffer)}
	h.Store = newStore(db, h)
	if err := h.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func newStore(db *kvdb.DB, h *house) *Store {
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := New(db, []byte(sessionKey), h.clock.now, logger)
	s.hasher.cost = cost{passes: 1, kib: 8, threads: 1}
	return s
}

// replica is another process over the same Redis.
func (h *house) replica() *Store { return newStore(h.db, h) }

// each runs a test on a single server and on a cluster.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) { test(t, openHouse(t, db)) })
}

func (h *house) user(t *testing.T, name string, role Role) User {
	t.Helper()
	u, err := h.CreateUser(t.Context(), name, role, password)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (h *house) session(t *testing.T, name string) (cookie string, sess Session) {
	t.Helper()
	u, err := h.User(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	cookie, sess, err = h.StartSession(t.Context(), u, "192.0.2.1", "a browser")
	if err != nil {
		t.Fatal(err)
	}
	return cookie, sess
}

func (h *house) token(t testing.TB, name string, role Role, expires time.Time) (Token, string) {
	t.Helper()
	tok, secret, err := h.CreateToken(t.Context(), name, role, expires, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return tok, secret
}

// wantErr checks the kind of an error; kind nil = no error.
func wantErr(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want %v", what, err, kind)
	}
}

// hset writes a field as somebody may who has access to Redis.
func (h *house) hset(t *testing.T, key, field, value string) {
	t.Helper()
	if err := h.db.Client().HSet(t.Context(), key, field, value).Err(); err != nil {
		t.Fatal(err)
	}
}

func (h *house) hget(t *testing.T, key, field string) string {
	t.Helper()
	value, err := h.db.Client().HGet(t.Context(), key, field).Result()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPrepare(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		wantErr(t, "again", h.Prepare(t.Context()), nil)
		wantErr(t, "of a replica", h.replica().Prepare(t.Context()), nil)

		mismatch := func(what string, s *Store, missing bool) {
			t.Helper()
			err := s.Prepare(t.Context())
			var got *KeyMismatchError
			if !errors.As(err, &got) || got.Missing != missing || !errors.Is(err, kvdb.ErrForbidden) {
				t.Errorf("%s: got %v, want a KeyMismatchError with Missing %v", what, err, missing)
			}
		}
		other := New(h.db, []byte(strings.ToUpper(sessionKey)), h.clock.now, slog.New(slog.DiscardHandler))
		mismatch("another key", other, false)

		drop := func(key string) {
			t.Helper()
			if err := h.db.Client().Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		drop(h.keys.Fingerprint())
		h.user(t, "ann", Admin)
		mismatch("users without a fingerprint", h.Store, true)
		mismatch("users without a fingerprint, another key", other, true)
		drop(h.keys.Users())
		h.token(t, "ci", Viewer, time.Time{})
		mismatch("tokens without a fingerprint", h.Store, true)
		drop(h.keys.Tokens())
		wantErr(t, "an empty store", other.Prepare(t.Context()), nil)
		mismatch("after another key came first", h.Store, false)
	})
}

func TestPrepareConcurrently(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		good := 0
		for i := range 10 {
			wg.Go(func() {
				key := strings.Repeat(fmt.Sprint(i), 32)
				err := New(db, []byte(key), time.Now, slog.New(slog.DiscardHandler)).Prepare(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				}
			})
		}
		wg.Wait()
		if good != 1 {
			t.Errorf("%d keys were taken, want 1", good)
		}
	})
}

func TestShortSessionKeyPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a session key of 31 bytes was taken")
		}
	}()
	New(kvtest.Open(t), []byte(sessionKey[1:]), time.Now, slog.New(slog.DiscardHandler))
}

func TestRoles(t *testing.T) {
	roles := []Role{"", "public", Viewer, Operator, Admin}
	for i, r := range roles {
		for j, need := range roles {
			if got, want := r.Allows(need), j >= 2 && i >= j; got != want {
				t.Errorf("%q allows %q: got %v, want %v", r, need, got, want)
			}
		}
	}
	for _, s := range []string{"", "Admin", "root", " viewer"} {
		_, err := ParseRole(s)
		wantErr(t, s, err, kvdb.ErrInvalid)
	}
	r, err := ParseRole("operator")
	if err != nil || r != Operator {
		t.Errorf("got %q, %v", r, err)
	}
}

// TestForgedRecords checks that what was not signed for its place does not exist, and is logged.
func TestForgedRecords(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Admin)
		h.user(t, "bob", Viewer)
		ann := h.hget(t, h.keys.Users(), "ann")
		bob := h.hget(t, h.keys.Users(), "bob")
		cookie, sess := h.session(t, "bob")
		bobs := h.hget(t, h.keys.Sessions(), sess.ID)
		tok, secret := h.token(t, "ci", Viewer, time.Time{})
		token := h.hget(t, h.keys.Tokens(), tok.ID)
		other := New(h.db, []byte(strings.ToUpper(sessionKey)), h.clock.now, slog.New(slog.DiscardHandler))

		forgeries := func(good, foreign, signedByOther string) map[string]string {
			return map[string]string{
				"empty":              "",
				"short":              good[:20],
				"without signature":  good[macLen:],
				"zero signature":     strings.Repeat("A", macLen) + good[macLen:],
				"altered":            strings.Replace(good, "2026", "2027", 1),
				"another role":       strings.Replace(good, `"viewer"`, `"admin"`, 1) + "\n",
				"longer":             good + " ",
				"of another kind":    foreign,
				"signed by another":  signedByOther,
				"no text":            good[:macLen] + "\xff\x00",
				"nested":             good[:macLen] + strings.Repeat("[", 2000),
				"user is no text":    good[:macLen] + `{"user":{}}`,
				"signature of other": ann[:macLen] + good[macLen:],
			}
		}
		for name, forged := range forgeries(bob, token, other.users.seal("bob", userRecord{User: User{Name: "bob", Role: Admin}})) {
			if forged == bob {
				t.Fatalf("%s: is not forged", name)
			}
			h.hset(t, h.keys.Users(), "bob", forged)
			_, err := h.User(ctx, "bob")
			wantErr(t, name+": user", err, kvdb.ErrNotFound)
			_, err = h.SignIn(ctx, "bob", password, "192.0.2.1")
			wantErr(t, name+": sign in", err, ErrBadCredentials)
			wantErr(t, name+": set password", h.SetPassword(ctx, "bob", password), kvdb.ErrNotFound)
			_, _, err = h.ResumeSession(ctx, cookie)
			wantErr(t, name+": session of a forged user", err, kvdb.ErrNotFound)
			users, err := h.Users(ctx)
			if err != nil || len(users) != 1 {
				t.Errorf("%s: users: got %v, %v", name, users, err)
			}
			_, err = h.SetDisabled(ctx, "ann", true, 0)
			wantErr(t, name+": a forged administrator counts", err, ErrLastAdmin)
			h.clock.advance(throttleMemory)
		}
		h.hset(t, h.keys.Users(), "bob", ann)
		_, err := h.User(ctx, "bob")
		wantErr(t, "record moved to another name", err, kvdb.ErrNotFound)
		_, err = h.CreateUser(ctx, "bob", Viewer, password)
		wantErr(t, "create over a forged record", err, ErrExists)
		wantErr(t, "delete a forged record", h.DeleteUser(ctx, "bob"), nil)
		if !strings.Contains(h.log.String(), "level=WARN") || !strings.Contains(h.log.String(), "field=bob") {
			t.Errorf("log: got %q, want a warning that names bob", h.log.String())
		}

		h.hset(t, h.keys.Users(), "bob", bob)
		h.user(t, "carl", Admin)
		for name, forged := range forgeries(bobs, token, other.sessions.seal(sess.ID, sessionRecord{User: "ann"})) {
			h.hset(t, h.keys.Sessions(), sess.ID, forged)
			_, _, err := h.ResumeSession(ctx, cookie)
			wantErr(t, name+": session", err, kvdb.ErrNotFound)
			wantErr(t, name+": values", h.SaveSessionValues(ctx, cookie, nil), kvdb.ErrNotFound)
			list, err := h.Sessions(ctx, "bob")
			if err != nil || len(list) != 0 {
				t.Errorf("%s: sessions: got %v, %v", name, list, err)
			}
		}
		wantErr(t, "end a forged session", h.EndSession(ctx, sess.ID), nil)
		_, second := h.session(t, "bob")
		h.hset(t, h.keys.Sessions(), second.ID, bobs)
		if list, err := h.Sessions(ctx, ""); err != nil || len(list) != 0 {
			t.Errorf("record of another session: got %v, %v", list, err)
		}

		for name, forged := range forgeries(token, bob, other.tokens.seal(tok.ID, tokenRecord{Token: tok})) {
			h.hset(t, h.keys.Tokens(), tok.ID, forged)
			_, err := h.replica().Authenticate(ctx, secret)
			wantErr(t, name+": token", err, ErrBadCredentials)
			list, err := h.Tokens(ctx)
			if err != nil || len(list) != 0 {
				t.Errorf("%s: tokens: got %v, %v", name, list, err)
			}
		}
		wantErr(t, "revoke a forged token", h.RevokeToken(ctx, tok.ID), nil)

		// All put back as it was: it was the records that were wrong.
		h.hset(t, h.keys.Sessions(), sess.ID, bobs)
		h.hset(t, h.keys.Tokens(), tok.ID, token)
		_, _, err = h.ResumeSession(ctx, cookie)
		wantErr(t, "true session", err, nil)
		_, err = h.replica().Authenticate(ctx, secret)
		wantErr(t, "true token", err, nil)
	})
}

// TestRecordsOfAnotherStore copies records from one store to another with the same session key.
func TestRecordsOfAnotherStore(t *testing.T) {
	h, other := openHouse(t, kvtest.Open(t)), openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	other.hset(t, other.keys.Users(), "ann", h.hget(t, h.keys.Users(), "ann"))
	_, err := other.User(t.Context(), "ann")
	wantErr(t, "a user of another store", err, kvdb.ErrNotFound)
}

// TestNoSecretInRedis looks for secrets in all that is stored.
func TestNoSecretInRedis(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	ctx := t.Context()
	generated, err := h.EnsureAdmin(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	cookie, _ := h.session(t, FirstAdmin)
	_, secret := h.token(t, "ci", Admin, time.Time{})
	if _, err := h.SignIn(ctx, FirstAdmin, generated, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	var stored strings.Builder
	keys, err := h.db.Client().Keys(ctx, string(h.db.Keys())+"*").Result()
	if err != nil || len(keys) < 5 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		var value any
		switch kind, err := h.db.Client().Type(ctx, key).Result(); kind {
		case "string":
			value = h.db.Client().Get(ctx, key)
		case "hash":
			value = h.db.Client().HGetAll(ctx, key)
		case "zset":
			value = h.db.Client().ZRange(ctx, key, 0, -1)
		default:
			t.Fatalf("%s is a %s, %v", key, kind, err)
		}
		fmt.Fprintln(&stored, value)
	}
	for name, s := range map[string]string{
		"password": generated, "cookie": cookie[idLen+1:], "token": secret[len(tokenPrefix)+idLen:], "session key": sessionKey,
	} {
		if !strings.Contains(stored.String(), "argon2id") || strings.Contains(stored.String(), s) {
			t.Errorf("the %s is in Redis", name)
		}
	}
}

// TestRedisAway checks that nobody is let in when Redis cannot be asked.
func TestRedisAway(t *testing.T) {
	srv := kvtest.NewServer(t)
	h := openHouse(t, srv.DB(t))
	ann := h.user(t, "ann", Admin)
	cookie, _ := h.session(t, "ann")
	tok, secret := h.token(t, "ci", Admin, time.Time{})
	if _, err := h.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	for name, call := range map[string]func(context.Context) error{
		"Prepare":        h.Prepare,
		"EnsureAdmin":    func(ctx context.Context) error { _, err := h.EnsureAdmin(ctx, ""); return err },
		"CreateUser":     func(ctx context.Context) error { _, err := h.CreateUser(ctx, "bob", Viewer, password); return err },
		"SetPassword":    func(ctx context.Context) error { return h.SetPassword(ctx, "ann", password) },
		"ChangePassword": func(ctx context.Context) error { return h.ChangePassword(ctx, "ann", password, "another one!") },
		"SetRole":        func(ctx context.Context) error { _, err := h.SetRole(ctx, "ann", Viewer, 0); return err },
		"SetDisabled":    func(ctx context.Context) error { _, err := h.SetDisabled(ctx, "ann", true, 0); return err },
		"DeleteUser":     func(ctx context.Context) error { return h.DeleteUser(ctx, "ann") },
		"Users":          func(ctx context.Context) error { _, err := h.Users(ctx); return err },
		"User":           func(ctx context.Context) error { _, err := h.User(ctx, "ann"); return err },
		"SignIn":         func(ctx context.Context) error { _, err := h.SignIn(ctx, "ann", password, ""); return err },
		"CreateToken": func(ctx context.Context) error {
			_, _, err := h.CreateToken(ctx, "n", Viewer, time.Time{}, "")
			return err
		},
		"Tokens":            func(ctx context.Context) error { _, err := h.Tokens(ctx); return err },
		"RevokeToken":       func(ctx context.Context) error { return h.RevokeToken(ctx, tok.ID) },
		"Authenticate":      func(ctx context.Context) error { _, err := h.Authenticate(ctx, secret); return err },
		"StartSession":      func(ctx context.Context) error { _, _, err := h.StartSession(ctx, ann, "", ""); return err },
		"ResumeSession":     func(ctx context.Context) error { _, _, err := h.ResumeSession(ctx, cookie); return err },
		"PeekSession":       func(ctx context.Context) error { _, _, err := h.PeekSession(ctx, cookie); return err },
		"SaveSessionValues": func(ctx context.Context) error { return h.SaveSessionValues(ctx, cookie, nil) },
		"EndSession":        func(ctx context.Context) error { return h.EndSession(ctx, cookie) },
		"Sessions":          func(ctx context.Context) error { _, err := h.Sessions(ctx, ""); return err },
		"EndSessionsOf":     func(ctx context.Context) error { return h.EndSessionsOf(ctx, "ann") },
	} {
		h.clock.advance(answersLive) // what was remembered is over
		if err := call(t.Context()); !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
			t.Errorf("%s: got %v, want ErrAway or ErrUnknown", name, err)
		}
	}
	srv.Restart()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := h.Authenticate(t.Context(), secret)
		if errors.Is(err, ErrBadCredentials) { // it came back empty
			break
		}
		wantErr(t, "Authenticate while it comes back", err, kvdb.ErrAway)
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never came back")
		}
	}
}

// TestRedisTakesNoWrites checks that people and programs get in to see why.
func TestRedisTakesNoWrites(t *testing.T) {
	srv := kvtest.NewServer(t)
	h := openHouse(t, srv.DB(t))
	h.user(t, "ann", Admin)
	cookie, _ := h.session(t, "ann")
	_, secret := h.token(t, "ci", Admin, time.Time{})
	h.clock.advance(touchEvery)
	if err := h.db.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.ResumeSession(t.Context(), cookie)
	wantErr(t, "ResumeSession", err, nil)
	_, err = h.Authenticate(t.Context(), secret)
	wantErr(t, "Authenticate", err, nil)
	_, err = h.CreateUser(t.Context(), "bob", Viewer, password)
	wantErr(t, "CreateUser", err, kvdb.ErrAway)
	wantErr(t, "SaveSessionValues", h.SaveSessionValues(t.Context(), cookie, map[string]string{"a": "b"}), kvdb.ErrAway)
}
