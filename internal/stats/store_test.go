package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/kvtest"
)

// model is what was recorded, by service.
type model map[string][]Sample

// sumsOf is what is in a range.
func (m model) sumsOf(service string, r Range) (s sums) {
	for _, one := range m[service] {
		if !one.At.Before(r.From) && one.At.Before(r.To) {
			s.add(int64(one.Took), one.Failed)
		}
	}
	return s
}

func (m model) percentile(service string, r Range, percent int) time.Duration {
	var list []time.Duration
	for _, one := range m[service] {
		if !one.At.Before(r.From) && one.At.Before(r.To) {
			list = append(list, one.Took)
		}
	}
	slices.Sort(list)
	return list[(len(list)*percent+99)/100-1]
}

func (f Figures) sums() sums {
	return sums{f.Usage, f.Failed, int64(f.Total), int64(f.Min), int64(f.Max)}
}

// Two processes record at once, some of it of the past, over many days: each range has what was recorded in it, exactly.
func TestRangesAreExact(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		random := rand.New(rand.NewPCG(5, 6))
		processes := []*Store{newStore(t, db, c), newStore(t, db, c)}
		m := model{}
		services := []string{"orders", "sub/{odd}%name é", "lua:rename"}
		start := c.now()
		for range 150 {
			for range random.IntN(8) {
				s := processes[random.IntN(2)]
				one := Sample{Service: services[random.IntN(len(services))], Took: time.Duration(distributions["lognormal"](random)), Failed: random.IntN(5) == 0}
				if random.IntN(3) > 0 {
					s.Record(one.Service, one.Took, one.Failed, "")
					one.At = c.now()
				} else {
					one.At = c.now().Add(-time.Duration(random.Int64N(int64(20 * day))))
					accepted, rejected, err := s.RecordSamples(t.Context(), []Sample{one})
					if must(t, err); accepted != 1 {
						t.Fatalf("rejected: %v", rejected)
					}
				}
				m[one.Service] = append(m[one.Service], one)
			}
			if random.IntN(3) == 0 {
				flush(t, processes[random.IntN(2)])
			}
			c.add(time.Duration(random.ExpFloat64() * float64(4*time.Hour)))
		}
		for _, s := range processes {
			flush(t, s)
		}
		s := processes[0]
		now := c.now()
		for range 60 {
			from := start.Add(-20*day + time.Duration(random.Int64N(int64(now.Sub(start)+20*day))))
			r := Range{from, from.Add(time.Duration(random.Int64N(int64(20 * day))))}
			report, err := s.Services(t.Context(), r, ServicesOptions{Sort: SortTotal})
			must(t, err)
			known := s.query(r).Range
			got := map[string]sums{}
			for _, item := range report.Items {
				got[item.Service] = item.sums()
				for percent, p := range map[int]time.Duration{50: item.P50, 95: item.P95, 99: item.P99} {
					want := m.percentile(item.Service, known, percent)
					if math.Abs(float64(p-want)) > ErrorBound*float64(want) {
						t.Errorf("p%d of %q is %v, want %v", percent, item.Service, p, want)
					}
				}
			}
			for _, service := range services {
				want := m.sumsOf(service, known)
				if got[service] != want {
					t.Fatalf("%q in %v, known as %v: %+v, want %+v", service, r, known, got[service], want)
				}
				for _, step := range []Step{StepHour, StepDay} {
					points, err := s.Trend(t.Context(), service, r, step)
					must(t, err)
					var all sums
					for i, p := range points {
						if part := m.sumsOf(service, Range{p.At, p.End}); p.sums() != part {
							t.Fatalf("%s at %v: %+v, want %+v", step, p.At, p.sums(), part)
						}
						if i > 0 && !points[i-1].End.Equal(p.At) {
							t.Fatalf("a point ends at %v and the next begins at %v", points[i-1].End, p.At)
						}
						all.merge(p.sums())
					}
					if all != want {
						t.Fatalf("points by %s add up to %+v, want %+v", step, all, want)
					}
				}
			}
			// What meets adds up.
			middle := r.From.Add(r.Len() / 3)
			one, two := figures(t, s, services[0], Range{r.From, middle}), figures(t, s, services[0], Range{middle, r.To})
			if k := s.settings().keep(); k.snap(r.From, now).Before(k.snap(middle, now)) && k.snap(middle, now).Before(k.snap(r.To, now)) {
				both := one.sums()
				both.merge(two.sums())
				if both != m.sumsOf(services[0], known) {
					t.Fatalf("%v cut at %v does not add up", r, middle)
				}
			}
		}
	})
}

// A service can be looked at before anything was written of it, and while minutes are being rolled up.
func TestReadWhileWriting(t *testing.T) {
	t.Parallel()
	db := kvtest.Open(t)
	c := newClock()
	writer, reader := newStore(t, db, c), newStore(t, db, c)
	if got := figures(t, reader, "busy", whole(c)); got.Usage != 0 || got.P99 != 0 {
		t.Fatalf("of nothing: %+v", got)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			for range 10 {
				writer.Record("busy", time.Millisecond, false, "")
			}
			if err := writer.Flush(t.Context()); err != nil {
				t.Error(err)
				return
			}
			c.add(20 * time.Second)
		}
	}()
	last := int64(0)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got := figures(t, reader, "busy", whole(c)).Usage
		if got < last {
			t.Fatalf("there were %d calls, and now there are %d", last, got)
		}
		last = got
	}
	if last != 3000 {
		t.Errorf("there are %d calls, want 3000", last)
	}
}

func TestServicesReport(t *testing.T) {
	t.Parallel()
	kvtest.Each(t, func(t *testing.T, db *kvdb.DB) {
		c := newClock()
		s := newStore(t, db, c)
		record := func(service string, n int, took time.Duration, failed bool, ago time.Duration) {
			var list []Sample
			for range n {
				list = append(list, Sample{Service: service, Took: took, Failed: failed, At: c.now().Add(-ago)})
			}
			accepted, rejected, err := s.RecordSamples(t.Context(), list)
			if must(t, err); accepted != n {
				t.Fatal(rejected)
			}
		}
		record("alpha", 60, 10*time.Millisecond, false, 0)
		record("beta", 30, 50*time.Millisecond, true, 10*time.Minute)
		record("Gamma", 10, 5*time.Second, false, 20*time.Minute)
		record("api:translate", 100, time.Millisecond, false, 0)
		record("alpha", 20, 5*time.Millisecond, false, 70*time.Minute)
		record("beta", 5, 5*time.Millisecond, false, 7*day+45*time.Minute)
		record("gone", 5, 5*time.Millisecond, false, 3*time.Hour)
		flush(t, s)
		hour := Bounds(SpanHour, c.now(), time.UTC)
		for by, want := range map[Sort]string{SortUsage: "alpha beta Gamma", SortMean: "Gamma beta alpha",
			SortP95: "Gamma beta alpha", SortMax: "Gamma beta alpha",
			SortTotal: "Gamma beta alpha", SortErrors: "beta alpha Gamma", "": "alpha beta Gamma"} {
			report, err := s.Services(t.Context(), hour, ServicesOptions{Sort: by})
			must(t, err)
			names := ""
			for _, item := range report.Items {
				names += " " + item.Service
			}
			if names[1:] != want {
				t.Errorf("by %q: %s, want %s", by, names, want)
			}
			if report.All.Usage != 100 || report.Hidden != 1 || report.Matched != 3 {
				t.Errorf("by %q: all %d, hidden %d, matched %d", by, report.All.Usage, report.Hidden, report.Matched)
			}
		}
		before := Shift(hour, SpanHour, -1, time.UTC)
		report, err := s.Services(t.Context(), hour, ServicesOptions{Filter: "A", Limit: 2, Compare: &before, Spark: 30, Marks: true})
		must(t, err)
		if len(report.Items) != 2 || report.Matched != 3 {
			t.Fatalf("%d of %d", len(report.Items), report.Matched)
		}
		alpha, beta := report.Items[0], report.Items[1]
		if alpha.Before == nil || alpha.Before.Usage != 20 || alpha.Before.Mean != 5*time.Millisecond ||
			beta.Before != nil || report.AllBefore.Usage != 20 {
			t.Errorf("before: %+v and %+v", alpha.Before, beta.Before)
		}
		if math.Abs(alpha.UsageShare-0.6) > 1e-9 || math.Abs(alpha.Rate-60.0/3600) > 0.001 || math.Abs(beta.TimeShare-1.5/(0.6+1.5+50)) > 1e-9 {
			t.Errorf("shares %v and %v, rate %v", alpha.UsageShare, beta.TimeShare, alpha.Rate)
		}
		var points float64
		for _, n := range alpha.SparkUsage {
			points += n
		}
		if n := len(alpha.SparkUsage); n < 15 || n > 31 || points != 60 || len(alpha.SparkMean) != n {
			t.Errorf("%d points add up to %v", n, points)
		}
		if a := beta.Attention; !a.Slower || a.Slow || !a.Busy || a.LastWeek != 5*time.Millisecond {
			t.Errorf("marks of beta: %+v", a)
		}
		slow, err := s.Services(t.Context(), hour, ServicesOptions{Sort: SortMean, Limit: 1, Marks: true, Internal: true})
		must(t, err)
		if a := slow.Items[0].Attention; !a.Slow || a.Busy || slow.All.Usage != 200 {
			t.Errorf("marks of Gamma: %+v, all %d", a, slow.All.Usage)
		}
	})
}

// A year is read with few keys.
func TestKeysOfAYear(t *testing.T) {
	t.Parallel()
	most := 0
	keep := Defaults().keep()
	for i := range 5000 {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 7919 * time.Second)
		for _, r := range []Range{Bounds(SpanYear, now, time.UTC), {now.AddDate(-1, 0, 0), now},
			{now.AddDate(-1, 0, 0).Add(-61 * time.Minute), now.Add(-61 * time.Minute)}} {
			q := query{keep.snapRange(r, now), now}
			plan := planOf(q.whole()[0].periods)
			most = max(most, 1+2*len(plan.chunks))
		}
	}
	if most > 150 || most < 5 {
		t.Errorf("a year takes %d keys", most)
	}
	t.Log("a year takes", most, "keys at most")
}

func ExampleBounds() {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	r := Bounds(SpanToday, time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC), berlin)
	fmt.Println(r.From, r.Len())
	// Output: 2026-03-29 00:00:00 +0100 CET 23h0m0s
}

// A range until a moment ago has what is of this minute, as nobody means to leave that out.
func TestRangeUntilNow(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newStore(t, kvtest.Open(t), c)
	s.Record("orders", time.Second, false, "")
	flush(t, s)
	for to, want := range map[time.Time]int64{c.now().Add(-time.Second): 1, c.now().Add(time.Hour): 1, c.now().Truncate(time.Minute): 0} {
		if got := figures(t, s, "orders", Range{c.now().Add(-time.Hour), to}).Usage; got != want {
			t.Errorf("until %v there are %d calls, want %d", to, got, want)
		}
	}
}
