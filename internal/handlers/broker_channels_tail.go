package handlers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/broker"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/brokerview"
	"webadmin/web/templates/ui"
)

const (
	tailRows  = 500             // that go out at once, and that a page has at most; see web/static/src/tail.js
	tailPace  = streamPace      // between two of these
	tailLate  = 3 * time.Second // behind what is published: then older messages are left out
	tailRetry = time.Second     // until Redis is asked again
)

// stream serves GET /broker/channels/:name/stream with the query q, and after: the ID of the message that the page has seen last (or the header
// Last-Event-ID): events "rows" with new messages, the newest first, and "state": what keeps them from coming, "" = nothing. It ends when the
// reader leaves or may not read any more. It changes nothing: nobody sees that somebody looks.
func (p *brokerChannelPages) stream(c echo.Context) error {
	if err := broker.CheckChannel(param(c, "name")); err != nil {
		return err
	}
	t := &tail{
		brokerChannelPages: p, c: c, name: param(c, "name"), filter: broker.MessageFilter{Q: query(c, "q")},
		after: cmp.Or(c.Request().Header.Get("Last-Event-ID"), query(c, "after"), broker.FromOldest),
		out:   mw.NewEvents(c, tailRetry), beat: time.Now().Add(heartbeat),
	}
	ctx := c.Request().Context()
	for ctx.Err() == nil {
		err := t.catchUp(ctx)
		if err == nil {
			err = t.follow(ctx)
		}
		switch {
		case err == nil:
		case errors.Is(err, kvdb.ErrAway):
			if t.say("Redis is away. It goes on by itself.") != nil || !t.pause(ctx, tailRetry) {
				return nil
			}
		case errors.Is(err, kvdb.ErrInvalid): // the channel began anew, or the ID is nobody's
			t.note("The channel began anew: earlier messages are gone.")
			t.after = broker.FromOldest
		default:
			return nil
		}
	}
	return nil
}

// errLeft says that there is nobody to send to any more.
var errLeft = errors.New("the reader has left")

// tail is one page that shows what comes.
type tail struct {
	*brokerChannelPages
	c      echo.Context
	name   string
	filter broker.MessageFilter
	after  string
	out    *mw.Events
	beat   time.Time // when something is to be sent at the latest
	rows   []brokerview.MessageRow
	state  string
}

// catchUp sends what came since the page was there last: the newest, and how many it leaves out.
func (t *tail) catchUp(ctx context.Context) error {
	last, err := t.Broker.LastID(ctx, t.name)
	if err != nil {
		return err
	}
	f := t.filter
	if t.after != broker.FromOldest {
		f.After = t.after
	}
	page, err := t.Broker.Messages(ctx, t.name, f, "", tailRows)
	if err != nil {
		return err
	}
	slices.Reverse(page.Items) // the oldest goes first
	first := broker.MessageNumber(last) + 1
	if len(page.Items) > 0 {
		first = page.Items[0].N
	}
	switch missed := first - broker.MessageNumber(t.after) - 1; {
	case page.Next != "":
		t.note("Not all that came meanwhile is shown here: reload the page for the whole list.")
	case f.Q == "" && f.After != "" && missed > 0:
		t.note(keptNoLonger(missed))
	}
	t.rows = append(t.rows, t.messageRows(t.c, t.name, page.Items)...)
	if n := len(page.Items); n > 0 && page.Items[n-1].N > broker.MessageNumber(last) {
		last = page.Items[n-1].ID
	}
	t.after = cmp.Or(last, t.after)
	return t.send("")
}

func keptNoLonger(n int64) string {
	if n == 1 {
		return "1 message is no longer kept."
	}
	return decimal(n) + " messages are no longer kept."
}

// follow sends what comes, until there is so much of it that the page has to skip some.
func (t *tail) follow(ctx context.Context) error {
	sub, err := t.Broker.Subscribe(ctx, t.name, broker.SubscribeOptions{After: t.after, Watch: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		wait, cancel := context.WithDeadline(ctx, t.beat)
		e, err := sub.Next(wait)
		cancel()
		switch {
		case err == nil:
			t.take(e)
			t.after = cmp.Or(sub.Position(), t.after)
		case errors.Is(err, io.EOF):
			return err
		case ctx.Err() != nil:
			return errLeft
		}
		if sub.More() && len(t.rows) < tailRows {
			continue
		}
		trouble := ""
		if sub.Trouble() != nil {
			trouble = "Redis is away. It goes on by itself."
		}
		if err := t.send(trouble); err != nil {
			return err
		}
		if err == nil && e.Gap == nil && sub.More() && time.Since(e.At) > tailLate {
			return nil
		}
	}
}

// take keeps an event for the next send.
func (t *tail) take(e broker.Event) {
	switch {
	case e.Gap == nil && t.filter.Matches(e.Message):
		t.rows = append(t.rows, t.messageRows(t.c, t.name, []broker.Message{e.Message})...)
	case e.Gap == nil:
	case e.Gap.Reason == broker.GapTrimmed:
		t.note(keptNoLonger(e.Gap.Missed))
	case e.Gap.Reason == broker.GapLost:
		t.note("Redis has lost its newest messages, as after a failover.")
	default:
		t.note("The channel began anew: Redis was emptied or replaced.")
	}
}

func (t *tail) note(text string) {
	t.rows = append(t.rows, brokerview.MessageRow{Note: text})
}

// send sends the rows that were kept, and after a while a sign that the stream goes on; then it waits, so that the page has time.
func (t *tail) send(state string) error {
	ctx := t.c.Request().Context()
	if len(t.rows) > 0 {
		slices.Reverse(t.rows) // the newest first
		var b bytes.Buffer
		if err := brokerview.MessageRows(t.rows).Render(ctx, &b); err != nil {
			return err
		}
		t.out.Add("rows", t.after, b.Bytes())
	}
	if time.Now().After(t.beat) {
		if t.beat = time.Now().Add(heartbeat); !t.stillIn(t.c) {
			return errLeft
		}
		t.out.Add("state", t.after, []byte(state))
	} else if state != t.state {
		t.out.Add("state", "", []byte(state))
	}
	sent := len(t.rows) > 0
	t.rows, t.state = nil, state
	if t.out.Flush() != nil || sent && !t.pause(ctx, tailPace) {
		return errLeft
	}
	return nil
}

// say says why nothing comes.
func (t *tail) say(state string) error {
	t.state = ""
	return t.send(state)
}

// pause waits; false = the reader has left.
func (t *tail) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// forget serves POST /broker/channels/:name/forget with the field subscriber.
func (p *brokerChannelPages) forget(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, name, who := c.Request().Context(), param(c, "name"), f.text("subscriber")
	err = p.audited(c, verbChannelForget, channelObject(name), func() (before, after string, err error) {
		return who, "", p.Broker.ForgetSubscriber(ctx, name, who)
	})
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) {
		return err
	}
	toast := ui.ToastProps{Kind: "success", Text: "Nobody knows where " + who + " was any more."}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("broker.channel", name), toast)
	}
	x, err := p.Broker.Channel(ctx, name)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, templ.Join(brokerview.SubscribersOf(p.subscribersOf(c, x)), ui.ToastOOB(toast)))
}

// settingsForm is the form of how much is kept.
func (p *brokerChannelPages) settingsForm(channel string, set broker.ChannelSettings) *brokerview.ChannelSettings {
	return &brokerview.ChannelSettings{
		Action: p.url("broker.channel.settings", channel), Version: strconv.FormatInt(set.Version, 10),
		KeepN: ui.FieldProps{ID: "keep-n", Name: "keep_n", Label: "Messages, at most", Value: strconv.FormatInt(set.KeepN, 10), Required: true,
			Attrs: map[string]any{"inputmode": "numeric"}},
		Keep: ui.FieldProps{ID: "keep", Name: "keep", Label: "For how long", Value: typedSpan(set.Keep), Hint: "Such as 12 h or 7 d", Required: true},
	}
}

// setSettings serves POST /broker/channels/:name/settings with the fields version, keep_n and keep.
func (p *brokerChannelPages) setSettings(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), param(c, "name")
	var stale *broker.StaleSettingsError
	set, err := readKept(f)
	if err == nil {
		err = p.audited(c, verbChannelSettings, channelObject(name), func() (before, after string, err error) {
			x, err := p.Broker.Channel(ctx, name)
			if err != nil {
				return "", "", err
			}
			set, err = p.Broker.SetChannelSettings(ctx, name, set)
			return keepsText(x.Settings), keepsText(set), err
		})
	}
	wrong, invalid := faultsOf(err)
	switch {
	case err == nil:
		return p.done(c, p.url("broker.channel", name), ui.ToastProps{Kind: "success", Text: "Saved."})
	case errors.As(err, &stale):
		return p.renderChannel(c, http.StatusConflict, func(page *brokerview.ChannelPage) {
			p.typedSettings(page.Settings, f, nil)
			page.Settings.Version = strconv.FormatInt(stale.Current.Version, 10)
			page.Settings.Problem = &brokerview.Problem{Kind: "warning", Text: "Somebody else changed it meanwhile, to: " + keepsText(stale.Current) +
				" Save again to have yours instead."}
		})
	case invalid:
		return p.renderChannel(c, http.StatusUnprocessableEntity, func(page *brokerview.ChannelPage) { p.typedSettings(page.Settings, f, wrong) })
	}
	return err
}

func (p *brokerChannelPages) typedSettings(s *brokerview.ChannelSettings, f form, wrong faults) {
	s.Open = true
	s.KeepN.Value, s.KeepN.Error = f.text("keep_n"), wrong["keep_n"]
	s.Keep.Value, s.Keep.Error = f.text("keep"), wrong["keep"]
}

func readKept(f form) (set broker.ChannelSettings, err error) {
	var wrong kvdb.InvalidError
	refuse := func(err error) {
		var invalid *kvdb.InvalidError
		if errors.As(err, &invalid) {
			wrong.Fields = append(wrong.Fields, invalid.Fields...)
		}
	}
	set.Version, _ = strconv.ParseInt(f.word("version"), 10, 64) // any other is stale
	if set.KeepN, err = strconv.ParseInt(f.word("keep_n"), 10, 64); err != nil {
		refuse(kvdb.Invalid("keep_n", "must be a whole number"))
	}
	if set.Keep, err = readSpan("keep", f.word("keep")); err != nil {
		refuse(err)
	}
	if len(wrong.Fields) > 0 {
		return set, &wrong
	}
	return set, nil
}
