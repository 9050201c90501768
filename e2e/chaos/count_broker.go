package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
)

// settled waits until no invocation waits or runs any more. What died meanwhile is tried again, as somebody would who saw the page.
func (c *count) settled(ctx context.Context) error {
	retried := 0
	err := until(2*time.Minute, func() error {
		for _, service := range []string{"lua:" + work, pull} {
			path := "/api/v1/broker/services/" + url.PathEscape(service) + "/dead"
			var dead struct{ Items []struct{ CID, Error string } }
			if err := c.get(path, &dead); err != nil {
				return err
			}
			var cids []string
			for _, i := range dead.Items {
				cids = append(cids, i.CID)
			}
			if len(cids) > 0 {
				if r := c.api.send(http.MethodPost, path+"/retry", object("cids", cids)); r.verdict == done {
					fmt.Printf("  %d dead letters of %s are retried; the first says: %s\n", len(cids), service, dead.Items[0].Error)
					retried += len(cids)
				}
			}
			k := c.keys.Service(service)
			for _, key := range []string{k.Queue(), k.State("running"), k.State("retrying"), k.State("delayed"), k.State("dead"), k.Outbox()} {
				if n, err := c.store.ZCard(ctx, key).Result(); n > 0 || err != nil {
					return fmt.Errorf("%s still has %d (%w)", key, n, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		c.blame("broker: invocations do not end: %v", err)
	}
	return nil
}

// caughtUp waits until the listeners have heard the last message.
func (c *count) caughtUp(ctx context.Context) error {
	last, err := c.store.XRevRangeN(ctx, c.keys.Channel(channel).Log(), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return fmt.Errorf("there are no messages: %w", err)
	}
	want := numberOf(last[0].ID)
	for _, l := range c.l.listeners {
		if err := until(20*time.Second, func() error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if n := broker.MessageNumber(l.lastID); n != want {
				return fmt.Errorf("a subscriber at %s is at %d, the last message is %d", l.app.name, n, want)
			}
			return nil
		}); err != nil {
			c.blame("messages: %v", err)
		}
	}
	return nil
}

// numberOf is the number of a message in the stream of its channel.
func numberOf(streamID string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(streamID, "-0"), 10, 64)
	return n
}

// doneOnes are the CIDs in the set of what is done; each invocation may be in one set only.
func (c *count) doneOnes(ctx context.Context, k kvdb.ServiceKeys) (map[string]bool, error) {
	in := map[string]bool{}
	for _, state := range []string{"queued", "delayed", "running", "retrying", "done", "dead", "expired", "cancelled"} {
		cids, err := c.store.ZRange(ctx, k.State(state), 0, -1).Result() // at most one for each act
		if err != nil {
			return nil, err
		}
		for _, cid := range cids {
			if _, twice := in[cid]; twice {
				c.blame("broker: %s is in two states", cid)
			}
			in[cid] = state == "done"
		}
	}
	return in, nil
}

// invocations counts what the program counted, and what the broker says.
func (c *count) invocations(ctx context.Context) error {
	applied, err := c.applied(ctx, workKey)
	if err != nil {
		return err
	}
	twice := c.verdicts(c.l.invoked, applied, false)
	if err := c.areDone(ctx, c.l.invoked, "lua:"+work); err != nil {
		return err
	}
	if twice > 0 {
		fmt.Printf("    %d were run more than once, which at least once allows when a process or an answer is lost\n", twice)
	}
	for _, a := range c.l.invoked.acts {
		n := applied(a)
		if n < 2 || a.answer == "" {
			continue
		}
		var i struct{ Attempts []json.RawMessage }
		if err := c.get("/api/v1/broker/invocations/"+a.answer, &i); err != nil {
			return err
		}
		if len(i.Attempts) < n && !excused(c.windows, a) {
			c.blame("broker: %s was run %d times in %d attempts", a.answer, n, len(i.Attempts))
		}
	}
	return nil
}

// pulledOnes counts what the workers here received.
func (c *count) pulledOnes(ctx context.Context) error {
	twice := c.verdicts(c.l.pulled, func(a *act) int { return c.l.work.received[a.id] }, false)
	if twice > 0 {
		fmt.Printf("    %d were received more than once\n", twice)
	}
	if again := c.l.work.again; len(again) > 0 && len(c.windows) == 0 {
		c.blame("broker: %d were received after the broker had said that they are done, as %s", len(again), again[0])
	} else if len(again) > 0 {
		fmt.Printf("    %d were received after they were done, as Redis had lost that\n", len(again))
	}
	return c.areDone(ctx, c.l.pulled, pull)
}

// areDone wants all that was acknowledged to be done.
func (c *count) areDone(ctx context.Context, j *journal, service string) error {
	is, err := c.doneOnes(ctx, c.keys.Service(service))
	if err != nil {
		return err
	}
	wrong := 0
	for _, a := range j.acts {
		if a.verdict == done && !is[a.answer] && !excused(c.windows, a) {
			if wrong++; wrong <= most {
				c.blame("%s: %s (%s, sent %s) was acknowledged and is not done", j.system, a.id, a.answer, c.at(a.sent))
			}
		}
	}
	return nil
}

// messages counts what is in the stream of the channel, and what each listener got of it.
func (c *count) messages(ctx context.Context) error {
	all, err := c.store.XRange(ctx, c.keys.Channel(channel).Log(), "-", "+").Result() // what a channel keeps by default: 10,000
	if err != nil {
		return err
	}
	times, log := map[string]int{}, map[int64]string{}
	for i, m := range all {
		var data string
		text, _ := m.Values["m"].(string)
		_ = json.Unmarshal([]byte(text), &data)
		times[data]++
		n := numberOf(m.ID)
		log[n] = data
		if first := numberOf(all[0].ID); n != first+int64(i) {
			c.blame("messages: number %d comes after %d others from %d on", n, i, first)
		}
	}
	c.verdicts(c.l.news, func(a *act) int { return times[a.id] }, true)
	for _, l := range c.l.listeners {
		c.listened(l, log)
	}
	return nil
}

// listened wants each message of the log to have been heard once, or said to be missing.
func (c *count) listened(l *listener, log map[int64]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := map[string]int{}
	gaps := map[string]int{}
	missed, covered := 0, 0
	since := map[string]bool{} // Redis lost something: what was sent again then is a message of its own
	for _, h := range l.heard {
		if h.reason != "" {
			gaps[h.reason]++
			if h.reason != "trimmed" {
				clear(since)
			}
			continue
		}
		if since[h.data] {
			c.blame("messages: a subscriber at %s got %s twice", l.app.name, h.data)
		}
		since[h.data] = true
		heard[h.data]++
	}
	var missing []int64
	for n, data := range log {
		if heard[data] > 0 {
			continue
		}
		if slices.ContainsFunc(l.heard, func(h heardEvent) bool { return h.reason != "" && h.n >= n }) {
			covered++
			continue
		}
		missed++
		missing = append(missing, n)
	}
	slices.Sort(missing)
	if missed > 0 {
		c.blame("messages: a subscriber at %s has not got %d messages, and was told of no gap: %v", l.app.name, missed, missing[:min(len(missing), 20)])
	}
	fmt.Printf("    a subscriber at %s: %d events, its connection broke %d times, gaps %v over %d messages, %d missing without one\n",
		l.app.name, len(l.heard), l.breaks, gaps, covered, missed)
}
