package dict

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for servers more than they work
	kvtest.Main(m)
}

// newStore returns the dictionaries of db, as one process would have them.
func newStore(t testing.TB, db *kvdb.DB) *Store {
	t.Helper()
	return newStoreAt(t, db, nil)
}

// newStoreAt is newStore with a clock; nil = that of the machine.
func newStoreAt(t testing.TB, db *kvdb.DB, now func() time.Time) *Store {
	t.Helper()
	s := New(db, Options{Now: now})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		// The server of all tests stays quick when it is almost empty.
		_ = s.db.Client().Eval(ctx, `for _, k in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('UNLINK', k) end`,
			[]string{s.keys.Version()}, strings.TrimSuffix(s.keys.Version(), "version")).Err()
	})
	return s
}

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2024, 5, 6, 7, 8, 9, 123_456_000, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// set changes a limit until the end of the test, which must not be parallel.
func set[T any](t testing.TB, limit *T, to T) {
	old := *limit
	*limit = to
	t.Cleanup(func() { *limit = old })
}

// smallBlocks makes of few records many blocks.
func smallBlocks(t testing.TB) { set(t, &blockTarget, 1<<10) }

// stageAll makes each change of more than a few translations a large one: staged, under the lease.
func stageAll(t testing.TB) {
	smallBlocks(t)
	set(t, &directMost, 2)
	set(t, &inlineMost, 1<<10)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await polls until it is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	kvtest.Await(t, what, so)
}

// tr is a translation from CRM COUNTRY to ERP LAND.
func tr(value1, value2 string) Translation {
	return Translation{System1: "CRM", Key1: "COUNTRY", Value1: value1, System2: "ERP", Key2: "LAND", Value2: value2}
}

func (m *model) mustCreate(t testing.TB, s *Store, ts ...Translation) (made []Translation) {
	t.Helper()
	for _, x := range ts {
		y, _, err := s.CreateTranslation(t.Context(), By{Who: "setup"}, x, true)
		must(t, err)
		m.put(x)
		made = append(made, y)
	}
	return made
}

// model is what the dictionaries should hold.
type model struct {
	entries      map[[3]string]bool
	translations map[Query]string
}

func newModel() *model {
	return &model{entries: map[[3]string]bool{}, translations: map[Query]string{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.entries), maps.Clone(m.translations)}
}

func fieldsOf(e Entry) [3]string { return [3]string{e.System, e.Key, e.Value} }

func (m *model) put(t Translation) {
	m.translations[t.Query()] = t.Value2
	m.entries[fieldsOf(t.Source())] = true
	m.entries[fieldsOf(t.Target())] = true
}

func (m *model) deleteEntry(e [3]string) {
	delete(m.entries, e)
	for q, v := range m.translations {
		if e == [3]string{q.System1, q.Key1, q.Value1} || e == [3]string{q.System2, q.Key2, v} {
			delete(m.translations, q)
		}
	}
}

func (m *model) renameEntry(from, to [3]string) {
	delete(m.entries, from)
	m.entries[to] = true
	for q, v := range maps.Clone(m.translations) {
		t := renamed(translationFrom(q, v),
			Entry{System: from[0], Key: from[1], Value: from[2]}, Entry{System: to[0], Key: to[1], Value: to[2]})
		delete(m.translations, q)
		m.translations[t.Query()] = t.Value2
	}
}

// importRows does what an import of the file should do, and says what it should count. Of rows with one
// natural key the first holds.
func (m *model) importRows(entries []Entry, ts []Translation, mode Mode) (want ImportResult) {
	old := m.clone()
	if mode == Replace {
		m.entries, m.translations = map[[3]string]bool{}, map[Query]string{}
	}
	for _, e := range entries {
		m.entries[fieldsOf(e)] = true
	}
	named := map[Query]bool{}
	for _, x := range ts {
		if named[x.Query()] {
			want.RejectedTotal++
			continue
		}
		named[x.Query()] = true
		switch v, ok := old.translations[x.Query()]; {
		case !ok:
			want.Created++
		case v == x.Value2:
			want.Unchanged++
		default:
			want.Updated++
		}
		m.put(x)
	}
	for q := range old.translations {
		if _, ok := m.translations[q]; !ok {
			want.Deleted++
		}
	}
	for e := range old.entries {
		if !m.entries[e] {
			want.EntriesDeleted++
		}
	}
	for e := range m.entries {
		if !old.entries[e] {
			want.EntriesCreated++
		}
	}
	return want
}

func translationFrom(q Query, value2 string) Translation {
	return Translation{System1: q.System1, Key1: q.Key1, Value1: q.Value1, System2: q.System2, Key2: q.Key2, Value2: value2}
}

func (m *model) sortedTranslations() []Translation {
	var ts []Translation
	for q, v := range m.translations {
		ts = append(ts, translationFrom(q, v))
	}
	slices.SortFunc(ts, func(a, b Translation) int { return bytes.Compare(a.sourceKey(), b.sourceKey()) })
	return ts
}

func (m *model) sortedEntries() []Entry {
	var es []Entry
	for e := range m.entries {
		es = append(es, Entry{System: e[0], Key: e[1], Value: e[2]})
	}
	slices.SortFunc(es, func(a, b Entry) int { return bytes.Compare(a.entryKey(), b.entryKey()) })
	return es
}

// same fails with the differences of two maps; to find them takes long, so it is done only then.
func same[K comparable, V comparable](t testing.TB, what string, want, got map[K]V) {
	t.Helper()
	if !maps.Equal(want, got) {
		t.Fatalf("%s (-want +got)\n%s", what, cmp.Diff(want, got))
	}
}

// check compares everything that the store says with the model, and its parts with one another.
func (m *model) check(t testing.TB, s *Store) {
	t.Helper()
	ctx := t.Context()
	s.current.Store(nil) // as another process sees it
	sn, err := s.snapshot(ctx)
	must(t, err)
	got := map[Query]string{}
	ids := map[string]string{}
	for r, err := range s.scan(ctx, sn.runs[runSource], []span{{}}, false) {
		must(t, err)
		x, err := parseSource(r)
		must(t, err)
		got[x.Query()] = x.Value2
		ids[x.ID] = string(x.sourceKey())
		if x.Version < 1 || x.Version > sn.version {
			t.Fatalf("%v has the version %d; the last change is %d", x, x.Version, sn.version)
		}
	}
	same(t, "translations", m.translations, got)
	clear(got)
	for r, err := range s.scan(ctx, sn.runs[runTarget], []span{{}}, false) {
		must(t, err)
		x, err := parseTarget(r)
		must(t, err)
		got[x.Query()] = x.Value2
		if ids[x.ID] != string(x.sourceKey()) {
			t.Fatalf("ID %q is of %q in one run and of %q in the other", x.ID, ids[x.ID], x.sourceKey())
		}
	}
	same(t, "run by target", m.translations, got)
	checkIDs(t, s, sn, runTranslation, ids)
	entries := map[[3]string]bool{}
	clear(ids)
	for r, err := range s.scan(ctx, sn.runs[runEntry], []span{{}}, false) {
		must(t, err)
		e, err := parseEntry(r)
		must(t, err)
		entries[fieldsOf(e)] = true
		ids[e.ID] = string(e.entryKey())
	}
	same(t, "entries", m.entries, entries)
	checkIDs(t, s, sn, runEntryID, ids)
	m.checkMaps(t, s, sn)
	for i, run := range sn.runs {
		checkRun(t, s, runNames[i], run)
	}
	checkKeys(t, s, sn)
}

func checkIDs(t testing.TB, s *Store, sn *snapshot, run int, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for r, err := range s.scan(t.Context(), sn.runs[run], []span{{}}, false) {
		must(t, err)
		got[string(r.key)] = string(r.payload)
	}
	same(t, "run "+runNames[run], want, got)
}

// checkRun sees that the fences tell the truth about the blocks.
func checkRun(t testing.TB, s *Store, name string, run runState) {
	t.Helper()
	blocks, err := s.fetch(t.Context(), run.fences)
	must(t, err)
	var n int64
	last := ""
	for i, f := range run.fences {
		rs, err := records(blocks[i])
		must(t, err)
		if len(rs) != f.n || len(rs) == 0 || string(rs[0].key) != f.first {
			t.Fatalf("run %s: block %d is not as its fence says", name, i)
		}
		longest := 0
		for j, r := range rs {
			longest = max(longest, len(r.key)+len(r.payload))
			if (i > 0 || j > 0) && string(r.key) <= last {
				t.Fatalf("run %s: %q stands behind %q", name, r.key, last)
			}
			last = string(r.key)
		}
		if len(blocks[i]) > 3*blockTarget+longest+10 {
			t.Fatalf("run %s: block %d has %d bytes", name, i, len(blocks[i]))
		}
		n += int64(f.n)
	}
	if n != run.total {
		t.Fatalf("run %s: %d records, but %d in its blocks", name, run.total, n)
	}
}

// checkMaps sees that programs find each translation, and nothing else.
func (m *model) checkMaps(t testing.TB, s *Store, sn *snapshot) {
	t.Helper()
	want := map[string]map[string]string{}
	pairs, names := map[string]int64{}, map[string]int64{}
	for q, v := range m.translations {
		pair := strings.Join([]string{q.System1, q.Key1, q.System2, q.Key2}, "/")
		if pairs[pair]++; want[pair] == nil {
			want[pair] = map[string]string{}
		}
		want[pair][q.Value1] = v
	}
	for e := range m.entries {
		names[e[0]+"/"+e[1]]++
	}
	pipe := s.db.Client().Pipeline()
	read := map[string]func() map[string]string{}
	for pair := range want {
		read[pair] = pipe.HGetAll(t.Context(), s.keys.MapOfPair(pair)).Val
	}
	if len(want) > 0 {
		_, err := pipe.Exec(t.Context())
		must(t, err)
		cmds := read
		for pair := range want {
			same(t, "map "+pair, want[pair], cmds[pair]())
		}
	}
	same(t, "pairs", pairs, sn.pairs)
	same(t, "names", names, sn.names)
}

// keysOf returns the keys of the store that last, each with what it holds, and the names of those that expire.
func keysOf(t testing.TB, s *Store) (lasting map[string]string, expiring []string) {
	t.Helper()
	const script = `
local out = {}
for _, k in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  out[#out + 1] = k
  out[#out + 1] = redis.call('PTTL', k) < 0 and redis.call('DUMP', k) or ''
end
return out`
	all, err := s.db.Client().Eval(t.Context(), script, []string{s.keys.Version()}, strings.TrimSuffix(s.keys.Version(), "version")).StringSlice()
	must(t, err)
	lasting = map[string]string{}
	for kv := range slices.Chunk(all, 2) {
		if kv[1] != "" {
			lasting[kv[0]] = kv[1]
		} else {
			expiring = append(expiring, kv[0])
		}
	}
	return lasting, expiring
}

// checkKeys sees that nothing lasts in Redis but what the snapshot and the history need, that all of this
// lasts, and that no map is about to expire.
func checkKeys(t testing.TB, s *Store, sn *snapshot) {
	t.Helper()
	want := map[string]bool{}
	for i, run := range sn.runs {
		if len(run.fences) > 0 {
			want[s.keys.Fences(runNames[i])] = true
		}
		for _, f := range run.fences {
			want[s.keys.Block(f.id)] = true
		}
	}
	for pair := range sn.pairs {
		want[s.keys.MapOfPair(pair)] = true
	}
	if len(sn.pairs) > 0 {
		want[s.keys.Pairs()] = true
	}
	if len(sn.names) > 0 {
		want[s.keys.Names()] = true
	}
	changes, err := s.db.Client().XRange(t.Context(), s.keys.Changes(), "-", "+").Result()
	must(t, err)
	for _, m := range changes {
		want[s.keys.Version()], want[s.keys.Changes()] = true, true
		if _, large := m.Values[fieldFences]; large {
			_, run, err := parseChange(m)
			must(t, err)
			for _, f := range run.fences {
				want[s.keys.Block(f.id)] = true
			}
		}
	}
	lasting, expiring := keysOf(t, s)
	got := map[string]bool{}
	for k := range lasting {
		got[k] = true
	}
	for _, k := range append(s.missKeys(), s.keys.Undone()) { // there or not
		delete(got, k)
	}
	same(t, "keys that last", want, got)
	for _, k := range expiring {
		if strings.HasPrefix(k, s.keys.MapOfPair("")) {
			t.Fatalf("%s is about to expire", k)
		}
	}
}

// contents returns all that the store holds.
func contents(t testing.TB, s *Store) (es []Entry, ts []Translation) {
	t.Helper()
	s.current.Store(nil)
	sn, err := s.snapshot(t.Context())
	must(t, err)
	must(t, s.eachEntry(t.Context(), sn, func(e Entry) error { es = append(es, e); return nil }))
	must(t, s.eachTranslation(t.Context(), sn, func(x Translation) error { ts = append(ts, x); return nil }))
	return es, ts
}

// identities returns what each ID stands for.
func identities(t testing.TB, s *Store) map[string]string {
	t.Helper()
	es, ts := contents(t, s)
	ids := map[string]string{}
	for _, e := range es {
		ids["entry "+e.ID] = e.describe()
	}
	for _, x := range ts {
		ids["translation "+x.ID] = fmt.Sprintf("%s: %q", x.describe(), x.Value2)
	}
	return ids
}

// gen makes random names, values and edits out of few, so that they meet.
type gen struct{ *rand.Rand }

func newGen(seed int64) gen { return gen{rand.New(rand.NewSource(seed))} }

func (g gen) name() string {
	return []string{"A", "B", "CRM", "ERP-2", "ż.ó"}[g.Intn(5)]
}

func (g gen) value() string {
	return []string{"", "1", "2", "x", "X:::y", "a\tb", "a", "line\nbreak", "<em>", `"q"`, "ü", strings.Repeat("v", 3000)}[g.Intn(12)]
}

func (g gen) translation() Translation {
	return Translation{System1: g.name(), Key1: g.name(), Value1: g.value(), System2: g.name(), Key2: g.name(), Value2: g.value()}
}

// file makes the content of a file; half of its translations are about what the model has.
func (g gen) file(m *model, entries, translations int) (es []Entry, ts []Translation) {
	have := m.sortedTranslations()
	for range entries {
		es = append(es, Entry{System: g.name(), Key: g.name(), Value: g.value()})
	}
	for range translations {
		x := g.translation()
		if len(have) > 0 && g.Intn(2) == 0 {
			old := have[g.Intn(len(have))]
			if x = old; g.Intn(2) == 0 {
				x.Value2 = g.value()
			}
		}
		ts = append(ts, x)
	}
	return es, ts
}

func TestAgainstModel(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) { againstModel(t, kvtest.Open(t), 200, 40) })
	t.Run("cluster", func(t *testing.T) { againstModel(t, kvtest.OpenCluster(t), 60, 30) })
}

func TestAgainstModelInSmallBlocks(t *testing.T) {
	smallBlocks(t)
	againstModel(t, kvtest.Open(t), 100, 30)
}

func TestAgainstModelStaged(t *testing.T) {
	stageAll(t)
	t.Run("single", func(t *testing.T) { againstModel(t, kvtest.Open(t), 100, 20) })
	t.Run("cluster", func(t *testing.T) { againstModel(t, kvtest.OpenCluster(t), 40, 20) })
}

// againstModel makes random edits, imports and undoings in the store and in the model.
func againstModel(t *testing.T, db *kvdb.DB, steps, every int) {
	s := newStore(t, db)
	g := newGen(1)
	m := newModel()
	type past struct {
		change string
		before *model
	}
	var last *past
	for i := range steps {
		before := m.clone()
		c, err := g.step(t, s, m)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if c.ID != "" {
			last = &past{c.ID, before}
		}
		if i%every == 0 {
			m.check(t, s)
		}
		if last != nil && g.Intn(10) == 0 {
			if _, err := s.Undo(t.Context(), By{Who: "u"}, last.change); err != nil {
				t.Fatalf("step %d: undo %s: %v", i, last.change, err)
			}
			m, last = last.before, nil
			m.check(t, s)
		}
	}
	m.check(t, s)
}

// step makes one random change in the store and in the model.
func (g gen) step(t *testing.T, s *Store, m *model) (c Change, err error) {
	ctx, by := t.Context(), By{Who: "u"}
	all, err := s.Translations(ctx, Filter{}, ListOptions{Limit: 1000})
	if err != nil {
		return c, err
	}
	entries, err := s.Entries(ctx, Filter{}, ListOptions{Limit: 1000})
	if err != nil {
		return c, err
	}
	switch n := g.Intn(20); {
	case n < 10 || len(all.Items) == 0:
		x := g.translation()
		_, c, err = s.CreateTranslation(ctx, by, x, true)
		if _, taken := m.translations[x.Query()]; taken {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("created %v twice: %w", x, err)
			}
			return c, nil
		}
		m.put(x)
	case n < 12:
		x := all.Items[g.Intn(len(all.Items))]
		old := x.Query()
		x.Value2 = g.value()
		if g.Intn(3) == 0 {
			x.Value1 = g.value()
		}
		var y Translation
		y, c, err = s.UpdateTranslation(ctx, by, x, true)
		if _, taken := m.translations[x.Query()]; taken && x.Query() != old {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("moved onto another: %w", err)
			}
			return c, nil
		}
		if err == nil && y.ID != x.ID {
			return c, fmt.Errorf("ID %q became %q", x.ID, y.ID)
		}
		delete(m.translations, old)
		m.put(x)
	case n < 14:
		x := all.Items[g.Intn(len(all.Items))]
		c, err = s.DeleteTranslation(ctx, by, x.ID, x.Version)
		delete(m.translations, x.Query())
	case n < 15:
		e := entries.Items[g.Intn(len(entries.Items))]
		c, err = s.DeleteEntry(ctx, by, e.ID, e.Version)
		m.deleteEntry(fieldsOf(e))
	case n < 17: // a file
		es, ts := g.file(m, g.Intn(3), g.Intn(30))
		mode := Merge
		if g.Intn(4) == 0 {
			mode = Replace
		}
		m.importRows(es, ts, mode)
		var res ImportResult
		res, err = s.Import(ctx, by, jsonFileOf(es, ts), ImportOptions{Format: JSON, Mode: mode, SkipRejected: true})
		if err == nil && res.Change != "" {
			c, err = s.Change(ctx, res.Change)
		}
	default:
		e := entries.Items[g.Intn(len(entries.Items))]
		from := fieldsOf(e)
		e.System, e.Key, e.Value = g.name(), g.name(), g.value()
		to := fieldsOf(e)
		_, c, err = s.UpdateEntry(ctx, by, e)
		if m.entries[to] && from != to {
			if !errors.Is(err, kvdb.ErrConflict) {
				return c, fmt.Errorf("renamed onto another: %w", err)
			}
			return c, nil
		}
		m.renameEntry(from, to)
	}
	return c, err
}
