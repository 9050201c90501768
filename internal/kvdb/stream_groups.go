package kvdb

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxGroups is how many groups of a stream, and consumers of each, StreamGroups returns at most.
const maxGroups = 100

// StreamGroup is a consumer group of a stream.
type StreamGroup struct {
	Name      string
	LastID    string // the last entry that was delivered
	Lag       int64  // entries that were not delivered yet; -1 = the server can't tell
	Pending   int64  // that were delivered and not acknowledged
	First     string // IDs of the first and last pending entries; "" = none
	Last      string
	Consumers []StreamConsumer // the first 100
	Total     int64            // how many there are
}

// StreamConsumer is a consumer of a group.
type StreamConsumer struct {
	Name    string
	Pending int64
	Idle    time.Duration // since it last asked
}

// StreamGroups returns the consumer groups of a stream, the first 100, and how many there are, to somebody with the role. The errors
// are ErrNotFound, ErrAway, ErrInvalid (it is no stream) and ErrForbidden.
func (db *DB) StreamGroups(ctx context.Context, role, key string) (groups []StreamGroup, total int, err error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return nil, 0, err
	}
	if restricted && db.isOurs(key) {
		return nil, 0, db.notYours(key)
	}
	groups, total, err = db.streamGroups(ctx, key, together{wire: wireOptions{restricted: restricted}})
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		err = Invalid("key", "is no stream")
	case redis.HasErrorPrefix(err, "no such key"):
		err = ErrNotFound
	}
	return groups, total, ReadErr("stream groups", err)
}

func (db *DB) streamGroups(ctx context.Context, key string, o together) (groups []StreamGroup, total int, err error) {
	all, err := db.onNodeOf(ctx, key, o, []string{"XINFO", "GROUPS", key})
	if err != nil {
		return nil, 0, err
	}
	if err := all[0].failure(); err != nil {
		return nil, 0, err
	}
	list := all[0].reply.Items
	var commands [][]string
	for _, item := range list[:min(len(list), maxGroups)] {
		g := StreamGroup{Name: item.text("name"), LastID: item.text("last-delivered-id"), Lag: -1,
			Pending: item.integer("pending"), Total: item.integer("consumers")}
		if lag, ok := item.field("lag"); ok && lag.Kind == KindInteger {
			g.Lag = item.integer("lag")
		}
		groups = append(groups, g)
		commands = append(commands, []string{"XINFO", "CONSUMERS", key, g.Name}, []string{"XPENDING", key, g.Name})
	}
	if len(commands) == 0 {
		return nil, 0, nil
	}
	if all, err = db.onNodeOf(ctx, key, o, commands...); err != nil {
		return nil, 0, err
	}
	for i := range groups {
		g := &groups[i]
		if all[2*i].failure() != nil || all[2*i+1].failure() != nil { // it is gone since
			continue
		}
		consumers := all[2*i].reply.Items
		for _, item := range consumers[:min(len(consumers), maxGroups)] {
			g.Consumers = append(g.Consumers, StreamConsumer{
				Name: item.text("name"), Pending: item.integer("pending"), Idle: time.Duration(item.integer("idle")) * time.Millisecond,
			})
		}
		if pending := all[2*i+1].reply.Items; len(pending) == 4 {
			g.First, g.Last = pending[1].Text, pending[2].Text
		}
	}
	return groups, len(list), nil
}
