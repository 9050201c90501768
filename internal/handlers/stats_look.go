package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/stats"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

// period is a time that people choose by name. It ends now, or with the calendar's.
type period struct {
	name   string
	text   string
	before string        // the one before it
	length time.Duration // of one that ends now
	span   stats.Span    // of one of the calendar
	unit   stats.Span    // by which one steps through the calendar
}

var (
	lastTimes = []period{
		{name: "15m", text: "Last 15 minutes", before: "the 15 minutes before", length: 15 * time.Minute},
		{name: "hour", text: "Last hour", before: "the hour before", length: time.Hour},
		{name: "6h", text: "Last 6 hours", before: "the 6 hours before", length: 6 * time.Hour},
		{name: "24h", text: "Last 24 hours", before: "the 24 hours before", length: 24 * time.Hour},
	}
	calendarTimes = []period{
		{name: "today", text: "Today", before: "the day before", span: stats.SpanToday, unit: stats.SpanDay},
		{name: "yesterday", text: "Yesterday", before: "the day before", span: stats.SpanYesterday, unit: stats.SpanDay},
		{name: "week", text: "This week", before: "the week before", span: stats.SpanWeek, unit: stats.SpanWeek},
		{name: "month", text: "This month", before: "the month before", span: stats.SpanMonth, unit: stats.SpanMonth},
		{name: "year", text: "This year", before: "the year before", span: stats.SpanYear, unit: stats.SpanYear},
	}
	ownTime = period{name: "own", text: "Another time…", before: "the time before"}
)

// statsPage is what the pages about a time differ in.
type statsPage struct {
	route, title string
	periods      []period
	usual        int // which of them is shown first
}

var (
	trendsPage  = statsPage{"stats.trends", "Trends", lastTimes, 1}
	summaryPage = statsPage{"stats.summary", "Summary", calendarTimes, 0}
	servicePage = statsPage{"stats.service", "Service", slices.Concat(lastTimes, calendarTimes), 1}
)

// lookNames are the parts of an address that a step, a zoom or another choice keeps.
var lookNames = []string{"name", "period", "from", "to", "compare", "cfrom", "cto", "sort", "n", "q", "which", "own", "view", "live"}

// look is the time that a page is about, as its address says.
type look struct {
	page    statsPage
	asked   url.Values // the address
	loc     *time.Location
	now     time.Time
	period  period
	fixed   bool // from and to are in the address
	compare string
	stats.Range
	before *stats.Range // what it is compared with
	wrong  faults
}

// shortest is the shortest time that can be looked at: statistics are kept by the minute.
const shortest = time.Minute

// lookAt reads the time from the address. What is wrong with it is in wrong, by field; the usual time stands in for it.
func (p *statsPages) lookAt(c echo.Context, page statsPage) look {
	l := look{page: page, asked: url.Values{}, loc: zoneOf(c.Request()), now: p.Now(), period: page.periods[page.usual], wrong: faults{}}
	for _, name := range lookNames {
		l.asked.Set(name, query(c, name))
	}
	if i := slices.IndexFunc(page.periods, func(x period) bool { return x.name == query(c, "period") }); i >= 0 {
		l.period = page.periods[i]
	}
	l.Range = l.current(l.period)
	if query(c, "from") != "" || query(c, "to") != "" {
		if r, ok := l.readRange("from", "to"); ok {
			l.Range, l.fixed = r, true
			if query(c, "period") == "" {
				l.period = ownTime
			}
		}
	}
	l.compare = cmp.Or(query(c, "compare"), "before")
	l.before = l.compared()
	return l
}

// current is the range of a period that holds now. One that ends now takes in the minute that has begun.
func (l *look) current(x period) stats.Range {
	if x.length > 0 {
		return endsNow(l.now, x.length)
	}
	return stats.Bounds(x.span, l.now, l.loc)
}

// endsNow is the range of a length that ends with the minute of now.
func endsNow(now time.Time, length time.Duration) stats.Range {
	to := now.Truncate(time.Minute).Add(time.Minute)
	return stats.Range{From: to.Add(-length), To: to}
}

// readRange reads a range from two fields.
func (l *look) readRange(fromName, toName string) (r stats.Range, ok bool) {
	var fromOK, toOK bool
	r.From, fromOK = readMoment(l.asked.Get(fromName), 0, l.loc)
	r.To, toOK = readMoment(l.asked.Get(toName), 1, l.loc)
	switch {
	case !fromOK:
		l.wrong[fromName] = "Is not a time"
	case !toOK:
		l.wrong[toName] = "Is not a time"
	case r.Len() < shortest:
		l.wrong[toName] = "Must be later than the beginning"
	case r.From.After(l.now):
		l.wrong[fromName] = "Is in the future"
	case r.From.Year() < 2000 || r.To.Year() > 9999:
		l.wrong[fromName] = "Is too long ago"
	default:
		return r, true
	}
	return r, false
}

// readMoment reads a time as links have it, as fields have it in the reader's zone, or a day, to which it adds days.
func readMoment(text string, days int, loc *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, true
	}
	for _, layout := range []string{fieldTime, fieldTime + ":05"} {
		if t, err := time.ParseInLocation(layout, text, loc); err == nil {
			return t, true
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, loc); err == nil {
		return t.AddDate(0, 0, days), true
	}
	return time.Time{}, false
}

// fieldTime is how a field of a form holds a time.
const fieldTime = "2006-01-02T15:04"

// elapsed is the part of the range that has passed: today is compared with yesterday up to the same time.
func (l *look) elapsed() stats.Range {
	r := l.Range
	if soon := l.now.Truncate(time.Minute).Add(time.Minute); r.To.After(soon) {
		r.To = soon
	}
	return r
}

// compared is the range that the page compares with.
func (l *look) compared() *stats.Range {
	r := l.elapsed()
	switch l.compare {
	case "none":
		return nil
	case "own":
		if l.asked.Get("cfrom") == "" && l.asked.Get("cto") == "" {
			return nil // the form for it is open
		}
		own, ok := l.readRange("cfrom", "cto")
		if !ok {
			return nil
		}
		return &own
	case "day", "week", "month", "year":
		r = stats.Shift(r, stats.Span(l.compare), -1, l.loc)
	default:
		if l.compare = "before"; l.period.unit != "" {
			r = stats.Shift(r, l.period.unit, -1, l.loc)
		} else {
			r = stats.Range{From: r.From.Add(-l.Len()), To: r.To.Add(-l.Len())}
		}
	}
	return &r
}

// with is the address with other values of the named parts; "" takes one off.
func (l *look) with(pairs ...string) url.Values {
	v := maps.Clone(l.asked)
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// rangeQuery is the address of another range. That of a period which holds now says no times, so that it goes on.
func (l *look) rangeQuery(x period, r stats.Range) url.Values {
	if x.name == "yesterday" {
		x = calendarTimes[0]
	}
	if x.unit != "" {
		for _, other := range calendarTimes {
			if other.unit == x.unit && l.current(other) == r {
				return l.with("period", other.name, "from", "", "to", "")
			}
		}
	} else if x.length > 0 && r.To.After(l.now) {
		return l.with("period", x.name, "from", "", "to", "")
	}
	if x.name == ownTime.name {
		x.name = ""
	}
	return l.with("period", x.name, "from", linkTime(r.From), "to", linkTime(r.To))
}

func linkTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// step is the range n of its own lengths later.
func (l *look) step(n int) stats.Range {
	if l.period.unit != "" {
		return stats.Shift(l.Range, l.period.unit, n, l.loc)
	}
	d := time.Duration(n) * l.Len()
	return stats.Range{From: l.From.Add(d), To: l.To.Add(d)}
}

// text names the range: by its period while that holds now, else by its days and times.
func (l *look) text() string {
	if !l.fixed {
		return l.period.text
	}
	return rangeText(l.Range, l.loc)
}

// rangeText writes a range in the reader's zone: a day, a month or a year if it is one, else its ends.
func rangeText(r stats.Range, loc *time.Location) string {
	from, to := r.From.In(loc), r.To.In(loc)
	midnight := func(t time.Time) bool { return t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, loc)) }
	if !midnight(from) || !midnight(to) {
		if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
			return from.Format("2 Jan 2006, 15:04") + "–" + to.Format("15:04")
		}
		return from.Format("2 Jan 2006, 15:04") + " – " + to.Format("2 Jan 2006, 15:04")
	}
	last := to.AddDate(0, 0, -1)
	switch {
	case from.Equal(last):
		return from.Format("Mon 2 Jan 2006")
	case from.Day() == 1 && to.Equal(from.AddDate(0, 1, 0)):
		return from.Format("January 2006")
	case from.YearDay() == 1 && to.Equal(from.AddDate(1, 0, 0)):
		return from.Format("2006")
	case from.Year() == last.Year():
		return from.Format("2 Jan") + " – " + last.Format("2 Jan 2006")
	}
	return from.Format("2 Jan 2006") + " – " + last.Format("2 Jan 2006")
}

// compareText names what the page compares with.
func (l *look) compareText() string {
	switch {
	case l.before == nil:
		return "nothing"
	case l.compare == "own":
		return rangeText(*l.before, l.loc)
	}
	return l.compareNames()[l.compare]
}

// compareNames are the choices of what to compare with, by the value in the address.
func (l *look) compareNames() map[string]string {
	names := map[string]string{"before": l.period.before, "day": "a day before", "week": "a week before",
		"month": "a month before", "year": "a year before"}
	for _, same := range []stats.Span{stats.SpanDay, stats.SpanWeek, stats.SpanMonth, stats.SpanYear} {
		if same == l.period.unit {
			delete(names, string(same)) // it is the one before
		}
	}
	for name, most := range map[string]time.Duration{"day": 25 * time.Hour, "week": 8 * 24 * time.Hour, "month": 32 * 24 * time.Hour} {
		if l.Len() > most {
			delete(names, name) // they would overlap
		}
	}
	return names
}

// live is how often the page looks again; 0 = what it shows has passed, or the reader has stopped it.
func (l *look) live() time.Duration {
	switch {
	case l.asked.Get("live") == "off" || !l.To.After(l.now):
		return 0
	case l.Len() <= 6*time.Hour:
		return 10 * time.Second
	}
	return time.Minute
}

// here is the address of the page with other values of the named parts.
func (p *statsPages) here(l *look, pairs ...string) string {
	return p.url(l.page.route, l.with(pairs...))
}

// controls are those above the figures.
func (p *statsPages) controls(l *look) statsview.Controls {
	v := statsview.Controls{Back: p.url(l.page.route, l.rangeQuery(l.period, l.step(-1)))}
	if next := l.step(1); l.fixed && next.From.Before(l.now) {
		v.Forward = p.url(l.page.route, l.rangeQuery(l.period, next))
	} else if l.period.name == "yesterday" {
		v.Forward = p.here(l, "period", "today")
	}
	v.Range = statsview.Menu{ID: "range", Label: "Time", Now: l.text()}
	for _, x := range l.page.periods {
		v.Range.Choices = append(v.Range.Choices, statsview.Choice{Text: x.text,
			URL: p.here(l, "period", x.name, "from", "", "to", "", "cfrom", "", "cto", ""), Current: !l.fixed && x.name == l.period.name})
	}
	v.Range.Choices = append(v.Range.Choices, statsview.Choice{Text: ownTime.text, URL: p.here(l, "period", ownTime.name), Current: l.fixed})
	v.Compare = &statsview.Menu{ID: "compare", Label: "Compared with", Now: l.compareText()}
	names := l.compareNames()
	for _, name := range []string{"before", "day", "week", "month", "year"} {
		if names[name] != "" {
			v.Compare.Choices = append(v.Compare.Choices, statsview.Choice{Text: names[name], URL: p.here(l, "compare", name, "cfrom", "", "cto", ""),
				Current: l.before != nil && name == l.compare})
		}
	}
	v.Compare.Choices = append(v.Compare.Choices,
		statsview.Choice{Text: ownTime.text, URL: p.here(l, "compare", "own"), Current: l.compare == "own"},
		statsview.Choice{Text: "nothing", URL: p.here(l, "compare", "none", "cfrom", "", "cto", ""), Current: l.compare == "none"})
	if l.fixed && l.period.name == ownTime.name {
		v.Out = p.url(l.page.route, l.outer())
	}
	if l.To.After(l.now) {
		v.Live = &statsview.Switch{Text: "live", On: l.live() > 0, URL: p.here(l, "live", "off")}
		if l.live() == 0 {
			v.Live.URL = p.here(l, "live", "")
		}
	}
	v.CSV = p.here(l, "format", "csv")
	v.Own = p.ownRange(l)
	return v
}

// outer is the address of three times the range round it.
func (l *look) outer() url.Values {
	r := stats.Range{From: l.From.Add(-l.Len()), To: l.To.Add(l.Len())}
	if end := l.now.Truncate(time.Minute).Add(time.Minute); r.To.After(end) {
		r = stats.Range{From: r.From.Add(end.Sub(r.To)), To: end}
	}
	return l.rangeQuery(ownTime, r)
}

// ownRange is the form for a time that has no name, while it is open.
func (p *statsPages) ownRange(l *look) *statsview.OwnRange {
	v := &statsview.OwnRange{URL: p.url(l.page.route)}
	fromName, toName, shown := "from", "to", l.Range
	without := []string{"from", "to", "period"}
	switch {
	case l.asked.Get("period") == ownTime.name || l.wrong["from"]+l.wrong["to"] != "":
		v.Title, v.Cancel = "Show", p.here(l, "period", "", "from", "", "to", "")
	case l.compare == "own" && l.before == nil:
		v.Title, v.Cancel = "Compare with", p.here(l, "compare", "", "cfrom", "", "cto", "")
		fromName, toName, without = "cfrom", "cto", []string{"cfrom", "cto"}
		shown = stats.Range{From: l.From.Add(-l.Len()), To: l.From}
	default:
		return nil
	}
	for _, name := range lookNames {
		if value := l.asked.Get(name); value != "" && !slices.Contains(without, name) {
			v.Hidden = append(v.Hidden, [2]string{name, value})
		}
	}
	field := func(name, label string, t time.Time) ui.FieldProps {
		value := t.In(l.loc).Format(fieldTime)
		if typed := l.asked.Get(name); typed != "" && l.wrong[name] != "" {
			value = typed
		}
		return ui.FieldProps{ID: "own-" + name, Name: name, Label: label + " (" + l.loc.String() + ")", Type: "datetime-local", Value: value,
			Error: l.wrong[name], Required: true}
	}
	v.From, v.To = field(fromName, "From", shown.From), field(toName, "To", shown.To)
	return v
}

// status is 422 when the address has a time that is none.
func (l *look) status() int {
	if len(l.wrong) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// oneOf reads a number that is one of the choices.
func oneOf(text string, usual int, choices ...int) int {
	if n, err := strconv.Atoi(text); err == nil && slices.Contains(choices, n) {
		return n
	}
	return usual
}
