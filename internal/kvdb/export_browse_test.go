package kvdb

import (
	"bufio"
	"io"
)

// SlotOf is where a cluster puts a key.
var SlotOf = slotOf

// ReadParts reads one reply to its end, of which it keeps what limits allow; rest is what follows it.
func ReadParts(r io.Reader, items, bytes, part int) (reply Reply, cut bool, rest string, err error) {
	rr := newReplyReader(bufio.NewReader(r), items, bytes)
	rr.whole, rr.part = true, part
	if reply, err = rr.read(); err != nil {
		return reply, rr.cut, "", err
	}
	text, err := io.ReadAll(rr.r)
	return reply, rr.cut, string(text), err
}
