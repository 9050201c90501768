package kvdb

import (
	"bufio"
	"context"
	"io"
	"strings"
)

// This file hands replies of any size on as they come, for who wants all of one that is too large to be kept.

// Repeatable says that the command does nothing but read what somebody with the role may see all of, so that they may run it once more to get the
// whole reply: see SessionCall.RunRaw. Who doesn't get to see the keys of this program needs to name some.
func (c *Class) Repeatable(role string) bool {
	if c.Changes || c.Confirm || c.Blocking || c.scripting || role != roles[admin] && len(c.Keys) == 0 {
		return false
	}
	return c.reads || c.Dangerous || c.Name == "COMMAND" || strings.HasPrefix(c.Name, "COMMAND ") || strings.HasPrefix(c.Name, "PUBSUB ")
}

// RunRaw runs a command that is Repeatable, and writes the reply to out as redis-cli --raw does: the bytes of a text as they are, each
// element of a list on a line of its own. No more than a buffer of it is kept. An error that the server replies, a status and a push are
// returned instead, and nothing is written. The errors are ErrInvalid, where it is none of these commands or a transaction is open, those of Run, and
// what out returns.
func (c *SessionCall) RunRaw(ctx context.Context, out io.Writer) (SessionReply, error) {
	switch state := c.s.State(); {
	case !c.Repeatable(c.s.role):
		return SessionReply{}, Invalid("text", "%s can't be run once more for its reply: that is for what only reads, and names its keys", c.Name)
	case state.InTransaction || state.Watching:
		return SessionReply{}, Invalid("text", "a transaction is open in this console: end it first")
	}
	c.raw = out
	return c.Run(ctx)
}

// read reads a reply or push: all of it into r, or, where it is wanted raw and is what the command asked for, to where it goes.
func (c *SessionCall) read(w *wire) (r Reply, cut bool, err error) {
	if c.raw != nil {
		kind, err := w.r.Peek(1)
		if err != nil {
			return Reply{}, false, err
		}
		switch kind[0] {
		case '-', '!', '>', '+':
		default:
			return Reply{}, false, w.copyRaw(c.s.buf, c.raw)
		}
	}
	return w.whole(c.s.buf, MaxReplyItems, MaxReplyBytes)
}

// copyRaw writes one reply as appendRaw of the console would, without keeping it.
func (w *wire) copyRaw(buf *bufio.Reader, out io.Writer) error {
	f := &frame{r: w.r, left: 1}
	buf.Reset(f)
	to := bufio.NewWriterSize(out, rawBuffer)
	kind, err := (&rawCopier{newReplyReader(buf, 1, rawLine), to}).value(0)
	if err == nil && kind >= KindArray && kind <= KindSet { // a text is given as it is, without a new line of ours
		err = to.WriteByte('\n')
	}
	if err == nil {
		err = to.Flush()
	}
	return err
}

const (
	rawBuffer = 64 << 10
	rawLine   = 64 << 10 // bytes of a number or status
)

type rawCopier struct {
	*replyReader
	out *bufio.Writer
}

// value copies a value and returns of which kind it was.
func (rc *rawCopier) value(depth int) (Kind, error) {
	if depth > maxReplyDepth {
		return KindNil, errNotRedis
	}
	head, err := rc.r.Peek(1)
	if err != nil {
		return KindNil, err
	}
	switch head[0] {
	case '$', '!':
		return rc.text(KindBulk, 0)
	case '=':
		return rc.text(KindVerbatim, len("txt:"))
	case '*':
		return rc.items(KindArray, depth)
	case '~':
		return rc.items(KindSet, depth)
	case '%':
		return rc.items(KindMap, depth)
	}
	rc.bytes = rawLine
	r, err := rc.replyReader.value(depth)
	if err == nil && rc.cut {
		err = errNotRedis
	}
	if err != nil {
		return KindNil, err
	}
	text := r.Text
	if r.Kind == KindBoolean {
		text = map[string]string{"t": "(true)"}[r.Text]
		if text == "" {
			text = "(false)"
		}
	}
	_, err = rc.out.WriteString(text)
	return r.Kind, err
}

// header reads what stands before a text or list: its size, -1 = nil.
func (rc *rawCopier) header() (int, error) {
	rc.bytes = rawLine
	line, err := rc.line()
	if err != nil || len(line) == 0 {
		return 0, err
	}
	return size(line[1:])
}

// text copies a text but for the first bytes.
func (rc *rawCopier) text(kind Kind, but int) (Kind, error) {
	n, err := rc.header()
	if err != nil || n < 0 {
		return KindNil, err
	}
	if err := rc.discard(min(but, n)); err != nil {
		return KindNil, err
	}
	if _, err := io.CopyN(rc.out, rc.r, int64(max(0, n-but))); err != nil {
		return KindNil, err
	}
	return kind, rc.discard(len("\r\n"))
}

// items copies the elements of a list; a map has a blank between key and value.
func (rc *rawCopier) items(kind Kind, depth int) (Kind, error) {
	n, err := rc.header()
	if err != nil || n < 0 {
		return KindNil, err
	}
	if kind == KindMap {
		n *= 2
	}
	for i := range n {
		if i > 0 {
			between := byte('\n')
			if kind == KindMap && i%2 == 1 {
				between = ' '
			}
			if err := rc.out.WriteByte(between); err != nil {
				return KindNil, err
			}
		}
		if _, err := rc.value(depth + 1); err != nil {
			return KindNil, err
		}
	}
	return kind, nil
}
