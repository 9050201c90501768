package dict

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"webadmin/internal/correlation"
	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// askFor looks values up on behalf of an invocation, and has what was counted written.
func askFor(t testing.TB, s *Store, cid string, values ...string) {
	t.Helper()
	ctx := correlation.With(t.Context(), cid)
	for _, v := range values {
		_, err := s.Translate(ctx, tr(v, "").Query())
		must(t, err)
	}
	must(t, s.flushMisses(t.Context()))
}

// met is who met the miss of a value, as "cid at seconds since the clock's begin", the newest first.
func met(t testing.TB, s *Store, value string) (list []string) {
	t.Helper()
	ms, err := s.Met(t.Context(), tr(value, "").Query())
	must(t, err)
	begin := newClock().at.Truncate(time.Millisecond)
	for _, m := range ms {
		list = append(list, fmt.Sprintf("%s %.0f", m.CID, m.At.Sub(begin).Seconds()))
	}
	return list
}

func wantMet(t testing.TB, s *Store, value string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, met(t, s, value)); diff != "" {
		t.Errorf("who met %q (-want +got)\n%s", value, diff)
	}
	wantMetKeys(t, s)
}

// wantMetKeys checks that what is known about all meetings is right.
func wantMetKeys(t testing.TB, s *Store) {
	t.Helper()
	ctx, client := t.Context(), s.db.Client()
	total, _ := client.Get(ctx, s.keys.MetTotal()).Int64()
	var sum int64
	var ids []string
	for _, id := range client.ZRange(ctx, s.keys.MetLast(), 0, -1).Val() {
		n := client.ZCard(ctx, s.keys.MissMet(id)).Val()
		if n == 0 {
			t.Errorf("%s is listed, and nobody met it", id)
		}
		sum += n
		ids = append(ids, s.keys.MissMet(id))
	}
	if sum != total {
		t.Errorf("%d meetings, %d counted", sum, total)
	}
	for _, id := range client.ZRange(ctx, s.keys.MetEnds(), 0, -1).Val() {
		if !slices.Contains(ids, s.keys.MissMet(id)) {
			t.Errorf("%s ends, and is not there", id)
		}
	}
	lasting, _ := keysOf(t, s)
	for _, key := range lasting {
		if strings.HasPrefix(key, s.keys.MissMet("")) && !slices.Contains(ids, key) {
			t.Errorf("%s is there, and nobody knows", key)
		}
	}
}

func TestMet(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s, other, m := newStoreAt(t, db, now.now), newStoreAt(t, db, now.now), newModel()
		ctx := t.Context()
		m.mustCreate(t, s, tr("PL", "Polska"))
		ask(t, s, "nobody said who")
		askFor(t, s, "c1", "a", "PL", "a", "b/c", "\xff")
		now.add(time.Second)
		askFor(t, other, "c2", "a")
		results, err := other.TranslateBatch(correlation.With(ctx, "c3"), tr("", "").Query(), []string{"a", "PL", "ż"})
		must(t, err)
		if len(results) != 3 {
			t.Error(results)
		}
		now.add(time.Second)
		askFor(t, s, "c1", "a")
		if _, err := s.Lookup(correlation.With(ctx, "tried"), tr("a", "").Query()); err != nil {
			t.Error(err)
		}
		must(t, other.flushMisses(ctx))
		must(t, s.flushMisses(ctx))
		wantMet(t, s, "a", "c1 2", "c3 1", "c2 1")
		wantMet(t, s, "b/c", "c1 0")
		wantMet(t, s, "ż", "c3 1")
		wantMet(t, s, "PL")
		wantMet(t, s, "nobody said who")
		wantMissed(t, s, "a × 5", "b/c × 1", "nobody said who × 1", "ż × 1")

		page, err := s.Misses(ctx, Filter{}, "", 0)
		must(t, err)
		counts := map[string]int64{}
		for _, x := range page.Items {
			counts[x.Value1] = x.Met
		}
		if diff := cmp.Diff(map[string]int64{"a": 3, "b/c": 1, "nobody said who": 0, "ż": 1}, counts); diff != "" {
			t.Errorf("counts (-want +got)\n%s", diff)
		}
		for _, x := range page.Items {
			if one, err := s.Miss(ctx, x.Query); err != nil || one != x {
				t.Errorf("alone %+v, in the list %+v, %v", one, x, err)
			}
		}
		if none, err := s.Miss(ctx, tr("PL", "").Query()); err != nil || none != (Miss{Query: tr("PL", "").Query()}) {
			t.Errorf("no miss: %+v, %v", none, err)
		}
		for _, err := range []error{errOf(s.Met(ctx, Query{})), errOf(s.Miss(ctx, Query{}))} {
			if !errors.Is(err, kvdb.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

// TestMetAfterTheAnswer: they stay for a day, however the answer came, and those that are written later too.
func TestMetAfterTheAnswer(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s := newStoreAt(t, db, now.now)
		ctx := t.Context()
		askFor(t, s, "c1", "a", "b", "dismissed", "in a group")
		_, err := s.Translate(correlation.With(ctx, "c2"), tr("a", "").Query()) // not written yet
		must(t, err)
		_, _, err = s.CreateTranslation(ctx, By{}, tr("a", "A"), true)
		must(t, err)
		must(t, s.flushMisses(ctx))
		wantMet(t, s, "a", "c2 0", "c1 0")
		_, err = s.Import(ctx, By{}, csvFileOf([]Translation{tr("b", "B"), tr("c", "C")}), ImportOptions{Format: CSV, Mode: Merge})
		must(t, err)
		wantMet(t, s, "b", "c1 0")
		wantMissed(t, s, "dismissed × 1", "in a group × 1")
		must(t, s.DismissMiss(ctx, tr("dismissed", "").Query()))
		wantMet(t, s, "dismissed")
		must(t, s.DismissMissGroup(ctx, land))
		wantMet(t, s, "in a group")
		wantMissed(t, s)

		now.add(metAnswered - time.Second)
		must(t, s.sweepMet(ctx))
		wantMet(t, s, "a", "c2 0", "c1 0")
		// Whose translation went meanwhile is a miss again, and stays.
		page, err := s.Translations(ctx, Filter{Value1: "b"}, ListOptions{})
		must(t, err)
		_, err = s.DeleteTranslation(ctx, By{}, page.Items[0].ID, 0)
		must(t, err)
		askFor(t, s, "c3", "b")
		now.add(time.Second)
		must(t, s.sweepMet(ctx))
		wantMet(t, s, "a")
		wantMet(t, s, "b", "c3 86399", "c1 0")
	})
}

// TestMetIsBounded: of one miss, of all, and in memory.
func TestMetIsBounded(t *testing.T) {
	set(t, &metOfMiss, 3)
	set(t, &metKept, 7)
	set(t, &metPending, 5)
	set(t, &missesKept, 4)
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		now := newClock()
		s := newStoreAt(t, db, now.now)
		cids := func(value string, n int) {
			for i := range n {
				_, err := s.Translate(correlation.With(t.Context(), fmt.Sprint(value, i)), tr(value, "").Query())
				must(t, err)
			}
		}
		cids("a", 5)
		cids("b", 5) // for two of which there is room
		must(t, s.flushMisses(t.Context()))
		wantMet(t, s, "a", "a4 0", "a3 0", "a2 0")
		wantMet(t, s, "b", "b1 0", "b0 0")
		wantMissed(t, s, "a × 5", "b × 5")
		now.add(time.Second)
		cids("a", 1)
		must(t, s.flushMisses(t.Context()))
		wantMet(t, s, "a", "a0 1", "a4 0", "a3 0")
		now.add(time.Second)
		cids("c", 3)
		must(t, s.flushMisses(t.Context()))
		wantMet(t, s, "b") // it was met longest ago
		wantMet(t, s, "c", "c2 2", "c1 2", "c0 2")
		wantMet(t, s, "a", "a0 1", "a4 0", "a3 0")
		now.add(time.Second)
		ask(t, s, "a", "d", "e", "f")
		must(t, s.flushMisses(t.Context()))
		now.add(time.Second)
		ask(t, s, "a", "g")
		must(t, s.flushMisses(t.Context()))
		wantMet(t, s, "c") // it is no miss of those that are kept any more
		wantMet(t, s, "a", "a0 1", "a4 0", "a3 0")
	})
}

// TestMeetings: the newest are kept, whoever came again counts once.
func TestMeetings(t *testing.T) {
	set(t, &metOfMiss, 3)
	var m meetings
	grew := 0
	for i, cid := range []string{"a", "b", "a", "c", "d", "b", "b", "e"} { // a is the oldest when d comes, though it was there again
		if m.add(cid, int64(i), true) {
			grew++
		}
	}
	if diff := cmp.Diff(map[string]int64{"c": 3, "d": 4, "e": 7}, m.at); diff != "" || grew != 3 || m.len() != 3 {
		t.Errorf("%d grew (-want +got)\n%s", grew, diff)
	}
	if m.add("f", 9, false); m.at["f"] != 9 || m.len() != 3 {
		t.Errorf("where there is no more room, the oldest makes some: %v", m.at)
	}
	var none meetings
	if none.add("a", 1, false) || none.len() != 0 {
		t.Error("there was room")
	}
}

// TestMissesLostReply: what was written, and the reply lost, is sent again, and counts once.
func TestMissesLostReply(t *testing.T) {
	t.Parallel()
	srv := kvtest.NewServer(t)
	p := newProxy(t, srv)
	now := newClock()
	s, direct := newStoreAt(t, openURL(t, p.url()), now.now), newStoreAt(t, openURL(t, srv.URL()), now.now)
	askFor(t, s, "c0", "warm") // so that the server knows the script
	_, err := s.Translate(correlation.With(t.Context(), "c1"), tr("a", "").Query())
	must(t, err)
	p.onNext(func(request []byte, _, server net.Conn) {
		p.mute.Store(true)
		if _, err := server.Write(request); err != nil {
			t.Error(err)
		}
	})
	if err := s.flushMisses(t.Context()); !errors.Is(err, kvdb.ErrUnknown) {
		t.Fatalf("%v, want ErrUnknown", err)
	}
	wantMissed(t, direct, "a × 1", "warm × 1")
	askFor(t, s, "c2", "a")
	wantMissed(t, direct, "a × 2", "warm × 1")
	wantMet(t, direct, "a", "c2 0", "c1 0")

	// What the server never got is sent again, too.
	p.onNext(func(_ []byte, client, _ net.Conn) { client.Close() })
	_, err = s.Translate(correlation.With(t.Context(), "c3"), tr("a", "").Query())
	must(t, err)
	if err := s.flushMisses(t.Context()); !errors.Is(err, kvdb.ErrUnknown) {
		t.Fatalf("%v, want ErrUnknown", err)
	}
	must(t, s.flushMisses(t.Context()))
	wantMissed(t, direct, "a × 3", "warm × 1")
	wantMet(t, direct, "a", "c3 0", "c2 0", "c1 0")
}
