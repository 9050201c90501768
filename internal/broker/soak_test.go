//go:build soak

package broker

import "testing"

// TestSoakKilledWorkers is TestKilledWorkersLoseNothing at full length.
func TestSoakKilledWorkers(t *testing.T) { killWorkers(t, 100_000, 100) }
