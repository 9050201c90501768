package kvdb

import (
	"context"
	"runtime"
	"sync"
)

// Together gathers what several goroutines want at the same moment, so that it is done in one go: who comes while others are under
// way joins those who wait. Who is alone goes at once, so that gathering costs no time; under load it spares both sides
// a write and a read of the socket for each.
type Together[T any] struct {
	do    func(ctx context.Context, all []T)
	mu    sync.Mutex
	next  *gathered[T]  // waits for its turn; others join it meanwhile
	turns chan struct{} // as many are under way as it has room
}

// AtOnce is how many go at a time where each is done in a moment: one more is gathered while the replies of the others come.
const AtOnce = 2

// mostTogether bounds what goes in one go.
const mostTogether = 256

type gathered[T any] struct {
	items []T
	done  chan struct{}
}

// NewTogether returns a Together that does what was gathered with do, so many at a time. The context of do doesn't end, as it is for all.
func NewTogether[T any](atOnce int, do func(ctx context.Context, all []T)) *Together[T] {
	return &Together[T]{do: do, turns: make(chan struct{}, atOnce)}
}

// Add returns when an item is done. The error is that of ctx: then the item is done, or is going to be, without its caller.
func (t *Together[T]) Add(ctx context.Context, item T) error {
	t.mu.Lock()
	g, first := t.next, t.next == nil
	if first {
		g = &gathered[T]{done: make(chan struct{})}
		t.next = g
	}
	g.items = append(g.items, item)
	if len(g.items) == mostTogether {
		t.next = nil
	}
	t.mu.Unlock()
	if first {
		t.send(context.WithoutCancel(ctx), g)
		return nil
	}
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send waits for a turn and does all that came together until then.
func (t *Together[T]) send(ctx context.Context, g *gathered[T]) {
	defer close(g.done)
	t.turns <- struct{}{}
	defer func() { <-t.turns }()
	runtime.Gosched() // lets those who are ready join
	t.mu.Lock()
	if t.next == g {
		t.next = nil
	}
	t.mu.Unlock()
	t.do(ctx, g.items)
}
