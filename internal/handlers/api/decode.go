package api

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

const (
	maxDepth       = 1000 // levels of nesting in a JSON body
	maxFieldErrors = 100  // named in one answer
)

// malformedError says that a body is no JSON text.
type malformedError struct {
	offset int
	what   string
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("The body is not JSON: %s at byte %d.", e.what, e.offset)
}

// bodyPlan is what one kind of body may hold, read from the struct type that takes it. The same type makes
// the schema in the OpenAPI document.
//
// The decoder is stricter than encoding/json: names match exactly and once, every one is known, what is
// required is there, text that is not UTF-8 and half surrogate pairs are refused rather than replaced,
// and all wrong fields are named at once. It is also one pass with no intermediate values.
type bodyPlan struct {
	fields []bodyField
}

type bodyField struct {
	name     string
	index    []int
	kind     bodyKind
	required bool
	readOnly bool  // sent back as it was read, and ignored
	maxItems int   // of a list
	min, max int64 // of a number; both 0 = any
}

type bodyKind int

const (
	bodyText bodyKind = iota
	bodyOptionalText
	bodyInteger
	bodyOptionalInteger
	bodyBool
	bodyTexts
	bodyByteTexts
	bodyCommands
	bodySamples
	bodyJSON
	bodyTime
)

// planBody reads the plan of struct type t from its json, required, readOnly, maxItems, minimum and maximum tags. It panics
// on a type that it can't take: which types there are is known when the program starts.
func planBody(t reflect.Type) *bodyPlan {
	plan := &bodyPlan{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		field := bodyField{
			name:     name,
			index:    f.Index,
			required: !strings.Contains(options, "omit") && f.Tag.Get("required") != "false",
			readOnly: f.Tag.Get("readOnly") == "true",
		}
		field.min, field.max = bounds(f)
		if n := f.Tag.Get("maxItems"); n != "" {
			field.maxItems, _ = strconv.Atoi(n)
		}
		switch {
		case f.Type == reflect.TypeFor[string]():
			field.kind = bodyText
		case f.Type == reflect.TypeFor[*string]():
			field.kind = bodyOptionalText
		case f.Type == reflect.TypeFor[int64]():
			field.kind = bodyInteger
		case f.Type == reflect.TypeFor[*int64]():
			field.kind = bodyOptionalInteger
		case f.Type == reflect.TypeFor[bool]():
			field.kind = bodyBool
		case f.Type == reflect.TypeFor[[]string]():
			field.kind = bodyTexts
		case f.Type == reflect.TypeFor[[]Bytes]():
			field.kind = bodyByteTexts
		case f.Type == reflect.TypeFor[commandList]():
			field.kind = bodyCommands
		case f.Type == reflect.TypeFor[sampleList]():
			field.kind = bodySamples
		case f.Type == reflect.TypeFor[JSON]():
			field.kind = bodyJSON
		case f.Type == reflect.TypeFor[time.Time]():
			field.kind = bodyTime
		default:
			panic(fmt.Sprintf("api: the body %s can't hold a field of type %s", t, f.Type))
		}
		plan.fields = append(plan.fields, field)
	}
	if len(plan.fields) > 64 {
		panic(fmt.Sprintf("api: the body %s has more than 64 fields", t))
	}
	return plan
}

// decode reads body into the struct v. It returns a *malformedError for what is no JSON text, and a
// *kvdb.InvalidError that names the fields for what is JSON but not what the plan asks for.
func (p *bodyPlan) decode(body []byte, v reflect.Value) error {
	if len(body) == 0 {
		return &malformedError{0, "it is empty"}
	}
	if !utf8.Valid(body) {
		return &malformedError{invalidUTF8(body), "text that is not UTF-8"}
	}
	d := decoder{b: body}
	d.object(p, v)
	if d.space(); d.bad == nil && d.i < len(d.b) {
		d.fail("text after the end of the value")
	}
	switch {
	case d.bad != nil:
		return d.bad
	case d.wrong != nil:
		return &kvdb.InvalidError{Fields: d.wrong}
	}
	return nil
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// decoder walks one text. After the first malformed byte it stands still: every method returns at once.
type decoder struct {
	b     []byte // valid UTF-8
	i     int
	depth int
	bad   *malformedError
	wrong []kvdb.FieldError
}

func (d *decoder) fail(what string) {
	if d.bad == nil {
		d.bad = &malformedError{d.i, what}
	}
	d.i = len(d.b)
}

func (d *decoder) reject(field, format string, args ...any) {
	if len(d.wrong) < maxFieldErrors {
		d.wrong = append(d.wrong, kvdb.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

// object reads an object into v by the plan.
func (d *decoder) object(p *bodyPlan, v reflect.Value) {
	if d.peek() != '{' {
		if d.skip(); d.bad == nil {
			d.reject("", "the body must be an object")
		}
		return
	}
	var seen uint64
	d.members(func(name []byte) {
		i := p.find(name)
		switch {
		case i < 0:
			d.reject(cutName(name), "is not known")
			d.skip()
		case seen&(1<<i) != 0:
			d.reject(p.fields[i].name, "is given twice")
			d.skip()
		default:
			seen |= 1 << i
			d.field(&p.fields[i], v)
		}
	})
	for i := range p.fields {
		if f := &p.fields[i]; f.required && !f.readOnly && seen&(1<<i) == 0 {
			d.reject(f.name, "is missing")
		}
	}
}

func (p *bodyPlan) find(name []byte) int {
	for i := range p.fields {
		if p.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}

func cutName(name []byte) string {
	const longest = 100
	if len(name) <= longest {
		return string(name)
	}
	return strings.ToValidUTF8(string(name[:longest]), "") + "…"
}

func (d *decoder) field(f *bodyField, v reflect.Value) {
	if f.readOnly {
		d.skip()
		return
	}
	if d.peek() == 'n' && !f.required && f.kind != bodyJSON { // null: as good as absent
		d.literal("null")
		return
	}
	to := v.FieldByIndex(f.index)
	switch f.kind {
	case bodyText:
		if s, ok := d.text(f.name); ok {
			to.SetString(s)
		}
	case bodyOptionalText:
		if s, ok := d.text(f.name); ok {
			to.Set(reflect.ValueOf(&s))
		}
	case bodyInteger:
		if n, ok := d.integer(f); ok {
			to.SetInt(n)
		}
	case bodyOptionalInteger:
		if n, ok := d.integer(f); ok {
			to.Set(reflect.ValueOf(&n))
		}
	case bodyBool:
		switch d.peek() {
		case 't':
			d.literal("true")
			to.SetBool(true)
		case 'f':
			d.literal("false")
		default:
			d.reject(f.name, "must be true or false")
			d.skip()
		}
	case bodyTexts:
		d.texts(f, to.Addr().Interface().(*[]string))
	case bodyByteTexts:
		d.byteTexts(f, to.Addr().Interface().(*[]Bytes))
	case bodyCommands:
		d.commands(f, to.Addr().Interface().(*commandList))
	case bodySamples:
		d.samples(f, to.Addr().Interface().(*sampleList))
	case bodyJSON:
		*to.Addr().Interface().(*JSON) = d.value()
	case bodyTime:
		d.time(f.name, to.Addr().Interface().(*time.Time))
	}
}

func (d *decoder) text(field string) (string, bool) {
	if d.peek() != '"' {
		d.reject(field, "must be text")
		d.skip()
		return "", false
	}
	return string(d.quoted()), d.bad == nil
}

func (d *decoder) integer(f *bodyField) (int64, bool) {
	if c := d.peek(); c == '-' || '0' <= c && c <= '9' {
		n, err := strconv.ParseInt(string(d.number()), 10, 64)
		switch {
		case err != nil:
		case f.max > 0 && (n < f.min || n > f.max):
			d.reject(f.name, "must be from %d to %d", f.min, f.max)
			return 0, false
		default:
			return n, true
		}
	} else {
		d.skip()
	}
	d.reject(f.name, "must be a whole number")
	return 0, false
}

func (d *decoder) time(field string, to *time.Time) {
	if d.peek() != '"' {
		d.skip()
	} else if to.UnmarshalText(d.quoted()) == nil {
		return
	}
	d.reject(field, "must be a time like 2026-01-31T18:00:00Z")
}

func (d *decoder) texts(f *bodyField, to *[]string) {
	if d.peek() != '[' {
		d.reject(f.name, "must be a list of texts")
		d.skip()
		return
	}
	list := []string{}
	n := 0
	d.items(func() {
		switch {
		case f.maxItems > 0 && n >= f.maxItems:
			d.skip()
		case d.peek() == '"':
			list = append(list, string(d.quoted()))
		default:
			d.reject(f.name+"["+strconv.Itoa(n)+"]", "must be text")
			d.skip()
		}
		n++
	})
	if f.maxItems > 0 && n > f.maxItems {
		d.reject(f.name, "holds %d items; at most %d are allowed", n, f.maxItems)
		return
	}
	*to = list
}

// skip reads a value of any kind and keeps nothing of it.
func (d *decoder) skip() {
	switch c := d.peek(); {
	case c == '{':
		d.members(func([]byte) { d.skip() })
	case c == '[':
		d.items(d.skip)
	case c == '"':
		d.quoted()
	case c == '-' || '0' <= c && c <= '9':
		d.number()
	case c == 't':
		d.literal("true")
	case c == 'f':
		d.literal("false")
	case c == 'n':
		d.literal("null")
	default:
		d.unexpected()
	}
}

// members calls value with each name of the object that starts here, to read its value.
func (d *decoder) members(value func(name []byte)) {
	if !d.enter() {
		return
	}
	for first := true; ; first = false {
		c := d.peek()
		if c == '}' && first {
			break
		}
		if c != '"' {
			d.unexpected()
			return
		}
		name := d.quoted()
		if d.peek() != ':' {
			d.unexpected()
			return
		}
		d.i++
		value(name)
		if c = d.peek(); c == '}' {
			break
		}
		if c != ',' {
			d.unexpected()
			return
		}
		d.i++
	}
	d.i++
	d.depth--
}

// items calls item at each item of the list that starts here, to read it.
func (d *decoder) items(item func()) {
	if !d.enter() {
		return
	}
	for first := true; ; first = false {
		if d.peek() == ']' && first {
			break
		}
		item()
		c := d.peek()
		if c == ']' {
			break
		}
		if c != ',' {
			d.unexpected()
			return
		}
		d.i++
	}
	d.i++
	d.depth--
}

func (d *decoder) enter() bool {
	if d.depth++; d.depth > maxDepth {
		d.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return false
	}
	d.i++
	return true
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// peek returns the first byte of what comes next, 0 at the end.
func (d *decoder) peek() byte {
	if d.space(); d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *decoder) unexpected() {
	if d.i >= len(d.b) {
		d.fail("it ends too early")
		return
	}
	r, _ := utf8.DecodeRune(d.b[d.i:])
	d.fail(fmt.Sprintf("unexpected %q", r))
}

func (d *decoder) literal(word string) {
	end := d.i + len(word)
	if end > len(d.b) || string(d.b[d.i:end]) != word {
		d.unexpected()
		return
	}
	d.i = end
}

// number returns the number that starts here, checked against the grammar.
func (d *decoder) number() []byte {
	start := d.i
	if d.b[d.i] == '-' {
		d.i++
	}
	if d.i < len(d.b) && d.b[d.i] == '0' {
		d.i++
	} else if !d.digits() {
		return nil
	}
	if d.i < len(d.b) && d.b[d.i] == '.' {
		if d.i++; !d.digits() {
			return nil
		}
	}
	if d.i < len(d.b) && d.b[d.i]|0x20 == 'e' {
		if d.i++; d.i < len(d.b) && (d.b[d.i] == '+' || d.b[d.i] == '-') {
			d.i++
		}
		if !d.digits() {
			return nil
		}
	}
	return d.b[start:d.i]
}

func (d *decoder) digits() bool {
	start := d.i
	for d.i < len(d.b) && '0' <= d.b[d.i] && d.b[d.i] <= '9' {
		d.i++
	}
	if d.i == start {
		d.unexpected()
		return false
	}
	return true
}

// quoted returns the string that starts here, unescaped. It may be a part of the body: copy what is kept.
func (d *decoder) quoted() []byte {
	start := d.i + 1
	for i := start; i < len(d.b); i++ {
		switch c := d.b[i]; {
		case c == '"':
			d.i = i + 1
			return d.b[start:i]
		case c == '\\':
			d.i = i
			return d.unescape(start)
		case c < ' ':
			d.i = i
			d.fail("a control character inside a string")
			return nil
		}
	}
	d.i = len(d.b)
	d.unexpected()
	return nil
}

// unescape reads on from the first backslash of the string that starts at start.
func (d *decoder) unescape(start int) []byte {
	out := append(make([]byte, 0, d.i-start+64), d.b[start:d.i]...)
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return out
		case c < ' ':
			d.fail("a control character inside a string")
			return nil
		case c != '\\':
			out = append(out, c)
			d.i++
		default:
			r, ok := d.escape()
			if !ok {
				return nil
			}
			out = utf8.AppendRune(out, r)
		}
	}
	d.unexpected()
	return nil
}

func (d *decoder) escape() (rune, bool) {
	if d.i+1 >= len(d.b) {
		d.i = len(d.b)
		d.unexpected()
		return 0, false
	}
	if d.b[d.i+1] != 'u' {
		if at := strings.IndexByte(`"\/bfnrt`, d.b[d.i+1]); at >= 0 {
			d.i += 2
			return rune("\"\\/\b\f\n\r\t"[at]), true
		}
		d.fail("an unknown escape")
		return 0, false
	}
	r, ok := d.unicode(d.i)
	if !ok {
		d.fail("an unknown escape")
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		d.i += 6
		return r, true
	}
	low, ok := d.unicode(d.i + 6)
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		d.fail("half of a surrogate pair, which is no text")
		return 0, false
	}
	d.i += 12
	return r, true
}

// unicode returns the code unit of the \uXXXX at i.
func (d *decoder) unicode(i int) (rune, bool) {
	if i+6 > len(d.b) || d.b[i] != '\\' || d.b[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range d.b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
