package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
)

// streamPace is how often messages go out at most: those of busy channels go together.
const streamPace = 200 * time.Millisecond

// stream serves GET /redis/console/session/:id/stream, the messages of SUBSCRIBE, MONITOR and the like as events: messages has
// them as they stand in the list, count says how many there were, and ended why no more come.
func (p *redisConsolePages) stream(c echo.Context) error {
	s, err := p.session(c, param(c, "id"))
	if err != nil {
		return err
	}
	st := s.Stream()
	if st == nil {
		return &console.EndedError{Reason: "Nothing streams in this console."}
	}
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that would keep it back
	w.WriteHeader(http.StatusOK)
	w.Flush()
	for asked := time.Now(); ; {
		more, err := p.sendMessages(c, st)
		if err != nil || !more {
			return nil // the browser has left, or knows the end
		}
		if time.Since(asked) < heartbeat {
			continue
		}
		if asked = time.Now(); !p.stillAllowed(c, s) {
			s.Close()
		}
	}
}

// sendMessages sends what has come, or after a while a comment that says that the stream goes on. It returns false after the end.
func (p *redisConsolePages) sendMessages(c echo.Context, st *console.Stream) (more bool, err error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), heartbeat)
	defer cancel()
	began := time.Now()
	messages, err := st.Next(ctx)
	w := c.Response()
	switch {
	case errors.Is(err, io.EOF):
		return false, writeEvent(w, "ended", st.End())
	case err != nil && c.Request().Context().Err() != nil:
		return false, err
	case err != nil:
		_, err = io.WriteString(w, ": it goes on\n\n")
		w.Flush()
		return true, err
	}
	v := messagesOf(st, messages)
	var b bytes.Buffer
	if err := redisview.ConsoleStreamed(v).Render(ctx, &b); err != nil {
		return false, err
	}
	if err := writeEvent(w, "messages", b.String()); err != nil {
		return false, err
	}
	if err := writeEvent(w, "count", v.Count); err != nil {
		return false, err
	}
	if wait := streamPace - time.Since(began); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return true, nil
}

// writeEvent writes an event whose data may have several lines.
func writeEvent(w *echo.Response, name, data string) error {
	data = strings.ReplaceAll(data, "\r", "&#13;")
	_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, strings.ReplaceAll(data, "\n", "\ndata: "))
	w.Flush()
	return err
}

// stillAllowed says whether the reader may go on with a stream, which outlives the request that began it: their role, or who they are, may
// have changed. When nobody can say, they may.
func (p *redisConsolePages) stillAllowed(c echo.Context, s *console.Session) bool {
	user, err := p.Accounts.User(c.Request().Context(), s.Who)
	switch {
	case errors.Is(err, kvdb.ErrNotFound):
		return false
	case err != nil:
		return true
	}
	return !user.Disabled && string(user.Role) == s.Role
}
