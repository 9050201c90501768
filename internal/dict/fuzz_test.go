package dict

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"webadmin/internal/kvdb"
)

// FuzzZatoName: the name of a translation is split into the parts that it was made of.
func FuzzZatoName(f *testing.F) {
	for _, x := range awkwardTranslations() {
		f.Add(x.System1, x.Key1, x.Value1, x.System2, x.Key2)
	}
	f.Add("A", "K", ":::B:::K", "B", "K")
	f.Fuzz(func(t *testing.T, system1, key1, value1, system2, key2 string) {
		if got, reason := splitZatoName(value1); (reason == "") != strings.HasPrefix(value1, zatoPrefix) && strings.Count(value1, zatoSeparator) > 5 {
			t.Errorf("%q is split into %q (%s)", value1, got, reason)
		}
		want := [5]string{system1, key1, value1, system2, key2}
		for i, name := range want {
			if i != 2 && CheckName(name) != "" {
				return
			}
		}
		if got, reason := splitZatoName(zatoPrefix + strings.Join(want[:], zatoSeparator)); got != want || reason != "" {
			t.Errorf("%q (%s), want %q", got, reason, want)
		}
	})
}

// FuzzFiles: no file makes reading panic, and no row gets into the plan that edits wouldn't take.
func FuzzFiles(f *testing.F) {
	formats := []Format{CSV, JSON, Zato}
	for _, r := range refusals {
		if len(r.file) < 10_000 {
			f.Add(r.file, uint8(strings.Index("cjz", string(r.format[:1]))))
		}
	}
	var b bytes.Buffer
	_, _ = b.ReadFrom(csvFileOf(awkwardTranslations()))
	f.Add(b.String(), uint8(0))
	b.Reset()
	_, _ = b.ReadFrom(jsonFileOf([]Entry{{System: "A", Key: "K"}}, awkwardTranslations()))
	f.Add(b.String(), uint8(1))
	b.Reset()
	_, _ = b.ReadFrom(zatoFileOf([]Entry{{System: "A", Key: "K"}}, awkwardTranslations()))
	f.Add(b.String(), uint8(2))
	f.Fuzz(func(t *testing.T, file string, format uint8) {
		rd := &reading{}
		err := rd.read(t.Context(), strings.NewReader(file), formats[int(format)%len(formats)])
		var unusable *FileError
		if err != nil && !errors.As(err, &unusable) {
			t.Fatalf("%v is no FileError", err)
		}
		if err != nil && (unusable.Message == "" || unusable.Line < 0) {
			t.Fatalf("%+v says nothing", unusable)
		}
		lines := int64(strings.Count(file, "\n") + 1)
		packed := strings.HasPrefix(file, "BZh")
		last := int64(0)
		for _, r := range rd.rejects {
			if r.Line < 1 || !packed && r.Line > lines || r.Reason == "" || err == nil && r.Line < last {
				t.Fatalf("reject %+v after line %d, of %d", r, last, lines)
			}
			last = r.Line
		}
		if err != nil {
			return
		}
		seen := map[Query]bool{}
		for i := range rd.plan.rows.refs {
			v := rd.plan.rows.fields(i)
			x := Translation{System1: v[0], Key1: v[1], Value1: v[2], System2: v[3], Key2: v[4], Value2: v[5]}
			if err := x.Check(); err != nil || seen[x.Query()] {
				t.Fatalf("row %+v is in the plan: %v", x, err)
			}
			seen[x.Query()] = true
			if line := rd.plan.rows.line(i); line < 1 || !packed && line > lines {
				t.Fatalf("row %+v stands in line %d of %d", x, line, lines)
			}
		}
		for i := range rd.plan.entries.refs {
			e, err := parseEntry(record{rd.plan.entries.row(i).key, []byte{1}})
			if err == nil {
				err = e.Check()
			}
			if err != nil {
				t.Fatalf("entry %+v is in the plan: %v", e, err)
			}
		}
	})
}

// FuzzLoneSurrogate: a JSON text that isn't found to hold half a character is read as it was written.
func FuzzLoneSurrogate(f *testing.F) {
	for _, s := range []string{`\ud83d`, `\ud83d\ude00`, `\\ud83d`, `\ude00`, `\uD83D\u0041`, `\`, `\u`, `a\"\ud800`, `\u005c\ud800`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := []byte(`"` + text + `"`)
		lone := loneSurrogate(raw)
		var v string
		if json.Unmarshal(raw, &v) != nil || strings.Contains(text, "\ufffd") || strings.Contains(strings.ToLower(text), `\ufffd`) || strings.ToValidUTF8(text, "") != text {
			return
		}
		if lone != strings.Contains(v, "\ufffd") {
			t.Errorf("%s is read as %q; lone surrogate: %v", raw, v, lone)
		}
	})
}

// FuzzBlocks: what is damaged in Redis is an error, and no panic; what is whole comes back.
func FuzzBlocks(f *testing.F) {
	good := appendRecord(appendRecord(nil, key("A", "K", "1", "B", "K"), []byte("x\x00\x011-0")), key("A"), nil)
	f.Add(good, "A\x00", "payload", uint16(3))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02abc"), "", "", uint16(0)) // lengths that overflow together
	f.Add([]byte("\x80"), "k", "p", uint16(1<<15))
	f.Fuzz(func(t *testing.T, data []byte, k, p string, n uint16) {
		rs, err := records(data)
		if err != nil && !errors.Is(err, errBlock) {
			t.Fatal(err)
		}
		var again []byte
		for _, r := range rs {
			again = appendRecord(again, r.key, r.payload)
			for _, parse := range []func() error{
				func() error { _, err := parseSource(r); return err },
				func() error { _, err := parseTarget(r); return err },
				func() error { _, err := parseEntry(r); return err },
				func() error { _, err := parseItem(r); return err },
			} {
				if err := parse(); err != nil && !errors.Is(err, errBlock) {
					t.Fatal(err)
				}
			}
		}
		if got, err2 := records(again); err == nil && (err2 != nil || len(got) != len(rs)) {
			t.Fatalf("%d records come back as %d, %v", len(rs), len(got), err2)
		}
		if b, err := decompress(string(data)); err != nil && !errors.Is(err, errBlock) || len(b) > 64<<20 {
			t.Fatal(err)
		}
		if _, err := decodeFence("id", string(data)); err != nil && !errors.Is(err, errBlock) {
			t.Fatal(err)
		}

		block := appendRecord(bytes.Clone(good), []byte(k), []byte(p))
		b, err := decompress(string(compress(nil, block)))
		if err != nil || !bytes.Equal(b, block) {
			t.Fatalf("%q comes back as %q, %v", block, b, err)
		}
		if rs, err := records(b); err != nil || len(rs) != 3 || string(rs[2].key) != k || string(rs[2].payload) != p {
			t.Fatalf("%q, %v", rs, err)
		}
		fence := fence{id: "id", first: k, n: int(n)}
		if got, err := decodeFence("id", fence.encode()); err != nil || got != fence {
			t.Fatalf("%+v, %v; want %+v", got, err, fence)
		}
	})
}

// FuzzCursors: a cursor is ours, or wrong input.
func FuzzCursors(f *testing.F) {
	f.Add("", []byte(nil))
	f.Add(encodeCursor('s', cursorNext, key("A", "K")), []byte("a"))
	f.Add("c24", []byte{0xff})
	f.Fuzz(func(t *testing.T, text string, key []byte) {
		for _, letter := range []byte("setm") {
			if _, _, err := decodeCursor(letter, text); err != nil && !errors.Is(err, kvdb.ErrInvalid) {
				t.Fatal(err)
			}
			for _, way := range []byte{cursorNext, cursorPrev} {
				if gotWay, got, err := decodeCursor(letter, encodeCursor(letter, way, key)); err != nil || gotWay != way || !bytes.Equal(got, key) {
					t.Fatalf("%c %q, %v; want %c %q", gotWay, got, err, way, key)
				}
			}
		}
		if _, err := missStart(nil, text); err != nil && !errors.Is(err, kvdb.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
