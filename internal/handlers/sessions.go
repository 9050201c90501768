package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/web/templates/settingsview"
	"webadmin/web/templates/ui"
)

// sessionPages are how administrators see who is signed in.
type sessionPages struct{ *site }

func (p *sessionPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"settings.sessions":    p.list,
		"settings.session.end": p.end,
	}
}

// list serves GET /settings/sessions?user=…
func (p *sessionPages) list(c echo.Context) error {
	user := query(c, "user")
	sessions, err := p.Accounts.Sessions(c.Request().Context(), user)
	if err != nil {
		return err
	}
	view := settingsview.SessionsPage{
		Page: p.page(c, "Sessions", p.crumbs("settings.sessions")...),
		User: user, All: p.url("settings.sessions"),
		Rows: p.toSessions(sessions, p.sessionID(c), "settings.session.end"),
	}
	for i := range view.Rows {
		view.Rows[i].UserURL = p.url("settings.user", view.Rows[i].User)
	}
	return render(c, http.StatusOK, settingsview.Sessions(view))
}

// end serves POST /settings/sessions/:id/end with the field return.
func (p *sessionPages) end(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	id := param(c, "id")
	err = p.audited(c, verbSessionEnd, "session "+id, func() (string, string, error) {
		return "", "", p.Accounts.EndSession(c.Request().Context(), id)
	})
	if err != nil {
		return err
	}
	back := localPath(f.word("return"))
	if back == "" {
		back = p.url("settings.sessions")
	}
	return p.done(c, back, ui.ToastProps{Kind: "success", Text: "The session is ended."})
}

// sessionID is the public ID of the session that made the request.
func (s *site) sessionID(c echo.Context) string {
	return mw.From(c.Request().Context()).Principal.SessionID
}

// agents tells browsers by their User-Agent; the first that fits counts, as most name others too.
var agents = []struct{ mark, name string }{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
}

var systems = []struct{ mark, name string }{
	{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
}

// agentName says a User-Agent in two words.
func agentName(agent string) string {
	var words []string
	for _, table := range [][]struct{ mark, name string }{agents, systems} {
		for _, a := range table {
			if strings.Contains(agent, a.mark) {
				words = append(words, a.name)
				break
			}
		}
	}
	if len(words) == 0 {
		return agent
	}
	return strings.Join(words, ", ")
}
