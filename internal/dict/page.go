package dict

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"sort"

	"webadmin/internal/kvdb"
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

// A cursor is the letter of its list, n for the records after a key or p for those before it, and the key.
const (
	cursorNext = 'n'
	cursorPrev = 'p'
)

func encodeCursor(letter, way byte, key []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{letter, way}, key...))
}

func decodeCursor(letter byte, text string) (way byte, key []byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 2 || b[0] != letter || b[1] != cursorNext && b[1] != cursorPrev {
		return 0, nil, errCursor
	}
	return b[1], b[2:], nil
}

// window is where a page starts and which way it is read.
type window struct {
	limit int
	desc  bool   // along the run
	back  bool   // the page is read from its end
	from  []byte // excluded; nil = from the start, or the end
}

func windowOf(letter byte, o ListOptions) (w window, err error) {
	if w.limit, err = pageLimit(o.Limit); err != nil {
		return w, err
	}
	w.back = o.Last
	if o.Cursor != "" && !o.Last {
		var way byte
		if way, w.from, err = decodeCursor(letter, o.Cursor); err != nil {
			return w, err
		}
		w.back = way == cursorPrev
	}
	w.desc = o.Desc != w.back
	return w, nil
}

// cut leaves of the spans what lies beyond the window's start.
func (w window) cut(spans []span) []span {
	if w.from == nil {
		return spans
	}
	out := make([]span, 0, len(spans))
	for _, sp := range spans {
		if w.desc {
			if bytes.Compare(sp.lo, w.from) >= 0 {
				continue
			}
			if sp.hi == nil || bytes.Compare(sp.hi, w.from) > 0 {
				sp.hi = w.from
			}
		} else {
			behind := append(bytes.Clone(w.from), 0)
			if sp.hi != nil && bytes.Compare(sp.hi, behind) <= 0 {
				continue
			}
			if bytes.Compare(sp.lo, behind) < 0 {
				sp.lo = behind
			}
		}
		out = append(out, sp)
	}
	return out
}

// finish gives a page that was read in its window its order and its cursors.
func (l *listing[T]) finish(page *Page[T], w window, o ListOptions, more bool) {
	if w.back {
		slices.Reverse(page.Items)
	}
	if len(page.Items) == 0 {
		return
	}
	first, last := l.keyOf(page.Items[0]), l.keyOf(page.Items[len(page.Items)-1])
	if w.back && w.from != nil || !w.back && more {
		page.Next = encodeCursor(l.letter, cursorNext, last)
	}
	if !w.back && w.from != nil || w.back && more {
		page.Prev = encodeCursor(l.letter, cursorPrev, first)
	}
}

// place says at which position the page starts, where that is known without walking there.
func (l *listing[T]) place(ctx context.Context, s *Store, page *Page[T], o ListOptions) error {
	n := int64(len(page.Items))
	switch {
	case n == 0:
		return nil
	case page.Prev == "":
		page.First = 1
	case page.Next == "" && page.Total >= 0:
		page.First = page.Total - n + 1
	case l.exact && l.match == nil && len(l.spans) == 1 && page.Total >= 0:
		first := l.keyOf(page.Items[0])
		sp := span{lo: l.spans[0].lo, hi: first}
		if o.Desc {
			sp = span{lo: append(first, 0), hi: l.spans[0].hi}
		}
		before, err := s.count(ctx, l.run, sp)
		page.First = before + 1
		return err
	}
	return nil
}

// pageOf cuts a page out of all items, which it sorts as l does.
func pageOf(all []Translation, l *listing[Translation], o ListOptions) (page Page[Translation], err error) {
	w, err := windowOf(l.letter, o)
	if err != nil {
		return page, err
	}
	slices.SortFunc(all, func(a, b Translation) int { return bytes.Compare(l.keyOf(a), l.keyOf(b)) })
	page.Total = int64(len(all))
	lo, hi := 0, len(all)
	if w.from != nil {
		at := sort.Search(len(all), func(i int) bool { return bytes.Compare(l.keyOf(all[i]), w.from) >= 0 })
		if w.desc {
			hi = at
		} else {
			lo = at
			if lo < hi && bytes.Equal(l.keyOf(all[lo]), w.from) {
				lo++
			}
		}
	}
	more := hi-lo > w.limit
	before := int64(lo)
	if w.desc {
		part := slices.Clone(all[max(lo, hi-w.limit):hi])
		before = page.Total - int64(hi)
		slices.Reverse(part)
		page.Items = part
	} else {
		page.Items = slices.Clone(all[lo:min(hi, lo+w.limit)])
	}
	l.finish(&page, w, o, more)
	if n := int64(len(page.Items)); n > 0 {
		page.First = before + 1
		if w.back {
			page.First = page.Total - before - n + 1
		}
	}
	return page, nil
}
