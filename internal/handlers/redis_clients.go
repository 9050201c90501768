package handlers

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/web/templates/redisview"
	"webadmin/web/templates/ui"
)

// shownClients is how many connections are shown at most.
const shownClients = 500

// clients serves GET /redis/clients?q=&kind=&sort=.
func (p *redisInfoPages) clients(c echo.Context) error {
	all, err := p.DB.ListClients(c.Request().Context(), roleOf(c))
	if err != nil {
		return err
	}
	list := p.clientList(c, all)
	if wantsFragment(c.Request()) {
		pushURL(c, p.url("redis.clients", values("q", query(c, "q"), "kind", query(c, "kind"), "sort", query(c, "sort"))))
		return render(c, http.StatusOK, redisview.ClientListOf(list))
	}
	v := redisview.ClientsPage{URL: p.url("redis.clients"), List: list, Search: ui.SearchProps{Name: "q",
		Label: "Address, name, user, command", Value: query(c, "q")}}
	v.Kind = ui.SelectProps{Name: "kind", Label: "Type", Value: query(c, "kind"), Options: []ui.Option{
		{Text: "All"}, {Value: "normal", Text: "Normal"}, {Value: "pubsub", Text: "Listening to channels"},
		{Value: "replica", Text: "Replicas"}, {Value: "master", Text: "Masters"},
		{Value: "blocked", Text: "Waiting"}, {Value: "ours", Text: "webadmin's own"}, {Value: "others", Text: "Not webadmin's"},
	}}
	v.Sort = ui.SelectProps{Name: "sort", Label: "Order", Value: query(c, "sort"), Options: []ui.Option{
		{Text: "Oldest first"}, {Value: "new", Text: "Newest first"}, {Value: "idle", Text: "Idle longest first"},
		{Value: "busy", Text: "Idle shortest first"}, {Value: "memory", Text: "Most memory first"},
		{Value: "addr", Text: "Address"}, {Value: "name", Text: "Name"},
	}}
	v.Page = p.page(c, "Clients", p.crumbs("redis.clients")...)
	return render(c, http.StatusOK, redisview.Clients(v))
}

func (p *redisInfoPages) clientList(c echo.Context, all []kvdb.Client) redisview.ClientList {
	text, kind := strings.ToLower(strings.TrimSpace(query(c, "q"))), query(c, "kind")
	v := redisview.ClientList{}
	var fit []kvdb.Client
	for _, client := range all {
		v.Node = v.Node || client.Node != all[0].Node
		if clientIs(client, kind) && strings.Contains(strings.ToLower(fmt.Sprintln(client.ID, client.Addr, client.Name,
			client.User, client.Command)), text) {
			fit = append(fit, client)
		}
	}
	sortClients(fit, query(c, "sort"))
	v.Summary = plural(int64(len(fit)), "client")
	if len(fit) < len(all) {
		v.Summary += " of " + decimal(int64(len(all)))
	}
	if len(fit) > shownClients {
		v.Summary += fmt.Sprintf("; these are the first %d", shownClients)
		fit = fit[:shownClients]
	}
	for _, client := range fit {
		row := redisview.ClientRow{
			ID: strconv.FormatInt(client.ID, 10), Addr: client.Addr, Name: client.Name, User: client.User,
			Age: lastingText(client.Age), Idle: lastingText(client.Idle),
			DB: strconv.Itoa(client.DB), Command: client.Command, Memory: byteSize(client.Memory), Node: client.Node,
			Flags: client.FlagWords(), Ours: client.Ours,
		}
		row.Console, row.ConsoleURL = p.consoleOf(c, client)
		if mayAdmin(c) {
			row.Kill = p.url("redis.client.ask", client.ID, values("node", client.Node))
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// consoleOf says whose console of this process a connection is, and where the reader's own goes on. Whose it is else is for admins.
func (p *redisInfoPages) consoleOf(c echo.Context, client kvdb.Client) (text, url string) {
	for _, s := range p.Console.Sessions("") {
		switch {
		case !s.Is(client):
		case s.Who == actor(c):
			return "your console", p.url("redis.console", values("session", s.ID))
		case mayAdmin(c):
			return "console of " + s.Who, ""
		}
	}
	return "", ""
}

func clientIs(client kvdb.Client, kind string) bool {
	switch kind {
	case "":
		return true
	case "blocked":
		return strings.Contains(client.Flags, "b")
	case "ours":
		return client.Ours
	case "others":
		return !client.Ours
	}
	return client.Kind == kind
}

func sortClients(list []kvdb.Client, sort string) {
	orders := map[string]func(a, b kvdb.Client) int{
		"new":    func(a, b kvdb.Client) int { return cmp.Compare(a.Age, b.Age) },
		"idle":   func(a, b kvdb.Client) int { return cmp.Compare(b.Idle, a.Idle) },
		"busy":   func(a, b kvdb.Client) int { return cmp.Compare(a.Idle, b.Idle) },
		"memory": func(a, b kvdb.Client) int { return cmp.Compare(b.Memory, a.Memory) },
		"addr":   func(a, b kvdb.Client) int { return cmp.Compare(a.Addr, b.Addr) },
		"name":   func(a, b kvdb.Client) int { return cmp.Compare(a.Name, b.Name) },
	}
	if order, ok := orders[sort]; ok {
		slices.SortStableFunc(list, order)
	} else {
		slices.SortStableFunc(list, func(a, b kvdb.Client) int { return cmp.Compare(b.Age, a.Age) })
	}
}

// oneClient finds the connection that the path and the field or query node name.
func (p *redisInfoPages) oneClient(c echo.Context, node string) (kvdb.Client, error) {
	all, err := p.DB.ListClients(c.Request().Context(), roleOf(c))
	if err != nil {
		return kvdb.Client{}, err
	}
	for _, client := range all {
		if strconv.FormatInt(client.ID, 10) == param(c, "id") && (client.Node == node || node == "") {
			return client, nil
		}
	}
	return kvdb.Client{}, fmt.Errorf("client %.20s: %w", param(c, "id"), kvdb.ErrNotFound)
}

// askKill serves GET /redis/clients/:id/kill?node=.
func (p *redisInfoPages) askKill(c echo.Context) error {
	client, err := p.oneClient(c, query(c, "node"))
	if err != nil {
		return err
	}
	return p.killPage(c, http.StatusOK, client, "")
}

// killName is what one types to close a connection: its name, or its number where it has none.
func killName(client kvdb.Client) string {
	if client.Name != "" {
		return client.Name
	}
	return strconv.FormatInt(client.ID, 10)
}

func (p *redisInfoPages) killPage(c echo.Context, status int, client kvdb.Client, fault string) error {
	text := fmt.Sprintf("The connection %d from %s, of user %s, is closed by the server (CLIENT KILL).", client.ID,
		client.Addr, cmp.Or(client.User, "default"))
	text += " What it is running ends, or goes on unseen; most programs connect again by themselves."
	if client.Ours {
		text += " It is one of webadmin's own, of this server or of another: what it is doing for somebody may end as not done or unknown."
	}
	v := redisview.ConfirmPage{Confirm: redisview.Confirmation{
		Title: "Close a connection", Text: text, Word: killName(client), Error: fault,
		Action: p.url("redis.client.kill", client.ID), Button: "Close the connection", Cancel: p.url("redis.clients"),
		Hidden: [][2]string{{"node", client.Node}, {"addr", client.Addr}},
	}}
	v.Page = p.page(c, v.Confirm.Title, p.crumbs("redis.clients", strconv.FormatInt(client.ID, 10))...)
	return render(c, status, redisview.Confirm(v))
}

// killClient serves POST /redis/clients/:id/kill with the fields node, addr and confirm.
func (p *redisInfoPages) killClient(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	client, err := p.oneClient(c, f.word("node"))
	if err == nil && client.Addr != f.word("addr") {
		err = fmt.Errorf("client %d is another one now: %w", client.ID, kvdb.ErrNotFound)
	}
	if err != nil {
		return err
	}
	if f.word("confirm") != killName(client) {
		return p.killPage(c, http.StatusUnprocessableEntity, client, "Is not "+killName(client))
	}
	object := fmt.Sprintf("client %d", client.ID)
	err = p.audited(c, verbClientKill, object, func() (before, after string, err error) {
		before = strings.TrimSpace(client.Addr + " " + client.Name)
		return before, "", p.DB.KillClient(c.Request().Context(), roleOf(c), client.Node, client.ID, client.Addr)
	})
	if err != nil {
		return err
	}
	return p.done(c, p.url("redis.clients"), ui.ToastProps{Kind: "success", Text: fmt.Sprintf("The connection %d is closed.", client.ID)})
}
