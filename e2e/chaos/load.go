package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// load is everything that uses the world, and what it wrote down.
type load struct {
	w        *world
	seed     uint64
	journals []*journal
	all      []*client
	clients  sync.WaitGroup // who want things done
	servers  sync.WaitGroup // who do them, and listen
	ctx      context.Context
	serving  context.Context

	dict, runs, invoked, pulled, news, samples, keys, signIns, signOuts, dryRuns *journal
	pages                                                                        *journal
	control                                                                      *control
	listeners                                                                    []*listener
	work                                                                         *workBook
}

const (
	work    = "chaos.work" // a program, that counts what it was run for
	pull    = "chaos.pull" // a service whose workers are here
	channel = "chaos.news"
	runsKey = "chaos:{runs}:applied"
	workKey = "chaos:{work}:applied"
	keysKey = "chaos:{keys}:applied"
)

// program counts in the hash KEYS[1] how often it was run for ARGV[1].
const program = "return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)\n"

// refusedWrite are errors with which Redis takes no writes, as a program raises them.
var refusedWrite = regexp.MustCompile(`NOREPLICAS|READONLY`)

func newLoad(w *world, seed uint64) *load {
	l := &load{w: w, seed: seed, work: &workBook{received: map[string]int{}, acked: map[string]time.Time{}}}
	for _, j := range []struct {
		to     **journal
		system string
	}{{&l.dict, "dictionaries"}, {&l.runs, "Lua runs"}, {&l.invoked, "invocations of a program"}, {&l.pulled, "invocations for workers"},
		{&l.news, "messages"}, {&l.samples, "samples"}, {&l.keys, "commands"}, {&l.signIns, "sign-ins"}, {&l.signOuts, "sign-outs"},
		{&l.pages, "pages"}, {&l.dryRuns, "dry runs"}} {
		*j.to = &journal{system: j.system, surprises: map[string]int{}}
		l.journals = append(l.journals, *j.to)
	}
	l.control = newControl(w)
	return l
}

// prepare uploads the program.
func (l *load) prepare() error {
	c := l.client("prepare", l.w.token)
	if r := c.send(http.MethodPut, "/api/v1/lua/programs/"+work, program); r.verdict != done {
		return fmt.Errorf("upload of %s: %d %s", work, r.status, r.body)
	}
	return nil
}

func (l *load) client(name, token string) *client {
	c := newClient(l.w, name, l.seed+uint64(len(l.all)), token)
	l.all = append(l.all, c)
	return c
}

// start has all begin: clients end with ctx, workers and listeners with serving.
func (l *load) start(ctx, serving context.Context) {
	l.ctx, l.serving = ctx, serving
	l.control.start(ctx, &l.clients)
	for i := range 2 {
		for name, use := range map[string]func(*client){
			"dict": l.useDictionary, "lua": l.runPrograms, "invoke": l.invoke, "publish": l.publish, "stats": l.record, "keys": l.command,
		} {
			c := l.client(name+strconv.Itoa(i), l.w.token)
			l.clients.Go(func() { use(c) })
		}
		browser := l.client("browser"+strconv.Itoa(i), "")
		l.clients.Go(func() { l.browse(browser) })
		worker, listens := l.client("worker"+strconv.Itoa(i), l.w.token), &listener{app: l.w.apps[i]}
		l.listeners = append(l.listeners, listens)
		l.servers.Go(func() { l.workOff(worker) })
		l.servers.Go(func() { listens.follow(serving, l.w.token) })
	}
	caller := l.client("caller", l.w.token)
	l.clients.Go(func() { l.invokePull(caller) })
}

func object(pairs ...any) map[string]any {
	o := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o[pairs[i].(string)] = pairs[i+1]
	}
	return o
}

// translation is one that the API gives.
type translation struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	Value1  string `json:"value1"`
	Value2  string `json:"value2"`
}

// useDictionary creates translations and changes them. Every value that it writes is another one, so that the history tells how often it
// was written.
func (l *load) useDictionary(c *client) {
	var last translation
	for n := 0; c.pace(l.ctx, 40*time.Millisecond); n++ {
		token := fmt.Sprintf("%s-%d", c.name, n)
		a := l.dict.begin(token)
		headers := []string{"Idempotency-Key", token}
		if n%3 == 2 && last.ID != "" {
			a.of = last.Value1
			body := object("version", last.Version, "system1", "CHAOS", "key1", c.name, "value1", last.Value1,
				"system2", "TARGET", "key2", "K", "value2", token)
			c.act(l.dict, a, true, func() answer {
				return c.send(http.MethodPut, "/api/v1/dictionary/translations/"+last.ID, body, headers...)
			})
			last = translation{}
			continue
		}
		a.of = "v" + token
		body := object("system1", "CHAOS", "key1", c.name, "value1", a.of, "system2", "TARGET", "key2", "K", "value2", token, "create_entries", true)
		r := c.act(l.dict, a, true, func() answer { return c.send(http.MethodPost, "/api/v1/dictionary/translations", body, headers...) })
		last = translation{}
		if a.verdict == done {
			_ = json.Unmarshal(r.body, &last)
		}
	}
}

// runPrograms has the program count each run.
func (l *load) runPrograms(c *client) {
	for n := 0; c.pace(l.ctx, 30*time.Millisecond); n++ {
		a := l.runs.begin(fmt.Sprintf("%s-%d", c.name, n))
		c.act(l.runs, a, false, func() answer {
			r := c.send(http.MethodPost, "/api/v1/lua/programs/"+work+"/run", object("keys", []string{runsKey}, "values", []string{a.id}))
			if r.status == http.StatusUnprocessableEntity && refusedWrite.Match(r.body) { // raised by its first and only write
				r.status, r.verdict = http.StatusServiceUnavailable, refused
			}
			return r
		})
	}
}

// command writes keys by commands: one that counts how often it was run, and one that sets a key of its own.
func (l *load) command(c *client) {
	for n := 0; c.pace(l.ctx, 30*time.Millisecond); n++ {
		a := l.keys.begin(fmt.Sprintf("%s-%d", c.name, n))
		args := []string{"HINCRBY", keysKey, a.id, "1"}
		if n%2 == 1 {
			args = []string{"SET", "chaos:key:" + a.id, a.id}
			a.of = args[1]
		}
		c.act(l.keys, a, false, func() answer {
			r := c.send(http.MethodPost, "/api/v1/kvdb/command", object("args", args))
			var said struct{ Type string }
			if r.verdict == done && json.Unmarshal(r.body, &said) == nil && said.Type == "error" {
				r.verdict = refused
			}
			return r
		})
	}
}

// sampleSize is how many samples are sent together.
const sampleSize = 10

// record sends samples under the name of the very process that gets them, so that what a killed one took along can be told.
func (l *load) record(c *client) {
	for n := 0; c.pace(l.ctx, 60*time.Millisecond); n++ {
		to := l.w.apps[c.rnd.IntN(len(l.w.apps))]
		a := l.samples.begin(fmt.Sprintf("%s-%d", c.name, n))
		a.size, a.of = sampleSize, serviceOf(to.n, to.life())
		var samples []any
		for i := range sampleSize {
			samples = append(samples, object("service", a.of, "duration_ms", float64(i)+0.5))
		}
		c.act(l.samples, a, false, func() answer {
			r := c.sendTo(to, http.MethodPost, "/api/v1/stats/record", object("samples", samples))
			if serviceOf(to.n, to.life()) != a.of && r.verdict == done {
				r.verdict = unknown // of which process, that is
			}
			return r
		})
	}
}

func serviceOf(app, life int) string { return fmt.Sprintf("chaos.app%d.%d", app, life) }
