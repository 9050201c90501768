package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	at := time.Date(2026, 11, 22, 20, 40, 0, 0, time.UTC)
	facts := table([][]string{{"machine", ""}, {"processor", "Some CPU, 2 cores"}})
	r := &report{file: file, product: "v1 2026-11-22", facts: facts, sections: map[string]string{}}
	search, idle, translate := partNamed(t, "search"), partNamed(t, "idle"), partNamed(t, "translate")
	put := func(p part, load string, figures ...figure) {
		t.Helper()
		if err := r.put(p, at, load, figures); err != nil {
			t.Fatal(err)
		}
	}
	put(search, "0.10", figure{"search", 0.4, "≤", 0.3, pair("%.0f ms", 4, 10)})
	put(idle, "0.20", figure{"memory of an idle process", 38.25, "≤", 50, single("MiB", "after 3 s")})
	put(translate, "0.30", figure{"requests/s", 0.91, "≥", 0.8, pair("%.0f/s", 9100, 10000)})
	got := read(t, file)
	const want = `
## The process

<!-- part: idle -->
### Idle

A process that nobody uses, three seconds after its start.

2026-11-22 20:40 UTC, version v1 2026-11-22, load before it 0.20.

| what                      | ours     | other side | ratio | promised | holds |
| ------------------------- | -------- | ---------- | ----- | -------- | ----- |
| memory of an idle process | 38.2 MiB | –          | –     | ≤ 50 MiB | yes   |

- memory of an idle process: after 3 s

## Dictionaries

<!-- part: translate -->
### One translation
`
	if !strings.HasPrefix(got, "# Benchmarks\n") || !strings.Contains(got, facts+want) {
		t.Errorf("the report is\n%s\nwithout\n%s", got, facts+want)
	}
	for _, row := range []string{"| requests/s | 9100/s | 10000/s    | 0.91  | ≥ 0.8    | yes   |",
		"| search | 4 ms | 10 ms      | 0.4   | ≤ 0.3    | **no** |"} {
		if !strings.Contains(got, row) {
			t.Errorf("no row %s in\n%s", row, got)
		}
	}
	// What is read again is what was written, and a part that is measured anew replaces its own section alone.
	again := &report{file: file, product: "v2 2026-11-23", facts: facts, sections: sectionsOf(got)}
	if again.String() != got {
		t.Errorf("read and written again it is\n%s", again.String())
	}
	r = again
	put(translate, "0.40", figure{"requests/s", 0.7, "≥", 0.8, pair("%.0f/s", 7000, 10000)})
	now := read(t, file)
	if strings.Contains(now, "0.91") || strings.Count(now, "v1 2026-11-22") != 2 || strings.Count(now, "v2 2026-11-23") != 1 {
		t.Errorf("after one part anew it is\n%s", now)
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"webadmin v1.2-3-gabc 2026-11-22T20:07:19+00:00 go1.26.8 linux/amd64\n": "v1.2-3-gabc 2026-11-22T20:07:19+00:00",
		"webadmin dev go1.26.8 linux/amd64\n":                                   "dev",
		"":                                                                      "",
	} {
		if got := versionOf(line); got != want {
			t.Errorf("of %q it is %q, want %q", line, got, want)
		}
	}
}

func TestMachineIsKnown(t *testing.T) {
	t.Parallel()
	facts, err := machine()
	if err != nil || strings.Count(facts, "\n") != 7 {
		t.Errorf("%v\n%s", err, facts)
	}
}

func partNamed(t *testing.T, name string) part {
	t.Helper()
	for _, p := range parts {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("no part %s", name)
	return part{}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
