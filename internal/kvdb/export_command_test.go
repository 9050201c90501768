package kvdb

import (
	"bufio"
	"context"
	"io"
	"slices"
)

// ReadReply reads one reply within limits; the rest is what follows it.
func ReadReply(r io.Reader, items, bytes int) (reply Reply, cut bool, rest string, err error) {
	rr := newReplyReader(bufio.NewReader(r), items, bytes)
	if reply, err = rr.read(); err != nil || rr.cut {
		return reply, rr.cut, "", err
	}
	text, err := io.ReadAll(rr.r)
	return reply, false, string(text), err
}

// ErrNotRedis is that of a malformed reply.
var ErrNotRedis = errNotRedis

// SampleCommand is a command of the server whose keys the positions alone tell, with arguments made up.
type SampleCommand struct{ Args, Keys []string }

// SamplesOf returns one for each command of that kind.
func SamplesOf(ctx context.Context, db *DB) ([]SampleCommand, error) {
	if _, err := db.Classify(ctx, []string{"GET", "k"}); err != nil {
		return nil, err
	}
	var samples []SampleCommand
	add := func(s *commandSpec, words ...string) {
		if s.first <= 0 || s.is("movablekeys") || s.channel {
			return
		}
		n := s.arity
		if n < 0 {
			n = -n + 4
		}
		args := slices.Clone(words)
		for i := len(args); i < n; i++ {
			args = append(args, "a"+string(rune('0'+i)))
		}
		samples = append(samples, SampleCommand{args, s.plainKeys(args)})
	}
	for name, s := range db.tables.now.byName {
		add(s, name)
		for word, sub := range s.sub {
			add(sub, name, word)
		}
	}
	return samples, nil
}

// ChangeAfter runs a command on a new connection, after something else.
func (db *DB) ChangeAfter(ctx context.Context, first func(), args ...string) error {
	to, err := db.node(ctx, nil)
	if err != nil {
		return err
	}
	w, err := db.wire(ctx, to, wireOptions{fresh: true})
	if err != nil {
		return err
	}
	defer w.Close()
	first()
	_, _, err = w.do(ctx, args, 1, 1)
	return WriteErr("test", err)
}
