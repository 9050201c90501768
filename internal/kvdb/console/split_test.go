package console_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
)

// TestSplitSaysWhere: what redis-cli calls invalid has a place and a reason. What is valid is compared with redis-cli itself.
func TestSplitSaysWhere(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`GET "abc`:       `line 1, position 5: the quote " is not closed`,
		`GET 'abc`:       `line 1, position 5: the quote ' is not closed`,
		`GET a"bc`:       `line 1, position 6: the quote " is not closed`,
		`GET "abc\`:      `line 1, position 5: the quote " is not closed`,
		`GET "abc\"`:     `line 1, position 5: the quote " is not closed`,
		`GET "abc"d`:     `line 1, position 10: a blank must follow the quote " that closes`,
		`GET 'a''b'`:     `line 1, position 8: a blank must follow the quote ' that closes`,
		"SET \"a\x00\"b": `line 1, position 9: a blank must follow the quote " that closes`,
	} {
		_, err := console.Split(line)
		if err == nil || err.Error() != want || !errors.Is(err, kvdb.ErrInvalid) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if got := must(console.Split("SET\v a\x00\xff \"\\x00\xc3\"\f"))(t); !slices.Equal(got, []string{"SET\v", "a\x00\xff", "\x00\xc3"}) {
		t.Errorf("%q", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got := must(console.Parse("PING\r\n\n  3 SET k \"a b\"\n7\n"))(t)
	want := []console.Command{
		{Text: "PING", Args: []string{"PING"}, Repeat: 1, Line: 1},
		{Text: `  3 SET k "a b"`, Args: []string{"SET", "k", "a b"}, Repeat: 3, Line: 3},
		{Text: "7", Args: []string{"7"}, Repeat: 1, Line: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"PING\nGET \"x":  "line 2, position 5: the quote \" is not closed",
		"\n  1001 PING":  "line 2, position 3: a command runs 1 to 1000 times",
		"-1 PING":        "line 1, position 1: a command runs 1 to 1000 times",
		"\"\" PING":      "line 1, position 1: a command runs 1 to 1000 times",
		"PING\nGET 'a'b": "line 2, position 8: a blank must follow the quote ' that closes",
	} {
		if _, err := console.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for line := range strings.SplitSeq(cliLines, "\n") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args, err := console.Split(line)
		if _, parseErr := console.Parse(line); err == nil && strings.Trim(line, "\r\n") == line && !strings.Contains(line, "\n") && parseErr != nil &&
			!strings.Contains(parseErr.Error(), "a command runs") {
			t.Errorf("Split takes %q, Parse says %v", line, parseErr)
		}
		if err != nil {
			return
		}
		for _, join := range []string{console.Join(args), quoteAll(args)} {
			if again, err := console.Split(join); err != nil || !slices.Equal(again, args) {
				t.Errorf("%q becomes %q becomes %q, %v", args, join, again, err)
			}
		}
	})
}

func quoteAll(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = console.Quote(arg)
	}
	return strings.Join(quoted, "  ")
}

func FuzzQuote(f *testing.F) {
	f.Add("a b\x00\xff\"'\\\n\r\t\a\b\v\f☃")
	f.Fuzz(func(t *testing.T, arg string) {
		for _, line := range []string{console.Quote(arg), console.Join([]string{arg})} {
			if got, err := console.Split(line); err != nil || len(got) != 1 || got[0] != arg {
				t.Errorf("%q becomes %q becomes %q, %v", arg, line, got, err)
			}
		}
	})
}

// FuzzFormat makes replies of bytes: the first of each says what it is.
func FuzzFormat(f *testing.F) {
	f.Add([]byte{5, 3, 1, 'a', 7, 2, 6, 1, 2, 'x', 0, 11}, "INFO")
	f.Fuzz(func(t *testing.T, b []byte, command string) {
		r, _ := replyOf(b, 0)
		text := console.Format(r)
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("%v is %q", r, text)
		}
		for _, raw := range []bool{false, true} {
			console.Print(strings.Fields(command), r, raw)
		}
	})
}

// replyOf makes a reply of the bytes and returns the rest of them.
func replyOf(b []byte, depth int) (kvdb.Reply, []byte) {
	if len(b) < 2 || depth > 50 {
		return kvdb.Reply{}, nil
	}
	r, n := kvdb.Reply{Kind: kvdb.Kind(b[0] % 12)}, int(b[1]%16)
	b = b[2:]
	switch r.Kind {
	case kvdb.KindArray, kvdb.KindSet, kvdb.KindMap:
		for len(r.Items) < n || r.Kind == kvdb.KindMap && len(r.Items)%2 == 1 {
			var item kvdb.Reply
			item, b = replyOf(b, depth+1)
			r.Items = append(r.Items, item)
		}
		return r, b
	}
	n = min(n, len(b))
	r.Text = string(b[:n])
	return r, b[n:]
}
