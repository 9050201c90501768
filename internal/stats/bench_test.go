package stats

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

// BenchmarkRecord is what recording a call costs whoever makes it.
func BenchmarkRecord(b *testing.B) {
	s := New(kvtest.Open(b), Options{})
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprint("service.", i)
	}
	random := rand.New(rand.NewPCG(1, 2))
	took := make([]time.Duration, 4096)
	for i := range took {
		took[i] = time.Duration(distributions["lognormal"](random))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Record(names[i%len(names)], took[i%len(took)], false, "cid")
		i++
	}
}

// Recording allocates nothing once a service is known.
func TestRecordAllocates(t *testing.T) {
	s := newStore(t, kvtest.Open(t), newClock())
	i := 0
	record := func() {
		s.Record("orders", time.Duration(i%1000)*time.Millisecond, false, "cid")
		i++
	}
	for range 1000 {
		record()
	}
	if n := testing.AllocsPerRun(10_000, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
