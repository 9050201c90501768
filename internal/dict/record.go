package dict

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// The runs. Their names are part of the key schema.
const (
	runSource      = iota // translations by what they map from: system1 key1 value1 system2 key2 | value2 version id
	runTarget             // translations by what they map to: system2 key2 value2 system1 key1 value1 | version id
	runTranslation        // translations by ID: id | key of runSource
	runEntry              // entries: system key value | version id
	runEntryID            // entries by ID: id | key of runEntry
	runs
)

var runNames = [runs]string{"source", "target", "translation", "entry", "entry-id"}

func appendFields(b []byte, fields ...string) []byte {
	for _, f := range fields {
		b = append(b, f...)
		b = append(b, 0)
	}
	return b
}

// key joins fields into the key of a record, or into the start of one.
func key(fields ...string) []byte { return appendFields(nil, fields...) }

// cutField cuts the first field off a key.
func cutField(b []byte) (field, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

func splitFields(b []byte, into ...*string) error {
	for _, p := range into {
		f, rest, ok := cutField(b)
		if !ok {
			return fmt.Errorf("%w: key %q", errBlock, b)
		}
		*p, b = string(f), rest
	}
	return nil
}

// skipFields returns what follows the first n fields of a key.
func skipFields(b []byte, n int) []byte {
	for ; n > 0; n-- {
		_, b, _ = cutField(b)
	}
	return b
}

// stamp is what a record says of itself besides its fields.
type stamp struct {
	version int64
	id      string
}

// stampID is the ID of a stamp as it is written.
func stampID(b []byte) []byte {
	_, n := binary.Uvarint(b)
	return b[max(n, 0):]
}

func parseStamp(b []byte) (stamp, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return stamp{}, fmt.Errorf("%w: no version", errBlock)
	}
	return stamp{version: int64(v), id: string(b[n:])}, nil
}

func (t Translation) sourceKey() []byte { return key(t.System1, t.Key1, t.Value1, t.System2, t.Key2) }

func (t Translation) targetKey() []byte {
	return key(t.System2, t.Key2, t.Value2, t.System1, t.Key1, t.Value1)
}

func (e Entry) entryKey() []byte { return key(e.System, e.Key, e.Value) }

// parseSource reads a record of runSource.
func parseSource(r record) (t Translation, err error) {
	if err = splitFields(r.key, &t.System1, &t.Key1, &t.Value1, &t.System2, &t.Key2); err != nil {
		return t, err
	}
	value2, rest, ok := cutField(r.payload)
	if !ok {
		return t, fmt.Errorf("%w: no value2", errBlock)
	}
	t.Value2 = string(value2)
	s, err := parseStamp(rest)
	t.Version, t.ID = s.version, s.id
	return t, err
}

// parseTarget reads a record of runTarget.
func parseTarget(r record) (t Translation, err error) {
	if err = splitFields(r.key, &t.System2, &t.Key2, &t.Value2, &t.System1, &t.Key1, &t.Value1); err != nil {
		return t, err
	}
	s, err := parseStamp(r.payload)
	t.Version, t.ID = s.version, s.id
	return t, err
}

// parseEntry reads a record of runEntry.
func parseEntry(r record) (e Entry, err error) {
	if err = splitFields(r.key, &e.System, &e.Key, &e.Value); err != nil {
		return e, err
	}
	s, err := parseStamp(r.payload)
	e.Version, e.ID = s.version, s.id
	return e, err
}

// newIDs makes the IDs of what a change creates: the number of the change and a number of their own, as wide
// as the last needs, so that the IDs of one change sort like their numbers.
type newIDs struct {
	prefix []byte
	width  int
}

func idsOf(version int64, total int) newIDs {
	return newIDs{append(strconv.AppendInt(nil, version, 36), '-'), len(strconv.FormatInt(int64(max(total-1, 0)), 36))}
}

func (ids newIDs) append(b []byte, n uint32) []byte {
	b = append(b, ids.prefix...)
	var digits [8]byte
	num := strconv.AppendInt(digits[:0], int64(n), 36)
	for i := len(num); i < ids.width; i++ {
		b = append(b, '0')
	}
	return append(b, num...)
}
