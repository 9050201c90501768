package dict

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"

	"webadmin/internal/kvdb"
)

// How lists stay quick at any size. A list is a walk along a run, from the cursor until the page is full.
// Names and values that a filter fixes from the left narrow the walk to spans of the run; where a filter
// leaves the system or the key open, the known names fill them in, which gives a few more spans. What then
// remains of the filter is tested on each record. Only where that test would fail too often, the matching
// translations are found another way: in the other run, or by the maps of the pairs in question.

var (
	scanGladly int64 = 20_000 // records that a list walks over without looking for another way
	gatherMost int64 = 5000   // records that it gathers and sorts instead
)

const sparseRatio = 64 // a page is worth this many records walked over for one that matches

// listing is what lists of entries and of translations have in common.
type listing[T any] struct {
	run    runState
	letter byte // of its cursors
	spans  []span
	match  func(T) bool // nil = all
	needle *needle      // nil = no search
	parse  func(record) (T, error)
	keyOf  func(T) []byte
	exact  bool // the spans hold what matches and nothing else
	total  int64
}

// Entries lists entries. Total is counted unless Q is searched for. InvalidError for a wrong cursor or limit.
func (s *Store) Entries(ctx context.Context, f Filter, o ListOptions) (page Page[Entry], err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		l := &listing[Entry]{run: sn.runs[runEntry], letter: 'e', parse: parseEntry, keyOf: Entry.entryKey,
			exact: true, total: -1, needle: newNeedle(f.Q)}
		l.spans = spansOf(entryNames(sn), f.System, f.Key, f.Value)
		switch {
		case f.Q != "":
			l.match = func(e Entry) bool { return l.needle.in(e.System, e.Key, e.Value) }
		case f.Value == "":
			l.total = 0
			for name, n := range sn.names {
				if system, key, _ := strings.Cut(name, "/"); matches(f.System, system) && matches(f.Key, key) {
					l.total += n
				}
			}
		}
		page, err = list(ctx, s, l, o)
		page.All = sn.runs[runEntry].total
		return err
	})
	return page, err
}

// Translations lists translations. Total is counted if the filter names systems and keys only, or else
// where that takes no longer than the page. InvalidError for a wrong cursor or limit, and for an Unused that can't be answered.
func (s *Store) Translations(ctx context.Context, f Filter, o ListOptions) (page Page[Translation], err error) {
	err = s.retryGone(ctx, func(sn *snapshot) error {
		page, err = s.translationsPage(ctx, sn, f, o)
		page.All = sn.runs[runSource].total
		return err
	})
	return page, err
}

// Reverse lists every translation that yields the entry, by what they map from.
func (s *Store) Reverse(ctx context.Context, target Entry, o ListOptions) (Page[Translation], error) {
	if err := target.Check(); err != nil {
		return Page[Translation]{}, err
	}
	o.Sort = SortTarget
	var page Page[Translation]
	err := s.retryGone(ctx, func(sn *snapshot) (err error) {
		l := targetListing(sn)
		l.spans, l.exact = []span{prefixSpan(target.entryKey())}, true
		page, err = list(ctx, s, l, o)
		page.All = sn.runs[runSource].total
		return err
	})
	return page, err
}

func sourceListing(sn *snapshot) *listing[Translation] {
	return &listing[Translation]{run: sn.runs[runSource], letter: 's', parse: parseSource, keyOf: Translation.sourceKey, total: -1}
}

func targetListing(sn *snapshot) *listing[Translation] {
	return &listing[Translation]{run: sn.runs[runTarget], letter: 't', parse: parseTarget, keyOf: Translation.targetKey, total: -1}
}

func (s *Store) translationsPage(ctx context.Context, sn *snapshot, f Filter, o ListOptions) (Page[Translation], error) {
	bySource, byTarget := sourceListing(sn), targetListing(sn)
	pairs, most := sn.matchingPairs(f)
	var sources, targets [][2]string
	for _, p := range pairs {
		sources, targets = append(sources, [2]string{p.System1, p.Key1}), append(targets, [2]string{p.System2, p.Key2})
	}
	bySource.spans = spansOf(sources, f.System1, f.Key1, f.Value1)
	byTarget.spans = spansOf(targets, f.System2, f.Key2, f.Value2)

	l, other := bySource, byTarget
	if o.Sort == SortTarget {
		l, other = byTarget, bySource
	}
	needle := newNeedle(f.Q)
	var used usedBits
	if !f.Unused.IsZero() {
		var err error
		if used, err = s.usedSince(ctx, f.Unused, pairs); err != nil {
			return Page[Translation]{}, err
		}
	}
	match := func(t Translation) bool {
		return matches(f.System1, t.System1) && matches(f.Key1, t.Key1) && matches(f.Value1, t.Value1) &&
			matches(f.System2, t.System2) && matches(f.Key2, t.Key2) && matches(f.Value2, t.Value2) &&
			needle.in(t.System1, t.Key1, t.Value1, t.System2, t.Key2, t.Value2) && (used == nil || !used.has(t))
	}
	ofSource, ofTarget := f.System1+f.Key1+f.Value1 != "", f.System2+f.Key2+f.Value2 != ""
	l.match, l.needle = match, needle
	switch {
	case f.Q != "", used != nil:
	case !ofTarget && l == bySource, !ofSource && l == byTarget:
		l.exact, l.match = true, nil
	}
	if f.Q == "" && f.Value1 == "" && f.Value2 == "" && used == nil {
		l.total = most
	}
	if l.exact || l.most() <= scanGladly {
		return list(ctx, s, l, o)
	}
	if other.most() <= gatherMost {
		other.match, other.needle = match, needle
		return gathered(ctx, s, other, l, o)
	}
	if f.Q == "" && most <= gatherMost && most*sparseRatio < l.most() {
		return s.fromMaps(ctx, sn, pairs, l, match, o)
	}
	return list(ctx, s, l, o)
}

// most bounds from above how many records the spans hold.
func (l *listing[T]) most() (n int64) {
	for _, sp := range l.spans {
		n += l.run.most(sp)
	}
	return n
}

func matches(want, have string) bool { return want == "" || want == have }

// matchingPairs returns the pairs of systems and keys that fit the filter, and how many translations they have.
func (sn *snapshot) matchingPairs(f Filter) (pairs []Pair, total int64) {
	for name, n := range sn.pairs {
		p := pairOf(name)
		if matches(f.System1, p.System1) && matches(f.Key1, p.Key1) && matches(f.System2, p.System2) && matches(f.Key2, p.Key2) {
			pairs, total = append(pairs, p), total+n
		}
	}
	return pairs, total
}

func entryNames(sn *snapshot) [][2]string {
	names := make([][2]string, 0, len(sn.names))
	for name := range sn.names {
		system, key, _ := strings.Cut(name, "/")
		names = append(names, [2]string{system, key})
	}
	return names
}

// spansOf returns the spans of a run, in their order, in which the filter for its first three fields can
// match. names are the systems and keys that there are.
func spansOf(names [][2]string, system, ofKey, value string) []span {
	switch {
	case system == "" && ofKey == "" && value == "":
		return []span{{}}
	case system != "" && ofKey == "" && value == "":
		return []span{prefixSpan(key(system))}
	case system != "" && ofKey != "" && value == "":
		return []span{prefixSpan(key(system, ofKey))}
	case system != "" && ofKey != "":
		return []span{prefixSpan(key(system, ofKey, value))}
	}
	prefixes := map[string]bool{}
	for _, n := range names {
		if !matches(system, n[0]) || !matches(ofKey, n[1]) {
			continue
		}
		if value == "" {
			prefixes[string(key(n[0], n[1]))] = true
		} else {
			prefixes[string(key(n[0], n[1], value))] = true
		}
	}
	spans := make([]span, 0, len(prefixes))
	for _, p := range slices.Sorted(maps.Keys(prefixes)) {
		spans = append(spans, prefixSpan([]byte(p)))
	}
	return spans
}

// list reads a page along the run.
func list[T any](ctx context.Context, s *Store, l *listing[T], o ListOptions) (page Page[T], err error) {
	w, err := windowOf(l.letter, o)
	if err != nil {
		return page, err
	}
	more := false
	for b, err := range s.blocks(ctx, l.run, w.cut(l.spans), w.desc) {
		if err != nil {
			return page, err
		}
		if l.needle != nil && !l.needle.inBlock(b.block) {
			continue
		}
		rs, err := records(b.block)
		if err != nil {
			return page, err
		}
		if w.desc {
			slices.Reverse(rs)
		}
		for _, r := range rs {
			if !b.span.has(r.key) {
				continue
			}
			item, err := l.parse(r)
			if err != nil {
				return page, err
			}
			if l.match != nil && !l.match(item) {
				continue
			}
			if len(page.Items) == w.limit {
				more = true
				break
			}
			page.Items = append(page.Items, item)
		}
		if more {
			break
		}
	}
	page.Total = l.total
	l.finish(&page, w, o, more)
	if page.Total < 0 && page.Next == "" && page.Prev == "" {
		page.Total = int64(len(page.Items))
	}
	return page, l.place(ctx, s, &page, o)
}

// gathered reads everything that other holds, which is little, and pages through it in the order of l.
func gathered(ctx context.Context, s *Store, other, l *listing[Translation], o ListOptions) (Page[Translation], error) {
	var all []Translation
	for r, err := range s.scan(ctx, other.run, other.spans, false) {
		if err != nil {
			return Page[Translation]{}, err
		}
		t, err := other.parse(r)
		if err != nil {
			return Page[Translation]{}, err
		}
		if other.match(t) {
			all = append(all, t)
		}
	}
	return pageOf(all, l, o)
}

// fromMaps finds the translations of few pairs that lie scattered in both runs: their values in the maps,
// then those of the page in the run.
func (s *Store) fromMaps(ctx context.Context, sn *snapshot, pairs []Pair, l *listing[Translation],
	match func(Translation) bool, o ListOptions) (Page[Translation], error) {
	var all []Translation
	for _, p := range pairs {
		// gatherMost at most: the caller has seen to it.
		values, err := s.db.Client().HGetAll(ctx, s.keys.MapOfPair(p.name())).Result()
		if err != nil {
			return Page[Translation]{}, kvdb.ReadErr("list the translations", err)
		}
		for value1, value2 := range values {
			t := Translation{System1: p.System1, Key1: p.Key1, Value1: value1, System2: p.System2, Key2: p.Key2, Value2: value2}
			if match(t) {
				all = append(all, t)
			}
		}
	}
	page, err := pageOf(all, l, o)
	if err != nil {
		return page, err
	}
	order := slices.Clone(page.Items)
	slices.SortFunc(order, func(a, b Translation) int { return bytes.Compare(a.sourceKey(), b.sourceKey()) })
	at := make(map[Query]Translation, len(order))
	w := s.walker(ctx, sn.runs[runSource])
	for _, t := range order {
		r, ok, err := w.get(t.sourceKey())
		if err != nil {
			return page, err
		}
		if !ok {
			continue
		}
		if at[t.Query()], err = parseSource(r); err != nil {
			return page, err
		}
	}
	items := page.Items[:0]
	for _, t := range page.Items {
		if full, ok := at[t.Query()]; ok { // else it came after the snapshot
			items = append(items, full)
		}
	}
	page.Items = items
	return page, nil
}
