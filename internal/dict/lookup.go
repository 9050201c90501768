package dict

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/redis/go-redis/v9"
)

// lookups sends the lookups of a busy moment together: who comes while others are under way joins those who wait,
// and they go in one pipeline. Who is alone goes at once, so that gathering costs a lookup no time; under load
// it spares both sides a write and a read of the socket for each. Every lookup still has a reply and an error of its own.
type lookups struct {
	client redis.UniversalClient
	mu     sync.Mutex
	next   *lookupBatch  // waits for its turn; others join it meanwhile
	turns  chan struct{} // as many batches are under way as it has room
}

// lookupTurns is how many batches are under way at a time: the next is gathered while the reply of the other comes.
const lookupTurns = 2

type lookupBatch struct {
	asked []lookup
	cmds  []*redis.StringCmd
	done  chan struct{}
}

type lookup struct{ key, field string }

func newLookups(client redis.UniversalClient) *lookups {
	return &lookups{client: client, turns: make(chan struct{}, lookupTurns)}
}

// get returns the field of a hash, and whether there is one.
func (l *lookups) get(ctx context.Context, key, field string) (value string, found bool, err error) {
	l.mu.Lock()
	b, first := l.next, l.next == nil
	if first {
		b = &lookupBatch{done: make(chan struct{})}
		l.next = b
	}
	i := len(b.asked)
	b.asked = append(b.asked, lookup{key, field})
	l.mu.Unlock()
	if first {
		l.send(context.WithoutCancel(ctx), b) // the others' lookups don't end with this one's request
	} else {
		select {
		case <-b.done:
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
	value, err = b.cmds[i].Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	return value, err == nil, err
}

// send waits for a turn and does all that came together until then.
func (l *lookups) send(ctx context.Context, b *lookupBatch) {
	l.turns <- struct{}{}
	runtime.Gosched() // lets those who are ready join
	l.mu.Lock()
	l.next = nil
	l.mu.Unlock()
	b.cmds = make([]*redis.StringCmd, len(b.asked))
	if len(b.asked) == 1 {
		b.cmds[0] = l.client.HGet(ctx, b.asked[0].key, b.asked[0].field)
	} else {
		pipe := l.client.Pipeline()
		for i, q := range b.asked {
			b.cmds[i] = pipe.HGet(ctx, q.key, q.field)
		}
		_, _ = pipe.Exec(ctx) // each command has its error
	}
	<-l.turns
	close(b.done)
}
