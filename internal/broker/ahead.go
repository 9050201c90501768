package broker

import "time"

const (
	quickRun  = time.Millisecond      // handlers that take less, lately and on average
	mostAhead = 64                    // invocations that wait for a slot in this process
	patience  = 20 * time.Millisecond // that they wait at most
)

// ahead is what this process was given without a slot for it. That is done for services whose handlers are quick: they end sooner than a
// reply of Redis comes, so that with a slot for each few of the slots would ever run something. Should a handler take long after all,
// what waits goes back to the front of its queue, where others can have it.
type ahead struct {
	took    map[string]time.Duration // how long the handlers of a service ran, the latest counting most
	waiting []job                    // the oldest first
}

// note remembers how long a handler ran. The lock is held.
func (w *workers) note(service string, ran time.Duration) {
	if before, ok := w.took[service]; ok {
		ran = (3*before + ran) / 4
	}
	w.took[service] = ran
}

// mayWait is how many more of a service this process may be given than it has slots for. The lock is held.
func (w *workers) mayWait(service string) int {
	if took, ok := w.took[service]; !ok || took >= quickRun {
		return 0
	}
	return max(0, mostAhead-len(w.waiting))
}

// place runs a job if there is a slot for it, and else lets it wait for one. The lock is held.
func (w *workers) place(j job) {
	if w.take(j.d.Service) { // so that nothing of this service waits
		w.begins(j)
		return
	}
	j.since = time.Now()
	if w.waiting = append(w.waiting, j); len(w.waiting) == 1 {
		time.AfterFunc(patience, w.tire)
	}
}

// advance runs what waits, as far as there are slots. The lock is held.
func (w *workers) advance() {
	kept := w.waiting[:0]
	for _, j := range w.waiting {
		if w.take(j.d.Service) {
			w.begins(j)
		} else {
			kept = append(kept, j)
		}
	}
	clear(w.waiting[len(kept):])
	w.waiting = kept
}

// tire gives up what has waited too long.
func (w *workers) tire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp(patience)
	if len(w.waiting) > 0 {
		time.AfterFunc(patience-time.Since(w.waiting[0].since), w.tire)
	}
}

// giveUp gives back what has waited so long. The lock is held.
func (w *workers) giveUp(long time.Duration) {
	n := 0
	for n < len(w.waiting) && time.Since(w.waiting[n].since) >= long {
		d := w.waiting[n].d
		w.took[d.Service] = patience // until its handlers have shown that they are quick again
		go w.refuse(d)
		n++
	}
	w.waiting = append([]job(nil), w.waiting[n:]...)
}
