package api

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webadmin/internal/kvdb"
)

const (
	maxDepth       = 1000 // levels of nesting in a JSON body
	maxFieldErrors = 100  // named in one answer
)

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
