package dict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"webadmin/internal/kvdb"
)

// UndoConflictError says that a change can't be undone, because what it touched was changed since.
type UndoConflictError struct {
	Items []Item // the first of them: before, as the change left it; after, as it is now
	Total int64
}

func (e *UndoConflictError) Error() string {
	if e.Total == 1 {
		return "one thing that this change touched was changed since; nothing was undone"
	}
	return fmt.Sprintf("%d things that this change touched were changed since; nothing was undone", e.Total)
}

// Is makes an UndoConflictError a conflict.
func (e *UndoConflictError) Is(target error) bool { return target == kvdb.ErrConflict }

// Undo makes everything that a change touched what it was before, as one new change; entries that others
// use by now stay. UndoConflictError when something was changed since: then nothing is undone. ErrNotFound.
func (s *Store) Undo(ctx context.Context, by By, id string) (Change, error) {
	c, run, err := s.change(ctx, id)
	if err != nil {
		return Change{}, err
	}
	if c.Large && c.Counts.EntriesUpdated > 0 { // a rename: only together do its items say what has become of an ID
		for item, err := range s.changeItems(ctx, c, run) {
			if err != nil {
				return Change{}, err
			}
			c.Items = append(c.Items, item)
		}
		c.Items, c.Large = joinRenames(c.Items), false
	}
	done, err := s.apply(ctx, by, func(ctx context.Context, sn *snapshot) (*plan, error) {
		now := []Change{c}
		if err := s.addUndone(ctx, now); err != nil {
			return nil, err
		}
		if u := now[0].UndoneBy; u != "" {
			return nil, &conflictError{"change " + id + " was undone already, by change " + u}
		}
		p := &plan{kind: KindUndo, undoes: c.ID, unused: true, summary: "Undo of change " + c.ID + ": " + c.Summary}
		u := undoing{s: s, sn: sn, plan: p}
		if c.Large { // its items come in the order of the runs, which saves a round trip for each
			u.entries, u.sources = s.walker(ctx, sn.runs[runEntry]), s.walker(ctx, sn.runs[runSource])
		}
		for item, err := range s.changeItems(ctx, c, run) {
			if err == nil {
				err = u.item(ctx, item)
			}
			if err != nil {
				return nil, err
			}
		}
		if u.conflict.Total > 0 {
			return nil, &u.conflict
		}
		return p, nil
	})
	if err == nil && done.ID != "" && done.Undoes != c.ID {
		return Change{}, errOtherOp
	}
	if err == nil {
		s.answered(done)
	}
	return done, err
}

func (c Change) version() int64 {
	n, _ := strconv.ParseInt(c.ID, 10, 64)
	return n
}

// undoing collects what undoes a change, and what stands against it.
type undoing struct {
	s        *Store
	sn       *snapshot
	plan     *plan
	conflict UndoConflictError
	entries  *walker
	sources  *walker
}

func (u *undoing) entryNow(ctx context.Context, key []byte) (*Entry, error) {
	if u.entries == nil {
		return u.s.entryAt(ctx, u.sn, key)
	}
	r, ok, err := u.entries.get(key)
	if err != nil || !ok {
		return nil, err
	}
	e, err := parseEntry(r)
	return &e, err
}

func (u *undoing) translationNow(ctx context.Context, key []byte) (*Translation, error) {
	if u.sources == nil {
		return u.s.translationAt(ctx, u.sn, key)
	}
	r, ok, err := u.sources.get(key)
	if err != nil || !ok {
		return nil, err
	}
	t, err := parseSource(r)
	return &t, err
}

func (u *undoing) item(ctx context.Context, i Item) error {
	if i.IsEntry() {
		return u.entry(ctx, i)
	}
	return u.translation(ctx, i)
}

func (u *undoing) against(i Item) {
	if u.conflict.Total++; len(u.conflict.Items) < 20 {
		u.conflict.Items = append(u.conflict.Items, i)
	}
}

// entryElsewhere finds an entry that isn't where the change left it; nil = it is nowhere.
func (u *undoing) entryElsewhere(ctx context.Context, id string) (*Entry, error) {
	e, err := u.s.entryByID(ctx, u.sn, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, nil
	}
	return &e, err
}

// translationElsewhere is entryElsewhere for translations.
func (u *undoing) translationElsewhere(ctx context.Context, id string) (*Translation, error) {
	t, err := u.s.translationByID(ctx, u.sn, id)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, nil
	}
	return &t, err
}

func (u *undoing) entry(ctx context.Context, i Item) error {
	after := i.EntryAfter
	if after != nil {
		now, err := u.entryNow(ctx, after.entryKey())
		if err == nil && now == nil {
			now, err = u.entryElsewhere(ctx, after.ID)
		}
		if err != nil {
			return err
		}
		if now == nil && i.EntryBefore == nil {
			return nil // gone already: as undoing wants it
		}
		if now == nil || now.ID != after.ID || !bytes.Equal(now.entryKey(), after.entryKey()) {
			u.against(Item{EntryBefore: after, EntryAfter: now})
			return nil
		}
		u.plan.entries.removeEntry(*after)
	}
	if before := i.EntryBefore; before != nil {
		now, err := u.entryNow(ctx, before.entryKey())
		if err != nil {
			return err
		}
		if now != nil && after != nil && now.ID != after.ID {
			u.against(Item{EntryAfter: now})
			return nil
		}
		if now == nil {
			u.plan.entries.addEntry(*before)
		}
	}
	return nil
}

func (u *undoing) translation(ctx context.Context, i Item) error {
	after, before := i.TranslationAfter, i.TranslationBefore
	if after != nil {
		now, err := u.translationNow(ctx, after.sourceKey())
		if err == nil && now == nil {
			now, err = u.translationElsewhere(ctx, after.ID)
		}
		if err != nil {
			return err
		}
		if now == nil && before == nil {
			return nil
		}
		if now == nil || now.ID != after.ID || now.Query() != after.Query() || now.Value2 != after.Value2 {
			u.against(Item{TranslationBefore: after, TranslationAfter: now})
			return nil
		}
		if before == nil || before.Query() != after.Query() {
			u.plan.rows.removeTranslation(*after)
		}
	}
	if before != nil {
		if after == nil || before.Query() != after.Query() {
			now, err := u.translationNow(ctx, before.sourceKey())
			if err != nil {
				return err
			}
			if now != nil && (after == nil || now.ID != after.ID) {
				u.against(Item{TranslationAfter: now})
				return nil
			}
		}
		u.plan.rows.addTranslation(*before)
	}
	return nil
}
