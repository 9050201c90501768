package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/api"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/errorview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// isAPI says whether a request is for the JSON API, which answers errors as problem documents.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// isJSON says whether a request is for a call of the API rather than for the page about it.
func isJSON(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, api.Base+"/") }

// handleError answers every error of every handler. Logging is the request log's.
func (s *site) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := s.problemOf(err, c)
	if err := s.answer(c, p); err != nil && !c.Response().Committed {
		s.Logger.ErrorContext(c.Request().Context(), "no error page", "request_id", p.RequestID, "error", err)
		http.Error(c.Response(), p.Title+". "+p.Detail, p.Status)
	}
}

func (s *site) problemOf(err error, c echo.Context) problem.Problem {
	ctx := c.Request().Context()
	if errors.Is(ctx.Err(), context.Canceled) {
		err = context.Canceled // whatever broke, it broke because the client left
	}
	p := problem.Of(err)
	p.RequestID = mw.From(ctx).ID
	return p
}

// answer says the problem in the form that was asked for. That a page of errors panics is an error as well.
func (s *site) answer(c echo.Context, p problem.Problem) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	p.SetHeaders(c.Response().Header())
	switch {
	case isAPI(c.Request()):
		return p.Write(c.Response())
	case p.Status == problem.StatusClientGone:
		return c.NoContent(p.Status)
	case p.Status == http.StatusUnauthorized:
		return s.askSignIn(c)
	case wantsFragment(c.Request()) && p.Status == http.StatusServiceUnavailable && s.busySoon(c):
		return c.NoContent(http.StatusNoContent) // it asks again by itself: a script that has just begun keeps the server from any answer
	case wantsFragment(c.Request()):
		if part := s.partAway(c, p); part != nil {
			return render(c, http.StatusOK, part)
		}
		return refuseFragment(c, p.Status, toastOf(p))
	}
	return render(c, p.Status, s.errorPage(c, p))
}

// errorPage is the page in place of the one that was asked for. Its way back leads to the page that a form was on, never to the form's
// own address: that takes no GET.
func (s *site) errorPage(c echo.Context, p problem.Problem) templ.Component {
	page := s.bare(c, p.Title)
	if changes(c.Request()) {
		page.Path = cmp.Or(whereFrom(c.Request()), s.url("overview"))
	}
	if p.Status == http.StatusServiceUnavailable && s.DB.Health(c.Request().Context()).Status == kvdb.StatusBusy {
		record, known := s.sessions.Remembered(c.Request())
		return luaview.BusyInstead(luaview.BusyPage{Page: page, RequestID: p.RequestID, Busy: s.busyWith(true, known && record.Role.Allows(Operator))})
	}
	if p.Outcome != problem.Unknown {
		e := layout.ErrorProps{
			Status: p.Status, Title: p.Title, Text: p.Detail, RequestID: p.RequestID, Retry: p.Status >= http.StatusInternalServerError,
		}
		if p.Status == http.StatusServiceUnavailable && !changes(c.Request()) {
			e.Ready = s.url("readyz")
		}
		return layout.ErrorPage(page, e)
	}
	props := errorview.Props{Status: p.Status, Title: p.Title, Text: p.Detail, RequestID: p.RequestID}
	if props.CheckURL = localPath(p.Check); props.CheckURL == "" {
		props.Check = p.Check
	}
	return errorview.Unknown(page, props)
}

// toastOf says a problem in a toast.
func toastOf(p problem.Problem) ui.ToastProps {
	toast := ui.ToastProps{Kind: "error", Text: p.Detail}
	if p.Status == http.StatusServiceUnavailable {
		toast.Text = "Not done. " + p.Detail // a toast has no heading to say so
	}
	if p.Outcome == problem.Unknown {
		toast.Kind = "warning"
		if check := localPath(p.Check); check != "" {
			toast.LinkText, toast.LinkURL = "Look what is there now", check
		}
	}
	return toast
}

// problemKind labels an error in the metrics.
func problemKind(err error) string {
	if err == nil {
		return ""
	}
	return problem.Of(err).Kind
}
