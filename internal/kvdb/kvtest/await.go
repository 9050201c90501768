package kvtest

import (
	"testing"
	"time"
)

// patience is how long a test waits for what has to come.
const patience = 15 * time.Second

// Await looks again and again until it is so; what says what has to come.
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	if !comes(patience, so) {
		t.Fatalf("it does not come that %s", what)
	}
}

// comes looks again and again until it is so, or it is late.
func comes(patience time.Duration, so func() bool) bool {
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-late.C:
			return false
		}
	}
	return true
}
