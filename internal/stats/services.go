package stats

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// internalPrefix begins the names of the product's own services.
const internalPrefix = "api:"

// IsInternal is whether a service belongs to the product itself.
func IsInternal(service string) bool { return strings.HasPrefix(service, internalPrefix) }

// Services reports on the services that were called in the range. Errors are of reading.
func (s *Store) Services(ctx context.Context, r Range, o ServicesOptions) (ServicesReport, error) {
	q := s.query(r)
	report := ServicesReport{Range: q.shown(), ErrorBound: ErrorBound}
	names, err := s.names(ctx)
	if err != nil {
		return report, err
	}
	report.Others = slices.Contains(names, Other)
	rows, err := s.readRows(ctx, names, q, o.Sort == SortP95)
	if err != nil {
		return report, err
	}
	var all sums
	var kept []row
	for _, row := range rows {
		switch {
		case row.whole.count == 0:
			continue
		case IsInternal(row.service) && !o.Internal:
			report.Hidden++
			continue
		}
		all.merge(row.whole.sums)
		if matches(row, o) {
			kept = append(kept, row)
		}
	}
	if o.Which.Slow {
		if err := s.attend(ctx, q, kept); err != nil {
			return report, err
		}
		kept = slices.DeleteFunc(kept, func(r row) bool { return !r.attention.Slow && !r.attention.Slower })
	}
	report.Matched = len(kept)
	slices.SortFunc(kept, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.key(o.Sort), a.key(o.Sort)), cmp.Compare(b.whole.count, a.whole.count), strings.Compare(a.service, b.service))
	})
	if o.Limit > 0 && len(kept) > o.Limit {
		kept = kept[:o.Limit]
	}
	if err := s.fill(ctx, q, kept, q.sparks(s.settings().keep(), o.Spark)); err != nil {
		return report, err
	}
	if o.Marks && !o.Which.Slow {
		if err := s.attend(ctx, q, kept); err != nil {
			return report, err
		}
	}
	busy := s.settings().BusyShare
	for i := range kept {
		item := kept[i].figures(q, all)
		if o.Marks {
			item.Attention = kept[i].attention
			item.Attention.Busy = busy > 0 && item.UsageShare > busy
		}
		report.Items = append(report.Items, item)
	}
	if report.All, err = s.together(ctx, q, all); err != nil {
		return report, err
	}
	if o.Compare != nil {
		if err := s.compare(ctx, *o.Compare, o, names, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// matches says whether a row is of a service that the report is of, but for Which.Slow.
func matches(r row, o ServicesOptions) bool {
	return strings.Contains(strings.ToLower(r.service), strings.ToLower(o.Filter)) && strings.HasPrefix(r.service, o.Which.Prefix) &&
		(o.Which.Not == "" || !strings.HasPrefix(r.service, o.Which.Not)) && (!o.Which.Failed || r.whole.failed > 0)
}

// query is a range as it can be answered.
type query struct {
	Range           // snapped; one that reaches to now ends where all that may be recorded does
	now   time.Time // of the question
}

func (s *Store) query(r Range) query {
	now := s.now()
	return query{s.settings().keep().snapRange(r, now), now}
}

// shown is the range for people: it ends now at the latest.
func (q query) shown() Range {
	if q.To.After(q.now) {
		return Range{q.From, q.now.UTC()}
	}
	return q.Range
}

// parts cuts the range.
func (q query) parts(cuts ...Range) []part {
	list := make([]part, 0, len(cuts))
	for _, c := range cuts {
		if c.From.Before(q.From) {
			c.From = q.From
		}
		if c.To.After(q.To) {
			c.To = q.To
		}
		list = append(list, part{c, cover(c, q.now.Add(MaxFuture))})
	}
	return list
}

func (q query) whole() []part { return q.parts(q.Range) }

// row is what was read of a service.
type row struct {
	service   string
	whole     record
	cuts      []record
	attention Attention // but for Busy; see attend
}

func (s *Store) readRows(ctx context.Context, names []string, q query, spread bool) ([]row, error) {
	records, err := s.read(ctx, names, q.whole(), spread)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(names))
	for i, list := range records {
		rows[i] = row{service: names[i], whole: list[0]}
	}
	return rows, nil
}

func (r *row) key(by Sort) float64 {
	switch by {
	case SortMean:
		return float64(r.whole.mean())
	case SortP95:
		return float64(r.whole.percentile(95))
	case SortMax:
		return float64(r.whole.max)
	case SortTotal:
		return float64(r.whole.total)
	case SortErrors:
		return float64(r.whole.failed)
	}
	return float64(r.whole.count)
}

func (s sums) mean() time.Duration {
	if s.count == 0 {
		return 0
	}
	return time.Duration(s.total / s.count)
}

// fill reads the rows once more, with what percentiles need, so that all figures of a row are of one moment, and their sparklines.
func (s *Store) fill(ctx context.Context, q query, rows []row, sparks []Range) error {
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].service
	}
	records, err := s.read(ctx, names, q.whole(), true)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].whole = records[i][0]
	}
	if len(sparks) == 0 {
		return nil
	}
	if records, err = s.read(ctx, names, q.parts(sparks...), false); err != nil {
		return err
	}
	for i := range rows {
		rows[i].cuts = records[i]
	}
	return nil
}

func (r *row) figures(q query, all sums) ServiceFigures {
	f := ServiceFigures{Service: r.service, Internal: IsInternal(r.service), Figures: figuresOf(&r.whole, q, all)}
	for _, cut := range r.cuts {
		f.SparkUsage = append(f.SparkUsage, float64(cut.count))
		f.SparkMean = append(f.SparkMean, float64(cut.mean())/1e6)
	}
	return f
}

func figuresOf(r *record, q query, all sums) Figures {
	f := Figures{Usage: r.count, Failed: r.failed, Total: time.Duration(r.total), Mean: r.mean(), Min: time.Duration(r.min), Max: time.Duration(r.max),
		P50: r.percentile(50), P95: r.percentile(95), P99: r.percentile(99)}
	if seconds := q.shown().Len().Seconds(); seconds > 0 {
		f.Rate = float64(r.count) / seconds
	}
	if all.count > 0 {
		f.UsageShare = min(1, float64(r.count)/float64(all.count))
	}
	if all.total > 0 {
		f.TimeShare = min(1, float64(r.total)/float64(all.total))
	}
	return f
}

// together are the figures of all services, of which the sums are known already. Percentiles leave the product's own services out.
func (s *Store) together(ctx context.Context, q query, all sums) (Figures, error) {
	f := figuresOf(&record{sums: all}, q, all)
	records, err := s.read(ctx, []string{All}, q.whole(), true)
	if err != nil {
		return f, err
	}
	rec := &records[0][0]
	f.P50, f.P95, f.P99 = rec.percentile(50), rec.percentile(95), rec.percentile(99)
	return f, nil
}

// compare fills in Before.
func (s *Store) compare(ctx context.Context, r Range, o ServicesOptions, names []string, report *ServicesReport) error {
	q := s.query(r)
	shown := q.shown()
	report.Before = &shown
	rows, err := s.readRows(ctx, names, q, false)
	if err != nil {
		return err
	}
	var all sums
	for _, row := range rows {
		if o.Internal || !IsInternal(row.service) {
			all.merge(row.whole.sums)
		}
	}
	before, err := s.together(ctx, q, all)
	if err != nil {
		return err
	}
	report.AllBefore = &before
	items := make([]string, len(report.Items))
	for i := range report.Items {
		items[i] = report.Items[i].Service
	}
	records, err := s.read(ctx, items, q.whole(), true)
	if err != nil {
		return err
	}
	for i := range records {
		if rec := &records[i][0]; rec.count > 0 {
			f := figuresOf(rec, q, all)
			report.Items[i].Before = &f
		}
	}
	return nil
}

// slower is how many times last week's mean a mean is that is marked.
const slower = 2

// attend says of rows whether they are slow, also beside a week before: in as much of the range as has passed of it by now.
func (s *Store) attend(ctx context.Context, q query, rows []row) error {
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].service
	}
	ago := q.shown()
	records, err := s.read(ctx, names, s.query(Range{ago.From.Add(-7 * day), ago.To.Add(-7 * day)}).whole(), false)
	if err != nil {
		return err
	}
	set := s.settings()
	for i := range rows {
		mean, lastWeek := rows[i].whole.mean(), records[i][0].mean()
		rows[i].attention = Attention{
			LastWeek: lastWeek, Slow: set.SlowMean > 0 && mean > set.SlowMean,
			Slower: lastWeek > 0 && mean > slower*lastWeek,
		}
	}
	return nil
}

// sparkLengths are the lengths that a point of a sparkline may have.
var sparkLengths = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day, 56 * day, 365 * day}

// sparks cuts the range for sparklines into about n parts of one length. They begin at multiples of it, where the periods begin
// that are kept.
func (q query) sparks(keep keep, n int) (cuts []Range) {
	shown := q.shown()
	for _, length := range sparkLengths {
		if n <= 0 {
			break
		}
		if shown.Len() > time.Duration(n+1)*length {
			continue
		}
		for from := shown.From; from.Before(shown.To); {
			next := from.Truncate(length)
			to := from
			for !to.After(from) { // where only longer periods are kept, it takes more than one step
				next = next.Add(length)
				to = keep.snap(next, q.now)
			}
			cuts = append(cuts, Range{from, to})
			from = to
		}
		break
	}
	return cuts
}

// Service reports on one service; all figures are zero where it was not called. Its shares are of all services that are shown by default.
func (s *Store) Service(ctx context.Context, service string, r Range, compare *Range) (ServicesReport, error) {
	o := ServicesOptions{Internal: IsInternal(service), Compare: compare, Marks: true}
	report, err := s.Services(ctx, r, o)
	if err != nil {
		return report, err
	}
	i := slices.IndexFunc(report.Items, func(f ServiceFigures) bool { return f.Service == service })
	if i < 0 {
		report.Items = []ServiceFigures{{Service: service, Internal: IsInternal(service)}}
	} else {
		report.Items = report.Items[i : i+1]
	}
	report.Matched = 1
	return report, nil
}
