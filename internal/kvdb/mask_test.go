package kvdb_test

import (
	"strings"
	"testing"

	"webadmin/internal/kvdb/kvtest"
)

// TestLine: what the audit log shows of a command has no secrets.
func TestLine(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	for line, want := range map[string]string{
		"SET k v":                                  "SET k v",
		"AUTH s3cret":                              "AUTH ***",
		"AUTH user s3cret":                         "AUTH *** ***",
		"HELLO 3 AUTH user s3cret SETNAME n":       "HELLO 3 AUTH *** *** SETNAME n",
		"CONFIG SET requirepass s3cret":            "CONFIG SET requirepass ***",
		"config set maxmemory 1 MASTERAUTH s3cret": "config set maxmemory 1 MASTERAUTH ***",
		"CONFIG SET tls-key-file-pass s3cret":      "CONFIG SET tls-key-file-pass ***",
		"CONFIG GET requirepass":                   "CONFIG GET requirepass",
		"ACL SETUSER u on >s3cret ~* +@all":        "ACL SETUSER u on *** ~* +@all",
		"ACL SETUSER u #s3cret <s3cret !s3cret":    "ACL SETUSER u *** *** ***",
		"MIGRATE h 1 k 0 9 AUTH s3cret KEYS a":     "MIGRATE h 1 k 0 9 AUTH *** KEYS a",
		"MIGRATE h 1 k 0 9 AUTH2 user s3cret":      "MIGRATE h 1 k 0 9 AUTH2 *** ***",
		"AUHT s3cret":                              "AUHT … (1 arguments)",
		"SET k two\nlines":                         `SET k "two\nlines"`,
		"SET k \xff":                               `SET k "\xff"`,
		"SET k " + strings.Repeat("x", 300):        "SET k " + strings.Repeat("x", 200) + "… (300 bytes)",
		"SET  ":                                    `SET "" ""`,
	} {
		class, err := db.Classify(t.Context(), strings.Split(line, " "))
		must(t, err)
		if got := class.Line(); got != want {
			t.Errorf("%.60q: %s, want %s", line, got, want)
		}
		if class.Masks() != strings.Contains(line, "s3cret") {
			t.Errorf("%.60q: masks %v", line, class.Masks())
		}
	}
}
