package handlers

import (
	"context"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/layout"
)

// section is an item of the navigation. It is shown when its route is in the table and the reader's role may go there.
type section struct {
	text, icon, route string
	key               string // the letter after g that goes there
	also              string // how paths begin that belong to it besides those below its own
	sub               []section
}

var navigation = []section{
	{text: "Overview", icon: "layout-dashboard", route: "overview", key: "o"},
	{text: "Dictionaries", icon: "book-open-text", route: "dict", key: "d", sub: []section{
		{text: "Entries", route: "dict.entries", key: "e"},
		{text: "Translations", route: "dict.translations", key: "t"},
		{text: "Translate", route: "dict.translate"},
		{text: "Import/export", route: "dict.transfer"},
		{text: "Misses", route: "dict.misses", key: "m"},
		{text: "Usage", route: "dict.usage"},
	}},
	{text: "Lua", icon: "file-code-corner", route: "lua", key: "l"},
	{text: "Broker", icon: "waypoints", route: "broker.channels", key: "b", sub: []section{
		{text: "Channels", route: "broker.channels"},
		{text: "Services", route: "broker.services", also: "/broker/invo"},
		{text: "Dead letters", route: "broker.dead"},
	}},
	{text: "Statistics", icon: "chart-line", route: "stats.trends", key: "s", also: "/stats/", sub: []section{
		{text: "Trends", route: "stats.trends", also: "/stats/service"},
		{text: "Summary", route: "stats.summary"},
		{text: "Slow calls", route: "stats.slow"},
	}},
	{text: "Redis", icon: "database", route: "redis.info", key: "r", sub: []section{
		{text: "Info", route: "redis.info"},
		{text: "Keys", route: "redis.keys", key: "k"},
		{text: "Console", route: "redis.console", key: "c"},
		{text: "Slow log", route: "redis.slowlog"},
		{text: "Clients", route: "redis.clients"},
	}},
	{text: "Audit", icon: "scroll-text", route: "audit", key: "a"},
	{text: "Settings", icon: "sliders-horizontal", route: "settings.users", key: "u", sub: []section{
		{text: "Users", route: "settings.users"},
		{text: "Tokens", route: "settings.tokens"},
		{text: "Sessions", route: "settings.sessions"},
		{text: "Webhooks", route: "settings.webhooks"},
	}},
}

// page returns what the frame of a page shows to whoever made this request. It can be had when Redis is away: its state is a cached one, and
// the reader is known already.
func (s *site) page(c echo.Context, title string, crumbs ...layout.Crumb) layout.Page {
	who := s.whoIs(c)
	return layout.Page{
		Title: title, Crumbs: crumbs, Path: c.Request().URL.RequestURI(),
		User: who.Name, Role: string(who.Role), Nav: s.nav(c, who.Role),
		EnvName: s.EnvName, EnvColor: envColor(s.EnvName), Theme: themeOf(c.Request()),
		Server: s.server(c.Request().Context()), Toasts: s.takeToasts(c), Version: s.Version,
		Search: s.url("search"), Hint: "Search everything",
	}
}

// bare is page for those who make pages without a place in the navigation.
func (s *site) bare(c echo.Context, title string) layout.Page {
	return s.page(c, title, layout.Crumb{Text: title})
}

// whoIs returns who made the request. Routes that need no sign-in have not asked yet; there, trouble with the store makes a page for nobody.
func (s *site) whoIs(c echo.Context) account.Principal {
	info := mw.From(c.Request().Context())
	if !info.SignedIn() && (info.Route == nil || info.Route.Need == Public) {
		_ = mw.Identify(c.Request(), s.sessions)
	}
	return info.Principal
}

// nav returns the sections that exist and that the role may see, the current one marked, with what waits in them.
func (s *site) nav(c echo.Context, role account.Role) []layout.NavItem {
	items := s.navItems(navigation, role, c.Request().URL.Path)
	for i := range items {
		for j := range items[i].Sub {
			switch sub := &items[i].Sub[j]; sub.URL {
			case s.url("dict.misses"):
				sub.Badge = s.missBadge(c)
			case s.url("broker.dead"):
				sub.Badge = s.deadBadge(c)
			}
		}
	}
	return items
}

func (s *site) navItems(sections []section, role account.Role, path string) []layout.NavItem {
	var items []layout.NavItem
	for _, sec := range sections {
		row := s.byName[sec.route]
		if row == nil || !role.Allows(row.Need) {
			continue
		}
		item := layout.NavItem{Text: sec.text, Icon: sec.icon, URL: s.url(sec.route), Key: sec.key}
		item.Current = within(path, item.URL) || sec.also != "" && strings.HasPrefix(path, sec.also)
		item.Sub = s.navItems(sec.sub, role, path)
		for _, sub := range item.Sub {
			item.Current = item.Current || sub.Current
		}
		items = append(items, item)
	}
	return items
}

// badgeTime is how long a page waits for a number that it can do without.
const badgeTime = 100 * time.Millisecond

// missBadge counts the misses that wait. It is empty when there are none, or when the server can't tell at once.
func (s *site) missBadge(c echo.Context) string {
	if s.DB.Summary().Status != kvdb.StatusOK {
		return ""
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), badgeTime)
	defer cancel()
	n, err := s.Dict.MissedValues(ctx)
	if err != nil {
		return ""
	}
	return badge(n)
}

// badge is a number beside an item of the navigation; nothing beside none.
func badge(n int64) string {
	switch {
	case n == 0:
		return ""
	case n > 999:
		return "999+"
	}
	return strconv.FormatInt(n, 10)
}

// within says whether path is the page of a section or below it.
func within(path, section string) bool {
	return path == section || section != "/" && strings.HasPrefix(path, section+"/")
}

// envColors gives well-known environments the colour that people expect; others keep one of the rest, chosen by their name.
var envColors = []struct{ word, color string }{
	{"preprod", "env-amber"},
	{"prod", "env-red"},
	{"stag", "env-amber"},
	{"uat", "env-amber"},
	{"test", "env-blue"},
	{"qa", "env-blue"},
	{"dev", "env-green"},
	{"local", "env-green"},
	{"demo", "env-green"},
}

func envColor(name string) string {
	if name == "" {
		return ""
	}
	for _, c := range envColors {
		if strings.Contains(strings.ToLower(name), c.word) {
			return c.color
		}
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name))
	return []string{"env-gray", "env-teal", "env-violet"}[sum.Sum32()%3]
}

const themeCookie = "theme"

// themeOf returns the theme that the reader chose: day, night, or "" for the system's.
func themeOf(r *http.Request) string {
	cookie, err := r.Cookie(themeCookie)
	if err != nil || cookie.Value != "day" && cookie.Value != "night" {
		return ""
	}
	return cookie.Value
}

// crumbs makes the way to a page from its navigation: section, page, and what is below it as text.
func (s *site) crumbs(route string, below ...string) []layout.Crumb {
	var way []layout.Crumb
	for _, sec := range navigation {
		if sec.route == route && sec.sub == nil {
			way = append(way, layout.Crumb{Text: sec.text, URL: s.url(route)})
		}
		for _, sub := range sec.sub {
			if sub.route == route {
				way = append(way, layout.Crumb{Text: sec.text}, layout.Crumb{Text: sub.text, URL: s.url(route)})
			}
		}
	}
	for _, text := range below {
		way = append(way, layout.Crumb{Text: text, Mono: true})
	}
	return way
}

// query reads a filter or the like from the address.
func query(c echo.Context, name string) string { return c.QueryParam(name) }

// values makes a query of name, value, name, value; see site.url.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}
