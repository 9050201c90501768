package kvdb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		ctx := t.Context()
		version := func() string { return db.Client().Get(ctx, db.Keys().Schema()).Val() }

		for range 2 {
			must(t, kvdb.EnsureSchema(ctx, db))
			if version() != "1" {
				t.Fatalf("the schema is %q", version())
			}
		}

		// A newer program migrates, step by step.
		var took []int
		step := func(from int) kvdb.Migration {
			return kvdb.NewMigration(from, func(context.Context, *kvdb.DB) error {
				took = append(took, from)
				return nil
			})
		}
		must(t, kvdb.EnsureSchemaOf(ctx, db, 3, step(2), step(1)))
		if version() != "3" || len(took) != 2 || took[0] != 1 || took[1] != 2 {
			t.Errorf("the schema is %q after the steps %v", version(), took)
		}

		// This one refuses.
		want := "this store was written by a newer webadmin (schema 3, this program knows 1)"
		if err := kvdb.EnsureSchema(ctx, db); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("newer store: %v", err)
		}

		// A step that fails leaves the version, and can be taken again.
		broken := errors.New("broken")
		err := kvdb.EnsureSchemaOf(ctx, db, 5, kvdb.NewMigration(3, func(context.Context, *kvdb.DB) error { return nil }),
			kvdb.NewMigration(4, func(context.Context, *kvdb.DB) error { return broken }))
		if !errors.Is(err, broken) || version() != "4" {
			t.Errorf("a step that fails: %v, the schema is %q", err, version())
		}
		if err := kvdb.EnsureSchemaOf(ctx, db, 5); err == nil || !strings.Contains(err.Error(), "can't migrate") {
			t.Errorf("no step: %v", err)
		}

		must(t, db.Client().Set(ctx, db.Keys().Schema(), "x", 0).Err())
		if err := kvdb.EnsureSchema(ctx, db); err == nil || !strings.Contains(err.Error(), `holds "x"`) {
			t.Errorf("another value: %v", err)
		}
	})
}

// TestSchemaOfReplicas: several replicas start at the same time.
func TestSchemaOfReplicas(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	ctx := t.Context()
	must(t, kvdb.EnsureSchema(ctx, db))
	var steps atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := kvdb.EnsureSchemaOf(ctx, db, 3,
				kvdb.NewMigration(1, func(context.Context, *kvdb.DB) error { steps.Add(1); return nil }),
				kvdb.NewMigration(2, func(context.Context, *kvdb.DB) error { steps.Add(1); return nil }))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := db.Client().Get(ctx, db.Keys().Schema()).Val(); got != "3" || steps.Load() < 2 {
		t.Errorf("the schema is %q after %d steps", got, steps.Load())
	}
}

func TestSchemaAway(t *testing.T) {
	t.Parallel()
	if err := kvdb.EnsureSchema(t.Context(), open(t, "redis://127.0.0.1:1")); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("no server: %v", err)
	}
	replica := kvtest.NewServer(t, "--replicaof", "127.0.0.1 1").DB(t)
	if err := kvdb.EnsureSchema(t.Context(), replica); !errors.Is(err, kvdb.ErrAway) {
		t.Errorf("an empty replica: %v", err)
	}
	// An unknown master is not an empty store.
	if err := kvdb.EnsureSchema(t.Context(), open(t, kvtest.NewSentinel(t, "1", "another"))); !errors.Is(err, kvdb.ErrAway) ||
		errors.Is(err, kvdb.ErrNotFound) {
		t.Errorf("unknown master: %v", err)
	}
}
