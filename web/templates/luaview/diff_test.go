package luaview

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestADiffGivesBothTexts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range random.IntN(30) {
			fmt.Fprintf(&b, "%c\n", 'a'+random.IntN(5))
		}
		return strings.TrimSuffix(b.String(), strings.Repeat("\n", random.IntN(2)))
	}
	for range 2000 {
		before, after := text(), text()
		var was, is strings.Builder
		lines := diffLines(splitLines(before), splitLines(after))
		for _, l := range lines {
			s := l.Text
			if l.End == "" {
				s += "\n"
			}
			if l.Kind != "ins" {
				was.WriteString(s)
			}
			if l.Kind != "del" {
				is.WriteString(s)
			}
		}
		if was.String() != before || is.String() != after {
			t.Fatalf("%q and %q became %q and %q", before, after, was.String(), is.String())
		}
	}
}

func TestADiffShowsLittleOfWhatIsEqual(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprint(i+1))
	}
	before := strings.Join(lines, "\n") + "\n"
	lines[9], lines[29] = "ten", "thirty\r"
	d := DiffOf(before, strings.Join(lines, "\n"))
	if len(d.Hunks) != 3 || d.Added != 3 || d.Removed != 3 {
		t.Fatalf("%d hunks, %d added, %d removed", len(d.Hunks), d.Added, d.Removed)
	}
	first := d.Hunks[0]
	if first.Skipped != 6 || len(first.Lines) != 8 || first.Lines[3] != (TextLine{Kind: "del", Old: 10, Text: "10"}) || first.Lines[4] != (TextLine{Kind: "ins", New: 10, Text: "ten"}) {
		t.Errorf("%+v", first)
	}
	if l := d.Hunks[1].Lines[4]; l != (TextLine{Kind: "ins", New: 30, Text: "thirty", End: "CR"}) {
		t.Errorf("%+v", l)
	}
	if l := d.Hunks[2].Lines[4]; l.End != "no newline at the end" || d.Rest != 0 {
		t.Errorf("%+v, %d more", l, d.Rest)
	}
	if same := DiffOf(before, before); len(same.Hunks) != 0 || same.Rest != 40 {
		t.Errorf("equal texts differ: %+v", same)
	}
}

func TestADiffOfNothingInCommonIsQuick(t *testing.T) {
	t.Parallel()
	d := DiffOf(strings.Repeat("a\n", 100_000), strings.Repeat("b\n", 100_000))
	if d.Added != 100_000 || d.Removed != 100_000 {
		t.Errorf("%d added, %d removed", d.Added, d.Removed)
	}
}
