package broker

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

const (
	benchPublishers = 50
	benchWorkers    = 64
)

var benchPayload = append(append([]byte(`"`), bytes.Repeat([]byte("x"), 254)...), '"')

// share runs do n times in so many goroutines.
func share(goroutines, n int, do func()) {
	var (
		left atomic.Int64
		wg   sync.WaitGroup
	)
	left.Store(int64(n))
	for range goroutines {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				do()
			}
		})
	}
	wg.Wait()
}

// BenchmarkInvoke is an invocation from its publishing to its record being done, with 50 publishers, beside a plain XADD with 50
// connections on the same server.
func BenchmarkInvoke(b *testing.B) {
	b.Run("xadd", func(b *testing.B) {
		db := kvtest.Open(b)
		o, err := redis.ParseURL(db.Client().(*redis.Client).Options().Network + "://" + db.Client().(*redis.Client).Options().Addr)
		if err != nil {
			b.Fatal(err)
		}
		o.PoolSize = benchPublishers
		client := redis.NewClient(o)
		defer client.Close()
		b.ResetTimer()
		share(benchPublishers, b.N, func() {
			if err := client.XAdd(context.Background(), &redis.XAddArgs{Stream: "plain", Values: []any{"m", benchPayload}}).Err(); err != nil {
				b.Error(err)
			}
		})
	})
	for _, workers := range []int{8, benchWorkers} {
		b.Run("invoke/workers="+strconv.Itoa(workers), func(b *testing.B) { benchInvoke(b, workers) })
	}
}

func benchInvoke(b *testing.B, workers int) {
	s := New(kvtest.Open(b), Options{})
	var (
		ran  atomic.Int64
		over = make(chan struct{})
	)
	s.onFinished = func(Finished) {
		if ran.Add(1) == int64(b.N) {
			close(over)
		}
	}
	s.Handle(func(service string) bool { return service == "nothing" }, HandlerBuiltin,
		func(context.Context, Delivery) ([]byte, error) { return nil, nil })
	s.Start(b.Context())
	s.StartWorkers(b.Context(), workers)
	before := redisCPU(b, s.db)
	b.ResetTimer()
	defer func() { b.ReportMetric((redisCPU(b, s.db)-before)*1e6/float64(b.N), "redis-µs/op") }()
	share(benchPublishers, b.N, func() {
		if _, err := s.Invoke(b.Context(), Call{Service: "nothing", Payload: benchPayload}); err != nil {
			b.Error(err)
		}
	})
	<-over
	b.StopTimer()
	if err := s.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

// redisCPU is how many seconds of processor time the server has taken: what others do on the machine does not change it much.
func redisCPU(b *testing.B, db *kvdb.DB) (seconds float64) {
	b.Helper()
	info, err := db.Info(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		n, err := strconv.ParseFloat(info["cpu"][field], 64)
		if err != nil {
			b.Fatal(err)
		}
		seconds += n
	}
	return seconds
}
