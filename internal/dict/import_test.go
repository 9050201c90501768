package dict

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"webadmin/demo"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// jsonFileOf writes a file of the JSON format.
func jsonFileOf(es []Entry, ts []Translation) io.Reader {
	type entry struct {
		System string `json:"system"`
		Key    string `json:"key"`
		Value  string `json:"value"`
	}
	type translation struct {
		System1 string `json:"system1"`
		Key1    string `json:"key1"`
		Value1  string `json:"value1"`
		System2 string `json:"system2"`
		Key2    string `json:"key2"`
		Value2  string `json:"value2"`
	}
	var file struct {
		Entries      []entry       `json:"entries"`
		Translations []translation `json:"translations"`
	}
	file.Entries, file.Translations = []entry{}, []translation{}
	for _, e := range es {
		file.Entries = append(file.Entries, entry{e.System, e.Key, e.Value})
	}
	for _, x := range ts {
		file.Translations = append(file.Translations, translation{x.System1, x.Key1, x.Value1, x.System2, x.Key2, x.Value2})
	}
	b, _ := json.Marshal(file) // of texts: never fails
	return bytes.NewReader(b)
}

// csvFileOf writes a file of the CSV format.
func csvFileOf(ts []Translation) io.Reader {
	var b bytes.Buffer
	b.WriteString(csvHeader + "\n")
	w := csv.NewWriter(&b)
	for _, x := range ts {
		_ = w.Write([]string{x.System1, x.Key1, x.Value1, x.System2, x.Key2, x.Value2})
	}
	w.Flush()
	return &b
}

// zatoFileOf writes a file as the old system did, but for its numbers, of which nobody takes notice.
func zatoFileOf(es []Entry, ts []Translation) io.Reader {
	var entries, translations []string
	for _, e := range es {
		entries = append(entries, fmt.Sprintf(`{"id":"1","system":%s,"key":%s,"value":%s}`, jsonText(e.System), jsonText(e.Key), jsonText(e.Value)))
	}
	for _, x := range ts {
		name := zatoPrefix + strings.Join([]string{x.System1, x.Key1, x.Value1, x.System2, x.Key2}, zatoSeparator)
		translations = append(translations, fmt.Sprintf(`{%s:{"id":1,"id1":"2","id2":"3","value2":%s}}`, jsonText(name), jsonText(x.Value2)))
	}
	return strings.NewReader(fmt.Sprintf(`{"meta":{"user":"x"},"data":{"last_dict_id":null,"dict_list":[%s],"translation_list":[%s]}}`,
		strings.Join(entries, ","), strings.Join(translations, ",")))
}

func jsonText(v string) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// text makes a random text of the runes that keep what names and values may hold.
func (g gen) text(least, most int, keep func(rune) bool) string {
	var b strings.Builder
	for n := least + g.Intn(most-least+1); n > 0; {
		r := rune(g.Intn(0x80))
		switch g.Intn(4) {
		case 0:
			r = rune(g.Intn(0x3000))
		case 1:
			r = []rune{'"', ',', '\n', '\t', ':', '\\', ' ', '<', '&', '\ufeff', '\u2028', '😀', 'İ', '\u212a', '\U000e0001', '́'}[g.Intn(16)]
		}
		if keep(r) {
			b.WriteRune(r)
			n--
		}
	}
	return b.String()
}

func (g gen) content(entries, translations int) (es []Entry, ts []Translation) {
	names := make([]string, 4)
	for i := range names {
		names[i] = g.text(1, 8, nameRune)
	}
	name := func() string { return names[g.Intn(len(names))] }
	value := func() string {
		return g.text(0, 12, func(r rune) bool { return r == '\n' || r == '\t' || !unicode.IsControl(r) })
	}
	for range entries {
		es = append(es, Entry{System: name(), Key: name(), Value: value()})
	}
	for range translations {
		ts = append(ts, Translation{System1: name(), Key1: name(), Value1: value(), System2: name(), Key2: name(), Value2: value()})
	}
	return es, ts
}

func export(t testing.TB, s *Store, f Format, o ExportOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, s.Export(t.Context(), &b, f, o))
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	now := newClock().now
	o := ExportOptions{Host: "host", User: "user"}
	for seed := range int64(3) {
		s, m := newStoreAt(t, kvtest.Open(t), now), newModel()
		es, ts := newGen(seed).content(20*int(seed), 40*int(seed))
		m.importRows(es, ts, Merge)
		_, err := s.Import(t.Context(), By{}, jsonFileOf(es, ts), ImportOptions{Format: JSON, Mode: Merge, SkipRejected: true})
		must(t, err)
		m.check(t, s)
		for _, f := range []Format{CSV, JSON, Zato} {
			for _, packed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s packed %v seed %d", f, packed, seed), func(t *testing.T) {
					o.Bzip2 = packed
					file := export(t, s, f, o)
					again := newStoreAt(t, kvtest.Open(t), now)
					res, err := again.Import(t.Context(), By{}, bytes.NewReader(file), ImportOptions{Format: f, Mode: Replace})
					if err != nil || res.Created != int64(len(m.translations)) {
						t.Fatalf("%+v, %v", res, err)
					}
					want := m
					if f == CSV { // which holds the translations alone
						want = newModel()
						want.importRows(nil, m.sortedTranslations(), Merge)
					}
					want.check(t, again)
					if !bytes.Equal(file, export(t, again, f, o)) {
						t.Error("the second export is another")
					}
				})
			}
		}
		checkZato(t, m, export(t, s, Zato, ExportOptions{Host: "host", User: "user"}))
	}
}

// checkZato reads an export as the old system would.
func checkZato(t *testing.T, m *model, file []byte) {
	t.Helper()
	type entry struct{ ID, System, Key, Value string }
	type translation struct{ ID, ID1, ID2, Value2 string }
	var doc struct {
		Meta struct {
			Host string `json:"current_host"`
			At   string `json:"timestamp_utc"`
			User string
		}
		Data struct {
			LastEntry       int                      `json:"last_dict_id"`
			LastTranslation int                      `json:"last_translation_id"`
			Entries         []entry                  `json:"dict_list"`
			Translations    []map[string]translation `json:"translation_list"`
		}
	}
	must(t, json.Unmarshal(file, &doc))
	if doc.Meta.Host != "host" || doc.Meta.User != "user" || doc.Meta.At != "2024-05-06T07:08:09.123456" {
		t.Errorf("meta is %+v", doc.Meta)
	}
	es, ts := m.sortedEntries(), m.sortedTranslations()
	if doc.Data.LastEntry != len(es) || len(doc.Data.Entries) != len(es) || doc.Data.LastTranslation != len(ts) || len(doc.Data.Translations) != len(ts) {
		t.Fatalf("%d entries and %d translations, want %d and %d", doc.Data.LastEntry, doc.Data.LastTranslation, len(es), len(ts))
	}
	ids := map[string]Entry{}
	for i, e := range doc.Data.Entries {
		if (Entry{System: e.System, Key: e.Key, Value: e.Value}) != es[i] {
			t.Errorf("entry %d is %+v, want %+v", i, e, es[i])
		}
		ids[e.ID] = es[i]
	}
	for i, x := range ts {
		name := zatoPrefix + strings.Join([]string{x.System1, x.Key1, x.Value1, x.System2, x.Key2}, zatoSeparator)
		if got := doc.Data.Translations[i][name]; ids[got.ID1] != x.Source() || ids[got.ID2] != x.Target() || got.Value2 != x.Value2 || got.ID != fmt.Sprint(i+1) {
			t.Errorf("translation %d is %+v, want %+v", i, doc.Data.Translations[i], x)
		}
	}
}

// TestDemoFiles imports the real files twice.
func TestDemoFiles(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		all := ImportResult{}
		for _, c := range []struct {
			name          string
			format        Format
			rows, entries int64
		}{
			{"countries.csv", CSV, 1245, 0}, {"currencies.csv", CSV, 543, 0}, {"languages.csv", CSV, 855, 0}, {"zato-sample-export.json", Zato, 1, 6},
		} {
			file, err := demo.Dictionaries.ReadFile(c.name)
			must(t, err)
			for _, again := range []bool{false, true} {
				if again && c.format == Zato {
					file = []byte(bz2(string(file))) // as the old system sends it
				}
				res, err := s.Import(t.Context(), By{Who: "u"}, bytes.NewReader(file), ImportOptions{Format: c.format, Mode: Merge, Name: c.name})
				must(t, err)
				want := ImportResult{Created: c.rows, EntriesCreated: res.EntriesCreated, Change: res.Change}
				if again {
					want = ImportResult{Unchanged: c.rows}
				}
				if diff := cmp.Diff(want, res); diff != "" || c.entries > 0 && !again && res.EntriesCreated != c.entries {
					t.Errorf("%s again %v (-want +got)\n%s", c.name, again, diff)
				}
				all.Created, all.EntriesCreated = all.Created+res.Created, all.EntriesCreated+res.EntriesCreated
			}
		}
		es, ts := contents(t, s)
		if int64(len(ts)) != all.Created || int64(len(es)) != all.EntriesCreated {
			t.Errorf("%d translations and %d entries, want %d and %d", len(ts), len(es), all.Created, all.EntriesCreated)
		}
		for q, want := range map[Query]Result{
			{"CRM", "COUNTRY_CODE", "AW", "BILLING", "COUNTRY_CODE"}:   {"533", true},
			{"CRM", "CUSTOMER_TYPE", "OPO", "PORTAL", "customerType"}:  {"292", true},
			{"CRM", "COUNTRY_CODE", "AW", "BILLING", "COUNTRY_CODES"}:  {},
			{"CRM", "COUNTRY_CODE", "aw", "BILLING", "COUNTRY_CODE"}:   {},
			{"CRM", "COUNTRY_CODE", "AW\n", "BILLING", "COUNTRY_CODE"}: {},
		} {
			if got, err := s.Lookup(t.Context(), q); got != want || err != nil {
				t.Errorf("%v: %+v, %v; want %+v", q, got, err, want)
			}
		}
		changes, err := s.Changes(t.Context(), "", 0)
		must(t, err)
		if len(changes.Items) != 4 || changes.Items[3].Summary != "Imported countries.csv" || changes.Items[3].Counts.Created != 1245 {
			t.Errorf("changes are %+v", changes.Items)
		}
	})
}

func TestImports(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) { importRounds(t, db, 6) })
}

func TestStagedImports(t *testing.T) {
	stageAll(t)
	set(t, &itemsInline, 1<<10)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) { importRounds(t, db, 6) })
}

// importRounds imports random files: what a dry run says is what an import does, and what it does can be undone.
func importRounds(t *testing.T, db *kvdb.DB, rounds int) {
	s, m, g := newStore(t, db), newModel(), newGen(7)
	for round := range rounds {
		mode := []Mode{Merge, Replace}[round%2]
		format := []Format{JSON, CSV, Zato}[round%3]
		es, ts := g.file(m, 5, 40)
		if format == CSV {
			es = nil
		}
		file := func() io.Reader {
			return map[Format]io.Reader{CSV: csvFileOf(ts), JSON: jsonFileOf(es, ts), Zato: zatoFileOf(es, ts)}[format]
		}
		old, ids := m.clone(), identities(t, s)
		want := m.importRows(es, ts, mode)

		keys, _ := keysOf(t, s)
		dry, err := s.Import(t.Context(), By{Who: "u"}, file(), ImportOptions{Format: format, Mode: mode, DryRun: true})
		must(t, err)
		want.checkCounts(t, dry)
		if len(dry.Sample) == 0 || len(dry.Sample) > sampleMost || dry.Change != "" {
			t.Errorf("round %d: a sample of %d, change %q", round, len(dry.Sample), dry.Change)
		}
		if want.RejectedTotal > 0 {
			_, err := s.Import(t.Context(), By{Who: "u"}, file(), ImportOptions{Format: format, Mode: mode})
			var rejected *RejectedError
			if !errors.As(err, &rejected) {
				t.Fatalf("round %d: %v, want a RejectedError", round, err)
			}
			want.checkCounts(t, rejected.Result)
		}
		after, _ := keysOf(t, s)
		same(t, "keys that last after a dry run", keys, after)

		res, err := s.Import(t.Context(), By{Who: "u"}, file(), ImportOptions{Format: format, Mode: mode, SkipRejected: true, Name: "a.file"})
		must(t, err)
		want.checkCounts(t, res)
		if diff := cmp.Diff(dry.Rejected, res.Rejected); diff != "" {
			t.Errorf("round %d: rejected (-dry run +import)\n%s", round, diff)
		}
		m.check(t, s)
		c, err := s.Change(t.Context(), res.Change)
		must(t, err)
		counts := Counts{want.Created, want.Updated, want.Deleted, want.EntriesCreated, 0, want.EntriesDeleted}
		if c.Kind != KindImport || c.By != "u" || c.Counts != counts || !strings.HasSuffix(c.Summary, "a.file") {
			t.Errorf("round %d: change %+v, want %+v", round, c, counts)
		}
		checkItems(t, s, c, old, m, dry)

		again, err := s.Import(t.Context(), By{Who: "u"}, file(), ImportOptions{Format: format, Mode: mode, SkipRejected: true})
		must(t, err)
		ImportResult{Unchanged: want.Created + want.Updated + want.Unchanged, RejectedTotal: want.RejectedTotal}.checkCounts(t, again)
		if again.Change != "" {
			t.Errorf("round %d: the same again made change %s", round, again.Change)
		}

		if g.Intn(2) == 0 {
			c, err := s.Undo(t.Context(), By{Who: "u"}, res.Change)
			must(t, err)
			counts := Counts{want.Deleted, want.Updated, want.Created, want.EntriesDeleted, 0, want.EntriesCreated}
			if c.Kind != KindUndo || c.Undoes != res.Change || c.Counts != counts {
				t.Errorf("round %d: the undoing is %+v, want %+v", round, c, counts)
			}
			old.check(t, s)
			same(t, "what the IDs stand for", ids, identities(t, s))
			m = old
		}
	}
}

func (want ImportResult) checkCounts(t *testing.T, got ImportResult) {
	t.Helper()
	got.Change, got.Sample, got.Rejected = "", nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("counts (-want +got)\n%s", diff)
	}
}

// checkItems sees that the items of an import are the difference of two models, and that the sample of the
// dry run begins them.
func checkItems(t *testing.T, s *Store, c Change, before, after *model, dry ImportResult) {
	t.Helper()
	var all []Item
	for cursor := ""; ; {
		page, err := s.ChangeItems(t.Context(), c.ID, cursor, 7)
		must(t, err)
		if page.First != int64(len(all))+1 {
			t.Fatalf("the page starts at %d, want %d", page.First, len(all)+1)
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			if page.Total != int64(len(all)) {
				t.Fatalf("%d items in all, want %d", len(all), page.Total)
			}
			break
		}
	}
	m := before.clone()
	for _, i := range all {
		switch {
		case i.EntryBefore != nil:
			delete(m.entries, fieldsOf(*i.EntryBefore))
		case i.EntryAfter != nil:
			m.entries[fieldsOf(*i.EntryAfter)] = true
		}
		if x := i.TranslationBefore; x != nil {
			if m.translations[x.Query()] != x.Value2 {
				t.Fatalf("item %+v: before, it was %q", x, m.translations[x.Query()])
			}
			delete(m.translations, x.Query())
		}
		if x := i.TranslationAfter; x != nil {
			m.translations[x.Query()] = x.Value2
		}
	}
	same(t, "translations by the items", after.translations, m.translations)
	same(t, "entries by the items", after.entries, m.entries)
	at := slices.IndexFunc(all, func(i Item) bool { return !i.IsEntry() })
	if at < 0 {
		at = 0
	}
	n := min(len(dry.Sample), len(all)-at)
	if diff := cmp.Diff(all[at:at+n], dry.Sample[:n]); diff != "" {
		t.Fatalf("sample of the dry run (-items +sample)\n%s", diff)
	}
}

// TestImportProgress: whoever looks sees the stages in their order.
func TestImportProgress(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	var stages []string
	_, err := s.Import(t.Context(), By{}, csvFileOf(awkwardTranslations()), ImportOptions{Format: CSV, Mode: Merge, Progress: func(p Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	}})
	must(t, err)
	if diff := cmp.Diff([]string{"comparing", "committing"}, stages); diff != "" {
		t.Errorf("stages (-want +got)\n%s", diff)
	}
}

// TestImportOfOneOp: an import that is sent again with its operation is not made again, whatever came since.
func TestImportOfOneOp(t *testing.T) {
	t.Parallel()
	s, m := newStore(t, kvtest.Open(t)), newModel()
	by := By{Who: "u", Op: "op"}
	ts := []Translation{tr("PL", "Polska"), tr("DE", "Niemcy")}
	first, err := s.Import(t.Context(), by, csvFileOf(ts), ImportOptions{Format: CSV, Mode: Merge})
	must(t, err)
	m.importRows(nil, ts, Merge)
	made, _, err := s.CreateTranslation(t.Context(), By{}, tr("CZ", "Czechy"), true)
	must(t, err)
	m.put(made)
	again, err := s.Import(t.Context(), by, csvFileOf(ts), ImportOptions{Format: CSV, Mode: Replace})
	must(t, err)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second (-want +got)\n%s", diff)
	}
	m.check(t, s)
}

// TestExportThatFails: who gets a part of it is told so.
func TestExportThatFails(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	es, ts := newGen(3).content(20, 300)
	_, err := s.Import(t.Context(), By{}, jsonFileOf(es, ts), ImportOptions{Format: JSON, Mode: Merge, SkipRejected: true})
	must(t, err)
	for _, f := range []Format{CSV, JSON, Zato} {
		for _, packed := range []bool{false, true} {
			if err := s.Export(t.Context(), &brokenWriter{500}, f, ExportOptions{Bzip2: packed}); !errors.Is(err, errBroken) {
				t.Errorf("%s packed %v: %v, want the error of the receiver", f, packed, err)
			}
		}
	}
	if err := s.Export(t.Context(), io.Discard, "xml", ExportOptions{}); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Export(gone, io.Discard, CSV, ExportOptions{}); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	s.cache = blockCache{}
	for _, k := range s.db.Client().Keys(t.Context(), s.keys.Block("*")).Val() {
		must(t, s.db.Client().Del(t.Context(), k).Err())
	}
	if err := s.Export(t.Context(), io.Discard, JSON, ExportOptions{}); !errors.Is(err, kvdb.ErrAway) || !strings.Contains(kvdb.Sentence(err), "no longer kept") {
		t.Errorf("without its blocks: %v, want ErrAway", err)
	}
}

// brokenWriter takes some bytes and no more.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestImportThatIsGivenUp: who sends half a file, or goes away, changes nothing.
func TestImportThatIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	ctx, cancel := context.WithCancel(t.Context())
	o := ImportOptions{Format: CSV, Mode: Merge, Progress: atCommit(cancel)}
	if _, err := s.Import(ctx, By{}, io.MultiReader(strings.NewReader(head), brokenReader{}), o); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the error of the sender", err)
	}
	if _, err := s.Import(ctx, By{}, strings.NewReader(head), o); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("given up at the commit: %v, want ErrAway", err)
	}
	if _, err := s.Import(ctx, By{}, strings.NewReader(head), o); !errors.Is(err, kvdb.ErrAway) || kvdb.Sentence(err) != "The import was interrupted; nothing was imported." {
		t.Errorf("given up before: %v, want ErrAway", err)
	}
	newModel().check(t, s)
}

// TestSortParallel: what is sorted in halves is sorted as a whole.
func TestSortParallel(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 49_999, 50_001} {
		want := newGen(int64(n)).Perm(n)
		got := slices.Clone(want)
		slices.Sort(want)
		if sortParallel(got, stdcmp.Compare[int]); !slices.Equal(want, got) {
			t.Errorf("%d numbers are not sorted", n)
		}
	}
}
