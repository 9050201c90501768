package kvdb

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Info is what INFO says: section → field → value. Names of sections are in lower case.
type Info map[string]map[string]string

// Info reads all sections, of a cluster those of one node: the one that holds the schema version.
func (db *DB) Info(ctx context.Context) (Info, error) {
	client := db.client
	if cc, ok := client.(*redis.ClusterClient); ok {
		node, err := cc.MasterForKey(ctx, db.keys.Schema())
		if err != nil {
			return nil, ReadErr("info", &notSentError{err})
		}
		client = node
	}
	text, err := client.Info(ctx, "everything").Result()
	if err != nil {
		return nil, ReadErr("info", err)
	}
	return parseInfo(text), nil
}

func parseInfo(text string) Info {
	info := Info{}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, "# "); ok {
			section = strings.ToLower(name)
			info[section] = map[string]string{}
		} else if field, value, ok := strings.Cut(line, ":"); ok && section != "" {
			info[section][field] = value
		}
	}
	return info
}

// Summary is the server at a glance. Fields that it doesn't tell, or not to this user, are zero. Those of a
// cluster are the sums over its masters, Uptime the shortest.
type Summary struct {
	Status     string // as in Health; "" = not known yet
	Detail     string // as in Health
	Version    string // "7.0.15"; of Valkey "valkey 8.1.0"
	Mode       string // standalone, sentinel, cluster
	OpsPerSec  int64
	UsedMemory int64 // bytes
	MaxMemory  int64 // bytes, 0 = no limit
	Clients    int64
	Uptime     time.Duration
}

// How often Summary asks whether the server is well, and how often for its figures. The first is often enough for a script that
// blocks the server to be seen within a second of the server's own patience with it.
const (
	statusInterval = time.Second
	summaryEvery   = 5 // statusInterval
)

type summaryBox struct {
	mu sync.Mutex
	s  Summary
}

// Summary returns what was seen last and never waits. From its first call on, the DB refreshes it in the
// background every 5 s, its state every second, until it is closed.
func (db *DB) Summary() Summary {
	db.watchOnce.Do(func() {
		db.watchers.Go(func() {
			ticker := time.NewTicker(statusInterval)
			defer ticker.Stop()
			for n := 0; ; n++ {
				if h := db.Health(context.Background()); n%summaryEvery == 0 || h != db.summary.health() {
					db.summary.set(db.readSummary(context.Background(), h))
				}
				select {
				case <-ticker.C:
				case <-db.closing:
					return
				}
			}
		})
	})
	return db.summary.get()
}

func (b *summaryBox) get() Summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s
}

func (b *summaryBox) health() Health {
	s := b.get()
	return Health{s.Status, s.Detail}
}

func (b *summaryBox) set(s Summary) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s = s
}

func (db *DB) readSummary(ctx context.Context, h Health) Summary {
	s := Summary{Status: h.Status, Detail: h.Detail}
	sample := Sample{At: time.Now()}
	if h.Status != StatusOK {
		db.samples.put(sample)
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var mu sync.Mutex
	add := func(ctx context.Context, node *redis.Client) error {
		text, err := node.Info(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		info := parseInfo(text)
		s.add(info)
		sample.add(info)
		return nil
	}
	// A user without INFO sees the status alone.
	var err error
	switch client := db.health.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, add)
	case *redis.Client:
		err = add(ctx, client)
	}
	sample.OK = err == nil // a part of a cluster would look like a fall of all
	db.samples.put(sample)
	return s
}

func (s *Summary) add(info Info) {
	number := func(section, field string) int64 {
		n, _ := strconv.ParseInt(info[section][field], 10, 64)
		return n
	}
	server := info["server"]
	s.Version, s.Mode = server["redis_version"], server["redis_mode"]
	if name := server["server_name"]; name != "" && name != "redis" {
		s.Version = name + " " + server[name+"_version"]
	}
	s.OpsPerSec += number("stats", "instantaneous_ops_per_sec")
	s.UsedMemory += number("memory", "used_memory")
	s.MaxMemory += number("memory", "maxmemory")
	s.Clients += number("clients", "connected_clients")
	uptime := time.Duration(number("server", "uptime_in_seconds")) * time.Second
	if s.Uptime == 0 || uptime < s.Uptime {
		s.Uptime = uptime
	}
}
