package kvdb

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
)

// This file writes and reads cursors: where a list goes on, as text that nobody is to read.

// errCursor refuses what is no cursor of ours.
func errCursor() error {
	return Invalid("cursor", "is none of this list: send next_cursor of the page before, with the same filters")
}

// filterSum tells the filters of lists apart.
func filterSum(filters ...string) uint32 {
	h := fnv.New32a()
	for _, f := range filters {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(f)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(f))
	}
	return h.Sum32()
}

// A cursor of ours is a version, the sum of the filters that it is for, and texts and numbers, in base64.
const cursorVersion = 1

type cursorWriter struct{ b []byte }

func newCursor(filters uint32) *cursorWriter {
	return &cursorWriter{binary.LittleEndian.AppendUint32([]byte{cursorVersion}, filters)}
}

func (c *cursorWriter) number(n uint64) { c.b = binary.AppendUvarint(c.b, n) }

func (c *cursorWriter) text(s string) {
	c.number(uint64(len(s)))
	c.b = append(c.b, s...)
}

func (c *cursorWriter) texts(list []string) {
	c.number(uint64(len(list)))
	for _, s := range list {
		c.text(s)
	}
}

// slots writes the lengths of what is not in the set and of what is, in turn.
func (c *cursorWriter) slots(s *slotSet) {
	var runs []int
	for from, in := 0, false; from < slotCount; in = !in {
		to := from
		for to < slotCount && s.has(to) == in {
			to++
		}
		runs = append(runs, to-from)
		from = to
	}
	c.number(uint64(len(runs)))
	for _, n := range runs {
		c.number(uint64(n))
	}
}

func (c *cursorWriter) String() string { return base64.RawURLEncoding.EncodeToString(c.b) }

type cursorReader struct {
	b   []byte
	bad bool
}

func readCursor(text string, filters uint32) *cursorReader {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 5 || b[0] != cursorVersion || binary.LittleEndian.Uint32(b[1:]) != filters {
		return &cursorReader{bad: true}
	}
	return &cursorReader{b: b[5:]}
}

func (c *cursorReader) number() uint64 {
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[size:]
	return n
}

func (c *cursorReader) text() string {
	n := c.number()
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return ""
	}
	s := string(c.b[:n])
	c.b = c.b[n:]
	return s
}

func (c *cursorReader) texts() (list []string) {
	for n := c.number(); n > 0 && !c.bad; n-- {
		list = append(list, c.text())
	}
	return list
}

func (c *cursorReader) slots(s *slotSet) {
	at, in := uint64(0), false
	for n := c.number(); n > 0 && !c.bad; n-- {
		length := c.number()
		if length > slotCount-at {
			c.bad = true
			return
		}
		if in && length > 0 {
			s.add(int(at), int(at+length)-1)
		}
		at, in = at+length, !in
	}
}

// done returns errCursor if it wasn't a cursor.
func (c *cursorReader) done() error {
	if c.bad || len(c.b) > 0 {
		return errCursor()
	}
	return nil
}

func (p *place) write(c *cursorWriter) {
	c.text(p.node)
	c.text(p.run)
	c.number(p.cursor)
	c.slots(&p.slots)
	c.slots(&p.done)
	c.number(uint64(p.looked))
	c.texts(p.carry)
}

func (p *place) read(c *cursorReader) {
	p.node, p.run, p.cursor = c.text(), c.text(), c.number()
	c.slots(&p.slots)
	c.slots(&p.done)
	p.looked = int64(c.number() & (1<<62 - 1))
	p.carry = c.texts()
}
