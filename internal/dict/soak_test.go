//go:build soak

package dict

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"webadmin/internal/kvdb/kvtest"
)

const soakRows = 1_000_000

func soakFile(generation int) []byte {
	var b bytes.Buffer
	b.WriteString(csvHeader + "\n")
	for i := range soakRows {
		fmt.Fprintf(&b, "CRM,CUSTOMER,C%08d,ERP,customer_no,%d-%08d\n", i*7919%soakRows, generation, i)
	}
	return b.Bytes()
}

// generation says which import the store holds, after it has seen that all of it is of that one.
func generation(t *testing.T, s *Store) int {
	t.Helper()
	ctx := t.Context()
	s.current.Store(nil)
	sn, err := s.snapshot(ctx)
	must(t, err)
	if sn.runs[runSource].total == 0 {
		return 0
	}
	seen := map[byte]int{}
	for r, err := range s.scan(ctx, sn.runs[runSource], []span{{}}, false) {
		must(t, err)
		x, err := parseSource(r)
		must(t, err)
		seen[x.Value2[0]]++
		if rand.Intn(1000) == 0 {
			if res, err := s.Lookup(ctx, x.Query()); err != nil || res.Value2 != x.Value2 {
				t.Fatalf("lookup of %v: %v, %v; the list says %q", x.Query(), res, err, x.Value2)
			}
		}
	}
	if len(seen) != 1 || sn.runs[runTarget].total != soakRows || sn.runs[runTranslation].total != soakRows {
		t.Fatalf("a mixture: %v, %d by target, %d by ID", seen, sn.runs[runTarget].total, sn.runs[runTranslation].total)
	}
	for g := range seen {
		return int(g - '0')
	}
	return 0
}

// TestSoakImportsUnderFire replaces a million translations again and again while the server is killed, and
// wants one generation or the next, never a mixture.
func TestSoakImportsUnderFire(t *testing.T) {
	srv := kvtest.NewServer(t, durable...)
	s := newStore(t, srv.DB(t))
	have := 0
	for round := 1; round <= 8; round++ {
		fired := make(chan struct{})
		if round > 1 && round < 8 { // the first and the last are left in peace
			after := time.Duration(rand.Intn(20_000)) * time.Millisecond
			time.AfterFunc(after, func() { srv.Kill(); close(fired) })
		} else {
			close(fired)
		}
		res, err := s.Import(t.Context(), By{Who: "soak"}, bytes.NewReader(soakFile(round)), ImportOptions{Format: CSV, Mode: Replace})
		<-fired
		if round > 1 && round < 8 {
			srv.Restart()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for s.db.Health(ctx).Status != "ok" && ctx.Err() == nil {
			<-time.After(100 * time.Millisecond)
		}
		cancel()
		now := generation(t, s)
		t.Logf("round %d: %v, change %q; the store holds generation %d", round, err, res.Change, now)
		switch {
		case err == nil && now != round:
			t.Fatalf("round %d was acknowledged, but the store holds %d", round, now)
		case now != round && now != have:
			t.Fatalf("round %d left generation %d, neither the old one (%d) nor the new", round, now, have)
		}
		have = now
	}
	changes, err := s.Changes(t.Context(), "", 1)
	must(t, err)
	_, err = s.Undo(t.Context(), By{Who: "soak"}, changes.Items[0].ID)
	must(t, err)
	if now := generation(t, s); now == have {
		t.Fatalf("the undo left generation %d", now)
	}
}
