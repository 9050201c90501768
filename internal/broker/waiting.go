package broker

import (
	"context"
	"slices"

	"webadmin/internal/kvdb"
)

// Waiting returns where those services stand that have something in their queue, in the order of names.
func (s *Store) Waiting(ctx context.Context) (all []Service, err error) {
	names, err := s.withAny(ctx, kvdb.ServiceKeys.Queue, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(names, maxLimit) {
		those, err := s.standing(ctx, some)
		if err != nil {
			return nil, kvdb.ReadErr("broker: list the services with a queue", err)
		}
		all = append(all, those...)
	}
	return all, nil
}
