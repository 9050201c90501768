package broker

import (
	"context"
	"sync"

	"webadmin/internal/kvdb"
)

// readyList holds the services that may have work, each once, in the order in which they came.
type readyList struct {
	more chan struct{} // gets something when a service is added
	all  chan struct{} // gets something when any service may have work
	ours func(service string) bool

	mu    sync.Mutex
	order []string
	in    map[string]bool
}

// newReadyList returns a list that takes services that are ours only.
func newReadyList(ours func(service string) bool) *readyList {
	return &readyList{more: make(chan struct{}, 1), all: make(chan struct{}, 1), ours: ours, in: map[string]bool{}}
}

// add puts a service at the end, unless it is there already; "" = any may have work.
func (l *readyList) add(service string) {
	if service == "" {
		nudge(l.all)
		return
	}
	if !l.ours(service) {
		return
	}
	l.mu.Lock()
	added := !l.in[service]
	if added {
		l.in[service] = true
		l.order = append(l.order, service)
	}
	l.mu.Unlock()
	if added {
		nudge(l.more)
	}
}

// take removes the first service that suits, and says how many there were.
func (l *readyList) take(suits func(service string) bool) (service string, of int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, service := range l.order {
		if suits(service) {
			of := len(l.order)
			delete(l.in, service)
			l.order = append(l.order[:i], l.order[i+1:]...)
			return service, of
		}
	}
	return "", 0
}

// has tells whether a service is on the list.
func (l *readyList) has(service string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.in[service]
}

// nudge wakes who waits for the channel, which has room for one; who is told already need not be told again.
func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// withAny returns the services, of those that suit, that have something under a key. With an error, it is some of them.
func (s *Store) withAny(ctx context.Context, key func(kvdb.ServiceKeys) string, suits func(service string) bool) ([]string, error) {
	names, err := s.serviceNames(ctx)
	if err != nil {
		return nil, err
	}
	var suit []string
	for _, name := range names {
		if suits(name) {
			suit = append(suit, name)
		}
	}
	return s.having(ctx, suit, func(k kvdb.ServiceKeys) []string { return []string{key(k)} })
}
