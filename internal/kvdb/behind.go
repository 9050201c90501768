package kvdb

import (
	"context"
	"crypto/rand"
	"errors"
)

// Behind writes what was gathered in memory, in parts, so that who adds to it waits for nothing. Each part has a number, from 1 on:
// a script that remembers the last one of the process, and takes none that is not above it, counts each part once, however often it
// is sent. One of which no answer came is sent again as it was, before all that comes after it.
type Behind[P any] struct {
	Process string // tells its numbers from those of others

	op     string
	turn   chan struct{} // holds one token: who has it writes
	number int64         // of the last part
	unsent []numbered[P] // could not be written, or may have been
}

type numbered[P any] struct {
	number int64
	part   P
}

// NewBehind returns a Behind of which nothing is gathered yet. op names what it does in errors, as in WriteErr.
func NewBehind[P any](op string) *Behind[P] {
	return &Behind[P]{Process: rand.Text(), op: op, turn: make(chan struct{}, 1)}
}

// Flush writes what could not be written before, then what take returns. What can't be written waits for the next time, unless Redis
// will never take it: that is given up, with the error that said so. One flushes at a time; the others wait, as long as ctx lets them.
func (b *Behind[P]) Flush(ctx context.Context, take func() ([]P, error), write func(ctx context.Context, number int64, part P) error) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return NotDone(b.op, "They are being written.")
	}
	if err := b.send(ctx, write); err != nil {
		return err
	}
	parts, err := take()
	if err != nil {
		return err
	}
	for _, part := range parts {
		b.number++
		b.unsent = append(b.unsent, numbered[P]{b.number, part})
	}
	return b.send(ctx, write)
}

func (b *Behind[P]) send(ctx context.Context, write func(ctx context.Context, number int64, part P) error) error {
	for len(b.unsent) > 0 {
		first := b.unsent[0]
		err := WriteErr(b.op, write(ctx, first.number, first.part))
		if errors.Is(err, ErrAway) || errors.Is(err, ErrUnknown) {
			return err
		}
		b.unsent = b.unsent[1:] // also where Redis will never take it
		if err != nil {
			return err
		}
	}
	return nil
}
