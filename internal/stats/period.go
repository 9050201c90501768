package stats

import (
	"slices"
	"time"
)

// resolution is how long the periods are in which calls are counted. All periods are of UTC.
type resolution int

const (
	minutes resolution = iota
	hours
	days
	months
	resolutions
)

// letter is the resolution in keys.
func (r resolution) letter() string { return [...]string{"m", "h", "d", "y"}[r] }

// start is where the period begins that t is in.
func (r resolution) start(t time.Time) time.Time {
	t = t.UTC()
	switch r {
	case minutes:
		return t.Truncate(time.Minute)
	case hours:
		return t.Truncate(time.Hour)
	case days:
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// period is one of a resolution.
type period struct {
	res   resolution
	start time.Time // in UTC
}

func (p period) end() time.Time {
	switch p.res {
	case minutes:
		return p.start.Add(time.Minute)
	case hours:
		return p.start.Add(time.Hour)
	case days:
		return p.start.AddDate(0, 0, 1)
	}
	return p.start.AddDate(0, 1, 0)
}

// chunk names the hash that the period is in: the minutes of an hour, the hours of a day, the days of a month and the months of
// a year are together. field is its name there.
func (p period) chunk() (chunk, field string) {
	chunk = p.start.Format([...]string{"2006010215", "20060102", "200601", "2006"}[p.res])
	return chunk, p.start.Format([...]string{"04", "15", "02", "01"}[p.res])
}

// chunkEnd is the end of the last period of its chunk.
func (p period) chunkEnd() time.Time {
	if p.res == months {
		return time.Date(p.start.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	up := p.res + 1
	return period{up, up.start(p.start)}.end()
}

// keep is how long the periods of each resolution are kept.
type keep [resolutions]time.Duration

func (s Settings) keep() keep { return keep{s.Minutes, s.Hours, s.Days, s.Months} }

// kept is whether the period that t is in is still to be had at now.
func (k keep) kept(r resolution, t, now time.Time) bool { return !t.Before(now.Add(-k[r])) }

// snap moves a bound back to one that is still known at now: to a minute while there are minutes of its time, else to an hour,
// and so on. It looks at nothing else, so that two ranges that meet still do afterwards.
func (k keep) snap(t, now time.Time) time.Time {
	for r := minutes; r < months; r++ {
		if k.kept(r, r.start(t), now) {
			return r.start(t)
		}
	}
	return months.start(t)
}

// snapRange is the range that is really known. One that reaches into the minute of now reaches to the end of all that there is; one of
// less than a period becomes that period.
func (k keep) snapRange(r Range, now time.Time) Range {
	from := k.snap(r.From, now)
	if r.To.After(minutes.start(now)) {
		return Range{from, openEnd(now)}
	}
	to := k.snap(r.To, now)
	if !to.After(from) {
		for res := minutes; res < resolutions; res++ {
			if res.start(from).Equal(from) && (res == months || k.kept(res, from, now)) {
				to = period{res, from}.end()
				break
			}
		}
	}
	return Range{from, to}
}

// openEnd is after all that may be recorded now.
func openEnd(now time.Time) time.Time { return period{months, months.start(now.Add(MaxFuture))}.end() }

// cover are the largest periods that make up the range, of which both ends were snapped. What begins after last is left out.
func cover(r Range, last time.Time) (list []period) {
	for t := r.From; t.Before(r.To) && !t.After(last); {
		p := period{months, t}
		for ; p.res > minutes; p.res-- {
			if p.res.start(t).Equal(t) && !p.end().After(r.To) {
				break
			}
		}
		list = append(list, p)
		t = p.end()
	}
	return list
}

// plan is which fields of which hashes of a service hold the periods.
type plan struct {
	periods []period
	chunks  []planChunk
}

type planChunk struct {
	res    resolution
	chunk  string
	fields []string
	which  []int // periods, in the order of fields
}

// planOf makes a plan for periods, of which there may be some more than once.
func planOf(periods []period) plan {
	periods = slices.Clone(periods)
	slices.SortFunc(periods, func(a, b period) int {
		if a.res != b.res {
			return int(a.res - b.res)
		}
		return a.start.Compare(b.start)
	})
	p := plan{periods: slices.CompactFunc(periods, func(a, b period) bool { return a.res == b.res && a.start.Equal(b.start) })}
	for i, one := range p.periods {
		chunk, field := one.chunk()
		if last := len(p.chunks) - 1; last < 0 || p.chunks[last].res != one.res || p.chunks[last].chunk != chunk {
			p.chunks = append(p.chunks, planChunk{res: one.res, chunk: chunk})
		}
		c := &p.chunks[len(p.chunks)-1]
		c.fields, c.which = append(c.fields, field), append(c.which, i)
	}
	return p
}

// length is about how long periods are.
func (r resolution) length() time.Duration {
	return [...]time.Duration{time.Minute, time.Hour, day, 365 * day / 12}[r]
}
