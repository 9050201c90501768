package handlers

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
	overviewview "webadmin/web/templates/overview"
)

const (
	needsTime  = 2 * time.Second  // how long the overview waits to learn what needs someone
	needsEvery = 30 * time.Second // how often an open page asks again
	needsSoon  = 5 * time.Second  // and how often while not all could be told
	needsAge   = 10 * time.Second // how old an answer to those may be: many readers ask for the same
)

// needsBox keeps what needs someone for the open pages of all readers.
type needsBox struct {
	mu   sync.Mutex
	at   time.Time
	last overviewview.Needs
}

// needs is what waits for someone, the worst first, no older than age. What can't be told in time is named: the pages behind it say why.
func (p *overviewPages) needs(ctx context.Context, age time.Duration) overviewview.Needs {
	asked := p.Now()
	p.box.mu.Lock()
	defer p.box.mu.Unlock()
	if p.box.at.IsZero() || asked.Sub(p.box.at) >= age { // what was begun while this one waited is new enough
		p.box.at = p.Now()
		p.box.last = p.askNeeds(context.WithoutCancel(ctx)) // others wait for it, too
	}
	return p.box.last
}

// need is a part of what needs someone, with what is said when it can't be told.
type need struct {
	name string
	ask  func(context.Context) ([]overviewview.Need, error)
}

func (p *overviewPages) askNeeds(ctx context.Context) overviewview.Needs {
	ctx, cancel := context.WithTimeout(ctx, needsTime)
	defer cancel()
	parts := []need{
		{"dead letters", p.deadNeeds}, {"warnings about Redis", p.redisNeeds}, {"queues", p.queueNeeds},
		{"failed and slow calls", p.callNeeds}, {"misses", p.missNeeds},
	}
	found := make([][]overviewview.Need, len(parts))
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { found[i], errs[i] = part.ask(ctx) })
	}
	all.Wait()
	v := overviewview.Needs{Refresh: p.url("overview"), Every: seconds(needsEvery), Items: slices.Concat(found...)}
	slices.SortStableFunc(v.Items, func(a, b overviewview.Need) int { return cmp.Compare(urgency[a.Kind], urgency[b.Kind]) })
	for i, err := range errs {
		if err != nil {
			p.Logger.WarnContext(ctx, "the overview leaves out what could not be asked", "what", parts[i].name, "error", err)
			v.Unknown = append(v.Unknown, parts[i].name)
			v.Every = seconds(needsSoon)
		}
	}
	return v
}

// urgency orders what needs someone.
var urgency = map[string]int{"error": 0, "warning": 1}

// redisNeeds are the warnings about the servers themselves, as the page about them has them.
func (p *overviewPages) redisNeeds(ctx context.Context) ([]overviewview.Need, error) {
	nodes, err := p.DB.InfoOf(ctx)
	if err != nil {
		return nil, err
	}
	n := overviewview.Need{Kind: "warning", Text: "warnings about Redis", URL: p.url("redis.info") + "#warnings"}
	for _, w := range redisWarnings(nodes) {
		if n.N++; n.Note == "" || w.Kind == "error" && n.Kind != "error" {
			n.Kind, n.Most, n.Note = w.Kind, w.Node, w.Text
		}
	}
	return some(n, "warning about Redis"), nil
}

func (p *overviewPages) deadNeeds(ctx context.Context) ([]overviewview.Need, error) {
	groups, err := p.Broker.DeadGroups(ctx, "")
	n := overviewview.Need{Kind: "error", Text: "dead letters", URL: p.url("broker.dead")}
	var most broker.DeadGroup
	for _, g := range groups {
		if n.N += g.Count; g.Count > most.Count {
			most = g
		}
	}
	n.Most, n.Note = most.Service, oneLine(most.Example)
	return some(n, "dead letter"), err
}

// queueNeeds are the services whose queues nobody works on.
func (p *overviewPages) queueNeeds(ctx context.Context) ([]overviewview.Need, error) {
	waiting, err := p.Broker.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	var out []overviewview.Need
	for _, x := range []struct{ which, kind, many, one string }{
		{aloneServices, "error", "services whose queue nobody handles", "service whose queue nobody handles"},
		{pausedServices, "warning", "paused services with invocations that wait", "paused service with invocations that wait"},
	} {
		n := overviewview.Need{Kind: x.kind, Text: x.many, URL: p.url("broker.services", values("which", x.which))}
		var longest time.Duration
		for _, s := range waiting {
			if !stuck(s, x.which) {
				continue
			}
			if n.N++; s.OldestFor >= longest {
				longest, n.Most, n.Note = s.OldestFor, s.Name, waitingText(s)
			}
		}
		out = append(out, some(n, x.one)...)
	}
	return out, nil
}

// waitingText says what waits, and since when.
func waitingText(s broker.Service) string {
	verb := " wait, the oldest for "
	if s.Queued == 1 {
		verb = " waits for "
	}
	return decimal(s.Queued) + verb + spanText(s.OldestFor)
}

// callNeeds are the programs and services that failed in the last hour, and those that were slow.
func (p *overviewPages) callNeeds(ctx context.Context) ([]overviewview.Need, error) {
	report, err := p.Stats.Services(ctx, endsNow(p.Now(), time.Hour), stats.ServicesOptions{Marks: true})
	if err != nil {
		return nil, err
	}
	services := overviewview.Need{Kind: "warning", Text: "services with failed calls in the last hour"}
	slow := overviewview.Need{Kind: "warning", Text: "slow services in the last hour"}
	var failing []stats.ServiceFigures
	var most int64
	var slowest time.Duration
	for _, x := range report.Items {
		switch _, program := cutLua(x.Service); {
		case x.Failed == 0:
		case program:
			failing = append(failing, x)
		default:
			if services.N++; x.Failed > most {
				most, services.Most, services.Note = x.Failed, x.Service, ofCalls(x)
			}
		}
		if x.Attention.Slow || x.Attention.Slower {
			if slow.N++; x.Mean > slowest {
				slowest, slow.Most, slow.Note = x.Mean, x.Service, "mean "+durationText(x.Mean)
			}
		}
	}
	services.URL = p.hourOfServices(services.N, "which", failedServices, "sort", string(stats.SortErrors))
	slow.URL = p.hourOfServices(slow.N, "which", slowServices, "sort", string(stats.SortMean))
	programs, err := p.programNeeds(ctx, failing)
	return slices.Concat(programs, some(services, "service with failed calls in the last hour"), some(slow, "slow service in the last hour")), err
}

func ofCalls(x stats.ServiceFigures) string {
	return decimal(x.Failed) + " of " + plural(x.Usage, "call") + " failed"
}

// hourOfServices is the list of the n services that a filter leaves of the last hour, all of them.
func (p *overviewPages) hourOfServices(n int64, pairs ...string) string {
	v := values(append(pairs, "period", "hour")...)
	v.Set("n", strconv.Itoa(fitting(int(n))))
	return p.url(trendsPage.route, v)
}

// failingShown is how many failing programs have a line of their own; more are one line.
const failingShown = 5

// programNeeds are the programs that failed in the last hour. Those with a failed run lead to it; where a program was invoked and never
// ran, say because it is gone, to what is known of its calls.
func (p *overviewPages) programNeeds(ctx context.Context, failing []stats.ServiceFigures) ([]overviewview.Need, error) {
	slices.SortStableFunc(failing, func(a, b stats.ServiceFigures) int { return cmp.Compare(b.Failed, a.Failed) })
	if len(failing) > failingShown {
		name, _ := cutLua(failing[0].Service)
		return []overviewview.Need{{
			Kind: "warning", N: int64(len(failing)), Text: "programs with failed calls in the last hour", Most: name, Note: ofCalls(failing[0]),
			URL: p.hourOfServices(int64(len(failing)), "which", failedPrograms, "sort", string(stats.SortErrors)),
		}}, nil
	}
	var out []overviewview.Need
	for _, x := range failing {
		name, _ := cutLua(x.Service)
		n := overviewview.Need{Kind: "warning", Text: "failed runs of a program in the last hour", Most: name}
		one := "failed run of a program in the last hour"
		if name == adHoc {
			name, n.Most, n.Text, one = "", "", "failed ad hoc runs in the last hour", "failed ad hoc run in the last hour"
		}
		n.URL = p.url("lua.runs", cmp.Or(name, noName), values("failed", failedHour))
		runs, err := p.Lua.Runs(ctx, name, "", allRuns)
		if err != nil {
			return nil, err
		}
		for _, r := range runs.Items {
			if !failedRun(r, failedHour, p.Now()) {
				continue
			}
			if n.N++; n.Note == "" {
				n.Note = oneLine(r.Error)
			}
		}
		if n.N == 0 {
			n.N, n.Text, one = x.Failed, "failed invocations of a program in the last hour", "failed invocation of a program in the last hour"
			n.Note, n.URL = "none of them came to a run", p.url(servicePage.route, values("name", x.Service, "period", "hour"))
		}
		out = append(out, some(n, one)...)
	}
	return out, nil
}

func (p *overviewPages) missNeeds(ctx context.Context) ([]overviewview.Need, error) {
	n, err := p.Dict.MissedValues(ctx)
	if n == 0 || err != nil {
		return nil, err
	}
	v := overviewview.Need{Kind: "warning", N: n, Text: "values that found no translation", URL: p.url("dict.misses")}
	first, err := p.Dict.Misses(ctx, dict.Filter{}, "", 1)
	for _, m := range first.Items {
		v.Most, v.Note = m.Value1, m.System1+" "+m.Key1+" → "+m.System2+" "+m.Key2+", "+plural(m.Count, "lookup")
	}
	return some(v, "value that found no translation"), err
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

// The values of failed in the address of the runs of a program.
const (
	failedAny  = "1"
	failedHour = "hour" // on live data, in the last hour
)

// failedRun says whether a run is one of those that failed, or of which nobody knows.
func failedRun(r lua.Run, which string, now time.Time) bool {
	switch {
	case which == "":
		return true
	case r.Outcome == "done":
		return false
	case which == failedHour:
		return measured(r) && now.Sub(r.At) < time.Hour
	}
	return true
}
