package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"webadmin/internal/handlers/api"
)

// spec is the OpenAPI document as the server gives it, read without the library that made it.
type spec struct{ doc object }

func readSpec(t testing.TB, a answer) *spec {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("openapi.json: %d %v", a.status, a.header)
	}
	return &spec{a.object(t)}
}

func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func (s *spec) resolve(v any) object {
	m, _ := v.(object)
	if ref, ok := m["$ref"].(string); ok {
		m, _ = at(s.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(object)
	}
	return m
}

// operation finds what the document says about a call.
func (s *spec) operation(method, path string) object {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for template, item := range s.doc["paths"].(object) {
		named := strings.Split(template, "/")
		same := len(named) == len(parts)
		for i := 0; same && i < len(parts); i++ {
			same = named[i] == parts[i] || strings.HasPrefix(named[i], "{")
		}
		if op, ok := at(item, strings.ToLower(method)).(object); same && ok {
			return op
		}
	}
	return nil
}

// check holds an answer against the document.
func (s *spec) check(t testing.TB, method, path string, a answer) {
	t.Helper()
	op := s.operation(method, path)
	if op == nil {
		t.Errorf("%s %s is not in the document", method, path)
		return
	}
	said := s.resolve(at(op, "responses", fmt.Sprint(a.status)))
	if said == nil {
		t.Errorf("%s %s: the document knows no answer %d (%s)", method, path, a.status, a.raw)
		return
	}
	content, _ := said["content"].(object)
	if content == nil {
		if len(a.raw) > 0 {
			t.Errorf("%s %s: %d should have no body: %s", method, path, a.status, a.raw)
		}
		return
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	schema, ok := at(content, kind, "schema").(object)
	if err != nil || !ok {
		t.Errorf("%s %s: %d: the document knows no %q", method, path, a.status, a.header.Get("Content-Type"))
		return
	}
	if !strings.HasSuffix(kind, "json") || len(schema) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(a.raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Errorf("%s %s: %d: %v", method, path, a.status, err)
		return
	}
	if wrong := s.validate(schema, v, "answer"); wrong != "" {
		t.Errorf("%s %s: %d is not as the document says: %s\n%.500s", method, path, a.status, wrong, a.raw)
	}
}

// validate says what is wrong with a value by the parts of JSON Schema that the document uses.
func (s *spec) validate(schema object, v any, where string) string {
	schema = s.resolve(schema)
	for _, some := range []string{"anyOf", "oneOf"} {
		if kinds, ok := schema[some].([]any); ok {
			return s.validateSome(some, kinds, v, where)
		}
	}
	kinds, _ := schema["type"].([]any)
	if kind, ok := schema["type"].(string); ok {
		kinds = []any{kind}
	}
	if len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k any) bool { return isA(k.(string), v) }) {
		return fmt.Sprintf("%s: %v is no %v", where, v, kinds)
	}
	if len(kinds) == 0 {
		return "" // of any type
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Sprintf("%s: %v is none of %v", where, v, enum)
	}
	switch v := v.(type) {
	case object:
		return s.validateObject(schema, v, where)
	case []any:
		items, _ := schema["items"].(object)
		for i, item := range v {
			if wrong := s.validate(items, item, fmt.Sprintf("%s[%d]", where, i)); wrong != "" {
				return wrong
			}
		}
	case string:
		if most, ok := schema["maxLength"].(float64); ok && utf8.RuneCountInString(v) > int(most) {
			return where + ": is too long"
		}
		if _, err := time.Parse(time.RFC3339, v); schema["format"] == "date-time" && (err != nil || !strings.HasSuffix(v, "Z")) {
			return where + ": " + v + " is no time in UTC"
		}
	}
	return ""
}

func (s *spec) validateSome(some string, kinds []any, v any, where string) string {
	var wrong []string
	for _, k := range kinds {
		if w := s.validate(k.(object), v, where); w != "" {
			wrong = append(wrong, w)
		}
	}
	fit := len(kinds) - len(wrong)
	if fit == 0 || some == "oneOf" && fit > 1 {
		return fmt.Sprintf("%s: fits %d of %s: %s", where, fit, some, strings.Join(wrong, "; "))
	}
	return ""
}

func (s *spec) validateObject(schema, v object, where string) string {
	properties, _ := schema["properties"].(object)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Sprintf("%s: %s is missing", where, name)
		}
	}
	for name, field := range v {
		property, ok := properties[name].(object)
		if !ok {
			property, ok = schema["additionalProperties"].(object)
		}
		if !ok {
			return fmt.Sprintf("%s: %s is not in the schema", where, name)
		}
		if wrong := s.validate(property, field, where+"."+name); wrong != "" {
			return wrong
		}
	}
	return ""
}

var integer = regexp.MustCompile(`^-?\d+$`)

func isA(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case json.Number:
		return kind == "number" || kind == "integer" && integer.MatchString(v.String())
	case []any:
		return kind == "array"
	}
	return kind == "object"
}

func TestDocumentIsWhole(t *testing.T) {
	t.Parallel()
	s := newWorld(t).spec
	if version, _ := s.doc["openapi"].(string); !strings.HasPrefix(version, "3.1") {
		t.Errorf("openapi is %q", version)
	}
	if got := at(s.doc, "info", "version"); got != "v1.2.3" {
		t.Errorf("version is %v", got)
	}
	var refs func(v any)
	refs = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok && s.resolve(v) == nil {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, x := range v {
				refs(x)
			}
		case []any:
			for _, x := range v {
				refs(x)
			}
		}
	}
	refs(s.doc)
}

// bodiless are the calls that are told all by their address.
var bodiless = regexp.MustCompile(`/(undo|pause|resume|cancel)$`)

// The document has what is served and nothing else, and says of each call what it takes.
func TestDocumentHasEveryCall(t *testing.T) {
	t.Parallel()
	s := newWorld(t).spec
	ids := map[string]bool{}
	served := 0
	for _, row := range api.Routes() {
		if row.Name == "api.openapi" || row.Name == "api.docs" {
			continue
		}
		served++
		template := regexp.MustCompile(`:(\w+)`).ReplaceAllString(row.Path, "{$1}")
		op, ok := at(s.doc, "paths", template, strings.ToLower(row.Method)).(object)
		if !ok {
			t.Errorf("%s %s is not in the document", row.Method, template)
			continue
		}
		id, _ := op["operationId"].(string)
		if ids[id] || id == "" {
			t.Errorf("%s %s: operationId %q is empty or there twice", row.Method, row.Path, id)
		}
		ids[id] = true
		if !strings.Contains(op["description"].(string), "role "+string(row.Need)) {
			t.Errorf("%s does not say that it needs the role %s", id, row.Need)
		}
		params, _ := op["parameters"].([]any)
		for _, m := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(template, -1) {
			if !slices.ContainsFunc(params, func(p any) bool { return at(p, "in") == "path" && at(p, "name") == m[1] && at(p, "required") == true }) {
				t.Errorf("%s does not describe %s", id, m[1])
			}
		}
		if _, body := op["requestBody"]; body != (row.Method == http.MethodPut || row.Method == http.MethodPost && !bodiless.MatchString(row.Path)) {
			t.Errorf("%s: body described: %v", id, body)
		}
	}
	listed := 0
	for _, item := range s.doc["paths"].(object) {
		listed += len(item.(object))
	}
	if listed != served {
		t.Errorf("%d calls are served, %d are in the document", served, listed)
	}
}
