package handlers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTypedTimes(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]time.Duration{
		"30 s": 30 * time.Second, "30": 30 * time.Second, "5min": 5 * time.Minute, "5 m": 5 * time.Minute, "1 h 30 min": 90 * time.Minute,
		"7 d": 7 * 24 * time.Hour, "2 days": 48 * time.Hour, "500 ms": 500 * time.Millisecond, "1.5 h": 90 * time.Minute, " 0 ": 0,
	} {
		if got, err := readSpan("f", typed); err != nil || got != want {
			t.Errorf("%q = %s, %v; want %s", typed, got, err, want)
		}
	}
	for _, typed := range []string{"", "soon", "-5 s", "5 parsec", "1..2 s", "s", "99999999999 d", "1e300 d", "٣ s"} {
		if got, err := readSpan("f", typed); err == nil {
			t.Errorf("%q is taken for %s", typed, got)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 90061 * time.Second, 30 * 24 * time.Hour, 1500 * time.Millisecond} {
		if got, err := readSpan("f", typedSpan(d)); err != nil || got != d {
			t.Errorf("%s is written %q and read %s, %v", d, typedSpan(d), got, err)
		}
	}
}

func TestIndentJSON(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"a":1,"b":[],"c":{ },"d":[1,{"e":"x,{}\\\"y"}]}`: "{\n  \"a\": 1,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    1,\n    {\n      \"e\": " +
			"\"x,{}\\\\\\\"y\"\n    }\n  ]\n}",
		`12345678901234567890.50`: "12345678901234567890.50",
		` "a\u00e9 b" `:           `"a\u00e9 b"`,
		``:                        "",
		`"not`:                    `"not`,
		`}]{`:                     "\n}\n]{\n  ",
	} {
		got, all := indentJSON([]byte(raw), 1000)
		if got != want || !all {
			t.Errorf("%s: %q, %t; want %q", raw, got, all, want)
		}
	}
	deep := strings.Repeat("[", 1000) + strings.Repeat("1,", 400_000) + "1" + strings.Repeat("]", 1000)
	if !json.Valid([]byte(deep)) {
		t.Fatal("the test is wrong")
	}
	if got, all := indentJSON([]byte(deep), shownJSON); all || len(got) > shownJSON {
		t.Errorf("%d bytes, all: %t", len(got), all)
	}
	if got, all := indentJSON([]byte(`"`+strings.Repeat("é", shownJSON)+`"`), shownJSON); all || !strings.HasSuffix(got, "é") {
		t.Errorf("cut within a character: %.20q", got[len(got)-10:])
	}
}
