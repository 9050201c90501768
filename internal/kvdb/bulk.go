package kvdb

import (
	"context"
	"errors"
	"slices"
	"time"
)

// bulkBatch is how many keys are changed in one round trip.
const bulkBatch = 500

// Progress is how far a job over many keys is.
type Progress struct {
	Looked  int64 // at how many keys, about
	About   int64 // how many there are, about; 0 = this Redis user may not know
	Matched int64 // were meant, of those it looked at. A key may be counted twice if the server's table of keys grows or shrinks meanwhile
	Done    int64 // were changed for sure
}

// CountKeys counts the keys that the filter means, but those of this program, for somebody with the role. It calls progress, which may be nil,
// after each step. It ends early with its context: then the error is that of the context, and what was counted is returned. Else the errors are
// ErrAway, ErrInvalid and ErrForbidden. It leaves half of the server's time to others.
func (db *DB) CountKeys(ctx context.Context, role string, f KeyFilter, progress func(Progress)) (Progress, error) {
	return db.bulk(ctx, role, viewer, f, progress, nil)
}

// DeleteKeys is CountKeys that deletes them, in batches of 500 keys. The pattern must be given. When it ends early, what was not deleted stays;
// a batch that was sent is waited for. A further error is ErrUnknown: some keys of the last batch may have been deleted as well.
func (db *DB) DeleteKeys(ctx context.Context, role string, f KeyFilter, progress func(Progress)) (Progress, error) {
	return db.bulk(ctx, role, operator, f, progress, func(name string) []string { return []string{"UNLINK", name} })
}

// ExpireKeys is DeleteKeys that has them expire after ttl, or never if it is NoTTL.
func (db *DB) ExpireKeys(ctx context.Context, role string, f KeyFilter, ttl time.Duration, progress func(Progress)) (Progress, error) {
	ms, err := ttlArg(ttl)
	if err != nil {
		return Progress{}, err
	}
	return db.bulk(ctx, role, operator, f, progress, func(name string) []string {
		if ms == "" {
			return []string{"PERSIST", name}
		}
		return []string{"PEXPIRE", name, ms}
	})
}

// bulk walks through the keys and has each that matches changed by a command which replies 1 when it did something; nil = none.
func (db *DB) bulk(ctx context.Context, role string, need int, f KeyFilter, progress func(Progress),
	command func(name string) []string) (Progress, error) {
	restricted, err := access(role, need, "this")
	if err != nil {
		return Progress{}, err
	}
	if err := f.check(); err != nil {
		return Progress{}, err
	}
	if command != nil && f.Match == "" {
		return Progress{}, Invalid("match", "must be given: * is all keys")
	}
	var p Progress
	var waiting []string
	flush := func(least int) error {
		for len(waiting) > 0 && len(waiting) >= least {
			n := min(len(waiting), bulkBatch)
			done, err := db.changeAll(ctx, restricted, waiting[:n], command)
			if p.Done += done; err != nil {
				return err
			}
			waiting = waiting[n:]
		}
		return nil
	}
	err = db.walk(ctx, restricted, f, 0, func(at Progress, names []string) error {
		names = slices.DeleteFunc(names, db.isOurs)
		p.Looked, p.About, p.Matched = at.Looked, at.About, p.Matched+int64(len(names))
		if command != nil {
			waiting = append(waiting, names...)
			if err := flush(bulkBatch); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(p)
		}
		return nil
	})
	if err == nil {
		err = flush(1)
	}
	switch {
	case err == nil:
		if p.Looked = p.About; progress != nil {
			progress(p)
		}
		return p, nil
	case ctx.Err() != nil && !errors.Is(err, ErrUnknown):
		return p, ctx.Err()
	case command == nil:
		return p, ReadErr("count keys", err)
	}
	err = WriteErr("change keys", err)
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		unknown.Check = "the keys that match: the last batch may have been done or not"
	}
	return p, err
}

// changeAll makes a change to each of the keys, and returns how many were changed for sure. It is not stopped halfway.
func (db *DB) changeAll(ctx context.Context, restricted bool, names []string, command func(string) []string) (done int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	all := make([]exchange, len(names))
	for i, name := range names {
		to, err := db.node(ctx, []string{name})
		if err != nil {
			return 0, err
		}
		all[i] = exchange{args: command(name), to: to}
	}
	db.exchangeAll(context.WithoutCancel(ctx), all, together{wire: wireOptions{restricted: restricted}})
	var worst error
	for i := range all {
		err := all[i].failure()
		switch {
		case err == nil && all[i].reply.Text == "1":
			done++
		case err != nil && (worst == nil || all[i].err != nil && !errors.As(err, new(*notSentError))):
			worst = err
		}
	}
	if worst != nil && done > 0 && errors.As(worst, new(*notSentError)) {
		worst = NotDone("change keys", Sentence(ReadErr("", worst))+" A part of the keys was changed before.")
	}
	return done, worst
}

// errEnough ends a walk that has looked at as many keys as it should.
var errEnough = errors.New("enough")

// walk calls visit with all keys that match, step by step, and with how far it is, until it returns an error or ctx ends. Half of the time it
// waits. It looks at up to most keys, of each master at an equal part, and returns errEnough if there are more; 0 = at all.
func (db *DB) walk(ctx context.Context, restricted bool, f KeyFilter, most int64, visit func(p Progress, names []string) error) error {
	k := db.newWalker(restricted, f)
	if err := k.start(ctx); err != nil {
		return err
	}
	each := (most + int64(len(k.masters)) - 1) / int64(len(k.masters))
	enough := false
	for from := k.looked; !k.over(); {
		begun, node := time.Now(), k.node
		names, err := k.step(ctx, scanStep)
		if err != nil {
			return err
		}
		p := Progress{Looked: k.looked, About: max(0, k.about)}
		switch {
		case k.over() || k.node != node:
			from = k.looked
		case each > 0 && k.looked-from >= each:
			enough, from = true, k.looked
			k.done.join(&k.slots)
			if err := k.enter(ctx); err != nil {
				return err
			}
		}
		if err := visit(p, names); err != nil {
			return err
		}
		if err := pace(ctx, time.Since(begun)); err != nil && !k.over() {
			return err
		}
	}
	if enough {
		return errEnough
	}
	return nil
}
