package handlers

import (
	"context"
	"sync"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/stats"
	overviewview "webadmin/web/templates/overview"
)

// needsTime is how long the overview waits to learn what needs someone.
const needsTime = 2 * time.Second

// needs is what waits for someone, the worst first. What can't be told in time is left out: the pages behind it say why.
func (p *overviewPages) needs(ctx context.Context) []overviewview.Need {
	ctx, cancel := context.WithTimeout(ctx, needsTime)
	defer cancel()
	parts := []func(context.Context) ([]overviewview.Need, error){p.redisNeeds, p.deadNeeds, p.serviceNeeds, p.missNeeds}
	found := make([][]overviewview.Need, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() {
			var err error
			if found[i], err = part(ctx); err != nil {
				p.Logger.WarnContext(ctx, "the overview leaves out what could not be asked", "error", err)
			}
		})
	}
	all.Wait()
	var out []overviewview.Need
	for _, kind := range []string{"error", "warning"} {
		for _, list := range found {
			for _, n := range list {
				if n.Kind == kind {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// redisNeeds are the warnings about the servers themselves.
func (p *overviewPages) redisNeeds(ctx context.Context) ([]overviewview.Need, error) {
	nodes, err := p.DB.InfoOf(ctx)
	if err != nil {
		return nil, err
	}
	need := overviewview.Need{Kind: "warning", Text: "warnings about Redis", URL: p.url("redis.info")}
	for _, node := range nodes {
		for _, w := range node.Warnings() {
			if need.N == 0 {
				need.Note = w.Text
			}
			if need.N++; w.Serious {
				need.Kind = "error"
			}
		}
	}
	return some(need, "warning about Redis"), nil
}

func (p *overviewPages) deadNeeds(ctx context.Context) ([]overviewview.Need, error) {
	groups, err := p.Broker.DeadGroups(ctx, "")
	need := overviewview.Need{Kind: "error", Text: "dead letters", URL: p.url("broker.dead")}
	var most broker.DeadGroup
	for _, g := range groups {
		if need.N += g.Count; g.Count > most.Count {
			most = g
		}
	}
	need.Most, need.Note = most.Service, most.Example
	return some(need, "dead letter"), err
}

// serviceNeeds are the services that failed in the last hour, and those that were slow.
func (p *overviewPages) serviceNeeds(ctx context.Context) ([]overviewview.Need, error) {
	now := p.Now()
	report, err := p.Stats.Services(ctx, stats.Range{From: now.Add(-time.Hour), To: now}, stats.ServicesOptions{Marks: true})
	failing := overviewview.Need{Kind: "warning", Text: "services or programs with failed calls in the last hour", URL: p.url("stats.trends", values("sort", "errors"))}
	slow := overviewview.Need{Kind: "warning", Text: "slow services in the last hour", URL: p.url("stats.trends", values("sort", "mean"))}
	var most int64
	var slowest time.Duration
	for _, x := range report.Items {
		if x.Failed > 0 {
			failing.N++
			if x.Failed > most {
				most, failing.Most, failing.Note = x.Failed, x.Service, decimal(x.Failed)+" of "+decimal(x.Usage)+" calls"
			}
		}
		if x.Attention.Slow || x.Attention.Slower {
			slow.N++
			if x.Mean > slowest {
				slowest, slow.Most, slow.Note = x.Mean, x.Service, "mean "+durationText(x.Mean)
			}
		}
	}
	return append(some(failing, "service or program with failed calls in the last hour"), some(slow, "slow service in the last hour")...), err
}

func (p *overviewPages) missNeeds(ctx context.Context) ([]overviewview.Need, error) {
	n, err := p.Dict.MissedValues(ctx)
	return some(overviewview.Need{Kind: "warning", N: n, Text: "values that found no translation", URL: p.url("dict.misses")}, "value that found no translation"), err
}

// some is a need if there is one; one says it in the singular.
func some(n overviewview.Need, one string) []overviewview.Need {
	switch n.N {
	case 0:
		return nil
	case 1:
		n.Text = one
	}
	return []overviewview.Need{n}
}
