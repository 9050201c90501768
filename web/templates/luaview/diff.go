package luaview

import (
	"slices"
	"strings"
)

// TextDiff is what differs between two texts, line by line.
type TextDiff struct {
	Hunks          []Hunk // empty = the texts are equal
	Added, Removed int64
	Rest           int // lines after the last hunk that are equal
	Cut            int // lines of hunks that are left out, as there are too many
}

// Hunk is a run of lines with differences and a little of what stands round them. Skipped is how many equal lines are left out before it.
type Hunk struct {
	Skipped int
	Lines   []TextLine
}

// TextLine is a line of either text or of both: Kind is del, ins or same. A line that the text does not have has the number 0.
type TextLine struct {
	Kind     string
	Old, New int
	Text     string // without its line end
	End      string // what is special about its line end: "" = nothing
}

const (
	contextLines = 3
	// mostSteps bounds the search for the shortest difference: time and memory grow with its square. Texts that differ in more
	// lines than that are shown as one removed and the other added.
	mostSteps = 1000
	// mostLines is how many lines of hunks are shown.
	mostLines = 3000
)

// DiffOf compares two texts.
func DiffOf(before, after string) TextDiff {
	lines := diffLines(splitLines(before), splitLines(after))
	var d TextDiff
	total := 0
	for at := 0; at < len(lines); {
		first := slices.IndexFunc(lines[at:], func(l TextLine) bool { return l.Kind != "same" })
		if first < 0 {
			d.Rest = len(lines) - at
			break
		}
		start := max(at, at+first-contextLines)
		end, quiet := at+first, 0
		for i := end; i < len(lines) && quiet <= 2*contextLines; i++ {
			if quiet++; lines[i].Kind != "same" {
				quiet, end = 0, i+1
			}
		}
		end = min(len(lines), end+contextLines)
		shown := min(end-start, mostLines-total)
		total += shown
		d.Cut += end - start - shown
		if shown > 0 {
			d.Hunks = append(d.Hunks, Hunk{Skipped: start - at, Lines: lines[start : start+shown]})
		}
		at = end
	}
	for _, l := range lines {
		switch l.Kind {
		case "ins":
			d.Added++
		case "del":
			d.Removed++
		}
	}
	return d
}

// splitLines cuts a text behind each line feed.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// diffLines puts the lines of both texts in one order: what a has alone before what b has alone.
func diffLines(a, b []string) []TextLine {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	out := make([]TextLine, 0, len(a)+len(b)-head-tail)
	i, j := 0, 0
	add := func(kind string, n int) {
		for range n {
			switch kind {
			case "del":
				i++
				out = append(out, lineOf(kind, a[i-1], i, 0))
			case "ins":
				j++
				out = append(out, lineOf(kind, b[j-1], 0, j))
			default:
				i, j = i+1, j+1
				out = append(out, lineOf(kind, a[i-1], i, j))
			}
		}
	}
	add("same", head)
	was, is := a[head:len(a)-tail], b[head:len(b)-tail]
	for _, m := range common(was, is) {
		add("del", head+m[0]-i)
		add("ins", head+m[1]-j)
		add("same", 1)
	}
	add("del", head+len(was)-i)
	add("ins", head+len(is)-j)
	add("same", tail)
	return out
}

func lineOf(kind, line string, old, new int) TextLine {
	l := TextLine{Kind: kind, Old: old, New: new}
	text, ended := strings.CutSuffix(line, "\n")
	switch {
	case !ended:
		l.Text, l.End = line, "no newline at the end"
	case strings.HasSuffix(text, "\r"):
		l.Text, l.End = strings.TrimSuffix(text, "\r"), "CR"
	default:
		l.Text = text
	}
	return l
}

// common is the longest common run of lines, as pairs of indexes (E. W. Myers, An O(ND) Difference Algorithm, 1986). It is empty
// when finding it would take more than mostSteps.
func common(a, b []string) [][2]int {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return nil
	}
	limit := min(n+m, mostSteps)
	reach := make([]int32, 2*limit+3) // by diagonal: how far along a the best way of d steps goes
	mid := limit + 1
	var trace [][]int32
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(reach[mid-d-1:mid+d+2]))
		for k := -d; k <= d; k += 2 {
			x := reach[mid+k-1] + 1
			if k == -d || k != d && reach[mid+k-1] < reach[mid+k+1] {
				x = reach[mid+k+1]
			}
			for int(x) < n && int(x)-k < m && a[x] == b[int(x)-k] {
				x++
			}
			reach[mid+k] = x
			if int(x) >= n && int(x)-k >= m {
				return walk(trace, n, m)
			}
		}
	}
	return nil
}

// walk goes back along the way that common has found.
func walk(trace [][]int32, x, y int) [][2]int {
	var pairs [][2]int
	for d := len(trace) - 1; d >= 0; d-- {
		at := func(k int) int { return int(trace[d][k+d+1]) }
		k := x - y
		prev := k - 1
		if k == -d || k != d && at(k-1) < at(k+1) {
			prev = k + 1
		}
		px := at(prev)
		py := px - prev
		if d == 0 {
			px, py = 0, 0
		}
		for x > px && y > py {
			x, y = x-1, y-1
			pairs = append(pairs, [2]int{x, y})
		}
		x, y = px, py
	}
	slices.Reverse(pairs)
	return pairs
}
