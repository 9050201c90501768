package dict

import (
	"context"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
)

// Translate looks a translation up: one HGET, sent together with others of that moment. It is counted as a use, or as a miss when
// nothing is found, in memory. Names that can't exist are an InvalidError; values that can't are not found.
func (s *Store) Translate(ctx context.Context, q Query) (Result, error) {
	r, err := s.Lookup(ctx, q)
	switch {
	case err != nil:
	case r.Found:
		s.uses.add(q, s.now())
	default:
		s.misses.add(q, s.now(), correlation.ID(ctx))
	}
	return r, err
}

// Lookup is Translate for those who try things out: it counts neither a use nor a miss.
func (s *Store) Lookup(ctx context.Context, q Query) (Result, error) {
	if err := q.Check(); err != nil {
		return Result{}, err
	}
	value2, found, err := s.lookups.get(ctx, s.keys.Map(q.System1, q.Key1, q.System2, q.Key2), q.Value1)
	if err != nil {
		return Result{}, kvdb.ReadErr("translate", err)
	}
	return Result{Value2: value2, Found: found}, nil
}

// TranslateBatch looks many values up: one HMGET. q.Value1 is not looked at. The results have the order of
// the values. InvalidError also for more than MaxBatch values.
func (s *Store) TranslateBatch(ctx context.Context, q Query, values []string) ([]Result, error) {
	if len(values) > MaxBatch {
		return nil, kvdb.Invalid("values", "holds %d values; %d are allowed", len(values), MaxBatch)
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	results := make([]Result, len(values))
	if len(values) == 0 {
		return results, nil
	}
	found, err := s.db.Client().HMGet(ctx, s.keys.Map(q.System1, q.Key1, q.System2, q.Key2), values...).Result()
	if err != nil {
		return nil, kvdb.ReadErr("translate", err)
	}
	now, cid := s.now(), correlation.ID(ctx)
	for i, v := range found {
		results[i].Value2, results[i].Found = v.(string)
		if !results[i].Found {
			q.Value1 = values[i]
			s.misses.add(q, now, cid)
		}
	}
	s.uses.addFound(q.Pair(), values, results, now)
	return results, nil
}
