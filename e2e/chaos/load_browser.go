package main

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// pages are what a browser looks at.
var pages = []string{
	"/", "/dictionaries/entries", "/dictionaries/translations", "/dictionaries/misses", "/dictionaries/changes", "/lua", "/lua/" + work,
	"/broker/channels", "/broker/services", "/broker/dead", "/stats/trends", "/stats/summary", "/stats/slow", "/redis/info", "/redis/keys?match=chaos:*",
	"/redis/slowlog", "/redis/clients", "/audit", "/settings/sessions",
}

// hiddenOp is the token of a form.
var hiddenOp = regexp.MustCompile(`name="op"[^>]*value="([^"]+)"`)

// browse is somebody at a browser: signs in, looks at pages, fills forms in, and sometimes signs out.
func (l *load) browse(c *client) {
	for n := 0; l.ctx.Err() == nil; n++ {
		jar, _ := cookiejar.New(nil) // cookies know no ports, so that both webadmins get them
		c.http.Jar = jar
		in := l.signIns.begin(fmt.Sprintf("%s-%d", c.name, n))
		form := url.Values{"username": {"admin"}, "password": {password}}.Encode()
		c.act(l.signIns, in, false, func() answer {
			r := c.send(http.MethodPost, "/login", form)
			if r.status == http.StatusTooManyRequests { // attempts whose end got lost count as failed for a while
				r.status, r.verdict = http.StatusServiceUnavailable, refused
			}
			return r
		})
		if in.verdict != done {
			c.pace(l.ctx, 500*time.Millisecond)
			continue
		}
		u, _ := url.Parse(l.w.apps[0].url)
		for _, cookie := range jar.Cookies(u) {
			in.answer += cookie.Name + "=" + cookie.Value + "; "
		}
		for range 12 {
			if !c.pace(l.ctx, 150*time.Millisecond) {
				return
			}
			if !l.look(c, in) || !l.fillIn(c) {
				break
			}
		}
		l.tryOut(c, fmt.Sprintf("%s-%d", c.name, n))
		if n%2 == 0 {
			out := l.signOuts.begin(in.id)
			out.of = in.answer
			c.act(l.signOuts, out, false, func() answer { return c.send(http.MethodPost, "/logout", "") })
			in.answer = ""
		}
	}
}

// look looks at a page; false = the session is over.
func (l *load) look(c *client, in *act) bool {
	path := pages[c.rnd.IntN(len(pages))]
	a := l.pages.begin(path)
	r := c.act(l.pages, a, false, func() answer { return c.send(http.MethodGet, path, nil) })
	if r.status == http.StatusGatewayTimeout {
		l.pages.surprise("%s: a page that only shows something answers 504", path)
	}
	if strings.HasPrefix(r.location, "/login") {
		in.of = "signed out " + time.Since(in.answered).Round(time.Millisecond).String() + " after"
		return false
	}
	return true
}

// tryOut has a dry run show what the program would do. It needs servers of its own, which must be gone in the end, and changes nothing.
func (l *load) tryOut(c *client, id string) {
	form := url.Values{"program": {work}, "source": {program}, "key": {runsKey}, "value": {"dry-" + id}}.Encode()
	a := l.dryRuns.begin("dry-" + id)
	c.act(l.dryRuns, a, false, func() answer { return c.send(http.MethodPost, "/lua/-/dryrun", form) })
}

// fillIn creates a translation with the form of the page, which is sent again until somebody knows what became of it.
func (l *load) fillIn(c *client) bool {
	r := c.send(http.MethodGet, "/dictionaries/translations/new", nil)
	found := hiddenOp.FindSubmatch(r.body)
	if r.status != http.StatusOK || found == nil {
		if r.status == http.StatusOK {
			l.pages.surprise("the form of a new translation has no token")
		}
		return true
	}
	token := fmt.Sprintf("%s-%d", c.name, time.Now().UnixNano())
	a := l.dict.begin(token)
	a.of = "v" + token
	form := url.Values{
		"op": {string(found[1])}, "system1": {"CHAOS"}, "key1": {c.name}, "value1": {a.of},
		"system2": {"TARGET"}, "key2": {"K"}, "value2": {token}, "create_entries": {"1"},
	}.Encode()
	out := false
	c.act(l.dict, a, true, func() answer {
		r := c.send(http.MethodPost, "/dictionaries/translations", form)
		if strings.HasPrefix(r.location, "/login") { // nothing was done, and what was typed is gone with the session
			r.verdict, out = refused, true
		}
		return r
	})
	return !out
}
