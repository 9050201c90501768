package broker

import (
	"errors"
	"time"

	"webadmin/internal/kvdb"
)

// What this process publishes, its own workers can run at once if they have a slot: the same step that would put it into the queue gives it
// to them, unless others wait there. That spares it the way through the queue, which is more than half of the time.

// slotFor keeps a slot for what is to be published; nil = there is none. Whoever gets one calls start, letGo or doubt.
func (s *Store) slotFor(service string) *workers {
	w := s.workers.Load()
	if w == nil || !w.ready.ours(service) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving || w.free == 0 || len(w.held) >= w.size+mostUntold || w.busy[service] >= w.most || w.fetches[service] || w.ready.has(service) {
		return nil
	}
	w.free--
	w.busy[service]++
	w.offers++
	return w
}

// start runs what was published with a slot, and given to this process until then at least.
func (w *workers) start(d Delivery, until time.Time) {
	w.mu.Lock()
	w.offers--
	w.held[d.key()] = d
	leaving := w.leaving
	w.mu.Unlock()
	h, ok := w.s.handlerOf(d.Service)
	if leaving || !ok {
		go w.refuse(d)
		return
	}
	w.begins(job{h, d, until})
}

// letGo frees a slot that was not needed.
func (w *workers) letGo(service string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.offers--
	w.release(service, 1)
	w.mu.Unlock()
	nudge(w.freed)
}

// doubt frees the slot of what may have been published and given to this process, or not. So that it doesn't wait until a lease is over
// that nobody has, it is given back.
func (w *workers) doubt(d Delivery, err error) {
	if w == nil {
		return
	}
	if !errors.Is(kvdb.WriteErr("broker: publish", err), kvdb.ErrUnknown) {
		w.letGo(d.Service)
		return
	}
	w.mu.Lock()
	w.offers--
	w.held[d.key()] = d
	w.mu.Unlock()
	go w.refuse(d)
}
