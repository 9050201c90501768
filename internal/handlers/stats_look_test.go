package handlers

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"webadmin/internal/stats"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestFigureText(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", .001: "<0.01", .334: "0.33", .4: "0.4", 1: "1", 5.12: "5.1", 99.94: "99.9",
		99.96: "100", 412.4: "412", 1960: "1,960"} {
		if got := figureText(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestChangeText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		now, before float64
		sense       sense
		text, tone  string
	}{
		{138, 100, moreIsWorse, "↑ 38 %", "down"}, {96, 100, moreIsWorse, "↓ 4 %", "up"}, {102, 100, moreIsWorse, "↑ 2 %", "muted"},
		{138, 100, neutral, "↑ 38 %", "muted"}, {100.2, 100, moreIsWorse, "0 %", "muted"}, {0, 0, moreIsWorse, "0 %", "muted"},
		{5, 0, moreIsWorse, "new", "muted"}, {0, 5, moreIsWorse, "↓ 100 %", "up"}, {1500, 100, moreIsWorse, "↑ × 15", "down"},
	} {
		if text, tone := changeText(tc.now, tc.before, tc.sense); text != tc.text || tone != tc.tone {
			t.Errorf("%v → %v: %q %q, want %q %q", tc.before, tc.now, text, tone, tc.text, tc.tone)
		}
	}
}

func TestRangeText(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Warsaw")
	at := func(text string) time.Time {
		v, ok := readMoment(text, 0, loc)
		if !ok {
			t.Fatal(text)
		}
		return v
	}
	for _, tc := range []struct{ from, to, want string }{
		{"2026-11-22", "2026-11-23", "Sun 22 Nov 2026"}, {"2026-10-25", "2026-10-26", "Sun 25 Oct 2026"}, // 25 hours
		{"2026-11-16", "2026-11-23", "16 Nov – 22 Nov 2026"}, {"2026-11-01", "2026-12-01", "November 2026"}, {"2026-01-01", "2027-01-01", "2026"},
		{"2025-12-29", "2026-01-05", "29 Dec 2025 – 4 Jan 2026"}, {"2026-11-22T08:00", "2026-11-22T09:00", "22 Nov 2026, 08:00–09:00"},
		{"2026-11-21T23:30", "2026-11-22T00:30", "21 Nov 2026, 23:30 – 22 Nov 2026, 00:30"},
	} {
		if got := rangeText(stats.Range{From: at(tc.from), To: at(tc.to)}, loc); got != tc.want {
			t.Errorf("%s to %s: %q, want %q", tc.from, tc.to, got, tc.want)
		}
	}
}

// A day of 23 or 25 hours has its ticks where the clock shows 6, 12 and 18.
func TestTicksOnDaysOfAChangeOfClocks(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Warsaw")
	for _, day := range []string{"2026-03-29", "2026-10-25", "2026-11-22"} {
		from, _ := readMoment(day, 0, loc)
		r := stats.Bounds(stats.SpanDay, from, loc)
		var texts []string
		for _, tick := range ticksOf(r, loc) {
			texts = append(texts, tick.Text)
			if clock := tick.At.In(loc).Format("15:04"); !strings.HasSuffix(clock, ":00") || tick.At.Before(r.From) || tick.At.After(r.To) {
				t.Errorf("%s: a tick at %s", day, tick.At)
			}
		}
		if got := strings.Join(texts[1:len(texts)-1], " "); got != "06:00 12:00 18:00" {
			t.Errorf("%s: %q", day, texts)
		}
	}
}

func TestTicksAreFew(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Asia/Kolkata")
	from := time.Date(2026, 1, 31, 13, 37, 11, 0, time.UTC)
	for length := time.Minute; length < 12*365*24*time.Hour; length = length * 5 / 4 {
		list := ticksOf(stats.Range{From: from, To: from.Add(length)}, loc)
		if len(list) > mostTicks+1 || len(list) < 2 && length > 10*time.Minute {
			t.Errorf("%s: %d ticks", length, len(list))
		}
		for i := range list {
			if i > 0 && !list[i].At.After(list[i-1].At) {
				t.Errorf("%s: %s after %s", length, list[i].At, list[i-1].At)
			}
		}
	}
}

// What the page compares with ends as early as the page's time does: today is not compared with all of yesterday.
func TestComparedRanges(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Warsaw")
	now := time.Date(2026, 11, 22, 8, 59, 30, 0, loc)
	for _, tc := range []struct {
		page            statsPage
		period, compare string
		from, to        string
	}{
		{trendsPage, "hour", "before", "2026-11-22T07:00", "2026-11-22T08:00"},
		{trendsPage, "hour", "week", "2026-11-15T08:00", "2026-11-15T09:00"},
		{summaryPage, "today", "before", "2026-11-21T00:00", "2026-11-21T09:00"},
		{summaryPage, "yesterday", "before", "2026-11-20T00:00", "2026-11-21T00:00"},
		{summaryPage, "week", "before", "2026-11-09T00:00", "2026-11-15T09:00"},
		{summaryPage, "month", "before", "2026-10-01T00:00", "2026-10-22T09:00"},
		{summaryPage, "year", "before", "2025-01-01T00:00", "2025-11-22T09:00"},
		{summaryPage, "today", "year", "2025-11-22T00:00", "2025-11-22T09:00"},
	} {
		l := look{page: tc.page, asked: url.Values{}, loc: loc, now: now, wrong: faults{}, compare: tc.compare}
		for _, x := range tc.page.periods {
			if x.name == tc.period {
				l.period = x
			}
		}
		l.Range = l.current(l.period)
		got := l.compared()
		if from, to := got.From.In(loc).Format(fieldTime), got.To.In(loc).Format(fieldTime); from != tc.from || to != tc.to {
			t.Errorf("%s and %s: %s to %s, want %s to %s", tc.period, tc.compare, from, to, tc.from, tc.to)
		}
	}
}
