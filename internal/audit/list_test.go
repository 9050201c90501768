package audit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// objects names the records of a list by their objects.
func objects(items []Record) string {
	var b strings.Builder
	for _, r := range items {
		b.WriteString(r.Object + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestListFilters(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		l := New(db, c.now)
		start := c.now()
		for i, r := range []Record{
			{Actor: "ann", Verb: "entry.create", Outcome: Done},
			{Actor: "ann", Verb: "entry.update", Outcome: Failed},
			{Actor: "joanna", Verb: "entryway.open", Outcome: Done},
			{Actor: "bob", CID: "c1", Verb: "user.delete", Outcome: Unknown},
			{Actor: "ann", Verb: "user.delete", Outcome: Done},
		} {
			r.Object = fmt.Sprintf("Thing%d", i)
			if err := l.Write(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			c.advance(time.Minute)
		}
		at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
		for _, tc := range []struct {
			name   string
			filter Filter
			want   string
		}{
			{"all", Filter{}, "Thing4 Thing3 Thing2 Thing1 Thing0"},
			{"actor", Filter{Actor: "ann"}, "Thing4 Thing1 Thing0"},
			{"verb", Filter{Verb: "user.delete"}, "Thing4 Thing3"},
			{"verbs of one thing", Filter{Verb: "entry"}, "Thing1 Thing0"},
			{"object", Filter{Object: "thing3"}, "Thing3"},
			{"outcome", Filter{Outcome: Unknown}, "Thing3"},
			{"cid", Filter{CID: "c1"}, "Thing3"},
			{"part of a cid", Filter{CID: "c"}, ""},
			{"from", Filter{From: at(3)}, "Thing4 Thing3"},
			{"from within the millisecond", Filter{From: at(3).Add(900 * time.Microsecond)}, "Thing4 Thing3"},
			{"from later", Filter{From: at(3).Add(time.Millisecond)}, "Thing4"},
			{"to", Filter{To: at(1)}, "Thing1 Thing0"},
			{"to earlier", Filter{To: at(1).Add(-time.Nanosecond)}, "Thing0"},
			{"from and to", Filter{From: at(0.5), To: at(3.5), Actor: "ann"}, "Thing1"},
			{"backwards", Filter{From: at(3), To: at(1)}, ""},
			{"long ago", Filter{To: time.Unix(-1, 0)}, ""},
			{"none", Filter{Actor: "an"}, ""},
		} {
			items, next, err := l.List(t.Context(), tc.filter, "", 0)
			if err != nil || next != "" {
				t.Errorf("%s: next %q, error %v", tc.name, next, err)
			}
			if got := objects(items); got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
			}
		}
	})
}

func TestListPages(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		l := New(db, newClock().now) // all in one millisecond
		write := func(object string) {
			t.Helper()
			if err := l.Write(t.Context(), Record{Actor: "ann", Verb: "v", Object: object, Outcome: Done}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 6 {
			write(fmt.Sprint(i))
		}
		for _, filter := range []Filter{{}, {Actor: "ann"}} {
			var pages []string
			cursor := ""
			for {
				items, next, err := l.List(t.Context(), filter, cursor, 2)
				if err != nil {
					t.Fatal(err)
				}
				pages = append(pages, objects(items))
				if next == "" {
					break
				}
				cursor = next
				write("new") // does not move what follows
			}
			want := []string{"5 4", "3 2", "1 0"}
			if filter.Actor != "" {
				want = []string{"new new", "5 4", "3 2", "1 0"}
			}
			if diff := cmp.Diff(want, pages); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		}
	})
}

func TestListRefuses(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	for _, tc := range []struct {
		cursor string
		limit  int
	}{{"", -1}, {"", maxLimit + 1}, {"x", 1}, {"1", 1}, {"+", 1}, {"1-1 COUNT", 1}, {"(1-1", 1}, {"99999999999999999999-0", 1}} {
		if _, _, err := l.List(t.Context(), Filter{}, tc.cursor, tc.limit); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("List(%q, %d): got %v, want ErrInvalid", tc.cursor, tc.limit, err)
		}
	}
}

// TestListIsBounded has one match behind more records than one call looks at.
func TestListIsBounded(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		l := New(db, newClock().now)
		if err := l.Write(t.Context(), Record{Actor: "ann", Verb: "v", Object: "rare", Outcome: Done}); err != nil {
			t.Fatal(err)
		}
		_, err := db.Client().Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for range readMost + readStep {
				p.XAdd(t.Context(), &redis.XAddArgs{Stream: l.keys.Records(), Values: Record{Verb: "v"}.fields()})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		items, next, err := l.List(t.Context(), Filter{Actor: "ann"}, "", 1)
		if err != nil || len(items) != 0 || next == "" {
			t.Fatalf("first call: %d items, next %q, error %v; want none, and a cursor", len(items), next, err)
		}
		items, next, err = l.List(t.Context(), Filter{Actor: "ann"}, next, 1)
		if err != nil || objects(items) != "rare" || next != "" {
			t.Errorf("second call: %q, next %q, error %v; want the rare one and the end", objects(items), next, err)
		}
	})
}

// TestListOfForeignRecords reads what somebody else put into the stream.
func TestListOfForeignRecords(t *testing.T) {
	l := New(kvtest.Open(t), newClock().now)
	if err := l.db.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: l.keys.Records(), ID: "5-1", Values: []any{"x", "y"}}).Err(); err != nil {
		t.Fatal(err)
	}
	want := []Record{{ID: "5-1", At: time.UnixMilli(5).UTC()}}
	if diff := cmp.Diff(want, all(t, l)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
