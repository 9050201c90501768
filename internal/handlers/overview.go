package handlers

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	overviewview "webadmin/web/templates/overview"
)

const shownSystems = 12 // on the overview, the largest

// overviewPages are the first page.
type overviewPages struct {
	*site
	box needsBox
}

func (p *overviewPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{"overview": p.show}
}

// show serves GET /. Asked for the parts needs or pulse, it is how they are now. What the KVDB can't tell now is a notice in its place, so
// that the rest is still seen.
func (p *overviewPages) show(c echo.Context) error {
	ctx := c.Request().Context()
	switch part := wantsFragment(c.Request()); {
	case part && targets(c.Request(), "pulse"):
		return render(c, http.StatusOK, overviewview.PulseOf(p.pulse()))
	case part && targets(c.Request(), "needs"):
		return render(c, http.StatusOK, overviewview.NeedsOf(p.needs(ctx, needsAge)))
	}
	view := overviewview.OverviewPage{Pulse: p.pulse(), Needs: p.needs(ctx, 0), Warnings: p.warnings()}
	err := p.fill(c, &view)
	status := http.StatusOK
	if err != nil {
		said := p.problemOf(err, c)
		if said.Status != http.StatusServiceUnavailable {
			return err
		}
		status, view.Trouble = said.Status, said.Detail
	}
	if mw.From(ctx).Principal.Role.Allows(Admin) {
		if view.Accounts, err = p.accounts(ctx); err != nil {
			return err
		}
	}
	view.Page = p.page(c, "Overview", p.crumbs("overview")...)
	return render(c, status, overviewview.Overview(view))
}

// fill reads what there is: of an empty store, what to begin with.
func (p *overviewPages) fill(c echo.Context, view *overviewview.OverviewPage) (err error) {
	if view.Dict, err = p.dictionaries(c.Request().Context()); err != nil {
		return err
	}
	if len(view.Dict.Systems) == 0 {
		if view.Steps, err = p.steps(c); err != nil {
			return err
		}
	}
	view.Changes, err = p.changes(c)
	return err
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

// dictionaries counts what there is.
func (p *overviewPages) dictionaries(ctx context.Context) (view overviewview.Dictionaries, err error) {
	view.AllEntries = p.url("dict.entries")
	systems, err := p.Dict.Systems(ctx)
	if err != nil {
		return view, err
	}
	misses, err := p.Dict.MissedValues(ctx)
	if err != nil {
		return view, err
	}
	var entries, translations int64
	for _, x := range systems {
		entries, translations = entries+x.Entries, translations+x.From
	}
	view.Numbers = []overviewview.Number{
		{Name: "Entries", N: entries, URL: p.url("dict.entries")},
		{Name: "Translations", N: translations, URL: p.url("dict.translations")},
		{Name: "Misses waiting", N: misses, URL: p.url("dict.misses"), Warn: true},
	}
	view.Systems, view.More = p.largest(systems)
	return view, nil
}

// largest returns the systems with the most translations, and how many are left out.
func (p *overviewPages) largest(counts []dict.Count) ([]overviewview.System, int64) {
	sorted := slices.Clone(counts)
	slices.SortStableFunc(sorted, func(a, b dict.Count) int {
		return cmp.Or(cmp.Compare(b.Translations, a.Translations), cmp.Compare(b.Entries, a.Entries))
	})
	shown := sorted[:min(len(sorted), shownSystems)]
	rows := make([]overviewview.System, len(shown))
	for i, x := range shown {
		rows[i] = overviewview.System{
			Name:    x.Name,
			Entries: overviewview.Number{N: x.Entries, URL: p.url("dict.entries", values("system", x.Name))},
			From:    overviewview.Number{N: x.From, URL: p.url("dict.translations", values("system1", x.Name))},
			To:      overviewview.Number{N: x.To, URL: p.url("dict.translations", values("system2", x.Name))},
		}
	}
	return rows, int64(len(sorted) - len(shown))
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
