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

func TestExamples(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, ctx := newStore(t, db, withClock(now)), t.Context()
		const name = "kvdb.rename_if_exists"
		if list, err := s.Examples(ctx, name); list != nil || err != nil {
			t.Error(list, err)
		}
		e := Example{Title: "b", Keys: []string{"{k}1", "{k}\xff\x00"}, Values: []string{"", "żółw\r\n"}, ReadOnly: true, Expect: `{"type":"integer","result":10}`}
		made, err := s.SaveExample(ctx, By{Who: "ann", Op: "1"}, name, e)
		must(t, err)
		want := e
		want.ID, want.UpdatedAt, want.UpdatedBy = made.ID, now.now(), "ann"
		if diff := cmp.Diff(want, made); diff != "" || made.ID == "" {
			t.Errorf("saved (-want +got)\n%s", diff)
		}
		now.add(time.Hour)
		if again, err := s.SaveExample(ctx, By{Who: "ann", Op: "1"}, name, e); err != nil || !cmp.Equal(again, want) {
			t.Errorf("sent again: %+v, %v", again, err)
		}
		if _, err := s.SaveExample(ctx, By{Op: "1"}, name, Example{Title: "another"}); !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("an Op used for another: %v", err)
		}
		second, err := s.SaveExample(ctx, By{Who: "bob"}, name, Example{Title: "a"})
		must(t, err)
		want.Title, want.UpdatedBy, want.UpdatedAt, want.Keys = "c", "bob", now.now(), nil
		changed, err := s.SaveExample(ctx, By{Who: "bob"}, name, Example{ID: want.ID, Title: "c", Values: want.Values, ReadOnly: true, Expect: want.Expect})
		if diff := cmp.Diff(want, changed); diff != "" || err != nil {
			t.Errorf("changed: %v (-want +got)\n%s", err, diff)
		}
		list, err := s.Examples(ctx, name)
		if diff := cmp.Diff([]Example{second, changed}, list); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		for range 2 {
			must(t, s.DeleteExample(ctx, By{Op: "delete"}, name, second.ID))
		}
		err1 := s.DeleteExample(ctx, By{}, name, second.ID)
		_, err2 := s.SaveExample(ctx, By{}, name, second)
		_, err3 := s.SaveExample(ctx, By{}, "kvdb.rename", Example{Title: "x"})
		for i, err := range []error{err1, err2, err3} {
			if !errors.Is(err, kvdb.ErrNotFound) {
				t.Errorf("%d: %v, want ErrNotFound", i+1, err)
			}
		}
		if list, err := s.Examples(ctx, name); err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestWrongExamples(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t, kvtest.Open(t)), t.Context()
	for field, e := range map[string]Example{
		"title: is missing":      {Title: " "},
		"title: has 201":         {Title: strings.Repeat("ż", 201)},
		"title: is not UTF-8":    {Title: "\xff"},
		"values: are 1001":       {Title: "x", Keys: []string{"k"}, Values: make([]string, MaxArguments)},
		"values: have 65537":     {Title: "x", Values: []string{strings.Repeat("x", MaxExampleBytes+1)}},
		"expect: is not JSON":    {Title: "x", Expect: "{"},
		"missing; expect: is no": {Expect: "{"},
	} {
		if _, err := s.SaveExample(ctx, By{}, "kvdb.rename_if_exists", e); !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%v, want %s", err, field)
		}
	}
	for i := range MaxExamples {
		_, err := s.SaveExample(ctx, By{}, "kvdb.rename_if_exists", Example{Title: fmt.Sprint(i)})
		must(t, err)
	}
	_, err := s.SaveExample(ctx, By{}, "kvdb.rename_if_exists", Example{Title: "one more"})
	if !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "has 100 examples") {
		t.Error(err)
	}
	list, err := s.Examples(ctx, "kvdb.rename_if_exists")
	if err != nil || len(list) != MaxExamples || !slices.IsSortedFunc(list, func(a, b Example) int { return strings.Compare(a.Title, b.Title) }) {
		t.Errorf("%d examples, %v", len(list), err)
	}
	list[0].Title = "changed"
	if _, err := s.SaveExample(ctx, By{}, "kvdb.rename_if_exists", list[0]); err != nil {
		t.Errorf("a change of one of them: %v", err)
	}
}
