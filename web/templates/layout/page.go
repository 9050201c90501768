// Package layout is the frame round every page: head, navigation, top bar, messages.
package layout

import "webadmin/web/templates/ui"

// Page is what the frame shows. The zero value is a page without navigation, user or environment.
type Page struct {
	Title    string  // shown in the browser's tab before the environment's name
	Crumbs   []Crumb // where we are; the last one is this page
	Path     string  // of this page with its query, for going back to it
	Nav      []NavItem
	User     string // "" = nobody has signed in
	Role     string
	EnvName  string // "" = none
	EnvColor string // one of EnvColors
	Theme    string // "" = the system's, else "day" or "night"
	Server   Server
	Toasts   []ui.ToastProps
	Search   string   // URL that the search box sends q to; "" = no box
	SearchQ  string   // what was searched for
	Hint     string   // placeholder of the search box
	Version  string   // of the program
	Styles   []string // names of further stylesheets
	Scripts  []string // names of further bundles, such as "editor.js"
	Nonce    string   // for the style sheets that an editor makes; script[nonce].nonce tells it
}

// Crumb is one step of the way to a page. Without a URL it is text; Mono is for names of keys, programs and the like.
type Crumb struct {
	Text, URL string
	Mono      bool
}

// NavItem is a section, or with it a sub-section, which shows only under the current section.
type NavItem struct {
	Text, URL, Icon string
	Current         bool // this page or one below it
	Sub             []NavItem
	Badge           string // a count of what waits for someone; "" = nothing
	Key             string // the letter after g that goes there; "" = none
}

// Server is the state of the Redis server in the corner: Status is ok, away, loading or busy, and what the texts say beside it. It asks
// Refresh anew Every so often; "" = never.
type Server struct {
	Status, Text1, Text2 string
	Refresh, Every       string
}

// EnvColors are the class names for EnvColor, calm ones first.
var EnvColors = []string{"env-gray", "env-green", "env-teal", "env-blue", "env-violet", "env-amber", "env-red"}

// current is the value of aria-current: the innermost current item is the page, those above it are on the way.
func (n NavItem) current() string {
	for _, sub := range n.Sub {
		if sub.Current {
			return "true"
		}
	}
	return "page"
}

// keys lists the items that a key goes to.
func (p Page) keys() []NavItem {
	var out []NavItem
	for _, n := range p.Nav {
		for _, item := range append([]NavItem{n}, n.Sub...) {
			if item.Key != "" {
				out = append(out, item)
			}
		}
	}
	return out
}

// tab is the title in the browser's tab.
func (p Page) tab() string {
	title := "webadmin"
	if p.EnvName != "" {
		title = p.EnvName + " · " + title
	}
	if p.Title != "" {
		title = p.Title + " · " + title
	}
	return title
}

func (s Server) word() string {
	switch s.Status {
	case "ok":
		return "The server answers"
	case "loading":
		return "The server is loading its data"
	case "busy":
		return "The server is busy with a script"
	default:
		return "The server is away"
	}
}
