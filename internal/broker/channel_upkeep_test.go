package broker

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// TestOldMessagesGo: those that are older than the settings say, and no others.
func TestOldMessagesGo(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		t.Parallel()
		s, ctx := New(db, Options{}), t.Context()
		defer s.Close(context.Background())
		now := time.Now()
		for _, c := range []struct {
			name     string
			old, new int
		}{{"none", 0, 5}, {"some", 150, 7}, {"one", 1, 1}, {"all", 20, 0}, {"empty", 0, 0}} {
			log := s.keys.Channel(c.name).Log()
			if err := s.channels.list(ctx, s, c.name); err != nil {
				t.Fatal(err)
			}
			for i := range c.old + c.new {
				at := now.Add(-8 * 24 * time.Hour)
				if i >= c.old {
					at = now
				}
				id := strconv.Itoa(i+1) + "-0"
				if err := db.Client().XAdd(ctx, &redis.XAddArgs{Stream: log, ID: id, Values: []any{"t", at.UnixMilli(), "by", "", "m", "1"}}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if next, err := s.trimSome(ctx, ""); next != "" || err != nil {
				t.Fatalf("%q, %v", next, err)
			}
			if n := db.Client().XLen(ctx, log).Val(); n != int64(c.new) {
				t.Errorf("%s: %d stay, want %d", c.name, n, c.new)
			}
		}
	})
}
