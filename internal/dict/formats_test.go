package dict

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsnet/compress/bzip2"
	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// head is the header of a CSV file and a good row.
const head = csvHeader + "\nA,K,1,B,K,one\n"

// refusal is a file that isn't imported. Either it is unusable, for what message says and in the line, or
// it has rows that are rejected.
type refusal struct {
	name    string
	format  Format
	file    string
	line    int64
	message string // part of it
	rejects []Reject
}

// row is a JSON translation with one more field, or other, before its end.
func jsonRow(value1, more string) string {
	return `{"system1":"A","key1":"K","value1":"` + value1 + `","system2":"B","key2":"K"` + more + `}`
}

func zatoFile(translations ...string) string {
	return "{\"data\": {\n\"translation_list\": [\n" + strings.Join(translations, ",\n") + "\n]}}"
}

func utf16(text string, big bool) string {
	var b []byte
	for _, r := range "\ufeff" + text {
		if big {
			b = append(b, byte(r>>8), byte(r))
		} else {
			b = append(b, byte(r), byte(r>>8))
		}
	}
	return string(b)
}

// deep is garbage with 100,000 brackets.
var deep = strings.Repeat("[", 100_000)

var refusals = []refusal{
	// CSV, the whole file.
	{name: "empty", format: CSV, message: "The file is empty."},
	{name: "byte order mark alone", format: CSV, file: "\ufeff", message: "The file is empty."},
	{name: "line feeds alone", format: CSV, file: "\n\n", message: "The file is empty."},
	{name: "UTF-16", format: CSV, file: utf16(head, false), line: 1, message: "UTF-16 text; save it as UTF-8"},
	{name: "UTF-16, big endian", format: CSV, file: utf16(head, true), line: 1, message: "UTF-16 text; save it as UTF-8"},
	{name: "no header", format: CSV, file: "A,K,1,B,K,one\n", line: 1, message: `The first line must be ` + csvHeader + `; it is "A,K,1,B,K,one".`},
	{name: "semicolons", format: CSV, file: strings.ReplaceAll(head, ",", ";"), line: 1, message: "separated by another sign: save the file with commas"},
	{name: "tabs", format: CSV, file: strings.ReplaceAll(head, ",", "\t"), line: 1, message: "separated by another sign: save the file with commas"},
	{name: "upper case header", format: CSV, file: strings.ToUpper(head), line: 1, message: "Write it in lower case and without blanks"},
	{name: "header with blanks", format: CSV, file: strings.ReplaceAll(head, ",", ", "), line: 1, message: "Write it in lower case and without blanks"},
	{name: "header cut off", format: CSV, file: "system1,key1", line: 1, message: "The first line must be"},
	{name: "header of a damaged quote", format: CSV, file: "\"system1\nx", line: 1, message: "quoted field that ends wrongly in line 2"},
	{name: "field of 10 MiB", format: CSV, file: head + "A,K,2,B,K," + strings.Repeat("x", 10<<20) + "\n", line: 3, message: "A row holds more than 1 MiB"},
	{name: "unclosed quote in a big file", format: CSV, line: 6, message: "a closing quote may be missing",
		file: head + "A,K,\"2\n\n\",B,K,\"two\" \nA,K,\"3,B,K,three\n" + strings.Repeat("A,K,4,B,K,four\n", 100_000)},
	{name: "another format", format: CSV, file: `{"entries":[]}`, line: 1, message: "The line has a quote in the middle of a field"},

	// CSV, rows.
	{name: "columns", format: CSV, file: head + "A,K,2,B,K\nA,K,3,B,K,three,more\n\nA,K,4,B,K,four\nx\n", rejects: []Reject{
		{3, "has 5 columns; 6 are expected"}, {4, "has 7 columns; 6 are expected"}, {7, "has 1 columns; 6 are expected"}}},
	{name: "duplicates", format: CSV, file: head + "A,K,2,B,K,two\nA,K,1,B,K,one\nA,K,2,B,K,two\nA,K,1,B,K,one\n", rejects: []Reject{
		{4, "the same translation is in line 2"}, {5, "the same translation is in line 3"}, {6, "the same translation is in line 2"}}},
	{name: "conflicts", format: CSV, file: head + "A,K,2,B,K,two\nA,K,1,B,K,won\nA,K,3\n", rejects: []Reject{
		{4, `conflicts with line 2, which translates it to "one"`}, {5, "has 3 columns"}}},
	{name: "Latin-1", format: CSV, file: head + "A,K,gr\xfcn,B,K,two\nA,\xfc,2,B,K,two\n", rejects: []Reject{
		{3, "value1 is not UTF-8 text: byte 0xFC at offset 2"}, {4, "key1 is not UTF-8 text"}}},
	{name: "control characters", format: CSV, file: head + "A,K,\x00,B,K,2\nA,K,a\rb,B,K,3\nA,K,\x1b[1m,B,K,4\nA,K,ż\x7f,B,K,5\nA,K,\u0085,B,K,6\n", rejects: []Reject{
		{3, "value1 holds the control character U+0000; of these only tab and line feed are allowed"}, {4, "U+000D"}, {5, "U+001B"}, {6, "U+007F"}, {7, "U+0085"}}},
	{name: "value too long", format: CSV, file: head + "A,K," + strings.Repeat("é", 2048) + ",B,K,x\nA,K,y,B,K,x" + strings.Repeat("é", 2048) + "\n", rejects: []Reject{
		{4, "value2 is longer than 4096 bytes (it has 4097)"}}},
	{name: "names", format: CSV, file: head + ",K,2,B,K,2\nA,K:,2,B,K,2\nA,K,2," + strings.Repeat("ż", 129) + ",K,2\n A,K,2,B,a/b,2\nA,{K},2,B,K,2\n", rejects: []Reject{
		{3, "system1 is empty"}, {4, "key1 holds ':'; letters, digits, _ - and . are allowed"}, {5, "system2 is longer than 128 characters"},
		{6, `system1 holds ' '; letters, digits, _ - and . are allowed; key2 holds '/'`}, {7, "key1 holds '{'"}}},
	{name: "quotes", format: CSV, file: head + "A,K,a\"b,B,K,2\nA,K,\"a\"b,B,K,3\nA,K,4,B,K,four\nA,K,\"5\n6\"x,B,K,\"7\nA,K,8,B,K,eight", rejects: []Reject{
		{3, "has a quote in the middle of a field (column 6)"}, {4, "has text behind a closing quote (column 7)"},
		{6, "has a quoted field that ends wrongly in line 7, column 2"}}},
	{name: "unclosed quote", format: CSV, file: head + "A,K,2,B,K,two\nA,K,\"3,B,K,three\nA,K,4,B,K,four\n", rejects: []Reject{{4, "has a quoted field that ends wrongly in line 5"}}},
	{name: "cut off in a row", format: CSV, file: head + "A,K,2,B", rejects: []Reject{{3, "has 4 columns"}}},

	// bz2.
	{name: "bz2 cut off", format: CSV, file: bz2(head)[:40], message: "The file ends in the middle; it seems to have been cut off."},
	{name: "bz2 cut off in its header", format: CSV, file: bz2(head)[:4], message: "The file ends in the middle"},
	{name: "bz2 damaged", format: CSV, file: strings.Replace(bz2(head), bz2(head)[30:32], "\x00\x00", 1), message: "The bz2 file is damaged ("},
	{name: "bz2 with something behind", format: CSV, file: bz2(head) + "something", message: "The bz2 file is damaged ("},
	{name: "bz2 of nothing", format: CSV, file: bz2(""), message: "The file is empty."},
	{name: "bz2 in bz2", format: CSV, file: bz2(bz2(head)), line: 1, message: "The "},
	{name: "bz2, JSON cut off", format: JSON, file: bz2("{\"entries\":\n["), line: 2, message: "The file ends in the middle"},

	// JSON, the whole file.
	{name: "JSON, empty", format: JSON, message: "The file is empty."},
	{name: "JSON, byte order mark alone", format: JSON, file: "\ufeff", message: "The file is empty."},
	{name: "JSON, blanks alone", format: JSON, file: " \n ", line: 2, message: "The file ends in the middle"},
	{name: "JSON, UTF-16", format: JSON, file: utf16("{}", false), line: 1, message: "UTF-16"},
	{name: "JSON, list", format: JSON, file: "\n[]", line: 2, message: "The file must be an object."},
	{name: "JSON, text", format: JSON, file: `"x"`, line: 1, message: "The file must be an object."},
	{name: "JSON, nothing in it", format: JSON, file: "{}", line: 1, message: "The file holds neither entries nor translations."},
	{name: "JSON, CSV", format: JSON, file: head, line: 1, message: "This is not JSON: invalid character 's' looking for beginning of value."},
	{name: "JSON, HTML", format: JSON, file: "\n<html>", line: 2, message: "This is not JSON: invalid character '<'"},
	{name: "JSON, entries are no list", format: JSON, file: "{\n\"entries\": {}}", line: 2, message: "entries must be a list."},
	{name: "JSON, translations are null", format: JSON, file: "{\"translations\":\nnull}", line: 2, message: "translations must be a list."},
	{name: "JSON, unknown part", format: JSON, file: "{\"entries\":[],\n\"users\":[]}", line: 2, message: `The file holds "users"; entries and translations are known.`},
	{name: "JSON, export of the old system", format: JSON, file: zatoFile(), line: 1, message: "choose the format zato"},
	{name: "JSON, trailing garbage", format: JSON, file: "{\"entries\":[]}\n\nx", line: 3, message: "This is not JSON: invalid character 'x'"},
	{name: "JSON, two files", format: JSON, file: "{\"entries\":[]}\n{\"entries\":[]}", line: 2, message: "Something follows the end of the object: {."},
	{name: "JSON, missing comma", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x"`) + "\n" + jsonRow("2", `,"value2":"x"`) + "]}", line: 3, message: "This is not JSON: expected comma after array element."},
	{name: "JSON, missing bracket", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x"`) + "\n}", line: 3, message: "This is not JSON"},
	{name: "JSON, syntax error far down", format: JSON, line: 503, message: "This is not JSON: invalid character 'x' after object key:value pair.",
		file: "{\"translations\":[\n" + strings.Repeat(jsonRow("1", `,"value2":"x"`)+" ,\n", 500) + "{\"system1\":\"A\"\nx\n}]}"},
	{name: "JSON, deep garbage", format: JSON, file: "{\"entries\":[\n" + deep, line: 2, message: "This is not JSON: invalid character '[' exceeded max depth."},
	{name: "JSON, deep garbage in a field", format: JSON, file: "{\"entries\":[\n{\"system\":" + deep, line: 2, message: "This is not JSON: invalid character '[' exceeded max depth."},
	{name: "JSON, deep garbage at the start", format: JSON, file: deep, line: 1, message: "The file must be an object."},
	{name: "JSON, cut off", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x"`) + ",\n{\"system1\":", line: 3, message: "The file ends in the middle; it seems to have been cut off."},
	{name: "JSON, cut off between rows", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x"`) + ",", line: 2, message: "The file ends in the middle"},
	{name: "JSON, cut off before the last bracket", format: JSON, file: "{\"translations\":[\n]", line: 2, message: "The file ends in the middle"},
	{name: "JSON, field of 10 MiB", format: JSON, file: "{\"entries\":[\n{\"system\":\"" + strings.Repeat("x", 10<<20) + `"}]}`, line: 2, message: "A row holds more than 1 MiB"},

	// JSON, rows.
	{name: "JSON, wrong types", format: JSON, file: "{\"entries\":[5,\n\"x\",\nnull,\n[],\ntrue,{\"system\":\"A\",\"key\":5,\"value\":\"\"},\n" + `{"system":"A","key":"K","value":{}}], "translations":[` + "\n" +
		jsonRow("1", `,"value2":1e5`) + ",\n" + jsonRow("2", `,"value2":null`) + "]}",
		rejects: []Reject{{1, "is not an object, but a number"}, {2, "is not an object, but a string"}, {3, "has no system, key, value"}, {4, "is not an object, but a array"}, {5, "is not an object, but a bool"},
			{5, "key is not text, but a number"}, {6, "value is not text, but a object"}, {7, "value2 is not text, but a number"}, {8, "has no value2"}}},
	{name: "JSON, missing fields", format: JSON, file: "{\"entries\":[{},\n{\"system\":\"A\",\"value\":\"\"}],\"translations\":[\n{},\n" + jsonRow("1", "") + "]}",
		rejects: []Reject{{1, "has no system, key, value"}, {2, "has no key"}, {3, "has no system1, key1, value1, system2, key2, value2"}, {4, "has no value2"}}},
	{name: "JSON, unknown field", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x","id":"7"`) + "]}", rejects: []Reject{{2, `unknown field "id"`}}},
	{name: "JSON, halves of characters", format: JSON, file: "{\"translations\":[\n" + jsonRow(`\ud83d`, `,"value2":"x"`) + ",\n" + jsonRow(`\ude00`, `,"value2":"x"`) + ",\n" +
		jsonRow(`\ud83d\u0041`, `,"value2":"x"`) + ",\n" + jsonRow(`\ud83d\ud83d\ude00`, `,"value2":"x"`) + ",\n" + jsonRow(`\ud83d\ude00`, `,"value2":"\\ud83d"`) + "]}",
		rejects: []Reject{{2, "holds half of a surrogate pair"}, {3, "holds half of a surrogate pair"}, {4, "holds half of a surrogate pair"}, {5, "holds half of a surrogate pair"}}},
	{name: "JSON, not UTF-8", format: JSON, file: "{\"translations\":[\n" + jsonRow("gr\xfcn", `,"value2":"x"`) + "]}", rejects: []Reject{{2, "is not UTF-8 text"}}},
	{name: "JSON, control characters", format: JSON, file: "{\"translations\":[\n" + jsonRow(`a\u0000b`, `,"value2":"\r\n"`) + "]}", rejects: []Reject{{2, "value1 holds the control character U+0000; of these only tab and line feed are allowed; value2 holds the control character U+000D"}}},
	{name: "JSON, duplicates", format: JSON, file: "{\"translations\":[\n" + jsonRow("1", `,"value2":"x"`) + ",\n" + jsonRow("1", `,"value2":"y"`) + "]}", rejects: []Reject{{3, `conflicts with line 2, which translates it to "x"`}}},
	{name: "JSON, names", format: JSON, file: `{"entries":[{"system":"","key":"a b","value":""}]}`, rejects: []Reject{{1, "system is empty; key holds ' '"}}},

	// Zato.
	{name: "zato, empty", format: Zato, message: "The file is empty."},
	{name: "zato, no data", format: Zato, file: `{"meta":{}}`, line: 1, message: "The file has no data; it is no export of the old system."},
	{name: "zato, nothing in the data", format: Zato, file: `{"data":{}}`, line: 1, message: "The file has no data; it is no export of the old system."},
	{name: "zato, data is a list", format: Zato, file: "{\"data\":\n[]}", line: 2, message: "data must be an object."},
	{name: "zato, trailing garbage", format: Zato, file: zatoFile() + "\n}", line: 5, message: "This is not JSON: invalid character '}'"},
	{name: "zato, deep garbage", format: Zato, file: "{\"meta\":\n" + deep, line: 2, message: "This is not JSON: invalid character '[' exceeded max depth."},
	{name: "zato, cut off", format: Zato, file: zatoFile()[:20], line: 2, message: "The file ends in the middle"},
	{name: "zato, foreign Redis keys", format: Zato, file: zatoFile(`{"zato:kvdb:data-dict:item":{"value2":"x"}}`, `{"kvdb:{dict}:version":{"value2":"x"}}`), rejects: []Reject{
		{3, `names the Redis key "zato:kvdb:data-dict:item", which is no translation; it must start with zato:kvdb:data-dict:translation:::`}, {4, `names the Redis key "kvdb:{dict}:version"`}}},
	{name: "zato, names with too few parts", format: Zato, file: zatoFile(`{"`+zatoPrefix+`A:::K:::1:::B":{"value2":"x"}}`, `{"`+zatoPrefix+`":{"value2":"x"}}`), rejects: []Reject{
		{3, "has too few parts"}, {4, "has too few parts"}}},
	{name: "zato, bad names", format: Zato, file: zatoFile(`{"`+zatoPrefix+`A::::::1:::B:::K":{"value2":"x"}}`, `{"`+zatoPrefix+`A:::K:::1:::B:::k:k":{"value2":"x"}}`), rejects: []Reject{
		{3, "key1 is empty"}, {4, "key2 holds ':'"}}},
	{name: "zato, wrong types", format: Zato, file: zatoFile(`5`, `null`, `{}`, `{"`+zatoPrefix+`A:::K:::1:::B:::K":null}`, `{"`+zatoPrefix+`A:::K:::2:::B:::K":"x"}`, `{"`+zatoPrefix+`A:::K:::3:::B:::K":{"value2":3}}`), rejects: []Reject{
		{3, "is not an object, but a number"}, {4, "names no translation"}, {5, "names no translation"}, {6, "has no value2"}, {7, "is not an object, but a string"}, {8, "value2 is not text, but a number"}}},
	{name: "zato, unknown field", format: Zato, file: zatoFile(`{"` + zatoPrefix + `A:::K:::3:::B:::K":{"value2":"3","ttl":5}}`), rejects: []Reject{{3, `unknown field "ttl"`}}},
	{name: "zato, entries", format: Zato, file: "{\"data\":{\"dict_list\":[\n{\"id\":5,\"system\":\"A\"},\n7]}}", rejects: []Reject{{2, "has no key, value"}, {3, "is not an object, but a number"}}},
}

func bz2(text string) string {
	var b bytes.Buffer
	z, err := bzip2.NewWriter(&b, nil)
	if err == nil {
		_, err = io.WriteString(z, text)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		panic(err) // it writes to memory
	}
	return b.String()
}

// TestRefusedFiles: whatever is wrong with a file, its line and the reason are told, and nothing is written.
func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	m := newModel()
	m.mustCreate(t, s, tr("PL", "Polska"), Translation{System1: "A", Key1: "K", Value1: "1", System2: "B", Key2: "K", Value2: "old"})
	before, _ := keysOf(t, s)
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			modes := []Mode{Merge, Replace}
			if len(r.file) > 1<<20 {
				modes = modes[1:]
			}
			for _, mode := range modes {
				for _, dry := range []bool{true, false} {
					res, err := s.Import(t.Context(), By{Op: "op " + r.name}, strings.NewReader(r.file), ImportOptions{Format: r.format, Mode: mode, DryRun: dry})
					r.checkError(t, res, err, dry)
				}
			}
			after, expiring := keysOf(t, s)
			same(t, "what Redis holds", before, after)
			for _, k := range expiring {
				if !strings.HasPrefix(k, s.keys.Op("")) && !strings.HasPrefix(k, s.keys.Block("")) { // of the setup
					t.Errorf("%s is left", k)
				}
			}
		})
	}
	m.check(t, s)
}

func (r refusal) checkError(t *testing.T, res ImportResult, err error, dry bool) {
	t.Helper()
	if r.rejects == nil {
		var file *FileError
		if !errors.As(err, &file) || !errors.Is(err, kvdb.ErrInvalid) {
			t.Fatalf("%+v, %v; want a FileError", res, err)
		}
		if file.Line != r.line || !strings.Contains(file.Message, r.message) {
			t.Errorf("line %d: %s\nwant line %d: …%s…", file.Line, file.Message, r.line, r.message)
		}
		return
	}
	if !dry {
		var rejected *RejectedError
		if !errors.As(err, &rejected) || !errors.Is(err, kvdb.ErrInvalid) {
			t.Fatalf("%+v, %v; want a RejectedError", res, err)
		}
		if !strings.HasSuffix(err.Error(), "; nothing was imported") || !strings.Contains(err.Error(), fmt.Sprintf("line %d: ", r.rejects[0].Line)) {
			t.Errorf("the error is %q", err)
		}
		res = rejected.Result
	} else if err != nil {
		t.Fatal(err)
	}
	if res.Change != "" {
		t.Errorf("change %s was made", res.Change)
	}
	if res.RejectedTotal != int64(len(r.rejects)) {
		t.Errorf("%d rejected, want %d", res.RejectedTotal, len(r.rejects))
	}
	if !slices.EqualFunc(r.rejects, res.Rejected, func(want, got Reject) bool {
		return want.Line == got.Line && strings.Contains(got.Reason, want.Reason)
	}) {
		t.Errorf("rejected (-want +got)\n%s", cmp.Diff(r.rejects, res.Rejected))
	}
}

func TestWrongImportOptions(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	for _, o := range []ImportOptions{{Format: "xml", Mode: Merge}, {Mode: Merge}, {Format: CSV}, {Format: CSV, Mode: "overwrite"}} {
		if _, err := s.Import(t.Context(), By{}, strings.NewReader(head), o); !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", o, err)
		}
	}
}

// counting counts what is read of it.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], e.text[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.text)
	}
	return n, nil
}

// TestOneRowDoesNotFillTheMemory: what looks like one endless row is given up after little of it.
func TestOneRowDoesNotFillTheMemory(t *testing.T) {
	set(t, &maxRecord, 128<<10)
	for _, c := range []struct {
		name, start, rest string
		format            Format
	}{
		{"unclosed quote", head + `A,K,"`, "A,K,2,B,K,two\n", CSV},
		{"endless line", head, "x", CSV},
		{"endless header", "", "x", CSV},
		{"empty lines", head, "\n", CSV},
		{"endless text", `{"entries":[{"system":"`, "x", JSON},
		{"endless number", `{"entries":[`, "1", JSON},
		{"endless blanks", `{"entries":[`, " \n", JSON},
		{"endless blanks before", ``, " ", JSON},
		{"endless list in a row", `{"entries":[[`, "1,", JSON},
		{"endless name", `{"`, "x", JSON},
		{"endless meta", `{"meta":"`, "x", Zato},
		{"endless parts", `{`, `"a":1,`, Zato},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &counting{r: io.MultiReader(strings.NewReader(c.start), &endless{text: c.rest})}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := (&reading{}).read(t.Context(), in, c.format)
			runtime.ReadMemStats(&after)
			var file *FileError
			if !errors.As(err, &file) || !strings.Contains(file.Message, "A row holds more than") {
				t.Errorf("%v, want a FileError", err)
			}
			if in.n > 3*maxRecord {
				t.Errorf("%d bytes were read", in.n)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
		})
	}
}

// bombs are 40 MiB of one byte each, packed.
var bombs = map[string]string{
	"x":  "425a68393141592653598fd7af47014141008080410008200030cc0529a6409026c502409e2ee48a70a1211faf5e8e",
	"\n": "425a6839314159265359b985e9e80141414080801000010008200030cc0529a6409026c502409e2ee48a70a121730bd3d0",
	" ":  "425a683931415926535993a0cba00141411080c00000010008200030cc0529a6409026c502409e2ee48a70a12127419740",
}

// TestPackedBomb: a few hundred bytes that unpack to 280 MiB are refused at once.
func TestPackedBomb(t *testing.T) {
	set(t, &maxRecord, 128<<10)
	s := newStore(t, kvtest.Open(t))
	for _, c := range []struct {
		name, start, of string
		format          Format
	}{
		{"line", head, "x", CSV}, {"lines", head, "\n", CSV}, {"text", `{"entries":["`, "x", JSON}, {"blanks", `{"data":`, " ", Zato},
	} {
		t.Run(c.name, func(t *testing.T) {
			part, err := hex.DecodeString(bombs[c.of])
			must(t, err)
			file := bz2(c.start) + strings.Repeat(string(part), 7)
			if len(file) > 600 {
				t.Fatalf("the bomb has %d bytes", len(file))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = s.Import(ctx, By{}, strings.NewReader(file), ImportOptions{Format: c.format, Mode: Merge})
			runtime.ReadMemStats(&after)
			var failed *FileError
			if !errors.As(err, &failed) || !strings.Contains(failed.Message, "A row holds more than") {
				t.Errorf("%v, want a FileError", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
		})
	}
}

// TestPackedRowsWithoutEnd: a bomb of good rows is given up, too, before they fill the memory.
func TestPackedRowsWithoutEnd(t *testing.T) {
	set(t, &unpackedAny, 128<<10)
	for _, c := range []struct {
		name, part string // the same row again and again
		rows       int64
		bomb       bool
	}{
		{"bomb", "425a6839314159265359fc19143c03e7ffdd8000100004100030080000848020009020c9880a5483d0c004aac004aaf8012abf004aac004aaf4012ab0012ab0012ab400a953800955a004aae00255745dc914e14243f06450f00", 64_000, true},
		{"dull file", "425a683931415926535953bfe6c3007cffdd8000100004100030080000848020009020c9880a5483d0c02556012abe02557e04aac02557a04aac02556012ab4054a9c0255680955c0255745dc914e142414eff9b0c", 8000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			part, err := hex.DecodeString(c.part)
			must(t, err)
			rd := &reading{}
			err = rd.read(t.Context(), strings.NewReader(bz2(head)+string(part)), CSV)
			if !c.bomb {
				if err != nil || rd.rows != c.rows+1 {
					t.Errorf("%d rows, %v", rd.rows, err)
				}
				return
			}
			if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "unpacks to more than 1000 times its size") {
				t.Errorf("%v, want ErrTooLarge", err)
			}
			if rd.rows > c.rows/2 {
				t.Errorf("%d rows were read", rd.rows)
			}
		})
	}
}

// TestTooLarge: the limit is that of the file, and of what it unpacks to.
func TestTooLarge(t *testing.T) {
	s := newStore(t, kvtest.Open(t))
	var rows strings.Builder
	rows.WriteString(csvHeader + "\n")
	for i := range 1000 {
		fmt.Fprintf(&rows, "A,K,%d,B,K,x\n", i)
	}
	set(t, &maxFile, int64(rows.Len()))
	for _, c := range []struct {
		name, file string
		tooLarge   bool
	}{
		{"as large as may be", rows.String(), false}, {"one byte more", rows.String() + "\n", true},
		{"packed, as large as may be", bz2(rows.String()), false}, {"packed, one byte more", bz2(rows.String() + "\n"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := s.Import(t.Context(), By{}, strings.NewReader(c.file), ImportOptions{Format: CSV, Mode: Merge, DryRun: true})
			if !c.tooLarge {
				if err != nil || res.Created != 1000 {
					t.Errorf("%+v, %v", res, err)
				}
				return
			}
			if !errors.Is(err, ErrTooLarge) || !errors.Is(err, kvdb.ErrInvalid) || !strings.Contains(err.Error(), "split it") {
				t.Errorf("%v, want ErrTooLarge", err)
			}
		})
	}
}

// TestManyRejects: the list of rejected rows is bounded, their number is not.
func TestManyRejects(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t))
	file := csvHeader + strings.Repeat("\nx", MaxRejects+5)
	res, err := s.Import(t.Context(), By{}, strings.NewReader(file), ImportOptions{Format: CSV, Mode: Merge, DryRun: true})
	must(t, err)
	if len(res.Rejected) != MaxRejects || res.RejectedTotal != MaxRejects+5 || res.Rejected[MaxRejects-1].Line != MaxRejects+1 {
		t.Errorf("%d listed, %d in all", len(res.Rejected), res.RejectedTotal)
	}
}

// TestEachCut cuts good files everywhere: no part of one is ever taken for the whole.
func TestEachCut(t *testing.T) {
	t.Parallel()
	zato, err := io.ReadAll(zatoFileOf([]Entry{{System: "A", Key: "K", Value: "ż\n"}}, awkwardTranslations()[14:17]))
	must(t, err)
	packed := bz2(head)
	for _, c := range []struct {
		name, file string
		format     Format
	}{
		{"JSON", "\ufeff{\n \"entries\": [{\"system\":\"A\",\"key\":\"K\",\"value\":\"\\u017c\"}],\n\"translations\":[\n" + jsonRow("ż", `,"value2":"x"`) + "]}", JSON},
		{"Zato", string(zato), Zato},
		{"bz2", packed, CSV},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := (&reading{}).read(t.Context(), strings.NewReader(c.file), c.format); err != nil {
				t.Fatal(err)
			}
			for n := range len(c.file) {
				var file *FileError
				if err := (&reading{}).read(t.Context(), strings.NewReader(c.file[:n]), c.format); !errors.As(err, &file) {
					t.Errorf("cut off at byte %d of %d: %v, want a FileError", n, len(c.file), err)
				}
			}
		})
	}
	t.Run("a byte of bz2", func(t *testing.T) {
		for n := range len(packed) {
			damaged := []byte(packed)
			damaged[n] ^= 0x55
			rd := &reading{}
			var file *FileError
			if err := rd.read(t.Context(), bytes.NewReader(damaged), CSV); err != nil && !errors.As(err, &file) || err == nil && len(rd.plan.rows.refs) != 1 {
				t.Errorf("byte %d damaged: %v", n, err)
			}
		}
	})
}

// awkward are values that a format could spoil.
var awkward = []string{"", " ", " a ", "a,b", `a"b`, `"`, `""`, "'", "a\tb", "\t", "a\nb", "\n", "\n\n", "X:::y", ":::", ":", "::::", "<em>&amp;</em>", `\`, `\.`, `\n`, `\u0041`,
	"=1+1", "null", "\ufeff", "a\ufeff", "\u2028\u2029", "\u202e", "żółć", "İ", "\u212a", "😀", "\U0010ffff", "\ufffd", "e\u0301", "{}", "{dict}", "%s", "/", "a/b", strings.Repeat("é", 2048)}

func awkwardTranslations() (ts []Translation) {
	for i, v := range awkward {
		ts = append(ts, Translation{System1: "A", Key1: "K", Value1: v, System2: "B", Key2: "K", Value2: awkward[len(awkward)-1-i]})
	}
	return ts
}

// TestValuesComeBackExactly reads them as people's programs write them, and writes them.
func TestValuesComeBackExactly(t *testing.T) {
	t.Parallel()
	ts := awkwardTranslations()
	read := func(r io.Reader) string { b, _ := io.ReadAll(r); return string(b) }
	plainCSV, plainJSON := read(csvFileOf(ts)), read(jsonFileOf(nil, ts))
	var zato strings.Builder
	for _, x := range ts {
		name := zatoPrefix + strings.Join([]string{x.System1, x.Key1, x.Value1, x.System2, x.Key2}, zatoSeparator)
		fmt.Fprintf(&zato, `,{%s: {"id":"1","id1":2,"id2":"3","value2":%s}}`, jsonText(name), jsonText(x.Value2))
	}
	for _, c := range []struct {
		name   string
		format Format
		file   string
	}{
		{"CSV", CSV, plainCSV},
		{"CSV with a byte order mark", CSV, "\ufeff" + plainCSV},
		{"CSV with carriage returns", CSV, strings.ReplaceAll(plainCSV, "\n", "\r\n")},
		{"CSV without a last line feed", CSV, strings.TrimSuffix(plainCSV, "\n")},
		{"CSV all in quotes", CSV, strings.Replace(plainCSV, csvHeader, `"`+strings.ReplaceAll(csvHeader, ",", `","`)+`"`, 1)},
		{"CSV packed", CSV, bz2("\ufeff" + plainCSV)},
		{"JSON", JSON, plainJSON},
		{"JSON with a byte order mark", JSON, "\ufeff" + plainJSON},
		{"JSON with carriage returns", JSON, strings.ReplaceAll(plainJSON, "},{", "},\r\n{") + "\r\n"},
		{"Zato", Zato, `{"data":{"translation_list":[` + zato.String()[1:] + `]}}`},
		{"Zato packed", Zato, bz2(`{"data":{"translation_list":[` + zato.String()[1:] + `]}}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, m := newStore(t, kvtest.Open(t)), newModel()
			want := m.importRows(nil, ts, Merge)
			res, err := s.Import(t.Context(), By{}, strings.NewReader(c.file), ImportOptions{Format: c.format, Mode: Merge})
			must(t, err)
			if res.Created != int64(len(awkward)) || res.EntriesCreated != want.EntriesCreated {
				t.Errorf("%+v, want %+v", res, want)
			}
			m.check(t, s)
		})
	}
}

func TestHeaderOnly(t *testing.T) {
	t.Parallel()
	s, m := newStore(t, kvtest.Open(t)), newModel()
	m.mustCreate(t, s, tr("PL", "Polska"))
	for _, file := range []string{csvHeader, csvHeader + "\r\n", "\ufeff" + csvHeader + "\n\n"} {
		res, err := s.Import(t.Context(), By{}, strings.NewReader(file), ImportOptions{Format: CSV, Mode: Merge})
		if diff := cmp.Diff(ImportResult{}, res); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", file, err, diff)
		}
	}
	m.check(t, s)
	res, err := s.Import(t.Context(), By{}, strings.NewReader(csvHeader), ImportOptions{Format: CSV, Mode: Replace})
	if err != nil || res.Deleted != 1 || res.EntriesDeleted != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	newModel().check(t, s)
}

func TestGuessFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, start string
		want        Format
	}{
		{"x.csv", "", CSV}, {"X.CSV", "{", CSV}, {"x", csvHeader, CSV}, {"x.txt", "\ufeff" + csvHeader, CSV},
		{"zato-data-dict-export.json.bz2", "", Zato}, {"x", "BZh9", Zato}, {"x.json", `{"meta": {`, Zato}, {"x.json", "\ufeff{\r\n  \"data\"", Zato},
		{"x.json", `{"entries":[`, JSON}, {"x.json", `{"translations":[`, JSON}, {"x.json", "{", JSON},
		{"x.json", "", ""}, {"x", "[", ""}, {"", "", ""}, {"x.xlsx", "PK\x03\x04", ""},
	} {
		if got := GuessFormat(c.name, []byte(c.start)); got != c.want {
			t.Errorf("GuessFormat(%q, %q) = %q, want %q", c.name, c.start, got, c.want)
		}
	}
}
