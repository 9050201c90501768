package kvdb

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Unit says what the number in a field of INFO counts.
type Unit int

// Units.
const (
	NoUnit    Unit = iota // a text, or a number without a unit
	Bytes                 //
	Seconds               // may have a fraction
	Millis                //
	Micros                //
	Count                 // of things
	Percent               // "99.58%" or 0.00
	Ratio                 //
	UnixTime              // seconds
	Yes                   // 1 or 0
	KBps                  // thousands of bytes a second
	MicroTime             // microseconds since 1970
)

// InfoField is one line of INFO.
type InfoField struct {
	Name    string
	Raw     string
	Unit    Unit
	Meaning string // one sentence; "" = this program doesn't know the field
	Parts   []InfoPart
}

// InfoPart is one of the values in a line such as "keys=1,expires=0".
type InfoPart struct {
	Name, Raw string
	Unit      Unit
}

// InfoSection is a section of INFO, with its fields in the order in which they belong together.
type InfoSection struct {
	Name    string // as the server calls it, in lower case
	Title   string
	Meaning string
	Fields  []InfoField
}

// Sections returns all that INFO says, explained. Sections and fields that this program doesn't know come last, by name.
func (i Info) Sections() []InfoSection {
	var names []string
	for name := range i {
		names = append(names, name)
	}
	place := func(name string) int {
		if at := slices.IndexFunc(infoSections, func(s sectionFacts) bool { return s.name == name }); at >= 0 {
			return at
		}
		return len(infoSections)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	out := make([]InfoSection, 0, len(names))
	for _, name := range names {
		s := InfoSection{Name: name, Title: name}
		if at := place(name); at < len(infoSections) {
			s.Title, s.Meaning = infoSections[at].title, infoSections[at].meaning
		}
		for field, raw := range i[name] {
			s.Fields = append(s.Fields, newInfoField(field, raw))
		}
		sortFields(s.Fields)
		out = append(out, s)
	}
	return out
}

// sortFields puts the fields in the order of the table, and commands by the time that they took.
func sortFields(fields []InfoField) {
	place := func(f InfoField) int {
		if facts, ok := infoFacts[f.Name]; ok {
			return facts.place
		}
		return len(infoFacts)
	}
	took := func(f InfoField) float64 {
		if !strings.HasPrefix(f.Name, "cmdstat_") {
			return 0
		}
		usec, _ := strconv.ParseFloat(f.part("usec"), 64)
		return usec
	}
	slices.SortFunc(fields, func(a, b InfoField) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(took(b), took(a)), compareNumbered(a.Name, b.Name))
	})
}

// compareNumbered compares names that end in numbers: db2 comes before db10.
func compareNumbered(a, b string) int {
	a1, b1 := strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")
	if a1 == b1 && len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (f InfoField) part(name string) string {
	for _, p := range f.Parts {
		if p.Name == name {
			return p.Raw
		}
	}
	return ""
}

func newInfoField(name, raw string) InfoField {
	f := InfoField{Name: name, Raw: raw}
	if facts, ok := infoFacts[name]; ok {
		f.Unit, f.Meaning = facts.unit, facts.meaning
		return f
	}
	for _, many := range infoFamilies {
		if !many.matches(name) {
			continue
		}
		f.Unit, f.Meaning = many.unit, many.meaning
		for pair := range strings.SplitSeq(raw, ",") {
			part, value, ok := strings.Cut(pair, "=")
			if !ok {
				f.Parts = nil
				break
			}
			p := InfoPart{Name: part, Raw: value, Unit: many.parts[part]}
			if p.Unit == NoUnit && many.unit != NoUnit {
				p.Unit = many.unit
			}
			f.Parts = append(f.Parts, p)
		}
		return f
	}
	if strings.HasSuffix(name, "_human") {
		f.Meaning = "The same as " + strings.TrimSuffix(name, "_human") + ", rounded."
	}
	return f
}

type sectionFacts struct{ name, title, meaning string }

var infoSections = []sectionFacts{
	{"server", "Server", "The process and the machine."},
	{"clients", "Clients", "Connections."},
	{"memory", "Memory", "What the data and all around it take."},
	{"persistence", "Persistence", "Snapshots (RDB) and the log of writes (AOF) on disk."},
	{"threads", "Threads", "The threads that read and write for clients."},
	{"stats", "Statistics", "Counters since the start, or since CONFIG RESETSTAT."},
	{"replication", "Replication", "Master, replicas, and how far they are."},
	{"cpu", "CPU", "Processor time since the start."},
	{"modules", "Modules", "Modules that are loaded."},
	{"commandstats", "Commands", "Each command that ran, those that took the most time first."},
	{"errorstats", "Errors", "Errors that were replied, by their first word."},
	{"latencystats", "Latency", "How long commands took: the share that was faster."},
	{"sentinel", "Sentinel", "What a Sentinel watches."},
	{"cluster", "Cluster", "Whether it is part of a cluster."},
	{"keyspace", "Keyspace", "Databases that have keys."},
	{"keysizes", "Sizes of keys", "How many keys of a type have about so many elements."},
}

// infoFamily are fields of which there may be any number, known by how they begin.
type infoFamily struct {
	start   string
	digits  bool // a number follows, and nothing else
	unit    Unit
	parts   map[string]Unit
	meaning string
}

func (f infoFamily) matches(name string) bool {
	rest, ok := strings.CutPrefix(name, f.start)
	return ok && (!f.digits || rest != "" && strings.Trim(rest, "0123456789") == "")
}

var infoFamilies = []infoFamily{
	{start: "db", digits: true, parts: map[string]Unit{"keys": Count, "expires": Count, "avg_ttl": Millis, "subexpiry": Count},
		meaning: "Keys of this database, how many of them expire, and in how long on average."},
	{start: "cmdstat_", parts: map[string]Unit{"calls": Count, "usec": Micros, "usec_per_call": Micros, "rejected_calls": Count, "failed_calls": Count},
		meaning: "Calls, their time together and each, refused before they ran, failed."},
	{start: "errorstat_", parts: map[string]Unit{"count": Count}, meaning: "How often this error was replied."},
	{start: "latency_percentiles_usec_", unit: Micros, meaning: "50, 99 and 99.9 per cent of the calls took no longer than this."},
	{start: "slave", digits: true, parts: map[string]Unit{"offset": Bytes, "lag": Seconds},
		meaning: "A replica: its address, state, what it has got, and seconds since it last said so."},
	{start: "module", parts: map[string]Unit{}, meaning: "A module with its version and what it uses."},
	{start: "master", digits: true, parts: map[string]Unit{"slaves": Count, "sentinels": Count}, meaning: "A master that this Sentinel watches."},
	{start: "io_thread_", parts: map[string]Unit{"clients": Count, "reads": Count, "writes": Count},
		meaning: "A thread that reads and writes for clients."},
}

type fieldFacts struct {
	unit    Unit
	meaning string
	place   int
}

// infoFacts explains the fields, by name.
var infoFacts = func() map[string]fieldFacts {
	facts := make(map[string]fieldFacts, len(infoFieldList))
	for i, f := range infoFieldList {
		facts[f.name] = fieldFacts{f.unit, f.meaning, i}
	}
	return facts
}()

var infoFieldList = []struct {
	name    string
	unit    Unit
	meaning string
}{
	// Server
	{"redis_version", NoUnit, "Version of the server, or the one of Redis that it is compatible with."},
	{"server_name", NoUnit, "Which server it is, where it is not Redis."},
	{"valkey_version", NoUnit, "Version of Valkey."},
	{"valkey_release_stage", NoUnit, "Whether it is a release, a candidate or in development."},
	{"redis_git_sha1", NoUnit, "Commit that it was built from; zeros for a release."},
	{"redis_git_dirty", Yes, "Whether it was built from a changed source."},
	{"redis_build_id", NoUnit, "Identifies the build."},
	{"redis_mode", NoUnit, "standalone, sentinel or cluster."},
	{"server_mode", NoUnit, "standalone, sentinel or cluster."},
	{"os", NoUnit, "Operating system and kernel."},
	{"arch_bits", NoUnit, "Width of the processor's addresses; with 32 bits it can't use more than 4 GB."},
	{"monotonic_clock", NoUnit, "The clock with which it measures durations."},
	{"multiplexing_api", NoUnit, "How it waits for many connections at a time."},
	{"atomicvar_api", NoUnit, "How its threads share counters."},
	{"gcc_version", NoUnit, "Compiler that built it."},
	{"process_id", NoUnit, "Number of the process."},
	{"process_supervised", NoUnit, "Whether systemd or upstart watches over it."},
	{"run_id", NoUnit, "Random; a new one at each start. Sentinel and cluster use it."},
	{"tcp_port", NoUnit, "Port where it listens; 0 = only on a socket or with TLS."},
	{"server_time_usec", MicroTime, "The server's clock."},
	{"uptime_in_seconds", Seconds, "Since it was started."},
	{"uptime_in_days", NoUnit, "The same in whole days."},
	{"hz", Count, "How often a second it does its background work."},
	{"configured_hz", Count, "How often a second it was told to; with many clients it does so more often."},
	{"lru_clock", NoUnit, "Clock by which it knows what was not used for long, in seconds, starting over every 194 days."},
	{"executable", NoUnit, "File of the program."},
	{"config_file", NoUnit, "File of its configuration; empty = it has none, so that CONFIG REWRITE fails."},
	{"io_threads_active", Yes, "Whether more than one thread reads and writes for clients now."},
	{"availability_zone", NoUnit, "Zone that it was told to be in."},
	{"listener0", NoUnit, "Where it listens."},
	{"listener1", NoUnit, "Where it listens."},
	{"listener2", NoUnit, "Where it listens."},

	// Clients
	{"connected_clients", Count, "Connections of clients, without those of replicas."},
	{"cluster_connections", Count, "About how many connections the nodes of the cluster have with this one."},
	{"maxclients", Count, "Connections it takes at most, all kinds together; more are refused."},
	{"client_recent_max_input_buffer", Bytes, "The largest buffer of a request lately."},
	{"client_recent_max_output_buffer", Bytes, "The longest list of replies that a client has not read, lately."},
	{"blocked_clients", Count, "Clients that wait in a blocking command such as BLPOP; that is normal for queues."},
	{"tracking_clients", Count, "Clients that are told when keys they have cached change."},
	{"pubsub_clients", Count, "Clients that listen to channels."},
	{"watching_clients", Count, "Clients that watch keys for a transaction."},
	{"clients_in_timeout_table", Count, "Clients that wait, and not forever."},
	{"total_watched_keys", Count, "Keys that are watched."},
	{"total_blocking_keys", Count, "Keys that clients wait for."},
	{"total_blocking_keys_on_nokey", Count, "Keys whose removal clients wait for."},
	{"paused_reason", NoUnit, "Why clients are paused; none = they are not."},
	{"paused_actions", NoUnit, "What is paused."},
	{"paused_timeout_milliseconds", Millis, "How long the pause still lasts."},

	// Memory
	{"used_memory", Bytes, "What the server has asked its allocator for: the data, and all around it. The limit is about this."},
	{"used_memory_human", NoUnit, "The same, rounded."},
	{"used_memory_rss", Bytes,
		"What the operating system has given the process. More than used_memory is fragmentation; less means that it was swapped out."},
	{"used_memory_rss_human", NoUnit, "The same, rounded."},
	{"used_memory_peak", Bytes, "The most it ever used."},
	{"used_memory_peak_human", NoUnit, "The same, rounded."},
	{"used_memory_peak_perc", Percent, "What it uses now, of the peak."},
	{"used_memory_peak_time", UnixTime, "When the peak was."},
	{"used_memory_overhead", Bytes, "For everything but the data: buffers, tables, the log of writes."},
	{"used_memory_startup", Bytes, "What it took when it was started, empty."},
	{"used_memory_dataset", Bytes, "The data itself."},
	{"used_memory_dataset_perc", Percent, "The data's share of what was used since the start."},
	{"allocator_allocated", Bytes, "What the allocator has given out, with what it wastes inside."},
	{"allocator_active", Bytes, "What the pages that it uses take."},
	{"allocator_resident", Bytes, "What it holds of the system, with what it could give back."},
	{"allocator_muzzy", Bytes, "What it has marked as free, and the system may take back."},
	{"total_system_memory", Bytes, "Memory of the machine."},
	{"total_system_memory_human", NoUnit, "The same, rounded."},
	{"used_memory_lua", Bytes, "For the Lua engine of scripts; the old name of used_memory_vm_eval."},
	{"used_memory_vm_eval", Bytes, "For the Lua engine of scripts (EVAL), which doesn't count as used_memory."},
	{"used_memory_lua_human", NoUnit, "The same, rounded."},
	{"used_memory_scripts_eval", Bytes, "For the texts of scripts that are cached."},
	{"number_of_cached_scripts", Count, "Scripts that are cached (EVAL, SCRIPT LOAD)."},
	{"number_of_functions", Count, "Functions."},
	{"number_of_libraries", Count, "Libraries of functions."},
	{"used_memory_vm_functions", Bytes, "For the Lua engine of functions, which doesn't count as used_memory."},
	{"used_memory_vm_total", Bytes, "Both engines together."},
	{"used_memory_vm_total_human", NoUnit, "The same, rounded."},
	{"used_memory_functions", Bytes, "For the texts of functions."},
	{"used_memory_scripts", Bytes, "For the texts of scripts and functions."},
	{"used_memory_scripts_human", NoUnit, "The same, rounded."},
	{"maxmemory", Bytes, "The limit; 0 = none, so that it takes what the machine has."},
	{"maxmemory_human", NoUnit, "The same, rounded."},
	{"maxmemory_policy", NoUnit, "What it does at the limit: noeviction refuses writes, all others throw keys away."},
	{"allocator_frag_ratio", Ratio, "Fragmentation inside of the allocator; 1 = none."},
	{"allocator_frag_bytes", Bytes, "The same in bytes."},
	{"allocator_rss_ratio", Ratio, "What the allocator holds of what it uses; it could give the rest back."},
	{"allocator_rss_bytes", Bytes, "The same in bytes."},
	{"rss_overhead_ratio", Ratio, "Memory of the process of that of the allocator: program, stacks, engines."},
	{"rss_overhead_bytes", Bytes, "The same in bytes."},
	{"mem_fragmentation_ratio", Ratio,
		"Memory of the process of what was asked for. Up to 1.5 is well; less than 1 means swapping. It says little while little is used."},
	{"mem_fragmentation_bytes", Bytes, "The same in bytes."},
	{"mem_not_counted_for_evict", Bytes, "Buffers for replicas and for the log of writes, which the limit leaves out."},
	{"mem_replication_backlog", Bytes, "The last writes, kept for replicas that come back."},
	{"mem_total_replication_buffers", Bytes, "All buffers of replication."},
	{"mem_replica_full_sync_buffer", Bytes, "What a replica keeps while it is copying all."},
	{"mem_clients_slaves", Bytes, "Buffers of replicas."},
	{"mem_clients_normal", Bytes, "Buffers of all other clients."},
	{"mem_cluster_links", Bytes, "Links of the cluster."},
	{"mem_aof_buffer", Bytes, "Writes on their way to the log."},
	{"mem_overhead_db_hashtable_rehashing", Bytes, "Tables of keys that are just being enlarged."},
	{"mem_allocator", NoUnit, "Which allocator it was built with."},
	{"active_defrag_running", Percent, "Share of the processor for defragmentation now; 0 = none runs."},
	{"lazyfree_pending_objects", Count, "Values that are to be freed in the background."},
	{"lazyfreed_objects", Count, "Values that were freed in the background."},
	{"mem_cluster_slot_migration_output_buffer", Bytes, "Buffers for slots on the move."},

	// Persistence
	{"loading", Yes, "Whether it is reading its data from disk; until then it answers nothing."},
	{"async_loading", Yes, "Whether it reads a copy of its master while it answers from the old data."},
	{"current_cow_peak", Bytes, "The most that was copied because of writes while a child process saves."},
	{"current_cow_size", Bytes, "What has been copied because of writes while a child process saves."},
	{"current_cow_size_age", Seconds, "How old that number is."},
	{"current_fork_perc", Percent, "How far the child process is."},
	{"current_save_keys_processed", Count, "Keys that it has written."},
	{"current_save_keys_total", Count, "Keys that there were when it began."},
	{"rdb_changes_since_last_save", Count, "Changes since the last snapshot: without AOF, what a crash would lose."},
	{"rdb_bgsave_in_progress", Yes, "Whether a snapshot is being written."},
	{"rdb_last_save_time", UnixTime, "The last snapshot that was written, or the start."},
	{"rdb_last_bgsave_status", NoUnit, "How the last one ended; after err, writes are refused unless stop-writes-on-bgsave-error is off."},
	{"rdb_last_bgsave_time_sec", Seconds, "How long the last one took; -1 = there was none."},
	{"rdb_current_bgsave_time_sec", Seconds, "How long the one that is being written has taken; -1 = there is none."},
	{"rdb_saves", Count, "Snapshots since the start."},
	{"rdb_last_cow_size", Bytes, "What was copied because of writes during the last one."},
	{"rdb_last_load_keys_expired", Count, "Keys that had expired when it last read a snapshot."},
	{"rdb_last_load_keys_loaded", Count, "Keys that it read from it."},
	{"aof_enabled", Yes, "Whether each write goes to a log."},
	{"aof_rewrite_in_progress", Yes, "Whether the log is being written anew, shorter."},
	{"aof_rewrite_scheduled", Yes, "Whether that will be when the snapshot is done."},
	{"aof_last_rewrite_time_sec", Seconds, "How long the last rewrite took; -1 = there was none."},
	{"aof_current_rewrite_time_sec", Seconds, "How long the one that runs has taken; -1 = there is none."},
	{"aof_last_bgrewrite_status", NoUnit, "How the last rewrite ended."},
	{"aof_rewrites", Count, "Rewrites since the start."},
	{"aof_rewrites_consecutive_failures", Count, "Rewrites that failed one after the other."},
	{"aof_last_write_status", NoUnit, "How the last write to the log ended; after err, writes are refused."},
	{"aof_last_cow_size", Bytes, "What was copied because of writes during the last rewrite."},
	{"aof_current_size", Bytes, "Size of the log."},
	{"aof_base_size", Bytes, "Its size after the last rewrite, or at the start."},
	{"aof_pending_rewrite", Yes, "Whether a rewrite waits for a snapshot."},
	{"aof_buffer_length", Bytes, "Writes that are not in the log yet."},
	{"aof_rewrite_buffer_length", Bytes, "Writes that wait for the rewrite to end."},
	{"aof_pending_bio_fsync", Count, "Calls that bring the log to disk and wait for it."},
	{"aof_delayed_fsync", Count, "How often the disk was too slow for the log, so that writes had to wait."},
	{"module_fork_in_progress", Yes, "Whether a module has a child process."},
	{"module_fork_last_cow_size", Bytes, "What was copied because of writes during the last one."},
	{"loading_start_time", UnixTime, "When it began to read its data."},
	{"loading_total_bytes", Bytes, "Size of the file."},
	{"loading_rdb_used_mem", Bytes, "What the data took when the file was written."},
	{"loading_loaded_bytes", Bytes, "What it has read."},
	{"loading_loaded_perc", Percent, "How far it is."},
	{"loading_eta_seconds", Seconds, "How long it will still take, about."},

	// Stats
	{"total_connections_received", Count, "Connections that it took. If this grows fast, clients connect for each command; let them keep connections."},
	{"total_commands_processed", Count, "Commands that it ran."},
	{"instantaneous_ops_per_sec", Count, "Commands a second now."},
	{"total_net_input_bytes", Bytes, "Read from clients."},
	{"total_net_output_bytes", Bytes, "Written to clients."},
	{"total_net_repl_input_bytes", Bytes, "Read for replication."},
	{"total_net_repl_output_bytes", Bytes, "Written for replication."},
	{"instantaneous_input_kbps", KBps, "Read now."},
	{"instantaneous_output_kbps", KBps, "Written now."},
	{"instantaneous_input_repl_kbps", KBps, "Read for replication now."},
	{"instantaneous_output_repl_kbps", KBps, "Written for replication now."},
	{"rejected_connections", Count, "Connections that were refused because there were maxclients."},
	{"sync_full", Count, "Times that a replica had to copy everything."},
	{"sync_partial_ok", Count, "Times that a replica came back and got only what it had missed."},
	{"sync_partial_err", Count, "Times that what it had missed was no longer there, so that it had to copy everything."},
	{"expired_keys", Count, "Keys that expired."},
	{"expired_subkeys", Count, "Fields of hashes that expired."},
	{"expired_stale_perc", Percent, "About how many of the keys that can expire have done so and still take memory."},
	{"expired_time_cap_reached_count", Count, "Times that there was more to expire than it has time for."},
	{"expire_cycle_cpu_milliseconds", Millis, "Time spent on expiring."},
	{"evicted_keys", Count, "Keys that were thrown away because the memory was full."},
	{"evicted_clients", Count, "Clients that were cut off because their buffers took too much (maxmemory-clients)."},
	{"evicted_scripts", Count, "Scripts that were thrown out of the cache."},
	{"total_eviction_exceeded_time", Millis, "How long it used more than the limit."},
	{"current_eviction_exceeded_time", Millis, "How long it has used more than the limit now; 0 = it doesn't."},
	{"keyspace_hits", Count, "Lookups of keys that were there."},
	{"keyspace_misses", Count, "Lookups of keys that were not."},
	{"pubsub_channels", Count, "Channels that somebody listens to."},
	{"pubsub_patterns", Count, "Patterns of channels that somebody listens to."},
	{"pubsubshard_channels", Count, "Channels of this shard that somebody listens to."},
	{"latest_fork_usec", Micros, "How long the last fork took. Nothing else is done meanwhile."},
	{"total_forks", Count, "Forks since the start."},
	{"migrate_cached_sockets", Count, "Connections that are kept for MIGRATE."},
	{"slave_expires_tracked_keys", Count, "Keys that a replica which takes writes has to expire itself."},
	{"active_defrag_hits", Count, "Values that defragmentation moved."},
	{"active_defrag_misses", Count, "Values that it looked at and left."},
	{"active_defrag_key_hits", Count, "Keys that it moved something of."},
	{"active_defrag_key_misses", Count, "Keys that it left."},
	{"total_active_defrag_time", Millis, "How long memory was fragmented over the limit."},
	{"current_active_defrag_time", Millis, "How long it has been now; 0 = it isn't."},
	{"tracking_total_keys", Count, "Keys that clients have cached and want to be told of."},
	{"tracking_total_items", Count, "The same, a key counted for each client."},
	{"tracking_total_prefixes", Count, "Prefixes of keys that clients want to be told of."},
	{"unexpected_error_replies", Count, "Errors that should not be, such as in what a master sends."},
	{"total_error_replies", Count, "Errors that were replied."},
	{"dump_payload_sanitizations", Count, "Times that a RESTORE was checked through and through."},
	{"total_reads_processed", Count, "Reads from connections."},
	{"total_writes_processed", Count, "Writes to connections."},
	{"io_threaded_reads_processed", Count, "Reads that other threads did."},
	{"io_threaded_writes_processed", Count, "Writes that other threads did."},
	{"io_threaded_total_prefetch_batches", Count, "Batches of keys that were fetched ahead."},
	{"io_threaded_total_prefetch_entries", Count, "Keys that were fetched ahead."},
	{"client_query_buffer_limit_disconnections", Count, "Clients that were cut off because a request was too long."},
	{"client_output_buffer_limit_disconnections", Count, "Clients that were cut off because they didn't read what they had asked for."},
	{"reply_buffer_shrinks", Count, "Times that the reply buffer of a client was made smaller."},
	{"reply_buffer_expands", Count, "Times that it was made larger."},
	{"eventloop_cycles", Count, "Rounds of its main loop."},
	{"eventloop_duration_sum", Micros, "Time of all rounds."},
	{"eventloop_duration_cmd_sum", Micros, "Time that they spent on commands."},
	{"instantaneous_eventloop_cycles_per_sec", Count, "Rounds a second now."},
	{"instantaneous_eventloop_duration_usec", Micros, "How long a round takes now."},
	{"acl_access_denied_auth", Count, "Sign-ins that were refused."},
	{"acl_access_denied_cmd", Count, "Commands that their user may not run."},
	{"acl_access_denied_key", Count, "Commands on keys that their user may not touch."},
	{"acl_access_denied_channel", Count, "Channels that their user may not use."},
	{"acl_access_denied_tls_cert", Count, "Certificates that were refused."},

	// Replication
	{"role", NoUnit, "master, or slave for a replica."},
	{"master_host", NoUnit, "Where its master is."},
	{"master_port", NoUnit, "Port of its master."},
	{"master_link_status", NoUnit, "up = it is connected to its master; down = its data gets old."},
	{"master_last_io_seconds_ago", Seconds, "Since it last heard of its master."},
	{"master_sync_in_progress", Yes, "Whether it is copying everything from its master."},
	{"slave_read_repl_offset", Bytes, "What it has read of its master's writes."},
	{"slave_repl_offset", Bytes, "What it has applied of its master's writes."},
	{"master_sync_total_bytes", Bytes, "What there is to copy; 0 = not known."},
	{"master_sync_read_bytes", Bytes, "What it has copied."},
	{"master_sync_left_bytes", Bytes, "What is left to copy."},
	{"master_sync_perc", Percent, "How far it is."},
	{"master_sync_last_io_seconds_ago", Seconds, "Since it last got a piece of the copy."},
	{"master_link_down_since_seconds", Seconds, "How long it has had no connection to its master; -1 = never had one."},
	{"slave_priority", NoUnit, "Rank in an election of a new master; 0 = never."},
	{"slave_read_only", Yes, "Whether it refuses writes of clients."},
	{"replica_announced", Yes, "Whether Sentinels tell of it."},
	{"connected_slaves", Count, "Replicas that are connected."},
	{"min_slaves_good_slaves", Count, "Replicas that are up to date, where writes need some of them."},
	{"replicas_waiting_psync", Count, "Replicas that are waiting for their copy."},
	{"master_failover_state", NoUnit, "Whether it is handing over to a replica (FAILOVER)."},
	{"master_replid", NoUnit, "Identifies the history of writes; it is the same on replicas."},
	{"master_replid2", NoUnit, "The one from before it became a master; zeros = there was none."},
	{"master_repl_offset", Bytes, "How much has been written since, as replicas count it."},
	{"second_repl_offset", NoUnit, "Up to where the second ID is good; -1 = not at all."},
	{"repl_backlog_active", Yes, "Whether the last writes are kept for replicas that come back."},
	{"repl_backlog_size", Bytes, "How much is kept at most."},
	{"repl_backlog_first_byte_offset", NoUnit, "Where that begins."},
	{"repl_backlog_histlen", Bytes, "How much is kept now."},

	// CPU
	{"used_cpu_sys", Seconds, "In the operating system."},
	{"used_cpu_user", Seconds, "In the server itself."},
	{"used_cpu_sys_children", Seconds, "Of processes that write snapshots, in the operating system."},
	{"used_cpu_user_children", Seconds, "Of processes that write snapshots."},
	{"used_cpu_sys_main_thread", Seconds, "Of the thread that runs the commands, in the operating system."},
	{"used_cpu_user_main_thread", Seconds, "Of the thread that runs the commands."},

	// Cluster and Sentinel
	{"cluster_enabled", Yes, "Whether it is a node of a cluster."},
	{"sentinel_masters", Count, "Masters that this Sentinel watches."},
	{"sentinel_tilt", Yes, "Whether it does nothing because its clock jumped or it stood still."},
	{"sentinel_tilt_since_seconds", Seconds, "How long; -1 = it doesn't."},
	{"sentinel_running_scripts", Count, "Scripts that it runs."},
	{"sentinel_scripts_queue_length", Count, "Scripts that wait."},
	{"sentinel_simulate_failure_flags", NoUnit, "For tests."},
}
