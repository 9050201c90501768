package broker

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// bell tells those in this process who wait for work that a service may have some. A ring that nobody hears, or one too many, does no
// harm: who waits also looks by himself from time to time.
type bell struct {
	id string // of this process: what it hears of itself, it knows already

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by service
	ready   map[*readyList]bool               // who takes work of all services
}

func newBell(id string) *bell {
	return &bell{id: id, waiting: map[string]map[chan struct{}]bool{}, ready: map[*readyList]bool{}}
}

// ring says that the service may have work; "" = that any may. Whoever puts something into a queue rings after it.
func (b *bell) ring(service string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for list := range b.ready {
		list.add(service)
	}
	if service != "" {
		wake(b.waiting[service])
		return
	}
	for _, those := range b.waiting {
		wake(those)
	}
}

func wake(those map[chan struct{}]bool) {
	for heard := range those {
		nudge(heard)
	}
}

// listen returns a channel that gets something when the service may have work, until stop is called.
func (b *bell) listen(service string) (heard <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting[service] == nil {
		b.waiting[service] = map[chan struct{}]bool{}
	}
	b.waiting[service][ch] = true
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting[service], ch)
		if len(b.waiting[service]) == 0 {
			delete(b.waiting, service)
		}
	}
}

// tell has every ring put its service onto a list, until stop is called.
func (b *bell) tell(list *readyList) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready[list] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ready, list)
	}
}

const (
	doorbellRetry = time.Second      // the pause after the subscription could not be made, or was lost
	doorbellQuiet = 10 * time.Second // after which the server is asked whether it is still there
)

// hearDoorbell rings for what other processes put into queues, until ctx ends. Scripts publish "<process> <service>" to the
// channel of BrokerKeys.Wake; the subscription has a connection of its own. What is published while it is lost is not heard, so each time
// that it is made, all services may have work.
func (s *Store) hearDoorbell(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if err := s.hearOnce(ctx); err != nil && ctx.Err() == nil {
			s.logger.Debug("the doorbell is silent: what other processes publish is found a little later", "error", err)
		}
		again.Reset(doorbellRetry)
	}
}

// hearOnce subscribes and listens until the connection or ctx ends.
func (s *Store) hearOnce(ctx context.Context) error {
	sub := s.db.Client().Subscribe(ctx, s.keys.Broker().Wake())
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // whoever waits for a message doesn't look at the context
	defer sub.Close()
	for asked := false; ; {
		m, err := sub.ReceiveTimeout(ctx, doorbellQuiet)
		switch m := m.(type) {
		case *redis.Subscription:
			s.bell.ring("")
		case *redis.Message:
			if from, service, ok := strings.Cut(m.Payload, " "); ok && from != s.bell.id {
				s.bell.ring(service)
			}
		}
		var late net.Error
		switch {
		case err == nil:
			asked = false
		case !asked && errors.As(err, &late) && late.Timeout():
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		default:
			return err
		}
	}
}
