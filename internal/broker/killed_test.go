package broker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// A worker process of these tests writes a line to a file for each invocation that it runs: a count that doesn't depend on the broker's.
const (
	workerURL    = "WORKER_URL"
	workerPrefix = "WORKER_PREFIX"
	workerLines  = "WORKER_LINES"
	workerSlots  = 8
	workerLease  = time.Second
)

// workerProcess is what this binary does when it is told to be a worker: it runs the service "work" until SIGTERM. An invocation
// with the payload "hang" never ends in the first process that runs it.
func workerProcess() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := kvdb.Open(kvdb.Config{URL: os.Getenv(workerURL), Prefix: os.Getenv(workerPrefix)})
	if err != nil {
		panic(err)
	}
	lines, err := os.OpenFile(os.Getenv(workerLines), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	s := New(db, Options{})
	s.Handle(func(service string) bool { return service == "work" }, HandlerBuiltin, func(ctx context.Context, d Delivery) ([]byte, error) {
		if _, err := fmt.Fprintln(lines, d.CID); err != nil {
			return nil, err
		}
		work := time.Millisecond
		if string(d.Payload) == `"hang"` && d.Attempt == 1 {
			work = time.Hour
		}
		select {
		case <-ctx.Done():
		case <-time.After(work):
		}
		return d.Payload, ctx.Err()
	})
	s.Start(ctx)
	s.StartWorkers(ctx, workerSlots)
	<-ctx.Done()
	if err := s.Close(context.Background()); err != nil {
		panic(err)
	}
	if err := db.Close(); err != nil {
		panic(err)
	}
}

// workerRig starts worker processes over one server.
type workerRig struct {
	t     *testing.T
	db    *kvdb.DB
	url   string
	lines string
}

func newWorkerRig(t *testing.T) *workerRig {
	t.Helper()
	srv := kvtest.NewServer(t, "--appendonly", "yes", "--appendfsync", "no")
	return &workerRig{t: t, db: srv.DB(t), url: srv.URL(), lines: filepath.Join(t.TempDir(), "lines")}
}

// start starts a worker process; the test kills it.
func (r *workerRig) start() *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asWorker+"=1", workerURL+"="+r.url, workerPrefix+"="+string(r.db.Keys()), workerLines+"="+r.lines)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// runs counts the lines of each CID.
func (r *workerRig) runs() map[string]int {
	r.t.Helper()
	text, err := os.ReadFile(r.lines)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	count := map[string]int{}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		count[sc.Text()]++
	}
	return count
}

// lineCount is how many lines there are.
func (r *workerRig) lineCount() int {
	info, err := os.Stat(r.lines)
	if err != nil {
		return 0 // nobody has written yet
	}
	return int(info.Size()) / len(newCID(time.Now(), "work")+"\n")
}

// A worker that is killed holds nothing for longer than its lease, and there is no lock that it could leave behind.
func TestAKilledWorkersInvocationsRunElsewhere(t *testing.T) {
	t.Parallel()
	r := newWorkerRig(t)
	s := New(r.db, Options{})
	shorten(t, s, "work", workerLease)
	victim := r.start()
	cid := invoke(t, s, Call{Service: "work", Payload: []byte(`"hang"`)})
	kvtest.Await(t, "it runs", func() bool { return r.runs()[cid] == 1 })
	r.start()
	kill(victim)
	killed := time.Now()
	i := becomes(t, s, cid, Done)
	if took := time.Since(killed); took > workerLease+2*time.Second {
		t.Errorf("it ran again %s after the kill; the lease is %s", took, workerLease)
	}
	if i.Attempt != 2 || !strings.Contains(i.Attempts[0].Error, "vanished") {
		t.Errorf("%+v", i)
	}
}

// Workers are killed again and again; by a count of their own, each invocation was run, and few twice.
func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Parallel()
	killWorkers(t, 3000, 12)
}

// killWorkers has worker processes run many invocations, and kills one of them so many times.
func killWorkers(t *testing.T, invocations, kills int) {
	r := newWorkerRig(t)
	s := New(r.db, Options{})
	shorten(t, s, "work", workerLease)
	policy, err := s.Service(t.Context(), "work")
	if err != nil {
		t.Fatal(err)
	}
	keep := policy.Policy
	keep.MaxAttempts, keep.KeepDoneN = 100, 2*invocations
	if _, err := s.SetPolicy(t.Context(), "work", keep); err != nil {
		t.Fatal(err)
	}
	workers := []*exec.Cmd{r.start(), r.start(), r.start()}
	cids := make([]string, invocations)
	var calling sync.WaitGroup
	calling.Go(func() {
		for i := range cids {
			var err error
			if cids[i], err = s.Invoke(t.Context(), Call{Service: "work", Payload: []byte("1")}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for n := range kills { // at moments that are spread over the work
		kvtest.Await(t, "the workers go on", func() bool { return r.lineCount() > n*invocations/(kills+1) })
		victim := rand.IntN(len(workers))
		kill(workers[victim])
		workers[victim] = r.start()
	}
	calling.Wait()
	kvtest.Await(t, "all are done", func() bool {
		v, err := s.Service(t.Context(), "work")
		return err == nil && v.Done == int64(len(cids))
	})
	ran, twice := r.runs(), 0
	for _, cid := range cids {
		switch n := ran[cid]; {
		case n == 0:
			t.Fatalf("%s is done, and nobody ran it", cid)
		case n > 1:
			twice++
		}
	}
	// Only what a killed process had at that moment, or had done without Redis knowing of it yet.
	if most := kills * (workerSlots + mostUntold); twice > most {
		t.Errorf("%d ran more than once; %d kills explain %d of them", twice, kills, most)
	}
	t.Logf("%d invocations, %d kills: none lost, %d ran more than once", len(cids), kills, twice)
}
