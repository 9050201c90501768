package dict

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/klauspost/compress/s2"
)

// A run is a sorted sequence of records, cut into blocks. Blocks are immutable: a change writes new ones
// and takes the old ones out of the run's fences, in one step. So a reader who holds the fences of one
// version reads that version to its end, whoever writes meanwhile, and whatever reads many records
// (a page, a search, an export) moves a few strings instead of many members. ADR 0010 has the measurements.
//
// A record is a key and a payload. Keys are fields that each end with NUL, which no field holds: so the
// order of bytes is the order of fields, and the key of a record starts with that of what it belongs to.

// blockTarget is how many bytes a full block holds before compression. Like other limits of this package it is
// a variable so that tests reach with little data what else takes much.
var blockTarget = 32 << 10

func blockMax() int { return 2 * blockTarget }
func blockMin() int { return blockTarget / 4 } // a smaller one is joined with what follows

var errBlock = errors.New("dict: damaged block")

// record is one record of a block; its bytes belong to the block.
type record struct {
	key, payload []byte
}

// fence says where a block stands in its run.
type fence struct {
	id    string
	first string // key of the block's first record
	n     int    // records
}

func (f fence) encode() string {
	return string(binary.AppendUvarint(nil, uint64(f.n))) + f.first
}

func decodeFence(id, text string) (fence, error) {
	n, size := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
	if size <= 0 {
		return fence{}, fmt.Errorf("%w: fence %q", errBlock, id)
	}
	return fence{id: id, first: text[size:], n: int(n)}, nil
}

func appendRecord(b, key, payload []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(payload)))
	b = append(b, key...)
	return append(b, payload...)
}

// nextRecord cuts the first record off a block.
func nextRecord(b []byte) (r record, rest []byte, err error) {
	k, n := binary.Uvarint(b)
	if n <= 0 {
		return r, nil, errBlock
	}
	p, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return r, nil, errBlock
	}
	b = b[n+m:]
	if size := uint64(len(b)); k > size || p > size-k {
		return r, nil, errBlock
	}
	return record{key: b[:k:k], payload: b[k : k+p : k+p]}, b[k+p:], nil
}

// records splits a whole block.
func records(b []byte) ([]record, error) {
	out := make([]record, 0, 256)
	for len(b) > 0 {
		r, rest, err := nextRecord(b)
		if err != nil {
			return nil, err
		}
		out, b = append(out, r), rest
	}
	return out, nil
}

func compress(dst, block []byte) []byte { return s2.Encode(dst, block) }

func decompress(data string) ([]byte, error) {
	n, err := s2.DecodedLen([]byte(data[:min(len(data), 16)]))
	if err != nil || n > 64<<20 {
		return nil, errBlock
	}
	b, err := s2.Decode(make([]byte, n), []byte(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errBlock, err)
	}
	return b, nil
}

// edit puts a record into a run, or takes it out.
type edit struct {
	key, payload []byte
	remove       bool
}

// edits yields the edits of a run in the order of their keys; ok is false at the end. The bytes are good
// until the next call.
type edits func() (e edit, ok bool, err error)

// cutter cuts a stream of records into blocks of an even size.
type cutter struct {
	emit func(first string, n int, block []byte) error // block is good until emit returns
	buf  []byte
	ends []int // where each record ends

	key, payload []byte // of the edit at hand
}

func (c *cutter) size() int { return len(c.buf) }

func (c *cutter) add(key, payload []byte) error {
	c.buf = appendRecord(c.buf, key, payload)
	c.ends = append(c.ends, len(c.buf))
	if len(c.buf) < blockTarget+blockMax() {
		return nil
	}
	return c.cut(blockTarget)
}

// cut emits the first block of about size bytes.
func (c *cutter) cut(size int) error {
	n := sort.SearchInts(c.ends, size) + 1
	n = min(n, len(c.ends))
	end := c.ends[n-1]
	first, _, err := nextRecord(c.buf)
	if err != nil {
		return err
	}
	if err := c.emit(string(first.key), n, c.buf[:end]); err != nil {
		return err
	}
	c.buf = c.buf[:copy(c.buf, c.buf[end:])]
	c.ends = c.ends[:copy(c.ends, c.ends[n:])]
	for i := range c.ends {
		c.ends[i] -= end
	}
	return nil
}

// finish emits what is left, in pieces of an even size: a block that has just been split has room again.
func (c *cutter) finish() error {
	pieces := (len(c.buf) + blockMax() - 1) / blockMax()
	for ; pieces > 0 && len(c.buf) > 0; pieces-- {
		if err := c.cut((len(c.buf) + pieces - 1) / pieces); err != nil {
			return err
		}
	}
	return nil
}
