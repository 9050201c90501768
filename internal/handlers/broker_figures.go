package handlers

import (
	"context"
	"strings"
	"sync"
	"time"

	"webadmin/internal/stats"
	"webadmin/web/templates/brokerview"
)

// callFigures are how often a service was called in the last hour, how long its calls waited, and how long they ran.
type callFigures struct {
	rate      float64 // calls in a second
	wait, run brokerview.Times
}

// figuresAge is how old the figures may be, as many readers ask for the same ones every few seconds.
const figuresAge = 10 * time.Second

// hourFigures keep what the statistics say of the last hour.
type hourFigures struct {
	mu sync.Mutex
	at time.Time
	of map[string]callFigures
}

// lastHour returns the figures of the last hour by service; nil = they can't be had, and a page does without them.
func (p *brokerPages) lastHour(ctx context.Context) map[string]callFigures {
	p.figures.mu.Lock()
	defer p.figures.mu.Unlock()
	now := p.Now()
	if p.figures.of != nil && now.Sub(p.figures.at) < figuresAge {
		return p.figures.of
	}
	report, err := p.Stats.Services(ctx, stats.Range{From: now.Add(-time.Hour), To: now}, stats.ServicesOptions{})
	if err != nil {
		p.Logger.WarnContext(ctx, "the services are shown without their figures", "error", err)
		return nil
	}
	p.figures.of, p.figures.at = hourOf(report.Items), now
	return p.figures.of
}

// hourOf puts together what is known of the runs of a service, and of how long it waited for them.
func hourOf(items []stats.ServiceFigures) map[string]callFigures {
	of := make(map[string]callFigures, len(items))
	for _, x := range items {
		times := brokerview.Times{P50: durationText(x.P50), P95: durationText(x.P95)}
		if service, waits := strings.CutPrefix(x.Service, stats.WaitPrefix); waits {
			f := of[service]
			f.wait = times
			of[service] = f
			continue
		}
		f := of[x.Service]
		f.rate, f.run = x.Rate, times
		of[x.Service] = f
	}
	return of
}

// statsOf is where more figures of a service are.
func (p *brokerPages) statsOf(service string) string {
	return p.url("stats.service", values("name", service))
}
