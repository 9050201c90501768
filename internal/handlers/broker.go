package handlers

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
)

// brokerPages are the pages of services, invocations and dead letters.
type brokerPages struct {
	*site
	jobs    jobs[*deadJob]
	figures hourFigures
}

func newBrokerPages(s *site) *brokerPages {
	return &brokerPages{site: s, jobs: jobs[*deadJob]{in: s.Background}}
}

func (p *brokerPages) handlers() map[string]echo.HandlerFunc {
	h := map[string]echo.HandlerFunc{
		"broker.services":       p.services,
		"broker.service":        p.service,
		"broker.service.pause":  p.pause,
		"broker.service.resume": p.resume,
		"broker.service.policy": p.setPolicy,

		"broker.invocations":        p.invocations,
		"broker.invocation":         p.invocation,
		"broker.invocation.payload": p.payload,
		"broker.invocation.result":  p.result,
		"broker.invocation.cancel":  p.cancel,
		"broker.invocation.edit":    p.edit,
		"broker.invocation.retry":   p.retry,

		"broker.invoke":    p.invokeForm,
		"broker.invoke.do": p.invoke,
		"broker.json":      p.checkJSON,
	}
	maps.Copy(h, p.deadHandlers())
	return h
}

// brokerWay is the way to a page of the broker: the section, one of its parts, and what is below it.
func (p *brokerPages) brokerWay(route string, below ...layout.Crumb) []layout.Crumb {
	return append(p.crumbs(route), below...)
}

// notices are what the broker has people know.
func (p *brokerPages) notices() []brokerview.Notice {
	var out []brokerview.Notice
	for _, n := range p.Broker.Notices() {
		out = append(out, brokerview.Notice{Kind: "warning", Text: n.Text})
	}
	return out
}

// callsOf is the list of invocations of a service in a state.
func (s *site) callsOf(service string, state broker.State) string {
	if state == broker.Dead {
		return s.url("broker.dead", values("service", service))
	}
	return s.url("broker.service", service, values("state", string(state)))
}

// deadAge is how old the number of dead letters in the navigation may be.
const deadAge = 5 * time.Second

// deadBadge counts the dead letters. It is empty when there are none, or when the server can't tell at once.
func (s *site) deadBadge(c echo.Context) string {
	if s.DB.Summary().Status != kvdb.StatusOK {
		return ""
	}
	return badge(s.dead.count(s.Now(), func() (int64, error) {
		ctx, cancel := context.WithTimeout(c.Request().Context(), badgeTime)
		defer cancel()
		groups, err := s.Broker.DeadGroups(ctx, "")
		var n int64
		for _, g := range groups {
			n += g.Count
		}
		return n, err
	}))
}

// deadCount keeps a number for a while.
type deadCount struct {
	mu sync.Mutex
	at time.Time
	n  int64
}

// count returns the number, counted anew where it is too old; 0 where that can't be done.
func (d *deadCount) count(now time.Time, anew func() (int64, error)) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.at) < deadAge {
		return d.n
	}
	n, err := anew()
	if err != nil {
		return 0
	}
	d.n, d.at = n, now
	return n
}

// forget has the number counted anew, as it was just changed.
func (d *deadCount) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = time.Time{}
}
