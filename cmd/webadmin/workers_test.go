package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

// A process without workers leaves the work to others; and to stop, it waits for nobody who waits for work.
func TestServeRunsWorkers(t *testing.T) {
	t.Parallel()
	redis := kvtest.NewServer(t)
	dir := filepath.Join(t.TempDir(), "data")
	idle := serving(t, "--redis-url", redis.URL(), "--data-dir", dir, "--workers", "0")
	idle.until("/readyz", http.StatusOK)
	token := cli(t, dir, "token", "create", "--name", "n", "--role", "operator", "--redis-url", redis.URL())
	status, body := idle.call("POST", "/api/v1/broker/invoke", token, `{"service":"echo","payload":[9007199254740993]}`)
	var invoked struct{ CID string }
	if err := json.Unmarshal([]byte(body), &invoked); err != nil || status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	path := "/api/v1/broker/invocations/" + invoked.CID
	if _, body := idle.call("GET", path, token, ""); !strings.Contains(body, `"state":"queued"`) {
		t.Errorf("without workers: %s", body)
	}
	busy := serving(t, "--redis-url", redis.URL(), "--data-dir", dir, "--demo")
	kvtest.Await(t, "it is done", func() bool {
		_, body = idle.call("GET", path, token, "")
		return strings.Contains(body, `"state":"done"`)
	})
	if !strings.Contains(body, `"result":[9007199254740993]`) {
		t.Error(body)
	}
	kvtest.Await(t, "the demo's orders are done", func() bool {
		_, body = idle.call("GET", "/api/v1/broker/invocations?service=demo:orders&state=done", token, "")
		return strings.Contains(body, `"accepted":true`)
	})

	waits := make(chan int)
	go func() {
		status, _ := idle.call("POST", "/api/v1/broker/services/nobody/receive", token, `{"wait_ms":30000}`)
		waits <- status
	}()
	kvtest.Await(t, "somebody waits for work", func() bool {
		_, body := idle.call("GET", "/api/v1/broker/services", token, "")
		return strings.Contains(body, `"nobody"`)
	})
	told := time.Now()
	idle.signal(syscall.SIGTERM)
	if status := <-waits; status != http.StatusOK || time.Since(told) > 5*time.Second {
		t.Errorf("who waited got %d after %s", status, time.Since(told))
	}
	busy.signal(syscall.SIGTERM)
	for _, s := range []*server{idle, busy} {
		if code := s.wait(); code != exitOK {
			t.Errorf("code %d", code)
		}
	}
}
