package dict

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// Systems lists all systems with what is filed under them.
func (s *Store) Systems(ctx context.Context) ([]Count, error) {
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return sn.counts(func(system, _ string) (string, bool) { return system, true }), nil
}

// SystemKeys lists the keys of a system with what is filed under them. ErrNotFound when there is none.
func (s *Store) SystemKeys(ctx context.Context, system string) ([]Count, error) {
	sn, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	counts := sn.counts(func(sys, key string) (string, bool) { return key, sys == system })
	if len(counts) == 0 {
		return nil, fmt.Errorf("system %q: %w", system, kvdb.ErrNotFound)
	}
	return counts, nil
}

func (sn *snapshot) counts(group func(system, key string) (name string, ok bool)) []Count {
	byName := map[string]*Count{}
	at := func(name string) *Count {
		c := byName[name]
		if c == nil {
			c = &Count{Name: name}
			byName[name] = c
		}
		return c
	}
	for name, n := range sn.names {
		system, key, _ := strings.Cut(name, "/")
		if g, ok := group(system, key); ok {
			at(g).Entries += n
		}
	}
	for name, n := range sn.pairs {
		p := pairOf(name)
		from, ok1 := group(p.System1, p.Key1)
		to, ok2 := group(p.System2, p.Key2)
		if ok1 {
			at(from).Translations += n
			at(from).From += n
		}
		if ok2 {
			at(to).To += n
		}
		if ok2 && !(ok1 && from == to) {
			at(to).Translations += n
		}
	}
	out := make([]Count, 0, len(byName))
	for _, c := range byName {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Values lists the values of a system and key that start with prefix.
func (s *Store) Values(ctx context.Context, system, ofKey, prefix string, limit int) (values []string, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		values = nil
		sp := prefixSpan(append(key(system, ofKey), prefix...))
		for r, err := range s.scan(ctx, sn.runs[runEntry], []span{sp}, false) {
			if err != nil {
				return err
			}
			if len(values) == limit {
				return nil
			}
			e, err := parseEntry(r)
			if err != nil {
				return err
			}
			values = append(values, e.Value)
		}
		return nil
	})
	return values, err
}

// Uses says of each entry in how many translations it is. The entries of a page lie side by side, so that
// a page costs a few blocks.
func (s *Store) Uses(ctx context.Context, entries []Entry) (uses []Uses, err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		uses = make([]Uses, len(entries))
		for i, e := range entries {
			sp := prefixSpan(e.entryKey())
			if uses[i].AsSource, err = s.count(ctx, sn.runs[runSource], sp); err != nil {
				return err
			}
			if uses[i].AsTarget, err = s.count(ctx, sn.runs[runTarget], sp); err != nil {
				return err
			}
		}
		return nil
	})
	return uses, err
}

// CountUses says in how many translations the entry is; one that maps it to itself counts once.
func (s *Store) CountUses(ctx context.Context, e Entry) (int64, error) {
	uses, err := s.Uses(ctx, []Entry{e})
	if err != nil {
		return 0, err
	}
	n := uses[0].AsSource + uses[0].AsTarget
	self, err := s.Lookup(ctx, Query{System1: e.System, Key1: e.Key, Value1: e.Value, System2: e.System, Key2: e.Key})
	if self.Found && self.Value2 == e.Value {
		n--
	}
	return n, err
}
