package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// deadLetter makes a dead letter.
func deadLetter(t *testing.T, s *Store, service, why string) (cid string) {
	t.Helper()
	cid = invoke(t, s, Call{Service: service, Payload: fmt.Appendf(nil, "%q", why), MaxAttempts: 1})
	must(t, s.Nack(t.Context(), cid, take(t, s, service).Lease, why, -1))
	return cid
}

func TestDeadLettersAreGrouped(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		for n := range 5 {
			deadLetter(t, s, "a", fmt.Sprintf("order %d is unknown", n))
		}
		other := deadLetter(t, s, "a", "no connection")
		deadLetter(t, s, "b", "no connection")
		groups, err := s.DeadGroups(t.Context(), "")
		must(t, err)
		if len(groups) != 3 || groups[0].Count != 5 || groups[0].Service != "a" || groups[0].Example != "order 4 is unknown" ||
			time.Since(groups[0].Newest).Abs() > time.Minute {
			t.Fatalf("%+v", groups)
		}
		list := func(f DeadFilter) []Invocation {
			return all(t, 2, func(cursor string) (Page[Invocation], error) { return s.Dead(t.Context(), f, cursor, 2) })
		}
		if got := list(DeadFilter{Service: "a", Group: groups[0].Fingerprint}); len(got) != 5 || got[0].Error != "order 4 is unknown" {
			t.Errorf("of the group %+v", got)
		}
		if got := list(DeadFilter{ErrorContains: "connection"}); len(got) != 2 || got[0].CID != other || got[1].Service != "b" {
			t.Errorf("with the text %+v", got)
		}
		if got := list(DeadFilter{}); len(got) != 7 {
			t.Errorf("all are %d", len(got))
		}
		died := about(t, s, other, Dead).EndedAt
		if got := list(DeadFilter{Service: "a", Before: died}); len(got) > 5 || slices.Contains(cidsOf(got), other) {
			t.Errorf("before the last one %+v", got)
		}
		if got := list(DeadFilter{Before: died.Add(time.Hour)}); len(got) != 7 {
			t.Errorf("before an hour from now: %d", len(got))
		}
		// To look changes nothing.
		if again, err := s.DeadGroups(t.Context(), ""); err != nil || !slices.Equal(again, groups) {
			t.Errorf("looked at, the groups are %+v", again)
		}
		if one, err := s.DeadGroups(t.Context(), "b"); err != nil || len(one) != 1 || one[0].Service != "b" {
			t.Errorf("of b %+v, %v", one, err)
		}
	})
}

func TestDeadLettersAreRetried(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		first, second, other := deadLetter(t, s, "a", "order 1"), deadLetter(t, s, "a", "order 2"), deadLetter(t, s, "a", "else")
		deadLetter(t, s, "b", "order 3")
		for _, change := range []func() (int64, error){
			func() (int64, error) { return s.RetryDead(t.Context(), DeadSelect{}, DeadOptions{}) },
			func() (int64, error) { return s.DeleteDead(t.Context(), DeadSelect{}, DeadOptions{}) },
		} {
			if n, err := change(); n != 0 || !errors.Is(err, kvdb.ErrInvalid) {
				t.Errorf("of no selection %d, %v", n, err)
			}
		}
		sel := DeadSelect{DeadFilter: DeadFilter{Service: "a", ErrorContains: "order"}}
		if n, err := s.RetryDead(t.Context(), sel, DeadOptions{DryRun: true}); n != 2 || err != nil {
			t.Errorf("counted %d, %v", n, err)
		}
		about(t, s, first, Dead)
		var told []int64
		n, err := s.RetryDead(t.Context(), sel, DeadOptions{Progress: func(done, matched int64) { told = append(told, done, matched) }})
		if n != 2 || err != nil || !slices.Equal(told, []int64{2, 2}) {
			t.Errorf("retried %d, %v; told %v", n, err, told)
		}
		if i := about(t, s, first, Queued); i.MaxAttempts != 1+DefaultPolicy.MaxAttempts || len(i.Attempts) != 1 {
			t.Errorf("%+v", i)
		}
		for _, want := range []string{first, second} {
			d := take(t, s, "a")
			if d.CID != want || d.Attempt != 2 {
				t.Errorf("then came %+v", d)
			}
			must(t, s.Ack(t.Context(), d.CID, d.Lease, nil))
			if i := about(t, s, want, Done); i.Error != "" || len(i.Attempts) != 2 {
				t.Errorf("%+v", i)
			}
		}
		about(t, s, other, Dead)

		// By their names; what is no dead letter is left alone.
		if n, err := s.RetryDead(t.Context(), DeadSelect{CIDs: []string{other, other, first, "nothing", cidFor("a", "not there")}},
			DeadOptions{}); n != 1 || err != nil {
			t.Errorf("retried %d, %v", n, err)
		}
		about(t, s, other, Queued)
		about(t, s, first, Done)
		groups, err := s.DeadGroups(t.Context(), "")
		if err != nil || len(groups) != 1 || groups[0].Service != "b" {
			t.Errorf("groups %+v, %v", groups, err)
		}
	})
}

func TestADeadLetterIsEditedAndRetried(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := core(t, db)
		cid := deadLetter(t, s, "a", "no such order")
		must(t, s.RetryDeadOne(t.Context(), cid, []byte(`{"order":2}`), "jim"))
		if i := about(t, s, cid, Queued); string(i.Payload) != `{"order":2}` || i.EditedBy != "jim" || !i.EndedAt.IsZero() {
			t.Errorf("%+v", i)
		}
		var state *StateError
		if err := s.RetryDeadOne(t.Context(), cid, nil, "jim"); !errors.As(err, &state) || state.State != Queued {
			t.Errorf("retried twice: %v", err)
		}
		if err := s.RetryDeadOne(t.Context(), cid, []byte("{"), "jim"); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("no JSON: %v", err)
		}
		if err := s.RetryDeadOne(t.Context(), cidFor("a", "x"), nil, "jim"); !errors.Is(err, kvdb.ErrNotFound) {
			t.Errorf("nothing there: %v", err)
		}
		same := deadLetter(t, s, "b", "again")
		must(t, s.RetryDeadOne(t.Context(), same, nil, "jim"))
		if i := about(t, s, same, Queued); string(i.Payload) != `"again"` || i.EditedBy != "" {
			t.Errorf("%+v", i)
		}
	})
}

func TestDeadLettersAreDeleted(t *testing.T) {
	s := core(t, kvtest.Open(t))
	invoke(t, s, Call{Service: "a"})
	d := take(t, s, "a")
	must(t, s.Ack(t.Context(), d.CID, d.Lease, nil))
	before := keysOf(t, s, "a")
	for n := range 250 {
		deadLetter(t, s, "a", fmt.Sprintf("error %d", n))
	}
	start := time.Now()
	n, err := s.DeleteDead(t.Context(), DeadSelect{DeadFilter: DeadFilter{Service: "a"}}, DeadOptions{PerSecond: 1000})
	if n != 250 || err != nil || time.Since(start) < 100*time.Millisecond {
		t.Errorf("deleted %d, %v in %v", n, err, time.Since(start))
	}
	if after := keysOf(t, s, "a"); after != before {
		t.Errorf("%d keys are left, %d were there before", after, before)
	}
}

func TestTheOldestDeadLettersGo(t *testing.T) {
	s := core(t, kvtest.Open(t))
	_, err := s.SetPolicy(t.Context(), "a", Policy{KeepDeadN: 3})
	must(t, err)
	var cids []string
	for n := range 5 {
		cids = append(cids, deadLetter(t, s, "a", fmt.Sprintf("error %c", 'a'+n)))
	}
	if n := zcard(t, s, setOf(s.keys.Service("a"), Dead).key); n != 3 {
		t.Errorf("%d are kept", n)
	}
	if _, err := s.Invocation(t.Context(), cids[0]); !errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("the oldest: %v", err)
	}
	about(t, s, cids[4], Dead)
	if groups, err := s.DeadGroups(t.Context(), "a"); err != nil || len(groups) != 3 {
		t.Errorf("groups %+v, %v", groups, err)
	}
}

func TestKindsOfErrorsAreBounded(t *testing.T) {
	s := core(t, kvtest.Open(t))
	for n := range 210 {
		deadLetter(t, s, "a", "error "+string(rune('一'+n)))
	}
	groups, err := s.DeadGroups(t.Context(), "a")
	must(t, err)
	if len(groups) != 201 || groups[0].Count != 10 || groups[0].Example != "other errors" {
		t.Errorf("%d groups, the largest %+v", len(groups), groups[0])
	}
}
