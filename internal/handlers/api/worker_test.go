package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/kvdb/kvtest"
)

// worker is a worker.py as a process.
type worker struct {
	cmd   *exec.Cmd
	said  *said
	over  chan error
	ended chan struct{}
}

// said is what a process writes.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// work starts a worker.py on the service orders at url; lease in seconds.
func (w *world) work(file, url, lease string) *worker {
	w.t.Helper()
	p := &worker{cmd: exec.Command("python3", file, "orders"), said: &said{}, over: make(chan error, 1), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "WEBADMIN_URL="+url, "WEBADMIN_TOKEN="+w.token[account.Operator],
		"WEBADMIN_LEASE="+lease, "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		w.t.Fatalf("%v (make setup installs python3)", err)
	}
	go func() { p.over <- p.cmd.Wait(); close(p.ended) }()
	w.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

func (w *world) becomes(cid, state string) object {
	w.t.Helper()
	var got object
	kvtest.Await(w.t, cid+" is "+state, func() bool { got = w.invocation(cid); return got["state"] == state })
	return got
}

func TestWorkerInPython(t *testing.T) {
	t.Parallel()
	if text, err := os.ReadFile("../../../docs/worker.py"); err != nil || bytes.Count(text, []byte("\n")) > 60 {
		t.Errorf("it has more than 60 lines, or %v", err)
	}
	w := newWorld(t)
	p := w.work("../../../docs/worker.py", w.url, "1")
	const order = `{"lines":[{"price":20000000000000000001,"count":1},{"price":2,"count":3}]}`
	done := w.becomes(w.invoke("orders", order), "done")
	if raw, _ := json.Marshal(done["attempts"]); !strings.Contains(string(raw), "token-operator:") {
		t.Errorf("%s", raw)
	}
	if a := w.want(200, "GET", "/broker/invocations/"+done["cid"].(string), nil); !strings.Contains(string(a.raw),
		`"result":{"total":20000000000000000007}`) {
		t.Errorf("%s", a.raw)
	}
	bad := w.want(202, "POST", "/broker/invoke", object{"service": "orders", "payload": object{}, "max_attempts": 1}).object(t)["cid"].(string)
	if dead := w.becomes(bad, "dead"); dead["error"] != "KeyError: 'lines'" {
		t.Errorf("%v", dead)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.over:
		if err != nil {
			t.Errorf("%v: %s", err, p.said)
		}
	case <-time.After(15 * time.Second):
		t.Errorf("it does not end: %s", p.said)
	}
}

// What takes longer than the lease is not taken away, and a server that is away for a while does no harm.
func TestWorkerInPythonKeepsItsLeaseAndWaitsForTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile("../../../docs/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(t.TempDir(), "slow.py")
	if err := os.WriteFile(slow, bytes.Replace(text, []byte("    return {"), []byte("    time.sleep(2)\n    return {"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // nobody is there yet
		t.Fatal(err)
	}
	p := w.work(slow, "http://"+l.Addr().String(), "0.6")
	kvtest.Await(t, "the worker finds no server", func() bool { return strings.Contains(p.said.String(), "no work") })
	if l, err = lc.Listen(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of the worker that is killed at the end
	front := httptest.NewUnstartedServer(proxy)
	if err := front.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	front.Listener = l
	front.Start()
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	cid := w.invoke("orders", `{"lines":[]}`)
	if done := w.becomes(cid, "done"); len(done["attempts"].([]any)) != 1 {
		t.Errorf("%v\n%s", done, p.said)
	}
}

// What the worker calls with the CID of its invocation leads back to that.
func TestWorkerInPythonSaysOnWhoseBehalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile("../../../docs/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	asks := `    call("translate", 5, cid, system1="CRM", key1="C", value1="XK", system2="ERP", key2="C")
    return {`
	file := filepath.Join(t.TempDir(), "asks.py")
	if err := os.WriteFile(file, bytes.Replace(text, []byte("    return {"), []byte(asks), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	w.work(file, w.url, "5")
	cid := w.invoke("orders", `{"lines":[]}`)
	w.becomes(cid, "done")
	kvtest.Await(t, "the miss knows it", func() bool {
		met := w.items("/dictionary/misses/invocations?system1=CRM&key1=C&value1=XK&system2=ERP&key2=C")
		return len(met) == 1 && met[0].(object)["cid"] == cid && met[0].(object)["service"] == "orders"
	})
}
