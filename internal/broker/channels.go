package broker

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// Channel is where a channel stands.
type Channel struct {
	Name          string
	Length        int64     // messages that are kept
	Published     int64     // all that ever were
	FirstAt       time.Time // of the oldest that is kept; only Store.Channel tells
	LastAt        time.Time // of the newest; zero = there was none
	RatePerMinute float64   // in the last minute
	Connected     int64     // subscribers that are there now
	Settings      ChannelSettings
	Subscribers   []Subscriber // those that are there or whose position is kept, by name; only Store.Channel tells

	epoch string
}

// Subscriber is somebody who listens to a channel, or did.
type Subscriber struct {
	Name       string // "" = who has none
	Position   int64  // number of the last message that it handled; -1 = nobody keeps it
	PositionID string // its ID; "" = there is none
	Lag        int64  // messages after that
	Missed     bool   // some of these are no longer kept
	Connected  int    // connections now
	SeenAt     time.Time
}

// ChannelSettings say how many messages of a channel are kept: no more than KeepN, and none that is older than Keep.
type ChannelSettings struct {
	KeepN   int64
	Keep    time.Duration
	Version int64 // grows with each change; 0 = the default, nobody changed it
}

// DefaultChannelSettings are those of a channel that has none of its own.
var DefaultChannelSettings = ChannelSettings{KeepN: 10_000, Keep: 7 * 24 * time.Hour}

// Bounds of ChannelSettings.
const (
	maxKeepN = 10_000_000
	minKeep  = time.Minute
	maxKeep  = 400 * 24 * time.Hour
)

const listLooked = 1000 // names that one call of Channels looks at for a search

// Channels lists the channels whose name contains q, by name. A search looks at a bounded number of names, so that a page may have few items,
// or none, and still a Next.
func (s *Store) Channels(ctx context.Context, q, cursor string, limit int) (Page[Channel], error) {
	var page Page[Channel]
	from := "-"
	if cursor != "" {
		from = "(" + cursor
	}
	count := int64(limit + 1)
	if q != "" {
		count = listLooked
	}
	pipe := s.db.Client().Pipeline()
	listed := pipe.ZRangeByLex(ctx, s.keys.Broker().Channels(), &redis.ZRangeBy{Min: from, Max: "+", Count: count})
	now := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return page, kvdb.ReadErr("list the channels", err)
	}
	names := listed.Val()
	var found []string
	for i, name := range names {
		if q != "" && !strings.Contains(strings.ToLower(name), strings.ToLower(q)) {
			continue
		}
		if len(found) == limit {
			page.Next = found[limit-1]
			break
		}
		if found = append(found, name); len(found) == limit && i == len(names)-1 && int64(len(names)) == count {
			page.Next = name
		}
	}
	if page.Next == "" && int64(len(names)) == count {
		page.Next = names[len(names)-1]
	}
	var err error
	page.Items, err = s.standings(ctx, found, now.Val())
	return page, err
}

// standing is what is read of one channel.
type standing struct {
	length    *redis.IntCmd
	state     *redis.MapStringStringCmd
	settings  *redis.MapStringStringCmd
	connected *redis.IntCmd
}

// standings reads where channels stand, in one round trip; now is by the clock of Redis.
func (s *Store) standings(ctx context.Context, names []string, now time.Time) ([]Channel, error) {
	if len(names) == 0 {
		return nil, nil
	}
	pipe := s.db.Client().Pipeline()
	reads := make([]standing, len(names))
	for i, name := range names {
		k := s.keys.Channel(name)
		reads[i] = standing{
			length: pipe.XLen(ctx, k.Log()), state: pipe.HGetAll(ctx, k.State()), // some fields each, as settings
			settings: pipe.HGetAll(ctx, k.Settings()), connected: pipe.ZCount(ctx, k.Seen(), since(now), "+inf"),
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, kvdb.ReadErr("read channels", err)
	}
	out := make([]Channel, len(names))
	for i, r := range reads {
		out[i] = r.channel(names[i], now)
	}
	return out, nil
}

// since is the score of a connection that counts.
func since(now time.Time) string { return strconv.FormatInt(now.Add(-connectedFor).UnixMilli(), 10) }

func (r standing) channel(name string, now time.Time) Channel {
	state := r.state.Val()
	c := Channel{Name: name, epoch: state["epoch"], Length: r.length.Val(), Published: whole(state["n"]), Connected: r.connected.Val(),
		Settings: settingsOf(r.settings.Val())}
	if t := whole(state["t"]); t > 0 {
		c.LastAt = time.UnixMilli(t)
	}
	// Of the minute before, as much counts as is less than a minute ago.
	minute, into := now.Unix()/60, float64(now.UnixMilli()%60_000)/60_000
	switch whole(state["m"]) {
	case minute:
		c.RatePerMinute = float64(whole(state["m0"])) + (1-into)*float64(whole(state["m1"]))
	case minute - 1:
		c.RatePerMinute = (1 - into) * float64(whole(state["m0"]))
	}
	return c
}

func whole(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

func settingsOf(fields map[string]string) ChannelSettings {
	set := DefaultChannelSettings
	if n := whole(fields["keep_n"]); n > 0 {
		set.KeepN = n
	}
	if ms := whole(fields["keep_ms"]); ms > 0 {
		set.Keep = time.Duration(ms) * time.Millisecond
	}
	set.Version = whole(fields["version"])
	return set
}

const maxConnections = 1000 // of one channel that are looked at

// Channel returns one with its subscribers. Error: kvdb.ErrNotFound.
func (s *Store) Channel(ctx context.Context, name string) (Channel, error) {
	if CheckChannel(name) != nil {
		return Channel{}, fmt.Errorf("channel %q: %w", name, kvdb.ErrNotFound)
	}
	k := s.keys.Channel(name)
	pipe := s.db.Client().Pipeline()
	now := pipe.Time(ctx)
	listed := pipe.ZScore(ctx, s.keys.Broker().Channels(), name)
	first := pipe.XRangeN(ctx, k.Log(), "-", "+", 1)
	positions := pipe.HGetAll(ctx, k.Positions()) // at most maxSubscribers
	seen := pipe.ZRevRangeByScoreWithScores(ctx, k.Seen(), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: maxConnections})
	if err := firstErr(pipe.Exec(ctx)); err != nil { // none where it is in no list
		return Channel{}, kvdb.ReadErr("read a channel", err)
	}
	all, err := s.standings(ctx, []string{name}, now.Val())
	if err != nil {
		return Channel{}, err
	}
	c := all[0]
	if listed.Err() != nil && c.Published == 0 {
		return Channel{}, fmt.Errorf("channel %q: %w", name, kvdb.ErrNotFound)
	}
	oldest := c.Published + 1
	if len(first.Val()) > 0 {
		m := messageOf("", first.Val()[0])
		c.FirstAt, oldest = m.At, m.N
	}
	c.Subscribers = subscribersOf(positions.Val(), seen.Val(), now.Val(), c.Published, oldest)
	if c.epoch != "" {
		for i := range c.Subscribers {
			if sub := &c.Subscribers[i]; sub.Position >= 0 {
				sub.PositionID = messageID(c.epoch, sub.Position, 0)
			}
		}
	}
	return c, nil
}

// subscribersOf puts together whose position is kept and who was seen.
func subscribersOf(positions map[string]string, seen []redis.Z, now time.Time, last, oldest int64) []Subscriber {
	byName := map[string]*Subscriber{}
	get := func(name string) *Subscriber {
		sub := byName[name]
		if sub == nil {
			sub = &Subscriber{Name: name, Position: -1}
			byName[name] = sub
		}
		return sub
	}
	for name, kept := range positions {
		sub := get(name)
		sub.Position, _, _ = parseSpot(kept)
		sub.Lag = max(0, last-sub.Position)
		sub.Missed = sub.Lag > 0 && sub.Position < oldest-1
	}
	for _, z := range seen {
		member, _ := z.Member.(string)
		_, name, _ := strings.Cut(member, " ")
		at := time.UnixMilli(int64(z.Score))
		there := now.Sub(at) <= connectedFor
		if name == "" && !there {
			continue
		}
		sub := get(name)
		if there {
			sub.Connected++
		}
		if at.After(sub.SeenAt) {
			sub.SeenAt = at
		}
	}
	out := make([]Subscriber, 0, len(byName))
	for _, sub := range byName {
		out = append(out, *sub)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// ForgetSubscriber forgets the position of a subscriber. If one of that name is connected, it is kept again from its next message on.
// Error: kvdb.ErrNotFound.
func (s *Store) ForgetSubscriber(ctx context.Context, channel, subscriber string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	n, err := s.db.Client().HDel(ctx, s.keys.Channel(channel).Positions(), subscriber).Result()
	if err != nil {
		return kvdb.WriteErr("forget a subscriber", err)
	}
	if n == 0 {
		return fmt.Errorf("subscriber %q: %w", subscriber, kvdb.ErrNotFound)
	}
	return nil
}
