package broker_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// fanOut is how many subscribers get each message.
const fanOut, fanPublishers = 16, 50

const fanMessage = `{"order":12345,"customer":"Näher & Söhne","items":[{"sku":"A-1","n":3},{"sku":"B-22","n":1}],"total":"117.50","currency":"EUR","note":"leave it at the door; ring twice, and mind the dog in the yard"}`

// publishers publish b.N messages, and await is told when all of them are out.
func publishers(b *testing.B, publish func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range fanPublishers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := publish(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkFanOut: messages published a second, each delivered to 16 subscribers, the last of which has the last message. "raw" is PUBLISH of
// Redis to 16 connections.
func BenchmarkFanOut(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		db := kvtest.NewServer(b).DB(b)
		raw(b, db)
	})
	b.Run("broker", func(b *testing.B) {
		db := kvtest.NewServer(b).DB(b)
		s := broker.New(db, broker.Options{})
		defer s.Close(context.Background())
		var got sync.WaitGroup
		for range fanOut {
			sub, err := s.Subscribe(b.Context(), "c", broker.SubscribeOptions{})
			if err != nil {
				b.Fatal(err)
			}
			got.Go(func() {
				defer sub.Close()
				for n := int64(0); n < int64(b.N); n++ {
					e, err := sub.Next(b.Context())
					if err != nil || e.Gap != nil || e.N != n+1 {
						b.Errorf("%d: %+v, %v", n, e.Gap, err)
						return
					}
				}
			})
		}
		b.ResetTimer()
		publishers(b, func() error {
			_, _, err := s.Publish(b.Context(), "c", []byte(fanMessage), "bench", "")
			return err
		})
		got.Wait()
	})
}

func raw(b *testing.B, db *kvdb.DB) {
	b.Helper()
	ctx := b.Context()
	var got sync.WaitGroup
	for range fanOut {
		sub := db.Client().Subscribe(ctx, "c")
		if _, err := sub.Receive(ctx); err != nil {
			b.Fatal(err)
		}
		got.Go(func() {
			defer sub.Close()
			for range b.N {
				if _, err := sub.Receive(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	options := *db.Client().(*redis.Client).Options()
	options.PoolSize = fanPublishers
	client := redis.NewClient(&options)
	defer client.Close()
	b.ResetTimer()
	publishers(b, func() error { return client.Publish(ctx, "c", fanMessage).Err() })
	got.Wait()
}
