package dict

import (
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestCounts compares what the lists say beside their items with the model.
func TestCounts(t *testing.T) {
	smallBlocks(t)
	s, m := seeded(t, kvtest.Open(t), 500)
	ctx := t.Context()
	type at struct{ system, key string }
	entries, translations, from, to := map[at]int64{}, map[at]int64{}, map[at]int64{}, map[at]int64{}
	for _, e := range m.sortedEntries() {
		entries[at{e.System, ""}]++
		entries[at{e.System, e.Key}]++
	}
	uses := map[Entry]Uses{}
	for _, x := range m.sortedTranslations() {
		ends := map[at]bool{{x.System1, ""}: true, {x.System1, x.Key1}: true, {x.System2, ""}: true, {x.System2, x.Key2}: true}
		for end := range ends {
			translations[end]++
		}
		from[at{x.System1, ""}]++
		from[at{x.System1, x.Key1}]++
		to[at{x.System2, ""}]++
		to[at{x.System2, x.Key2}]++
		u := uses[x.Source()]
		u.AsSource++
		uses[x.Source()] = u
		u = uses[x.Target()]
		u.AsTarget++
		uses[x.Target()] = u
	}
	counted := func(name string, under at) Count {
		return Count{Name: name, Entries: entries[under], Translations: translations[under], From: from[under], To: to[under]}
	}
	systems, err := s.Systems(ctx)
	must(t, err)
	for i, c := range systems {
		if i > 0 && systems[i-1].Name >= c.Name {
			t.Errorf("%q stands before %q", systems[i-1].Name, c.Name)
		}
		if want := counted(c.Name, at{c.Name, ""}); c != want {
			t.Errorf("system %+v, want %+v", c, want)
		}
		keys, err := s.SystemKeys(ctx, c.Name)
		must(t, err)
		for _, k := range keys {
			if want := counted(k.Name, at{c.Name, k.Name}); k != want {
				t.Errorf("key %s %+v, want %+v", c.Name, k, want)
			}
		}
		total := int64(0)
		for _, k := range keys {
			total += k.Entries
		}
		if total != c.Entries {
			t.Errorf("the keys of %s have %d entries, it has %d", c.Name, total, c.Entries)
		}
	}
	if len(systems) != 4 {
		t.Errorf("%d systems", len(systems))
	}
	if _, err := s.SystemKeys(ctx, "NONE"); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("keys of no system: %v, want ErrNotFound", err)
	}
	page, err := s.Entries(ctx, Filter{}, ListOptions{Limit: MaxPage})
	must(t, err)
	got, err := s.Uses(ctx, page.Items)
	must(t, err)
	for i, e := range page.Items {
		if got[i] != uses[plainEntry(e)] {
			t.Errorf("%s is used %+v, want %+v", e.describe(), got[i], uses[plainEntry(e)])
		}
	}
	itself := Translation{System1: "OWN", Key1: "K", Value1: "same", System2: "OWN", Key2: "K", Value2: "same"}
	m.mustCreate(t, s, itself)
	for e, n := range map[Entry]int64{itself.Source(): 1, plainEntry(page.Items[0]): got[0].AsSource + got[0].AsTarget} {
		if uses, err := s.CountUses(ctx, e); err != nil || uses != n {
			t.Errorf("%s is in %d translations, %v; want %d", e.describe(), uses, err, n)
		}
	}
	for _, prefix := range []string{"", "A", "A1", "Ż", "nowhere"} {
		var want []string
		for _, e := range m.sortedEntries() {
			if e.System == "BILLING" && e.Key == "CC" && strings.HasPrefix(e.Value, prefix) && len(want) < 5 {
				want = append(want, e.Value)
			}
		}
		values, err := s.Values(ctx, "BILLING", "CC", prefix, 5)
		if diff := gocmp.Diff(want, values); err != nil || diff != "" {
			t.Errorf("values from %q: %v (-want +got)\n%s", prefix, err, diff)
		}
	}
}
