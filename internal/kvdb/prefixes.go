package kvdb

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxChildren  = 10_000 // prefixes that are told apart
	prefixReport = 200 * time.Millisecond
)

// PrefixQuery asks what follows a prefix.
type PrefixQuery struct {
	Prefix    string // "" = the root of the tree
	Separator string // "" = ":"
	Type      string // as TYPE names it; "" = any
	Most      int64  // how many keys to look at; 0 = all. Of a part, the counts are estimates: the server gives its keys in no order
}

// Prefix is a branch of the tree of keys.
type Prefix struct {
	Name  string // the whole prefix, with the separator at its end
	Keys  int64  // that begin with it, of those that were looked at
	About int64  // that begin with it altogether, about
}

// Prefixes is a level of the tree of keys.
type Prefixes struct {
	Children []Prefix // by name
	Keys     int64    // that begin with the prefix of the query, of those that were looked at
	About    int64    // that do so altogether, about
	Leaves   int64    // of Keys, those that are in none of the Children, as no separator follows
	Others   int64    // of Keys, those in more prefixes than can be told apart
	Looked   int64    // at how many keys, about
	Total    int64    // how many there are, about; 0 = this Redis user may not know
	Complete bool     // all were looked at: the counts are exact, but for what others changed meanwhile
}

// CountPrefixes counts the keys by what follows a prefix up to the next separator, for somebody with the role; who is no admin doesn't get to
// see the keys of this program. It calls progress, which may be nil, with what is known so far some times a second. When ctx ends, that
// is returned, and no error. It leaves half of the server's time to others. The errors are ErrAway, ErrInvalid and ErrForbidden.
//
// Of a cluster, it looks at as many keys of each master, so that the estimates are good for all.
func (db *DB) CountPrefixes(ctx context.Context, role string, q PrefixQuery, progress func(Prefixes)) (Prefixes, error) {
	restricted, err := access(role, viewer, "looking at keys")
	if err != nil {
		return Prefixes{}, err
	}
	f := KeyFilter{Type: q.Type}
	if q.Prefix != "" {
		f.Match = GlobEscape(q.Prefix) + "*"
	}
	if err := f.check(); err != nil {
		return Prefixes{}, err
	}
	t := prefixTally{q: q}
	t.q.Separator = cmp.Or(q.Separator, ":")
	last := time.Now()
	err = db.walk(ctx, restricted, f, q.Most, func(p Progress, names []string) error {
		t.add(p, names)
		if progress != nil && time.Since(last) >= prefixReport {
			last = time.Now()
			progress(t.result(false))
		}
		return nil
	})
	complete := err == nil
	if errors.Is(err, errEnough) || err != nil && ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return Prefixes{}, ReadErr("prefixes", err)
	}
	return t.result(complete), nil
}

// GlobEscape is a pattern that matches the text alone.
func GlobEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// prefixTally counts.
type prefixTally struct {
	q     PrefixQuery
	p     Prefixes
	count map[string]int64
}

func (t *prefixTally) add(p Progress, names []string) {
	t.p.Looked, t.p.Total = p.Looked, p.About
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, t.q.Prefix)
		if !ok {
			continue
		}
		t.p.Keys++
		child, _, ok := strings.Cut(rest, t.q.Separator)
		switch _, known := t.count[child]; {
		case !ok:
			t.p.Leaves++
		case known || len(t.count) < maxChildren:
			if t.count == nil {
				t.count = map[string]int64{}
			}
			t.count[child]++
		default:
			t.p.Others++
		}
	}
}

func (t *prefixTally) result(complete bool) Prefixes {
	p := t.p
	p.Complete = complete
	all := func(n int64) int64 {
		if complete || p.Looked <= 0 || p.Total <= p.Looked {
			return n
		}
		return int64(float64(n) * float64(p.Total) / float64(p.Looked))
	}
	p.About = all(p.Keys)
	p.Children = make([]Prefix, 0, len(t.count))
	for _, name := range slices.Sorted(maps.Keys(t.count)) {
		n := t.count[name]
		p.Children = append(p.Children, Prefix{Name: t.q.Prefix + name + t.q.Separator, Keys: n, About: all(n)})
	}
	return p
}
