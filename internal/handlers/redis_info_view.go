package handlers

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
)

// sectionsOf explains all that INFO says, or what of it has the text in its name, value or meaning.
func sectionsOf(info kvdb.Info, text string) []redisview.Section {
	text = strings.ToLower(strings.TrimSpace(text))
	var out []redisview.Section
	for _, s := range info.Sections() {
		view := redisview.Section{ID: "section-" + s.Name, Title: s.Title, Meaning: s.Meaning}
		all := strings.Contains(strings.ToLower(s.Title), text)
		for _, f := range s.Fields {
			row := fieldView(f)
			if all || strings.Contains(strings.ToLower(f.Name+"\n"+f.Raw+"\n"+row.Text+"\n"+f.Meaning), text) {
				view.Fields = append(view.Fields, row)
			}
		}
		if view.Columns = columnsOf(view.Fields); view.Columns != nil {
			for i, f := range view.Fields {
				view.Fields[i].Text = afterFirst(f.Name, "cmdstat_", "errorstat_", "latency_percentiles_usec_")
			}
		}
		if text == "" || len(view.Fields) > 0 {
			out = append(out, view)
		}
	}
	return out
}

// columnNames are the parts that people call otherwise.
var columnNames = map[string]string{
	"usec": "time", "usec_per_call": "a call", "rejected_calls": "refused", "failed_calls": "failed", "avg_ttl": "expire in, on average",
	"p50": "50 %", "p99": "99 %", "p99.9": "99.9 %",
}

// columnsOf returns the names of the parts that all fields have, nil when they differ.
func columnsOf(fields []redisview.Field) []string {
	var columns []string
	for i, f := range fields {
		var names []string
		for _, part := range f.Parts {
			names = append(names, cmp.Or(columnNames[part.Name], part.Name))
		}
		if i == 0 {
			columns = names
		} else if !slices.Equal(columns, names) {
			return nil
		}
	}
	return columns
}

// afterFirst returns what follows the first of the beginnings that the name has.
func afterFirst(name string, beginnings ...string) string {
	for _, b := range beginnings {
		if rest, ok := strings.CutPrefix(name, b); ok {
			return rest
		}
	}
	return name
}

func fieldView(f kvdb.InfoField) redisview.Field {
	v := redisview.Field{Name: f.Name, Raw: f.Raw, Meaning: f.Meaning}
	for _, part := range f.Parts {
		v.Parts = append(v.Parts, redisview.Part{Name: part.Name, Text: infoText(part.Unit, part.Raw)})
	}
	n, err := strconv.ParseInt(f.Raw, 10, 64)
	switch {
	case err == nil && n > 0 && f.Unit == kvdb.UnixTime:
		v.At = time.Unix(n, 0)
	case err == nil && n > 0 && f.Unit == kvdb.MicroTime:
		v.At = time.UnixMicro(n)
	}
	v.Text = infoText(f.Unit, f.Raw)
	return v
}

// infoText writes a value with its unit. What is not the number that it should be stays as it is.
func infoText(unit kvdb.Unit, raw string) string {
	x, err := strconv.ParseFloat(strings.TrimSuffix(raw, "%"), 64)
	if err != nil {
		return raw
	}
	switch unit {
	case kvdb.Bytes:
		return byteSize(int64(x))
	case kvdb.KBps:
		return byteSize(int64(1024*x)) + "/s"
	case kvdb.Count:
		if x == float64(int64(x)) {
			return decimal(int64(x))
		}
	case kvdb.Percent:
		return strings.TrimSuffix(raw, "%") + " %"
	case kvdb.Seconds, kvdb.Millis, kvdb.Micros:
		if x < 0 {
			return "none"
		}
		return lastingText(time.Duration(x * float64(map[kvdb.Unit]time.Duration{kvdb.Seconds: time.Second, kvdb.Millis: time.Millisecond,
			kvdb.Micros: time.Microsecond}[unit])))
	case kvdb.Yes:
		return map[string]string{"0": "no", "1": "yes"}[raw]
	case kvdb.UnixTime, kvdb.MicroTime:
		if x <= 0 {
			return "never"
		}
	}
	return raw
}

// lastingText writes a duration in its two largest units.
func lastingText(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return trimZeros(strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)) + " ms"
	case d < time.Minute:
		return trimZeros(strconv.FormatFloat(d.Seconds(), 'f', 2, 64)) + " s"
	case d < time.Hour:
		return twoUnits(int64(d/time.Minute), "min", int64(d%time.Minute/time.Second), "s")
	case d < day:
		return twoUnits(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "min")
	}
	return twoUnits(int64(d/day), "d", int64(d%day/time.Hour), "h")
}

func twoUnits(a int64, unit string, b int64, smaller string) string {
	text := decimal(a) + " " + unit
	if b > 0 {
		text += " " + strconv.FormatInt(b, 10) + " " + smaller
	}
	return text
}

func trimZeros(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }
