// Package problem turns an error into what its reader is told: the status, a sentence without secrets, and
// the fields that are wrong. Pages and API say the same about the same error.
package problem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

// ContentType of a problem document (RFC 9457).
const ContentType = "application/problem+json"

// Unknown is the Outcome of a change of which nobody knows whether it was made.
const Unknown = "unknown"

// StatusClientGone is noted in the log when the client left before it was answered; nobody reads it.
const StatusClientGone = 499

// Field is one field of a request that is wrong.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problem is what is said about an error.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail,omitempty"`
	Errors    []Field `json:"errors,omitempty"`
	Outcome   string  `json:"outcome,omitempty"` // Unknown, or "" where the status says it
	Check     string  `json:"check,omitempty"`   // where to look then
	RequestID string  `json:"request_id,omitempty"`

	Kind       string        `json:"-"` // label of the metrics
	RetryAfter time.Duration `json:"-"` // 0 = say nothing
}

// Of says what to tell about err, which must not be nil. Words of an error reach people only when it was
// made for people; for all others there is a fixed sentence.
func Of(err error) Problem {
	p := of(err)
	p.Type, p.Title = "about:blank", title(p.Status)
	return p
}

// kinds are the kinds of error and what is said about them. The first that fits counts.
var kinds = []struct {
	err    error
	status int
	kind   string
	detail string
}{
	{kvdb.ErrUnknown, http.StatusGatewayTimeout, "unknown", ""},
	{account.ErrBusy, http.StatusServiceUnavailable, "busy", "Too many people sign in at this moment. Nothing was done; try again in a few seconds."},
	{kvdb.ErrAway, http.StatusServiceUnavailable, "away", ""},
	{account.ErrBadCredentials, http.StatusUnauthorized, "credentials", "The credentials are not valid."},
	{account.ErrExists, http.StatusConflict, "conflict", "There is a user of this name already."},
	{account.ErrLastAdmin, http.StatusConflict, "conflict", "Nothing was done: this is the last enabled administrator. Make somebody else administrator first."},
	{account.ErrFull, http.StatusConflict, "conflict", "Nothing was done: there are as many of them as there may be. Delete some first."},
	{kvdb.ErrNotFound, http.StatusNotFound, "not_found", "There is no such thing, or it has been deleted."},
	{kvdb.ErrConflict, http.StatusConflict, "conflict", "Nothing was done: somebody else changed it meanwhile, or it exists already. Look at it as it is now."},
	{kvdb.ErrInvalid, http.StatusUnprocessableEntity, "invalid", "Some of the input is not valid."},
	{kvdb.ErrForbidden, http.StatusForbidden, "forbidden", "Your role may not do this."},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", "It took too long and was stopped."},
	{context.Canceled, StatusClientGone, "gone", "The request was cancelled."},
}

func of(err error) Problem {
	var (
		throttled *account.ThrottledError
		tooLarge  *http.MaxBytesError
		routed    *echo.HTTPError
	)
	switch {
	case errors.As(err, &throttled):
		return ofThrottled(throttled)
	case errors.As(err, &tooLarge):
		return Problem{Status: http.StatusRequestEntityTooLarge, Kind: "too_large", Detail: fmt.Sprintf("Nothing was done: the request is larger than the %d bytes that are allowed here.", tooLarge.Limit)}
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return ofKind(err, Problem{Status: k.status, Kind: k.kind, Detail: k.detail})
		}
	}
	if errors.As(err, &routed) {
		return ofHTTP(routed)
	}
	return Problem{Status: http.StatusInternalServerError, Kind: "internal", Detail: "It is a fault of the server, and logged there under the number of the request."}
}

func ofThrottled(err *account.ThrottledError) Problem {
	return Problem{
		Status: http.StatusTooManyRequests, Kind: "throttled", RetryAfter: err.RetryAfter,
		Detail: fmt.Sprintf("There were too many failed sign-ins. Try again in %d seconds.", seconds(err.RetryAfter)),
	}
}

// ofHTTP tells what the web server itself refuses. Its messages are ours or Echo's, never an error's text.
func ofHTTP(err *echo.HTTPError) Problem {
	p := Problem{Status: err.Code, Kind: "http_" + strconv.Itoa(err.Code)}
	if detail, ok := err.Message.(string); ok && detail != http.StatusText(err.Code) {
		p.Detail = detail
	} else {
		p.Detail = plain[err.Code]
	}
	return p
}

// plain says in a sentence what a bare status means.
var plain = map[int]string{
	http.StatusUnauthorized:          "Sign in first.",
	http.StatusForbidden:             "Your role may not do this.",
	http.StatusNotFound:              "There is nothing at this address.",
	http.StatusMethodNotAllowed:      "This address does not take this method.",
	http.StatusRequestEntityTooLarge: "Nothing was done: the request is larger than what is allowed here.",
}

func ofKind(err error, p Problem) Problem {
	switch p.Kind {
	case "unknown":
		p.Detail, p.Outcome = kvdb.Sentence(err), Unknown
		var unknown *kvdb.UnknownError
		if errors.As(err, &unknown) {
			p.Check = unknown.Check
		}
	case "away":
		p.Detail, p.RetryAfter = kvdb.Sentence(err), 2*time.Second
	case "busy", "timeout":
		p.RetryAfter = 2 * time.Second
	default:
		p.Detail, p.Errors = words(err, p.Detail), fields(err)
	}
	return p
}

// words returns what the error itself says if it was made for people: an error type that says itself of
// which kind it is. A wrapped sentinel only tells which operation failed, and that is for the log.
func words(err error, fallback string) string {
	var spoken interface {
		error
		Is(error) bool
	}
	if !errors.As(err, &spoken) {
		return fallback
	}
	for _, kind := range []error{kvdb.ErrNotFound, kvdb.ErrConflict, kvdb.ErrInvalid, kvdb.ErrForbidden} {
		if spoken.Is(kind) {
			return sentence(spoken.Error())
		}
	}
	return fallback
}

func fields(err error) []Field {
	var invalid *kvdb.InvalidError
	if !errors.As(err, &invalid) {
		return nil
	}
	out := make([]Field, len(invalid.Fields))
	for i, f := range invalid.Fields {
		out[i] = Field{Field: f.Field, Message: f.Message}
	}
	return out
}

// sentence gives words a capital and a full stop.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(first)) + s[n:]
	if last, _ := utf8.DecodeLastRuneInString(s); unicode.IsLetter(last) || unicode.IsDigit(last) || last == '"' || last == ')' {
		s += "."
	}
	return s
}

// titles are the headings of error pages and problem documents.
var titles = map[int]string{
	http.StatusBadRequest:            "Not understood",
	http.StatusUnauthorized:          "Not signed in",
	http.StatusForbidden:             "Not allowed",
	http.StatusNotFound:              "Not found",
	http.StatusMethodNotAllowed:      "Not possible here",
	http.StatusConflict:              "In conflict with what is there",
	http.StatusRequestEntityTooLarge: "Too large",
	http.StatusUnprocessableEntity:   "Not valid",
	http.StatusTooManyRequests:       "Too many attempts",
	StatusClientGone:                 "Client closed the request",
	http.StatusInternalServerError:   "Something went wrong",
	http.StatusServiceUnavailable:    "Not done: not available now",
	http.StatusGatewayTimeout:        "Unknown whether it was done",
}

func title(status int) string { return cmp.Or(titles[status], http.StatusText(status), "Error") }

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// SetHeaders sets the headers that go with the problem, whatever form its text takes.
func (p Problem) SetHeaders(h http.Header) {
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds(p.RetryAfter)))
	}
}

// Write answers with the problem document.
func (p Problem) Write(w http.ResponseWriter) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	p.SetHeaders(w.Header())
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="webadmin"`)
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, err = w.Write(body)
	return err
}
