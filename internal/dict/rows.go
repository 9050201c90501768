package dict

import (
	"bytes"
	"encoding/binary"
)

// arena holds many small byte strings without a header or an allocation each. A reference is good for
// the life of the arena.
type arena struct{ chunks [][]byte }

const chunkBits = 20 // 1 MiB; 32-bit references reach 4 GiB

type ref uint32

// put copies the parts, one after the other, into the arena.
func (a *arena) put(parts ...[]byte) ref {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+n > cap(a.chunks[last]) {
		size := 1 << chunkBits
		if last < 0 {
			size = 4 << 10 // an edit is small
		}
		a.chunks = append(a.chunks, make([]byte, 0, max(size, n)))
		last++
	}
	at := len(a.chunks[last])
	for _, p := range parts {
		a.chunks[last] = append(a.chunks[last], p...)
	}
	return ref(last<<chunkBits | at)
}

// at returns the bytes from the reference on; they say themselves where they end.
func (a *arena) at(r ref) []byte {
	return a.chunks[r>>chunkBits][r&(1<<chunkBits-1):]
}

// rows holds translations as they shall be, or shall not: the rows of a file, or the edits of a change.
// A row of an ordinary code list takes some 70 bytes.
//
// Its fields lie as the runs want them, each ended by NUL: system1 key1 value1 | system2 key2 | value2. The
// first part is the entry that it maps from, the two others the one that it maps to.
type rows struct {
	arena
	refs  []ref
	lines []uint32 // of the file; none when the rows come from no file
}

// row is one of rows. Its bytes belong to the arena.
type row struct {
	b              []byte
	n1, n2, n3, n4 int // where its parts end
}

func (r row) source() []byte { return r.b[rowHeader:r.n1] } // system1 key1 value1
func (r row) names2() []byte { return r.b[r.n1:r.n2] }      // system2 key2
func (r row) value2() []byte { return r.b[r.n2:r.n3] }      // value2 NUL
func (r row) key() []byte    { return r.b[rowHeader:r.n2] } // source names2: the key of runSource
func (r row) target() []byte { return r.b[r.n1:r.n3] }      // names2 value2: the entry that it maps to
func (r row) id() []byte     { return r.b[r.n3:r.n4] }      // kept by a row that is renamed or brought back; none = a new one
func (r row) remove() bool   { return r.b[0] == 1 }         // the row shall not be

const rowHeader = 8

func (rs *rows) add(source, names2, value2, id []byte, remove bool, line int64) int {
	var h [rowHeader]byte
	if remove {
		h[0] = 1
	}
	h[1] = byte(len(id))
	binary.LittleEndian.PutUint16(h[2:], uint16(len(source)))
	binary.LittleEndian.PutUint16(h[4:], uint16(len(names2)))
	binary.LittleEndian.PutUint16(h[6:], uint16(len(value2)))
	rs.refs = append(rs.refs, rs.put(h[:], source, names2, value2, id))
	if line > 0 {
		rs.lines = append(rs.lines, uint32(line))
	}
	return len(rs.refs) - 1
}

// addTranslation adds a row that puts t; its ID is kept if it has one.
func (rs *rows) addTranslation(t Translation) {
	rs.add(key(t.System1, t.Key1, t.Value1), key(t.System2, t.Key2), key(t.Value2), []byte(t.ID), false, 0)
}

// removeTranslation adds a row that takes t out.
func (rs *rows) removeTranslation(t Translation) {
	rs.add(key(t.System1, t.Key1, t.Value1), key(t.System2, t.Key2), key(t.Value2), nil, true, 0)
}

// move adds what makes one translation another, with its ID. Each natural key stands in rows once.
func (rs *rows) move(from, to Translation) {
	if from.Query() != to.Query() {
		rs.removeTranslation(from)
	}
	rs.addTranslation(to)
}

func (rs *rows) row(i int) row {
	b := rs.at(rs.refs[i])
	n1 := rowHeader + int(binary.LittleEndian.Uint16(b[2:]))
	n2 := n1 + int(binary.LittleEndian.Uint16(b[4:]))
	n3 := n2 + int(binary.LittleEndian.Uint16(b[6:]))
	return row{b, n1, n2, n3, n3 + int(b[1])}
}

func (rs *rows) line(i int) int64 {
	if i < len(rs.lines) {
		return int64(rs.lines[i])
	}
	return 0
}

// fields are the six fields of a row.
func (rs *rows) fields(i int) []string {
	r := rs.row(i)
	f := make([]string, 6)
	if err := splitFields(append(bytes.Clone(r.key()), r.value2()...), &f[0], &f[1], &f[2], &f[3], &f[4], &f[5]); err != nil {
		return nil
	}
	return f
}

func (rs *rows) compareSource(a, b int) int {
	return bytes.Compare(rs.row(a).key(), rs.row(b).key())
}

func (rs *rows) compareTarget(a, b int) int {
	x, y := rs.row(a), rs.row(b)
	if c := bytes.Compare(x.target(), y.target()); c != 0 {
		return c
	}
	return bytes.Compare(x.source(), y.source())
}

// entryRows holds entries as they shall be, or shall not.
type entryRows struct {
	arena
	refs []ref
}

type entryRow struct {
	key    []byte // system key value
	id     []byte
	remove bool
}

func (es *entryRows) add(key, id []byte, remove bool) int {
	var h [rowHeader]byte
	if remove {
		h[0] = 1
	}
	h[1] = byte(len(id))
	binary.LittleEndian.PutUint16(h[2:], uint16(len(key)))
	es.refs = append(es.refs, es.put(h[:], key, id))
	return len(es.refs) - 1
}

func (es *entryRows) addEntry(e Entry)    { es.add(e.entryKey(), []byte(e.ID), false) }
func (es *entryRows) removeEntry(e Entry) { es.add(e.entryKey(), nil, true) }

func (es *entryRows) row(i int) entryRow {
	b := es.at(es.refs[i])
	n := rowHeader + int(binary.LittleEndian.Uint16(b[2:]))
	return entryRow{key: b[rowHeader:n], id: b[n : n+int(b[1])], remove: b[0] == 1}
}

func (es *entryRows) compare(a, b int) int {
	return bytes.Compare(es.row(a).key, es.row(b).key)
}
