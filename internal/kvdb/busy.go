package kvdb

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// IsBusy says whether the server has refused a command because a script keeps it from all else. It is then ErrAway as well.
func IsBusy(err error) bool { return redis.HasErrorPrefix(err, "BUSY ") }

// KillScript ends the script that keeps the server busy; of a cluster, that of each master. The errors are ErrAway, and the server's
// own reply (a redis.Error) where nothing was ended: NOTBUSY if nothing runs, UNKILLABLE if it has written.
func (db *DB) KillScript(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	client, ok := db.client.(*redis.ClusterClient)
	if !ok {
		to, err := db.node(ctx, nil)
		if err == nil {
			err = db.killOn(ctx, to)
		}
		return ReadErr("kill script", err)
	}
	var mu sync.Mutex
	var worst error
	killed := false
	err := client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		err := db.killOn(ctx, node.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		killed = killed || err == nil
		if err != nil && (worst == nil || redis.HasErrorPrefix(worst, "NOTBUSY")) {
			worst = err
		}
		return nil
	})
	if killed {
		return nil
	}
	return ReadErr("kill script", errors.Join(err, worst))
}

func (db *DB) killOn(ctx context.Context, to string) error {
	w, err := db.wire(ctx, to, wireOptions{anyDB: true})
	if err != nil {
		return err
	}
	defer db.wires.put(w)
	_, err = w.ask(ctx, "SCRIPT", "KILL")
	return err
}
