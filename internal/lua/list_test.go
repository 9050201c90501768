package lua

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// walk returns the names of a whole list, read in pages.
func walk(t testing.TB, s *Store, f Filter, limit int, between func()) (names []string) {
	t.Helper()
	for cursor := ""; ; {
		page, err := s.Programs(t.Context(), f, cursor, limit)
		must(t, err)
		if len(page.Items) > limit {
			t.Fatalf("%d programs on a page of %d", len(page.Items), limit)
		}
		for _, p := range page.Items {
			names = append(names, p.Name)
		}
		if cursor = page.Next; cursor == "" {
			return names
		}
		between()
	}
}

func TestList(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		set(t, &listChunk, 3)
		dir := t.TempDir()
		now := newClock()
		s := newStore(t, db, withDir(dir), withClock(now))
		write(t, dir, map[string]string{"a": "return 1", "b": "return 1", "kvdb.rename_if_exists": "return 1", "x y": "return 1"})
		want := []string{"a", "b", "kvdb.rename_if_exists", "x y"}
		for _, name := range []string{"b", "kvdb.rename_if_exists", "a.1", "a.2", "A", "B", "Lib.one", "lib.Two", "zz", "-", "_x", "0"} {
			mustPut(t, s, name, "return 2")
			if !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		nothing := func() {}
		for _, limit := range []int{1, 2, 3, 4, 5, 7, 100} {
			if diff := cmp.Diff(want, walk(t, s, Filter{}, limit, nothing)); diff != "" {
				t.Errorf("pages of %d (-want +got)\n%s", limit, diff)
			}
			for _, q := range []string{"LIB", "a", ".", "rename_if", "nowhere", " "} {
				var some []string
				for _, name := range want {
					if strings.Contains(strings.ToLower(name), strings.ToLower(q)) {
						some = append(some, name)
					}
				}
				if diff := cmp.Diff(some, walk(t, s, Filter{Q: q}, limit, nothing)); diff != "" {
					t.Errorf("%q in pages of %d (-want +got)\n%s", q, limit, diff)
				}
			}
			if diff := cmp.Diff([]string{"a", "x y"}, walk(t, s, Filter{Origin: File}, limit, nothing)); diff != "" {
				t.Errorf("files in pages of %d (-want +got)\n%s", limit, diff)
			}
			if got := walk(t, s, Filter{Origin: Upload}, limit, nothing); len(got) != 12 {
				t.Errorf("uploads are %q", got)
			}
		}
		page, err := s.Programs(t.Context(), Filter{Q: "b"}, "", 0)
		must(t, err)
		sha := sha1Of("return 2")
		upload := func(name string, over Origin) Program {
			return Program{Name: name, SHA1: sha, Origin: Upload, Overrides: over, Version: 1, Size: 8, UpdatedAt: now.now().Truncate(time.Millisecond), UpdatedBy: "setup"}
		}
		all := []Program{upload("B", ""), upload("Lib.one", ""), upload("b", File), upload("kvdb.rename_if_exists", File), upload("lib.Two", "")}
		if diff := cmp.Diff(all, page.Items); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		must(t, s.Delete(t.Context(), By{}, "kvdb.rename_if_exists", -1))
		page, err = s.Programs(t.Context(), Filter{Q: "rename_if"}, "", 0)
		must(t, err)
		if p := page.Items[0]; len(page.Items) != 1 || p.Origin != File || p.Overrides != Builtin {
			t.Errorf("%+v", page)
		}

		// Others write while it is read: what was there all the time is listed once.
		i := 0
		got := walk(t, s, Filter{}, 2, func() {
			mustPut(t, s, fmt.Sprintf("%c-new", "aAzb"[i%4]), fmt.Sprint("return ", i))
			mustPut(t, s, "zz", fmt.Sprint("return ", i))
			_ = s.Delete(t.Context(), By{}, "lib.Two", -1)
			i++
		})
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("listed %q", got)
		}
		for _, name := range want {
			if !slices.Contains(got, name) && name != "lib.Two" {
				t.Errorf("%s is not listed in %q", name, got)
			}
		}
		for _, bad := range []struct {
			cursor string
			limit  int
		}{{"%", 0}, {"", -1}, {"", MaxPage + 1}} {
			if _, err := s.Programs(t.Context(), Filter{}, bad.cursor, bad.limit); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// TestListLooksAtSoMany: a search that finds nothing for long gives a page that is short, and goes on from there.
func TestListLooksAtSoMany(t *testing.T) {
	set(t, &listChunk, 4)
	set(t, &listMost, 10)
	db := kvtest.Open(t)
	s := newStore(t, db)
	var want []string
	for i := range 45 {
		name := fmt.Sprintf("p%02d", i)
		mustPut(t, s, name, "return 1")
		if i%20 == 19 {
			want = append(want, name)
		}
	}
	pages := 0
	if diff := cmp.Diff(want, walk(t, s, Filter{Q: "9"}, 3, func() { pages++ })[1:]); diff == "" || pages < 4 {
		t.Errorf("%d pages", pages)
	}
	got := walk(t, s, Filter{Q: "9"}, 3, func() {})
	if diff := cmp.Diff([]string{"p09", "p19", "p29", "p39"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	page, err := s.Programs(t.Context(), Filter{Q: "none"}, "", 3)
	if err != nil || page.Items != nil || page.Next == "" {
		t.Errorf("%+v, %v", page, err)
	}
	// The rest of a list is listed, also when it has nothing but files and what is built in.
	if got := walk(t, s, Filter{Origin: Builtin}, 1, func() {}); len(got) != len(builtinNames) {
		t.Errorf("%q", got)
	}
}
