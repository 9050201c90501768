package dict

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"

	"github.com/dsnet/compress/bzip2"

	"webadmin/internal/kvdb"
)

// ExportOptions say what an export in the Zato format tells of its origin, and whether it is packed.
type ExportOptions struct {
	Host, User string
	Bzip2      bool
}

// Export writes everything, sorted, as it is at the moment of the call, whatever is changed meanwhile. It
// holds one block in memory, in the Zato format 16 bytes an entry besides. An error after the first byte
// means that w holds a part of it.
func (s *Store) Export(ctx context.Context, w io.Writer, f Format, o ExportOptions) (err error) {
	sn, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	var write func(context.Context, *bufio.Writer, *snapshot, ExportOptions) error
	switch f {
	case CSV:
		write = s.exportCSV
	case JSON:
		write = s.exportJSON
	case Zato:
		write = s.exportZato
	default:
		return kvdb.Invalid("format", "is %q; csv, json and zato are known", string(f))
	}
	if o.Bzip2 {
		z, failed := bzip2.NewWriter(w, nil)
		if failed != nil {
			return failed
		}
		w = z
		defer func() { err = errors.Join(err, z.Close()) }() // which writes most of it
	}
	bw := bufio.NewWriterSize(w, 64<<10)
	if err := write(ctx, bw, sn, o); err != nil {
		if errors.Is(err, errGone) {
			return kvdb.NotDone("export", "The export took so long that what it reads is no longer kept. Try again.")
		}
		return err
	}
	return bw.Flush()
}

func (s *Store) eachTranslation(ctx context.Context, sn *snapshot, f func(Translation) error) error {
	for r, err := range s.scan(ctx, sn.runs[runSource], []span{{}}, false) {
		if err != nil {
			return err
		}
		t, err := parseSource(r)
		if err != nil {
			return err
		}
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) eachEntry(ctx context.Context, sn *snapshot, f func(Entry) error) error {
	for r, err := range s.scan(ctx, sn.runs[runEntry], []span{{}}, false) {
		if err != nil {
			return err
		}
		e, err := parseEntry(r)
		if err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) exportCSV(ctx context.Context, w *bufio.Writer, sn *snapshot, _ ExportOptions) error {
	if _, err := w.WriteString(csvHeader + "\n"); err != nil {
		return err
	}
	c := csv.NewWriter(w)
	row := make([]string, 6)
	err := s.eachTranslation(ctx, sn, func(t Translation) error {
		row = append(row[:0], t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2)
		return c.Write(row)
	})
	c.Flush()
	return errors.Join(err, c.Error())
}

// jsonList writes a list with one element a line.
type jsonList struct {
	w     *bufio.Writer
	enc   *json.Encoder
	buf   bytes.Buffer
	first bool
}

func newJSONList(w *bufio.Writer) *jsonList {
	l := &jsonList{w: w, first: true}
	l.enc = json.NewEncoder(&l.buf)
	l.enc.SetEscapeHTML(false)
	return l
}

func (l *jsonList) add(v any) error {
	l.buf.Reset()
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	sep := ",\n"
	if l.first {
		sep, l.first = "\n", false
	}
	if _, err := l.w.WriteString(sep); err != nil {
		return err
	}
	_, err := l.w.Write(bytes.TrimRight(l.buf.Bytes(), "\n"))
	return err
}

func (s *Store) exportJSON(ctx context.Context, w *bufio.Writer, sn *snapshot, _ ExportOptions) error {
	if _, err := w.WriteString(`{"entries":[`); err != nil {
		return err
	}
	l := newJSONList(w)
	err := s.eachEntry(ctx, sn, func(e Entry) error {
		return l.add(jsonEntry{&e.System, &e.Key, &e.Value})
	})
	if err != nil {
		return err
	}
	if _, err := w.WriteString("\n],\"translations\":["); err != nil {
		return err
	}
	l = newJSONList(w)
	err = s.eachTranslation(ctx, sn, func(t Translation) error {
		return l.add(jsonTranslation{&t.System1, &t.Key1, &t.Value1, &t.System2, &t.Key2, &t.Value2})
	})
	if err != nil {
		return err
	}
	_, err = w.WriteString("\n]}\n")
	return err
}

// entryNumbers numbers the entries in their order, as the Zato format wants it. Of each it keeps a hash; in
// the rare case that two have the same, also the key.
type entryNumbers struct {
	seed    maphash.Seed
	numbers map[uint64]uint32
	clashes map[string]uint32
}

func (s *Store) numberEntries(ctx context.Context, sn *snapshot) (*entryNumbers, error) {
	n := &entryNumbers{seed: maphash.MakeSeed(), numbers: make(map[uint64]uint32, sn.runs[runEntry].total), clashes: map[string]uint32{}}
	next := uint32(0)
	for r, err := range s.scan(ctx, sn.runs[runEntry], []span{{}}, false) {
		if err != nil {
			return nil, err
		}
		next++
		h := maphash.Bytes(n.seed, r.key)
		if _, taken := n.numbers[h]; taken {
			n.clashes[string(r.key)] = next
		} else {
			n.numbers[h] = next
		}
	}
	return n, nil
}

func (n *entryNumbers) of(e Entry) string {
	k := e.entryKey()
	if number, ok := n.clashes[string(k)]; ok {
		return strconv.FormatUint(uint64(number), 10)
	}
	return strconv.FormatUint(uint64(n.numbers[maphash.Bytes(n.seed, k)]), 10)
}

func (s *Store) exportZato(ctx context.Context, w *bufio.Writer, sn *snapshot, o ExportOptions) error {
	numbers, err := s.numberEntries(ctx, sn)
	if err != nil {
		return err
	}
	about, err := json.Marshal(struct {
		Host string `json:"current_host"`
		At   string `json:"timestamp_utc"`
		User string `json:"user"`
	}{o.Host, s.now().UTC().Format("2006-01-02T15:04:05.000000"), o.User})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `{"meta":%s,"data":{"last_dict_id":%d,"dict_list":[`, about, sn.runs[runEntry].total); err != nil {
		return err
	}
	l := newJSONList(w)
	err = s.eachEntry(ctx, sn, func(e Entry) error {
		return l.add(struct {
			ID     string `json:"id"`
			System string `json:"system"`
			Key    string `json:"key"`
			Value  string `json:"value"`
		}{numbers.of(e), e.System, e.Key, e.Value})
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n],\"last_translation_id\":%d,\"translation_list\":[", sn.runs[runSource].total); err != nil {
		return err
	}
	l = newJSONList(w)
	number := 0
	err = s.eachTranslation(ctx, sn, func(t Translation) error {
		number++
		name := zatoPrefix + t.System1 + zatoSeparator + t.Key1 + zatoSeparator + t.Value1 + zatoSeparator + t.System2 + zatoSeparator + t.Key2
		return l.add(map[string]any{name: map[string]string{
			"id": strconv.Itoa(number), "id1": numbers.of(t.Source()), "id2": numbers.of(t.Target()), "value2": t.Value2,
		}})
	})
	if err != nil {
		return err
	}
	_, err = w.WriteString("\n]}}\n")
	return err
}
