package kvdb_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
)

func bulk(text string) kvdb.Reply { return kvdb.Reply{Kind: kvdb.KindBulk, Text: text} }

func number(n string) kvdb.Reply { return kvdb.Reply{Kind: kvdb.KindInteger, Text: n} }

func list(kind kvdb.Kind, items ...kvdb.Reply) kvdb.Reply {
	return kvdb.Reply{Kind: kind, Items: append([]kvdb.Reply{}, items...)}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]kvdb.Reply{
		"+OK\r\n":                       {Kind: kvdb.KindStatus, Text: "OK"},
		"+\r\n":                         {Kind: kvdb.KindStatus},
		"-ERR no\r\n":                   {Kind: kvdb.KindError, Text: "ERR no"},
		"!8\r\nERR a\r\nb\r\n":          {Kind: kvdb.KindError, Text: "ERR a\r\nb"},
		":9223372036854775807\r\n":      number("9223372036854775807"),
		":-1\r\n":                       number("-1"),
		"(-3492890328409238509\r\n":     {Kind: kvdb.KindBigNumber, Text: "-3492890328409238509"},
		",1.5e-7\r\n":                   {Kind: kvdb.KindDouble, Text: "1.5e-7"},
		",inf\r\n":                      {Kind: kvdb.KindDouble, Text: "inf"},
		",-nan\r\n":                     {Kind: kvdb.KindDouble, Text: "nan"},
		",nan\r\n":                      {Kind: kvdb.KindDouble, Text: "nan"},
		"#t\r\n":                        {Kind: kvdb.KindBoolean, Text: "t"},
		"#f\r\n":                        {Kind: kvdb.KindBoolean, Text: "f"},
		"_\r\n":                         {},
		"$-1\r\n":                       {},
		"*-1\r\n":                       {},
		"$0\r\n\r\n":                    bulk(""),
		"$5\r\n\x00\r\n\xff-\r\n":       bulk("\x00\r\n\xff-"),
		"=8\r\ntxt:text\r\n":            {Kind: kvdb.KindVerbatim, Text: "text"},
		"*0\r\n":                        list(kvdb.KindArray),
		"*2\r\n:1\r\n*1\r\n_\r\n":       list(kvdb.KindArray, number("1"), list(kvdb.KindArray, kvdb.Reply{})),
		"~1\r\n$1\r\na\r\n":             list(kvdb.KindSet, bulk("a")),
		"%1\r\n$1\r\na\r\n:1\r\n":       list(kvdb.KindMap, bulk("a"), number("1")),
		"|1\r\n+a\r\n+b\r\n:1\r\n":      number("1"),
		"*1\r\n|1\r\n+a\r\n+b\r\n_\r\n": list(kvdb.KindArray, kvdb.Reply{}),
		">2\r\n+a\r\n+b\r\n:1\r\n":      number("1"),
		"+" + strings.Repeat("x", 100_000) + "\r\n": {Kind: kvdb.KindStatus, Text: strings.Repeat("x", 100_000)},
	} {
		got, cut, rest, err := kvdb.ReadReply(strings.NewReader(wire+"+next\r\n"), kvdb.MaxReplyItems, kvdb.MaxReplyBytes)
		if diff := cmp.Diff(want, got); diff != "" || cut || rest != "+next\r\n" || err != nil {
			t.Errorf("%.50q: cut %v, rest %q, %v (-want +got):\n%s", wire, cut, rest, err, diff)
		}
	}
	for _, wire := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "\r\n", "+OK\n", ":\r\n", ":+1\r\n", ":01\r\n", ":1.5\r\n", ":-\r\n", "(x\r\n",
		",x\r\n", ",\r\n", "#x\r\n", "_x\r\n",
		"$x\r\n", "$-2\r\n", "$99999999999\r\n", "$1\r\nabc\r\n", "*-2\r\n", "*x\r\n", "*1\r\n>0\r\n", "?\r\n", "$?\r\n",
	} {
		if _, _, _, err := kvdb.ReadReply(strings.NewReader(wire), 10, 1000); !errors.Is(err, kvdb.ErrNotRedis) {
			t.Errorf("%q: %v", wire, err)
		}
	}
	for _, wire := range []string{"", "+", "+OK", "$5\r\nab", "$2\r\nab", "*2\r\n_\r\n", "|1\r\n_\r\n_\r\n"} {
		if _, _, _, err := kvdb.ReadReply(strings.NewReader(wire), 10, 1000); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", wire, err)
		}
	}
}

// TestReplyIsCut: at the limits it is whole, beyond them the part before.
func TestReplyIsCut(t *testing.T) {
	t.Parallel()
	array := func(n int, item string) string { return fmt.Sprintf("*%d\r\n", n) + strings.Repeat(item, n) }
	for name, tt := range map[string]struct {
		wire  string
		items int
		bytes int
		want  int // elements, or bytes of a text
		cut   bool
	}{
		"as many elements as may be":   {array(10, "_\r\n"), 10, 1000, 10, false},
		"one more":                     {array(11, "_\r\n"), 10, 1000, 10, true},
		"a pair is one":                {"%10\r\n" + strings.Repeat("+a\r\n_\r\n", 10), 10, 1000, 20, false},
		"one pair more":                {"%11\r\n" + strings.Repeat("+a\r\n_\r\n", 11), 10, 1000, 20, true},
		"a list is what is in it":      {array(5, "*2\r\n_\r\n_\r\n"), 10, 1000, 5, false},
		"of one more":                  {array(6, "*2\r\n_\r\n_\r\n"), 10, 1000, 5, true},
		"an empty list is one":         {array(11, "*0\r\n"), 10, 1000, 10, true},
		"within an element":            {array(4, "*3\r\n_\r\n_\r\n_\r\n"), 10, 1000, 4, true},
		"a text of the size":           {"$1000\r\n" + strings.Repeat("x", 1000) + "\r\n", 10, 1000, 1000, false},
		"a longer one":                 {"$1001\r\n" + strings.Repeat("x", 1001) + "\r\n", 10, 1000, 1000, true},
		"not within a character":       {"$1001\r\n" + strings.Repeat("x", 998) + "😀\r\n", 10, 1000, 998, true},
		"a status":                     {"+" + strings.Repeat("x", 100_000) + "\r\n", 10, 1000, 999, true},
		"texts":                        {array(4, "$300\r\n"+strings.Repeat("x", 300)+"\r\n"), 10, 1000, 4, true},
		"no value to a key":            {"%2\r\n+a\r\n_\r\n$2000\r\n" + strings.Repeat("x", 2000) + "\r\n_\r\n", 10, 1000, 2, true},
		"a header that promises much":  {"*100000000\r\n_\r\n" + strings.Repeat("_\r\n", 20), 10, 1000, 10, true},
		"a text that promises much":    {"$1500000000\r\n" + strings.Repeat("x", 2000), 10, 1000, 1000, true},
		"lists in lists without end":   {strings.Repeat("*1\r\n", 5000), 10, 1 << 20, 1, true},
		"a line without end":           {"+" + strings.Repeat("x", 1<<20), 10, 1000, 999, true},
		"attributes without end":       {strings.Repeat("|0\r\n", 5000), 10, 1000, 0, true},
		"an attribute that is too big": {"|5000\r\n" + strings.Repeat("+a\r\n_\r\n", 5000), 10, 1000, 0, true},
	} {
		got, cut, _, err := kvdb.ReadReply(strings.NewReader(tt.wire), tt.items, tt.bytes)
		n := len(got.Items)
		if n == 0 {
			n = len(got.Text)
		}
		if cut != tt.cut || n != tt.want || err != nil {
			t.Errorf("%s: %d, cut %v, %v; want %d, cut %v", name, n, cut, err, tt.want, tt.cut)
		}
	}
}

// TestReplyKeepsMemoryBounded has a server that promises and sends as much as it can.
func TestReplyKeepsMemoryBounded(t *testing.T) {
	for name, part := range map[string]string{
		"lists": "*1000000\r\n", "empty texts": "$0\r\n\r\n", "maps": "%1000000\r\n", "text": strings.Repeat("x", 1000), "lists in lists": "*2\r\n_\r\n",
	} {
		wire := "*100000000\r\n" + strings.Repeat(part, 5_000_000/len(part))
		if name == "text" {
			wire = "$1500000000\r\n" + wire
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, cut, _, err := kvdb.ReadReply(strings.NewReader(wire), kvdb.MaxReplyItems, kvdb.MaxReplyBytes)
		runtime.ReadMemStats(&after)
		if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 {
			t.Errorf("%s: %d MiB", name, mib)
		}
		if !cut && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: cut %v, %v", name, cut, err)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "$5\r\nhello\r\n", "*2\r\n:1\r\n%1\r\n+a\r\n,1.5\r\n", "~1\r\n#t\r\n", "|1\r\n+a\r\n+b\r\n_\r\n",
		"=8\r\ntxt:text\r\n", "(123\r\n", "!3\r\nERR\r\n",
	} {
		f.Add(seed, 5, 50)
	}
	f.Fuzz(func(t *testing.T, wire string, items, bytes int) {
		got, cut, rest, err := kvdb.ReadReply(strings.NewReader(wire), items, bytes)
		if err != nil {
			return
		}
		if !cut {
			again, _, _, err := kvdb.ReadReply(strings.NewReader(strings.TrimSuffix(wire, rest)), items, bytes)
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("%v, %s", err, diff)
			}
		}
		if n, size := measure(got); n > max(items, 1) || size > max(bytes, 1) && len(got.Items) > 0 {
			t.Errorf("%d elements of %d bytes are kept", n, size)
		}
	})
}

// measure counts as the limits do, but for the lists themselves.
func measure(r kvdb.Reply) (items, bytes int) {
	if len(r.Items) == 0 {
		return 1, len(r.Text)
	}
	for i, item := range r.Items {
		n, size := measure(item)
		if r.Kind != kvdb.KindMap || i%2 == 1 || len(item.Items) > 0 {
			items += n
		}
		bytes += size
	}
	return items, bytes
}
