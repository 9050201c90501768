package broker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// channels is what this process holds of channels.
type channels struct {
	mu     sync.Mutex
	gates  map[string]*gate
	listed map[string]time.Time // when this process last saw to it that a channel is in the list
	feeds  map[string]*feed
	hears  bool            // what other processes publish
	over   context.Context // ends all subscriptions
	end    context.CancelFunc
}

// gate gathers what is published on a channel at the same moment.
type gate struct {
	*kvdb.Together[*publication]
	inside int
}

// enter returns the gate of a channel, which is there as long as somebody is inside.
func (c *channels) enter(channel string, do func(context.Context, []*publication)) *gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gates[channel]
	if g == nil {
		if c.gates == nil {
			c.gates = map[string]*gate{}
		}
		g = &gate{Together: kvdb.NewTogether(kvdb.AtOnce, do)}
		c.gates[channel] = g
	}
	g.inside++
	return g
}

func (c *channels) leave(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.gates[channel]; g != nil {
		if g.inside--; g.inside == 0 {
			delete(c.gates, channel)
		}
	}
}

const (
	listedFor = time.Minute // that a channel is taken to be in the list, once it was put there
	maxListed = 10_000      // names that are remembered
)

// list puts a channel into the list of all.
func (c *channels) list(ctx context.Context, s *Store, channel string) error {
	now := s.now()
	c.mu.Lock()
	at, ok := c.listed[channel]
	c.mu.Unlock()
	if ok && now.Sub(at) < listedFor {
		return nil
	}
	if err := s.db.Client().ZAdd(ctx, s.keys.Broker().Channels(), redis.Z{Member: channel}).Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed == nil || len(c.listed) >= maxListed {
		c.listed = map[string]time.Time{}
	}
	c.listed[channel] = now
	return nil
}

func (c *channels) unlist(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listed, channel)
}

func (c *channels) ringOf(channel string) {
	c.mu.Lock()
	f := c.feeds[channel]
	c.mu.Unlock()
	if f != nil {
		f.ringOnce()
	}
}

func (c *channels) ringAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.feeds {
		f.ringOnce()
	}
}
