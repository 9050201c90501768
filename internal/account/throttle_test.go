package account

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

// tries signs in and returns the wait that was asked for, 0 = the attempt was made.
func (h *house) tries(t *testing.T, name, password, address string) time.Duration {
	t.Helper()
	_, err := h.SignIn(t.Context(), name, password, address)
	var throttled *ThrottledError
	switch {
	case errors.As(err, &throttled):
		return throttled.RetryAfter
	case err != nil && !errors.Is(err, ErrBadCredentials):
		t.Fatalf("sign in: %v", err)
	}
	return 0
}

func TestAccountThrottle(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user(t, "ann", Admin)
		h.user(t, "bob", Viewer)
		n := 0
		address := func() string { n++; return fmt.Sprintf("192.0.2.%d", n%200) } // the account is guessed at from everywhere
		for i := range accountThrottle.free {
			if wait := h.tries(t, "ann", "wrong", address()); wait != 0 {
				t.Fatalf("attempt %d: got a wait of %v", i+1, wait)
			}
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			want *= time.Second
			if wait := h.tries(t, "ann", password, address()); wait != want {
				t.Errorf("right password: got a wait of %v, want %v", wait, want)
			}
			h.clock.advance(want - time.Millisecond)
			if wait := h.tries(t, "ann", password, address()); wait != time.Millisecond {
				t.Errorf("a moment before: got a wait of %v, want 1 ms", wait)
			}
			h.clock.advance(time.Millisecond)
			if wait := h.tries(t, "ann", "wrong", address()); wait != 0 {
				t.Errorf("after the wait: got another one of %v", wait)
			}
		}
		if wait := h.tries(t, "bob", password, address()); wait != 0 {
			t.Errorf("another account: got a wait of %v", wait)
		}
		h.clock.advance(time.Minute)
		if _, err := h.SignIn(t.Context(), "ann", password, address()); err != nil {
			t.Errorf("right password after the wait: got %v", err)
		}
		for i := range accountThrottle.free {
			if wait := h.tries(t, "ann", "wrong", address()); wait != 0 {
				t.Errorf("attempt %d after the right one: got a wait of %v", i+1, wait)
			}
		}
		h.clock.advance(throttleMemory)
		for i := range accountThrottle.free {
			if wait := h.tries(t, "ann", "wrong", address()); wait != 0 {
				t.Errorf("attempt %d after a long while: got a wait of %v", i+1, wait)
			}
		}
	})
}

func TestAddressThrottle(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user(t, "ann", Admin)
		for i := range addressThrottle.free {
			if wait := h.tries(t, fmt.Sprintf("user%d", i), "wrong", "192.0.2.1"); wait != 0 {
				t.Fatalf("attempt %d: got a wait of %v", i+1, wait)
			}
			// A right password in between does not wipe out what went before.
			if _, err := h.SignIn(t.Context(), "ann", password, "192.0.2.1"); err != nil && i < addressThrottle.free-1 {
				t.Fatalf("attempt %d, right password: %v", i+1, err)
			}
		}
		if wait := h.tries(t, "ann", password, "192.0.2.1"); wait != time.Second {
			t.Errorf("got a wait of %v, want 1 s", wait)
		}
		if wait := h.tries(t, "ann", password, "::ffff:192.0.2.1"); wait != time.Second {
			t.Errorf("same address, written otherwise: got a wait of %v, want 1 s", wait)
		}
		if wait := h.tries(t, "ann", password, "192.0.2.2"); wait != 0 {
			t.Errorf("another address: got a wait of %v", wait)
		}
		for range 12 {
			h.clock.advance(addressThrottle.longest)
			if wait := h.tries(t, "nobody", "wrong", "192.0.2.1"); wait != 0 {
				t.Errorf("after the longest wait: got another one of %v", wait)
			}
		}
		if wait := h.tries(t, "ann", password, "192.0.2.1"); wait != addressThrottle.longest {
			t.Errorf("got a wait of %v, want the longest", wait)
		}
	})
}

func TestAddressSubject(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7",
		"::ffff:192.0.2.7":         "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::%eth0": "2001:db8:1:2::/64",
		"fe80::1%eth0":             "fe80::/64",
		"":                         "",
		"somewhere":                "somewhere",
	} {
		if got := addressSubject(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestThrottleOfManyAtOnce guesses with many requests at the same time.
func TestThrottleOfManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.user(t, "ann", Admin)
		var wg sync.WaitGroup
		var mu sync.Mutex
		guesses := 0
		for i := range 60 {
			s := h.replica() // so that none is turned away as too busy
			wg.Go(func() {
				_, err := s.SignIn(t.Context(), "ann", "wrong", fmt.Sprintf("192.0.2.%d", i))
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, ErrBadCredentials) {
					guesses++
				}
			})
		}
		wg.Wait()
		if guesses != accountThrottle.free {
			t.Errorf("%d guesses were made, want %d", guesses, accountThrottle.free)
		}
	})
}

func TestNoVerdictDoesNotCount(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	for range cap(h.hasher.line) {
		h.hasher.line <- struct{}{}
	}
	for range 3 * addressThrottle.free {
		_, err := h.SignIn(t.Context(), "ann", "wrong", "192.0.2.1")
		wantErr(t, "with a full line", err, ErrBusy)
	}
	for range cap(h.hasher.line) {
		<-h.hasher.line
	}
	for i := range accountThrottle.free {
		if wait := h.tries(t, "ann", "wrong", "192.0.2.1"); wait != 0 {
			t.Errorf("attempt %d: got a wait of %v", i+1, wait)
		}
	}
}

// TestThrottleOfAClockThatIsBehind asks a replica whose clock is behind that of another.
func TestThrottleOfAClockThatIsBehind(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	h.user(t, "ann", Admin)
	for range accountThrottle.free {
		h.tries(t, "ann", "wrong", "192.0.2.1")
	}
	h.clock.advance(-24 * time.Hour)
	if wait := h.tries(t, "ann", "wrong", "192.0.2.1"); wait != time.Second {
		t.Errorf("got a wait of %v, want 1 s", wait)
	}
}

func TestThrottleKeysExpire(t *testing.T) {
	h := openHouse(t, kvtest.Open(t))
	long := string(make([]byte, 1<<20))
	h.tries(t, long, "wrong", long)
	keys, err := h.db.Client().Keys(t.Context(), string(h.db.Keys())+"*throttle*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		if len(key) > 100 {
			t.Errorf("a key of %d bytes", len(key))
		}
		if ttl, err := h.db.Client().PTTL(t.Context(), key).Result(); err != nil || ttl <= 0 || ttl > throttleMemory {
			t.Errorf("%s lives for %v, %v", key, ttl, err)
		}
	}
}
