package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
)

func TestCheckPassword(t *testing.T) {
	for _, tc := range []struct {
		password string
		good     bool
	}{
		{"", false},
		{"sieben7", false},
		{"acht8888x", true},
		{"äöüßäöü", false},
		{"äöüßäöüß", true},
		{strings.Repeat("ü", MaxPassword), true},
		{strings.Repeat("ü", MaxPassword+1), false},
		{"valid\xfflength", false},
		{"Ann.Example", false},
		{"password123", false},
		{"PassWord123", false},
		{"password1\npassword2", true},
		{"password 123", true},
		{"zzzzzzzz", false},
		{"00000000", false},
		{"\n00000000\n", true},
	} {
		if problem := checkPassword("ann.example", tc.password); (problem == "") != tc.good {
			t.Errorf("%.20q: got problem %q, want good %v", tc.password, problem, tc.good)
		}
	}
}

func TestCommonPasswordsAreAList(t *testing.T) {
	for line := range strings.Lines(commonPasswords) {
		word := strings.TrimSuffix(line, "\n")
		if word != strings.TrimSpace(strings.ToLower(word)) || !isCommon(word) {
			t.Errorf("%q is not in the form that is looked for", word)
		}
	}
}

func TestStandardHash(t *testing.T) {
	h := newHasher()
	phc, err := h.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(phc, want) {
		t.Errorf("got %q, want it to begin with %q", phc, want)
	}
	for _, tc := range []struct {
		phc, password string
		want          bool
	}{{phc, password, true}, {phc, "wrong horse battery", false}, {"", password, false}, {"", "", false}, {phc, strings.Repeat("x", 1<<20), false}} {
		right, better, err := h.verify(t.Context(), tc.phc, tc.password)
		if err != nil || right != tc.want || better != "" {
			t.Errorf("verify(%.20q): got %v, better %q, %v; want %v", tc.password, right, better, err, tc.want)
		}
	}
}

func TestWeakHashIsReplaced(t *testing.T) {
	h := newHasher()
	for _, c := range []cost{{1, 19 * 1024, 1}, {2, 8 * 1024, 1}, {2, 19 * 1024, 2}} {
		weak := newPHC(c, password)
		right, better, err := h.verify(t.Context(), weak, password)
		if err != nil || !right || (better == "") != (c.threads == 2) {
			t.Errorf("%+v: got %v, better %q, %v", c, right, better, err)
		}
		if right, better, _ := h.verify(t.Context(), weak, "wrong"); right || better != "" {
			t.Errorf("%+v, wrong password: got %v, better %q", c, right, better)
		}
	}
}

func TestHasherIsBounded(t *testing.T) {
	h := newHasher()
	h.cost = cost{passes: 1, kib: 8, threads: 1}
	release := make(chan struct{})
	running := make(chan struct{}, hashesAtOnce+hashesWaiting)
	done := make(chan error, hashesAtOnce+hashesWaiting)
	for range hashesAtOnce + hashesWaiting {
		go func() {
			done <- h.do(context.Background(), func() {
				running <- struct{}{}
				<-release
			})
		}()
	}
	for range hashesAtOnce {
		<-running
	}
	for len(h.line) < cap(h.line) { // all have come in
		select {
		case <-t.Context().Done():
			t.Fatal("the line never filled")
		default:
		}
	}
	select {
	case <-running:
		t.Fatal("more passwords are hashed at once than there may be")
	default:
	}
	_, err := h.hash(t.Context(), password)
	if !errors.Is(err, ErrBusy) || !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("with a full line: got %v, want ErrBusy", err)
	}
	close(release)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, err := h.hash(t.Context(), password); err != nil {
		t.Errorf("after the rush: got %v", err)
	}
}

func TestHasherWaitsNoLongerThanTheCaller(t *testing.T) {
	h := newHasher()
	for range hashesAtOnce {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(ctx, password); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
	if len(h.line) != 0 {
		t.Error("who left still stands in the line")
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(newPHC(cost{1, 8, 1}, password))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$YWJj")
	f.Add("$argon2id$v=19$m=0,t=0,p=0$$")
	f.Add("$2a$10$abc")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err == nil && p.String() != s {
			t.Errorf("%q was read as %q", s, p)
		}
	})
}
