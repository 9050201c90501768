package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

func serviceObject(name string) string { return "service " + name }

// The choices of which services are listed besides all, as addresses have them: those whose queue stays as it is.
const (
	aloneServices  = "alone"  // nobody handles it
	pausedServices = "paused" // somebody has paused it
)

// aloneLong is how long something has to wait for nobody before the service is one of aloneServices: a worker that is well asks sooner.
const aloneLong = time.Minute

// stuck says whether a service is one of those.
func stuck(x broker.Service, which string) bool {
	if x.Paused {
		return which == pausedServices && x.Queued > 0
	}
	return which == aloneServices && x.Queued > 0 && x.Workers == 0 && x.OldestFor > aloneLong
}

// services serves GET /broker/services with the query q, which and cursor.
func (p *brokerPages) services(c echo.Context) error {
	list, err := p.serviceList(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, brokerview.ServiceListOf(list))
	}
	page := brokerview.ServicesPage{
		Page: p.page(c, "Services", p.crumbs("broker.services")...), Notices: p.notices(), List: list, All: p.url("broker.invocations"),
		Filters: brokerview.ServiceFilters{URL: p.url("broker.services"), Search: ui.SearchProps{ID: "filter-q", Name: "q",
			Label: "Any part of a name", Value: query(c, "q")}},
	}
	page.Filters.Which = ui.SelectProps{ID: "filter-which", Name: "which", Label: "Which", HideLabel: true,
		Value: query(c, "which"), Options: []ui.Option{
			{Text: "All services"}, {Value: aloneServices, Text: "Whose queue nobody handles"}, {Value: pausedServices, Text: "Paused, with a queue"},
		}}
	if mayEdit(c) {
		page.Invoke = p.url("broker.invoke")
	}
	return render(c, http.StatusOK, brokerview.Services(page))
}

func (p *brokerPages) serviceList(c echo.Context) (list brokerview.ServiceList, err error) {
	ctx, q, which, cursor := c.Request().Context(), query(c, "q"), query(c, "which"), query(c, "cursor")
	found, err := p.servicesFound(ctx, q, which, cursor)
	if err != nil {
		return list, err
	}
	here := values("q", q, "which", which)
	list.Pager = p.pager("broker.services", here, cursor, found.Next, len(found.Items))
	list.Refresh = p.url("broker.services", values("q", q, "which", which, "cursor", cursor))
	if len(found.Items) == 0 {
		switch {
		case found.Next != "": // a search looks at so many names at once
			list.Nothing = &brokerview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are more services to look at.",
				Do: []brokerview.Action{{Text: "Look further", Icon: "arrow-right", URL: list.Pager.Next}}}
		case which != "":
			list.Nothing = &brokerview.Nothing{Icon: "circle-check", Title: "There is none", Text: "No queue stays as it is for this reason.",
				Do: []brokerview.Action{{Text: "All services", Icon: "x", URL: p.url("broker.services")}}}
		case q != "":
			list.Nothing = &brokerview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "No service has this in its name.",
				Do: []brokerview.Action{{Text: "Clear the filter", Icon: "x", URL: p.url("broker.services")}}}
		default:
			list.Nothing = &brokerview.Nothing{Icon: "inbox", Title: "Nothing was invoked yet",
				Text: "A service is there as soon as it is invoked once: a Lua program as lua: and its name, echo for trying things out, or any name that " +
					"workers of yours take their work from."}
			if mayEdit(c) {
				list.Nothing.Do = []brokerview.Action{{Text: "Invoke echo", Icon: "send", URL: p.url("broker.invoke", values("service", "echo")), Primary: true}}
			}
		}
		return list, nil
	}
	figures := p.lastHour(ctx)
	list.Figures = figures != nil
	for _, x := range found.Items {
		list.Rows = append(list.Rows, p.serviceRow(c, x, figures))
	}
	return list, nil
}

// servicesFound are a page of the services; those that a choice leaves are all on one.
func (p *brokerPages) servicesFound(ctx context.Context, q, which, cursor string) (broker.Page[broker.Service], error) {
	if which == "" {
		return p.Broker.Services(ctx, q, cursor, pageRows)
	}
	all, err := p.Broker.Waiting(ctx)
	return broker.Page[broker.Service]{Items: slices.DeleteFunc(all, func(x broker.Service) bool {
		return !stuck(x, which) || !strings.Contains(strings.ToLower(x.Name), strings.ToLower(q))
	})}, err
}

// serviceRow is a service with what waits and goes on, each number with its list.
func (p *brokerPages) serviceRow(c echo.Context, x broker.Service, figures map[string]callFigures) brokerview.ServiceRow {
	count := func(n int64, state broker.State) brokerview.Count {
		return brokerview.Count{N: n, URL: p.callsOf(x.Name, state)}
	}
	row := brokerview.ServiceRow{
		Name: brokerview.Link{Text: x.Name, URL: p.url("broker.service", x.Name)}, Handler: p.handlerOf(c, x), Paused: x.Paused, Alone: aloneText(x),
		Queued: count(x.Queued, broker.Queued), Running: count(x.Running, broker.Running), Retrying: count(x.Retrying, broker.Retrying),
		Delayed: count(x.Delayed, broker.Delayed), Dead: count(x.Dead, broker.Dead),
	}
	if x.Queued > 0 {
		row.Oldest = span(x.OldestFor)
	}
	if f, ok := figures[x.Name]; ok {
		row.Rate, row.Wait, row.Run = rateText(f.rate), f.wait, f.run
	}
	if figures != nil {
		row.Stats = p.statsOf(x.Name)
	}
	if mayEdit(c) {
		row.Switch = p.switchOf(x)
		row.Menu = []brokerview.Action{{Text: "Invoke…", Icon: "send", URL: p.url("broker.invoke", values("service", x.Name))}}
	}
	return row
}

func (p *brokerPages) switchOf(x broker.Service) *brokerview.Switch {
	if x.Paused {
		return &brokerview.Switch{Action: p.url("broker.service.resume", x.Name), Paused: true}
	}
	return &brokerview.Switch{Action: p.url("broker.service.pause", x.Name)}
}

// rateText says how many calls there are in a second.
func rateText(perSecond float64) string {
	switch {
	case perSecond >= 100:
		return decimal(int64(perSecond + .5))
	case perSecond >= 10:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	case perSecond < .005:
		return "<0.01"
	}
	return strconv.FormatFloat(perSecond, 'f', 2, 64)
}

// handlerOf says who handles a service, and leads there.
func (p *brokerPages) handlerOf(c echo.Context, x broker.Service) brokerview.Link {
	switch x.Handler {
	case broker.HandlerLua:
		if name, ok := cutLua(x.Name); ok {
			return brokerview.Link{Text: "Lua program", URL: p.url("lua.program", name)}
		}
	case broker.HandlerBuiltin:
		return brokerview.Link{Text: "built in"}
	case broker.HandlerWebhook:
		if roleOf(c) == string(Admin) {
			return brokerview.Link{Text: "webhook", URL: p.url("settings.webhook", x.Name)}
		}
		return brokerview.Link{Text: "webhook"}
	}
	if x.Workers > 0 {
		return brokerview.Link{Text: plural(int64(x.Workers), "worker")}
	}
	return brokerview.Link{}
}

// aloneWait is how long something may wait before it is said that nobody takes it.
const aloneWait = 5 * time.Second

// aloneText says why what is queued stays there; "" = nothing stays there.
func aloneText(x broker.Service) string {
	verb := " wait"
	if x.Queued == 1 {
		verb = " waits"
	}
	switch {
	case x.Queued == 0:
	case x.Paused:
		return decimal(x.Queued) + verb + " until the service is resumed."
	case x.Workers > 0 || x.OldestFor < aloneWait:
	case x.Handler == broker.HandlerPull:
		return decimal(x.Queued) + verb + ": no worker has asked for work within the last minute."
	default:
		return decimal(x.Queued) + verb + ": no process of webadmin that runs handlers has taken any within the last minute."
	}
	return ""
}

// service serves GET /broker/services/:name with the query state, q and cursor. Asked for the part state, it is how the service is now.
func (p *brokerPages) service(c echo.Context) error {
	ctx, name := c.Request().Context(), param(c, "name")
	x, err := p.Broker.Service(ctx, name)
	if errors.Is(err, kvdb.ErrNotFound) && !wantsFragment(c.Request()) {
		return p.unknownService(c, name)
	}
	if err != nil {
		return err
	}
	switch {
	case wantsFragment(c.Request()) && targets(c.Request(), "state"):
		return render(c, http.StatusOK, brokerview.ServiceStateOf(p.serviceState(c, x)))
	case wantsFragment(c.Request()):
		list, err := p.callList(c, name)
		if err != nil {
			return err
		}
		return render(c, http.StatusOK, brokerview.InvocationListOf(list))
	}
	return p.renderService(c, http.StatusOK, x, p.policyForm(c, x.Name, x.Policy))
}

func (p *brokerPages) renderService(c echo.Context, status int, x broker.Service, policy brokerview.PolicyForm) error {
	list, err := p.callList(c, x.Name)
	if err != nil {
		return err
	}
	page := brokerview.ServicePage{
		Page: p.page(c, x.Name, p.brokerWay("broker.services", layout.Crumb{Text: x.Name, Mono: true})...), Name: x.Name, Notices: p.notices(),
		State: p.serviceState(c, x), Policy: policy, List: list,
	}
	if changes(c.Request()) {
		page.Page.Path = p.url("broker.service", x.Name)
	}
	page.Filters = p.callFilters(c, p.url("broker.service", x.Name))
	page.Filters.Hidden = []brokerview.Hidden{{Name: "state", Value: query(c, "state")}}
	page.Stats = page.State.Row.Stats
	if program, ok := cutLua(x.Name); ok {
		page.Program = brokerview.Program{Name: program, URL: p.url("lua.program", program), Gone: p.programGone(c.Request().Context(), x.Name)}
	}
	if mayEdit(c) {
		page.Invoke = p.url("broker.invoke", values("service", x.Name))
	}
	return render(c, status, brokerview.Service(page))
}

// unknownService is the page of a service to which nothing was ever sent.
func (p *brokerPages) unknownService(c echo.Context, name string) error {
	page := brokerview.ServicePage{
		Page: p.page(c, name, p.brokerWay("broker.services", layout.Crumb{Text: name, Mono: true})...), Name: name, Unknown: true,
	}
	if mayEdit(c) {
		page.Invoke = p.url("broker.invoke", values("service", name))
	}
	return render(c, http.StatusNotFound, brokerview.Service(page))
}

// serviceState is how a service is now, with a list for each state.
func (p *brokerPages) serviceState(c echo.Context, x broker.Service) brokerview.ServiceState {
	here := query(c, "state")
	s := brokerview.ServiceState{
		Refresh: p.url("broker.service", x.Name, values("state", here)),
		Row:     p.serviceRow(c, x, p.lastHour(c.Request().Context())),
	}
	counts := map[broker.State]int64{
		broker.Queued: x.Queued, broker.Delayed: x.Delayed, broker.Running: x.Running, broker.Retrying: x.Retrying,
		broker.Done: x.Done, broker.Dead: x.Dead, broker.Expired: x.Expired, broker.Cancelled: x.Cancelled,
	}
	all := brokerview.StateTab{Text: "All", Current: here == "", Count: brokerview.Count{URL: p.url("broker.service", x.Name)}}
	s.Tabs = append(s.Tabs, all)
	for _, state := range broker.States {
		s.Tabs[0].Count.N += counts[state]
		s.Tabs = append(s.Tabs, brokerview.StateTab{
			Text: upperFirst(string(state)), Current: here == string(state), Urgent: state == broker.Dead && counts[state] > 0,
			Count: brokerview.Count{N: counts[state], URL: p.url("broker.service", x.Name, values("state", string(state)))},
		})
	}
	return s
}

// pause serves POST /broker/services/:name/pause.
func (p *brokerPages) pause(c echo.Context) error {
	return p.setPaused(c, true, "Nothing of it is handed out any more. What runs now ends as it would.")
}

// resume serves POST /broker/services/:name/resume.
func (p *brokerPages) resume(c echo.Context) error {
	return p.setPaused(c, false, "Workers get its invocations again.")
}

func (p *brokerPages) setPaused(c echo.Context, paused bool, means string) error {
	name, verb, said := param(c, "name"), verbServiceResume, "resumed"
	if paused {
		verb, said = verbServicePause, "paused"
	}
	err := p.audited(c, verb, serviceObject(name), func() (before, after string, err error) {
		return "", said, p.Broker.SetPaused(c.Request().Context(), name, paused)
	})
	if err != nil {
		return err
	}
	to := p.url("broker.service", name)
	if from := whereFrom(c.Request()); from != "" {
		to = from
	}
	return p.done(c, to, ui.ToastProps{Kind: "success", Text: name + " is " + said + ". " + means})
}

// serviceNames are services to choose from: those that were invoked, and the Lua programs. A form does without them if they can't be had.
func (p *brokerPages) serviceNames(ctx context.Context) []string {
	const most = 200
	names := []string{"echo"}
	seen := map[string]bool{"echo": true}
	add := func(name string) {
		if !seen[name] {
			seen[name], names = true, append(names, name)
		}
	}
	if found, err := p.Broker.Services(ctx, "", "", most); err == nil {
		for _, x := range found.Items {
			add(x.Name)
		}
	}
	if found, err := p.Lua.Programs(ctx, lua.Filter{}, "", most); err == nil {
		for _, x := range found.Items {
			add(lua.ServicePrefix + x.Name)
		}
	}
	return names
}
