package mw

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	eventsRoom = 64 << 10         // bytes that are gathered before they are sent
	eventsTime = 30 * time.Second // that a browser may take for them
)

// Events is an answer of server-sent events. They are gathered until Flush. It is for one goroutine.
type Events struct {
	w       *echo.Response
	control *http.ResponseController
	buf     []byte
}

// NewEvents begins the answer. retry is after which time a browser whose connection broke comes back. The route must be Long.
func NewEvents(c echo.Context, retry time.Duration) *Events {
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that would keep it back
	w.WriteHeader(http.StatusOK)
	e := &Events{w: w, control: http.NewResponseController(w)}
	e.buf = fmt.Appendf(nil, "retry: %d\n\n", retry.Milliseconds())
	return e
}

// Add adds an event. Without a name it is a message; without an ID the browser keeps the one before. Line ends in data, of whichever kind,
// become LF.
func (e *Events) Add(name, id string, data []byte) {
	if name != "" {
		e.buf = append(append(append(e.buf, "event: "...), name...), '\n')
	}
	if id != "" {
		e.buf = append(append(append(e.buf, "id: "...), id...), '\n')
	}
	for {
		line, rest, more := cutLine(data)
		e.buf = append(append(append(e.buf, "data: "...), line...), '\n')
		if data = rest; !more {
			break
		}
	}
	e.buf = append(e.buf, '\n')
}

// cutLine cuts at the first line end.
func cutLine(data []byte) (line, rest []byte, more bool) {
	at := bytes.IndexAny(data, "\r\n")
	if at < 0 {
		return data, nil, false
	}
	rest = data[at+1:]
	if data[at] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return data[:at], rest, true
}

// Comment adds a line that nobody but people sees.
func (e *Events) Comment(text string) {
	e.buf = append(append(append(e.buf, ": "...), text...), "\n\n"...)
}

// Full says that it is time to Flush.
func (e *Events) Full() bool { return len(e.buf) >= eventsRoom }

// Flush sends what was gathered. An error says that the browser is gone, or takes nothing any more.
func (e *Events) Flush() error {
	if len(e.buf) == 0 {
		return nil
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(eventsTime)) // a test's recorder has none
	_, err := e.w.Write(e.buf)
	if err == nil {
		err = e.control.Flush()
	}
	if e.buf = e.buf[:0]; cap(e.buf) > 4*eventsRoom {
		e.buf = nil
	}
	return err
}
