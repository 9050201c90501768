package handlers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/stats"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/statsview"
	"webadmin/web/templates/ui"
)

const oneDay = 24 * time.Hour

// keeping are the resolutions, with the unit in which their retention is given.
var keeping = []struct {
	field, label, unit string
	of                 time.Duration
	value              func(*stats.Settings) *time.Duration
	memory             func(stats.ResolutionMemory) int64
}{
	{"minutes", "By the minute", "hours", time.Hour, func(s *stats.Settings) *time.Duration { return &s.Minutes },
		func(m stats.ResolutionMemory) int64 { return m.Minutes }},
	{"hours", "By the hour", "days", oneDay, func(s *stats.Settings) *time.Duration { return &s.Hours },
		func(m stats.ResolutionMemory) int64 { return m.Hours }},
	{"days", "By the day", "days", oneDay, func(s *stats.Settings) *time.Duration { return &s.Days },
		func(m stats.ResolutionMemory) int64 { return m.Days }},
	{"months", "By the month", "days", oneDay, func(s *stats.Settings) *time.Duration { return &s.Months },
		func(m stats.ResolutionMemory) int64 { return m.Months }},
}

// settings serves GET /stats/settings.
func (p *statsPages) settings(c echo.Context) error {
	set, err := p.Stats.Settings(c.Request().Context())
	if err != nil {
		return err
	}
	return p.settingsPage(c, http.StatusOK, set, p.settingsForm(c, set))
}

// settingsForm is the form with what is set.
func (p *statsPages) settingsForm(c echo.Context, set stats.Settings) statsview.SettingsForm {
	fixed := !mayAdmin(c)
	f := statsview.SettingsForm{
		Version: strconv.FormatInt(set.Version, 10),
		Recording: ui.CheckProps{Name: "recording", Label: "Count what happens", Checked: set.Recording, Disabled: fixed,
			Hint: "Switched off, nothing is counted, and what was counted stays as long as it is kept."},
	}
	if !fixed {
		f.Action = p.url("stats.settings.save")
	}
	number := func(name, label, value, hint string) ui.FieldProps {
		return ui.FieldProps{Name: name, Label: label, Value: value, Hint: hint, Type: "number", ReadOnly: fixed,
			Attrs: map[string]any{"min": "0", "step": "any", "size": "8"}}
	}
	for _, k := range keeping {
		f.Keep = append(f.Keep, number(k.field, k.label+" ("+k.unit+")", inUnits(*k.value(&set), k.of), ""))
	}
	f.Marks = append(f.Marks,
		number("slow_mean", "A mean over (ms)", inUnits(set.SlowMean, time.Millisecond), "0 = none"),
		number("busy_share", "A share of calls over (%)", trimZeros(strconv.FormatFloat(100*set.BusyShare, 'f', 2, 64)), "0 = none"),
		number("threshold", "Calls are slow from (ms)", inUnits(set.Threshold, time.Millisecond), "of services without a threshold of their own; 0 = none"))
	return f
}

// inUnits writes a duration as a number of units, for a field.
func inUnits(d, unit time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(unit), 'f', -1, 64)
}

// settingsPage shows the form, and what statistics cost with set.
func (p *statsPages) settingsPage(c echo.Context, status int, set stats.Settings, form statsview.SettingsForm, notices ...statsview.Notice) error {
	ctx := c.Request().Context()
	v := statsview.SettingsPage{Form: form, Notices: notices, Counters: counterTiles(p.Stats.Counters())}
	if !set.UpdatedAt.IsZero() {
		v.Facts = append(v.Facts, "changed by "+set.UpdatedBy+" at "+set.UpdatedAt.In(zoneOf(c.Request())).Format("2006-01-02 15:04:05"))
	}
	m, err := p.Stats.Memory(ctx, set)
	if err != nil {
		return err
	}
	for _, k := range keeping {
		each := k.memory(m.Each)
		v.Memory = append(v.Memory, statsview.MemoryRow{Name: k.label, Kept: lastingText(*k.value(&set)), PerService: byteSize(each),
			All: byteSize(each * int64(m.Services))})
	}
	v.Memory = append(v.Memory, statsview.MemoryRow{Name: "Together", PerService: byteSize(m.PerService), All: byteSize(m.Full)})
	v.MemoryNote = "At most: of services that are called in every minute of all that time. Now " + plural(int64(m.Services), "service") +
		" use about " + byteSize(m.Used) + "."
	list, err := p.Stats.Thresholds(ctx)
	if err != nil {
		return err
	}
	for _, t := range list {
		v.Thresholds = append(v.Thresholds, statsview.ThresholdRow{Service: t.Service,
			URL: p.url(servicePage.route, values("name", t.Service)), Took: lastingText(t.Took)})
	}
	if mayAdmin(c) {
		v.Delete = p.deleteForm(c, stats.Range{From: p.Now().Add(-time.Hour), To: p.Now()}, nil)
	}
	v.Page = p.page(c, "Settings of the statistics", append(p.crumbs(trendsPage.route)[:1], layout.Crumb{Text: "Settings"})...)
	return render(c, status, statsview.Settings(v))
}

// counterTiles say what became of the samples of this process.
func counterTiles(n stats.Counters) []statsview.Tile {
	return []statsview.Tile{
		{Name: "Waiting", Value: decimal(n.Waiting), Note: "samples that are not in Redis yet"},
		{Name: "Dropped", Value: decimal(n.Dropped), Note: "found no room while Redis was away"},
		{Name: "Unknown", Value: decimal(n.Unknown), Note: "sent, but no answer came: counted or not"},
		{Name: "Without a name", Value: decimal(n.Unnamed), Note: "counted as “" + stats.Other + "”"},
	}
}

// saveSettings serves POST /stats/settings. do=estimate saves nothing.
func (p *statsPages) saveSettings(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	now, err := p.Stats.Settings(ctx)
	if err != nil {
		return err
	}
	set, err := readSettings(f, now)
	if err == nil && f.word("do") == "estimate" {
		return p.settingsPage(c, http.StatusOK, set, p.settingsAgain(c, f, nil),
			statsview.Notice{Kind: "info", Text: "This is what it would cost. Nothing has been saved."})
	}
	if err == nil {
		err = p.audited(c, verbStatsSettings, "statistics", func() (before, after string, err error) {
			_, err = p.Stats.SetSettings(ctx, actor(c), set)
			return settingsText(now), settingsText(set), err
		})
	}
	var stale *stats.StaleSettings
	if errors.As(err, &stale) {
		form := p.settingsAgain(c, f, nil)
		form.Version = strconv.FormatInt(stale.Current.Version, 10)
		text := stale.Current.UpdatedBy + " has changed the settings since you opened them: " + settingsText(stale.Current) +
			". Below is what you typed; saving it now replaces theirs."
		return p.settingsPage(c, http.StatusConflict, stale.Current, form, statsview.Notice{Kind: "warning", Text: text})
	}
	if wrong, ok := faultsOf(err); ok {
		return p.settingsPage(c, http.StatusUnprocessableEntity, now, p.settingsAgain(c, f, wrong))
	} else if err != nil {
		return err
	}
	return p.done(c, p.url("stats.settings"), ui.ToastProps{Kind: "success", Text: "The settings of the statistics are saved."})
}

// readSettings reads the form. What it has no field for stays as it is now.
func readSettings(f form, now stats.Settings) (stats.Settings, error) {
	set := now
	var wrong []kvdb.FieldError
	number := func(field string, most float64) float64 {
		v, err := strconv.ParseFloat(f.word(field), 64)
		if err != nil || !(v >= 0 && v <= most) {
			wrong = append(wrong, kvdb.FieldError{Field: field, Message: fmt.Sprintf("is not a number between 0 and %s", decimal(int64(most)))})
			return 0
		}
		return v
	}
	set.Recording = f.has("recording")
	for _, k := range keeping {
		*k.value(&set) = time.Duration(number(k.field, 100_000) * float64(k.of))
	}
	set.SlowMean = time.Duration(number("slow_mean", inMS(stats.MaxDuration)) * float64(time.Millisecond))
	set.BusyShare = number("busy_share", 100) / 100
	set.Threshold = time.Duration(number("threshold", inMS(stats.MaxDuration)) * float64(time.Millisecond))
	set.Version = int64(number("version", math.MaxInt64/2))
	if wrong != nil {
		return set, &kvdb.InvalidError{Fields: wrong}
	}
	return set, nil
}

// settingsAgain is the form with what was typed.
func (p *statsPages) settingsAgain(c echo.Context, f form, wrong faults) statsview.SettingsForm {
	form := p.settingsForm(c, stats.Settings{})
	form.Version, form.Recording.Checked = f.word("version"), f.has("recording")
	for _, fields := range [][]ui.FieldProps{form.Keep, form.Marks} {
		for i := range fields {
			fields[i].Value, fields[i].Error = f.word(fields[i].Name), wrong[fields[i].Name]
		}
	}
	return form
}

// settingsText says the settings in one line, for the audit log.
func settingsText(s stats.Settings) string {
	text := "recording off"
	if s.Recording {
		text = "recording on"
	}
	for _, k := range keeping {
		text += fmt.Sprintf(", %s %s", k.field, lastingText(*k.value(&s)))
	}
	return text + fmt.Sprintf(", marks from a mean of %s and a share of %s, slow from %s", lastingText(s.SlowMean),
		percentText(s.BusyShare), lastingText(s.Threshold))
}

// deleteForm asks which range to delete.
func (p *statsPages) deleteForm(c echo.Context, r stats.Range, wrong faults) *statsview.DeleteForm {
	loc := zoneOf(c.Request())
	field := func(name, label string, t time.Time) ui.FieldProps {
		value := t.In(loc).Format(fieldTime)
		if wrong[name] != "" {
			value = query(c, name)
		}
		return ui.FieldProps{ID: "delete-" + name, Name: name, Label: label + " (" + loc.String() + ")", Type: "datetime-local",
			Value: value, Error: wrong[name], Required: true}
	}
	return &statsview.DeleteForm{
		URL: p.url("stats.ask"), From: field("from", "From", r.From), To: field("to", "To", r.To),
		Service: ui.FieldProps{ID: "delete-service", Name: "service", Label: "Only the service", Placeholder: "all services",
			Value: query(c, "service"), Mono: true},
	}
}

// deleteWord is what an admin types to delete a range.
const deleteWord = "DELETE"

// askDelete serves GET /stats/delete?from=&to=&service=: what would go.
func (p *statsPages) askDelete(c echo.Context) error {
	l := look{asked: values("from", query(c, "from"), "to", query(c, "to")), loc: zoneOf(c.Request()), now: p.Now(), wrong: faults{}}
	r, ok := l.readRange("from", "to")
	if !ok {
		set, err := p.Stats.Settings(c.Request().Context())
		if err != nil {
			return err
		}
		text := "Nothing was deleted: say from when, and up to a later time."
		return p.settingsPage(c, http.StatusUnprocessableEntity, set, p.settingsForm(c, set), statsview.Notice{Kind: "error", Text: text})
	}
	return p.deletePage(c, http.StatusOK, r, query(c, "service"), "")
}

func (p *statsPages) deletePage(c echo.Context, status int, r stats.Range, name, fault string) error {
	count, err := p.callsIn(c.Request().Context(), r, name)
	if err != nil {
		return err
	}
	loc := zoneOf(c.Request())
	text := "There are no calls from " + deletedText(r, name, loc) + "."
	if count > 0 {
		text = plural(count, "call") + " from " + deletedText(r, name, loc) +
			" would be forgotten, with their slow calls. This can't be undone. Where statistics are kept by the hour, day or month only, all of those that " +
			"the time touches wholly are deleted."
	}
	v := statsview.DeletePage{
		Text: text, Nothing: count == 0, Action: p.url("stats.delete"), Cancel: p.url("stats.settings"),
		Hidden:  [][2]string{{"from", linkTime(r.From)}, {"to", linkTime(r.To)}, {"service", name}},
		Confirm: ui.FieldProps{Name: "confirm", Label: "Type " + deleteWord + " to confirm", Error: fault, Mono: true, Required: true, Autofocus: true},
	}
	v.Page = p.page(c, "Delete statistics", append(p.crumbs(trendsPage.route)[:1],
		layout.Crumb{Text: "Settings", URL: p.url("stats.settings")}, layout.Crumb{Text: "Delete"})...)
	return render(c, status, statsview.Delete(v))
}

// callsIn counts the calls of a range, of one service or of all.
func (p *statsPages) callsIn(ctx context.Context, r stats.Range, name string) (int64, error) {
	if name != "" {
		report, err := p.Stats.Service(ctx, name, r, nil)
		if err != nil {
			return 0, err
		}
		return report.Items[0].Usage, nil
	}
	report, err := p.Stats.Services(ctx, r, stats.ServicesOptions{Limit: 1, Internal: true})
	return report.All.Usage, err
}

// deletedText names what a deletion is of.
func deletedText(r stats.Range, name string, loc *time.Location) string {
	text := r.From.In(loc).Format("2 Jan 2006, 15:04") + " to " + r.To.In(loc).Format("2 Jan 2006, 15:04") + " (" + loc.String() + ")"
	if name != "" {
		return text + " of the service " + name
	}
	return text + " of all services"
}

// deleteRange serves POST /stats/delete with the fields from, to, service and confirm.
func (p *statsPages) deleteRange(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), f.text("service")
	l := look{asked: values("from", f.word("from"), "to", f.word("to")), loc: zoneOf(c.Request()), now: p.Now(), wrong: faults{}}
	r, ok := l.readRange("from", "to")
	if !ok {
		return kvdb.Invalid("from", "and to are no range of time")
	}
	if f.word("confirm") != deleteWord {
		return p.deletePage(c, http.StatusUnprocessableEntity, r, name, "Is not "+deleteWord)
	}
	var services []string
	object := "statistics"
	if name != "" {
		services, object = []string{name}, statsObject(name)
	}
	var gone stats.Deleted
	err = p.audited(c, verbStatsDelete, object, func() (before, after string, err error) {
		gone, err = p.Stats.DeleteRange(ctx, r, services...)
		return deletedText(r, name, time.UTC), "", err
	})
	if err != nil {
		return err
	}
	text := "Deleted " + plural(gone.Calls, "call") + " of " + plural(int64(gone.Services), "service") + " and " + plural(gone.Slow, "slow call") +
		", from " + deletedText(gone.Range, name, l.loc) + "."
	return p.done(c, p.url("stats.settings"), ui.ToastProps{Kind: "success", Text: text, LinkText: "Audit record",
		LinkURL: p.url("audit", values("verb", verbStatsDelete))})
}
