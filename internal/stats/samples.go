package stats

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

// Record counts one call of a service that ended now, after the time that it took. It never blocks on Redis and never fails: a
// negative duration counts as 0, one over MaxDuration as that, and a name that is empty or too long as Other.
func (s *Store) Record(service string, took time.Duration, failed bool, cid string) {
	s.rec.record(service, took, failed, cid, s.now())
}

// RecordSamples counts a batch. What is wrong with a sample is told in rejected; the others are accepted, and are in Redis within
// about a second. The error is a kvdb.ErrAway when there is no room because Redis has been away; nothing of the batch is
// counted then. While recording is off, samples are accepted and not counted.
func (s *Store) RecordSamples(_ context.Context, samples []Sample) (accepted int, rejected []Rejected, err error) {
	if s.rec.full(len(samples)) {
		return 0, nil, kvdb.NotDone("record samples", "Too many samples wait because Redis is not reachable. Try again in a moment.")
	}
	now := s.now()
	for i := range samples {
		sample := &samples[i]
		if reason := sample.check(now); reason != "" {
			rejected = append(rejected, Rejected{i, reason})
			continue
		}
		accepted++
		if at := sample.At; at.IsZero() {
			s.rec.record(sample.Service, sample.Took, sample.Failed, sample.CID, now)
		} else {
			s.rec.recordAt(sample)
		}
	}
	return accepted, rejected, nil
}

// check says what is wrong with a sample; "" = nothing.
func (sample *Sample) check(now time.Time) string {
	switch name := sample.Service; {
	case name == "":
		return "service is missing"
	case len(name) > MaxName && utf8.RuneCountInString(name) > MaxName:
		return fmt.Sprintf("service is longer than %d characters", MaxName)
	case !utf8.ValidString(name):
		return "service is not UTF-8"
	}
	switch {
	case sample.Took < 0:
		return "the duration is negative"
	case sample.Took > MaxDuration:
		return fmt.Sprintf("the duration is over %d hours", int(MaxDuration.Hours()))
	case len(sample.CID) > MaxCID && utf8.RuneCountInString(sample.CID) > MaxCID:
		return fmt.Sprintf("cid is longer than %d characters", MaxCID)
	}
	if at := sample.At; !at.IsZero() {
		if at.Before(now.Add(-MaxPast)) {
			return fmt.Sprintf("at is over %d days ago", int(MaxPast.Hours()/24))
		}
		if at.After(now.Add(MaxFuture)) {
			return fmt.Sprintf("at is more than %d seconds ahead", int(MaxFuture.Seconds()))
		}
	}
	return ""
}

// full is whether there may be no room for so many samples more.
func (r *recorder) full(samples int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)+samples > maxOpen
}

// recordAt takes in a sample with a time of its own.
func (r *recorder) recordAt(sample *Sample) {
	if r.off.Load() {
		return
	}
	c := r.cell(sample.Service)
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		c = r.other
		c.mu.Lock()
	}
	service, floor, day := c.service, c.floor, c.day
	c.mu.Unlock()
	ns := int64(sample.Took)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := openKey{service, minuteOf(sample.At)}
	r.addTo(key, ns, sample.Failed)
	if !IsInternal(service) {
		r.addTo(openKey{All, key.minute}, ns, sample.Failed)
	}
	r.sinceOf(service).add(ns, sample.Failed)
	if service == Other {
		r.unnamed++
	}
	if (ns > floor || key.minute/minutesPerDay != day) && len(r.slow) < maxSlowWaiting {
		r.slow = append(r.slow, SlowCall{Service: service, Took: sample.Took, At: sample.At, CID: strings.Clone(sample.CID), Failed: sample.Failed})
	}
}

// addTo adds a call to a record. r.mu is held.
func (r *recorder) addTo(key openKey, ns int64, failed bool) {
	o := r.open[key]
	if o == nil {
		o = &openRecord{}
		r.open[key] = o
	}
	o.add(ns, failed)
	o.changed++
}
