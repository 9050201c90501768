package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// maxServices is how many services there may be: they are all remembered by each process.
const maxServices = 10_000

// namesFresh is how old the names that this process knows may be when all are listed.
const namesFresh = time.Second

// registry remembers the services. It only grows, but when the store is emptied: then it is written anew.
type registry struct {
	mu     sync.RWMutex
	byTag  map[string]string
	asked  time.Time // when all were read
	sorted []string  // nil = to be made from byTag
}

func (r *registry) name(tag string) (string, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	name, ok := r.byTag[tag]
	return name, ok
}

// add remembers services by their tags.
func (r *registry) add(names map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byTag == nil {
		r.byTag = map[string]string{}
	}
	for tag, name := range names {
		if r.byTag[tag] != name {
			r.byTag[tag], r.sorted = name, nil
		}
	}
}

// all returns a copy.
func (r *registry) all() map[string]string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return maps.Clone(r.byTag)
}

// register has all processes know of a service. The name was checked.
func (s *Store) register(ctx context.Context, name string) error {
	tag := tagOf(name)
	if known, ok := s.registry.name(tag); ok && known == name {
		return nil
	}
	key, client := s.keys.Broker().Services(), s.db.Client()
	added, err := client.HSetNX(ctx, key, tag, name).Result()
	if err != nil {
		return kvdb.WriteErr("broker: register the service "+name, err)
	}
	if added {
		if n, err := client.HLen(ctx, key).Result(); err == nil && n > maxServices {
			_ = client.HDel(ctx, key, tag).Err() // one too many is harmless
			return kvdb.Invalid("service", "there are %d services already; that is the most", maxServices)
		}
	} else {
		first, err := client.HGet(ctx, key, tag).Result()
		if err != nil {
			return kvdb.ReadErr("broker: register the service "+name, err)
		}
		if first != name {
			return fmt.Errorf("%w: the services %q and %q have the same tag; give this one another name", kvdb.ErrConflict, first, name)
		}
	}
	s.registry.add(map[string]string{tag: name})
	return nil
}

// ServiceOf returns the service that an invocation is of. ErrNotFound for what can't be a CID of ours.
func (s *Store) ServiceOf(ctx context.Context, cid string) (string, error) {
	tag, ok := splitCID(cid)
	if !ok {
		return "", fmt.Errorf("broker: invocation %q: %w", cid, kvdb.ErrNotFound)
	}
	if name, ok := s.registry.name(tag); ok {
		return name, nil
	}
	name, err := s.db.Client().HGet(ctx, s.keys.Broker().Services(), tag).Result()
	if err != nil {
		return "", kvdb.ReadErr("broker: invocation "+cid, err)
	}
	s.registry.add(map[string]string{tag: name})
	return name, nil
}

// serviceNames returns the names of all services, sorted. Another process's may be a second late.
func (s *Store) serviceNames(ctx context.Context) ([]string, error) {
	r := &s.registry
	r.mu.RLock()
	fresh := !r.asked.IsZero() && s.now().Sub(r.asked) < namesFresh
	r.mu.RUnlock()
	if !fresh {
		all, err := s.db.Client().HGetAll(ctx, s.keys.Broker().Services()).Result() // at most maxServices
		if err != nil {
			return nil, kvdb.ReadErr("broker: list the services", err)
		}
		r.add(all)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !fresh {
		r.asked = s.now()
	}
	if r.sorted == nil {
		r.sorted = slices.Sorted(maps.Values(r.byTag))
	}
	return r.sorted, nil
}

// known tells whether there is such a service.
func (s *Store) known(ctx context.Context, name string) error {
	tag := tagOf(name)
	if n, ok := s.registry.name(tag); ok && n == name {
		return nil
	}
	first, err := s.db.Client().HGet(ctx, s.keys.Broker().Services(), tag).Result()
	if err == nil && first == name {
		s.registry.add(map[string]string{tag: name})
		return nil
	}
	if err == nil {
		err = kvdb.ErrNotFound
	}
	return kvdb.ReadErr("broker: service "+name, err)
}

func isNotFound(err error) bool { return errors.Is(err, kvdb.ErrNotFound) }
