package kvdb

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// NodeInfo is one server and what it says of itself.
type NodeInfo struct {
	Addr   string
	ID     string // in a cluster
	Role   string // master or replica; "" = it doesn't tell
	Of     string // of a replica: the address of its master
	Slots  string // of a master of a cluster: "0-5460 7000"
	Master string // the name by which the Sentinels know it, "" = there are none
	Info   Info   // nil = it didn't answer: see Err
	Err    error
	// Settings that INFO doesn't have; those that this user may not read are missing.
	Settings map[string]string
	// NoPassword says that whoever reaches the server may do all that the default user may. That it doesn't say so proves nothing.
	NoPassword bool
}

// eachNode calls fn for all servers at a time, those of a cluster that the cluster itself knows.
func (db *DB) eachNode(ctx context.Context, fn func(ctx context.Context, addr string, node *redis.Client)) error {
	switch client := db.client.(type) {
	case *redis.ClusterClient:
		return client.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error {
			fn(ctx, node.Options().Addr, node)
			return nil
		})
	case *redis.Client:
		fn(ctx, db.Addr(), client)
	}
	return nil
}

// InfoOf reads all that the servers say of themselves; of a cluster, masters first, in the order of their slots, each followed by its
// replicas. A server that doesn't answer is there with an Err; when none does, that is the error: ErrAway.
func (db *DB) InfoOf(ctx context.Context) ([]NodeInfo, error) {
	var mu sync.Mutex
	var nodes []NodeInfo
	table := ""
	err := db.eachNode(ctx, func(ctx context.Context, addr string, client *redis.Client) {
		n := db.readNode(ctx, addr, client)
		text := ""
		if db.target.scheme.mode == cluster && n.Err == nil {
			text, _ = client.Do(ctx, "cluster", "nodes").Text()
			n.ID, _ = client.Do(ctx, "cluster", "myid").Text()
		}
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		table = cmp.Or(table, text)
	})
	if err != nil {
		return nil, ReadErr("info", &notSentError{err})
	}
	answered := slices.ContainsFunc(nodes, func(n NodeInfo) bool { return n.Err == nil })
	switch {
	case len(nodes) == 0:
		return nil, ReadErr("info", &notSentError{errors.New("no server is known")})
	case !answered:
		return nil, nodes[0].Err
	case table != "":
		nodes = placeNodes(nodes, table)
	}
	return nodes, nil
}

func (db *DB) readNode(ctx context.Context, addr string, client *redis.Client) NodeInfo {
	n := NodeInfo{Addr: addr, Master: db.target.master, Settings: map[string]string{}}
	pipe := client.Pipeline()
	text := pipe.Info(ctx, "everything")
	save, user := pipe.Do(ctx, "config", "get", "save"), pipe.Do(ctx, "acl", "getuser", "default")
	_, _ = pipe.Exec(ctx)
	all, err := text.Result()
	if err != nil {
		n.Err = ReadErr("info", err)
		return n
	}
	n.Info = parseInfo(all)
	if n.Role = n.Info["replication"]["role"]; n.Role == "slave" {
		n.Role = "replica"
		n.Of = net.JoinHostPort(n.Info["replication"]["master_host"], n.Info["replication"]["master_port"])
	}
	if v, ok := fieldOf(save.Val(), "save"); ok {
		n.Settings["save"], _ = v.(string)
	}
	if flags, ok := fieldOf(user.Val(), "flags"); ok {
		list, _ := flags.([]any)
		n.NoPassword = slices.Contains(list, any("nopass")) && slices.Contains(list, any("on"))
	}
	return n
}

// fieldOf finds a field in a reply that is a map, which the client gives as one, or as a list of names and values.
func fieldOf(reply any, name string) (any, bool) {
	switch r := reply.(type) {
	case map[any]any:
		v, ok := r[name]
		return v, ok
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			if r[i] == any(name) {
				return r[i+1], true
			}
		}
	}
	return nil, false
}

// placeNodes puts the servers of a cluster in order, with their slots. Who didn't answer is found by its address.
func placeNodes(nodes []NodeInfo, table string) []NodeInfo {
	type row struct {
		id, addr, flags, of, slots string
		first                      int
	}
	var rows []row
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 8 {
			continue
		}
		addr, _, _ := strings.Cut(words[1], "@")
		r := row{id: words[0], addr: addr, flags: words[2], of: words[3], first: slotCount}
		var slots []string
		for _, s := range words[8:] {
			if !strings.HasPrefix(s, "[") { // those are on the move
				slots = append(slots, s)
			}
		}
		if r.slots = strings.Join(slots, " "); len(slots) > 0 {
			from, _, _ := strings.Cut(slots[0], "-")
			r.first, _ = strconv.Atoi(from)
		}
		rows = append(rows, r)
	}
	byID := map[string]row{}
	for _, r := range rows {
		byID[r.id] = r
	}
	for _, r := range rows {
		i := slices.IndexFunc(nodes, func(n NodeInfo) bool { return n.ID == r.id || n.ID == "" && n.Addr == r.addr })
		if i < 0 {
			nodes = append(nodes, NodeInfo{Addr: r.addr, ID: r.id, Err: ReadErr("info",
				&notSentError{errors.New("this server of the cluster can't be reached")})})
			i = len(nodes) - 1
		}
		n := &nodes[i]
		n.ID, n.Slots, n.Role = r.id, r.slots, "master"
		if strings.Contains(r.flags, "slave") {
			n.Role, n.Of = "replica", byID[r.of].addr
		}
	}
	order := func(n NodeInfo) (int, int) {
		r := byID[n.ID]
		if n.Role == "replica" {
			return byID[r.of].first, 1
		}
		return r.first, 0
	}
	slices.SortStableFunc(nodes, func(a, b NodeInfo) int {
		af, ar := order(a)
		bf, br := order(b)
		return cmp.Or(cmp.Compare(af, bf), cmp.Compare(ar, br), cmp.Compare(a.Addr, b.Addr))
	})
	return nodes
}
