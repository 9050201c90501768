package handlers

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/ui"
)

// misses serves GET /dictionaries/misses: what was looked up and not found. The query may name a pair of systems and keys, and the
// place: cursor.
func (p *dictPages) misses(c echo.Context) error {
	view, err := p.missesView(c, c.QueryParams())
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.MissListOf(view.List))
	}
	view.Page = p.page(c, "Misses", p.crumbs("dict.misses")...)
	return render(c, http.StatusOK, dictview.Misses(view))
}

// missesView reads what the page shows; asked is its query.
func (p *dictPages) missesView(c echo.Context, asked url.Values) (out dictview.MissesPage, err error) {
	ctx, view := c.Request().Context(), p.view(c)
	pair := dict.Pair{System1: asked.Get("system1"), Key1: asked.Get("key1"), System2: asked.Get("system2"), Key2: asked.Get("key2")}
	filter := dict.Filter{System1: pair.System1, Key1: pair.Key1, System2: pair.System2, Key2: pair.Key2}
	page, groups, err := p.Dict.MissesAndGroups(ctx, filter, asked.Get("cursor"), pageRows)
	if err != nil {
		return out, err
	}
	here := queryValues(pair.Query())
	out.List = dictview.MissList{Title: "Values", Action: p.url("dict.misses.dismiss"), Pager: view.pager("dict.misses", here, placeOf(page, false))}
	if (pair != dict.Pair{}) {
		out.All = p.url("dict.misses")
		out.List.Title = "Values from " + pair.System1 + " " + pair.Key1 + " to " + pair.System2 + " " + pair.Key2
	}
	if len(page.Items) == 0 {
		out.List.Title, out.List.Nothing = "", &dictview.Nothing{Icon: "circle-check", Title: "No misses", Text: "A lookup that finds no translation is counted here, so that it can be added with one click."}
	}
	here.Set("cursor", asked.Get("cursor"))
	back := p.url("dict.misses", here)
	for _, m := range page.Items {
		out.List.Rows = append(out.List.Rows, view.missRow(m, back))
	}
	for _, g := range groups {
		out.Groups = append(out.Groups, view.missGroup(g, pair, back))
	}
	return out, nil
}

// dismiss serves POST /dictionaries/misses/dismiss with the fields of a query, or without value1 and with group those of a pair; back
// is the page that is shown again.
func (p *dictPages) dismiss(c echo.Context) error {
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	q, group := f.missPosted(), f.has("group")
	what := queryText(q)
	if group {
		what = pairText(q.Pair())
	}
	err = p.audited(c, verbMissDismiss, "miss "+what, func() (string, string, error) {
		if group {
			return what, "", p.Dict.DismissMissGroup(ctx, q.Pair())
		}
		return what, "", p.Dict.DismissMiss(ctx, q)
	})
	if err != nil {
		return err
	}
	said := ui.ToastProps{Kind: "success", Text: "Dismissed " + what + ". It comes back when it is looked up again."}
	back, err := url.Parse(f.backTo(p.url("dict.misses")))
	if err != nil || !wantsFragment(c.Request()) {
		return p.done(c, f.backTo(p.url("dict.misses")), said)
	}
	view, err := p.missesView(c, back.Query())
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(dictview.MissesOf(view), ui.ToastOOB(said)))
}

// noticeKept is how long the notice about misses is taken for true: counting them reads them all.
const noticeKept = 10 * time.Second

// missGroups remembers the groups of misses for the notice above the translations.
type missGroups struct {
	mu     sync.Mutex
	groups []dict.MissGroup
	read   time.Time
}

func (m *missGroups) of(ctx context.Context, store *dict.Store, now time.Time) ([]dict.MissGroup, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.read.IsZero() && now.Sub(m.read) < noticeKept {
		return m.groups, nil
	}
	groups, err := store.MissGroups(ctx)
	if err == nil {
		m.groups, m.read = groups, now
	}
	return groups, err
}
