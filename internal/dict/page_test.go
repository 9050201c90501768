package dict

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestCursorsStayGood: who pages while others write sees what stays, each once and in order.
func TestCursorsStayGood(t *testing.T) {
	smallBlocks(t)
	for _, desc := range []bool{false, true} {
		for _, by := range []Sort{SortSource, SortTarget} {
			t.Run(fmt.Sprintf("sort %d desc %v", by, desc), func(t *testing.T) {
				s, m := seeded(t, kvtest.Open(t), 150)
				other := newStore(t, s.db)
				g := newGen(5)
				touched := map[Query]bool{}
				seen := map[Query]bool{}
				var last *Translation
				o := ListOptions{Limit: 10, Sort: by, Desc: desc}
				for pages := 0; ; pages++ {
					page, err := s.Translations(t.Context(), Filter{}, o)
					must(t, err)
					for _, x := range page.Items {
						if c := 0; last != nil {
							if c = order(by)(*last, x); desc {
								c = -c
							}
							if c >= 0 {
								t.Fatalf("%+v stands behind %+v", x, *last)
							}
						}
						last = &x
						seen[x.Query()] = true
					}
					if page.Next == "" {
						break
					}
					// Others delete what stood around the cursor, and insert there.
					for _, x := range []Translation{page.Items[len(page.Items)-1], page.Items[g.Intn(len(page.Items))]} {
						touched[x.Query()] = true
						if _, err := other.DeleteTranslation(t.Context(), By{}, x.ID, 0); err != nil && !errors.Is(err, kvdb.ErrNotFound) {
							t.Fatal(err)
						}
						x.Value1 += "+"
						x.Value2 += "-"
						touched[x.Query()] = true
						_, _, err := other.CreateTranslation(t.Context(), By{}, x, true)
						if err != nil && !errors.Is(err, kvdb.ErrConflict) {
							t.Fatal(err)
						}
					}
					if o.Cursor = page.Next; pages > 50 {
						t.Fatal("it doesn't end")
					}
				}
				for q := range m.translations {
					if !touched[q] && !seen[q] {
						t.Errorf("%+v was left out", q)
					}
				}
			})
		}
	}
}

// TestWrongCursorsAndLimits: they are refused as the input that they are.
func TestWrongCursorsAndLimits(t *testing.T) {
	t.Parallel()
	s, _ := seeded(t, kvtest.Open(t), 30)
	ctx := t.Context()
	lists := map[string]func(cursor string, limit int) (next string, err error){
		"entries": func(cursor string, limit int) (string, error) {
			p, err := s.Entries(ctx, Filter{}, ListOptions{Cursor: cursor, Limit: limit})
			return p.Next, err
		},
		"translations": func(cursor string, limit int) (string, error) {
			p, err := s.Translations(ctx, Filter{}, ListOptions{Cursor: cursor, Limit: limit})
			return p.Next, err
		},
		"translations by target": func(cursor string, limit int) (string, error) {
			p, err := s.Translations(ctx, Filter{}, ListOptions{Cursor: cursor, Limit: limit, Sort: SortTarget})
			return p.Next, err
		},
		"changes": func(cursor string, limit int) (string, error) {
			p, err := s.Changes(ctx, cursor, limit)
			return p.Next, err
		},
		"items of a change": func(cursor string, limit int) (string, error) {
			p, err := s.ChangeItems(ctx, "1", cursor, limit)
			return p.Next, err
		},
		"misses": func(cursor string, limit int) (string, error) {
			p, err := s.Misses(ctx, Filter{}, cursor, limit)
			return p.Next, err
		},
	}
	good, err := lists["translations"]("", 1)
	must(t, err)
	raw := func(b string) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }
	for name, list := range lists {
		cursors := []string{"!", "x", "žlutý", "-1", "00x", " ", "1.5", "99999999999999999999", raw("s"), raw("sx..."), raw("zn..."), raw("mnx"), raw("mn "), "9223372036854775807x"}
		if name != "translations" {
			cursors = append(cursors, good)
		}
		for _, cursor := range cursors {
			var invalid *kvdb.InvalidError
			if _, err := list(cursor, 10); !errors.As(err, &invalid) || invalid.Fields[0].Field != "cursor" {
				t.Errorf("%s: cursor %q: %v, want an InvalidError", name, cursor, err)
			}
		}
		for _, limit := range []int{-1, MaxPage + 1} {
			var invalid *kvdb.InvalidError
			if _, err := list("", limit); !errors.As(err, &invalid) || invalid.Fields[0].Field != "limit" {
				t.Errorf("%s: limit %d: %v, want an InvalidError", name, limit, err)
			}
		}
		for _, limit := range []int{0, 1, MaxPage} {
			if _, err := list("", limit); err != nil {
				t.Errorf("%s: limit %d: %v", name, limit, err)
			}
		}
	}
	if _, err := lists["items of a change"]("9223372036854775807", 10); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a cursor behind all items: %v, want ErrInvalid", err)
	}
}
