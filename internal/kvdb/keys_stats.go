package kvdb

import "strings"

// StatsKeys are the keys of the statistics that concern no single service. They share the hash tag {stats}.
type StatsKeys struct{ prefix string }

// Stats returns the keys of the statistics.
func (k Keys) Stats() StatsKeys { return StatsKeys{string(k)} }

// Services holds the names of the services there are, by the hour in which each was last called (hours since 1970). ZSET
func (k StatsKeys) Services() string { return k.prefix + "{stats}:services" }

// Settings holds the settings: "version" and "json". HASH
func (k StatsKeys) Settings() string { return k.prefix + "{stats}:settings" }

// Thresholds holds from where on a service's calls count as slow, in ns. HASH
func (k StatsKeys) Thresholds() string { return k.prefix + "{stats}:thresholds" }

// Slow holds the slowest calls of all services of a day (20260131), by ns. ZSET
func (k StatsKeys) Slow(day string) string { return k.prefix + "{stats}:slow:" + day }

// Writers holds the processes that record. SET
func (k StatsKeys) Writers() string { return k.prefix + "{stats}:writers" }

// Alive is there while the process lives, and some minutes longer. STRING
func (k StatsKeys) Alive(process string) string { return k.prefix + "{stats}:alive:" + process }

// Open holds the services of which the process may have live records. SET
func (k StatsKeys) Open(process string) string { return k.prefix + "{stats}:open:" + process }

// StatsServiceKeys are the keys of one service in the statistics. They share a hash tag, so that a record moves from live
// to where it stays in one atomic step.
type StatsServiceKeys struct{ base string }

var tagEncoder = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

// Service returns the keys of a service; its name may be any text.
func (k StatsKeys) Service(name string) StatsServiceKeys {
	return StatsServiceKeys{k.prefix + "{st:" + tagEncoder.Replace(name) + "}:"}
}

// Live holds what each process has recorded in the last minutes; see the package stats. HASH
func (k StatsServiceKeys) Live() string { return k.base + "live" }

// Spread holds the distributions of a chunk of periods: the minutes ("m") of an hour, the hours ("h") of a day, the days ("d")
// of a month or the months ("y") of a year. HASH
func (k StatsServiceKeys) Spread(resolution, chunk string) string {
	return k.base + resolution + ":" + chunk
}

// Sums holds counts, sums and ends of the same periods. HASH
func (k StatsServiceKeys) Sums(resolution, chunk string) string {
	return k.base + resolution + "s:" + chunk
}

// Slow holds the slowest calls of a day, by ns. ZSET
func (k StatsServiceKeys) Slow(day string) string { return k.base + "slow:" + day }
