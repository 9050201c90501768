package mw

import (
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
)

// Public is the need of a route that asks for no sign-in. It is a word of its own, so that a row that
// forgets its need is refused rather than open.
const Public account.Role = "public"

// Route is one row of the route table: what is registered, who may call it and within which limits.
type Route struct {
	Name   string       // unique; pages and tests name routes by it
	Method string       // GET, POST, PUT or DELETE
	Path   string       // Echo's notation
	Need   account.Role // the least role, or Public
	Body   int64        // largest request body in bytes; 0 = DefaultBody
	Long   bool         // it streams or takes long: no time limit of ours
	Busy   bool         // while a script blocks the store of sessions, a session that this process has verified within the last minutes will do
	Quick  bool         // what it asks of Redis has a limit of its own: no timer, as there are very many of these
}

// Info is what is known about the request in hand. It travels in the request's context.
type Info struct {
	ID        string // request ID: in the log, in the answer's X-Request-Id and on error pages
	Address   string // client's IP address
	Agent     string // User-Agent, cut
	CID       string // of the invocation on whose behalf a program calls; "" = of none, or nobody knows
	Route     *Route // nil when nothing matched or the route is in no table
	Principal account.Principal
	Err       error            // what the handler returned, for the log and the metrics
	Broken    bool             // the error came when a part of the answer was out: the connection is cut
	next      echo.HandlerFunc // the route
}

// SignedIn says whether the caller is known.
func (i *Info) SignedIn() bool { return i.Principal.Name != "" }

type infoKey struct{}

// From returns what is known about the request that ctx belongs to; never nil.
func From(ctx context.Context) *Info {
	if info, ok := ctx.Value(infoKey{}).(*Info); ok {
		return info
	}
	return &Info{}
}

// Table finds rows of the route table.
type Table struct {
	rows map[[2]string]*Route // by method and path
}

// NewTable indexes rows.
func NewTable(rows []Route) *Table {
	t := &Table{rows: make(map[[2]string]*Route, len(rows))}
	for i := range rows {
		t.rows[[2]string{rows[i].Method, rows[i].Path}] = &rows[i]
	}
	return t
}

// Row returns the row of a method and an Echo path, nil when there is none. HEAD is GET without its body.
func (t *Table) Row(method, path string) *Route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return t.rows[[2]string{method, path}]
}

// Refuse stops every request whose route has no row: deny by default. What was registered without a row
// is forbidden for everybody, so that a forgotten row can't open a page.
func Refuse() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if From(c.Request().Context()).Route != nil {
				return next(c)
			}
			if allow, ok := c.Get(echo.ContextKeyHeaderAllow).(string); ok && allow != "" {
				c.Response().Header().Set(echo.HeaderAllow, allow)
				return echo.ErrMethodNotAllowed
			}
			unlisted := slices.ContainsFunc(c.Echo().Routes(), func(r *echo.Route) bool {
				return r.Method == c.Request().Method && r.Path == c.Path()
			})
			if unlisted {
				return echo.ErrForbidden
			}
			return echo.ErrNotFound
		}
	}
}
