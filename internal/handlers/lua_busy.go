package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/audit"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// longRun is how long a run takes that makes it worth asking the server whether it is busy.
const longRun = time.Second

// status is how the server is. What was seen last may be seconds old, so it is asked where that matters: when it was busy, and
// while a run takes long.
func (s *site) status(ctx context.Context) string {
	seen := s.DB.Summary().Status
	if run, ok := s.Lua.Blocking(); seen == kvdb.StatusBusy || ok && s.Now().Sub(run.Since) > longRun {
		return s.DB.Health(ctx).Status
	}
	return seen
}

// busyText says in a few words with what the server is busy.
func (s *site) busyText() string {
	if run, ok := s.Lua.Blocking(); ok {
		return run.Program + ", run by " + run.Who
	}
	return "with a script"
}

// busyView says what the server is busy with; the page asks again by itself.
func (s *site) busyView(c echo.Context) luaview.BusyView {
	return s.busyWith(s.status(c.Request().Context()) == kvdb.StatusBusy, mayEdit(c))
}

func (s *site) busyWith(busy, mayKill bool) luaview.BusyView {
	v := luaview.BusyView{URL: s.url("lua.busy"), Busy: busy}
	if !busy {
		return v
	}
	v.Text = "Redis is busy with a script that is not one of this server's runs. Nobody else gets an answer until it ends."
	if run, ok := s.Lua.Blocking(); ok {
		v.Since = run.Since
		v.Text = "Redis is busy with " + programWords(run.Program) + ", run by " + run.Who + ". Nobody else gets an answer until it ends."
	}
	if mayKill {
		v.Kill = s.url("lua.kill")
	} else {
		v.Why = "An operator can end it."
	}
	return v
}

func programWords(name string) string {
	if name == lua.AdHoc {
		return "a text that is not saved"
	}
	return "the program " + name
}

// busy serves GET /lua/-/busy. While the server is busy, it answers those too whose session was seen lately: see mw.Route.Busy.
func (p *luaPages) busy(c echo.Context) error {
	health := p.DB.Health(c.Request().Context())
	v := p.busyWith(health.Status == kvdb.StatusBusy, mayEdit(c))
	if v.Busy && query(c, "written") != "" {
		v.URL, v.Kill, v.Why = p.writtenURL(), "", new(lua.UnkillableError).Error()
	}
	if !wantsFragment(c.Request()) {
		return render(c, http.StatusOK, luaview.BusyInstead(luaview.BusyPage{Page: p.bare(c, "Redis is busy"), Busy: v}))
	}
	return render(c, http.StatusOK, luaview.StillBusy(v, p.server(c.Request().Context())))
}

// busySoon says whether the request only asks whether the server is busy, and a run of ours is what keeps it from an answer.
func (s *site) busySoon(c echo.Context) bool {
	row := mw.From(c.Request().Context()).Route
	_, ok := s.Lua.Blocking()
	return ok && row != nil && row.Name == "lua.busy"
}

// writtenURL asks whether the server is busy still with a script that can't be killed, as it has written something.
func (p *luaPages) writtenURL() string { return p.url("lua.busy", values("written", "1")) }

// kill serves POST /lua/-/kill.
func (p *luaPages) kill(c echo.Context) error {
	ctx := c.Request().Context()
	object := "a script"
	if run, ok := p.Lua.Blocking(); ok {
		object = run.Program
	}
	kill := func() (before, after string, err error) {
		if err = p.Lua.Kill(ctx); err == nil {
			p.awaitAnswers(ctx)
		}
		return "", "", err
	}
	var err error
	if p.StateShared {
		err = p.killAndRecord(c, object, kill)
	} else {
		err = p.audited(c, verbLuaKill, object, kill)
	}
	var unkillable *lua.UnkillableError
	switch {
	case errors.As(err, &unkillable):
		v := p.busyWith(true, false)
		v.URL, v.Why = p.writtenURL(), unkillable.Error()
		if wantsFragment(c.Request()) {
			return render(c, http.StatusConflict, luaview.Busy(v))
		}
		page := p.bare(c, "Redis is busy")
		page.Path = cmp.Or(whereFrom(c.Request()), p.url("lua"))
		return render(c, http.StatusConflict, luaview.BusyInstead(luaview.BusyPage{Page: page, Busy: v}))
	case err != nil:
		return err
	}
	return p.killed(c)
}

// killAndRecord is for an audit log on the busy server: until the script has ended it takes no record, so that comes after.
func (p *luaPages) killAndRecord(c echo.Context, object string, kill func() (before, after string, err error)) error {
	ctx := c.Request().Context()
	p.Logger.WarnContext(ctx, "a script is to be killed", "actor", actor(c), "object", object)
	_, _, err := kill()
	switch {
	case err == nil:
		p.trail.Write(ctx, verbLuaKill, object, audit.Done, "")
	case !errors.As(err, new(*lua.UnkillableError)): // then it is busy still
		p.trail.Write(ctx, verbLuaKill, object, audit.Failed, p.problemOf(err, c).Detail)
	}
	return err
}

// killTime is how long a server may take to notice that its script is killed.
const killTime = 2 * time.Second

// awaitAnswers waits until the server answers again.
func (p *luaPages) awaitAnswers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.DB.Health(ctx).Status == kvdb.StatusBusy {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *luaPages) killed(c echo.Context) error {
	toast := ui.ToastProps{Kind: "success", Text: "The script is killed. Redis answers again."}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("lua"), toast)
	}
	return render(c, http.StatusOK, templ.Join(luaview.Busy(p.busyWith(false, true)), ui.ToastOOB(toast)))
}
