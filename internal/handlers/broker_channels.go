package handlers

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/api"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// brokerChannelPages are the pages of channels and their messages.
type brokerChannelPages struct{ *site }

func (p *brokerChannelPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"broker.channels":         p.channels,
		"broker.channel":          p.channel,
		"broker.channel.facts":    p.facts,
		"broker.channel.stream":   p.stream,
		"broker.channel.message":  p.message,
		"broker.channel.data":     p.data,
		"broker.channel.settings": p.setSettings,
		"broker.channel.forget":   p.forget,
		"broker.channel.unpreset": p.deletePreset,
		"broker.publish":          p.publishForm,
		"broker.publish.do":       p.publish,
	}
}

func (p *brokerChannelPages) notices() []brokerview.Notice {
	var out []brokerview.Notice
	for _, n := range p.Broker.Notices() {
		out = append(out, brokerview.Notice{Kind: "warning", Text: n.Text})
	}
	return out
}

func (p *brokerChannelPages) way(below ...layout.Crumb) []layout.Crumb {
	return append(p.crumbs("broker.channels"), below...)
}

func (p *brokerChannelPages) crumb(channel string) layout.Crumb {
	return layout.Crumb{Text: channel, URL: p.url("broker.channel", channel), Mono: true}
}

// channels serves GET /broker/channels with the query q and cursor.
func (p *brokerChannelPages) channels(c echo.Context) error {
	list, err := p.channelList(c)
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, brokerview.ChannelListOf(list))
	}
	page := brokerview.ChannelsPage{
		Page: p.page(c, "Channels", p.crumbs("broker.channels")...), Notices: p.notices(), List: list,
		Filters: brokerview.ServiceFilters{URL: p.url("broker.channels"), Search: ui.SearchProps{ID: "filter-q", Name: "q",
			Label: "Any part of a name", Value: query(c, "q")}},
	}
	if mayEdit(c) {
		page.Publish = p.url("broker.publish")
	}
	return render(c, http.StatusOK, brokerview.Channels(page))
}

func (p *brokerChannelPages) channelList(c echo.Context) (list brokerview.ChannelList, err error) {
	q, cursor := query(c, "q"), query(c, "cursor")
	found, err := p.Broker.Channels(c.Request().Context(), q, cursor, pageRows)
	if err != nil {
		return list, err
	}
	list.Pager = p.pager("broker.channels", values("q", q), cursor, found.Next, len(found.Items))
	list.Refresh = p.url("broker.channels", values("q", q, "cursor", cursor))
	for _, x := range found.Items {
		row := brokerview.ChannelRow{
			Name: brokerview.Link{Text: x.Name, URL: p.url("broker.channel", x.Name)}, Published: x.Published, Kept: x.Length,
			Rate: rateOf(x), Connected: x.Connected, LastAt: x.LastAt,
		}
		if mayEdit(c) {
			row.Publish = p.url("broker.publish", values("channel", x.Name))
		}
		list.Rows = append(list.Rows, row)
	}
	if len(list.Rows) > 0 {
		return list, nil
	}
	switch {
	case found.Next != "": // a search looks at so many names at once
		list.Nothing = &brokerview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are more channels to look at.",
			Do: []brokerview.Action{{Text: "Look further", Icon: "arrow-right", URL: list.Pager.Next}}}
	case q != "":
		list.Nothing = &brokerview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "No channel has this in its name.",
			Do: []brokerview.Action{{Text: "Clear the filter", Icon: "x", URL: p.url("broker.channels")}}}
	default:
		list.Nothing = &brokerview.Nothing{Icon: "radio", Title: "There are no channels yet",
			Text: "A channel is there as soon as something is published on it, or somebody subscribes to it."}
		if mayEdit(c) {
			list.Nothing.Do = []brokerview.Action{{Text: "Publish a message", Icon: "megaphone", URL: p.url("broker.publish"), Primary: true}}
		}
	}
	return list, nil
}

// rateOf says how many messages there were in the last minute.
func rateOf(x broker.Channel) string {
	if n := x.RatePerMinute; n > 0 && n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return decimal(int64(x.RatePerMinute + .5))
}

// channel serves GET /broker/channels/:name with the query q, cursor and after: the ID of a message that the list ends before; and preset
// and from, which fill the form that publishes.
func (p *brokerChannelPages) channel(c echo.Context) error {
	if wantsFragment(c.Request()) {
		list, err := p.messageList(c)
		if err != nil {
			return err
		}
		return render(c, http.StatusOK, brokerview.MessageListOf(list))
	}
	return p.renderChannel(c, http.StatusOK, nil)
}

// renderChannel shows a channel. alter may change what it shows.
func (p *brokerChannelPages) renderChannel(c echo.Context, status int, alter func(*brokerview.ChannelPage)) error {
	ctx, name := c.Request().Context(), param(c, "name")
	x, err := p.Broker.Channel(ctx, name)
	if err != nil {
		return err
	}
	list, err := p.messageList(c)
	if err != nil {
		return err
	}
	page := brokerview.ChannelPage{
		Page: p.page(c, name, p.way(layout.Crumb{Text: name, Mono: true})...), Name: name, Notices: p.notices(),
		Facts: p.factsOf(x), List: list, Subscribers: p.subscribersOf(c, x), Keeps: keepsText(x.Settings),
		Filters: brokerview.MessageFilters{
			URL: p.url("broker.channel", name), After: query(c, "after"), All: p.url("broker.channel", name, values("q", query(c, "q"))),
			Search: ui.SearchProps{ID: "filter-q", Name: "q", Label: "Any part of a message", Value: query(c, "q")},
		},
	}
	page.Filters.AfterN = broker.MessageNumber(page.Filters.After) + 1
	page.Page.Scripts = []string{"tail.js"}
	if changes(c.Request()) {
		page.Page.Path = p.url("broker.channel", name)
	}
	if mayEdit(c) {
		text, err := p.prefilled(ctx, c, name)
		if err != nil {
			return err
		}
		form, err := p.formOf(ctx, form{values("message", text)}, name, nil, nil)
		if err != nil {
			return err
		}
		page.Publish, page.Settings = &form, p.settingsForm(x.Name, x.Settings)
	}
	if alter != nil {
		alter(&page)
	}
	return render(c, status, brokerview.OneChannel(page))
}

// facts serves GET /broker/channels/:name/facts, for the page that shows them.
func (p *brokerChannelPages) facts(c echo.Context) error {
	x, err := p.Broker.Channel(c.Request().Context(), param(c, "name"))
	if err != nil {
		return err
	}
	if !wantsFragment(c.Request()) {
		return redirect(c, p.url("broker.channel", x.Name))
	}
	return render(c, http.StatusOK, brokerview.ChannelFactsOf(p.factsOf(x)))
}

func (p *brokerChannelPages) factsOf(x broker.Channel) brokerview.ChannelFacts {
	return brokerview.ChannelFacts{
		Refresh: p.url("broker.channel.facts", x.Name), Published: x.Published, Kept: x.Length, Rate: rateOf(x), Connected: x.Connected,
		FirstAt: x.FirstAt, LastAt: x.LastAt,
	}
}

func keepsText(set broker.ChannelSettings) string {
	return fmt.Sprintf("The newest %s, for %s at most.", plural(set.KeepN, "message"), typedSpan(set.Keep))
}

func (p *brokerChannelPages) subscribersOf(c echo.Context, x broker.Channel) brokerview.SubscriberList {
	var l brokerview.SubscriberList
	for _, s := range x.Subscribers {
		if s.Name == "" {
			l.Unnamed = int64(s.Connected)
			continue
		}
		row := brokerview.SubscriberRow{Name: s.Name, Connected: s.Connected, SeenAt: s.SeenAt, Missed: s.Missed}
		if s.Position >= 0 {
			row.Position = brokerview.Link{Text: decimal(s.Position)}
			row.Lag = brokerview.Count{N: s.Lag}
			if s.PositionID != "" {
				row.Lag.URL = p.url("broker.channel", x.Name, values("after", s.PositionID))
			}
		}
		if mayEdit(c) && s.Position >= 0 {
			row.Forget = p.url("broker.channel.forget", x.Name)
		}
		l.Rows = append(l.Rows, row)
	}
	return l
}

// messageList reads a page of messages by the query.
func (p *brokerChannelPages) messageList(c echo.Context) (list brokerview.MessageList, err error) {
	name, q, after, cursor := param(c, "name"), query(c, "q"), query(c, "after"), query(c, "cursor")
	newest := ""
	if cursor == "" {
		// Before the list, so that what comes between is in both rather than in none.
		if newest, err = p.Broker.LastID(c.Request().Context(), name); err != nil {
			return list, err
		}
	}
	page, err := p.Broker.Messages(c.Request().Context(), name, broker.MessageFilter{Q: q, After: after}, cursor, pageRows)
	if err != nil {
		return list, err
	}
	list.Rows = p.messageRows(c, name, page.Items)
	list.Pager = p.pager("broker.channel", values("q", q, "after", after), cursor, page.Next, len(page.Items), name)
	if cursor == "" {
		list.Pager.Summary = "" // the tail adds to the list, and the facts above count
		list.Stream = p.url("broker.channel.stream", name, values("q", q))
		list.After = cmp.Or(newest, broker.FromOldest)
	}
	switch {
	case len(list.Rows) > 0:
	case page.Next != "": // a search looks at so many messages at once
		list.Nothing = &brokerview.Nothing{Icon: "search", Title: "Nothing matches so far", Text: "There are older messages to look at.",
			Do: []brokerview.Action{{Text: "Look further", Icon: "arrow-right", URL: list.Pager.Next}}}
	case q != "":
		list.Nothing = &brokerview.Nothing{Icon: "search-x", Title: "Nothing matches", Text: "No message that is kept has this in it.",
			Do: []brokerview.Action{{Text: "Clear the filter", Icon: "x", URL: p.url("broker.channel", name, values("after", after))}}}
	case after != "":
		list.Nothing = &brokerview.Nothing{Icon: "radio", Title: "Nothing came since", Text: "What is published now appears here."}
	default:
		list.Nothing = &brokerview.Nothing{Icon: "radio", Title: "There are no messages", Text: "What is published appears here."}
	}
	return list, nil
}

// rowMessage is how much of a message a row has.
const rowMessage = 300

func (p *brokerChannelPages) messageRows(c echo.Context, channel string, messages []broker.Message) []brokerview.MessageRow {
	rows := make([]brokerview.MessageRow, len(messages))
	for i, m := range messages {
		text := headOf(string(m.Data), rowMessage)
		rows[i] = brokerview.MessageRow{
			ID: m.ID, N: m.N, URL: p.url("broker.channel.message", channel, m.ID), At: m.At, By: m.By,
			Text: strings.ToValidUTF8(text, ""), Cut: len(text) < m.Size,
			Size: int64(m.Size), Since: p.sinceURL(channel, m),
		}
		if mayEdit(c) {
			rows[i].Again = p.url("broker.publish", values("channel", channel, "from", m.ID))
		}
	}
	return rows
}

// sinceURL is the list from a message on.
func (p *brokerChannelPages) sinceURL(channel string, m broker.Message) string {
	return p.url("broker.channel", channel, values("after", m.IDBefore()))
}

// message serves GET /broker/channels/:name/messages/:id.
func (p *brokerChannelPages) message(c echo.Context) error {
	name := param(c, "name")
	m, err := p.Broker.Message(c.Request().Context(), name, param(c, "id"))
	if err != nil {
		return err
	}
	title := "Message " + decimal(m.N)
	v := brokerview.MessagePage{
		Page: p.page(c, title, p.way(p.crumb(name), layout.Crumb{Text: title})...), Title: title,
		Channel: brokerview.Link{Text: name, URL: p.url("broker.channel", name)}, At: m.At, By: m.By, ID: m.ID,
		Data: dataOf(m.Data, p.url("broker.channel.data", name, m.ID)), Since: p.sinceURL(name, m),
		Listen: "GET " + api.EventsPath(name) + "?after=" + m.IDBefore(),
	}
	if mayEdit(c) {
		v.Again = p.url("broker.publish", values("channel", name, "from", m.ID))
	}
	return render(c, http.StatusOK, brokerview.Message(v))
}

// data serves GET /broker/channels/:name/messages/:id/data: the message as it was published, byte for byte.
func (p *brokerChannelPages) data(c echo.Context) error {
	m, err := p.Broker.Message(c.Request().Context(), param(c, "name"), param(c, "id"))
	if err != nil {
		return err
	}
	attach(c, echo.MIMEApplicationJSON, fmt.Sprintf("message-%d.json", m.N))
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, m.Data)
}

// prefilled is what the field for a message begins with: the query says a preset, or the message to be sent again.
func (p *brokerChannelPages) prefilled(ctx context.Context, c echo.Context, channel string) (string, error) {
	if id := query(c, "from"); id != "" {
		m, err := p.Broker.Message(ctx, channel, id)
		return typedJSON(m.Data), err
	}
	name := query(c, "preset")
	if name == "" {
		return "", nil
	}
	presets, err := p.Broker.Presets(ctx, channel)
	for _, x := range presets {
		if x.Name == name {
			return typedJSON(x.Data), nil
		}
	}
	return "", err
}
