package handlers

import (
	"net/http"
	"net/url"
	"time"
	_ "time/tzdata" // the machine need not have a database of zones

	"github.com/labstack/echo/v4"
)

// zoneCookie holds the name of the reader's time zone. web/static/src/lib/times.js sets it.
const zoneCookie = "tz"

// zoneOf returns the reader's time zone: days and weeks begin at its midnight. It is UTC where the reader's is not known.
func zoneOf(r *http.Request) *time.Location {
	cookie, err := r.Cookie(zoneCookie)
	if err != nil {
		return time.UTC
	}
	name, err := url.PathUnescape(cookie.Value)
	if err != nil || name == "" || name == "Local" { // the names of UTC and of the server's own zone
		return time.UTC
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return loc
}

// zoneText says in which zone the times of a page are.
func zoneText(c echo.Context) string {
	if loc := zoneOf(c.Request()); loc != time.UTC {
		return "Times are those of " + loc.String() + ", your browser's zone."
	}
	if _, err := c.Cookie(zoneCookie); err == nil {
		return "Times are UTC."
	}
	return "Times are UTC, as your browser has not told its zone."
}
