package stats

import (
	"context"
	"time"

	"webadmin/internal/kvdb"
)

// MaxPoints is how many points a trend has at most.
const MaxPoints = 3_000

func (step Step) resolution() (resolution, bool) {
	switch step {
	case StepMinute:
		return minutes, true
	case StepHour:
		return hours, true
	case StepDay:
		return days, true
	}
	return 0, false
}

// Trend cuts the range into steps of UTC and reports on each: see TrendIn.
func (s *Store) Trend(ctx context.Context, service string, r Range, step Step) ([]Point, error) {
	return s.TrendIn(ctx, service, r, step, time.UTC)
}

// TrendIn cuts the range into steps, which begin with the hours and days of loc, and reports on each; the first and the last are cut off
// where the range is. Where steps of the time are not kept any more, the points are as long as what is. More than MaxPoints,
// and a step that there is not, are a kvdb.ErrInvalid of field "step".
func (s *Store) TrendIn(ctx context.Context, service string, r Range, step Step, loc *time.Location) ([]Point, error) {
	q := s.query(r)
	cuts, err := q.steps(s.settings().keep(), step, loc)
	if err != nil || len(cuts) == 0 {
		return nil, err
	}
	records, err := s.readCuts(ctx, service, q, cuts)
	points := make([]Point, len(records))
	for i := range records {
		points[i] = Point{At: cuts[i].From, End: cuts[i].To, Figures: figuresOf(&records[i], query{cuts[i], q.now}, sums{})}
	}
	return points, err
}

// readCuts reads the cuts of a service. Samples may be a little ahead of time; what has not begun and has none is left out.
func (s *Store) readCuts(ctx context.Context, service string, q query, cuts []Range) ([]record, error) {
	records, err := s.read(ctx, []string{service}, q.parts(cuts...), true)
	if err != nil {
		return nil, err
	}
	list := records[0]
	for n := len(list) - 1; n >= 0 && list[n].count == 0 && cuts[n].From.After(q.now); n-- {
		list = list[:n]
	}
	return list, nil
}

// steps cuts the range at the beginnings of the step.
func (q query) steps(keep keep, step Step, loc *time.Location) (cuts []Range, err error) {
	if _, ok := step.resolution(); !ok {
		return nil, kvdb.Invalid("step", "must be minute, hour or day")
	}
	last := q.now.Add(MaxFuture)
	for from := q.From; from.Before(q.To) && !from.After(last); {
		next := from
		to := from
		for !to.After(from) {
			next = step.next(next, loc)
			to = keep.snap(next, q.now)
		}
		if to.After(q.To) {
			to = q.To
		}
		cuts = append(cuts, Range{from, to})
		if len(cuts) > MaxPoints {
			return nil, kvdb.Invalid("step", "gives over %d points; take a longer step or a shorter range", MaxPoints)
		}
		from = to
	}
	return cuts, nil
}

// next is where the next step begins after t.
func (step Step) next(t time.Time, loc *time.Location) time.Time {
	switch step {
	case StepMinute:
		return minutes.start(t).Add(time.Minute)
	case StepHour:
		// Zones differ from UTC by quarters of an hour.
		_, offset := t.In(loc).Zone()
		shift := time.Duration(offset) * time.Second % time.Hour
		return t.Add(shift).Truncate(time.Hour).Add(time.Hour - shift).UTC()
	}
	local := t.In(loc)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, loc).UTC()
}

// chartParts is how many parts a chart has at most that people can tell apart.
const chartParts = 400

// FitStep is the finest step that gives a chart of the range no more parts than people can tell apart, and is still kept.
func (s *Store) FitStep(r Range) Step {
	now := s.now()
	keep := s.settings().keep()
	for _, step := range Steps {
		res, _ := step.resolution()
		length := period{res, time.Unix(0, 0).UTC()}.end().Sub(time.Unix(0, 0))
		if earlier(r.To, now).Sub(r.From) <= chartParts*length && keep.kept(res, res.start(r.From), now) {
			return step
		}
	}
	return StepDay
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// heatRows is about how many rows a heat map has: each is of a quarter of an octave or more.
const heatRows = 40

// Distribution is how the durations of a service are spread over the range's steps of UTC. Errors are those of TrendIn.
func (s *Store) Distribution(ctx context.Context, service string, r Range, step Step) (Heat, error) {
	return s.DistributionIn(ctx, service, r, step, time.UTC)
}

// DistributionIn is Distribution with the hours and days of loc.
func (s *Store) DistributionIn(ctx context.Context, service string, r Range, step Step, loc *time.Location) (Heat, error) {
	q := s.query(r)
	heat := Heat{Step: step}
	cuts, err := q.steps(s.settings().keep(), step, loc)
	if err != nil || len(cuts) == 0 {
		return heat, err
	}
	records, err := s.readCuts(ctx, service, q, cuts)
	heat.fill(cuts[:len(records)], records)
	return heat, err
}

// fill makes rows of as many slots as there have to be for about heatRows.
func (h *Heat) fill(cuts []Range, records []record) {
	first, last := slotCount, -1
	for i := range records {
		if rec := &records[i]; rec.count > 0 {
			first, last = min(first, slotOf(rec.min)), max(last, slotOf(rec.max))
		}
	}
	for _, cut := range cuts {
		h.At = append(h.At, cut.From)
	}
	if last < 0 {
		return
	}
	width := 8
	for (last-first)/width >= heatRows {
		width *= 2
	}
	from := first / width * width // parts of octaves, so that rows stay when the range moves on
	rows := (last-from)/width + 1
	for row := range rows + 1 {
		h.Bounds = append(h.Bounds, time.Duration(slotStart(min(from+row*width, slotCount))))
	}
	for i := range records {
		cells := make([]int64, rows)
		for p, page := range records[i].pages {
			if page == nil {
				continue
			}
			for j, n := range page {
				if slot := p*pageSlots + j; n > 0 && slot >= from && slot <= last {
					cells[(slot-from)/width] += int64(n)
				}
			}
		}
		for _, n := range cells {
			h.Max = max(h.Max, n)
		}
		h.Cells = append(h.Cells, cells)
	}
}
