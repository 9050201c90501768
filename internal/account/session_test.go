package account

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestSession(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Operator)
		start := h.clock.now()
		cookie, sess := h.session(t, "ann")
		want := Session{ID: cookie[:idLen], User: "ann", Role: Operator, CreatedAt: start, SeenAt: start, Address: "192.0.2.1", Agent: "a browser"}
		if diff := cmp.Diff(want, sess); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		resumed := func(want Session, values map[string]string) {
			t.Helper()
			got, gotValues, err := h.ResumeSession(ctx, cookie)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("resumed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(values, gotValues); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		}
		resumed(want, nil)

		values := map[string]string{"flash": "Saved <b>", "": "\n"}
		if err := h.SaveSessionValues(ctx, cookie, values); err != nil {
			t.Fatal(err)
		}
		resumed(want, values)

		h.clock.advance(touchEvery - time.Millisecond)
		resumed(want, values)
		h.clock.advance(time.Millisecond)
		want.SeenAt = h.clock.now()
		resumed(want, values)
		h.clock.advance(time.Second)
		resumed(want, values)

		if err := h.SaveSessionValues(ctx, cookie, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.SetRole(ctx, "ann", Viewer, 0); err != nil {
			t.Fatal(err)
		}
		want.Role = Viewer // at the very next request
		resumed(want, nil)

		wantErr(t, "end", h.EndSession(ctx, cookie), nil)
		_, _, err := h.ResumeSession(ctx, cookie)
		wantErr(t, "resume after the end", err, kvdb.ErrNotFound)
		wantErr(t, "values after the end", h.SaveSessionValues(ctx, cookie, values), kvdb.ErrNotFound)
		wantErr(t, "end again", h.EndSession(ctx, cookie), kvdb.ErrNotFound)
		wantNoSessions(t, h)
	})
}

// wantNoSessions checks that nothing is left of any session.
func wantNoSessions(t *testing.T, h *house) {
	t.Helper()
	n, err := h.db.Client().Exists(t.Context(), h.keys.Sessions(), h.keys.SessionsByUser(), h.keys.SessionsDue()).Result()
	if err != nil || n != 0 {
		t.Errorf("%d keys of sessions are left, %v", n, err)
	}
}

func TestSessionOfABadCookie(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	cookie, sess := h.session(t, "ann")
	other, _ := h.session(t, "ann")
	for _, bad := range []string{
		"", ".", sess.ID, sess.ID + ".", cookie + "x", cookie[1:], cookie[:len(cookie)-1], strings.ToUpper(cookie), " " + cookie,
		sess.ID + other[idLen:], sess.ID + "." + strings.Repeat("A", secretLen), strings.Repeat("a", 1<<20), cookie + "." + cookie,
	} {
		_, _, err := h.ResumeSession(t.Context(), bad)
		wantErr(t, fmt.Sprintf("resume %.80q", bad), err, kvdb.ErrNotFound)
		wantErr(t, fmt.Sprintf("save %.80q", bad), h.SaveSessionValues(t.Context(), bad, nil), kvdb.ErrNotFound)
		if bad != sess.ID {
			wantErr(t, fmt.Sprintf("end %.80q", bad), h.EndSession(t.Context(), bad), kvdb.ErrNotFound)
		}
	}
	_, _, err := h.ResumeSession(t.Context(), cookie)
	wantErr(t, "the good one", err, nil)
}

func TestSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Admin)
		cookie, _ := h.session(t, "ann")
		h.clock.advance(SessionIdle - time.Millisecond)
		_, _, err := h.ResumeSession(ctx, cookie)
		wantErr(t, "almost idle too long", err, nil)
		h.clock.advance(SessionIdle)
		_, _, err = h.ResumeSession(ctx, cookie)
		wantErr(t, "idle too long", err, kvdb.ErrNotFound)
		wantErr(t, "end of one that is idle too long", h.EndSession(ctx, cookie), kvdb.ErrNotFound)

		cookie, _ = h.session(t, "ann")
		started := h.clock.now()
		for h.clock.now().Before(started.Add(SessionLife - time.Hour)) {
			h.clock.advance(time.Hour)
			if _, _, err := h.ResumeSession(ctx, cookie); err != nil {
				t.Fatalf("after %v: %v", h.clock.now().Sub(started), err)
			}
		}
		h.clock.advance(time.Hour)
		_, _, err = h.ResumeSession(ctx, cookie)
		wantErr(t, "older than sessions may be", err, kvdb.ErrNotFound)

		if list, err := h.Sessions(ctx, ""); err != nil || len(list) != 0 {
			t.Errorf("sessions that have ended: got %v, %v", list, err)
		}
		if list, err := h.Sessions(ctx, "ann"); err != nil || len(list) != 0 {
			t.Errorf("sessions of ann that have ended: got %v, %v", list, err)
		}
		_, last := h.session(t, "ann") // removes what has ended
		for _, key := range []string{h.keys.SessionsByUser(), h.keys.SessionsDue()} {
			if n, err := h.db.Client().ZCard(ctx, key).Result(); err != nil || n != 1 {
				t.Errorf("%s has %d members, %v", key, n, err)
			}
		}
		wantErr(t, "end by ID", h.EndSession(ctx, last.ID), nil)
		wantNoSessions(t, h)
	})
}

// TestSessionOfAPageLeftOpen: a page that keeps itself up to date does not keep the session of whoever has gone.
func TestSessionOfAPageLeftOpen(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "ann", Admin)
		cookie, sess := h.session(t, "ann")
		wantErr(t, "values", h.SaveSessionValues(ctx, cookie, map[string]string{"flash": "Saved"}), nil)
		end := h.clock.now().Add(SessionIdle)
		for h.clock.now().Before(end) {
			got, values, err := h.PeekSession(ctx, cookie)
			wantErr(t, "look", err, nil)
			if diff := cmp.Diff(sess, got); diff != "" || values["flash"] != "Saved" {
				t.Fatalf("seen with %v (-want +got):\n%s", values, diff)
			}
			h.clock.advance(SessionIdle / 8)
		}
		_, _, err := h.PeekSession(ctx, cookie)
		wantErr(t, "look at one that is idle too long", err, kvdb.ErrNotFound)
	})
}

func TestSessionsOfAUserEnd(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.user(t, "root", Admin)
		for _, tc := range []struct {
			name string
			do   func() error
		}{
			{"password", func() error { return h.SetPassword(ctx, "ann", "another password") }},
			{"disable", func() error { _, err := h.SetDisabled(ctx, "ann", true, 0); return err }},
			{"delete", func() error { return h.DeleteUser(ctx, "ann") }},
			{"end all", func() error { return h.EndSessionsOf(ctx, "ann") }},
		} {
			if err := h.db.Client().HDel(ctx, h.keys.Users(), "ann").Err(); err != nil {
				t.Fatal(err)
			}
			before := h.user(t, "ann", Viewer)
			first, _ := h.session(t, "ann")
			second, _ := h.session(t, "ann")
			stored := h.hget(t, h.keys.Sessions(), first[:idLen])
			if err := tc.do(); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			wantNoSessions(t, h)
			for _, cookie := range []string{first, second} {
				_, _, err := h.ResumeSession(ctx, cookie)
				wantErr(t, tc.name, err, kvdb.ErrNotFound)
			}
			// What was signed in before does not start a session after.
			late, _, err := h.StartSession(ctx, before, "", "")
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = h.ResumeSession(ctx, late)
			wantErr(t, tc.name+": late start", err, kvdb.ErrNotFound)
			wantErr(t, tc.name+": end of the late start", h.EndSession(ctx, late[:idLen]), nil)
			// Nor does a record that somebody kept and put back.
			h.hset(t, h.keys.Sessions(), first[:idLen], stored)
			_, _, err = h.ResumeSession(ctx, first)
			wantErr(t, tc.name+": put back", err, kvdb.ErrNotFound)
			wantErr(t, tc.name+": end of what was put back", h.EndSession(ctx, first[:idLen]), nil)
			wantNoSessions(t, h)
			h.clock.advance(time.Second)
		}
		if err := h.DeleteUser(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "sessions of nobody", h.EndSessionsOf(ctx, "ann"), kvdb.ErrNotFound)
	})
}

func TestSessionOfALaterUserOfTheSameName(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	u := h.user(t, "ann", Viewer)
	if err := h.DeleteUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	h.clock.advance(time.Second)
	h.user(t, "ann", Admin)
	cookie, _, err := h.StartSession(t.Context(), u, "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.ResumeSession(t.Context(), cookie)
	wantErr(t, "session of the earlier one", err, kvdb.ErrNotFound)
}

func TestSessionOfADisabledUser(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "root", Admin)
	h.user(t, "ann", Viewer)
	if _, err := h.SetDisabled(t.Context(), "ann", true, 0); err != nil {
		t.Fatal(err)
	}
	cookie, _ := h.session(t, "ann")
	_, _, err := h.ResumeSession(t.Context(), cookie)
	wantErr(t, "session of a disabled user", err, kvdb.ErrNotFound)
}

func TestListSessions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		var want []string
		for _, name := range []string{"ann", "ann.b", "ann0", "an", "bob", "ann"} {
			if _, err := h.User(ctx, name); err != nil {
				h.user(t, name, Viewer)
			}
			_, sess := h.session(t, name)
			want = append([]string{sess.ID + " " + name}, want...)
			h.clock.advance(time.Minute)
		}
		listed := func(user string, want []string) {
			t.Helper()
			list, err := h.Sessions(ctx, user)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, s := range list {
				if s.Role != Viewer || s.Agent != "a browser" {
					t.Errorf("got %+v", s)
				}
				got = append(got, s.ID+" "+s.User)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sessions of %q (-want +got):\n%s", user, diff)
			}
		}
		listed("", want)
		listed("ann", []string{want[0], want[5]})
		listed("bob", []string{want[1]})
		listed("nobody", []string{})
		if err := h.EndSessionsOf(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
		listed("", want[1:5])
	})
}

func TestSessionValuesAreBounded(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	cookie, _ := h.session(t, "ann")
	frame := len(`{"k":""}`)
	wantErr(t, "8 KiB", h.SaveSessionValues(t.Context(), cookie, map[string]string{"k": strings.Repeat("x", maxSessionValues-frame)}), nil)
	wantErr(t, "more", h.SaveSessionValues(t.Context(), cookie, map[string]string{"k": strings.Repeat("x", maxSessionValues-frame+1)}), kvdb.ErrInvalid)
	_, values, err := h.ResumeSession(t.Context(), cookie)
	if err != nil || len(values["k"]) != maxSessionValues-frame {
		t.Errorf("got %d bytes, %v", len(values["k"]), err)
	}
}

// TestSessionUsedByManyRequests saves values and resumes at the same time: values that were saved are not lost to the
// note of a use.
func TestSessionUsedByManyRequests(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user(t, "ann", Admin)
		cookie, _ := h.session(t, "ann")
		for round := range 10 {
			h.clock.advance(touchEvery)
			want := map[string]string{"round": fmt.Sprint(round)}
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if _, _, err := h.ResumeSession(t.Context(), cookie); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				if err := h.SaveSessionValues(t.Context(), cookie, want); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			_, got, err := h.ResumeSession(t.Context(), cookie)
			if err != nil || !cmp.Equal(got, want) {
				t.Errorf("round %d: got %v, %v", round, got, err)
			}
		}
	})
}

func TestSessionKeepsShortText(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	u := h.user(t, "ann", Admin)
	_, sess, err := h.StartSession(t.Context(), u, strings.Repeat("1", 1000), strings.Repeat("é", 1000)+"\xff")
	if err != nil || len(sess.Address) != 64 || sess.Agent != strings.Repeat("é", 128) {
		t.Errorf("got %+v, %v", sess, err)
	}
}

func FuzzParseCookie(f *testing.F) {
	f.Add(newID() + "." + newSecret())
	f.Add("aaaaaaaaaaaaaaaa.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseCookie(s)
		if !ok {
			return
		}
		if !isID(id) || len(s) != idLen+1+secretLen || !strings.HasPrefix(s, id+".") {
			t.Errorf("%q was taken for a cookie of %q", s, id)
		}
	})
}
