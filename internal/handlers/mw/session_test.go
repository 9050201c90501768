package mw

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

// keeper is a session store of one session.
type keeper struct {
	away   error // what every call returns
	cookie string
	values map[string]string
	made   int
	used   int // times that it was resumed
}

func (k *keeper) StartSession(_ context.Context, u account.User, _, _ string) (string, account.Session, error) {
	if k.away != nil {
		return "", account.Session{}, k.away
	}
	k.made++
	k.cookie, k.values = "fresh", nil
	return k.cookie, account.Session{ID: "id", User: u.Name, Role: u.Role}, nil
}

func (k *keeper) ResumeSession(_ context.Context, cookie string) (account.Session, map[string]string, error) {
	if k.away != nil {
		return account.Session{}, nil, k.away
	}
	if cookie == "" || cookie != k.cookie {
		return account.Session{}, nil, kvdb.ErrNotFound
	}
	k.used++
	return account.Session{ID: "id", User: "anna", Role: account.Viewer}, k.values, nil
}

func (k *keeper) PeekSession(ctx context.Context, cookie string) (account.Session, map[string]string, error) {
	record, values, err := k.ResumeSession(ctx, cookie)
	if err == nil {
		k.used--
	}
	return record, values, err
}

func (k *keeper) SaveSessionValues(_ context.Context, _ string, values map[string]string) error {
	k.values = values
	return k.away
}

func (k *keeper) EndSession(_ context.Context, cookie string) error {
	if k.away != nil {
		return k.away
	}
	if cookie != k.cookie {
		return kvdb.ErrNotFound
	}
	k.cookie = ""
	return nil
}

func requestWith(cookie string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: "webadmin", Value: cookie})
	}
	return r
}

func TestSessionIsTheCookiesOrNobodys(t *testing.T) {
	t.Parallel()
	s := NewSessions(&keeper{cookie: "good"}, false)
	for cookie, want := range map[string]bool{"good": true, "bad": false, "": false} {
		sess, err := s.Current(requestWith(cookie))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := RecordOf(sess); ok != want || sess.IsNew == want {
			t.Errorf("cookie %q: signed in %t, new %t", cookie, ok, sess.IsNew)
		}
	}
}

// TestPollsUseNoSession: what a page asks by itself lets it in, and does not keep the session.
func TestPollsUseNoSession(t *testing.T) {
	t.Parallel()
	k := &keeper{cookie: "good"}
	s := NewSessions(k, false)
	poll := requestWith("good")
	poll.Header.Set("HX-Poll", "true")
	for i, r := range []*http.Request{poll, requestWith("good")} {
		sess, err := s.Current(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := RecordOf(sess); !ok || k.used != i {
			t.Errorf("request %d: signed in %t, the session was used %d times", i, ok, k.used)
		}
	}
}

func TestSessionStoreAwayIsAnError(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	s := NewSessions(&keeper{cookie: "good", away: away}, false)
	r := requestWith("good")
	for range 2 { // the second answer is remembered, and the same
		if _, err := s.Current(r); !errors.Is(err, away) {
			t.Errorf("error %v", err)
		}
	}
	if err := Identify(r, s); !errors.Is(err, away) {
		t.Errorf("identify: %v", err)
	}
	if err := s.SignIn(r, httptest.NewRecorder(), account.User{Name: "anna"}); !errors.Is(err, away) {
		t.Errorf("sign in: %v", err)
	}
	if err := s.SignOut(r, httptest.NewRecorder()); !errors.Is(err, away) {
		t.Errorf("sign out: %v", err)
	}
	if _, err := s.Current(requestWith("")); err != nil {
		t.Errorf("somebody without a cookie is nobody, whatever the store does: %v", err)
	}
}

func TestSessionValuesAreKept(t *testing.T) {
	t.Parallel()
	k := &keeper{cookie: "good"}
	s := NewSessions(k, false)
	r := requestWith("good")
	sess, err := s.Current(r)
	if err != nil {
		t.Fatal(err)
	}
	sess.Values["a"] = "1"
	sess.Values[1] = "not a text by name"
	if err := sess.Save(r, httptest.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	if len(k.values) != 1 || k.values["a"] != "1" {
		t.Errorf("saved %v", k.values)
	}
	again, err := s.Current(requestWith("good"))
	if err != nil || again.Values["a"] != "1" {
		t.Errorf("read %v, %v", again.Values, err)
	}
	stranger, err := s.Current(requestWith(""))
	if err != nil {
		t.Fatal(err)
	}
	k.values = nil
	if err := stranger.Save(requestWith(""), httptest.NewRecorder()); err != nil || k.values != nil || k.made != 0 {
		t.Errorf("a stranger has a session: %v, %v", k.values, err)
	}
}

func TestSignInEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	k := &keeper{cookie: "good"}
	s := NewSessions(k, true)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-webadmin", Value: "good"})
	rec := httptest.NewRecorder()
	if err := s.SignIn(r, rec, account.User{Name: "ben", Role: account.Admin}); err != nil {
		t.Fatal(err)
	}
	cookie := rec.Result().Cookies()[0]
	if cookie.Value != "fresh" || cookie.Name != "__Host-webadmin" || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %+v", cookie)
	}
	sess, err := s.Current(r)
	if err != nil {
		t.Fatal(err)
	}
	if record, _ := RecordOf(sess); record.User != "ben" {
		t.Errorf("the request goes on as %q", record.User)
	}
	if err := s.SignOut(r, rec); err != nil || k.cookie != "" {
		t.Errorf("sign out: %v, %q", err, k.cookie)
	}
}
