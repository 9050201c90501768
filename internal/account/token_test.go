package account

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		created := h.clock.now()
		tok, secret := h.token(t, " ci ", Operator, time.Time{})
		if !regexp.MustCompile(`^wa_[a-z2-7]{16}[A-Za-z0-9_-]{43}$`).MatchString(secret) {
			t.Errorf("got a secret of the form %q", secret)
		}
		want := Token{ID: tok.ID, Name: "ci", Role: Operator, CreatedBy: "ann", CreatedAt: created}
		if diff := cmp.Diff(want, tok); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		p, err := h.Authenticate(ctx, secret)
		wantErr(t, "authenticate", err, nil)
		if want := (Principal{Name: "ci", Role: Operator, Kind: KindToken, TokenID: tok.ID}); p != want {
			t.Errorf("got %+v, want %+v", p, want)
		}

		h.clock.advance(time.Second)
		second, _ := h.token(t, "ci", Viewer, created.Add(time.Hour)) // names need not be unique
		want.LastUsedAt = created
		listed := func(want ...Token) {
			t.Helper()
			got, err := h.Tokens(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		}
		listed(second, want)
		h.clock.advance(touchEvery - 2*time.Second)
		_, err = h.Authenticate(ctx, secret)
		wantErr(t, "within the minute", err, nil)
		listed(second, want)
		h.clock.advance(answersLive)
		_, err = h.Authenticate(ctx, secret)
		wantErr(t, "after it", err, nil)
		want.LastUsedAt = h.clock.now()
		listed(second, want)

		wantErr(t, "revoke", h.RevokeToken(ctx, tok.ID), nil)
		_, err = h.Authenticate(ctx, secret)
		wantErr(t, "revoked", err, ErrBadCredentials)
		wantErr(t, "revoke again", h.RevokeToken(ctx, tok.ID), kvdb.ErrNotFound)
		listed(second)
	})
}

func TestCreateTokenRefuses(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	for _, name := range []string{"", " ", "a\nb", "\xff", "a\u202eb", strings.Repeat("ü", MaxName+1)} {
		_, _, err := h.CreateToken(t.Context(), name, Viewer, time.Time{}, "ann")
		wantFields(t, fmt.Sprintf("%q", name), err, "name")
	}
	_, _, err := h.CreateToken(t.Context(), "ci", "root", h.clock.now(), "ann")
	wantFields(t, "role and expiry", err, "role", "expires")
	h.token(t, "Größe "+strings.Repeat("ü", MaxName-6), Viewer, h.clock.now().Add(time.Millisecond))
}

func TestAuthenticateRefuses(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	_, secret := h.token(t, "ci", Viewer, time.Time{})
	_, other := h.token(t, "ci", Viewer, time.Time{})
	n := len(tokenPrefix) + idLen
	for _, bad := range []string{
		"", "wa_", secret[1:], secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), secret[:n] + other[n:], other[:n] + secret[n:],
		"xx_" + secret[3:], secret[:n] + strings.Repeat("\x00", secretLen), strings.Repeat("a", 1<<20),
	} {
		for range 2 { // the second time from memory
			p, err := h.Authenticate(t.Context(), bad)
			if !errors.Is(err, ErrBadCredentials) || !errors.Is(err, kvdb.ErrForbidden) || p != (Principal{}) {
				t.Errorf("%.80q: got %+v, %v", bad, p, err)
			}
		}
	}
	_, err := h.Authenticate(t.Context(), secret)
	wantErr(t, "the good one", err, nil)
}

func TestTokenExpires(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, secret := h.token(t, "ci", Viewer, h.clock.now().Add(time.Hour))
		h.clock.advance(time.Hour - time.Millisecond)
		_, err := h.Authenticate(t.Context(), secret)
		wantErr(t, "just before", err, nil)
		h.clock.advance(time.Millisecond)
		_, err = h.Authenticate(t.Context(), secret) // though its answer is 1 ms old
		wantErr(t, "expired", err, ErrBadCredentials)
	})
}

// TestAuthenticateRemembers does without Redis for as long as answers live, and no longer.
func TestAuthenticateRemembers(t *testing.T) {
	srv := kvtest.NewServer(t)
	h := openHouse(t, srv.DB(t))
	_, secret := h.token(t, "ci", Viewer, time.Time{})
	unknown := tokenPrefix + newID() + newSecret()
	ask := func(secret string) error {
		_, err := h.Authenticate(t.Context(), secret)
		return err
	}
	wantErr(t, "good, asked", ask(secret), nil)
	wantErr(t, "bad, asked", ask(unknown), ErrBadCredentials)
	srv.Kill()
	h.clock.advance(answersLive - time.Millisecond)
	wantErr(t, "good, remembered", ask(secret), nil)
	wantErr(t, "bad, remembered", ask(unknown), ErrBadCredentials)
	h.clock.advance(time.Millisecond)
	wantErr(t, "good, forgotten", ask(secret), kvdb.ErrAway)
	wantErr(t, "bad, forgotten", ask(unknown), kvdb.ErrAway)
}

func TestTokenRevokedElsewhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		tok, secret := h.token(t, "ci", Viewer, time.Time{})
		_, err := h.Authenticate(t.Context(), secret)
		wantErr(t, "good", err, nil)
		if err := h.replica().RevokeToken(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
		h.clock.advance(answersLive)
		_, err = h.Authenticate(t.Context(), secret)
		wantErr(t, "after 2 seconds", err, ErrBadCredentials)
	})
}

func TestAnswers(t *testing.T) {
	now := time.Unix(1000, 0)
	good := answer{principal: Principal{Name: "ci"}, until: now.Add(answersLive)}
	bad := answer{err: errBadToken, until: now.Add(answersLive)}
	sum := func(n int) [sha256.Size]byte { return sha256.Sum256([]byte(fmt.Sprint(n))) }

	a := newAnswers()
	before := a.generation()
	a.forget() // a token is revoked while its record is on the way
	a.put(sum(1), before, good)
	if _, ok := a.get(sum(1), now); ok {
		t.Error("an answer from before the revocation is remembered")
	}
	a.put(sum(1), a.generation(), good)
	if got, ok := a.get(sum(1), now); !ok || got.principal.Name != "ci" {
		t.Errorf("got %+v, %v", got, ok)
	}
	a.put(sum(1), a.generation(), bad)
	if got, ok := a.get(sum(1), now); !ok || got.err == nil {
		t.Errorf("after it turned bad: got %+v, %v", got, ok)
	}
	a.put(sum(1), a.generation(), good)
	for n := range 3*maxAnswers + 2 {
		a.put(sum(n+2), a.generation(), bad)
	}
	if len(a.bad) > maxAnswers || len(a.good) != 1 {
		t.Errorf("%d bad and %d good answers are remembered", len(a.bad), len(a.good))
	}
	if _, ok := a.get(sum(1), now); !ok {
		t.Error("bad tokens pushed a good one out")
	}
}

func TestAuthenticateAllocatesNothing(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	_, secret := h.token(t, "ci", Viewer, time.Time{})
	ask := func() {
		if _, err := h.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if n := testing.AllocsPerRun(1000, ask); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	h := openHouse(b, kvtest.Open(b))
	_, secret := h.token(b, "ci", Viewer, time.Time{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Authenticate(b.Context(), secret); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestTooManyTokens(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	fields := make([]any, 0, 2*maxTokens)
	for i := range maxTokens - 1 {
		fields = append(fields, fmt.Sprint(i), "x")
	}
	if err := h.db.Client().HSet(t.Context(), h.keys.Tokens(), fields...).Err(); err != nil {
		t.Fatal(err)
	}
	h.token(t, "last", Viewer, time.Time{})
	_, _, err := h.CreateToken(t.Context(), "beyond", Viewer, time.Time{}, "ann")
	wantErr(t, "one too many", err, ErrFull)
}

func FuzzParseToken(f *testing.F) {
	f.Add(tokenPrefix + newID() + newSecret())
	f.Add("wa_")
	f.Add(strings.Repeat("a", tokenLen))
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseToken(s)
		if !ok {
			return
		}
		if !isID(id) || len(s) != tokenLen || !strings.HasPrefix(s, tokenPrefix+id) {
			t.Errorf("%q was taken for a token of %q", s, id)
		}
	})
}
