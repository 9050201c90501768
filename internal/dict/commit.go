package dict

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// How a change is committed. Everything that it needs is read from one snapshot; the blocks that it replaces
// are written anew beside the old ones; then one script puts all of it in place, if the version is still
// that of the snapshot. Who reads sees the dictionaries before the change or after it. A change that is
// too large for a script's arguments is staged first, under a lease that keeps others from committing
// meanwhile: they wait, while lookups go on.
const (
	stagedKept  = time.Hour       // what a crash leaves staged goes by itself
	blockKept   = 5 * time.Minute // a replaced block stays for who still reads it
	opKept      = 24 * time.Hour
	ownOpKept   = 10 * time.Minute
	commitTries = 50
)

var (
	inlineMost = 512 << 10        // bytes of blocks that go with the script
	directMost = 5000             // translations that the script writes one by one
	leaseKept  = 20 * time.Second // without a sign of life
	leaseWait  = 5 * time.Second  // that an edit waits for a large change
)

// commitScript puts a prepared change in place.
//
// KEYS: 1 version, 2 lease, 3 op, then the keys of the writes.
// ARGV: 1 version of the snapshot, 2 version that the change makes, 3 lease token or "", 4 what the op is to
// remember, 5 seconds to remember it, 6 what the op says that is to be overlooked; then the writes, each as
// command, index of its key, number of arguments, arguments. Beside Redis' commands: COUNT field n (adds,
// no field stays at zero), REPLACE index n (of the key that takes the place, and how many fields it has).
// Returns {code, text}: 0 stale, or what was staged is not all there, nothing was done; 1 done; 2 this op was
// applied before or was given up, text says how; 3 another has the lease, nothing was done.
// All that could stop it comes before its first write. SET op is the first, because a server that is out
// of memory refuses it before anything is written.
var commitScript = kvdb.NewScript(`
local done = redis.call('GET', KEYS[3])
if done and done ~= ARGV[6] then return {2, done} end
local lease = redis.call('GET', KEYS[2])
if ARGV[3] == '' then
  if lease then return {3, ''} end
elseif lease ~= ARGV[3] then
  return {0, ''}
end
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return {0, ''} end
local first = 7
local i = first
while i <= #ARGV do
  local cmd = ARGV[i]
  if cmd == 'PERSIST' and redis.call('EXISTS', KEYS[tonumber(ARGV[i + 1])]) == 0
    or cmd == 'REPLACE' and redis.call('HLEN', KEYS[tonumber(ARGV[i + 3])]) ~= tonumber(ARGV[i + 4]) then
    return {0, ''}
  end
  i = i + 3 + tonumber(ARGV[i + 2])
end
redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5])
i = first
while i <= #ARGV do
  local cmd, key, n = ARGV[i], KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 2])
  if cmd == 'COUNT' then
    if redis.call('HINCRBY', key, ARGV[i + 3], ARGV[i + 4]) == 0 then redis.call('HDEL', key, ARGV[i + 3]) end
  elseif cmd == 'REPLACE' then
    redis.call('UNLINK', key)
    redis.call('RENAME', KEYS[tonumber(ARGV[i + 3])], key)
    redis.call('PERSIST', key)
  else
    redis.call(cmd, key, unpack(ARGV, i + 3, i + 2 + n))
  end
  i = i + 3 + n
end
redis.call('SET', KEYS[1], ARGV[2])
return {1, ''}`)

const (
	codeStale = iota
	codeDone
	codeRepeated
	codeLeased
)

// settleScript decides what became of an op of which no answer came.
//
// KEYS: 1 op. ARGV: 1 mark, 2 seconds to keep it. Returns what the op remembers; "" when it was not applied,
// and then it can't be applied by anybody who doesn't know the mark, which is all who have begun before.
var settleScript = kvdb.NewScript(`
local done = redis.call('GET', KEYS[1])
if done and string.sub(done, 1, 2) ~= '0 ' then return done end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ''`)

// newMark makes what an op says that was given up: no version, and a token that tells the marks apart.
func newMark() string { return "0 " + newToken() }

// renewScript extends a lease. KEYS: 1 lease. ARGV: 1 token, 2 ms. Returns 1, or 0 when it is lost.
var renewScript = kvdb.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`)

// releaseScript gives a lease back. KEYS: 1 lease. ARGV: 1 token.
var releaseScript = kvdb.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// errStale says that somebody else has committed since the snapshot. Nothing was done.
var errStale = errors.New("dict: the dictionaries have changed meanwhile")

// repeated says that the operation was applied before.
type repeated struct{ version int64 }

func (repeated) Error() string { return "dict: this operation was applied before" }

func newToken() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails: see its documentation
	return base64.RawURLEncoding.EncodeToString(b)
}

// opKey is where an operation is remembered. What a caller chose is hashed, so that it can be anything.
func (s *Store) opKey(op string) string {
	h := sha256.Sum256([]byte(op))
	return s.keys.Op(hex.EncodeToString(h[:16]))
}

// apply makes a change: prepare fills the plan from a snapshot, as often as others come first. The change
// that is returned has no ID if there was nothing to change. A by.Op that was applied before gives the
// change that it made then.
func (s *Store) apply(ctx context.Context, by By, prepare func(ctx context.Context, sn *snapshot) (*plan, error)) (Change, error) {
	own, mark := by.Op == "", ""
	if own {
		by.Op = newToken()
	} else {
		version, text, err := s.applied(ctx, by)
		if err != nil {
			return Change{}, err
		}
		if version != 0 {
			return s.Change(ctx, formatInt(version))
		}
		mark = text
	}
	if err := s.lock(ctx); err != nil {
		return Change{}, err
	}
	defer func() { <-s.writing }()
	t := &tx{s: s, by: by, own: own, mark: mark, token: newToken()}
	defer t.release()
	for range commitTries {
		c, err := t.try(ctx, prepare)
		var again repeated
		switch {
		case errors.Is(err, errStale), errors.Is(err, errGone):
			s.current.Store(nil)
			continue
		case errors.As(err, &again):
			return s.Change(ctx, formatInt(again.version))
		}
		// What stands in the way, or has left nothing to do, may be the same operation, sent twice at once.
		if !own && c.ID == "" && !errors.Is(err, kvdb.ErrAway) && !errors.Is(err, kvdb.ErrUnknown) {
			if version, _, err := s.applied(ctx, by); err == nil && version != 0 {
				return s.Change(ctx, formatInt(version))
			}
		}
		return c, err
	}
	return Change{}, kvdb.NotDone("change the dictionaries", "Others kept changing the dictionaries; nothing was changed. Try again.")
}

// errLeased is for an edit that has waited for a large change, in vain.
func errLeased() error {
	return kvdb.NotDone("change the dictionaries", "A large import is being written; nothing was changed. Try again in a few seconds.")
}

// lock lets one change at a time commit here; those of other processes are kept apart by the version.
func (s *Store) lock(ctx context.Context) error {
	wait := time.NewTimer(leaseWait)
	defer wait.Stop()
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-wait.C:
	}
	return errLeased()
}

// applied returns the version that an operation made; 0 = it was not applied. mark is what it says if it was
// given up.
func (s *Store) applied(ctx context.Context, by By) (version int64, mark string, err error) {
	text, err := s.db.Client().Get(ctx, s.opKey(by.Op)).Result()
	if errors.Is(err, redis.Nil) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", kvdb.ReadErr("look the operation up", err)
	}
	version, err = parseOp(text)
	return version, text, err
}

func parseOp(text string) (int64, error) {
	number, _, _ := strings.Cut(text, " ")
	return strconv.ParseInt(number, 10, 64)
}

// Outcome says what became of an operation, for good: once it says that the operation was not done, whoever
// is still about to do it can't do it any more, in any process; only who sends it anew can. change is the ID
// of the change that it made.
func (s *Store) Outcome(ctx context.Context, op string) (change string, done bool, err error) {
	text, err := settleScript.Run(ctx, s.db, []string{s.opKey(op)}, newMark(), int(opKept.Seconds())).Text()
	if err != nil {
		return "", false, kvdb.ReadErr("find out what became of it", err)
	}
	if text == "" {
		return "", false, nil
	}
	version, err := parseOp(text)
	return formatInt(version), err == nil, err
}

// writes collects what the script is to do.
type writes struct {
	keys  []string
	index map[string]int
	args  []any
}

func (w *writes) key(k string) int {
	if i, ok := w.index[k]; ok {
		return i
	}
	w.keys = append(w.keys, k)
	w.index[k] = len(w.keys)
	return len(w.keys)
}

func (w *writes) add(cmd, key string, args ...any) {
	w.args = append(w.args, cmd, w.key(key), len(args))
	w.args = append(w.args, args...)
}

// fields is add with the arguments cut into pieces that a script can unpack.
func (w *writes) fields(cmd, key string, args []any) {
	for part := range slices.Chunk(args, 2000) {
		w.add(cmd, key, part...)
	}
}

// commit runs the script.
func (t *tx) commit(ctx context.Context) (Change, error) {
	s, p := t.s, t.plan
	if err := t.flush(ctx); err != nil {
		return Change{}, err
	}
	c := Change{ID: formatInt(t.version), At: s.now().UTC().Truncate(time.Millisecond), By: t.by.Who, Kind: p.kind, Summary: p.summary,
		Counts: p.countsRenamed(), Undoes: p.undoes}
	history, err := t.history(ctx, &c)
	if err != nil {
		return Change{}, err
	}
	if err := t.flush(ctx); err != nil {
		return Change{}, err
	}
	w := &writes{keys: []string{s.keys.Version(), s.keys.Lease(), s.opKey(t.by.Op)}, index: map[string]int{}}
	t.collect(w)
	w.add("XADD", s.keys.Changes(), append([]any{formatInt(t.version) + "-0"}, history...)...)
	if p.undoes != "" {
		w.add("HSET", s.keys.Undone(), p.undoes, c.ID)
	}
	lease, kept := "", opKept
	if t.leased {
		lease = t.token
	}
	if t.own {
		kept = ownOpKept
	}
	args := append([]any{t.sn.text, t.text(), lease, formatInt(t.version) + " " + p.kind, int(kept.Seconds()), t.mark}, w.args...)
	p.progress("committing", 0, 0)
	reply, err := commitScript.Run(ctx, s.db, w.keys, args...).Slice()
	if err != nil {
		err = kvdb.WriteErr("change the dictionaries", err)
		if !errors.Is(err, kvdb.ErrUnknown) {
			return Change{}, err
		}
		return t.settle(c)
	}
	return t.answer(c, reply)
}

func (t *tx) answer(c Change, reply []any) (Change, error) {
	code, _ := reply[0].(int64)
	text, _ := reply[1].(string)
	switch code {
	case codeDone:
		t.s.current.Store(t.result())
		return c, nil
	case codeRepeated:
		version, err := parseOp(text)
		switch {
		case err != nil:
			return Change{}, err
		case version == 0:
			return Change{}, kvdb.NotDone("change the dictionaries", "The change was given up before it was made; nothing was changed. Try again.")
		}
		return Change{}, repeated{version}
	}
	return Change{}, errStale
}

// settle finds out whether a commit of which no answer came was made. If the server doesn't say, nobody
// knows: the error then says where to look.
func (t *tx) settle(c Change) (Change, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, done, err := t.s.Outcome(ctx, t.by.Op)
	switch {
	case err != nil:
		return Change{}, &kvdb.UnknownError{Op: "change the dictionaries", Check: "/dictionaries/changes", Err: err}
	case done:
		return c, nil
	}
	return Change{}, kvdb.NotDone("change the dictionaries", "The connection to Redis broke; nothing was changed. Try again.")
}

// result is the snapshot that the change has made.
func (t *tx) result() *snapshot {
	sn := &snapshot{version: t.version, text: t.text(), runs: t.after, pairs: t.sn.pairs, names: t.sn.names}
	if len(t.pairs) > 0 {
		sn.pairs = maps.Clone(t.sn.pairs)
		for name, pc := range t.pairs {
			addCount(sn.pairs, name, pc.delta)
		}
	}
	if len(t.plan.names) > 0 {
		sn.names = maps.Clone(t.sn.names)
		for name, n := range t.plan.names {
			addCount(sn.names, name, n)
		}
	}
	return sn
}

func addCount(m map[string]int64, name string, n int64) {
	if m[name] += n; m[name] == 0 {
		delete(m, name)
	}
}

// collect lists the writes of the change.
func (t *tx) collect(w *writes) {
	s := t.s
	if t.staging == nil {
		for _, b := range t.inline {
			w.add("SET", s.keys.Block(b.id), b.data)
		}
	} else {
		for _, id := range t.kept {
			w.add("PERSIST", s.keys.Block(id))
		}
	}
	for run, name := range runNames {
		var set, del []any
		for _, f := range t.added[run] {
			set = append(set, f.id, f.encode())
			if t.staging != nil {
				w.add("PERSIST", s.keys.Block(f.id))
			}
		}
		for _, f := range t.gone[run] {
			del = append(del, f.id)
			w.add("EXPIRE", s.keys.Block(f.id), int(blockKept.Seconds()))
		}
		w.fields("HDEL", s.keys.Fences(name), del)
		w.fields("HSET", s.keys.Fences(name), set)
	}
	t.collectMaps(w)
	for name, n := range t.plan.names {
		if n != 0 {
			w.add("COUNT", s.keys.Names(), name, n)
		}
	}
}

func (t *tx) collectMaps(w *writes) {
	s, p := t.s, t.plan
	type fields struct{ set, del []any }
	direct := map[string]*fields{}
	var name []byte
	if len(t.pairs) > 0 {
		for _, e := range p.effects {
			r := p.rows.row(int(e.row))
			name = appendPair(name[:0], r.source(), r.names2())
			if t.pairs[string(name)].staged {
				continue
			}
			f := direct[string(name)]
			if f == nil {
				f = &fields{}
				direct[string(name)] = f
			}
			if r.remove() {
				f.del = append(f.del, string(value1Of(r.source())))
			} else {
				f.set = append(f.set, string(value1Of(r.source())), string(bytes.TrimSuffix(r.value2(), nul)))
			}
		}
	}
	for name, f := range direct {
		w.fields("HDEL", s.keys.MapOfPair(name), f.del)
		w.fields("HSET", s.keys.MapOfPair(name), f.set)
	}
	for name, pc := range t.pairs {
		if pc.staged {
			if t.sn.pairs[name]+pc.delta == 0 {
				w.add("UNLINK", s.keys.MapOfPair(name))
			} else {
				w.add("REPLACE", s.keys.MapOfPair(name), w.key(t.stagedMap(name)), t.sn.pairs[name]+pc.delta)
			}
		}
		if pc.delta != 0 {
			w.add("COUNT", s.keys.Pairs(), name, pc.delta)
		}
	}
}
