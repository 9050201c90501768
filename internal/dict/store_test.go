package dict

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func entry(value string) Entry { return Entry{System: "CRM", Key: "COUNTRY", Value: value} }

func TestEditEntries(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, ctx, by := newStore(t, db), t.Context(), By{Who: "u"}
		pl, c, err := s.CreateEntry(ctx, by, Entry{ID: "mine", System: "CRM", Key: "COUNTRY", Value: "PL", Version: 7})
		must(t, err)
		if plainEntry(pl) != entry("PL") || pl.ID == "mine" || pl.ID == "" || pl.Version != 1 || c.ID != "1" || c.By != "u" || c.Summary != `Created entry CRM COUNTRY "PL"` ||
			c.Counts != (Counts{EntriesCreated: 1}) || len(c.Items) != 1 || *c.Items[0].EntryAfter != pl || c.Items[0].EntryBefore != nil {
			t.Errorf("created %+v by %+v", pl, c)
		}
		var exists *ExistsError
		if _, _, err := s.CreateEntry(ctx, by, entry("PL")); !errors.As(err, &exists) || exists.ID != pl.ID || !errors.Is(err, kvdb.ErrConflict) || err.Error() != `The entry CRM COUNTRY "PL" exists already` {
			t.Errorf("created twice: %v", err)
		}
		de, _, err := s.CreateEntry(ctx, by, entry("DE"))
		must(t, err)
		to := de
		to.Value = "PL"
		if _, _, err := s.UpdateEntry(ctx, by, to); !errors.As(err, &exists) || exists.ID != pl.ID {
			t.Errorf("renamed onto another: %v", err)
		}
		same, c, err := s.UpdateEntry(ctx, by, de)
		if err != nil || same != de || c.ID != "" {
			t.Errorf("renamed to what it is: %+v, %+v, %v", same, c, err)
		}
		to.Value = "GER"
		made, c, err := s.UpdateEntry(ctx, by, to)
		must(t, err)
		if plainEntry(made) != entry("GER") || made.ID != de.ID || made.Version != c.version() || c.Summary != `Renamed entry CRM COUNTRY "DE" to CRM COUNTRY "GER"` ||
			c.Counts != (Counts{EntriesUpdated: 1}) || len(c.Items) != 1 || *c.Items[0].EntryBefore != de || *c.Items[0].EntryAfter != made {
			t.Errorf("renamed to %+v by %+v", made, c)
		}
		for _, version := range []int64{0, de.Version, made.Version + 1} {
			to := made
			to.Value, to.Version = "D", version
			var stale *StaleError
			if _, _, err := s.UpdateEntry(ctx, by, to); !errors.As(err, &stale) || *stale.Entry != made || stale.Translation != nil || !errors.Is(err, kvdb.ErrConflict) ||
				err.Error() != "it was changed by somebody else since you read it" {
				t.Errorf("renamed version %d: %v, want a StaleError", version, err)
			}
			if version == 0 {
				continue
			}
			if _, err := s.DeleteEntry(ctx, by, made.ID, version); !errors.As(err, &stale) || *stale.Entry != made {
				t.Errorf("deleted version %d: %v, want a StaleError", version, err)
			}
		}
		if got, err := s.Entry(ctx, de.ID); err != nil || got != made {
			t.Errorf("read %+v, %v", got, err)
		}
		c, err = s.DeleteEntry(ctx, by, made.ID, made.Version)
		if err != nil || c.Counts != (Counts{EntriesDeleted: 1}) || c.Summary != `Deleted entry CRM COUNTRY "GER"` {
			t.Errorf("deleted: %+v, %v", c, err)
		}
		_, err1 := s.Entry(ctx, de.ID)
		_, _, err2 := s.UpdateEntry(ctx, by, made)
		_, err3 := s.DeleteEntry(ctx, by, made.ID, made.Version)
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("when it is gone: %v, want ErrNotFound", err)
			}
		}
		m := newModel()
		m.entries[fieldsOf(pl)] = true
		m.check(t, s)
	})
}

func TestEditTranslations(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, ctx, by := newStore(t, db), t.Context(), By{Who: "u"}
		var missing *MissingEntriesError
		if _, _, err := s.CreateTranslation(ctx, by, tr("PL", "Polska"), false); !errors.As(err, &missing) || !errors.Is(err, kvdb.ErrInvalid) ||
			!cmp.Equal(missing.Entries, []Entry{entry("PL"), {System: "ERP", Key: "LAND", Value: "Polska"}}) || err.Error() != `no such entry: CRM COUNTRY "PL"; ERP LAND "Polska"` {
			t.Errorf("created without entries: %v", err)
		}
		newModel().check(t, s)
		pl, c, err := s.CreateTranslation(ctx, by, tr("PL", "Polska"), true)
		must(t, err)
		if plain(pl) != tr("PL", "Polska") || pl.ID == "" || pl.Version != 1 || c.Counts != (Counts{Created: 1, EntriesCreated: 2}) || len(c.Items) != 3 ||
			c.Summary != `Created translation CRM COUNTRY "PL" → ERP LAND: "Polska"` {
			t.Errorf("created %+v by %+v", pl, c)
		}
		var exists *ExistsError
		if _, _, err := s.CreateTranslation(ctx, by, tr("PL", "Polen"), true); !errors.As(err, &exists) || exists.ID != pl.ID || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("created twice: %v", err)
		}
		de, _, err := s.CreateTranslation(ctx, by, tr("DE", "Niemcy"), true)
		must(t, err)
		to := de
		to.Value1 = "PL"
		if _, _, err := s.UpdateTranslation(ctx, by, to, true); !errors.As(err, &exists) || exists.ID != pl.ID {
			t.Errorf("moved onto another: %v", err)
		}
		unchanged, c, err := s.UpdateTranslation(ctx, by, de, false)
		if err != nil || unchanged != de || c.ID != "" {
			t.Errorf("changed to what it is: %+v, %+v, %v", unchanged, c, err)
		}
		to = de
		to.Value2 = "Deutschland"
		away := to
		away.System1 = "PORTAL"
		if _, _, err := s.UpdateTranslation(ctx, by, away, false); !errors.As(err, &missing) || !cmp.Equal(missing.Entries, []Entry{away.Target(), away.Source()}) {
			t.Errorf("moved to no entries: %v", err)
		}
		made, c, err := s.UpdateTranslation(ctx, by, to, false) // a corrected value needs no more than itself
		must(t, err)
		if plain(made) != tr("DE", "Deutschland") || made.ID != de.ID || made.Version != c.version() || c.Counts != (Counts{Updated: 1, EntriesCreated: 1}) ||
			c.Summary != `Changed translation CRM COUNTRY "DE" → ERP LAND from "Niemcy" to "Deutschland"` {
			t.Errorf("changed to %+v by %+v", made, c)
		}
		to = made
		to.Value1 = "D"
		moved, c, err := s.UpdateTranslation(ctx, by, to, true)
		must(t, err)
		if plain(moved) != tr("D", "Deutschland") || moved.ID != de.ID || c.Counts != (Counts{Updated: 1, EntriesCreated: 1}) || len(c.Items) != 2 ||
			*c.Items[1].TranslationBefore != made || *c.Items[1].TranslationAfter != moved || c.Summary != `Moved translation CRM COUNTRY "DE" → ERP LAND to CRM COUNTRY "D" → ERP LAND: "Deutschland"` {
			t.Errorf("moved to %+v by %+v", moved, c)
		}
		for _, version := range []int64{0, made.Version, moved.Version + 1} {
			to := moved
			to.Value2, to.Version = "Alemania", version
			var stale *StaleError
			if _, _, err := s.UpdateTranslation(ctx, by, to, true); !errors.As(err, &stale) || *stale.Translation != moved || stale.Entry != nil || !errors.Is(err, kvdb.ErrConflict) {
				t.Errorf("changed version %d: %v, want a StaleError", version, err)
			}
			if version == 0 {
				continue
			}
			if _, err := s.DeleteTranslation(ctx, by, moved.ID, version); !errors.As(err, &stale) || *stale.Translation != moved {
				t.Errorf("deleted version %d: %v, want a StaleError", version, err)
			}
		}
		if got, err := s.Translation(ctx, de.ID); err != nil || got != moved {
			t.Errorf("read %+v, %v", got, err)
		}
		c, err = s.DeleteTranslation(ctx, by, moved.ID, moved.Version)
		if err != nil || c.Counts != (Counts{Deleted: 1}) || c.Summary != `Deleted translation CRM COUNTRY "D" → ERP LAND: "Deutschland"` {
			t.Errorf("deleted: %+v, %v", c, err)
		}
		_, err1 := s.Translation(ctx, de.ID)
		_, _, err2 := s.UpdateTranslation(ctx, by, moved, true)
		_, err3 := s.DeleteTranslation(ctx, by, moved.ID, 0)
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("when it is gone: %v, want ErrNotFound", err)
			}
		}
		m := newModel()
		for _, x := range []Translation{pl, de, made, moved} {
			m.put(x)
		}
		m.translations = map[Query]string{pl.Query(): "Polska"}
		m.check(t, s)
	})
}

// TestVersionOfAll: an entry that is renamed gives all that it touches its version, and what it doesn't keeps its own.
func TestVersionOfAll(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	_, ts, es := setUp(t, s)
	pl := es["PL"]
	pl.Value = "POL"
	_, c, err := s.UpdateEntry(t.Context(), By{}, pl)
	must(t, err)
	for i, x := range ts {
		got, err := s.Translation(t.Context(), x.ID)
		must(t, err)
		want := x
		if i == 0 {
			want.Value1, want.Version = "POL", c.version()
		}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestInvalidEdits(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, kvtest.Open(t)), t.Context()
	long := strings.Repeat("x", MaxValue+1)
	for _, c := range []struct {
		name   string
		err    func() error
		fields []string
	}{
		{"create an entry", func() error { _, _, err := s.CreateEntry(ctx, By{}, Entry{Value: "\x00"}); return err }, []string{"system", "key", "value"}},
		{"rename an entry", func() error {
			_, _, err := s.UpdateEntry(ctx, By{}, Entry{System: "a b", Key: "K", Value: long})
			return err
		}, []string{"system", "value"}},
		{"create a translation", func() error {
			_, _, err := s.CreateTranslation(ctx, By{}, Translation{Value1: "\xff", Value2: "\r"}, true)
			return err
		},
			[]string{"system1", "key1", "value1", "system2", "key2", "value2"}},
		{"change a translation", func() error {
			x := tr("a", long)
			x.Key2 = strings.Repeat("k", MaxName+1)
			_, _, err := s.UpdateTranslation(ctx, By{}, x, true)
			return err
		}, []string{"key2", "value2"}},
		{"look up", func() error {
			_, err := s.Lookup(ctx, Query{System1: "/", Key1: "", Value1: "\xff" + long})
			return err
		}, []string{"system1", "key1", "system2", "key2"}},
		{"look many up", func() error {
			_, err := s.TranslateBatch(ctx, tr("", "").Query(), make([]string, MaxBatch+1))
			return err
		}, []string{"values"}},
	} {
		err := c.err()
		var invalid *kvdb.InvalidError
		if !errors.As(err, &invalid) || !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%s: %v, want an InvalidError", c.name, err)
			continue
		}
		var fields []string
		for _, f := range invalid.Fields {
			fields = append(fields, f.Field)
		}
		if diff := cmp.Diff(c.fields, fields); diff != "" {
			t.Errorf("%s: fields (-want +got)\n%s", c.name, diff)
		}
	}
	lasting, expiring := keysOf(t, s)
	if len(lasting)+len(expiring) > 0 {
		t.Errorf("written: %v, %v", lasting, expiring)
	}
	// What a message holds is not for its sender to mend.
	for _, v := range []string{"\xff", "\x00", long} {
		q := tr(v, "").Query()
		if r, err := s.Lookup(ctx, q); err != nil || r.Found {
			t.Errorf("%.10q: %+v, %v; want not found", v, r, err)
		}
	}
}

// TestOneOp: what is sent again with its operation is not done again, and its answer is that of the first time;
// an operation can't become another one.
func TestOneOp(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s, ctx := newStore(t, db), t.Context()
		_, ts, es := setUp(t, s)
		renamed, changed := es["PL"], ts[1]
		renamed.Value, changed.Value2 = "POL", "Deutschland"
		type answer struct {
			Made any
			C    Change
		}
		edits := []struct {
			name  string
			apply func(by By) (answer, error)
			other func(by By) error // another change of the same kind
		}{
			{"create an entry", func(by By) (answer, error) {
				e, c, err := s.CreateEntry(ctx, by, entry("CZ"))
				return answer{e, c}, err
			},
				func(by By) error { _, _, err := s.CreateEntry(ctx, by, entry("SK")); return err }},
			{"rename an entry", func(by By) (answer, error) { e, c, err := s.UpdateEntry(ctx, by, renamed); return answer{e, c}, err },
				func(by By) error { e := renamed; e.Value = "P"; _, _, err := s.UpdateEntry(ctx, by, e); return err }},
			{"create a translation", func(by By) (answer, error) {
				x, c, err := s.CreateTranslation(ctx, by, tr("HU", "Węgry"), true)
				return answer{x, c}, err
			},
				func(by By) error { _, _, err := s.CreateTranslation(ctx, by, tr("HU", "Magyar"), true); return err }},
			{"change a translation", func(by By) (answer, error) {
				x, c, err := s.UpdateTranslation(ctx, by, changed, true)
				return answer{x, c}, err
			},
				func(by By) error {
					x := changed
					x.Value2 = "D"
					_, _, err := s.UpdateTranslation(ctx, by, x, true)
					return err
				}},
			{"delete a translation", func(by By) (answer, error) {
				c, err := s.DeleteTranslation(ctx, by, ts[2].ID, ts[2].Version)
				return answer{nil, c}, err
			},
				func(by By) error { _, err := s.DeleteTranslation(ctx, by, ts[3].ID, 0); return err }},
			{"delete an entry", func(by By) (answer, error) {
				c, err := s.DeleteEntry(ctx, by, es["alone"].ID, 0)
				return answer{nil, c}, err
			},
				func(by By) error { _, err := s.DeleteEntry(ctx, by, es["Polska"].ID, 0); return err }},
			{"import", func(by By) (answer, error) {
				res, err := s.Import(ctx, by, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Merge})
				return answer{res, Change{ID: res.Change}}, err
			}, nil},
			{"undo", func(by By) (answer, error) { c, err := s.Undo(ctx, by, "3"); return answer{nil, c}, err }, func(by By) error { _, err := s.Undo(ctx, by, "4"); return err }},
		}
		var changes []string
		for _, e := range edits {
			by := By{Who: "u", Op: "op " + e.name}
			first, err := e.apply(by)
			if err != nil || first.C.ID == "" {
				t.Fatalf("%s: %+v, %v", e.name, first, err)
			}
			again, err := e.apply(by)
			if err != nil {
				t.Errorf("%s again: %v", e.name, err)
			}
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("%s again (-first +second)\n%s", e.name, diff)
			}
			changes = append(changes, first.C.ID)
		}
		m := modelOf(t, s)
		for i, e := range edits {
			for j, by := range edits {
				op := By{Who: "u", Op: "op " + by.name}
				var err error
				switch {
				case i != j:
					_, err = e.apply(op)
				case e.other != nil:
					err = e.other(op)
				default:
					continue
				}
				if !errors.Is(err, kvdb.ErrConflict) {
					t.Errorf("%s with the operation of %s: %v, want ErrConflict", e.name, by.name, err)
				}
			}
		}
		m.check(t, s)
		page, err := s.Changes(ctx, "", 0)
		must(t, err)
		for i := range changes {
			if got := page.Items[len(changes)-1-i].ID; got != changes[i] {
				t.Errorf("change %d is %s, want %s", i, got, changes[i])
			}
		}
	})
}

// TestOneOpAtOnce: an operation that is sent twice at the same time, here or by another process, is done once, and both hear that.
func TestOneOpAtOnce(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		stores := []*Store{newStore(t, db), newStore(t, db)}
		for i := range 20 {
			made := make([]Change, 4)
			var all sync.WaitGroup
			for n := range made {
				all.Go(func() {
					by, x := By{Who: "u", Op: "op " + formatInt(int64(i))}, tr(formatInt(int64(i)), "value")
					var err error
					if _, made[n], err = stores[n%2].CreateTranslation(t.Context(), by, x, true); err != nil {
						t.Errorf("%d of %d: %v", n, i, err)
					}
				})
			}
			all.Wait()
			for _, c := range made {
				if c.ID != formatInt(int64(i+1)) {
					t.Errorf("%d: change %q", i, c.ID)
				}
			}
		}
	})
}

// TestDamagedBlock: what somebody has spoiled in Redis is an error of its own kind, and no panic; lookups go on.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, kvtest.Open(t)), t.Context()
	made := newModel().mustCreate(t, s, tr("PL", "Polska"))[0]
	sn, err := s.snapshot(ctx)
	must(t, err)
	whole := s.db.Client().Get(ctx, s.keys.Block(sn.runs[runSource].fences[0].id)).Val()
	for _, data := range []string{"", "junk", whole[:len(whole)-1], string(compress(nil, []byte("\x05\x00A"))), "\xff\xff\xff\xff\x7f"} {
		for _, run := range sn.runs {
			must(t, s.db.Client().Set(ctx, s.keys.Block(run.fences[0].id), data, 0).Err())
		}
		s.cache = blockCache{}
		for name, read := range map[string]func() error{
			"list":   func() error { _, err := s.Translations(ctx, Filter{}, ListOptions{}); return err },
			"count":  func() error { _, err := s.Entries(ctx, Filter{}, ListOptions{}); return err },
			"read":   func() error { _, err := s.Translation(ctx, made.ID); return err },
			"export": func() error { return s.Export(ctx, io.Discard, Zato, ExportOptions{}) },
			"edit":   func() error { _, _, err := s.CreateTranslation(ctx, By{}, tr("DE", "Niemcy"), true); return err },
			"import": func() error {
				_, err := s.Import(ctx, By{}, csvFileOf(numbered(3, "x")), ImportOptions{Format: CSV, Mode: Replace})
				return err
			},
		} {
			if err := read(); !errors.Is(err, errBlock) {
				t.Errorf("%s of %q: %v, want errBlock", name, data, err)
			}
		}
	}
	if r, err := s.Lookup(ctx, made.Query()); err != nil || r.Value2 != "Polska" {
		t.Errorf("%+v, %v", r, err)
	}
}
