package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// unwritten is what a process that is killed may take along: it writes once a second.
const unwritten = 2500 * time.Millisecond

// samples compares what each process of webadmin accepted with what is recorded. A process that was killed takes its last second along, or
// what it could not write before as Redis was away.
func (c *count) samples(ctx context.Context) error {
	accepted, maybe, acts := map[string]int64{}, map[string]int64{}, map[string][]*act{}
	for _, a := range c.l.samples.acts {
		acts[a.of] = append(acts[a.of], a)
		switch a.verdict {
		case done:
			accepted[a.of] += a.size
		case unknown:
			maybe[a.of] += a.size
		}
	}
	var total, gone, named int64
	for _, app := range c.w.apps {
		for n, life := range app.history() {
			service := serviceOf(app.n, n+1)
			if len(acts[service]) == 0 {
				continue
			}
			have, err := c.recorded(service)
			if err != nil {
				return err
			}
			total += have
			missing := accepted[service] - have
			switch {
			case have > accepted[service]+maybe[service]:
				c.blame("samples: %s accepted %d, perhaps %d more, and %d are recorded", service, accepted[service], maybe[service], have)
			case missing <= 0:
			case c.mayMiss(life, acts[service], missing):
				named += missing
				fmt.Printf("    %d of the %d samples of %s, %s at %s, are gone\n", missing, accepted[service], app.name, life.how, c.at(life.to))
			default:
				gone += missing
				c.blame("samples: %d of the %d that %s accepted in its life %d (%s, ended %s) are gone",
					missing, accepted[service], app.name, n+1, life.how, c.at(life.to))
			}
		}
	}
	c.tell(c.l.samples, fmt.Sprintf("%d recorded, %d gone with processes or Redis, %d without a reason", total, named, gone))
	return nil
}

// mayMiss says whether the newest samples of a life may be missing: those since its last writing before it was killed, or stopped while Redis
// was away, and those that Redis lost.
func (c *count) mayMiss(l life, acts []*act, missing int64) bool {
	var lost int64
	for _, a := range acts {
		// What was written in the second before a failover may be lost, and is written again only with what comes later in that minute.
		early := &act{sent: a.sent, answered: a.answered.Add(unwritten)}
		if a.verdict == done && excused(c.windows, early) {
			lost += a.size
		}
	}
	if missing <= lost {
		return true
	}
	if l.to.IsZero() {
		return false
	}
	since := l.to.Add(-unwritten)
	events := slices.Clone(c.line.events)
	slices.SortFunc(events, func(a, b event) int { return b.from.Compare(a.from) })
	for _, e := range events { // while Redis could not be written, nothing was
		if e.redis && e.from.Before(l.to) && (e.to.IsZero() || e.to.Add(unwritten).After(since)) && e.from.Add(-unwritten).Before(since) {
			since = e.from.Add(-unwritten)
		}
	}
	if l.how != "killed" && since.Equal(l.to.Add(-unwritten)) {
		return false
	}
	for _, a := range acts {
		if a.verdict == done && a.answered.After(since) {
			lost += a.size
		}
	}
	return missing <= lost
}

// recorded is how many samples of a service there are.
func (c *count) recorded(service string) (int64, error) {
	text := func(t time.Time) []string { return []string{t.UTC().Format(time.RFC3339)} }
	q := url.Values{"from": text(c.began.Add(-2 * time.Minute)), "to": text(time.Now().Add(2 * time.Minute))}
	r := c.api.send(http.MethodGet, "/api/v1/stats/services/"+url.PathEscape(service)+"?"+q.Encode(), nil)
	var said struct {
		Items []struct {
			Service string
			Usage   int64
		}
	}
	if err := c.read(r, service, &said); err != nil {
		return 0, err
	}
	for _, i := range said.Items {
		if i.Service == service {
			return i.Usage, nil
		}
	}
	return 0, nil
}
