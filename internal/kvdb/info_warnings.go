package kvdb

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Warning is something about a server that somebody should look after.
type Warning struct {
	Serious bool   // data is lost or refused, now or at the next crash
	Text    string // what is wrong
	Cure    string // what to do
}

// What is worth a warning.
const (
	memoryFull   = 0.9 // of the limit
	memoryHigh   = 0.8 // of the limit
	fragmented   = 1.5 // times of what is used
	fragmentedBy = 64 << 20
	slowFork     = 200 * time.Millisecond
	lagging      = 10 * time.Second
	clientsHigh  = 0.9 // of maxclients
	fewHits      = 0.5
	hitsOf       = 10_000 // lookups before their share says something
)

// Warnings says in plain words what is wrong with the server, the worst first. What it can't know it leaves out.
func (n NodeInfo) Warnings() []Warning {
	if n.Info == nil {
		return nil
	}
	var serious, others []Warning
	bad := func(cure, format string, args ...any) {
		serious = append(serious, Warning{true, fmt.Sprintf(format, args...), cure})
	}
	warn := func(cure, format string, args ...any) {
		others = append(others, Warning{false, fmt.Sprintf(format, args...), cure})
	}
	n.warnOfMemory(bad, warn)
	n.warnOfDisk(bad, warn)
	n.warnOfReplication(bad, warn)
	n.warnOfClients(bad, warn)
	return append(serious, others...)
}

type warner func(cure, format string, args ...any)

func (n NodeInfo) warnOfMemory(bad, warn warner) {
	used, limit := n.Info.number("memory", "used_memory"), n.Info.number("memory", "maxmemory")
	policy := n.Info["memory"]["maxmemory_policy"]
	evicts := policy != "" && policy != "noeviction"
	switch share := float64(used) / float64(limit); {
	case limit == 0:
		if total := n.Info.number("memory", "total_system_memory"); total > 0 && float64(used) > memoryHigh*float64(total) {
			bad("Set maxmemory below what the machine has, or give it more.",
				"It uses %.0f %% of the machine's memory and has no limit: the system may kill it.", 100*float64(used)/float64(total))
		}
	case share > memoryFull && !evicts:
		bad("Raise maxmemory, or delete what is not needed: Memory shows the biggest keys.",
			"Memory is nearly full (%.0f %% of the limit). When it is, writes are refused.", 100*share)
	case share > memoryHigh:
		warn("Raise maxmemory, or delete what is not needed: Memory shows the biggest keys.", "Memory is at %.0f %% of its limit.", 100*share)
	}
	evicted := n.Info.number("stats", "evicted_keys")
	switch {
	case evicted > 0:
		bad("Raise maxmemory, and set maxmemory-policy to noeviction unless all that is here is a cache.",
			"%d keys were thrown away because memory was full (policy %s).", evicted, policy)
	case evicts && limit > 0:
		warn("Set maxmemory-policy to noeviction, so that writes are refused instead, unless all that is here is a cache.",
			"Keys may be thrown away when memory is full (policy %s), also dictionaries, queues and accounts.", policy)
	}
	rss := n.Info.number("memory", "used_memory_rss")
	switch ratio, _ := strconv.ParseFloat(n.Info["memory"]["mem_fragmentation_ratio"], 64); {
	case ratio > fragmented && rss-used > fragmentedBy:
		warn("CONFIG SET activedefrag yes, where it is built with jemalloc, or restart it when that suits.",
			"Memory is fragmented: the process holds %.1f times what it uses.", ratio)
	case ratio > 0 && ratio < 0.9 && used > fragmentedBy:
		bad("Give the machine more memory, or the server less data.", "A part of the data was swapped out to disk: that makes everything slow.")
	}
}

func (n NodeInfo) warnOfDisk(bad, warn warner) {
	disk := n.Info["persistence"]
	changes := n.Info.number("persistence", "rdb_changes_since_last_save")
	save, known := n.Settings["save"]
	if known && save == "" && disk["aof_enabled"] == "0" {
		bad("CONFIG SET appendonly yes, and save it with CONFIG REWRITE.", "Nothing is written to disk: a restart loses all data.")
	}
	if disk["rdb_last_bgsave_status"] == "err" {
		bad("Look into the server's log: the disk may be full, or the directory not writable.",
			"The last snapshot failed; %d changes are not on disk. The server may refuse writes until one works.", changes)
	}
	if disk["aof_last_write_status"] == "err" {
		bad("Make room on the disk.", "The last write to the append-only file failed: writes are refused.")
	}
	if disk["aof_last_bgrewrite_status"] == "err" {
		warn("Look into the server's log: the disk may be full.", "The last rewrite of the append-only file failed: it grows on.")
	}
	if n := n.Info.number("persistence", "aof_delayed_fsync"); n > 0 {
		warn("Give it a faster disk, or one of its own.", "The disk was too slow for the append-only file %d times; writes had to wait.", n)
	}
	if took := time.Duration(n.Info.number("stats", "latest_fork_usec")) * time.Microsecond; took > slowFork {
		warn("Less memory in one server, and no transparent huge pages, make it faster.",
			"The last fork took %v; nobody got an answer meanwhile.", took.Round(time.Millisecond))
	}
}

func (n NodeInfo) warnOfReplication(bad, warn warner) {
	r := n.Info["replication"]
	if r["role"] == "slave" && r["master_link_status"] != "up" {
		text := "This replica has no connection to its master: what it answers gets old."
		if r["master_sync_in_progress"] == "1" {
			text = "This replica is copying everything from its master: until then it answers nothing, or what is old."
		}
		bad("Look whether the master runs and can be reached from here.", "%s", text)
	}
	offset := n.Info.number("replication", "master_repl_offset")
	for i := 0; r["role"] == "master"; i++ {
		line, ok := r["slave"+strconv.Itoa(i)]
		if !ok {
			break
		}
		f := newInfoField("slave0", line)
		where := f.part("ip") + ":" + f.part("port")
		lag, _ := strconv.Atoi(f.part("lag"))
		behind, _ := strconv.ParseInt(f.part("offset"), 10, 64)
		switch {
		case f.part("state") != "online":
			warn("It should be online soon; if not, look into its log.", "The replica %s is not ready yet (%s).", where, f.part("state"))
		case time.Duration(lag)*time.Second > lagging:
			warn("Look at its machine and the network.", "The replica %s said nothing for %d s and is %d bytes behind.", where, lag, max(0, offset-behind))
		}
	}
}

func (n NodeInfo) warnOfClients(bad, warn warner) {
	clients, most := n.Info.number("clients", "connected_clients"), n.Info.number("clients", "maxclients")
	if rejected := n.Info.number("stats", "rejected_connections"); rejected > 0 {
		warn("Raise maxclients, or find out on the page Clients who opens so many.", "%d connections were refused because there were too many.", rejected)
	} else if most > 0 && float64(clients) > clientsHigh*float64(most) {
		warn("Raise maxclients, or find out on the page Clients who opens so many.", "%d of %d connections are in use; more are refused.", clients, most)
	}
	if blocked := n.Info.number("clients", "blocked_clients"); blocked > 0 && 2*blocked > clients {
		warn("Those that wait for a queue are well; the page Clients shows who they are.", "%d of %d clients wait in a blocking command.", blocked, clients)
	}
	hits, misses := n.Info.number("stats", "keyspace_hits"), n.Info.number("stats", "keyspace_misses")
	if all := hits + misses; all > hitsOf && float64(hits) < fewHits*float64(all) {
		warn("Programs that ask for what is not there are often misconfigured, or their keys expire too soon.",
			"%.0f %% of the lookups found no key.", 100*float64(misses)/float64(all))
	}
	if n.NoPassword && n.Info["server"]["tcp_port"] != "0" {
		warn("Set a password for the user default (requirepass, or ACL SETUSER), or let it listen on a socket only.",
			"Redis asks for no password: whoever reaches its port %s can do everything.", strings.TrimSpace(n.Info["server"]["tcp_port"]))
	}
}
