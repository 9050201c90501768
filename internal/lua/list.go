package lua

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// MaxPage is how many items a page of a list has at most.
const MaxPage = 1000

// How many names of uploads a list looks at: in one round trip, and for one page.
var (
	listChunk = 1000
	listMost  = 20_000
)

var errCursor = kvdb.Invalid("cursor", "is not a cursor of this list; leave it out to start from the beginning")

func pageLimit(limit int) (int, error) {
	if limit == 0 {
		return 100, nil
	}
	if limit < 1 || limit > MaxPage {
		return 0, kvdb.Invalid("limit", "is %d; 1 to %d are allowed", limit, MaxPage)
	}
	return limit, nil
}

// Programs lists the programs in the order of their names (of their bytes), each once: what runs, with
// what it overrides. A cursor names a place between two names, so that it stays good while others write. A
// page of a search through very many may be short, or empty, and there is more where Next says so. limit is 1
// to MaxPage; 0 = 100.
func (s *Store) Programs(ctx context.Context, f Filter, cursor string, limit int) (page Page[Program], err error) {
	if limit, err = pageLimit(limit); err != nil {
		return page, err
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return page, errCursor
	}
	l := s.lister(ctx, f, string(after))
	for len(page.Items) < limit {
		names, err := l.next(limit - len(page.Items))
		if err != nil {
			return page, err
		}
		found, err := s.describe(ctx, l, names)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, found...)
		if l.done {
			return page, nil
		}
		if l.looked >= listMost {
			break
		}
	}
	page.Next = base64.RawURLEncoding.EncodeToString([]byte(l.after))
	return page, nil
}

// lister walks along the names of all origins.
type lister struct {
	s      *Store
	ctx    context.Context
	f      Filter
	q      string
	set    *fileSet
	local  []string // names of files and what is built in, behind after
	chunk  []string // names of uploads, behind after
	all    bool     // chunk holds the last of them
	after  string   // the name that was looked at last
	looked int      // how many uploads were
	done   bool
}

func (s *Store) lister(ctx context.Context, f Filter, after string) *lister {
	set := s.files.all()
	i, found := slices.BinarySearch(set.local, after)
	if found {
		i++
	}
	return &lister{s: s, ctx: ctx, f: f, q: strings.ToLower(f.Q), set: set, local: set.local[i:], after: after}
}

// candidate is a name that passes the filter, and whether an upload has it.
type candidate struct {
	name   string
	upload bool
}

// next returns up to n names that pass the filter; fewer at the end, and after a look at many.
func (l *lister) next(n int) (names []candidate, err error) {
	for len(names) < n && l.looked < listMost {
		if len(l.chunk) == 0 && !l.all {
			if err := l.read(); err != nil {
				return nil, err
			}
		}
		var c candidate
		switch {
		case len(l.chunk) > 0 && (len(l.local) == 0 || l.chunk[0] <= l.local[0]):
			c = candidate{l.chunk[0], true}
			if len(l.local) > 0 && l.local[0] == c.name {
				l.local = l.local[1:]
			}
			l.chunk = l.chunk[1:]
			l.looked++
		case len(l.local) > 0:
			c = candidate{l.local[0], false}
			l.local = l.local[1:]
		default:
			l.done = true
			return names, nil
		}
		l.after = c.name
		if l.q == "" || strings.Contains(strings.ToLower(c.name), l.q) {
			names = append(names, c)
		}
	}
	l.done = len(l.local) == 0 && len(l.chunk) == 0 && l.all
	return names, nil
}

// read fetches the next names of uploads.
func (l *lister) read() error {
	from := "-"
	if l.after != "" {
		from = "(" + l.after
	}
	var err error
	l.chunk, err = l.s.db.Client().ZRangeByLex(l.ctx, l.s.keys.Names(), &redis.ZRangeBy{Min: from, Max: "+", Count: int64(listChunk)}).Result()
	l.all = len(l.chunk) < listChunk
	return kvdb.ReadErr("list the programs", err)
}

// describe turns names into programs. An upload that was deleted meanwhile uncovers what it overrode.
func (s *Store) describe(ctx context.Context, l *lister, names []candidate) (list []Program, err error) {
	var uploads []string
	for _, c := range names {
		if c.upload {
			uploads = append(uploads, c.name)
		}
	}
	metas := make([]any, 0, len(uploads))
	if len(uploads) > 0 {
		if metas, err = s.db.Client().HMGet(ctx, s.keys.Uploads(), uploads...).Result(); err != nil {
			return nil, kvdb.ReadErr("list the programs", err)
		}
	}
	for _, c := range names {
		var p Program
		if c.upload {
			text, ok := metas[0].(string)
			metas = metas[1:]
			if ok {
				if p, err = parseMeta(c.name, text); err != nil {
					return nil, err
				}
				p.Overrides = s.below(Upload, c.name)
			}
		}
		if p.Name == "" {
			if x := l.set.byName[c.name]; x != nil {
				p = x.Program
				p.Overrides = s.below(File, c.name)
			} else {
				p = builtins[c.name].Program
			}
		}
		if p.Name != "" && (l.f.Origin == "" || l.f.Origin == p.Origin) {
			list = append(list, p)
		}
	}
	return list, nil
}

// parseMeta reads what Redis holds of an upload beside its text.
func parseMeta(name, text string) (Program, error) {
	var m struct {
		Version, Size, At int64
		SHA1, By          string
	}
	err := json.Unmarshal([]byte(text), &m)
	return Program{Name: name, SHA1: m.SHA1, Origin: Upload, Version: m.Version, Size: m.Size, UpdatedAt: fromMillis(m.At), UpdatedBy: m.By}, err
}
