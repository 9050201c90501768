package broker

import (
	"slices"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestWaiting lists those services alone that have a queue now, with how they stand.
func TestWaiting(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		for _, service := range []string{"b", "a", "taken"} {
			_, err := s.Invoke(t.Context(), Call{Service: service})
			must(t, err)
		}
		must(t, s.SetPaused(t.Context(), "b", true))
		must(t, s.SetPaused(t.Context(), "empty", true))
		got, err := s.Receive(t.Context(), "taken", "w", 1, 0, 0)
		if must(t, err); len(got) != 1 {
			t.Fatalf("received %v", got)
		}
		waiting, err := s.Waiting(t.Context())
		must(t, err)
		var names []string
		for _, x := range waiting {
			names = append(names, x.Name)
			if x.Queued != 1 || x.Paused != (x.Name == "b") {
				t.Errorf("%+v", x)
			}
		}
		if !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("waiting: %q", names)
		}
	})
}
