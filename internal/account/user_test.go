package account

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestUsers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		created := h.clock.now()
		want := User{Name: "ann", Role: Admin, CreatedAt: created, PasswordChangedAt: created, Version: 1}
		if diff := cmp.Diff(want, h.user(t, "ann", Admin)); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		h.user(t, "Bob@example.com", Viewer)
		h.user(t, "0", Operator)
		if _, err := h.CreateUser(ctx, "ann", Viewer, password); !errors.Is(err, ErrExists) || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("taken name: got %v, want ErrExists", err)
		}
		users, err := h.Users(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		if diff := cmp.Diff([]string{"0", "Bob@example.com", "ann"}, names); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		got, err := h.User(ctx, "ann")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}

		h.clock.advance(time.Hour)
		if got, err = h.SetRole(ctx, "0", Viewer, 1); err != nil {
			t.Fatal(err)
		}
		want = User{Name: "0", Role: Viewer, CreatedAt: created, PasswordChangedAt: created, Version: 2}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("other role (-want +got):\n%s", diff)
		}
		_, err = h.SetDisabled(ctx, "0", true, 1)
		var stale *StaleError
		if !errors.As(err, &stale) || !errors.Is(err, kvdb.ErrConflict) || !cmp.Equal(stale.Current, want) {
			t.Errorf("stale version: got %v, want a StaleError with what is now", err)
		}
		if got, err = h.SetDisabled(ctx, "0", true, 2); err != nil || !got.Disabled || got.Version != 3 {
			t.Errorf("disabled: got %+v, %v", got, err)
		}
		if got, err = h.SetDisabled(ctx, "0", false, 0); err != nil || got.Disabled || got.Version != 4 {
			t.Errorf("enabled: got %+v, %v", got, err)
		}
		if err := h.DeleteUser(ctx, "0"); err != nil {
			t.Error(err)
		}
		_, err = h.User(ctx, "0")
		wantErr(t, "deleted", err, kvdb.ErrNotFound)
		wantErr(t, "delete again", h.DeleteUser(ctx, "0"), kvdb.ErrNotFound)
		wantErr(t, "password of nobody", h.SetPassword(ctx, "0", password), kvdb.ErrNotFound)
		_, err = h.SetRole(ctx, "0", Admin, 0)
		wantErr(t, "role of nobody", err, kvdb.ErrNotFound)
	})
}

func TestCreateUserRefuses(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	for _, name := range []string{"", ".", "..", "@-_.", "a b", "a/b", "ä", "a\x00", "a\n", "{a}", strings.Repeat("a", MaxName+1)} {
		_, err := h.CreateUser(t.Context(), name, Viewer, password)
		wantFields(t, name, err, "name")
	}
	for _, name := range []string{"a", "7", ".a", "a.b-c_d@E", strings.Repeat("a", MaxName)} {
		h.user(t, name, Viewer)
	}
	_, err := h.CreateUser(t.Context(), "longenough", "root", "LongEnough")
	wantFields(t, "role and password", err, "role", "password")
	_, err = h.CreateUser(t.Context(), "", "", "")
	wantFields(t, "all", err, "name", "role", "password")
	_, err = h.SetRole(t.Context(), "a", "root", 0)
	wantFields(t, "SetRole", err, "role")
	wantFields(t, "SetPassword", h.SetPassword(t.Context(), "a", "short"), "password")
	wantFields(t, "ChangePassword", h.ChangePassword(t.Context(), "a", password, "short"), "password")
}

func wantFields(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	var invalid *kvdb.InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("%s: got %v, want an InvalidError", what, err)
		return
	}
	var got []string
	for _, f := range invalid.Fields {
		got = append(got, f.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got wrong fields %v, want %v", what, got, want)
	}
}

func TestLastAdminStays(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Admin)
		h.user(t, "bob", Operator)
		h.user(t, "off", Admin)
		if _, err := h.SetDisabled(ctx, "off", true, 0); err != nil {
			t.Fatal(err)
		}
		refused := func(what string) {
			t.Helper()
			_, err := h.SetRole(ctx, "ann", Operator, 0)
			wantErr(t, what+": demote", err, ErrLastAdmin)
			_, err = h.SetDisabled(ctx, "ann", true, 0)
			wantErr(t, what+": disable", err, ErrLastAdmin)
			wantErr(t, what+": delete", h.DeleteUser(ctx, "ann"), ErrLastAdmin)
		}
		refused("the others are no administrators or disabled")
		wantErr(t, "delete a disabled one", h.DeleteUser(ctx, "off"), nil)
		wantErr(t, "new password", h.SetPassword(ctx, "ann", "another password"), nil)
		_, err := h.SetRole(ctx, "ann", Admin, 0)
		wantErr(t, "the same role", err, nil)
		if _, err := h.SetRole(ctx, "bob", Admin, 0); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "delete one of two", h.DeleteUser(ctx, "bob"), nil)
		refused("the other is deleted")
	})
}

// TestAdminsRemoveEachOther has two administrators demote, disable and delete each other at the same time.
func TestAdminsRemoveEachOther(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		ways := []func(s *Store, name string) error{
			func(s *Store, name string) error { _, err := s.SetRole(ctx, name, Viewer, 0); return err },
			func(s *Store, name string) error { _, err := s.SetDisabled(ctx, name, true, 0); return err },
			func(s *Store, name string) error { return s.DeleteUser(ctx, name) },
		}
		for i := range 15 {
			for _, name := range []string{"ann", "bob"} {
				_ = h.DeleteUser(ctx, name)
			}
			h.db.Client().Del(ctx, h.keys.Users())
			h.user(t, "ann", Admin)
			h.user(t, "bob", Admin)
			var wg sync.WaitGroup
			errs := make([]error, 2)
			start := make(chan struct{})
			for j, name := range []string{"ann", "bob"} {
				s := h.replica()
				wg.Go(func() {
					<-start
					errs[j] = ways[(i+j)%len(ways)](s, name)
				})
			}
			close(start)
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrLastAdmin) {
				t.Fatalf("round %d: got %v, want one to fail with ErrLastAdmin", i, errs)
			}
		}
	})
}

// TestChangesAtTheSameTime checks that none of many changes of one user is lost.
func TestChangesAtTheSameTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user(t, "ann", Admin)
		var wg sync.WaitGroup
		var mu sync.Mutex
		done := 0
		for i := range 8 {
			s := h.replica()
			wg.Go(func() {
				role := []Role{Viewer, Operator}[i%2]
				_, err := s.SetRole(t.Context(), "ann", role, 0)
				if i%2 == 0 {
					err = s.SetPassword(t.Context(), "ann", "another password")
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done++
				case !errors.Is(err, kvdb.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		u, err := h.User(t.Context(), "ann")
		if err != nil || u.Version != int64(1+done) {
			t.Errorf("after %d changes: version %d, %v", done, u.Version, err)
		}
	})
}

func TestEnsureAdmin(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		_, err := h.EnsureAdmin(ctx, "admin")
		wantFields(t, "a bad password", err, "password")
		if _, err := h.SignIn(ctx, FirstAdmin, password, "192.0.2.1"); !errors.Is(err, kvdb.ErrAway) {
			t.Errorf("sign-in before there is a user: %v, want that it was not done", err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var generated []string
		for range 6 {
			s := h.replica()
			wg.Go(func() {
				p, err := s.EnsureAdmin(ctx, "")
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if p != "" {
					generated = append(generated, p)
				}
			})
		}
		wg.Wait()
		if len(generated) != 1 {
			t.Fatalf("%d passwords were given out, want 1", len(generated))
		}
		u, err := h.SignIn(ctx, FirstAdmin, generated[0], "192.0.2.1")
		if err != nil || u.Role != Admin {
			t.Errorf("sign in: got %+v, %v", u, err)
		}
		p, err := h.EnsureAdmin(ctx, "another password")
		if p != "" || err != nil {
			t.Errorf("with a user: got %q, %v", p, err)
		}
		_, err = h.SignIn(ctx, FirstAdmin, "another password", "192.0.2.1")
		wantErr(t, "password for an existing user", err, ErrBadCredentials)
	})
}

func TestEnsureAdminTakesAPassword(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	p, err := h.EnsureAdmin(t.Context(), password)
	if p != "" || err != nil {
		t.Errorf("got %q, %v", p, err)
	}
	_, err = h.SignIn(t.Context(), FirstAdmin, password, "")
	wantErr(t, "sign in", err, nil)
}

func TestEnsureAdminAmongForgedUsers(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.hset(t, h.keys.Users(), "mallory", "forged")
	p, err := h.EnsureAdmin(t.Context(), "")
	if p != "" || err != nil {
		t.Errorf("got %q, %v", p, err)
	}
}

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		created := h.clock.now()
		h.user(t, "ann", Operator)
		h.clock.advance(time.Hour)
		got, err := h.SignIn(ctx, "ann", password, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		want := User{Name: "ann", Role: Operator, CreatedAt: created, LastSignInAt: h.clock.now(), PasswordChangedAt: created, Version: 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("signed in (-want +got):\n%s", diff)
		}
		if stored, err := h.User(ctx, "ann"); err != nil || !cmp.Equal(stored, want) {
			t.Errorf("stored: got %+v, %v", stored, err)
		}
		for name, pw := range map[string]string{"ann": "wrong", "Ann": password, "nobody": password, "": "", "ann\x00": password, strings.Repeat("a", 1000): password} {
			_, err := h.SignIn(ctx, name, pw, "192.0.2.1")
			if !errors.Is(err, ErrBadCredentials) || !errors.Is(err, kvdb.ErrForbidden) {
				t.Errorf("%.10q with %q: got %v, want ErrBadCredentials", name, pw, err)
			}
		}
		if _, err := h.SetDisabled(ctx, "ann", true, 0); err != nil {
			t.Fatal(err)
		}
		_, err = h.SignIn(ctx, "ann", password, "192.0.2.1")
		wantErr(t, "disabled", err, ErrBadCredentials)
	})
}

func TestSignInImprovesTheHash(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	cookie, _ := h.session(t, "ann")
	h.hasher.cost = cost{passes: 2, kib: 16, threads: 1}
	for range 2 {
		if _, err := h.SignIn(t.Context(), "ann", password, ""); err != nil {
			t.Fatal(err)
		}
		rec, _, err := h.Store.user(t.Context(), "test", "ann")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(rec.Hash, "$m=16,t=2,p=1$") || rec.Version != 1 {
			t.Errorf("got hash %s of version %d", rec.Hash, rec.Version)
		}
	}
	_, _, err := h.ResumeSession(t.Context(), cookie)
	wantErr(t, "session", err, nil)
}

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Admin)
		h.user(t, "bob", Viewer)
		anns, _ := h.session(t, "ann")
		bobs, _ := h.session(t, "bob")
		h.clock.advance(time.Minute)
		wantErr(t, "wrong old password", h.ChangePassword(ctx, "ann", "wrong", "another password"), ErrBadCredentials)
		wantErr(t, "nobody", h.ChangePassword(ctx, "nobody", password, "another password"), ErrBadCredentials)
		_, _, err := h.ResumeSession(ctx, anns)
		wantErr(t, "session after a wrong old password", err, nil)
		wantErr(t, "change", h.ChangePassword(ctx, "ann", password, "another password"), nil)
		_, _, err = h.ResumeSession(ctx, anns)
		wantErr(t, "session after the change", err, kvdb.ErrNotFound)
		_, _, err = h.ResumeSession(ctx, bobs)
		wantErr(t, "session of another user", err, nil)
		_, err = h.SignIn(ctx, "ann", password, "")
		wantErr(t, "sign in with the old one", err, ErrBadCredentials)
		u, err := h.SignIn(ctx, "ann", "another password", "")
		if err != nil || !u.PasswordChangedAt.Equal(h.clock.now()) || u.Version != 2 {
			t.Errorf("sign in with the new one: got %+v, %v", u, err)
		}
		anns, _ = h.session(t, "ann")
		_, _, err = h.ResumeSession(ctx, anns)
		wantErr(t, "new session", err, nil)

		for range passwordThrottle.free {
			wantErr(t, "guess", h.ChangePassword(ctx, "ann", "wrong", password), ErrBadCredentials)
		}
		var throttled *ThrottledError
		if err := h.ChangePassword(ctx, "ann", "another password", password); !errors.As(err, &throttled) {
			t.Errorf("after many guesses: got %v, want a ThrottledError", err)
		}
		_, err = h.SignIn(ctx, "ann", "another password", "")
		wantErr(t, "sign in meanwhile", err, nil)
	})
}

func TestTooManyUsers(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	fields := make([]any, 0, 2*maxUsers)
	for i := range maxUsers - 1 {
		fields = append(fields, "filler"+string(rune(0x4e00+i)), "x")
	}
	if err := h.db.Client().HSet(t.Context(), h.keys.Users(), fields...).Err(); err != nil {
		t.Fatal(err)
	}
	h.user(t, "last", Viewer)
	_, err := h.CreateUser(t.Context(), "beyond", Viewer, password)
	wantErr(t, "one too many", err, ErrFull)
}
