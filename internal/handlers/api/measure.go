package api

import (
	"sync"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/stats"
)

// workTimes measures workers that receive by the API, as the broker does its own handlers: how long invocations waited, and from
// receiving one until its end. Who ends it at another process, or not at all, is not measured.
type workTimes struct {
	mu    sync.Mutex
	begun map[string]begunWork // by lease
}

// maxBegun bounds what is under way at a time; beyond it, some attempts are not measured.
const maxBegun = 10_000

type begunWork struct {
	service string
	at      time.Time
}

func (w *workTimes) received(s *stats.Store, all []broker.Delivery) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun == nil {
		w.begun = map[string]begunWork{}
	}
	for _, d := range all {
		s.Record(stats.WaitPrefix+d.Service, d.Waited, false, d.CID)
		for lease := range w.begun { // any
			if len(w.begun) < maxBegun {
				break
			}
			delete(w.begun, lease)
		}
		w.begun[d.Lease] = begunWork{d.Service, now}
	}
}

// ended takes the end of an attempt; err is that of ending it.
func (w *workTimes) ended(s *stats.Store, cid, lease string, failed bool, err error) {
	w.mu.Lock()
	one, ok := w.begun[lease]
	delete(w.begun, lease)
	w.mu.Unlock()
	if ok && err == nil {
		s.Record(one.service, time.Since(one.at), failed, cid)
	}
}
