package handlers

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/mw"
)

// Route is one row of the table below.
type Route = mw.Route

// What a route may need.
const (
	Public   = mw.Public
	Viewer   = account.Viewer
	Operator = account.Operator
	Admin    = account.Admin
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// routes is all that the server answers, and who may call it. It drives the registration and the role gate; what is not in it
// is refused. A page's handler is bound by name in its area; the rows of the API (api.…) come with theirs from package api.
var routes = slices.Concat([]Route{
	{Name: "static", Method: get, Path: "/static/*", Need: Public},
	{Name: "healthz", Method: get, Path: "/healthz", Need: Public},
	{Name: "readyz", Method: get, Path: "/readyz", Need: Public},
	{Name: "metrics", Method: get, Path: "/metrics", Need: Public},

	{Name: "login", Method: get, Path: "/login", Need: Public},
	{Name: "login.do", Method: post, Path: "/login", Need: Public},
	{Name: "logout", Method: post, Path: "/logout", Need: Public},
	{Name: "theme", Method: post, Path: "/theme", Need: Public},

	{Name: "overview", Method: get, Path: "/", Need: Viewer},
	{Name: "server", Method: get, Path: "/server", Need: Viewer, Busy: true},
	{Name: "search", Method: get, Path: "/search", Need: Viewer},

	{Name: "account", Method: get, Path: "/account", Need: Viewer},
	{Name: "account.password", Method: post, Path: "/account/password", Need: Viewer},
	{Name: "account.session.end", Method: post, Path: "/account/sessions/:id/end", Need: Viewer},
	{Name: "account.sessions.end", Method: post, Path: "/account/sessions/end", Need: Viewer},

	{Name: "audit", Method: get, Path: "/audit", Need: Viewer},
	{Name: "audit.export", Method: get, Path: "/audit/export", Need: Viewer, Long: true},

	{Name: "settings.users", Method: get, Path: "/settings/users", Need: Admin},
	{Name: "settings.users.create", Method: post, Path: "/settings/users", Need: Admin},
	{Name: "settings.user", Method: get, Path: "/settings/users/:name", Need: Admin},
	{Name: "settings.user.role", Method: post, Path: "/settings/users/:name/role", Need: Admin},
	{Name: "settings.user.password", Method: post, Path: "/settings/users/:name/password", Need: Admin},
	{Name: "settings.user.disabled", Method: post, Path: "/settings/users/:name/disabled", Need: Admin},
	{Name: "settings.user.delete", Method: post, Path: "/settings/users/:name/delete", Need: Admin},
	{Name: "settings.tokens", Method: get, Path: "/settings/tokens", Need: Admin},
	{Name: "settings.tokens.create", Method: post, Path: "/settings/tokens", Need: Admin},
	{Name: "settings.token.revoke", Method: post, Path: "/settings/tokens/:id/revoke", Need: Admin},
	{Name: "settings.sessions", Method: get, Path: "/settings/sessions", Need: Admin},
	{Name: "settings.session.end", Method: post, Path: "/settings/sessions/:id/end", Need: Admin},
}, dictRoutes, luaRoutes, luaRunRoutes, statsRoutes, redisKeysRoutes, redisInfoRoutes, redisConsoleRoutes, brokerRoutes, brokerChannelRoutes, api.Routes(), devRoutes)

// Routes returns all that the server answers: tests that go to every page compare it with what they have seen.
func Routes() []Route { return slices.Clone(routes) }

// areas binds the rows to their handlers.
func areas(s *site) []area {
	return append(devAreas(s),
		&healthPages{s},
		&authPages{s},
		&overviewPages{site: s},
		&serverPages{s},
		&searchPages{s},
		&accountPages{s},
		&auditPages{s},
		&userPages{s},
		&tokenPages{s},
		&sessionPages{s},
		newDictPages(s),
		&luaPages{s},
		&statsPages{s},
		newRedisKeysPages(s),
		newRedisInfoPages(s),
		&redisConsolePages{s},
		newBrokerPages(s),
		&brokerChannelPages{s},
		&webhookPages{s},
	)
}

// area is a group of pages that belong together.
type area interface {
	handlers() map[string]echo.HandlerFunc // by the name of the row
}

// register adds every row to Echo with the handler of its name. It panics where the two do not match: that is a mistake in
// the code, and every test of this package meets it.
func register(e *echo.Echo, s *site) {
	bound := map[string]echo.HandlerFunc{}
	for _, a := range areas(s) {
		maps.Copy(bound, a.handlers())
	}
	for _, row := range routes {
		if strings.HasPrefix(row.Name, "api.") {
			continue
		}
		handler, ok := bound[row.Name]
		if !ok {
			panic(fmt.Sprintf("handlers: route %q has no handler", row.Name))
		}
		delete(bound, row.Name)
		e.Add(row.Method, row.Path, handler).Name = row.Name
		if row.Method == get {
			e.HEAD(row.Path, handler) // for probes; net/http leaves the body away
		}
	}
	if len(bound) > 0 {
		panic(fmt.Sprintf("handlers: no route for %v", slices.Sorted(maps.Keys(bound))))
	}
}

// url returns the path of a route: params fill the path's parameters in their order, escaped; a url.Values becomes the query,
// without its empty values. It panics on an unknown name or a missing parameter: a mistake in the code.
func (s *site) url(name string, params ...any) string {
	row, ok := s.byName[name]
	if !ok {
		panic(fmt.Sprintf("handlers: no route %q", name))
	}
	var b strings.Builder
	query := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(row.Path, "/"), "/") {
		b.WriteByte('/')
		if !strings.HasPrefix(part, ":") {
			b.WriteString(part)
			continue
		}
		if len(params) == 0 {
			panic(fmt.Sprintf("handlers: route %q wants %s", name, part))
		}
		b.WriteString(url.PathEscape(fmt.Sprint(params[0])))
		params = params[1:]
	}
	for _, p := range params {
		if values, ok := p.(url.Values); ok {
			query = encode(values)
			continue
		}
		panic(fmt.Sprintf("handlers: route %q: %v is one parameter too many", name, p))
	}
	return b.String() + query
}

// encode writes a query without what is empty: the shortest address that says the same.
func encode(values url.Values) string {
	said := url.Values{}
	for k, vs := range values {
		for _, v := range vs {
			if v != "" {
				said.Add(k, v)
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "?" + said.Encode()
}

// param returns a parameter of the path, decoded.
func param(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value // Echo has routed on the decoded path
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}
