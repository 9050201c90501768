package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/kvdb"
)

func TestWordsOfAnErrorReachPeopleOnlyWhenMadeForThem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		detail string
	}{
		{fmt.Errorf("op: %w", kvdb.Invalid("name", "is missing")), "Name: is missing."},
		{fmt.Errorf("op 10.0.0.1: %w", kvdb.ErrNotFound), "There is no such thing, or it has been deleted."},
		{errors.New("dial tcp 10.0.0.1"), "It is a fault of the server, and logged there under the number of the request."},
		{echo.NewHTTPError(400, errors.New("dial tcp 10.0.0.1")), ""},
		{echo.NewHTTPError(400, "Say it again."), "Say it again."},
		{echo.ErrNotFound, "There is nothing at this address."},
		{account.ErrExists, "There is a user of this name already."},
	} {
		if got := Of(tc.err).Detail; got != tc.detail {
			t.Errorf("Of(%v) says %q, want %q", tc.err, got, tc.detail)
		}
	}
}

func TestFieldsAndOutcome(t *testing.T) {
	t.Parallel()
	p := Of(&kvdb.InvalidError{Fields: []kvdb.FieldError{{Field: "a", Message: "x"}, {Field: "b", Message: "y"}}})
	if len(p.Errors) != 2 || p.Errors[1] != (Field{"b", "y"}) || p.Outcome != "" {
		t.Errorf("%+v", p)
	}
	p = Of(fmt.Errorf("op: %w", &kvdb.UnknownError{Op: "x", Check: "/there", Err: errors.New("cut")}))
	if p.Status != 504 || p.Outcome != Unknown || p.Check != "/there" || p.RetryAfter != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	p := Of(&account.ThrottledError{RetryAfter: 1100 * time.Millisecond})
	p.RequestID = "id"
	if err := p.Write(rec); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if rec.Code != 429 || rec.Header().Get("Retry-After") != "2" || rec.Header().Get("Content-Type") != ContentType || body["request_id"] != "id" || body["status"] != 429.0 || body["title"] == "" || body["type"] != "about:blank" {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "it is": "It is.", "It is.": "It is.", `x "y"`: `X "y".`, "why?": "Why?", "ä (b)": "Ä (b)."} {
		if got := sentence(in); got != want {
			t.Errorf("sentence(%q) = %q, want %q", in, got, want)
		}
	}
}
