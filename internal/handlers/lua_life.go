package handlers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/internal/stats"
	"webadmin/web/templates/luaview"
)

const (
	lifeSpan  = 24 * time.Hour   // that the figures beside a program are of
	lifeTime  = 2 * time.Second  // how long a page waits for them
	lifeEvery = 30 * time.Second // how often an open page asks again
	lifeCalls = 5                // invocations that are shown
)

// life is what a program does while nobody edits it: how it was called, and how it stands as a service. What can't be told now takes
// nothing else off the page.
func (p *luaPages) life(c echo.Context, name string) luaview.Life {
	ctx, cancel := context.WithTimeout(c.Request().Context(), lifeTime)
	defer cancel()
	v := luaview.Life{Refresh: p.url("lua.program", name), Every: seconds(lifeEvery)}
	var both sync.WaitGroup
	both.Go(func() {
		var err error
		if v.Figures, err = p.lifeFigures(ctx, name); err != nil {
			v.Figures.Trouble = p.problemOf(err, c).Detail
		}
	})
	both.Go(func() {
		var err error
		if v.Calls, err = p.lifeCalls(ctx, c, name); err != nil {
			v.Calls.Trouble = p.problemOf(err, c).Detail
		}
	})
	both.Wait()
	return v
}

// lifeFigures are those of the calls of a program, whoever made them.
func (p *luaPages) lifeFigures(ctx context.Context, name string) (v luaview.LifeFigures, err error) {
	service := lua.ServicePrefix + name
	v.More = p.url(servicePage.route, values("name", service, "period", "24h"))
	r := endsNow(p.Now(), lifeSpan)
	report, err := p.Stats.Service(ctx, service, r, nil)
	if err != nil {
		return v, err
	}
	f := report.Items[0]
	if f.Usage == 0 {
		return v, nil
	}
	points, err := p.Stats.Trend(ctx, service, r, stats.StepHour)
	if err != nil {
		return v, err
	}
	for _, pt := range points {
		v.Spark = append(v.Spark, float64(pt.Usage))
	}
	v.Called = true
	v.Words = "Calls by the hour: " + plural(f.Usage, "call") + " in the last 24 hours"
	v.Tiles = []luaview.LifeTile{
		{Name: "Calls", Value: decimal(f.Usage), URL: v.More},
		{Name: "Failed", Value: decimal(f.Failed), Bad: f.Failed > 0, URL: v.More},
		{Name: "p50", Value: durationText(f.P50), URL: v.More},
		{Name: "p95", Value: durationText(f.P95), URL: v.More},
	}
	if f.Failed > 0 {
		v.Tiles[1].URL = p.runsURL(name) + "?failed=" + failedAny
		v.Tiles[1].Note = percentText(float64(f.Failed)/float64(f.Usage)) + " of them"
	}
	return v, nil
}

// lifeCalls are the invocations of a program as a service.
func (p *luaPages) lifeCalls(ctx context.Context, c echo.Context, name string) (v luaview.LifeCalls, err error) {
	service := lua.ServicePrefix + name
	if broker.CheckName("service", service) != nil {
		v.Never = "No service can be called " + service + ": it can be run, not invoked."
		return v, nil
	}
	v.Service = luaview.Link{Text: service, URL: p.url("broker.service", service)}
	if mayEdit(c) {
		v.Invoke = p.url("broker.invoke", values("service", service))
	}
	x, err := p.Broker.Service(ctx, service)
	if errors.Is(err, kvdb.ErrNotFound) {
		v.Never = "Nobody has invoked it so far. Who invokes the service " + service + " gets a CID at once, and it runs as soon as a worker is free."
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.Alone = aloneText(x)
	for _, state := range []struct {
		name broker.State
		n    int64
	}{
		{broker.Queued, x.Queued}, {broker.Running, x.Running}, {broker.Retrying, x.Retrying},
		{broker.Delayed, x.Delayed}, {broker.Dead, x.Dead}, {broker.Done, x.Done},
	} {
		bad := state.name == broker.Dead && state.n > 0
		v.States = append(v.States, luaview.LifeState{Name: string(state.name), N: state.n, URL: p.callsOf(service, state.name), Bad: bad})
	}
	newest, err := p.Broker.Invocations(ctx, broker.Filter{Service: service}, "", lifeCalls)
	for _, i := range newest.Items {
		row := luaview.LifeCall{CID: luaview.Link{Text: i.CID, URL: p.url("broker.invocation", i.CID)}, Error: oneLine(i.Error)}
		badge, at := stateBadge(i.State), stateMoment(i)
		row.Kind, row.State, row.Word, row.At = badge.Kind, badge.Text, at.Word, at.At
		if row.At.IsZero() {
			row.Word, row.At = "", i.CreatedAt
		}
		v.Rows = append(v.Rows, row)
	}
	return v, err
}

// programGone says of a service that is a Lua program whether there is none of its name. Where that can't be asked, nothing is said.
func (s *site) programGone(ctx context.Context, service string) bool {
	name, ok := cutLua(service)
	if !ok || name == "" || name == adHoc {
		return false
	}
	_, err := s.Lua.Program(ctx, name)
	return errors.Is(err, kvdb.ErrNotFound)
}
