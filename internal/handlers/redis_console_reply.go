package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb/console"
	"webadmin/web/templates/redisview"
)

// wholeReply is the way to all of a reply that is too long for a page; nil where the command can't be run once more to get it.
func (p *redisConsolePages) wholeReply(s *console.Session, r console.Result) *redisview.ConsoleSend {
	text := console.Join(r.Command.Args)
	state := s.State()
	if !r.Class.Repeatable(s.Role) || state.InTransaction || state.Watching || state.Ended != "" || len(text) > shownLine ||
		!slices.Equal(r.Args, r.Command.Args) {
		return nil
	}
	return &redisview.ConsoleSend{
		Kind: "plain", Text: "Download all of it", Icon: "download", Action: p.url("redis.console.reply", s.ID),
		Fields: []redisview.ConsoleHidden{{Name: "text", Value: text}},
	}
}

// reply serves POST /redis/console/session/:id/reply with the field text: a command that only reads runs once more in the session, and all of
// its reply is a file, as redis-cli --raw writes it. When it breaks off, so does the connection: nobody takes a part for the whole.
func (p *redisConsolePages) reply(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	s, err := p.session(c, param(c, "id"))
	if err != nil {
		return err
	}
	out := &fileWriter{c: c, name: "reply-" + p.Now().UTC().Format("20060102-150405") + ".txt"}
	if err := s.Download(c.Request().Context(), f.text("text"), out); err != nil {
		return err
	}
	if !c.Response().Committed { // it is empty
		_, err = out.Write(nil)
	}
	return err
}

// fileWriter begins the answer, which is a file, with its first byte, so that an error before it is answered as one.
type fileWriter struct {
	c    echo.Context
	name string
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if !w.c.Response().Committed {
		attach(w.c, echo.MIMEOctetStream, w.name)
		w.c.Response().WriteHeader(http.StatusOK)
	}
	return w.c.Response().Write(b)
}
