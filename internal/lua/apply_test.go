package lua

import (
	"errors"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestApply(t *testing.T) {
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		s := newStore(t, db)
		tag := "{of " + string(db.Keys()) + "}"
		do(t, db, "SET", tag+"a", "\xff\x00")
		text := "local n = redis.call('RPUSH', KEYS[2], ARGV[1], #ARGV)\nredis.call('RENAME', KEYS[1], KEYS[3])\nreturn n"
		c := Call{Text: text, Keys: []string{tag + "a", tag + "l", tag + "b\xff"}, Values: []string{"v"}}
		d := dry(t, s, text, c.Keys, c.Values)
		if len(d.Expect.Keys) != 3 {
			t.Fatalf("expects %+v", d.Expect)
		}
		text2, err := d.Expect.MarshalText()
		must(t, err)
		var e Expect
		must(t, e.UnmarshalText(text2))

		other := c
		other.Values = []string{"w"}
		var changed *ChangedError
		if _, err := s.Apply(t.Context(), me, other, e); !errors.As(err, &changed) || !changed.Program || !errors.Is(err, kvdb.ErrConflict) {
			t.Errorf("other values: %v", err)
		}
		do(t, db, "SET", tag+"b\xff", "there")
		if _, err := s.Apply(t.Context(), me, c, e); !errors.As(err, &changed) || len(changed.Keys) != 1 || changed.Keys[0] != tag+"b\xff" {
			t.Errorf("another key: %v", err)
		}
		if n, err := db.Client().Exists(t.Context(), tag+"l").Result(); err != nil || n != 0 {
			t.Errorf("it ran: %d, %v", n, err)
		}
		do(t, db, "DEL", tag+"b\xff")
		do(t, db, "PEXPIRE", tag+"a", 1_000_000) // the time to live doesn't count
		out, err := s.Apply(t.Context(), me, c, e)
		must(t, err)
		diff(t, "reply", "(integer) 2", Render(out.Reply))
		got, err := db.Client().LRange(t.Context(), tag+"l", 0, -1).Result()
		must(t, err)
		diff(t, "the list", []string{"v", "1"}, got)
		if _, err := s.Apply(t.Context(), me, c, e); !errors.As(err, &changed) || len(changed.Keys) != 3 {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestApplyKeepsLines(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	for _, text := range []string{"error('boom')", "\nlocal x = nil\nx()", "#!lua\nlocal x = nil\nx()", "-- comment\nredis.call('NOPE')"} {
		d := dry(t, s, text, []string{"k"}, nil)
		out, err := s.Apply(t.Context(), me, Call{Text: text, Keys: []string{"k"}}, d.Expect)
		must(t, err)
		if out.Failure == nil || d.Failure == nil || out.Failure.Line != d.Failure.Line || out.Failure.Message != d.Failure.Message {
			t.Errorf("%q: dry run %+v, applied %+v", text, d.Failure, out.Failure)
		}
	}
	mustPut(t, s, "none", "return #ARGV + #KEYS")
	d, err := s.DryRun(t.Context(), me, Call{Name: "none"})
	must(t, err)
	out, err := s.Apply(t.Context(), me, Call{Name: "none"}, d.Expect)
	must(t, err)
	diff(t, "reply", "(integer) 0", Render(out.Reply))
	mustPut(t, s, "none", "return #ARGV + #KEYS + 1")
	if _, err := s.Apply(t.Context(), me, Call{Name: "none"}, d.Expect); !errors.Is(err, kvdb.ErrConflict) || !strings.Contains(err.Error(), "not those of the dry run") {
		t.Errorf("another version: %v", err)
	}
	runs, err := s.Runs(t.Context(), "none", "", 10)
	must(t, err)
	if len(runs.Items) != 2 || runs.Items[0].Mode != "apply" || runs.Items[1].Mode != "dry-run" {
		t.Errorf("runs %+v", runs.Items)
	}
}
