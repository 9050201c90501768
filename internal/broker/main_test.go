package broker

import (
	"os"
	"testing"

	"webadmin/internal/kvdb/kvtest"
)

// asWorker makes this test binary be a process with workers, for tests that kill it.
const asWorker = "RUN_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		workerProcess()
		return
	}
	kvtest.Main(m)
}
