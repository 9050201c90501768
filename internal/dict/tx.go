package dict

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// tx is one change on its way into Redis.
type tx struct {
	s      *Store
	by     By
	own    bool   // by.Op is ours: nobody will ask for it again
	mark   string // that by.Op was given up with before; "" = it was not
	token  string
	tries  int
	leased bool
	sn     *snapshot
	plan   *plan

	version int64
	serial  int // of blocks
	inline  []blob
	fresh   map[string][]byte // the blocks that inline holds, as they are read
	bytes   int
	staging redis.Pipeliner
	after   [runs]runState
	added   [runs][]fence
	gone    [runs][]fence
	kept    []string // blocks of the history
	pairs   map[string]*pairChange
}

var nul = []byte{0}

type blob struct{ id, data string }

// pairChange is what happens to the translations from one system and key to another.
type pairChange struct {
	delta  int64
	writes int
	staged bool
}

// try prepares the change from the snapshot of now, and commits it.
func (t *tx) try(ctx context.Context, prepare func(context.Context, *snapshot) (*plan, error)) (Change, error) {
	s := t.s
	if err := t.awaitLease(ctx); err != nil {
		return Change{}, err
	}
	sn, err := s.snapshot(ctx)
	if err != nil {
		return Change{}, err
	}
	p, err := prepare(ctx, sn)
	if err != nil || p == nil {
		return Change{}, err
	}
	*t = tx{s: s, by: t.by, own: t.own, mark: t.mark, token: t.token, tries: t.tries + 1, leased: t.leased, serial: t.serial,
		sn: sn, plan: p, version: sn.version + 1, fresh: map[string][]byte{}}
	p.reset()
	if err := p.compare(ctx, s, sn); err != nil {
		return Change{}, err
	}
	p.sortTargets()
	p.number(t.version)
	if err := t.translations(ctx); err != nil {
		return Change{}, err
	}
	if err := p.compareEntries(ctx, s, sn, t.walker(ctx, runSource), t.walker(ctx, runTarget)); err != nil {
		return Change{}, err
	}
	if p.empty() {
		return Change{}, nil
	}
	p.number(t.version)
	if err := t.entries(ctx); err != nil {
		return Change{}, err
	}
	return t.commit(ctx)
}

// text is the version as Redis is to have it: its number, and what tells it from a version of the same number
// that a server has forgotten.
func (t *tx) text() string { return formatInt(t.version) + " " + t.token }

// stagedMap is the key of a map that is being prepared. Each try has its own: what an earlier one has left
// may hold too much.
func (t *tx) stagedMap(pair string) string {
	return t.s.keys.StagedMap(t.token+"."+strconv.Itoa(t.tries), pair)
}

// awaitLease waits a while for another's large change. With a lease of our own there is nothing to wait for.
func (t *tx) awaitLease(ctx context.Context) error {
	if t.leased {
		return t.renew(ctx)
	}
	wait := time.NewTimer(leaseWait)
	defer wait.Stop()
	for {
		n, err := t.s.db.Client().Exists(ctx, t.s.keys.Lease()).Result()
		if err != nil {
			return kvdb.ReadErr("change the dictionaries", err)
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errLeased()
		case <-wait.C:
			return errLeased()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// acquire takes the lease, for a change that is too large for one script.
func (t *tx) acquire(ctx context.Context) error {
	ok, err := t.s.db.Client().SetNX(ctx, t.s.keys.Lease(), t.token, leaseKept).Result()
	if err != nil {
		return notDone(kvdb.WriteErr("prepare the change", err))
	}
	if !ok {
		return errStale // somebody else's; wait for it like everyone
	}
	t.leased = true
	version, err := t.s.db.Client().Get(ctx, t.s.keys.Version()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return kvdb.ReadErr("prepare the change", err)
	}
	if version != t.sn.text {
		return errStale // but now we have the lease, and nobody else commits
	}
	return nil
}

func (t *tx) renew(ctx context.Context) error {
	n, err := renewScript.Run(ctx, t.s.db, []string{t.s.keys.Lease()}, t.token, leaseKept.Milliseconds()).Int()
	if err != nil {
		return notDone(kvdb.WriteErr("prepare the change", err))
	}
	if n == 0 {
		t.leased = false
		return errStale
	}
	return nil
}

// release gives the lease back, also after the request has gone away.
func (t *tx) release() {
	if !t.leased {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := releaseScript.Run(ctx, t.s.db, []string{t.s.keys.Lease()}, t.token).Err(); err != nil {
		t.s.logger.Warn("the lease of a large change ends by itself", "after", leaseKept, "error", err)
	}
	t.leased = false
}

// notDone is for writes that prepare a change: whatever became of them, the change itself was not made.
func notDone(err error) error {
	if errors.Is(err, kvdb.ErrUnknown) {
		return kvdb.NotDone("change the dictionaries", "The connection to Redis broke while the change was prepared; nothing was changed. Try again.")
	}
	return err
}

// put writes a block: into the script if the change is small, staged if it is large.
func (t *tx) put(ctx context.Context, block []byte) (id string, err error) {
	id = t.token + "." + strconv.FormatInt(int64(t.serial), 36)
	t.serial++
	data := string(compress(nil, block))
	t.bytes += len(data)
	if t.staging == nil {
		t.inline = append(t.inline, blob{id, data})
		t.fresh[id] = bytes.Clone(block)
		if t.bytes <= inlineMost {
			return id, nil
		}
		return id, t.stage(ctx)
	}
	t.staging.Set(ctx, t.s.keys.Block(id), data, stagedKept)
	if t.staging.Len() >= 32 {
		return id, t.flush(ctx)
	}
	return id, nil
}

// stage goes over from carrying blocks in the script to writing them beforehand.
func (t *tx) stage(ctx context.Context) error {
	if !t.leased {
		if err := t.acquire(ctx); err != nil {
			return err
		}
	}
	t.staging = t.s.db.Client().Pipeline()
	for _, b := range t.inline {
		t.staging.Set(ctx, t.s.keys.Block(b.id), b.data, stagedKept)
	}
	t.inline, t.fresh = nil, nil
	return t.flush(ctx)
}

func (t *tx) flush(ctx context.Context) error {
	if t.staging == nil || t.staging.Len() == 0 {
		return nil
	}
	if _, err := t.staging.Exec(ctx); err != nil {
		return notDone(kvdb.WriteErr("prepare the change", err))
	}
	return t.renew(ctx)
}
