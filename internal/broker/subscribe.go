package broker

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"time"

	"webadmin/internal/kvdb"
)

// SubscribeOptions say from where on somebody gets a channel, and who.
type SubscribeOptions struct {
	After      string // ID: from the message after it. FromOldest: from the oldest that is kept. "" = where Subscriber stopped, or from now on
	Subscriber string // keeps the position under this name, so that the next one of the same name goes on there; "" = nobody keeps it
	Watch      bool   // only looks on: leaves no trace, is not counted as connected, and keeps no position
}

// FromOldest is where all messages that are kept come after.
const FromOldest = "0"

// Event is what a subscriber gets: a message, or a Gap.
type Event struct {
	Message
	Gap *Gap // nil = it is a message
}

// Gap says that messages are missing before the next one.
type Gap struct {
	ID     string // of the position after the gap: who goes on after it is not told again. "" = the channel has no messages at all
	Missed int64  // how many; -1 = nobody knows
	Reason GapReason
}

// GapReason is why messages are missing.
type GapReason string

// The reasons of gaps.
const (
	GapTrimmed GapReason = "trimmed" // they are no longer kept
	GapAnew    GapReason = "anew"    // the channel began anew: Redis was emptied or replaced
	GapLost    GapReason = "lost"    // Redis has lost the newest messages, as after a failover
)

// Subscription gets the messages of a channel in their order. Next and Handled are for one goroutine.
type Subscription struct {
	s       *Store
	f       *feed
	channel string
	name    string // of the subscriber; "" = none
	id      string // of this connection
	watch   bool

	cursor cursor
	anew   int // of the feed, when this last read for itself
	pace   pace
	ready  []Event

	mu      sync.Mutex
	given   position // of the last event that Next returned
	handled position
	saved   position
	trouble error
	gone    bool
}

// position is where a subscriber stands.
type position struct {
	epoch string
	n     int64
	at    int64 // when message n came, Unix ms; 0 = nobody knows
}

// cursor follows a channel and notices what is missing.
type cursor struct {
	position
	oldest bool // it began with what is kept: that something was before is no news
}

// pass goes on by a stretch that was read after the cursor.
func (c *cursor) pass(p stretch) []Event {
	var events []Event
	gap := func(reason GapReason, missed, n, at int64) {
		c.n, c.at = n, at
		if !c.oldest {
			g := &Gap{Missed: missed, Reason: reason}
			if c.epoch != "" {
				g.ID = messageID(c.epoch, n, at)
			}
			events = append(events, Event{Gap: g})
		}
		c.oldest = false
	}
	if p.epoch != c.epoch {
		known := c.epoch != "" || c.n > 0
		c.epoch = p.epoch
		if c.n, c.at = 0, 0; known {
			first := int64(0)
			if len(p.messages) > 0 {
				first = p.messages[0].N - 1
			}
			gap(GapAnew, -1, first, 0)
		}
	}
	switch {
	case p.last < c.n:
		gap(GapLost, -1, p.last, 0)
	case c.at > 0 && p.at > 0 && p.at != c.at: // its number was given out again
		gap(GapLost, -1, c.n, p.at)
	case c.at == 0:
		c.at = p.at
	}
	for _, m := range p.messages {
		if m.N <= c.n {
			continue
		}
		if m.N > c.n+1 {
			gap(GapTrimmed, m.N-c.n-1, m.N-1, 0)
		}
		c.n, c.at, c.oldest = m.N, m.At.UnixMilli(), false
		events = append(events, Event{Message: m})
	}
	if p.complete && p.last > c.n {
		gap(GapTrimmed, p.last-c.n, p.last, 0)
	}
	return events
}

// Subscribe begins to get a channel. From its return on nothing is missed. Close it. Errors: *kvdb.InvalidError, kvdb.ErrAway; io.EOF when
// the store was closed.
func (s *Store) Subscribe(ctx context.Context, channel string, o SubscribeOptions) (*Subscription, error) {
	if err := CheckChannel(channel); err != nil {
		return nil, err
	}
	sub := &Subscription{s: s, channel: channel, name: o.Subscriber, id: rand.Text()[:12], watch: o.Watch}
	if o.Subscriber != "" {
		if err := checkSubscriber(o.Subscriber); err != nil {
			return nil, err
		}
	}
	at, err := s.readBefore(ctx, channel, 0, 1)
	if err != nil {
		return nil, err
	}
	if sub.cursor, err = s.begin(ctx, channel, o, at); err != nil {
		return nil, err
	}
	sub.given = sub.cursor.position
	sub.handled = sub.given
	if sub.f = s.feedOf(channel, sub, at); sub.f == nil {
		return nil, io.EOF
	}
	sub.anew = -1 // so that it looks for itself once, whatever the feed has
	if o.Watch {
		return sub, nil
	}
	if err = s.channels.list(ctx, s, channel); err == nil {
		err = sub.f.arrive(ctx, sub)
	}
	if err != nil {
		sub.Close()
		return nil, kvdb.ReadErr("subscribe", err)
	}
	return sub, nil
}

// begin says where a subscription starts.
func (s *Store) begin(ctx context.Context, channel string, o SubscribeOptions, at stretch) (cursor, error) {
	if o.After == FromOldest {
		return cursor{position: position{epoch: at.epoch}, oldest: true}, nil
	}
	if o.After != "" {
		from, ok := parseID(o.After)
		if !ok {
			return cursor{}, kvdb.Invalid("after", "is not the ID of a message")
		}
		return cursor{position: from}, nil
	}
	if o.Subscriber != "" {
		n, time, ok, err := s.keptPosition(ctx, channel, o.Subscriber)
		if err != nil {
			return cursor{}, err
		}
		if ok {
			return cursor{position: position{at.epoch, n, time}}, nil
		}
	}
	return cursor{position: position{at.epoch, at.last, at.timeOfLast()}}, nil
}

// Next waits for what comes next. Trouble with Redis is waited out, see Trouble; the errors
// are those of ctx, and io.EOF when the subscription or the store was closed.
func (sub *Subscription) Next(ctx context.Context) (Event, error) {
	for len(sub.ready) == 0 {
		if err := sub.fill(ctx); err != nil {
			return Event{}, err
		}
	}
	e := sub.ready[0]
	sub.ready = sub.ready[1:]
	at := position{sub.cursor.epoch, e.N, e.At.UnixMilli()}
	if e.Gap != nil {
		p, _ := parseID(e.Gap.ID)
		at.n, at.at = p.n, p.at
	}
	sub.mu.Lock()
	sub.given = at
	sub.mu.Unlock()
	return e, nil
}

// More says that Next would return at once.
func (sub *Subscription) More() bool { return len(sub.ready) > 0 }

// Handled says that all that Next returned has reached its reader, so that the position is kept: within a second, and at Close.
func (sub *Subscription) Handled() {
	sub.mu.Lock()
	sub.handled = sub.given
	sub.mu.Unlock()
}

// Close ends the subscription and keeps its position. It may be called again.
func (sub *Subscription) Close() {
	sub.mu.Lock()
	gone := sub.gone
	sub.gone = true
	sub.mu.Unlock()
	if gone {
		return
	}
	if !sub.watch {
		sub.f.depart(sub)
	}
	sub.s.leaveFeed(sub.f, sub)
}

// Position is the ID after which Next goes on; "" = the channel has no messages.
func (sub *Subscription) Position() string {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.given.epoch == "" {
		return ""
	}
	return messageID(sub.given.epoch, sub.given.n, sub.given.at)
}

// Trouble says why nothing comes at the moment: kvdb.ErrAway. nil = nothing was published.
func (sub *Subscription) Trouble() error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.trouble
}

func (sub *Subscription) say(trouble error) {
	sub.mu.Lock()
	sub.trouble = trouble
	sub.mu.Unlock()
}

// selfRetry is after which time somebody reads for himself again who failed, or found nothing.
const selfRetry = 500 * time.Millisecond

// fill gets events from the feed, or from Redis where the feed has not what comes next, or waits for them.
func (sub *Subscription) fill(ctx context.Context) error {
	v := sub.f.view(sub.cursor.epoch, sub.cursor.n)
	if v.at > 0 && sub.cursor.at > 0 && v.at != sub.cursor.at { // the feed has another message of this number
		sub.anew = -1
	}
	sub.say(v.trouble)
	switch {
	case sub.s.channels.over.Err() != nil:
		return io.EOF
	case v.anew == sub.anew && v.behind: // it has read for itself; should Redis have lost that, the feed will never come so far
		sub.f.ringOnce()
		sub.anew = -1
		return sub.wait(ctx, v.changed, selfRetry)
	case v.anew == sub.anew && v.wait:
		return sub.wait(ctx, v.changed, 0)
	case v.anew == sub.anew && len(v.messages) > 0:
		// The feed's window has no gap, and neither the epoch nor what is lost has changed.
		sub.ready = sub.cursor.pass(stretch{epoch: sub.cursor.epoch, last: v.messages[len(v.messages)-1].N, messages: v.messages})
		return nil
	}
	p, err := sub.s.readAfter(ctx, sub.channel, sub.cursor.n, sub.pace.next())
	if err == nil && p.epoch != sub.cursor.epoch { // it was read after a number of another epoch
		p, err = sub.s.readAfter(ctx, sub.channel, 0, sub.pace.next())
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		sub.say(err)
		return sub.wait(ctx, v.changed, selfRetry)
	}
	sub.pace.saw(p)
	sub.anew = v.anew
	if sub.ready = sub.cursor.pass(p); len(sub.ready) == 0 && sub.f.view(sub.cursor.epoch, sub.cursor.n).strange() {
		sub.f.ringOnce() // the feed does not know yet what the channel has become
		return sub.wait(ctx, v.changed, selfRetry)
	}
	return nil
}

// strange says that there is neither a message nor a reason to wait: the feed is of another epoch.
func (v view) strange() bool { return !v.wait && len(v.messages) == 0 }

// wait waits for a change of the feed, at most for a time; 0 = without end.
func (sub *Subscription) wait(ctx context.Context, changed <-chan struct{}, most time.Duration) error {
	var late <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-changed:
	case <-late:
	case <-ctx.Done():
		return ctx.Err()
	case <-sub.s.channels.over.Done():
		return io.EOF
	}
	return nil
}
