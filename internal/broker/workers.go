package broker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
)

const (
	lookEvery  = 2 * time.Second // for work that no ring told of
	fetchRetry = time.Second     // after a fetch that failed
	drainTime  = 8 * time.Second // for handlers that run when the process must go
	leaveTime  = time.Second     // for those that were told then that it must
	mostUntold = 256             // attempts that have ended, and of which Redis doesn't know it yet
)

// errDraining is why the context of a handler ended that took longer than the drain.
var errDraining = errors.New("this process stops")

// workers run what the handlers of this process are for. One goroutine, dispatch, decides what is fetched: not more than can be run at
// once, as what waits in a process ages (ahead.go has the exception), and of a service one fetch at a time, so that much work comes in few
// of them.
type workers struct {
	s     *Store
	size  int
	most  int // of one service at a time: one that hangs leaves something to the others
	drain time.Duration
	ready *readyList
	freed chan struct{} // gets something when a handler has ended, or a fetch
	next  chan job      // to a goroutine that has nothing to do

	taking   context.Context // ends when no more is to be taken
	handling context.Context // of handlers; ends when the drain is over
	stop     context.CancelCauseFunc
	telling  context.Context // of what is told to Redis about them; ends when all were given back
	hush     context.CancelFunc

	mu      sync.Mutex
	free    int
	busy    map[string]int         // slots that a service has
	fetches map[string]bool        // services of which a fetch is under way
	offers  int                    // of what is being published: each counts as a slot that is taken
	ahead                          // what was given to this process without a slot
	due     map[string]*time.Timer // when a service that has nothing has something again
	held    map[hold]Delivery      // what Redis believes to be run here
	idle    chan struct{}          // closed when nothing is held and fetched any more, once draining
	leaving bool
	left    bool
}

// hold is an invocation under one lease.
type hold struct{ cid, lease string }

func (d Delivery) key() hold { return hold{d.CID, d.Lease} }

// StartWorkers runs the invocations of services that have a Handler, at most n at a time, until ctx ends or Close is called. Then it fetches no
// more, waits for the handlers as long as the drain lasts, and gives back what they haven't done. It returns at once. n = 0 runs nothing.
func (s *Store) StartWorkers(ctx context.Context, n int) {
	if n <= 0 {
		return
	}
	w := &workers{
		s: s, size: n, most: n - n/4, drain: s.drain, free: n, freed: make(chan struct{}, 1), next: make(chan job), idle: make(chan struct{}),
		busy: map[string]int{}, fetches: map[string]bool{}, due: map[string]*time.Timer{}, held: map[hold]Delivery{},
		ahead: ahead{took: map[string]time.Duration{}},
	}
	w.ready = newReadyList(func(service string) bool { _, ok := s.handlerOf(service); return ok })
	own := context.WithoutCancel(ctx)
	w.taking = ctx
	w.handling, w.stop = context.WithCancelCause(own)
	w.telling, w.hush = context.WithCancel(own)
	s.workers.Store(w)
	s.goes(ctx, func(ctx context.Context) {
		defer s.bell.tell(w.ready)()
		var looking sync.WaitGroup
		looking.Go(func() { w.look(ctx) })
		w.dispatch(ctx)
		looking.Wait()
		w.leave()
	})
}

// dispatch fetches for services that may have work as long as there are slots, until ctx ends.
func (w *workers) dispatch(ctx context.Context) {
	for {
		for ctx.Err() == nil && w.begin() {
		}
		select {
		case <-ctx.Done():
			return
		case <-w.ready.more:
		case <-w.freed:
		}
		runtime.Gosched() // lets handlers that are about to end do so: more slots, fewer fetches
	}
}

// begin begins a fetch for the first service that is ready and may have slots; false = there is none.
func (w *workers) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	spare := w.free - w.offers
	if spare <= 0 || len(w.held) >= w.size+mostUntold {
		return false
	}
	service, of := w.ready.take(func(service string) bool { return !w.fetches[service] && w.busy[service] < w.most })
	if of == 0 {
		return false
	}
	n := min(w.most-w.busy[service], (spare+of-1)/of)
	w.free -= n
	w.busy[service] += n
	w.fetches[service] = true
	if timer := w.due[service]; timer != nil {
		timer.Stop()
		delete(w.due, service)
	}
	go w.fetch(service, n, w.mayWait(service))
	return true
}

// fetch gets up to n invocations of a service, for which it has the slots, and so many more that may wait for one, and runs them.
func (w *workers) fetch(service string, n, more int) {
	sent := time.Now()
	got, err := w.s.fetch(w.telling, service, w.s.process, n+more, 0)
	if err != nil {
		w.s.logger.Debug("no work could be fetched", "service", service, "error", err)
		got = fetched{next: fetchRetry}
	}
	h, ok := w.s.handlerOf(service)
	w.mu.Lock()
	leaving := w.leaving
	for _, d := range got.deliveries {
		w.held[d.key()] = d
	}
	delete(w.fetches, service)
	w.release(service, max(0, n-len(got.deliveries)))
	if got.left == 0 && got.next >= 0 && !leaving {
		w.due[service] = time.AfterFunc(got.next, func() { w.ready.add(service) })
	}
	for i, d := range got.deliveries {
		j := job{h: h, d: d, until: sent.Add(d.LeaseFor)}
		switch {
		case leaving || !ok: // its webhook was deleted meanwhile
			if i < n {
				w.release(service, 1)
			}
			go w.refuse(d)
		case i < n:
			w.begins(j)
		default:
			w.place(j)
		}
	}
	w.mu.Unlock()
	if got.left > 0 && !got.paused {
		w.ready.add(service)
	}
	nudge(w.freed)
}

// take takes a slot for a service, if it may have one. The lock is held.
func (w *workers) take(service string) bool {
	if w.free == 0 || w.busy[service] >= w.most {
		return false
	}
	w.free--
	w.busy[service]++
	return true
}

// release gives slots back. The lock is held.
func (w *workers) release(service string, n int) {
	w.free += n
	if w.busy[service] -= n; w.busy[service] <= 0 {
		delete(w.busy, service)
	}
	w.advance()
	w.mayLeave()
}

// mayLeave says so when there is nothing any more that has to end before. The lock is held.
func (w *workers) mayLeave() {
	if w.leaving && !w.left && len(w.held) == 0 && len(w.fetches) == 0 && w.offers == 0 {
		w.left = true
		close(w.idle)
	}
}

// job is an invocation with its handler. Its lease lasts until then at least.
type job struct {
	h     registered
	d     Delivery
	until time.Time
	since time.Time // when it began to wait for a slot
}

// begins runs an invocation on a goroutine that has nothing to do, or on one more: that of each invocation would begin with a stack
// which is too small, and be at making it larger for a fifth of the time.
func (w *workers) begins(j job) {
	select {
	case w.next <- j:
	default:
		go w.serve(j)
	}
}

// serve runs one invocation after the other until all were told of.
func (w *workers) serve(j job) {
	for {
		w.run(j.h, j.d, j.until)
		select {
		case j = <-w.next:
		case <-w.telling.Done():
			return
		}
	}
}

// run runs one invocation, whose lease lasts until then at least, and tells Redis how it ended.
func (w *workers) run(h registered, d Delivery, until time.Time) {
	defer w.ended(d)
	ctx, cancel := context.WithCancelCause(w.handling)
	defer cancel(nil)
	beats := time.AfterFunc(d.LeaseFor/3, func() { w.beat(ctx, cancel, d, until) })
	defer beats.Stop()
	start := time.Now()
	result, err := h.call(correlation.With(ctx, d.CID), d)
	ran := time.Since(start)
	w.freeSlot(d.Service, ran)
	switch lost, _ := errors.AsType[*LeaseLostError](context.Cause(ctx)); {
	case err != nil && lost != nil:
		w.s.logger.Warn("a handler lost its lease", "service", d.Service, "cid", d.CID, "attempt", d.Attempt, "reason", lost)
		return
	case err != nil && w.handling.Err() != nil:
		w.giveBack(d)
		return
	}
	if panicked, ok := errors.AsType[*panicError](err); ok {
		w.s.logger.Error("a handler panicked", "service", d.Service, "cid", d.CID, "panic", panicked.value, "stack", string(panicked.stack))
	}
	told := w.tell(d, result, err)
	if err != nil {
		w.ready.add(d.Service) // to learn when it is due again
	}
	if w.s.onFinished != nil && told {
		w.s.onFinished(Finished{Service: d.Service, CID: d.CID, Worker: w.s.process, At: w.s.now(), Waited: d.Waited, Ran: ran, Failed: err != nil})
	}
}

// freeSlot is called when a handler has returned: the next one need not wait until Redis knows of it.
func (w *workers) freeSlot(service string, ran time.Duration) {
	w.mu.Lock()
	w.note(service, ran)
	w.release(service, 1)
	w.mu.Unlock()
	nudge(w.freed)
}

// ended is called when there is nothing more to do for an invocation.
func (w *workers) ended(d Delivery) {
	w.mu.Lock()
	delete(w.held, d.key())
	full := len(w.held) == w.size+mostUntold-1
	w.mayLeave()
	w.mu.Unlock()
	if full {
		nudge(w.freed)
	}
}

// beat keeps a lease until the context of its handler ends, and ends that when the lease is lost, or may be.
func (w *workers) beat(ctx context.Context, lost context.CancelCauseFunc, d Delivery, until time.Time) {
	every := d.LeaseFor / 3
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		sent := time.Now()
		_, err := w.s.Extend(ctx, d.CID, d.Lease)
		switch {
		case err == nil:
			until = sent.Add(d.LeaseFor)
			pause.Reset(every)
		case errors.Is(err, kvdb.ErrAway) || errors.Is(err, kvdb.ErrUnknown):
			if !time.Now().Before(until) {
				lost(&LeaseLostError{CID: d.CID, State: Queued}) // others can't have it while Redis is away, but as soon as it is back
				return
			}
			pause.Reset(min(every/4, time.Second))
		case ctx.Err() == nil:
			lost(leaseLost(d, err))
			return
		}
	}
}

// leaseLost is the error of a lease that was refused.
func leaseLost(d Delivery, err error) error {
	if lost, ok := errors.AsType[*LeaseLostError](err); ok {
		return lost
	}
	return &LeaseLostError{CID: d.CID, State: Cancelled} // it is there no more
}

// tell tells Redis how an attempt ended, and says whether it took it.
func (w *workers) tell(d Delivery, result []byte, failure error) bool {
	if failure == nil {
		err := w.insist(d, Done, func() error { return w.s.Ack(w.telling, d.CID, d.Lease, result) })
		if !errors.Is(err, kvdb.ErrInvalid) {
			return err == nil
		}
		failure = &PermanentError{err} // the result is too large, or no JSON
	}
	text := failure.Error()
	if _, ok := errors.AsType[*PermanentError](failure); ok {
		return w.insist(d, Dead, func() error { return w.s.fail(w.telling, d.CID, d.Lease, text) }) == nil
	}
	return w.insist(d, "", func() error { return w.s.Nack(w.telling, d.CID, d.Lease, text, afterOf(failure)) }) == nil
}

// insist tells Redis something until it has taken it, or refuses it because the lease is lost. To say it again does no harm: a lease
// is good for one answer. state is the one that the answer leads to; "" = one of several.
func (w *workers) insist(d Delivery, state State, tell func() error) error {
	unsure := false
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := tell()
		lost, isLost := errors.AsType[*LeaseLostError](err)
		switch {
		case err == nil:
			return nil
		case isLost && unsure && (state == "" || lost.State == state):
			return nil // it was taken before, and the answer got lost
		case isLost:
			w.s.logger.Warn("the end of an attempt came too late", "service", d.Service, "cid", d.CID, "attempt", d.Attempt, "reason", lost)
			return err
		case errors.Is(err, kvdb.ErrInvalid):
			return err
		case !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown):
			w.s.logger.Error("the end of an attempt was refused", "service", d.Service, "cid", d.CID, "attempt", d.Attempt, "error", err)
			return err
		}
		unsure = unsure || errors.Is(err, kvdb.ErrUnknown)
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-w.telling.Done():
			again.Stop()
			return err
		}
	}
}

// giveBack puts what was not done to the front of its queue, as if nobody had fetched it. If that fails, the lease runs out.
func (w *workers) giveBack(d Delivery) {
	err := w.insist(d, Queued, func() error {
		err := w.s.giveBack(w.telling, d.CID, d.Lease)
		if errors.Is(err, kvdb.ErrConflict) || errors.Is(err, kvdb.ErrNotFound) {
			return nil // nobody believes that it is here
		}
		return err
	})
	if err != nil {
		w.s.logger.Warn("a lease could not be given back; it runs out", "service", d.Service, "cid", d.CID, "error", err)
	}
}

// refuse gives back what has no slot, and is to have none.
func (w *workers) refuse(d Delivery) {
	defer w.ended(d)
	w.giveBack(d)
}

// look finds work that no ring told of, until ctx ends: at once, when the doorbell was silent for a while, and from time to time.
func (w *workers) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		services, err := w.s.withAny(ctx, kvdb.ServiceKeys.Queue, w.ready.ours)
		if err != nil && ctx.Err() == nil {
			w.s.logger.Debug("looking for work", "error", err)
		}
		for _, service := range services {
			w.ready.add(service)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.ready.all:
		}
	}
}

// leave waits for the handlers, then ends them, and gives back what isn't done.
func (w *workers) leave() {
	defer w.hush()
	defer w.stop(errDraining)
	w.mu.Lock()
	w.leaving = true
	for _, timer := range w.due {
		timer.Stop()
	}
	w.giveUp(0)
	w.mayLeave()
	w.mu.Unlock()
	if w.idleWithin(w.drain) {
		return
	}
	w.stop(errDraining)
	if w.idleWithin(leaveTime) {
		return
	}
	w.mu.Lock()
	left := make([]Delivery, 0, len(w.held))
	for _, d := range w.held {
		left = append(left, d)
	}
	w.mu.Unlock()
	late := time.AfterFunc(leaveTime, w.hush)
	defer late.Stop()
	for _, d := range left {
		w.giveBack(d)
	}
	w.s.logger.Warn("handlers did not end in time; what they had is given back", "invocations", len(left))
}

// idleWithin waits until nothing runs any more.
func (w *workers) idleWithin(d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-w.idle:
		return true
	case <-late.C:
		return false
	}
}
