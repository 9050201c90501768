package handlers

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/ui"
)

// This file is the only one that reads or writes HX-* headers.

// fromHTMX says whether htmx sent the request rather than the browser itself.
func fromHTMX(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// wantsFragment says whether the answer will be swapped into a part of a page. Boosted links, a restored history entry and what
// targets the body or selects from the answer (HX-Request-Type: full) want the whole page.
func wantsFragment(r *http.Request) bool {
	h := r.Header
	return fromHTMX(r) && h.Get("HX-Boosted") != "true" && h.Get("HX-History-Restore-Request") != "true" && h.Get("HX-Request-Type") != "full"
}

// render writes a component as the answer. Nothing is written before all of it is rendered, so an error of a component can
// still become an error page.
func render(c echo.Context, status int, comp templ.Component) error {
	buf := templ.GetBuffer()
	defer templ.ReleaseBuffer(buf)
	if err := comp.Render(c.Request().Context(), buf); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Add(echo.HeaderVary, "HX-Request, HX-Request-Type, Cookie")
	if h.Get(echo.HeaderCacheControl) == "" {
		h.Set(echo.HeaderCacheControl, "no-store")
	}
	return c.HTMLBlob(status, buf.Bytes())
}

// refuseFragment answers a failed request of a fragment: what is on the page stays, and a toast says what is wrong.
func refuseFragment(c echo.Context, status int, toast ui.ToastProps) error {
	c.Response().Header().Set("HX-Reswap", "none")
	return render(c, status, ui.ToastOOB(toast))
}

// pushURL has htmx put another address than the requested one into the address bar.
func pushURL(c echo.Context, url string) { c.Response().Header().Set("HX-Push-Url", url) }

// swapAnyway has htmx swap an answer in whose status would leave the page as it is: it is the form again, with what was typed.
func swapAnyway(c echo.Context, style string) { c.Response().Header().Set("HX-Reswap", style) }

// targets says whether the answer will be swapped into the element with this id.
func targets(r *http.Request, id string) bool {
	return strings.HasSuffix(r.Header.Get("HX-Target"), "#"+id)
}

// eventRan is what a page is told when a program has run.
const eventRan = "lua-ran"

// announce tells the page of a fragment that something has happened: whoever waits for the event there asks anew.
func announce(c echo.Context, event string) { c.Response().Header().Set("HX-Trigger", event) }

// redirect sends the reader to a page of ours: with 303 after a form, with a header of htmx after a request of its own, because fetch
// would follow the 303 unseen and swap a whole page into a part of one.
func redirect(c echo.Context, to string) error {
	if fromHTMX(c.Request()) {
		c.Response().Header().Set("HX-Redirect", to)
		return c.NoContent(http.StatusOK)
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// done ends a change that was made: it sends the reader to a page that says so.
func (s *site) done(c echo.Context, to string, toast ui.ToastProps) error {
	s.flash(c, toast)
	return redirect(c, to)
}

const toastsKey = "toasts"

// flash keeps a toast in the session for the next page. If it can't be kept, that is logged and no more: what it tells of is done.
func (s *site) flash(c echo.Context, toast ui.ToastProps) {
	sess, err := s.sessions.Current(c.Request())
	if err != nil || sess.ID == "" {
		return
	}
	text, err := json.Marshal(append(toastsOf(sess.Values), toast))
	if err == nil {
		sess.Values[toastsKey] = string(text)
		err = sess.Save(c.Request(), c.Response())
	}
	if err != nil {
		s.Logger.WarnContext(c.Request().Context(), "a toast was not kept", "error", err)
	}
}

// takeToasts returns the toasts that wait in the session and removes them.
func (s *site) takeToasts(c echo.Context) []ui.ToastProps {
	sess, err := s.sessions.Current(c.Request())
	if err != nil || sess.ID == "" {
		return nil
	}
	toasts := toastsOf(sess.Values)
	if len(toasts) == 0 {
		return nil
	}
	delete(sess.Values, toastsKey)
	if err := sess.Save(c.Request(), c.Response()); err != nil {
		s.Logger.WarnContext(c.Request().Context(), "shown toasts stay in the session", "error", err)
	}
	return toasts
}

func toastsOf(values map[any]any) []ui.ToastProps {
	text, _ := values[toastsKey].(string)
	if text == "" {
		return nil
	}
	var toasts []ui.ToastProps
	if json.Unmarshal([]byte(text), &toasts) != nil {
		return nil // written by another version
	}
	return toasts
}

// askSignIn sends somebody who is not signed in to the sign-in, and from there back to where they were.
func (s *site) askSignIn(c echo.Context) error {
	to := s.url("login", url.Values{"next": {whereFrom(c.Request())}})
	if fromHTMX(c.Request()) {
		c.Response().Header().Set("HX-Redirect", to)
		return c.NoContent(http.StatusUnauthorized)
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// whereFrom is the page that the reader is on: the requested one, or the one that a form or a fragment belongs to. "" = not known.
func whereFrom(r *http.Request) string {
	switch {
	case fromHTMX(r):
		return ownPath(r, r.Header.Get("HX-Current-URL"))
	case changes(r):
		return ownPath(r, r.Referer())
	case r.URL.Path == "/":
		return ""
	}
	return localPath(r.URL.RequestURI())
}

// changes says whether the request's method may change something.
func changes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// ownPath returns path and query of an address of this server, "" for any other.
func ownPath(r *http.Request, address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host != r.Host {
		return ""
	}
	return localPath(u.RequestURI())
}

// localPath returns next if it can only lead to this server, else "". Browsers read a backslash as a slash and skip control
// characters, so //host, /\host and their like are refused.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return ""
	}
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return ""
	}
	return next
}

// audited makes a change and its audit record; without the record there is no change. The change returns what it found and what it
// left, in words without secrets. If nobody knows whether it was made, the page that it was made from shows what is there now.
func (s *site) audited(c echo.Context, verb, object string, change func() (before, after string, err error)) error {
	err := s.trail.Do(c.Request().Context(), verb, object, change)
	var unknown *kvdb.UnknownError
	if errors.Is(err, kvdb.ErrUnknown) && (!errors.As(err, &unknown) || unknown.Check == "") {
		return &kvdb.UnknownError{Op: verb, Check: cmp.Or(whereFrom(c.Request()), s.url("audit")), Err: err}
	}
	return err
}

// actor is the name of whoever is signed in.
func actor(c echo.Context) string { return mw.From(c.Request().Context()).Principal.Name }

// roleOf is the role of whoever is signed in.
func roleOf(c echo.Context) string { return string(mw.From(c.Request().Context()).Principal.Role) }
