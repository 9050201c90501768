package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"

	"webadmin/internal/kvdb"
)

// count compares what clients wrote down with what is there, which it reads from Redis itself wherever that can be.
type count struct {
	w       *world
	l       *load
	line    *timeline
	began   time.Time
	store   redis.UniversalClient
	keys    kvdb.Keys
	api     *client
	windows []window
	wrong   []string
}

// most is how many findings of one kind are printed.
const most = 5

func newCount(w *world, l *load, line *timeline, began time.Time) (*count, error) {
	c := &count{w: w, l: l, line: line, began: began, keys: kvdb.DefaultPrefix, api: newClient(w, "count", 1, w.token)}
	if w.kind == "cluster" {
		var addrs []string
		for _, n := range w.nodes {
			addrs = append(addrs, n.gateAddr())
		}
		c.store = redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
		return c, nil
	}
	m := w.master(context.Background())
	if m == nil {
		return nil, errors.New("there is no master")
	}
	c.store = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + m.port})
	return c, nil
}

func (c *count) blame(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// all counts all systems. An error is that something could not be counted.
func (c *count) all(ctx context.Context) (err error) {
	var acked, lost int
	if c.windows, acked, lost, err = c.l.control.windows(ctx, c.store); err != nil {
		c.blame("control: %v", err)
	}
	fmt.Printf("  control: %d writes acknowledged by Redis itself, %d of them lost\n", acked, lost)
	for _, w := range c.windows {
		fmt.Printf("    %s stopped being master: what it acknowledged from %s to %s may be lost; of the control writes, %d of %d\n",
			w.server, c.at(w.from), c.at(w.to), w.lost, w.acked)
	}
	err = nil
	for _, part := range []func(context.Context) error{
		c.dictionary, c.runs, c.commands, c.invocations, c.pulledOnes, c.messages, c.samples, c.sessions, c.trail,
	} {
		err = errors.Join(err, part(ctx))
	}
	for _, j := range c.l.journals {
		for what, n := range j.surprises {
			c.blame("%s: %d times this answer: %s", j.system, n, what)
		}
	}
	return err
}

func (c *count) at(t time.Time) string { return fmt.Sprintf("%.3fs", t.Sub(c.line.start).Seconds()) }

// verdicts compares a journal with how often each act was applied, and prints a line. once: no act may be applied more than once.
func (c *count) verdicts(j *journal, applied func(*act) int, once bool) (twice int) {
	var lost, named, phantom, unknownDone int
	for _, a := range j.acts {
		n := applied(a)
		if n > 1 {
			if twice++; once && twice <= most {
				c.blame("%s: %s was applied %d times (sent %d times)", j.system, a.id, n, a.sends)
			}
		}
		switch {
		case a.verdict == done && n == 0 && excused(c.windows, a):
			named++
		case a.verdict == done && n == 0:
			if lost++; lost <= most {
				c.blame("%s: %s was acknowledged (sent %s, answered %s) and is not there", j.system, a.id, c.at(a.sent), c.at(a.answered))
			}
		case a.verdict == refused && n > 0:
			if phantom++; phantom <= most {
				c.blame("%s: %s was refused as not done (sent %s, answered %s), and is there", j.system, a.id, c.at(a.sent), c.at(a.answered))
			}
		case a.verdict == unknown && n > 0:
			unknownDone++
		}
	}
	c.tell(j, fmt.Sprintf("%d lost, %d lost by Redis, %d applied twice; of the unknown %d are done", lost, named, twice, unknownDone))
	return twice
}

func (c *count) tell(j *journal, more string) {
	n := j.tally()
	fmt.Printf("  %-26s %6d acknowledged, %5d refused, %4d unknown: %s\n", j.system, n[done], n[refused], n[unknown], more)
}

// change is what the API says of one.
type change struct {
	Items []struct {
		Type          string
		Before, After *struct{ Key1, Value1, Value2 string }
	}
}

// dictionary counts how often each value is in the history, and compares the newest of each translation with what Redis has.
func (c *count) dictionary(ctx context.Context) error {
	written, newest := map[string]int{}, map[string]string{}
	for cursor := ""; ; {
		var page struct {
			Items []change
			Next  string `json:"next_cursor"`
		}
		if err := c.get("/api/v1/dictionary/changes?limit=1000&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return err
		}
		for _, ch := range page.Items {
			for _, i := range ch.Items {
				if i.Type != "translation" || i.After == nil {
					continue
				}
				written[i.After.Value2]++
				if name := i.After.Key1 + "/" + i.After.Value1; newest[name] == "" {
					newest[name] = i.After.Value2
				}
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	c.verdicts(c.l.dict, func(a *act) int { return written[a.id] }, true)
	there := 0
	for _, key := range []string{"dict0", "dict1", "browser0", "browser1"} {
		values, err := c.store.HGetAll(ctx, c.keys.Dict().Map("CHAOS", key, "TARGET", "K")).Result() // at most one field for each act
		if err != nil {
			return err
		}
		there += len(values)
		for value1, value2 := range values {
			if newest[key+"/"+value1] != value2 {
				c.blame("dictionaries: %s is %s, and by the history %s", value1, value2, newest[key+"/"+value1])
			}
		}
	}
	if there != len(newest) {
		c.blame("dictionaries: there are %d translations, and by the history %d", there, len(newest))
	}
	return nil
}

func (c *count) get(path string, to any) error {
	r := c.api.send(http.MethodGet, path, nil)
	return c.read(r, path, to)
}

func (c *count) read(r answer, what string, to any) error {
	if r.status != http.StatusOK {
		return fmt.Errorf("%s answers %d %s", what, r.status, r.body)
	}
	return json.Unmarshal(r.body, to)
}

// applied reads how often each act was applied, from a hash that programs and commands count in.
func (c *count) applied(ctx context.Context, key string) (func(*act) int, error) {
	counts, err := c.store.HGetAll(ctx, key).Result() // one field for each act
	return func(a *act) int {
		n, _ := strconv.Atoi(counts[a.id])
		return n
	}, err
}

func (c *count) runs(ctx context.Context) error {
	applied, err := c.applied(ctx, runsKey)
	if err != nil {
		return err
	}
	c.verdicts(c.l.runs, applied, true)
	changed := 0
	for _, a := range c.l.dryRuns.acts {
		changed += applied(a)
	}
	if changed > 0 {
		c.blame("dry runs: %d changed something", changed)
	}
	c.tell(c.l.dryRuns, "nothing may change")
	return nil
}

func (c *count) commands(ctx context.Context) error {
	applied, err := c.applied(ctx, keysKey)
	if err != nil {
		return err
	}
	c.verdicts(c.l.keys, func(a *act) int {
		if a.of == "" {
			return applied(a)
		}
		value, getErr := c.store.Get(ctx, a.of).Result()
		if getErr != nil && !errors.Is(getErr, redis.Nil) {
			err = errors.Join(err, getErr)
		}
		if value == a.id {
			return 1
		}
		return 0
	}, true)
	return err
}

// sessions counts those that are still good, and those that are still good though they were ended.
func (c *count) sessions(context.Context) error {
	j := c.l.signIns
	var lost, named, still int
	good := func(cookie string) bool {
		r := newClient(c.w, "session", 1, "").send(http.MethodGet, "/settings/sessions", nil, "Cookie", cookie)
		return r.status == http.StatusOK
	}
	ended := map[string]bool{}
	for _, a := range c.l.signOuts.acts {
		ended[a.id] = true
		if a.verdict == done && good(a.of) && !excused(c.windows, a) {
			still++
		}
	}
	for _, a := range j.acts {
		if a.verdict != done || ended[a.id] {
			continue
		}
		switch ok := good(a.answer) && a.of == ""; {
		case !ok && excused(c.windows, a):
			named++
		case !ok:
			if lost++; lost <= most {
				c.blame("sign-ins: the session of %s (%s) is over: %s", a.id, c.at(a.answered), a.of)
			}
		}
	}
	if still > 0 {
		c.blame("sign-outs: %d sessions are still good", still)
	}
	c.tell(j, fmt.Sprintf("%d sessions lost, %d lost by Redis", lost, named))
	c.tell(c.l.signOuts, fmt.Sprintf("%d still signed in", still))
	c.tell(c.l.pages, "")
	return nil
}

// trail looks for the audit record of each change of a dictionary: in the log, or as one of which the end is not known yet.
func (c *count) trail(ctx context.Context) error {
	said := map[string]bool{} // all words of objects and of what they became
	last := "-"
	for {
		page, err := c.store.XRangeN(ctx, c.keys.Audit().Records(), last, "+", 5000).Result()
		if err != nil {
			return err
		}
		for _, m := range page {
			last = "(" + m.ID
			object, _ := m.Values["object"].(string)
			after, _ := m.Values["after"].(string)
			for _, word := range strings.FieldsFunc(object+" "+after, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				said[word] = true
			}
		}
		if len(page) == 0 {
			break
		}
	}
	pending, err := c.store.HVals(ctx, c.keys.Audit().Pending()).Result() // at most one field for each act
	if err != nil {
		return err
	}
	var with, open, named, without int
	for _, a := range c.l.dict.acts {
		if a.verdict != done {
			continue
		}
		switch {
		case said[a.id], said["v"+a.id]:
			with++
		case slices.ContainsFunc(pending, func(p string) bool { return strings.Contains(p, a.of) }):
			open++
		case excused(c.windows, a):
			named++
		default:
			if without++; without <= most {
				c.blame("audit: there is no record of %s (sent %s, answered %s)", a.id, c.at(a.sent), c.at(a.answered))
			}
		}
	}
	fmt.Printf("  %-26s %6d changes of dictionaries have their record, of %d the end is not known, %d lost by Redis, %d without\n",
		"audit", with, open, named, without)
	return nil
}
