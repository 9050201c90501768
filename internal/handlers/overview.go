package handlers

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	overviewview "webadmin/web/templates/overview"
)

const (
	shownSystems = 12 // on the overview, the largest
	shownChanges = 8  // the newest
)

// overviewPages are the first page.
type overviewPages struct{ *site }

func (p *overviewPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{"overview": p.show}
}

// show serves GET /. What the KVDB can't tell now is a notice in its place, so that the rest is still seen.
func (p *overviewPages) show(c echo.Context) error {
	ctx, role := c.Request().Context(), mw.From(c.Request().Context()).Principal.Role
	view := overviewview.OverviewPage{Server: p.serverView(), Warnings: p.warnings()}
	var err error
	if view.Dict, err = p.dictionaries(ctx, role); err != nil {
		said := p.problemOf(err, c)
		if said.Status != http.StatusServiceUnavailable {
			return err
		}
		view.Dict.Trouble = said.Detail
	}
	if view.Dict.Trouble == "" {
		view.Needs = p.needs(ctx)
	}
	if role.Allows(Admin) {
		if view.Accounts, err = p.accounts(ctx); err != nil {
			return err
		}
	}
	view.Page = p.page(c, "Overview", p.crumbs("overview")...)
	if view.Dict.Trouble != "" {
		return render(c, http.StatusServiceUnavailable, overviewview.Overview(view))
	}
	return render(c, http.StatusOK, overviewview.Overview(view))
}

// warnings are about the configuration: it works, but somebody should know.
func (p *overviewPages) warnings() []overviewview.Warning {
	var out []overviewview.Warning
	if p.StateShared {
		out = append(out, overviewview.Warning{
			Text: "Users, tokens, sessions and the audit log are on the same Redis server as the KVDB: whoever may run programs there can reach them.",
			Cure: "Give them a server of their own with --state-url.",
		})
	}
	if p.ProgramUser == "" {
		out = append(out, overviewview.Warning{
			Text: "There is no Redis user for programs: they run with all the rights that webadmin itself has.",
			Cure: "Make an ACL user without @admin and @dangerous, and name it with --program-user.",
		})
	}
	return out
}

func (p *overviewPages) serverView() overviewview.Server {
	sum := p.DB.Summary()
	return overviewview.Server{
		Status: sum.Status, Trouble: sum.Detail, Address: p.DB.Addr(), Version: sum.Version, Mode: sum.Mode,
		Ops: sum.OpsPerSec, Clients: sum.Clients, UsedMemory: sum.UsedMemory, MaxMemory: sum.MaxMemory, Up: sum.Uptime,
	}
}

// dictionaries counts what there is.
func (p *overviewPages) dictionaries(ctx context.Context, role account.Role) (view overviewview.Dictionaries, err error) {
	view.AllEntries, view.ChangesURL = p.url("dict.entries"), p.url("dict.changes")
	if role.Allows(Operator) {
		view.Import = p.url("dict.transfer")
	}
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return view, err
	}
	if view.Numbers, err = p.totals(ctx); err != nil {
		return view, err
	}
	if view.Systems, view.More, err = p.largest(ctx, systems); err != nil {
		return view, err
	}
	changes, err := p.Dict.Changes(ctx, "", shownChanges)
	for _, x := range changes.Items {
		view.Changes = append(view.Changes, overviewview.Change{At: x.At, By: x.By, Summary: x.Summary, URL: p.url("dict.change", x.ID), Undone: x.UndoneBy != ""})
	}
	return view, err
}

func (p *overviewPages) totals(ctx context.Context) ([]overviewview.Number, error) {
	entries, err := p.Dict.Entries(ctx, dict.Filter{}, dict.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	translations, err := p.Dict.Translations(ctx, dict.Filter{}, dict.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	misses, err := p.Dict.MissedValues(ctx)
	if err != nil {
		return nil, err
	}
	return []overviewview.Number{
		{Name: "Entries", N: entries.All, URL: p.url("dict.entries")},
		{Name: "Translations", N: translations.All, URL: p.url("dict.translations")},
		{Name: "Misses waiting", N: misses, URL: p.url("dict.misses"), Warn: true},
	}, nil
}

// largest returns the systems with the most translations, and how many are left out.
func (p *overviewPages) largest(ctx context.Context, counts []dict.Count) ([]overviewview.System, int64, error) {
	sorted := slices.Clone(counts)
	slices.SortStableFunc(sorted, func(a, b dict.Count) int {
		return cmp.Or(cmp.Compare(b.Translations, a.Translations), cmp.Compare(b.Entries, a.Entries))
	})
	shown := sorted[:min(len(sorted), shownSystems)]
	rows := make([]overviewview.System, len(shown))
	for i, x := range shown {
		rows[i].Name = x.Name
		rows[i].Entries = overviewview.Number{N: x.Entries, URL: p.url("dict.entries", values("system", x.Name))}
		from, err := p.translations(ctx, dict.Filter{System1: x.Name}, values("system1", x.Name))
		if err != nil {
			return nil, 0, err
		}
		to, err := p.translations(ctx, dict.Filter{System2: x.Name}, values("system2", x.Name))
		if err != nil {
			return nil, 0, err
		}
		rows[i].From, rows[i].To = from, to
	}
	return rows, int64(len(sorted) - len(shown)), nil
}

// translations counts those that match a filter; query is the same filter in the address of their list.
func (p *overviewPages) translations(ctx context.Context, f dict.Filter, query url.Values) (overviewview.Number, error) {
	page, err := p.Dict.Translations(ctx, f, dict.ListOptions{Limit: 1})
	return overviewview.Number{N: page.Total, URL: p.url("dict.translations", query)}, err
}

// accounts counts who may come in.
func (p *overviewPages) accounts(ctx context.Context) ([]overviewview.Number, error) {
	users, err := p.Accounts.Users(ctx)
	if err != nil {
		return nil, err
	}
	sessions, err := p.Accounts.Sessions(ctx, "")
	if err != nil {
		return nil, err
	}
	tokens, err := p.Accounts.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return []overviewview.Number{
		{Name: "Users", N: int64(len(users)), URL: p.url("settings.users")},
		{Name: "Sessions", N: int64(len(sessions)), URL: p.url("settings.sessions")},
		{Name: "Tokens", N: int64(len(tokens)), URL: p.url("settings.tokens")},
	}, nil
}
