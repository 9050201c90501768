package handlers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/layout"
)

// serverEvery is how often a page asks for the state of the server in its corner.
const serverEvery = 10 * time.Second

// serverPages keep the state of the server up to date on pages that stay open.
type serverPages struct{ *site }

func (p *serverPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{"server": p.show}
}

// show serves GET /server: the corner of every page, and for whoever comes by its address all that is known of the server.
func (p *serverPages) show(c echo.Context) error {
	if !wantsFragment(c.Request()) {
		return c.Redirect(http.StatusSeeOther, p.url("redis.info"))
	}
	return render(c, http.StatusOK, layout.ServerStatus(p.server(c.Request().Context())))
}

// server says in two short lines how the Redis server is.
func (s *site) server(ctx context.Context) layout.Server {
	sum := s.DB.Summary()
	v := layout.Server{Status: s.status(ctx), Refresh: s.url("server"), Every: seconds(serverEvery)}
	switch v.Status {
	case kvdb.StatusOK:
		v.Text1 = "Redis " + sum.Version
		v.Text2 = fmt.Sprintf("%s ops/s · %s", decimal(sum.OpsPerSec), memory(sum.UsedMemory, sum.MaxMemory))
	case kvdb.StatusBusy:
		v.Text1, v.Text2 = "Redis is busy", s.busyText()
	default:
		v.Text1, v.Text2 = "Redis is "+v.Status, s.DB.Addr()
	}
	return v
}

// partAway is a part that says itself how the server is, while not even the session can be looked up: it says so in its place, to those who
// were let in a moment ago. nil = something else is asked for.
func (s *site) partAway(c echo.Context, p problem.Problem) templ.Component {
	if _, known := s.sessions.Remembered(c.Request()); !known || p.Status != http.StatusServiceUnavailable {
		return nil
	}
	switch c.Request().URL.Path {
	case s.url("server"):
		v := s.server(c.Request().Context())
		if v.Status == kvdb.StatusOK { // as it was seen last, or it is the other server that is away
			v.Status, v.Text1, v.Text2 = kvdb.StatusAway, "Redis is away", s.State.Addr()
		}
		return layout.ServerStatus(v)
	case s.url("overview"):
		return s.overviewAway(c, p)
	}
	return nil
}
