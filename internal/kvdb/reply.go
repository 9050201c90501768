package kvdb

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a reply, as RESP3 has them.
type Kind uint8

// The kinds of replies.
const (
	KindNil Kind = iota
	KindStatus
	KindBulk
	KindInteger
	KindError
	KindArray
	KindMap
	KindSet
	KindDouble
	KindBoolean
	KindBigNumber
	KindVerbatim
	kindPush // comes between replies; never part of one
)

var kindNames = [...]string{"nil", "status", "bulk", "integer", "error", "array", "map", "set", "double", "boolean", "big_number", "verbatim", "push"}

func (k Kind) String() string { return kindNames[k] }

// Reply is what the server answers to a command.
type Reply struct {
	Kind Kind
	// Text is a scalar as the server wrote it: any bytes of a bulk or verbatim text (without its format), the text of a
	// status or error, the digits of a number; a double may also be inf, -inf or nan; a boolean is t or f.
	Text string
	// Items are the elements of an array or set; of a map, its keys and values in turn.
	Items []Reply
}

// field returns the value of a key of a map.
func (r Reply) field(name string) (Reply, bool) {
	if r.Kind != KindMap {
		return Reply{}, false
	}
	for i := 0; i+1 < len(r.Items); i += 2 {
		if r.Items[i].Text == name {
			return r.Items[i+1], true
		}
	}
	return Reply{}, false
}

// text returns the text of a field of a map.
func (r Reply) text(field string) string {
	f, _ := r.field(field)
	return f.Text
}

// integer returns the number in a field of a map.
func (r Reply) integer(field string) int64 {
	n, _ := strconv.ParseInt(r.text(field), 10, 64)
	return n
}

// The limits of what is kept of a reply.
const (
	// MaxReplyItems counts the scalars in a reply, at any depth; a key and its value count as one.
	MaxReplyItems = 10_000
	// MaxReplyBytes is the sum of their sizes.
	MaxReplyBytes = 8 << 20
	maxReplyDepth = 1000
	itemCost      = 32 // what each element costs of the bytes, so that many empty ones are bounded as well
)

// errNotRedis is the error of a reply that is none.
var errNotRedis = errors.New("the answer is not in the protocol of Redis")

// replyReader reads replies, and no more of each than its limits allow: what a server announces is not believed
// until it comes.
type replyReader struct {
	r     *bufio.Reader
	items int
	bytes int
	cut   bool // the limit was met; the connection is somewhere within the reply, unless whole is set
	whole bool // each reply is read to its end, however much of it is kept
	part  int  // what is kept of each text at most; one that is longer has its size as its only item. 0 = all; else set whole
}

func newReplyReader(r *bufio.Reader, items, bytes int) *replyReader {
	return &replyReader{r: r, items: items, bytes: bytes}
}

// read reads one reply. When it sets cut, the reply is the part before the limit.
func (rr *replyReader) read() (Reply, error) {
	for {
		r, err := rr.value(0)
		if err != nil || r.Kind != kindPush {
			return r, err
		}
		if rr.cut {
			return Reply{}, errNotRedis
		}
	}
}

func (rr *replyReader) value(depth int) (Reply, error) {
	for {
		line, err := rr.line()
		if err != nil {
			return Reply{}, err
		}
		if len(line) == 0 {
			return Reply{}, errNotRedis
		}
		text := line[1:]
		switch line[0] {
		case '+':
			return rr.scalar(KindStatus, text, true)
		case '-':
			return rr.scalar(KindError, text, true)
		case ':':
			return rr.scalar(KindInteger, text, isInteger(text))
		case '(':
			return rr.scalar(KindBigNumber, text, isInteger(text))
		case ',':
			if string(text) == "-nan" { // which is what a processor may make of 0/0
				text = text[1:]
			}
			return rr.scalar(KindDouble, text, isDouble(text))
		case '#':
			return rr.scalar(KindBoolean, text, string(text) == "t" || string(text) == "f")
		case '_':
			return rr.scalar(KindNil, text, len(text) == 0)
		case '$':
			return rr.blob(KindBulk, text)
		case '!':
			return rr.blob(KindError, text)
		case '=':
			return rr.blob(KindVerbatim, text)
		case '*':
			return rr.list(KindArray, text, depth)
		case '~':
			return rr.list(KindSet, text, depth)
		case '%':
			return rr.list(KindMap, text, depth)
		case '>':
			if depth > 0 {
				return Reply{}, errNotRedis
			}
			return rr.list(kindPush, text, depth)
		case '|': // an attribute stands before the value that it is about; nobody asks for one
			if _, err := rr.list(KindMap, text, depth); err != nil {
				return Reply{}, err
			}
			rr.bytes -= itemCost
		default:
			return Reply{}, errNotRedis
		}
		if rr.full() {
			return Reply{}, rr.skip(1)
		}
	}
}

// full says, and notes, that there is no room for what comes next.
func (rr *replyReader) full() bool {
	rr.cut = rr.cut || rr.items <= 0 || rr.bytes <= 0 && rr.part == 0
	return rr.cut
}

// line reads a line without its end. One that is longer than the limit is cut.
func (rr *replyReader) line() ([]byte, error) {
	var long []byte
	for {
		part, err := rr.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		line := part
		if long != nil || err != nil {
			long = append(long, part...)
			line = long
		}
		if err == nil {
			if !bytes.HasSuffix(line, []byte("\r\n")) {
				return nil, errNotRedis
			}
			return line[:len(line)-2], nil
		}
		if len(long) > rr.bytes {
			rr.cut = true
			return long[:max(1, rr.bytes)], rr.endLine()
		}
	}
}

// endLine reads on to the end of a line, where the reply is to be read to its end.
func (rr *replyReader) endLine() error {
	for rr.whole {
		if _, err := rr.r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	return nil
}

func (rr *replyReader) scalar(kind Kind, text []byte, ok bool) (Reply, error) {
	if !ok {
		return Reply{}, errNotRedis
	}
	rr.bytes -= len(text)
	if string(text) == "OK" { // which is most of them
		return Reply{Kind: kind, Text: "OK"}, nil
	}
	return Reply{Kind: kind, Text: string(text)}, nil
}

// size reads the number of bytes or elements that a header announces, -1 = nil.
func size(text []byte) (int, error) {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || n < -1 {
		return 0, errNotRedis
	}
	return int(n), nil
}

func (rr *replyReader) blob(kind Kind, header []byte) (Reply, error) {
	n, err := size(header)
	if err != nil || n < 0 {
		return Reply{}, err
	}
	keep := min(n, rr.room())
	rr.cut = rr.cut || keep < n && rr.part == 0
	text := make([]byte, keep)
	if _, err := io.ReadFull(rr.r, text); err != nil {
		return Reply{}, err
	}
	rr.bytes -= keep
	var items []Reply
	if keep < n {
		text = wholeRunes(text)
		if rr.part > 0 {
			items = []Reply{{Kind: KindInteger, Text: strconv.Itoa(n)}}
		}
	}
	if keep == n || rr.whole {
		if err := rr.discard(n - keep); err != nil {
			return Reply{}, err
		}
		var end [2]byte
		if _, err := io.ReadFull(rr.r, end[:]); err != nil {
			return Reply{}, err
		}
		if end != [2]byte{'\r', '\n'} {
			return Reply{}, errNotRedis
		}
	}
	if kind == KindVerbatim { // "txt:…"
		text = text[min(4, len(text)):]
	}
	return Reply{Kind: kind, Text: string(text), Items: items}, nil
}

// leastPart is what is kept of a text, where parts are, when there is no room for more.
const leastPart = 256

// room is how much of the next text may be kept.
func (rr *replyReader) room() int {
	if rr.part > 0 {
		return min(rr.part, max(rr.bytes, leastPart))
	}
	return max(0, rr.bytes)
}

// wholeRunes takes away the beginning of a character that was cut apart.
func wholeRunes(text []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if start := len(text) - i; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return text[:start]
			}
			break
		}
	}
	return text
}

func (rr *replyReader) list(kind Kind, header []byte, depth int) (Reply, error) {
	n, err := size(header)
	if err != nil || n < 0 {
		return Reply{}, err
	}
	if kind == KindMap {
		n *= 2
	}
	r := Reply{Kind: kind, Items: make([]Reply, 0, min(n, 256))}
	if n > 0 && depth >= maxReplyDepth {
		rr.cut = true
		return r, rr.skip(n)
	}
	for i := range n {
		if rr.full() {
			if err := rr.skip(n - i); err != nil {
				return Reply{}, err
			}
			break
		}
		item, err := rr.value(depth + 1)
		if err != nil {
			return Reply{}, err
		}
		rr.bytes -= itemCost
		if len(item.Items) == 0 && (kind != KindMap || i%2 == 1) {
			rr.items--
		}
		r.Items = append(r.Items, item)
		if rr.cut {
			if err := rr.skip(n - i - 1); err != nil {
				return Reply{}, err
			}
			break
		}
	}
	if kind == KindMap {
		r.Items = r.Items[:len(r.Items)/2*2] // no key without its value
	}
	return r, nil
}

// skip reads the next n values and keeps nothing of them, where the reply is to be read to its end.
func (rr *replyReader) skip(n int) error {
	for left := n; rr.whole && left > 0; left-- {
		line, err := rr.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return errNotRedis
		}
		inside := 0
		switch line[0] {
		case '+', '-', ':', '(', ',', '#', '_':
		case '$', '!', '=':
			if n, err := size(line[1:]); err != nil {
				return err
			} else if n >= 0 {
				if err := rr.discard(n + 2); err != nil {
					return err
				}
			}
		case '*', '~', '%', '|':
			if inside, err = size(line[1:]); err != nil {
				return err
			}
		default:
			return errNotRedis
		}
		switch line[0] {
		case '%':
			inside *= 2
		case '|': // and the value that it is about
			inside = 2*inside + 1
		}
		left += max(0, inside)
	}
	return nil
}

// discard reads n bytes. What is long goes past the buffer.
func (rr *replyReader) discard(n int) error {
	const piece = 64 << 10
	if n < piece {
		_, err := rr.r.Discard(n)
		return err
	}
	buf := make([]byte, piece)
	for n > 0 {
		got, err := rr.r.Read(buf[:min(n, piece)])
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

// isInteger says whether text is an integer as JSON writes it.
func isInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	return len(digits) > 0 && len(bytes.Trim(digits, "0123456789")) == 0 && (digits[0] != '0' || len(digits) == 1)
}

func isDouble(text []byte) bool {
	if len(text) > 64 {
		return false
	}
	_, err := strconv.ParseFloat(string(text), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}
