package kvdb

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxSlow is how many entries SlowLog reads of a server at most.
const MaxSlow = 1000

// SlowEntry is a command that was slow.
type SlowEntry struct {
	Node       string // address of the server
	ID         int64
	At         time.Time
	Took       time.Duration
	Line       string // the command as one reads it: secrets are masked, long arguments cut
	Client     string // its address; "" = a server before 4.0
	ClientName string
}

// SlowLog is what the servers remember as slow.
type SlowLog struct {
	Entries []SlowEntry // the newest first
	Kept    int64       // entries in all
	Nodes   int         // servers that answered
	// What the servers do; Known says that this user may know. They may differ in a cluster, then these are those of one.
	Known     bool
	Threshold time.Duration // what takes longer is remembered; negative = nothing is
	MaxLen    int64         // entries that a server keeps

	Latency LatencyMonitor
}

// LatencyMonitor is what the servers' own monitor of latency has seen.
type LatencyMonitor struct {
	Known     bool
	Threshold time.Duration // 0 = the monitor is off
	Events    []LatencyEvent
}

// LatencyEvent is a kind of work that took long.
type LatencyEvent struct {
	Node      string
	Name      string
	At        time.Time // the last time
	Last, Max time.Duration
}

// SlowLog reads the newest entries, up to limit (1 to MaxSlow) of each server, for somebody with the role; who is no admin doesn't
// get to see the arguments of commands on keys of this program. The errors are ErrAway, ErrInvalid and ErrForbidden.
func (db *DB) SlowLog(ctx context.Context, role string, limit int) (SlowLog, error) {
	restricted, err := access(role, viewer, "the slow log")
	if err != nil {
		return SlowLog{}, err
	}
	if limit < 1 || limit > MaxSlow {
		return SlowLog{}, Invalid("limit", "must be from 1 to %d", MaxSlow)
	}
	var mu sync.Mutex
	var log SlowLog
	var failed error
	err = db.eachNode(ctx, func(ctx context.Context, addr string, node *redis.Client) {
		pipe := node.Pipeline()
		entries := pipe.SlowLogGet(ctx, int64(limit))
		kept := pipe.Do(ctx, "slowlog", "len")
		slower, longest, monitor := pipe.Do(ctx, "config", "get", "slowlog-log-slower-than"), pipe.Do(ctx, "config", "get", "slowlog-max-len"),
			pipe.Do(ctx, "config", "get", "latency-monitor-threshold")
		latest := pipe.Do(ctx, "latency", "latest")
		_, _ = pipe.Exec(ctx)
		mu.Lock()
		defer mu.Unlock()
		list, err := entries.Result()
		if err != nil {
			failed = err
			return
		}
		log.Nodes++
		for _, e := range list {
			log.Entries = append(log.Entries, SlowEntry{
				Node: addr, ID: e.ID, At: e.Time, Took: e.Duration, Line: db.slowLine(e.Args, restricted), Client: e.ClientAddr, ClientName: e.ClientName,
			})
		}
		n, _ := kept.Int64()
		log.Kept += n
		us, knows := settingOf(slower, "slowlog-log-slower-than")
		most, _ := settingOf(longest, "slowlog-max-len")
		log.Known, log.Threshold, log.MaxLen = log.Known || knows, time.Duration(us)*time.Microsecond, most
		if ms, ok := settingOf(monitor, "latency-monitor-threshold"); ok {
			log.Latency.Known = true
			log.Latency.Threshold = max(log.Latency.Threshold, time.Duration(ms)*time.Millisecond)
		}
		log.Latency.Events = append(log.Latency.Events, latencyEvents(addr, latest.Val())...)
	})
	switch {
	case err != nil:
		return SlowLog{}, ReadErr("slowlog", &notSentError{err})
	case log.Nodes == 0 && failed != nil:
		return SlowLog{}, ReadErr("slowlog", failed)
	}
	slices.SortStableFunc(log.Entries, func(a, b SlowEntry) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return log, nil
}

// settingOf reads the answer of CONFIG GET for a number.
func settingOf(cmd *redis.Cmd, name string) (n int64, ok bool) {
	v, ok := fieldOf(cmd.Val(), name)
	if !ok {
		return 0, false
	}
	text, _ := v.(string)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// slowLine is the command as people may read it.
func (db *DB) slowLine(args []string, restricted bool) string {
	if len(args) == 0 {
		return ""
	}
	if restricted && slices.ContainsFunc(args[1:], db.isOurs) {
		return Shown(args[0]) + " … (" + strconv.Itoa(len(args)-1) + " arguments, with keys of this program: for admins)"
	}
	return Class{Args: args, Known: true}.Line()
}

// latencyEvents reads LATENCY LATEST: name, time, last and worst in milliseconds.
func latencyEvents(addr string, reply any) []LatencyEvent {
	list, _ := reply.([]any)
	var events []LatencyEvent
	for _, item := range list {
		fields, _ := item.([]any)
		if len(fields) < 4 {
			continue
		}
		name, _ := fields[0].(string)
		at, _ := fields[1].(int64)
		last, _ := fields[2].(int64)
		worst, _ := fields[3].(int64)
		events = append(events, LatencyEvent{
			Node: addr, Name: name, At: time.Unix(at, 0), Last: time.Duration(last) * time.Millisecond, Max: time.Duration(worst) * time.Millisecond,
		})
	}
	return events
}

// ResetSlowLog empties the slow log of all servers, for an admin. The errors are those of writes, and ErrForbidden.
func (db *DB) ResetSlowLog(ctx context.Context, role string) error {
	if _, err := access(role, admin, "emptying the slow log"); err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	err := db.eachNode(ctx, func(ctx context.Context, _ string, node *redis.Client) {
		err := node.Do(ctx, "slowlog", "reset").Err()
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	})
	if err != nil {
		return WriteErr("slowlog reset", &notSentError{err})
	}
	return WriteErr("slowlog reset", failed)
}
