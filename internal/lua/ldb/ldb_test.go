package ldb

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/kvdb"
)

// script is a connection of which the answers are known.
type script struct{ replies []kvdb.Reply }

func (s *script) WriteAll([][]string) error { return nil }

func (s *script) Read(context.Context) (kvdb.Reply, error) {
	if len(s.replies) == 0 {
		return kvdb.Reply{}, io.EOF
	}
	r := s.replies[0]
	s.replies = s.replies[1:]
	return r, nil
}

func lines(texts ...string) kvdb.Reply {
	r := kvdb.Reply{Kind: kvdb.KindArray}
	for _, text := range texts {
		r.Items = append(r.Items, kvdb.Reply{Kind: kvdb.KindStatus, Text: text})
	}
	return r
}

var ok = kvdb.Reply{Kind: kvdb.KindStatus, Text: "OK"}

// The same session as Redis and Valkey tell it.
func TestSession(t *testing.T) {
	for name, replies := range map[string][]kvdb.Reply{
		"Redis":  {ok, ok, lines("* Stopped at 1, stop reason = step over", "-> 1   return 'x'"), lines("<redis> GET a", `<reply> "1"`, "<endsession>"), {Kind: kvdb.KindBulk, Text: "x"}},
		"Valkey": {ok, {Kind: kvdb.KindError}, lines("* Stopped at 1, stop reason = server.breakpoint() called", "->#1   return 'x'"), lines("<command> GET a", `<reply> "1"`, "<endsession>"), {Kind: kvdb.KindBulk, Text: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, stop, err := Start(t.Context(), &script{replies}, []string{"EVAL", "return 'x'", "0"})
			if err != nil || stop.Line != 1 || stop.Source != "return 'x'" || (stop.Reason == Call) != (name == "Valkey") {
				t.Fatalf("%+v, %v", stop, err)
			}
			stop, err = s.Continue(t.Context())
			if err != nil || !stop.Ended || stop.Reply.Text != "x" || stop.Lost {
				t.Errorf("%+v, %v", stop, err)
			}
			if d := cmp.Diff([]Entry{{KindCall, 0, "GET a"}, {KindReply, 0, `"1"`}}, stop.Log); d != "" {
				t.Error(d)
			}
			if _, err := s.Step(t.Context()); !errors.Is(err, ErrEnded) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestStartRefused(t *testing.T) {
	var refused *RefusedError
	if _, _, err := Start(t.Context(), &script{[]kvdb.Reply{{Kind: kvdb.KindError, Text: "NOPERM no"}, ok}}, nil); !errors.As(err, &refused) {
		t.Errorf("%v, want a RefusedError", err)
	}
	if _, _, err := Start(t.Context(), &script{[]kvdb.Reply{ok, ok}}, nil); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
	if _, _, err := Start(t.Context(), &script{[]kvdb.Reply{ok, ok, {Kind: kvdb.KindInteger, Text: "1"}}}, nil); err == nil {
		t.Error("a server that just runs the script passes for one that debugs")
	}
}

func TestArguments(t *testing.T) {
	s := &Session{conn: &script{}}
	for _, arg := range []string{"", strings.Repeat("x", MaxArg+1), "a\nb"} {
		var bad *ArgumentError
		if _, err := s.Eval(t.Context(), arg); !errors.As(err, &bad) {
			t.Errorf("%.20q: %v, want an ArgumentError", arg, err)
		}
	}
	if s.ended {
		t.Error("the session has ended")
	}
}

func TestValues(t *testing.T) {
	for value, rounded := range map[string]bool{"1": false, "12345": false, "123456": true, "1.23457e+12": true, "1e+15": false, "0.1": false, "0.333333": true, "-5": false, `"1234567"`: false, "nil": false} {
		if Rounded(value) != rounded {
			t.Errorf("Rounded(%s) is %v", value, !rounded)
		}
	}
	for value, want := range map[string]string{
		"nil": "nil", "true": "true", "-1.5": "-1.5", `"a\x00\"\\\r1"`: `"a\000\"\\\0131"`, `"function@0x1"`: "", "123456789": "", "1.23457e+12": "", "{1; 2}": "", `"cut ...`: "", "inf": "", "nan": "",
	} {
		if got, ok := Literal(value); got != want || ok != (want != "") {
			t.Errorf("Literal(%s) is %q, %v, want %q", value, got, ok, want)
		}
	}
	got, err := ParseStrings(`{"a\x00"; ""; "\"}; "}`)
	if d := cmp.Diff([]string{"a\x00", "", `"}; `}, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for _, bad := range []string{"", "{", `{"a"`, `{"a";}`, `{"a"; }`, `{"\q"}`, `{"\x0"}`, `{"a"}x`, "{1}"} {
		if got, err := ParseStrings(bad); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}

// written writes a text as the debugger does.
func written(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\', '"':
			b.WriteString(`\` + string(rune(c)))
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if c >= ' ' && c < 0x7f {
				b.WriteByte(c)
			} else {
				b.WriteString(`\x` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
			}
		}
	}
	return b.String() + `"`
}

func FuzzUnquote(f *testing.F) {
	f.Add("a\x00\xff\"\\ \r\n", `"\x4`)
	f.Fuzz(func(t *testing.T, s, raw string) {
		if got, err := Unquote(written(s)); err != nil || got != s {
			t.Errorf("%q came back as %q, %v", s, got, err)
		}
		if list, err := ParseStrings("{" + written(s) + "; " + written(raw) + "}"); err != nil || list[0] != s || list[1] != raw {
			t.Errorf("%q: %v", list, err)
		}
		_, _ = ParseStrings(raw)
		_, _ = Unquote(raw)
		parseStop([]string{raw, s})
	})
}
