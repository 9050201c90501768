package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
)

// inputPlan is what an operation takes, read from its input struct: fields with a path, query or header tag
// are parameters, a field named Body is the JSON body. The same struct makes the OpenAPI document.
type inputPlan struct {
	params   []param
	body     *bodyPlan
	bodyAt   []int
	bodyType reflect.Type
}

type param struct {
	field    reflect.StructField
	in       string // "path", "query" or "header"
	name     string
	required bool
	enum     []string
	min, max int64 // of a number; both 0 = any
	bytes    bool  // any bytes, not only UTF-8, and empty is not as good as none
}

// rawBytes is a parameter of any bytes, percent-encoded.
type rawBytes string

const maxHeaderText = 200 // characters of a header that is a parameter

// planInput reads the plan of struct type t. It panics on tags and types that it doesn't know: they are
// part of the program.
func planInput(t reflect.Type) *inputPlan {
	plan := &inputPlan{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Name == "Body" {
			plan.body, plan.bodyAt, plan.bodyType = planBody(f.Type), f.Index, f.Type
		}
		for _, in := range []string{"path", "query", "header"} {
			if name := f.Tag.Get(in); name != "" {
				plan.params = append(plan.params, planParam(f, in, name))
			}
		}
	}
	return plan
}

func planParam(f reflect.StructField, in, name string) param {
	p := param{field: f, in: in, name: name, required: in == "path" || f.Tag.Get("required") == "true", bytes: f.Type == reflect.TypeFor[rawBytes]()}
	if enum := f.Tag.Get("enum"); enum != "" {
		p.enum = strings.Split(enum, ",")
	}
	p.min, p.max = bounds(f)
	return p
}

// bounds reads the minimum and maximum tags of a number; both 0 = any.
func bounds(f reflect.StructField) (least, most int64) {
	for tag, to := range map[string]*int64{"minimum": &least, "maximum": &most} {
		if text := f.Tag.Get(tag); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic(fmt.Sprintf("api: %s of %s: %v", tag, f.Name, err))
			}
			*to = n
		}
	}
	return least, most
}

// read fills the input struct v from the request. A *kvdb.InvalidError names all parameters that are wrong.
func (p *inputPlan) read(c echo.Context, v reflect.Value) error {
	if err := p.readParams(c, v); err != nil {
		return err
	}
	if p.body == nil {
		return nil
	}
	buf := getBuffer()
	defer putBuffer(buf)
	if n := c.Request().ContentLength; n > 0 {
		buf.Grow(int(min(n, keptBuffer)))
	}
	if _, err := buf.ReadFrom(c.Request().Body); err != nil {
		return bodyError(err)
	}
	err := p.body.decode(buf.Bytes(), v.FieldByIndex(p.bodyAt))
	if malformed := (*malformedError)(nil); errors.As(err, &malformed) {
		return echo.NewHTTPError(http.StatusBadRequest, malformed.Error())
	}
	return err
}

// bodyError says what to answer when a body can't be read to its end.
func bodyError(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return err
	}
	return echo.NewHTTPError(http.StatusBadRequest, "The body broke off before its end.").SetInternal(err)
}

func (p *inputPlan) readParams(c echo.Context, v reflect.Value) error {
	r := c.Request()
	if len(p.params) == 0 && r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "The query of the address is malformed.").SetInternal(err)
	}
	var wrong []kvdb.FieldError
	reject := func(field, message string) {
		if len(wrong) < maxFieldErrors {
			wrong = append(wrong, kvdb.FieldError{Field: cutName([]byte(field)), Message: message})
		}
	}
	known := 0
	for i := range p.params {
		q := &p.params[i]
		var text string
		switch q.in {
		case "path":
			text = pathParam(c, q.name)
		case "header":
			text = r.Header.Get(q.name)
			if len(text) > maxHeaderText {
				reject(q.name, fmt.Sprintf("is longer than %d characters", maxHeaderText))
				continue
			}
		default:
			values, given := query[q.name]
			if !given {
				break
			}
			known++
			if len(values) > 1 {
				reject(q.name, "is given more than once")
				continue
			}
			if text = values[0]; q.bytes {
				v.FieldByIndex(q.field.Index).SetString(text)
				continue
			}
		}
		if message := q.set(v.FieldByIndex(q.field.Index), text); message != "" {
			reject(q.name, message)
		}
	}
	if known < len(query) {
		for _, name := range p.unknown(query) {
			reject(name, "is not a parameter of this call")
		}
	}
	if wrong != nil {
		return &kvdb.InvalidError{Fields: wrong}
	}
	return nil
}

// unknown returns the names in query that are no parameters, sorted.
func (p *inputPlan) unknown(query url.Values) []string {
	var names []string
	for name := range query {
		if !slices.ContainsFunc(p.params, func(q param) bool { return q.in == "query" && q.name == name }) {
			names = append(names, strings.ToValidUTF8(name, "\uFFFD"))
		}
	}
	slices.Sort(names)
	return names
}

// pathParam returns a parameter of the path as it was meant: Echo leaves it escaped when the client escaped
// more than it had to.
func pathParam(c echo.Context, name string) string {
	text := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return text
	}
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// set puts text into the field v and says what is wrong with it, "" = nothing. An empty text is as good as none.
func (p *param) set(v reflect.Value, text string) string {
	if text == "" {
		text = p.field.Tag.Get("default")
	}
	switch {
	case text == "" && p.required:
		return "is missing"
	case text == "":
		return ""
	case !utf8.ValidString(text):
		return "is not UTF-8 text"
	case p.enum != nil && !slices.Contains(p.enum, text):
		return "must be one of " + strings.Join(p.enum, ", ")
	}
	switch to := v.Addr().Interface().(type) {
	case *bool:
		on, err := strconv.ParseBool(text)
		if err != nil {
			return "must be true or false"
		}
		*to = on
	case *time.Time:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return "must be a time like 2026-01-31T18:00:00Z"
		}
		*to = at
	default:
		return p.setScalar(v, text)
	}
	return ""
}

func (p *param) setScalar(v reflect.Value, text string) string {
	if v.Kind() == reflect.String {
		v.SetString(text)
		return ""
	}
	n, err := strconv.ParseInt(text, 10, 64) // planInput's types leave only numbers here
	if err != nil {
		return "must be a whole number"
	}
	if p.max > 0 && (n < p.min || n > p.max) {
		return fmt.Sprintf("must be from %d to %d", p.min, p.max)
	}
	v.SetInt(n)
	return ""
}

// bodyReader is a request body that remembers how reading it failed, so that the answer can tell a body that
// is too large or broke off from a file that is wrong.
type bodyReader struct {
	r   io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
