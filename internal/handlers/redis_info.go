package handlers

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// info serves GET /redis/info?node=&q=. What can't be had now takes nothing else off the page.
func (p *redisInfoPages) info(c echo.Context) error {
	nodes, err := p.DB.InfoOf(c.Request().Context())
	node := chosen(nodes, query(c, "node"))
	sections := redisview.Sections{URL: p.url("redis.info"), Node: query(c, "node"), Query: query(c, "q")}
	switch {
	case err != nil:
		sections.Trouble = upperFirst(kvdb.Sentence(err))
	case node.Info == nil:
		sections.Trouble = upperFirst(kvdb.Sentence(node.Err))
	default:
		sections.List = sectionsOf(node.Info, sections.Query)
	}
	if targets(c.Request(), "sections") && wantsFragment(c.Request()) {
		pushURL(c, p.url("redis.info", values("node", sections.Node, "q", sections.Query)))
		return render(c, http.StatusOK, redisview.SectionsOf(sections))
	}
	v := redisview.InfoPage{Sections: sections, Live: p.liveView(nodes, node, query(c, "node"), err), Memory: p.url("redis.memory")}
	if len(nodes) > 1 {
		for _, n := range nodes {
			v.Nodes = append(v.Nodes, p.nodeRow(n, n.Addr == node.Addr))
		}
	}
	v.Note = p.DB.Addr()
	if server := node.Info["server"]; server != nil {
		v.Note += ": Redis " + versionOf(server) + ", runs for " + lastingText(time.Duration(infoNumber(node.Info,
			"server", "uptime_in_seconds"))*time.Second)
	}
	if node.Master != "" {
		v.Note += ", the master that the Sentinels call " + node.Master
	}
	v.Page = p.page(c, "Redis", p.crumbs("redis.info")...)
	return render(c, http.StatusOK, redisview.Info(v))
}

// live serves GET /redis/info/live?node=: the part that is always new.
func (p *redisInfoPages) live(c echo.Context) error {
	if !wantsFragment(c.Request()) {
		return redirect(c, p.url("redis.info", values("node", query(c, "node"))))
	}
	nodes, err := p.DB.InfoOf(c.Request().Context())
	return render(c, http.StatusOK, redisview.LiveOf(p.liveView(nodes, chosen(nodes, query(c, "node")), query(c, "node"), err)))
}

// chosen returns the server with the address, or the first that answers.
func chosen(nodes []kvdb.NodeInfo, addr string) (first kvdb.NodeInfo) {
	for _, n := range nodes {
		if n.Addr == addr {
			return n
		}
		if first.Info == nil && n.Info != nil {
			first = n
		}
	}
	return first
}

func (p *redisInfoPages) nodeRow(n kvdb.NodeInfo, current bool) redisview.NodeRow {
	row := redisview.NodeRow{Role: n.Role, Of: n.Of, Slots: n.Slots}
	row.Text, row.URL, row.Current = n.Addr, p.url("redis.info", values("node", n.Addr)), current
	if n.Err != nil {
		row.Trouble = upperFirst(kvdb.Sentence(n.Err))
		return row
	}
	row.Memory = byteSize(infoNumber(n.Info, "memory", "used_memory"))
	return row
}

func (p *redisInfoPages) liveView(nodes []kvdb.NodeInfo, node kvdb.NodeInfo, addr string, err error) redisview.Live {
	v := redisview.Live{Refresh: p.url("redis.info.live", values("node", addr))}
	if err != nil {
		v.Trouble = upperFirst(kvdb.Sentence(err))
	}
	if node.Info != nil {
		v.Tiles = p.tiles(node)
	}
	v.Warnings = redisWarnings(nodes)
	v.Well = err == nil && len(v.Warnings) == 0
	v.Charts = p.charts()
	if v.Of = "This server looks every 5 seconds, also while nobody is on this page."; len(nodes) > 1 {
		v.Of = "The figures above are those of " + node.Addr + ", the charts those of all masters together. " + v.Of
	}
	return v
}

// redisWarnings are those of all servers.
func redisWarnings(nodes []kvdb.NodeInfo) (out []redisview.Warning) {
	for _, n := range nodes {
		warnings := n.Warnings()
		if n.Err != nil {
			warnings = []kvdb.Warning{{Serious: true, Text: upperFirst(kvdb.Sentence(n.Err)), Cure: "Look whether it runs and can be reached from here."}}
		}
		for _, w := range warnings {
			row := redisview.Warning{Kind: "warning", Text: w.Text, Cure: w.Cure}
			if w.Serious {
				row.Kind = "error"
			}
			if len(nodes) > 1 {
				row.Node = n.Addr
			}
			out = append(out, row)
		}
	}
	return out
}

func infoNumber(i kvdb.Info, section, field string) int64 {
	n, _ := strconv.ParseInt(i[section][field], 10, 64)
	return n
}

// tiles are the few figures that matter.
func (p *redisInfoPages) tiles(n kvdb.NodeInfo) []redisview.Tile {
	number := func(section, field string) int64 { return infoNumber(n.Info, section, field) }
	used, limit := number("memory", "used_memory"), number("memory", "maxmemory")
	mem := redisview.Tile{Name: "Memory", Value: byteSize(used), Note: "no limit, peak " + byteSize(number("memory", "used_memory_peak"))}
	if limit > 0 {
		mem.Share = max(1, int(math.Round(100*float64(used)/float64(limit))))
		mem.Note, mem.Bad = strconv.Itoa(mem.Share)+" % of "+byteSize(limit), mem.Share > 90
	}
	tiles := []redisview.Tile{mem, hitTile(number("stats", "keyspace_hits"), number("stats", "keyspace_misses"))}
	clients := redisview.Tile{Name: "Clients", Value: decimal(number("clients", "connected_clients")),
		Note: "of " + decimal(number("clients", "maxclients"))}
	if blocked := number("clients", "blocked_clients"); blocked > 0 {
		clients.Note += ", " + decimal(blocked) + " waiting"
	}
	ratio := n.Info["memory"]["mem_fragmentation_ratio"]
	keys, expires, databases := keyCounts(n.Info["keyspace"])
	tiles = append(tiles, clients,
		redisview.Tile{Name: "Operations a second", Value: decimal(number("stats", "instantaneous_ops_per_sec")),
			Note: decimal(number("stats", "total_commands_processed")) + " in all"},
		redisview.Tile{Name: "Keys", Value: decimal(keys), Note: decimal(expires) + " expire, " + plural(databases, "database")},
		replicationTile(n), diskTile(n, p.Now()),
		redisview.Tile{Name: "Fragmentation", Value: cmp.Or(ratio, "–"), Note: byteSize(number("memory", "used_memory_rss")) + " of the machine"},
	)
	return tiles
}

func versionOf(server map[string]string) string {
	if name := server["server_name"]; name != "" && name != "redis" {
		return name + " " + server[name+"_version"]
	}
	return server["redis_version"]
}

func hitTile(hits, misses int64) redisview.Tile {
	t := redisview.Tile{Name: "Hit rate", Value: "–", Note: "no lookups yet"}
	if all := hits + misses; all > 0 {
		t.Value, t.Note = strconv.FormatFloat(100*float64(hits)/float64(all), 'f', 1, 64)+" %", "of "+plural(all, "lookup")+" since the start"
	}
	return t
}

func keyCounts(keyspace map[string]string) (keys, expires, databases int64) {
	for _, line := range keyspace {
		for pair := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(pair, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "keys":
				keys += n
			case "expires":
				expires += n
			}
		}
		databases++
	}
	return keys, expires, databases
}

func replicationTile(n kvdb.NodeInfo) redisview.Tile {
	t := redisview.Tile{Name: "Replication", Value: cmp.Or(n.Role, "–")}
	if n.Role != "replica" {
		replicas := infoNumber(n.Info, "replication", "connected_slaves")
		if t.Note = plural(replicas, "replica"); replicas == 0 {
			t.Note = "no replicas"
		}
		return t
	}
	link := n.Info["replication"]["master_link_status"]
	t.Note, t.Bad = "of "+n.Of+", link "+link, link != "up"
	return t
}

func diskTile(n kvdb.NodeInfo, now time.Time) redisview.Tile {
	t := redisview.Tile{Name: "Persistence"}
	disk := n.Info["persistence"]
	save, known := n.Settings["save"]
	var ways []string
	if disk["aof_enabled"] == "1" {
		ways = append(ways, "AOF")
	}
	if save != "" || !known && infoNumber(n.Info, "persistence", "rdb_saves") > 0 {
		ways = append(ways, "RDB")
	}
	if t.Value = strings.Join(ways, " and "); t.Value == "" {
		if t.Value = "none"; !known {
			t.Value = "–"
		}
		t.Bad = known
	}
	t.Note = plural(infoNumber(n.Info, "persistence", "rdb_changes_since_last_save"), "change") + " since the last snapshot"
	if at := infoNumber(n.Info, "persistence", "rdb_last_save_time"); at > 0 && infoNumber(n.Info, "persistence", "rdb_saves") > 0 {
		t.Note += ", " + lastingText(now.Sub(time.Unix(at, 0))) + " ago"
	}
	if disk["rdb_last_bgsave_status"] == "err" || disk["aof_last_write_status"] == "err" {
		t.Bad, t.Note = true, "the last one failed"
	}
	return t
}

// charts draw what was seen in the last minutes.
func (p *redisInfoPages) charts() []redisview.Chart {
	samples := p.DB.Samples()
	to := time.Now() // the clock of the samples
	series := func(name string, value func(kvdb.Sample) (float64, bool)) redisview.Series {
		s := redisview.Series{Name: name}
		for _, sample := range samples {
			point := ui.Point{At: sample.At, Value: math.NaN()}
			if v, ok := value(sample); ok && sample.OK {
				point.Value = v
			}
			s.Points = append(s.Points, point)
		}
		return s
	}
	chart := func(id, title string, step, top float64, format func(float64) string, lines ...redisview.Series) redisview.Chart {
		return redisview.NewChart(redisview.ChartProps{
			ID: id, Title: title, From: to.Add(-kvdb.SampleSpan), To: to, Series: lines, Max: top, Step: step, Apart: kvdb.SampleEvery, Format: format,
		})
	}
	size := func(v float64) string { return byteSize(int64(v)) }
	return []redisview.Chart{
		chart("ops", "Operations a second", 0, 0, fewDigits, series("", func(s kvdb.Sample) (float64, bool) { return s.Ops, s.Rates })),
		chart("memory", "Memory", 1024, 0, size, series("", func(s kvdb.Sample) (float64, bool) { return float64(s.Memory), true })),
		chart("clients", "Clients", 0, 0, fewDigits, series("", func(s kvdb.Sample) (float64, bool) { return float64(s.Clients), true })),
		chart("hits", "Hit rate", 0, 1, func(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" },
			series("", func(s kvdb.Sample) (float64, bool) { return s.Hits, s.Rates && s.Lookups })),
		chart("net", "Network", 1024, 0, func(v float64) string { return size(v) + "/s" },
			series("in", func(s kvdb.Sample) (float64, bool) { return s.NetIn, s.Rates }),
			series("out", func(s kvdb.Sample) (float64, bool) { return s.NetOut, s.Rates })),
	}
}

// fewDigits writes a number as exactly as one reads it.
func fewDigits(v float64) string {
	if v < 10 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return decimal(int64(math.Round(v)))
}
