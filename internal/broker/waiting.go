package broker

import (
	"context"
	"slices"

	"webadmin/internal/kvdb"
)

// Waiting returns where those services stand that have something in their queue, in the order of names.
func (s *Store) Waiting(ctx context.Context) (all []Service, err error) {
	const op = "broker: list the services with a queue"
	names, err := s.serviceNames(ctx)
	if err != nil {
		return nil, err
	}
	names, err = s.having(ctx, names, func(k kvdb.ServiceKeys) []string { return []string{setOf(k, Queued).key} })
	if err != nil {
		return nil, kvdb.ReadErr(op, err)
	}
	for some := range slices.Chunk(names, maxLimit) {
		those, err := s.standing(ctx, some)
		if err != nil {
			return nil, kvdb.ReadErr(op, err)
		}
		all = append(all, those...)
	}
	return all, nil
}
