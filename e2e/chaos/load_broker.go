package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"webadmin/internal/broker"
)

// invoke has the program run by the broker. Every other call has an idempotency key, and is sent until somebody knows what became of it.
func (l *load) invoke(c *client) {
	for n := 0; c.pace(l.ctx, 40*time.Millisecond); n++ {
		a := l.invoked.begin(fmt.Sprintf("%s-%d", c.name, n))
		l.invokeOne(c, l.invoked, a, "lua:"+work, object("keys", []string{workKey}, "values", []string{a.id}), n%2 == 0)
	}
}

// invokePull invokes the service whose workers are here.
func (l *load) invokePull(c *client) {
	for n := 0; c.pace(l.ctx, 50*time.Millisecond); n++ {
		a := l.pulled.begin(fmt.Sprintf("%s-%d", c.name, n))
		l.invokeOne(c, l.pulled, a, pull, object("op", a.id), n%2 == 0)
	}
}

func (l *load) invokeOne(c *client, j *journal, a *act, service string, payload any, again bool) {
	body := object("service", service, "payload", payload, "max_attempts", 50)
	if again {
		body["idempotency_key"] = a.id
	}
	r := c.act(j, a, again, func() answer { return c.send(http.MethodPost, "/api/v1/broker/invoke", body) })
	var said struct{ CID string }
	if a.verdict == done && json.Unmarshal(r.body, &said) == nil {
		a.answer = said.CID
	}
}

// workBook is what the workers here wrote down.
type workBook struct {
	mu       sync.Mutex
	received map[string]int       // how often an operation was received
	acked    map[string]time.Time // since when the broker knows that an invocation is done
	again    []string             // what was received when the broker knew that already
}

// workOff is a worker: it receives, and says that it is done until it is heard.
func (l *load) workOff(c *client) {
	for l.serving.Err() == nil {
		r := c.send(http.MethodPost, "/api/v1/broker/services/"+pull+"/receive", object("max", 5, "wait_ms", 1000, "lease_ms", 5000))
		var got struct {
			Invocations []struct {
				CID, Lease string
				Payload    struct{ Op string }
			}
		}
		if r.verdict != done || json.Unmarshal(r.body, &got) != nil {
			_ = rest(l.serving, 200*time.Millisecond)
			continue
		}
		for _, i := range got.Invocations {
			l.work.mu.Lock()
			l.work.received[i.Payload.Op]++
			if at, was := l.work.acked[i.CID]; was {
				l.work.again = append(l.work.again, fmt.Sprintf("%s, %s after", i.CID, time.Since(at).Round(time.Millisecond)))
			}
			l.work.mu.Unlock()
			for range 40 {
				r := c.send(http.MethodPost, "/api/v1/broker/invocations/"+i.CID+"/ack", object("lease", i.Lease, "result", i.Payload.Op))
				if r.verdict == done {
					l.work.mu.Lock()
					l.work.acked[i.CID] = time.Now()
					l.work.mu.Unlock()
				}
				if r.verdict == done || r.status == http.StatusConflict || r.status == http.StatusNotFound || rest(l.serving, 100*time.Millisecond) != nil {
					break
				}
			}
		}
	}
}

// publish publishes messages, each until somebody knows that it is there.
func (l *load) publish(c *client) {
	for n := 0; c.pace(l.ctx, 40*time.Millisecond); n++ {
		a := l.news.begin(fmt.Sprintf("%s-%d", c.name, n))
		r := c.act(l.news, a, true, func() answer {
			return c.send(http.MethodPost, "/api/v1/broker/channels/"+channel+"/publish", object("message", a.id), "Idempotency-Key", a.id)
		})
		var said struct{ ID string }
		if a.verdict == done && json.Unmarshal(r.body, &said) == nil {
			a.answer = said.ID
		}
	}
}

// listener follows the channel at one webadmin, from its first message on, and comes back where it was.
type listener struct {
	app *app

	mu     sync.Mutex
	heard  []heardEvent
	lastID string
	breaks int
}

// heardEvent is a message, or a gap before the number after it.
type heardEvent struct {
	n      int64
	data   string
	reason string // of a gap
}

// follow listens until ctx ends.
func (h *listener) follow(ctx context.Context, token string) {
	for ctx.Err() == nil {
		if err := h.once(ctx, token); err != nil && ctx.Err() == nil {
			h.breaks++
		}
		_ = rest(ctx, 200*time.Millisecond)
	}
}

func (h *listener) once(ctx context.Context, token string) error {
	h.mu.Lock()
	after := h.lastID
	h.mu.Unlock()
	if after == "" {
		after = "0"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.app.url+"/api/v1/broker/channels/"+channel+"/events?after="+url.QueryEscape(after), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return errors.New(reply.Status)
	}
	var kind, id, data string
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			h.take(kind, id, data)
			kind, id, data = "", "", ""
		case field == "event":
			kind = value
		case field == "id":
			id = value
		case field == "data":
			data = value
		}
	}
	return errors.Join(lines.Err(), errors.New("the stream ended"))
}

func (h *listener) take(kind, id, data string) {
	if id == "" && data == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != "" {
		h.lastID = id
	}
	got := heardEvent{n: broker.MessageNumber(id)}
	switch kind {
	case "":
		_ = json.Unmarshal([]byte(data), &got.data)
	case "gap":
		var gap struct{ Reason string }
		_ = json.Unmarshal([]byte(data), &gap)
		got.reason = gap.Reason
	default:
		return
	}
	h.heard = append(h.heard, got)
}
