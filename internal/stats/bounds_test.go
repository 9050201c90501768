package stats

import (
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	must(t, err)
	return loc
}

func TestBounds(t *testing.T) {
	t.Parallel()
	berlin, kolkata := zone(t, "Europe/Berlin"), zone(t, "Asia/Kolkata")
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		must(t, err)
		return v
	}
	for _, tc := range []struct {
		span     Span
		t        string
		loc      *time.Location
		from, to string
	}{
		{SpanHour, "2026-03-29T01:30:00Z", berlin, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		{SpanToday, "2026-03-29T12:00:00Z", berlin, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{SpanToday, "2026-10-25T12:00:00Z", berlin, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		{SpanYesterday, "2026-10-26T12:00:00Z", berlin, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{SpanWeek, "2026-11-22T23:30:00Z", berlin, "2026-11-22T23:00:00Z", "2026-11-29T23:00:00Z"}, // there, Monday has begun
		{SpanWeek, "2026-11-22T12:00:00Z", time.UTC, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"},
		{SpanMonth, "2026-02-10T00:00:00Z", kolkata, "2026-01-31T18:30:00Z", "2026-02-28T18:30:00Z"},
		{SpanYear, "2026-12-31T23:30:00Z", berlin, "2026-12-31T23:00:00Z", "2027-12-31T23:00:00Z"},
	} {
		if got := Bounds(tc.span, at(tc.t), tc.loc); !got.From.Equal(at(tc.from)) || !got.To.Equal(at(tc.to)) {
			t.Errorf("%s of %s in %s is %v, want %s to %s", tc.span, tc.t, tc.loc, got, tc.from, tc.to)
		}
	}
	for _, tc := range []struct {
		name     string
		r        Range
		unit     Span
		n        int
		from, to string
	}{
		{"the day before the change of clocks", Bounds(SpanToday, at("2026-03-30T12:00:00Z"), berlin), SpanDay, -1,
			"2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"the same day of last week", Bounds(SpanToday, at("2026-03-30T12:00:00Z"), berlin), SpanWeek, -1, "2026-03-22T23:00:00Z", "2026-03-23T23:00:00Z"},
		{"a month is a month", Bounds(SpanMonth, at("2026-03-10T12:00:00Z"), berlin), SpanMonth, -1, "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"},
		{"the year after", Bounds(SpanYear, at("2026-03-10T12:00:00Z"), time.UTC), SpanYear, 1, "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"},
		{"the last of a short month, by the clock on the wall", Range{at("2026-03-31T10:00:00Z"), at("2026-03-31T11:00:00Z")}, SpanMonth, -1,
			"2026-02-28T11:00:00Z", "2026-02-28T12:00:00Z"},
		{"an hour before", Range{at("2026-03-31T10:07:00Z"), at("2026-03-31T11:07:00Z")}, SpanHour, -1, "2026-03-31T09:07:00Z", "2026-03-31T10:07:00Z"},
	} {
		loc := berlin
		if tc.name == "the year after" {
			loc = time.UTC
		}
		if got := Shift(tc.r, tc.unit, tc.n, loc); !got.From.Equal(at(tc.from)) || !got.To.Equal(at(tc.to)) {
			t.Errorf("%s: %v, want %s to %s", tc.name, got, tc.from, tc.to)
		}
	}
}

// Days of a zone are whole, also in zones half an hour off, and where clocks are changed.
func TestTrendInZone(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newStore(t, kvtest.Open(t), c)
	for _, name := range []string{"Europe/Berlin", "Asia/Kolkata", "America/St_Johns"} {
		loc := zone(t, name)
		q := query{Range{c.now().AddDate(0, -3, 0), c.now()}, c.now()}
		days := Defaults()
		days.Minutes, days.Hours = 200*day, 400*day
		q.From, q.To = days.keep().snap(q.From, q.now), days.keep().snap(q.To, q.now)
		cuts, err := q.steps(days.keep(), StepDay, loc)
		must(t, err)
		for _, cut := range cuts[1 : len(cuts)-1] {
			if want := Bounds(SpanDay, cut.From.Add(time.Hour), loc); !cut.From.Equal(want.From) || !cut.To.Equal(want.To) {
				t.Errorf("in %s a day is %v, want %v", name, cut, want)
			}
		}
	}
	if step := s.FitStep(Range{c.now().Add(-time.Hour), c.now()}); step != StepMinute {
		t.Errorf("an hour by %s", step)
	}
	if step := s.FitStep(Range{c.now().Add(-23 * time.Hour), c.now()}); step != StepHour {
		t.Errorf("23 hours by %s", step)
	}
	if step := s.FitStep(Range{c.now().Add(-40 * day), c.now().Add(-39 * day)}); step != StepDay {
		t.Errorf("a day of last month by %s", step)
	}
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newStore(t, kvtest.Open(t), c)
	empty, err := s.Distribution(t.Context(), "orders", Range{c.now().Add(-time.Hour), c.now()}, StepMinute)
	if must(t, err); len(empty.At) == 0 || len(empty.Bounds) != 0 || len(empty.Cells) != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
	for i := range 500 {
		s.Record("orders", time.Duration(1+i*i)*time.Microsecond, false, "")
		if i%50 == 0 {
			c.add(time.Minute)
		}
	}
	flush(t, s)
	heat, err := s.Distribution(t.Context(), "orders", Range{c.now().Add(-time.Hour), c.now()}, StepMinute)
	must(t, err)
	var total, most int64
	for i, cells := range heat.Cells {
		if len(cells) != len(heat.Bounds)-1 {
			t.Fatalf("row %d has %d cells for %d bounds", i, len(cells), len(heat.Bounds))
		}
		for _, n := range cells {
			total += n
			most = max(most, n)
		}
	}
	if total != 500 || most != heat.Max || len(heat.Cells) != len(heat.At) || len(heat.Bounds) > 42 {
		t.Errorf("%d calls, most %d of %d, %d rows", total, most, heat.Max, len(heat.Bounds))
	}
	for i := 1; i < len(heat.Bounds); i++ {
		if heat.Bounds[i] <= heat.Bounds[i-1] {
			t.Errorf("bounds %v", heat.Bounds)
		}
	}
	if _, err := s.Distribution(t.Context(), "orders", whole(c), "week"); err == nil {
		t.Error("there is a step of a week")
	}
}
