package handlers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/searchview"
)

const (
	foundOfAKind = 5               // hits that are shown of each kind
	searchTime   = 3 * time.Second // for all kinds, which are asked at the same time
)

// searchPages look for a text all over the house.
type searchPages struct{ *site }

func (p *searchPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{"search": p.show}
}

// kind is one kind of things, and how it is searched. A kind that has more than it shows says where its list is.
type kind struct {
	name string
	find func(ctx context.Context, c echo.Context, q string) (hits []searchview.Hit, more string, err error)
}

func (p *searchPages) kinds() []kind {
	return []kind{
		{"Pages", p.pages},
		{"Invocations", p.invocations},
		{"Programs", p.programs},
		{"Services", p.services},
		{"Channels", p.channels},
		{"Statistics", p.figures},
		{"Translations", p.translations},
		{"Entries", p.entries},
		{"Redis keys", p.keys},
		{"Users", p.users},
	}
}

// show serves GET /search?q=. The CID of an invocation leads straight to it. What one kind can't tell now is said in its place.
func (p *searchPages) show(c echo.Context) error {
	q := strings.TrimSpace(query(c, "q"))
	view := searchview.Page{Page: p.bare(c, "Search"), Q: q}
	view.Page.SearchQ = q
	if q == "" {
		return render(c, http.StatusOK, searchview.Search(view))
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), searchTime)
	defer cancel()
	if broker.IsCID(q) {
		switch _, err := p.Broker.Invocation(ctx, q); {
		case err == nil:
			return redirect(c, p.url("broker.invocation", q))
		case errors.Is(err, kvdb.ErrNotFound):
			view.Gone = p.url("audit", values("object", q))
		}
	}
	kinds := p.kinds()
	groups := make([]searchview.Group, len(kinds))
	errs := make([]error, len(kinds))
	var all sync.WaitGroup
	for i, k := range kinds {
		all.Go(func() {
			g := &groups[i]
			g.Name = k.name
			g.Hits, g.More, errs[i] = k.find(ctx, c, q)
		})
	}
	all.Wait()
	var unasked []string
	for i, g := range groups {
		if errs[i] != nil {
			unasked = append(unasked, strings.ToLower(g.Name))
			view.Trouble = p.problemOf(errs[i], c).Detail
		}
		if len(g.Hits) > 0 || g.More != "" {
			view.Groups = append(view.Groups, g)
		}
	}
	status := http.StatusOK
	if len(unasked) > 0 {
		status = http.StatusServiceUnavailable
		view.Trouble = "Not searched: " + strings.Join(unasked, ", ") + ". " + view.Trouble
	}
	return render(c, status, searchview.Search(view))
}

// pages are those of the navigation that this reader may see.
func (p *searchPages) pages(_ context.Context, c echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	q = strings.ToLower(q)
	for _, item := range p.navItems(navigation, mw.From(c.Request().Context()).Principal.Role, "") {
		if strings.Contains(strings.ToLower(item.Text), q) {
			hits = append(hits, searchview.Hit{Text: item.Text, Page: true, URL: item.URL})
		}
		for _, sub := range item.Sub {
			if strings.Contains(strings.ToLower(sub.Text), q) {
				hits = append(hits, searchview.Hit{Text: sub.Text, Page: true, Note: item.Text, URL: sub.URL})
			}
		}
	}
	return hits, "", nil
}

// invocations finds the one that has the text as its CID.
func (p *searchPages) invocations(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	x, err := p.Broker.Invocation(ctx, q)
	if errors.Is(err, kvdb.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return []searchview.Hit{{Text: x.CID, Note: x.Service + ", " + string(x.State), URL: p.url("broker.invocation", x.CID)}}, "", nil
}

func (p *searchPages) programs(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	page, err := p.Lua.Programs(ctx, lua.Filter{Q: q}, "", foundOfAKind)
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{Text: x.Name, Note: originNames[x.Origin], URL: p.url("lua.program", x.Name)})
	}
	if page.Next != "" && len(hits) > 0 {
		more = p.url("lua", values("q", q))
	}
	return hits, more, err
}

func (p *searchPages) services(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	page, err := p.Broker.Services(ctx, q, "", foundOfAKind)
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{Text: x.Name, URL: p.url("broker.service", x.Name)})
	}
	if page.Next != "" && len(hits) > 0 {
		more = p.url("broker.services", values("q", q))
	}
	return hits, more, err
}

func (p *searchPages) channels(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	page, err := p.Broker.Channels(ctx, q, "", foundOfAKind)
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{Text: x.Name, URL: p.url("broker.channel", x.Name)})
	}
	if page.Next != "" && len(hits) > 0 {
		more = p.url("broker.channels", values("q", q))
	}
	return hits, more, err
}

// figures finds services by what was measured of them: those of other servers are known by that alone.
func (p *searchPages) figures(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	names, err := p.Stats.Names(ctx)
	for _, name := range names {
		if !strings.Contains(strings.ToLower(name), strings.ToLower(q)) {
			continue
		}
		if len(hits) == foundOfAKind {
			more = p.url(summaryPage.route, values("q", q, "own", "1", "period", "year"))
			break
		}
		hits = append(hits, searchview.Hit{Text: name, URL: p.url(servicePage.route, values("name", name))})
	}
	return hits, more, err
}

// users are for those who look after them.
func (p *searchPages) users(ctx context.Context, c echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	if roleOf(c) != string(Admin) {
		return nil, "", nil
	}
	users, err := p.Accounts.Users(ctx)
	for _, u := range users {
		if !strings.Contains(strings.ToLower(u.Name), strings.ToLower(q)) {
			continue
		}
		if len(hits) == foundOfAKind {
			more = p.url("settings.users")
			break
		}
		hits = append(hits, searchview.Hit{Text: u.Name, Note: string(u.Role), URL: p.url("settings.user", u.Name)})
	}
	return hits, more, err
}

func (p *searchPages) translations(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	page, err := p.Dict.Translations(ctx, dict.Filter{Q: q}, dict.ListOptions{Limit: foundOfAKind})
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{
			Text: x.Value1, Note: x.System1 + " " + x.Key1 + " → " + x.System2 + " " + x.Key2 + " " + x.Value2, URL: p.url("dict.translation", x.ID),
		})
	}
	if page.Next != "" {
		more = p.url("dict.translations", values("q", q))
	}
	return hits, more, err
}

func (p *searchPages) entries(ctx context.Context, _ echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	page, err := p.Dict.Entries(ctx, dict.Filter{Q: q}, dict.ListOptions{Limit: foundOfAKind})
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{Text: x.Value, Note: x.System + " " + x.Key, URL: p.url("dict.entry", x.ID)})
	}
	if page.Next != "" {
		more = p.url("dict.entries", values("q", q))
	}
	return hits, more, err
}

// keys finds the key of exactly this name, and of others those that a bounded look finds.
func (p *searchPages) keys(ctx context.Context, c echo.Context, q string) (hits []searchview.Hit, more string, err error) {
	match := "*" + kvdb.GlobEscape(q) + "*"
	page, err := p.DB.ListKeys(ctx, roleOf(c), kvdb.KeyQuery{KeyFilter: kvdb.KeyFilter{Match: match}, Limit: foundOfAKind, WithoutOwn: true})
	for _, x := range page.Items {
		hits = append(hits, searchview.Hit{Text: x.Name, Note: x.Type, URL: p.url("redis.key", values("key", x.Name))})
	}
	if page.Next != "" {
		more = p.url("redis.keys", values("match", match))
	}
	return hits, more, err
}
