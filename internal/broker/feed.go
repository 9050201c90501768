package broker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// feed reads a channel once for all subscribers of this process, and keeps the newest messages in memory. Who is faster than it, or so
// slow that the memory has gone on, reads for himself; see Subscription.Next.
type feed struct {
	s       *Store
	channel string
	rung    chan struct{} // there may be something new

	mu      sync.Mutex
	subs    map[*Subscription]bool
	cancel  context.CancelFunc
	epoch   string
	pos     int64         // number of the last message that was read
	at      int64         // when it came, Unix ms; 0 = nobody knows
	window  []Message     // the last ones up to pos, without gaps. What was in it once is never written again
	size    int           // bytes of data in it
	base    int64         // when the message before it came, Unix ms; 0 = nobody knows
	anew    int           // grows when the channel is not what it was: nobody may trust what he knew of it
	trouble error         // why the last read failed; nil = it did not
	changed chan struct{} // closed at the next change of any of these

	attending sync.Mutex // held by who writes down where the subscribers are
	beat      time.Time  // when all of them last gave a sign; attending
}

// What a feed keeps in memory.
const (
	windowMessages = 1024
	windowBytes    = 4 << 20
)

const (
	feedPoll     = 2 * time.Second        // looks at the channel at least that often, should a ring be lost
	feedRetry    = 100 * time.Millisecond // after the first failure; twice that after each further one
	feedRetryMax = 2 * time.Second
)

// ringOnce says that the channel may have something new.
func (f *feed) ringOnce() {
	select {
	case f.rung <- struct{}{}:
	default:
	}
}

// run reads until ctx ends.
func (f *feed) run(ctx context.Context) {
	var pace pace
	wait := time.NewTimer(0)
	defer wait.Stop()
	retry := feedRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.rung:
		case <-wait.C:
		}
		for more := true; more && ctx.Err() == nil; {
			p, err := f.s.readAfter(ctx, f.channel, f.position(), pace.next())
			if err != nil {
				f.fail(err)
				wait.Reset(retry)
				retry = min(2*retry, feedRetryMax)
				break
			}
			pace.saw(p)
			f.take(p)
			retry, more = feedRetry, !p.complete
			wait.Reset(feedPoll)
		}
	}
}

func (f *feed) position() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos
}

// tell wakes all who wait for a change. The feed is locked.
func (f *feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble == nil {
		f.tell()
	}
	f.trouble = err
}

// take makes what was read known to all.
func (f *feed) take(p stretch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	healed := f.trouble != nil
	f.trouble = nil
	switch {
	// It began anew, or Redis has lost the newest messages and perhaps given out their numbers again.
	case p.epoch != f.epoch, p.last < f.pos, f.at > 0 && p.at > 0 && p.at != f.at:
		f.epoch, f.pos, f.at, f.window, f.size = p.epoch, p.last, 0, nil, 0
		f.anew++
		f.tell()
		return
	case len(p.messages) == 0 && p.complete && p.last > f.pos: // what came is no longer kept
		f.pos, f.at, f.window, f.size = p.last, 0, nil, 0
	case len(p.messages) > 0:
		if p.messages[0].N != f.pos+1 {
			f.window, f.size, f.base = nil, 0, 0
		} else if len(f.window) == 0 {
			f.base = p.at
		}
		f.window = append(f.window, p.messages...)
		f.size += p.bytes()
		drop := 0
		for drop < len(f.window)-1 && (len(f.window)-drop > windowMessages || f.size > windowBytes) {
			f.size -= len(f.window[drop].Data)
			f.base = f.window[drop].At.UnixMilli()
			drop++
		}
		f.window = f.window[drop:] // append copies it to a new place when this one is full
		last := p.messages[len(p.messages)-1]
		f.pos, f.at = last.N, last.At.UnixMilli()
	default:
		if f.at == 0 {
			f.at = p.at
		}
		if !healed {
			return
		}
	}
	f.tell()
}

// view is what a subscriber at number n of an epoch finds.
type view struct {
	messages []Message // that come after n
	wait     bool      // there are none yet
	behind   bool      // the feed has not come as far as n
	at       int64     // when message n came by what the feed knows, Unix ms; 0 = it doesn't know
	anew     int
	trouble  error
	changed  <-chan struct{}
}

func (f *feed) view(epoch string, n int64) view {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := view{anew: f.anew, trouble: f.trouble, changed: f.changed}
	if epoch != f.epoch {
		return v
	}
	first := f.pos - int64(len(f.window)) + 1
	switch {
	case n > f.pos:
		v.wait, v.behind = true, true
	case n == f.pos:
		v.wait, v.at = true, f.at
	case n >= first:
		v.messages, v.at = f.window[n-first+1:], f.window[n-first].At.UnixMilli()
	case n == first-1:
		v.messages, v.at = f.window, f.base
	}
	return v
}

// feedOf returns the feed of a channel with a subscriber more; the first one begins it. nil = the store ends.
func (s *Store) feedOf(channel string, sub *Subscription, at stretch) *feed {
	c := &s.channels
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Err() != nil {
		return nil
	}
	f := c.feeds[channel]
	if f == nil {
		f = &feed{s: s, channel: channel, rung: make(chan struct{}, 1), subs: map[*Subscription]bool{}, epoch: at.epoch, pos: at.last,
			at: at.timeOfLast(), changed: make(chan struct{})}
		if c.feeds == nil {
			c.feeds = map[string]*feed{}
		}
		c.feeds[channel] = f
		ctx, cancel := context.WithCancel(c.over)
		f.cancel = cancel
		s.goes(ctx, f.run)
		s.goes(ctx, f.attendAll)
		if !c.hears {
			c.hears = true
			s.goes(c.over, s.hearRings)
		}
	}
	f.mu.Lock()
	f.subs[sub] = true
	f.mu.Unlock()
	return f
}

// leaveFeed takes a subscriber off; the last one ends the feed.
func (s *Store) leaveFeed(f *feed, sub *Subscription) {
	c := &s.channels
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	delete(f.subs, sub)
	last := len(f.subs) == 0
	f.mu.Unlock()
	if last && c.feeds[f.channel] == f {
		delete(c.feeds, f.channel)
		f.cancel()
	}
}

// hearRings wakes the feeds whose channels get messages, until ctx ends. The subscription has a connection of its own, which the client
// makes again when it is lost, and says so: what was published meanwhile is not heard, so all look then.
func (s *Store) hearRings(ctx context.Context) {
	pubsub := s.db.Client().Subscribe(ctx, s.keys.Broker().Ring())
	defer pubsub.Close()
	heard := pubsub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-heard:
			if m, ok := m.(*redis.Message); ok {
				s.channels.ringOf(m.Payload)
			} else {
				s.channels.ringAll()
			}
		}
	}
}
