package dict

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// runState is a run at one version: its fences in order, and how many records they hold together.
type runState struct {
	fences []fence
	total  int64
}

// find returns the index of the block that holds key, or would; 0 when all blocks start after it.
func (r runState) find(key []byte) int {
	i := sort.Search(len(r.fences), func(i int) bool { return r.fences[i].first > string(key) })
	return max(i-1, 0)
}

// end returns the index of the first block that starts at key or after it; nil = after everything.
func (r runState) end(key []byte) int {
	if key == nil {
		return len(r.fences)
	}
	return sort.Search(len(r.fences), func(i int) bool { return r.fences[i].first >= string(key) })
}

// upTo counts the records in the blocks before block i.
func (r runState) upTo(i int) (n int64) {
	for _, f := range r.fences[:min(i, len(r.fences))] {
		n += int64(f.n)
	}
	return n
}

// span is the records from lo on and before hi; hi nil = to the end.
type span struct{ lo, hi []byte }

// prefixSpan is all records whose key starts with prefix.
func prefixSpan(prefix []byte) span { return span{lo: prefix, hi: after(prefix)} }

// after returns the first key that sorts behind everything with the prefix; nil = there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			b := bytes.Clone(prefix[:i+1])
			b[i]++
			return b
		}
	}
	return nil
}

func (sp span) has(key []byte) bool {
	return bytes.Compare(key, sp.lo) >= 0 && (sp.hi == nil || bytes.Compare(key, sp.hi) < 0)
}

// most bounds from above how many records of the run a span holds.
func (r runState) most(sp span) int64 {
	first := r.find(sp.lo)
	return r.upTo(max(r.end(sp.hi), first)) - r.upTo(first)
}

// snapshot is what the dictionaries hold at one version. It doesn't change; its blocks can be read for
// blockKept after a later version has replaced them.
type snapshot struct {
	version int64
	text    string // the version as Redis has it
	runs    [runs]runState
	pairs   map[string]int64 // system1/key1/system2/key2 → translations
	names   map[string]int64 // system/key → entries
}

// errGone says that a block was replaced so long ago that it is no longer kept.
var errGone = errors.New("dict: the snapshot is too old")

// snapshot returns the dictionaries as they are now. One small round trip when nothing has changed.
func (s *Store) snapshot(ctx context.Context) (*snapshot, error) {
	have := s.current.Load()
	text, err := s.db.Client().Get(ctx, s.keys.Version()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, kvdb.ReadErr("read the dictionaries", err)
	}
	if have != nil && have.text == text {
		return have, nil
	}
	version, err := parseVersion(text)
	if err != nil {
		return nil, err
	}
	s.loading.Lock() // many who find a new version load it once
	defer s.loading.Unlock()
	if now := s.current.Load(); now != nil && now != have && now.version >= version {
		return now, nil
	}
	sn, err := s.load(ctx)
	if err != nil {
		return nil, kvdb.ReadErr("read the dictionaries", err)
	}
	s.current.Store(sn)
	return sn, nil
}

// parseVersion reads the number of a version: "" is 0, when nothing has been changed yet.
func parseVersion(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, _, _ := strings.Cut(text, " ")
	return strconv.ParseInt(number, 10, 64)
}

// loadScript reads all of a snapshot at one moment. A transaction would do, but a server that is out of memory
// refuses even to read in one.
//
// The hashes have a field for each block, for each system and key, and for each pair of these; none for an entry or a translation.
//
// KEYS: 1 version, then hashes. Returns the version, "" = none, and the fields and values of each hash.
var loadScript = kvdb.NewScript(`
local all = {redis.call('GET', KEYS[1]) or ''}
for i = 2, #KEYS do all[i] = redis.call('HGETALL', KEYS[i]) end
return all`)

// load reads a snapshot.
func (s *Store) load(ctx context.Context) (*snapshot, error) {
	keys := []string{s.keys.Version()}
	for _, name := range runNames {
		keys = append(keys, s.keys.Fences(name)) // one field a block: some thousands at a million records
	}
	reply, err := loadScript.Run(ctx, s.db, append(keys, s.keys.Pairs(), s.keys.Names())).Slice()
	if err != nil {
		return nil, err
	}
	sn := &snapshot{}
	sn.text, _ = reply[0].(string)
	if sn.version, err = parseVersion(sn.text); err != nil {
		return nil, err
	}
	for i := range sn.runs {
		if sn.runs[i], err = parseFences(fieldsOfReply(reply[1+i])); err != nil {
			return nil, err
		}
	}
	if sn.pairs, err = parseCounts(fieldsOfReply(reply[1+runs])); err != nil {
		return nil, err
	}
	sn.names, err = parseCounts(fieldsOfReply(reply[2+runs]))
	return sn, err
}

// fieldsOfReply makes a map of fields and values in turn.
func fieldsOfReply(reply any) map[string]string {
	list, _ := reply.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		field, _ := list[i].(string)
		m[field], _ = list[i+1].(string)
	}
	return m
}

func parseFences(fields map[string]string) (runState, error) {
	r := runState{fences: make([]fence, 0, len(fields))}
	for id, text := range fields {
		f, err := decodeFence(id, text)
		if err != nil {
			return r, err
		}
		r.fences = append(r.fences, f)
		r.total += int64(f.n)
	}
	slices.SortFunc(r.fences, func(a, b fence) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return r, nil
}

func parseCounts(fields map[string]string) (map[string]int64, error) {
	m := make(map[string]int64, len(fields))
	for name, text := range fields {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		m[name] = n
	}
	return m, nil
}

// blockCache keeps the blocks that pages and edits read again and again. Blocks are immutable, so that
// none of them is ever stale.
type blockCache struct {
	mu     sync.Mutex
	blocks map[string][]byte
}

const blocksCached = 96 // about 3 MiB

func (c *blockCache) get(id string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[id]
}

func (c *blockCache) put(id string, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks == nil {
		c.blocks = make(map[string][]byte, blocksCached)
	}
	if len(c.blocks) >= blocksCached {
		for old := range c.blocks { // any: what is needed soon is soon read again
			delete(c.blocks, old)
			break
		}
	}
	c.blocks[id] = b
}

// fetch reads blocks in one round trip. errGone when one is no longer kept.
func (s *Store) fetch(ctx context.Context, fences []fence) ([][]byte, error) {
	out := make([][]byte, len(fences))
	pipe := s.db.Client().Pipeline()
	cmds := make([]*redis.StringCmd, len(fences))
	few := len(fences) <= 8
	for i, f := range fences {
		if out[i] = s.cache.get(f.id); out[i] == nil {
			cmds[i] = pipe.Get(ctx, s.keys.Block(f.id))
		}
	}
	if pipe.Len() == 0 {
		return out, nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, kvdb.ReadErr("read the dictionaries", err)
	}
	for i, cmd := range cmds {
		if cmd == nil {
			continue
		}
		data, err := cmd.Result()
		if errors.Is(err, redis.Nil) {
			return nil, errGone
		}
		if err != nil {
			return nil, kvdb.ReadErr("read the dictionaries", err)
		}
		if out[i], err = decompress(data); err != nil {
			return nil, err
		}
		if few { // a long scan would only wash out what others read
			s.cache.put(fences[i].id, out[i])
		}
	}
	return out, nil
}

// loader reads blocks of a run one after the other, and the further it is read, the more of them ahead at
// once: a page costs one block, a search of everything few round trips.
type loader struct {
	s     *Store
	run   runState
	step  int // +1 forward, -1 backward
	at    int // index of ahead[0]
	ahead [][]byte
	grow  int
	fresh map[string][]byte // blocks of a change that is being made, which Redis doesn't have yet
}

const loadAhead = 32

func (s *Store) loader(run runState, step int) *loader {
	return &loader{s: s, run: run, step: step, at: -2}
}

// load returns block i. limit is the index that won't be asked for: where reading ahead stops.
func (l *loader) load(ctx context.Context, i, limit int) ([]byte, error) {
	if k := (i - l.at) * l.step; k >= 0 && k < len(l.ahead) {
		return l.ahead[k], nil
	}
	if b := l.fresh[l.run.fences[i].id]; b != nil {
		return b, nil
	}
	if l.ahead != nil && i == l.at+l.step*len(l.ahead) {
		l.grow = min(2*l.grow, loadAhead)
	} else {
		l.grow = 1
	}
	n := max(min(l.grow, (limit-i)*l.step), 1)
	fences := make([]fence, 0, n)
	for j := i; len(fences) < n && j >= 0 && j < len(l.run.fences) && l.fresh[l.run.fences[j].id] == nil; j += l.step {
		fences = append(fences, l.run.fences[j])
	}
	blocks, err := l.s.fetch(ctx, fences)
	if err != nil {
		return nil, err
	}
	l.at, l.ahead = i, blocks
	return blocks[0], nil
}

// located is a block with the part of it that was asked for.
type located struct {
	index int
	span  span
	block []byte
}

// blocks yields the blocks that hold records of the spans, in their order. desc walks from the end.
func (s *Store) blocks(ctx context.Context, run runState, spans []span, desc bool) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		if len(run.fences) == 0 {
			return
		}
		step := 1
		if desc {
			step = -1
		}
		l := s.loader(run, step)
		for n := range spans {
			sp := spans[n]
			if desc {
				sp = spans[len(spans)-1-n]
			}
			i, limit := run.find(sp.lo), run.end(sp.hi)
			if desc {
				i, limit = limit-1, i-1
			}
			for ; i != limit && (limit-i)*step > 0; i += step {
				b, err := l.load(ctx, i, limit)
				if !yield(located{i, sp, b}, err) || err != nil {
					return
				}
			}
		}
	}
}

// scan yields the records of the spans, in their order. desc walks from the end.
func (s *Store) scan(ctx context.Context, run runState, spans []span, desc bool) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for b, err := range s.blocks(ctx, run, spans, desc) {
			if err != nil {
				yield(record{}, err)
				return
			}
			rs, err := records(b.block)
			if err != nil {
				yield(record{}, err)
				return
			}
			if desc {
				slices.Reverse(rs)
			}
			for _, r := range rs {
				if b.span.has(r.key) && !yield(r, nil) {
					return
				}
			}
		}
	}
}

// count counts the records of a span. It reads two blocks at most.
func (s *Store) count(ctx context.Context, run runState, sp span) (n int64, err error) {
	if len(run.fences) == 0 {
		return 0, nil
	}
	first, end := run.find(sp.lo), run.end(sp.hi)
	for i := first; i < end; i++ {
		inside := run.fences[i].first >= string(sp.lo) && i+1 < len(run.fences) &&
			(sp.hi == nil || run.fences[i+1].first <= string(sp.hi))
		if inside {
			n += int64(run.fences[i].n)
			continue
		}
		blocks, err := s.fetch(ctx, run.fences[i:i+1])
		if err != nil {
			return 0, err
		}
		for b := blocks[0]; len(b) > 0; {
			var r record
			if r, b, err = nextRecord(b); err != nil {
				return 0, err
			}
			if sp.has(r.key) {
				n++
			}
		}
	}
	return n, nil
}

// walker reads a run forward: to given keys, or record by record.
type walker struct {
	*loader
	ctx  context.Context
	i    int // block that rest is of
	rest []byte
	cur  record
	ok   bool // cur is a record
}

func (s *Store) walker(ctx context.Context, run runState) *walker {
	return &walker{loader: s.loader(run, 1), ctx: ctx, i: -1}
}

// next moves to the next record; w.ok is false at the end.
func (w *walker) next() (err error) {
	for len(w.rest) == 0 {
		if w.i+1 >= len(w.run.fences) {
			w.i, w.ok = len(w.run.fences), false
			return nil
		}
		if w.rest, err = w.load(w.ctx, w.i+1, len(w.run.fences)); err != nil {
			return err
		}
		w.i++
	}
	w.cur, w.rest, err = nextRecord(w.rest)
	w.ok = err == nil
	return err
}

// seek moves to the first record at key or behind it. Keys must not go backward.
func (w *walker) seek(key []byte) (err error) {
	if w.ok && bytes.Compare(w.cur.key, key) >= 0 {
		return nil
	}
	if i := w.run.find(key); i > w.i && i < len(w.run.fences) {
		if w.rest, err = w.load(w.ctx, i, len(w.run.fences)); err != nil {
			return err
		}
		w.i = i
		if err = w.next(); err != nil {
			return err
		}
	}
	if !w.ok && w.i < 0 {
		if err = w.next(); err != nil {
			return err
		}
	}
	for w.ok && bytes.Compare(w.cur.key, key) < 0 {
		if err = w.next(); err != nil {
			return err
		}
	}
	return nil
}

// get returns the record with the key.
func (w *walker) get(key []byte) (r record, ok bool, err error) {
	if err = w.seek(key); err != nil {
		return r, false, err
	}
	return w.cur, w.ok && bytes.Equal(w.cur.key, key), nil
}

// any says whether a record starts with the prefix.
func (w *walker) any(prefix []byte) (bool, error) {
	err := w.seek(prefix)
	return err == nil && w.ok && bytes.HasPrefix(w.cur.key, prefix), err
}

// find returns one record of a run.
func (s *Store) find(ctx context.Context, run runState, key []byte) (record, bool, error) {
	return s.walker(ctx, run).get(key)
}
