package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/internal/kvdb/kvtest"
)

// TestHistory: what somebody typed, without secrets.
func TestHistory(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		c, s := open(t, db, "admin", console.Options{Now: func() time.Time { return now }})
		lines := func(q string, limit int) (out []string) {
			t.Helper()
			for _, l := range must(c.History(t.Context(), "ann", q, limit))(t) {
				if !l.At.Equal(now) {
					t.Errorf("at %v", l.At)
				}
				out = append(out, l.Line)
			}
			return out
		}
		text := strings.Join([]string{
			"  ECHO \"a  b\" ", "3 ECHO x", "ECHO x", "ECHO x", "AUTH hunter2", "2 auth me hunter2",
			"HELLO 3 AUTH default hunter2", "CONFIG SET masterauth hunter2",
			"ACL SETUSER x >hunter2", "AUHT hunter2", "help auth", "ECHO " + strings.Repeat("x", 5000), "GET", "SET {k} \"\xff\"", "DEL {k}",
		}, "\n")
		for text != "" {
			rest := must(s.Run(t.Context(), text, console.RunOptions{Confirm: "CONFIG"}, func(console.Result) {}))(t)
			text = ""
			for i, cmd := range rest {
				if i > 0 || cmd.Args[0] == "ACL" { // the first is the one that was refused
					if cmd.Args[0] == "ACL" {
						do(t, s, cmd.Text)
						continue
					}
					text += cmd.Text + "\n"
				}
			}
		}
		want := []string{
			"DEL {k}", "SET {k} \"\xff\"", "GET", "ACL SETUSER x ***", "CONFIG SET masterauth ***", "HELLO 3 AUTH *** ***", "2 auth *** ***", "AUTH ***",
			"ECHO x", "3 ECHO x", "ECHO \"a  b\"",
		}
		if got := lines("", 0); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if got := lines("ECHO", 2); !slices.Equal(got, []string{"ECHO x", "3 ECHO x"}) {
			t.Errorf("%q", got)
		}
		if got := lines("eCh", 0); len(got) != 3 {
			t.Errorf("%q", got)
		}
		for i := range 510 {
			do(t, s, fmt.Sprintf("ECHO %d", i))
		}
		if got := lines("", 0); len(got) != 500 || got[0] != "ECHO 509" {
			t.Errorf("%d lines, the last is %s", len(got), got[0])
		}
		if other := must(c.History(t.Context(), "bob", "", 0))(t); len(other) > 0 {
			t.Errorf("%v", other)
		}
		if err := c.ForgetHistory(t.Context(), "ann"); err != nil || len(lines("", 0)) > 0 {
			t.Errorf("%v", err)
		}
	})
}
