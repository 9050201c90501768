package kvdb

import "context"

// Migration and EnsureSchemaOf let tests have migrations of their own.
type Migration = migration

func NewMigration(from int, run func(context.Context, *DB) error) Migration {
	return migration{from, run}
}

func EnsureSchemaOf(ctx context.Context, db *DB, known int, steps ...Migration) error {
	return ensureSchema(ctx, db, known, steps)
}

var (
	KeysOutside = keysOutside
	ParseInfo   = parseInfo
)
