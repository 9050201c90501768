package dict

import (
	"bytes"
	"context"
)

// applyRun makes the blocks of a run as the edits want them, and leaves the others alone.
func (t *tx) applyRun(ctx context.Context, run int, next edits) error {
	old := t.sn.runs[run]
	after := runState{fences: make([]fence, 0, len(old.fences)+1)}
	emit := func(first string, n int, block []byte) error {
		id, err := t.put(ctx, block)
		f := fence{id: id, first: first, n: n}
		after.fences = append(after.fences, f)
		t.added[run] = append(t.added[run], f)
		return err
	}
	c := &cutter{emit: emit}
	l := t.s.loader(old, 1)
	i := 0 // the first old block that is not handled yet
	e, ok, err := next()
	for err == nil && ok {
		j := old.find(e.key)
		if j > i {
			after.fences = append(after.fences, old.fences[i:j]...)
			i = j
		}
		var block []byte
		var limit string // of this block's keys; "" = none
		if i < len(old.fences) {
			if block, err = l.load(ctx, i, len(old.fences)); err != nil {
				break
			}
			t.gone[run] = append(t.gone[run], old.fences[i])
			i++
		}
		for {
			if limit = ""; i < len(old.fences) {
				limit = old.fences[i].first
			}
			if e, ok, err = mergeBlock(c, block, limit, e, ok, next); err != nil {
				break
			}
			if c.size() == 0 || c.size() >= blockMin() || i >= len(old.fences) {
				break
			}
			// Too small to stand alone: it takes in the block that follows.
			if block, err = l.load(ctx, i, len(old.fences)); err != nil {
				break
			}
			t.gone[run] = append(t.gone[run], old.fences[i])
			i++
		}
		if err == nil {
			err = c.finish()
		}
	}
	if err != nil {
		return err
	}
	if i < len(old.fences) {
		after.fences = append(after.fences, old.fences[i:]...)
	}
	after.total = after.upTo(len(after.fences))
	t.after[run] = after
	return nil
}

// mergeBlock merges the records of a block with the edits up to limit, and returns the first edit that it
// has not used. Of several edits of one key the last holds.
func mergeBlock(c *cutter, block []byte, limit string, e edit, ok bool, next edits) (edit, bool, error) {
	var r record
	var err error
	has := len(block) > 0
	if has {
		if r, block, err = nextRecord(block); err != nil {
			return e, ok, err
		}
	}
	for has || ok && (limit == "" || string(e.key) < limit) {
		order := 1 // of the record against the edit
		switch {
		case !has:
		case !ok || limit != "" && string(e.key) >= limit:
			order = -1
		default:
			order = bytes.Compare(r.key, e.key)
		}
		if order <= 0 && has {
			if order < 0 {
				if err := c.add(r.key, r.payload); err != nil {
					return e, ok, err
				}
			}
			if has = len(block) > 0; has {
				if r, block, err = nextRecord(block); err != nil {
					return e, ok, err
				}
			}
			if order < 0 {
				continue
			}
		}
		c.key = append(c.key[:0], e.key...) // next reuses that of the edit
		put := false
		for ok && bytes.Equal(e.key, c.key) {
			if put = !e.remove; put {
				c.payload = append(c.payload[:0], e.payload...)
			}
			if e, ok, err = next(); err != nil {
				return e, ok, err
			}
		}
		if put {
			if err := c.add(c.key, c.payload); err != nil {
				return e, ok, err
			}
		}
	}
	return e, ok, nil
}

// translations writes the runs and the maps of the translations.
func (t *tx) translations(ctx context.Context) error {
	if len(t.plan.effects) == 0 {
		copy(t.after[:], t.sn.runs[:])
		return nil
	}
	if err := t.applyRun(ctx, runSource, t.sourceEdits()); err != nil {
		return err
	}
	if err := t.applyRun(ctx, runTarget, t.targetEdits()); err != nil {
		return err
	}
	if err := t.applyRun(ctx, runTranslation, t.translationIDEdits()); err != nil {
		return err
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	copy(t.after[runEntry:], t.sn.runs[runEntry:])
	return t.maps(ctx)
}

// walker reads a run as the change leaves it.
func (t *tx) walker(ctx context.Context, run int) *walker {
	w := t.s.walker(ctx, t.after[run])
	w.fresh = t.fresh
	return w
}

// entries writes the runs of the entries.
func (t *tx) entries(ctx context.Context) error {
	if len(t.plan.entEffects) == 0 {
		return nil
	}
	if err := t.applyRun(ctx, runEntry, t.entryEdits()); err != nil {
		return err
	}
	return t.applyRun(ctx, runEntryID, t.entryIDEdits())
}
