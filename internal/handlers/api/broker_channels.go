package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
)

// EventsPath is the call that subscribes to a channel.
func EventsPath(channel string) string {
	return Base + "/broker/channels/" + url.PathEscape(channel) + "/events"
}

// MIMEEvents is the media type of server-sent events.
const MIMEEvents = "text/event-stream"

// PublishRequest is a message.
type PublishRequest struct {
	Message JSON `json:"message" example:"{\"order\": 17}" doc:"Any JSON value, up to 1 MiB. It is kept and given out byte for byte."`
}

// PublishAnswer says what became of a message.
type PublishAnswer struct {
	ID        string `json:"id" doc:"Of the message; subscribers get it with it."`
	Receivers int64  `json:"receivers" doc:"Who is connected now: subscribers of the events of the channel, and plain Redis subscribers of its name. Who was connected before and comes back gets it, too."`
}

func (a PublishAnswer) appendJSON(b []byte) []byte {
	b = append(appendText(append(b, `{"id":`...), a.ID), `,"receivers":`...)
	return append(strconv.AppendInt(b, a.Receivers, 10), '}')
}

type channelInput struct {
	Channel string `path:"channel" doc:"Letters, digits, _ - . : and /, up to 200 characters; a slash is written %2F."`
}

type publishInput struct {
	channelInput
	idempotent
	Body PublishRequest
}

type eventsInput struct {
	channelInput
	After       string `query:"after" doc:"ID of a message: begin with the one after it. 0 = with the oldest that is kept."`
	LastEventID string `header:"Last-Event-ID" doc:"Like after, and before it; EventSource sends it when it connects again."`
	Subscriber  string `query:"subscriber" doc:"A name under which the position is kept here, so that the next connection of this name goes on where this one stopped. Needs the role operator."`
}

const eventsText = "Server-sent events: of each message its id, and as data its JSON as it was published. Without after, Last-Event-ID and " +
	"subscriber it begins with what is published from now on. An event gap says that messages are missing, as data {\"missed\":n,\"reason\":…}: " +
	"trimmed (they are no longer kept), lost (Redis has lost its newest ones) or anew (the channel began anew, since Redis was emptied or replaced); " +
	"missed is null where nobody knows how many. Comments come every few seconds. The stream goes on when Redis was away. A position of subscriber " +
	"says what was sent, not what has arrived: who sends Last-Event-ID when the connection broke misses nothing."

func (s *server) channelCalls() []operation {
	const group = "Channels"
	path := Base + "/broker/channels/:channel"
	return []operation{
		call(mw.Route{Name: "api.broker.publish", Method: http.MethodPost, Path: path + "/publish", Need: account.Operator, Body: maxMessageBody},
			about{group: group, summary: "Publish a message",
				text: "Everybody who subscribed to the channel gets it, those who are away when they come back. It is also sent with PUBLISH of Redis, under " +
					"the name of the channel."},
			s.publish),
		raw[eventsInput, struct{}](mw.Route{Name: "api.broker.events", Method: http.MethodGet, Path: path + "/events", Need: account.Viewer, Long: true},
			about{group: group, summary: "Subscribe to a channel", text: eventsText, produces: []string{MIMEEvents}, example: "-N"},
			s.events),
	}
}

func (s *server) publish(ctx context.Context, in *publishInput) (out PublishAnswer, err error) {
	by := in.by(ctx)
	err = s.AuditedOften(ctx, "channel.publish", "channel "+in.Channel, func() (before, after string, err error) {
		m, receivers, err := s.Broker.Publish(ctx, in.Channel, in.Body.Message, by.Who, by.Op)
		out = PublishAnswer{ID: m.ID, Receivers: receivers}
		return "", m.ID, err
	})
	return out, brokerError(err, "channel.publish", "/broker/channels/"+url.PathEscape(in.Channel))
}

// events serves a channel until its reader leaves, may not have it any more, or the server stops.
func (s *server) events(c echo.Context, in *eventsInput) error {
	if in.Subscriber != "" && !mw.From(c.Request().Context()).Principal.Role.Allows(account.Operator) {
		return echo.NewHTTPError(http.StatusForbidden, "To keep a position takes the role operator. Without subscriber, every role may listen.")
	}
	o := broker.SubscribeOptions{After: in.After, Subscriber: in.Subscriber}
	if in.LastEventID != "" {
		o.After = in.LastEventID
	}
	sub, err := s.Broker.Subscribe(c.Request().Context(), in.Channel, o)
	if errors.Is(err, io.EOF) {
		return kvdb.NotDone("subscribe", "This server is being stopped. Connect again: another one answers, or this one when it is back.")
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	return s.sendEvents(c, sub)
}

const (
	eventsBeat  = 10 * time.Second // how often something is sent at least, so that a reader that is gone is noticed
	eventsRetry = 2 * time.Second  // after which a reader whose connection broke comes back
)

// sendEvents sends what comes until its reader leaves, may not have it any more, or the server stops: then they come back elsewhere.
func (s *server) sendEvents(c echo.Context, sub *broker.Subscription) error {
	ctx := c.Request().Context()
	out := mw.NewEvents(c, eventsRetry)
	out.Comment("subscribed")
	for beat := time.Now().Add(eventsBeat); ; {
		if !sub.More() || out.Full() {
			if out.Flush() != nil {
				return nil
			}
			sub.Handled()
		}
		wait, cancel := context.WithDeadline(ctx, beat)
		e, err := sub.Next(wait)
		cancel()
		switch {
		case err == nil:
			addEvent(out, e)
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return nil
		}
		if time.Now().Before(beat) {
			continue
		}
		if beat = time.Now().Add(eventsBeat); !s.StillIn(c) {
			return nil
		}
		if sub.Trouble() != nil {
			out.Comment("Redis is away; it goes on when it is back")
		} else {
			out.Comment("it goes on")
		}
	}
}

// addEvent writes an event of a channel.
func addEvent(out *mw.Events, e broker.Event) {
	if e.Gap == nil {
		out.Add("", e.ID, e.Data)
		return
	}
	gap := struct {
		Missed *int64 `json:"missed"`
		Reason string `json:"reason"`
	}{Reason: string(e.Gap.Reason)}
	if e.Gap.Missed >= 0 {
		gap.Missed = &e.Gap.Missed
	}
	data, _ := json.Marshal(gap) // of a number and a text
	out.Add("gap", e.Gap.ID, data)
}
