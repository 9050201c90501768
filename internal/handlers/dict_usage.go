package handlers

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/ui"
)

const (
	usageRows = 100 // a page shows
	usageDays = 30  // that the hits are of
)

// usageSorts are the orders of the page by their names in the address.
var usageSorts = map[string]func(a, b dict.Use) int{
	"":      func(a, b dict.Use) int { return cmp.Compare(b.Hits(usageDays), a.Hits(usageDays)) },
	"hits":  func(a, b dict.Use) int { return cmp.Compare(a.Hits(usageDays), b.Hits(usageDays)) },
	"last":  func(a, b dict.Use) int { return a.LastAt.Compare(b.LastAt) },
	"-last": func(a, b dict.Use) int { return b.LastAt.Compare(a.LastAt) },
	"pair":  nil, // as they come
}

// usage serves GET /dictionaries/usage: all pairs of systems and keys, with how much they are looked up. The query holds the order
// (sort: hits, last, -last or pair; the most frequent first otherwise), and the place: cursor.
func (p *dictPages) usage(c echo.Context) error {
	ctx := c.Request().Context()
	sort := query(c, "sort")
	by, known := usageSorts[sort]
	if !known {
		sort, by = "", usageSorts[""]
	}
	uses, err := p.Dict.AllUsage(ctx, dict.Filter{})
	if err != nil {
		return err
	}
	if by != nil {
		slices.SortStableFunc(uses, by)
	}
	misses, err := p.missesByPair(ctx)
	if err != nil {
		return err
	}
	l := p.view(c).usageList(uses, misses, sort, query(c, "cursor"), p.Now())
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.UsageListOf(l))
	}
	return render(c, http.StatusOK, dictview.Usage(dictview.UsagePage{Page: p.page(c, "Usage", p.crumbs("dict.usage")...), List: l}))
}

func (p *dictPages) missesByPair(ctx context.Context) (map[dict.Pair]int64, error) {
	groups, err := p.missed.of(ctx, p.Dict, p.Now())
	counts := make(map[dict.Pair]int64, len(groups))
	for _, g := range groups {
		counts[g.Pair] = g.Count
	}
	return counts, err
}

// usageList shows the pairs from a place on: the cursor is its number.
func (l dictLinks) usageList(uses []dict.Use, misses map[dict.Pair]int64, sort, cursor string, now time.Time) dictview.UsageList {
	if len(uses) == 0 {
		return dictview.UsageList{Nothing: l.nothing(0, "translations", "")}
	}
	at, err := strconv.Atoi(cursor)
	if err != nil || at < 0 || at >= len(uses) {
		at = 0
	}
	end := min(at+usageRows, len(uses))
	part := place{n: int64(end - at), first: int64(at) + 1, total: int64(len(uses)), all: int64(len(uses))}
	if at > 0 {
		part.prev = strconv.Itoa(max(at-usageRows, 0))
	}
	if end < len(uses) {
		part.next = strconv.Itoa(end)
	}
	head := func(up, down string) dictview.SortHead {
		h := dictview.SortHead{URL: l.url("dict.usage", values("sort", down)), Aria: "none"}
		switch sort {
		case down:
			h.Aria, h.URL = "descending", l.url("dict.usage", values("sort", up))
		case up:
			h.Aria = "ascending"
		}
		return h
	}
	out := dictview.UsageList{
		Pager: l.pager("dict.usage", values("sort", sort), part), Since: uses[0].Since,
		Pair: head("pair", "pair"), Hits: head("hits", ""), Last: head("last", "-last"),
		UnusedHead: "Not looked up since " + dayWords(unusedDefault(now), now),
	}
	out.Hits.Num = true
	if sort == "pair" {
		out.Pair = dictview.SortHead{URL: l.url("dict.usage"), Aria: "ascending"}
	}
	for _, u := range uses[at:end] {
		q := queryValues(u.Query())
		row := dictview.UsageRow{
			ID: "use-" + digest(u.Query()), Label: pairText(u.Pair),
			System1: u.System1, Key1: u.Key1, System2: u.System2, Key2: u.Key2,
			Translations: u.Translations, URL: l.url("dict.translations", q), Hits: u.Hits(usageDays), Last: u.LastAt,
			Spark: sparkOf(u, usageDays), Misses: misses[u.Pair], MissesURL: l.url("dict.misses", q) + "#list",
		}
		q.Set("unused_since", unusedDefault(now).Format(time.DateOnly))
		row.UnusedURL = l.url("dict.translations", q)
		out.Rows = append(out.Rows, row)
	}
	return out
}

// sparkOf is a line of the last so many days.
func sparkOf(u dict.Use, days int) []float64 {
	out := make([]float64, 0, days)
	for _, n := range u.Days[len(u.Days)-days:] {
		out = append(out, float64(n))
	}
	return out
}

// strip says how much a pair of systems and keys is used, above the list of its translations. Of others it says nothing but what the
// filter means.
func (p *dictPages) strip(c echo.Context, f dict.Filter) (strip dictview.UseStrip, err error) {
	ctx, now := c.Request().Context(), p.Now()
	pair := dict.Pair{System1: f.System1, Key1: f.Key1, System2: f.System2, Key2: f.Key2}
	whole := pair.System1 != "" && pair.Key1 != "" && pair.System2 != "" && pair.Key2 != ""
	if !f.Unused.IsZero() {
		strip.Filtered = dayWords(f.Unused, now)
		if strip.Since, err = p.Dict.UsesSince(ctx); err != nil {
			return strip, err
		}
	}
	if !whole {
		return strip, nil
	}
	uses, err := p.Dict.AllUsage(ctx, f)
	if err != nil || len(uses) == 0 {
		return strip, err
	}
	u := uses[0]
	hits := u.Hits(usageDays)
	strip.Pair, strip.Hits, strip.Last, strip.Since = true, plural(hits, "lookup")+" in 30 days", u.LastAt, u.Since
	if hits > 0 {
		strip.Spark = sparkOf(u, usageDays)
	}
	if !f.Unused.IsZero() || u.Since.IsZero() {
		return strip, nil
	}
	since := unusedDefault(now)
	n, err := p.unused.of(ctx, p.Dict, pair, since, now)
	if err != nil {
		return strip, err
	}
	strip.Unused = "Translations not looked up since " + dayWords(since, now)
	if n >= 0 {
		strip.Unused = plural(n, "translation") + " not looked up since " + dayWords(since, now)
	}
	if n != 0 {
		here := queryValues(pair.Query())
		here.Set("unused_since", since.Format(time.DateOnly))
		strip.UnusedURL = p.url("dict.translations", here)
	}
	return strip, nil
}

// unusedDefault is the month since which links ask for what is unused: the one before this, as this may have begun today.
func unusedDefault(now time.Time) time.Time { return monthsBack(now, 1) }

// monthsBack is the first day of the month so many before that of now, in UTC.
func monthsBack(now time.Time, n int) time.Time {
	year, month, _ := now.UTC().Date()
	return time.Date(year, month-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
}

// dayWords says a day; the year only when it is another.
func dayWords(at, now time.Time) string {
	if at.Year() == now.UTC().Year() {
		return at.Format("2 January")
	}
	return at.Format("2 January 2006")
}

// monthWords is dayWords for the first day of a month where there is little room.
func monthWords(at, now time.Time) string {
	if at.Year() == now.UTC().Year() {
		return at.Format("Jan")
	}
	return at.Format("Jan 2006")
}

// unusedChoice is the field of the filters for what is unused; since is what was chosen, and zero if that can't be asked for.
func unusedChoice(c echo.Context, now time.Time) (choice ui.SelectProps, since time.Time) {
	asked, err := time.Parse(time.DateOnly, query(c, "unused_since"))
	if err == nil {
		since = monthsBack(asked, 0)
	}
	if since.After(now) || since.Before(monthsBack(now, dict.UnusedMonths)) {
		since = time.Time{}
	}
	choice = ui.SelectProps{ID: "filter-unused", Name: "unused_since", Label: "Use", HideLabel: true, Options: []ui.Option{{Text: "Used or not"}}}
	for _, back := range []int{0, 1, 2, 5, 11} {
		at := monthsBack(now, back)
		choice.Options = append(choice.Options, ui.Option{Value: at.Format(time.DateOnly), Text: "Unused since " + monthWords(at, now)})
	}
	if !since.IsZero() {
		choice.Value = since.Format(time.DateOnly)
		if !slices.ContainsFunc(choice.Options, func(o ui.Option) bool { return o.Value == choice.Value }) { // a link may ask for another month
			choice.Options = append(choice.Options, ui.Option{Value: choice.Value, Text: "Unused since " + monthWords(since, now)})
		}
	}
	return choice, since
}

// entryUse says of an entry that may be deleted when it was looked up last.
func (p *dictPages) entryUse(ctx context.Context, e dict.Entry) (string, error) {
	at, known, err := p.Dict.EntryLookedUp(ctx, e)
	if err != nil || !known {
		return "", err
	}
	return p.lookedUpText(ctx, at)
}

// translationUse is entryUse for a translation.
func (p *dictPages) translationUse(ctx context.Context, t dict.Translation) (string, error) {
	at, err := p.Dict.LookedUp(ctx, []dict.Translation{t})
	if err != nil {
		return "", err
	}
	return p.lookedUpText(ctx, at[0])
}

// lookedUpText says in which month something was looked up last; zero = it was not.
func (p *dictPages) lookedUpText(ctx context.Context, at time.Time) (string, error) {
	if !at.IsZero() {
		return "Programs looked it up in " + at.Format("January 2006") + ", in all likelihood.", nil
	}
	since, err := p.Dict.UsesSince(ctx)
	if err != nil || since.IsZero() {
		return "", err
	}
	if first := monthsBack(p.Now(), dict.UnusedMonths); since.Before(first) {
		since = first
	}
	return "No program has looked it up since " + dayWords(since.UTC(), p.Now()) + ". Who reads Redis directly is not seen.", nil
}

// unusedCounts remembers for a moment how many translations of a pair are unused: counting them reads them all.
type unusedCounts struct {
	mu     sync.Mutex
	counts map[unusedOf]int64
	read   time.Time // the oldest
}

type unusedOf struct {
	pair  dict.Pair
	since time.Time
}

func (u *unusedCounts) of(ctx context.Context, store *dict.Store, pair dict.Pair, since, now time.Time) (int64, error) {
	key := unusedOf{pair, since}
	u.mu.Lock()
	if now.Sub(u.read) > noticeKept {
		u.counts, u.read = map[unusedOf]int64{}, now
	}
	n, ok := u.counts[key]
	u.mu.Unlock()
	if ok {
		return n, nil
	}
	n, err := store.Unused(ctx, pair, since)
	if err == nil {
		u.mu.Lock()
		u.counts[key] = n
		u.mu.Unlock()
	}
	return n, err
}
