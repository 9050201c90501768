package kvdb

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const healthTimeout = time.Second

// The values of Health.Status and Summary.Status.
const (
	StatusOK      = "ok"
	StatusAway    = "away"
	StatusLoading = "loading"
	StatusBusy    = "busy"
)

// Health is the state of the server.
type Health struct {
	Status string // StatusOK, StatusAway, StatusLoading or StatusBusy
	Detail string // a sentence for people; may be there when the Status is ok, too
}

// Health asks the server how it is, on a connection of its own (database 0, where a blocked server still
// lets clients in), and takes at most a second. A cluster is as well as the worst of its masters.
func (db *DB) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	cc, ok := db.health.(*redis.ClusterClient)
	if !ok {
		return healthOf(db.health.Ping(ctx).Err())
	}
	err := cc.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := node.Ping(ctx).Err(); err != nil {
			return err
		}
		info, err := node.ClusterInfo(ctx).Result()
		if err == nil && strings.Contains(info, "cluster_state:fail") {
			return errClusterDown
		}
		return nil
	})
	return healthOf(err)
}

var errClusterDown = &awayError{op: "cluster", sentence: refusals["CLUSTERDOWN"].text(false), err: errors.New("cluster_state:fail")}

func healthOf(err error) Health {
	if err == nil {
		return Health{Status: StatusOK}
	}
	err = ReadErr("ping", err)
	switch {
	case redis.HasErrorPrefix(err, "LOADING"):
		return Health{StatusLoading, Sentence(err)}
	case redis.HasErrorPrefix(err, "BUSY"):
		return Health{StatusBusy, Sentence(err)}
	case redis.HasErrorPrefix(err, "MISCONF"), redis.HasErrorPrefix(err, "NOPERM"):
		// It answers, and reads work.
		return Health{StatusOK, Sentence(err)}
	}
	// What is no error of Redis at all, say of a web server, has no sentence of its own.
	return Health{StatusAway, cmp.Or(Sentence(err), "What answers is not a Redis server that works. Check the Redis URL.")}
}
