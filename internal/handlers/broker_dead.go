package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/ui"
)

func (p *brokerPages) deadHandlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"broker.dead":        p.deadLetters,
		"broker.dead.ticked": p.deadTicked,
		"broker.dead.many":   p.countDead,
		"broker.dead.job":    p.showDead,
		"broker.dead.run":    p.runDead,
		"broker.dead.stop":   p.stopDead,
	}
}

// deadQuery is which dead letters are meant, as addresses and forms say it.
type deadQuery struct {
	service, text, group string
	older                string // one of deadAges; "" = any
}

func readDeadQuery(get func(string) string) deadQuery {
	q := deadQuery{service: strings.TrimSpace(get("service")), text: get("error"), group: get("group"), older: get("older")}
	if _, known := deadAges[q.older]; !known {
		q.older = ""
	}
	return q
}

// deadAges are the least ages to choose from.
var deadAges = map[string]time.Duration{"1h": time.Hour, "1d": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

func (q deadQuery) pairs() []string {
	return []string{"service", q.service, "error", q.text, "group", q.group, "older", q.older}
}

// hidden are the fields of a form that mean the same.
func (q deadQuery) hidden() (fields []brokerview.Hidden) {
	pairs := q.pairs()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fields = append(fields, brokerview.Hidden{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return fields
}

func (q deadQuery) filter(now time.Time) broker.DeadFilter {
	f := broker.DeadFilter{Service: q.service, ErrorContains: q.text, Group: q.group}
	if age := deadAges[q.older]; age > 0 {
		f.Before = now.Add(-age)
	}
	return f
}

// words say which they are.
func (q deadQuery) words() []string {
	var out []string
	if q.service != "" {
		out = append(out, "of "+q.service)
	}
	if q.group != "" {
		out = append(out, "of one kind of error")
	}
	if q.text != "" {
		out = append(out, "whose error has “"+q.text+"”")
	}
	if q.older != "" {
		out = append(out, "that died more than "+spanText(deadAges[q.older])+" ago")
	}
	if out == nil {
		out = []string{"all of them"}
	}
	return out
}

// deadLetters serves GET /broker/dead with the query service, error, group, older and cursor.
func (p *brokerPages) deadLetters(c echo.Context) error {
	return p.renderDead(c, http.StatusOK, readDeadQuery(c.QueryParam), query(c, "cursor"), "")
}

func (p *brokerPages) renderDead(c echo.Context, status int, q deadQuery, cursor, fault string) error {
	ctx := c.Request().Context()
	groups, err := p.Broker.DeadGroups(ctx, q.service)
	if err != nil {
		return err
	}
	found, err := p.Broker.Dead(ctx, q.filter(p.Now()), cursor, pageRows)
	if err != nil {
		return err
	}
	here := values(q.pairs()...)
	page := brokerview.DeadPage{
		Page: p.page(c, "Dead letters", p.crumbs("broker.dead")...), Notices: p.notices(), Filters: p.deadFilters(q, groups),
		Groups: p.deadGroups(c, q, groups),
	}
	page.Page.Path = p.url("broker.dead", here)
	list := &page.List
	list.Title, list.Error = "Dead letters, the newest first", fault
	list.Pager = p.pager("broker.dead", here, cursor, found.Next, len(found.Items))
	if mayEdit(c) {
		list.Many = &brokerview.Many{Action: p.url("broker.dead.ticked"), All: p.url("broker.dead.many"), Fields: q.hidden()}
		page.Jobs = p.deadJobs()
	}
	for _, x := range found.Items {
		row := brokerview.DeadRow{
			CID:     brokerview.Link{Text: x.CID, URL: p.url("broker.invocation", x.CID)},
			Service: brokerview.Link{Text: x.Service, URL: p.url("broker.service", x.Service)},
			Error:   oneLine(x.Error), Attempts: strconv.Itoa(x.Attempt), Died: x.EndedAt,
		}
		if mayEdit(c) {
			row.Edit = p.url("broker.invocation.edit", x.CID)
		}
		list.Rows = append(list.Rows, row)
	}
	if len(list.Rows) == 0 {
		list.Nothing = p.noDead(q, list.Pager.Next, len(groups) > 0)
	}
	if wantsFragment(c.Request()) {
		return render(c, status, brokerview.DeadOf(page))
	}
	return render(c, status, brokerview.Dead(page))
}

func (p *brokerPages) noDead(q deadQuery, next string, some bool) *brokerview.Nothing {
	switch {
	case next != "": // a search looks at so many at once
		return &brokerview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are more to look at, further back.",
			Do: []brokerview.Action{{Text: "Look further", Icon: "arrow-right", URL: next}}}
	case q != (deadQuery{}):
		return &brokerview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "No dead letter is like this.",
			Do: []brokerview.Action{{Text: "Show all", Icon: "x", URL: p.url("broker.dead")}}}
	}
	return &brokerview.Nothing{Icon: "circle-check", Title: "There are no dead letters",
		Text: "What fails as often as the policy of its service allows is kept here, until somebody retries or deletes it."}
}

func (p *brokerPages) deadFilters(q deadQuery, groups []broker.DeadGroup) brokerview.DeadFilters {
	f := brokerview.DeadFilters{
		URL: p.url("broker.dead"), Group: q.group,
		Search: ui.SearchProps{ID: "filter-error", Name: "error", Label: "Part of the error", Value: q.text},
		Service: ui.FieldProps{ID: "filter-service", Name: "service", Label: "Service", HideLabel: true, Placeholder: "Service",
			Value: q.service, Mono: true, List: "services"},
		Older: ui.SelectProps{ID: "filter-older", Name: "older", Label: "Age", HideLabel: true, Value: q.older, Options: []ui.Option{
			{Text: "Of any age"}, {Value: "1h", Text: "Older than an hour"}, {Value: "1d", Text: "Older than a day"}, {Value: "7d", Text: "Older than 7 days"},
		}},
	}
	if q != (deadQuery{}) {
		f.Clear = p.url("broker.dead")
	}
	for _, g := range groups {
		if !slices.Contains(f.Services, g.Service) {
			f.Services = append(f.Services, g.Service)
		}
	}
	return f
}

// shownGroups is how many kinds of errors a page shows: the most frequent ones.
const shownGroups = 20

func (p *brokerPages) deadGroups(c echo.Context, q deadQuery, groups []broker.DeadGroup) (rows []brokerview.DeadGroup) {
	for _, g := range groups {
		if len(rows) == shownGroups && g.Fingerprint != q.group {
			continue
		}
		its := deadQuery{service: g.Service, group: g.Fingerprint}
		row := brokerview.DeadGroup{
			Count:   brokerview.Count{N: g.Count, URL: p.url("broker.dead", values(its.pairs()...))},
			Service: brokerview.Link{Text: g.Service, URL: p.url("broker.service", g.Service)},
			Example: oneLine(g.Example), Newest: g.Newest, Current: g.Fingerprint == q.group && g.Service == q.service,
		}
		if mayEdit(c) {
			row.Retry, row.Fields = p.url("broker.dead.many"), its.hidden()
		}
		rows = append(rows, row)
	}
	return rows
}

// deadTicked serves POST /broker/dead with the fields cid, as often as some are ticked, and do. Those to be retried are at once; before some
// are deleted, the reader sees how many they are.
func (p *brokerPages) deadTicked(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	back := readDeadQuery(fromQuery(whereFrom(c.Request())))
	cids := f.values["cid"]
	if len(cids) == 0 {
		return p.renderDead(c, http.StatusUnprocessableEntity, back, "", "Nothing is ticked. Tick the dead letters that are meant, or take all that match.")
	}
	if f.word("do") != "retry" {
		return p.countDead(c)
	}
	var n int64
	err = p.audited(c, verbDeadRetry, plural(int64(len(cids)), "dead letter"), func() (before, after string, err error) {
		n, err = p.Broker.RetryDead(c.Request().Context(), broker.DeadSelect{CIDs: cids}, broker.DeadOptions{})
		return strings.Join(cids, " "), decimal(n) + " retried", err
	})
	p.dead.forget()
	if err != nil && !errors.Is(err, kvdb.ErrInvalid) {
		return err
	}
	if err != nil {
		return p.renderDead(c, http.StatusUnprocessableEntity, back, "", p.problemOf(err, c).Detail)
	}
	toast := ui.ToastProps{Kind: "success", Text: plural(n, "dead letter") + " queued again."}
	if left := int64(len(cids)) - n; left > 0 {
		toast.Kind, toast.Text = "warning", toast.Text+" The others are no dead letters any more."
	}
	return p.done(c, p.url("broker.dead", values(back.pairs()...)), toast)
}
