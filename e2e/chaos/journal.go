package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// verdict is what a client was told of a change.
type verdict int

const (
	done    verdict = iota // acknowledged
	refused                // surely not done
	unknown                // no answer, or one that says so
)

// act is a change that a client wanted made, under a name that nothing else has. It is written down before it is sent.
type act struct {
	id             string
	of             string // what it changes, where that has a name of its own
	sent, answered time.Time
	verdict        verdict
	sends          int
	app, life      int    // who answered last
	answer         string // what the system calls it
	size           int64  // of how many things it is made
}

// journal is what the clients of one system wrote down.
type journal struct {
	system string

	mu        sync.Mutex
	acts      []*act
	surprises map[string]int // answers that nobody should get
}

func (j *journal) begin(id string) *act {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := &act{id: id, sent: time.Now(), verdict: unknown, size: 1}
	j.acts = append(j.acts, a)
	return a
}

func (j *journal) surprise(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.surprises[fmt.Sprintf(format, args...)]++
}

// tally counts the verdicts.
func (j *journal) tally() (n [3]int64) {
	for _, a := range j.acts {
		n[a.verdict] += a.size
	}
	return n
}

// client is one client: a program with a token, or a browser with a cookie. It uses the webadmins as a load balancer would, by chance.
type client struct {
	w     *world
	name  string
	rnd   *rand.Rand
	http  *http.Client
	token string // "" = a browser
}

// patience is how long a client waits for an answer.
const patience = 20 * time.Second

func newClient(w *world, name string, seed uint64, token string) *client {
	return &client{w: w, name: name, rnd: rand.New(rand.NewPCG(seed, uint64(len(name)))), token: token, http: &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 5 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came of a request.
type answer struct {
	verdict   verdict
	status    int // 0 = no answer
	body      []byte
	location  string
	cookies   string // that were set
	app, life int
}

// send sends a request to one of the webadmins, once. body is JSON unless it is a string, which is a form.
func (c *client) send(method, path string, body any, headers ...string) answer {
	return c.sendTo(c.w.apps[c.rnd.IntN(len(c.w.apps))], method, path, body, headers...)
}

func (c *client) sendTo(to *app, method, path string, body any, headers ...string) answer {
	text, isForm := body.(string)
	if !isForm && body != nil {
		b, _ := json.Marshal(body) // of maps and texts
		text = string(b)
	}
	r, err := http.NewRequest(method, to.url+path, strings.NewReader(text))
	if err != nil {
		return answer{verdict: refused}
	}
	r.GetBody = nil // or what has an Idempotency-Key is sent twice, and nobody here knows
	switch {
	case isForm:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case body != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	} else {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a := answer{verdict: unknown, app: to.n, life: to.life()}
	reply, err := c.http.Do(r)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			a.verdict = refused
		}
		return a
	}
	defer func() { _ = reply.Body.Close() }()
	a.body, err = io.ReadAll(reply.Body)
	a.status, a.location = reply.StatusCode, reply.Header.Get("Location")
	for _, cookie := range reply.Cookies() {
		a.cookies += cookie.Name + "=" + cookie.Value + "; "
	}
	switch {
	case a.status == http.StatusServiceUnavailable:
		a.verdict = refused
	case err == nil && a.status < http.StatusBadRequest:
		a.verdict = done
	}
	return a
}

// act makes a change and writes down what came of it. One that can be sent again is, until somebody knows what became of it: then it is one
// change all the same.
func (c *client) act(j *journal, a *act, again bool, send func() answer) answer {
	doubt := false
	for {
		r := send()
		switch r.status {
		case 0, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			if r.status >= http.StatusBadRequest {
				j.surprise("%d %s", r.status, shorten(r.body))
			}
		}
		j.mu.Lock()
		a.sends++
		a.answered, a.verdict, a.app, a.life = time.Now(), r.verdict, r.app, r.life
		if doubt = doubt || r.verdict == unknown; doubt && r.verdict == refused {
			a.verdict = unknown
		}
		over := a.verdict != unknown || !again || a.sends >= 40
		j.mu.Unlock()
		if over && r.verdict == refused {
			_ = rest(context.Background(), 100*time.Millisecond) // as it is told to
		}
		if over {
			return r
		}
		_ = rest(context.Background(), 250*time.Millisecond) // also when the load has ended: it is to be known
	}
}

func shorten(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte(`"request_id"`))
	return string(b[:min(len(b), 300)])
}

// pace waits a moment between two acts; false = that was all.
func (c *client) pace(ctx context.Context, d time.Duration) bool {
	return rest(ctx, d/2+time.Duration(c.rnd.Int64N(int64(d)))) == nil
}
