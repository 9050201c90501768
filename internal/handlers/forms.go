package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
)

// form is what a reader sent in the body; the address is not looked at.
type form struct{ values url.Values }

// readForm parses a urlencoded body. What is not one is 400, what is too large 413.
func readForm(c echo.Context) (form, error) {
	r := c.Request()
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return form{}, err
		}
		return form{}, echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.").SetInternal(err)
	}
	return form{r.PostForm}, nil
}

// text returns a field as it was typed. Browsers send line ends as CR LF; they were typed as LF.
func (f form) text(name string) string {
	return strings.ReplaceAll(f.values.Get(name), "\r\n", "\n")
}

// word returns a field without the blanks around it, for names and the like.
func (f form) word(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// has says whether a box is ticked.
func (f form) has(name string) bool { return f.values.Get(name) != "" }

// faults are the messages of a form that is shown again, by field.
type faults map[string]string

// faultsOf returns the field messages of an error and whether it has any: then the form is shown again with 422 and all that was typed.
func faultsOf(err error) (faults, bool) {
	var invalid *kvdb.InvalidError
	if !errors.As(err, &invalid) {
		return nil, false
	}
	out := faults{}
	for _, f := range invalid.Fields {
		if out[f.Field] == "" {
			out[f.Field] = upperFirst(f.Message)
		}
	}
	return out, true
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// opOf names an operation: the form's token op and all that it sends. So a form that is sent twice is one operation, and one that was
// changed before it was sent again is another. Without a token it is "".
func opOf(c echo.Context, op string, fields ...string) string {
	if op == "" {
		return ""
	}
	h := sha256.New()
	for _, s := range append(fields, c.Path(), actor(c)) {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return op + "." + hex.EncodeToString(h.Sum(nil)[:12])
}
