package mw

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
)

// refused is an error that Redis has replied.
type refused string

func (r refused) Error() string { return string(r) }
func (refused) RedisError()     {}

func TestASessionIsRememberedForBusyRoutesOnly(t *testing.T) {
	t.Parallel()
	busy := fmt.Errorf("resume: %w", refused("BUSY Redis is busy running a script."))
	rows := []Route{{Name: "kill", Method: http.MethodGet, Path: "/", Need: account.Viewer, Busy: true}}
	notAPI := func(*http.Request) bool { return false }
	ask := func(s *Sessions, rows []Route, cookie string) error {
		_, err := serve(rows, requestWith(cookie), func(c echo.Context) error {
			if who := From(c.Request().Context()).Principal; who.Name != "anna" || who.SessionID != "id" {
				t.Errorf("it is %+v", who)
			}
			return nil
		}, Gate(nil, s, notAPI))
		return err
	}
	for _, tc := range []struct {
		name string
		away error
		rows []Route
		seen bool
		ok   bool
	}{
		{"seen", busy, rows, true, true},
		{"never seen", busy, rows, false, false},
		{"another route", busy, []Route{{Name: "page", Method: http.MethodGet, Path: "/", Need: account.Viewer}}, true, false},
		{"away, not busy", errors.New("refused"), rows, true, false},
	} {
		k := &keeper{cookie: "good"}
		s := NewSessions(k, false)
		if tc.seen {
			if err := ask(s, rows, "good"); err != nil {
				t.Fatal(err)
			}
		}
		k.away = tc.away
		if err := ask(s, tc.rows, "good"); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestRememberedSessionsEnd(t *testing.T) {
	t.Parallel()
	k := &keeper{cookie: "good"}
	s := NewSessions(k, false)
	if _, err := s.Current(requestWith("good")); err != nil {
		t.Fatal(err)
	}
	k.cookie = ""
	if _, err := s.Current(requestWith("good")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Remembered(requestWith("good")); ok {
		t.Error("a session that has ended is remembered")
	}
	for i := range rememberAll + 1 {
		s.memory.add(fmt.Sprint(i), account.Session{})
	}
	if n := len(s.memory.seen); n > rememberAll {
		t.Errorf("%d sessions are remembered", n)
	}
	s.memory.add("old", account.Session{})
	for key, r := range s.memory.seen {
		r.at = time.Now().Add(-rememberFor - time.Second)
		s.memory.seen[key] = r
	}
	if _, ok := s.Remembered(requestWith("old")); ok {
		t.Error("an old one is remembered")
	}
}
