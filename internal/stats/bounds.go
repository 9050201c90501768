package stats

import "time"

// Span is a calendar range.
type Span string

// The spans.
const (
	SpanHour      Span = "hour" // the last 60 minutes
	SpanToday     Span = "today"
	SpanYesterday Span = "yesterday"
	SpanDay       Span = "day"  // the day that holds a moment
	SpanWeek      Span = "week" // from Monday
	SpanMonth     Span = "month"
	SpanYear      Span = "year"
)

// Bounds is the span that holds t, in the zone loc; SpanHour are the 60 minutes before t. Days are calendar days: one on which clocks are
// changed is as long as it is. A span that there is not is empty.
func Bounds(span Span, t time.Time, loc *time.Location) Range {
	t = t.In(loc)
	y, m, d := t.Date()
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, loc) }
	switch span {
	case SpanHour:
		return Range{t.Add(-time.Hour), t}
	case SpanToday, SpanDay:
		return Range{date(y, m, d), date(y, m, d+1)}
	case SpanYesterday:
		return Range{date(y, m, d-1), date(y, m, d)}
	case SpanWeek:
		monday := d - (int(t.Weekday())+6)%7
		return Range{date(y, m, monday), date(y, m, monday+7)}
	case SpanMonth:
		return Range{date(y, m, 1), date(y, m+1, 1)}
	case SpanYear:
		return Range{date(y, 1, 1), date(y+1, 1, 1)}
	}
	return Range{t, t}
}

// Shift moves a range by n of a unit (an hour, day, week, month or year) of the calendar of loc: Shift(today, SpanWeek, -1) is the
// same day of last week. A whole day, week, month or year stays one. A day that the month doesn't have becomes its last.
func Shift(r Range, unit Span, n int, loc *time.Location) Range {
	if unit == SpanHour {
		return Range{r.From.Add(time.Duration(n) * time.Hour), r.To.Add(time.Duration(n) * time.Hour)}
	}
	for _, whole := range []Span{SpanDay, SpanWeek, SpanMonth, SpanYear} {
		if b := Bounds(whole, r.From, loc); b.From.Equal(r.From) && b.To.Equal(r.To) {
			from := moved(r.From.In(loc), unit, n)
			return Bounds(whole, from, loc)
		}
	}
	return Range{moved(r.From.In(loc), unit, n), moved(r.To.In(loc), unit, n)}
}

func moved(t time.Time, unit Span, n int) time.Time {
	switch unit {
	case SpanDay:
		return t.AddDate(0, 0, n)
	case SpanWeek:
		return t.AddDate(0, 0, 7*n)
	case SpanMonth:
		return addMonths(t, n)
	case SpanYear:
		return addMonths(t, 12*n)
	}
	return t
}

func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(n)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	return time.Date(y, m+time.Month(n), min(d, last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}
