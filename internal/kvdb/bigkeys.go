package kvdb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// BigQuery asks for the biggest keys.
type BigQuery struct {
	KeyFilter
	Top  int   // how many, 1 to MaxPage
	Most int64 // how many keys to look at; 0 = all
}

// TypeSum is what keys of a type have together.
type TypeSum struct {
	Type string
	Keys int64
	Size int64 // in memory, in bytes
}

// BigKeys are the biggest keys among those that were looked at.
type BigKeys struct {
	Keys     []Key     // the biggest first
	Types    []TypeSum // the biggest first
	Looked   int64     // at how many keys, about
	Total    int64     // how many there are, about; 0 = this Redis user may not know
	Complete bool      // all were looked at
}

// FindBigKeys finds the keys that take the most memory, for somebody with the role; who is no admin doesn't get to see the keys of this program. The
// sizes of large collections are the server's estimates. It calls progress, which may be nil, with what is known so far some times a
// second. When ctx ends, that is returned, and no error. It leaves half of the server's time to others. The errors are ErrAway,
// ErrInvalid and ErrForbidden.
func (db *DB) FindBigKeys(ctx context.Context, role string, q BigQuery, progress func(BigKeys)) (BigKeys, error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return BigKeys{}, err
	}
	if err := q.check(); err != nil {
		return BigKeys{}, err
	}
	if q.Top < 1 || q.Top > MaxPage {
		return BigKeys{}, Invalid("top", "must be from 1 to %d", MaxPage)
	}
	t := sizeTally{top: q.Top, types: map[string]*TypeSum{}, given: map[string]bool{}}
	last := time.Now()
	err = db.walk(ctx, restricted, q.KeyFilter, q.Most, func(p Progress, names []string) error {
		keys, err := db.describe(ctx, restricted, names)
		if err != nil {
			return err
		}
		t.add(keys)
		if t.Looked, t.Total = p.Looked, p.About; progress != nil && time.Since(last) >= prefixReport {
			last = time.Now()
			progress(t.result(false))
		}
		return nil
	})
	complete := err == nil
	if errors.Is(err, errEnough) || err != nil && ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return BigKeys{}, ReadErr("big keys", err)
	}
	return t.result(complete), nil
}

// sizeTally keeps the biggest.
type sizeTally struct {
	BigKeys
	top   int
	types map[string]*TypeSum
	given map[string]bool // that are among the biggest
}

func (t *sizeTally) add(keys []Key) {
	for _, key := range keys {
		if t.types[key.Type] == nil {
			t.types[key.Type] = &TypeSum{Type: key.Type}
		}
		sum := t.types[key.Type]
		sum.Keys++
		sum.Size += key.Size
		if len(t.Keys) == t.top && key.Size <= t.Keys[t.top-1].Size || t.given[key.Name] {
			continue
		}
		at, _ := slices.BinarySearchFunc(t.Keys, key, func(a, b Key) int {
			return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
		})
		t.given[key.Name] = true
		if t.Keys = slices.Insert(t.Keys, at, key); len(t.Keys) > t.top {
			delete(t.given, t.Keys[t.top].Name)
			t.Keys = t.Keys[:t.top]
		}
	}
}

func (t *sizeTally) result(complete bool) BigKeys {
	b := t.BigKeys
	b.Keys, b.Complete = slices.Clone(b.Keys), complete
	for _, sum := range t.types {
		b.Types = append(b.Types, *sum)
	}
	slices.SortFunc(b.Types, func(a, b TypeSum) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Type, b.Type))
	})
	return b
}
