package kvdb

import (
	"bufio"
	"bytes"
	"io"
)

// frame is the bytes of one reply on a connection, and none of the next. What a reader leaves of them can be skipped, so that
// a reply that is cut doesn't cost the connection.
type frame struct {
	r    *bufio.Reader
	left int64 // values still to come
	text int64 // bytes of a text still to come, with the end of its line
	head []byte
}

// Read returns io.EOF after the last byte of the reply; an end of the connection before that is io.ErrUnexpectedEOF.
func (f *frame) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	if _, err := f.r.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	b, _ := f.r.Peek(min(len(p), f.r.Buffered()))
	n := copy(p, b[:f.take(b)])
	_, err := f.r.Discard(n)
	return n, err
}

// take returns how many of the bytes that come next are of this reply.
func (f *frame) take(b []byte) (n int) {
	for n < len(b) && f.left > 0 {
		if f.text > 0 {
			step := min(f.text, int64(len(b)-n))
			n += int(step)
			if f.text -= step; f.text == 0 {
				f.left--
			}
			continue
		}
		line := b[n:]
		end := bytes.IndexByte(line, '\n')
		if end >= 0 {
			line = line[:end+1]
		}
		n += len(line)
		f.head = append(f.head, line[:min(len(line), 32-min(len(f.head), 32))]...)
		if end >= 0 {
			f.header(bytes.TrimRight(f.head, "\r\n"))
			f.head = f.head[:0]
		}
	}
	return n
}

// header counts what a line announces. What is none counts as a value: whoever reads it will say that it is none.
func (f *frame) header(line []byte) {
	f.left--
	if len(line) == 0 {
		return
	}
	n, err := size(line[1:])
	if err != nil || n < 0 {
		return
	}
	switch line[0] {
	case '$', '!', '=':
		f.left++
		f.text = int64(n) + 2
	case '*', '~', '>':
		f.left += int64(n)
	case '%':
		f.left += 2 * int64(n)
	case '|': // is followed by the value that it is about
		f.left += 2*int64(n) + 1
	}
}

// whole reads one reply, or push, to its end, and keeps the part of it that the limits allow. buf is for its own use.
func (w *wire) whole(buf *bufio.Reader, items, bytes int) (r Reply, cut bool, err error) {
	f := &frame{r: w.r, left: 1}
	buf.Reset(f)
	rr := newReplyReader(buf, items, bytes)
	r, err = rr.value(0)
	if err == nil && rr.cut {
		_, err = io.Copy(io.Discard, f)
	}
	return r, rr.cut, err
}
