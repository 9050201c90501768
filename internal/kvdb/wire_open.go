package kvdb

import (
	"context"
	"errors"
	"time"
)

// Wire is a connection of one's own, signed in as the program user where there is one, for what is no exchange of a command and its reply.
// It is for one goroutine at a time, but Close may be called by any.
type Wire struct{ w *wire }

// The limits of one reply on a Wire.
const (
	maxWireItems = 200_000
	maxWireBytes = 32 << 20
)

// OpenWire connects to the node that has the keys. The errors are ErrAway.
func (db *DB) OpenWire(ctx context.Context, place []string) (*Wire, error) {
	to, err := db.node(ctx, place)
	if err != nil {
		return nil, ReadErr("connect", err)
	}
	w, err := db.wire(ctx, to, wireOptions{restricted: true, fresh: true})
	if err != nil {
		return nil, ReadErr("connect", err)
	}
	return &Wire{w}, nil
}

// Write sends a command.
func (w *Wire) Write(args ...string) error { return w.WriteAll([][]string{args}) }

// WriteAll sends commands in one write. It takes at most 3 s. The errors are ErrAway.
func (w *Wire) WriteAll(commands [][]string) error {
	var out []byte
	for _, args := range commands {
		out = appendRequest(out, args)
	}
	err := w.w.SetWriteDeadline(time.Now().Add(ioTimeout))
	if err == nil {
		_, err = w.w.Write(out)
	}
	return ReadErr("send", err)
}

// Read waits for the next reply until ctx ends; it may be an error. The errors are ErrAway; after one, or when the reply is too
// large (over 200,000 elements or 32 MiB), the Wire is of no more use. io.EOF is in the error when the server closed the connection.
func (w *Wire) Read(ctx context.Context) (Reply, error) {
	deadline, _ := ctx.Deadline()
	if err := w.w.SetReadDeadline(deadline); err != nil {
		return Reply{}, ReadErr("read", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.w.SetReadDeadline(time.Unix(1, 0)) })
	rr := newReplyReader(w.w.r, maxWireItems, maxWireBytes)
	reply, err := rr.read()
	switch {
	case !stop() && err == nil && ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && rr.cut:
		err = errors.New("the reply is too large")
	}
	if err != nil {
		return Reply{}, ReadErr("read", err)
	}
	return reply, nil
}

// Close closes the connection.
func (w *Wire) Close() error { return w.w.Close() }

// RemoteAddr is the address of the server.
func (w *Wire) RemoteAddr() string { return w.w.RemoteAddr().String() }
