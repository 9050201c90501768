package api

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

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

func (p *bodyPlan) find(name []byte) int {
	for i := range p.fields {
		if p.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}
