package mw

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"webadmin/internal/account"
)

const (
	rememberFor = 5 * time.Minute // how long a session is good for a route with Busy after it was verified
	rememberAll = 2000            // sessions
)

// memory holds the sessions that this process has verified lately, by the hash of their cookie. It answers nothing but routes with
// Busy, and those only while a script blocks the store of sessions: who was signed out or disabled elsewhere in the last minutes
// might still end a script that blocks the server, and no more.
type memory struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]remembered
}

type remembered struct {
	record account.Session
	at     time.Time
}

func (m *memory) add(cookie string, record account.Session) {
	now, key := time.Now(), sha256.Sum256([]byte(cookie))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[[sha256.Size]byte]remembered{}
	}
	if _, known := m.seen[key]; !known && len(m.seen) >= rememberAll {
		m.sweep(now)
	}
	m.seen[key] = remembered{record, now}
}

// sweep forgets what is too old; if that is not enough, all.
func (m *memory) sweep(now time.Time) {
	for key, r := range m.seen {
		if now.Sub(r.at) > rememberFor {
			delete(m.seen, key)
		}
	}
	if len(m.seen) >= rememberAll {
		clear(m.seen)
	}
}

func (m *memory) forget(cookie string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, sha256.Sum256([]byte(cookie)))
}

// Remembered returns the session of the request's cookie if this process has verified it within the last minutes. It is for when the
// store of sessions can't be asked.
func (s *Sessions) Remembered(r *http.Request) (record account.Session, ok bool) {
	cookie, err := r.Cookie(s.name)
	if err != nil {
		return record, false
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	found, ok := s.memory.seen[sha256.Sum256([]byte(cookie.Value))]
	if !ok || time.Since(found.at) > rememberFor {
		return record, false
	}
	return found.record, true
}
