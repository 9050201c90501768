package handlers

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// shownSlow is how many entries of a server are shown unless one asks for more.
const shownSlow = 128

// slowLog serves GET /redis/slowlog?limit=&q=&sort=. q is a part of the command, or of the client's name or address; sort is time (the default) or
// took, with a - before it for the other way round.
func (p *redisInfoPages) slowLog(c echo.Context) error {
	limit, err := strconv.Atoi(cmp.Or(query(c, "limit"), strconv.Itoa(shownSlow)))
	if err != nil {
		return kvdb.Invalid("limit", "must be from 1 to %d", kvdb.MaxSlow)
	}
	log, err := p.DB.SlowLog(c.Request().Context(), roleOf(c), limit)
	if err != nil {
		return err
	}
	sort, read := query(c, "sort"), int64(len(log.Entries))
	log.Entries = slices.DeleteFunc(log.Entries, func(e kvdb.SlowEntry) bool { return !slowHas(e, query(c, "q")) })
	sortSlow(log.Entries, sort)
	v := redisview.SlowPage{URL: p.url("redis.slowlog"), Node: log.Nodes > 1, Sort: sort, Limit: ui.SelectProps{
		Name: "limit", Label: "Entries of each server", Value: strconv.Itoa(limit),
		Options: []ui.Option{{Value: "50"}, {Value: "128"}, {Value: "500"}, {Value: "1000"}},
	}}
	v.Search = ui.SearchProps{Name: "q", Label: "Command, client", Value: query(c, "q")}
	v.At, v.Took = p.slowSort(c, sort, "time"), p.slowSort(c, sort, "took")
	v.Summary = "the newest " + decimal(read) + " of " + decimal(log.Kept)
	if read == log.Kept {
		v.Summary = "all " + decimal(read)
	}
	if v.Search.Value != "" {
		v.Summary = decimal(int64(len(log.Entries))) + " match, of " + v.Summary
	}
	if read < log.Kept && limit < kvdb.MaxSlow {
		v.Bound = fmt.Sprintf("Only the newest %d of each server were searched.", limit)
		v.More = p.url("redis.slowlog", values("limit", strconv.Itoa(kvdb.MaxSlow), "q", query(c, "q"), "sort", sort))
	}
	switch {
	case !log.Known:
		v.Note = "Redis does not tell this user what it counts as slow (CONFIG GET slowlog-*)."
	case log.Threshold < 0:
		v.Off = "The slow log is off. CONFIG SET slowlog-log-slower-than 10000 has the server remember what takes longer than 10 ms."
	default:
		v.Note = fmt.Sprintf("Remembered is what takes longer than %s, without the time to wait and to send, the last %s. CONFIG SET "+
			"slowlog-log-slower-than (µs) and slowlog-max-len change that.",
			lastingText(log.Threshold), plural(log.MaxLen, "command"))
	}
	for _, e := range log.Entries {
		v.Rows = append(v.Rows, redisview.SlowRow{At: e.At, Took: lastingText(e.Took), Line: e.Line, Name: e.ClientName, Client: e.Client, Node: e.Node})
	}
	if mayAdmin(c) && read > 0 {
		v.Reset = p.url("redis.slowlog.ask")
	}
	v.Latency = latencyView(log.Latency)
	v.Page = p.page(c, "Slow log", p.crumbs("redis.slowlog")...)
	return render(c, http.StatusOK, redisview.SlowLog(v))
}

// slowHas says whether an entry has the text in it.
func slowHas(e kvdb.SlowEntry, text string) bool {
	return strings.Contains(strings.ToLower(e.Line+"\n"+e.ClientName+"\n"+e.Client), strings.ToLower(strings.TrimSpace(text)))
}

func mayAdmin(c echo.Context) bool {
	return mw.From(c.Request().Context()).Principal.Role.Allows(Admin)
}

// sortSlow leaves entries of the same time or duration as they are: the newest first.
func sortSlow(entries []kvdb.SlowEntry, sort string) {
	switch sort {
	case "took":
		slices.SortStableFunc(entries, func(a, b kvdb.SlowEntry) int { return cmp.Compare(b.Took, a.Took) })
	case "-took":
		slices.SortStableFunc(entries, func(a, b kvdb.SlowEntry) int { return cmp.Compare(a.Took, b.Took) })
	case "-time":
		slices.Reverse(entries)
	}
}

// slowSort is the link of a column. The first click has the newest or slowest first.
func (p *redisInfoPages) slowSort(c echo.Context, sort, column string) redisview.SortLink {
	by, link := column, redisview.SortLink{}
	switch cmp.Or(sort, "time") {
	case column:
		by, link.Direction = "-"+column, "descending"
	case "-" + column:
		link.Direction = "ascending"
	}
	link.URL = p.url("redis.slowlog", values("limit", query(c, "limit"), "q", query(c, "q"), "sort", by))
	return link
}

// latencyMeanings are the events that people meet most.
var latencyMeanings = map[string]string{
	"command": "a command that is not fast by nature", "fast-command": "a command that should be fast: the machine was busy",
	"fork":         "the fork for a snapshot or a rewrite",
	"expire-cycle": "removing keys that expired", "eviction-cycle": "throwing keys away, as memory was full",
	"eviction-del": "deleting keys that were thrown away", "aof-write": "writing the append-only file",
	"aof-fsync-always": "bringing the append-only file to disk", "aof-write-pending-fsync": "waiting for the disk",
	"aof-write-active-child": "writing the append-only file while a snapshot is being written",
	"aof-write-alone":        "writing the append-only file", "aof-fstat": "asking for the size of the append-only file",
	"rdb-unlink-temp-file": "removing a file", "active-defrag-cycle": "defragmentation", "rename": "replacing a file",
	"aof-rename": "replacing the append-only file",
}

func latencyView(l kvdb.LatencyMonitor) redisview.Latency {
	v := redisview.Latency{}
	switch {
	case !l.Known:
		v.Note = "Redis does not tell this user whether its latency monitor is on (CONFIG GET latency-monitor-threshold)."
	case l.Threshold == 0:
		v.Note = "It is off. CONFIG SET latency-monitor-threshold 100 has the server remember all work that takes longer than 100 ms, also its own: " +
			"forks, the disk, expiry."
	default:
		v.Note = "It remembers all work that takes longer than " + lastingText(l.Threshold) + "."
	}
	for _, e := range l.Events {
		v.Rows = append(v.Rows, redisview.LatencyRow{Name: e.Name, Meaning: latencyMeanings[e.Name], Node: e.Node, At: e.At,
			Last: lastingText(e.Last), Max: lastingText(e.Max)})
	}
	return v
}

// resetWord is what an admin types to empty the slow log.
const resetWord = "SLOWLOG"

func (p *redisInfoPages) slowResetPage(c echo.Context, status int, fault string) error {
	v := redisview.ConfirmPage{Confirm: redisview.Confirmation{
		Title: "Empty the slow log", Text: "The servers forget all commands that were slow (SLOWLOG RESET). Nothing else changes.", Word: resetWord,
		Error:  fault,
		Action: p.url("redis.slowlog.reset"), Button: "Empty the slow log", Cancel: p.url("redis.slowlog"),
	}}
	v.Page = p.page(c, v.Confirm.Title, p.crumbs("redis.slowlog", "Empty")...)
	return render(c, status, redisview.Confirm(v))
}

// askSlowReset serves GET /redis/slowlog/reset.
func (p *redisInfoPages) askSlowReset(c echo.Context) error {
	return p.slowResetPage(c, http.StatusOK, "")
}

// resetSlowLog serves POST /redis/slowlog/reset with the field confirm.
func (p *redisInfoPages) resetSlowLog(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	if !strings.EqualFold(f.word("confirm"), resetWord) {
		return p.slowResetPage(c, http.StatusUnprocessableEntity, "Is not "+resetWord)
	}
	err = p.audited(c, verbSlowReset, "slow log", func() (before, after string, err error) {
		return "", "", p.DB.ResetSlowLog(c.Request().Context(), roleOf(c))
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("redis.slowlog"), ui.ToastProps{Kind: "success", Text: "The slow log is empty."})
}
