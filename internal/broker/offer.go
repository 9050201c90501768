package broker

import (
	"errors"
	"time"

	"webadmin/internal/kvdb"
)

// What this process publishes, its own workers can run at once if they have a slot: the same step that would put it into the queue gives it
// to them, unless others wait there. That spares it the way through the queue, which is more than half of the time.

// slotFor keeps a place for what is to be published; nil = there is none. Whoever gets one calls start, letGo or doubt.
func (s *Store) slotFor(service string) *workers {
	w := s.workers.Load()
	if w == nil || w.taking.Err() != nil || s.work.ctx.Err() != nil || !w.ready.ours(service) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	room := min(w.free, w.most-w.busy[service]) + w.mayWait(service) - w.offers
	if w.leaving || room <= 0 || len(w.held)+w.offers >= w.size+mostUntold || w.fetches[service] || w.ready.has(service) {
		return nil
	}
	w.offers++
	return w
}

// start runs what was published with a place, and given to this process until then at least.
func (w *workers) start(d Delivery, until time.Time) {
	h, ok := w.s.handlerOf(d.Service)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offers--
	w.held[d.key()] = d
	if w.leaving || !ok {
		go w.refuse(d)
		return
	}
	w.place(job{h: h, d: d, until: until})
}

// letGo frees a place that was not needed.
func (w *workers) letGo() {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.offers--
	w.mayLeave()
	w.mu.Unlock()
	nudge(w.freed)
}

// doubt frees the place of what may have been published and given to this process, or not. So that it doesn't wait until a lease is over
// that nobody has, it is given back.
func (w *workers) doubt(d Delivery, err error) {
	if w == nil {
		return
	}
	if !errors.Is(kvdb.WriteErr("broker: publish", err), kvdb.ErrUnknown) {
		w.letGo()
		return
	}
	w.mu.Lock()
	w.offers--
	w.held[d.key()] = d
	w.mu.Unlock()
	go w.refuse(d)
}
