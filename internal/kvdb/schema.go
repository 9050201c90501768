package kvdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// schemaVersion is that of the keys and values which this program reads and writes.
const schemaVersion = 1

// migration brings a store from one version to the next. Several replicas may run it at the same time, and
// one that was interrupted runs again: a step must lead to the same store however often it is done.
type migration struct {
	from int // to from+1
	run  func(ctx context.Context, db *DB) error
}

// migrations has one for each version before schemaVersion.
var migrations []migration

// schemaStep moves the version of the schema on.
//
//	KEYS[1]  the version, STRING
//	ARGV[1]  the version that it should be at, "" = no store yet
//	ARGV[2]  the version to set
//	Returns  the version that it has afterwards
var schemaStep = NewScript(`
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]`)

// EnsureSchema notes the version of the schema in an empty store, migrates an older store, and refuses one
// that a newer program wrote. A store of this version is only read, so that a replica or a full server will
// do. ErrAway and ErrUnknown mean to try again; all else is for people.
func EnsureSchema(ctx context.Context, db *DB) error {
	return ensureSchema(ctx, db, schemaVersion, migrations)
}

func ensureSchema(ctx context.Context, db *DB, known int, steps []migration) error {
	now, err := db.client.Get(ctx, db.keys.Schema()).Result()
	if err := ReadErr("schema version", err); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if now == "" {
		if now, err = schemaStep.Run(ctx, db, []string{db.keys.Schema()}, "", known).Text(); err != nil {
			return WriteErr("schema version", err)
		}
	}
	for {
		version, err := strconv.Atoi(now)
		switch {
		case err != nil || version < 1:
			return fmt.Errorf("the key %s should hold the version of the schema, but holds %.40q", db.keys.Schema(), now)
		case version > known:
			return fmt.Errorf("this store was written by a newer webadmin (schema %d, this program knows %d): use that version or another key prefix",
				version, known)
		case version == known:
			return nil
		}
		if now, err = migrate(ctx, db, version, steps); err != nil {
			return err
		}
	}
}

// migrate takes one step and returns the version then, which another replica may have moved further.
func migrate(ctx context.Context, db *DB, version int, steps []migration) (string, error) {
	for _, m := range steps {
		if m.from != version {
			continue
		}
		db.logger.InfoContext(ctx, "migrating the store", "from", version, "to", version+1)
		if err := m.run(ctx, db); err != nil {
			return "", fmt.Errorf("migrate schema %d to %d: %w", version, version+1, err)
		}
		now, err := schemaStep.Run(ctx, db, []string{db.keys.Schema()}, version, version+1).Text()
		return now, WriteErr("schema version", err)
	}
	return "", fmt.Errorf("this store has schema %d, which this program can't migrate", version)
}
