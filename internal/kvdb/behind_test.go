package kvdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestBehind: what may have been written is sent again with its number, before what comes later; what is refused for good is given up.
func TestBehind(t *testing.T) {
	t.Parallel()
	lost := errors.New("no answer")
	fails := map[string]error{"b": &UnknownError{Err: lost}, "d": NotDone("x", "away"), "f": Invalid("f", "refused")}
	var waiting, sent []string
	take := func() ([]string, error) {
		taken := waiting
		waiting = nil
		return taken, nil
	}
	write := func(_ context.Context, number int64, part string) error {
		sent = append(sent, fmt.Sprint(number, part))
		err := fails[part]
		delete(fails, part)
		return err
	}
	b := NewBehind[string]("count")
	for _, step := range []struct {
		gather []string
		err    error
		sent   []string
	}{
		{[]string{"a", "b", "c"}, ErrUnknown, []string{"1a", "2b"}},
		{[]string{"d"}, ErrAway, []string{"2b", "3c", "4d"}},
		{[]string{"e"}, nil, []string{"4d", "5e"}},
		{[]string{"f", "g"}, ErrInvalid, []string{"6f"}},
		{nil, nil, []string{"7g"}},
		{nil, nil, nil},
	} {
		waiting, sent = append(waiting, step.gather...), nil
		if err := b.Flush(t.Context(), take, write); !errors.Is(err, step.err) || !slices.Equal(sent, step.sent) {
			t.Errorf("%q: %v, sent %q; want %v and %q", step.gather, err, sent, step.err, step.sent)
		}
	}

	waiting = []string{"h"}
	err := b.Flush(t.Context(), take, func(ctx context.Context, _ int64, _ string) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return b.Flush(ctx, take, write) // the turn is taken
	})
	if !errors.Is(err, ErrAway) {
		t.Errorf("who can't wait for the turn: %v", err)
	}
	if other := NewBehind[string]("count"); other.Process == b.Process {
		t.Error("two processes have one name")
	}
}
