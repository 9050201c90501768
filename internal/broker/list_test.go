package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// all reads a list page by page.
func all(t *testing.T, limit int, list func(cursor string) (Page[Invocation], error)) (those []Invocation) {
	t.Helper()
	for cursor := ""; ; {
		page, err := list(cursor)
		must(t, err)
		if len(page.Items) > limit {
			t.Fatalf("a page has %d", len(page.Items))
		}
		those = append(those, page.Items...)
		if cursor = page.Next; cursor == "" {
			return those
		}
	}
}

func cidsOf(those []Invocation) (cids []string) {
	for _, i := range those {
		cids = append(cids, i.CID)
	}
	return cids
}

func TestListsAreWholeAndInOrder(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		var queued, done []string
		for n := range 25 {
			queued = append(queued, invoke(t, s, Call{Service: "a", Payload: fmt.Appendf(nil, `{"number":%d}`, n)}))
		}
		got, err := s.Receive(t.Context(), "a", "w", 10, 0, 0)
		must(t, err)
		for _, d := range got { // many of them end in the same millisecond
			must(t, s.Ack(t.Context(), d.CID, d.Lease, fmt.Appendf(nil, `"result of %s"`, d.CID)))
			done = append(done, d.CID)
		}
		queued = queued[10:]
		slices.Reverse(queued)
		elsewhere := invoke(t, s, Call{Service: "b"})
		delayed := invoke(t, s, Call{Service: "b", Delay: time.Hour})

		for _, limit := range []int{1, 3, 100} {
			list := func(f Filter) []string {
				return cidsOf(all(t, limit, func(cursor string) (Page[Invocation], error) { return s.Invocations(t.Context(), f, cursor, limit) }))
			}
			if got := list(Filter{Service: "a", State: Queued}); !slices.Equal(got, queued) {
				t.Errorf("limit %d: queued %v", limit, got)
			}
			ended := list(Filter{Service: "a", State: Done})
			if got := slices.Sorted(slices.Values(ended)); !slices.Equal(got, slices.Sorted(slices.Values(done))) {
				t.Errorf("limit %d: done %v", limit, got)
			}
			if got := list(Filter{}); len(got) != 27 || !slices.Equal(got[25:], []string{delayed, elsewhere}) ||
				len(slices.Compact(slices.Sorted(slices.Values(got)))) != 27 {
				t.Errorf("limit %d: all %v", limit, got)
			}
			if got := list(Filter{State: Delayed}); !slices.Equal(got, []string{delayed}) {
				t.Errorf("limit %d: delayed %v", limit, got)
			}
			if got := list(Filter{Q: `"NUMBER":1`}); len(got) != 11 { // 1 and 10 to 19
				t.Errorf("limit %d: %d have the number", limit, len(got))
			}
			if got := list(Filter{Q: "result of " + done[3]}); !slices.Equal(got, []string{done[3]}) {
				t.Errorf("limit %d: by the result %v", limit, got)
			}
			if got := list(Filter{Service: "a", Q: queued[2][5:20]}); !slices.Equal(got, []string{queued[2]}) {
				t.Errorf("limit %d: by the CID %v", limit, got)
			}
			if got := list(Filter{Service: "unknown"}); len(got) != 0 {
				t.Errorf("limit %d: of an unknown service %v", limit, got)
			}
		}
		for _, wrong := range []struct {
			f      Filter
			cursor string
			limit  int
		}{{limit: 0}, {limit: 1001}, {limit: 1, cursor: "?"}, {limit: 1, cursor: "YQ"}, {f: Filter{State: "x"}, limit: 1},
			{f: Filter{Service: "{"}, limit: 1},
			{f: Filter{Service: "a"}, cursor: place{"b", 1, "x"}.cursor(), limit: 1}} {
			if _, err := s.Invocations(t.Context(), wrong.f, wrong.cursor, wrong.limit); !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
	})
}

func TestListsCutWhatIsLong(t *testing.T) {
	s := core(t, kvtest.Open(t))
	long := `"` + strings.Repeat("é", 5000) + `end"`
	invoke(t, s, Call{Service: "q", Payload: []byte(long)})
	for _, f := range []Filter{{}, {Q: "END"}} {
		page, err := s.Invocations(t.Context(), f, "", 10)
		must(t, err)
		if len(page.Items) != 1 || page.Items[0].PayloadSize != len(long) || len(page.Items[0].Payload) > cutInLists ||
			!strings.HasPrefix(long, string(page.Items[0].Payload)) {
			t.Errorf("%+v: %+v", f, page.Items)
		}
	}
}

func TestASearchEndsEachCallSoon(t *testing.T) {
	s := core(t, kvtest.Open(t))
	for range 2 * mostSearched / 100 {
		var items []*item
		for range 100 {
			items = append(items, &item{cid: newCID(time.Now(), "q")})
		}
		s.publishMany(t.Context(), "q", items)
		must(t, items[0].err)
	}
	last := invoke(t, s, Call{Service: "q", Payload: []byte(`"needle"`)})
	must(t, db1(s, setOf(s.keys.Service("q"), Queued).key, last))
	calls := 0
	found := all(t, 10, func(cursor string) (Page[Invocation], error) {
		calls++
		return s.Invocations(t.Context(), Filter{Q: "needle"}, cursor, 10)
	})
	if len(found) != 1 || found[0].CID != last || calls < 2 {
		t.Errorf("%d found in %d calls", len(found), calls)
	}
}

// db1 puts a CID to the front of its queue.
func db1(s *Store, key, cid string) error {
	return s.db.Client().ZIncrBy(s.work.ctx, key, -1e12, cid).Err()
}

func TestServicesAreListed(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		var want []string
		for n := range 7 {
			name := fmt.Sprintf("service-%d", n)
			invoke(t, s, Call{Service: name})
			want = append(want, name)
		}
		for _, limit := range []int{1, 3, 7, 100} {
			var got []string
			for cursor := ""; ; {
				page, err := core(t, db).Services(t.Context(), "SERVICE", cursor, limit)
				must(t, err)
				for _, service := range page.Items {
					if got = append(got, service.Name); service.Queued != 1 || service.Policy != DefaultPolicy ||
						service.OldestFor <= 0 || service.OldestFor > time.Minute {
						t.Errorf("%+v", service)
					}
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v", limit, got)
			}
		}
		if page, err := s.Services(t.Context(), "none", "", 10); err != nil || len(page.Items) != 0 {
			t.Errorf("%v, %v", page, err)
		}
		if _, err := s.Service(t.Context(), "nobody"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("an unknown service: %v", err)
		}
		if _, err := s.Services(t.Context(), "", "!", 10); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("a wrong cursor: %v", err)
		}
	})
}
