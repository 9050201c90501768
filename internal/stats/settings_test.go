package stats

import (
	"errors"
	"math"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		one, two := newStore(t, db, c), newStore(t, db, c)
		set, err := one.Settings(t.Context())
		if must(t, err); set != Defaults() {
			t.Errorf("at first: %+v", set)
		}
		set.Recording, set.Minutes = false, 48*time.Hour
		saved, err := one.SetSettings(t.Context(), "ann", set)
		if must(t, err); saved.Version != 1 || saved.UpdatedBy != "ann" || !saved.UpdatedAt.Equal(c.now()) {
			t.Errorf("saved: %+v", saved)
		}
		var stale *StaleSettings
		if _, err := two.SetSettings(t.Context(), "bob", set); !errors.As(err, &stale) || !errors.Is(err, kvdb.ErrConflict) || stale.Current != saved {
			t.Errorf("from what was read before: %v", err)
		}
		for _, s := range []*Store{one, two} { // the other one learns of it when it writes
			flush(t, s)
			s.Record("orders", time.Second, false, "")
			accepted, _, err := s.RecordSamples(t.Context(), []Sample{{Service: "orders"}, {Service: "orders", At: c.now()}})
			if must(t, err); accepted != 2 {
				t.Errorf("%d were accepted", accepted)
			}
			flush(t, s)
		}
		if got := figures(t, one, "orders", whole(c)).Usage; got != 0 {
			t.Errorf("%d calls were recorded while that was off", got)
		}
		saved.Recording = true
		saved, err = two.SetSettings(t.Context(), "bob", saved)
		must(t, err)
		two.Record("orders", time.Second, false, "")
		flush(t, two)
		if got := figures(t, two, "orders", whole(c)).Usage; got != 1 || saved.Version != 2 {
			t.Errorf("%d calls, version %d", got, saved.Version)
		}
	})
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t), newClock())
	for field, change := range map[string]func(*Settings){
		"minutes":    func(set *Settings) { set.Minutes = time.Minute },
		"hours":      func(set *Settings) { set.Minutes, set.Hours = 30*day, 2*day },
		"days":       func(set *Settings) { set.Days, set.Months = 21*365*day, 22*365*day },
		"months":     func(set *Settings) { set.Months = 365 * day },
		"slow_mean":  func(set *Settings) { set.SlowMean = -1 },
		"busy_share": func(set *Settings) { set.BusyShare = math.NaN() },
		"threshold":  func(set *Settings) { set.Threshold = 25 * time.Hour },
	} {
		set := Defaults()
		change(&set)
		var wrong *kvdb.InvalidError
		if _, err := s.SetSettings(t.Context(), "ann", set); !errors.As(err, &wrong) || len(wrong.Fields) != 1 || wrong.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := s.SetThreshold(t.Context(), "", time.Second); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a threshold of no service: %v", err)
	}
	if err := s.SetThreshold(t.Context(), "a", -1); !errors.Is(err, kvdb.ErrInvalid) {
		t.Errorf("a negative threshold: %v", err)
	}
}

// The estimate is near what a service takes that is called every minute.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := newStore(t, kvtest.Open(t), newClock())
	m, err := s.Memory(t.Context(), Defaults())
	if must(t, err); m.PerService < 500_000 || m.PerService > 4_000_000 || m.Used != 0 || m.Full != 0 {
		t.Errorf("of no service: %+v", m)
	}
	s.Record("orders", time.Second, false, "")
	flush(t, s)
	longer := Defaults()
	longer.Hours *= 2
	more, err := s.Memory(t.Context(), longer)
	if must(t, err); more.PerService <= m.PerService || more.Services != 1 || more.Used < 100 || more.Used > 10_000 || more.Full != 2*more.PerService {
		t.Errorf("of one service: %+v", more)
	}
}
