package dict

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// This file reads the history; history.go writes it.

// Heads returns of the changes that made the versions all but their items, by version, in one round trip. Versions that
// the history doesn't have are left out.
func (s *Store) Heads(ctx context.Context, versions []int64) (map[int64]Change, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	pipe := s.db.Client().Pipeline()
	got := make([]*redis.XMessageSliceCmd, len(versions))
	for i, v := range versions {
		id := formatInt(v) + "-0"
		got[i] = pipe.XRangeN(ctx, s.keys.Changes(), id, id, 1)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read the history", err)
	}
	heads := make(map[int64]Change, len(versions))
	for i, v := range versions {
		for _, m := range got[i].Val() {
			c, err := parseHead(m)
			if err != nil {
				return nil, err
			}
			heads[v] = c
		}
	}
	return heads, nil
}

// Changes lists the changes, newest first. limit is 1 to MaxPage, 0 = 100. Total counts all of them.
func (s *Store) Changes(ctx context.Context, cursor string, limit int) (Page[Change], error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page[Change]{}, err
	}
	end := "+"
	if cursor != "" {
		n, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil || n <= 0 {
			return Page[Change]{}, errCursor
		}
		end = "(" + formatInt(n) + "-0"
	}
	pipe := s.db.Client().Pipeline()
	got := pipe.XRevRangeN(ctx, s.keys.Changes(), end, "-", int64(limit)+1)
	total := pipe.XLen(ctx, s.keys.Changes())
	if _, err := pipe.Exec(ctx); err != nil {
		return Page[Change]{}, kvdb.ReadErr("read the history", err)
	}
	page := Page[Change]{Total: total.Val(), All: total.Val()}
	for i, m := range got.Val() {
		if i == limit {
			page.Next = page.Items[limit-1].ID
			break
		}
		c, _, err := parseChange(m)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, c)
	}
	return page, s.addUndone(ctx, page.Items)
}

func (s *Store) addUndone(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	ids := make([]string, len(changes))
	for i := range changes {
		ids[i] = changes[i].ID
	}
	undone, err := s.db.Client().HMGet(ctx, s.keys.Undone(), ids...).Result()
	if err != nil {
		return kvdb.ReadErr("read the history", err)
	}
	for i := range changes {
		changes[i].UndoneBy, _ = undone[i].(string)
	}
	return nil
}

// Change returns a change. ErrNotFound.
func (s *Store) Change(ctx context.Context, id string) (Change, error) {
	c, _, err := s.change(ctx, id)
	return c, err
}

func (s *Store) change(ctx context.Context, id string) (Change, runState, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 || formatInt(n) != id {
		return Change{}, runState{}, fmt.Errorf("change %q: %w", id, kvdb.ErrNotFound)
	}
	got, err := s.db.Client().XRangeN(ctx, s.keys.Changes(), id+"-0", id+"-0", 1).Result()
	if err != nil {
		return Change{}, runState{}, kvdb.ReadErr("read the history", err)
	}
	if len(got) == 0 {
		return Change{}, runState{}, fmt.Errorf("change %q: %w", id, kvdb.ErrNotFound)
	}
	c, run, err := parseChange(got[0])
	if err != nil {
		return c, run, err
	}
	one := []Change{c}
	err = s.addUndone(ctx, one)
	return one[0], run, err
}

// parseHead reads a change without its items.
func parseHead(m redis.XMessage) (Change, error) {
	var about meta
	text, _ := m.Values[fieldMeta].(string)
	if err := json.Unmarshal([]byte(text), &about); err != nil {
		return Change{}, fmt.Errorf("change %s: %w", m.ID, err)
	}
	number := m.ID[:len(m.ID)-len("-0")]
	return Change{ID: number, At: time.UnixMilli(about.At).UTC(), By: about.By, Kind: about.Kind,
		Summary: about.Summary, Counts: about.Counts, Undoes: about.Undoes}, nil
}

func parseChange(m redis.XMessage) (Change, runState, error) {
	var run runState
	c, err := parseHead(m)
	if err != nil {
		return c, run, err
	}
	if data, ok := m.Values[fieldItems].(string); ok {
		b, err := decompress(data)
		if err != nil {
			return c, run, err
		}
		c.Items, err = itemsOf(b)
		return c, run, err
	}
	c.Large = true
	data, _ := m.Values[fieldFences].(string)
	b, err := decompress(data)
	if err != nil {
		return c, run, err
	}
	rs, err := records(b)
	if err != nil {
		return c, run, err
	}
	for _, r := range rs {
		f, err := decodeFence(string(r.key), string(r.payload))
		if err != nil {
			return c, run, err
		}
		run.fences = append(run.fences, f)
		run.total += int64(f.n)
	}
	return c, run, nil
}

// changeItems yields the items of a change of any size; of a large one, what goes and what comes are items
// of their own, even with one ID.
func (s *Store) changeItems(ctx context.Context, c Change, run runState) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if !c.Large {
			for _, item := range c.Items {
				if !yield(item, nil) {
					return
				}
			}
			return
		}
		for r, err := range s.scan(ctx, run, []span{{}}, false) {
			var item Item
			if err == nil {
				item, err = parseItem(r)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// ChangeItems lists what a change did: entries first, then translations, each in the order of their keys.
// limit is 1 to MaxPage, 0 = 100. ErrNotFound.
func (s *Store) ChangeItems(ctx context.Context, id, cursor string, limit int) (Page[Item], error) {
	limit, err := pageLimit(limit)
	if err != nil {
		return Page[Item]{}, err
	}
	c, run, err := s.change(ctx, id)
	if err != nil {
		return Page[Item]{}, err
	}
	page := Page[Item]{Total: run.total, All: run.total, First: 1}
	if !c.Large {
		page.Total, page.All = int64(len(c.Items)), int64(len(c.Items))
	}
	skip := int64(0)
	if cursor != "" {
		if skip, err = strconv.ParseInt(cursor, 10, 64); err != nil || skip < 0 || skip > page.Total {
			return page, errCursor
		}
	}
	page.First = skip + 1
	if skip > 0 {
		page.Prev = formatInt(max(0, skip-int64(limit)))
	}
	if skip+int64(limit) < page.Total {
		page.Next = formatInt(skip + int64(limit))
	}
	if c.Large { // the items of a change never move: their numbers are a good cursor
		for len(run.fences) > 0 && skip >= int64(run.fences[0].n) {
			skip -= int64(run.fences[0].n)
			run.fences = run.fences[1:]
		}
	}
	for item, err := range s.changeItems(ctx, c, run) {
		if err != nil {
			return page, err
		}
		if skip > 0 {
			skip--
			continue
		}
		if page.Items = append(page.Items, item); len(page.Items) == limit {
			break
		}
	}
	return page, nil
}
