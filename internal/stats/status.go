package stats

import (
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// statusBox is how writing goes.
type statusBox struct {
	mu      sync.Mutex
	lastOK  time.Time
	lastErr string
}

func (b *statusBox) set(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.lastOK, b.lastErr = now, ""
		return
	}
	if b.lastErr = kvdb.Sentence(err); b.lastErr == "" {
		b.lastErr = "Statistics could not be written; the log has the reason."
	}
}

// Counters are those of this process.
func (s *Store) Counters() Counters {
	s.rec.drain()
	s.status.mu.Lock()
	c := Counters{LastOK: s.status.lastOK, LastErr: s.status.lastErr}
	s.status.mu.Unlock()
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	c.Dropped, c.Unknown, c.Unnamed = s.rec.dropped, s.rec.lost, s.rec.unnamed
	for key, o := range s.rec.open {
		if key.service != All && o.changed != o.written {
			c.Waiting += o.count - o.inRedis
		}
	}
	return c
}
