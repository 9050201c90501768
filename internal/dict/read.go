package dict

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// Reading a file to import: its rows go into a plan, those that can't be imported are rejected with their line
// and the reason, and what makes the whole file unusable is a FileError.

var maxFile int64 = 256 << 20 // bytes of a file, also once it is decompressed

var (
	maxRecord   int64 = 1 << 20  // bytes of one row; far more than the fields may hold
	unpackedAny int64 = 16 << 20 // bytes to which any bz2 file may unpack
)

const maxRatio = 1000 // of what a larger one unpacks to and its size; code lists have 5 to 50

// FileError says that a file as a whole can't be imported.
type FileError struct {
	Line    int64 // 0 = it is about no line
	Message string
	err     error
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return e.Message
}

// Is makes a FileError invalid input.
func (e *FileError) Is(target error) bool { return target == kvdb.ErrInvalid }

func (e *FileError) Unwrap() error { return e.err }

// ErrTooLarge says that a file is larger than an import takes.
var ErrTooLarge = errors.New("too large")

func errTooLarge() error {
	return &FileError{Message: fmt.Sprintf("The file holds more than %d MiB (unpacked, if it is packed); split it.", maxFile>>20), err: ErrTooLarge}
}

// reading is a file on its way into a plan.
type reading struct {
	plan     *plan
	rejects  []Reject
	rejected int64
	onReject func(r Reject, fields []string) // nil = nobody wants the fields
	tick     func(rows int64)
	rows     int64
	names    map[string]string // what CheckName said of names that came up
}

func (rd *reading) reject(line int64, reason string, fields []string) {
	r := Reject{Line: line, Reason: reason}
	if rd.rejected++; len(rd.rejects) < MaxRejects {
		rd.rejects = append(rd.rejects, r)
	}
	if rd.onReject != nil {
		rd.onReject(r, fields)
	}
}

func (rd *reading) checkName(name string) string {
	if message, ok := rd.names[name]; ok {
		return message
	}
	message := CheckName(name)
	if len(rd.names) < 10_000 {
		rd.names[strings.Clone(name)] = message
	}
	return message
}

var (
	translationFields = [6]string{"system1", "key1", "value1", "system2", "key2", "value2"}
	entryFields       = [3]string{"system", "key", "value"}
)

// problems says what is wrong with the fields of a row, of which each third is a value.
func (rd *reading) problems(names, fields []string) string {
	var all []string
	for i, f := range fields {
		message := ""
		if i%3 == 2 {
			message = CheckValue(f)
		} else {
			message = rd.checkName(f)
		}
		if message != "" {
			all = append(all, names[i]+" "+message)
		}
	}
	return strings.Join(all, "; ")
}

func (rd *reading) count() {
	if rd.rows++; rd.rows%20_000 == 0 && rd.tick != nil {
		rd.tick(rd.rows)
	}
}

func (rd *reading) translation(line int64, f []string) {
	rd.count()
	if reason := rd.problems(translationFields[:], f); reason != "" {
		rd.reject(line, reason, f)
		return
	}
	var scratch [512]byte
	b := appendFields(scratch[:0], f...)
	n1 := len(f[0]) + len(f[1]) + len(f[2]) + 3
	n2 := n1 + len(f[3]) + len(f[4]) + 2
	rd.plan.rows.add(b[:n1], b[n1:n2], b[n2:], nil, false, line)
}

func (rd *reading) entry(line int64, f []string) {
	rd.count()
	if reason := rd.problems(entryFields[:], f); reason != "" {
		rd.reject(line, reason, f)
		return
	}
	rd.plan.entries.add(key(f...), nil, false)
}

// read reads a file of any format. The rows that can't be imported are not in the plan.
func (rd *reading) read(ctx context.Context, r io.Reader, format Format) error {
	rd.plan, rd.names = &plan{}, map[string]string{}
	r = &ctxReader{ctx, r}
	file := &limitReader{r: r, left: maxFile}
	br := bufio.NewReaderSize(file, 64<<10)
	if start, _ := br.Peek(4); len(start) == 4 && string(start[:3]) == "BZh" && start[3] >= '1' && start[3] <= '9' {
		unpacked := &ratioReader{r: bzip2.NewReader(br), packed: file}
		br = bufio.NewReaderSize(&limitReader{r: unpacked, left: maxFile}, 64<<10)
	}
	start, err := br.Peek(4)
	if len(start) == 0 {
		return fileTrouble(ctx, 0, emptyOr(err))
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, _ = br.Discard(3)
		if _, err := br.Peek(1); err != nil {
			return fileTrouble(ctx, 0, emptyOr(err))
		}
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return &FileError{Line: 1, Message: "The file is UTF-16 text; save it as UTF-8."}
	}
	switch format {
	case CSV:
		err = rd.readCSV(br)
	case JSON:
		err = rd.readJSON(br)
	case Zato:
		err = rd.readZato(br)
	default:
		return kvdb.Invalid("format", "is %q; csv, json and zato are known", format)
	}
	if err != nil {
		return fileTrouble(ctx, 0, err)
	}
	rd.plan.rejectRows(func(i int, reason string) {
		rd.reject(rd.plan.rows.line(i), reason, rd.plan.rows.fields(i))
	})
	slices.SortStableFunc(rd.rejects, func(a, b Reject) int { return cmp.Compare(a.Line, b.Line) })
	return nil
}

func emptyOr(err error) error {
	if errors.Is(err, io.EOF) || err == nil {
		return &FileError{Message: "The file is empty."}
	}
	return err
}

// fileTrouble puts into words why a file can't be read.
func fileTrouble(ctx context.Context, line int64, err error) error {
	var file *FileError
	var bz bzip2.StructuralError
	switch {
	case errors.As(err, &file):
		if file.Line == 0 && file.err == nil {
			file.Line = line
		}
		return file
	case ctx.Err() != nil:
		return kvdb.NotDone("read the file", "The import was interrupted; nothing was imported.")
	case errors.As(err, &bz):
		return &FileError{Line: line, Message: "The bz2 file is damaged (" + strings.TrimPrefix(bz.Error(), "bzip2 data invalid: ") + ")."}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{Line: line, Message: "The file ends in the middle; it seems to have been cut off."}
	case errors.Is(err, errLongRecord):
		return &FileError{Line: line, Message: fmt.Sprintf("A row holds more than %d MiB; a closing quote may be missing.", maxRecord>>20)}
	}
	return fmt.Errorf("read the file: %w", err)
}

// ctxReader stops when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// limitReader fails when there is more than it lets through.
type limitReader struct {
	r    io.Reader
	left int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		if n, err := l.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLarge()
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}

// ratioReader reads what a packed file holds, and fails when it is out of all proportion: a few bytes that
// unpack to good rows without end.
type ratioReader struct {
	r      io.Reader
	packed *limitReader
	n      int64
}

func (r *ratioReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if r.n > unpackedAny && r.n > maxRatio*(maxFile-r.packed.left) {
		return 0, &FileError{Message: fmt.Sprintf("The file unpacks to more than %d times its size; send it unpacked.", maxRatio), err: ErrTooLarge}
	}
	return n, err
}

var errLongRecord = errors.New("a record is too long")

// recordReader bounds what one record may take, so that a missing quote doesn't read the file into memory,
// and knows in which line an offset lies.
type recordReader struct {
	r      io.Reader
	offset int64   // read so far
	start  int64   // of the record, as far as is known
	track  bool    // lines are asked for
	lines  int64   // line feeds before start
	feeds  []int64 // offsets of the line feeds behind it
}

func (rr *recordReader) Read(p []byte) (int, error) {
	if rr.offset-rr.start > maxRecord {
		return 0, errLongRecord
	}
	if len(p) > 64<<10 {
		p = p[:64<<10]
	}
	n, err := rr.r.Read(p)
	for i, b := range p[:n] {
		if rr.track && b == '\n' {
			rr.feeds = append(rr.feeds, rr.offset+int64(i))
		}
	}
	rr.offset += int64(n)
	return n, err
}

// next says that the next record starts at an offset, and returns its line.
func (rr *recordReader) next(offset int64) int64 {
	rr.start = offset
	n := 0
	for n < len(rr.feeds) && rr.feeds[n] < offset {
		n++
	}
	rr.lines += int64(n)
	rr.feeds = rr.feeds[:copy(rr.feeds, rr.feeds[n:])]
	return rr.lines + 1
}
