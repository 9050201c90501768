package dict

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// lookups sends the lookups of a busy moment together. Every lookup has a reply and an error of its own.
type lookups struct {
	client   redis.UniversalClient
	together *kvdb.Together[*lookup]
}

// lookup is a field of a hash that is asked for.
type lookup struct {
	key, field string
	reply      *redis.StringCmd
}

func newLookups(client redis.UniversalClient) *lookups {
	l := &lookups{client: client}
	l.together = kvdb.NewTogether(kvdb.AtOnce, l.send)
	return l
}

// get returns the field of a hash, and whether there is one.
func (l *lookups) get(ctx context.Context, key, field string) (value string, found bool, err error) {
	q := &lookup{key: key, field: field}
	if err := l.together.Add(ctx, q); err != nil {
		return "", false, err
	}
	value, err = q.reply.Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (l *lookups) send(ctx context.Context, all []*lookup) {
	if len(all) == 1 {
		all[0].reply = l.client.HGet(ctx, all[0].key, all[0].field)
		return
	}
	pipe := l.client.Pipeline()
	for _, q := range all {
		q.reply = pipe.HGet(ctx, q.key, q.field)
	}
	_, _ = pipe.Exec(ctx) // each has its error
}
