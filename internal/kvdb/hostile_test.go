package kvdb_test

import (
	"strings"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestReadingFromAHostileServer: what answers the pages of keys is no Redis. Each says that it failed; none hangs, takes all memory or panics.
func TestReadingFromAHostileServer(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	for name, answer := range map[string]string{
		"another protocol":    "HTTP/1.1 400\r\n\r\n",
		"a huge list":         "*100000000\r\n",
		"a huge text":         "$536870912\r\n",
		"lists in lists":      strings.Repeat("*1\r\n", 100_000),
		"nothing":             "",
		"a text without size": "$x\r\n",
		"a line without end":  strings.Repeat("+", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go lieTo(l, srv, answer, "SCAN", "TYPE", "SLOWLOG", "LIST\r\n")
			db := open(t, "redis://"+l.Addr().String())
			for what, read := range map[string]func() error{
				"keys": func() error { _, err := db.ListKeys(t.Context(), "admin", kvdb.KeyQuery{Limit: 10}); return err },
				"value": func() error {
					_, err := db.ReadValue(t.Context(), "admin", kvdb.ValueQuery{Key: "k", Limit: 10})
					return err
				},
				"slowlog": func() error { _, err := db.SlowLog(t.Context(), "admin", 10); return err },
				"clients": func() error { _, err := db.ListClients(t.Context(), "admin"); return err },
				"count": func() error {
					_, err := db.CountKeys(t.Context(), "admin", kvdb.KeyFilter{Match: "*"}, nil)
					return err
				},
				"biggest": func() error { _, err := db.FindBigKeys(t.Context(), "admin", kvdb.BigQuery{}, nil); return err },
			} {
				if err := read(); err == nil {
					t.Errorf("%s: there is no error", what)
				}
			}
		})
	}
}
