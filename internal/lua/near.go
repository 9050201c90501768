package lua

import (
	"cmp"
	"slices"
	"strings"

	"webadmin/internal/lua/check"
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
	far := check.Distance(a, b, most)
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
