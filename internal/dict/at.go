package dict

import (
	"context"
	"time"

	"webadmin/internal/kvdb"
)

// At returns what a lookup would have given at a moment: it reads the changes since then backward.
func (s *Store) At(ctx context.Context, q Query, at time.Time) (Result, error) {
	if err := q.Check(); err != nil {
		return Result{}, err
	}
	t := Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2}
	k := append([]byte{'t'}, t.sourceKey()...)
	result, err := s.Lookup(ctx, q)
	if err != nil {
		return Result{}, err
	}
	for cursor := "+"; ; {
		got, err := s.db.Client().XRevRangeN(ctx, s.keys.Changes(), cursor, "-", 200).Result()
		if err != nil {
			return Result{}, kvdb.ReadErr("read the history", err)
		}
		for _, m := range got {
			c, run, err := parseChange(m)
			if err != nil {
				return Result{}, err
			}
			if !c.At.After(at) {
				return result, nil
			}
			before, touched, err := s.beforeOf(ctx, c, run, k, t)
			if err != nil {
				return Result{}, err
			}
			if touched {
				result = before
			}
		}
		if len(got) < 200 {
			return result, nil
		}
		cursor = "(" + got[len(got)-1].ID
	}
}

// beforeOf says what a translation was before a change, if the change touched it.
func (s *Store) beforeOf(ctx context.Context, c Change, run runState, k []byte, t Translation) (Result, bool, error) {
	same := func(x *Translation) bool { return x != nil && x.Query() == t.Query() }
	if !c.Large {
		for _, i := range c.Items {
			if same(i.TranslationBefore) {
				return Result{i.TranslationBefore.Value2, true}, true, nil
			}
		}
		for _, i := range c.Items {
			if same(i.TranslationAfter) {
				return Result{}, true, nil
			}
		}
		return Result{}, false, nil
	}
	r, ok, err := s.find(ctx, run, k)
	if err != nil || !ok {
		return Result{}, false, err
	}
	item, err := parseItem(r)
	if err != nil || item.TranslationBefore == nil {
		return Result{}, true, err
	}
	return Result{item.TranslationBefore.Value2, true}, true, nil
}
