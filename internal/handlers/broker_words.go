package handlers

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/ui"
)

// stateKinds are the colours of the states: one where somebody should look, one where it ended well, one while it goes on.
var stateKinds = map[broker.State]string{
	broker.Running: "info", broker.Retrying: "warning", broker.Done: "success", broker.Dead: "error",
}

func stateBadge(s broker.State) brokerview.Badge {
	b := brokerview.Badge{Kind: "plain", Text: string(s)}
	if kind := stateKinds[s]; kind != "" {
		b.Kind = kind
	}
	return b
}

// stateMoment is the time that matters in a state.
func stateMoment(x broker.Invocation) brokerview.Moment {
	switch x.State {
	case broker.Delayed, broker.Retrying:
		return brokerview.Moment{Word: "due", At: x.DueAt}
	case broker.Running:
		return brokerview.Moment{Word: "since", At: x.StartedAt}
	case broker.Queued:
		return brokerview.Moment{}
	}
	return brokerview.Moment{At: x.EndedAt}
}

// attemptsOf says how often an invocation has run, and how often it may.
func attemptsOf(x broker.Invocation) string {
	return strconv.Itoa(x.Attempt) + " of " + strconv.Itoa(x.MaxAttempts)
}

// spanUnits are the units of a time as it is typed, the largest first.
var spanUnits = []struct {
	size  time.Duration
	name  string
	other string // what people type instead
}{
	{24 * time.Hour, "d", "day days"}, {time.Hour, "h", "hour hours"}, {time.Minute, "min", "m minute minutes"},
	{time.Second, "s", "sec second seconds"}, {time.Millisecond, "ms", ""},
}

// typedSpan writes a time so that readSpan gives it back: all of its units, down to milliseconds.
func typedSpan(d time.Duration) string {
	var parts []string
	for _, u := range spanUnits {
		if n := d / u.size; n > 0 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+" "+u.name)
			d -= n * u.size
		}
	}
	if parts == nil {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// readSpan reads a time such as 30 s, 1 h 30 min or 7 d; a bare number is seconds.
func readSpan(field, s string) (time.Duration, error) {
	wrong := kvdb.Invalid(field, "must be a time such as 30 s, 5 min, 12 h or 7 d")
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "" {
		return 0, wrong
	}
	for rest != "" {
		end := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsDigit(r) && r != '.' })
		if end < 0 {
			end = len(rest)
		}
		n, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil {
			return 0, wrong
		}
		rest = strings.TrimSpace(rest[end:])
		end = strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
		if end < 0 {
			end = len(rest)
		}
		unit := unitOf(rest[:end])
		if unit == 0 || n*float64(unit)+float64(total) > float64(longestSpan) {
			return 0, wrong
		}
		total += time.Duration(n * float64(unit))
		rest = strings.TrimSpace(rest[end:])
	}
	return total, nil
}

// longestSpan keeps what is typed within what a time can hold.
const longestSpan = 100 * 365 * 24 * time.Hour

func unitOf(name string) time.Duration {
	if name == "" {
		return time.Second
	}
	for _, u := range spanUnits {
		for _, known := range append(strings.Fields(u.other), u.name) {
			if strings.EqualFold(name, known) {
				return u.size
			}
		}
	}
	return 0
}

// field is a field of a form with what was typed and what is wrong with it.
func field(f form, wrong faults, id string, p ui.FieldProps) ui.FieldProps {
	p.ID = id
	if f.values != nil {
		p.Value = f.text(p.Name)
	}
	p.Error = wrong[p.Name]
	return p
}
