package lua

import (
	"cmp"
	"slices"
	"strings"
)

const (
	nearMost = 5
	nearName = 200 // bytes of a name that is looked at
)

// near returns those of the candidates that look like the name, the nearest first: at most nearMost.
func near(name string, candidates []string) []string {
	want := strings.ToLower(name[:min(len(name), nearName)])
	type found struct {
		name string
		far  int
	}
	var list []found
	seen := map[string]bool{name: true}
	for _, c := range candidates {
		if seen[c] {
			continue
		}
		seen[c] = true
		if far, ok := distance(want, strings.ToLower(c)); ok {
			list = append(list, found{c, far})
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Or(cmp.Compare(a.far, b.far), strings.Compare(a.name, b.name)) })
	var names []string
	for _, f := range list[:min(len(list), nearMost)] {
		names = append(names, f.name)
	}
	return names
}

// distance says how far two names are from each other, and whether that is near: a slip of the finger is 1, a name
// that holds the other, as where a prefix was left out, is 2 or a bit more.
func distance(a, b string) (int, bool) {
	most := 1 + min(len(a), len(b))/4
	short, long := a, b
	if len(a) > len(b) {
		short, long = b, a
	}
	far := edits(a, b, most)
	if len(short) >= 3 && strings.Contains(long, short) {
		return min(far, 2+(len(long)-len(short))/8), true
	}
	if far <= most {
		return far, true
	}
	// The same program of another library: a.rename and b.rename.
	if last := lastPart(a); len(last) >= 3 && last == lastPart(b) {
		return most + len(long), true
	}
	return 0, false
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// edits counts the letters to add, drop, change or swap with the next one to make b of a. It gives up,
// with a number above most, where there are more.
func edits(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
