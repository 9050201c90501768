package check

import (
	"fmt"
	"iter"
	"strings"
)

// nearest returns the candidate that a name was probably meant to be, "" = none.
func nearest(name string, candidates iter.Seq[string]) string {
	best, least := "", 2
	if len(name) < 5 {
		least = 1
	}
	if len(name) < 2 || len(name) > 60 {
		return ""
	}
	for c := range candidates {
		d := 0
		if !strings.EqualFold(name, c) {
			d = Distance(name, c, least)
		}
		if d < least || d == least && (best == "" || c < best) {
			best, least = c, d
		}
	}
	return best
}

// Distance is how many letters have to be added, taken away, changed or swapped with the next to make a into b; limit+1 when
// that is more than the limit.
func Distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return min(row[len(b)], limit+1)
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
