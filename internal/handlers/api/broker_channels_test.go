package api_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"webadmin/internal/account"
	"webadmin/internal/kvdb/kvtest"
)

// stream is somebody who reads server-sent events.
type stream struct {
	t     testing.TB
	res   *http.Response
	lines *bufio.Reader
	last  string // ID of the last event
}

// events subscribes as an operator, and returns when it is subscribed. The test ends it.
func (w *world) events(path string, alter ...with) *stream {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	r := w.request(http.MethodGet, base+"/broker/channels/"+path, nil, append([]with{w.as(account.Operator)}, alter...)...)
	res, err := w.client.Do(r.WithContext(ctx))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { res.Body.Close() })
	s := &stream{t: w.t, res: res, lines: bufio.NewReader(res.Body)}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	for s.line() != ": subscribed" {
	}
	return s
}

func (s *stream) line() string {
	s.t.Helper()
	line, err := s.lines.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the stream ends: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// next returns the name and the data of the next event, which is what a browser makes of it.
func (s *stream) next() (name, data string) {
	s.t.Helper()
	var lines []string
	for {
		line := s.line()
		if line == "" && lines != nil {
			return name, strings.Join(lines, "\n")
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			name = value
		case "id":
			s.last = value
		case "data":
			lines = append(lines, value)
		}
	}
}

func (s *stream) want(events ...string) {
	s.t.Helper()
	for _, want := range events {
		name, data := s.next()
		if got := strings.TrimPrefix(name+" "+data, " "); got != want {
			s.t.Fatalf("%s comes, want %s", got, want)
		}
	}
}

// publish publishes messages, each as it is.
func (w *world) publish(channel string, messages ...string) (ids []string) {
	w.t.Helper()
	for _, m := range messages {
		a := w.want(http.StatusOK, http.MethodPost, "/broker/channels/"+channel+"/publish", `{"message": `+m+`}`)
		ids = append(ids, a.object(w.t)["id"].(string))
	}
	return ids
}

func TestPublishAndSubscribe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const channel = "orders%2Feu:v1.2"
	s := w.events(channel + "/events")
	viewer := w.events(channel+"/events", w.as(account.Viewer))
	a := w.want(http.StatusOK, http.MethodPost, "/broker/channels/"+channel+"/publish",
		`{"message":{"n":12345678901234567890.10,"t":"ä\n<b>"}}`).object(t)
	if a["receivers"] != 2.0 || a["id"] == "" {
		t.Errorf("%v", a)
	}
	w.publish(channel, "null", "[1,\r\n 2,\r 3]", `""`)
	for _, reader := range []*stream{s, viewer} {
		reader.want(`{"n":12345678901234567890.10,"t":"ä\n<b>"}`)
		if reader.last != a["id"] {
			t.Errorf("%s, want %s", reader.last, a["id"])
		}
		reader.want("null", "[1,\n 2,\n 3]", `""`)
	}
}

func TestEventsResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.publish("c", "1", "2", "3")
	now := w.events("c/events")
	w.publish("c", "4")
	now.want("4")
	w.events("c/events?after="+ids[1]).want("3", "4")
	w.events("c/events?after=0").want("1", "2", "3", "4")
	w.events("c/events?after="+ids[1], header("Last-Event-ID", ids[2])).want("4")
	w.events("c/events", header("Last-Event-ID", "otherchannel-2")).want(`gap {"missed":null,"reason":"anew"}`, "1", "2")
	if err := w.db.Client().XTrimMaxLen(t.Context(), w.db.Keys().Channel("c").Log(), 1).Err(); err != nil {
		t.Fatal(err)
	}
	s := w.events("c/events?after=" + ids[0])
	s.want(`gap {"missed":2,"reason":"trimmed"}`)
	if !strings.HasPrefix(ids[2], s.last+"-") { // when a message came that is kept no more, nobody knows
		t.Errorf("a gap goes on after %s, want %s", s.last, ids[2])
	}
	s.want("4")
	w.want(http.StatusUnprocessableEntity, http.MethodGet, "/broker/channels/c/events?after=x", nil)
	w.want(http.StatusUnprocessableEntity, http.MethodGet, "/broker/channels/a b/events", nil)
}

func TestEventsKeepAPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "c/events?subscriber=billing"
	w.want(http.StatusForbidden, http.MethodGet, "/broker/channels/"+path, nil, w.as(account.Viewer))
	s := w.events(path)
	w.publish("c", "1", "2")
	s.want("1", "2")
	s.res.Body.Close()
	kvtest.Await(t, "the server notices that the reader has left", func() bool {
		c, err := w.broker.Channel(t.Context(), "c")
		return err == nil && len(c.Subscribers) == 1 && c.Subscribers[0].Connected == 0
	})
	w.publish("c", "3", "4")
	w.events(path).want("3", "4")
}

// TestEventsEndWithTheServer: a stream that never ends by itself holds up no stop.
func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.events("c/events")
	w.stop()
	if rest, err := io.ReadAll(s.lines); err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/broker/channels/c/publish"
	for body, status := range map[string]int{
		`{}`: http.StatusUnprocessableEntity, `{"message":1,"x":2}`: http.StatusUnprocessableEntity, `{"message":}`: http.StatusBadRequest,
		"{\"message\":\"\xff\"}": http.StatusBadRequest, `{"message":"` + strings.Repeat("x", 1<<20) + `"}`: http.StatusRequestEntityTooLarge,
		`{"message":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`: http.StatusBadRequest,
	} {
		if a := w.call(http.MethodPost, path, body); a.status != status {
			t.Errorf("%.40s: %d %s, want %d", body, a.status, a.raw, status)
		}
	}
	w.want(http.StatusForbidden, http.MethodPost, path, `{"message":1}`, w.as(account.Viewer))
	w.want(http.StatusUnprocessableEntity, http.MethodPost, "/broker/channels/a b/publish", `{"message":1}`)
	once := header("Idempotency-Key", "k")
	first := w.want(http.StatusOK, http.MethodPost, path, `{"message":1}`, once).object(t)["id"]
	if again := w.want(http.StatusOK, http.MethodPost, path, `{"message":1}`, once).object(t)["id"]; again != first {
		t.Errorf("%s and %s", first, again)
	}
	w.want(http.StatusConflict, http.MethodPost, path, `{"message":2}`, once)
}

// Who subscribes while the server is being stopped is told to come back, as at any other time when it can't be done.
func TestEventsOfAServerThatStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(200, "POST", "/broker/channels/c/publish", `{"message":1}`)
	if err := w.broker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(503, "GET", "/broker/channels/c/events", nil)
}
